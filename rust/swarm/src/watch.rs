//! The sockets that the loop's own thread watches, through an epoll of theirs, whose descriptor the
//! loop polls: those of connections that it has streams on. What comes there is read, and handed to
//! the streams, without another thread. All others stay with the network's.

use crate::task;
use futures::task::AtomicWaker;
use futures::{AsyncRead, AsyncWrite};
use libp2p::tcp;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

const AT_A_TIME: usize = 64;

/// One direction of a socket. Readiness is told by edges: it lasts until the kernel had no more.
struct Direction {
    ready: AtomicBool,
    waker: AtomicWaker,
}

impl Direction {
    fn new() -> Self {
        Direction { ready: AtomicBool::new(true), waker: AtomicWaker::new() }
    }

    fn set(&self) {
        self.ready.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// `act` moves up to `len` bytes; it has done all that there is when it moves fewer.
    fn poll(
        &self,
        cx: &mut Context<'_>,
        len: usize,
        mut act: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            self.waker.register(cx.waker());
            if !self.ready.swap(false, Ordering::SeqCst) {
                return Poll::Pending;
            }
            match act() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    self.ready.store(true, Ordering::SeqCst);
                }
                outcome => {
                    let more = outcome.as_ref().map_or(true, |n| *n == len || *n == 0);
                    self.ready.fetch_or(more, Ordering::SeqCst);
                    return Poll::Ready(outcome);
                }
            }
        }
    }
}

struct Watched {
    reading: Direction,
    writing: Direction,
}

#[derive(Default)]
struct Table {
    next: u64,
    sockets: HashMap<u64, Arc<Watched>>,
}

pub struct Watch {
    epoll: OwnedFd,
    table: Mutex<Table>,
}

impl Watch {
    pub fn new() -> io::Result<Arc<Self>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Arc::new(Watch { epoll, table: Default::default() }))
    }

    /// Readable when `turn` has something to do.
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, socket: &TcpStream) -> io::Result<(u64, Arc<Watched>)> {
        let watched = Arc::new(Watched { reading: Direction::new(), writing: Direction::new() });
        let mut table = self.table();
        table.next += 1;
        let id = table.next;
        table.sockets.insert(id, watched.clone());
        drop(table);
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if let Err(e) = epoll::add(&self.epoll, socket, EventData::new_u64(id), events) {
            self.table().sockets.remove(&id);
            return Err(e.into());
        }
        Ok((id, watched))
    }

    /// On the loop's thread: what has become ready is read, and its streams are woken.
    pub fn turn(&self) {
        let mut events = Vec::with_capacity(AT_A_TIME);
        loop {
            let at_once = Timespec::default();
            if epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once)).is_err() {
                return; // interrupted: the loop sees the rest
            }
            let full = events.len() == AT_A_TIME;
            for event in events.drain(..) {
                let watched = self.table().sockets.get(&event.data.u64()).cloned();
                let Some(watched) = watched else { continue };
                let flags = event.flags;
                let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
                if broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP) {
                    watched.reading.set();
                }
                if broken || flags.contains(EventFlags::OUT) {
                    watched.writing.set();
                }
            }
            if !full {
                return;
            }
        }
    }
}

struct Moved {
    socket: TcpStream,
    watched: Arc<Watched>,
    id: u64,
}

enum Place {
    Network(tcp::tokio::TcpStream),
    Loop(Moved),
    Lost,
}

/// A connection's socket. It goes over to the loop when its task does.
pub struct Socket {
    place: Place,
    watch: Arc<Watch>,
}

impl Socket {
    pub fn new(socket: tcp::tokio::TcpStream, watch: Arc<Watch>) -> Self {
        Socket { place: Place::Network(socket), watch }
    }

    fn settle(&mut self) -> io::Result<&mut Place> {
        if task::is_the_loops() && matches!(self.place, Place::Network(_)) {
            if let Place::Network(socket) = std::mem::replace(&mut self.place, Place::Lost) {
                let socket = socket.0.into_std()?;
                let (id, watched) = self.watch.add(&socket)?;
                self.place = Place::Loop(Moved { socket, watched, id });
            }
        }
        Ok(&mut self.place)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Place::Loop(moved) = &self.place {
            self.watch.table().sockets.remove(&moved.id);
        }
    }
}

fn lost<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.settle()? {
            Place::Network(socket) => Pin::new(socket).poll_read(cx, buffer),
            Place::Loop(Moved { socket, watched, .. }) => {
                if !task::may_read() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                watched.reading.poll(cx, buffer.len(), || socket.read(buffer))
            }
            Place::Lost => lost(),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.settle()? {
            Place::Network(socket) => Pin::new(socket).poll_write(cx, bytes),
            Place::Loop(Moved { socket, watched, .. }) => {
                watched.writing.poll(cx, bytes.len(), || socket.write(bytes))
            }
            Place::Lost => lost(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.settle()? {
            Place::Network(socket) => Pin::new(socket).poll_flush(cx),
            Place::Loop(_) => Poll::Ready(Ok(())),
            Place::Lost => lost(),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.settle()? {
            Place::Network(socket) => Pin::new(socket).poll_close(cx),
            Place::Loop(Moved { socket, .. }) => Poll::Ready(socket.shutdown(Shutdown::Write)),
            Place::Lost => lost(),
        }
    }
}
