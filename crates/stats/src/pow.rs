//! Powers.
//!
//! `x^y = e^(y ln x)`, with the logarithm to about 106 bits: the quotient of its series (see
//! [`crate::ln`]) and the product by `y` are carried in two parts (T. J. Dekker, *A floating-point
//! technique for extending the available precision*, 1971). Within 2 units in the last place where
//! `|y ln x| <= 30`, within 16 everywhere.

use crate::exp::exp;

/// Upper 32 bits of ln 2, and the rest of it.
const LN_2_HI: f64 = 6.931_471_803_691_238e-1;
const LN_2_LO: f64 = 1.908_214_929_270_587_7e-10;
/// Splits a number into two halves of 26 bits.
const SPLITTER: f64 = 134_217_729.0;

/// `x` to the power `y`, with the special cases of IEEE 754's `pow`.
pub fn pow(x: f64, y: f64) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    // Plain products are what other engines compute here.
    if y == 1.0 {
        return x;
    }
    if y == 2.0 {
        return x * x;
    }
    if y == -1.0 {
        return 1.0 / x;
    }
    let is_whole = y.trunc() == y;
    let is_odd = is_whole && y.abs() < 9.1e15 && (y as i64) % 2 != 0;
    let sign = if is_odd && x.is_sign_negative() { -1.0 } else { 1.0 };
    if x < 0.0 && x.is_finite() && y.is_finite() && !is_whole {
        return f64::NAN;
    }
    let magnitude = x.abs();
    if y.is_infinite() {
        return match (magnitude < 1.0, magnitude == 1.0, 0.0 < y) {
            (_, true, _) => 1.0,
            (true, _, true) | (false, _, false) => 0.0,
            (true, _, false) | (false, _, true) => f64::INFINITY,
        };
    }
    if magnitude == 0.0 || magnitude.is_infinite() {
        let is_zero = (magnitude == 0.0) == (0.0 < y);
        return sign * if is_zero { 0.0 } else { f64::INFINITY };
    }
    if y == 0.5 {
        return x.sqrt();
    }
    if y == 3.0 {
        return x * x * x;
    }
    sign * power(magnitude, y)
}

/// `x^y` for finite `x` above zero and finite `y`.
fn power(x: f64, y: f64) -> f64 {
    let (hi, lo) = ln_parts(x);
    let (product, error) = two_product(hi, y);
    if 800.0 < product.abs() || !product.is_finite() {
        return if 0.0 < product { f64::INFINITY } else { 0.0 };
    }
    let tail = error + lo * y;
    let value = exp(product);
    if value.is_infinite() { value } else { value + value * tail }
}

/// The natural logarithm in two parts.
fn ln_parts(x: f64) -> (f64, f64) {
    let (x, lifted) = if x < f64::MIN_POSITIVE { (x * 2f64.powi(54), -54.0) } else { (x, 0.0) };
    let bits = x.to_bits();
    let mut k = f64::from(((bits >> 52) & 0x7ff) as i32 - 1_023) + lifted;
    let mut m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1_023 << 52));
    if std::f64::consts::SQRT_2 < m {
        m *= 0.5;
        k += 1.0;
    }
    // t = (m - 1) / (m + 1) in two parts; the numerator is exact.
    let above = m - 1.0;
    let (below, below_low) = two_sum(m, 1.0);
    let t = above / below;
    let (back, back_low) = two_product(t, below);
    let t_low = (((above - back) - back_low) - t * below_low) / below;
    let t2 = t * t;
    let mut sum = 0.0;
    for power in (1..13).rev() {
        sum = (sum + 1.0 / f64::from(2 * power + 1)) * t2;
    }
    // ln m = 2 t + 2 t sum; ln x = k ln 2 + ln m.
    let (hi, low) = two_sum(k * LN_2_HI, 2.0 * t);
    let (hi, lower) = two_sum(hi, 2.0 * t * sum);
    (hi, low + lower + (2.0 * t_low + k * LN_2_LO))
}

/// `a + b` and what rounding took from it.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `a * b` and what rounding took from it; for magnitudes far from the limits.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let split = |x: f64| {
        let big = SPLITTER * x;
        let high = big - (big - x);
        (high, x - high)
    };
    let product = a * b;
    let ((a_high, a_low), (b_high, b_low)) = (split(a), split(b));
    let error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    (product, if error.is_finite() { error } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pow_is_within_its_bound_of_the_platforms() {
        let mut worst = [0_u64; 2];
        for step in 1_i32..3_000 {
            let x = f64::from(step) * 0.003_7;
            for tenth in -60_i32..=60 {
                let y = f64::from(tenth) * 0.37;
                let (ours, theirs) = (pow(x, y), x.powf(y));
                let distance = ours.to_bits().abs_diff(theirs.to_bits());
                let is_large = 30.0 < (y * x.ln()).abs();
                worst[usize::from(is_large)] = worst[usize::from(is_large)].max(distance);
                assert!(distance <= if is_large { 16 } else { 2 }, "pow({x:?}, {y:?}) = {ours:e}");
            }
        }
        assert!(worst[0] <= 2, "{worst:?}");
    }

    #[test]
    fn pow_has_the_special_cases_of_the_standard() {
        let cases = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, f64::INFINITY, f64::NEG_INFINITY];
        let more = [3.0, -3.0, f64::NAN, 1e300, -1e300, 5e-324, 1_023.5];
        for x in cases.iter().chain(&more) {
            for y in cases.iter().chain(&more) {
                let (ours, theirs) = (pow(*x, *y), x.powf(*y));
                let agrees = ours == theirs || (ours.is_nan() && theirs.is_nan());
                let close = ((ours - theirs) / theirs).abs() < 1e-12;
                assert!(agrees || close, "pow({x:?}, {y:?}) = {ours:e}, not {theirs:e}");
            }
        }
    }

    /// S1: bits written down once.
    #[test]
    fn pow_has_the_bits_written_down() {
        let found = [pow(1.1, 2.5), pow(0.3, -1.7), pow(10.0, 0.1)].map(f64::to_bits);
        let told = [0x3ff4_4e10_8083_3b25_u64, 0x401e_f88d_0dbd_9b43, 0x3ff4_248e_f8fc_2604];
        assert_eq!(found, told, "{found:x?}");
    }
}
