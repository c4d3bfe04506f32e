//! Content ids, by the `cid` crate: which ones are accepted, and whether a block has one.

use crate::{failure, wrong};
use cid::multibase;
use cid::multihash::Multihash;
use cid::{CidGeneric, Version};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use ww_fence::{Failure, WwBytes, WwError, WwSlice, deliver, guard};

/// That an identity hash may hold.
pub const MAX_IDENTITY: usize = 128;
/// Of the binary form: a version, a codec of ten bytes, a hash and its length of two each.
pub const MAX_BYTES: usize = 200;
/// Of the text: the largest in the most verbose base that anybody uses, hexadecimal.
const MAX_TEXT: usize = 2 * MAX_BYTES + 1;

pub const DAG_PB: u64 = 0x70;
const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const BLAKE3: u64 = 0x1e;

pub type Cid = CidGeneric<MAX_IDENTITY>;

/// One that a block can be checked against.
fn accepted(cid: Cid) -> Result<Cid, Failure> {
    let size = cid.hash().digest().len();
    match cid.hash().code() {
        SHA2_256 | BLAKE3 if size == 32 => Ok(cid),
        SHA2_256 | BLAKE3 => wrong(format_args!("its hash has {size} bytes, not 32")),
        IDENTITY => Ok(cid),
        other => wrong(format_args!(
            "its hash function 0x{other:x} is not known here: sha2-256, blake3 and identity are"
        )),
    }
}

/// The crate's words say what it read; these say what was wrong.
fn unreadable(error: cid::Error, length: usize) -> Failure {
    match error {
        cid::Error::ParsingError if length > MAX_IDENTITY => {
            failure(format_args!("its hash is longer than {MAX_IDENTITY} bytes, or cut short"))
        }
        other => failure(format_args!("{other}")),
    }
}

/// The one that `bytes` begin with, and its length.
pub fn read(bytes: &[u8]) -> Result<(Cid, usize), Failure> {
    let mut rest = &bytes[..bytes.len().min(MAX_BYTES)];
    let before = rest.len();
    let cid = Cid::read_bytes(&mut rest).map_err(|e| unreadable(e, bytes.len()))?;
    Ok((accepted(cid)?, before - rest.len()))
}

/// The one that `bytes` are.
pub fn read_all(bytes: &[u8]) -> Result<Cid, Failure> {
    let (cid, length) = read(bytes)?;
    match bytes.len() - length {
        0 => Ok(cid),
        more => wrong(format_args!("{more} bytes follow it")),
    }
}

pub fn parse(text: &str) -> Result<Cid, Failure> {
    if text.len() < 2 || text.len() > MAX_TEXT || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong(format_args!("a content id has 2 to {MAX_TEXT} characters of ASCII"));
    }
    let version_0 = Version::is_v0_str(text);
    let bytes = if version_0 {
        multibase::Base::Base58Btc.decode(text)
    } else {
        multibase::decode(text).map(|(_, bytes)| bytes)
    };
    let cid = read_all(&bytes.map_err(|e| failure(format_args!("{e}")))?)?;
    if cid.version() == Version::V0 && !version_0 {
        return wrong("version 0 has no base before it: it begins with Qm");
    }
    Ok(cid)
}

pub fn of(codec: u64, block: &[u8]) -> Cid {
    Cid::new_v1(codec, sha256(block))
}

fn wrap(code: u64, digest: &[u8; 32]) -> Multihash<MAX_IDENTITY> {
    Multihash::wrap(code, digest).expect("32 bytes fit")
}

fn sha256(block: &[u8]) -> Multihash<MAX_IDENTITY> {
    wrap(SHA2_256, &Sha256::digest(block).into())
}

pub fn is_of(cid: &Cid, block: &[u8]) -> bool {
    match cid.hash().code() {
        SHA2_256 => *cid.hash() == sha256(block),
        BLAKE3 => *cid.hash() == wrap(BLAKE3, blake3::hash(block).as_bytes()),
        IDENTITY => cid.hash().digest() == block,
        _ => false,
    }
}

/// That of a block, by what comes before the digest in its binary form: a version, a codec, a hash
/// function and its length. Version 0 is said too, as in messages of bitswap. None where such a
/// content id is none, and for identity, whose length is the block's own.
pub fn like(prefix: &[u8], block: &[u8]) -> Option<Cid> {
    const V0: [u8; 4] = [0, DAG_PB as u8, SHA2_256 as u8, 32];
    let tail = &prefix[prefix.len().checked_sub(2).filter(|before| *before >= 2)?..];
    let hash = match [u64::from(tail[0]), u64::from(tail[1])] {
        [SHA2_256, 32] => sha256(block),
        [BLAKE3, 32] => wrap(BLAKE3, blake3::hash(block).as_bytes()),
        _ => return None,
    };
    let prefix = if prefix == V0 { tail } else { prefix };
    read_all(&[prefix, hash.digest()].concat()).ok()
}

/// A content id in its binary form, for the other side.
#[repr(C)]
pub struct WwCid {
    pub codec: u64,
    pub length: usize,
    pub identity: usize, // bytes at its end that are the block itself
    pub is_identity: bool,
    pub bytes: [u8; MAX_BYTES],
}

impl From<&Cid> for WwCid {
    fn from(cid: &Cid) -> Self {
        let encoded = cid.to_bytes();
        let mut bytes = [0; MAX_BYTES];
        bytes[..encoded.len()].copy_from_slice(&encoded);
        let is_identity = cid.hash().code() == IDENTITY;
        let identity = if is_identity { cid.hash().digest().len() } else { 0 };
        WwCid { codec: cid.codec(), length: encoded.len(), identity, is_identity, bytes }
    }
}

/// # Safety
/// `out` is written where the result is true; `error` is as in [`deliver`].
unsafe fn give(
    out: *mut WwCid,
    error: *mut WwError,
    body: impl FnOnce() -> Result<Cid, Failure>,
) -> bool {
    unsafe {
        deliver(error, false, || {
            out.write((&body()?).into());
            Ok(true)
        })
    }
}

/// # Safety
/// As [`give`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cid_parse(text: WwSlice, out: *mut WwCid, error: *mut WwError) -> bool {
    unsafe {
        give(out, error, || {
            let text = std::str::from_utf8(text.bytes());
            parse(text.map_err(|_| failure("a content id is ASCII"))?)
        })
    }
}

/// The one that `bytes` begin with.
///
/// # Safety
/// As [`give`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cid_read(bytes: WwSlice, out: *mut WwCid, error: *mut WwError) -> bool {
    unsafe { give(out, error, || read(bytes.bytes()).map(|(cid, _)| cid)) }
}

/// # Safety
/// `out` is written where the result is true.
unsafe fn find(out: *mut WwCid, body: impl FnOnce() -> Option<Cid>) -> bool {
    let found = guard(|| Ok(body().as_ref().map(WwCid::from)));
    let Ok(Some(cid)) = found else { return false };
    unsafe { out.write(cid) };
    true
}

/// The one that `bytes` are, if they are one that is accepted. Says no more: it is for those of
/// whom there are many.
///
/// # Safety
/// As [`find`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cid_find(bytes: WwSlice, out: *mut WwCid) -> bool {
    unsafe { find(out, || read_all(bytes.bytes()).ok()) }
}

/// As [`like`].
///
/// # Safety
/// As [`find`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cid_like(prefix: WwSlice, block: WwSlice, out: *mut WwCid) -> bool {
    unsafe { find(out, || like(prefix.bytes(), block.bytes())) }
}

/// That of a block, by sha2-256.
///
/// # Safety
/// As [`give`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cid_of(
    codec: u64,
    block: WwSlice,
    out: *mut WwCid,
    error: *mut WwError,
) -> bool {
    unsafe { give(out, error, || Ok(of(codec, block.bytes()))) }
}

/// # Safety
/// `error` is as in [`deliver`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_cid_text(
    cid: WwSlice,
    text: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let cid = read_all(cid.bytes())?;
            let mut out = String::with_capacity(64);
            write!(out, "{cid}").map_err(|e| failure(format_args!("{e}")))?;
            text.write(out.into_bytes().into());
            Ok(true)
        })
    }
}

/// Whether `cid` is that of `block`. No where it is none.
#[unsafe(no_mangle)]
pub extern "C" fn ww_cid_is_of(cid: WwSlice, block: WwSlice) -> bool {
    guard(|| Ok(is_of(&read_all(cid.bytes())?, block.bytes()))).unwrap_or(false)
}

/// `text` as it is where upper case and lower case are one.
///
/// # Safety
/// `folded` is written where the result is true; `error` is as in [`deliver`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_fold_case(
    text: WwSlice,
    folded: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let text = text.text()?;
            // Lower first: of U+1E9E, a large sharp s, the upper case is itself, and not SS.
            let folded_text = text.to_lowercase().to_uppercase().to_lowercase();
            folded.write(folded_text.into_bytes().into());
            Ok(true)
        })
    }
}

/// The first 64 bits of MurmurHash3's x64 form of 128: what a HAMT of UnixFS places names by.
#[unsafe(no_mangle)]
pub extern "C" fn ww_murmur3(bytes: WwSlice) -> u64 {
    guard(|| {
        let hash = murmur3::murmur3_x64_128(&mut bytes.bytes(), 0);
        Ok(hash.map_err(|e| failure(format_args!("{e}")))? as u64)
    })
    .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: &str = "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n";
    const V1: &str = "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    #[test]
    fn texts_are_those_of_other_programs() {
        // The empty directory, as everybody has it.
        let v0 = parse("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn").unwrap();
        let v1 = parse("bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354").unwrap();
        assert_eq!(v0.hash(), v1.hash());
        assert!(is_of(&v0, &[0x0a, 2, 8, 1]) && is_of(&v1, &[0x0a, 2, 8, 1]));
        assert_eq!(v1, of(DAG_PB, &[0x0a, 2, 8, 1]));
        for text in [V0, V1] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        // Another base is the same content id.
        let upper = V1.to_uppercase();
        assert_eq!(parse(&upper).unwrap(), parse(V1).unwrap());
        let base36 = parse(V1).unwrap().to_string_of_base(multibase::Base::Base36Lower).unwrap();
        assert_eq!(parse(&base36).unwrap(), parse(V1).unwrap());
    }

    #[test]
    fn what_is_none_is_refused() {
        let why = |text: &str| parse(text).err().unwrap().text;
        for text in ["", "Q", "hello world", "bafy", "/ipfs/x", "\0\0", "b", "Qm", "zQm", "é1"] {
            assert!(!why(text).is_empty());
        }
        assert!(why(&format!("z{V0}")).contains("version 0"));
        assert!(why(&format!("b{}", "a".repeat(500))).contains("characters"));
        // sha2-512, and a sha2-256 that is cut.
        let wide = Multihash::<MAX_IDENTITY>::wrap(0x13, &[7; 64]).unwrap();
        assert!(why(&Cid::new_v1(DAG_PB, wide).to_string()).contains("0x13"));
        let cut = Multihash::<MAX_IDENTITY>::wrap(SHA2_256, &[7; 20]).unwrap();
        assert!(why(&Cid::new_v1(DAG_PB, cut).to_string()).contains("20 bytes"));
        let bytes = parse(V1).unwrap().to_bytes();
        assert!(read_all(&[&bytes[..], b"x"].concat()).is_err_and(|e| e.text.contains("follow")));
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn an_identity_is_no_larger_than_it_may_be() {
        let most = [&[1, 0x55, 0, 0x80, 1][..], &[b'x'; MAX_IDENTITY]].concat();
        let cid = read_all(&most).unwrap();
        assert!(is_of(&cid, &[b'x'; MAX_IDENTITY]) && !is_of(&cid, b"x"));
        assert_eq!(parse(&cid.to_string()).unwrap(), cid);
        let one_more = [&[1, 0x55, 0, 0x81, 1][..], &[b'x'; MAX_IDENTITY + 1]].concat();
        assert!(read_all(&one_more).is_err());
        // A length of 2^30, of which nothing follows.
        assert!(read(&[1, 0x55, 0, 0x80, 0x80, 0x80, 0x80, 4]).is_err());
    }

    /// One byte changed, it is another content id or none, and is written as it was read.
    #[test]
    fn damaged_ones_are_others_or_none() {
        for text in [V0, V1] {
            let bytes = parse(text).unwrap().to_bytes();
            for at in 0..bytes.len() {
                for byte in 0..=255 {
                    let mut changed = bytes.clone();
                    changed[at] = byte;
                    let Ok(cid) = read_all(&changed) else { continue };
                    assert_eq!(cid.to_bytes(), changed);
                    assert_eq!(parse(&cid.to_string()).unwrap(), cid);
                }
            }
        }
    }

    #[test]
    fn each_hash_is_checked() {
        for (code, digest) in [
            (SHA2_256, Sha256::digest(b"block").into()),
            (BLAKE3, *blake3::hash(b"block").as_bytes()),
        ] {
            let cid = Cid::new_v1(0x55, wrap(code, &digest));
            assert!(is_of(&cid, b"block") && !is_of(&cid, b"blocK") && !is_of(&cid, b""));
        }
    }

    #[test]
    fn a_block_has_the_content_id_that_its_prefix_says() {
        let prefix = |code| [1, 0x55, code, 32];
        for code in [SHA2_256 as u8, BLAKE3 as u8] {
            let cid = like(&prefix(code), b"block").unwrap();
            assert!(is_of(&cid, b"block"));
            assert_eq!(cid.to_bytes()[..4], prefix(code));
        }
        let v0 = like(&[0, 0x70, 0x12, 32], b"block").unwrap();
        assert!(v0.version() == Version::V0 && is_of(&v0, b"block"));
        for none in [
            &[][..],
            &[32],
            &[0x12, 32],
            &[0, 0x55, 0x12, 32],
            &[2, 0x55, 0x12, 32],
            &[1, 0x55, 0x12, 20],
            &[1, 0x55, 0x13, 32],
            &[1, 0x55, 0, 5],
            &[1, 0x55, 0x55, 0x12, 32],
        ] {
            assert!(like(none, b"block").is_none(), "{none:?}");
        }
    }

    #[test]
    fn murmur3_is_as_in_its_reference() {
        let hash = |text: &str| ww_murmur3(WwSlice { ptr: text.as_ptr(), len: text.len() });
        assert_eq!(hash(""), 0);
        assert_eq!(hash("hello"), 0xcbd8a7b341bd9b02);
        assert_eq!(hash("hello, world"), 0x342fac623a5ebc8e);
        assert_eq!(hash("19 Jan 2038 at 3:14:07 AM"), 0xb89e5988b737affc);
        assert_eq!(hash("The quick brown fox jumps over the lazy dog."), 0xcd99481f9ee902c9);
    }
}
