//! GGUF (llama.cpp), versions 2 and 3: counts, lengths and offsets held against the file, and the
//! chat templates that it carries.
//!
//! Invariants
//! - G1: all arithmetic on sizes is checked, and no length is believed before the bytes are there;
//! - G2: tensors lie in the file, aligned, apart from each other, and nothing follows them;
//! - G3: every chat template is judged.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeSet;

use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Reader};
use crate::source::Stream;
use crate::template;

pub(crate) const FORMAT: Format = Format {
    name: "gguf",
    claims: |head| head.starts(b"GGUF") || head.starts(b"FUGG"),
    reader: Reader::Forward(read),
};

/// Longest key or name of a tensor, in bytes (`gguf.md`: 65535 and 64).
const NAME_BYTES_MAX: u64 = 65_535;
/// Longest text that is looked at whole, in bytes.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;
/// Most values beside tensors, and most tensors.
const VALUES_MAX: u64 = 65_536;
const TENSORS_MAX: u64 = 262_144;
/// A length of this many bytes or elements is no file's: it is made to overflow.
const ABSURD: u64 = 1 << 40;
/// Most arrays inside each other.
const DEPTH_MAX: u32 = 4;
/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
const DIMS_MAX: u32 = 4;

/// Types of tensors: number, elements of a block, bytes of a block (`GGML_QUANT_SIZES` of gguf
/// 0.19).
const TYPES: &[(u32, u64, u64)] = &[
    (0, 1, 4),
    (1, 1, 2),
    (2, 32, 18),
    (3, 32, 20),
    (6, 32, 22),
    (7, 32, 24),
    (8, 32, 34),
    (9, 32, 40),
    (10, 256, 84),
    (11, 256, 110),
    (12, 256, 144),
    (13, 256, 176),
    (14, 256, 210),
    (15, 256, 292),
    (16, 256, 66),
    (17, 256, 74),
    (18, 256, 98),
    (19, 256, 50),
    (20, 32, 18),
    (21, 256, 110),
    (22, 256, 82),
    (23, 256, 136),
    (24, 1, 1),
    (25, 1, 2),
    (26, 1, 4),
    (27, 1, 8),
    (28, 1, 8),
    (29, 256, 56),
    (30, 1, 2),
    (34, 256, 54),
    (35, 256, 66),
    (39, 32, 17),
    (40, 64, 36),
    (41, 128, 18),
];

struct Tensor {
    name: String,
    offset: u64,
    bytes: u64,
}

fn read(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    if stream.take(4)? != b"GGUF" {
        return Err(Stop::Unjudged("GGUF for machines of the other byte order"));
    }
    match u32::from_le_bytes(stream.array()?) {
        2 | 3 => {}
        1 => return Err(Stop::Unjudged("version 1 of GGUF")),
        _ => return Err(Stop::Unjudged("a version of GGUF that is not known")),
    }
    let n_tensors = count(scope, stream, "tensors", TENSORS_MAX)?;
    let n_values = count(scope, stream, "values", VALUES_MAX)?;
    let mut alignment = 32;
    let mut keys = BTreeSet::new();
    for _ in 0..n_values {
        let at = stream.offset();
        let key = name(scope, stream)?;
        let kind = u32::from_le_bytes(stream.array()?);
        if key == "general.alignment" {
            if kind != 4 {
                return Err(Stop::broken(at, "the alignment is no 32-bit number"));
            }
            alignment = u64::from(u32::from_le_bytes(stream.array()?));
        } else {
            value(scope, stream, &key, kind)?;
        }
        if !keys.insert(key) {
            scope.report(&rules::FILE_BROKEN, at, "a key is there twice");
        }
    }
    if !alignment.is_power_of_two() || alignment < 8 {
        let what = format!("the alignment is {alignment}");
        scope.report(&rules::GGUF_BOUNDS, 0, what);
        return Ok(());
    }
    let mut tensors = Vec::new();
    for _ in 0..n_tensors {
        scope.meter.steps(1)?;
        tensors.push(tensor(scope, stream)?);
    }
    data(scope, stream, tensors, alignment)
}

/// A count, held against the limit; an absurd one is hostile.
fn count(scope: &mut Scope<'_>, stream: &mut Stream<'_>, of: &str, max: u64) -> Result<u64, Stop> {
    let at = stream.offset();
    let n = u64::from_le_bytes(stream.array()?);
    if ABSURD <= n {
        scope.report_known(
            &rules::GGUF_BOUNDS,
            at,
            format!("it claims {n} {of}"),
            &["CVE-2024-25664", "CVE-2024-25665", "CVE-2024-25666"],
        );
    }
    if max < n { Err(Stop::Budget("values or tensors of a GGUF file")) } else { Ok(n) }
}

/// A length in bytes or elements of `size` bytes, of which that many must be left.
fn length(scope: &mut Scope<'_>, stream: &mut Stream<'_>, size: u64) -> Result<u64, Stop> {
    let at = stream.offset();
    let n = u64::from_le_bytes(stream.array()?);
    let bytes = n.checked_mul(size).filter(|_| n < ABSURD);
    let Some(bytes) = bytes else {
        scope.report_known(
            &rules::GGUF_BOUNDS,
            at,
            format!("it claims a length of {n}"),
            &["CVE-2024-23496", "CVE-2024-23605"],
        );
        return Err(Stop::broken(at, "a length beyond all files"));
    };
    if stream.left().is_some_and(|left| left < bytes) {
        return Err(Stop::broken(at, "a length lies beyond the end"));
    }
    Ok(bytes)
}

fn name(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<String, Stop> {
    let at = stream.offset();
    let len = length(scope, stream, 1)?;
    if NAME_BYTES_MAX < len {
        return Err(Stop::broken(at, "a name is too long"));
    }
    let bytes = stream.take(usize::try_from(len).unwrap_or(0))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Stop::broken(at, "a name is not UTF-8"))
}

/// Bytes of a value of a type; none of texts and arrays.
fn size_of(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn value(scope: &mut Scope<'_>, stream: &mut Stream<'_>, key: &str, kind: u32) -> Result<(), Stop> {
    // Arrays that are open: type and how many elements are left.
    let mut open: Vec<(u32, u64)> = vec![(kind, 1)];
    while let Some((kind, left)) = open.last_mut() {
        scope.meter.steps(1)?;
        let Some(rest) = left.checked_sub(1) else {
            open.pop();
            continue;
        };
        *left = rest;
        let kind = *kind;
        let at = stream.offset();
        match (kind, size_of(kind)) {
            (_, Some(size)) => {
                let n = rest.saturating_add(1);
                *left = 0;
                stream.skip(n.saturating_mul(size))?;
            }
            (8, None) => text(scope, stream, key)?,
            (9, None) => {
                let inner = u32::from_le_bytes(stream.array()?);
                // Texts and arrays take eight bytes at least, for their own lengths.
                let size = size_of(inner).unwrap_or(8);
                let n = length(scope, stream, size)?.checked_div(size).unwrap_or(0);
                if u64::from(DEPTH_MAX) < open.len() as u64 {
                    return Err(Stop::Budget("depth of arrays"));
                }
                open.push((inner, n));
            }
            _ => return Err(Stop::broken(at, "a value of an unknown type")),
        }
    }
    Ok(())
}

/// G3
fn text(scope: &mut Scope<'_>, stream: &mut Stream<'_>, key: &str) -> Result<(), Stop> {
    let at = stream.offset();
    let len = length(scope, stream, 1)?;
    let is_template = key.contains("template");
    if TEXT_BYTES_MAX < len {
        if is_template {
            return Err(Stop::Budget("length of a template"));
        }
        return stream.skip(len);
    }
    let bytes = stream.take(usize::try_from(len).unwrap_or(0))?;
    let marked = bytes.windows(2).any(|pair| pair == b"{{" || pair == b"{%");
    if !is_template && !marked {
        return Ok(());
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    let is = if is_template { template::As::Template } else { template::As::Text };
    template::judge(scope, &text, at, is)
}

fn tensor(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<Tensor, Stop> {
    let at = stream.offset();
    let name = name(scope, stream)?;
    let n_dims = u32::from_le_bytes(stream.array()?);
    if DIMS_MAX < n_dims {
        scope.report(&rules::GGUF_BOUNDS, at, format!("a tensor has {n_dims} dimensions"));
        return Err(Stop::broken(at, "too many dimensions"));
    }
    let mut elements = Some(1_u64);
    let mut row = 1;
    for dim_idx in 0..n_dims {
        let dim = u64::from_le_bytes(stream.array()?);
        if dim_idx == 0 {
            row = dim;
        }
        elements = elements.and_then(|n| n.checked_mul(dim));
    }
    let kind = u32::from_le_bytes(stream.array()?);
    let offset = u64::from_le_bytes(stream.array()?);
    let Some((_, block, bytes)) = TYPES.iter().find(|(number, _, _)| *number == kind) else {
        return Err(Stop::broken(at, "a tensor of an unknown type"));
    };
    if !row.is_multiple_of(*block) {
        return Err(Stop::broken(at, "a row of a tensor is no whole number of blocks"));
    }
    let size = elements.and_then(|n| n.checked_div(*block)).and_then(|n| n.checked_mul(*bytes));
    let Some(bytes) = size.filter(|bytes| *bytes < ABSURD && offset < ABSURD) else {
        let what = format!("tensor `{}` overflows", escape::text(&name));
        scope.report(&rules::GGUF_BOUNDS, at, what);
        return Err(Stop::broken(at, "a tensor beyond all files"));
    };
    Ok(Tensor { name, offset, bytes })
}

/// G2
fn data(
    scope: &mut Scope<'_>,
    stream: &mut Stream<'_>,
    mut tensors: Vec<Tensor>,
    alignment: u64,
) -> Result<(), Stop> {
    let at = stream.offset();
    let start = at.next_multiple_of(alignment);
    tensors.sort_by_key(|tensor| tensor.offset);
    let mut names = BTreeSet::new();
    let mut end = 0_u64;
    for tensor in &tensors {
        let shown = escape::text(&tensor.name);
        let place = start.saturating_add(tensor.offset);
        if !tensor.offset.is_multiple_of(alignment) || tensor.offset < end {
            let what = format!("tensor `{shown}` is not aligned, or overlaps another");
            scope.report(&rules::GGUF_BOUNDS, place, what);
        } else if tensor.offset != end.next_multiple_of(alignment) {
            let what = format!("a gap before tensor `{shown}`");
            scope.report(&rules::FILE_TRAILING, place, what);
        }
        end = end.max(tensor.offset.saturating_add(tensor.bytes));
        if !names.insert(tensor.name.as_str()) {
            let what = format!("tensor `{shown}` is there twice");
            scope.report(&rules::FILE_BROKEN, place, what);
        }
    }
    if tensors.is_empty() {
        // A file of a vocabulary alone; it may end with its values.
        stream.skip(stream.left().unwrap_or(0).min(start.saturating_sub(at)))?;
    } else {
        stream.skip(start.saturating_sub(at).saturating_add(end))?;
    }
    // Up to the next multiple the end may be filled with zeros.
    let fill = end.next_multiple_of(alignment).saturating_sub(end);
    let rest = stream.peek(4096)?;
    let filled = rest.len() as u64 <= fill && rest.iter().all(|byte| *byte == 0);
    if !rest.is_empty() && !filled {
        scope.report(&rules::FILE_TRAILING, start.saturating_add(end), "bytes follow the tensors");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
