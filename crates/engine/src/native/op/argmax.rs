//! `ArgMax` over the last dimension.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::Shape;

struct ArgMax {
    len: usize,
    last_of_equals: bool,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Fp32])?;
    let (axis, keep) = (node.int("axis", 0)?, node.int("keepdims", 1)? != 0);
    let last_of_equals = node.int("select_last_index", 0)? != 0;
    let shape = &node.input(0)?.shape;
    if shape.axis(axis).is_none_or(|axis| axis + 1 != shape.extents().len()) {
        return Err(node.fault(format!("`axis` is {axis}, `native` takes the last of {shape}")));
    }
    let len = node.width(0)?;
    if len == 0 {
        return Err(node.fault("there is nothing to choose from"));
    }
    let mut extents = node.shape(shape.with_last(1))?.extents().to_vec();
    if !keep {
        extents.pop();
    }
    let cost = shape.row_len() as u64;
    let shape = node.shape(Shape::new(extents))?;
    Ok(Compiled::plain(ArgMax { len, last_of_equals }, Datatype::Int64, shape, cost))
}

impl Kernel for ArgMax {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let values = call.f32s(0)?;
        let mut chosen = Vec::with_capacity(values.len() / self.len);
        for scores in values.chunks_exact(self.len) {
            let mut best = 0;
            for (position, score) in scores.iter().enumerate() {
                if *score > scores[best] || (self.last_of_equals && *score == scores[best]) {
                    best = position;
                }
            }
            chosen.push(best as i64);
        }
        call.put(0, Values::Int64(chosen));
        Ok(())
    }
}
