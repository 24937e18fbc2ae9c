//! `post_transform` of `ai.onnx.ml`: what becomes of raw scores.

use bartizan_stats::activation::{sigmoid_f32, softmax_f32};
use bartizan_stats::exp::exp;
use bartizan_stats::ln::ln;

use crate::native::LoadError;
use crate::native::node::NodeContext;

/// The transforms that are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostTransform {
    None,
    Logistic,
    Softmax,
    /// Softmax over the scores that are not (nearly) zero.
    SoftmaxZero,
    /// Quantile of the normal distribution.
    Probit,
}

impl PostTransform {
    /// From the attribute `post_transform`.
    pub(crate) fn read(node: &mut NodeContext<'_>) -> Result<Self, LoadError> {
        match node.text("post_transform", "NONE")? {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            "PROBIT" => Ok(Self::Probit),
            other => Err(node.fault(format!(
                "`post_transform` is `{other}`, not NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT"
            ))),
        }
    }

    /// Transforms the scores of one row in place.
    pub(crate) fn apply(self, scores: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = sigmoid_f32(*score)),
            Self::Softmax => softmax_f32(scores),
            Self::SoftmaxZero => softmax_zero(scores),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        }
    }
}

/// Scores within 1e-7 of zero are left out of the sum, scaled like the rest (onnxruntime's rule).
fn softmax_zero(scores: &mut [f32]) {
    let largest = scores.iter().fold(f32::MIN, |a, b| if *b > a { *b } else { a });
    let largest = f64::from(largest);
    let mut sum = 0.0_f64;
    let mut wide: Vec<f64> = scores.iter().copied().map(f64::from).collect();
    for score in &mut wide {
        if 1e-7 < score.abs() {
            *score = exp(*score - largest);
            sum += *score;
        } else {
            *score *= exp(-largest);
        }
    }
    scores.iter_mut().zip(wide).for_each(|(score, wide)| *score = (wide / sum) as f32);
}

/// Quantile of the normal distribution, by S. Winitzki's approximation of the inverse error
/// function (2008), which is what onnxruntime has: good to three digits.
fn probit(score: f32) -> f32 {
    let x = 2.0 * f64::from(score) - 1.0;
    let log = ln((1.0 - x) * (1.0 + x));
    let v = 2.0 / (std::f64::consts::PI * 0.147) + 0.5 * log;
    let root = (-v + (v * v - log / 0.147).sqrt()).sqrt();
    (std::f64::consts::SQRT_2 * if x < 0.0 { -root } else { root }) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probit_is_the_normal_quantile_to_three_digits() {
        for (p, z) in [(0.5, 0.0), (0.841_345, 1.0), (0.025, -1.959_964), (0.99, 2.326_348)] {
            assert!((probit(p) - z).abs() < 5e-3, "{p}: {}", probit(p));
        }
    }

    #[test]
    fn softmax_without_zeros_keeps_them_out_of_the_sum() {
        let mut scores = [1.0, 0.0, 1.0];
        PostTransform::SoftmaxZero.apply(&mut scores);
        assert_eq!(scores, [0.5, 0.0, 0.5]);
    }
}
