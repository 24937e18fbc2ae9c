//! One model's guard: rows before the model, answers after it.
//!
//! Invariants
//! - W1: what is concluded is a function of profile, policy, seed and the sequence of calls, each
//!   with its time: the same again gives the same bits;
//! - W2: a caller is held only by evidence of its own rows; others' rows add to it only where it
//!   has put two rows near each other itself;
//! - W3: what cannot be judged is refused where verdicts hold, and is on record where they do not;
//! - W4: no memory is taken for a request of at most [`INLINE_ROWS`] rows in which nothing is found.

mod row;
mod snapshot;

use std::sync::{Arc, Mutex};

use bartizan_core::{Finding, Findings, Place, Rule, Tensor, Values, Verdict};
use bartizan_stats::chance::Chance;

use crate::drift::Drift;
use crate::evidence::Evidence;
use crate::index::Index;
use crate::keyed;
use crate::point::Point;
use crate::policy::{Mode, Policy};
use crate::profile::Profile;
use crate::rules;
use crate::subjects::{CHANNELS, CROWD, ODD, SIMILAR, STRADDLE, Subject, Subjects};

pub use snapshot::SnapshotError;

/// Rows of a request whose notes need no memory of their own.
pub const INLINE_ROWS: usize = 8;
/// Rate of straddling that is bet against.
const STRADDLE_RATE: f64 = 0.02;
/// Seconds in a day.
const DAY_S: u32 = 86_400;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// What stands for the principal.
    pub principal: [u8; 16],
    /// Whose act in the caller's own system it is.
    pub end_user: Option<&'a str>,
    /// Whether the principal speaks for many: then its end users are judged, never it.
    pub is_channel: bool,
}

/// What the model answered, as far as guards look at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers<'a> {
    /// The chosen class of each row.
    pub label: Option<&'a Tensor>,
    /// A probability or score a class.
    pub scores: Option<&'a Tensor>,
}

/// What was concluded before the model, and what is needed after it.
#[derive(Debug)]
pub struct Judgement {
    /// Position in the order in which the guard was called.
    pub step: u64,
    /// What holds: never beyond `Flag` where the mode is to observe.
    pub verdict: Verdict,
    /// After how many seconds another try may succeed.
    pub retry_after_s: Option<u32>,
    /// Whose evidence it is.
    caller: u32,
    notes: Notes,
}

/// What is kept of a row until its answer is known.
#[derive(Clone, Copy, Debug, Default)]
struct Note {
    slot: u32,
    seq: u32,
    /// A near row of the caller's own: its slot plus one.
    near: u32,
    near_seq: u32,
    /// A near row of another's, where those count: its slot plus one.
    other: u32,
    is_new: bool,
}

#[derive(Debug)]
enum Notes {
    Few([Note; INLINE_ROWS], usize),
    Many(Vec<Note>),
}

impl Notes {
    fn for_rows(n_rows: usize) -> Self {
        if n_rows <= INLINE_ROWS {
            Self::Few([Note::default(); INLINE_ROWS], 0)
        } else {
            Self::Many(Vec::with_capacity(n_rows))
        }
    }

    fn push(&mut self, note: Note) {
        match self {
            Self::Few(notes, len) => {
                if let Some(place) = notes.get_mut(*len) {
                    *place = note;
                    *len += 1;
                }
            }
            Self::Many(notes) => notes.push(note),
        }
    }

    fn as_slice(&self) -> &[Note] {
        match self {
            Self::Few(notes, len) => &notes[..*len],
            Self::Many(notes) => notes,
        }
    }
}

/// Counts of what was flagged in one request, by rule, with the first row.
#[derive(Default)]
struct Flags {
    found: [(u64, u64); 7],
    first_odd: Option<u32>,
}

impl Flags {
    const RULES: [&'static Rule; 7] = [
        &rules::OUT_OF_RANGE,
        &rules::OFF_STEP,
        &rules::NEVER_MISSING,
        &rules::FAR,
        &rules::NEAR,
        &rules::BETWEEN,
        &rules::NEAR_OTHERS,
    ];

    fn note(&mut self, at: usize, row_idx: usize) {
        if self.found[at].0 == 0 {
            self.found[at].1 = row_idx as u64;
        }
        self.found[at].0 += 1;
    }

    fn is_empty(&self) -> bool {
        self.found.iter().all(|found| found.0 == 0)
    }
}

/// Everything that changes.
struct State {
    step: u64,
    now_s: u32,
    day: u32,
    rows_today: u64,
    subjects: Subjects,
    index: Index,
    drift: Drift,
    point: Point,
    /// Orders the rows that are held.
    inserted: u64,
}

/// The guard of one model version; see the module invariants.
pub struct Guard {
    profile: Arc<Profile>,
    policy: Policy,
    seed: [u64; 2],
    null: [f64; CHANNELS],
    state: Mutex<State>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard that has seen nothing. `seed` is secret: it salts the index and draws how long
    /// callers are held.
    pub fn new(profile: Arc<Profile>, policy: Policy, seed: [u64; 2]) -> Self {
        let rates = &profile.rates;
        let null = [Policy::null_rate(rates.odd), Policy::null_rate(rates.similar), STRADDLE_RATE];
        let owners = policy.callers_max + 2;
        let near = profile.near_distance().max(1.0);
        let rows = policy.remembered_rows.max(64);
        let state = State {
            step: 0,
            now_s: 0,
            day: 0,
            rows_today: 0,
            subjects: Subjects::new(policy.callers_max),
            index: Index::new(rows, profile.width(), near, seed[0] ^ seed[1], owners),
            drift: Drift::new(profile.width()),
            point: Point::new(profile.columns.len()),
            inserted: 0,
        };
        Self { profile, policy, seed, null, state: Mutex::new(state) }
    }

    /// What it knows.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How it acts.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Judges the rows of a request that the contract has passed. `now_s` are seconds since the
    /// Unix epoch; time that goes back counts as standing still. About 3 us for one row of 64
    /// values.
    pub fn before(
        &self,
        asker: &Asker<'_>,
        inputs: &[Tensor],
        now_s: u64,
        findings: &mut Findings,
    ) -> Judgement {
        let n_rows = inputs.first().map_or(0, Tensor::n_rows);
        let Ok(mut state) = self.state.lock() else {
            return self.not_judged(0, findings);
        };
        let state = &mut *state;
        state.step += 1;
        let step = state.step;
        state.now_s = state.now_s.max(u32::try_from(now_s).unwrap_or(u32::MAX));
        let caller = self.caller(state, asker);
        let mut judgement = Judgement {
            step,
            verdict: Verdict::Allow,
            retry_after_s: None,
            caller,
            notes: Notes::for_rows(n_rows),
        };
        if self.is_held(state, &mut judgement, findings)
            || self.is_spent(state, &mut judgement, n_rows as u64, findings)
        {
            return judgement;
        }
        let mut flags = Flags::default();
        for row_idx in 0..n_rows {
            if !state.point.read(inputs, row_idx) {
                return self.not_judged(step, findings);
            }
            let note = self.judge_row(state, caller, asker, row_idx, &mut flags);
            if let Some(at) = note.1 {
                drifted(&self.profile, at, row_idx, findings);
            }
            judgement.notes.push(note.0);
        }
        self.tell(state, caller, &flags, findings);
        let verdict = self.conclude(state, caller, asker, findings);
        self.hold_to(verdict, state, &mut judgement, !flags.is_empty());
        judgement
    }

    /// Takes in what the model answered, before anything of it is told; the verdict on the whole.
    pub fn after(
        &self,
        judgement: &mut Judgement,
        asker: &Asker<'_>,
        answers: Answers<'_>,
        findings: &mut Findings,
    ) -> Verdict {
        let Ok(mut state) = self.state.lock() else {
            *judgement = self.not_judged(judgement.step, findings);
            return judgement.verdict;
        };
        let state = &mut *state;
        state.step += 1;
        let mut n_straddling = 0_u64;
        let mut first = 0;
        for (row_idx, note) in judgement.notes.as_slice().iter().enumerate() {
            let label = label_of(&answers, row_idx);
            if label == 0 {
                continue;
            }
            if self.answer_row(state, judgement.caller, note, label, &answers, row_idx) {
                if n_straddling == 0 {
                    first = row_idx as u64;
                }
                n_straddling += 1;
            }
        }
        if 0 < n_straddling {
            let score = state.subjects.get(judgement.caller).evidence[STRADDLE].value();
            let place = Place { field: None, row: Some(first) };
            findings.push(Finding { rule: &rules::STRADDLE, place, count: n_straddling, score });
        }
        let verdict = self.conclude(state, judgement.caller, asker, findings);
        self.hold_to(verdict, state, judgement, 0 < n_straddling);
        judgement.step = state.step;
        judgement.verdict
    }

    /// Notes an answer; whether it straddles.
    fn answer_row(
        &self,
        state: &mut State,
        caller: u32,
        note: &Note,
        label: u16,
        answers: &Answers<'_>,
        row_idx: usize,
    ) -> bool {
        if note.is_new {
            let confidence = confidence_of(answers, row_idx);
            state.index.answer(note.slot, caller, note.seq, label, confidence);
        }
        if !note.is_new {
            return false;
        }
        let own = note.near.checked_sub(1).map(|slot| state.index.meta(slot));
        let own = own.filter(|meta| meta.owner == caller && meta.seq == note.near_seq);
        let other = note.other.checked_sub(1).map(|slot| state.index.meta(slot));
        let differs = |label_there: u16| label_there != 0 && label_there != label;
        let is_straddling = own.is_some_and(|meta| differs(meta.label))
            || other.is_some_and(|meta| differs(meta.label));
        let evidence = &mut state.subjects.get_mut(caller).evidence[STRADDLE];
        evidence.see(is_straddling, self.null[STRADDLE]);
        is_straddling
    }

    /// W3.
    fn not_judged(&self, step: u64, findings: &mut Findings) -> Judgement {
        let place = Place::default();
        findings.push(Finding { rule: &rules::NOT_JUDGED, place, count: 1, score: 1.0 });
        let verdict = match self.policy.mode {
            Mode::Observe => Verdict::Flag,
            Mode::Enforce => Verdict::Block,
        };
        Judgement { step, verdict, retry_after_s: None, caller: CROWD, notes: Notes::for_rows(0) }
    }

    fn caller(&self, state: &mut State, asker: &Asker<'_>) -> u32 {
        let (place, is_new) = state.subjects.place_of(self.id_of(asker), state.now_s);
        if is_new {
            state.index.forget_owner(place);
        }
        place
    }

    fn id_of(&self, asker: &Asker<'_>) -> u64 {
        let principal = keyed::hash(self.seed, &asker.principal);
        match asker.end_user {
            Some(end_user) if asker.is_channel => {
                keyed::hash([self.seed[0], principal], end_user.as_bytes())
            }
            Some(_) | None => principal,
        }
    }

    /// Whether the caller is held, and what it is told then.
    fn is_held(&self, state: &State, judgement: &mut Judgement, findings: &mut Findings) -> bool {
        let subject = state.subjects.get(judgement.caller);
        let left_s = subject.until_s.saturating_sub(state.now_s);
        if !subject.is_quarantined && left_s == 0 {
            return false;
        }
        let (verdict, rule) = match (subject.is_quarantined, subject.is_blocked) {
            (true, _) => (Verdict::Quarantine, &rules::QUARANTINED),
            (false, true) => (Verdict::Block, &rules::BLOCKED),
            (false, false) => (Verdict::Throttle, &rules::THROTTLED),
        };
        let score = subject.evidence.iter().map(Evidence::value).fold(1.0, f64::max);
        findings.push(Finding { rule, place: Place::default(), count: 1, score });
        match self.policy.mode {
            Mode::Observe => {
                judgement.verdict = Verdict::Flag;
                false
            }
            Mode::Enforce => {
                judgement.verdict = verdict;
                judgement.retry_after_s = (verdict == Verdict::Throttle).then_some(left_s.max(1));
                true
            }
        }
    }

    /// Whether a budget is spent; it holds in both modes, since somebody set it.
    fn is_spent(
        &self,
        state: &mut State,
        judgement: &mut Judgement,
        n_rows: u64,
        findings: &mut Findings,
    ) -> bool {
        let day = state.now_s / DAY_S;
        if state.day != day {
            (state.day, state.rows_today) = (day, 0);
        }
        let subject = state.subjects.get_mut(judgement.caller);
        if subject.day != day {
            (subject.day, subject.rows_today, subject.distinct_today) = (day, 0, 0);
        }
        let beyond = |spent: u64, budget: Option<u64>| budget.is_some_and(|max| max < spent);
        let is_spent = beyond(subject.rows_today + n_rows, self.policy.rows_per_day)
            || beyond(subject.distinct_today + 1, self.policy.distinct_rows_per_day)
            || beyond(state.rows_today + n_rows, self.policy.model_rows_per_day);
        if is_spent {
            let score = subject.rows_today as f64;
            let place = Place::default();
            findings.push(Finding { rule: &rules::BUDGET, place, count: n_rows, score });
            judgement.verdict = Verdict::Throttle;
            judgement.retry_after_s = Some((DAY_S - state.now_s % DAY_S).max(1));
            return true;
        }
        subject.rows_today += n_rows;
        state.rows_today += n_rows;
        false
    }

    /// Puts what was flagged among the findings, with the evidence it adds up to.
    fn tell(&self, state: &State, caller: u32, flags: &Flags, findings: &mut Findings) {
        if flags.is_empty() {
            return;
        }
        let subject = state.subjects.get(caller);
        for (at, (count, first)) in flags.found.iter().enumerate().filter(|(_, f)| 0 < f.0) {
            let channel = if at < row::NEAR_AT { ODD } else { SIMILAR };
            let field = flags.first_odd.filter(|_| at < row::FAR_AT);
            let field = field.and_then(|at| self.profile.columns.get(at as usize));
            findings.push(Finding {
                rule: Flags::RULES[at],
                place: Place {
                    field: field.map(|column| column.name.as_str().into()),
                    row: Some(*first),
                },
                count: *count,
                score: subject.evidence[channel].value(),
            });
        }
    }

    /// Climbs the ladder as far as the caller's evidence goes, and holds the caller there.
    fn conclude(
        &self,
        state: &mut State,
        caller: u32,
        asker: &Asker<'_>,
        findings: &mut Findings,
    ) -> Verdict {
        let (policy, step, now_s) = (&self.policy, state.step, state.now_s);
        let is_open = asker.is_channel && asker.end_user.is_none() || caller == CROWD;
        let subject = state.subjects.get_mut(caller);
        if is_open {
            // Nobody in particular: nobody is held for what others of them did.
            return Verdict::Allow;
        }
        let [odd, similar, straddle] = subject.evidence.map(|evidence| evidence.value());
        let mut verdict = Verdict::Allow;
        if policy.quarantine_at <= straddle {
            verdict = Verdict::Quarantine;
        } else if policy.block_at <= straddle || policy.block_at <= odd {
            verdict = Verdict::Block;
            subject.n_blocks = subject.n_blocks.saturating_add(1);
            if policy.blocks_max <= subject.n_blocks {
                verdict = Verdict::Quarantine;
            }
        } else if policy.throttle_at <= similar && !policy.expects_near_duplicates {
            verdict = Verdict::Throttle;
        } else if policy.degrade_at <= similar {
            verdict = Verdict::Degrade;
        }
        let vector = |findings: &mut Findings| {
            for (rule, score) in [
                (&rules::EVIDENCE_ODD, odd),
                (&rules::EVIDENCE_SIMILAR, similar),
                (&rules::EVIDENCE_STRADDLE, straddle),
            ] {
                findings.push(Finding { rule, place: Place::default(), count: 1, score });
            }
        };
        let rule = match verdict {
            Verdict::Allow | Verdict::Flag => {
                return if subject.is_degraded { Verdict::Degrade } else { verdict };
            }
            Verdict::Degrade if subject.is_degraded => return verdict,
            Verdict::Degrade => &rules::DEGRADED,
            Verdict::Throttle => &rules::THROTTLED,
            Verdict::Block => &rules::BLOCKED,
            Verdict::Quarantine => &rules::QUARANTINED,
        };
        let score = odd.max(similar).max(straddle);
        findings.push(Finding { rule, place: Place::default(), count: 1, score });
        vector(findings);
        subject.is_degraded = true;
        subject.n_clean = 0;
        if verdict != Verdict::Degrade {
            subject.evidence = [Evidence::NONE; CHANNELS];
            let mut chance = Chance::new(self.seed[1] ^ subject.id, step);
            let drawn = f64::from(policy.hold_s) * (0.5 + chance.unit());
            let again = u32::from(subject.n_throttles.min(3));
            let length_s = (drawn as u32).saturating_mul(1 << again).max(1);
            subject.until_s = now_s.saturating_add(length_s);
            subject.is_blocked = verdict != Verdict::Throttle;
            subject.is_quarantined |= verdict == Verdict::Quarantine;
            subject.n_throttles = subject.n_throttles.saturating_add(1);
        }
        verdict
    }

    /// Makes `verdict` hold, where the mode lets it.
    fn hold_to(
        &self,
        verdict: Verdict,
        state: &State,
        judgement: &mut Judgement,
        is_flagged: bool,
    ) {
        let found = match self.policy.mode {
            Mode::Observe => verdict.min(Verdict::Flag),
            Mode::Enforce => verdict,
        };
        let flag = if is_flagged { Verdict::Flag } else { Verdict::Allow };
        judgement.verdict = judgement.verdict.max(found).max(flag);
        if judgement.verdict == Verdict::Throttle {
            let until_s = state.subjects.get(judgement.caller).until_s;
            judgement.retry_after_s = Some(until_s.saturating_sub(state.now_s).max(1));
        }
    }

    /// Lifts whatever holds a caller; `false` where it is not held.
    pub fn release(&self, asker: &Asker<'_>) -> bool {
        let Ok(mut state) = self.state.lock() else { return false };
        let id = self.id_of(asker);
        let Some(at) = state.subjects.find(id) else { return false };
        let now_s = state.now_s;
        let subject: &mut Subject = state.subjects.get_mut(at);
        let was_held = subject.is_quarantined || now_s < subject.until_s || subject.is_degraded;
        subject.is_quarantined = false;
        subject.is_blocked = false;
        subject.is_degraded = false;
        subject.until_s = 0;
        (subject.n_blocks, subject.n_throttles) = (0, 0);
        subject.evidence = [Evidence::NONE; CHANNELS];
        was_held
    }

    /// Forgets all rows that are remembered; evidence, budgets and holds stay.
    pub fn forget_rows(&self) {
        let Ok(mut state) = self.state.lock() else { return };
        let state = &mut *state;
        for (owner, _) in state.subjects.iter() {
            state.index.forget_owner(owner);
        }
    }

    /// Callers that are quarantined.
    pub fn n_quarantined(&self) -> usize {
        let Ok(state) = self.state.lock() else { return 0 };
        state.subjects.iter().filter(|(_, subject)| subject.is_quarantined).count()
    }

    /// Bytes of memory of the index.
    pub fn index_bytes(&self) -> usize {
        self.state.lock().map_or(0, |state| state.index.size())
    }
}

fn drifted(profile: &Profile, at: usize, row_idx: usize, findings: &mut Findings) {
    let column = if profile.is_folded { None } else { profile.columns.get(at) };
    let field = column.map(|column| column.name.as_str().into());
    let place = Place { field, row: Some(row_idx as u64) };
    findings.push(Finding { rule: &rules::DRIFT, place, count: 1, score: 1.0 });
}

/// What stands for a row's class: never 0 where there is one.
fn label_of(answers: &Answers<'_>, row_idx: usize) -> u16 {
    if let Some(label) = answers.label {
        let len = label.row_len().max(1);
        let mut bytes = [0_u8; 8];
        let hash = match label.values() {
            Values::Int64(v) => v.get(row_idx * len).map(|x| x.to_le_bytes()),
            Values::Int32(v) => v.get(row_idx * len).map(|x| i64::from(*x).to_le_bytes()),
            Values::Bool(v) => v.get(row_idx * len).map(|x| i64::from(*x).to_le_bytes()),
            Values::Bytes(v) => {
                v.get(row_idx * len).map(|text| keyed::hash([1, 2], text).to_le_bytes())
            }
            Values::Uint8(v) => v.get(row_idx * len).map(|x| u64::from(*x).to_le_bytes()),
            Values::Uint16(v) => v.get(row_idx * len).map(|x| u64::from(*x).to_le_bytes()),
            Values::Uint32(v) => v.get(row_idx * len).map(|x| u64::from(*x).to_le_bytes()),
            Values::Uint64(v) => v.get(row_idx * len).map(|x| x.to_le_bytes()),
            Values::Int8(v) => v.get(row_idx * len).map(|x| i64::from(*x).to_le_bytes()),
            Values::Int16(v) => v.get(row_idx * len).map(|x| i64::from(*x).to_le_bytes()),
            Values::Fp32(v) => v.get(row_idx * len).map(|x| u64::from(x.to_bits()).to_le_bytes()),
            Values::Fp64(v) => v.get(row_idx * len).map(|x| x.to_bits().to_le_bytes()),
            Values::Fp16(v) | Values::Bf16(v) => {
                v.get(row_idx * len).map(|x| u64::from(*x).to_le_bytes())
            }
        };
        return hash.map_or(0, |hash| {
            bytes.copy_from_slice(&hash);
            (keyed::hash([3, 4], &bytes) % 65_535) as u16 + 1
        });
    }
    let most = largest(answers, row_idx);
    most.map_or(0, |(at, _)| (at % 65_535) as u16 + 1)
}

fn confidence_of(answers: &Answers<'_>, row_idx: usize) -> u16 {
    largest(answers, row_idx).map_or(0, |(_, x)| (x.clamp(0.0, 1.0) * 65_535.0) as u16)
}

/// Place and value of the largest score of a row; of equal ones the first.
fn largest(answers: &Answers<'_>, row_idx: usize) -> Option<(usize, f64)> {
    let scores = answers.scores?;
    let len = scores.row_len();
    if len < 2 {
        return None;
    }
    let range = row_idx * len..(row_idx + 1) * len;
    let most = |all: &mut dyn Iterator<Item = f64>| {
        all.enumerate().fold(None, |most: Option<(usize, f64)>, (at, x)| match most {
            Some((_, best)) if x <= best => most,
            Some(_) | None => Some((at, x)),
        })
    };
    match scores.values() {
        Values::Fp32(v) => most(&mut v.get(range)?.iter().map(|x| f64::from(*x))),
        Values::Fp64(v) => most(&mut v.get(range)?.iter().copied()),
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests;
