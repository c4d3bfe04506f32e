//! A connection's task is the network's thread's until the loop writes to one of its streams. From
//! then on it is the loop's: that thread itself sends what it has written, and reads what comes
//! (`watch.rs`), where otherwise each would wake another thread. What the network's thread has to
//! do to it, and more than a turn's work of the loop, is done there all the same. The loop polls no
//! more of it than its muxer, where that is enough (`muxer.rs`).

use futures::task::AtomicWaker;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A peer that sends without end gets no more of a thread at a time.
const READS_A_TURN: u32 = 32;

/// Polls of a task that wakes itself, before the rest is the network's thread's.
const TURNS: u32 = 4;

struct Turn {
    task: Arc<Task>,
    reads: u32,  // that are left
    spent: bool, // one more was asked for
}

thread_local! {
    /// Of the task that this thread polls.
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
    /// What was woken on this thread within `here`.
    static WOKEN: RefCell<Option<Vec<Arc<dyn Part>>>> = const { RefCell::new(None) };
}

/// A connection's task, or what of it can be polled without the rest.
pub trait Part: Send + Sync {
    /// On the loop's thread, once.
    fn poll_here(self: Arc<Self>);
    /// The network's thread is to poll it.
    fn go_home(&self);
}

/// Within `here`, keeps what was woken for this thread to poll. False elsewhere, and in a turn that
/// is spent.
pub fn gather(part: &Arc<impl Part + 'static>) -> bool {
    let spent = of_turn(|turn| turn.spent).unwrap_or(false);
    !spent
        && WOKEN.with_borrow_mut(|woken| {
            let Some(list) = woken else { return false };
            let part: Arc<dyn Part> = part.clone();
            if !list.iter().any(|other| Arc::ptr_eq(other, &part)) {
                list.push(part);
            }
            true
        })
}

struct Task {
    work: Mutex<Option<Work>>, // none once it has ended
    home: AtomicWaker,         // wakes the task on the network's thread
    network: Handle,
    loops: AtomicBool,
    heard: AtomicBool, // since somebody asked
    given_up: AtomicBool,
}

impl Task {
    fn new(work: Work, network: Handle) -> Self {
        Task {
            work: Mutex::new(Some(work)),
            home: AtomicWaker::new(),
            network,
            loops: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
        }
    }

    fn in_turn<T>(self: &Arc<Self>, act: impl FnOnce() -> T) -> T {
        struct Over;
        impl Drop for Over {
            fn drop(&mut self) {
                TURN.take();
            }
        }
        TURN.set(Some(Turn { task: self.clone(), reads: READS_A_TURN, spent: false }));
        let _over = Over; // even where it panics
        act()
    }

    fn poll(self: &Arc<Self>, work: &mut Option<Work>) -> Poll<()> {
        let waker = Waker::from(self.clone());
        let Some(future) = work else { return Poll::Ready(()) };
        let polled = self.in_turn(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        if polled.is_ready() {
            *work = None;
        }
        polled
    }

    /// Within tokio's budget.
    fn poll_once(self: &Arc<Self>) {
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
        if gather(&self) {
            self.loops.store(true, Ordering::Relaxed);
        } else {
            self.home.wake();
        }
    }
}

impl Part for Task {
    fn poll_here(self: Arc<Self>) {
        self.poll_once();
    }

    fn go_home(&self) {
        self.home.wake();
    }
}

/// Sends it home unless it is done: also where its poll panics.
struct Polling(Option<Arc<dyn Part>>);

impl Drop for Polling {
    fn drop(&mut self) {
        if let Some(part) = self.0.take() {
            part.go_home();
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
        network.spawn(Home(Arc::new(Task::new(work, network.clone()))));
    }
}

/// Gathers what is woken, and ends with that, even where `act` panics.
struct Gathering;

impl Drop for Gathering {
    fn drop(&mut self) {
        for part in WOKEN.take().unwrap_or_default() {
            part.go_home();
        }
    }
}

/// What was woken and not polled, since another panicked, is the network's thread's to poll.
struct Left(VecDeque<Arc<dyn Part>>);

impl Drop for Left {
    fn drop(&mut self) {
        for part in self.0.drain(..) {
            part.go_home();
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

fn take_woken() -> Vec<Arc<dyn Part>> {
    WOKEN.with_borrow_mut(|woken| woken.as_mut().map(mem::take)).unwrap_or_default()
}

/// Within `here`: polls what was woken, and what that wakes. False if nothing was.
pub fn work() -> bool {
    let mut left = Left(take_woken().into());
    let any = !left.0.is_empty();
    for _ in 0..TURNS {
        while let Some(part) = left.0.pop_front() {
            let mut polling = Polling(Some(part.clone()));
            part.poll_here();
            polling.0 = None;
        }
        left.0 = take_woken().into();
    }
    any
}

/// A connection's task, for whoever watches over it.
pub struct Watched(Weak<Task>);

impl Watched {
    /// Whether its socket was read from since this was asked last.
    pub fn take_heard(&self) -> bool {
        self.0.upgrade().is_some_and(|task| task.heard.swap(false, Ordering::Relaxed))
    }

    /// The loop's thread watches over it from now on.
    pub fn set_the_loops(&self) {
        if let Some(task) = self.0.upgrade() {
            task.loops.store(true, Ordering::Relaxed);
        }
    }

    /// The network's thread polls it.
    pub fn go_home(&self) {
        if let Some(task) = self.0.upgrade() {
            task.home.wake();
        }
    }

    /// `act` in a turn of the task's, without the task. Nothing once it has ended.
    pub fn apart(&self, act: impl FnOnce()) {
        if let Some(task) = self.0.upgrade() {
            let _runtime = task.network.enter();
            task.in_turn(act);
        }
    }

    /// Its socket fails from now on: closing waits for what the peer does not take otherwise.
    pub fn give_up(&self) {
        if let Some(task) = self.0.upgrade() {
            task.given_up.store(true, Ordering::SeqCst);
            task.home.wake();
        }
    }
}

fn of_turn<T>(act: impl FnOnce(&mut Turn) -> T) -> Option<T> {
    TURN.with_borrow_mut(|turn| turn.as_mut().map(act))
}

/// That of what is polled here.
pub fn current() -> Option<Watched> {
    of_turn(|turn| Watched(Arc::downgrade(&turn.task)))
}

/// Whether what is polled here is for the loop's thread to watch.
pub fn is_the_loops() -> bool {
    of_turn(|turn| turn.task.loops.load(Ordering::Relaxed)).unwrap_or(false)
}

pub fn is_given_up() -> bool {
    of_turn(|turn| turn.task.given_up.load(Ordering::SeqCst)).unwrap_or(false)
}

/// The peer of what is polled here has sent something.
pub fn heard() {
    of_turn(|turn| turn.task.heard.store(true, Ordering::Relaxed));
}

/// Takes one of the reads that this turn has; false if none is left.
pub fn may_read() -> bool {
    of_turn(|turn| {
        turn.spent = turn.reads == 0;
        turn.reads = turn.reads.saturating_sub(1);
        !turn.spent
    })
    .unwrap_or(true)
}

/// Polls `act` once, in a task of its own, which is the loop's.
#[cfg(test)]
pub fn within_a_task(act: impl FnOnce() + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let task = Task::new(Box::pin(async { act() }), runtime.handle().clone());
    task.loops.store(true, Ordering::Relaxed);
    runtime.block_on(Home(Arc::new(task)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, ThreadId};
    use tokio::sync::oneshot;

    /// Tells on which thread it is polled.
    struct Told {
        by: Sender<ThreadId>,
        waker: Arc<AtomicWaker>,
        again: Arc<AtomicU32>,
        _held: Arc<()>,
    }

    impl Future for Told {
        type Output = ();
        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.waker.register(cx.waker());
            let left = self.again.load(Ordering::SeqCst);
            if left > 0 {
                self.again.store(left - 1, Ordering::SeqCst);
                cx.waker().wake_by_ref();
            }
            let _ = self.by.send(thread::current().id());
            Poll::Pending
        }
    }

    struct Fixture {
        polled: Receiver<ThreadId>,
        waker: Arc<AtomicWaker>,
        again: Arc<AtomicU32>, // it wakes itself so often
        held: Arc<()>,
        stop: oneshot::Sender<()>,
        network: thread::JoinHandle<()>,
    }

    fn fixture() -> Fixture {
        let (by, polled) = channel();
        let (stop, stopped) = oneshot::channel();
        let (waker, held) = (Arc::new(AtomicWaker::new()), Arc::new(()));
        let again = Arc::new(AtomicU32::new(0));
        let told = Told { by, waker: waker.clone(), again: again.clone(), _held: held.clone() };
        let network = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async move {
                executor()(Box::pin(told));
                let _ = stopped.await;
            });
        });
        Fixture { polled, waker, again, held, stop, network }
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
    fn who_wakes_itself_is_polled_some_more_and_then_at_home() {
        let f = fixture();
        let (me, network) = (thread::current().id(), f.network.thread().id());
        assert_eq!(f.polled.recv(), Ok(network), "at its start");
        loop {
            here(|| f.waker.wake());
            if f.polled.recv() == Ok(me) {
                break;
            }
        }
        f.again.store(TURNS + 1, Ordering::SeqCst);
        here(|| f.waker.wake());
        let by: Vec<_> = (0..TURNS + 2).map(|_| f.polled.recv().unwrap()).collect();
        assert_eq!(by[..TURNS as usize], [me; TURNS as usize]);
        assert_eq!(by[TURNS as usize..], [network; 2]);
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
        within_a_task(|| {
            assert!(is_the_loops());
            assert_eq!((0..READS_A_TURN + 5).filter(|_| may_read()).count(), 32);
        });
        assert!(may_read() && !is_the_loops());
    }

    #[test]
    fn who_watches_a_task_learns_of_its_peer_and_can_give_it_up() {
        assert!(current().is_none() && !is_given_up());
        heard(); // of nothing
        let (told, watched) = channel();
        within_a_task(move || {
            let own = current().unwrap();
            assert!(!own.take_heard() && !is_given_up());
            heard();
            assert!(own.take_heard() && !own.take_heard());
            own.give_up();
            assert!(is_given_up());
            told.send(own).unwrap();
        });
        let ended = watched.recv().unwrap();
        ended.give_up();
        assert!(!ended.take_heard());
    }
}
