//! From a graph to a plan: the steps that the wanted outputs need, in order, with all types and
//! shapes known.
//!
//! Invariants
//! - P1: a step reads only constants, inputs and what earlier steps wrote;
//! - P3: what a step writes has the number of elements that was foretold, or the run fails: the
//!   kernels after it may index by that;
//! - P2: memory of a run is known before it starts: see [`Plan::run_bytes`].

use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_core::{Datatype, PredictError, Tensor, Values};

use super::LoadError;
use super::kernel::{Call, Fault, Kernel, Operand, Slot};
use super::operators::OperatorInfo;
use super::shape::Shape;
use crate::onnx::Constant;

mod compile;
mod order;

pub(super) use compile::compile;

fn graph_fault(reason: impl Into<String>) -> LoadError {
    LoadError::Graph { reason: reason.into() }
}

/// One operator of a plan.
pub(super) struct Step {
    kernel: Box<dyn Kernel>,
    inputs: Box<[Option<Operand>]>,
    outputs: Box<[Option<usize>]>,
    shapes: Box<[Shape]>,
    info: &'static OperatorInfo,
    node: String,
    row_cost_ns: u64,
}

/// One input or output of the graph.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) slot: usize,
    pub(super) datatype: Datatype,
    pub(super) shape: Shape,
    pub(super) copes_with_missing: bool,
}

/// A compiled graph; see the module invariants.
pub(super) struct Plan {
    steps: Vec<Step>,
    constants: Vec<(usize, Arc<Constant>)>,
    n_slots: usize,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) classes: Vec<String>,
    pub(super) row_cost_ns: u64,
    pub(super) resident_bytes: usize,
    bytes_per_row: usize,
    bytes_per_run: usize,
}

impl Plan {
    /// Upper bound of the memory that a run on `rows` rows allocates, texts aside, in bytes.
    pub(super) fn run_bytes(&self, rows: usize) -> usize {
        self.bytes_per_row.saturating_mul(rows).saturating_add(self.bytes_per_run)
    }

    /// Domain, operator and rough cost of a row, in nanoseconds, of every step.
    pub(super) fn costs(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        self.steps.iter().map(|step| (step.info.domain, step.info.name, step.row_cost_ns))
    }

    /// The outputs, in order. `inputs` fit [`Self::inputs`], with `rows` rows.
    pub(super) fn run(&self, inputs: &[Tensor], rows: usize) -> Result<Vec<Tensor>, PredictError> {
        let mut slots: Vec<Slot<'_>> = Vec::with_capacity(self.n_slots);
        slots.resize_with(self.n_slots, || Slot::Empty);
        for (slot, constant) in &self.constants {
            slots[*slot] = Slot::Lent(&constant.values);
        }
        for (port, tensor) in self.inputs.iter().zip(inputs) {
            slots[port.slot] = Slot::Lent(tensor.values());
        }
        for step in &self.steps {
            step.run(rows, &mut slots)?;
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (position, port) in self.outputs.iter().enumerate() {
            let fault = |reason: String| {
                let (operator, node) = ("graph".into(), port.name.clone());
                PredictError::Operator { operator, node, reason }
            };
            let again = self.outputs[position + 1..].iter().any(|other| other.slot == port.slot);
            let mut values = match &mut slots[port.slot] {
                Slot::Lent(values) => (*values).clone(),
                Slot::Owned(values) if again => values.clone(),
                Slot::Owned(values) => std::mem::replace(values, Values::Bool(Vec::new())),
                Slot::Empty => return Err(fault("an output was not computed".into())),
            };
            canonical_nan(&mut values);
            let tensor = Tensor::new(port.name.as_str(), port.shape.at(rows), values);
            outputs.push(tensor.map_err(|error| fault(error.to_string()))?);
        }
        Ok(outputs)
    }
}

impl Plan {
    /// Marks the operands after which nobody needs a computed value.
    fn mark_last_uses(&mut self) {
        let mut needed: BTreeSet<usize> = self.outputs.iter().map(|port| port.slot).collect();
        for step in self.steps.iter_mut().rev() {
            for at in (0..step.inputs.len()).rev() {
                if let Some(operand) = &mut step.inputs[at] {
                    operand.last_use = needed.insert(operand.slot);
                }
            }
        }
    }
}

/// Every NaN as the one quiet NaN: processors differ in its sign and payload.
fn canonical_nan(values: &mut Values) {
    if let Values::Fp32(values) = values {
        values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = f32::NAN);
    } else if let Values::Fp64(values) = values {
        values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = f64::NAN);
    }
}

impl Step {
    fn run(&self, rows: usize, slots: &mut [Slot<'_>]) -> Result<(), PredictError> {
        let mut call = Call { rows, inputs: &self.inputs, outputs: &self.outputs, slots };
        let result = self.kernel.run(&mut call).and_then(|()| self.check(rows, slots));
        result.map_err(|fault| PredictError::Operator {
            operator: self.info.name.into(),
            node: self.node.clone(),
            reason: fault.0.into_owned(),
        })
    }

    /// P3.
    fn check(&self, rows: usize, slots: &[Slot<'_>]) -> Result<(), Fault> {
        for (slot, shape) in self.outputs.iter().zip(&self.shapes) {
            if let Some(Slot::Owned(values)) = slot.map(|slot| &slots[slot])
                && values.len() != shape.len_at(rows)
            {
                let (n, told) = (values.len(), shape.len_at(rows));
                return Err(Fault(format!("it gave {n} elements, {told} were foretold").into()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Function;
    use super::super::operators::OPERATORS;
    use super::super::shape::Extent;
    use super::*;

    /// P3 from both sides.
    #[test]
    fn a_kernel_that_gives_another_number_of_elements_fails_the_run() {
        let gives = |n: usize| {
            let run = move |call: &mut Call<'_, '_>| {
                call.put(0, Values::Int64(vec![0; n]));
                Ok(())
            };
            let step = Step {
                kernel: Box::new(Function(run)),
                inputs: Box::default(),
                outputs: Box::new([Some(0)]),
                shapes: Box::new([Shape::new(vec![Extent::Rows(1), Extent::Fixed(2)]).unwrap()]),
                info: &OPERATORS[0],
                node: "liar".into(),
                row_cost_ns: 0,
            };
            step.run(3, &mut [Slot::Empty]).map_err(|error| error.to_string())
        };
        assert_eq!(gives(6), Ok(()));
        for n in [0, 5, 7] {
            let error = gives(n).unwrap_err();
            assert!(error.contains("`liar`") && error.contains("6 were foretold"), "{error}");
        }
    }
}
