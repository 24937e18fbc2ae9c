//! `ai.onnx.ml.Scaler`: `(x - offset) * scale`, column by column.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};

struct Scaler {
    /// Offset and scale of each column, or one pair for all.
    columns: Vec<(f32, f32)>,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Fp32, Datatype::Int64, Datatype::Int32])?;
    let width = node.width(0)?;
    let (offset, scale) = (node.floats("offset")?, node.floats("scale")?);
    for (name, given) in [("offset", offset), ("scale", scale)] {
        if 1 < given.len() && given.len() != width {
            let n = given.len();
            let reason = format!("`{name}` has {n} values, the input has {width} columns");
            return Err(node.fault(reason));
        }
    }
    let at = |given: &[f32], column: usize, default: f32| match given {
        [] => default,
        [one] => *one,
        many => many[column],
    };
    let n_columns = offset.len().max(scale.len()).max(1);
    let columns: Vec<_> =
        (0..n_columns).map(|column| (at(offset, column, 0.0), at(scale, column, 1.0))).collect();
    let cost = width as u64;
    let bytes = size_of_val(columns.as_slice());
    let compiled =
        Compiled::plain(Scaler { columns }, Datatype::Fp32, node.input(0)?.shape.clone(), cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

impl Kernel for Scaler {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let values = call.rounded(0)?;
        let mut scaled = Vec::with_capacity(values.len());
        for row in values.chunks_exact(self.columns.len()) {
            let columns = row.iter().zip(&self.columns);
            scaled.extend(columns.map(|(x, (offset, scale))| (x - offset) * scale));
        }
        call.put(0, Values::Fp32(scaled));
        Ok(())
    }
}
