//! Numbers of JSON, from their text to the type that a tensor asks for, rounded once.
//!
//! The scan gathers sign, digits and exponent. Where these fit, the conversion is one exact
//! multiplication or division (Clinger, "How to Read Floating Point Numbers Accurately", 1990:
//! integers up to 2^53 and powers of ten up to 10^22 are exact in binary64); where not, the
//! standard library's correctly rounding parser reads the text.

use bartizan_core::half;

use crate::error::{Fault, Parsed};

/// Digits that always fit a `u64`.
const DIGITS_SAFE: usize = 19;

/// A number whose text obeys JSON's grammar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'b> {
    text: &'b str,
    is_negative: bool,
    /// Neither fraction nor exponent is written.
    is_integer: bool,
    /// All digits as one integer, where they are at most [`DIGITS_SAFE`].
    mantissa: Option<u64>,
    /// Power of ten by which the mantissa is multiplied.
    exponent: i32,
}

/// Reads the number that starts at byte `start` of `text`; also gives the byte after it.
#[inline]
pub(crate) fn scan(text: &str, start: usize) -> Parsed<(Number<'_>, usize)> {
    let bytes = text.as_bytes();
    let mut at = start;
    let is_negative = bytes.get(at) == Some(&b'-');
    if is_negative {
        at = at.wrapping_add(1);
    }
    let mut mantissa = 0_u64;
    let whole_at = at;
    at = digits(bytes, at, &mut mantissa);
    let n_whole = at.wrapping_sub(whole_at);
    if n_whole == 0 {
        return Err(Fault::malformed(at, "a number has no digit"));
    }
    if 1 < n_whole && bytes.get(whole_at) == Some(&b'0') {
        return Err(Fault::malformed(whole_at, "a number starts with 0; drop the leading zeroes"));
    }
    let mut n_digits = n_whole;
    let (mut exponent, mut is_integer) = (0_i32, true);
    if bytes.get(at) == Some(&b'.') {
        is_integer = false;
        let fraction_at = at.wrapping_add(1);
        at = digits(bytes, fraction_at, &mut mantissa);
        let n_fraction = at.wrapping_sub(fraction_at);
        if n_fraction == 0 {
            return Err(Fault::malformed(at, "a number has no digit after its point"));
        }
        n_digits = n_digits.wrapping_add(n_fraction);
        exponent = i32::try_from(n_fraction).map_or(i32::MIN, i32::wrapping_neg);
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        is_integer = false;
        let (written, end) = power(bytes, at.wrapping_add(1))?;
        exponent = exponent.saturating_add(written);
        at = end;
    }
    let text = text.get(start..at).unwrap_or_default();
    let mantissa = if n_digits <= DIGITS_SAFE { Some(mantissa) } else { None };
    Ok((Number { text, is_negative, is_integer, mantissa, exponent }, at))
}

/// Moves over digits and appends them to `mantissa`, which may wrap where they are too many.
#[inline]
fn digits(bytes: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(byte @ b'0'..=b'9') = bytes.get(at) {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte & 15));
        at = at.wrapping_add(1);
    }
    at
}

/// Reads the exponent after its `e`; a huge one saturates.
fn power(bytes: &[u8], mut at: usize) -> Parsed<(i32, usize)> {
    let is_negative = bytes.get(at) == Some(&b'-');
    if let Some(b'+' | b'-') = bytes.get(at) {
        at = at.wrapping_add(1);
    }
    let start = at;
    let mut power = 0_i32;
    while let Some(byte @ b'0'..=b'9') = bytes.get(at) {
        power = power.saturating_mul(10).saturating_add(i32::from(byte & 15));
        at = at.wrapping_add(1);
    }
    if at == start {
        return Err(Fault::malformed(at, "a number has no digit in its exponent"));
    }
    Ok((if is_negative { power.wrapping_neg() } else { power }, at))
}

/// Powers of ten that are exact in binary64.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Number<'_> {
    /// The number as it is written.
    pub(crate) fn text(&self) -> &str {
        self.text
    }

    /// The number as an integer, where it is written as one and fits 64 bits either way.
    pub(crate) fn integer(&self) -> Integer {
        if !self.is_integer {
            return Integer::Fraction;
        }
        let digits = self.text.strip_prefix('-').unwrap_or(self.text);
        let magnitude = self.mantissa.or_else(|| digits.parse().ok()).map(i128::from);
        match magnitude {
            Some(magnitude) if self.is_negative => Integer::Fits(magnitude.wrapping_neg()),
            Some(magnitude) => Integer::Fits(magnitude),
            None => Integer::Beyond,
        }
    }

    /// The number in binary64 by one exact operation, where that is possible.
    #[inline]
    fn exact(&self) -> Option<f64> {
        const MANTISSA_MAX: u64 = 1 << 53;
        let mantissa = self.mantissa.filter(|mantissa| *mantissa <= MANTISSA_MAX)? as f64;
        let power = POWERS.get(usize::try_from(self.exponent.unsigned_abs()).ok()?)?;
        let magnitude = if self.exponent < 0 { mantissa / power } else { mantissa * power };
        Some(if self.is_negative { -magnitude } else { magnitude })
    }

    /// The nearest `f64`, ties to even; infinite where the number is beyond its range.
    pub(crate) fn to_f64(self) -> f64 {
        // J: the grammar of JSON's numbers is a part of what `f64` parses.
        self.exact().unwrap_or_else(|| self.text.parse().unwrap_or(f64::NAN))
    }

    /// The nearest `f32`, ties to even; infinite where the number is beyond its range.
    ///
    /// Going through `f64` rounds twice, which is wrong only where the first rounding hits the
    /// middle between two `f32`: exactly then the text is read again. The range of
    /// [`Self::exact`] lies within that of normal `f32`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the rounding that is asked for")]
    pub(crate) fn to_f32(self) -> f32 {
        const DROPPED: u64 = (1 << 29) - 1;
        const MIDDLE: u64 = 1 << 28;
        match self.exact() {
            Some(number) if number.to_bits() & DROPPED != MIDDLE => number as f32,
            _ => self.text.parse().unwrap_or(f32::NAN),
        }
    }

    /// Bits of the nearest `FP16`, by way of the nearest `f64`.
    pub(crate) fn to_fp16(self) -> u16 {
        half::fp16_from_f64(self.to_f64())
    }

    /// Bits of the nearest `BF16`, by way of the nearest `f64`.
    pub(crate) fn to_bf16(self) -> u16 {
        half::bf16_from_f64(self.to_f64())
    }
}

/// A number as an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integer {
    /// It lies within the range of `i64` or `u64`, or not far outside.
    Fits(i128),
    /// It has a fraction or an exponent.
    Fraction,
    /// It is larger than any type holds.
    Beyond,
}

#[cfg(test)]
mod tests;
