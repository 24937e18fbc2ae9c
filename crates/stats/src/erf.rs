//! The error function.
//!
//! Its series of positive terms, `erf x = 2/sqrt(pi) e^(-x^2) sum 2^n x^(2n+1) / (2n+1)!!`
//! (Abramowitz and Stegun, 7.1.6), added from the first term until one no longer counts: within
//! 16 units in the last place.

use crate::exp::exp;

/// 2 / sqrt(pi).
const TWO_OVER_ROOT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;
/// From here on the function is 1 in `f64`.
const FLAT: f64 = 5.93;
/// Terms that are enough below `FLAT`.
const TERMS_MAX: u32 = 200;

/// `erf x`, in `-1.0..=1.0`; NaN for NaN.
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    if FLAT <= x.abs() {
        return x.signum();
    }
    let double_square = 2.0 * x * x;
    let (mut term, mut sum) = (x, x);
    for n in 1..TERMS_MAX {
        term *= double_square / f64::from(2 * n + 1);
        let next = sum + term;
        if next == sum {
            break;
        }
        sum = next;
    }
    (TWO_OVER_ROOT_PI * exp(-x * x) * sum).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Abramowitz and Stegun, table 7.1, and beyond it of Python's `math.erf`.
    #[test]
    fn erf_is_that_of_the_tables() {
        let table = [
            (0.0, 0.0),
            (1e-10, 1.128_379_167_095_512_6e-10),
            (0.02, 0.022_564_574_691_844_943),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
            (5.0, 0.999_999_999_998_462_5),
        ];
        for (x, told) in table {
            for sign in [1.0, -1.0] {
                let found = erf(sign * x);
                assert!((found - sign * told).abs() <= 4e-15 * told.abs(), "erf({x}) = {found:e}");
            }
        }
        assert_eq!(erf(f64::INFINITY), 1.0);
        assert_eq!(erf(-6.0), -1.0);
        assert!(erf(f64::NAN).is_nan());
    }

    proptest::proptest! {
        #[test]
        fn erf_never_falls(x in -7.0_f64..7.0) {
            proptest::prop_assert!(erf(x) <= erf(x + 1e-6) + 2e-15);
        }
    }

    /// S1: bits written down once.
    #[test]
    fn erf_has_the_bits_written_down() {
        let found = [erf(0.1), erf(0.9), erf(2.5)].map(f64::to_bits);
        let told = [0x3fbc_ca5e_a24f_b332_u64, 0x3fe9_8045_a6c8_a2e3, 0x3fef_fcaa_8f4c_9bf2];
        assert_eq!(found, told, "{found:x?}");
    }
}
