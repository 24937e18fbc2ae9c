//! One cell of a table, into the column it belongs to.

use bartizan_core::{Datatype, Values, half};

use crate::error::{Fault, Parsed};
use crate::json::{Float, Reader};
use crate::number::{Integer, Number};

/// Texts that stand for a missing number, as `pandas.read_csv` reads them.
const MISSING_WORDS: [&str; 17] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a",
];
/// Largest whole number that a binary64 holds together with all smaller ones.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// An empty column of `datatype`.
pub(super) fn empty(datatype: Datatype) -> Values {
    match datatype {
        Datatype::Bool => Values::Bool(Vec::new()),
        Datatype::Uint8 => Values::Uint8(Vec::new()),
        Datatype::Uint16 => Values::Uint16(Vec::new()),
        Datatype::Uint32 => Values::Uint32(Vec::new()),
        Datatype::Uint64 => Values::Uint64(Vec::new()),
        Datatype::Int8 => Values::Int8(Vec::new()),
        Datatype::Int16 => Values::Int16(Vec::new()),
        Datatype::Int32 => Values::Int32(Vec::new()),
        Datatype::Int64 => Values::Int64(Vec::new()),
        Datatype::Fp16 => Values::Fp16(Vec::new()),
        Datatype::Bf16 => Values::Bf16(Vec::new()),
        Datatype::Fp32 => Values::Fp32(Vec::new()),
        Datatype::Fp64 => Values::Fp64(Vec::new()),
        Datatype::Bytes => Values::Bytes(Vec::new()),
    }
}

/// Runs `$body` with `$vec` bound to the vector inside, and `$read` to what makes one element.
macro_rules! each {
    ($values:expr, $vec:ident => $body:expr) => {
        match $values {
            Values::Bool($vec) => $body,
            Values::Uint8($vec) => $body,
            Values::Uint16($vec) | Values::Fp16($vec) | Values::Bf16($vec) => $body,
            Values::Uint32($vec) => $body,
            Values::Uint64($vec) => $body,
            Values::Int8($vec) => $body,
            Values::Int16($vec) => $body,
            Values::Int32($vec) => $body,
            Values::Int64($vec) => $body,
            Values::Fp32($vec) => $body,
            Values::Fp64($vec) => $body,
            Values::Bytes($vec) => $body,
        }
    };
}

/// Appends `n` elements that are still to be set.
pub(super) fn extend(values: &mut Values, n: usize) {
    each!(values, vec => vec.resize_with(vec.len().saturating_add(n), Default::default));
}

/// Moves element `from` of `column` to place `to` of `values`, both of one type and in bounds.
pub(super) fn take(column: &mut Values, from: usize, values: &mut Values, to: usize) {
    macro_rules! moved {
        ($($variant:ident),*) => {
            match (column, values) {
                $((Values::$variant(column), Values::$variant(values)) => {
                    if let (Some(from), Some(to)) = (column.get_mut(from), values.get_mut(to)) {
                        *to = std::mem::take(from);
                    }
                })*
                // Both were made by `empty` for one datatype.
                _ => {}
            }
        };
    }
    moved!(
        Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64,
        Bytes
    );
}

/// Puts `value` at place `at`: the end, or an element that is there.
fn put<T>(vec: &mut Vec<T>, at: usize, value: T) {
    match vec.get_mut(at) {
        Some(place) => *place = value,
        None => vec.push(value),
    }
}

/// Reads one JSON value into place `at` of `values`.
#[inline]
pub(super) fn read(reader: &mut Reader<'_>, values: &mut Values, at: usize) -> Parsed<()> {
    match values {
        Values::Fp32(vec) => {
            #[expect(clippy::cast_possible_truncation, reason = "NaN and infinities only")]
            let value = float(reader, |x| x as f32, Number::to_f32, |x| x.is_finite())?;
            put(vec, at, value);
        }
        Values::Fp64(vec) => {
            put(vec, at, float(reader, |x| x, Number::to_f64, |x| x.is_finite())?);
        }
        Values::Fp16(vec) => {
            let finite = |bits: &u16| bits & 0x7c00 != 0x7c00;
            put(vec, at, float(reader, half::fp16_from_f64, Number::to_fp16, finite)?);
        }
        Values::Bf16(vec) => {
            let finite = |bits: &u16| bits & 0x7f80 != 0x7f80;
            put(vec, at, float(reader, half::bf16_from_f64, Number::to_bf16, finite)?);
        }
        Values::Bool(vec) => put(vec, at, boolean(reader)?),
        Values::Uint8(vec) => put(vec, at, integer(reader)?),
        Values::Uint16(vec) => put(vec, at, integer(reader)?),
        Values::Uint32(vec) => put(vec, at, integer(reader)?),
        Values::Uint64(vec) => put(vec, at, integer(reader)?),
        Values::Int8(vec) => put(vec, at, integer(reader)?),
        Values::Int16(vec) => put(vec, at, integer(reader)?),
        Values::Int32(vec) => put(vec, at, integer(reader)?),
        Values::Int64(vec) => put(vec, at, integer(reader)?),
        Values::Bytes(vec) => put(vec, at, reader.string()?.into_owned().into_bytes()),
    }
    Ok(())
}

#[inline]
fn float<'b, T>(
    reader: &mut Reader<'b>,
    special: impl Fn(f64) -> T,
    convert: impl Fn(Number<'b>) -> T,
    is_finite: impl Fn(&T) -> bool,
) -> Parsed<T> {
    reader.peek();
    let at = reader.at();
    match reader.float()? {
        Float::Special(number) => Ok(special(number)),
        Float::Finite(number) => {
            let number = convert(number);
            if is_finite(&number) { Ok(number) } else { Err(beyond(at)) }
        }
    }
}

#[cold]
fn beyond(at: usize) -> Box<Fault> {
    Fault::malformed(at, "a number is outside the range of its column's datatype")
}

/// A whole number. pandas writes whole numbers with `.0` where a column had missing values.
#[inline]
fn integer<T: TryFrom<i128>>(reader: &mut Reader<'_>) -> Parsed<T> {
    reader.peek();
    let at = reader.at();
    let number = reader.number()?;
    let whole = match number.integer() {
        Integer::Fits(whole) => Some(whole),
        Integer::Fraction => whole(number.to_f64()),
        Integer::Beyond => return Err(beyond(at)),
    };
    let Some(whole) = whole else {
        return Err(Fault::malformed(at, "a fraction stands in a column of whole numbers"));
    };
    T::try_from(whole).map_err(|_| beyond(at))
}

/// `x` as an integer, where it is one and not too large to be sure of that.
#[expect(clippy::cast_possible_truncation, reason = "its magnitude is at most 2^53")]
fn whole(x: f64) -> Option<i128> {
    (x.fract() == 0.0 && x.abs() <= WHOLE_MAX).then_some(x as i128)
}

fn boolean(reader: &mut Reader<'_>) -> Parsed<bool> {
    match reader.peek() {
        Some(b'0'..=b'9') => {
            let number: u8 = integer(reader)?;
            match number {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(Fault::malformed(reader.at(), "a boolean is true, false, 0 or 1")),
            }
        }
        _ => reader.boolean(),
    }
}

/// Why a field of CSV is no value of its column.
pub(super) enum NoCell {
    /// Nothing is there, and the column has no way to say that.
    Missing,
    /// It is another kind of thing.
    Kind(&'static str),
    /// It is too large.
    Range,
}

/// Reads a field of CSV into place `at` of `values`; `is_quoted` tells an empty text from nothing.
pub(super) fn read_field(
    field: &str,
    is_quoted: bool,
    values: &mut Values,
    at: usize,
) -> Result<(), NoCell> {
    if let Values::Bytes(vec) = values {
        if field.is_empty() && !is_quoted {
            return Err(NoCell::Missing);
        }
        put(vec, at, field.as_bytes().to_vec());
        return Ok(());
    }
    let field = field.trim_matches(' ');
    let is_missing = MISSING_WORDS.contains(&field) || field == "nan" || field == "null";
    macro_rules! whole {
        ($vec:expr) => {
            put($vec, at, field_integer(field, is_missing)?)
        };
    }
    match values {
        Values::Fp32(vec) => {
            put(vec, at, field_float(field, is_missing, f32::NAN, |x: &f32| x.is_finite())?);
        }
        Values::Fp64(vec) => {
            put(vec, at, field_float(field, is_missing, f64::NAN, |x: &f64| x.is_finite())?);
        }
        Values::Fp16(vec) => {
            let value = field_float(field, is_missing, f64::NAN, |x: &f64| x.abs() < 65_520.0)?;
            put(vec, at, half::fp16_from_f64(value));
        }
        Values::Bf16(vec) => {
            let value = field_float(field, is_missing, f64::NAN, |x: &f64| x.abs() < 3.39e38)?;
            put(vec, at, half::bf16_from_f64(value));
        }
        Values::Bool(vec) => {
            let value = match field {
                "true" | "True" | "TRUE" | "1" => true,
                "false" | "False" | "FALSE" | "0" => false,
                _ if is_missing => return Err(NoCell::Missing),
                _ => return Err(NoCell::Kind("true, false, 0 or 1")),
            };
            put(vec, at, value);
        }
        Values::Uint8(vec) => whole!(vec),
        Values::Uint16(vec) => whole!(vec),
        Values::Uint32(vec) => whole!(vec),
        Values::Uint64(vec) => whole!(vec),
        Values::Int8(vec) => whole!(vec),
        Values::Int16(vec) => whole!(vec),
        Values::Int32(vec) => whole!(vec),
        Values::Int64(vec) => whole!(vec),
        Values::Bytes(_) => {}
    }
    Ok(())
}

/// A number, rounded once to its type. `inf` and its like are infinities; a number beyond the
/// type is refused.
fn field_float<T: std::str::FromStr>(
    field: &str,
    is_missing: bool,
    missing: T,
    is_finite: impl Fn(&T) -> bool,
) -> Result<T, NoCell> {
    if is_missing {
        return Ok(missing);
    }
    let number: T = field.parse().map_err(|_| NoCell::Kind("a number"))?;
    let says_infinite = field.bytes().any(|byte| matches!(byte, b'i' | b'I'));
    let says_nan = field.bytes().any(|byte| matches!(byte, b'a' | b'A'));
    if is_finite(&number) || says_infinite || says_nan { Ok(number) } else { Err(NoCell::Range) }
}

fn field_integer<T: TryFrom<i128>>(field: &str, is_missing: bool) -> Result<T, NoCell> {
    if is_missing {
        return Err(NoCell::Missing);
    }
    let digits = field.strip_prefix('+').unwrap_or(field);
    let number = digits.parse::<i128>().ok();
    let number = number.or_else(|| field.parse::<f64>().ok().and_then(whole));
    match number {
        Some(number) => T::try_from(number).map_err(|_| NoCell::Range),
        None => Err(NoCell::Kind("a whole number")),
    }
}
