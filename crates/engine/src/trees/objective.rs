//! From scores to answers: what each library's objective does to its sums, in its own type.
//!
//! Exponentials are our own (`stats`), so an answer may be one unit in the last place from the
//! library's, whose functions are the platform's; the sums before are equal bit by bit.

use bartizan_core::{Datatype, Tensor, Values};
use bartizan_stats::activation;
use bartizan_stats::exp::{exp, exp_f32};

/// What an objective does to scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Transform {
    /// Nothing.
    None,
    /// `sign(x) x^2`.
    SignedSquare,
    /// `e^x`.
    Exp,
    /// A probability of the second of two classes: `1 / (1 + e^(-scale x))`.
    Logistic { scale: f64 },
    /// The same as a value, of `-x`.
    LogisticValue,
    /// `ln(1 + e^x)`.
    Softplus,
    /// Probabilities of classes that add up to 1.
    Softmax,
    /// A probability for each class.
    OneVersusAll { scale: f64 },
    /// The class alone: the largest score's.
    Largest,
    /// The class alone: whether the score is above zero.
    Above,
}

/// What becomes of a model's scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Objective {
    pub(super) transform: Transform,
    pub(super) n_scores: usize,
}

impl Objective {
    /// Number of classes; 0 where it is no classifier.
    pub(super) fn n_classes(self) -> usize {
        match self.transform {
            Transform::Logistic { .. } | Transform::Above => 2,
            Transform::Softmax | Transform::OneVersusAll { .. } | Transform::Largest => {
                self.n_scores
            }
            Transform::None
            | Transform::SignedSquare
            | Transform::Exp
            | Transform::LogisticValue
            | Transform::Softplus => 0,
        }
    }

    /// Names, types and widths of the outputs; 0 for one number a row without a dimension.
    pub(super) fn outputs(self, datatype: Datatype) -> Vec<(&'static str, Datatype, usize)> {
        let label = ("label", Datatype::Int64, 0);
        match self.transform {
            Transform::Largest | Transform::Above => vec![label],
            Transform::Logistic { .. } | Transform::Softmax | Transform::OneVersusAll { .. } => {
                vec![label, ("probabilities", datatype, self.n_classes())]
            }
            Transform::None
            | Transform::SignedSquare
            | Transform::Exp
            | Transform::LogisticValue
            | Transform::Softplus => vec![("variable", datatype, self.n_scores)],
        }
    }

    /// Answers of scores `[n_rows, n_scores]` in doubles, as LightGBM gives them.
    pub(super) fn double(self, mut scores: Vec<f64>) -> (Vec<i64>, Vec<f64>) {
        let logistic = |scale: f64, x: f64| 1.0 / (1.0 + exp(-scale * x));
        let n = self.n_scores;
        match self.transform {
            Transform::None => {}
            Transform::SignedSquare => scores.iter_mut().for_each(|x| {
                let sign = if 0.0 < *x { 1.0 } else { f64::from(-i8::from(*x < 0.0)) };
                *x = sign * *x * *x;
            }),
            Transform::Exp => scores.iter_mut().for_each(|x| *x = exp(*x)),
            Transform::LogisticValue => scores.iter_mut().for_each(|x| *x = logistic(1.0, *x)),
            Transform::Softplus => scores.iter_mut().for_each(|x| *x = activation::softplus(*x)),
            Transform::Softmax => scores.chunks_exact_mut(n).for_each(activation::softmax),
            Transform::OneVersusAll { scale } => {
                scores.iter_mut().for_each(|x| *x = logistic(scale, *x));
            }
            Transform::Logistic { scale } => {
                let two = |x: &f64| {
                    let p = logistic(scale, *x);
                    [1.0 - p, p]
                };
                scores = scores.iter().flat_map(two).collect();
            }
            Transform::Largest | Transform::Above => {}
        }
        (self.labels(&scores), scores)
    }

    /// The same in floats, as XGBoost gives them.
    pub(super) fn single(self, mut scores: Vec<f32>) -> (Vec<i64>, Vec<f32>) {
        // `common::Sigmoid`: the exponent is bounded, and 1e-16 vanishes beside 1.
        let logistic = |x: f32| {
            let x = if -x < 88.7 { -x } else { 88.7 };
            1.0 / (exp_f32(x) + 1.0)
        };
        let n = self.n_scores;
        match self.transform {
            Transform::Exp => scores.iter_mut().for_each(|x| *x = exp_f32(*x)),
            Transform::LogisticValue => scores.iter_mut().for_each(|x| *x = logistic(*x)),
            Transform::Softmax => scores.chunks_exact_mut(n).for_each(softmax),
            Transform::Logistic { .. } => {
                let two = |x: &f32| {
                    let p = logistic(*x);
                    [1.0 - p, p]
                };
                scores = scores.iter().flat_map(two).collect();
            }
            Transform::Above => {
                return (scores.iter().map(|x| i64::from(0.0 < *x)).collect(), Vec::new());
            }
            Transform::None
            | Transform::SignedSquare
            | Transform::Softplus
            | Transform::OneVersusAll { .. }
            | Transform::Largest => {}
        }
        let labels = self.labels(&scores);
        (labels, if self.transform == Transform::Largest { Vec::new() } else { scores })
    }

    /// The first of the largest, where there are classes.
    fn labels<T: PartialOrd>(self, scores: &[T]) -> Vec<i64> {
        let n = self.n_classes();
        if n == 0 {
            return Vec::new();
        }
        let largest = |row: &[T]| {
            let better = |best: usize, at: usize| if row[best] < row[at] { at } else { best };
            (1..n).fold(0, better) as i64
        };
        scores.chunks_exact(n).map(largest).collect()
    }
}

/// `common::Softmax`: exponentials in floats, their sum in doubles, divided by it as a float.
fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    let mut sum = 0.0_f64;
    for score in scores.iter_mut() {
        *score = exp_f32(*score - largest);
        sum += f64::from(*score);
    }
    scores.iter_mut().for_each(|score| *score /= sum as f32);
}

/// The one quiet NaN for each NaN.
pub(super) fn canonical(mut values: Values) -> Values {
    match &mut values {
        Values::Fp32(list) => {
            list.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = f32::NAN);
        }
        Values::Fp64(list) => {
            list.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = f64::NAN);
        }
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Bytes(_) => {}
    }
    values
}

/// A tensor of `n_rows` rows of `width` numbers; 0 for one number without a dimension.
pub(super) fn tensor(name: &str, n_rows: usize, width: usize, values: Values) -> Option<Tensor> {
    let mut shape = vec![n_rows as u64];
    shape.extend((width != 0).then_some(width as u64));
    Tensor::new(name, shape, canonical(values)).ok()
}
