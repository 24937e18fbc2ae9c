//! Values in an input's typed `contents`.

use bartizan_core::{Datatype, RefusalCode, Values};

use super::fields::{Fields, Payload, fault};
use crate::error::{Fault, Parsed};

/// The field of `InferTensorContents` for values of a type; none for those that come raw only.
fn field(datatype: Datatype) -> Option<(u64, &'static str)> {
    Some(match datatype {
        Datatype::Bool => (1, "bool_contents"),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => (2, "int_contents"),
        Datatype::Int64 => (3, "int64_contents"),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => (4, "uint_contents"),
        Datatype::Uint64 => (5, "uint64_contents"),
        Datatype::Fp32 => (6, "fp32_contents"),
        Datatype::Fp64 => (7, "fp64_contents"),
        Datatype::Bytes => (8, "bytes_contents"),
        Datatype::Fp16 | Datatype::Bf16 => return None,
    })
}

/// Whether a `contents` holds any value at all.
pub(super) fn is_empty(contents: &[u8]) -> Parsed<bool> {
    let mut fields = Fields::new(contents);
    while let Some((_, payload)) = fields.next()? {
        if !matches!(payload, Payload::Bytes([])) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the `n_values` values of `contents`. Takes memory for what is there.
pub(crate) fn read(datatype: Datatype, n_values: usize, contents: &[u8]) -> Parsed<Values> {
    let Some((number, name)) = field(datatype) else {
        let what = format!("{datatype} has no typed contents; send it in `raw_input_contents`");
        return Err(Fault::new(RefusalCode::Malformed, what));
    };
    let list = List { number, name, datatype, n_values, contents };
    Ok(match datatype {
        Datatype::Bool => Values::Bool(list.numbers(|x| Some(x != 0))?),
        Datatype::Int8 => Values::Int8(list.numbers(|x| i8::try_from(signed(x)).ok())?),
        Datatype::Int16 => Values::Int16(list.numbers(|x| i16::try_from(signed(x)).ok())?),
        Datatype::Int32 => Values::Int32(list.numbers(|x| i32::try_from(signed(x)).ok())?),
        Datatype::Int64 => Values::Int64(list.numbers(|x| Some(signed(x)))?),
        Datatype::Uint8 => Values::Uint8(list.numbers(|x| u8::try_from(x).ok())?),
        Datatype::Uint16 => Values::Uint16(list.numbers(|x| u16::try_from(x).ok())?),
        Datatype::Uint32 => Values::Uint32(list.numbers(|x| u32::try_from(x).ok())?),
        Datatype::Uint64 => Values::Uint64(list.numbers(Some)?),
        Datatype::Fp32 => {
            Values::Fp32(list.floats(f32::from_le_bytes, |payload| match payload {
                Payload::Fixed32(bytes) => Some(f32::from_le_bytes(bytes)),
                Payload::Varint(_) | Payload::Fixed64(_) | Payload::Bytes(_) => None,
            })?)
        }
        Datatype::Fp64 => {
            Values::Fp64(list.floats(f64::from_le_bytes, |payload| match payload {
                Payload::Fixed64(bytes) => Some(f64::from_le_bytes(bytes)),
                Payload::Varint(_) | Payload::Fixed32(_) | Payload::Bytes(_) => None,
            })?)
        }
        Datatype::Bytes => Values::Bytes(list.texts()?),
        Datatype::Fp16 | Datatype::Bf16 => return Err(fault("it comes raw only")),
    })
}

fn signed(number: u64) -> i64 {
    i64::from_le_bytes(number.to_le_bytes())
}

/// The one list of values that a tensor's type asks for.
struct List<'a> {
    number: u64,
    name: &'static str,
    datatype: Datatype,
    n_values: usize,
    contents: &'a [u8],
}

impl<'a> List<'a> {
    /// Calls `each` with every payload of the list.
    fn payloads(&self, mut each: impl FnMut(Payload<'a>) -> Parsed<()>) -> Parsed<()> {
        let mut fields = Fields::new(self.contents);
        while let Some((number, payload)) = fields.next()? {
            if number == self.number {
                each(payload)?;
            } else if !matches!(payload, Payload::Bytes([])) {
                let what = format!("values of {} belong into `{}` alone", self.datatype, self.name);
                return Err(Fault::new(RefusalCode::Malformed, what));
            }
        }
        Ok(())
    }

    fn push<T>(&self, out: &mut Vec<T>, value: T) -> Parsed<()> {
        if out.len() == self.n_values {
            return Err(self.wrong_count("more"));
        }
        out.push(value);
        Ok(())
    }

    fn whole<T>(&self, out: Vec<T>) -> Parsed<Vec<T>> {
        if out.len() < self.n_values { Err(self.wrong_count("fewer")) } else { Ok(out) }
    }

    #[cold]
    fn wrong_count(&self, than: &str) -> Box<Fault> {
        let what =
            format!("`{}` has {than} values than `shape` asks for: {}", self.name, self.n_values);
        Fault::new(RefusalCode::Malformed, what)
    }

    fn numbers<T>(&self, convert: impl Fn(u64) -> Option<T>) -> Parsed<Vec<T>> {
        let mut out = Vec::with_capacity(self.n_values.min(self.contents.len()));
        let convert = |number| {
            convert(number).ok_or_else(|| {
                let what = format!("a number is outside the range of {}", self.datatype);
                Fault::new(RefusalCode::Malformed, what)
            })
        };
        self.payloads(|payload| match payload {
            Payload::Varint(number) => self.push(&mut out, convert(number)?),
            Payload::Bytes(bytes) => {
                let mut packed = Fields::new(bytes);
                while let Some(number) = packed.packed()? {
                    self.push(&mut out, convert(number)?)?;
                }
                Ok(())
            }
            Payload::Fixed32(_) | Payload::Fixed64(_) => Err(self.other_type()),
        })?;
        self.whole(out)
    }

    fn floats<T, const N: usize>(
        &self,
        convert: impl Fn([u8; N]) -> T,
        single: impl Fn(Payload<'a>) -> Option<T>,
    ) -> Parsed<Vec<T>> {
        let mut out = Vec::with_capacity(self.n_values.min(self.contents.len()));
        self.payloads(|payload| {
            let Payload::Bytes(bytes) = payload else {
                let value = single(payload).ok_or_else(|| self.other_type())?;
                return self.push(&mut out, value);
            };
            let (items, rest) = bytes.as_chunks();
            if !rest.is_empty() {
                return Err(fault("a packed list ends inside a number"));
            }
            if self.n_values.saturating_sub(out.len()) < items.len() {
                return Err(self.wrong_count("more"));
            }
            out.extend(items.iter().map(|item| convert(*item)));
            Ok(())
        })?;
        self.whole(out)
    }

    fn texts(&self) -> Parsed<Vec<Vec<u8>>> {
        // An element takes two bytes or more.
        let room = self.n_values.min(self.contents.len().div_euclid(2));
        let mut out = Vec::with_capacity(room);
        self.payloads(|payload| self.push(&mut out, payload.bytes()?.to_vec()))?;
        self.whole(out)
    }

    #[cold]
    fn other_type(&self) -> Box<Fault> {
        let what = format!("`{}` has another type than the protocol gives it", self.name);
        Fault::new(RefusalCode::Malformed, what)
    }
}
