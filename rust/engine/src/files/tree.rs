//! The nodes of a file system in memory and the names that lead to them: what scratch.rs locks.

use super::charge::Charge;
use super::content::Content;
use crate::budget::Budget;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

/// Files and folders at a time.
pub const MAX_NODES: usize = 65_536;

const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4096;
/// What a file or a folder takes, beside its name and content.
pub const NODE_BYTES: usize = 256;

pub const ROOT: u64 = 1;

pub type Result<T> = std::result::Result<T, ErrorCode>;

pub enum Body {
    File(Content),
    Folder(BTreeMap<String, u64>),
}

#[derive(Clone, Copy)]
pub struct Times {
    pub accessed: SystemTime,
    pub modified: SystemTime,
    pub changed: SystemTime,
}

impl Times {
    pub fn now() -> Self {
        let now = SystemTime::now();
        Times { accessed: now, modified: now, changed: now }
    }

    pub fn touch(&mut self) {
        let now = SystemTime::now();
        (self.modified, self.changed) = (now, now);
    }
}

pub struct Node {
    pub body: Body,
    pub parent: u64, // of a folder; the root's is itself
    pub linked: bool,
    pub opens: usize,
    pub times: Times,
    pub charge: Charge,
}

pub struct Tree {
    pub nodes: HashMap<u64, Node>,
    pub last: u64,
}

/// A path, checked: the names on its way, and whether it can only be a folder.
pub struct Path<'a> {
    pub names: Vec<&'a str>,
    pub is_folder: bool,
}

impl<'a> Path<'a> {
    pub fn parse(path: &'a str) -> Result<Self> {
        if path.is_empty() {
            return Err(ErrorCode::NoEntry);
        }
        if path.starts_with('/') {
            return Err(ErrorCode::NotPermitted);
        }
        if path.contains('\0') {
            return Err(ErrorCode::Invalid);
        }
        if path.len() > MAX_PATH {
            return Err(ErrorCode::NameTooLong); // before there is a list of its names
        }
        let names: Vec<_> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.iter().any(|name| name.len() > MAX_NAME) {
            return Err(ErrorCode::NameTooLong);
        }
        let last = path.rsplit('/').next();
        Ok(Path { names, is_folder: matches!(last, Some("" | "." | "..")) })
    }

    /// The last name, where there is one that something can be put under.
    pub fn split(&self) -> Option<(&[&'a str], &'a str)> {
        let (last, above) = self.names.split_last()?;
        (*last != "..").then_some((above, *last))
    }
}

impl Tree {
    pub fn new(budget: &Arc<Budget>) -> Self {
        let root = Node {
            body: Body::Folder(BTreeMap::new()),
            parent: ROOT,
            linked: true,
            opens: 0,
            times: Times::now(),
            charge: Charge::none(budget),
        };
        Tree { nodes: HashMap::from([(ROOT, root)]), last: ROOT }
    }

    pub fn node(&mut self, id: u64) -> Result<&mut Node> {
        self.nodes.get_mut(&id).ok_or(ErrorCode::BadDescriptor)
    }

    pub fn folder(&mut self, id: u64) -> Result<&mut BTreeMap<String, u64>> {
        match &mut self.node(id)?.body {
            Body::Folder(entries) => Ok(entries),
            Body::File(_) => Err(ErrorCode::NotDirectory),
        }
    }

    pub fn file(&mut self, id: u64) -> Result<&mut Content> {
        match &mut self.node(id)?.body {
            Body::File(content) => Ok(content),
            Body::Folder(_) => Err(ErrorCode::IsDirectory),
        }
    }

    pub fn is_folder(&self, id: u64) -> bool {
        matches!(self.nodes.get(&id).map(|node| &node.body), Some(Body::Folder(_)))
    }

    /// No way leads above `start`.
    pub fn walk(&mut self, start: u64, names: &[&str]) -> Result<u64> {
        self.folder(start)?;
        let mut way = vec![start];
        for name in names {
            let here = *way.last().ok_or(ErrorCode::NotPermitted)?;
            let entries = self.folder(here)?;
            if *name == ".." {
                way.pop();
            } else {
                way.push(*entries.get(*name).ok_or(ErrorCode::NoEntry)?);
            }
        }
        way.last().copied().ok_or(ErrorCode::NotPermitted)
    }

    /// What a path leads to.
    pub fn resolve(&mut self, start: u64, path: &str) -> Result<u64> {
        let path = Path::parse(path)?;
        let found = self.walk(start, &path.names)?;
        if path.is_folder && !self.is_folder(found) {
            return Err(ErrorCode::NotDirectory);
        }
        Ok(found)
    }

    /// The folder and the name that a path ends in, for what is to be there, and what is there now.
    pub fn locate<'a>(
        &mut self,
        start: u64,
        path: &Path<'a>,
    ) -> Result<(u64, &'a str, Option<u64>)> {
        let (above, name) = path.split().ok_or(ErrorCode::Busy)?;
        let folder = self.walk(start, above)?;
        let there = self.folder(folder)?.get(name).copied();
        Ok((folder, name, there))
    }

    /// A new one under this name, where there is none.
    pub fn add(
        &mut self,
        folder: u64,
        name: &str,
        body: Body,
        budget: &Arc<Budget>,
    ) -> Result<u64> {
        if !self.node(folder)?.linked {
            return Err(ErrorCode::NoEntry);
        }
        let charge = (self.nodes.len() < MAX_NODES)
            .then(|| Charge::take(budget, NODE_BYTES + name.len()))
            .flatten()
            .ok_or(ErrorCode::InsufficientSpace)?;
        self.last += 1;
        let node =
            Node { body, parent: folder, linked: true, opens: 0, times: Times::now(), charge };
        self.nodes.insert(self.last, node);
        let last = self.last;
        self.folder(folder)?.insert(name.into(), last);
        self.node(folder)?.times.touch();
        Ok(last)
    }

    /// It has no name any more; it goes once nobody has it open.
    pub fn unlink(&mut self, folder: u64, name: &str) -> Result<()> {
        if let Some(id) = self.folder(folder)?.remove(name) {
            self.node(folder)?.times.touch();
            self.node(id)?.linked = false;
            self.forget(id);
        }
        Ok(())
    }

    pub fn forget(&mut self, id: u64) {
        if self.nodes.get(&id).is_some_and(|node| !node.linked && node.opens == 0) {
            self.nodes.remove(&id);
        }
    }

    /// Whether `id` is `folder`, or above it.
    pub fn is_above(&mut self, id: u64, mut folder: u64) -> Result<bool> {
        loop {
            if folder == id {
                return Ok(true);
            }
            let parent = self.node(folder)?.parent;
            if parent == folder {
                return Ok(false);
            }
            folder = parent;
        }
    }

    /// Whether what is moved may take the place of the other.
    pub fn require_replaceable(&mut self, moved: u64, other: u64) -> Result<()> {
        match (self.is_folder(moved), self.is_folder(other)) {
            (true, false) => Err(ErrorCode::NotDirectory),
            (false, true) => Err(ErrorCode::IsDirectory),
            (true, true) if !self.folder(other)?.is_empty() => Err(ErrorCode::NotEmpty),
            _ => Ok(()),
        }
    }
}
