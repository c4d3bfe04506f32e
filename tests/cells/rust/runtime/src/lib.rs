//! What a Rust guest needs to speak Cap'n Proto with its host: the connection of
//! `wetware:streams` as a pair of async streams, and one executor for one thread.
//!
//! [`run`] asks the host for its bootstrap capability and drives a future on it. All that the guest
//! does happens in that call: the RPC system and the guest's own future are polled by turns until
//! neither can go on, then the guest sleeps in `wasi:io/poll` on the streams that are waited for.
//! One `run` in a guest's life, since it has one connection.
//!
//! With the argument [`POLL_ONCE`] the guest is of an older make: it polls each of the two once and
//! sleeps, whatever they still have to do. A request that it makes last stays in its own memory
//! until the host wakes it: the nudge of the wire contract.

// What `ww init --rust` lays down.
#[path = "../../../../../guest/templates/rust/connection.rs"]
mod connection;
#[cfg(own_start)]
mod start;

// Generated from the repository's schemas by build.rs. They name each other through the root.
pub mod membrane_capnp {
    include!(concat!(env!("OUT_DIR"), "/membrane_capnp.rs"));
}
pub mod node_capnp {
    include!(concat!(env!("OUT_DIR"), "/node_capnp.rs"));
}
pub mod peer_capnp {
    include!(concat!(env!("OUT_DIR"), "/peer_capnp.rs"));
}
#[allow(clippy::extra_unused_type_parameters)]
pub mod stem_capnp {
    include!(concat!(env!("OUT_DIR"), "/stem_capnp.rs"));
}

use capnp::capability::FromClientHook;
use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty::VatNetwork};
use std::{
    pin::pin,
    process::ExitCode,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Wake, Waker},
};

/// The argument that makes a guest sleep too early.
pub const POLL_ONCE: &str = "poll-once";

/// Drives `guest` on the host's bootstrap capability to its end. A failure becomes a line on
/// stderr that starts with `name`, and exit code 1.
pub fn run<C, F>(name: &str, guest: impl FnOnce(C) -> F) -> ExitCode
where
    C: FromClientHook,
    F: Future<Output = Result<ExitCode, capnp::Error>>,
{
    drive(guest).unwrap_or_else(|error| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

fn drive<C, F>(guest: impl FnOnce(C) -> F) -> Result<ExitCode, capnp::Error>
where
    C: FromClientHook,
    F: Future<Output = Result<ExitCode, capnp::Error>>,
{
    let poll_once = std::env::args().any(|argument| argument == POLL_ONCE);
    let (reader, writer, sleeper) = connection::open();
    let network = VatNetwork::new(reader, writer, Side::Client, Default::default());
    let mut rpc = RpcSystem::new(Box::new(network), None);
    let mut work = pin!(guest(rpc.bootstrap(Side::Server)));
    let mut rpc = pin!(rpc);

    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        let closed = rpc.as_mut().poll(&mut context);
        // Also when the connection is gone: what has come may be all that the guest waits for.
        if let Poll::Ready(end) = work.as_mut().poll(&mut context) {
            return end;
        }
        if let Poll::Ready(end) = closed {
            return Err(end.err().unwrap_or_else(|| gone("the host closed the connection")));
        }
        let has_more = woken.take();
        if has_more && !poll_once {
            continue;
        }
        // With neither end parked, what came is still to be seen to, however seldom it polls.
        if !sleeper.sleep() {
            if has_more {
                continue;
            }
            return Err(gone("nothing left to wait for"));
        }
    }
}

fn gone(why: &str) -> capnp::Error {
    capnp::Error::disconnected(why.into())
}

/// Remembers that something can go on.
#[derive(Default)]
struct Woken(AtomicBool);

impl Woken {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
