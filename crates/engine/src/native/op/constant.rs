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
        None => written(node)?,
    };
    let shape = node.shape(Shape::fixed(&constant.dims))?;
    let datatype = constant.values.datatype();
    Ok(Compiled::plain(Written { values: constant.values }, datatype, shape, 0))
}

/// The value of whichever other attribute is there.
fn written(node: &mut NodeContext<'_>) -> Result<Constant, LoadError> {
    let list = |values: Values| Constant { dims: vec![values.len() as u64], values };
    let one = |values: Values| Constant { dims: Vec::new(), values };
    let texts = node.texts("value_strings")?;
    Ok(if node.has("value_float") {
        one(Values::Fp32(vec![node.float("value_float", 0.0)?]))
    } else if node.has("value_int") {
        one(Values::Int64(vec![node.int("value_int", 0)?]))
    } else if node.has("value_string") {
        one(Values::Bytes(vec![node.text("value_string", "")?.into()]))
    } else if node.has("value_floats") {
        list(Values::Fp32(node.floats("value_floats")?.to_vec()))
    } else if node.has("value_ints") {
        list(Values::Int64(node.ints("value_ints")?.to_vec()))
    } else if node.has("value_strings") {
        list(Values::Bytes(texts.iter().map(|text| text.to_vec()).collect()))
    } else {
        return Err(node.fault("`native` takes `value` or a `value_..` of numbers or texts"));
    })
}

impl Kernel for Written {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        call.put(0, self.values.clone());
        Ok(())
    }
}
