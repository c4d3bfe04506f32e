//! Questions to the DHT: where is this peer, and who has this content?

use libp2p::kad::{self, QueryId, QueryResult, RecordKey};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;

const MAX_ADDRESSES: usize = 16;

/// That are told of; once there are so many, no more are looked for.
const MAX_PROVIDERS: usize = 16;

type Kad = kad::Behaviour<kad::store::MemoryStore>;

#[derive(Default)]
pub struct Finds {
    peers: HashMap<QueryId, (u64, PeerId)>,
    providers: HashMap<QueryId, (u64, Vec<PeerId>)>, // those found up to now
}

impl Finds {
    pub fn begin(&mut self, kad: &mut Kad, op: u64, peer: PeerId) {
        self.peers.insert(kad.get_closest_peers(peer), (op, peer));
    }

    pub fn begin_providers(&mut self, kad: &mut Kad, op: u64, key: &[u8]) {
        self.providers.insert(kad.get_providers(RecordKey::new(&key)), (op, Vec::new()));
    }

    /// Whose that was, and where the peer is said to be.
    pub fn end(&mut self, query: QueryId, result: QueryResult) -> Option<(u64, Vec<Multiaddr>)> {
        let (op, peer) = self.peers.remove(&query)?;
        Some((op, places(peer, result)))
    }

    /// Once that is over, whose it was, and the providers, each as an address that says no more.
    pub fn progress(
        &mut self,
        kad: &mut Kad,
        query: QueryId,
        result: &QueryResult,
        last: bool,
    ) -> Option<(u64, Vec<Multiaddr>)> {
        let (_, found) = self.providers.get_mut(&query)?;
        if let QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
            providers,
            ..
        })) = result
        {
            for peer in providers {
                if !found.contains(peer) && found.len() < MAX_PROVIDERS {
                    found.push(*peer);
                }
            }
        }
        if !last && found.len() < MAX_PROVIDERS {
            return None;
        }
        finish(kad, &query);
        let (op, found) = self.providers.remove(&query)?;
        Some((op, found.into_iter().map(|peer| Protocol::P2p(peer).into()).collect()))
    }

    pub fn forget(&mut self, kad: &mut Kad, op: u64) {
        self.peers.retain(|query, (other, _)| *other != op || finish(kad, query));
        self.providers.retain(|query, (other, _)| *other != op || finish(kad, query));
    }
}

/// Says from now on that we have it. Where there is no room for more, nobody hears of it.
pub fn provide(kad: &mut Kad, key: &[u8]) {
    let _ = kad.start_providing(RecordKey::new(&key));
}

/// Nobody waits for this query. False.
fn finish(kad: &mut Kad, query: &QueryId) -> bool {
    if let Some(mut query) = kad.query_mut(query) {
        query.finish();
    }
    false
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
