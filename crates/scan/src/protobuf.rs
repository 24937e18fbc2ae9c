//! Protocol buffers, walked by a schema: bounded, iterative, nothing is built.
//!
//! The walk looks at every field of every message that a schema names and passes over what the
//! schema calls data. What readers of protobuf take differently (a single field twice, another
//! wire type, unknown fields, groups) is reported: it is either written by nobody, or for somebody
//! else.
//!
//! Invariants
//! - B1: every occurrence of a field is visited, whatever a reader would merge or let win;
//! - B2: no recursion and no allocation grows with what a file claims.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::source::View;

/// Bytes that are read at once.
const CHUNK_BYTES: u64 = 16 * 1024;
/// Most messages inside each other; protobuf's own default is 100.
const DEPTH_MAX: usize = 100;
/// Most fields of a message that [`shape`] looks at.
const SHAPE_FIELDS_MAX: u64 = 1 << 22;

/// A message: its fields, by number.
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A field.
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// Whether it may be there once at most.
    pub(crate) once: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// An integer, boolean or enum.
    Varint,
    /// Four bytes.
    Fixed32,
    /// Numbers, packed or one by one.
    Numbers,
    /// Text or bytes: the visitor gets them.
    Bytes,
    /// Text that says nothing: no control characters, else passed over.
    Text,
    /// Passed over: text, bytes or a message in which nothing can matter.
    Data,
    /// A message that is walked.
    Message(&'static Schema),
}

/// A field that may be there once.
pub(crate) const fn once(number: u32, kind: Kind) -> Field {
    Field { number, kind, once: true }
}

/// A field that may be repeated.
pub(crate) const fn many(number: u32, kind: Kind) -> Field {
    Field { number, kind, once: false }
}

/// A value of a field.
pub(crate) enum Value<'v> {
    /// A number of the wire types varint, fixed32 and fixed64.
    Number(u64),
    /// Text, bytes or packed numbers.
    Bytes(Bytes<'v>),
}

/// Bytes of a field: the first are in memory.
pub(crate) struct Bytes<'v> {
    /// All of it, or the first [`HEAD_BYTES_MAX`].
    pub(crate) head: &'v [u8],
    /// All of it.
    pub(crate) view: View<'v>,
}

/// Most bytes of [`Bytes::head`].
pub(crate) const HEAD_BYTES_MAX: u64 = 4096;

impl Bytes<'_> {
    /// All bytes, at most `max`.
    pub(crate) fn whole(&self, max: u64) -> Result<Vec<u8>, Stop> {
        if self.head.len() as u64 == self.view.len() {
            return Ok(self.head.to_vec());
        }
        self.view.bytes(0, self.view.len(), max)
    }

    /// A name: text of at most [`HEAD_BYTES_MAX`] bytes; lossy, longer ones are cut.
    pub(crate) fn name(&self) -> Box<str> {
        String::from_utf8_lossy(self.head).into()
    }
}

/// Who looks at fields.
pub(crate) trait Visit {
    /// A message begins as field `number` of the one around it; 0 for the outermost.
    fn enter(&mut self, _scope: &mut Scope<'_>, _schema: &'static Schema, _number: u32) {}
    /// It ends; it began at `at`.
    fn leave(
        &mut self,
        scope: &mut Scope<'_>,
        schema: &'static Schema,
        at: u64,
    ) -> Result<(), Stop>;
    /// A field of it, at `at`.
    fn field(
        &mut self,
        scope: &mut Scope<'_>,
        schema: &'static Schema,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop>;
}

struct Open {
    schema: &'static Schema,
    at: u64,
    end: u64,
    /// Fields that were met, as bits by their place in the schema.
    met: u64,
}

/// Walks a whole message.
pub(crate) fn walk(
    scope: &mut Scope<'_>,
    view: &View<'_>,
    schema: &'static Schema,
    visit: &mut impl Visit,
) -> Result<(), Stop> {
    let mut input = Input { view: *view, at: 0, buffer: Vec::new(), buffer_at: 0 };
    let mut open = vec![Open { schema, at: 0, end: view.len(), met: 0 }];
    visit.enter(scope, schema, 0);
    while let Some(top) = open.last_mut() {
        scope.meter.steps(1)?;
        if input.at == top.end {
            let Open { schema, at, .. } = *top;
            open.pop();
            visit.leave(scope, schema, at)?;
            continue;
        }
        let at = input.at;
        let end = top.end;
        let (number, wire) = input.tag(end)?;
        let found = top.schema.fields.iter().enumerate().find(|(_, field)| field.number == number);
        let Some((place, field)) = found else {
            let what = format!("field {number} is not one of {}", top.schema.name);
            scope.report(&rules::FILE_BROKEN, at, what);
            input.pass(wire, end)?;
            continue;
        };
        let bit = 1_u64.checked_shl(u32::try_from(place).unwrap_or(63)).unwrap_or(0);
        if field.once && top.met & bit != 0 {
            let what = format!("field {number} of {} is there twice", top.schema.name);
            scope.report(&rules::FILE_BROKEN, at, what);
        }
        top.met |= bit;
        let schema = top.schema;
        match (field.kind, wire) {
            (Kind::Varint | Kind::Numbers, 0) => {
                let value = input.varint(end)?;
                visit.field(scope, schema, number, Value::Number(value), at)?;
            }
            (Kind::Numbers, 1) | (Kind::Fixed32 | Kind::Numbers, 5) => {
                input.pass(wire, end)?;
            }
            (Kind::Data, 2) => input.pass(wire, end)?,
            (Kind::Text, 2) => {
                if !input.text(end)? {
                    let what = format!("field {number} of {} is no text", schema.name);
                    scope.report(&rules::FILE_BROKEN, at, what);
                }
            }
            (Kind::Bytes | Kind::Numbers, 2) => {
                let len = input.length(end)?;
                let start = input.at;
                let part = view.slice(start, len)?;
                let head = input.head(len.min(HEAD_BYTES_MAX))?;
                let bytes = Bytes { head, view: part };
                visit.field(scope, schema, number, Value::Bytes(bytes), at)?;
                input.at = start.saturating_add(len);
            }
            (Kind::Message(inner), 2) => {
                let len = input.length(end)?;
                if DEPTH_MAX <= open.len() {
                    return Err(Stop::Budget("depth of messages"));
                }
                visit.enter(scope, inner, number);
                let end = input.at.saturating_add(len);
                open.push(Open { schema: inner, at, end, met: 0 });
            }
            _ => {
                let what = format!("field {number} of {} has another type", schema.name);
                scope.report(&rules::FILE_BROKEN, at, what);
                input.pass(wire, end)?;
            }
        }
    }
    Ok(())
}

/// Which fields a message has, each as the bit of its place in the schema: `None` if it is no
/// message, or has a field that the schema has not.
pub(crate) fn shape(view: &View<'_>, schema: &Schema) -> Option<u64> {
    let mut input = Input { view: *view, at: 0, buffer: Vec::new(), buffer_at: 0 };
    let mut met = 0;
    let end = view.len();
    for _ in 0..SHAPE_FIELDS_MAX {
        if input.at == end {
            return Some(met);
        }
        let (number, wire) = input.tag(end).ok()?;
        let place = schema.fields.iter().position(|field| field.number == number)?;
        let fits = match schema.fields.get(place)?.kind {
            Kind::Varint => wire == 0,
            Kind::Fixed32 => wire == 5,
            Kind::Numbers => wire == 0 || wire == 2 || wire == 1 || wire == 5,
            Kind::Bytes | Kind::Text | Kind::Data | Kind::Message(_) => wire == 2,
        };
        if !fits {
            return None;
        }
        input.pass(wire, end).ok()?;
        met |= 1_u64.checked_shl(u32::try_from(place).ok()?)?;
    }
    None
}

/// The first field of this number, where it is bytes or a message.
pub(crate) fn first<'v>(view: &View<'v>, number: u32) -> Option<View<'v>> {
    let mut input = Input { view: *view, at: 0, buffer: Vec::new(), buffer_at: 0 };
    let end = view.len();
    for _ in 0..SHAPE_FIELDS_MAX {
        let (found, wire) = input.tag(end).ok()?;
        if found == number && wire == 2 {
            let len = input.length(end).ok()?;
            return view.slice(input.at, len).ok();
        }
        input.pass(wire, end).ok()?;
    }
    None
}

/// A cursor over a view, with a small window.
struct Input<'a> {
    view: View<'a>,
    at: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl Input<'_> {
    fn cut(&self) -> Stop {
        Stop::broken(self.at, "a field is cut off or leaves its message")
    }

    /// The next `n` bytes, which are there, without taking them; `n` at most [`CHUNK_BYTES`].
    fn head(&mut self, n: u64) -> Result<&[u8], Stop> {
        let held = self.buffer_at.saturating_add(self.buffer.len() as u64);
        if self.at < self.buffer_at || held < self.at.saturating_add(n) {
            let left = self.view.len().saturating_sub(self.at);
            self.buffer.resize(usize::try_from(left.min(CHUNK_BYTES)).unwrap_or(0), 0);
            self.view.read(self.at, &mut self.buffer)?;
            self.buffer_at = self.at;
        }
        let start = usize::try_from(self.at.saturating_sub(self.buffer_at)).unwrap_or(usize::MAX);
        let len = usize::try_from(n).unwrap_or(usize::MAX);
        self.buffer.get(start..start.saturating_add(len)).ok_or(self.cut())
    }

    fn varint(&mut self, end: u64) -> Result<u64, Stop> {
        let cut = self.cut();
        let left = end.saturating_sub(self.at).min(10);
        let mut value = 0_u64;
        let mut n = 0_u64;
        for &byte in self.head(left)? {
            let shift = u32::try_from(n.saturating_mul(7)).unwrap_or(u32::MAX);
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Stop::broken(self.at, "a number is too long"));
            }
            value |= bits.checked_shl(shift).unwrap_or(0);
            n = n.saturating_add(1);
            if byte & 0x80 == 0 {
                self.at = self.at.saturating_add(n);
                return Ok(value);
            }
        }
        Err(cut)
    }

    fn tag(&mut self, end: u64) -> Result<(u32, u8), Stop> {
        let at = self.at;
        let tag = self.varint(end)?;
        let number = u32::try_from(tag >> 3).ok().filter(|&number| 0 < number && number < 1 << 29);
        let wire = u8::try_from(tag & 7).unwrap_or(7);
        number
            .map(|number| (number, wire))
            .ok_or(Stop::broken(at, "a field number is out of range"))
    }

    fn length(&mut self, end: u64) -> Result<u64, Stop> {
        let len = self.varint(end)?;
        if end.saturating_sub(self.at) < len { Err(self.cut()) } else { Ok(len) }
    }

    /// Passes over a text; whether it has no control characters.
    fn text(&mut self, end: u64) -> Result<bool, Stop> {
        let len = self.length(end)?;
        let start = self.at;
        let head = self.head(len.min(HEAD_BYTES_MAX))?;
        let is_text =
            head.iter().all(|byte| b' ' <= *byte || matches!(byte, b'\n' | b'\r' | b'\t'));
        self.at = start.saturating_add(len);
        Ok(is_text)
    }

    /// Passes over a value.
    fn pass(&mut self, wire: u8, end: u64) -> Result<(), Stop> {
        let len = match wire {
            0 => {
                self.varint(end)?;
                0
            }
            1 => 8,
            2 => self.length(end)?,
            5 => 4,
            _ => return Err(Stop::broken(self.at, "a group or an unknown wire type")),
        };
        if end.saturating_sub(self.at) < len {
            return Err(self.cut());
        }
        self.at = self.at.saturating_add(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
