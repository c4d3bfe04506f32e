//! A file system in memory, for what a cell writes while it runs. What it holds is memory of the
//! cell: bytes of files, and something for each file and folder.
//!
//! Files may have holes, which take nothing. There are no links, neither hard nor symbolic. What is
//! removed lives on for whoever has it open. One thread at a time uses it; the lock is never
//! contended, and held for no more than a piece of a file.

use super::charge::Charge;
use super::content::Content;
use super::tree::{Body, NODE_BYTES, Path, ROOT, Result, Times, Tree};
use crate::budget::Budget;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorType, DirectoryEntry, ErrorCode, MetadataHashValue, NewTimestamp, OpenFlags,
};

/// The largest file, holes included.
pub const MAX_FILE_BYTES: u64 = 1 << 40;
/// What one call moves at most.
pub const MAX_PIECE: usize = 64 << 10;

pub struct Stat {
    pub kind: DescriptorType,
    pub size: u64,
    pub times: Times,
}

pub struct Scratch {
    tree: Mutex<Tree>,
    budget: Arc<Budget>,
    hasher: RandomState,
}

/// A file or folder that somebody has open.
pub struct Opened {
    scratch: Arc<Scratch>,
    node: u64,
}

impl Scratch {
    pub fn new(budget: Arc<Budget>) -> Arc<Self> {
        let tree = Mutex::new(Tree::new(&budget));
        Arc::new(Scratch { tree, budget, hasher: RandomState::new() })
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn root(self: &Arc<Self>) -> Opened {
        self.opened(&mut self.tree(), ROOT)
    }

    fn opened(self: &Arc<Self>, tree: &mut Tree, node: u64) -> Opened {
        if let Some(node) = tree.nodes.get_mut(&node) {
            node.opens += 1;
        }
        Opened { scratch: self.clone(), node }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut tree = self.scratch.tree();
        if let Some(node) = tree.nodes.get_mut(&self.node) {
            node.opens -= 1;
        }
        tree.forget(self.node);
    }
}

impl Opened {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.scratch.tree()
    }

    pub fn is_folder(&self) -> bool {
        self.tree().is_folder(self.node)
    }

    pub fn is_same(&self, other: &Opened) -> bool {
        self.node == other.node && Arc::ptr_eq(&self.scratch, &other.scratch)
    }

    /// The bytes from there on, of which there are as many as one call moves at most; none at the
    /// end.
    pub fn read(&self, offset: u64, most: usize) -> Result<Vec<u8>> {
        let mut tree = self.tree();
        let node = tree.node(self.node)?;
        node.times.accessed = SystemTime::now();
        Ok(tree.file(self.node)?.read(offset, most.min(MAX_PIECE)))
    }

    /// How many bytes were written: not all, perhaps, but one at least. `None`: at the end.
    pub fn write(&self, offset: Option<u64>, bytes: &[u8]) -> Result<usize> {
        let mut tree = self.tree();
        let file = tree.file(self.node)?;
        let offset = offset.unwrap_or(file.len());
        let bytes = &bytes[..bytes.len().min(MAX_PIECE)];
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > MAX_FILE_BYTES) {
            return Err(ErrorCode::FileTooLarge);
        }
        let written = file.write(offset, bytes);
        if written == 0 && !bytes.is_empty() {
            return Err(ErrorCode::InsufficientSpace);
        }
        tree.node(self.node)?.times.touch();
        Ok(written)
    }

    pub fn set_size(&self, size: u64) -> Result<()> {
        if size > MAX_FILE_BYTES {
            return Err(ErrorCode::FileTooLarge);
        }
        let mut tree = self.tree();
        tree.file(self.node)?.set_len(size);
        tree.node(self.node)?.times.touch();
        Ok(())
    }

    pub fn stat(&self) -> Result<Stat> {
        self.stat_of(self.node)
    }

    pub fn stat_at(&self, path: &str) -> Result<Stat> {
        let found = self.tree().resolve(self.node, path)?;
        self.stat_of(found)
    }

    fn stat_of(&self, id: u64) -> Result<Stat> {
        let mut tree = self.tree();
        let node = tree.node(id)?;
        let (kind, size) = match &node.body {
            Body::File(content) => (DescriptorType::RegularFile, content.len()),
            Body::Folder(_) => (DescriptorType::Directory, 0),
        };
        Ok(Stat { kind, size, times: node.times })
    }

    pub fn set_times(&self, accessed: NewTimestamp, modified: NewTimestamp) -> Result<()> {
        self.set_times_of(self.node, accessed, modified)
    }

    pub fn set_times_at(&self, path: &str, a: NewTimestamp, m: NewTimestamp) -> Result<()> {
        let found = self.tree().resolve(self.node, path)?;
        self.set_times_of(found, a, m)
    }

    fn set_times_of(&self, id: u64, a: NewTimestamp, m: NewTimestamp) -> Result<()> {
        let mut tree = self.tree();
        let times = &mut tree.node(id)?.times;
        (times.accessed, times.modified) =
            (new_time(a, times.accessed)?, new_time(m, times.modified)?);
        times.changed = SystemTime::now();
        Ok(())
    }

    pub fn hash(&self) -> MetadataHashValue {
        self.hash_of(self.node)
    }

    pub fn hash_at(&self, path: &str) -> Result<MetadataHashValue> {
        let found = self.tree().resolve(self.node, path)?;
        Ok(self.hash_of(found))
    }

    fn hash_of(&self, id: u64) -> MetadataHashValue {
        let hash = |of: (u64, u8)| self.scratch.hasher.hash_one(of);
        MetadataHashValue { lower: hash((id, 0)), upper: hash((id, 1)) }
    }

    pub fn open_at(&self, path: &str, how: OpenFlags, writes: bool) -> Result<Opened> {
        let path = Path::parse(path)?;
        let has = |flag| how.contains(flag);
        let folder_only = has(OpenFlags::DIRECTORY);
        if folder_only && how != OpenFlags::DIRECTORY {
            return Err(ErrorCode::Invalid);
        }
        let mut tree = self.tree();
        let (folder, name, there) = match path.split() {
            Some(_) => tree.locate(self.node, &path)?,
            None => (ROOT, "", Some(tree.walk(self.node, &path.names)?)),
        };
        let changes = writes || has(OpenFlags::CREATE) || has(OpenFlags::TRUNCATE);
        let node = match there {
            Some(_) if has(OpenFlags::CREATE) && has(OpenFlags::EXCLUSIVE) => {
                return Err(ErrorCode::Exist);
            }
            Some(node) if tree.is_folder(node) && changes => return Err(ErrorCode::IsDirectory),
            Some(node) if tree.is_folder(node) => node,
            Some(_) if folder_only || path.is_folder => return Err(ErrorCode::NotDirectory),
            Some(node) => {
                if has(OpenFlags::TRUNCATE) {
                    tree.file(node)?.set_len(0);
                    tree.node(node)?.times.touch();
                }
                node
            }
            None if !has(OpenFlags::CREATE) => return Err(ErrorCode::NoEntry),
            None if path.is_folder => return Err(ErrorCode::IsDirectory),
            None => tree.add(folder, name, Body::File(self.content()), &self.scratch.budget)?,
        };
        Ok(self.scratch.opened(&mut tree, node))
    }

    fn content(&self) -> Content {
        Content::new(&self.scratch.budget)
    }

    pub fn create_folder_at(&self, path: &str) -> Result<()> {
        let mut tree = self.tree();
        let path = Path::parse(path)?;
        if path.split().is_none() {
            return Err(ErrorCode::Exist);
        }
        let (folder, name, there) = tree.locate(self.node, &path)?;
        if there.is_some() {
            return Err(ErrorCode::Exist);
        }
        tree.add(folder, name, Body::Folder(BTreeMap::new()), &self.scratch.budget).map(|_| ())
    }

    pub fn remove_at(&self, path: &str, folders: bool) -> Result<()> {
        let mut tree = self.tree();
        let path = Path::parse(path)?;
        let (folder, name, there) = tree.locate(self.node, &path)?;
        let there = there.ok_or(ErrorCode::NoEntry)?;
        match (folders, tree.is_folder(there)) {
            (true, false) => return Err(ErrorCode::NotDirectory),
            (false, true) => return Err(ErrorCode::IsDirectory),
            (true, true) if !tree.folder(there)?.is_empty() => return Err(ErrorCode::NotEmpty),
            (false, false) if path.is_folder => return Err(ErrorCode::NotDirectory),
            _ => tree.unlink(folder, name),
        }
    }

    /// A folder may be moved to a name that is free or an empty folder's, and not into itself.
    pub fn rename_at(&self, from: &str, to_folder: &Opened, to: &str) -> Result<()> {
        let mut tree = self.tree();
        let (from, to) = (Path::parse(from)?, Path::parse(to)?);
        let (old_folder, old_name, moved) = tree.locate(self.node, &from)?;
        let (new_folder, new_name, other) = tree.locate(to_folder.node, &to)?;
        let moved = moved.ok_or(ErrorCode::NoEntry)?;
        let is_folder = tree.is_folder(moved);
        if !is_folder && (from.is_folder || to.is_folder) {
            return Err(ErrorCode::NotDirectory);
        }
        if other == Some(moved) {
            return Ok(());
        }
        if !tree.node(new_folder)?.linked {
            return Err(ErrorCode::NoEntry);
        }
        if is_folder && tree.is_above(moved, new_folder)? {
            return Err(ErrorCode::Invalid);
        }
        if let Some(other) = other {
            tree.require_replaceable(moved, other)?;
        }
        let charge = Charge::take(&self.scratch.budget, NODE_BYTES + new_name.len())
            .ok_or(ErrorCode::InsufficientSpace)?;
        if other.is_some() {
            tree.unlink(new_folder, new_name)?;
        }
        tree.folder(old_folder)?.remove(old_name);
        tree.folder(new_folder)?.insert(new_name.into(), moved);
        tree.node(old_folder)?.times.touch();
        tree.node(new_folder)?.times.touch();
        let node = tree.node(moved)?;
        (node.parent, node.charge) = (new_folder, charge);
        node.times.changed = SystemTime::now();
        Ok(())
    }

    /// The entry that comes after this name; the first, after none.
    pub fn entry_after(&self, name: Option<&str>) -> Result<Option<DirectoryEntry>> {
        let mut tree = self.tree();
        let start = name.map_or(Unbounded, Excluded);
        let next = tree.folder(self.node)?.range::<str, _>((start, Unbounded)).next();
        let Some((name, node)) = next.map(|(name, node)| (name.clone(), *node)) else {
            return Ok(None);
        };
        let type_ = if tree.is_folder(node) {
            DescriptorType::Directory
        } else {
            DescriptorType::RegularFile
        };
        Ok(Some(DirectoryEntry { type_, name }))
    }
}

fn new_time(new: NewTimestamp, old: SystemTime) -> Result<SystemTime> {
    match new {
        NewTimestamp::NoChange => Ok(old),
        NewTimestamp::Now => Ok(SystemTime::now()),
        NewTimestamp::Timestamp(time) => {
            let nanoseconds = u128::from(time.nanoseconds);
            let whole = u128::from(time.seconds) * 1_000_000_000 + nanoseconds;
            let since = u64::try_from(whole).map_err(|_| ErrorCode::Overflow)?;
            SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_nanos(since))
                .ok_or(ErrorCode::Overflow)
        }
    }
}

#[cfg(test)]
mod tests;
