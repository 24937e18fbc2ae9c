//! The system's clocks as one port.
//!
//! Invariants
//! - K1: the wall time of a stamp is never less than that of an earlier stamp of this process.

use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_core::clock::NS_PER_S;
use bartizan_core::{Clock, ClockSource, Stamp};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::kernel_time::discipline;

/// How long the kernel's word on its clock's error is believed, in nanoseconds.
const DISCIPLINE_AGE_NS_MAX: u64 = NS_PER_S;
/// The bit that marks an undisciplined clock in [`OsClock::state`].
const UNSYNCHRONISED: u64 = 1 << 63;

/// Wall time by `CLOCK_REALTIME`, monotonic time by `CLOCK_BOOTTIME` (which counts a suspended
/// machine's time too); see K1.
#[derive(Debug)]
pub struct OsClock {
    last_wall_ns: AtomicU64,
    asked_mono_ns: AtomicU64,
    /// Error bound in nanoseconds, and [`UNSYNCHRONISED`].
    state: AtomicU64,
}

impl OsClock {
    /// A clock that has asked the kernel for its error bound.
    pub fn new() -> Self {
        let clock = Self {
            last_wall_ns: AtomicU64::new(0),
            asked_mono_ns: AtomicU64::new(nanos(clock_gettime(ClockId::Boottime))),
            state: AtomicU64::new(0),
        };
        clock.ask();
        clock
    }

    /// The same, but never reading less than `wall_ns`: the latest time that a store knows.
    pub fn not_before(wall_ns: u64) -> Self {
        let clock = Self::new();
        clock.last_wall_ns.store(wall_ns, Ordering::Relaxed);
        clock
    }

    fn ask(&self) {
        let discipline = discipline();
        let flag = if discipline.is_synchronised { 0 } else { UNSYNCHRONISED };
        self.state.store(discipline.error_ns & !UNSYNCHRONISED | flag, Ordering::Relaxed);
    }

    fn stamp(&self, raw_ns: u64, mono_ns: u64) -> Stamp {
        let wall_ns = self.last_wall_ns.fetch_max(raw_ns, Ordering::Relaxed).max(raw_ns);
        let state = self.state.load(Ordering::Relaxed);
        let synchronised = state & UNSYNCHRONISED == 0;
        let source =
            if synchronised { ClockSource::Synchronised } else { ClockSource::Unsynchronised };
        Stamp { wall_ns, raw_ns, mono_ns, source, error_ns: state & !UNSYNCHRONISED }
    }
}

impl Default for OsClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for OsClock {
    fn now(&self) -> Stamp {
        let mono_ns = nanos(clock_gettime(ClockId::Boottime));
        let asked = self.asked_mono_ns.load(Ordering::Relaxed);
        if DISCIPLINE_AGE_NS_MAX < mono_ns.saturating_sub(asked) {
            self.asked_mono_ns.store(mono_ns, Ordering::Relaxed);
            self.ask();
        }
        self.stamp(nanos(clock_gettime(ClockId::Realtime)), mono_ns)
    }
}

/// Nanoseconds of a reading; 0 before its epoch.
fn nanos(time: Timespec) -> u64 {
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    secs.saturating_mul(NS_PER_S).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K1: a wall clock that is set back moves only the raw reading.
    #[test]
    fn wall_time_never_goes_back() {
        let clock = OsClock::new();
        let late = clock.stamp(2_000, 1);
        let early = clock.stamp(1_000, 2);
        assert_eq!((late.wall_ns, early.wall_ns, early.raw_ns), (2_000, 2_000, 1_000));
        let stamps = [clock.now(), clock.now()];
        assert!(stamps[0].wall_ns <= stamps[1].wall_ns && stamps[0].mono_ns <= stamps[1].mono_ns);
        let ahead = OsClock::not_before(u64::MAX - 1);
        assert_eq!(ahead.now().wall_ns, u64::MAX - 1);
    }
}
