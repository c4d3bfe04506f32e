//! One stream of a peer's, polled by the loop's own thread: its other end is behind a mutex and a
//! channel, so no task pumps and nothing is copied twice. Its wakers put an event into the inbox.

use crate::inbox::{Event, Inbox, Kind, StreamWaker};
use crate::streams::Place;
use crate::task;
use futures::{AsyncRead, AsyncWrite};
use std::pin::Pin;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use ww_fence::{WwSlice, guard, unheard};

const WOULD_BLOCK: isize = 0;
const END: isize = -1;
const FAILED: isize = -2;

/// Small pieces are gathered up to this size: each write is a yamux frame of its own.
const GATHER_BYTES: usize = 16 << 10;
const SMALL_BYTES: usize = 4 << 10;

/// What a stream is made of: libp2p's, or a connection of its own (`direct.rs`).
pub trait Raw: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Raw for T {}

/// Ends a stream from the network's side: yamux does not wake the streams of a connection that we
/// close.
pub struct Control {
    id: u64,
    inbox: Arc<Inbox>,
    lost: AtomicBool,
}

impl Control {
    pub fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
        self.inbox.push(Event::new(Kind::Readable, self.id));
        self.inbox.push(Event::new(Kind::Writable, self.id));
    }
}

pub struct WwStream {
    pub id: u64,
    pub control: Arc<Control>,
    stream: Box<dyn Raw>,
    readable: Waker,
    writable: Waker,
    buffers: bool,
    closing: bool,
    scratch: Vec<u8>,
    _place: Place,
}

impl WwStream {
    /// `buffers`: what is written waits to be flushed. A muxer's streams hand it on by themselves,
    /// and their flush would wake the loop for each write, to no end.
    pub fn new(stream: Box<dyn Raw>, buffers: bool, inbox: &Arc<Inbox>, place: Place) -> Box<Self> {
        let id = inbox.new_stream();
        let waker = |kind| Waker::from(Arc::new(StreamWaker { inbox: inbox.clone(), id, kind }));
        let lost = AtomicBool::new(false);
        Box::new(WwStream {
            id,
            control: Arc::new(Control { id, inbox: inbox.clone(), lost }),
            stream,
            readable: waker(Kind::Readable),
            writable: waker(Kind::Writable),
            buffers,
            closing: false,
            scratch: Vec::new(),
            _place: place,
        })
    }

    #[cfg(feature = "bench")]
    pub fn into_raw(self) -> (Box<dyn Raw>, Place) {
        (self.stream, self._place)
    }

    fn is_lost(&self) -> bool {
        self.control.lost.load(Ordering::SeqCst)
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> isize {
        let mut cx = Context::from_waker(&self.readable);
        match Pin::new(&mut self.stream).poll_read(&mut cx, buffer) {
            Poll::Pending if self.is_lost() => END,
            Poll::Pending => WOULD_BLOCK,
            Poll::Ready(Ok(0)) => END,
            Poll::Ready(Ok(n)) => n as isize,
            Poll::Ready(Err(_)) => FAILED,
        }
    }

    /// The bytes taken. When that is less than all, WRITABLE follows.
    pub fn write(&mut self, pieces: &[WwSlice]) -> isize {
        if self.is_lost() {
            return FAILED;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut done = 0;
        let mut next = 0;
        let outcome = loop {
            if next == pieces.len() {
                break None;
            }
            let first = next;
            scratch.clear();
            while next < pieces.len()
                && pieces[next].len < SMALL_BYTES
                && scratch.len() + pieces[next].len <= GATHER_BYTES
            {
                scratch.extend_from_slice(pieces[next].bytes());
                next += 1;
            }
            let chunk = if next > first {
                &scratch[..]
            } else {
                next += 1;
                pieces[first].bytes()
            };
            match self.write_chunk(chunk) {
                Err(()) => break Some(FAILED),
                Ok(n) => {
                    done += n;
                    if n < chunk.len() {
                        break Some(done as isize);
                    }
                }
            }
        };
        self.scratch = scratch;
        if outcome.is_none() {
            self.drive(); // the waker calls it again where it is not done
        }
        outcome.unwrap_or(done as isize)
    }

    fn write_chunk(&mut self, chunk: &[u8]) -> Result<usize, ()> {
        let mut done = 0;
        let mut waker = Waker::noop(); // as long as the connection can be made to take more
        while done < chunk.len() {
            let mut cx = Context::from_waker(waker);
            match Pin::new(&mut self.stream).poll_write(&mut cx, &chunk[done..]) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Err(()),
                Poll::Ready(Ok(n)) => done += n,
                Poll::Pending if task::work() => {}
                Poll::Pending if waker.will_wake(&self.writable) => break,
                Poll::Pending => waker = &self.writable,
            }
        }
        Ok(done)
    }

    /// Goes on with a flush or a close: call it on WRITABLE.
    pub fn drive(&mut self) {
        let mut cx = Context::from_waker(&self.writable);
        let stream = Pin::new(&mut self.stream);
        if self.closing {
            let _ = stream.poll_close(&mut cx);
        } else if self.buffers {
            let _ = stream.poll_flush(&mut cx);
        }
    }

    pub fn close_write(&mut self) {
        self.closing = true;
        self.drive();
    }
}

/// # Safety
/// `stream` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_id(stream: *const WwStream) -> u64 {
    unsafe { (*stream).id }
}

/// The bytes read; 0: none now, READABLE follows; -1: the end; -2: failed.
///
/// # Safety
/// `buffer` takes `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_read(
    stream: *mut WwStream,
    buffer: *mut u8,
    len: usize,
) -> isize {
    if len == 0 {
        return WOULD_BLOCK;
    }
    let read = || Ok(unsafe { (*stream).read(slice::from_raw_parts_mut(buffer, len)) });
    guard(|| task::here(read)).unwrap_or(FAILED)
}

/// The bytes taken; less than all: WRITABLE follows; -2: failed.
///
/// # Safety
/// `count` slices stand at `pieces`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_write(
    stream: *mut WwStream,
    pieces: *const WwSlice,
    count: usize,
) -> isize {
    if count == 0 {
        return 0;
    }
    let write = || Ok(unsafe { (*stream).write(slice::from_raw_parts(pieces, count)) });
    guard(|| task::here(write)).unwrap_or(FAILED)
}

/// Goes on with what is not flushed: on WRITABLE.
///
/// # Safety
/// `stream` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_drive(stream: *mut WwStream) {
    unheard(|| task::here(|| unsafe { (*stream).drive() }));
}

/// # Safety
/// `stream` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_close_write(stream: *mut WwStream) {
    unheard(|| task::here(|| unsafe { (*stream).close_write() }));
}

/// Resets it unless both directions have ended.
///
/// # Safety
/// Given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_drop(stream: *mut WwStream) {
    unheard(|| task::here(|| drop(unsafe { Box::from_raw(stream) })));
}
