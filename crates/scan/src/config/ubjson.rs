//! UBJSON (draft 12) as XGBoost writes it: the same values as JSON, with lengths before them.

use super::judge::{Judge, Plain};
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::Head;
use crate::source::Stream;

/// Most levels of arrays and objects.
const DEPTH_MAX: usize = 200;
/// Longest text, in bytes.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// Whether an object begins whose first key is a word, with its length before it.
pub(super) fn claims(head: &Head<'_>) -> bool {
    let Some((b'{', rest)) = head.bytes.split_first() else { return false };
    let Some((marker, rest)) = rest.split_first() else { return false };
    let Some(size) = int_bytes(*marker) else { return false };
    let Some((len, rest)) = rest.split_at_checked(size) else { return false };
    let len = len.iter().fold(0_usize, |len, byte| len.wrapping_shl(8) | usize::from(*byte));
    let key = rest.get(..len.min(256)).unwrap_or(&[]);
    0 < len
        && len <= 256
        && key.len() == len
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(byte))
}

/// Bytes of an integer of a type.
fn int_bytes(marker: u8) -> Option<usize> {
    match marker {
        b'i' | b'U' => Some(1),
        b'I' => Some(2),
        b'l' => Some(4),
        b'L' => Some(8),
        _ => None,
    }
}

/// Bytes of any value of a fixed size.
fn fixed_bytes(marker: u8) -> Option<usize> {
    match marker {
        b'd' => Some(4),
        b'D' => Some(8),
        b'C' => Some(1),
        b'Z' | b'N' | b'T' | b'F' => Some(0),
        _ => int_bytes(marker),
    }
}

/// An open container.
struct Open {
    is_object: bool,
    /// How many values are left, where the count stands before them.
    left: Option<u64>,
    /// Their type, where it stands before them.
    kind: Option<u8>,
}

/// Reads one document, which must end with the data.
pub(super) fn read(
    scope: &mut Scope<'_>,
    stream: &mut Stream<'_>,
    judge: &mut Judge,
) -> Result<(), Stop> {
    let mut open: Vec<Open> = Vec::new();
    let first = next(stream)?;
    value(scope, stream, judge, &mut open, first)?;
    while let Some(top) = open.last_mut() {
        scope.meter.steps(1)?;
        let at = stream.offset();
        let ends = match top.left {
            Some(0) => true,
            Some(ref mut left) => {
                *left = left.saturating_sub(1);
                false
            }
            None => {
                let close = if top.is_object { b'}' } else { b']' };
                let closes = stream.peek(1)? == [close];
                if closes {
                    stream.skip(1)?;
                }
                closes
            }
        };
        if ends {
            open.pop();
            judge.close(scope, at)?;
            continue;
        }
        let kind = top.kind;
        if top.is_object {
            let key = text(stream)?;
            judge.key(scope, &key, at)?;
        }
        let marker = match kind {
            Some(kind) => kind,
            None => next(stream)?,
        };
        value(scope, stream, judge, &mut open, marker)?;
    }
    match stream.peek(1)? {
        [] => Ok(()),
        _ => Err(Stop::broken(stream.offset(), "something follows the UBJSON")),
    }
}

fn next(stream: &mut Stream<'_>) -> Result<u8, Stop> {
    stream.next()?.ok_or(Stop::broken(stream.offset(), "the UBJSON is cut off"))
}

fn length(stream: &mut Stream<'_>) -> Result<u64, Stop> {
    let at = stream.offset();
    let size = int_bytes(next(stream)?).ok_or(Stop::broken(at, "a length is no integer"))?;
    let bytes = stream.take(size)?;
    let is_negative = size != 1 && bytes.first().is_some_and(|byte| 0x80 <= *byte);
    let len = bytes.iter().fold(0_u64, |len, byte| len << 8 | u64::from(*byte));
    if is_negative { Err(Stop::broken(at, "a length is negative")) } else { Ok(len) }
}

fn text(stream: &mut Stream<'_>) -> Result<String, Stop> {
    let at = stream.offset();
    let len = length(stream)?;
    if TEXT_BYTES_MAX < len {
        return Err(Stop::Budget("length of a text of UBJSON"));
    }
    let bytes = stream.take(usize::try_from(len).unwrap_or(0))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Stop::broken(at, "a text is not UTF-8"))
}

/// Reads a value whose marker was taken, or opens it.
fn value(
    scope: &mut Scope<'_>,
    stream: &mut Stream<'_>,
    judge: &mut Judge,
    open: &mut Vec<Open>,
    marker: u8,
) -> Result<(), Stop> {
    let at = stream.offset();
    match marker {
        b'{' | b'[' => {
            if DEPTH_MAX <= open.len() {
                return Err(Stop::Budget("depth of UBJSON"));
            }
            judge.open(scope, marker == b'{', at)?;
            let opened = container(stream, marker == b'{')?;
            match opened {
                // Numbers of one size: passed over at once.
                Open { is_object: false, left: Some(left), kind: Some(kind) }
                    if fixed_bytes(kind).is_some() =>
                {
                    let size = fixed_bytes(kind).unwrap_or(0) as u64;
                    let bytes = left.checked_mul(size).ok_or(Stop::broken(at, "it overflows"))?;
                    stream.skip(bytes)?;
                    judge.close(scope, at)?;
                }
                opened => open.push(opened),
            }
        }
        b'S' | b'H' => {
            let text = text(stream)?;
            judge.text(scope, &text, at)?;
        }
        b'T' => judge.plain(scope, &Plain::Bool(true), at)?,
        b'F' => judge.plain(scope, &Plain::Bool(false), at)?,
        b'Z' | b'N' => judge.plain(scope, &Plain::Null, at)?,
        _ => {
            let size = fixed_bytes(marker).ok_or(Stop::broken(at, "an unknown type of value"))?;
            stream.skip(size as u64)?;
            judge.plain(scope, &Plain::Number, at)?;
        }
    }
    Ok(())
}

/// Type and count of a container, where they stand before its values.
fn container(stream: &mut Stream<'_>, is_object: bool) -> Result<Open, Stop> {
    let at = stream.offset();
    let mut opened = Open { is_object, left: None, kind: None };
    if stream.peek(1)? == b"$" {
        stream.skip(1)?;
        opened.kind = Some(next(stream)?);
        if stream.peek(1)? != b"#" {
            return Err(Stop::broken(at, "a type without a count"));
        }
    }
    if stream.peek(1)? == b"#" {
        stream.skip(1)?;
        let n = length(stream)?;
        // Values without bytes of their own would cost nothing to claim.
        let is_free = matches!(opened.kind, Some(b'Z' | b'N' | b'T' | b'F'));
        if is_free || stream.left().is_some_and(|left| left < n) {
            return Err(Stop::broken(at, "more values than bytes"));
        }
        opened.left = Some(n);
    }
    Ok(opened)
}
