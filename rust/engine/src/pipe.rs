//! Bounded byte queues between a guest and the foreign loop, one direction each, on one thread.
//!
//! The engine demands `Send` of a guest's side, so the state sits behind a mutex. All but
//! [`Pipe::total`] is for the loop's thread, so that nobody waits there but for one that counts.
//! No lock is held while a waker or a foreign hook runs.

use crate::{WwHooks, WwSlice};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

pub use counted::PipeRef;

/// Writes below this are gathered, so that a queue holds few chunks however small its writes are.
const SMALL: usize = 8 << 10;

#[derive(Default)]
struct Inner {
    // Guest to host: what the guest wrote, the last small writes gathered.
    chunks: VecDeque<Chunk>,
    gathered: Vec<u8>,
    // Host to guest: one contiguous buffer, handed over whole to a guest that asks for enough.
    linear: Vec<u8>,
    linear_pos: usize,
    len: usize,
    write_closed: bool,
    read_closed: bool,
    permit: usize,  // what the guest was last told that it may write
    discards: bool, // what does not fit is dropped, and counted
    discarded: u64,
    total: u64,           // bytes that were ever put in, the dropped ones too
    wanted: bool,         // the guest has looked for what was not there
    guest: Option<Waker>, // the guest waits
    host: Option<HostEnd>,
    host_waits: bool, // the last host operation fell short
}

/// Of which the host has read the first `at` bytes.
struct Chunk {
    bytes: Vec<u8>,
    at: usize,
}

/// As large as a pipe is by default, and so as the writes of one that fills it. The allocator is
/// slow with blocks of this size: a few stay with the thread.
const BLOCK: usize = 64 << 10;
const MOST_SPARE: usize = 8;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_block() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(BLOCK))
}

impl Chunk {
    fn copy_of(bytes: &[u8]) -> Self {
        let block = bytes.len() > BLOCK / 2 && bytes.len() <= BLOCK;
        let mut copy = if block { take_block() } else { Vec::with_capacity(bytes.len()) };
        copy.extend_from_slice(bytes);
        Chunk { bytes: copy, at: 0 }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.bytes.capacity() != BLOCK {
            return;
        }
        let mut block = std::mem::take(&mut self.bytes);
        // A thread that ends may have none any more.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                block.clear();
                spare.push(block);
            }
        });
    }
}

#[derive(Clone, Copy)]
struct HostEnd(*mut c_void);

// Passed to the hook on the owning thread only.
unsafe impl Send for HostEnd {}

/// What is to be done once the lock is released.
#[derive(Default)]
struct Wakes {
    guest: Option<Waker>,
    host: Option<HostEnd>,
}

pub struct Pipe {
    inner: Mutex<Inner>,
    capacity: usize,
    hooks: WwHooks,
}

/// What a read or a write that does not wait came to.
pub enum Moved {
    Bytes(usize),
    Closed,
}

impl Pipe {
    pub fn new(capacity: usize, hooks: WwHooks) -> Self {
        Pipe { inner: Mutex::new(Inner::default()), capacity, hooks }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` under the lock, then wakes whom it names.
    fn change<R>(&self, change: impl FnOnce(&mut Inner, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let result = change(&mut self.lock(), &mut wakes);
        if let Some(waker) = wakes.guest {
            waker.wake();
        }
        if let Some(HostEnd(end)) = wakes.host {
            (self.hooks.pipe_event)(end);
        }
        result
    }

    // ---- the host's end

    /// Whom to tell; null for nobody.
    pub fn set_host(&self, end: *mut c_void) {
        self.lock().host = if end.is_null() { None } else { Some(HostEnd(end)) };
    }

    /// How many bytes are there. `Bytes(0)`: none now; the hook will fire.
    pub fn host_readable(&self) -> Moved {
        let mut i = self.lock();
        i.host_waits = i.len == 0 && !i.write_closed;
        if i.len == 0 && i.write_closed { Moved::Closed } else { Moved::Bytes(i.len) }
    }

    /// `Bytes(0)`: nothing there now; the hook will fire.
    pub fn host_read(&self, to: &mut [u8]) -> Moved {
        self.change(|i, wakes| {
            let mut n = 0;
            while n < to.len() {
                let Some(front) = i.front_chunk() else { break };
                let rest = front.rest();
                let k = rest.len().min(to.len() - n);
                to[n..n + k].copy_from_slice(&rest[..k]);
                n += k;
                if k == rest.len() {
                    i.chunks.pop_front();
                } else {
                    front.at += k;
                }
            }
            if n == 0 && i.write_closed {
                return Moved::Closed;
            }
            i.host_waits = n == 0;
            let was_full = i.len >= self.capacity;
            i.len -= n;
            if was_full && i.len < self.capacity {
                wakes.guest = i.guest.take();
            }
            Moved::Bytes(n)
        })
    }

    /// Fewer than offered: full; the hook will fire.
    pub fn host_write(&self, pieces: &[WwSlice]) -> Moved {
        self.change(|i, wakes| {
            if i.read_closed || i.write_closed {
                return Moved::Closed;
            }
            let total: usize = pieces.iter().map(|piece| piece.len).sum();
            let room = self.capacity.saturating_sub(i.len).min(total);
            if i.linear_pos > i.linear.len() / 2 {
                // Else a guest that never quite drains it makes this grow.
                i.linear.drain(..i.linear_pos);
                i.linear_pos = 0;
            }
            i.linear.reserve(room);
            let mut left = room;
            for piece in pieces {
                let k = piece.len.min(left);
                i.linear.extend_from_slice(&piece.bytes()[..k]);
                left -= k;
            }
            i.len += room;
            i.total += room as u64;
            i.host_waits = room < total;
            if room > 0 {
                wakes.guest = i.guest.take();
            }
            Moved::Bytes(room)
        })
    }

    pub fn close_write(&self) {
        self.change(|i, wakes| {
            i.write_closed = true;
            wakes.guest = i.guest.take();
            wakes.host = i.waiting_host();
        })
    }

    /// Nobody will read any more; what is in the pipe is gone.
    pub fn close_read(&self) {
        self.change(|i, wakes| {
            i.read_closed = true;
            i.drop_content();
            // Always of concern to a host that writes.
            i.host_waits |= i.host.is_some();
            wakes.guest = i.guest.take();
            wakes.host = i.waiting_host();
        })
    }

    pub fn is_read_closed(&self) -> bool {
        self.lock().read_closed
    }

    pub fn is_wanted(&self) -> bool {
        self.lock().wanted
    }

    /// While set, what does not fit is dropped instead of waited for.
    pub fn set_discards(&self, discards: bool) {
        self.change(|i, wakes| {
            i.discards = discards;
            if discards {
                wakes.guest = i.guest.take();
            }
        })
    }

    /// Bytes dropped so far for want of a reader.
    pub fn discarded(&self) -> u64 {
        self.lock().discarded
    }

    pub fn total(&self) -> u64 {
        self.lock().total
    }

    // ---- the guest's end

    /// Is there something to read, or the end? Else `waker` is kept.
    pub fn poll_readable(&self, waker: &Waker) -> bool {
        self.change(|i, wakes| {
            let ready = i.len > 0 || i.write_closed || i.read_closed;
            if !ready {
                i.park(waker);
                i.want(wakes);
            }
            ready
        })
    }

    /// Is there room to write, or no reader any more? Else `waker` is kept.
    pub fn poll_writable(&self, waker: &Waker) -> bool {
        let mut i = self.lock();
        let ready = i.len < self.capacity || i.discards || i.read_closed || i.write_closed;
        if !ready {
            i.park(waker);
        }
        ready
    }

    /// At most `size` bytes, none if there are none; `None` at the end.
    pub fn guest_read(&self, size: usize) -> Option<Vec<u8>> {
        self.change(|i, wakes| {
            if i.read_closed || (i.len == 0 && i.write_closed) {
                return None;
            }
            let n = size.min(i.len);
            if n == 0 {
                i.want(wakes);
                return Some(Vec::new());
            }
            let bytes = if n == i.len && i.linear_pos == 0 {
                std::mem::take(&mut i.linear)
            } else {
                let bytes = i.linear[i.linear_pos..i.linear_pos + n].to_vec();
                i.linear_pos += n;
                if i.linear_pos == i.linear.len() {
                    i.linear.clear();
                    i.linear_pos = 0;
                }
                bytes
            };
            i.len -= n;
            wakes.host = i.waiting_host();
            Some(bytes)
        })
    }

    /// How many bytes a write may hold now; `None` when nobody reads.
    pub fn guest_room(&self) -> Option<usize> {
        let mut i = self.lock();
        if i.read_closed || i.write_closed {
            return None;
        }
        i.permit = if i.discards { self.capacity } else { self.capacity.saturating_sub(i.len) };
        Some(i.permit)
    }

    /// Writes what `guest_room` allowed; `Err` says that it was more.
    pub fn guest_write(&self, bytes: &[u8]) -> Result<Moved, ()> {
        self.change(|i, wakes| {
            if i.read_closed || i.write_closed {
                return Ok(Moved::Closed);
            }
            let size = bytes.len();
            let permit = std::mem::take(&mut i.permit);
            let mut room = self.capacity.saturating_sub(i.len);
            if !i.discards {
                // A permit holds although what there was room for is no longer dropped.
                room = room.max(permit);
            }
            let taken = size.min(room);
            if taken < size {
                if !i.discards || size > self.capacity {
                    return Err(());
                }
                i.discarded += (size - taken) as u64;
                i.total += (size - taken) as u64;
            }
            if taken > 0 {
                i.push(&bytes[..taken]);
                wakes.host = i.waiting_host();
            }
            Ok(Moved::Bytes(size))
        })
    }
}

impl Inner {
    fn waiting_host(&mut self) -> Option<HostEnd> {
        if std::mem::take(&mut self.host_waits) { self.host } else { None }
    }

    /// Tells the host once, whether it waits or not.
    fn want(&mut self, wakes: &mut Wakes) {
        if !std::mem::replace(&mut self.wanted, true) {
            wakes.host = self.host;
        }
    }

    fn park(&mut self, waker: &Waker) {
        match &self.guest {
            Some(old) if old.will_wake(waker) => {}
            _ => self.guest = Some(waker.clone()),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        self.total += bytes.len() as u64;
        if bytes.len() < SMALL {
            self.gather(bytes);
        } else {
            self.close_gathered();
            self.chunks.push_back(Chunk::copy_of(bytes));
        }
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > BLOCK {
            self.close_gathered();
        }
        let size = self.gathered.len() + bytes.len();
        if size > self.gathered.capacity() && size > BLOCK / 4 {
            let mut block = take_block();
            block.extend_from_slice(&self.gathered);
            self.gathered = block;
        }
        self.gathered.extend_from_slice(bytes);
    }

    fn close_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.chunks.push_back(Chunk { bytes: std::mem::take(&mut self.gathered), at: 0 });
        }
    }

    fn front_chunk(&mut self) -> Option<&mut Chunk> {
        if self.chunks.is_empty() {
            self.close_gathered();
        }
        self.chunks.front_mut()
    }

    fn drop_content(&mut self) {
        self.chunks.clear();
        self.gathered = Vec::new();
        self.linear = Vec::new();
        self.linear_pos = 0;
        self.len = 0;
    }
}

mod counted;
#[cfg(test)]
mod tests;
