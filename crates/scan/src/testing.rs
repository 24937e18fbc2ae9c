//! What tests of several modules need.

use bartizan_core::{Clock, ClockSource, Stamp};

use crate::budget::Meter;
use crate::scope::Scope;
use crate::{Allow, Alone, Budget, Hash, Options, Report, Sighting, Verdict};

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

/// Cuts `file` at every byte: no piece is cleared, but for the empty one.
pub(crate) fn cuts_are_never_cleared(file: &[u8]) {
    let allow = Allow::new();
    for cut in 1..file.len() {
        assert_ne!(quick(&allow, &file[..cut]).verdict, Verdict::Cleared, "cut at {cut}");
    }
}

/// Changes single bytes all over `file`: whatever comes of it, there is a verdict.
pub(crate) fn mutations_never_panic(file: &[u8]) {
    let allow = Allow::new();
    // As many places as take a second or so.
    let places = (1_000_000 / (file.len() + 1)).clamp(30, 600);
    let step = file.len() / places + 1;
    let mut changed = file.to_vec();
    for at in (0..file.len()).step_by(step) {
        for mask in [0x01, 0x80, 0xff] {
            changed[at] ^= mask;
            quick(&allow, &changed);
            changed[at] ^= mask;
        }
    }
}

/// Changes each byte outside of `core`, the part that makes `file` hostile: never cleared.
pub(crate) fn mutations_are_never_cleared(file: &[u8], core: &[u8]) {
    let allow = Allow::new();
    let start = file.windows(core.len()).position(|part| part == core).unwrap();
    let mut changed = file.to_vec();
    for at in (0..file.len()).filter(|at| !(start..start + core.len()).contains(at)) {
        for mask in [0x01, 0x20, 0x80, 0xff] {
            changed[at] ^= mask;
            let report = quick(&allow, &changed);
            assert_ne!(report.verdict, Verdict::Cleared, "byte {at} ^ {mask:#x} of {file:?}");
            changed[at] ^= mask;
        }
    }
}

fn quick(allow: &Allow, bytes: &[u8]) -> Report {
    let budget = Budget::default();
    let options = Options { allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Skip };
    crate::scan("", &bytes.to_vec(), &options)
}

/// Messages of protocol buffers.
pub(crate) mod build {
    /// A varint.
    pub(crate) fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push((value as u8) | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    /// A field of bytes, text or a message.
    pub(crate) fn bytes(number: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
        let value = value.as_ref();
        [varint(number << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
    }

    /// A field of a number.
    pub(crate) fn number(number: u64, value: u64) -> Vec<u8> {
        [varint(number << 3), varint(value)].concat()
    }
}

/// Verdict and sightings of what `inside` reports.
pub(crate) fn scope_of(inside: impl FnOnce(&mut Scope<'_>)) -> (Verdict, Vec<Sighting>) {
    let meter = Meter::new(Budget::default(), &Still);
    let allow = Allow::new();
    let mut scope = Scope::new(&allow, &meter, &Alone);
    inside(&mut scope);
    let (verdict, sightings, _) = scope.finish();
    (verdict, sightings)
}
