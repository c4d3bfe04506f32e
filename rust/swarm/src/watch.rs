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
use rustix::io::Errno;
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
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Direction {
    fn new() -> Self {
        Direction {
            ready: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    fn set(&self) {
        self.ready.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// No edge comes after this one, so that what has come with it is no sign of its being all.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.set();
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
                    let closed = self.closed.load(Ordering::SeqCst);
                    self.ready.fetch_or(more || closed, Ordering::SeqCst);
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
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once)) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            let full = events.len() == AT_A_TIME;
            for event in events.drain(..) {
                let watched = self.table().sockets.get(&event.data.u64()).cloned();
                let Some(watched) = watched else { continue };
                let flags = event.flags;
                let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
                if broken || flags.contains(EventFlags::RDHUP) {
                    watched.reading.close();
                } else if flags.contains(EventFlags::IN) {
                    watched.reading.set();
                }
                if broken {
                    watched.writing.close();
                } else if flags.contains(EventFlags::OUT) {
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
        if task::is_given_up() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if task::is_the_loops()
            && matches!(self.place, Place::Network(_))
            && let Place::Network(socket) = std::mem::replace(&mut self.place, Place::Lost)
        {
            let socket = socket.0.into_std()?;
            let (id, watched) = self.watch.add(&socket)?;
            self.place = Place::Loop(Moved { socket, watched, id });
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
        let outcome = match self.settle()? {
            Place::Network(socket) => Pin::new(socket).poll_read(cx, buffer),
            Place::Loop(Moved { socket, watched, .. }) => {
                if !task::may_read() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                watched.reading.poll(cx, buffer.len(), || socket.read(buffer))
            }
            Place::Lost => lost(),
        };
        if matches!(outcome, Poll::Ready(Ok(1..))) {
            task::heard();
        }
        outcome
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags};
    use std::net::TcpListener;
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    struct Fixture {
        watch: Arc<Watch>,
        socket: Socket,
        peer: TcpStream,
        woken: Arc<Woken>,
    }

    fn fixture() -> Fixture {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        let watch = Watch::new().unwrap();
        let (id, watched) = watch.add(&socket).unwrap();
        let place = Place::Loop(Moved { socket, watched, id });
        let socket = Socket { place, watch: watch.clone() };
        Fixture { watch, socket, peer, woken: Default::default() }
    }

    impl Fixture {
        fn read(&mut self, len: usize) -> Poll<usize> {
            let waker = Waker::from(self.woken.clone());
            let mut buffer = vec![0; len];
            let socket = Pin::new(&mut self.socket);
            let read = socket.poll_read(&mut Context::from_waker(&waker), &mut buffer);
            read.map(|outcome| outcome.unwrap())
        }

        /// Turns, as the loop does, until the reader is woken.
        fn turn_until_woken(&mut self) {
            while !self.woken.0.swap(false, Ordering::SeqCst) {
                let mut fds = [PollFd::new(&self.watch.epoll, PollFlags::IN)];
                rustix::event::poll(&mut fds, None).unwrap();
                self.watch.turn();
            }
        }
    }

    #[test]
    fn a_reader_is_woken_for_each_arrival_and_for_the_end() {
        let mut f = fixture();
        for _ in 0..3 {
            assert_eq!(f.read(8), Poll::Pending);
            f.peer.write_all(b"0123456789").unwrap();
            f.turn_until_woken();
            assert_eq!(f.read(8), Poll::Ready(8));
            assert_eq!(f.read(8), Poll::Ready(2), "what is left of a full read needs no edge");
        }
        assert_eq!(f.read(8), Poll::Pending);
        f.peer.shutdown(Shutdown::Write).unwrap();
        f.turn_until_woken();
        assert_eq!(f.read(8), Poll::Ready(0));
        assert_eq!(f.read(8), Poll::Ready(0));
    }

    #[test]
    fn an_end_that_comes_with_the_last_bytes_is_read_too() {
        let mut f = fixture();
        assert_eq!(f.read(8), Poll::Pending);
        f.peer.write_all(b"last").unwrap();
        f.peer.shutdown(Shutdown::Write).unwrap();
        f.turn_until_woken();
        assert_eq!(f.read(8), Poll::Ready(4));
        assert_eq!(f.read(8), Poll::Ready(0), "without another edge");
    }

    #[test]
    fn a_writer_is_woken_when_its_peer_takes_some() {
        let mut f = fixture();
        let waker = Waker::from(f.woken.clone());
        let mut cx = Context::from_waker(&waker);
        let bytes = vec![0; 1 << 20];
        let mut written = 0;
        while let Poll::Ready(n) = Pin::new(&mut f.socket).poll_write(&mut cx, &bytes) {
            written += n.unwrap();
        }
        f.watch.turn();
        f.woken.0.store(false, Ordering::SeqCst);
        f.peer.read_exact(&mut vec![0; written]).unwrap();
        f.turn_until_woken();
        assert!(Pin::new(&mut f.socket).poll_write(&mut cx, &bytes).is_ready());
    }

    #[test]
    fn what_comes_is_told_and_a_socket_that_is_given_up_fails() {
        let mut f = fixture();
        f.peer.write_all(b"0123456789").unwrap();
        task::within_a_task(move || {
            let own = task::current().unwrap();
            while f.read(8).is_pending() {
                f.turn_until_woken();
            }
            assert!(own.take_heard());
            let mut cx = Context::from_waker(Waker::noop());
            let bytes = vec![0; 1 << 20];
            while Pin::new(&mut f.socket).poll_write(&mut cx, &bytes).is_ready() {}
            own.give_up();
            let socket = &mut f.socket;
            for outcome in [
                Pin::new(&mut *socket).poll_write(&mut cx, &bytes).map_ok(|_| ()),
                Pin::new(&mut *socket).poll_read(&mut cx, &mut [0]).map_ok(|_| ()),
                Pin::new(&mut *socket).poll_flush(&mut cx),
                Pin::new(&mut *socket).poll_close(&mut cx),
            ] {
                assert!(matches!(outcome, Poll::Ready(Err(_))));
            }
        });
    }

    #[test]
    fn a_socket_that_is_gone_is_not_watched() {
        let f = fixture();
        assert_eq!(f.watch.table().sockets.len(), 1);
        drop(f.socket);
        assert!(f.watch.table().sockets.is_empty());
        f.watch.turn();
    }
}
