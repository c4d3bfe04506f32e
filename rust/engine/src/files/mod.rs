//! `wasi:filesystem` for the cells that have files: folders of the host, and one in memory.
//!
//! Which descriptor is whose, the resource table tells: one of the scratch folder's has a type of
//! its own there, behind the same resource. All else goes to wasmtime-wasi, which reads and writes
//! the host's files on threads: of a runtime of the cell's own, so that a disk that hangs holds up
//! no other. A cell without files has none of this, and no descriptor to ask with.

mod charge;
mod content;
mod dispatch;
mod host;
mod scratch;
mod streams;
mod tree;

use crate::State;
use crate::budget::Budget;
use charge::Charge;
use host::{HostFile, HostFiles};
use scratch::{Opened, Scratch};
use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::{FsPerms, OpenMode, ResourceTableError};
use ww_fence::{ErrorKind, Failure};

/// Of one cell: what waits for the disk is the guest, which does one thing at a time, or has
/// streams read ahead.
const THREADS: usize = 2;

/// A folder of the host that a guest has under `path`.
pub struct Mount {
    pub folder: File,
    pub path: String,
    pub writable: bool,
    pub foreign: bool,
}

impl Mount {
    /// # Safety
    /// `folder` is open.
    pub unsafe fn new(
        folder: RawFd,
        path: String,
        writable: bool,
        foreign: bool,
    ) -> Result<Self, Failure> {
        let folder = unsafe { BorrowedFd::borrow_raw(folder) }
            .try_clone_to_owned()
            .map_err(|e| Failure::new(ErrorKind::Resources, format!("{path}: {e}")))?;
        Ok(Mount { folder: folder.into(), path, writable, foreign })
    }

    fn into_dir(self) -> (Dir, String, bool) {
        let (perms, mode) = if self.writable {
            (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE)
        } else {
            (FsPerms::ReadOnly, OpenMode::READ)
        };
        (Dir::new(self.folder, perms, mode, false), self.path, self.foreign)
    }
}

/// What a cell is given of files at its start.
#[derive(Default)]
pub struct Given {
    pub mounts: Vec<Mount>,
    pub scratch: Option<String>, // the path of a folder in memory
}

impl Given {
    pub fn is_nothing(&self) -> bool {
        self.mounts.is_empty() && self.scratch.is_none()
    }
}

/// What the store keeps of them.
pub struct Files {
    dirs: Vec<(Dir, String, bool)>,
    scratch: Option<(Arc<Scratch>, String)>,
    host: HostFiles,
    budget: Arc<Budget>,
}

impl Files {
    pub fn new(given: Given, budget: &Arc<Budget>) -> Self {
        Files {
            dirs: given.mounts.into_iter().map(Mount::into_dir).collect(),
            scratch: given.scratch.map(|path| (Scratch::new(budget.clone()), path)),
            host: HostFiles::default(),
            budget: budget.clone(),
        }
    }
}

/// The threads that wait for the disk; they come as they are needed, and go.
pub fn new_runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .max_blocking_threads(THREADS)
        .thread_name("ww-files")
        .build()
        .map_err(|e| Failure::new(ErrorKind::Resources, format!("no runtime for files: {e}")))
}

/// A descriptor of the scratch folder's.
#[derive(Clone)]
struct ScratchFile {
    node: Arc<Opened>,
    reads: bool,
    writes: bool,
}

/// Of the scratch folder's, a folder that is listed.
struct ScratchListing {
    folder: Arc<Opened>,
    last: Option<String>,
}

/// What the calls of `wasi:filesystem` see of a cell.
pub struct FilesView<'a> {
    ctx: &'a mut WasiFilesystemCtx,
    table: &'a mut ResourceTable,
    files: Option<&'a mut Files>,
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = FilesView<'a>;
}

fn view(state: &mut State) -> FilesView<'_> {
    let State { wasi, table, files, .. } = state;
    FilesView { ctx: wasi.filesystem(), table, files: files.as_deref_mut() }
}

impl FilesView<'_> {
    fn wasi(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView { ctx: self.ctx, table: self.table }
    }

    /// If it is one of the scratch folder's.
    fn scratch(&self, fd: &Resource<Descriptor>) -> Option<ScratchFile> {
        self.table.get(&Resource::<ScratchFile>::new_borrow(fd.rep())).ok().cloned()
    }

    fn host(&self, fd: &Resource<Descriptor>) -> Option<&HostFile> {
        self.files.as_ref()?.host.find(fd.rep())
    }

    fn charge(&self, bytes: usize) -> Result<Charge, types::ErrorCode> {
        self.files
            .as_ref()
            .and_then(|files| Charge::take(&files.budget, bytes))
            .ok_or(types::ErrorCode::InsufficientMemory)
    }

    fn push_scratch(
        &mut self,
        file: ScratchFile,
    ) -> Result<Resource<Descriptor>, ResourceTableError> {
        Ok(Resource::new_own(self.table.push(file)?.rep()))
    }
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let mut given = Vec::new();
        let Some(files) = self.files.as_mut() else { return Ok(given) };
        for (dir, path, foreign) in &files.dirs {
            let fd = self.table.push(Descriptor::Dir(dir.clone()))?;
            files.host.add(fd.rep(), HostFile { foreign: *foreign, place: None });
            given.push((fd, path.clone()));
        }
        if let Some((scratch, path)) = &files.scratch {
            let root = ScratchFile { node: Arc::new(scratch.root()), reads: true, writes: true };
            let path = path.clone();
            given.push((self.push_scratch(root)?, path));
        }
        Ok(given)
    }
}

/// In place of wasmtime-wasi's own.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    preopens::add_to_linker::<State, HasFiles>(linker, view)?;
    types::add_to_linker::<State, HasFiles>(linker, view)
}
