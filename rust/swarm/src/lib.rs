//! libp2p peers and streams for a foreign event loop (KJ's).
//!
//! * The swarm lives on a tokio thread of its own. Functions here are called from the loop's thread
//!   only, never wait (but for `ww_swarm_new` and `ww_swarm_drop`), and never call back.
//! * One hook, `ring`, is called from any thread, once a batch of events. `ww_swarm_next` hands
//!   them over; what is in them belongs to the caller.
//! * A stream is polled by the loop's thread itself: see `stream.rs`. It may outlive the swarm.
//! * Peer ids and addresses cross in their binary forms.
//!
//! `rust/include/ww_swarm.h` is the C side of this file; the two must agree.

mod addresses;
mod behaviour;
#[cfg(feature = "bench")]
pub mod bench;
mod code;
mod command;
mod crowd;
mod direct;
mod half_open;
mod inbox;
mod keepalive;
mod node;
mod reasons;
mod round_trip;
mod stream;
mod streams;
mod task;
mod transport;
mod watch;

use behaviour::{Behaviour, Dht, Settings};
use command::{Command, Commands};
use inbox::{Event, Inbox, Kind};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::pnet::PreSharedKey;
use libp2p::swarm::{StreamProtocol, Swarm};
use libp2p::{Multiaddr, PeerId};
use node::Node;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{ptr, slice};
use stream::{FAILED, WwStream};
use watch::Watch;
use ww_fence::{ErrorKind, Failure, WwBytes, WwError, WwSlice, deliver, guard, unheard};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WwSwarmHooks {
    /// Any thread, under a lock: only ring. `noexcept` on the other side.
    pub ring: extern "C" fn(hub: *mut c_void),
}

#[repr(C)]
pub struct WwSwarmOptions {
    pub identity: WwSlice, // libp2p's PrivateKey message
    pub agent: WwSlice,
    pub listen: *const WwSlice,
    pub listen_count: usize,
    pub bootstrap: *const WwSlice, // each ends in /p2p/ID
    pub bootstrap_count: usize,
    pub protocols: *const WwSlice, // of raw streams, that peers may open
    pub protocol_count: usize,
    pub private_network: WwSlice, // 32 bytes, or empty
    pub direct: *const WwSlice,   // /ip…/tcp/…: where direct links are served
    pub direct_count: usize,
    pub dial_timeout_ms: u64,
    pub dht: u32, // 0 auto, 1 client, 2 server
    pub mdns: bool,
    pub network: bool, // false: nothing of libp2p's but direct links
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
    inbox: Arc<Inbox>,
    watch: Arc<Watch>,
    batch: VecDeque<Event>,
    thread: Option<JoinHandle<()>>,
}

fn other(error: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Other, error)
}

fn resources(error: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Resources, error)
}

/// # Safety
/// `count` slices stand at `list`.
unsafe fn slices(list: *const WwSlice, count: usize) -> Vec<WwSlice> {
    if count == 0 { Vec::new() } else { unsafe { slice::from_raw_parts(list, count) }.to_vec() }
}

fn multiaddr(bytes: &WwSlice) -> Result<Multiaddr, Failure> {
    Multiaddr::try_from(bytes.bytes().to_vec()).map_err(other)
}

fn peer_id(bytes: WwSlice) -> Result<PeerId, Failure> {
    PeerId::from_bytes(bytes.bytes()).map_err(other)
}

fn protocol(name: &WwSlice) -> Result<StreamProtocol, Failure> {
    StreamProtocol::try_from_owned(name.text()?).map_err(other)
}

fn bootstrap(bytes: &WwSlice) -> Result<(PeerId, Multiaddr), Failure> {
    let address = multiaddr(bytes)?;
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Ok((peer, address)),
        _ => Err(other(format!("{address} does not end in /p2p/PEERID"))),
    }
}

impl WwSwarmOptions {
    unsafe fn read(&self) -> Result<(Keypair, Settings), Failure> {
        let (listen, boot, protocols, direct) = unsafe {
            (
                slices(self.listen, self.listen_count),
                slices(self.bootstrap, self.bootstrap_count),
                slices(self.protocols, self.protocol_count),
                slices(self.direct, self.direct_count),
            )
        };
        let private_network = match self.private_network.bytes() {
            [] => None,
            bytes => Some(PreSharedKey::new(bytes.try_into().map_err(other)?)),
        };
        let settings = Settings {
            network: self.network,
            direct: direct.iter().map(multiaddr).collect::<Result<_, _>>()?,
            agent: self.agent.text()?,
            listen: listen.iter().map(multiaddr).collect::<Result<_, _>>()?,
            bootstrap: boot.iter().map(bootstrap).collect::<Result<_, _>>()?,
            protocols: protocols.iter().map(protocol).collect::<Result<_, _>>()?,
            private_network,
            dial_timeout: Duration::from_millis(self.dial_timeout_ms.max(1)),
            dht: [Dht::Auto, Dht::Client, Dht::Server][self.dht.min(2) as usize],
            mdns: self.mdns,
        };
        Ok((Keypair::from_protobuf_encoding(self.identity.bytes()).map_err(other)?, settings))
    }
}

/// What listens before the first command is taken.
fn begin(
    key: Keypair,
    settings: &Settings,
    inbox: &Arc<Inbox>,
    watch: &Arc<Watch>,
) -> Result<(direct::Dialer, Option<Swarm<Behaviour>>), Failure> {
    let failed = |address: &Multiaddr, e: &dyn std::error::Error| {
        other(format!("cannot listen on {address}: {}", reasons::chain(e)))
    };
    let direct = direct::begin(&key, settings, inbox).map_err(|(a, e)| failed(&a, &e))?;
    if !settings.network {
        return Ok((direct, None));
    }
    let mut swarm = behaviour::build(key, settings, watch).map_err(other)?;
    for address in &settings.listen {
        addresses::require_free(address).map_err(|e| failed(address, &e))?;
        swarm.listen_on(address.clone()).map_err(|e| failed(address, &e))?;
    }
    Ok((direct, Some(swarm)))
}

/// On the swarm's thread. Tells `started` once it listens, or why not.
fn serve(
    key: Keypair,
    settings: Settings,
    inbox: Arc<Inbox>,
    watch: Arc<Watch>,
    commands: tokio::sync::mpsc::UnboundedReceiver<Command>,
    started: mpsc::Sender<Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(resources)?;
    runtime.block_on(async move {
        match begin(key, &settings, &inbox, &watch) {
            Ok((direct, swarm)) => {
                let _ = started.send(Ok(()));
                match swarm {
                    Some(swarm) => Node::new(swarm, inbox, settings, direct).run(commands).await,
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
    let thread = std::thread::Builder::new()
        .name("ww-swarm".into())
        .spawn(move || {
            let ended = theirs.clone();
            if let Err(failure) = guard(|| serve(key, settings, theirs, watched, received, started))
            {
                let mut event = Event::new(Kind::Warning, 0);
                event.code = code::ENDED;
                event.text = failure.text.into_bytes();
                ended.push(event);
            }
        })
        .map_err(resources)?;
    begun.recv().map_err(|_| other("the network's thread ended at its start"))??;
    Ok(WwSwarm { commands, inbox, watch, batch: VecDeque::new(), thread: Some(thread) })
}

/// The binary form of an address that a person wrote.
///
/// # Safety
/// `bytes` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_multiaddr_parse(
    text: WwSlice,
    bytes: *mut WwBytes,
    error: *mut WwError,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let address: Multiaddr = text.text()?.parse().map_err(other)?;
            bytes.write(address.to_vec().into());
            Ok(true)
        })
    }
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

/// Sends a command; its outcome comes as a DONE with the same number. False, with the error set, if
/// there will be none.
unsafe fn submit(
    swarm: *const WwSwarm,
    error: *mut WwError,
    make: impl FnOnce() -> Result<Command, Failure>,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let ended = |_| other("the network has stopped");
            (*swarm).commands.send(make()?).map(|()| true).map_err(ended)
        })
    }
}

unsafe fn addrs(list: *const WwSlice, count: usize) -> Result<Vec<Multiaddr>, Failure> {
    unsafe { slices(list, count) }.iter().map(multiaddr).collect()
}

/// DONE: `from` lists the addresses to dial, the given and the known, their names resolved; `text`
/// says which could not be.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_resolve(
    swarm: *const WwSwarm,
    op: u64,
    peer: WwSlice,
    list: *const WwSlice,
    count: usize,
    error: *mut WwError,
) -> bool {
    unsafe {
        submit(swarm, error, || {
            Ok(Command::Resolve { op, peer: peer_id(peer)?, addrs: addrs(list, count)? })
        })
    }
}

/// DONE once the peer has said something, at once if it has before.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_dial(
    swarm: *const WwSwarm,
    op: u64,
    peer: WwSlice,
    list: *const WwSlice,
    count: usize,
    error: *mut WwError,
) -> bool {
    unsafe {
        submit(swarm, error, || {
            Ok(Command::Dial { op, peer: peer_id(peer)?, addrs: addrs(list, count)? })
        })
    }
}

/// DONE once an address of the peer is known: at once, or when somebody tells one.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_find(
    swarm: *const WwSwarm,
    op: u64,
    peer: WwSlice,
    error: *mut WwError,
) -> bool {
    unsafe { submit(swarm, error, || Ok(Command::Find { op, peer: peer_id(peer)? })) }
}

/// DONE with a stream that is a connection of its own: see `direct.rs`.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_open_direct(
    swarm: *const WwSwarm,
    op: u64,
    peer: WwSlice,
    list: *const WwSlice,
    count: usize,
    name: WwSlice,
    error: *mut WwError,
) -> bool {
    unsafe {
        submit(swarm, error, || {
            let (peer, protocol) = (peer_id(peer)?, protocol(&name)?);
            Ok(Command::Direct { op, peer, addrs: addrs(list, count)?, protocol })
        })
    }
}

/// DONE with a stream.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_open(
    swarm: *const WwSwarm,
    op: u64,
    peer: WwSlice,
    name: WwSlice,
    error: *mut WwError,
) -> bool {
    unsafe {
        submit(swarm, error, || {
            Ok(Command::Open { op, peer: peer_id(peer)?, protocol: protocol(&name)? })
        })
    }
}

/// DONE with `value` the round trip in nanoseconds, by the next ping.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_ping(
    swarm: *const WwSwarm,
    op: u64,
    peer: WwSlice,
    error: *mut WwError,
) -> bool {
    unsafe { submit(swarm, error, || Ok(Command::Ping { op, peer: peer_id(peer)? })) }
}

/// Nobody waits for this operation any more. A DONE may still come.
///
/// # Safety
/// `swarm` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_forget(swarm: *const WwSwarm, op: u64) {
    unsafe { submit(swarm, ptr::null_mut(), || Ok(Command::Forget { op })) };
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

/// # Safety
/// `stream` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_id(stream: *const WwStream) -> u64 {
    unsafe { (*stream).id }
}

/// The bytes read; 0: none now, READABLE follows; -1: the end; -2: failed.
///
/// # Safety
/// `buffer` takes `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_read(
    stream: *mut WwStream,
    buffer: *mut u8,
    len: usize,
) -> isize {
    if len == 0 {
        return stream::WOULD_BLOCK;
    }
    let read = || Ok(unsafe { (*stream).read(slice::from_raw_parts_mut(buffer, len)) });
    guard(|| task::here(read)).unwrap_or(FAILED)
}

/// The bytes taken; less than all: WRITABLE follows; -2: failed.
///
/// # Safety
/// `count` slices stand at `pieces`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_write(
    stream: *mut WwStream,
    pieces: *const WwSlice,
    count: usize,
) -> isize {
    if count == 0 {
        return 0;
    }
    let write = || Ok(unsafe { (*stream).write(slice::from_raw_parts(pieces, count)) });
    guard(|| task::here(write)).unwrap_or(FAILED)
}

/// Goes on with what is not flushed: on WRITABLE.
///
/// # Safety
/// `stream` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_drive(stream: *mut WwStream) {
    unheard(|| task::here(|| unsafe { (*stream).drive() }));
}

/// # Safety
/// `stream` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_close_write(stream: *mut WwStream) {
    unheard(|| task::here(|| unsafe { (*stream).close_write() }));
}

/// Resets it unless both directions have ended.
///
/// # Safety
/// Given back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_stream_drop(stream: *mut WwStream) {
    unheard(|| drop(unsafe { Box::from_raw(stream) }));
}
