//! `Constant`: a value written in the graph.

use bartizan_core::Values;

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::Shape;
use crate::onnx::Constant;

struct Written {
    values: Values,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let constant = match node.tensor("value")? {
        Some(constant) => constant,
        None => {
            let (floats, ints) = (node.floats("value_floats")?, node.ints("value_ints")?);
            let values = match (floats.is_empty(), ints.is_empty()) {
                (false, true) => Values::Fp32(floats.to_vec()),
                (true, false) => Values::Int64(ints.to_vec()),
                (true, true) | (false, false) => {
                    return Err(node.fault("`native` takes `value`, `value_floats`, `value_ints`"));
                }
            };
            Constant { dims: vec![values.len() as u64], values }
        }
    };
    let shape = node.shape(Shape::fixed(&constant.dims))?;
    let datatype = constant.values.datatype();
    Ok(Compiled::plain(Written { values: constant.values }, datatype, shape, 0))
}

impl Kernel for Written {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        call.put(0, self.values.clone());
        Ok(())
    }
}
