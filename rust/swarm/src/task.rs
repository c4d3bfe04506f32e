//! A connection's task is the network's thread's until the loop writes to one of its streams. From
//! then on it is the loop's: that thread itself sends what it has written, and reads what comes
//! (`watch.rs`), where otherwise each would wake another thread. What the network's thread has to
//! do to it, and more than a turn's work of the loop, is done there all the same.

use futures::task::AtomicWaker;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A peer that sends without end gets no more of a thread at a time.
const READS_A_TURN: u32 = 32;

#[derive(Clone, Copy)]
struct Turn {
    loops: bool,
    reads: u32, // that are left
}

thread_local! {
    /// Of the task that this thread polls.
    static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
    /// What was woken on this thread within `here`.
    static WOKEN: RefCell<Option<Vec<Arc<Task>>>> = const { RefCell::new(None) };
}

struct Task {
    work: Mutex<Option<Work>>, // none once it has ended
    home: AtomicWaker,         // wakes the task on the network's thread
    network: Handle,
    loops: AtomicBool,
}

impl Task {
    fn poll(self: &Arc<Self>, work: &mut Option<Work>) -> Poll<()> {
        let waker = Waker::from(self.clone());
        let Some(future) = work else { return Poll::Ready(()) };
        let loops = self.loops.load(Ordering::Relaxed);
        struct Over;
        impl Drop for Over {
            fn drop(&mut self) {
                TURN.set(None);
            }
        }
        TURN.set(Some(Turn { loops, reads: READS_A_TURN }));
        let over = Over; // even where the future panics
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        drop(over);
        if polled.is_ready() {
            *work = None;
        }
        polled
    }

    /// On the loop's thread, once, within tokio's budget.
    fn poll_here(self: &Arc<Self>) {
        let mut work = match self.work.try_lock() {
            Ok(work) => work,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.home.wake(), // being polled: once more
        };
        let polled = self.network.block_on(poll_fn(|_| Poll::Ready(self.poll(&mut work))));
        drop(work);
        if polled.is_ready() {
            self.home.wake();
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let left = WOKEN.with_borrow_mut(|woken| match woken {
            Some(list) => {
                self.loops.store(true, Ordering::Relaxed);
                if !list.iter().any(|other| Arc::ptr_eq(other, &self)) {
                    list.push(self);
                }
                None
            }
            None => Some(self),
        });
        if let Some(task) = left {
            task.home.wake();
        }
    }
}

/// The task's place on the network's thread. What it held ends with it, whoever keeps a waker.
struct Home(Arc<Task>);

impl Future for Home {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.home.register(cx.waker());
        let mut work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.poll(&mut work)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut work = self.0.work.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = work.take();
        drop(work);
        drop(ended);
    }
}

/// Call it on the runtime whose threads are the network's.
pub fn executor() -> impl Fn(Work) + Send + 'static {
    let network = Handle::current();
    move |work| {
        let task = Task {
            work: Mutex::new(Some(work)),
            home: AtomicWaker::new(),
            network: network.clone(),
            loops: AtomicBool::new(false),
        };
        network.spawn(Home(Arc::new(task)));
    }
}

/// Gathers what is woken, and ends with that, even where `act` panics.
struct Gathering;

impl Drop for Gathering {
    fn drop(&mut self) {
        for task in WOKEN.take().unwrap_or_default() {
            task.home.wake();
        }
    }
}

/// What was woken and not polled, since another panicked, is the network's thread's to poll.
struct Left(VecDeque<Arc<Task>>);

impl Drop for Left {
    fn drop(&mut self) {
        for task in self.0.drain(..) {
            task.home.wake();
        }
    }
}

/// Runs what the loop's thread does to a stream, and then what that woke.
pub fn here<T>(act: impl FnOnce() -> T) -> T {
    WOKEN.set(Some(Vec::new()));
    let gathering = Gathering;
    let outcome = act();
    work();
    drop(gathering);
    outcome
}

/// Within `here`: polls what was woken. False if nothing was.
pub fn work() -> bool {
    let Some(tasks) = WOKEN.take().filter(|tasks| !tasks.is_empty()) else { return false };
    let mut left = Left(tasks.into());
    while let Some(task) = left.0.pop_front() {
        task.poll_here(); // who wakes itself meanwhile has had its turn here
    }
    WOKEN.set(Some(Vec::new()));
    true
}

/// Whether what is polled here is for the loop's thread to watch.
pub fn is_the_loops() -> bool {
    TURN.get().is_some_and(|turn| turn.loops)
}

/// Takes one of the reads that this turn has; false if none is left.
pub fn may_read() -> bool {
    let Some(turn) = TURN.get() else { return true };
    let reads = turn.reads.checked_sub(1);
    TURN.set(reads.map(|reads| Turn { reads, ..turn }).or(Some(turn)));
    reads.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, ThreadId};
    use tokio::sync::oneshot;

    /// Tells on which thread it is polled.
    struct Told {
        by: Sender<ThreadId>,
        waker: Arc<AtomicWaker>,
        _held: Arc<()>,
    }

    impl Future for Told {
        type Output = ();
        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.waker.register(cx.waker());
            let _ = self.by.send(thread::current().id());
            Poll::Pending
        }
    }

    struct Fixture {
        polled: Receiver<ThreadId>,
        waker: Arc<AtomicWaker>,
        held: Arc<()>,
        stop: oneshot::Sender<()>,
        network: thread::JoinHandle<()>,
    }

    fn fixture() -> Fixture {
        let (by, polled) = channel();
        let (stop, stopped) = oneshot::channel();
        let (waker, held) = (Arc::new(AtomicWaker::new()), Arc::new(()));
        let told = Told { by, waker: waker.clone(), _held: held.clone() };
        let network = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async move {
                executor()(Box::pin(told));
                let _ = stopped.await;
            });
        });
        Fixture { polled, waker, held, stop, network }
    }

    #[test]
    fn what_a_thread_wakes_within_here_it_polls() {
        let f = fixture();
        let (me, network) = (thread::current().id(), f.network.thread().id());
        assert_eq!(f.polled.recv(), Ok(network), "at its start");
        f.waker.wake();
        assert_eq!(f.polled.recv(), Ok(network), "woken outside");
        // Its own thread may be polling it still, and then polls it once more.
        loop {
            here(|| f.waker.wake());
            if f.polled.recv() == Ok(me) {
                break;
            }
        }
        here(|| assert!(!work(), "nothing was woken"));
    }

    #[test]
    fn a_task_ends_with_the_network_though_its_waker_is_kept() {
        let f = fixture();
        f.polled.recv().unwrap();
        f.stop.send(()).unwrap();
        f.network.join().unwrap();
        assert_eq!(Arc::strong_count(&f.held), 1, "what the task held is gone");
        here(|| f.waker.wake());
        assert!(f.polled.try_recv().is_err());
    }

    #[test]
    fn a_turn_has_so_many_reads() {
        assert!(may_read(), "outside of any task there is no limit");
        TURN.set(Some(Turn { loops: true, reads: 2 }));
        assert!(is_the_loops() && may_read() && may_read());
        assert!(!may_read() && !may_read() && is_the_loops());
        TURN.set(None);
        assert!(!is_the_loops());
    }
}
