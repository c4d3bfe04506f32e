//! What bytes are, and whether they are as they were.

use crate::{boxed, unheard};
use std::ptr;
use ww_fence::WwSlice;

/// BLAKE3.
///
/// # Safety
/// `hash` takes 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_hash(bytes: WwSlice, hash: *mut u8) {
    let digest = blake3::hash(bytes.bytes());
    unsafe { ptr::copy_nonoverlapping(digest.as_bytes().as_ptr(), hash, 32) };
}

/// XXH3-128: tells whether bytes are as they were, at a small part of the cost of `ww_hash`; holds
/// against accidents only.
///
/// # Safety
/// `sum` takes 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_checksum(bytes: WwSlice, sum: *mut u8) {
    let digest = twox_hash::XxHash3_128::oneshot(bytes.bytes()).to_be_bytes();
    unsafe { ptr::copy_nonoverlapping(digest.as_ptr(), sum, digest.len()) };
}

/// BLAKE3 of what comes piece by piece.
pub struct WwHasher(blake3::Hasher);

#[unsafe(no_mangle)]
pub extern "C" fn ww_hasher_new() -> *mut WwHasher {
    boxed(WwHasher(blake3::Hasher::new()))
}

/// # Safety
/// `hasher` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_hasher_add(hasher: *mut WwHasher, bytes: WwSlice) {
    unsafe { &mut *hasher }.0.update(bytes.bytes());
}

/// The hash of what was added; from here on it is as new.
///
/// # Safety
/// `hasher` lives; `hash` takes 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_hasher_take(hasher: *mut WwHasher, hash: *mut u8) {
    let hasher = unsafe { &mut (*hasher).0 };
    let digest = hasher.finalize();
    hasher.reset();
    unsafe { ptr::copy_nonoverlapping(digest.as_bytes().as_ptr(), hash, 32) };
}

/// # Safety
/// Given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_hasher_drop(hasher: *mut WwHasher) {
    unheard(|| drop(unsafe { Box::from_raw(hasher) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_hash_is_that_of_all_pieces() {
        let hasher = ww_hasher_new();
        let mut hash = [0; 32];
        for pieces in [&["a", "bc"][..], &["abc"][..], &["", "abc", ""][..]] {
            for piece in pieces {
                let slice = WwSlice { ptr: piece.as_ptr(), len: piece.len() };
                unsafe { ww_hasher_add(hasher, slice) };
            }
            unsafe { ww_hasher_take(hasher, hash.as_mut_ptr()) };
            assert_eq!(hash, *blake3::hash(b"abc").as_bytes());
        }
        unsafe { ww_hasher_drop(hasher) };
    }
}
