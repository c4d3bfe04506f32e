//! The heap's free pages go back once many cells have ended and none has begun for a while: glibc
//! keeps them else, some 65 KiB of each cell.

use std::time::{Duration, Instant};

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    fn malloc_trim(kept: usize) -> std::ffi::c_int;
}

/// So many have ended since.
pub const MANY: u64 = 64;

/// None has begun for so long: a crowd that comes and goes finds its pages where they were. While
/// they are given back, some 0.1 ms a MiB, whoever wants memory of the same heap waits.
const QUIET: Duration = Duration::from_secs(5);

/// How many cells there have been.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Census {
    pub begun: u64,
    pub ended: u64,
}

pub struct Trim {
    begun: u64,
    since: Instant, // that none has begun
    ended: u64,     // when it was last done
}

impl Trim {
    pub fn new(now: Instant) -> Self {
        Trim { begun: 0, since: now, ended: 0 }
    }

    /// When to look again, unless more cells come or go; zero: now it is to be done.
    pub fn due(&mut self, census: Census, now: Instant) -> Option<Duration> {
        // A loop that has gone is counted no more.
        if census.ended.saturating_sub(self.ended) < MANY {
            return None;
        }
        if census.begun != self.begun {
            self.begun = census.begun;
            self.since = now;
        }
        Some(QUIET.saturating_sub(now - self.since))
    }

    pub fn run(&mut self, census: Census) {
        self.ended = census.ended;
        // On a thread of its own: ticks go on meanwhile. Without one it is done the next time.
        #[cfg(target_env = "gnu")]
        let _ = std::thread::Builder::new().name("ww-trim".into()).spawn(|| {
            // Safety: it has no conditions.
            unsafe { malloc_trim(0) }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_due_once_many_have_ended_and_none_has_begun_for_a_while() {
        let start = Instant::now();
        let mut trim = Trim::new(start);
        let few = Census { begun: 100, ended: MANY - 1 };
        assert_eq!(trim.due(few, start + 60 * SECOND), None);
        let many = Census { begun: 100, ended: MANY };
        assert_eq!(trim.due(many, start + 60 * SECOND), Some(QUIET));
        assert_eq!(trim.due(many, start + 61 * SECOND), Some(QUIET - SECOND));
        let more = Census { begun: 101, ended: MANY };
        assert_eq!(trim.due(more, start + 62 * SECOND), Some(QUIET));
        assert_eq!(trim.due(more, start + 70 * SECOND), Some(Duration::ZERO));
        trim.run(more);
        assert_eq!(trim.due(more, start + 80 * SECOND), None);
        let again = Census { begun: 101, ended: 2 * MANY };
        assert_eq!(trim.due(again, start + 90 * SECOND), Some(Duration::ZERO));
    }
}
