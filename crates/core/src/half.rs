//! Half-precision numbers: the bits of `FP16` (IEEE 754 binary16) and `BF16` (the upper half of
//! binary32) to numbers and back.
//!
//! Widening is exact. Narrowing rounds to nearest, ties to even, and gives an infinity where the
//! number is beyond the type's range.

/// Number of `FP16` bits; exact.
pub fn fp16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, mantissa) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Subnormal: the mantissa counts units of 2^-24.
        0 => (mantissa as f32 * (1.0 / 16_777_216.0)).to_bits(),
        0x1f => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// Number of `BF16` bits; exact.
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// `FP16` bits nearest to `x`.
pub fn fp16_from_f64(x: f64) -> u16 {
    narrow(x, 10, 15)
}

/// `BF16` bits nearest to `x`.
pub fn bf16_from_f64(x: f64) -> u16 {
    narrow(x, 7, 127)
}

/// Bits of the 16-bit type with `mantissa_bits` and exponent bias `bias` nearest to `x`.
fn narrow(x: f64, mantissa_bits: u32, bias: i32) -> u16 {
    let sign = u16::from(x.is_sign_negative()) << 15;
    let infinity = ((2 * bias + 1) as u16) << mantissa_bits;
    if x.is_nan() {
        return sign | infinity | 1 << (mantissa_bits - 1);
    }
    let magnitude = x.abs();
    let exponent = (magnitude.to_bits() >> 52) as i32 - 1023;
    if bias < exponent {
        return sign | infinity;
    }
    if exponent < 1 - bias {
        // Subnormal, or the smallest normal number by rounding: a count of the smallest unit,
        // which scaling by a power of two makes exact before the one rounding.
        let unit = f64::from_bits(((1023 + bias - 1 + mantissa_bits as i32) as u64) << 52);
        return sign | (magnitude * unit).round_ties_even() as u16;
    }
    let dropped_bits = 52 - mantissa_bits;
    let mantissa = magnitude.to_bits() & ((1 << 52) - 1);
    let kept = ((exponent + bias) as u16) << mantissa_bits | (mantissa >> dropped_bits) as u16;
    let rest = mantissa & ((1 << dropped_bits) - 1);
    let half = 1 << (dropped_bits - 1);
    // A carry runs into the exponent, and from the largest number into infinity, as it should.
    sign | (kept + u16::from(half < rest || rest == half && kept & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All 65,536 patterns of both types, NaN aside.
    #[test]
    fn every_half_survives_widening_and_narrowing() {
        for bits in 0..=u16::MAX {
            let (wide, brain) = (fp16_to_f32(bits), bf16_to_f32(bits));
            if !wide.is_nan() {
                assert_eq!(fp16_from_f64(f64::from(wide)), bits, "FP16 {bits:#06x}");
            }
            if !brain.is_nan() {
                assert_eq!(bf16_from_f64(f64::from(brain)), bits, "BF16 {bits:#06x}");
            }
        }
    }

    /// Between any two neighbours: below the middle goes down, above it up, the middle to even.
    #[test]
    fn narrowing_rounds_to_nearest_ties_to_even() {
        type Pair = (fn(f64) -> u16, fn(u16) -> f32, u16);
        let both: [Pair; 2] =
            [(fp16_from_f64, fp16_to_f32, 0x7bff), (bf16_from_f64, bf16_to_f32, 0x7f7f)];
        for (narrow, widen, largest) in both {
            for bits in 0..largest {
                let (low, high) = (f64::from(widen(bits)), f64::from(widen(bits + 1)));
                let middle = low + (high - low) / 2.0;
                assert_eq!(narrow(middle), bits + (bits & 1), "middle above {bits:#06x}");
                assert_eq!(narrow(middle.next_down()), bits);
                assert_eq!(narrow(middle.next_up()), bits + 1);
                assert_eq!(narrow(-middle.next_up()), 0x8000 | (bits + 1));
            }
        }
    }

    #[test]
    fn what_is_out_of_range_becomes_an_infinity() {
        for (x, bits) in [
            (65_504.0, 0x7bff),
            (65_519.99, 0x7bff),
            (65_520.0, 0x7c00),
            (1e300, 0x7c00),
            (f64::NEG_INFINITY, 0xfc00),
            (-0.0, 0x8000),
            (f64::NAN, 0x7e00),
            (5e-324, 0),
        ] {
            assert_eq!(fp16_from_f64(x), bits, "{x}");
        }
        assert_eq!(bf16_from_f64(f64::MAX), 0x7f80);
        assert_eq!(bf16_from_f64(3.4e38), 0x7f80);
        assert_eq!(bf16_from_f64(3.39e38), 0x7f7f);
        assert!(bf16_to_f32(bf16_from_f64(f64::NAN)).is_nan());
    }
}
