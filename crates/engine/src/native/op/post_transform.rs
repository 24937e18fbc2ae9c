//! `post_transform` of `ai.onnx.ml`: what becomes of raw scores.

use bartizan_stats::activation::{sigmoid_f32, softmax_f32};

use crate::native::LoadError;
use crate::native::node::NodeContext;

/// The transforms that are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostTransform {
    None,
    Logistic,
    Softmax,
}

impl PostTransform {
    /// From the attribute `post_transform`.
    pub(crate) fn read(node: &mut NodeContext<'_>) -> Result<Self, LoadError> {
        match node.text("post_transform", "NONE")? {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            other => Err(node.fault(format!(
                "`post_transform` is `{other}`, `native` takes NONE, LOGISTIC or SOFTMAX"
            ))),
        }
    }

    /// Transforms the scores of one row in place.
    pub(crate) fn apply(self, scores: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = sigmoid_f32(*score)),
            Self::Softmax => softmax_f32(scores),
        }
    }
}
