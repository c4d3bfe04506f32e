//! A block of dag-pb that UnixFS is in, as one flat value: its bytes stay where the block is.
//!
//! Read with quick-protobuf's reader, since `ipld-dagpb` takes any number of links, each at ten
//! times the bytes that it has in the block, and no identity of more than 64 bytes; written with
//! `ipld-dagpb`, against which the reading is tested.

use crate::unixfs::{self, Data};
use crate::{failure, id, wrong};
use ipld_dagpb::{PbLink, PbNode};
use quick_protobuf::BytesReader;
use std::{mem, ptr, slice};
use ww_fence::{Failure, WwBytes, WwError, WwSlice, deliver, unheard};

/// More than fit into a block where each has a hash and a name.
pub const MAX_LINKS: usize = 1 << 16;

pub fn truncated(error: quick_protobuf::Error) -> Failure {
    match error {
        quick_protobuf::Error::Utf8(_) => failure("it has text that is not UTF-8"),
        _ => failure("it is cut short, or no protobuf"),
    }
}

/// `name` is text.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WwLink {
    pub name: WwSlice,
    pub cid: WwSlice,
    pub size: u64,
}

pub const HAS_DATA: u32 = 1;
pub const HAS_FILE_SIZE: u32 = 2;
pub const HAS_HASH_TYPE: u32 = 4;
pub const HAS_FANOUT: u32 = 8;
pub const HAS_MODE: u32 = 16;

/// `has` says which of the fields are there. Slices are of the block that was decoded.
#[repr(C)]
pub struct WwNode {
    pub kind: u32,
    pub has: u32,
    pub data: WwSlice,
    pub file_size: u64,
    pub hash_type: u64,
    pub fanout: u64,
    pub mode: u32,
    pub block_sizes: *const u64,
    pub block_size_count: usize,
    pub links: *const WwLink,
    pub link_count: usize,
}

fn lend(bytes: &[u8]) -> WwSlice {
    WwSlice { ptr: bytes.as_ptr(), len: bytes.len() }
}

struct Link<'a> {
    name: &'a str,
    cid: &'a [u8],
    size: u64,
}

/// The fields of a message, each at most once.
fn set<T>(field: &mut Option<T>, value: T, what: &str) -> Result<(), Failure> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => wrong(format_args!("it has two {what}")),
    }
}

fn decode_link(bytes: &[u8]) -> Result<Link<'_>, Failure> {
    let (mut cid, mut name, mut size) = (None, None, None);
    let mut r = BytesReader::from_bytes(bytes);
    while !r.is_eof() {
        match r.next_tag(bytes).map_err(truncated)? {
            10 => set(&mut cid, r.read_bytes(bytes).map_err(truncated)?, "hashes")?,
            18 => set(&mut name, r.read_bytes(bytes).map_err(truncated)?, "names")?,
            24 => set(&mut size, r.read_uint64(bytes).map_err(truncated)?, "sizes")?,
            tag => return wrong(format_args!("it has a field 0x{tag:x}")),
        }
    }
    let name = std::str::from_utf8(name.unwrap_or(&[]))
        .map_err(|e| failure(format_args!("its name is not UTF-8: {e}")))?;
    let cid = cid.ok_or_else(|| failure("it has no hash"))?;
    id::read_all(cid).map_err(|e| failure(format_args!("its content id: {}", e.text)))?;
    Ok(Link { name, cid, size: size.unwrap_or(0) })
}

/// The parts of dag-pb. Data and links come in either order; links are not apart.
fn decode_pb(block: &[u8]) -> Result<(Option<&[u8]>, Vec<Link<'_>>), Failure> {
    let mut data = None;
    let mut links: Vec<Link> = Vec::new();
    let mut links_are_over = false;
    let mut r = BytesReader::from_bytes(block);
    while !r.is_eof() {
        match r.next_tag(block).map_err(truncated)? {
            10 => {
                set(&mut data, r.read_bytes(block).map_err(truncated)?, "fields of data")?;
                links_are_over = !links.is_empty();
            }
            18 if links_are_over => return wrong("its links are apart"),
            18 if links.len() == MAX_LINKS => {
                return wrong(format_args!("it has more than {MAX_LINKS} links"));
            }
            18 => {
                let link = decode_link(r.read_bytes(block).map_err(truncated)?);
                let count = links.len();
                let named = |e: Failure| failure(format_args!("link {count}: {}", e.text));
                links.push(link.map_err(named)?);
            }
            tag => return wrong(format_args!("dag-pb has no field 0x{tag:x}")),
        }
    }
    Ok((data, links))
}

/// Given back with [`ww_node_drop`].
fn decode(block: &[u8]) -> Result<WwNode, Failure> {
    let (data, links) = decode_pb(block)?;
    let data = unixfs::decode(data.ok_or_else(|| failure("it has no UnixFS message"))?)?;
    let links: Box<[WwLink]> = links
        .iter()
        .map(|l| WwLink { name: lend(l.name.as_bytes()), cid: lend(l.cid), size: l.size })
        .collect();
    let sizes: Box<[u64]> = data.block_sizes.into();
    let (link_count, block_size_count) = (links.len(), sizes.len());
    let flag = |there: bool, flag: u32| if there { flag } else { 0 };
    Ok(WwNode {
        kind: data.kind,
        has: flag(data.bytes.is_some(), HAS_DATA)
            | flag(data.file_size.is_some(), HAS_FILE_SIZE)
            | flag(data.hash_type.is_some(), HAS_HASH_TYPE)
            | flag(data.fanout.is_some(), HAS_FANOUT)
            | flag(data.mode.is_some(), HAS_MODE),
        data: lend(data.bytes.unwrap_or(&[])),
        file_size: data.file_size.unwrap_or(0),
        hash_type: data.hash_type.unwrap_or(0),
        fanout: data.fanout.unwrap_or(0),
        mode: data.mode.unwrap_or(0),
        block_sizes: Box::into_raw(sizes) as *const u64,
        block_size_count,
        links: Box::into_raw(links) as *const WwLink,
        link_count,
    })
}

/// # Safety
/// `from` points to `count` values, or `count` is 0.
unsafe fn borrow<'a, T>(from: *const T, count: usize) -> &'a [T] {
    if count == 0 { &[] } else { unsafe { slice::from_raw_parts(from, count) } }
}

fn pb_link(link: &WwLink) -> Result<PbLink, Failure> {
    let cid = id::read_all(link.cid.bytes())?;
    let hash = cid.hash().resize().map_err(|e| failure(format_args!("{e}")))?;
    let cid = ipld_core::cid::Cid::new(cid.version(), cid.codec(), hash);
    Ok(PbLink {
        cid: cid.map_err(|e| failure(format_args!("{e}")))?,
        name: Some(link.name.text()?),
        size: Some(link.size),
    })
}

/// # Safety
/// The pointers of `node` are those of as many values as it says.
unsafe fn encode(node: &WwNode) -> Result<Vec<u8>, Failure> {
    let has = |flag: u32| node.has & flag != 0;
    let data = Data {
        kind: node.kind,
        bytes: has(HAS_DATA).then(|| node.data.bytes()),
        file_size: has(HAS_FILE_SIZE).then_some(node.file_size),
        block_sizes: unsafe { borrow(node.block_sizes, node.block_size_count) }.into(),
        hash_type: has(HAS_HASH_TYPE).then_some(node.hash_type),
        fanout: has(HAS_FANOUT).then_some(node.fanout),
        mode: has(HAS_MODE).then_some(node.mode),
    };
    let links: Result<_, _> =
        unsafe { borrow(node.links, node.link_count) }.iter().map(pb_link).collect();
    let data = Some(unixfs::encode(&data)?.into());
    Ok(PbNode { links: links?, data }.into_bytes())
}

/// # Safety
/// `node` is written where the result is true, borrows from `block`, and is given back with
/// [`ww_node_drop`]; `error` is as in [`deliver`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_node_decode(
    block: WwSlice,
    node: *mut WwNode,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            node.write(decode(block.bytes())?);
            Ok(true)
        })
    }
}

/// # Safety
/// `node` came from [`ww_node_decode`] and is given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_node_drop(node: *mut WwNode) {
    unheard(|| unsafe {
        let node = &mut *node;
        let links = mem::replace(&mut node.links, ptr::null());
        let sizes = mem::replace(&mut node.block_sizes, ptr::null());
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(links.cast_mut(), node.link_count)));
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(sizes.cast_mut(), node.block_size_count)));
    });
}

/// The block that a node is; its links are sorted by their names.
///
/// # Safety
/// The pointers of `node` are those of as many values as it says; `error` is as in [`deliver`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_node_encode(
    node: *const WwNode,
    block: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            block.write(encode(&*node)?.into());
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DAG_PB;

    // UnixFS's types.
    const RAW: u32 = 0;
    const DIRECTORY: u32 = 1;
    const FILE: u32 = 2;
    const SHARD: u32 = 5;

    fn cid(n: u64) -> Vec<u8> {
        id::of(DAG_PB, &n.to_le_bytes()).to_bytes()
    }

    /// What a block has: its data, and of each link the content id, the name and the size.
    type Parts = (Option<Vec<u8>>, Vec<(Vec<u8>, String, u64)>);

    /// The parts, by the crate that is not ours.
    fn by_crate(block: &[u8]) -> Option<Parts> {
        let node = PbNode::from_bytes(block.to_vec().into()).ok()?;
        let link =
            |l: PbLink| (l.cid.to_bytes(), l.name.unwrap_or_default(), l.size.unwrap_or_default());
        Some((node.data.map(|d| d.to_vec()), node.links.into_iter().map(link).collect()))
    }

    fn by_us(block: &[u8]) -> Option<Parts> {
        let (data, links) = decode_pb(block).ok()?;
        let link = |l: Link| (l.cid.to_vec(), l.name.to_string(), l.size);
        Some((data.map(|d| d.to_vec()), links.into_iter().map(link).collect()))
    }

    fn sample(links: u64) -> Vec<u8> {
        let names: Vec<String> = (0..links).map(|n| format!("name {n}")).collect();
        let cids: Vec<Vec<u8>> = (0..links).map(cid).collect();
        let links: Vec<WwLink> = names
            .iter()
            .zip(&cids)
            .map(|(name, cid)| WwLink { name: lend(name.as_bytes()), cid: lend(cid), size: 300 })
            .collect();
        let node = WwNode {
            kind: SHARD,
            has: HAS_DATA | HAS_FANOUT | HAS_HASH_TYPE,
            data: lend(b"bits"),
            file_size: 0,
            hash_type: 0x22,
            fanout: 256,
            mode: 0,
            block_sizes: ptr::null(),
            block_size_count: 0,
            links: links.as_ptr(),
            link_count: links.len(),
        };
        unsafe { encode(&node) }.ok().unwrap()
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let block = sample(12);
        let mut node = decode(&block).ok().unwrap();
        assert_eq!((node.kind, node.has), (SHARD, HAS_DATA | HAS_FANOUT | HAS_HASH_TYPE));
        assert_eq!((node.data.bytes(), node.hash_type, node.fanout), (&b"bits"[..], 0x22, 256));
        let links = unsafe { borrow(node.links, node.link_count) };
        assert_eq!(links.len(), 12);
        assert_eq!(links[2].name.bytes(), b"name 10"); // sorted by name
        assert_eq!((links[2].cid.bytes(), links[2].size), (&cid(10)[..], 300));
        unsafe { ww_node_drop(&mut node) };
    }

    /// Damaged in every way, a block means to us what it means to `ipld-dagpb`, or is refused.
    #[test]
    fn blocks_mean_what_they_mean_to_the_crate() {
        let block = sample(3);
        let (mut agreed, mut stricter) = (0, 0);
        for at in 0..block.len() {
            for change in 0..=255u8 {
                let mut changed = block.clone();
                changed[at] ^= change;
                match (by_us(&changed), by_crate(&changed)) {
                    (Some(ours), theirs) => {
                        assert_eq!(Some(ours), theirs, "byte {at} ^ {change}");
                        agreed += 1;
                    }
                    (None, Some(_)) => stricter += 1,
                    (None, None) => {}
                }
            }
            assert_eq!(
                by_us(&block[..at]),
                by_crate(&block[..at]).filter(|_| { by_us(&block[..at]).is_some() })
            );
        }
        assert!(agreed > 1000 && stricter < agreed / 4, "{agreed} and {stricter}");
    }

    #[test]
    fn what_is_none_is_refused() {
        let why = |bytes: &[u8]| decode(bytes).err().unwrap().text;
        assert!(why(&[]).contains("no UnixFS message"));
        assert!(why(&[0x0a, 9, 8]).contains("cut short"));
        assert!(why(&[0x0a, 2, 8, 1, 0x0a, 2, 8, 1]).contains("two fields of data"));
        assert!(why(&[0x1a, 0]).contains("no field"));
        let link = |fields: &[u8]| [&[0x12, fields.len() as u8][..], fields].concat();
        assert!(why(&link(&[0x18, 1])).contains("link 0: it has no hash"));
        assert!(why(&link(&[0x18, 1, 0x18, 1])).contains("two sizes"));
        assert!(why(&link(&[0x12, 1, 0xff])).contains("UTF-8"));
        assert!(why(&link(&[0x0a, 3, 1, 0x55, 0x13])).contains("content id"));
        assert!(why(&link(&[0x0a, 50, 1])).contains("cut short"));
        assert!(why(&link(&[0x20, 1])).contains("field"));
        let good = link(&[0x0a, 4, 1, 0x55, 0, 0]);
        let apart = [&good[..], &[0x0a, 2, 8, 1], &good].concat();
        assert!(why(&apart).contains("apart"));
        assert!(why(&good.repeat(MAX_LINKS + 1)).contains("links"));
    }

    #[test]
    fn known_blocks_have_known_ids() {
        let encoded = |kind: u32, has: u32| {
            let node = WwNode {
                kind,
                has,
                data: lend(b"hello"),
                file_size: 5,
                hash_type: 0,
                fanout: 0,
                mode: 0,
                block_sizes: ptr::null(),
                block_size_count: 0,
                links: ptr::null(),
                link_count: 0,
            };
            unsafe { encode(&node) }.ok().unwrap()
        };
        let empty = encoded(DIRECTORY, 0);
        assert_eq!(empty, [0x0a, 2, 8, 1]);
        let hello = encoded(FILE, HAS_DATA | HAS_FILE_SIZE);
        assert_eq!(hello, [0x0a, 11, 8, 2, 18, 5, b'h', b'e', b'l', b'l', b'o', 24, 5]);
        assert_eq!(encoded(RAW, 0), [0x0a, 2, 8, 0]);
    }
}
