//! Protocol Buffers' wire format, read without trust and without copying.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>. Groups, which ONNX does not use,
//! are refused. A length is believed only where so many bytes are there.

use super::OnnxError;

/// Longest encoding of a 64-bit number, in bytes.
const VARINT_BYTES_MAX: usize = 10;

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of one message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    /// Name of the message, for errors.
    message: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8], message: &'static str) -> Self {
        Self { rest: bytes, message }
    }

    pub(crate) fn fault(&self, reason: &'static str) -> OnnxError {
        OnnxError::Malformed { message: self.message, reason }
    }

    /// Number and value of the next field; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Payload<'a>)>, OnnxError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || u64::from(u32::MAX) < tag {
            return Err(self.fault("a field has an impossible number"));
        }
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let declared = self.varint()?;
                let length = usize::try_from(declared).ok();
                let split = length.and_then(|length| self.rest.split_at_checked(length));
                let Some((bytes, rest)) = split else {
                    return Err(self.fault("a field's length passes the end"));
                };
                self.rest = rest;
                Payload::Bytes(bytes)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(self.fault("a field has a wire type that ONNX does not use")),
        };
        Ok(Some((number, payload)))
    }

    fn varint(&mut self) -> Result<u64, OnnxError> {
        let mut value = 0_u64;
        for position in 0..VARINT_BYTES_MAX {
            let Some((byte, rest)) = self.rest.split_first() else {
                return Err(self.fault("it ends inside a number"));
            };
            self.rest = rest;
            // The tenth byte holds the last bit; what is beyond 64 bits is dropped, as protoc does.
            let shift = u32::try_from(position).unwrap_or(0).saturating_mul(7);
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.fault("a number is longer than 10 bytes"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OnnxError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.fault("it ends inside a number"));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    /// The bytes of a string or message field.
    pub(crate) fn bytes(&self, payload: Payload<'a>) -> Result<&'a [u8], OnnxError> {
        match payload {
            Payload::Bytes(bytes) => Ok(bytes),
            Payload::Varint(_) | Payload::Fixed64(_) | Payload::Fixed32(_) => {
                Err(self.fault("a field has another type than ONNX gives it"))
            }
        }
    }

    /// The text of a string field.
    pub(crate) fn text(&self, payload: Payload<'a>) -> Result<&'a str, OnnxError> {
        let bytes = self.bytes(payload)?;
        if super::NAME_BYTES_MAX < bytes.len() {
            let (found, limit) = (bytes.len() as u64, super::NAME_BYTES_MAX as u64);
            return Err(OnnxError::Limit { what: "bytes in a name", found, limit });
        }
        std::str::from_utf8(bytes).map_err(|_| self.fault("a name is not UTF-8"))
    }

    /// The value of a signed number field.
    pub(crate) fn int(&self, payload: Payload<'a>) -> Result<i64, OnnxError> {
        match payload {
            Payload::Varint(value) => Ok(value.cast_signed()),
            Payload::Bytes(_) | Payload::Fixed64(_) | Payload::Fixed32(_) => {
                Err(self.fault("a field has another type than ONNX gives it"))
            }
        }
    }

    /// Appends a repeated number field's values, packed or single.
    pub(crate) fn ints(&self, payload: Payload<'a>, into: &mut Vec<i64>) -> Result<(), OnnxError> {
        if let Payload::Bytes(bytes) = payload {
            let mut packed = Fields { rest: bytes, message: self.message };
            // A number ends at a byte without the high bit: their count is exact.
            into.reserve_exact(bytes.iter().filter(|byte| **byte & 0x80 == 0).count());
            while !packed.rest.is_empty() {
                into.push(packed.varint()?.cast_signed());
            }
            return Ok(());
        }
        into.push(self.int(payload)?);
        Ok(())
    }

    /// The value of a `float` field.
    pub(crate) fn float(&self, payload: Payload<'a>) -> Result<f32, OnnxError> {
        match payload {
            Payload::Fixed32(bits) => Ok(f32::from_bits(bits)),
            Payload::Bytes(_) | Payload::Fixed64(_) | Payload::Varint(_) => {
                Err(self.fault("a field has another type than ONNX gives it"))
            }
        }
    }

    /// Appends a repeated `float` field's values, packed or single.
    pub(crate) fn floats(
        &self,
        payload: Payload<'a>,
        into: &mut Vec<f32>,
    ) -> Result<(), OnnxError> {
        if let Payload::Bytes(bytes) = payload {
            let (chunks, []) = bytes.as_chunks::<4>() else {
                return Err(self.fault("a list of floats ends inside one"));
            };
            into.extend(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)));
            return Ok(());
        }
        into.push(self.float(payload)?);
        Ok(())
    }

    /// Appends a repeated `double` field's values, packed or single.
    pub(crate) fn doubles(
        &self,
        payload: Payload<'a>,
        into: &mut Vec<f64>,
    ) -> Result<(), OnnxError> {
        match payload {
            Payload::Bytes(bytes) => {
                let (chunks, []) = bytes.as_chunks::<8>() else {
                    return Err(self.fault("a list of doubles ends inside one"));
                };
                into.extend(chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)));
            }
            Payload::Fixed64(bits) => into.push(f64::from_bits(bits)),
            Payload::Varint(_) | Payload::Fixed32(_) => {
                return Err(self.fault("a field has another type than ONNX gives it"));
            }
        }
        Ok(())
    }
}
