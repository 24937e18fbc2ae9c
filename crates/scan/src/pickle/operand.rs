//! Operands: what follows an opcode in the stream, and the value that comes of it.

use super::machine::Machine;
use super::names::WORD_BYTES_MAX;
use super::text::{self, Read};
use super::value::Value;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::source::Stream;

impl Machine {
    pub(super) fn cut_off(&self) -> Stop {
        Stop::broken(self.at, "a line is cut off")
    }

    pub(super) fn length32(&self, stream: &mut Stream<'_>) -> Result<u64, Stop> {
        let len = i32::from_le_bytes(stream.array()?);
        u64::try_from(len).map_err(|_| Stop::broken(self.at, "a negative length"))
    }

    pub(super) fn long_bytes(&mut self, len: u64, stream: &mut Stream<'_>) -> Result<(), Stop> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let value = if len <= 8 {
            let bytes = stream.take(len)?;
            // Two's complement, little endian: the sign is the last byte's.
            let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
            let mut wide = [fill; 8];
            for (to, from) in wide.iter_mut().zip(bytes) {
                *to = *from;
            }
            self.heap.int(i64::from_le_bytes(wide))
        } else {
            stream.skip(len as u64)?;
            Value::Number
        };
        self.push(value)
    }

    pub(super) fn text(
        &mut self,
        len: u64,
        is_utf8: bool,
        stream: &mut Stream<'_>,
    ) -> Result<(), Stop> {
        let value = match usize::try_from(len) {
            Ok(short) if short <= WORD_BYTES_MAX => self.word(stream.take(short)?, is_utf8),
            _ => {
                let head = stream.peek(WORD_BYTES_MAX)?;
                let head = String::from_utf8_lossy(head).into_owned();
                stream.skip(len)?;
                self.heap.excerpt(&head)
            }
        };
        self.push(value)
    }

    /// A short text as a word; those of Python 2 are bytes to some loaders.
    pub(super) fn word(&mut self, bytes: &[u8], is_utf8: bool) -> Value {
        let good = if is_utf8 || bytes.is_ascii() { std::str::from_utf8(bytes).ok() } else { None };
        match good.and_then(|text| self.names.word(text)) {
            Some(word) => Value::Word(word),
            None => match good {
                Some(text) if WORD_BYTES_MAX < text.len() => self.heap.excerpt(text),
                Some(_) => Value::Text,
                None => Value::Blob,
            },
        }
    }

    pub(super) fn blob(&mut self, len: u64, stream: &mut Stream<'_>) -> Result<(), Stop> {
        let offset = stream.offset();
        stream.skip(len)?;
        let value = self.heap.bytes(offset, len);
        self.push(value)
    }

    pub(super) fn text_operand(
        &mut self,
        op: u8,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<(), Stop> {
        let Some(line) = stream.line()? else { return Err(self.cut_off()) };
        let (value, differs) = match op {
            b'I' | b'L' => match if op == b'I' { text::int(line) } else { text::long(line) } {
                Read::Same(Some(value))
                    if op == b'I' && line.len() == 2 && line.first() == Some(&b'0') =>
                {
                    (Value::Bool(value == 1), false)
                }
                Read::Same(Some(value)) => (self.heap.int(value), false),
                Read::Same(None) => (Value::Number, false),
                Read::Differs => (Value::Number, true),
            },
            b'F' => (Value::Number, text::float(line) == Read::Differs),
            b'S' => match text::string(line) {
                Some(Read::Same(bytes)) => (self.word(&bytes, false), false),
                Some(Read::Differs) => (Value::Blob, true),
                None => return Err(Stop::broken(self.at, "a text without its quotes")),
            },
            _ => match text::unicode(line) {
                Some(text) => (self.word(text.as_bytes(), true), false),
                None => return Err(Stop::broken(self.at, "a damaged escape")),
            },
        };
        if differs {
            let what = "a number or text in a form that readers take differently";
            scope.report(&rules::PICKLE_DIFFERS, self.at, what);
        }
        self.push(value)
    }

    pub(super) fn index_operand(
        &self,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<usize, Stop> {
        let Some(line) = stream.line()? else { return Err(self.cut_off()) };
        match text::index(line) {
            Read::Same(at) => Ok(at.and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX)),
            Read::Differs => {
                let what = "a memo index in a form that readers take differently";
                scope.report(&rules::PICKLE_DIFFERS, self.at, what);
                Err(Stop::broken(self.at, "a memo index is no number"))
            }
        }
    }

    pub(super) fn import_lines(
        &mut self,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<Value, Stop> {
        let line =
            |line: Option<&[u8]>| line.map(|line| String::from_utf8_lossy(line).into_owned());
        let module = line(stream.line()?).ok_or(self.cut_off())?;
        let name = line(stream.line()?).ok_or(self.cut_off())?;
        Ok(self.import(&module, &name, scope))
    }
}
