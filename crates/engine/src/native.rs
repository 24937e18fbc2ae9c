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

use crate::onnx::{self, OnnxError};

mod kernel;
mod node;
mod op;
mod operators;
mod plan;
mod shape;
mod tree;

pub use operators::{ML, Missing, OPERATORS, OPSET_MAX, OPSET_ML_MAX, OperatorInfo};
use plan::{Plan, Port};
use shape::Extent;

/// Version of the arithmetic: it changes when a bit of any output may.
pub const VERSION: u32 = 1;

/// What a model may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLimits {
    /// Largest file, in bytes.
    pub file_bytes_max: usize,
    /// Most memory that the loaded model may hold, in bytes.
    pub resident_bytes_max: usize,
    /// Most memory that one prediction may allocate, in bytes.
    pub run_bytes_max: usize,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            file_bytes_max: onnx::FILE_BYTES_MAX,
            resident_bytes_max: 2 * onnx::FILE_BYTES_MAX,
            run_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// Why a file could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It is no ONNX file within the bounds.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// An operator set of a version that is not known.
    #[error(
        "the model uses version {version} of the operators `{domain}`, `native` knows {oldest} \
         to {newest}; export it with `target_opset={newest}` or older"
    )]
    Opset {
        /// The operator set.
        domain: String,
        /// The version that the model imports.
        version: i64,
        /// Oldest version that is known.
        oldest: i64,
        /// Newest version that is known.
        newest: i64,
    },
    /// An operator that is not among [`OPERATORS`].
    #[error("operator `{operator}` ({domain} {opset}, node `{node}`) is {}", advice(versions))]
    Operator {
        /// Its name.
        operator: String,
        /// Its operator set.
        domain: String,
        /// Version of the operator set that the model imports.
        opset: i64,
        /// The node's name, or its position.
        node: String,
        /// The versions in which it is known; empty where it is not at all.
        versions: String,
    },
    /// A node that contradicts itself or its inputs, or wants what its operator does not do here.
    #[error("operator `{operator}` of node `{node}`: {reason}")]
    Node {
        /// The operator's name.
        operator: String,
        /// The node's name, or its position.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// The graph does not hang together.
    #[error("the model's graph: {reason}")]
    Graph {
        /// What is wrong.
        reason: String,
    },
    /// The loaded model would hold too much memory.
    #[error("the model would hold {bytes} bytes of memory, the limit is {limit}")]
    TooLarge {
        /// What it would hold.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
}

fn advice(versions: &str) -> String {
    if !versions.is_empty() {
        return format!("known to `native` in versions {versions}; export with one of these");
    }
    let name = |info: &OperatorInfo| info.name;
    let mut names: Vec<_> = OPERATORS.iter().map(name).collect();
    names.dedup();
    format!("not among the operators of `native`: {}", names.join(", "))
}

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
        Extent::Rows(_) => Dim::Any,
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
                Extent::Rows(_) => *dim == rows as u64,
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
        let values: Vec<_> = inputs.iter().map(Tensor::values).collect();
        let outputs = self.plan.run(&values, rows)?;
        let tensor = |(port, values): (&Port, _)| {
            let name = port.name.as_str();
            Tensor::new(name, port.shape.at(rows), values).map_err(|error| {
                let (operator, node) = ("graph".into(), name.into());
                PredictError::Operator { operator, node, reason: error.to_string() }
            })
        };
        self.plan.outputs.iter().zip(outputs).map(tensor).collect()
    }
}
