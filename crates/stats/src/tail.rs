//! Tails of distributions.

use crate::exp::exp;

/// Probability that a standard normal variable exceeds `z`.
///
/// `erfc(z / sqrt 2) / 2` by the rational Chebyshev fit of W. H. Press et al., *Numerical Recipes
/// in C*, 2nd edition, 1992, section 6.2: relative error below 1.2e-7 everywhere.
pub fn normal_upper(z: f64) -> f64 {
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let fit = FIT.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let upper = 0.5 * t * exp(-x * x + fit);
    if z < 0.0 { 1.0 - upper } else { upper }
}

/// How many standard deviations `hits` of `n` lie above what chance `p` each would give, with half
/// a hit taken off for continuity; 0 for `n` = 0. One is added to the variance, so that a chance
/// near 0 or 1 proves nothing by a single hit.
pub fn binomial_z(hits: f64, n: f64, p: f64) -> f64 {
    if n <= 0.0 {
        return 0.0;
    }
    let above = hits - n * p;
    let above = if above.abs() < 0.5 { 0.0 } else { above - 0.5 * above.signum() };
    above / (n * p * (1.0 - p) + 1.0).sqrt()
}

/// The largest p value at which a step-up procedure still rejects at false discovery rate `q`
/// (Y. Benjamini and Y. Hochberg, *Controlling the False Discovery Rate*, 1995); `None` where it
/// rejects nothing. `n_tests` counts the tests that were made, of which `p_values` may be some.
pub fn step_up(p_values: &[f64], n_tests: usize, q: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = p_values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = n_tests.max(sorted.len()) as f64;
    let fits = |(idx, p): &(usize, &f64)| **p <= q * (*idx as f64 + 1.0) / n;
    sorted.iter().enumerate().filter(fits).map(|(_, p)| *p).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the table in Abramowitz and Stegun, 26.1.
    #[test]
    fn the_normal_tail_is_that_of_the_tables() {
        let table = [(0.0, 0.5), (1.0, 0.158_655_254), (1.96, 0.024_997_895), (4.0, 3.167_124e-5)];
        for (z, p) in table {
            assert!((normal_upper(z) / p - 1.0).abs() < 1e-6, "{z}");
            assert!((normal_upper(-z) - (1.0 - p)).abs() < 1e-7, "{z}");
        }
        assert!(normal_upper(38.0) > 0.0 && normal_upper(38.0) < 1e-300);
    }

    #[test]
    fn step_up_rejects_what_the_paper_rejects() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        assert_eq!(step_up(&p, 15, 0.05), Some(0.0095));
        assert_eq!(step_up(&[0.04], 2, 0.05), None);
        assert_eq!(step_up(&[], 3, 0.05), None);
    }

    #[test]
    fn one_hit_more_than_expected_proves_little() {
        assert_eq!(binomial_z(0.0, 0.0, 0.5), 0.0);
        assert_eq!(binomial_z(5.0, 10.0, 0.5), 0.0);
        assert!(binomial_z(1.0, 10.0, 0.0) < 1.0);
        assert!(binomial_z(50.0, 100.0, 0.1) > 10.0);
    }
}
