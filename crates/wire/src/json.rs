//! A bounded pull parser for JSON (RFC 8259) over a body that is UTF-8.
//!
//! It hands out one token at a time and builds no tree, so that a tensor's numbers go straight
//! to where they stay. Own, because the parsers at hand read numbers as `f64` or need a tree for
//! what stands in an unexpected order. Beyond the standard it knows what Python writes: the bare
//! tokens `NaN`, `Infinity` and `-Infinity`, in [`Reader::float`] only.
//!
//! Invariants
//! - J1: `at` never passes the end, and every loop moves it;
//! - J2: at most `depth_max` lists and objects are open;
//! - J3: an object that is read (not skipped) has no key twice and at most [`KEYS_MAX`] keys.

use std::borrow::Cow;

use bartizan_core::RefusalCode;

use crate::error::{Fault, Parsed};
use crate::number::{self, Number};

/// Most keys of one object that is read.
pub(crate) const KEYS_MAX: usize = 64;
/// Most open lists and objects, whatever the configuration says: a bit each in [`Reader::skip`].
const DEPTH_MAX: usize = 64;

/// Reads one document; see the module invariants.
#[derive(Clone)]
pub(crate) struct Reader<'b> {
    text: &'b str,
    at: usize,
    depth: usize,
    depth_max: usize,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(text: &'b str, depth_max: usize) -> Self {
        Self { text, at: 0, depth: 0, depth_max: depth_max.min(DEPTH_MAX) }
    }

    /// Byte at which the next token is looked for.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The same reader at an earlier place of the same object.
    pub(crate) fn back_at(&self, at: usize) -> Self {
        Self { at, ..self.clone() }
    }

    /// Bytes that are left.
    pub(crate) fn n_left(&self) -> usize {
        self.text.len().saturating_sub(self.at)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves over one byte that [`Self::byte`] has seen (J1).
    fn step(&mut self) {
        self.at = self.at.wrapping_add(1);
    }

    /// The next byte that is not white space, without taking it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.step(),
                byte => return byte,
            }
        }
    }

    /// A fault that says what was expected, and what kind of thing is there instead.
    #[cold]
    pub(crate) fn expected(&self, what: &str) -> Box<Fault> {
        let found = match self.byte() {
            None => "the end of the body",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a text",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "`null`",
            Some(b'0'..=b'9' | b'-') => "a number",
            Some(b'N' | b'I') => "`NaN` or `Infinity`",
            Some(b',') => "`,`",
            Some(b':') => "`:`",
            Some(b']') => "`]`",
            Some(b'}') => "`}`",
            Some(_) => "something that is not JSON",
        };
        Fault::malformed(self.at, format!("expected {what}, found {found}"))
    }

    fn open(&mut self) -> Parsed<()> {
        if self.depth_max <= self.depth {
            let what = format!("lists and objects within each other, limit is {}", self.depth_max);
            let what = format!("byte {}: too many {what}; flatten the body", self.at);
            return Err(Fault::new(RefusalCode::TooLarge, what));
        }
        self.depth = self.depth.wrapping_add(1);
        self.step();
        Ok(())
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.step();
    }

    /// Opens a list; says whether it has a first item.
    pub(crate) fn begin_list(&mut self) -> Parsed<bool> {
        if self.peek() != Some(b'[') {
            return Err(self.expected("a list"));
        }
        self.open()?;
        if self.peek() == Some(b']') {
            self.close();
            return Ok(false);
        }
        Ok(true)
    }

    /// After an item of a list: says whether another follows; closes the list where none does.
    pub(crate) fn next_item(&mut self) -> Parsed<bool> {
        match self.peek() {
            Some(b',') => {
                self.step();
                Ok(true)
            }
            Some(b']') => {
                self.close();
                Ok(false)
            }
            _ => Err(self.expected("`,` or `]`")),
        }
    }

    /// Reads a list, item by item.
    pub(crate) fn list(
        &mut self,
        mut on_item: impl FnMut(&mut Self, usize) -> Parsed<()>,
    ) -> Parsed<()> {
        let mut more = self.begin_list()?;
        let mut item_idx = 0_usize;
        while more {
            on_item(self, item_idx).map_err(|fault| fault.within_item(item_idx))?;
            item_idx = item_idx.wrapping_add(1);
            more = self.next_item()?;
        }
        Ok(())
    }

    /// Reads an object (J3): `on_key` is given each key and must take its value.
    pub(crate) fn object(
        &mut self,
        mut on_key: impl FnMut(&mut Self, &str) -> Parsed<()>,
    ) -> Parsed<()> {
        if self.peek() != Some(b'{') {
            return Err(self.expected("an object"));
        }
        self.open()?;
        if self.peek() == Some(b'}') {
            self.close();
            return Ok(());
        }
        // Hash and place of each key. A hash that is there twice is looked at again.
        let mut seen = [(0_u64, 0_usize); KEYS_MAX];
        let mut n_seen = 0_usize;
        loop {
            let key_at = self.at;
            let key = self.key()?;
            let hash = fnv1a(&key);
            let twice = seen.iter().take(n_seen).any(|(other, at)| {
                *other == hash && self.back_at(*at).key().is_ok_and(|other| other == key)
            });
            if twice {
                return Err(Fault::malformed(key_at, "this key is there twice in one object"));
            }
            let Some(place) = seen.get_mut(n_seen) else {
                let what = format!("an object has at most {KEYS_MAX} keys, this has more");
                return Err(Fault::new(RefusalCode::TooLarge, what));
            };
            *place = (hash, key_at);
            n_seen = n_seen.wrapping_add(1);
            on_key(self, &key)?;
            match self.peek() {
                Some(b',') => self.step(),
                Some(b'}') => break self.close(),
                _ => return Err(self.expected("`,` or `}`")),
            }
        }
        Ok(())
    }

    /// Reads an object whose keys the caller tells apart: as [`Reader::object`], without J3.
    pub(crate) fn pairs(
        &mut self,
        mut on_key: impl FnMut(&mut Self, &str) -> Parsed<()>,
    ) -> Parsed<()> {
        if self.peek() != Some(b'{') {
            return Err(self.expected("an object"));
        }
        self.open()?;
        if self.peek() == Some(b'}') {
            self.close();
            return Ok(());
        }
        loop {
            let key = self.key()?;
            on_key(self, &key)?;
            match self.peek() {
                Some(b',') => self.step(),
                Some(b'}') => break self.close(),
                _ => return Err(self.expected("`,` or `}`")),
            }
        }
        Ok(())
    }

    /// The first key of the object that is next; `None` of an empty one.
    pub(crate) fn first_key(&mut self) -> Parsed<Option<Cow<'b, str>>> {
        if self.peek() != Some(b'{') {
            return Err(self.expected("an object"));
        }
        self.open()?;
        if self.peek() == Some(b'}') { Ok(None) } else { self.key().map(Some) }
    }

    fn key(&mut self) -> Parsed<Cow<'b, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.step();
        Ok(key)
    }

    /// Reads a text. Copies only where it holds escapes.
    pub(crate) fn string(&mut self) -> Parsed<Cow<'b, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a text in double quotes"));
        }
        self.step();
        let mut start = self.at;
        let mut copy: Option<String> = None;
        loop {
            let run = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let stop = run.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.at = self.at.wrapping_add(stop.unwrap_or(run.len()));
            let piece = self.text.get(start..self.at).unwrap_or_default();
            match self.byte() {
                Some(b'"') => {
                    self.step();
                    return Ok(match copy {
                        None => Cow::Borrowed(piece),
                        Some(text) => Cow::Owned(text + piece),
                    });
                }
                Some(b'\\') => {
                    let text = copy.get_or_insert_default();
                    text.push_str(piece);
                    self.step();
                    let escaped = self.escape()?;
                    text.push(escaped);
                    start = self.at;
                }
                None => return Err(Fault::malformed(self.at, "the body ends within a text")),
                Some(_) => {
                    let what = "a text holds a control character; write it as `\\u00..`";
                    return Err(Fault::malformed(self.at, what));
                }
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Parsed<char> {
        let at = self.at;
        let bad = |what: &'static str| Err(Fault::malformed(at, what));
        let plain = match self.byte() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.step();
                let unit = self.hex4()?;
                let unpaired = "a text holds half of a surrogate pair; escape both halves";
                let is_high = matches!(unit, 0xd800..=0xdbff);
                if !is_high {
                    return char::from_u32(unit.into()).map_or_else(|| bad(unpaired), Ok);
                }
                let tail = self.text.as_bytes().get(self.at..).unwrap_or_default();
                if !tail.starts_with(b"\\u") {
                    return bad(unpaired);
                }
                self.step();
                self.step();
                let low = self.hex4()?;
                let both = char::decode_utf16([unit, low]).next();
                return both.and_then(Result::ok).map_or_else(|| bad(unpaired), Ok);
            }
            _ => return bad("a text holds an escape that JSON does not have"),
        };
        self.step();
        Ok(plain)
    }

    fn hex4(&mut self) -> Parsed<u16> {
        let mut unit = 0_u16;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit.and_then(|digit| u16::try_from(digit).ok()) else {
                return Err(Fault::malformed(self.at, "`\\u` needs four hexadecimal digits"));
            };
            unit = unit << 4 | digit;
            self.step();
        }
        Ok(unit)
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Parsed<bool> {
        self.peek();
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.expected("`true` or `false`"))
        }
    }

    /// Takes `word` if it is the next token.
    fn word(&mut self, word: &str) -> bool {
        let end = self.at.wrapping_add(word.len());
        // What follows it is looked at by whoever reads on: only white space, `,`, `]` or `}` fit.
        let found = self.text.as_bytes().get(self.at..end) == Some(word.as_bytes());
        if found {
            self.at = end;
        }
        found
    }

    /// Reads a number and leaves its conversion to the caller.
    #[inline]
    pub(crate) fn number(&mut self) -> Parsed<Number<'b>> {
        match self.peek() {
            Some(b'0'..=b'9' | b'-') => {}
            _ => return Err(self.expected("a number")),
        }
        let (number, end) = number::scan(self.text, self.at)?;
        self.at = end;
        Ok(number)
    }

    /// Reads a number, or one of the tokens that stand for what JSON numbers cannot say:
    /// `null` and `NaN` are NaN, `Infinity` and `-Infinity` the infinities.
    #[inline]
    pub(crate) fn float(&mut self) -> Parsed<Float<'b>> {
        match self.peek() {
            Some(b'0'..=b'9') => self.number().map(Float::Finite),
            Some(b'-' | b'n' | b'N' | b'I') => {
                if self.word("null") || self.word("NaN") {
                    Ok(Float::Special(f64::NAN))
                } else if self.word("Infinity") {
                    Ok(Float::Special(f64::INFINITY))
                } else if self.word("-Infinity") {
                    Ok(Float::Special(f64::NEG_INFINITY))
                } else {
                    self.number().map(Float::Finite)
                }
            }
            _ => Err(self.expected("a number, `null` or `NaN`")),
        }
    }

    /// Moves over one value of any kind, checking its syntax. No memory is taken.
    pub(crate) fn skip(&mut self) -> Parsed<()> {
        // A bit for each list or object that this call has opened: 1 is an object.
        let mut kinds = 0_u64;
        let mut n_open = 0_usize;
        loop {
            // A value starts here.
            let opened = match self.peek() {
                Some(b'{') => Some(1),
                Some(b'[') => Some(0),
                _ => None,
            };
            if let Some(kind) = opened {
                self.open()?;
                kinds = kinds << 1 | kind;
                n_open = n_open.wrapping_add(1);
                let end = if kind == 1 { b'}' } else { b']' };
                if self.peek() != Some(end) {
                    if kind == 1 {
                        self.key()?;
                    }
                    continue;
                }
                self.close();
                (kinds, n_open) = (kinds >> 1, n_open.wrapping_sub(1));
            } else {
                self.scalar()?;
            }
            // A value has ended: what follows it, in all that it ends?
            loop {
                if n_open == 0 {
                    return Ok(());
                }
                let in_object = kinds & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.step();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => self.close(),
                    Some(b']') if !in_object => self.close(),
                    _ if in_object => return Err(self.expected("`,` or `}`")),
                    _ => return Err(self.expected("`,` or `]`")),
                }
                (kinds, n_open) = (kinds >> 1, n_open.wrapping_sub(1));
            }
        }
    }

    fn scalar(&mut self) -> Parsed<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'0'..=b'9' | b'-' | b'n' | b'N' | b'I') => self.float().map(drop),
            _ => Err(self.expected("a value")),
        }
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn finish(&mut self) -> Parsed<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the body after the document")),
        }
    }
}

/// What [`Reader::float`] found.
pub(crate) enum Float<'b> {
    /// A number.
    Finite(Number<'b>),
    /// NaN or an infinity.
    Special(f64),
}

/// FNV-1a, 64 bits: tells keys of one object apart cheaply; what it says is equal is compared.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
