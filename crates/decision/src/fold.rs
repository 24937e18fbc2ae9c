//! Refusals that are counted instead of recorded one by one.
//!
//! Whoever is nobody yet must not be able to fill the log: refusals before authentication are
//! folded per listener, reason and source into tallies, as are a principal's own refusals beyond
//! [`SINGLE_REFUSALS_PER_S`]. Counts are exact; what is lost is which source, once a second has
//! seen too many of them.
//!
//! Invariants
//! - T1: a window of [`WINDOW_NS`] gives at most [`TALLIES_PER_WINDOW_MAX`] tallies, whatever
//!   comes;
//! - T2: the counts of all tallies add up to the refusals that were noted: none is lost, not even
//!   where a tally could not be written;
//! - T3: memory does not grow with the number of sources or principals.

use std::collections::BTreeMap;

use bartizan_core::{DecisionId, Pseudonym, RefusalCode, Stamp};
use bartizan_ledger::SAMPLES_MAX;

/// Length of a window, in nanoseconds.
pub const WINDOW_NS: u64 = 1_000_000_000;
/// Most tallies of one window; see T1.
pub const TALLIES_PER_WINDOW_MAX: usize = 128;
/// Most tallies of a window that name their source; later sources share one per listener and
/// reason, and once [`TALLIES_PER_WINDOW_MAX`] is near, one in all.
const NAMED_TALLIES_MAX: usize = 64;
/// Refusals of one principal that are recorded one by one in each window.
pub const SINGLE_REFUSALS_PER_S: u32 = 10;
/// Principals whose refusals are metered in one window; a further one's are folded at once.
const METERED_PRINCIPALS_MAX: usize = 4_096;

/// What refusals are folded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoldKey {
    /// The listener that refused.
    pub listener: &'static str,
    /// Why.
    pub code: RefusalCode,
    /// Why, to the operator: what was wrong with the credential; empty where that says no more.
    pub reason: &'static str,
    /// Who was refused.
    pub whom: Whom,
}

/// Who was refused, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// Too many sources in this window to name each.
    Several,
    /// A network source, by the keyed hash of its address.
    Source(Pseudonym),
    /// A principal.
    Principal(Pseudonym),
}

/// Refusals that share a key and a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The id that the refused were given.
    pub id: DecisionId,
    /// What they have in common.
    pub key: FoldKey,
    /// How many they are.
    pub count: u64,
    /// When the first came.
    pub first: Stamp,
    /// When the last came.
    pub last: Stamp,
    /// Wall times in nanoseconds of the first [`SAMPLES_MAX`].
    pub samples: Vec<u64>,
}

/// The refusals of the current window; see the module invariants.
#[derive(Debug, Default)]
pub struct Folder {
    opened_ns: Option<u64>,
    tallies: BTreeMap<FoldKey, Folded>,
    singles: BTreeMap<Pseudonym, u32>,
}

impl Folder {
    /// Whether a refusal of `principal` at `at` is to be recorded by itself; if not, it is for
    /// [`Folder::note`].
    pub fn is_single(&mut self, principal: Pseudonym, at: Stamp) -> bool {
        self.open(at);
        if !self.singles.contains_key(&principal) && METERED_PRINCIPALS_MAX <= self.singles.len() {
            return false;
        }
        let count = self.singles.entry(principal).or_default();
        *count = count.saturating_add(1);
        *count <= SINGLE_REFUSALS_PER_S
    }

    /// Counts a refusal and gives the id of its tally; `fresh` becomes that id where the refusal
    /// is the first of its tally.
    pub fn note(&mut self, key: FoldKey, at: Stamp, fresh: DecisionId) -> DecisionId {
        self.open(at);
        let key = self.place(key);
        let tally = self.tallies.entry(key).or_insert_with(|| Folded {
            id: fresh,
            key,
            count: 0,
            first: at,
            last: at,
            samples: Vec::new(),
        });
        tally.count += 1;
        tally.last = at;
        if tally.samples.len() < SAMPLES_MAX {
            tally.samples.push(at.wall_ns);
        }
        tally.id
    }

    /// The tallies of the window that is over at `now`, to be written; empty while it is not.
    pub fn close(&mut self, now: Stamp) -> Vec<Folded> {
        let is_over = self.opened_ns.is_some_and(|opened| WINDOW_NS <= now.mono_ns - opened);
        if is_over { self.close_now() } else { Vec::new() }
    }

    /// The tallies so far, over or not: for the end of the process.
    pub fn close_now(&mut self) -> Vec<Folded> {
        self.opened_ns = None;
        self.singles.clear();
        std::mem::take(&mut self.tallies).into_values().collect()
    }

    /// Takes back a tally that could not be written, to be written with the next window (T2).
    pub fn take_back(&mut self, folded: Folded, at: Stamp) {
        self.open(at);
        let key = self.place(folded.key);
        match self.tallies.get_mut(&key) {
            None => {
                self.tallies.insert(key, Folded { key, ..folded });
            }
            Some(tally) => {
                tally.count += folded.count;
                tally.first = folded.first;
                tally.samples.extend(folded.samples);
                tally.samples.truncate(SAMPLES_MAX);
            }
        }
    }

    fn open(&mut self, at: Stamp) {
        self.opened_ns.get_or_insert(at.mono_ns);
    }

    /// The key under which there is still room (T1).
    fn place(&self, key: FoldKey) -> FoldKey {
        let several = FoldKey { whom: Whom::Several, ..key };
        let last = FoldKey { code: RefusalCode::Unauthenticated, reason: "several", ..several };
        if self.tallies.contains_key(&key) || self.tallies.len() < NAMED_TALLIES_MAX {
            key
        } else if self.tallies.contains_key(&several)
            || self.tallies.len() < TALLIES_PER_WINDOW_MAX - 1
        {
            several
        } else {
            FoldKey { listener: "several", ..last }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_core::ClockSource;

    fn at(ns: u64) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: ns, raw_ns: ns, mono_ns: ns, source, error_ns: 0 }
    }

    fn key(source: u32, code: RefusalCode) -> FoldKey {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&source.to_be_bytes());
        let whom = Whom::Source(Pseudonym(bytes));
        FoldKey { listener: "inference", code, reason: "unknown", whom }
    }

    fn id(n: u64) -> DecisionId {
        DecisionId::new(n, [7; 10])
    }

    /// T1, T2 and T3: a million refusals from a million sources in ten seconds.
    #[test]
    fn a_million_anonymous_refusals_make_at_most_1280_tallies_and_none_is_lost() {
        let (mut folder, mut tallies) = (Folder::default(), Vec::new());
        for n in 0..1_000_000_u32 {
            let now = at(u64::from(n) * 10_000);
            tallies.extend(folder.close(now));
            let code = RefusalCode::ALL[n as usize % RefusalCode::ALL.len()];
            folder.note(key(n, code), now, id(now.wall_ns));
        }
        tallies.extend(folder.close_now());
        assert!(tallies.len() <= 10 * TALLIES_PER_WINDOW_MAX, "{} tallies", tallies.len());
        assert_eq!(tallies.iter().map(|tally| tally.count).sum::<u64>(), 1_000_000);
        assert!(tallies.iter().all(|tally| tally.samples.len() <= SAMPLES_MAX));
    }

    #[test]
    fn the_refused_are_given_the_id_of_their_tally() {
        let mut folder = Folder::default();
        let first = folder.note(key(1, RefusalCode::Unauthenticated), at(0), id(1));
        let again = folder.note(key(1, RefusalCode::Unauthenticated), at(5), id(2));
        let other = folder.note(key(2, RefusalCode::Unauthenticated), at(6), id(3));
        assert_eq!((first, again, other), (id(1), id(1), id(3)));
        assert!(folder.close(at(WINDOW_NS - 1)).is_empty());
        let tallies = folder.close(at(WINDOW_NS));
        assert_eq!(tallies.iter().map(|tally| tally.count).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(tallies[0].last, at(5));
    }

    /// T2: what could not be written is written later, with what came meanwhile.
    #[test]
    fn a_tally_that_could_not_be_written_is_not_lost() {
        let mut folder = Folder::default();
        folder.note(key(1, RefusalCode::Unauthenticated), at(0), id(1));
        let lost = folder.close_now().remove(0);
        folder.note(key(1, RefusalCode::Unauthenticated), at(WINDOW_NS), id(2));
        folder.take_back(lost, at(WINDOW_NS));
        let tallies = folder.close_now();
        assert_eq!((tallies.len(), tallies[0].count, tallies[0].first), (1, 2, at(0)));
    }

    #[test]
    fn a_principal_has_ten_refusals_a_second_to_itself() {
        let mut folder = Folder::default();
        let (noisy, quiet) = (Pseudonym([1; 16]), Pseudonym([2; 16]));
        let singles = (0..100).filter(|_| folder.is_single(noisy, at(0))).count();
        assert_eq!(singles, SINGLE_REFUSALS_PER_S as usize);
        assert!(folder.is_single(quiet, at(0)));
        folder.close(at(WINDOW_NS));
        assert!(folder.is_single(noisy, at(WINDOW_NS)));
    }
}
