//! What tests of several modules need.

use bartizan_core::{Clock, ClockSource, Stamp};

use crate::{Allow, Alone, Budget, Hash, Options, Report};

/// A clock that stands still.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

/// Scans bytes with the built-in list and default budgets.
pub(crate) fn scan(bytes: &[u8]) -> Report {
    scan_named("", bytes)
}

/// The same, under a name.
pub(crate) fn scan_named(name: &str, bytes: &[u8]) -> Report {
    let allow = Allow::new();
    let options = Options {
        allow: &allow,
        budget: Budget::default(),
        clock: &Still,
        siblings: &Alone,
        hash: Hash::Whole,
    };
    crate::scan(name, &bytes.to_vec(), &options)
}

/// Whether a report holds a sighting of the rule.
pub(crate) fn has(report: &Report, rule: &str) -> bool {
    report.sightings.iter().any(|seen| seen.rule.id == rule)
}
