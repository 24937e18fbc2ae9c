//! JSON as events, in order, duplicates and all.
//!
//! Own reader, because the question here is not what one parser makes of a text but whether all
//! agree: duplicate keys must be seen, and nothing may be allocated by depth or length. What
//! Python's `json` accepts beyond RFC 8259 (`NaN`, `Infinity`) is accepted.

use std::borrow::Cow;

use crate::sighting::Stop;

/// Most levels of arrays and objects.
pub(crate) const DEPTH_MAX: usize = 128;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event<'a> {
    /// `{`
    Object,
    /// `[`
    List,
    /// `}` or `]`
    Close,
    /// A key; its value follows.
    Key(Cow<'a, str>),
    Text(Cow<'a, str>),
    Number(&'a str),
    Bool(bool),
    Null,
}

/// What the parser expects next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrClose,
    KeyOrClose,
    Key,
    CommaOrClose,
    End,
}

/// A parser over a text in memory.
pub(crate) struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Whether each open level is an object.
    open: Vec<bool>,
    next: Next,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, open: Vec::new(), next: Next::Value }
    }

    /// Offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.at as u64
    }

    fn broken(&self, what: &'static str) -> Stop {
        Stop::broken(self.at as u64, what)
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at = self.at.saturating_add(1);
        }
        bytes.get(self.at).copied()
    }

    /// The next event, or `None` at the end of the text.
    pub(crate) fn event(&mut self) -> Result<Option<Event<'a>>, Stop> {
        let Some(mut byte) = self.peek() else {
            return if self.next == Next::End {
                Ok(None)
            } else {
                Err(self.broken("it is cut off"))
            };
        };
        if self.next == Next::CommaOrClose {
            match byte {
                b',' => {
                    self.at = self.at.saturating_add(1);
                    let in_object = self.open.last() == Some(&true);
                    self.next = if in_object { Next::Key } else { Next::Value };
                    byte = self.peek().ok_or_else(|| self.broken("it is cut off"))?;
                }
                b'}' | b']' => return self.close(byte).map(Some),
                _ => return Err(self.broken("a comma is missing")),
            }
        }
        match (self.next, byte) {
            (Next::End, _) => Err(self.broken("something follows the end")),
            (Next::KeyOrClose, b'}') | (Next::ValueOrClose, b']') => self.close(byte).map(Some),
            (Next::KeyOrClose | Next::Key, b'"') => {
                let key = self.string()?;
                if self.peek() != Some(b':') {
                    return Err(self.broken("a colon is missing"));
                }
                self.at = self.at.saturating_add(1);
                self.next = Next::Value;
                Ok(Some(Event::Key(key)))
            }
            (Next::KeyOrClose | Next::Key, _) => Err(self.broken("a key is missing")),
            _ => self.value(byte).map(Some),
        }
    }

    fn value(&mut self, byte: u8) -> Result<Event<'a>, Stop> {
        match byte {
            b'{' | b'[' => {
                if DEPTH_MAX <= self.open.len() {
                    return Err(Stop::Budget("depth of JSON"));
                }
                self.at = self.at.saturating_add(1);
                self.open.push(byte == b'{');
                let is_object = byte == b'{';
                self.next = if is_object { Next::KeyOrClose } else { Next::ValueOrClose };
                return Ok(if is_object { Event::Object } else { Event::List });
            }
            _ => {}
        }
        let event = match byte {
            b'"' => Event::Text(self.string()?),
            _ => self.literal()?,
        };
        self.after_value();
        Ok(event)
    }

    fn literal(&mut self) -> Result<Event<'a>, Stop> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let len = rest
            .bytes()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-')))
            .unwrap_or(rest.len());
        let word = rest.get(..len).unwrap_or("");
        let event = match word {
            "true" => Event::Bool(true),
            "false" => Event::Bool(false),
            "null" => Event::Null,
            "NaN" | "Infinity" | "-Infinity" => Event::Number(word),
            _ if is_number(word) => Event::Number(word),
            _ => return Err(self.broken("a value is malformed")),
        };
        self.at = self.at.saturating_add(len);
        Ok(event)
    }

    fn close(&mut self, byte: u8) -> Result<Event<'a>, Stop> {
        if self.open.pop() != Some(byte == b'}') {
            return Err(self.broken("brackets do not match"));
        }
        self.at = self.at.saturating_add(1);
        self.after_value();
        Ok(Event::Close)
    }

    fn after_value(&mut self) {
        self.next = if self.open.is_empty() { Next::End } else { Next::CommaOrClose };
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Stop> {
        let start = self.at.saturating_add(1);
        let rest = self.text.get(start..).unwrap_or("");
        let Some(end) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
        else {
            return Err(self.broken("a text is cut off"));
        };
        if rest.as_bytes().get(end) == Some(&b'"') {
            self.at = start.saturating_add(end).saturating_add(1);
            return Ok(Cow::Borrowed(rest.get(..end).unwrap_or("")));
        }
        self.escaped(start)
    }

    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>, Stop> {
        let mut out = String::new();
        let mut chars = self.text.get(start..).unwrap_or("").char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start.saturating_add(at).saturating_add(1);
                    return Ok(Cow::Owned(out));
                }
                '\\' => {
                    let c = match chars.next().map(|(_, c)| c) {
                        Some(c @ ('"' | '\\' | '/')) => c,
                        Some('b') => '\u{8}',
                        Some('f') => '\u{c}',
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some('u') => {
                            let hex = |chars: &mut std::str::CharIndices<'_>| {
                                let mut value = 0_u32;
                                for _ in 0..4 {
                                    let digit = chars.next()?.1.to_digit(16)?;
                                    value = value.checked_mul(16)?.checked_add(digit)?;
                                }
                                Some(value)
                            };
                            let high = hex(&mut chars)
                                .ok_or_else(|| self.broken("an escape is malformed"))?;
                            let mut after = chars.clone();
                            let low = (after.next().map(|(_, c)| c) == Some('\\')
                                && after.next().map(|(_, c)| c) == Some('u'))
                            .then(|| hex(&mut after))
                            .flatten();
                            match low {
                                Some(low @ 0xdc00..=0xdfff) if (0xd800..0xdc00).contains(&high) => {
                                    chars = after;
                                    let pair = char::decode_utf16([
                                        u16::try_from(high).unwrap_or(0),
                                        u16::try_from(low).unwrap_or(0),
                                    ]);
                                    pair.flatten().next().unwrap_or('\u{fffd}')
                                }
                                _ => char::from_u32(high).unwrap_or('\u{fffd}'),
                            }
                        }
                        _ => return Err(self.broken("an escape is malformed")),
                    };
                    out.push(c);
                }
                '\0'..='\u{1f}' => return Err(self.broken("a control character in a text")),
                c => out.push(c),
            }
        }
        Err(self.broken("a text is cut off"))
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && (digits == "0"
            || !digits.starts_with('0')
            || digits.get(1..).is_some_and(|rest| rest.starts_with(['.', 'e', 'E'])))
        && !word.ends_with('.')
        && word.parse::<f64>().is_ok()
}

/// Bytes as the text of a document, a byte order mark aside.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Stop> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Stop::broken(error.valid_up_to() as u64, "it is not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Result<Vec<Event<'_>>, Stop> {
        let mut parser = Parser::new(text);
        let mut events = Vec::new();
        while let Some(event) = parser.event()? {
            events.push(event);
        }
        Ok(events)
    }

    /// Order and duplicates stay, escapes are resolved, and what is no JSON is refused.
    #[test]
    fn documents_are_read_as_they_are_written() {
        let text = r#" {"a":[1,-2.5e3,true,null,"\u0041\ud83d\ude00\n"],"a":{}} "#;
        let key = || Event::Key("a".into());
        assert_eq!(
            events(text).unwrap(),
            [
                Event::Object,
                key(),
                Event::List,
                Event::Number("1"),
                Event::Number("-2.5e3"),
                Event::Bool(true),
                Event::Null,
                Event::Text("A\u{1f600}\n".into()),
                Event::Close,
                key(),
                Event::Object,
                Event::Close,
                Event::Close,
            ]
        );
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "[1 2]",
            "{}x",
            "\"\n\"",
            "\"\\x\"",
            "[}",
            "+1",
            "nul",
            "\"\\u12\"",
            ",",
        ] {
            assert!(events(bad).is_err(), "accepted {bad:?}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert_eq!(events(&deep), Err(Stop::Budget("depth of JSON")));
    }
}
