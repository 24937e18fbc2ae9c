//! `Cast` between numbers and booleans.
//!
//! To a narrower float: rounded to nearest. From a float to an integer: towards zero, what does
//! not fit becomes the nearest integer that does and NaN becomes 0 (ONNX leaves both undefined).
//! Between integers: the low bits.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};
use crate::onnx;

struct Cast {
    to: Datatype,
}

const TYPES: &[Datatype] =
    &[Datatype::Bool, Datatype::Int32, Datatype::Int64, Datatype::Fp32, Datatype::Fp64];

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    // Both say how to cast to types that are not among ours.
    node.ignore(&["saturate", "round_mode"]);
    let number = node.int("to", 0)?;
    let from = node.input(0)?.datatype;
    let Some(to) = onnx::datatype(number) else {
        return Err(node.fault(format!("`to` is {number}, no type that `native` has")));
    };
    // A cast to the same type does nothing, whatever the type.
    if from != to && !(TYPES.contains(&from) && TYPES.contains(&to)) {
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
            Values::Int32(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Int64(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Fp32(v) => v.iter().map(|x| *x as $type).collect(),
            Values::Fp64(v) => v.iter().map(|x| *x as $type).collect(),
            _ => return Err("a value has another type than at load".into()),
        }
    };
}

#[expect(clippy::wildcard_enum_match_arm, reason = "checked at load; any other type is a fault")]
impl Kernel for Cast {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        if call.input(0)?.datatype() == self.to {
            let values = call.take(0)?;
            call.put(0, values);
            return Ok(());
        }
        let from = call.input(0)?;
        let values = match self.to {
            Datatype::Bool => Values::Bool(match from {
                Values::Int32(v) => v.iter().map(|x| *x != 0).collect(),
                Values::Int64(v) => v.iter().map(|x| *x != 0).collect(),
                Values::Fp32(v) => v.iter().map(|x| *x != 0.0).collect(),
                Values::Fp64(v) => v.iter().map(|x| *x != 0.0).collect(),
                _ => return Err("a value has another type than at load".into()),
            }),
            Datatype::Int32 => Values::Int32(cast_to!(from, i32)),
            Datatype::Int64 => Values::Int64(cast_to!(from, i64)),
            Datatype::Fp32 => Values::Fp32(cast_to!(from, f32)),
            Datatype::Fp64 => Values::Fp64(cast_to!(from, f64)),
            _ => return Err("a value has another type than at load".into()),
        };
        call.put(0, values);
        Ok(())
    }
}
