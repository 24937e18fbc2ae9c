//! `ai.onnx.ml.SVMClassifier` and `SVMRegressor`.
//!
//! Kernels and sums are computed in `f64`, terms from the first to the last, and rounded to `f32`
//! once a value. Probabilities of several classes are coupled as T.-F. Wu, C.-J. Lin and R. C.
//! Weng, *Probability Estimates for Multi-class Classification by Pairwise Coupling*, 2004, second
//! method. What ONNX leaves open is as onnxruntime has it.

use bartizan_core::{Datatype, Values};
use bartizan_stats::activation::{sigmoid, tanh};
use bartizan_stats::exp::exp_to_f32;
use bartizan_stats::pow::pow;

use super::labels::{Labels, largest};
use super::post_transform::PostTransform;
use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel, is_rounded};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::{Extent, Shape};

/// Most rounds of the coupling; it ends earlier where it has converged.
const COUPLING_ROUNDS_MAX: usize = 100;

#[derive(Clone, Copy)]
enum Similarity {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// A kernel function and the vectors that rows are compared with.
struct Vectors {
    similarity: Similarity,
    gamma: f64,
    coef0: f64,
    degree: f64,
    width: usize,
    /// `[n, width]`, row-major.
    vectors: Vec<f32>,
}

impl Vectors {
    /// `linear`: the kernel is told to be linear whatever the attribute says.
    fn read(
        node: &mut NodeContext<'_>,
        vectors: Vec<f32>,
        linear: bool,
    ) -> Result<Self, LoadError> {
        let input = node.input(0)?;
        if !is_rounded(input.datatype) || input.shape.extents().len() != 2 {
            let (datatype, shape) = (input.datatype, &input.shape);
            let reason = format!("input 0 is {datatype} {shape}, `native` takes numbers [rows, n]");
            return Err(node.fault(reason));
        }
        let width = node.width(0)?;
        let similarity = match node.text("kernel_type", "LINEAR")? {
            _ if linear => Similarity::Linear,
            "LINEAR" => Similarity::Linear,
            "POLY" => Similarity::Poly,
            "RBF" => Similarity::Rbf,
            "SIGMOID" => Similarity::Sigmoid,
            other => {
                return Err(node.fault(format!("`kernel_type` is `{other}`, which is unknown")));
            }
        };
        let (gamma, coef0, degree) = match node.floats("kernel_params")? {
            [] => (0.0, 0.0, 0.0),
            [gamma, coef0, degree] => (f64::from(*gamma), f64::from(*coef0), f64::from(*degree)),
            other => {
                let n = other.len();
                return Err(node.fault(format!("`kernel_params` has {n} values, not 3")));
            }
        };
        if width == 0 || vectors.is_empty() || !vectors.len().is_multiple_of(width) {
            let n = vectors.len();
            return Err(node.fault(format!("{n} values are not vectors of {width} columns")));
        }
        Ok(Self { similarity, gamma, coef0, degree, width, vectors })
    }

    fn n(&self) -> usize {
        self.vectors.len() / self.width
    }

    fn cost_ns(&self) -> u64 {
        (self.vectors.len() + 30 * self.n()) as u64
    }

    /// The kernel of one row with each vector.
    fn of<'s>(&'s self, row: &'s [f32]) -> impl Iterator<Item = f32> + 's {
        let wide = |(a, b): (&f32, &f32)| (f64::from(*a), f64::from(*b));
        let dot = move |vector: &[f32]| {
            row.iter().zip(vector).map(wide).fold(0.0, |sum, (a, b)| sum + a * b)
        };
        self.vectors.chunks_exact(self.width).map(move |vector| match self.similarity {
            Similarity::Linear => dot(vector) as f32,
            Similarity::Poly => pow(self.gamma * dot(vector) + self.coef0, self.degree) as f32,
            Similarity::Sigmoid => tanh(self.gamma * dot(vector) + self.coef0) as f32,
            Similarity::Rbf => {
                let pairs = row.iter().zip(vector).map(wide);
                let square = pairs.fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b));
                exp_to_f32(-self.gamma * square)
            }
        })
    }
}

fn output(node: &NodeContext<'_>, columns: Option<usize>) -> Result<Shape, LoadError> {
    let mut extents: Vec<Extent> = node.input(0)?.shape.extents()[..1].to_vec();
    extents.extend(columns.map(|columns| Extent::Fixed(columns as u64)));
    node.shape(Shape::new(extents))
}

struct Regressor {
    vectors: Vectors,
    /// One for each vector; empty where the vectors are the coefficients.
    coefficients: Vec<f32>,
    rho: f32,
    one_class: bool,
}

pub(crate) fn regressor(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let coefficients = node.floats("coefficients")?.to_vec();
    let n_supports = usize::try_from(node.int("n_supports", 0)?).unwrap_or(usize::MAX);
    let supports = node.floats("support_vectors")?.to_vec();
    let one_class = node.int("one_class", 0)? != 0;
    if PostTransform::read(node)? != PostTransform::None {
        return Err(node.fault("`post_transform` of a regressor must be NONE"));
    }
    let &[rho, ..] = node.floats("rho")? else { return Err(node.fault("`rho` is missing")) };
    let (vectors, coefficients) = if n_supports == 0 {
        (Vectors::read(node, coefficients, true)?, Vec::new())
    } else {
        (Vectors::read(node, supports, false)?, coefficients)
    };
    if n_supports != 0 && [vectors.n(), coefficients.len()] != [n_supports; 2] {
        let (n, m) = (vectors.n(), coefficients.len());
        return Err(node.fault(format!("{n} vectors and {m} coefficients are not {n_supports}")));
    }
    if n_supports == 0 && vectors.n() != 1 {
        return Err(node.fault("coefficients do not fit the input"));
    }
    let shape = output(node, Some(1))?;
    let (cost, bytes) = (vectors.cost_ns(), (vectors.vectors.len() + coefficients.len()) * 4);
    let kernel = Regressor { vectors, coefficients, rho, one_class };
    let compiled = Compiled::plain(kernel, Datatype::Fp32, shape, cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

impl Kernel for Regressor {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let values = call.rounded(0)?;
        let score = |row: &[f32]| {
            let kernels = self.vectors.of(row).map(f64::from);
            let sum = if self.coefficients.is_empty() {
                kernels.fold(0.0, |sum, kernel| sum + kernel)
            } else {
                let terms = kernels.zip(&self.coefficients);
                terms.fold(0.0, |sum, (kernel, c)| sum + kernel * f64::from(*c))
            };
            let score = (sum + f64::from(self.rho)) as f32;
            match (self.one_class, score > 0.0) {
                (false, _) => score,
                (true, true) => 1.0,
                (true, false) => -1.0,
            }
        };
        let scores = values.chunks_exact(self.vectors.width).map(score).collect();
        call.put(0, Values::Fp32(scores));
        Ok(())
    }
}

struct Classifier {
    vectors: Vectors,
    labels: Labels,
    coefficients: Vec<f32>,
    rho: Vec<f32>,
    /// `prob_a` and `prob_b` of each pair; empty where scores are wanted.
    sigmoids: Vec<(f32, f32)>,
    /// Where each class's vectors begin, and the end; empty in a linear model.
    starts: Vec<usize>,
    all_positive: bool,
    post_transform: PostTransform,
    n_outputs: usize,
}

pub(crate) fn classifier(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let labels = Labels::read(node, "classlabels_ints", "classlabels_strings")?;
    let post_transform = PostTransform::read(node)?;
    let coefficients = node.floats("coefficients")?.to_vec();
    let supports = node.floats("support_vectors")?.to_vec();
    let (rho, a, b) =
        (node.floats("rho")?.to_vec(), node.floats("prob_a")?, node.floats("prob_b")?);
    let sigmoids: Vec<(f32, f32)> = a.iter().copied().zip(b.iter().copied()).collect();
    let per_class = node.ints("vectors_per_class")?.to_vec();
    let n_classes = labels.len();
    let n_pairs = n_classes * n_classes.saturating_sub(1) / 2;
    let is_linear = per_class.iter().all(|n| *n == 0);
    let mut starts = Vec::new();
    let vectors = if is_linear {
        Vectors::read(node, coefficients.clone(), true)?
    } else {
        starts.push(0_usize);
        for n in &per_class {
            let next = usize::try_from(*n).ok().and_then(|n| n.checked_add(*starts.last()?));
            starts.push(next.unwrap_or(usize::MAX));
        }
        Vectors::read(node, supports, false)?
    };
    let n_vectors = vectors.n();
    let fits = if is_linear {
        2 <= n_classes && n_vectors == n_classes && !rho.is_empty() && sigmoids.is_empty()
    } else {
        2 <= n_classes
            && starts.len() == n_classes + 1
            && starts.last() == Some(&n_vectors)
            && coefficients.len() == (n_classes - 1) * n_vectors
            && rho.len() == n_pairs
            && a.len() == b.len()
            && [0, n_pairs].contains(&sigmoids.len())
    };
    if !fits {
        return Err(node.fault(format!(
            "{n_vectors} vectors, {} coefficients and {} rho do not make {n_classes} classes",
            coefficients.len(),
            rho.len()
        )));
    }
    let n_outputs =
        if is_linear || !sigmoids.is_empty() || n_classes == 2 { n_classes } else { n_pairs };
    let outputs = vec![
        (labels.datatype(), output(node, None)?),
        (Datatype::Fp32, output(node, Some(n_outputs))?),
    ];
    let all_positive = coefficients.iter().all(|c| 0.0 <= *c);
    let cost = vectors.cost_ns() + (coefficients.len() * 2 + 200 * n_pairs) as u64;
    let (bytes, classes) = ((vectors.vectors.len() + coefficients.len()) * 4, labels.names());
    let kernel = Classifier {
        vectors,
        labels,
        coefficients,
        rho,
        sigmoids,
        starts,
        all_positive,
        post_transform,
        n_outputs,
    };
    let compiled = Compiled::several(kernel, outputs, cost);
    Ok(Compiled { resident_bytes: bytes, classes: Some(classes), ..compiled })
}

impl Classifier {
    /// A linear model: one score a class. The label of two classes is onnxruntime's.
    fn linear(&self, row: &[f32]) -> (usize, Vec<f32>) {
        let mut scores: Vec<f32> =
            self.vectors.of(row).map(|kernel| kernel + self.rho[0]).collect();
        let chosen = largest(&scores);
        let top = scores[chosen];
        let is_second = if self.all_positive { 0.5 <= top } else { 0.0 < top };
        let chosen = if scores.len() == 2 && is_second { 1 } else { chosen };
        self.post_transform.apply(&mut scores);
        (chosen, scores)
    }

    /// A score for each pair of classes, above zero for the first.
    fn pairs(&self, row: &[f32]) -> Vec<f32> {
        let kernels: Vec<f32> = self.vectors.of(row).collect();
        let (n, n_classes) = (kernels.len(), self.labels.len());
        let mut scores = Vec::with_capacity(self.rho.len());
        for i in 0..n_classes {
            for j in i + 1..n_classes {
                let mut sum = 0.0_f64;
                for (line, class) in [(j - 1, i), (i, j)] {
                    let own = self.starts[class]..self.starts[class + 1];
                    let coefficients = &self.coefficients[line * n..][own.clone()];
                    for (c, kernel) in coefficients.iter().zip(&kernels[own]) {
                        sum += f64::from(*c) * f64::from(*kernel);
                    }
                }
                scores.push((sum + f64::from(self.rho[scores.len()])) as f32);
            }
        }
        scores
    }

    /// The class with most votes, the first of equals, and the probabilities or scores.
    fn voted(&self, row: &[f32]) -> (usize, Vec<f32>) {
        let mut scores = self.pairs(row);
        let n_classes = self.labels.len();
        let pairs = (0..n_classes).flat_map(|i| (i + 1..n_classes).map(move |j| (i, j)));
        let mut votes = vec![0_usize; n_classes];
        for ((i, j), score) in pairs.clone().zip(&scores) {
            votes[if 0.0 < *score { i } else { j }] += 1;
        }
        let most = votes.iter().max().copied().unwrap_or(0);
        let chosen = votes.iter().position(|n| *n == most).unwrap_or(0);
        if !self.sigmoids.is_empty() {
            let mut wins = vec![0.0_f64; n_classes * n_classes];
            for (((i, j), score), (a, b)) in pairs.zip(&scores).zip(&self.sigmoids) {
                let win = sigmoid(-(f64::from(*score) * f64::from(*a) + f64::from(*b)));
                let win = win.clamp(1e-7, 1.0 - 1e-7);
                wins[i * n_classes + j] = win;
                wins[j * n_classes + i] = 1.0 - win;
            }
            let mut coupled: Vec<f32> =
                couple(&wins, n_classes).into_iter().map(|p| p as f32).collect();
            self.post_transform.apply(&mut coupled);
            return (chosen, coupled);
        }
        if let &[score] = scores.as_slice() {
            let pair = match self.post_transform {
                PostTransform::None => vec![-score, score],
                PostTransform::Logistic
                | PostTransform::Softmax
                | PostTransform::SoftmaxZero
                | PostTransform::Probit => vec![1.0 - score, score],
            };
            return (chosen, pair);
        }
        self.post_transform.apply(&mut scores);
        (chosen, scores)
    }
}

/// Probabilities of `n` classes from those of each to win over each other, `[n, n]`.
fn couple(wins: &[f64], n: usize) -> Vec<f64> {
    let mut q = vec![0.0; n * n];
    for i in 0..n {
        for j in (0..n).filter(|j| *j != i) {
            q[i * n + i] += wins[j * n + i] * wins[j * n + i];
            q[i * n + j] = -wins[j * n + i] * wins[i * n + j];
        }
    }
    let mut p = vec![1.0 / n as f64; n];
    for _ in 0..COUPLING_ROUNDS_MAX {
        let mut qp: Vec<f64> = q
            .chunks_exact(n)
            .map(|line| line.iter().zip(&p).fold(0.0, |sum, (q, p)| sum + q * p))
            .collect();
        let mut pqp = p.iter().zip(&qp).fold(0.0, |sum, (p, qp)| sum + p * qp);
        let error = qp.iter().fold(0.0_f64, |error, qp| error.max((qp - pqp).abs()));
        if error < 0.005 / n as f64 {
            break;
        }
        for i in 0..n {
            let own = q[i * n + i];
            let step = (pqp - qp[i]) / own;
            p[i] += step;
            pqp = (pqp + step * (step * own + 2.0 * qp[i])) / (1.0 + step) / (1.0 + step);
            for j in 0..n {
                qp[j] = (qp[j] + step * q[i * n + j]) / (1.0 + step);
                p[j] /= 1.0 + step;
            }
        }
    }
    p
}

impl Kernel for Classifier {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let values = call.rounded(0)?;
        let rows = values.chunks_exact(self.vectors.width);
        let mut scores = Vec::with_capacity(rows.len() * self.n_outputs);
        let labels = self.labels.pick(rows.map(|row| {
            let is_linear = self.starts.is_empty();
            let (chosen, row) = if is_linear { self.linear(row) } else { self.voted(row) };
            scores.extend(row);
            chosen
        }));
        call.put(0, labels);
        call.put(1, Values::Fp32(scores));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Where the pairwise chances come from true ones, these are found again.
        #[test]
        fn coupling_gives_shares_near_the_true_ones(
            weights in proptest::collection::vec(0.05_f64..1.0, 2..8)
        ) {
            let n = weights.len();
            let total: f64 = weights.iter().sum();
            let wins: Vec<f64> = (0..n * n)
                .map(|at| weights[at / n] / (weights[at / n] + weights[at % n]))
                .collect();
            let found = couple(&wins, n);
            let sum: f64 = found.iter().sum();
            proptest::prop_assert!((sum - 1.0).abs() < 1e-9);
            for (p, weight) in found.iter().zip(&weights) {
                proptest::prop_assert!((p - weight / total).abs() < 0.05, "{found:?} {weights:?}");
            }
        }
    }
}
