//! The nudge: a guest that parks for input with a request still in its own memory is let go.
//!
//! A generation of guests blocks on its connection's input while a request is still unsent; unless
//! their poll returns, both sides wait for ever. So while a guest is parked on that input and
//! nothing has come, the input's pollable turns ready without data at the times in [`AFTER`],
//! counted from the first park. A park that follows a nudge continues the schedule, unless bytes
//! crossed the connection or something else was ready: then it starts anew. Three wakes at the
//! most, then quiet: an idle guest costs nothing.
//!
//! Only `poll` and `pollable.block` are nudged, and only the connection's input.

use crate::clock::{self, Deadline};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const MS: u64 = 1_000_000;

/// Since the first park, in nanoseconds.
const AFTER: [u64; 3] = [MS, 10 * MS, 100 * MS];

#[derive(Default)]
struct Schedule {
    parking: bool,      // inside `poll` or `block`
    since: Option<u64>, // the first park
    given: usize,       // nudges so far
    fired: usize,       // pollables that this park turned ready
}

#[derive(Clone, Default)]
pub struct Nudge(Arc<Mutex<Schedule>>);

impl Nudge {
    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest enters `poll` or `block`.
    pub fn park(&self) {
        let mut schedule = self.lock();
        schedule.parking = true;
        schedule.fired = 0;
    }

    /// It returns, with `ready` different pollables.
    pub fn unpark(&self, ready: usize) {
        let mut schedule = self.lock();
        schedule.parking = false;
        if schedule.fired == 0 || ready > schedule.fired {
            schedule.restart();
        }
    }

    /// Bytes crossed the connection.
    pub fn crossed(&self) {
        self.lock().restart();
    }

    /// Asked by the input's pollable while there is no input: turn ready all the same?
    pub fn is_due(&self, deadline: &Deadline) -> bool {
        let mut schedule = self.lock();
        if !schedule.parking {
            return false;
        }
        if schedule.fired > 0 {
            schedule.fired += 1; // another pollable of the same input, in the same park
            return true;
        }
        let now = clock::now();
        let since = *schedule.since.get_or_insert(now);
        let Some(after) = AFTER.get(schedule.given) else {
            return false;
        };
        let at = since.saturating_add(*after);
        if now < at {
            deadline.at_latest(at);
            return false;
        }
        schedule.given += 1;
        schedule.fired = 1;
        true
    }
}

impl Schedule {
    fn restart(&mut self) {
        self.since = None;
        self.given = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parks until the nudge comes, on the real clock; the deadline says when to ask again.
    fn park_until_nudged(nudge: &Nudge) -> bool {
        nudge.park();
        loop {
            let deadline = Deadline::new();
            if nudge.is_due(&deadline) {
                return true;
            }
            if deadline.get() == u64::MAX {
                return false;
            }
            while clock::now() < deadline.get() {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn three_nudges_then_quiet() {
        let nudge = Nudge::default();
        for _ in AFTER {
            assert!(park_until_nudged(&nudge));
            nudge.unpark(1);
        }
        assert!(!park_until_nudged(&nudge));
        nudge.unpark(1); // for another reason
        assert!(park_until_nudged(&nudge));
    }

    #[test]
    fn bytes_and_other_pollables_start_it_anew() {
        for restart in [
            |n: &Nudge| n.crossed(),
            |n: &Nudge| {
                n.park();
                n.unpark(2)
            },
        ] {
            let nudge = Nudge::default();
            for _ in AFTER {
                assert!(park_until_nudged(&nudge));
                nudge.unpark(1);
            }
            restart(&nudge);
            assert!(park_until_nudged(&nudge));
        }
    }

    #[test]
    fn never_outside_of_a_park() {
        let nudge = Nudge::default();
        let deadline = Deadline::new();
        assert!(!nudge.is_due(&deadline));
        assert_eq!(deadline.get(), u64::MAX);
    }
}
