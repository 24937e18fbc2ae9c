//! Sequential evidence that restarts.
//!
//! For each channel a bet against "at most `p0` of the rows are flagged": wealth is multiplied by
//! `1 + b (f - p0)` a row, `f` being 1 where it is flagged, for each of three stakes `b`; it never
//! falls below 1 (the CUSUM form of an e-detector: J. Shin, A. Ramdas, A. Rinaldo, *E-detectors: a
//! nonparametric framework for sequential change detection*, 2022). So an honest past of any
//! length buys nothing, and while the assumption holds the mean number of rows until the evidence
//! first reaches `c` is at least `c`.
//!
//! Invariants
//! - E1: evidence is at least 1, finite, and a function of the flags alone, whatever came before
//!   the last restart.

/// Stakes, as parts of the largest possible, `1 / p0`.
const STAKES: [f64; 3] = [0.25, 0.5, 0.9];
/// Evidence does not grow beyond this: far above every threshold.
const WEALTH_MAX: f64 = 1e12;

/// What has been seen in one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Evidence([f64; 3]);

impl Evidence {
    /// Nothing seen.
    pub(crate) const NONE: Self = Self([1.0; 3]);

    /// Takes in one row.
    pub(crate) fn see(&mut self, is_flagged: bool, p0: f64) {
        let f = if is_flagged { 1.0 } else { 0.0 };
        for (wealth, stake) in self.0.iter_mut().zip(STAKES) {
            *wealth = (*wealth * (1.0 + stake / p0 * (f - p0))).clamp(1.0, WEALTH_MAX);
        }
    }

    /// How strong it is: the mean over the stakes, from 1.
    pub(crate) fn value(&self) -> f64 {
        (self.0[0] + self.0[1] + self.0[2]) / 3.0
    }

    /// Its parts, to be kept.
    pub(crate) fn parts(&self) -> [f64; 3] {
        self.0
    }

    /// From kept parts; `None` where they are none (E1).
    pub(crate) fn of(parts: [f64; 3]) -> Option<Self> {
        parts.iter().all(|part| 1.0 <= *part && *part <= WEALTH_MAX).then_some(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_stats::chance::Chance;

    fn rows_to(target: f64, honest: usize, p0: f64) -> usize {
        let mut evidence = Evidence::NONE;
        (0..honest).for_each(|_| evidence.see(false, p0));
        let flagged = (1..1_000).find(|_| {
            evidence.see(true, p0);
            target <= evidence.value()
        });
        flagged.unwrap()
    }

    /// E1: a hundred thousand honest rows before change nothing.
    #[test]
    fn an_honest_past_buys_nothing() {
        for p0 in [0.02, 0.05, 0.1, 0.25] {
            let fresh = rows_to(1e6, 0, p0);
            assert_eq!(fresh, rows_to(1e6, 100_000, p0));
            assert!(fresh <= 12, "{p0}: {fresh}");
        }
    }

    /// The run length that the bound promises, measured: 200 streams at exactly the assumed rate.
    #[test]
    fn the_mean_run_length_is_at_least_the_threshold() {
        let (p0, threshold) = (0.05, 1e3);
        let mut chance = Chance::new(5, 0);
        let mut total = 0_usize;
        for _ in 0..200 {
            let mut evidence = Evidence::NONE;
            while evidence.value() < threshold {
                evidence.see(chance.unit() < p0, p0);
                total += 1;
            }
        }
        assert!(threshold * 200.0 <= total as f64, "{}", total as f64 / 200.0);
    }

    #[test]
    fn kept_parts_that_are_none_are_refused() {
        let mut evidence = Evidence::NONE;
        evidence.see(true, 0.02);
        assert_eq!(Evidence::of(evidence.parts()), Some(evidence));
        for bad in [0.5, f64::NAN, f64::INFINITY, 2e12] {
            assert_eq!(Evidence::of([1.0, bad, 1.0]), None);
        }
    }
}
