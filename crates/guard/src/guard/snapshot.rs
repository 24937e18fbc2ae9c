//! A guard's state as bytes, and back: the same calls after it give the same bits (W1).
//!
//! Little-endian numbers one after the other, as written here; `docs/formats/guard.md` has the
//! table. It holds rows as the index remembers them, so that it is sealed where it is kept.

use bartizan_core::Digest;

use super::{Guard, State};
use crate::evidence::Evidence;
use crate::recent::RECENT;
use crate::subjects::{CHANNELS, Subject};

/// Begins every snapshot.
const MAGIC: &[u8; 8] = b"bzguard1";

/// Why a snapshot is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It ends early, or holds what cannot be.
    #[error("the guard's snapshot is damaged at byte {at}; without it the guard begins anew")]
    Damaged {
        /// Where.
        at: usize,
    },
    /// It is of another profile, shape or seed.
    #[error("the guard's snapshot is of another profile or configuration")]
    Other,
    /// The guard is out of order.
    #[error("the guard's state cannot be had: an earlier fault left it undecided")]
    Undecided,
}

struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let damaged = SnapshotError::Damaged { at: self.at };
        let rest = self.all.get(self.at..).ok_or(damaged)?;
        let bytes = rest.first_chunk::<N>().ok_or(SnapshotError::Damaged { at: self.at })?;
        self.at += N;
        Ok(*bytes)
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.take().map(u64::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32, SnapshotError> {
        self.take().map(f32::from_le_bytes)
    }

    fn f64(&mut self) -> Result<f64, SnapshotError> {
        self.take().map(f64::from_le_bytes)
    }

    fn damaged(&self) -> SnapshotError {
        SnapshotError::Damaged { at: self.at }
    }
}

impl Guard {
    /// The state of this moment. Linear in the rows that are held.
    ///
    /// # Errors
    /// [`SnapshotError::Undecided`] after a fault.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let state = self.state.lock().map_err(|_| SnapshotError::Undecided)?;
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.shape_digest().0);
        for n in self.seed.into_iter().chain([state.step, state.rows_today, state.inserted]) {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for n in [state.now_s, state.day, state.subjects.hand() as u32] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        state.drift.parts().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
        let n_subjects = state.subjects.iter().count() as u32;
        out.extend_from_slice(&n_subjects.to_le_bytes());
        state.subjects.iter().for_each(|(_, subject)| write_subject(subject, &mut out));
        state.index.write(&mut out);
        Ok(out)
    }

    /// Puts a snapshot back; nothing changes where that fails.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut bytes = Bytes { all: bytes, at: 0 };
        if bytes.take::<8>()? != *MAGIC || bytes.take::<32>()? != self.shape_digest().0 {
            return Err(SnapshotError::Other);
        }
        let seed = [bytes.u64()?, bytes.u64()?];
        let mut fresh = Self::new(self.profile.clone(), self.policy.clone(), seed);
        let state = fresh.state.get_mut().map_err(|_| SnapshotError::Undecided)?;
        read_state(state, &mut bytes)?;
        if bytes.at != bytes.all.len() {
            return Err(bytes.damaged());
        }
        *self = fresh;
        Ok(())
    }

    /// What a snapshot must agree with: the profile, and how much is remembered of whom.
    fn shape_digest(&self) -> Digest {
        let profile = self.profile.to_bytes().unwrap_or_default();
        let Self { policy, .. } = self;
        let shape = format!(
            "guard snapshot 1 {} {} {}",
            policy.remembered_rows,
            policy.callers_max,
            Digest::of(&profile)
        );
        Digest::of(shape.as_bytes())
    }
}

fn read_state(state: &mut State, bytes: &mut Bytes<'_>) -> Result<(), SnapshotError> {
    (state.step, state.rows_today, state.inserted) = (bytes.u64()?, bytes.u64()?, bytes.u64()?);
    (state.now_s, state.day) = (bytes.u32()?, bytes.u32()?);
    let hand = bytes.u32()?;
    state.drift.restore(|| bytes.f32().ok()).ok_or_else(|| bytes.damaged())?;
    let n_subjects = bytes.u32()?;
    for at in 1..=n_subjects {
        let subject = read_subject(bytes)?;
        if !state.subjects.restore(at, subject) {
            return Err(bytes.damaged());
        }
    }
    state.subjects.set_hand(hand as usize);
    let rest = bytes.all.get(bytes.at..).unwrap_or_default();
    let read = state.index.read(rest, n_subjects).ok_or_else(|| bytes.damaged())?;
    bytes.at += read;
    Ok(())
}

fn write_subject(subject: &Subject, out: &mut Vec<u8>) {
    out.extend_from_slice(&subject.id.to_le_bytes());
    for n in [subject.rows_today, subject.distinct_today] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    for n in [
        subject.last_s,
        subject.n_rows,
        subject.until_s,
        subject.n_clean,
        subject.day,
        subject.n_recent,
    ] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    let flags = u8::from(subject.is_blocked)
        | u8::from(subject.is_quarantined) << 1
        | u8::from(subject.is_degraded) << 2;
    out.extend_from_slice(&[flags, subject.n_throttles, subject.n_blocks, 0]);
    for evidence in &subject.evidence {
        evidence.parts().iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
    }
    for ((slot, seq), gap) in subject.recent.iter().zip(&subject.gaps) {
        out.extend_from_slice(&slot.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&gap.to_le_bytes());
    }
}

fn read_subject(bytes: &mut Bytes<'_>) -> Result<Subject, SnapshotError> {
    let (id, rows_today, distinct_today) = (bytes.u64()?, bytes.u64()?, bytes.u64()?);
    let (last_s, n_rows, until_s) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
    let (n_clean, day, n_recent) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
    let [flags, n_throttles, n_blocks, _] = bytes.take::<4>()?;
    let mut evidence = [Evidence::NONE; CHANNELS];
    for evidence in &mut evidence {
        let parts = [bytes.f64()?, bytes.f64()?, bytes.f64()?];
        *evidence = Evidence::of(parts).ok_or_else(|| bytes.damaged())?;
    }
    let mut recent = [(0, u32::MAX); RECENT];
    let mut gaps = [0.0_f32; RECENT];
    for (recent, gap) in recent.iter_mut().zip(&mut gaps) {
        *recent = (bytes.u32()?, bytes.u32()?);
        *gap = bytes.f32()?;
    }
    Ok(Subject {
        id,
        last_s,
        n_rows,
        evidence,
        until_s,
        is_blocked: flags & 1 != 0,
        is_quarantined: flags & 2 != 0,
        is_degraded: flags & 4 != 0,
        n_clean,
        n_throttles,
        n_blocks,
        day,
        rows_today,
        distinct_today,
        recent,
        n_recent,
        gaps,
    })
}
