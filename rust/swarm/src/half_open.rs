//! Room for inbound connections that still shake hands. Whoever opens many and says nothing takes
//! no room from others: above the limit the oldest goes, of the address that has most of them.

use futures::future::{AbortHandle, Abortable};
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::{Multiaddr, Transport, multiaddr::Protocol};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

pub const MAX_HALF_OPEN: usize = 64;

struct Held {
    from: Option<IpAddr>,
    abort: AbortHandle,
}

#[derive(Default)]
struct Room {
    next: u64,
    held: BTreeMap<u64, Held>, // by age
}

impl Room {
    /// Takes one in, and gives up another if there are too many.
    fn enter(&mut self, from: Option<IpAddr>, abort: AbortHandle) -> u64 {
        if self.held.len() >= MAX_HALF_OPEN {
            let sources: Vec<_> = self.held.values().map(|held| held.from).collect();
            if let Some(index) = victim(&sources)
                && let Some(age) = self.held.keys().nth(index).copied()
                && let Some(held) = self.held.remove(&age)
            {
                held.abort.abort();
            }
        }
        self.next += 1;
        self.held.insert(self.next, Held { from, abort });
        self.next
    }
}

/// Of connections in the order of their age: the oldest of whoever has most.
pub fn victim(sources: &[Option<IpAddr>]) -> Option<usize> {
    let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
    for source in sources {
        *counts.entry(network(*source)).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    sources.iter().position(|source| counts.get(&network(*source)) == Some(&most))
}

/// What one party is sure to have to itself: of IPv6 that is 64 bits.
fn network(source: Option<IpAddr>) -> Option<IpAddr> {
    match source {
        Some(IpAddr::V6(ip)) => Some(IpAddr::V6((u128::from(ip) & !u128::from(u64::MAX)).into())),
        other => other,
    }
}

pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

type Shared = Arc<Mutex<Room>>;

fn lock(room: &Shared) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the room back when the handshake is over, however it ended.
struct Guard {
    room: Shared,
    age: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        lock(&self.room).held.remove(&self.age);
    }
}

/// A transport whose inbound handshakes share a room.
pub struct Bounded<T> {
    inner: T,
    room: Shared,
}

impl<T> Bounded<T> {
    pub fn new(inner: T) -> Self {
        Bounded { inner, room: Shared::default() }
    }
}

type Handshake<O> = Pin<Box<dyn Future<Output = io::Result<O>> + Send>>;

impl<T> Transport for Bounded<T>
where
    T: Transport<Error = io::Error> + Unpin,
    T::ListenerUpgrade: Send + 'static,
{
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = Handshake<T::Output>;
    type Dial = T::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<T::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let inner = Pin::new(&mut self.inner);
        let Poll::Ready(event) = inner.poll(context) else { return Poll::Pending };
        let from = match &event {
            TransportEvent::Incoming { send_back_addr, .. } => ip_of(send_back_addr),
            _ => None,
        };
        Poll::Ready(event.map_upgrade(|upgrade| hold(&self.room, from, upgrade)))
    }
}

/// The same handshake, in the room.
fn hold<O, F>(room: &Shared, from: Option<IpAddr>, upgrade: F) -> Handshake<O>
where
    F: Future<Output = io::Result<O>> + Send + 'static,
{
    let (abort, registration) = AbortHandle::new_pair();
    let guard = Guard { room: room.clone(), age: lock(room).enter(from, abort) };
    Box::pin(async move {
        let _guard = guard;
        Abortable::new(upgrade, registration).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it made room for another"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn the_oldest_of_whoever_has_most_goes() {
        assert_eq!(victim(&[]), None);
        assert_eq!(victim(&[ip("1.1.1.1"), ip("2.2.2.2"), ip("2.2.2.2")]), Some(1));
        assert_eq!(victim(&[ip("1.1.1.1"), ip("2.2.2.2")]), Some(0));
        let one_network = [ip("9.9.9.9"), ip("2001:db8::1"), ip("2001:db8::2")];
        assert_eq!(victim(&one_network), Some(1));
    }

    #[test]
    fn a_room_is_bounded_and_the_newcomer_is_in() {
        let mut room = Room::default();
        let mut handles = Vec::new();
        for _ in 0..MAX_HALF_OPEN + 3 {
            let (abort, _) = AbortHandle::new_pair();
            handles.push(abort.clone());
            room.enter(ip("1.1.1.1"), abort);
        }
        assert_eq!(room.held.len(), MAX_HALF_OPEN);
        let aborted = handles.iter().filter(|handle| handle.is_aborted()).count();
        assert_eq!((aborted, handles.iter().position(|h| !h.is_aborted())), (3, Some(3)));
    }
}
