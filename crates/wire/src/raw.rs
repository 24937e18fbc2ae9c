//! Tensors as raw bytes: little-endian and row-major, a `BOOL` one byte of 0 or 1, an element of
//! `BYTES` behind its length (32 bits), nothing between elements.
//!
//! Sources: KServe, "Binary Tensor Data Extension"; `raw_input_contents` of the protocol's gRPC.
//!
//! Invariants
//! - B1: what is written reads back to the same bits.

use bartizan_core::{Datatype, RefusalCode, Values};

use crate::error::{Fault, Parsed};

/// Bytes of the length in front of an element of `BYTES`.
const LEN_BYTES: usize = 4;

/// Reads the `n_values` values that `bytes` are exactly. Memory is taken for what is there.
pub(crate) fn read(datatype: Datatype, n_values: usize, bytes: &[u8]) -> Parsed<Values> {
    macro_rules! read {
        ($variant:ident, $type:ty) => {{
            check_len(datatype, n_values, bytes)?;
            let (items, _) = bytes.as_chunks();
            Values::$variant(items.iter().map(|item| <$type>::from_le_bytes(*item)).collect())
        }};
    }
    Ok(match datatype {
        Datatype::Bool => {
            check_len(datatype, n_values, bytes)?;
            Values::Bool(bytes.iter().map(boolean).collect::<Parsed<_>>()?)
        }
        Datatype::Uint8 => {
            check_len(datatype, n_values, bytes)?;
            Values::Uint8(bytes.to_vec())
        }
        Datatype::Uint16 => read!(Uint16, u16),
        Datatype::Uint32 => read!(Uint32, u32),
        Datatype::Uint64 => read!(Uint64, u64),
        Datatype::Int8 => read!(Int8, i8),
        Datatype::Int16 => read!(Int16, i16),
        Datatype::Int32 => read!(Int32, i32),
        Datatype::Int64 => read!(Int64, i64),
        Datatype::Fp16 => read!(Fp16, u16),
        Datatype::Bf16 => read!(Bf16, u16),
        Datatype::Fp32 => read!(Fp32, f32),
        Datatype::Fp64 => read!(Fp64, f64),
        Datatype::Bytes => Values::Bytes(texts(n_values, bytes)?),
    })
}

fn check_len(datatype: Datatype, n_values: usize, bytes: &[u8]) -> Parsed<()> {
    let expected = n_values.saturating_mul(datatype.width());
    if expected == bytes.len() {
        return Ok(());
    }
    let found = bytes.len();
    let what = format!("{n_values} elements of {datatype} are {expected} bytes, there are {found}");
    Err(Fault::new(RefusalCode::Malformed, what))
}

fn boolean(byte: &u8) -> Parsed<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Fault::new(RefusalCode::Malformed, "a byte of a BOOL tensor must be 0 or 1")),
    }
}

fn texts(n_values: usize, bytes: &[u8]) -> Parsed<Vec<Vec<u8>>> {
    let fault = |what: &'static str| Fault::new(RefusalCode::Malformed, what);
    let mut out = Vec::with_capacity(n_values.min(bytes.len().div_euclid(LEN_BYTES)));
    let mut rest = bytes;
    while let Some((len, tail)) = rest.split_first_chunk::<LEN_BYTES>() {
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let Some((item, tail)) = tail.split_at_checked(len) else {
            return Err(fault("the length of an element of BYTES passes the end of its tensor"));
        };
        if out.len() == n_values {
            return Err(fault("a BYTES tensor holds more elements than `shape` asks for"));
        }
        out.push(item.to_vec());
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(fault("a BYTES tensor ends within the length of an element"));
    }
    if out.len() < n_values {
        return Err(fault("a BYTES tensor holds fewer elements than `shape` asks for"));
    }
    Ok(out)
}

/// Bytes that [`write`] appends for `values`.
pub(crate) fn len(values: &Values) -> usize {
    match values {
        Values::Bytes(items) => items
            .iter()
            .fold(0_usize, |sum, item| sum.saturating_add(item.len()).saturating_add(LEN_BYTES)),
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Fp32(_)
        | Values::Fp64(_) => values.len().saturating_mul(values.datatype().width()),
    }
}

/// Appends the bytes of `values` to `out`.
pub(crate) fn write(values: &Values, out: &mut Vec<u8>) {
    out.reserve(len(values));
    match values {
        Values::Bool(v) => out.extend(v.iter().map(|x| u8::from(*x))),
        Values::Uint8(v) => out.extend_from_slice(v),
        Values::Int8(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Uint16(v) | Values::Fp16(v) | Values::Bf16(v) => {
            out.extend(v.iter().flat_map(|x| x.to_le_bytes()));
        }
        Values::Int16(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Uint32(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Int32(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Uint64(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Int64(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Fp32(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Fp64(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
        Values::Bytes(items) => {
            for item in items {
                // A tensor's bytes are bounded far below 4 GiB by the body and by memory.
                let len = u32::try_from(item.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(item);
            }
        }
    }
}

#[cfg(test)]
mod tests;
