//! `ai.onnx.ml.Normalizer`: a row divided by its norm.
//!
//! Norms are sums in `f32` from the first column to the last; a row whose norm is 0 stays as it
//! is. `MAX` is the largest value, not the largest magnitude, as onnxruntime has it.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel, is_rounded};
use crate::native::node::{Compiled, NodeContext};

struct Normalizer {
    width: usize,
    norm: fn(&[f32]) -> f32,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let norm: fn(&[f32]) -> f32 = match node.text("norm", "MAX")? {
        "MAX" => |row| row.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a }),
        "L1" => |row| row.iter().fold(0.0, |sum, x| sum + x.abs()),
        "L2" => |row| row.iter().fold(0.0_f32, |sum, x| sum + x * x).sqrt(),
        other => return Err(node.fault(format!("`norm` is `{other}`, not MAX, L1 or L2"))),
    };
    let input = node.input(0)?;
    if !is_rounded(input.datatype) {
        return Err(node.fault(format!("input 0 is {}, not a number", input.datatype)));
    }
    let width = node.width(0)?;
    let (shape, cost) = (input.shape.clone(), 2 * input.shape.row_len() as u64);
    Ok(Compiled::plain(Normalizer { width, norm }, Datatype::Fp32, shape, cost))
}

impl Kernel for Normalizer {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let mut values = call.rounded(0)?.into_owned();
        for row in values.chunks_exact_mut(self.width.max(1)) {
            let norm = (self.norm)(row);
            if norm != 0.0 {
                row.iter_mut().for_each(|value| *value /= norm);
            }
        }
        call.put(0, Values::Fp32(values));
        Ok(())
    }
}
