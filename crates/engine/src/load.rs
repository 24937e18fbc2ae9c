//! What loading a model may cost, and why it fails.

use bartizan_core::Predictor;

use crate::native::{self, Inspection, OPERATORS, OperatorInfo, OperatorUse};
use crate::onnx::{self, OnnxError};
use crate::sniff::{FileKind, HEAD_BYTES, sniff};
use crate::trees;

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
    /// A file of LightGBM or XGBoost that contradicts itself, or wants what is not done here.
    #[error("the {library} model, {place}: {reason}")]
    Library {
        /// Which library's.
        library: &'static str,
        /// Where in it.
        place: String,
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

/// The library whose file it is, as its beginning shows; the format of its own, or ONNX.
fn library(bytes: &[u8]) -> Option<(FileKind, &'static str)> {
    let kind = sniff(bytes.get(..HEAD_BYTES).unwrap_or(bytes), "");
    let is_xgboost = matches!(kind, FileKind::XgBoostJson | FileKind::XgBoostUbj);
    let library = if is_xgboost { "xgboost" } else { "lightgbm" };
    (is_xgboost || kind == FileKind::LightGbm).then_some((kind, library))
}

/// Reads a model of any kind that runs here: by [`trees`] what LightGBM and XGBoost save, by
/// [`native`] everything else.
///
/// # Errors
/// [`LoadError`] naming what is wrong and, where it can be helped, what to do.
pub fn load(bytes: &[u8], limits: &LoadLimits) -> Result<Box<dyn Predictor>, LoadError> {
    Ok(match library(bytes) {
        Some((kind, _)) => Box::new(trees::load(bytes, kind, limits)?),
        None => Box::new(native::load(bytes, limits)?),
    })
}

/// [`native::inspect`] for a model of any kind: a file of trees is one operator.
///
/// # Errors
/// [`LoadError`] where nothing can be told.
pub fn inspect(bytes: &[u8], limits: &LoadLimits) -> Result<Inspection, LoadError> {
    let Some((_, library)) = library(bytes) else { return native::inspect(bytes, limits) };
    let model = load(bytes, limits);
    let operator = OperatorUse {
        domain: library.into(),
        name: "Booster".into(),
        version: 1,
        n_nodes: 1,
        is_run: model.is_ok(),
        row_cost_ns: model.as_ref().map_or(0, |model| model.row_cost_ns()),
    };
    Ok(Inspection { engine: trees::ENGINE, operators: vec![operator], model })
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
