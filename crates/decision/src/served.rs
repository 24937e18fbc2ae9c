//! What one model has done so far, in numbers: for its statistics, never for a judgement.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the model was loaded. Each is exact; together they may be of slightly different
/// moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Served {
    /// Requests answered.
    pub n_answered: u64,
    /// Rows of those.
    pub n_rows: u64,
    /// Time from their heads to their finished replies, in nanoseconds.
    pub answered_ns: u64,
    /// Time that the model itself took for them, in nanoseconds.
    pub predict_ns: u64,
    /// Requests refused.
    pub n_refused: u64,
    /// Time from their heads to their finished refusals, in nanoseconds.
    pub refused_ns: u64,
    /// Wall time of the last answer, in milliseconds since the Unix epoch; 0 before the first.
    pub last_ms: u64,
}

/// The counters behind [`Served`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    n_answered: AtomicU64,
    n_rows: AtomicU64,
    answered_ns: AtomicU64,
    predict_ns: AtomicU64,
    n_refused: AtomicU64,
    refused_ns: AtomicU64,
    last_ms: AtomicU64,
}

impl Counters {
    pub(crate) fn answered(&self, n_rows: u64, took_ns: u64, predict_ns: u64, wall_ns: u64) {
        self.n_answered.fetch_add(1, Ordering::Relaxed);
        self.n_rows.fetch_add(n_rows, Ordering::Relaxed);
        self.answered_ns.fetch_add(took_ns, Ordering::Relaxed);
        self.predict_ns.fetch_add(predict_ns, Ordering::Relaxed);
        self.last_ms.fetch_max(wall_ns / 1_000_000, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, took_ns: u64) {
        self.n_refused.fetch_add(1, Ordering::Relaxed);
        self.refused_ns.fetch_add(took_ns, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Served {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Served {
            n_answered: of(&self.n_answered),
            n_rows: of(&self.n_rows),
            answered_ns: of(&self.answered_ns),
            predict_ns: of(&self.predict_ns),
            n_refused: of(&self.n_refused),
            refused_ns: of(&self.refused_ns),
            last_ms: of(&self.last_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read() {
        let counters = Counters::default();
        counters.answered(3, 50, 20, 7_999_999);
        counters.answered(1, 50, 20, 2_000_000);
        counters.refused(9);
        let expected = Served {
            n_answered: 2,
            n_rows: 4,
            answered_ns: 100,
            predict_ns: 40,
            n_refused: 1,
            refused_ns: 9,
            last_ms: 7,
        };
        assert_eq!(counters.read(), expected);
    }
}
