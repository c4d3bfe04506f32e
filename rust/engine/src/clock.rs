//! `wasi:clocks/monotonic-clock` on the foreign loop's own timer: no runtime, no second thread.
//!
//! A guest that waits leaves its earliest deadline in its cell; `ww_cell_poll` hands it out, and
//! the loop polls the cell again at that time. Nothing to cancel: every poll starts afresh.

use crate::State;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the process first asked.
pub fn now() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// What this thread has computed, in nanoseconds.
pub fn cpu() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// The earliest time at which a cell wants to be polled again; `u64::MAX` for never.
#[derive(Clone)]
pub struct Deadline(Arc<AtomicU64>);

impl Deadline {
    pub fn new() -> Self {
        Deadline(Arc::new(AtomicU64::new(u64::MAX)))
    }

    pub fn clear(&self) {
        self.0.store(u64::MAX, Relaxed);
    }

    pub fn at_latest(&self, time: u64) {
        self.0.fetch_min(time, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

struct Timer {
    at: u64,
    deadline: Deadline,
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        poll_fn(|_| {
            if now() >= self.at {
                Poll::Ready(())
            } else {
                self.deadline.at_latest(self.at);
                Poll::Pending
            }
        })
        .await
    }
}

fn timer(
    mut cx: StoreContextMut<'_, State>,
    at: u64,
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    let state = cx.data_mut();
    let timer = state.table.push(Timer { at, deadline: state.deadline.clone() })?;
    Ok((subscribe(&mut state.table, timer)?,))
}

pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut clock = linker.instance("wasi:clocks/monotonic-clock@0.2.12")?;
    clock.func_wrap("now", |_cx, ()| Ok((now(),)))?;
    clock.func_wrap("subscribe-instant", |cx, (at,): (u64,)| timer(cx, at))?;
    clock.func_wrap("subscribe-duration", |cx, (d,): (u64,)| timer(cx, now().saturating_add(d)))?;
    Ok(())
}
