//! The host's end of a cell's pipes, as C functions. Nothing here waits.

use crate::pipe::{Moved, Pipe, PipeRef};
use crate::{WwCell, WwSlice, unheard};
use std::ffi::c_void;
use std::ptr;
use ww_fence::guard;

/// A counted reference to one of the cell's pipes, given back with `ww_pipe_drop`.
///
/// # Safety
/// `cell` lives; `which` is one of WwPipeKind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cell_pipe(cell: *const WwCell, which: u32) -> *const Pipe {
    unsafe { &(*cell).0 }.pipe(which as usize).map_or(ptr::null(), |pipe| pipe.clone().into_raw())
}

fn moved(moved: Moved) -> isize {
    match moved {
        Moved::Bytes(n) => n as isize,
        Moved::Closed => -1,
    }
}

/// Bytes that are there to read; 0: none now, the hook will fire; -1: end of file.
///
/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_readable(pipe: *const Pipe) -> isize {
    guard(|| Ok(moved(unsafe { &*pipe }.host_readable()))).unwrap_or(-1)
}

/// Bytes read; 0: none now, the hook will fire; -1: end of file.
///
/// # Safety
/// `pipe` lives; `buffer` takes `len` bytes, `len` > 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_read(pipe: *const Pipe, buffer: *mut u8, len: usize) -> isize {
    let to = unsafe { std::slice::from_raw_parts_mut(buffer, len) };
    guard(|| Ok(moved(unsafe { &*pipe }.host_read(to)))).unwrap_or(-1)
}

/// Bytes taken; fewer than offered: full, the hook will fire; -1: nobody reads.
///
/// # Safety
/// `pipe` lives; `pieces` has `count` slices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_write(
    pipe: *const Pipe,
    pieces: *const WwSlice,
    count: usize,
) -> isize {
    let pieces = unsafe { std::slice::from_raw_parts(pieces, count) };
    guard(|| Ok(moved(unsafe { &*pipe }.host_write(pieces)))).unwrap_or(-1)
}

/// Whom the hook is told; null for nobody.
///
/// # Safety
/// `pipe` lives, and so does `end` until the next call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_set_host(pipe: *const Pipe, end: *mut c_void) {
    unheard(|| unsafe { &*pipe }.set_host(end))
}

/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_close_write(pipe: *const Pipe) {
    unheard(|| unsafe { &*pipe }.close_write())
}

/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_close_read(pipe: *const Pipe) {
    unheard(|| unsafe { &*pipe }.close_read())
}

/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_is_read_closed(pipe: *const Pipe) -> bool {
    guard(|| Ok(unsafe { &*pipe }.is_read_closed())).unwrap_or(true)
}

/// Has the guest ever looked for bytes that were not there? The hook fires when it first does.
///
/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_is_wanted(pipe: *const Pipe) -> bool {
    guard(|| Ok(unsafe { &*pipe }.is_wanted())).unwrap_or(true)
}

/// While set, a guest's bytes that do not fit are dropped and counted.
///
/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_set_discards(pipe: *const Pipe, discards: bool) {
    unheard(|| unsafe { &*pipe }.set_discards(discards))
}

/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_discarded(pipe: *const Pipe) -> u64 {
    guard(|| Ok(unsafe { &*pipe }.discarded())).unwrap_or(0)
}

/// Bytes that were ever put in. Any thread.
///
/// # Safety
/// `pipe` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_total(pipe: *const Pipe) -> u64 {
    guard(|| Ok(unsafe { &*pipe }.total())).unwrap_or(0)
}

/// Any thread.
///
/// # Safety
/// Given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_pipe_drop(pipe: *const Pipe) {
    unheard(|| drop(unsafe { PipeRef::from_raw(pipe) }));
}
