//! What bytes are, and whether they are as they were.

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
