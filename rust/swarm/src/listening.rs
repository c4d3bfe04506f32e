//! What the node listens on. An address at a relay is lost with the relay, and is asked for again.

use crate::addresses;
use crate::behaviour::{Behaviour, Settings};
use crate::reach::{Asked, Reach};
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Swarm};
use std::error::Error;
use std::sync::Arc;

/// An address at a relay, where peers find us as long as it grants that.
struct Relayed {
    address: Multiaddr,
    listener: Option<ListenerId>,
}

/// What listens, and what may be dialled for as long as the node lives.
pub struct Listening {
    relayed: Vec<Relayed>,
    _asked: Asked,
}

impl Listening {
    pub fn begin(
        swarm: &mut Swarm<Behaviour>,
        settings: &Settings,
        reach: &Arc<Reach>,
    ) -> Result<Self, (Multiaddr, Box<dyn Error>)> {
        let peers = settings.bootstrap.iter().map(|(_, address)| address);
        let mut listening = Listening {
            relayed: Vec::new(),
            _asked: reach.ask(settings.listen.iter().chain(peers)),
        };
        for address in &settings.listen {
            let failed = |e| (address.clone(), e);
            let relayed = address.iter().any(|part| part == Protocol::P2pCircuit);
            if !relayed {
                addresses::require_free(address).map_err(|e| failed(e.into()))?;
            }
            let id = swarm.listen_on(address.clone()).map_err(|e| failed(e.into()))?;
            if relayed {
                listening.relayed.push(Relayed { address: address.clone(), listener: Some(id) });
            }
        }
        Ok(listening)
    }

    /// Asks the relays again that no longer know us.
    pub fn again(&mut self, swarm: &mut Swarm<Behaviour>) {
        for relayed in self.relayed.iter_mut().filter(|relayed| relayed.listener.is_none()) {
            relayed.listener = swarm.listen_on(relayed.address.clone()).ok();
        }
    }

    /// The address that this listener had at a relay.
    pub fn closed(&mut self, listener: ListenerId) -> Option<Multiaddr> {
        let relayed = self.relayed.iter_mut().find(|r| r.listener == Some(listener))?;
        relayed.listener = None;
        Some(relayed.address.clone())
    }
}
