//! `ai.onnx.ml.TreeEnsembleClassifier` and `TreeEnsembleRegressor`.
//!
//! Scores are sums in `f32`, tree by tree in the file's order, and the base value comes last: the
//! order of onnxruntime on one thread; in `f64`, and rounded once, where the input is of doubles.
//! How an answer is made of two classes' one score is also
//! onnxruntime's; ONNX leaves it open.

use bartizan_core::{Datatype, Values};
use bartizan_stats::activation::sigmoid_f32;

use super::LoadError;
use super::kernel::{Call, Fault, Kernel};
use super::node::{Compiled, NodeContext};
use super::op::labels::Labels;
use super::op::post_transform::PostTransform;
use super::shape::{Extent, Shape};

mod build;
mod single;
mod walk;

pub(super) use single::compile as ensemble;

use build::{Lists, Target};
use walk::Ensemble;

/// Rough cost of one tree for one row, in nanoseconds.
const TREE_COST_NS: u64 = 10;

fn check_input(node: &NodeContext<'_>) -> Result<usize, LoadError> {
    let input = node.input(0)?;
    node.check_type(0, &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Int32])?;
    if input.shape.extents().len() != 2 {
        return Err(node.fault(format!("input 0 has shape {}, not [rows, n]", input.shape)));
    }
    match node.width(0)? {
        0 => Err(node.fault("input 0 has no columns")),
        width => Ok(width),
    }
}

fn output(node: &NodeContext<'_>, columns: Option<usize>) -> Result<Shape, LoadError> {
    let mut extents: Vec<Extent> = node.input(0)?.shape.extents()[..1].to_vec();
    extents.extend(columns.map(|columns| Extent::Fixed(columns as u64)));
    node.shape(Shape::new(extents))
}

/// How the answer is made of the scores.
enum Decision {
    /// The class with the largest score.
    Largest,
    /// Two classes and one score; which side of `threshold` it is on.
    Side {
        threshold: f32,
        /// The other class has `1 - score` rather than `-score`.
        complement: bool,
    },
}

/// What is added to the trees' sums: nothing, or one value for each score.
struct Base {
    single: Vec<f32>,
    double: Vec<f64>,
}

impl Base {
    fn new(node: &NodeContext<'_>, values: Vec<f64>) -> Result<Self, LoadError> {
        let single = if node.input(0)?.datatype == Datatype::Fp64 {
            Vec::new()
        } else {
            build::narrow(node, "base_values", &values)?
        };
        Ok(Self { single, double: values })
    }

    fn is_none(&self) -> bool {
        self.double.is_empty()
    }

    /// Scores of all rows, divided by `divisor` before the base is added; and which of them a leaf
    /// has touched (empty where every leaf touches all).
    fn scores(
        &self,
        ensemble: &Ensemble,
        call: &Call<'_, '_>,
        divisor: u32,
    ) -> Result<(Vec<f32>, Vec<bool>), Fault> {
        let n = ensemble.n_scores();
        if let Some(grid) = &ensemble.grid {
            let (mut scores, touched) = ensemble.wide_scores(&grid.ranks(call.f64s(0)?));
            for row in scores.chunks_exact_mut(n) {
                row.iter_mut().for_each(|score| *score /= f64::from(divisor));
                row.iter_mut().zip(&self.double).for_each(|(score, base)| *score += base);
            }
            return Ok((scores.into_iter().map(|score| score as f32).collect(), touched));
        }
        let (mut scores, touched) = ensemble.scores(&call.rounded(0)?);
        if divisor != 1 {
            scores.iter_mut().for_each(|score| *score /= divisor as f32);
        }
        if !self.single.is_empty() {
            for row in scores.chunks_exact_mut(n) {
                row.iter_mut().zip(&self.single).for_each(|(score, base)| *score += base);
            }
        }
        Ok((scores, touched))
    }
}

struct Classifier {
    ensemble: Ensemble,
    base: Base,
    labels: Labels,
    decision: Decision,
    post_transform: PostTransform,
}

pub(crate) fn classifier(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let width = check_input(node)?;
    let labels = Labels::read(node, "classlabels_int64s", "classlabels_strings")?;
    let post_transform = PostTransform::read(node)?;
    let base_values = build::doubles(node, "base_values")?;
    let target = Target::classes(node)?;
    let lists = Lists::read(node)?;
    let all_positive = target.weights.iter().all(|weight| 0.0 <= *weight);
    let only_first = target.ids.iter().all(|class| *class == 0);
    let (n_scores, decision) = match labels.len() {
        0 | 1 => return Err(node.fault("it has fewer than two classes")),
        2 if !only_first => {
            return Err(node.fault(
                "two classes have scores of their own, where engines disagree about the label; \
                 `native` takes one score, with class id 0",
            ));
        }
        2 if !matches!(post_transform, PostTransform::None | PostTransform::Logistic) => {
            return Err(node.fault(
                "`post_transform` SOFTMAX, SOFTMAX_ZERO or PROBIT needs a score for every class",
            ));
        }
        2 => {
            let threshold = if all_positive { 0.5 } else { 0.0 };
            (1, Decision::Side { threshold, complement: all_positive })
        }
        n_classes => (n_classes, Decision::Largest),
    };
    if ![0, n_scores].contains(&base_values.len()) {
        let n = base_values.len();
        return Err(node.fault(format!("it has {n} base values for {n_scores} scores")));
    }
    let base = Base::new(node, base_values)?;
    let ensemble = build::ensemble(node, width, n_scores, &lists, &target)?;
    let outputs = vec![
        (labels.datatype(), output(node, None)?),
        (Datatype::Fp32, output(node, Some(labels.len()))?),
    ];
    let (cost, bytes) = (ensemble.n_trees() as u64 * TREE_COST_NS, ensemble.resident_bytes());
    let classes = Some(labels.names());
    let kernel = Box::new(Classifier { ensemble, base, labels, decision, post_transform });
    let by_shape = false;
    Ok(Compiled { kernel, outputs, row_cost_ns: cost, resident_bytes: bytes, classes, by_shape })
}

impl Classifier {
    /// The class with the largest score among those that have one, the first of equals.
    fn largest(&self, scores: &[f32], has_score: &[bool]) -> usize {
        let has = |class: usize| has_score.get(class).copied().unwrap_or(true);
        let mut best = None;
        for (class, score) in scores.iter().enumerate() {
            if has(class) && best.is_none_or(|best: usize| *score > scores[best]) {
                best = Some(class);
            }
        }
        best.unwrap_or(0)
    }

    fn pair(&self, score: f32, complement: bool) -> [f32; 2] {
        match (self.post_transform, complement) {
            (PostTransform::Logistic, _) => [sigmoid_f32(-score), sigmoid_f32(score)],
            (_, true) => [1.0 - score, score],
            (_, false) => [-score, score],
        }
    }
}

impl Kernel for Classifier {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let n_scores = self.ensemble.n_scores();
        let (mut scores, has_score) = self.base.scores(&self.ensemble, call, 1)?;
        let labels = match self.decision {
            Decision::Largest => {
                // With base values every class has a score.
                let has_score = if self.base.is_none() { has_score } else { Vec::new() };
                let has = |row: usize| has_score.get(row * n_scores..).unwrap_or(&[]);
                let chosen = scores.chunks_exact(n_scores).enumerate();
                let chosen: Vec<_> =
                    chosen.map(|(row, scores)| self.largest(scores, has(row))).collect();
                scores.chunks_exact_mut(n_scores).for_each(|row| self.post_transform.apply(row));
                self.labels.pick(chosen.into_iter())
            }
            Decision::Side { threshold, complement } => {
                let labels =
                    self.labels.pick(scores.iter().map(|score| usize::from(*score > threshold)));
                scores = scores.iter().flat_map(|score| self.pair(*score, complement)).collect();
                labels
            }
        };
        call.put(0, labels);
        call.put(1, Values::Fp32(scores));
        Ok(())
    }
}

struct Regressor {
    ensemble: Ensemble,
    base: Base,
    /// 1, or the number of trees where their average is wanted.
    divisor: u32,
    post_transform: PostTransform,
}

pub(crate) fn regressor(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let n_targets = usize::try_from(node.int("n_targets", 1)?).unwrap_or(0);
    if PostTransform::read(node)? != PostTransform::None {
        return Err(node.fault("`post_transform` of a regressor must be NONE"));
    }
    let is_average = match node.text("aggregate_function", "SUM")? {
        "SUM" => false,
        "AVERAGE" => true,
        other => {
            let reason =
                format!("`aggregate_function` is `{other}`, `native` takes SUM or AVERAGE");
            return Err(node.fault(reason));
        }
    };
    let base_values = build::doubles(node, "base_values")?;
    let (target, lists) = (Target::targets(node)?, Lists::read(node)?);
    let what = What { n_targets, is_average, post_transform: PostTransform::None };
    regression(node, what, base_values, &lists, &target)
}

/// What a regression gives.
struct What {
    n_targets: usize,
    is_average: bool,
    post_transform: PostTransform,
}

fn regression(
    node: &mut NodeContext<'_>,
    what: What,
    base_values: Vec<f64>,
    lists: &Lists<'_>,
    target: &Target<'_>,
) -> Result<Compiled, LoadError> {
    let width = check_input(node)?;
    let What { n_targets, is_average, post_transform } = what;
    let shape = output(node, Some(n_targets))?;
    if n_targets == 0 {
        return Err(node.fault("`n_targets` must be 1 or more"));
    }
    if ![0, n_targets].contains(&base_values.len()) {
        let n = base_values.len();
        return Err(node.fault(format!("it has {n} base values for {n_targets} targets")));
    }
    let base = Base::new(node, base_values)?;
    let ensemble = build::ensemble(node, width, n_targets, lists, target)?;
    let divisor = if is_average { ensemble.n_trees() as u32 } else { 1 };
    let (cost, bytes) = (ensemble.n_trees() as u64 * TREE_COST_NS, ensemble.resident_bytes());
    let kernel = Regressor { ensemble, base, divisor, post_transform };
    let compiled = Compiled::plain(kernel, Datatype::Fp32, shape, cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

impl Kernel for Regressor {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let (mut scores, _) = self.base.scores(&self.ensemble, call, self.divisor)?;
        if self.post_transform != PostTransform::None {
            let rows = scores.chunks_exact_mut(self.ensemble.n_scores());
            rows.for_each(|row| self.post_transform.apply(row));
        }
        call.put(0, Values::Fp32(scores));
        Ok(())
    }
}

/// A kernel whose 32-bit floats are given on as doubles.
struct Widened(Box<dyn Kernel>);

impl Kernel for Widened {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        self.0.run(call)?;
        if let Some(values) = call.written(0)
            && let Values::Fp32(singles) = values
        {
            *values = Values::Fp64(singles.iter().copied().map(f64::from).collect());
        }
        Ok(())
    }
}
