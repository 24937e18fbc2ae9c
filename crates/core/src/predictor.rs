//! The port through which a model is run.

use std::time::Duration;

use crate::digest::Digest;
use crate::tensor::{Datatype, Tensor};

/// One dimension of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this many.
    Fixed(u64),
    /// Whatever the request brings; written -1.
    Any,
}

impl Dim {
    /// The protocol's way to write it: the number, or -1.
    pub fn as_i64(self) -> i64 {
        match self {
            Self::Fixed(n) => i64::try_from(n).unwrap_or(i64::MAX),
            Self::Any => -1,
        }
    }
}

/// Name, type and shape of one input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the model.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Its shape; the first dimension counts rows.
    pub shape: Vec<Dim>,
    /// Whether the model itself copes with a missing value (NaN) here: trees and imputers do.
    pub copes_with_missing: bool,
}

/// What a model takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Inputs in the model's order.
    pub inputs: Vec<TensorSpec>,
    /// Outputs in the model's order.
    pub outputs: Vec<TensorSpec>,
    /// Names of the classes where the model lists them, in the order of its scores.
    pub classes: Vec<String>,
}

/// How an answer came about: enough to run it again and get the same bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The adapter: `native`, `onnxruntime`, `upstream`.
    pub engine: &'static str,
    /// Version of the adapter's arithmetic; it changes when an output bit may.
    pub version: String,
    /// What else decides the bits (threads, optimisation level, library digest); empty where
    /// nothing does.
    pub settings: String,
}

/// Where an answer was made, if not in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Digest of the address and, once it was seen, of the certificate.
    pub digest: Digest,
    /// The version that it reports.
    pub version: Option<String>,
}

/// An answer, and where it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Outputs, in the signature's order.
    pub outputs: Vec<Tensor>,
    /// Where they were made; `None` for this process.
    pub origin: Option<Origin>,
}

/// Name of the tensor that [`Predictor::explain`] gives.
pub const CONTRIBUTIONS: &str = "contributions";

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The inputs are not what the signature says; the caller should have checked.
    #[error("inputs do not fit the model: {reason}")]
    Inputs {
        /// What does not fit.
        reason: String,
    },
    /// An operator met a value that it has no result for.
    #[error("operator `{operator}` of node `{node}` failed: {reason}")]
    Operator {
        /// The operator's name.
        operator: String,
        /// The node's name or position.
        node: String,
        /// What failed.
        reason: String,
    },
    /// More memory would be needed than the bound allows.
    #[error("prediction needs more than {limit_bytes} bytes")]
    Memory {
        /// The bound in bytes.
        limit_bytes: usize,
    },
    /// The model's answers cannot be explained.
    #[error("the model's answers cannot be explained: {reason}")]
    Unexplained {
        /// Why not.
        reason: String,
    },
    /// The deadline passed.
    #[error("prediction was not ready in time")]
    Deadline,
    /// The engine is gone (a child that died, an upstream that does not answer).
    #[error("the engine is not available: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
}

/// A loaded model. Cheap to share, never changes.
pub trait Predictor: Send + Sync {
    /// What it takes and gives.
    fn signature(&self) -> &Signature;

    /// How its answers come about.
    fn recipe(&self) -> &Recipe;

    /// Whether a row's output bits are the same in every batch. Only then may rows of different
    /// requests share one call.
    fn is_row_invariant(&self) -> bool;

    /// Bytes of memory that the loaded model holds.
    fn resident_bytes(&self) -> usize;

    /// Rough CPU cost of one row, in nanoseconds: decides where a call runs, never what it says.
    fn row_cost_ns(&self) -> u64;

    /// Whether a call leaves the process: it then waits more than it works, and runs on a worker.
    fn leaves_process(&self) -> bool {
        false
    }

    /// Where answers are made, as far as that is known before one is asked for.
    fn origin(&self) -> Option<Origin> {
        None
    }

    /// [`Predictor::predict`] within `left`; only a predictor that leaves the process looks at
    /// that.
    ///
    /// # Errors
    /// [`PredictError`]; nothing partial is given.
    fn predict_within(&self, inputs: &[Tensor], left: Duration) -> Result<Told, PredictError> {
        let _ = left;
        self.predict(inputs).map(|outputs| Told { outputs, origin: None })
    }

    /// What each feature gives each score of each row: a tensor [`CONTRIBUTIONS`] of FP64,
    /// `[n_rows, n_features + 1]` or `[n_rows, n_scores, n_features + 1]`, the base value last;
    /// a score is the sum, before what the objective makes of it.
    ///
    /// # Errors
    /// [`PredictError::Unexplained`] where this model's answers cannot be explained.
    fn explain(&self, inputs: &[Tensor]) -> Result<Tensor, PredictError> {
        let _ = inputs;
        let reason = "only files of LightGBM and XGBoost hold what is needed".into();
        Err(PredictError::Unexplained { reason })
    }

    /// Outputs, in the signature's order, for `inputs`, in the signature's order, of the
    /// signature's types and of one common number of rows. May be called from many threads.
    ///
    /// # Errors
    /// [`PredictError`]; nothing partial is given.
    fn predict(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, PredictError>;
}
