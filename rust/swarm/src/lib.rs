//! libp2p peers and streams for a foreign event loop (KJ's).
//!
//! * The swarm lives on a tokio thread of its own. What the C side calls it calls from the loop's
//!   thread only, and nothing there waits but `ww_swarm_new` and `ww_swarm_drop`.
//! * One hook, `ring`, is called from any thread, the loop's included, once a batch of events.
//!   `ww_swarm_next` hands them over; what is in them belongs to the caller.
//! * A stream is polled by the loop's thread itself (`stream.rs`), and once that has written to it,
//!   so is its whole connection (`task.rs`, `watch.rs`). It may outlive the swarm.
//! * Peer ids and addresses cross in their binary forms.
//!
//! `rust/include/ww_swarm.h` is the C side of this crate; the two must agree.

mod addresses;
mod behaviour;
#[cfg(feature = "bench")]
pub mod bench;
mod code;
mod command;
mod crowd;
mod direct;
mod finds;
mod half_open;
mod inbox;
mod keepalive;
mod listening;
mod live;
mod muxer;
mod node;
mod operations;
mod options;
mod reach;
mod reasons;
mod round_trip;
mod stream;
mod streams;
mod task;
mod transport;
mod watch;

use behaviour::Settings;
use command::{Command, Commands};
use inbox::{Event, Inbox, Kind};
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use listening::Listening;
use live::Live;
use node::{Node, Parts};
use options::WwSwarmOptions;
use reach::Reach;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use stream::WwStream;
use watch::Watch;
use ww_fence::{ErrorKind, Failure, WwBytes, WwError, WwSlice, deliver, guard, unheard};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WwSwarmHooks {
    /// Any thread, under a lock: only ring. `noexcept` on the other side.
    pub ring: extern "C" fn(hub: *mut c_void),
    /// Any thread. Whether an address is not on the public internet, or none that the other side
    /// knows. Nor may it throw.
    pub is_private: extern "C" fn(hub: *mut c_void, address: WwSlice) -> bool,
}

#[repr(C)]
pub struct WwSwarmEvent {
    pub kind: u32,
    pub code: u32,
    pub id: u64,
    pub value: u64,
    pub peer: WwBytes,
    pub text: WwBytes,
    pub from: WwBytes,
    pub stream: *mut WwStream,
}

pub struct WwSwarm {
    commands: Commands,
    submitted: Mutex<Vec<Command>>,
    inbox: Arc<Inbox>,
    watch: Arc<Watch>,
    live: Arc<Live>,
    batch: VecDeque<Event>,
    thread: Option<JoinHandle<()>>,
}

fn other(error: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Other, error)
}

fn resources(error: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Resources, error)
}

/// What listens before the first command is taken.
fn begin(
    key: Keypair,
    settings: &Settings,
    inbox: &Arc<Inbox>,
    watch: &Arc<Watch>,
    live: Arc<Live>,
) -> Result<(direct::Dialer, Option<Parts>), Failure> {
    let failed = |address: &Multiaddr, e: &dyn std::error::Error| {
        let why = reasons::chain(e);
        let foreign = why.contains("(os error 99)"); // EADDRNOTAVAIL
        let hint = if foreign { "; this machine has no such address" } else { "" };
        other(format!("cannot listen on {address}: {why}{hint}"))
    };
    let direct = direct::begin(&key, settings, inbox).map_err(|(a, e)| failed(&a, &e))?;
    if !settings.network {
        return Ok((direct, None));
    }
    let theirs = inbox.clone();
    let reach = Reach::new(settings.dial_private, move |address| theirs.is_private(address));
    let built = behaviour::build(key, settings, watch, live.clone(), reach.clone());
    let mut swarm = built.map_err(other)?;
    let listening =
        Listening::begin(&mut swarm, settings, &reach).map_err(|(a, e)| failed(&a, &*e))?;
    Ok((direct, Some(Parts { swarm, live, reach, listening })))
}

/// On the swarm's thread. Tells `started` once it listens, or why not.
fn serve(
    key: Keypair,
    settings: Settings,
    inbox: Arc<Inbox>,
    watch: Arc<Watch>,
    live: Arc<Live>,
    commands: tokio::sync::mpsc::UnboundedReceiver<Command>,
    started: mpsc::Sender<Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(resources)?;
    runtime.block_on(async move {
        match begin(key, &settings, &inbox, &watch, live) {
            Ok((direct, swarm)) => {
                let _ = started.send(Ok(()));
                match swarm {
                    Some(parts) => {
                        Node::new(parts, inbox, settings, direct).run(commands).await;
                    }
                    None => direct::run(direct, commands).await,
                }
            }
            Err(failure) => drop(started.send(Err(failure))),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100)); // a name that is being looked up
    Ok(())
}

fn start(
    key: Keypair,
    settings: Settings,
    hooks: WwSwarmHooks,
    hub: *mut c_void,
) -> Result<WwSwarm, Failure> {
    let inbox = Arc::new(Inbox::new(hooks, hub));
    let (commands, received) = tokio::sync::mpsc::unbounded_channel();
    let (started, begun) = mpsc::channel();
    let theirs = inbox.clone();
    let watch = Watch::new().map_err(resources)?;
    let watched = watch.clone();
    let live = Live::new(inbox.clone());
    let lives = live.clone();
    let thread = std::thread::Builder::new()
        .name("ww-swarm".into())
        .spawn(move || {
            let ended = theirs.clone();
            if let Err(failure) =
                guard(|| serve(key, settings, theirs, watched, lives, received, started))
            {
                let mut event = Event::new(Kind::Warning, 0);
                event.code = code::ENDED;
                event.text = failure.text.into_bytes();
                ended.push(event);
            }
        })
        .map_err(resources)?;
    let begun =
        begun.recv().unwrap_or_else(|_| Err(other("the network's thread ended at its start")));
    begun.inspect_err(|_| drop(inbox.close()))?; // that thread may yet have something to say
    let (submitted, batch) = Default::default();
    Ok(WwSwarm { commands, submitted, inbox, watch, live, batch, thread: Some(thread) })
}

/// Waits until the swarm listens.
///
/// # Safety
/// The pointers are valid; `hub` is what the hook takes, until `ww_swarm_drop` has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_new(
    options: *const WwSwarmOptions,
    hooks: *const WwSwarmHooks,
    hub: *mut c_void,
    error: *mut WwError,
) -> *mut WwSwarm {
    unsafe {
        deliver(error, ptr::null_mut(), || {
            let (key, settings) = (*options).read()?;
            start(key, settings, *hooks, hub).map(|swarm| Box::into_raw(Box::new(swarm)))
        })
    }
}

/// Stops and joins. No ring after it has returned.
///
/// # Safety
/// Given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_drop(swarm: *mut WwSwarm) {
    unheard(|| {
        let mut swarm = unsafe { Box::from_raw(swarm) };
        drop(swarm.inbox.close());
        let _ = swarm.commands.send(Command::Stop);
        if let Some(thread) = swarm.thread.take() {
            let _ = thread.join();
        }
    });
}

/// A descriptor of the swarm's, readable when `ww_swarm_turn` has something to do.
///
/// # Safety
/// `swarm` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_fd(swarm: *const WwSwarm) -> i32 {
    unsafe { (*swarm).watch.fd() }
}

/// Reads what has come for streams. What that gives is there for `ww_swarm_next`, without a ring.
///
/// # Safety
/// `swarm` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_turn(swarm: *const WwSwarm) {
    let swarm = unsafe { &*swarm };
    unheard(|| swarm.inbox.quietly(|| task::here(|| swarm.watch.turn())));
}

/// False: nothing is left, and the hook rings for the next batch.
///
/// # Safety
/// `event` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_next(swarm: *mut WwSwarm, event: *mut WwSwarmEvent) -> bool {
    let swarm = unsafe { &mut *swarm };
    if swarm.batch.is_empty() {
        swarm.batch = swarm.inbox.take();
    }
    let Some(next) = swarm.batch.pop_front() else { return false };
    unsafe { event.write(next.into_c()) };
    true
}
