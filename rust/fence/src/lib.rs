//! The boundary between this Rust and the C++ that calls it.
//!
//! * A panic never crosses: every `extern "C"` function that does any work runs it in [`guard`],
//!   which turns a panic into a value. Callbacks into C++ are `noexcept` there.
//! * Text and bytes that leave are a [`WwBytes`], owned by the receiver, given back with
//!   `ww_bytes_drop`.
//! * An error is a [`WwError`]: a kind that the caller may branch on, and text for a person.

use std::any::Any;
use std::cell::RefCell;
use std::fmt::{Display, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Bytes that the receiver owns. `capacity` is this side's business.
#[repr(C)]
pub struct WwBytes {
    pub ptr: *mut u8,
    pub len: usize,
    pub capacity: usize,
}

impl From<Vec<u8>> for WwBytes {
    fn from(bytes: Vec<u8>) -> Self {
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        WwBytes { ptr: bytes.as_mut_ptr(), len: bytes.len(), capacity: bytes.capacity() }
    }
}

/// # Safety
/// `bytes` came from this library and is given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_bytes_drop(bytes: WwBytes) {
    drop(unsafe { Vec::from_raw_parts(bytes.ptr, bytes.len, bytes.capacity) });
}

/// Borrowed bytes. `ptr` may be null where `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WwSlice {
    pub ptr: *const u8,
    pub len: usize,
}

impl WwSlice {
    pub fn bytes(&self) -> &[u8] {
        if self.len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(self.ptr, self.len) } }
    }

    pub fn text(&self) -> Result<String, Failure> {
        String::from_utf8(self.bytes().to_vec()).map_err(|e| Failure::new(ErrorKind::Other, e))
    }
}

/// What went wrong, for a caller that has to decide something.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The bytes are no component, or not a valid one.
    NotComponent = 1,
    /// A component that asks for what this host does not have, or lacks what it needs.
    NotLinkable = 2,
    /// The machine could not: out of memory, of mappings, of threads.
    Resources = 3,
    /// A bug on this side of the fence: a panic, caught.
    Panic = 4,
    Other = 5,
}

/// Filled in by a function that fails. `kind` is 0 where nothing failed.
#[repr(C)]
pub struct WwError {
    pub kind: u32,
    pub text: WwBytes,
}

#[derive(Debug)]
pub struct Failure {
    pub kind: ErrorKind,
    pub text: String,
}

impl Failure {
    pub fn new(kind: ErrorKind, text: impl Display) -> Self {
        Failure { kind, text: bounded(text) }
    }
}

/// What a person reads; a component chooses names in it, and so its length.
const MAX_TEXT_BYTES: usize = 16 << 10; // a whole backtrace fits

/// Takes no more than anybody reads: what writes to it stops then.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        let room = MAX_TEXT_BYTES - self.0.len();
        if piece.len() <= room {
            self.0.push_str(piece);
            return Ok(());
        }
        let end = (0..=room).rev().find(|&i| piece.is_char_boundary(i)).unwrap_or(0);
        self.0.push_str(&piece[..end]);
        Err(std::fmt::Error)
    }
}

/// `text`, cut if it is longer than anybody reads; the rest is never made.
pub fn bounded(text: impl Display) -> String {
    let mut out = Bounded(String::new());
    if write!(out, "{text}").is_err() {
        out.0.push_str(" […]");
    }
    out.0
}

thread_local!(static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) });

/// Makes panics quiet: their text and place reach the caller as a value instead of stderr.
fn keep_panic_texts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            LAST_PANIC.with(|last| {
                if let Ok(mut last) = last.try_borrow_mut() {
                    *last = Some(text);
                }
            });
        }));
    });
}

/// The text of a panic that `catch_unwind` gave back on this thread.
pub fn panic_text(payload: Box<dyn Any + Send>) -> String {
    // Dropping a payload may panic in its turn; forgetting it costs some bytes on a path that
    // only a bug takes.
    std::mem::forget(payload);
    LAST_PANIC
        .with(|last| last.take())
        .unwrap_or_else(|| "panicked".to_string())
        .replace('\n', ": ")
}

/// Runs `body`; a panic becomes a [`Failure`] of kind `Panic`.
pub fn guard<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    keep_panic_texts();
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|payload| Err(Failure::new(ErrorKind::Panic, panic_text(payload))))
}

/// What has nobody to report a panic to.
pub fn unheard(work: impl FnOnce()) {
    let _ = guard(|| {
        work();
        Ok(())
    });
}

/// [`guard`], with the outcome spread over a C function's result and its error parameter.
///
/// # Safety
/// `error` is null or points to a `WwError` that holds nothing.
pub unsafe fn deliver<T>(
    error: *mut WwError,
    otherwise: T,
    body: impl FnOnce() -> Result<T, Failure>,
) -> T {
    match guard(body) {
        Ok(value) => value,
        Err(failure) => {
            if !error.is_null() {
                let text = failure.text.into_bytes().into();
                unsafe { error.write(WwError { kind: failure.kind as u32, text }) };
            }
            otherwise
        }
    }
}

/// Panics behind the guard: lets the C++ side's test see that panics stop here.
///
/// # Safety
/// As [`deliver`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_fence_panic(error: *mut WwError) -> bool {
    unsafe { deliver(error, false, || panic!("a panic on purpose")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(bounded("short"), "short");
        for start in ["", "x", "xx"] {
            let cut = bounded(format!("{start}{}", "€".repeat(MAX_TEXT_BYTES)));
            assert!(cut.len() <= MAX_TEXT_BYTES + 8 && cut.ends_with("€ […]"));
        }
        assert!(Failure::new(ErrorKind::Other, "x".repeat(1 << 20)).text.len() < 20_000);
    }

    #[test]
    fn an_endless_text_is_not_made() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                loop {
                    f.write_str("std::pair<int, int>, ")?;
                }
            }
        }
        assert!(bounded(Endless).ends_with(" […]"));
    }

    #[test]
    fn a_panic_is_a_value() {
        let failure = guard::<()>(|| panic!("number {}", 7)).err().unwrap();
        assert_eq!(failure.kind, ErrorKind::Panic);
        assert!(failure.text.contains("number 7"), "{}", failure.text);
        assert!(guard(|| Ok(3)).is_ok_and(|n| n == 3));
    }
}
