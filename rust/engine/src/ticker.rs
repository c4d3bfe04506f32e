//! The engine's tick: what makes a running guest yield to the loop.
//!
//! A thread counts ticks while guests are being polled, by whichever loop. When nothing was polled
//! for a while it sleeps, so that an idle node costs no processor time; the next poll wakes it.
//! Each loop counts its polls and cells in a place of its own: what two processors write by turns
//! costs both.

use crate::trim::{self, Census, Trim};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use wasmtime::EngineWeak;

/// So many ticks without a poll, and the thread sleeps.
const IDLE_TICKS: u32 = 50;

/// What one loop counts. Its thread alone writes it.
#[derive(Default)]
#[repr(align(128))] // a cache line, and the one that is fetched with it
struct Counts {
    polls_begun: AtomicU64,
    polls_ended: AtomicU64,
    cells_begun: AtomicU64,
    cells_ended: AtomicU64,
}

#[derive(Default)]
#[repr(align(128))]
struct Shared {
    period: Duration,
    ticks: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
    loops: Mutex<Vec<Weak<ForLoop>>>,
    bell: (Mutex<()>, Condvar),
}

struct ForLoop {
    shared: Arc<Shared>,
    counts: Counts,
}

pub struct Ticker {
    shared: Arc<Shared>,
}

impl Ticker {
    pub fn start(engine: EngineWeak, period: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { period, ..Shared::default() });
        let inner = shared.clone();
        std::thread::Builder::new().name("ww-tick".into()).spawn(move || inner.run(engine))?;
        Ok(Ticker { shared })
    }

    /// For one loop more.
    pub fn clock(&self) -> TickClock {
        let clock = Arc::new(ForLoop { shared: self.shared.clone(), counts: Counts::default() });
        let mut loops = self.shared.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|each| each.strong_count() > 0);
        loops.push(Arc::downgrade(&clock));
        TickClock(clock)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.shared.wake();
    }
}

/// What the cells of one loop need of the ticker.
#[derive(Clone)]
pub struct TickClock(Arc<ForLoop>);

impl TickClock {
    /// A poll begins; returns the tick it begins in.
    pub fn begin_poll(&self) -> u64 {
        self.0.counts.polls_begun.fetch_add(1, SeqCst);
        if self.0.shared.asleep.load(SeqCst) {
            self.0.shared.wake();
        }
        self.now()
    }

    /// Ends the poll when it is dropped.
    pub fn polling(&self) -> Polling<'_> {
        Polling(&self.0.counts)
    }

    pub fn now(&self) -> u64 {
        self.0.shared.ticks.load(Relaxed)
    }

    pub fn on_cell_begun(&self) {
        self.0.counts.cells_begun.fetch_add(1, Relaxed);
    }

    pub fn on_cell_ended(&self) {
        let before = self.0.counts.cells_ended.fetch_add(1, Relaxed);
        if before % trim::MANY == 0 && self.0.shared.asleep.load(SeqCst) {
            self.0.shared.wake();
        }
    }

    pub fn half_a_tick_ns(&self) -> u64 {
        self.0.shared.period.as_nanos() as u64 / 2
    }
}

pub struct Polling<'a>(&'a Counts);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.polls_ended.fetch_add(1, Relaxed);
    }
}

impl Shared {
    fn run(&self, engine: EngineWeak) {
        let mut seen = 0;
        let mut idle = 0;
        let mut trim = Trim::new(Instant::now());
        while !self.stop.load(SeqCst) {
            std::thread::sleep(self.period);
            let Some(engine) = engine.upgrade() else {
                break;
            };
            self.ticks.fetch_add(1, Relaxed);
            engine.increment_epoch();
            // A poll lasts as long as its guest computes: only one that has ended is idleness.
            let (begun, ended) = self.polls();
            let busy = begun != seen || ended != begun;
            idle = if busy { 0 } else { idle + 1 };
            seen = begun;
            if idle >= IDLE_TICKS {
                drop(engine);
                self.sleep(seen, &mut trim);
                idle = 0;
            } else {
                self.look_after(&mut trim);
            }
        }
    }

    /// How long until there is something to do.
    fn look_after(&self, trim: &mut Trim) -> Option<Duration> {
        let census = Census {
            begun: self.sum(|counts| counts.cells_begun.load(Relaxed)),
            ended: self.sum(|counts| counts.cells_ended.load(Relaxed)),
        };
        let due = trim.due(census, Instant::now())?;
        if due.is_zero() {
            trim.run(census);
            return None;
        }
        Some(due)
    }

    /// Those that have begun, and those that have ended.
    fn polls(&self) -> (u64, u64) {
        let begun = self.sum(|counts| counts.polls_begun.load(SeqCst));
        (begun, self.sum(|counts| counts.polls_ended.load(Relaxed)))
    }

    /// Of all loops.
    fn sum(&self, of: impl Fn(&Counts) -> u64) -> u64 {
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.iter().filter_map(Weak::upgrade).map(|each| of(&each.counts)).sum()
    }

    fn sleep(&self, seen: u64, trim: &mut Trim) {
        loop {
            let due = self.look_after(trim);
            let guard = self.bell.0.lock().unwrap();
            self.asleep.store(true, SeqCst);
            // A poll that began before `asleep` could be seen does not ring.
            if self.polls().0 != seen || self.stop.load(SeqCst) {
                break;
            }
            drop(match due {
                Some(time) => self.bell.1.wait_timeout(guard, time).unwrap().0,
                None => self.bell.1.wait(guard).unwrap(),
            });
        }
        self.asleep.store(false, SeqCst);
    }

    fn wake(&self) {
        let _guard = self.bell.0.lock().unwrap();
        self.bell.1.notify_all();
    }
}
