//! What a cell holds of the host's files, counted; and the listing of a host's folder, bounded.

use super::charge::Charge;
use rustix::fs::{AtFlags, Dir, FileType, statat};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

/// Of the host's files at a time, open themselves or by a stream.
pub const MAX_OPEN: usize = 512;
/// Entries of a folder that is listed.
const MAX_LISTED: usize = 65_536;
/// What one takes until the guest has it, beside its name.
const ENTRY_BYTES: usize = 64;

/// One of the files that a cell may have open.
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A descriptor of the host's.
#[derive(Clone)]
pub struct HostFile {
    pub foreign: bool,             // under a folder in which others put what they like
    pub place: Option<Arc<Place>>, // none: it is what the cell was given at its start
}

/// Those of one cell, by their number in its table.
#[derive(Default)]
pub struct HostFiles {
    files: HashMap<u32, HostFile>,
    open: Arc<AtomicUsize>,
}

impl HostFiles {
    pub fn take_place(&self) -> Result<Arc<Place>, ErrorCode> {
        if self.open.fetch_add(1, Relaxed) >= MAX_OPEN {
            self.open.fetch_sub(1, Relaxed);
            return Err(ErrorCode::Quota);
        }
        Ok(Arc::new(Place(self.open.clone())))
    }

    pub fn add(&mut self, number: u32, file: HostFile) {
        self.files.insert(number, file);
    }

    pub fn find(&self, number: u32) -> Option<&HostFile> {
        self.files.get(&number)
    }

    pub fn remove(&mut self, number: u32) {
        self.files.remove(&number);
    }
}

type Entry = Result<DirectoryEntry, ErrorCode>;

pub struct Listing {
    entries: std::vec::IntoIter<Entry>,
    _charge: Charge,
}

impl Listing {
    pub fn new(entries: Vec<Entry>, mut charge: Charge) -> Result<Self, ErrorCode> {
        let names = entries.iter().flatten().map(|entry| entry.name.len()).sum::<usize>();
        if !charge.more(names + entries.len() * ENTRY_BYTES) {
            return Err(ErrorCode::InsufficientMemory);
        }
        Ok(Listing { entries: entries.into_iter(), _charge: charge })
    }

    pub fn next(&mut self) -> Result<Option<DirectoryEntry>, ErrorCode> {
        self.entries.next().transpose()
    }
}

fn kind_of(file_type: FileType) -> DescriptorType {
    match file_type {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}

/// Waits for the disk.
pub fn list(folder: &File) -> Result<Vec<Entry>, ErrorCode> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder).map_err(io::Error::from)? {
        let entry = entry.map_err(io::Error::from)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entries.len() == MAX_LISTED {
            return Err(ErrorCode::Overflow);
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(_) => continue, // it is gone
            },
            known => known,
        };
        entries.push(match name.to_str() {
            Ok(name) => Ok(DirectoryEntry { type_: kind_of(kind), name: name.into() }),
            Err(_) => Err(ErrorCode::IllegalByteSequence),
        });
    }
    Ok(entries)
}
