//! `Cast` between numbers, booleans and texts.
//!
//! To a narrower float: rounded to nearest. From a float to an integer: towards zero, what does
//! not fit becomes the nearest integer that does and NaN becomes 0 (ONNX leaves both undefined).
//! Between integers: the low bits. From a text: a number as Rust reads it, or the run fails. To a
//! text: integers alone, for floats are written differently by every library.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};
use crate::onnx;

struct Cast {
    to: Datatype,
}

const NUMBERS: &[Datatype] = &[
    Datatype::Bool,
    Datatype::Int8,
    Datatype::Int16,
    Datatype::Int32,
    Datatype::Int64,
    Datatype::Uint8,
    Datatype::Uint16,
    Datatype::Uint32,
    Datatype::Uint64,
    Datatype::Fp32,
    Datatype::Fp64,
];
/// Types that a text may become.
const FROM_TEXT: &[Datatype] = &[Datatype::Int64, Datatype::Int32, Datatype::Fp32, Datatype::Fp64];
/// Types that become a text.
const TO_TEXT: &[Datatype] = &[Datatype::Int64, Datatype::Int32];

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    // Both say how to cast to types that are not among ours.
    node.ignore(&["saturate", "round_mode"]);
    let number = node.int("to", 0)?;
    let Some(to) = onnx::datatype(number) else {
        return Err(node.fault(format!("`to` is {number}, no type that `native` has")));
    };
    to_type(node, to)
}

/// `CastLike`: to the type of the second input.
pub(crate) fn like(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.ignore(&["saturate", "round_mode"]);
    let to = node.input(1)?.datatype;
    to_type(node, to)
}

fn to_type(node: &NodeContext<'_>, to: Datatype) -> Result<Compiled, LoadError> {
    let from = node.input(0)?.datatype;
    let is_known = from == to
        || (NUMBERS.contains(&from) && NUMBERS.contains(&to))
        || (from == Datatype::Bytes && FROM_TEXT.contains(&to))
        || (to == Datatype::Bytes && TO_TEXT.contains(&from));
    if !is_known {
        return Err(node.fault(format!("`native` does not cast {from} to {to}")));
    }
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64;
    Ok(Compiled::plain(Cast { to }, to, shape, cost))
}

macro_rules! cast_to {
    ($values:expr, $type:ty) => {
        match $values {
            Values::Bool(v) => v.iter().map(|x| u8::from(*x) as $type).collect(),
            Values::Int8(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Int16(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Int32(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Int64(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Uint8(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Uint16(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Uint32(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Uint64(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Fp32(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Fp64(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Bytes(v) => v.iter().map(|x| read(x)).collect::<Result<_, _>>()?,
            _ => return Err(WRONG_TYPE.into()),
        }
    };
}

/// A number out of a text.
fn read<T: std::str::FromStr>(text: &[u8]) -> Result<T, Fault> {
    let text = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
    text.ok_or("a text is no number".into())
}

impl Kernel for Cast {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        if call.input(0)?.datatype() == self.to {
            let values = call.take(0)?;
            call.put(0, values);
            return Ok(());
        }
        let from = call.input(0)?;
        let values = match self.to {
            Datatype::Bool => {
                let numbers: Vec<f64> = cast_to!(from, f64);
                Values::Bool(numbers.into_iter().map(|x| x != 0.0).collect())
            }
            Datatype::Int8 => Values::Int8(cast_to!(from, i8)),
            Datatype::Int16 => Values::Int16(cast_to!(from, i16)),
            Datatype::Int32 => Values::Int32(cast_to!(from, i32)),
            Datatype::Int64 => Values::Int64(cast_to!(from, i64)),
            Datatype::Uint8 => Values::Uint8(cast_to!(from, u8)),
            Datatype::Uint16 => Values::Uint16(cast_to!(from, u16)),
            Datatype::Uint32 => Values::Uint32(cast_to!(from, u32)),
            Datatype::Uint64 => Values::Uint64(cast_to!(from, u64)),
            Datatype::Fp32 => Values::Fp32(cast_to!(from, f32)),
            Datatype::Fp64 => Values::Fp64(cast_to!(from, f64)),
            Datatype::Bytes => Values::Bytes(
                call.integers(0)?.iter().map(|x| x.to_string().into_bytes()).collect(),
            ),
            _ => return Err(WRONG_TYPE.into()),
        };
        call.put(0, values);
        Ok(())
    }
}
