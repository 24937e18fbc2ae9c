//! A tensor's `data`, straight from text to values.

use bartizan_core::{Datatype, RefusalCode, Values};

use crate::error::{Fault, Parsed};
use crate::json::{Float, Reader};
use crate::number::{Integer, Number};

/// Reads `data` of a tensor of `shape`, whose product is `n_values`.
///
/// The outermost list may hold all values flat, or the lists that `shape` says. Memory is taken
/// for `n_values`, but never for more than the rest of the body can hold.
pub(super) fn read(
    reader: &mut Reader<'_>,
    datatype: Datatype,
    shape: &[u64],
    n_values: usize,
) -> Parsed<Values> {
    macro_rules! read {
        ($variant:ident, $read:expr) => {
            values(reader, shape, n_values, $read).map(Values::$variant)
        };
    }
    match datatype {
        Datatype::Bool => read!(Bool, |reader| reader.boolean()),
        Datatype::Uint8 => read!(Uint8, |reader| integer(reader, datatype)),
        Datatype::Uint16 => read!(Uint16, |reader| integer(reader, datatype)),
        Datatype::Uint32 => read!(Uint32, |reader| integer(reader, datatype)),
        Datatype::Uint64 => read!(Uint64, |reader| integer(reader, datatype)),
        Datatype::Int8 => read!(Int8, |reader| integer(reader, datatype)),
        Datatype::Int16 => read!(Int16, |reader| integer(reader, datatype)),
        Datatype::Int32 => read!(Int32, |reader| integer(reader, datatype)),
        Datatype::Int64 => read!(Int64, |reader| integer(reader, datatype)),
        Datatype::Fp16 => read!(Fp16, |reader| {
            let special = |x| bartizan_core::half::fp16_from_f64(x);
            let finite = |bits: &u16| bits & 0x7c00 != 0x7c00;
            float(reader, datatype, special, Number::to_fp16, finite)
        }),
        Datatype::Bf16 => read!(Bf16, |reader| {
            let special = |x| bartizan_core::half::bf16_from_f64(x);
            let finite = |bits: &u16| bits & 0x7f80 != 0x7f80;
            float(reader, datatype, special, Number::to_bf16, finite)
        }),
        Datatype::Fp32 => read!(Fp32, |reader| {
            #[expect(clippy::cast_possible_truncation, reason = "NaN and infinities only")]
            let special = |x| x as f32;
            float(reader, datatype, special, Number::to_f32, |x| x.is_finite())
        }),
        Datatype::Fp64 => read!(Fp64, |reader| {
            float(reader, datatype, |x| x, Number::to_f64, |x| x.is_finite())
        }),
        Datatype::Bytes => {
            read!(Bytes, |reader| { reader.string().map(|text| text.into_owned().into_bytes()) })
        }
    }
}

/// For how many values memory is taken where `n_values` are claimed in `n_left` bytes: a value
/// and its comma take two bytes or more.
pub(super) fn room(n_values: usize, n_left: usize) -> usize {
    n_values.min(n_left.div_euclid(2).saturating_add(1))
}

fn values<'b, T>(
    reader: &mut Reader<'b>,
    shape: &[u64],
    n_values: usize,
    read: impl Fn(&mut Reader<'b>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let mut out = Vec::with_capacity(room(n_values, reader.n_left()));
    let more = reader.begin_list()?;
    let is_nested = more && 1 < shape.len() && reader.peek() == Some(b'[');
    if is_nested {
        fill(reader, more, shape, &mut out, &read)?;
    } else {
        let n_values = u64::try_from(n_values).unwrap_or(u64::MAX);
        // `[]` is also the nested way to write a tensor without rows.
        fill(reader, more, &[n_values], &mut out, &read)?;
    }
    Ok(out)
}

/// Reads the rest of an open list of `dims[0]` items, each a list of `dims[1..]` or, at the
/// end of `dims`, a value. As deep as a tensor has dimensions.
fn fill<'b, T>(
    reader: &mut Reader<'b>,
    mut more: bool,
    dims: &[u64],
    out: &mut Vec<T>,
    read: &impl Fn(&mut Reader<'b>) -> Parsed<T>,
) -> Parsed<()> {
    let (len, inner) = dims.split_first().map_or((1, dims), |(len, inner)| (*len, inner));
    let at = reader.at();
    let mut n_items = 0_u64;
    while more {
        if n_items == len {
            let what = format!("a list has more items than `shape` asks for, which is {len}");
            return Err(Fault::malformed(reader.at(), what));
        }
        if inner.is_empty() {
            out.push(read(reader)?);
        } else {
            let more = reader.begin_list()?;
            fill(reader, more, inner, out, read)?;
        }
        n_items = n_items.wrapping_add(1);
        more = reader.next_item()?;
    }
    if n_items != len {
        let what = format!("a list has {n_items} items, `shape` asks for {len}");
        return Err(Fault::malformed(at, what));
    }
    Ok(())
}

#[inline]
fn integer<T: TryFrom<i128>>(reader: &mut Reader<'_>, datatype: Datatype) -> Parsed<T> {
    reader.peek();
    let at = reader.at();
    let found = reader.number()?.integer();
    if let Integer::Fits(number) = found
        && let Ok(number) = T::try_from(number)
    {
        return Ok(number);
    }
    Err(no_integer(at, datatype, found))
}

#[cold]
fn no_integer(at: usize, datatype: Datatype, found: Integer) -> Box<Fault> {
    let what = match found {
        Integer::Fraction => format!("{datatype} needs whole numbers without `.` and exponent"),
        Integer::Fits(_) | Integer::Beyond => {
            format!("a number is outside the range of {datatype}, {}", range(datatype))
        }
    };
    Fault::malformed(at, what)
}

#[inline]
fn float<'b, T>(
    reader: &mut Reader<'b>,
    datatype: Datatype,
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
            if is_finite(&number) {
                return Ok(number);
            }
            let what = format!("a number is outside the range of {datatype}, {}", range(datatype));
            Err(Fault::malformed(at, what))
        }
    }
}

/// The range of a type, in words.
fn range(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Uint8 => "0 to 255",
        Datatype::Uint16 => "0 to 65535",
        Datatype::Uint32 => "0 to 4294967295",
        Datatype::Uint64 => "0 to 18446744073709551615",
        Datatype::Int8 => "-128 to 127",
        Datatype::Int16 => "-32768 to 32767",
        Datatype::Int32 => "-2147483648 to 2147483647",
        Datatype::Int64 => "-9223372036854775808 to 9223372036854775807",
        Datatype::Fp16 => "-65504 to 65504",
        Datatype::Bf16 => "-3.39e38 to 3.39e38",
        Datatype::Fp32 => "-3.4028235e38 to 3.4028235e38",
        Datatype::Fp64 => "-1.7976931348623157e308 to 1.7976931348623157e308",
        Datatype::Bool | Datatype::Bytes => "any",
    }
}

/// Reads one dimension of a shape.
pub(super) fn dim(reader: &mut Reader<'_>) -> Parsed<u64> {
    reader.peek();
    let at = reader.at();
    let found = reader.number()?.integer();
    if let Integer::Fits(number) = found
        && let Ok(number) = u64::try_from(number)
    {
        return Ok(number);
    }
    let what = "a dimension of a request is a whole number, 0 or more; -1 stands in metadata only";
    Err(Fault::malformed(at, what))
}

/// Takes the elements of a tensor of `shape` from what is left of the request's allowance.
pub(crate) fn count(shape: &[u64], n_left: &mut usize) -> Parsed<usize> {
    let n_values = bartizan_core::tensor::element_count(shape)
        .map_err(|error| Fault::new(RefusalCode::TooLarge, error.to_string()).within("shape"))?;
    match n_left.checked_sub(n_values) {
        Some(rest) => {
            *n_left = rest;
            Ok(n_values)
        }
        None => {
            let what = "the tensors of this request have more elements than the limit for all; \
                        send fewer rows at a time";
            Err(Fault::new(RefusalCode::TooLarge, what).within("shape"))
        }
    }
}
