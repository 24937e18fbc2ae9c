//! Functions of one number: `Relu`, `Sigmoid`, `Tanh`.

use bartizan_core::{Datatype, Values};
use bartizan_stats::activation::{sigmoid_f32, tanh_f32};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};

/// Monomorphic in the function, so that a loop over it can be vectorised.
struct Map<F> {
    function: F,
}

fn map<F>(node: &NodeContext<'_>, function: F, cost_ns: u64) -> Result<Compiled, LoadError>
where
    F: Fn(f32) -> f32 + Send + Sync + 'static,
{
    node.check_type(0, &[Datatype::Fp32])?;
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64 * cost_ns;
    Ok(Compiled::plain(Map { function }, Datatype::Fp32, shape, cost))
}

/// `max(x, 0)`; NaN stays NaN.
pub(crate) fn relu(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    map(node, |x| if x < 0.0 { 0.0 } else { x }, 1)
}

pub(crate) fn sigmoid(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    map(node, sigmoid_f32, 8)
}

pub(crate) fn tanh(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    map(node, tanh_f32, 8)
}

impl<F: Fn(f32) -> f32 + Send + Sync> Kernel for Map<F> {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let mut values = call.take_f32s(0)?;
        values.iter_mut().for_each(|value| *value = (self.function)(*value));
        call.put(0, Values::Fp32(values));
        Ok(())
    }
}
