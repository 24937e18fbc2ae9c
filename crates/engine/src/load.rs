//! What loading a model may cost, and why it fails.

use crate::native::{OPERATORS, OperatorInfo};
use crate::onnx::{self, OnnxError};

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
