//! Thrift's compact protocol, as far as Parquet needs it: a strict walk over bytes.
//!
//! The walk comes before the decoder's own and must see what that sees, so whatever two readers
//! could understand differently is refused: fields out of order or twice, a known field of another
//! type, booleans in lists. No writer makes such things.
//!
//! Source: the Apache Thrift compact protocol specification
//! (`doc/specs/thrift-compact-protocol.md`).
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

/// Deepest nesting of structures, lists and maps.
const DEPTH_MAX: u8 = 16;

/// Why a walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThriftError {
    /// The bytes end too soon.
    End,
    /// They are not what they should be.
    Bad(&'static str),
}

/// A type of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Byte,
    I16,
    I32,
    I64,
    Double,
    Binary,
    List,
    Map,
    Struct,
    Uuid,
}

impl Kind {
    fn of(code: u8) -> Result<Self, ThriftError> {
        match code {
            1 | 2 => Ok(Self::Bool),
            3 => Ok(Self::Byte),
            4 => Ok(Self::I16),
            5 => Ok(Self::I32),
            6 => Ok(Self::I64),
            7 => Ok(Self::Double),
            8 => Ok(Self::Binary),
            9 | 10 => Ok(Self::List),
            11 => Ok(Self::Map),
            12 => Ok(Self::Struct),
            13 => Ok(Self::Uuid),
            _ => Err(ThriftError::Bad("a field has a type that does not exist")),
        }
    }
}

/// What a value must look like.
#[derive(Debug)]
pub(super) enum Shape {
    /// A value without parts.
    Plain(Kind),
    /// A list of such values.
    List(&'static Shape),
    /// A structure: its known fields in order. Others may be there and are passed over.
    Struct(&'static [(i16, Shape)]),
}

impl Shape {
    fn kind(&self) -> Kind {
        match self {
            Self::Plain(kind) => *kind,
            Self::List(_) => Kind::List,
            Self::Struct(_) => Kind::Struct,
        }
    }
}

/// A field's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its id.
    pub(super) id: i16,
    /// Its type.
    pub(super) kind: Kind,
    /// Its value where it is a boolean: these stand in the head.
    pub(super) is_true: bool,
}

/// What is left of the bytes.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn byte(&mut self) -> Result<u8, ThriftError> {
        let (first, rest) = self.rest.split_first().ok_or(ThriftError::End)?;
        self.rest = rest;
        Ok(*first)
    }

    fn pass(&mut self, len: u64) -> Result<(), ThriftError> {
        let len = usize::try_from(len).map_err(|_| ThriftError::End)?;
        self.rest = self.rest.get(len..).ok_or(ThriftError::End)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, ThriftError> {
        let mut value = 0_u64;
        for shift in (0_u32..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits.wrapping_shl(shift);
            if shift == 63 && 1 < byte {
                return Err(ThriftError::Bad("a number has more than 64 bits"));
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ThriftError::Bad("a number has more than 64 bits"))
    }

    /// A signed number that fits into 32 bits.
    pub(super) fn int32(&mut self) -> Result<i32, ThriftError> {
        i32::try_from(self.int64()?).map_err(|_| ThriftError::Bad("a number has over 32 bits"))
    }

    /// A signed number.
    pub(super) fn int64(&mut self) -> Result<i64, ThriftError> {
        let zigzag = self.varint()?;
        let magnitude = (zigzag >> 1).cast_signed();
        Ok(if zigzag & 1 == 0 { magnitude } else { !magnitude })
    }

    /// The head of the next field after field `last`; `None` at the structure's end.
    pub(super) fn field(&mut self, last: i16) -> Result<Option<Field>, ThriftError> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let kind = Kind::of(head & 0x0f)?;
        let id = match head >> 4 {
            0 => i16::try_from(self.int64()?).ok(),
            delta => last.checked_add(i16::from(delta)),
        };
        match id {
            Some(id) if last < id => Ok(Some(Field { id, kind, is_true: head & 0x0f == 1 })),
            Some(_) => Err(ThriftError::Bad("fields are out of order")),
            None => Err(ThriftError::Bad("a field's number has over 16 bits")),
        }
    }

    /// The head of a list: type of its elements, and their number, which is at most the number of
    /// bytes left, as each takes one at least.
    pub(super) fn list(&mut self) -> Result<(Kind, usize), ThriftError> {
        let head = self.byte()?;
        if head == 0 {
            // Some writers give an empty list no type.
            return Ok((Kind::Byte, 0));
        }
        let kind = Kind::of(head & 0x0f)?;
        let n = match head >> 4 {
            15 => self.varint()?,
            n => u64::from(n),
        };
        match usize::try_from(n) {
            Ok(n) if n <= self.left() => Ok((kind, n)),
            _ => Err(ThriftError::Bad("a list claims more elements than there are bytes")),
        }
    }

    /// Passes over a field's value, which must have `shape`.
    pub(super) fn expect(&mut self, field: Field, shape: &Shape) -> Result<(), ThriftError> {
        if field.kind != shape.kind() {
            return Err(ThriftError::Bad("a field has another type than the format says"));
        }
        match shape {
            // A boolean field has no bytes beyond its head.
            Shape::Plain(Kind::Bool) => Ok(()),
            Shape::Plain(_) | Shape::List(_) | Shape::Struct(_) => self.value(shape),
        }
    }

    /// Passes over a value of `shape` that is no boolean field.
    pub(super) fn value(&mut self, shape: &Shape) -> Result<(), ThriftError> {
        match shape {
            Shape::Plain(kind) => self.skip(*kind, DEPTH_MAX),
            Shape::List(item) => {
                let (kind, n) = self.list()?;
                if n != 0 && kind != item.kind() {
                    return Err(ThriftError::Bad("a list has another type than the format says"));
                }
                (0..n).try_for_each(|_| self.value(item))
            }
            Shape::Struct(fields) => {
                let mut last = 0;
                while let Some(field) = self.field(last)? {
                    match fields.iter().find(|(id, _)| *id == field.id) {
                        Some((_, shape)) => self.expect(field, shape)?,
                        None => self.skip_field(field)?,
                    }
                    last = field.id;
                }
                Ok(())
            }
        }
    }

    /// Passes over a field that nobody knows.
    pub(super) fn skip_field(&mut self, field: Field) -> Result<(), ThriftError> {
        if field.kind == Kind::Bool { Ok(()) } else { self.skip(field.kind, DEPTH_MAX) }
    }

    fn skip(&mut self, kind: Kind, depth: u8) -> Result<(), ThriftError> {
        let depth = depth.checked_sub(1).ok_or(ThriftError::Bad("it is nested too deeply"))?;
        match kind {
            Kind::Bool => Err(ThriftError::Bad("booleans stand in a list")),
            Kind::Byte => self.pass(1),
            Kind::I16 | Kind::I32 | Kind::I64 => self.varint().map(|_| ()),
            Kind::Double => self.pass(8),
            Kind::Uuid => self.pass(16),
            Kind::Binary => {
                let len = self.varint()?;
                self.pass(len)
            }
            Kind::List => {
                let (kind, n) = self.list()?;
                (0..n).try_for_each(|_| self.skip(kind, depth))
            }
            Kind::Map => Err(ThriftError::Bad("there is a map, which the format does not have")),
            Kind::Struct => {
                let mut last = 0;
                while let Some(field) = self.field(last)? {
                    if field.kind != Kind::Bool {
                        self.skip(field.kind, depth)?;
                    }
                    last = field.id;
                }
                Ok(())
            }
        }
    }
}
