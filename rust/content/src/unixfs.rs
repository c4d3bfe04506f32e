//! The message that a block of dag-pb holds: what of a file or a directory it is.
//!
//! No crate for it is kept, so that it is ours, upon quick-protobuf's reader and writer.

use crate::node::{MAX_LINKS, truncated};
use crate::{failure, wrong};
use quick_protobuf::{BytesReader, Writer};
use std::borrow::Cow;
use ww_fence::Failure;

/// What is not there is `None`, as in the message.
#[derive(Default, PartialEq, Debug)]
pub struct Data<'a> {
    pub kind: u32,
    pub bytes: Option<&'a [u8]>,
    pub file_size: Option<u64>,
    pub block_sizes: Cow<'a, [u64]>,
    pub hash_type: Option<u64>,
    pub fanout: Option<u64>,
    pub mode: Option<u32>,
}

// Fields' numbers with their wire types.
const TYPE: u32 = 1 << 3;
const BYTES: u32 = 2 << 3 | 2;
const FILE_SIZE: u32 = 3 << 3;
const BLOCK_SIZE: u32 = 4 << 3;
const BLOCK_SIZES_PACKED: u32 = 4 << 3 | 2;
const HASH_TYPE: u32 = 5 << 3;
const FANOUT: u32 = 6 << 3;
const MODE: u32 = 7 << 3;

pub fn decode(bytes: &[u8]) -> Result<Data<'_>, Failure> {
    let mut data = Data::default();
    let mut kind = None;
    let mut sizes = Vec::new();
    let mut r = BytesReader::from_bytes(bytes);
    while !r.is_eof() {
        match r.next_tag(bytes).map_err(truncated)? {
            TYPE => kind = Some(r.read_uint64(bytes).map_err(truncated)?),
            BYTES => data.bytes = Some(r.read_bytes(bytes).map_err(truncated)?),
            FILE_SIZE => data.file_size = Some(r.read_uint64(bytes).map_err(truncated)?),
            BLOCK_SIZE => push(&mut sizes, r.read_uint64(bytes).map_err(truncated)?)?,
            BLOCK_SIZES_PACKED => {
                let packed = r.read_bytes(bytes).map_err(truncated)?;
                let mut inner = BytesReader::from_bytes(packed);
                while !inner.is_eof() {
                    push(&mut sizes, inner.read_uint64(packed).map_err(truncated)?)?;
                }
            }
            HASH_TYPE => data.hash_type = Some(r.read_uint64(bytes).map_err(truncated)?),
            FANOUT => data.fanout = Some(r.read_uint64(bytes).map_err(truncated)?),
            MODE => data.mode = Some(r.read_uint32(bytes).map_err(truncated)?),
            tag => r.read_unknown(bytes, tag).map_err(truncated)?, // times, and what is to come
        }
    }
    data.kind = match kind {
        Some(kind @ 0..=5) => kind as u32,
        Some(kind) => return wrong(format_args!("UnixFS has no type {kind}")),
        None => return wrong("its UnixFS message has no type"),
    };
    data.block_sizes = sizes.into();
    Ok(data)
}

fn push(sizes: &mut Vec<u64>, size: u64) -> Result<(), Failure> {
    if sizes.len() == MAX_LINKS {
        return wrong(format_args!("it has more than {MAX_LINKS} block sizes"));
    }
    sizes.push(size);
    Ok(())
}

/// In the order of the fields' numbers, as everybody writes it: one node has one content id.
pub fn encode(data: &Data) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out), data).map_err(|e| failure(format_args!("{e}")))?;
    Ok(out)
}

fn write(w: &mut Writer<&mut Vec<u8>>, data: &Data) -> quick_protobuf::Result<()> {
    w.write_with_tag(TYPE, |w| w.write_uint32(data.kind))?;
    if let Some(bytes) = data.bytes {
        w.write_with_tag(BYTES, |w| w.write_bytes(bytes))?;
    }
    if let Some(size) = data.file_size {
        w.write_with_tag(FILE_SIZE, |w| w.write_uint64(size))?;
    }
    for &size in data.block_sizes.iter() {
        w.write_with_tag(BLOCK_SIZE, |w| w.write_uint64(size))?;
    }
    if let Some(hash_type) = data.hash_type {
        w.write_with_tag(HASH_TYPE, |w| w.write_uint64(hash_type))?;
    }
    if let Some(fanout) = data.fanout {
        w.write_with_tag(FANOUT, |w| w.write_uint64(fanout))?;
    }
    if let Some(mode) = data.mode {
        w.write_with_tag(MODE, |w| w.write_uint32(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: u32 = 2;

    #[test]
    fn what_was_encoded_is_decoded() {
        let data = Data {
            kind: FILE,
            bytes: Some(b"inline"),
            file_size: Some(1 << 40),
            block_sizes: vec![6, 300, u64::MAX].into(),
            hash_type: Some(0x22),
            fanout: Some(256),
            mode: Some(0o755),
        };
        let bytes = encode(&data).unwrap();
        assert_eq!(decode(&bytes).unwrap(), data);
        for end in 0..bytes.len() {
            if let Ok(part) = decode(&bytes[..end]) {
                assert_ne!(part, data);
            }
        }
        assert_eq!(decode(&encode(&Data::default()).unwrap()).unwrap(), Data::default());
    }

    #[test]
    fn sizes_may_be_packed_and_fields_unknown() {
        let packed = [8, 2, 0x22, 3, 1, 0x80, 1, 0x42, 2, 8, 1, 0x7a, 1, b'?'];
        assert_eq!(*decode(&packed).unwrap().block_sizes, [1, 128]);
    }

    #[test]
    fn what_is_none_is_refused() {
        let why = |bytes: &[u8]| decode(bytes).err().unwrap().text;
        assert!(why(&[]).contains("no type"));
        assert!(why(&[8, 6]).contains("no type 6"));
        assert!(why(&[8]).contains("cut short"));
        assert!(why(&[8, 2, 0x12, 9, 1]).contains("cut short"));
        assert!(why(&[8, 2, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).contains("cut short"));
        assert!(why(&[8, 2, 0x7b]).contains("cut short")); // a group
        let many = [&[8, 2][..], &[0x20, 1].repeat(MAX_LINKS + 1)].concat();
        assert!(why(&many).contains("block sizes"));
    }
}
