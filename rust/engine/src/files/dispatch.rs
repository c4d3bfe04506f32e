//! The calls of `wasi:filesystem/types`: to the scratch folder where the descriptor is one of its
//! own, else to wasmtime-wasi, with what the cell holds of the host counted.

use super::host::{HostFile, Listing, Place, list};
use super::scratch::{MAX_PIECE, Stat};
use super::streams::{Held, HostIn, HostOut, ScratchIn, ScratchOut};
use super::{FilesView, ScratchFile, ScratchListing};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

type Fd = Resource<Descriptor>;

fn datetime(time: SystemTime) -> Option<Datetime> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
}

impl From<Stat> for DescriptorStat {
    fn from(Stat { kind, size, times }: Stat) -> Self {
        DescriptorStat {
            type_: kind,
            link_count: 1,
            size,
            data_access_timestamp: datetime(times.accessed),
            data_modification_timestamp: datetime(times.modified),
            status_change_timestamp: datetime(times.changed),
        }
    }
}

fn same(fd: &Fd) -> Fd {
    Resource::new_borrow(fd.rep())
}

impl ScratchFile {
    fn to_read(&self) -> Result<&Self, ErrorCode> {
        match (self.node.is_folder(), self.reads) {
            (true, _) => Err(ErrorCode::IsDirectory),
            (false, false) => Err(ErrorCode::BadDescriptor),
            (false, true) => Ok(self),
        }
    }

    fn to_write(&self) -> Result<&Self, ErrorCode> {
        if self.writes && !self.node.is_folder() { Ok(self) } else { Err(ErrorCode::BadDescriptor) }
    }

    /// One of these and one of the host's have no file in common.
    fn with(&self, other: Option<ScratchFile>) -> Result<ScratchFile, ErrorCode> {
        other.ok_or(ErrorCode::CrossDevice)
    }
}

impl FilesView<'_> {
    /// What a stream of this file keeps.
    fn hold(&self, fd: &Fd) -> Result<Held, ErrorCode> {
        let place = self.host(fd).and_then(|file| file.place.clone());
        Ok(Held { _place: place, _charge: self.charge(MAX_PIECE)? })
    }

    /// What other trees have the same file is none of the cell's business.
    fn alone(&self, fd: &Fd, stat: DescriptorStat) -> DescriptorStat {
        let foreign = self.host(fd).is_none_or(|file| file.foreign);
        let link_count = if foreign { stat.link_count } else { 1 };
        DescriptorStat { link_count, ..stat }
    }

    /// In a folder where others put what they like, a FIFO would keep a thread waiting for its
    /// other end, and a device do who knows what.
    async fn require_plain(&mut self, fd: &Fd, flags: PathFlags, path: &str) -> FsResult<()> {
        let stat = HostDescriptor::stat_at(&mut self.wasi(), same(fd), flags, path.into()).await;
        match stat.map(|stat| stat.type_) {
            Err(_)
            | Ok(DescriptorType::RegularFile)
            | Ok(DescriptorType::Directory)
            | Ok(DescriptorType::SymbolicLink) => Ok(()),
            Ok(_) => Err(ErrorCode::Access.into()),
        }
    }

    async fn open_host(
        &mut self,
        fd: Fd,
        at: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let foreign = self.host(&fd).is_some_and(|file| file.foreign);
        if foreign {
            self.require_plain(&fd, at, &path).await?;
        }
        let place: Option<Arc<Place>> =
            self.files.as_ref().map(|files| files.host.take_place()).transpose()?;
        let opened = HostDescriptor::open_at(&mut self.wasi(), fd, at, path, how, flags).await?;
        if let Some(files) = self.files.as_mut() {
            files.host.add(opened.rep(), HostFile { foreign, place });
        }
        Ok(opened)
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        types::Host::filesystem_error_code(&mut self.wasi(), error)
    }
}

impl HostDescriptor for FilesView<'_> {
    async fn advise(&mut self, fd: Fd, at: u64, length: u64, advice: Advice) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(file) if file.node.is_folder() => Err(ErrorCode::BadDescriptor.into()),
            Some(_) => Ok(()),
            None => self.wasi().advise(fd, at, length, advice).await,
        }
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(_) => Ok(()),
            None => self.wasi().sync_data(fd).await,
        }
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(_) => Ok(()),
            None => self.wasi().sync(fd).await,
        }
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        let Some(file) = self.scratch(&fd) else { return self.wasi().get_flags(fd).await };
        let is_folder = file.node.is_folder();
        let flags = [
            (file.reads, DescriptorFlags::READ),
            (file.writes && !is_folder, DescriptorFlags::WRITE),
            (is_folder, DescriptorFlags::MUTATE_DIRECTORY),
        ];
        let none = DescriptorFlags::empty();
        Ok(flags.into_iter().fold(none, |all, (has, flag)| if has { all | flag } else { all }))
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.stat()?.kind),
            None => self.wasi().get_type(fd).await,
        }
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.to_write()?.node.set_size(size)?),
            None => self.wasi().set_size(fd, size).await,
        }
    }

    async fn set_times(&mut self, fd: Fd, a: NewTimestamp, m: NewTimestamp) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.set_times(a, m)?),
            None => self.wasi().set_times(fd, a, m).await,
        }
    }

    async fn read(&mut self, fd: Fd, length: u64, at: Filesize) -> FsResult<(Vec<u8>, bool)> {
        let Some(file) = self.scratch(&fd) else { return self.wasi().read(fd, length, at).await };
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = file.to_read()?.node.read(at, most)?;
        let is_end = bytes.is_empty();
        Ok((bytes, is_end))
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, at: Filesize) -> FsResult<Filesize> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.to_write()?.node.write(Some(at), &bytes)? as u64),
            None => self.wasi().write(fd, bytes, at).await,
        }
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        let listing = match self.scratch(&fd) {
            Some(file) if !file.node.is_folder() => return Err(ErrorCode::NotDirectory.into()),
            Some(file) => self.table.push(ScratchListing { folder: file.node, last: None })?.rep(),
            None => {
                let Descriptor::Dir(dir) = self.table.get(&fd)? else {
                    return Err(ErrorCode::NotDirectory.into());
                };
                let folder = dir.dir.clone();
                let entries = tokio::task::spawn_blocking(move || list(&folder)).await;
                let entries = entries.map_err(FsError::trap)??;
                self.table.push(Listing::new(entries, self.charge(0)?)?)?.rep()
            }
        };
        Ok(Resource::new_own(listing))
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.create_folder_at(&path)?),
            None => self.wasi().create_directory_at(fd, path).await,
        }
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.stat()?.into()),
            None => {
                let stat = self.wasi().stat(same(&fd)).await?;
                Ok(self.alone(&fd, stat))
            }
        }
    }

    async fn stat_at(&mut self, fd: Fd, at: PathFlags, path: String) -> FsResult<DescriptorStat> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.stat_at(&path)?.into()),
            None => {
                let stat = self.wasi().stat_at(same(&fd), at, path).await?;
                Ok(self.alone(&fd, stat))
            }
        }
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        at: PathFlags,
        path: String,
        a: NewTimestamp,
        m: NewTimestamp,
    ) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.set_times_at(&path, a, m)?),
            None => self.wasi().set_times_at(fd, at, path, a, m).await,
        }
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        at: PathFlags,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        match (self.scratch(&fd), self.scratch(&new_fd)) {
            (None, None) => self.wasi().link_at(fd, at, path, new_fd, new_path).await,
            (Some(_), Some(_)) => Err(ErrorCode::NotPermitted.into()),
            _ => Err(ErrorCode::CrossDevice.into()),
        }
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        at: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let Some(folder) = self.scratch(&fd) else {
            return self.open_host(fd, at, path, how, flags).await;
        };
        let writes = flags.contains(DescriptorFlags::WRITE);
        let node = Arc::new(folder.node.open_at(&path, how, writes)?);
        let reads = flags.contains(DescriptorFlags::READ);
        Ok(self.push_scratch(ScratchFile { node, reads, writes })?)
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        if self.scratch(&fd).is_some() {
            self.table.delete(Resource::<ScratchFile>::new_own(fd.rep()))?;
            return Ok(());
        }
        if let Some(files) = self.files.as_mut() {
            files.host.remove(fd.rep());
        }
        HostDescriptor::drop(&mut self.wasi(), fd)
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        match self.scratch(&fd) {
            Some(file) => {
                file.node.stat_at(&path)?;
                Err(ErrorCode::Invalid.into()) // there are no links
            }
            None => self.wasi().readlink_at(fd, path).await,
        }
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.remove_at(&path, true)?),
            None => self.wasi().remove_directory_at(fd, path).await,
        }
    }

    async fn rename_at(
        &mut self,
        fd: Fd,
        path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        match (self.scratch(&fd), self.scratch(&new_fd)) {
            (None, None) => self.wasi().rename_at(fd, path, new_fd, new_path).await,
            (Some(from), to) => Ok(from.node.rename_at(&path, &from.with(to)?.node, &new_path)?),
            (None, Some(_)) => Err(ErrorCode::CrossDevice.into()),
        }
    }

    async fn symlink_at(&mut self, fd: Fd, path: String, new_path: String) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(_) => Err(ErrorCode::NotPermitted.into()),
            None => self.wasi().symlink_at(fd, path, new_path).await,
        }
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.remove_at(&path, false)?),
            None => self.wasi().unlink_file_at(fd, path).await,
        }
    }

    fn read_via_stream(&mut self, fd: Fd, at: Filesize) -> FsResult<Resource<DynInputStream>> {
        let stream: DynInputStream = match self.scratch(&fd) {
            Some(file) => Box::new(ScratchIn { file: file.to_read()?.node.clone(), at }),
            None => {
                let _held = self.hold(&fd)?;
                let inner = self.wasi().read_via_stream(fd, at)?;
                Box::new(HostIn { inner: self.table.delete(inner)?, _held })
            }
        };
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(&mut self, fd: Fd, at: Filesize) -> FsResult<Resource<DynOutputStream>> {
        let stream: DynOutputStream = match self.scratch(&fd) {
            Some(file) => {
                let file = file.to_write()?.node.clone();
                Box::new(ScratchOut { file, at: Some(at), closed: false })
            }
            None => {
                let _held = self.hold(&fd)?;
                let inner = self.wasi().write_via_stream(fd, at)?;
                Box::new(HostOut { inner: self.table.delete(inner)?, _held })
            }
        };
        Ok(self.table.push(stream)?)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let stream: DynOutputStream = match self.scratch(&fd) {
            Some(file) => {
                let file = file.to_write()?.node.clone();
                Box::new(ScratchOut { file, at: None, closed: false })
            }
            None => {
                let _held = self.hold(&fd)?;
                let inner = self.wasi().append_via_stream(fd)?;
                Box::new(HostOut { inner: self.table.delete(inner)?, _held })
            }
        };
        Ok(self.table.push(stream)?)
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        match (self.scratch(&a), self.scratch(&b)) {
            (Some(a), Some(b)) => Ok(a.node.is_same(&b.node)),
            (None, None) => self.wasi().is_same_object(a, b).await,
            _ => Ok(false),
        }
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.hash()),
            None => self.wasi().metadata_hash(fd).await,
        }
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        at: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        match self.scratch(&fd) {
            Some(file) => Ok(file.node.hash_at(&path)?),
            None => self.wasi().metadata_hash_at(fd, at, path).await,
        }
    }
}

impl HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let number = stream.rep();
        if let Ok(listing) = self.table.get_mut(&Resource::<Listing>::new_borrow(number)) {
            return Ok(listing.next()?);
        }
        let listing = self.table.get_mut(&Resource::<ScratchListing>::new_borrow(number))?;
        let entry = listing.folder.entry_after(listing.last.as_deref())?;
        if let Some(entry) = &entry {
            listing.last = Some(entry.name.clone());
        }
        Ok(entry)
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        let number = stream.rep();
        if self.table.get(&Resource::<Listing>::new_borrow(number)).is_ok() {
            self.table.delete(Resource::<Listing>::new_own(number))?;
        } else {
            self.table.delete(Resource::<ScratchListing>::new_own(number))?;
        }
        Ok(())
    }
}
