//! Functions that squeeze scores: sigmoid, hyperbolic tangent, softmax.
//!
//! Each is computed in `f64` from [`crate::exp`] and rounded to `f32` once.

use crate::exp::{exp, exp_core, exp_f32, expm1};
use crate::ln::ln;

/// `1 / (1 + e^-x)`, in `0.0..=1.0`; NaN for NaN.
pub fn sigmoid_f32(x: f32) -> f32 {
    if x.is_nan() {
        return f32::NAN;
    }
    // Beyond these the result is 0 or 1 in `f32`.
    (1.0 / (1.0 + exp_core(-f64::from(x).clamp(-110.0, 90.0)))) as f32
}

/// `1 / (1 + e^-x)`, in `0.0..=1.0`; NaN for NaN.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent, in `-1.0..=1.0`; NaN for NaN.
pub fn tanh_f32(x: f32) -> f32 {
    if x.is_nan() {
        return f32::NAN;
    }
    let x = f64::from(x).clamp(-20.0, 20.0);
    if x.abs() < 1.0 / 4_096.0 {
        // The quotient below would cancel; the series' next term is below 1e-15 of this.
        return (x - x * x * x / 3.0) as f32;
    }
    (1.0 - 2.0 / (exp_core(2.0 * x) + 1.0)) as f32
}

/// Hyperbolic tangent, in `-1.0..=1.0`, within 4 units in the last place; NaN for NaN.
pub fn tanh(x: f64) -> f64 {
    let grown = expm1(2.0 * x.clamp(-25.0, 25.0));
    grown / (grown + 2.0)
}

/// `ln(1 + e^x)`; NaN for NaN.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + ln_1p(exp(-x.abs())) + if x.is_nan() { x } else { 0.0 }
}

/// `ln(1 + x)` for `x` in `0.0..=1.0`: what rounding takes from `1 + x` is given back (W. Kahan).
fn ln_1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    if sum == 1.0 { x } else { ln(sum) * x / (sum - 1.0) }
}

/// [`softmax_f32`] for `f64`, summed from the first to the last.
pub fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    let mut sum = 0.0_f64;
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Replaces scores by `e^x / sum e^x`: each in `0.0..=1.0`, together 1 but for rounding.
///
/// The largest score is subtracted first. Exponentials are rounded to `f32` and summed in `f64`
/// from the first to the last. A NaN, or no finite largest score, makes all NaN.
pub fn softmax_f32(scores: &mut [f32]) {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    let mut sum = 0.0_f64;
    for score in scores.iter_mut() {
        *score = exp_f32(*score - largest);
        sum += f64::from(*score);
    }
    for score in scores {
        *score = (f64::from(*score) / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_is_within_one_ulp_of_the_exact_value_rounded() {
        for step in -110_000_i32..=30_000 {
            let x = step as f32 * 0.000_999_7;
            let exact = (1.0 / (1.0 + (-f64::from(x)).exp())) as f32;
            let distance = sigmoid_f32(x).to_bits().abs_diff(exact.to_bits());
            assert!(distance <= 1, "sigmoid_f32({x:?}) is {distance} units off");
        }
        assert_eq!(sigmoid_f32(f32::INFINITY), 1.0);
        assert_eq!(sigmoid_f32(f32::NEG_INFINITY), 0.0);
        assert!(sigmoid_f32(f32::NAN).is_nan());
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(-800.0), 0.0);
    }

    #[test]
    fn tanh_is_within_one_ulp_of_the_exact_value_rounded() {
        for step in -40_000_i32..=40_000 {
            for x in [step as f32 * 0.000_499_7, step as f32 * 1.3e-8] {
                let exact = f64::from(x).tanh() as f32;
                let distance = tanh_f32(x).to_bits().abs_diff(exact.to_bits());
                assert!(distance <= 1, "tanh_f32({x:?}) is {distance} units off");
            }
        }
        assert_eq!(tanh_f32(f32::NEG_INFINITY), -1.0);
        assert_eq!(tanh_f32(f32::INFINITY), 1.0);
        assert!(tanh_f32(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_and_softplus_of_doubles_agree_with_the_platform() {
        for step in -40_000_i32..=40_000 {
            for x in [f64::from(step) * 0.000_999_7, f64::from(step) * 1e-9] {
                assert!(tanh(x).to_bits().abs_diff(x.tanh().to_bits()) <= 4, "tanh({x:?})");
                let told = x.max(0.0) + (-x.abs()).exp().ln_1p();
                assert!((softplus(x) - told).abs() <= 2e-15 * told, "softplus({x:?})");
            }
        }
        assert!(tanh(f64::NAN).is_nan() && softplus(f64::NAN).is_nan());
        assert_eq!((tanh(1e9), tanh(-1e9), softplus(-1e9)), (1.0, -1.0, 0.0));
    }

    #[test]
    fn softmax_copes_with_what_no_score_should_be() {
        let softmax = |scores: &[f32]| {
            let mut scores = scores.to_vec();
            softmax_f32(&mut scores);
            scores
        };
        assert!(softmax(&[]).is_empty());
        assert_eq!(softmax(&[1e38]), [1.0]);
        assert_eq!(softmax(&[3.0e38, -3.0e38]), [1.0, 0.0]);
        assert_eq!(softmax(&[0.0, f32::NEG_INFINITY]), [1.0, 0.0]);
        assert!(softmax(&[0.0, f32::NAN]).iter().all(|x| x.is_nan()));
        assert!(softmax(&[f32::NEG_INFINITY; 2]).iter().all(|x| x.is_nan()));
    }

    proptest::proptest! {
        #[test]
        fn softmax_gives_shares_that_sum_to_one(
            mut scores in proptest::collection::vec(-50.0_f32..50.0, 1..40)
        ) {
            let before = scores.clone();
            softmax_f32(&mut scores);
            let sum: f64 = scores.iter().map(|x| f64::from(*x)).sum();
            proptest::prop_assert!((sum - 1.0).abs() < 1e-5);
            for (i, a) in before.iter().enumerate() {
                for (j, b) in before.iter().enumerate() {
                    proptest::prop_assert!(a >= b || scores[i] <= scores[j]);
                }
            }
        }
    }
}
