//! Which addresses a dial may try. What this node was asked for reaches any. What its peers would
//! have it do (queries of the DHT, AutoNAT's dialling back, hole punching) reaches the public
//! internet alone, unless the operator says otherwise: else a stranger could look through us into
//! the networks that we are in.

use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::{Multiaddr, Transport, multiaddr::Protocol};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

pub struct Reach {
    is_private: Box<dyn Fn(&Multiaddr) -> bool + Send + Sync>,
    anywhere: bool,
    asked: Mutex<HashMap<Multiaddr, usize>>, // how often, of those that are private
}

/// The first hop of an address: an IP and a port, without who is there and whom it relays to.
fn place(address: &Multiaddr) -> Multiaddr {
    address
        .iter()
        .take_while(|part| !matches!(part, Protocol::P2p(_) | Protocol::P2pCircuit))
        .collect()
}

impl Reach {
    /// `anywhere`: peers are not held back.
    pub fn new(
        anywhere: bool,
        is_private: impl Fn(&Multiaddr) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        let is_private = Box::new(is_private);
        Arc::new(Reach { is_private, anywhere, asked: Default::default() })
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Multiaddr, usize>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_private(&self, address: &Multiaddr) -> bool {
        (self.is_private)(&place(address))
    }

    /// They may be dialled for as long as what it returns lives.
    pub fn ask<'a>(self: &Arc<Self>, addresses: impl IntoIterator<Item = &'a Multiaddr>) -> Asked {
        let places = addresses.into_iter().filter(|a| self.is_private(a)).map(place);
        let places: Vec<_> = places.collect();
        let mut asked = self.asked();
        for place in &places {
            *asked.entry(place.clone()).or_default() += 1;
        }
        drop(asked);
        Asked { reach: self.clone(), places }
    }

    fn permits(&self, address: &Multiaddr) -> bool {
        self.anywhere || !self.is_private(address) || self.asked().contains_key(&place(address))
    }
}

pub struct Asked {
    reach: Arc<Reach>,
    places: Vec<Multiaddr>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut asked = self.reach.asked();
        for place in &self.places {
            match asked.get_mut(place) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(asked.remove(place)),
            }
        }
    }
}

/// A transport that dials what is permitted.
pub struct Restrained<T> {
    inner: T,
    reach: Arc<Reach>,
}

impl<T> Restrained<T> {
    pub fn new(inner: T, reach: Arc<Reach>) -> Self {
        Restrained { inner, reach }
    }
}

impl<T: Transport<Error = io::Error> + Unpin> Transport for Restrained<T> {
    type Output = T::Output;
    type Error = io::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
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
        if self.reach.permits(&address) {
            return self.inner.dial(address, options);
        }
        let why = "a private address, which only this node's operator may have it dial";
        Err(TransportError::Other(io::Error::new(io::ErrorKind::PermissionDenied, why)))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::core::Endpoint;
    use libp2p::core::transport::PortUse;
    use libp2p::tcp;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn reach(anywhere: bool) -> Arc<Reach> {
        Reach::new(anywhere, |address| address.to_string().starts_with("/ip4/127."))
    }

    #[test]
    fn what_was_asked_for_is_permitted_as_long_as_it_is() {
        let reach = reach(false);
        let (here, public) = (address("/ip4/127.0.0.1/tcp/1"), address("/ip4/192.0.2.1/tcp/1"));
        assert!(reach.permits(&public) && !reach.permits(&here));
        let id = libp2p::PeerId::random();
        let named = here.clone().with(Protocol::P2p(id));
        let relayed = named.clone().with(Protocol::P2pCircuit);
        let one = reach.ask([&relayed, &public]);
        let two = reach.ask([&here]);
        assert_eq!(reach.asked().len(), 1, "public ones take no room");
        for one in [&here, &named, &relayed] {
            assert!(reach.permits(one), "{one}");
        }
        assert!(!reach.permits(&address("/ip4/127.0.0.1/tcp/2")));
        drop(one);
        assert!(reach.permits(&named), "two still asks for it");
        drop(two);
        assert!(!reach.permits(&named) && reach.asked().is_empty());
    }

    #[tokio::test]
    async fn nothing_is_dialled_otherwise() {
        let victim = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = victim.local_addr().unwrap().port();
        let there = address(&format!("/ip4/127.0.0.1/tcp/{port}"));
        let dial = |reach: &Arc<Reach>| {
            let tcp = tcp::tokio::Transport::new(tcp::Config::default());
            let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
            Restrained::new(tcp, reach.clone()).dial(there.clone(), options)
        };
        let strict = reach(false);
        assert!(matches!(dial(&strict), Err(TransportError::Other(_))));
        let asked = strict.ask([&there]);
        dial(&strict).unwrap().await.unwrap();
        drop(asked);
        assert!(dial(&strict).is_err());
        dial(&reach(true)).unwrap().await.unwrap();
    }
}
