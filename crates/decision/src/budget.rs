//! How many rows of a model one principal is answered in a day.
//!
//! Invariants
//! - B1: what was taken in a day never exceeds the least limit that was asked with, and a request
//!   that does not fit takes nothing;
//! - B2: where it cannot be told how much is left, nothing is given.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use bartizan_core::clock::NS_PER_S;
use bartizan_core::{ModelName, Pseudonym, Stamp};

/// Seconds of a day.
const DAY_S: u64 = 86_400;
/// Most pairs of principal and model that are counted in one day; then the next is refused (B2).
pub const COUNTED_MAX: usize = 262_144;

/// Rows that a permit lets its holder have in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowAsk<'a> {
    /// Who asks.
    pub who: Pseudonym,
    /// Which model.
    pub model: &'a ModelName,
    /// How many rows.
    pub n_rows: u64,
    /// Most rows of the day (UTC).
    pub rows_per_day: u64,
    /// When.
    pub at: Stamp,
}

/// Counts rows. A port: how long it remembers, and with whom it shares, is its adapter's.
pub trait RowBudget: Send + Sync + fmt::Debug {
    /// Takes the rows of `ask` from its day.
    ///
    /// # Errors
    /// Seconds until there are rows again, at least 1; then nothing was taken (B1).
    fn take(&self, ask: &RowAsk<'_>) -> Result<(), u32>;
}

/// Counts in this process's memory: a restart begins anew.
#[derive(Debug, Default)]
pub struct DayRows(Mutex<Day>);

#[derive(Debug, Default)]
struct Day {
    day: u64,
    taken: HashMap<(Pseudonym, ModelName), u64>,
}

impl RowBudget for DayRows {
    fn take(&self, ask: &RowAsk<'_>) -> Result<(), u32> {
        let now_s = ask.at.wall_ns / NS_PER_S;
        let today = now_s / DAY_S;
        let spent = Err((DAY_S - now_s % DAY_S) as u32);
        // A holder that panicked left whole counts: each is replaced in one step.
        let mut day = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Recorded time never goes back; a request that came before midnight counts for today.
        if day.day < today {
            *day = Day { day: today, taken: HashMap::new() };
        }
        let key = (ask.who, ask.model.clone());
        let so_far = day.taken.get(&key).copied();
        if so_far.is_none() && COUNTED_MAX <= day.taken.len() {
            return spent;
        }
        match so_far.unwrap_or(0).checked_add(ask.n_rows) {
            Some(sum) if sum <= ask.rows_per_day => {
                day.taken.insert(key, sum);
                Ok(())
            }
            Some(_) | None => spent,
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::ClockSource;

    use super::*;

    fn at(second: u64) -> Stamp {
        let ns = second * NS_PER_S;
        let source = ClockSource::Simulated;
        Stamp { wall_ns: ns, raw_ns: ns, mono_ns: 0, source, error_ns: 0 }
    }

    /// B1 from both sides: the last row is given, the next is not, and midnight gives them anew;
    /// another principal's and another model's are others.
    #[test]
    fn the_last_row_of_a_day_is_given_and_the_next_is_not() {
        let budget = DayRows::default();
        let (credit, fraud) = ("credit".parse().unwrap(), "fraud".parse().unwrap());
        let take = |who, model, n_rows, second| {
            let who = Pseudonym([who; 16]);
            budget.take(&RowAsk { who, model, n_rows, rows_per_day: 10, at: at(second) })
        };
        let noon = 20 * DAY_S + DAY_S / 2;
        assert_eq!(take(1, &credit, 7, noon), Ok(()));
        assert_eq!(take(1, &credit, 4, noon), Err((DAY_S / 2) as u32));
        assert_eq!(take(1, &credit, 3, noon), Ok(()), "a refusal took nothing");
        assert_eq!(take(1, &credit, 1, 21 * DAY_S - 1), Err(1));
        assert_eq!(take(1, &credit, u64::MAX, noon), Err((DAY_S / 2) as u32), "no overflow");
        assert_eq!(take(2, &credit, 10, noon), Ok(()));
        assert_eq!(take(1, &fraud, 10, noon), Ok(()));
        assert_eq!(take(1, &credit, 10, 21 * DAY_S), Ok(()));
        assert_eq!(take(1, &credit, 1, 21 * DAY_S - 1), Err(1), "yesterday does not come again");
    }

    /// B2: a pair beyond those that can be counted is refused; one that is counted goes on.
    #[test]
    fn who_cannot_be_counted_is_given_nothing() {
        let budget = DayRows::default();
        let model: ModelName = "credit".parse().unwrap();
        let take = |n: usize| {
            let who = Pseudonym((n as u128).to_le_bytes());
            budget.take(&RowAsk { who, model: &model, n_rows: 1, rows_per_day: 2, at: at(1) })
        };
        for n in 0..COUNTED_MAX {
            assert_eq!(take(n), Ok(()));
        }
        assert!(take(COUNTED_MAX).is_err());
        assert_eq!(take(0), Ok(()));
    }
}
