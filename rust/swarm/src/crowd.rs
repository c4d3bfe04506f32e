//! Room for peers that come in. connection-limits refuses whoever comes when all places are taken;
//! before that, those whom nobody here would miss make room. The oldest goes, of the address that
//! has most of them.

use crate::behaviour::MAX_INBOUND;
use crate::half_open::victim;
use libp2p::swarm::ConnectionId;
use std::net::IpAddr;

/// Above so many, spare ones go: places are left for those who come while these close.
const HIGH_WATER: usize = MAX_INBOUND as usize - 16;

#[derive(Default)]
pub struct Crowd(Vec<(ConnectionId, Option<IpAddr>)>); // by age; none that is asked to go

impl Crowd {
    pub fn enter(&mut self, connection: ConnectionId, from: Option<IpAddr>) {
        self.0.push((connection, from));
    }

    pub fn leave(&mut self, connection: ConnectionId) {
        self.0.retain(|(other, _)| *other != connection);
    }

    /// Who is to go, if somebody is. Never the newcomer.
    pub fn surplus(&mut self, is_spare: impl Fn(ConnectionId) -> bool) -> Option<ConnectionId> {
        if self.0.len() <= HIGH_WATER {
            return None;
        }
        let (_, older) = self.0.split_last()?;
        let spare: Vec<_> = older.iter().filter(|(id, _)| is_spare(*id)).copied().collect();
        let sources: Vec<_> = spare.iter().map(|(_, from)| *from).collect();
        let (chosen, _) = *spare.get(victim(&sources)?)?;
        self.leave(chosen);
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_spare_one_makes_room_and_others_stay() {
        let mut crowd = Crowd::default();
        let ids: Vec<_> = (0..=HIGH_WATER).map(ConnectionId::new_unchecked).collect();
        for id in &ids[..HIGH_WATER] {
            crowd.enter(*id, None);
        }
        assert_eq!(crowd.surplus(|_| true), None, "there is room");
        crowd.enter(ids[HIGH_WATER], None);
        assert_eq!(crowd.surplus(|_| false), None, "none is spare");
        assert_eq!(crowd.surplus(|id| id == ids[HIGH_WATER]), None, "the newcomer stays");
        assert_eq!(crowd.surplus(|id| id != ids[0]), Some(ids[1]));
        assert_eq!(crowd.surplus(|_| true), None, "and there is room again");
    }
}
