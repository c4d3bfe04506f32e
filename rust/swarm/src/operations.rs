//! What the loop asks the network to do: each operation has a number of the caller's, and its
//! outcome comes as a DONE with that.

use crate::command::Command;
use crate::inbox::Event;
use crate::options::{addrs, peer_id, protocol};
use crate::streams::Whom;
use crate::{WwSwarm, other, task};
use std::ptr;
use std::sync::PoisonError;
use ww_fence::{Failure, WwError, WwSlice, deliver, unheard};

impl WwSwarm {
    fn require_running(&self) -> Result<(), Failure> {
        if self.commands.is_closed() {
            return Err(other("the network has stopped"));
        }
        Ok(())
    }
}

/// Takes a command, for `ww_swarm_flush` to send; its outcome comes as a DONE with the same number.
/// False, with the error set, if there will be none.
unsafe fn submit(
    swarm: *const WwSwarm,
    error: *mut WwError,
    make: impl FnOnce() -> Result<Command, Failure>,
) -> bool {
    unsafe {
        deliver(error, false, || {
            let swarm = &*swarm;
            swarm.require_running()?;
            swarm.submitted.lock().unwrap_or_else(PoisonError::into_inner).push(make()?);
            Ok(true)
        })
    }
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

/// DONE: `from` lists who says in the DHT that it has what has this multihash, each as /p2p/ID.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_providers(
    swarm: *const WwSwarm,
    op: u64,
    key: WwSlice,
    error: *mut WwError,
) -> bool {
    unsafe { submit(swarm, error, || Ok(Command::Providers { op, key: key.bytes().to_vec() })) }
}

/// Says in the DHT, from now on, that this node has what has this multihash.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_provide(swarm: *const WwSwarm, key: WwSlice) {
    unsafe {
        submit(swarm, ptr::null_mut(), || Ok(Command::Provide { key: key.bytes().to_vec() }))
    };
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

/// DONE with a stream. Goes at once, without the network's thread.
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
        deliver(error, false, || {
            let (swarm, peer, protocol) = (&*swarm, peer_id(peer)?, protocol(&name)?);
            swarm.require_running()?;
            let opening = task::here(|| swarm.live.open(op, peer, protocol, Whom::Loop));
            if let Err((code, why)) = opening {
                swarm.inbox.push(Event::failure(op, code, why));
            }
            Ok(true)
        })
    }
}

/// DONE with `value` the round trip in nanoseconds, on a stream of its own.
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

/// One connection of this peer makes room for none from now on, one more each time, until this is
/// called with `on` false: as often as with true.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_protect(swarm: *const WwSwarm, peer: WwSlice, on: bool) {
    unheard(|| {
        let live = unsafe { &(*swarm).live };
        match peer_id(peer) {
            Ok(peer) if on => live.protect(peer),
            Ok(peer) => live.unprotect(peer),
            Err(_) => {} // the peer of no connection
        }
    });
}

/// Sends what was submitted: all at once, or the network's thread is woken for each.
///
/// # Safety
/// `swarm` lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ww_swarm_flush(swarm: *const WwSwarm) {
    let swarm = unsafe { &*swarm };
    unheard(|| {
        let mut submitted = swarm.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        for command in submitted.drain(..) {
            let _ = swarm.commands.send(command); // it has ended, and said so
        }
    });
}
