//! The engine's tick: what makes a running guest yield to the loop.
//!
//! A thread counts ticks while guests are being polled. When nothing was polled for a while it
//! sleeps, so that an idle node costs no processor time; the next poll wakes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use wasmtime::EngineWeak;

/// So many ticks without a poll, and the thread sleeps.
const IDLE_TICKS: u32 = 50;

#[derive(Default)]
struct Shared {
    period: Duration,
    ticks: AtomicU64,
    begun: AtomicU64, // polls
    ended: AtomicU64,
    asleep: AtomicBool,
    stop: AtomicBool,
    bell: (Mutex<()>, Condvar),
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

    pub fn clock(&self) -> TickClock {
        TickClock(self.shared.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.shared.wake();
    }
}

/// What a cell needs of the ticker.
#[derive(Clone)]
pub struct TickClock(Arc<Shared>);

impl TickClock {
    /// A poll begins; returns the tick it begins in.
    pub fn begin_poll(&self) -> u64 {
        self.0.begun.fetch_add(1, SeqCst);
        if self.0.asleep.load(SeqCst) {
            self.0.wake();
        }
        self.now()
    }

    /// Ends the poll when it is dropped.
    pub fn polling(&self) -> Polling<'_> {
        Polling(&self.0)
    }

    pub fn now(&self) -> u64 {
        self.0.ticks.load(Relaxed)
    }

    pub fn half_a_tick_ns(&self) -> u64 {
        self.0.period.as_nanos() as u64 / 2
    }
}

pub struct Polling<'a>(&'a Shared);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}

impl Shared {
    fn run(&self, engine: EngineWeak) {
        let mut seen = 0;
        let mut idle = 0;
        while !self.stop.load(SeqCst) {
            std::thread::sleep(self.period);
            let Some(engine) = engine.upgrade() else {
                break;
            };
            self.ticks.fetch_add(1, Relaxed);
            engine.increment_epoch();
            // A poll lasts as long as its guest computes: only one that has ended is idleness.
            let begun = self.begun.load(Relaxed);
            let busy = begun != seen || self.ended.load(Relaxed) != begun;
            idle = if busy { 0 } else { idle + 1 };
            seen = begun;
            if idle >= IDLE_TICKS {
                drop(engine);
                self.sleep(seen);
                idle = 0;
            }
        }
    }

    fn sleep(&self, seen: u64) {
        let mut guard = self.bell.0.lock().unwrap();
        self.asleep.store(true, SeqCst);
        // A poll that began before `asleep` could be seen does not ring.
        while self.begun.load(SeqCst) == seen && !self.stop.load(SeqCst) {
            guard = self.bell.1.wait(guard).unwrap();
        }
        self.asleep.store(false, SeqCst);
    }

    fn wake(&self) {
        let _guard = self.bell.0.lock().unwrap();
        self.bell.1.notify_all();
    }
}
