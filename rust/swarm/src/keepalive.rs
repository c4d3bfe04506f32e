//! Notices a mute peer: libp2p's ping only reports, late, and forgives a first failure. Here a
//! connection that has given no sign for [`MUTE`] is to be closed, at most [`CHECK`] later. Signs
//! are what a socket reads, looked for every [`CHECK`], and answers to pings.
//!
//! A peer that does not speak ping is asked for it again and again: that it says no is a sign too.
//! Where what it says is not seen (QUIC, relays) it is left to its transport.

use libp2p::swarm::ConnectionId;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

pub const PING_INTERVAL: Duration = Duration::from_secs(4);
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);
pub const MUTE: Duration = Duration::from_millis(12_500); // of checks, 13 after the last sign
pub const CHECK: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct KeepAlive {
    heard: HashMap<ConnectionId, Instant>,
    pingless: HashSet<ConnectionId>, // of those
}

impl KeepAlive {
    pub fn opened(&mut self, connection: ConnectionId, now: Instant) {
        self.heard.insert(connection, now);
    }

    pub fn heard(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(time) = self.heard.get_mut(&connection) {
            *time = now;
        }
    }

    pub fn has_no_ping(&mut self, connection: ConnectionId) {
        self.pingless.insert(connection);
    }

    /// Those without ping that have given no sign for a while.
    pub fn to_ask(&self, now: Instant) -> Vec<ConnectionId> {
        let quiet = |id: &&ConnectionId| {
            let time = self.heard.get(*id);
            time.is_some_and(|time| now.saturating_duration_since(*time) >= PING_INTERVAL)
        };
        self.pingless.iter().filter(quiet).copied().collect()
    }

    /// Closed, or left to its transport.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.heard.remove(&connection);
        self.pingless.remove(&connection);
    }

    pub fn mute(
        &mut self,
        now: Instant,
        take_heard: impl Fn(ConnectionId) -> bool,
    ) -> Vec<ConnectionId> {
        for (connection, time) in &mut self.heard {
            if take_heard(*connection) {
                *time = now;
            }
        }
        let silent = |time: &Instant| now.saturating_duration_since(*time) >= MUTE;
        self.heard.iter().filter(|(_, time)| silent(time)).map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_peer_is_noticed_within_15_s_and_others_are_not() {
        let start = Instant::now();
        let [mute, alive, gone, busy] = [1, 2, 3, 4].map(ConnectionId::new_unchecked);
        let mut keepalive = KeepAlive::default();
        for id in [mute, alive, gone, busy] {
            keepalive.opened(id, start);
        }
        keepalive.forget(gone);
        keepalive.heard(gone, start); // does not bring it back
        let mut noticed = None;
        for second in 0..60u32 {
            let now = start + CHECK * second;
            if second % 4 == 0 {
                keepalive.heard(alive, now);
            }
            if let found @ [_, ..] = &keepalive.mute(now, |id| id == busy)[..] {
                assert_eq!(found, [mute]);
                noticed.get_or_insert(now - start);
            }
        }
        assert!(noticed.is_some_and(|after| after <= Duration::from_secs(15)));
        assert!(MUTE > 3 * PING_INTERVAL, "three lost pings are no proof");
    }

    #[test]
    fn who_has_no_ping_is_asked_once_it_is_quiet() {
        let start = Instant::now();
        let [with, without, gone] = [1, 2, 3].map(ConnectionId::new_unchecked);
        let mut keepalive = KeepAlive::default();
        for id in [with, without, gone] {
            keepalive.opened(id, start);
        }
        keepalive.has_no_ping(without);
        keepalive.has_no_ping(gone);
        keepalive.forget(gone);
        assert!(keepalive.to_ask(start + CHECK).is_empty());
        let later = start + PING_INTERVAL;
        assert_eq!(keepalive.to_ask(later), [without]);
        keepalive.mute(later, |id| id == without); // it said no
        assert!(keepalive.to_ask(later + CHECK).is_empty());
    }
}
