//! The connection to the host as async streams. WASI's streams never block: a read or write that
//! finds nothing to do leaves its waker here, and [`Sleeper::sleep`] waits for all of them at once.

use futures::io::{AsyncRead, AsyncWrite};
use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

mod bindings {
    wit_bindgen::generate!({ world: "guest", path: "wit", generate_all });
}
use bindings::wasi::io::poll::{self, Pollable};
use bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use bindings::wetware::streams::streams::create_connection;

// A pollable is its stream's child and goes first: fields drop in order of declaration.
struct Wait {
    ready: Pollable,
    waker: RefCell<Option<Waker>>,
}

impl Wait {
    fn new(ready: Pollable) -> Rc<Self> {
        Rc::new(Self { ready, waker: RefCell::default() })
    }

    fn park<T>(&self, context: &Context<'_>) -> Poll<T> {
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

pub struct Reader {
    wait: Rc<Wait>,
    stream: InputStream,
}

pub struct Writer {
    wait: Rc<Wait>,
    stream: OutputStream,
}

pub struct Sleeper([Rc<Wait>; 2]);

/// Takes the guest's one connection.
pub fn open() -> (Reader, Writer, Sleeper) {
    let connection = create_connection();
    let (input, output) = (connection.get_input_stream(), connection.get_output_stream());
    let (read, write) = (Wait::new(input.subscribe()), Wait::new(output.subscribe()));
    let sleeper = Sleeper([read.clone(), write.clone()]);
    (Reader { wait: read, stream: input }, Writer { wait: write, stream: output }, sleeper)
}

impl Sleeper {
    /// Waits until a parked read or write may go on, and wakes it. False if none is parked.
    pub fn sleep(&self) -> bool {
        let parked: Vec<&Rc<Wait>> =
            self.0.iter().filter(|wait| wait.waker.borrow().is_some()).collect();
        if parked.is_empty() {
            return false;
        }
        let pollables: Vec<&Pollable> = parked.iter().map(|wait| &wait.ready).collect();
        for index in poll::poll(&pollables) {
            if let Some(waker) = parked[index as usize].waker.take() {
                waker.wake();
            }
        }
        true
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.stream.read(buffer.len() as u64) {
            Ok(bytes) if bytes.is_empty() => self.wait.park(context),
            Ok(bytes) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Err(StreamError::Closed) => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(broken(error))),
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.stream.check_write() {
            Ok(0) => self.wait.park(context),
            Ok(room) => {
                let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                let written = self.stream.write(&bytes[..taken]);
                Poll::Ready(written.map(|()| taken).map_err(broken))
            }
            Err(error) => Poll::Ready(Err(broken(error))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn broken(error: StreamError) -> io::Error {
    let why = match error {
        StreamError::Closed => "the host closed the connection".to_owned(),
        StreamError::LastOperationFailed(cause) => cause.to_debug_string(),
    };
    io::Error::new(io::ErrorKind::BrokenPipe, why)
}
