//! A clock that stands until it is moved, and may be moved back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_core::clock::{Clock, ClockSource, Stamp};

/// A clock for tests. Like a real one it never gives a wall time before an earlier one: a step
/// back shows in `raw_ns` only.
#[derive(Debug)]
pub struct SimClock {
    at: Mutex<Stamp>,
}

impl SimClock {
    /// A clock that says `wall_ns` since the Unix epoch.
    pub fn new(wall_ns: u64) -> Self {
        let source = ClockSource::Simulated;
        Self { at: Mutex::new(Stamp { wall_ns, raw_ns: wall_ns, mono_ns: 1, source, error_ns: 0 }) }
    }

    fn locked(&self) -> MutexGuard<'_, Stamp> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `ns` pass.
    pub fn advance(&self, ns: u64) {
        let mut at = self.locked();
        at.mono_ns = at.mono_ns.saturating_add(ns);
        at.raw_ns = at.raw_ns.saturating_add(ns);
        at.wall_ns = at.wall_ns.max(at.raw_ns);
    }

    /// Somebody sets the system's wall clock to `wall_ns`, forwards or back.
    pub fn set_wall(&self, wall_ns: u64) {
        let mut at = self.locked();
        at.raw_ns = wall_ns;
        at.wall_ns = at.wall_ns.max(wall_ns);
    }

    /// The kernel admits another error, or another source.
    pub fn set_quality(&self, source: ClockSource, error_ns: u64) {
        let mut at = self.locked();
        (at.source, at.error_ns) = (source, error_ns);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Stamp {
        *self.locked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_shows_in_the_raw_time_only() {
        let clock = SimClock::new(1_000);
        clock.advance(50);
        clock.set_wall(400);
        assert_eq!(
            (clock.now().wall_ns, clock.now().raw_ns, clock.now().mono_ns),
            (1_050, 400, 51)
        );
        clock.advance(10);
        assert_eq!((clock.now().wall_ns, clock.now().raw_ns), (1_050, 410));
        clock.advance(1_000);
        assert_eq!(clock.now().wall_ns, 1_410);
    }
}
