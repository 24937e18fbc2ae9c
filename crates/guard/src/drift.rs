//! Whether rows still come from where the reference came from.
//!
//! Two one-sided CUSUMs a place (E. S. Page, *Continuous Inspection Schemes*, 1954) over values
//! standardised by the reference, clipped at three deviations, with an allowance of a quarter of
//! one. The bound is set from the mean run length: for normal values that is about
//! `exp(2 k h) / (2 k^2)` for a bound `h` and allowance `k` (D. Siegmund, *Sequential Analysis*,
//! 1985), shared among the places.

use bartizan_stats::ln::ln;

use crate::profile::WIDTH_MAX;

/// A change smaller than twice this, in standard deviations, is not looked for.
const ALLOWANCE: f32 = 0.25;
/// Values farther off than this, in standard deviations, count as so far.
const CLIP: f32 = 3.0;
/// Mean number of rows until a false alarm, over all places together.
pub(crate) const RUN_ROWS: f64 = 200_000.0;
/// Added to the bound for what skew and an estimated mean take from the run length.
const RESERVE: f64 = 3.0;

/// What has been seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drift {
    up: [f32; WIDTH_MAX],
    down: [f32; WIDTH_MAX],
    bound: f32,
}

impl Drift {
    /// Of `width` places.
    pub(crate) fn new(width: usize) -> Self {
        let k = f64::from(ALLOWANCE);
        let each = RUN_ROWS * 2.0 * width.max(1) as f64;
        let bound = ln(each * 2.0 * k * k) / (2.0 * k) + RESERVE;
        Self { up: [0.0; WIDTH_MAX], down: [0.0; WIDTH_MAX], bound: bound as f32 }
    }

    /// Takes in a row; the place where the bound was reached, which then begins anew.
    pub(crate) fn see(&mut self, spot: &[f32], mean: &[f32], deviation: &[f32]) -> Option<usize> {
        let mut most = 0.0_f32;
        for (at, ((x, mean), deviation)) in spot.iter().zip(mean).zip(deviation).enumerate() {
            let z = if 0.0 < *deviation { (x - mean) / deviation } else { 0.0 };
            let z = z.clamp(-CLIP, CLIP);
            self.up[at] = (self.up[at] + z - ALLOWANCE).max(0.0);
            self.down[at] = (self.down[at] - z - ALLOWANCE).max(0.0);
            most = most.max(self.up[at]).max(self.down[at]);
        }
        if most < self.bound {
            return None;
        }
        let at = (0..spot.len()).find(|at| self.bound <= self.up[*at].max(self.down[*at]))?;
        (self.up[at], self.down[at]) = (0.0, 0.0);
        Some(at)
    }

    /// Its parts, to be kept.
    pub(crate) fn parts(&self) -> impl Iterator<Item = f32> {
        self.up.iter().chain(&self.down).copied()
    }

    /// Puts kept parts back.
    pub(crate) fn restore(&mut self, mut next: impl FnMut() -> Option<f32>) -> Option<()> {
        for x in self.up.iter_mut().chain(&mut self.down) {
            *x = next().filter(|x| 0.0 <= *x && x.is_finite())?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_stats::chance::Chance;

    fn rows_to_alarm(seed: u64, shifted: usize, shift: f32, rows_max: usize) -> Option<usize> {
        let mut chance = Chance::new(seed, 0);
        let (mean, deviation) = ([0.0_f32; 30], [1.0_f32; 30]);
        let mut drift = Drift::new(30);
        (1..=rows_max).find(|_| {
            let mut spot = [0.0_f32; 30];
            for (at, x) in spot.iter_mut().enumerate() {
                *x = chance.normal() as f32 + if at < shifted { shift } else { 0.0 };
            }
            drift.see(&spot, &mean, &deviation).is_some()
        })
    }

    /// Half a deviation in 3 of 30 places, over 40 seeds.
    #[test]
    fn half_a_deviation_in_three_of_thirty_is_found_within_500_rows() {
        let worst = (0..40).map(|seed| rows_to_alarm(seed, 3, 0.5, 2_000).unwrap()).max().unwrap();
        assert!(worst <= 500, "{worst}");
    }

    /// Mean run length, measured: in eight streams of 100,000 quiet rows at most eight alarms,
    /// which is what a run length of 10^5 allows; in the deep run in 64 of them.
    #[test]
    fn quiet_rows_run_for_a_hundred_thousand_rows() {
        let n = if std::env::var_os("BARTIZAN_DEEP").is_some() { 64 } else { 8 };
        let alarms = (0..n).filter(|seed| rows_to_alarm(100 + seed, 0, 0.0, 100_000).is_some());
        // With a run length of 10^5, 63 % of such streams would alarm.
        assert!(alarms.count() * 100 <= 63 * n as usize);
    }
}
