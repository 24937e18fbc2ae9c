//! `ai.onnx.ml.LinearClassifier` and `LinearRegressor`.
//!
//! A score is [`dot_f32`] of row and coefficients, in its documented order, plus the intercept.

use bartizan_core::{Datatype, Values};
use bartizan_stats::activation::sigmoid_f32;
use bartizan_stats::sum::dot_f32;

use super::labels::{Labels, largest};
use super::post_transform::PostTransform;
use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel, is_rounded};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::{Extent, Shape};

/// Scores of a row: one for each row of `coefficients`.
struct Scores {
    width: usize,
    /// `[n_scores, width]`, row-major.
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
}

impl Scores {
    /// `n_scores` is known from elsewhere, or follows from the coefficients.
    fn read(node: &mut NodeContext<'_>, n_scores: Option<usize>) -> Result<Self, LoadError> {
        let input = node.input(0)?;
        if !is_rounded(input.datatype) || input.shape.extents().len() != 2 {
            let (datatype, shape) = (input.datatype, &input.shape);
            let reason = format!("input 0 is {datatype} {shape}, `native` takes numbers [rows, n]");
            return Err(node.fault(reason));
        }
        let width = node.width(0)?;
        let coefficients = node.floats("coefficients")?.to_vec();
        let n_scores = n_scores.unwrap_or(coefficients.len() / width.max(1));
        if width == 0 || n_scores == 0 || n_scores.checked_mul(width) != Some(coefficients.len()) {
            let n = coefficients.len();
            let reason = format!("{n} coefficients are not {n_scores} scores of {width} columns");
            return Err(node.fault(reason));
        }
        let intercepts = match node.floats("intercepts")? {
            [] => vec![0.0; n_scores],
            many if many.len() == n_scores => many.to_vec(),
            many => {
                let n = many.len();
                return Err(node.fault(format!("there are {n} intercepts for {n_scores} scores")));
            }
        };
        Ok(Self { width, coefficients, intercepts })
    }

    fn n(&self) -> usize {
        self.intercepts.len()
    }

    fn resident_bytes(&self) -> usize {
        (self.coefficients.len() + self.intercepts.len()) * size_of::<f32>()
    }

    fn row_cost_ns(&self) -> u64 {
        (self.coefficients.len() / 2 + 5 * self.n()) as u64
    }

    /// Scores of one row, in order.
    fn of<'s>(&'s self, row: &'s [f32]) -> impl Iterator<Item = f32> + 's {
        let per_score = self.coefficients.chunks_exact(self.width).zip(&self.intercepts);
        per_score.map(|(coefficients, intercept)| dot_f32(row, coefficients) + intercept)
    }
}

fn output(node: &NodeContext<'_>, columns: Option<usize>) -> Result<Shape, LoadError> {
    let mut extents: Vec<Extent> = node.input(0)?.shape.extents()[..1].to_vec();
    extents.extend(columns.map(|columns| Extent::Fixed(columns as u64)));
    node.shape(Shape::new(extents))
}

struct Classifier {
    scores: Scores,
    labels: Labels,
    post_transform: PostTransform,
}

pub(crate) fn classifier(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    // Says how the model was fitted; the coefficients say the rest.
    node.ignore(&["multi_class"]);
    let labels = Labels::read(node, "classlabels_ints", "classlabels_strings")?;
    let post_transform = PostTransform::read(node)?;
    let n_given = node.floats("intercepts")?.len();
    let scores = Scores::read(node, if n_given == 0 { None } else { Some(n_given) })?;
    let two_from_one = scores.n() == 1 && labels.len() == 2;
    if !two_from_one && (scores.n() != labels.len() || scores.n() < 2) {
        let (n_scores, n_labels) = (scores.n(), labels.len());
        return Err(node.fault(format!("it has {n_scores} scores for {n_labels} labels")));
    }
    if two_from_one && !matches!(post_transform, PostTransform::None | PostTransform::Logistic) {
        return Err(node.fault(
            "`post_transform` SOFTMAX, SOFTMAX_ZERO or PROBIT needs a score for every label",
        ));
    }
    let outputs = vec![
        (labels.datatype(), output(node, None)?),
        (Datatype::Fp32, output(node, Some(labels.len()))?),
    ];
    let cost = scores.row_cost_ns() + 10 * labels.len() as u64;
    let (bytes, classes) = (scores.resident_bytes(), Some(labels.names()));
    let kernel = Box::new(Classifier { scores, labels, post_transform });
    let by_shape = false;
    Ok(Compiled { kernel, outputs, row_cost_ns: cost, resident_bytes: bytes, classes, by_shape })
}

impl Classifier {
    /// The class of one row, whose probabilities are appended.
    fn row(&self, row: &[f32], probabilities: &mut Vec<f32>) -> usize {
        let start = probabilities.len();
        probabilities.extend(self.scores.of(row));
        let scores = &mut probabilities[start..];
        if let &mut [score] = scores {
            probabilities.truncate(start);
            probabilities.extend(match self.post_transform {
                PostTransform::Logistic => [sigmoid_f32(-score), sigmoid_f32(score)],
                PostTransform::None
                | PostTransform::Softmax
                | PostTransform::SoftmaxZero
                | PostTransform::Probit => [1.0 - score, score],
            });
            return usize::from(score > 0.0);
        }
        let chosen = largest(scores);
        self.post_transform.apply(scores);
        chosen
    }
}

impl Kernel for Classifier {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let values = call.rounded(0)?;
        let rows = values.chunks_exact(self.scores.width);
        let mut probabilities = Vec::with_capacity(rows.len() * self.labels.len());
        let labels = self.labels.pick(rows.map(|row| self.row(row, &mut probabilities)));
        call.put(0, labels);
        call.put(1, Values::Fp32(probabilities));
        Ok(())
    }
}

struct Regressor {
    scores: Scores,
    post_transform: PostTransform,
}

pub(crate) fn regressor(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let targets = node.int("targets", 1)?;
    let n_targets = usize::try_from(targets).map_err(|_| node.fault("`targets` is negative"))?;
    let post_transform = PostTransform::read(node)?;
    let scores = Scores::read(node, Some(n_targets))?;
    let (cost, bytes) = (scores.row_cost_ns(), scores.resident_bytes());
    let shape = output(node, Some(n_targets))?;
    let compiled =
        Compiled::plain(Regressor { scores, post_transform }, Datatype::Fp32, shape, cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

impl Kernel for Regressor {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let values = call.rounded(0)?;
        let mut scores = Vec::with_capacity(values.len() / self.scores.width * self.scores.n());
        for row in values.chunks_exact(self.scores.width) {
            let start = scores.len();
            scores.extend(self.scores.of(row));
            self.post_transform.apply(&mut scores[start..]);
        }
        call.put(0, Values::Fp32(scores));
        Ok(())
    }
}
