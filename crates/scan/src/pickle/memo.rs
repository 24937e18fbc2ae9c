//! The memo: values by index, in chunks, so that a growing one is never held twice.

use super::value::Value;
use crate::sighting::Stop;

/// Most entries of the memo.
const MEMO_MAX: usize = 3_000_000;
/// How far beyond the entries made so far an index may lie.
const GAP_MAX: usize = 65_536;
/// Values of one chunk.
const CHUNK: usize = 16_384;

/// What became of a value that was put into the memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is there.
    Done,
    /// It is there, in the place of another.
    Replaced,
    /// Its index is far beyond all others, so it is not.
    Far,
}

/// Values by index.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    chunks: Vec<Box<[Value]>>,
    n_filled: usize,
}

impl Memo {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.n_filled = 0;
    }

    /// How many entries were made: the index that `MEMOIZE` takes.
    pub(super) fn n_filled(&self) -> usize {
        self.n_filled
    }

    /// The value at `at`, if one was put there.
    pub(super) fn get(&self, at: usize) -> Option<Value> {
        let value = *self.chunks.get(at / CHUNK)?.get(at % CHUNK)?;
        (value != Value::Absent).then_some(value)
    }

    /// Puts `value` at `at`. Memory grows with the entries made, not with the index claimed.
    pub(super) fn put(&mut self, at: usize, value: Value) -> Result<Put, Stop> {
        if self.chunks.len() <= at / CHUNK {
            if self.n_filled.saturating_mul(2).saturating_add(GAP_MAX) < at {
                return Ok(Put::Far);
            }
            if MEMO_MAX <= at {
                return Err(Stop::Budget("memo"));
            }
            while self.chunks.len() <= at / CHUNK {
                self.chunks.push(vec![Value::Absent; CHUNK].into_boxed_slice());
            }
        }
        let slot = self.chunks.get_mut(at / CHUNK).and_then(|chunk| chunk.get_mut(at % CHUNK));
        let Some(slot) = slot else { return Err(Stop::Budget("memo")) };
        let put = if *slot == Value::Absent {
            self.n_filled = self.n_filled.saturating_add(1);
            Put::Done
        } else if *slot == value {
            Put::Done
        } else {
            Put::Replaced
        };
        *slot = value;
        Ok(put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of each edge: what was put is there, what was not is not, far claims cost nothing.
    #[test]
    fn a_memo_holds_what_was_put_and_takes_no_claim_for_it() {
        let mut memo = Memo::default();
        assert_eq!(memo.get(0), None);
        assert_eq!(memo.put(CHUNK - 1, Value::None).unwrap(), Put::Done);
        assert_eq!(memo.put(CHUNK, Value::List).unwrap(), Put::Done);
        assert_eq!((memo.get(CHUNK - 1), memo.get(CHUNK)), (Some(Value::None), Some(Value::List)));
        assert_eq!((memo.get(CHUNK + 1), memo.n_filled()), (None, 2));
        assert_eq!(memo.put(CHUNK, Value::List).unwrap(), Put::Done);
        assert_eq!(memo.put(CHUNK, Value::Set).unwrap(), Put::Replaced);
        assert_eq!(memo.n_filled(), 2);
        assert_eq!(memo.put(usize::MAX, Value::Set).unwrap(), Put::Far);
        assert_eq!(memo.put(GAP_MAX + 2 * CHUNK, Value::Set).unwrap(), Put::Far);
        assert_eq!(memo.get(usize::MAX), None);
        for at in 0..MEMO_MAX {
            memo.put(at, Value::List).unwrap();
        }
        assert!(matches!(memo.put(MEMO_MAX + CHUNK, Value::List), Err(Stop::Budget("memo"))));
        memo.clear();
        assert_eq!((memo.get(0), memo.n_filled()), (None, 0));
    }
}
