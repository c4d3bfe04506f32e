//! Headers of CAR files, which are DAG-CBOR.

use crate::{failure, id, wrong};
use serde::{Deserialize, Serialize};
use std::slice;
use ww_fence::{Failure, WwBytes, WwError, WwSlice, deliver};

pub const MAX_HEADER: usize = 64 << 10;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    // Not in the version that has another header behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roots: Option<Vec<id::Cid>>,
    version: u64,
}

/// The version, and the roots one after the other.
fn decode(bytes: &[u8]) -> Result<(u64, Vec<u8>), Failure> {
    if bytes.len() > MAX_HEADER {
        return wrong(format_args!("its header is larger than {MAX_HEADER} bytes"));
    }
    // What the decoder says is about its own types.
    let Ok(header) = serde_ipld_dagcbor::from_slice::<Header>(bytes) else {
        return wrong("its header is none of a CAR file, which has a version and roots");
    };
    match (header.version, header.roots) {
        (1, None) => wrong("its header has no roots"),
        (1, Some(roots)) => {
            let mut out = Vec::new();
            for root in roots {
                let root = root.to_bytes();
                id::read_all(&root).map_err(|e| failure(format_args!("a root: {}", e.text)))?;
                out.extend(root);
            }
            Ok((1, out))
        }
        (2, None) => Ok((2, Vec::new())),
        (version, _) => wrong(format_args!("its version is {version}, which is none")),
    }
}

fn encode(roots: &[WwSlice]) -> Result<Vec<u8>, Failure> {
    let roots: Result<_, _> = roots.iter().map(|root| id::read_all(root.bytes())).collect();
    let header = Header { roots: Some(roots?), version: 1 };
    serde_ipld_dagcbor::to_vec(&header).map_err(|e| failure(format_args!("{e}")))
}

/// # Safety
/// `version` and `roots` are written where the result is true; `error` is as in [`deliver`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_car_header_decode(
    header: WwSlice,
    version: *mut u64,
    roots: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let decoded = decode(header.bytes())?;
            version.write(decoded.0);
            roots.write(decoded.1.into());
            Ok(true)
        })
    }
}

/// # Safety
/// `roots` are `count`; `header` is written where the result is true; `error` is as in [`deliver`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_car_header_encode(
    roots: *const WwSlice,
    count: usize,
    header: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let roots = if count == 0 { &[] } else { slice::from_raw_parts(roots, count) };
            header.write(encode(roots)?.into());
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice_of(bytes: &[u8]) -> WwSlice {
        WwSlice { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let one = id::of(id::DAG_PB, b"1").to_bytes();
        let two = id::of(0x55, b"2").to_bytes();
        let header = encode(&[slice_of(&one), slice_of(&two)]).ok().unwrap();
        assert_eq!(decode(&header).ok().unwrap(), (1, [&one[..], &two].concat()));
        // As everybody writes it: `roots` first, whose keys are as long as they are.
        assert!(header.starts_with(&[0xa2, 0x65, b'r', b'o', b'o', b't', b's', 0x82, 0xd8, 42]));
        for end in 0..header.len() {
            assert!(decode(&header[..end]).is_err());
        }
        assert!(decode(&[&header[..], b"x"].concat()).is_err());
    }

    #[test]
    fn the_second_version_has_a_header_without_roots() {
        let pragma = [0xa1, 0x67, b'v', b'e', b'r', b's', b'i', b'o', b'n', 2];
        assert_eq!(decode(&pragma).ok().unwrap(), (2, Vec::new()));
        for version in [0, 1, 3, 23] {
            let mut other = pragma;
            other[9] = version;
            assert!(decode(&other).is_err());
        }
    }

    /// Damaged in every way, a header is refused or has roots that are content ids. None panics.
    #[test]
    fn damaged_headers_have_roots_or_are_refused() {
        let root = id::of(id::DAG_PB, b"1").to_bytes();
        let header = encode(&[slice_of(&root), slice_of(&root)]).ok().unwrap();
        for at in 0..header.len() {
            for byte in 0..=255 {
                let mut changed = header.clone();
                changed[at] = byte;
                let Ok((_, roots)) = decode(&changed) else { continue };
                let mut rest = &roots[..];
                while !rest.is_empty() {
                    rest = &rest[id::read(rest).unwrap().1..];
                }
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused_without_the_decoders_words() {
        for bytes in [&b""[..], b"<html>", b"\x01", b"\xa1\x67version\x61x", b"\xa1\x61a\x01"] {
            let Err(e) = decode(bytes) else { panic!("{bytes:?} is a header") };
            assert_eq!(e.text, "its header is none of a CAR file, which has a version and roots");
        }
    }

    #[test]
    fn nesting_and_counts_without_end_are_refused() {
        assert!(decode(&[0x81; MAX_HEADER]).is_err());
        let promised = [&[0xa2, 0x65][..], b"roots", &[0x9b], &[0xff; 8]].concat();
        assert!(decode(&promised).is_err());
        assert!(decode(&[0; MAX_HEADER + 1]).is_err_and(|e| e.text.contains("larger")));
    }
}
