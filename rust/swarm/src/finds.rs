//! Questions to the DHT: where is this peer?

use libp2p::kad::{self, QueryId, QueryResult};
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;

const MAX_ADDRESSES: usize = 16;

type Kad = kad::Behaviour<kad::store::MemoryStore>;

#[derive(Default)]
pub struct Finds(HashMap<QueryId, (u64, PeerId)>);

impl Finds {
    pub fn begin(&mut self, kad: &mut Kad, op: u64, peer: PeerId) {
        self.0.insert(kad.get_closest_peers(peer), (op, peer));
    }

    /// Whose that was, and where the peer is said to be.
    pub fn end(&mut self, query: QueryId, result: QueryResult) -> Option<(u64, Vec<Multiaddr>)> {
        let (op, peer) = self.0.remove(&query)?;
        Some((op, places(peer, result)))
    }

    pub fn forget(&mut self, kad: &mut Kad, op: u64) {
        self.0.retain(|query, (other, _)| {
            let forgotten = *other == op;
            if forgotten && let Some(mut query) = kad.query_mut(query) {
                query.finish();
            }
            !forgotten
        });
    }
}

fn places(peer: PeerId, result: QueryResult) -> Vec<Multiaddr> {
    let QueryResult::GetClosestPeers(result) = result else { return Vec::new() };
    let peers = match result {
        Ok(ok) => ok.peers,
        Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
    };
    let of_peer = peers.into_iter().filter(|p| p.peer_id == peer);
    of_peer.flat_map(|p| p.addrs).take(MAX_ADDRESSES).collect()
}
