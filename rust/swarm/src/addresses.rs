//! Addresses: lists of them across the fence, names resolved, and what peers were said to have.

use crate::inbox::{Event, Inbox, Kind};
use crate::reach::Reach;
use futures::{StreamExt, stream};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const MAX_PEERS: usize = 1024;
const MAX_OF_A_PEER: usize = 16;
const MAX_OF_A_NAME: usize = 8;
/// Names that are asked for at the same time, for one list. Each takes a thread.
const NAMES_AT_A_TIME: usize = 4;

/// A DONE with these.
pub fn found(op: u64, list: &[Multiaddr]) -> Event {
    let mut event = Event::new(Kind::Done, op);
    event.from = encode(list);
    event
}

/// Resolves their names, and tells what they stand for.
pub async fn tell_resolved(inbox: Arc<Inbox>, op: u64, list: Vec<Multiaddr>) {
    let (resolved, failures) = resolve(list).await;
    let mut event = found(op, &resolved);
    event.text = failures.join("; ").into_bytes();
    inbox.push(event);
}

/// Each with its length before it, in two bytes, little endian.
pub fn encode<'a>(list: impl IntoIterator<Item = &'a Multiaddr>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in list {
        let one = address.to_vec();
        let Ok(length) = u16::try_from(one.len()) else { continue };
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&one);
    }
    bytes
}

/// The place of a plain TCP connection, whoever is there.
pub fn tcp_place(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some((ip, port).into()),
        _ => None,
    }
}

pub fn of_tcp_place(place: SocketAddr) -> Multiaddr {
    Multiaddr::from(place.ip()).with(Protocol::Tcp(place.port()))
}

/// The transports share a port with whoever shares it too; nobody wants that of a node.
pub fn require_free(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) => std::net::TcpListener::bind((ip, port)).map(drop),
        Some(Protocol::Udp(port)) => std::net::UdpSocket::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// What a peer says of itself, as far as it is worth keeping: one that is met on the public
/// internet has no business with addresses in private networks.
pub fn credible<'a>(
    said: &'a [Multiaddr],
    met_at: &'a Multiaddr,
    reach: &'a Reach,
) -> impl Iterator<Item = &'a Multiaddr> {
    let private = reach.is_private(met_at);
    said.iter().filter(move |address| private || !reach.is_private(address)).take(MAX_OF_A_PEER)
}

/// Where peers were said to be. Bounded; a full book forgets somebody.
#[derive(Default)]
pub struct Book(HashMap<PeerId, Vec<Multiaddr>>);

impl Book {
    pub fn add(&mut self, peer: PeerId, address: Multiaddr) {
        if self.0.len() >= MAX_PEERS
            && !self.0.contains_key(&peer)
            && let Some(other) = self.0.keys().next().copied()
        {
            self.0.remove(&other);
        }
        let known = self.0.entry(peer).or_default();
        if !known.contains(&address) {
            if known.len() >= MAX_OF_A_PEER {
                known.remove(0);
            }
            known.push(address);
        }
    }

    pub fn find(&self, peer: &PeerId) -> &[Multiaddr] {
        self.0.get(peer).map_or(&[], |known| known)
    }
}

/// The addresses with names replaced by what they stand for, or why not. `/dnsaddr` stays.
pub async fn resolve(list: Vec<Multiaddr>) -> (Vec<Multiaddr>, Vec<String>) {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    let mut answers = stream::iter(list)
        .map(|address| async move { (resolve_one(&address).await, address) })
        .buffered(NAMES_AT_A_TIME);
    while let Some((answer, address)) = answers.next().await {
        match answer {
            Ok(these) => found.extend(these),
            Err(why) => failures.push(format!("{address}: {why}")),
        }
    }
    let mut seen = Vec::new();
    found.retain(|address| {
        let new = !seen.contains(address);
        seen.push(address.clone());
        new
    });
    (found, failures)
}

async fn resolve_one(address: &Multiaddr) -> Result<Vec<Multiaddr>, String> {
    let (name, four, six) = match address.iter().next() {
        Some(Protocol::Dns(name)) => (name, true, true),
        Some(Protocol::Dns4(name)) => (name, true, false),
        Some(Protocol::Dns6(name)) => (name, false, true),
        _ => return Ok(vec![address.clone()]),
    };
    let answers = tokio::net::lookup_host((name.as_ref(), 0)).await.map_err(|e| e.to_string())?;
    let list: Vec<_> = answers
        .map(|socket| socket.ip())
        .filter(|ip| if ip.is_ipv4() { four } else { six })
        .take(MAX_OF_A_NAME)
        .filter_map(|ip| address.replace(0, |_| Some(Protocol::from(ip))))
        .collect();
    if list.is_empty() { Err("the name has no such address".to_string()) } else { Ok(list) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_book_is_bounded() {
        let mut book = Book::default();
        let peer = PeerId::random();
        for port in 0..100 {
            book.add(peer, address(&format!("/ip4/192.0.2.1/tcp/{port}")));
            book.add(peer, address("/ip4/192.0.2.1/tcp/99"));
        }
        assert_eq!(book.find(&peer).len(), MAX_OF_A_PEER);
        for _ in 0..2 * MAX_PEERS {
            book.add(PeerId::random(), address("/ip4/192.0.2.1/tcp/1"));
        }
        assert!(book.0.len() <= MAX_PEERS);
    }

    #[test]
    fn a_public_peer_is_not_believed_to_be_in_our_network() {
        let said = [address("/ip4/10.0.0.1/tcp/22"), address("/ip4/192.0.2.7/tcp/1")];
        let met = address("/ip4/192.0.2.7/tcp/4001");
        let reach = Reach::new(false, |a| !a.to_string().starts_with("/ip4/192.0.2."));
        assert_eq!(credible(&said, &met, &reach).collect::<Vec<_>>(), [&said[1]]);
        let here = address("/ip4/127.0.0.1/tcp/4001");
        assert_eq!(credible(&said, &here, &reach).count(), 2);
    }

    #[tokio::test]
    async fn names_are_resolved_and_others_stay() {
        let plain = address("/ip4/192.0.2.1/tcp/1");
        let many = address("/dnsaddr/example.org");
        let list =
            vec![plain.clone(), plain.clone(), many.clone(), address("/dns4/localhost/tcp/5")];
        let (found, failures) = resolve(list).await;
        assert_eq!(found, [plain, many, address("/ip4/127.0.0.1/tcp/5")]);
        assert!(failures.is_empty(), "{failures:?}");
        let (found, failures) = resolve(vec![address("/dns4/no.such.name.invalid/tcp/5")]).await;
        assert!(found.is_empty() && failures[0].starts_with("/dns4/no.such.name.invalid/tcp/5: "));
    }
}
