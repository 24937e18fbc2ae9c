//! NumPy arrays: `.npy` (format 1 to 3) and `.npz`, a ZIP archive of them.
//!
//! An array's first dimension is the rows. Up to 128 values a row, and up to 4,096 bytes, become
//! columns of their own (`x000`, ...); more become one column of vectors. Arrays of Python objects
//! are pickles: they are refused, not executed.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bartizan_core::Values;

use super::batches::Decode;
use super::rows::{Column, Meaning, Rows};
use super::{ReadError, ReadLimits};

/// Longest header of an array, in bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Most arrays of an archive.
const ARRAYS_MAX: usize = 1_024;
/// Values a row that become columns of their own, of numbers and of bytes.
const COLUMNS_MAX: usize = 128;
const BYTE_COLUMNS_MAX: usize = 4_096;

struct Once(Option<Rows>);

impl Decode for Once {
    fn next_rows(&mut self) -> Result<Option<Rows>, ReadError> {
        Ok(self.0.take())
    }
}

struct Named<'a> {
    path: &'a Path,
    array: &'a str,
}

impl Named<'_> {
    fn corrupt(&self, reason: &str) -> ReadError {
        let reason = format!("array `{}`: {reason}", self.array);
        ReadError::Corrupt { path: self.path.into(), reason }
    }

    fn refused(&self, reason: &str) -> ReadError {
        let (path, column) = (self.path.into(), self.array.into());
        ReadError::Column { path, column, reason: reason.into() }
    }
}

/// Reads all; arrays are in memory once as bytes and once as values.
pub(super) fn open(
    path: &Path,
    mut file: File,
    is_archive: bool,
    limits: &ReadLimits,
) -> Result<Box<dyn Decode>, ReadError> {
    let mut bytes = Vec::new();
    let read = file.read_to_end(&mut bytes);
    read.map_err(|source| ReadError::Io { path: path.into(), source })?;
    let arrays =
        if is_archive { unzip(path, &bytes, limits)? } else { vec![("x".to_owned(), bytes)] };
    let mut rows: Option<Rows> = None;
    for (name, bytes) in &arrays {
        let named = Named { path, array: name };
        let (columns, n_rows) = parse(&named, bytes, limits)?;
        match &mut rows {
            None => rows = Some(Rows { columns, n_rows }),
            Some(rows) if rows.n_rows == n_rows => rows.columns.extend(columns),
            Some(_) => return Err(named.refused("its first dimension differs from the others'")),
        }
    }
    let rows = rows.filter(|rows| rows.n_rows != 0);
    let found = rows.as_ref().map_or(0, |rows| rows.columns.len());
    if limits.columns_max < found {
        let (what, limit) = ("columns", limits.columns_max as u64);
        return Err(ReadError::TooLarge { path: path.into(), what, found: found as u64, limit });
    }
    Ok(Box::new(Once(rows)))
}

/// The text between `'key':` and the comma that follows it, of a header.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = header.find(&format!("'{key}'"))?;
    let rest = header.get(at..)?.split_once(':')?.1.trim_start();
    if rest.starts_with('(') {
        return rest.split_once(')').map(|(shape, _)| shape.trim_start_matches('('));
    }
    rest.split([',', '}']).next().map(str::trim)
}

fn parse(
    named: &Named<'_>,
    bytes: &[u8],
    limits: &ReadLimits,
) -> Result<(Vec<Column>, usize), ReadError> {
    let cut = || named.corrupt("it is cut short");
    let (magic, rest) = bytes.split_at_checked(8).ok_or_else(cut)?;
    if !magic.starts_with(b"\x93NUMPY") {
        return Err(named.corrupt("it is no NumPy array"));
    }
    let (len, rest) = if magic.get(6) == Some(&1) {
        let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        (usize::from(u16::from_le_bytes(*len)), rest)
    } else {
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        (usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX), rest)
    };
    if HEADER_BYTES_MAX < len {
        return Err(named.corrupt("its header is too long"));
    }
    let (header, data) = rest.split_at_checked(len).ok_or_else(cut)?;
    let header = str::from_utf8(header).map_err(|_| named.corrupt("its header is no text"))?;
    let (Some(descr), Some(shape)) = (entry(header, "descr"), entry(header, "shape")) else {
        return Err(named.corrupt("its header lacks `descr` or `shape`"));
    };
    if entry(header, "fortran_order") != Some("False") {
        return Err(named.refused("it is in Fortran's order: save `numpy.ascontiguousarray` of it"));
    }
    let dims = shape.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let dims: Option<Vec<usize>> = dims.map(|dim| dim.parse().ok()).collect();
    let dims = dims.ok_or_else(|| named.corrupt("its shape is no list of numbers"))?;
    let (n_rows, inner) =
        dims.split_first().ok_or_else(|| named.refused("it is a single number"))?;
    let width = inner.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    let width = width.filter(|width| (1..=limits.list_len_max).contains(width));
    let width = width.ok_or_else(|| named.refused("it has no values a row, or too many"))?;
    let count = n_rows.checked_mul(width).ok_or_else(|| named.corrupt("its shape overflows"))?;
    let descr = descr.trim_matches('\'');
    let values = values(named, descr, data, count)?;
    Ok((columns(named.array, width, values, *n_rows), *n_rows))
}

fn values(named: &Named<'_>, descr: &str, data: &[u8], count: usize) -> Result<Values, ReadError> {
    macro_rules! numbers {
        ($type:ty, $variant:ident, $from:ident) => {{
            const WIDTH: usize = size_of::<$type>();
            let (items, _) = data.as_chunks::<WIDTH>();
            let items =
                items.get(..count).ok_or_else(|| named.corrupt("its values are cut short"))?;
            Values::$variant(items.iter().map(|item| <$type>::$from(*item)).collect())
        }};
    }
    Ok(match descr {
        "<f8" => numbers!(f64, Fp64, from_le_bytes),
        ">f8" => numbers!(f64, Fp64, from_be_bytes),
        "<f4" => numbers!(f32, Fp32, from_le_bytes),
        ">f4" => numbers!(f32, Fp32, from_be_bytes),
        "<f2" => numbers!(u16, Fp16, from_le_bytes),
        "<i8" => numbers!(i64, Int64, from_le_bytes),
        "<i4" => numbers!(i32, Int32, from_le_bytes),
        "<i2" => numbers!(i16, Int16, from_le_bytes),
        "|i1" => numbers!(i8, Int8, from_le_bytes),
        "<u8" => numbers!(u64, Uint64, from_le_bytes),
        "<u4" => numbers!(u32, Uint32, from_le_bytes),
        "<u2" => numbers!(u16, Uint16, from_le_bytes),
        "|u1" => numbers!(u8, Uint8, from_le_bytes),
        "|b1" => {
            let items =
                data.get(..count).ok_or_else(|| named.corrupt("its values are cut short"))?;
            Values::Bool(items.iter().map(|item| *item != 0).collect())
        }
        "|O" => {
            return Err(named.refused(
                "it holds Python objects, which are a pickle and are not executed: save numbers",
            ));
        }
        text if text.starts_with("<U") => texts(named, text, data, count)?,
        _ => return Err(named.refused("its type is not read: save numbers or text")),
    })
}

/// Texts of a fixed number of UTF-32 characters, padded with zeros.
fn texts(named: &Named<'_>, descr: &str, data: &[u8], count: usize) -> Result<Values, ReadError> {
    let width: Option<usize> = descr.strip_prefix("<U").and_then(|width| width.parse().ok());
    let bytes = width.filter(|width| (1..=4_096).contains(width)).and_then(|w| w.checked_mul(4));
    let bytes = bytes.ok_or_else(|| named.refused("its texts are empty or too long"))?;
    let total = bytes.checked_mul(count).and_then(|total| data.get(..total));
    let data = total.ok_or_else(|| named.corrupt("its values are cut short"))?;
    let text = |item: &[u8]| {
        let chars = item.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c));
        let chars = chars.take_while(|c| *c != 0);
        let text: String = chars.map(|c| char::from_u32(c).unwrap_or('\u{fffd}')).collect();
        text.into_bytes()
    };
    Ok(Values::Bytes(data.chunks_exact(bytes).map(text).collect()))
}

fn columns(name: &str, width: usize, values: Values, n_rows: usize) -> Vec<Column> {
    let is_text = matches!(values, Values::Bytes(_));
    let meaning = if is_text { Meaning::Text } else { Meaning::Plain };
    let column = |name: String, width: usize, values: Values| Column {
        name,
        meaning,
        width,
        values,
        missing: Vec::new(),
        n_missing: 0,
    };
    let most = if matches!(values, Values::Uint8(_)) { BYTE_COLUMNS_MAX } else { COLUMNS_MAX };
    if width == 1 || (most < width && !is_text) {
        return vec![column(name.into(), width, values)];
    }
    macro_rules! split {
        ($($variant:ident),*) => {
            match values {
                $(Values::$variant(all) => (0..width)
                    .map(|at| {
                        let own = all.iter().skip(at).step_by(width).take(n_rows).cloned();
                        column(format!("{name}{at:03}"), 1, Values::$variant(own.collect()))
                    })
                    .collect(),)*
            }
        };
    }
    split!(
        Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64,
        Bytes
    )
}

/// The arrays of a ZIP archive (APPNOTE 6.3.10, sections 4.3.7 and 4.3.12), in its order.
fn unzip(
    path: &Path,
    bytes: &[u8],
    limits: &ReadLimits,
) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
    let corrupt = |reason: &str| ReadError::Corrupt { path: path.into(), reason: reason.into() };
    let cut = || corrupt("the archive is cut short");
    let u16_at = |at: usize| -> Option<usize> {
        let end = at.checked_add(2)?;
        Some(usize::from(u16::from_le_bytes(bytes.get(at..end)?.try_into().ok()?)))
    };
    let u32_at = |at: usize| -> Option<usize> {
        let end = at.checked_add(4)?;
        usize::try_from(u32::from_le_bytes(bytes.get(at..end)?.try_into().ok()?)).ok()
    };
    let tail_from = bytes.len().saturating_sub(66_000);
    let tail = bytes.get(tail_from..).unwrap_or_default();
    let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06").ok_or_else(cut)?;
    let end = tail_from.saturating_add(end);
    let field = |offset: usize| end.checked_add(offset);
    let count = field(10).and_then(u16_at).ok_or_else(cut)?;
    let mut at = field(16).and_then(u32_at).ok_or_else(cut)?;
    if ARRAYS_MAX < count {
        let (what, found, limit) = ("arrays", count as u64, ARRAYS_MAX as u64);
        return Err(ReadError::TooLarge { path: path.into(), what, found, limit });
    }
    let mut left = limits.decoded_bytes_max;
    let mut arrays = Vec::new();
    for _ in 0..count {
        let field = |offset: usize| at.checked_add(offset);
        let method = field(10).and_then(u16_at).ok_or_else(cut)?;
        let packed = field(20).and_then(u32_at).ok_or_else(cut)?;
        let name_len = field(28).and_then(u16_at).ok_or_else(cut)?;
        let extra = field(30).and_then(u16_at).ok_or_else(cut)?;
        let comment = field(32).and_then(u16_at).ok_or_else(cut)?;
        let local = field(42).and_then(u32_at).ok_or_else(cut)?;
        let name_at = field(46).ok_or_else(cut)?;
        let name_end = name_at.checked_add(name_len).ok_or_else(cut)?;
        let name = bytes.get(name_at..name_end).ok_or_else(cut)?;
        let name = String::from_utf8_lossy(name).trim_end_matches(".npy").to_owned();
        let local_field = |offset: usize| local.checked_add(offset);
        let skip = local_field(26).and_then(u16_at).zip(local_field(28).and_then(u16_at));
        let (a, b) = skip.ok_or_else(cut)?;
        let start = local_field(30).and_then(|s| s.checked_add(a)).and_then(|s| s.checked_add(b));
        let start = start.ok_or_else(cut)?;
        let data = start.checked_add(packed).and_then(|end| bytes.get(start..end));
        let data =
            data.ok_or_else(|| corrupt("an array lies outside of the archive, or is over 4 GiB"))?;
        let mut array = Vec::new();
        match method {
            0 => array.extend_from_slice(data),
            8 => {
                let inflate = flate2::read::DeflateDecoder::new(data);
                let read = inflate.take(left.saturating_add(1)).read_to_end(&mut array);
                read.map_err(|_| corrupt("an array does not inflate"))?;
            }
            _ => return Err(corrupt("an array is packed by a method that is not read")),
        }
        left = left.checked_sub(array.len() as u64).ok_or_else(|| {
            let (what, limit) = ("bytes of values, decoded", limits.decoded_bytes_max);
            ReadError::TooLarge { path: path.into(), what, found: limit.saturating_add(1), limit }
        })?;
        arrays.push((name, array));
        at = name_end.checked_add(extra).and_then(|at| at.checked_add(comment)).ok_or_else(cut)?;
    }
    Ok(arrays)
}
