//! A connection's task is the network's thread's, but what the loop's thread has just written, that
//! thread sends itself: it polls the task that its write woke, where otherwise it would wake a
//! thread. Reading stays where the socket is watched.

use futures::task::AtomicWaker;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// What was woken on this thread within `here`.
    static WOKEN: RefCell<Option<Vec<Arc<Task>>>> = const { RefCell::new(None) };
}

struct Task {
    work: Mutex<Option<Work>>, // none once it has ended
    home: AtomicWaker,         // wakes the task on the network's thread
    network: Handle,
}

impl Task {
    fn poll(self: &Arc<Self>, work: &mut Option<Work>) -> Poll<()> {
        let waker = Waker::from(self.clone());
        let Some(future) = work else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            *work = None;
        }
        polled
    }

    /// On the loop's thread, once, within tokio's budget: a peer that sends without end gets no more
    /// of the loop than that.
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
    for task in tasks {
        task.poll_here(); // who wakes itself meanwhile has had its turn here
    }
    WOKEN.set(Some(Vec::new()));
    true
}
