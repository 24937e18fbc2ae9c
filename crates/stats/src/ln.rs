//! The natural logarithm.
//!
//! `x = 2^k m` with `m` in `1/sqrt 2 .. sqrt 2`, and `ln m = 2 atanh((m - 1) / (m + 1))` by its
//! series up to the 19th power (Abramowitz and Stegun, *Handbook of Mathematical Functions*, 1964,
//! 4.1.27): within 2 units in the last place, and the same bits everywhere.

use std::f64::consts::{LN_2, SQRT_2};

/// Natural logarithm; NaN below zero and for NaN, minus infinity for zero.
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    // Subnormal numbers are lifted into the normal range first.
    let (x, lifted) = if x < f64::MIN_POSITIVE { (x * 2f64.powi(54), -54.0) } else { (x, 0.0) };
    let bits = x.to_bits();
    let mut k = f64::from(((bits >> 52) & 0x7ff) as i32 - 1_023) + lifted;
    let mut m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1_023 << 52));
    if SQRT_2 < m {
        m *= 0.5;
        k += 1.0;
    }
    let t = (m - 1.0) / (m + 1.0);
    let t2 = t * t;
    let mut sum = 0.0;
    for power in (0..10).rev() {
        sum = sum * t2 + 1.0 / f64::from(2 * power + 1);
    }
    k * LN_2 + 2.0 * t * sum
}

/// Logarithm to base 10; see [`ln`].
pub fn log10(x: f64) -> f64 {
    ln(x) * std::f64::consts::LOG10_E
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_agrees_with_the_platform_to_the_last_digits() {
        for step in 1_i32..40_000 {
            for x in [f64::from(step) * 0.01, 1.0 / f64::from(step), f64::from(step) * 1e30] {
                assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0), "ln {x}");
            }
        }
        assert!((ln(5e-324) - 5e-324_f64.ln()).abs() < 1e-12);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(-1.0).is_nan());
        assert!((log10(1e-7) + 7.0).abs() < 1e-12);
    }
}
