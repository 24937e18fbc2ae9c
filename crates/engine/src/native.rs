//! The exact engine: ONNX models of classical machine learning and small networks, run here.
//!
//! A file is compiled once into a plan. Running it computes every row by the same arithmetic in
//! the same order, in safe Rust without the platform's mathematics library: the bits of an answer
//! depend on the model and the row alone.
//!
//! Invariants
//! - E1: any bytes give a [`NativeModel`] or a [`LoadError`], never a panic;
//! - E2: a row's output bits do not depend on other rows, their number, threads, time or CPU;
//! - E3: any inputs give outputs or a [`PredictError`], never a panic.

use bartizan_core::predictor::Dim;
use bartizan_core::{PredictError, Predictor, Recipe, Signature, Tensor, TensorSpec};

use crate::load::{LoadError, LoadLimits};
use crate::onnx;

mod inspect;
mod kernel;
mod node;
mod op;
mod operators;
mod plan;
mod shape;
mod tree;

pub use inspect::{Inspection, OperatorUse, inspect};
pub use operators::{ML, Missing, OPERATORS, OPSET_MAX, OPSET_ML_MAX, OperatorInfo};
use plan::{Plan, Port};
use shape::Extent;

/// Version of the arithmetic: it changes when a bit of any output may.
pub const VERSION: u32 = 1;

/// A loaded model.
pub struct NativeModel {
    plan: Plan,
    signature: Signature,
    recipe: Recipe,
    run_bytes_max: usize,
    resident_bytes: usize,
}

impl std::fmt::Debug for NativeModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (signature, recipe) = (&self.signature, &self.recipe);
        f.debug_struct("NativeModel")
            .field("signature", signature)
            .field("recipe", recipe)
            .field("resident_bytes", &self.resident_bytes)
            .finish_non_exhaustive()
    }
}

/// Reads and compiles an ONNX file. Nothing of it is kept but what the plan needs.
///
/// # Errors
/// [`LoadError`] naming what is wrong and, where it can be helped, what to do.
pub fn load(bytes: &[u8], limits: &LoadLimits) -> Result<NativeModel, LoadError> {
    let model = onnx::read(bytes, limits.file_bytes_max)?;
    let plan = plan::compile(&model, bytes.len(), limits)?;
    let signature = Signature {
        inputs: plan.inputs.iter().map(spec).collect(),
        outputs: plan.outputs.iter().map(spec).collect(),
        classes: plan.classes.clone(),
    };
    let recipe = Recipe { engine: "native", version: VERSION.to_string(), settings: String::new() };
    let resident_bytes = plan.resident_bytes + size_of::<NativeModel>();
    let run_bytes_max = limits.run_bytes_max;
    Ok(NativeModel { plan, signature, recipe, run_bytes_max, resident_bytes })
}

fn spec(port: &Port) -> TensorSpec {
    let dim = |extent: &Extent| match extent {
        Extent::Fixed(n) => Dim::Fixed(*n),
        Extent::Rows(_) | Extent::Stacked(_) => Dim::Any,
    };
    TensorSpec {
        name: port.name.clone(),
        datatype: port.datatype,
        shape: port.shape.extents().iter().map(dim).collect(),
        copes_with_missing: port.copes_with_missing,
    }
}

impl NativeModel {
    /// The common number of rows, where the inputs fit the signature.
    fn check(&self, inputs: &[Tensor]) -> Result<usize, PredictError> {
        let refuse = |reason: String| Err(PredictError::Inputs { reason });
        let ports = &self.plan.inputs;
        if inputs.len() != ports.len() {
            let (found, wanted) = (inputs.len(), ports.len());
            return refuse(format!("there are {found} tensors, the model takes {wanted}"));
        }
        let rows = inputs.first().map_or(0, Tensor::n_rows);
        for (tensor, port) in inputs.iter().zip(ports) {
            let (name, shape) = (&port.name, &port.shape);
            if tensor.name() != name.as_str() {
                return refuse(format!("`{}` stands where `{name}` should", tensor.name()));
            }
            if tensor.datatype() != port.datatype {
                let (found, wanted) = (tensor.datatype(), port.datatype);
                return refuse(format!("`{name}` is {found}, the model takes {wanted}"));
            }
            let fits = |(dim, extent): (&u64, &Extent)| match extent {
                Extent::Fixed(n) => dim == n,
                Extent::Rows(_) | Extent::Stacked(_) => *dim == rows as u64,
            };
            let dims = tensor.shape();
            let n_dims = shape.extents().len();
            if dims.len() != n_dims || !dims.iter().zip(shape.extents()).all(fits) {
                let reason = format!("`{name}` has shape {dims:?}, the model takes {shape}");
                return refuse(reason);
            }
        }
        Ok(rows)
    }
}

impl Predictor for NativeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn is_row_invariant(&self) -> bool {
        // A batch of fixed size is one thing: what it computes may mix its rows.
        let is_single = |port: &Port| {
            matches!(port.shape.extents().first(), Some(Extent::Rows(_) | Extent::Fixed(1)))
        };
        self.plan.inputs.iter().all(is_single)
    }

    fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    fn row_cost_ns(&self) -> u64 {
        self.plan.row_cost_ns.max(1)
    }

    fn predict(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, PredictError> {
        let rows = self.check(inputs)?;
        if self.run_bytes_max < self.plan.run_bytes(rows) {
            return Err(PredictError::Memory { limit_bytes: self.run_bytes_max });
        }
        self.plan.run(inputs, rows)
    }
}

#[cfg(test)]
mod tests;
