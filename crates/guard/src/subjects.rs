//! Who is judged: a principal, or one end user of a principal that speaks for many.
//!
//! Invariants
//! - U1: at most so many are known; one that is held, degraded or under suspicion is not
//!   forgotten for another, and who finds no place is judged together with others who did not.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::evidence::Evidence;
use crate::recent::RECENT;

/// The one that those without a place share.
pub(crate) const CROWD: u32 = 1;
/// Candidates that are looked at to make room.
const LOOKED_AT: usize = 64;

/// Channels of evidence.
pub(crate) const CHANNELS: usize = 3;
/// Rows unlike any honest one.
pub(crate) const ODD: usize = 0;
/// Rows like each other.
pub(crate) const SIMILAR: usize = 1;
/// Rows like each other with different answers.
pub(crate) const STRADDLE: usize = 2;

/// What is known of one caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subject {
    pub(crate) id: u64,
    pub(crate) last_s: u32,
    /// Rows that were put in.
    pub(crate) n_rows: u32,
    pub(crate) evidence: [Evidence; CHANNELS],
    /// Until when it is held, in seconds since the Unix epoch.
    pub(crate) until_s: u32,
    /// Whether it is held by a block, not by a throttle.
    pub(crate) is_blocked: bool,
    pub(crate) is_quarantined: bool,
    pub(crate) is_degraded: bool,
    /// Rows without a flag since it was degraded.
    pub(crate) n_clean: u32,
    pub(crate) n_throttles: u8,
    pub(crate) n_blocks: u8,
    pub(crate) day: u32,
    pub(crate) rows_today: u64,
    pub(crate) distinct_today: u64,
    /// Slot and sequence number of the latest rows.
    pub(crate) recent: [(u32, u32); RECENT],
    pub(crate) n_recent: u32,
    /// Distances of the last row from the others.
    pub(crate) gaps: [f32; RECENT],
}

impl Subject {
    fn new(id: u64) -> Self {
        Self {
            id,
            last_s: 0,
            n_rows: 0,
            evidence: [Evidence::NONE; CHANNELS],
            until_s: 0,
            is_blocked: false,
            is_quarantined: false,
            is_degraded: false,
            n_clean: 0,
            n_throttles: 0,
            n_blocks: 0,
            day: 0,
            rows_today: 0,
            distinct_today: 0,
            recent: [(0, u32::MAX); RECENT],
            n_recent: 0,
            gaps: [0.0; RECENT],
        }
    }

    /// U1: whether nothing is lost with it.
    fn is_plain(&self, now_s: u32) -> bool {
        self.until_s <= now_s
            && !self.is_quarantined
            && !self.is_degraded
            && self.n_blocks == 0
            && self.day != now_s / 86_400
            && self.evidence.iter().all(|evidence| *evidence == Evidence::NONE)
    }
}

/// Ids are keyed hashes already.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, x: u64) {
        self.0 = x;
    }
}

/// All of them.
pub(crate) struct Subjects {
    by_id: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    /// From 1; 0 is nobody.
    all: Vec<Subject>,
    max: usize,
    hand: usize,
}

impl Subjects {
    /// Room for `max`.
    pub(crate) fn new(max: usize) -> Self {
        let mut by_id = HashMap::with_capacity_and_hasher(max + 2, BuildHasherDefault::default());
        let mut all = Vec::with_capacity(max + 2);
        all.push(Subject::new(0));
        all.push(Subject::new(u64::MAX));
        by_id.insert(u64::MAX, CROWD);
        Self { by_id, all, max, hand: 0 }
    }

    /// The place of `id`, and whether somebody else was forgotten for it.
    pub(crate) fn place_of(&mut self, id: u64, now_s: u32) -> (u32, bool) {
        if let Some(at) = self.by_id.get(&id) {
            return (*at, false);
        }
        if self.all.len() < self.max + 2 {
            let at = self.all.len() as u32;
            self.all.push(Subject::new(id));
            self.by_id.insert(id, at);
            return (at, false);
        }
        let places = self.all.len() - 2;
        let candidates = (0..LOOKED_AT.min(places)).map(|step| 2 + (self.hand + step) % places);
        let plain = candidates.filter(|at| self.all[*at].is_plain(now_s));
        let Some(at) = plain.min_by_key(|at| self.all[*at].last_s) else {
            self.hand = (self.hand + LOOKED_AT) % places;
            return (CROWD, false);
        };
        self.hand = (self.hand + LOOKED_AT) % places;
        self.by_id.remove(&self.all[at].id);
        self.all[at] = Subject::new(id);
        self.by_id.insert(id, at as u32);
        (at as u32, true)
    }

    /// Whether `id` is known, without making it so.
    pub(crate) fn find(&self, id: u64) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn get(&self, at: u32) -> &Subject {
        &self.all[at as usize]
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> &mut Subject {
        &mut self.all[at as usize]
    }

    /// All but nobody, in their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Subject)> {
        self.all.iter().enumerate().skip(1).map(|(at, subject)| (at as u32, subject))
    }

    /// Puts a kept subject back; `false` where its place is not the next or its id is taken.
    pub(crate) fn restore(&mut self, at: u32, subject: Subject) -> bool {
        if at == CROWD {
            self.all[CROWD as usize] = Subject { id: u64::MAX, ..subject };
            return true;
        }
        if at as usize != self.all.len() || self.max + 2 <= self.all.len() {
            return false;
        }
        self.by_id.insert(subject.id, at);
        self.all.push(subject);
        self.by_id.len() + 1 == self.all.len()
    }

    pub(crate) fn hand(&self) -> usize {
        self.hand
    }

    pub(crate) fn set_hand(&mut self, hand: usize) {
        self.hand = hand % self.all.len().saturating_sub(2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U1 from both sides: the plain one of yesterday goes, the quarantined one stays.
    #[test]
    fn who_is_held_is_never_forgotten_for_another() {
        let day = 86_400;
        let mut subjects = Subjects::new(2);
        let (first, _) = subjects.place_of(10, 0);
        let (second, _) = subjects.place_of(20, 0);
        subjects.get_mut(first).is_quarantined = true;
        assert_eq!(subjects.place_of(10, 0), (first, false));
        assert_eq!(subjects.place_of(30, 2 * day), (second, true));
        subjects.get_mut(second).until_s = 9 * day;
        assert_eq!(subjects.place_of(40, 3 * day), (CROWD, false));
        assert!(subjects.find(10).is_some() && subjects.find(20).is_none());
    }
}
