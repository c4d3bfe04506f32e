//! Streams of files, as guests have them: in memory, or of the host, with what those hold counted.

use super::charge::Charge;
use super::host::Place;
use super::scratch::{MAX_PIECE, Opened};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

/// As `filesystem-error-code` finds it again.
fn failed(code: ErrorCode) -> StreamError {
    let errno = match code {
        ErrorCode::InsufficientSpace => rustix::io::Errno::NOSPC,
        ErrorCode::FileTooLarge => rustix::io::Errno::FBIG,
        ErrorCode::IsDirectory => rustix::io::Errno::ISDIR,
        _ => rustix::io::Errno::IO,
    };
    StreamError::LastOperationFailed(io::Error::from_raw_os_error(errno.raw_os_error()).into())
}

pub struct ScratchIn {
    pub file: Arc<Opened>,
    pub at: u64,
}

#[async_trait]
impl Pollable for ScratchIn {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for ScratchIn {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.file.read(self.at, size).map_err(failed)?;
        if bytes.is_empty() && size > 0 {
            return Err(StreamError::Closed);
        }
        self.at += bytes.len() as u64;
        Ok(bytes.into())
    }
}

pub struct ScratchOut {
    pub file: Arc<Opened>,
    pub at: Option<u64>, // none: at the end, wherever that is
    pub closed: bool,
}

#[async_trait]
impl Pollable for ScratchOut {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for ScratchOut {
    fn check_write(&mut self) -> StreamResult<usize> {
        if self.closed { Err(StreamError::Closed) } else { Ok(MAX_PIECE) }
    }

    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        let most = self.check_write()?;
        if bytes.len() > most {
            return Err(StreamError::trap("output-stream.write: more than check-write allowed"));
        }
        while !bytes.is_empty() {
            let written = self.file.write(self.at, &bytes).map_err(|code| {
                self.closed = true;
                failed(code)
            })?;
            self.at = self.at.map(|at| at + written as u64);
            let _ = bytes.split_to(written);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(|_| ())
    }
}

/// What a stream of a host's file holds: the file, and room for one piece.
pub struct Held {
    pub _place: Option<Arc<Place>>,
    pub _charge: Charge,
}

pub struct HostIn {
    pub inner: DynInputStream,
    pub _held: Held,
}

#[async_trait]
impl Pollable for HostIn {
    async fn ready(&mut self) {
        self.inner.ready().await
    }
}

#[async_trait]
impl InputStream for HostIn {
    // The size is what is allocated, whatever the file has.
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size.min(MAX_PIECE))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.blocking_read(size.min(MAX_PIECE)).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await
    }
}

pub struct HostOut {
    pub inner: DynOutputStream,
    pub _held: Held,
}

#[async_trait]
impl Pollable for HostOut {
    async fn ready(&mut self) {
        self.inner.ready().await
    }
}

#[async_trait]
impl OutputStream for HostOut {
    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.inner.blocking_write_and_flush(bytes).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await
    }
}
