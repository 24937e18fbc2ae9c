//! JSON as it comes: events of a stream of any length, nothing kept but the open brackets.
//!
//! What Python's `json` accepts beyond RFC 8259 (`NaN`, `Infinity`) is accepted.

use super::Judge;
use super::judge::Plain;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::source::Stream;

/// Most levels of arrays and objects.
const DEPTH_MAX: usize = 200;
/// Longest text, in bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest number or word, in bytes.
const WORD_BYTES_MAX: usize = 512;

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrClose,
    KeyOrClose,
    Key,
    CommaOrClose,
    End,
}

/// Reads one document and only blanks after it.
pub(super) fn read(
    scope: &mut Scope<'_>,
    stream: &mut Stream<'_>,
    judge: &mut Judge,
) -> Result<(), Stop> {
    if stream.peek(3)? == b"\xef\xbb\xbf" {
        stream.skip(3)?;
    }
    let mut open: Vec<bool> = Vec::new();
    let mut next = Next::Value;
    loop {
        scope.meter.steps(1)?;
        let at = stream.offset();
        let Some(byte) = stream.next()? else {
            let cut = Stop::broken(at, "the JSON is cut off");
            return if next == Next::End { Ok(()) } else { Err(cut) };
        };
        let after = if open.is_empty() { Next::End } else { Next::CommaOrClose };
        match (next, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (Next::CommaOrClose, b',') => {
                next = if open.last() == Some(&true) { Next::Key } else { Next::Value };
            }
            (Next::CommaOrClose | Next::KeyOrClose, b'}')
            | (Next::CommaOrClose | Next::ValueOrClose, b']') => {
                if open.pop() != Some(byte == b'}') {
                    return Err(Stop::broken(at, "brackets of the JSON do not match"));
                }
                judge.close(scope, at)?;
                next = if open.is_empty() { Next::End } else { Next::CommaOrClose };
            }
            (Next::Key | Next::KeyOrClose, b'"') => {
                let key = text(stream, at)?;
                colon(stream)?;
                judge.key(scope, &key, at)?;
                next = Next::Value;
            }
            (Next::Value | Next::ValueOrClose, b'{' | b'[') => {
                if DEPTH_MAX <= open.len() {
                    return Err(Stop::Budget("depth of JSON"));
                }
                let is_object = byte == b'{';
                open.push(is_object);
                judge.open(scope, is_object, at)?;
                next = if is_object { Next::KeyOrClose } else { Next::ValueOrClose };
            }
            (Next::Value | Next::ValueOrClose, b'"') => {
                let text = text(stream, at)?;
                judge.text(scope, &text, at)?;
                next = after;
            }
            (Next::Value | Next::ValueOrClose, _) => {
                judge.plain(scope, &word(stream, byte, at)?, at)?;
                next = after;
            }
            _ => return Err(Stop::broken(at, "the JSON is malformed")),
        }
    }
}

fn colon(stream: &mut Stream<'_>) -> Result<(), Stop> {
    loop {
        match stream.next()? {
            Some(b':') => return Ok(()),
            Some(b' ' | b'\t' | b'\n' | b'\r') => {}
            _ => return Err(Stop::broken(stream.offset(), "a colon is missing in the JSON")),
        }
    }
}

/// A number or a word that begins with `first`.
fn word(stream: &mut Stream<'_>, first: u8, at: u64) -> Result<Plain, Stop> {
    let head = stream.peek(WORD_BYTES_MAX)?;
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
    let len = head.iter().position(|byte| !is_part(byte)).unwrap_or(head.len());
    let mut word = vec![first];
    word.extend_from_slice(head.get(..len).unwrap_or(&[]));
    stream.skip(len as u64)?;
    match word.as_slice() {
        b"true" => Ok(Plain::Bool(true)),
        b"false" => Ok(Plain::Bool(false)),
        b"null" => Ok(Plain::Null),
        b"NaN" | b"Infinity" | b"-Infinity" => Ok(Plain::Number),
        number if is_number(number) => Ok(Plain::Number),
        _ => Err(Stop::broken(at, "a value of the JSON is malformed")),
    }
}

fn is_number(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let leads_zero = matches!(digits, [b'0', b'0'..=b'9', ..]);
    digits.first().is_some_and(u8::is_ascii_digit)
        && !leads_zero
        && word.last().is_some_and(u8::is_ascii_digit)
        && std::str::from_utf8(word).is_ok_and(|text| text.parse::<f64>().is_ok())
}

/// The text whose opening quote was taken.
fn text(stream: &mut Stream<'_>, at: u64) -> Result<String, Stop> {
    let mut bytes = Vec::new();
    // The first half of a pair of surrogates.
    let mut high = None;
    loop {
        if TEXT_BYTES_MAX < bytes.len() {
            return Err(Stop::Budget("length of a text of JSON"));
        }
        let byte = stream.next()?.ok_or(Stop::broken(at, "a text of the JSON is cut off"))?;
        if high.is_some() && byte != b'\\' {
            push(&mut bytes, '\u{fffd}');
            high = None;
        }
        match byte {
            b'"' => break,
            b'\\' => escaped(stream, at, &mut bytes, &mut high)?,
            0..=0x1f => return Err(Stop::broken(at, "a control character in a text of the JSON")),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Stop::broken(at, "a text of the JSON is not UTF-8"))
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn escaped(
    stream: &mut Stream<'_>,
    at: u64,
    bytes: &mut Vec<u8>,
    high: &mut Option<u16>,
) -> Result<(), Stop> {
    let bad = Stop::broken(at, "an escape in a text of the JSON is malformed");
    let code = stream.next()?.ok_or(bad.clone())?;
    if code != b'u' && high.take().is_some() {
        push(bytes, '\u{fffd}');
    }
    let c = match code {
        b'"' | b'\\' | b'/' => char::from(code),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let hex = stream.take(4)?;
            let unit = std::str::from_utf8(hex)
                .ok()
                .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|hex| u16::from_str_radix(hex, 16).ok())
                .ok_or(bad)?;
            let first = high.take();
            let units = first.into_iter().chain([unit]);
            match (first, unit) {
                (None, 0xd800..=0xdbff) => {
                    *high = Some(unit);
                    return Ok(());
                }
                _ => {
                    for c in char::decode_utf16(units) {
                        push(bytes, c.unwrap_or('\u{fffd}'));
                    }
                    return Ok(());
                }
            }
        }
        _ => return Err(bad),
    };
    push(bytes, c);
    Ok(())
}
