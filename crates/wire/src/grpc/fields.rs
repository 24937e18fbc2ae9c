//! Protocol Buffers' wire format, read without trust and without copying.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>. Groups, which no message of ours
//! has, are refused. A length is believed only where so many bytes are there.

use bartizan_core::RefusalCode;

use crate::error::{Fault, Parsed};

/// Longest encoding of a 64-bit number, in bytes.
const VARINT_BYTES_MAX: usize = 10;

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Payload<'a> {
    /// The bytes of a text, bytes or message.
    pub(super) fn bytes(self) -> Parsed<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32(_) => {
                Err(fault("a field has another type than the protocol gives it"))
            }
        }
    }

    /// A text.
    pub(super) fn text(self) -> Parsed<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| fault("a text is not UTF-8"))
    }
}

/// The fields of one message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

#[cold]
pub(super) fn fault(what: &'static str) -> Box<Fault> {
    Fault::new(RefusalCode::Malformed, what)
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Number and value of the next field; `None` at the end.
    pub(super) fn next(&mut self) -> Parsed<Option<(u64, Payload<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || u64::from(u32::MAX) < tag {
            return Err(fault("a field of the message has an impossible number"));
        }
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(self.array()?),
            2 => {
                let declared = self.varint()?;
                let length = usize::try_from(declared).ok();
                let split = length.and_then(|length| self.0.split_at_checked(length));
                let Some((bytes, rest)) = split else {
                    return Err(fault("a field's length passes the end of its message"));
                };
                self.0 = rest;
                Payload::Bytes(bytes)
            }
            5 => Payload::Fixed32(self.array()?),
            _ => return Err(fault("a field has a wire type that the protocol does not use")),
        };
        Ok(Some((number, payload)))
    }

    /// The next number of a packed list; `None` at the end.
    pub(super) fn packed(&mut self) -> Parsed<Option<u64>> {
        if self.0.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Parsed<u64> {
        // Nearly every number is one byte long.
        if let Some((byte, rest)) = self.0.split_first()
            && *byte < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        let mut value = 0_u64;
        for position in 0..VARINT_BYTES_MAX {
            let Some((byte, rest)) = self.0.split_first() else {
                return Err(fault("the message ends inside a number"));
            };
            self.0 = rest;
            // The tenth byte holds the last bit alone.
            if position == VARINT_BYTES_MAX.saturating_sub(1) && 1 < *byte {
                break;
            }
            let shift = u32::try_from(position).unwrap_or(0).saturating_mul(7);
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(fault("a number is longer than 64 bits"))
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let Some((bytes, rest)) = self.0.split_first_chunk() else {
            return Err(fault("the message ends inside a number"));
        };
        self.0 = rest;
        Ok(*bytes)
    }
}
