//! `Softmax`, over values that lie together.

use bartizan_core::{Datatype, Values};
use bartizan_stats::activation::softmax_f32;

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};

struct Softmax {
    len: usize,
}

/// Before version 13: over all dimensions from `axis` on together.
pub(crate) fn flattening(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", 1)?;
    compile(node, axis)
}

/// From version 13: over dimension `axis` alone, which must be the last.
pub(crate) fn along_axis(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", -1)?;
    let shape = &node.input(0)?.shape;
    if shape.axis(axis).is_none_or(|axis| axis + 1 != shape.extents().len()) {
        return Err(node.fault(format!("`axis` is {axis}, `native` takes the last of {shape}")));
    }
    compile(node, axis)
}

fn compile(node: &NodeContext<'_>, axis: i64) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Fp32])?;
    let shape = node.input(0)?.shape.clone();
    let Some(len) = shape.axis(axis).and_then(|axis| shape.inner_len(axis)) else {
        return Err(node.fault(format!("`axis` {axis} of {shape} would mix rows")));
    };
    let cost = shape.row_len() as u64 * 8;
    Ok(Compiled::plain(Softmax { len }, Datatype::Fp32, shape, cost))
}

impl Kernel for Softmax {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let mut values = call.take_f32s(0)?;
        values.chunks_exact_mut(self.len.max(1)).for_each(softmax_f32);
        call.put(0, Values::Fp32(values));
        Ok(())
    }
}
