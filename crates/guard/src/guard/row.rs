//! One row against its caller's past.

use super::{Asker, Flags, Guard, Note, State};
use crate::index::{Buckets, Meta, apart, shared_weight};
use crate::recent::{RECENT, WINDOW, is_between};
use crate::subjects::{ODD, SIMILAR};

/// Where in [`Flags::RULES`] distance stands: what is before it has a column.
pub(super) const FAR_AT: usize = 3;
/// Where similarity begins.
pub(super) const NEAR_AT: usize = 4;
/// Between two rows.
const BETWEEN_AT: usize = 5;
/// Near others' rows.
const OTHERS_AT: usize = 6;
/// Near rows of a caller's own from which others' rows count, too.
const OWN_NEAR_MIN: u32 = 2;

/// What is found of a row among its caller's own.
#[derive(Default)]
struct Likeness {
    is_repeat: bool,
    n_near: u32,
    is_between: bool,
    /// Slot plus one, sequence number and distance of the nearest.
    nearest: (u32, u32, u32),
}

impl Guard {
    /// Judges the row in `state.point`, remembers it, and says where its values drifted, if so.
    pub(super) fn judge_row(
        &self,
        state: &mut State,
        caller: u32,
        asker: &Asker<'_>,
        row_idx: usize,
        flags: &mut Flags,
    ) -> (Note, Option<usize>) {
        let profile = &*self.profile;
        let width = profile.width();
        profile.place(&mut state.point);
        let is_far = profile.is_calibrated && profile.is_far(&state.point);
        let point = &state.point;
        let odd = [0 < point.n_range, 0 < point.n_step, 0 < point.n_missing, is_far];
        for (at, _) in odd.iter().enumerate().filter(|(_, is_odd)| **is_odd) {
            flags.note(at, row_idx);
        }
        flags.first_odd = flags.first_odd.or(point.first_odd);
        let is_odd = odd.contains(&true);
        let drifted = state.drift.see(&point.spot[..width], &profile.mean, &profile.deviation);
        let buckets = state.index.buckets(&point.bytes[..width]);
        let mut gaps = [f32::MAX; RECENT];
        let likeness = self.likeness(state, caller, &buckets, &mut gaps);
        let subject = state.subjects.get_mut(caller);
        subject.last_s = state.now_s;
        let (near, near_seq, _) = likeness.nearest;
        if likeness.is_repeat {
            // The model answers it as before: nothing is learnt from it.
            return (Note { near, near_seq, ..Note::default() }, drifted);
        }
        subject.distinct_today += 1;
        let speaks_for_many = asker.is_channel && asker.end_user.is_none();
        let is_similar = (0 < likeness.n_near || likeness.is_between) && !speaks_for_many;
        subject.evidence[SIMILAR].see(is_similar, self.null[SIMILAR]);
        if !is_similar {
            // Variants of one odd record are one odd record.
            subject.evidence[ODD].see(is_odd, self.null[ODD]);
        }
        self.clean(state, caller, is_similar || is_odd);
        let mut other = 0;
        if is_similar {
            let at = if 0 < likeness.n_near { NEAR_AT } else { BETWEEN_AT };
            flags.note(at, row_idx);
            // W2: not before the caller has put two rows near here itself.
            if OWN_NEAR_MIN <= likeness.n_near {
                other = self.near_others(state, caller, &buckets);
                if 0 < other {
                    flags.note(OTHERS_AT, row_idx);
                    let subject = state.subjects.get_mut(caller);
                    subject.evidence[SIMILAR].see(true, self.null[SIMILAR]);
                }
            }
        }
        let (slot, seq) = self.remember(state, caller, &buckets, &gaps);
        (Note { slot, seq, near, near_seq, other, is_new: true }, drifted)
    }

    /// Counts rows without a flag, after which a degraded caller gets whole answers again.
    fn clean(&self, state: &mut State, caller: u32, is_flagged: bool) {
        let subject = state.subjects.get_mut(caller);
        if !subject.is_degraded {
            return;
        }
        subject.n_clean = if is_flagged { 0 } else { subject.n_clean + 1 };
        if self.policy.clean_rows <= subject.n_clean {
            subject.is_degraded = false;
        }
    }

    fn likeness(
        &self,
        state: &State,
        caller: u32,
        buckets: &Buckets,
        gaps: &mut [f32; RECENT],
    ) -> Likeness {
        let profile = &*self.profile;
        let thresholds = &profile.thresholds;
        let width = profile.width();
        let (point, subject) = (&state.point, state.subjects.get(caller));
        let bytes = &point.bytes[..width];
        let mut found = Likeness::default();
        let mut nearest_gap = u32::MAX;
        let mut look = |slot: u32, meta: Meta, found: &mut Likeness| -> u32 {
            let row = state.index.row(slot);
            let gap = apart(bytes, row);
            if meta.print == point.print && gap == 0 {
                found.is_repeat = true;
                found.nearest = (slot + 1, meta.seq, 0);
            }
            let is_near = gap <= thresholds.near && 0 < thresholds.near
                || thresholds.shared != u32::MAX
                    && thresholds.shared < shared_weight(bytes, row, &profile.weights);
            if is_near {
                found.n_near += 1;
                if gap < nearest_gap && !found.is_repeat {
                    nearest_gap = gap;
                    found.nearest = (slot + 1, meta.seq, gap);
                }
            }
            gap
        };
        let is_fresh = |meta: &Meta| {
            meta.owner == caller && state.now_s <= meta.at_s.saturating_add(self.policy.remember_s)
        };
        for ((slot, seq), gap) in subject.recent.iter().zip(gaps.iter_mut()) {
            if *seq == u32::MAX {
                continue;
            }
            let meta = state.index.meta(*slot);
            if is_fresh(&meta) && meta.seq == *seq {
                *gap = (look(*slot, meta, &mut found) as f32).sqrt();
            }
        }
        let older = state.index.own(buckets, caller);
        for (at, slot) in older.iter().enumerate().filter_map(|(at, slot)| Some((at, (*slot)?))) {
            if older[..at].contains(&Some(slot)) {
                continue;
            }
            let meta = state.index.meta(slot);
            let age = subject.n_rows.wrapping_sub(meta.seq);
            // Younger ones were looked at above.
            if is_fresh(&meta) && (RECENT as u32) < age && age <= WINDOW {
                look(slot, meta, &mut found);
            }
        }
        found.is_between = self.is_between_two(state, caller, gaps);
        found
    }

    /// Whether the row lies between the one before it and another recent one.
    fn is_between_two(&self, state: &State, caller: u32, gaps: &[f32; RECENT]) -> bool {
        let subject = state.subjects.get(caller);
        if subject.n_recent < 2 || !self.profile.is_calibrated {
            return false;
        }
        let last = (subject.n_recent as usize - 1) % RECENT;
        let near = self.profile.near_distance();
        (0..RECENT).filter(|at| *at != last).any(|at| {
            gaps[at] < f32::MAX
                && gaps[last] < f32::MAX
                && is_between(gaps[last], gaps[at], subject.gaps[at], near)
        })
    }

    /// A near row of another's: its slot plus one, or 0.
    fn near_others(&self, state: &State, caller: u32, buckets: &Buckets) -> u32 {
        let bytes = &state.point.bytes[..self.profile.width()];
        let fresh = |slot: u32| {
            state.now_s <= state.index.meta(slot).at_s.saturating_add(self.policy.remember_s)
        };
        let near =
            |slot: &u32| apart(bytes, state.index.row(*slot)) <= self.profile.thresholds.near;
        let others = state.index.others(buckets, caller).into_iter().flatten();
        others.filter(|slot| fresh(*slot)).find(near).map_or(0, |slot| slot + 1)
    }

    fn remember(
        &self,
        state: &mut State,
        caller: u32,
        buckets: &Buckets,
        gaps: &[f32; RECENT],
    ) -> (u32, u32) {
        let subject = state.subjects.get_mut(caller);
        let seq = subject.n_rows;
        subject.n_rows = (seq + 1) % u32::MAX;
        let meta = Meta {
            owner: caller,
            seq,
            print: state.point.print,
            at_s: state.now_s,
            label: 0,
            confidence: 0,
        };
        let slot = state.index.insert(&state.point.bytes[..self.profile.width()], buckets, meta);
        let at = subject.n_recent as usize % RECENT;
        subject.recent[at] = (slot, seq);
        subject.gaps = *gaps;
        subject.gaps[at] = 0.0;
        // Stays at the right place in the ring when it would overflow.
        subject.n_recent += 1;
        if subject.n_recent == 1 << 30 {
            subject.n_recent = RECENT as u32;
        }
        state.inserted += 1;
        (slot, seq)
    }
}
