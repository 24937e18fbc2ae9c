//! The exponential function.
//!
//! The argument is split as `x = k ln 2 + r` with `|r| <= ln 2 / 2`, the product taken in two
//! parts (W. J. Cody and W. Waite, *Software Manual for the Elementary Functions*, 1980, chapter
//! 6); `exp r` is its Taylor polynomial and `2^k` is made from bits.

/// Above this `exp` exceeds the largest finite `f64`.
const MAX: f64 = 709.782_712_893_384;
/// Below this `exp` is less than half of the smallest `f64` above zero.
const MIN: f64 = -745.133_219_101_941_2;
/// Adding this to a number below 2^51 in magnitude leaves its nearest integer in the low bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// The upper 32 bits of ln 2: a multiple of it by an integer below 2^20 is exact.
const LN_2_HI: f64 = 6.931_471_803_691_238e-1;
/// What `LN_2_HI` leaves of ln 2.
const LN_2_LO: f64 = 1.908_214_929_270_587_7e-10;

/// `1/n!` for `n` from 2: the remainder after degree 13 is below 5e-18 where `|r| <= ln 2 / 2`.
const TAYLOR: [f64; 12] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];
/// Terms of `TAYLOR` that are enough for 24 bits: the remainder is below 1e-11.
const TERMS_F32: usize = 8;

/// `e` to the power `x`, within one unit in the last place; NaN for NaN.
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    if MAX < x {
        return f64::INFINITY;
    }
    if x < MIN {
        return 0.0;
    }
    let (k, hi, lo) = split(x);
    let r = hi - lo;
    let tail = r * r * horner(&TAYLOR, r);
    scale(1.0 + (hi + (tail - lo)), k)
}

/// `e^x - 1`, within 3 units in the last place; NaN for NaN.
pub fn expm1(x: f64) -> f64 {
    // Without a power of two to take out, the polynomial alone: nothing cancels.
    if x.abs() < 0.34 { x + x * x * horner(&TAYLOR, x) } else { exp(x) - 1.0 }
}

/// `e` to the power of a double, rounded to `f32` once: within 0.51 units in the last place; NaN
/// for NaN.
pub fn exp_to_f32(x: f64) -> f32 {
    if x.is_nan() { f32::NAN } else { exp_core(x.clamp(-110.0, 90.0)) as f32 }
}

/// `e` to the power `x`, computed in `f64` and rounded once: within 0.51 units in the last place;
/// NaN for NaN.
pub fn exp_f32(x: f32) -> f32 {
    let x = f64::from(x);
    if x.is_nan() {
        return f32::NAN;
    }
    // Beyond these the result is infinite or zero in `f32`, and 2^k stays normal in `f64`.
    exp_core(x.clamp(-110.0, 90.0)) as f32
}

/// `e` to the power `x` for `x` in `-700.0..=700.0`, to about 11 decimal digits: the shared
/// core of the `f32` functions.
pub(crate) fn exp_core(x: f64) -> f64 {
    let (k, hi, lo) = split(x);
    let r = hi - lo;
    let value = 1.0 + (r + r * r * horner(&TAYLOR[..TERMS_F32], r));
    value * f64::from_bits(((1_023 + k) as u64) << 52)
}

/// `x = k ln 2 + (hi - lo)`.
fn split(x: f64) -> (i64, f64, f64) {
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let whole = shifted - SHIFT;
    (whole as i64, x - whole * LN_2_HI, whole * LN_2_LO)
}

/// `c[0] + c[1] r + c[2] r^2 ...` from the last term inwards.
fn horner(coefficients: &[f64], r: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * r + c)
}

/// `value * 2^k` for `k` in `-1_076..=1_024`, rounded once.
fn scale(value: f64, k: i64) -> f64 {
    let power = |k: i64| f64::from_bits(((1_023 + k) as u64) << 52);
    match k {
        ..-1_021 => value * power(k + 1_000) * power(-1_000),
        1_023.. => value * power(1_000) * power(k - 1_000),
        -1_021..1_023 => value * power(k),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance of two numbers of one sign in units in the last place.
    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    /// S1 needs our own function; this shows that it is as good as the platform's.
    #[test]
    fn exp_is_within_one_ulp_of_the_platforms_on_a_dense_grid() {
        for step in -750_000_i64..=712_000 {
            let x = step as f64 * 0.000_999_7;
            let (ours, theirs) = (exp(x), x.exp());
            assert!(ulps(ours, theirs) <= 1, "exp({x:?}) = {ours:e}, expected {theirs:e}");
        }
    }

    #[test]
    fn exp_f32_is_within_one_ulp_of_the_exact_value_rounded() {
        for step in -120_000_i32..=100_000 {
            let x = step as f32 * 0.000_999_7;
            let (ours, exact) = (exp_f32(x), f64::from(x).exp() as f32);
            let distance = ours.to_bits().abs_diff(exact.to_bits());
            assert!(distance <= 1, "exp_f32({x:?}) = {ours:e}, expected {exact:e}");
            assert_eq!(exp_to_f32(f64::from(x)).to_bits(), ours.to_bits());
        }
    }

    #[test]
    fn expm1_is_within_three_ulps_of_the_platforms() {
        for step in -40_000_i32..=40_000 {
            for x in [f64::from(step) * 0.000_999_7, f64::from(step) * 1e-12] {
                let (ours, theirs) = (expm1(x), x.exp_m1());
                assert!(ulps(ours, theirs) <= 3, "expm1({x:?}) = {ours:e}, expected {theirs:e}");
            }
        }
        assert_eq!(expm1(f64::NEG_INFINITY), -1.0);
        assert_eq!(expm1(f64::INFINITY), f64::INFINITY);
        assert!(expm1(f64::NAN).is_nan());
    }

    #[test]
    fn exp_has_its_limits_at_both_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert!(exp(f64::NAN).is_nan());
        assert!(exp(MAX).is_finite());
        assert_eq!(exp(MAX.next_up()), f64::INFINITY);
        assert_eq!(exp(-745.13), f64::from_bits(1));
        assert_eq!(exp(MIN.next_down()), 0.0);
        assert_eq!(exp_f32(88.73), f32::INFINITY);
        assert!(exp_f32(88.72).is_finite());
        assert_eq!(exp_f32(-104.0), 0.0);
        assert_eq!(exp_f32(-103.5), f32::from_bits(1));
        assert_eq!(exp_f32(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_f32(f32::INFINITY), f32::INFINITY);
        assert!(exp_f32(f32::NAN).is_nan());
    }

    /// S1: bits written down once; another processor or compiler must find the same.
    #[test]
    fn exp_has_the_bits_written_down() {
        let found: Vec<u64> = [-1.5, 0.1, 1.0, 10.0].iter().map(|x| exp(*x).to_bits()).collect();
        let told = [
            0x3fcc_8f87_724b_5c1d_u64,
            0x3ff1_aec7_b35a_00d4,
            0x4005_bf0a_8b14_576a,
            0x40d5_829d_cf95_0560,
        ];
        assert_eq!(found, told, "{found:x?}");
    }

    proptest::proptest! {
        #[test]
        fn exp_turns_sums_into_products(a in -300.0_f64..300.0, b in -300.0_f64..300.0) {
            let (sum, product) = (exp(a + b), exp(a) * exp(b));
            // The rounding of `a + b` alone moves the result by up to 600 units.
            proptest::prop_assert!((sum / product - 1.0).abs() < 1e-12);
        }

        #[test]
        fn exp_never_falls(x in -800.0_f64..800.0) {
            proptest::prop_assert!(exp(x) <= exp(x + x.abs() * 1e-14 + 1e-300));
        }
    }
}
