//! A connection's muxer, which the loop's thread polls without the rest of its connection: what
//! comes for a stream that stands, and what it sends, is nothing to the handlers, whose poll costs
//! more than the muxer's. The connection is woken for what is its own: a stream that the peer has
//! opened, one that is gone, the end.

use crate::task::{self, Part, Watched};
use futures::task::AtomicWaker;
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::yamux;
use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

/// Streams that the peer has opened and the connection has not taken; more are reset. Who follows
/// yamux' limit of streams that are not acknowledged opens no more.
const MAX_WAITING: usize = 256;

/// Of a turn: a peer that opens without end gets no more of a thread at a time.
const OPENED_A_TURN: usize = 32;

/// It has nothing to say but its streams and its end: no muxer that changes addresses.
pub struct Apart<M: StreamMuxer>(Arc<Shared<M>>);

struct Shared<M: StreamMuxer> {
    state: Mutex<State<M>>,
    connection: Arc<Connection>,
    task: OnceLock<Watched>,
}

/// The connection's task, as long as it waits.
#[derive(Default)]
struct Connection {
    waker: AtomicWaker,
    lost_one: AtomicBool, // a stream, since it was polled last
}

struct State<M: StreamMuxer> {
    muxer: Option<M>, // none once the connection is gone
    came: VecDeque<M::Substream>,
    failed: Option<M::Error>,
}

impl<M: StreamMuxer> State<M> {
    fn has_news(&self) -> bool {
        self.failed.is_some() || !self.came.is_empty()
    }
}

pub trait Usable:
    StreamMuxer<
        Substream: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        Error: Error + Send + Sync + 'static,
    > + Send
    + Unpin
    + 'static
{
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> Usable for yamux::Muxer<C> {}

impl<M: StreamMuxer> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Usable> Shared<M> {
    fn drive(self: &Arc<Self>, state: &mut State<M>) {
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        let Some(muxer) = &mut state.muxer else { return };
        for _ in 0..OPENED_A_TURN {
            if state.failed.is_some() {
                return;
            }
            match Pin::new(&mut *muxer).poll_inbound(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(stream)) if state.came.len() < MAX_WAITING => {
                    state.came.push_back(stream);
                }
                Poll::Ready(Ok(stream)) => drop(stream),
                Poll::Ready(Err(failed)) => state.failed = Some(failed),
            }
        }
        self.go_home();
    }
}

impl<M: Usable> Wake for Shared<M> {
    fn wake(self: Arc<Self>) {
        match self.task.get() {
            Some(task) if task::gather(&self) => task.set_the_loops(),
            _ => self.connection.waker.wake(),
        }
    }
}

impl<M: Usable> Part for Shared<M> {
    fn poll_here(self: Arc<Self>) {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.connection.waker.wake(), // being polled
        };
        let Some(task) = self.task.get() else { return };
        task.apart(|| self.drive(&mut state));
        if state.has_news() {
            drop(state);
            self.connection.waker.wake();
        }
    }

    fn go_home(&self) {
        match self.task.get() {
            Some(task) => task.go_home(),
            None => self.connection.waker.wake(),
        }
    }
}

impl<M: StreamMuxer> Apart<M> {
    pub fn new(muxer: M) -> Self {
        let state = State { muxer: Some(muxer), came: VecDeque::new(), failed: None };
        Apart(Arc::new(Shared {
            state: Mutex::new(state),
            connection: Arc::default(),
            task: OnceLock::new(),
        }))
    }
}

impl<M: StreamMuxer> Drop for Apart<M> {
    /// Whoever keeps a waker keeps no muxer.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let ended = (state.muxer.take(), std::mem::take(&mut state.came));
        drop(state);
        drop(ended);
    }
}

impl<M: Usable> Apart<M> {
    /// The connection's task, in which this is called, is woken from now on.
    fn register(&self, cx: &Context<'_>) {
        self.0.connection.waker.register(cx.waker());
        // It has looked for its streams before this: one that went since then woke nobody.
        if self.0.connection.lost_one.swap(false, Ordering::SeqCst) {
            cx.waker().wake_by_ref();
        }
        if self.0.task.get().is_none()
            && let Some(task) = task::current()
        {
            let _ = self.0.task.set(task);
        }
    }

    fn substream(&self, inner: M::Substream) -> Substream<M::Substream> {
        Substream { inner, _gone: Gone(self.0.connection.clone()) }
    }
}

/// A connection that has no stream left may end.
struct Gone(Arc<Connection>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.lost_one.store(true, Ordering::SeqCst);
        self.0.waker.wake();
    }
}

pub struct Substream<S> {
    inner: S,
    _gone: Gone, // after the stream
}

impl<S: AsyncRead + Unpin> AsyncRead for Substream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Substream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl<M: Usable> StreamMuxer for Apart<M> {
    type Substream = Substream<M::Substream>;
    type Error = io::Error;

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        self.register(cx);
        let mut state = self.0.lock();
        self.0.drive(&mut state);
        match state.failed.take() {
            Some(failed) => Poll::Ready(Err(io::Error::other(failed))),
            None => Poll::Pending,
        }
    }

    /// What `poll` has found.
    fn poll_inbound(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        match self.0.lock().came.pop_front() {
            Some(stream) => Poll::Ready(Ok(self.substream(stream))),
            None => Poll::Pending,
        }
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let mut state = self.0.lock();
        let Some(muxer) = &mut state.muxer else { return Poll::Pending };
        Pin::new(muxer)
            .poll_outbound(cx)
            .map_ok(|stream| self.substream(stream))
            .map_err(io::Error::other)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.register(cx);
        let mut state = self.0.lock();
        let Some(muxer) = &mut state.muxer else { return Poll::Ready(Ok(())) };
        Pin::new(muxer).poll_close(cx).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, JoinHandle, ThreadId};
    use tokio::sync::oneshot;

    /// What a muxer is to do next, and who polls it.
    #[derive(Default)]
    struct Script {
        opened: usize,
        fails: bool,
        waker: Option<Waker>,
        polled_by: Vec<ThreadId>,
    }

    #[derive(Clone, Default)]
    struct Fake(Arc<Mutex<Script>>);

    impl Fake {
        fn change(&self, act: impl FnOnce(&mut Script)) {
            act(&mut self.0.lock().unwrap());
        }

        fn wake(&self) {
            let waker = self.0.lock().unwrap().waker.take();
            waker.unwrap().wake();
        }

        fn take_polls(&self) -> Vec<ThreadId> {
            std::mem::take(&mut self.0.lock().unwrap().polled_by)
        }
    }

    type Nothing = futures::io::Cursor<Vec<u8>>;

    impl StreamMuxer for Fake {
        type Substream = Nothing;
        type Error = io::Error;

        fn poll_inbound(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<io::Result<Self::Substream>> {
            let mut script = self.0.lock().unwrap();
            script.polled_by.push(thread::current().id());
            script.waker = Some(cx.waker().clone());
            if script.fails {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if script.opened == 0 {
                return Poll::Pending;
            }
            script.opened -= 1;
            Poll::Ready(Ok(Nothing::default()))
        }

        fn poll_outbound(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<io::Result<Self::Substream>> {
            Poll::Ready(Ok(Nothing::default()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            unreachable!("streams that come are asked for alone")
        }
    }

    impl Usable for Fake {}

    /// What a poll of the connection has found.
    type Found = io::Result<Vec<Substream<Nothing>>>;

    struct Polled {
        muxer: Apart<Fake>,
        found: Sender<Found>,
    }

    impl Future for Polled {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if let Poll::Ready(outcome) = Pin::new(&mut self.muxer).poll(cx) {
                let _ = self.found.send(outcome.map(|_| Vec::new()));
                return Poll::Ready(());
            }
            let mut streams = Vec::new();
            while let Poll::Ready(stream) = Pin::new(&mut self.muxer).poll_inbound(cx) {
                streams.push(stream.unwrap());
            }
            let _ = self.found.send(Ok(streams));
            Poll::Pending
        }
    }

    struct Fixture {
        fake: Fake,
        found: Receiver<Found>,
        stop: oneshot::Sender<()>,
        network: JoinHandle<()>,
    }

    impl Fixture {
        /// Its connection has been polled once, and nobody polls it.
        fn new() -> Self {
            let fake = Fake::default();
            let (found, finds) = channel();
            let connection = Polled { muxer: Apart::new(fake.clone()), found };
            let (stop, stopped) = oneshot::channel();
            let network = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async move {
                    task::executor()(Box::pin(connection));
                    let _ = stopped.await;
                });
            });
            assert_eq!(finds.recv().unwrap().unwrap().len(), 0);
            let fixture = Fixture { fake, found: finds, stop, network };
            fixture.settle();
            fixture
        }

        /// Its own thread may be polling it still, and would be asked to once more.
        fn settle(&self) {
            loop {
                self.fake.take_polls();
                task::here(|| self.fake.wake());
                if self.fake.take_polls() == [thread::current().id()] {
                    while self.found.try_recv().is_ok() {}
                    return;
                }
                self.found.recv().unwrap().unwrap();
            }
        }
    }

    #[test]
    fn what_is_for_its_streams_alone_is_nothing_to_the_connection() {
        let f = Fixture::new();
        for _ in 0..5 {
            task::here(|| f.fake.wake());
        }
        assert_eq!(f.fake.take_polls(), [thread::current().id(); 5]);
        assert!(f.found.try_recv().is_err(), "the connection was polled");
    }

    #[test]
    fn outside_of_the_loop_the_connection_is_polled() {
        let f = Fixture::new();
        f.fake.wake();
        assert!(f.found.recv().unwrap().unwrap().is_empty());
        assert_eq!(f.fake.take_polls(), [f.network.thread().id()]);
    }

    #[test]
    fn streams_that_come_are_the_connections() {
        let f = Fixture::new();
        f.fake.change(|script| script.opened = 3);
        task::here(|| f.fake.wake());
        let first = f.found.recv().unwrap().unwrap();
        assert_eq!(first.len(), 3);
        f.fake.take_polls();
        f.fake.change(|script| script.opened = MAX_WAITING + 7);
        task::here(|| f.fake.wake());
        let mine = f.fake.take_polls().iter().filter(|id| **id == thread::current().id()).count();
        assert!(mine <= 8 * OPENED_A_TURN, "{mine}: the rest is the network's thread's");
        let mut all = Vec::new();
        while all.len() < MAX_WAITING + 7 {
            all.extend(f.found.recv().unwrap().unwrap());
        }
        f.fake.change(|script| assert_eq!(script.opened, 0));
    }

    #[test]
    fn a_stream_that_is_gone_wakes_the_connection() {
        let f = Fixture::new();
        f.fake.change(|script| script.opened = 1);
        task::here(|| f.fake.wake());
        let streams = f.found.recv().unwrap();
        f.settle();
        task::here(|| drop(streams));
        assert!(f.found.recv().unwrap().unwrap().is_empty());
    }

    #[test]
    fn a_muxer_that_fails_ends_the_connection() {
        let f = Fixture::new();
        f.fake.change(|script| script.fails = true);
        task::here(|| f.fake.wake());
        let failed = f.found.recv().unwrap().err().unwrap();
        assert!(failed.to_string().contains("reset"), "{failed}");
        assert!(f.found.recv().is_err(), "it has ended");
    }

    #[test]
    fn whoever_keeps_a_waker_keeps_no_muxer() {
        let f = Fixture::new();
        let waker = f.fake.0.lock().unwrap().waker.take().unwrap();
        assert_eq!(Arc::strong_count(&f.fake.0), 2);
        f.stop.send(()).unwrap();
        f.network.join().unwrap();
        assert_eq!(Arc::strong_count(&f.fake.0), 1);
        task::here(|| waker.wake());
        assert!(f.fake.take_polls().len() <= 1, "that of its start");
    }
}
