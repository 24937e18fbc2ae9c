//! Multinomial logistic regression.
//!
//! Minimised by L-BFGS with 8 pairs and a backtracking search (J. Nocedal and S. J. Wright,
//! *Numerical Optimization*, 2nd edition, 2006, algorithms 7.4 and 3.1). Points are numbers, plus
//! categories as indicators, plus weighted words.

use bartizan_stats::activation::softmax_f32;
use bartizan_stats::ln::ln;
use bartizan_stats::sum::dot_f32;

use crate::space::Space;

/// Pairs of steps that L-BFGS remembers.
const MEMORY: usize = 8;
/// What a category's indicator counts for.
const INDICATOR: f32 = 1.0;

/// Planes: for each class the weights of numbers, categories, words, and a constant.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    n_classes: usize,
    /// Where the weights of each column of categories begin, and how many it has.
    codes: Vec<(usize, usize)>,
    d: usize,
    words_at: usize,
    /// Weights of one class, the constant last.
    stride: usize,
    weights: Vec<f32>,
}

/// How a regression is fitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit {
    /// Penalty on the square of the weights, per point.
    pub(crate) penalty: f32,
    /// Most steps.
    pub(crate) steps_max: usize,
}

impl Linear {
    fn empty(space: &Space, n_classes: usize) -> Self {
        let mut at = space.d;
        let mut codes = Vec::with_capacity(space.c);
        for column in 0..space.c {
            let values = space.codes.iter().skip(column).step_by(space.c);
            let top = values.filter(|code| **code < u16::MAX - 1).max();
            let n = top.map_or(0, |code| usize::from(*code) + 1);
            codes.push((at, n));
            at += n;
        }
        let words_at = at;
        let stride = at + space.text.as_ref().map_or(0, |text| text.n_terms) + 1;
        let weights = vec![0.0; stride * n_classes];
        Self { n_classes, codes, d: space.d, words_at, stride, weights }
    }

    /// Fits `labels` (below `n_classes`) of the points `rows` of `space`.
    pub(crate) fn fit(
        space: &Space,
        labels: &[u32],
        n_classes: usize,
        rows: &[u32],
        fit: Fit,
    ) -> Self {
        let mut model = Self::empty(space, n_classes);
        let start = std::mem::take(&mut model.weights);
        let mut probs = vec![0.0; n_classes];
        let weights = minimise(start, fit.steps_max, |weights, gradient| {
            gradient.iter_mut().for_each(|g| *g = 0.0);
            let mut loss = 0.0_f64;
            for row in rows {
                let row = *row as usize;
                model.scores(weights, space, row, &mut probs);
                softmax_f32(&mut probs);
                let label = labels[row] as usize;
                loss -= ln(f64::from(probs[label]).max(1e-30));
                probs[label] -= 1.0;
                model.add(gradient, space, row, &probs);
            }
            let n = rows.len().max(1) as f32;
            let mut squares = 0.0_f64;
            for (at, (g, w)) in gradient.iter_mut().zip(weights).enumerate() {
                *g /= n;
                if at % model.stride + 1 != model.stride {
                    *g += fit.penalty * w;
                    squares += f64::from(w * w);
                }
            }
            loss / f64::from(n) + 0.5 * f64::from(fit.penalty) * squares
        });
        model.weights = weights;
        model
    }

    fn scores(&self, weights: &[f32], space: &Space, row: usize, out: &mut [f32]) {
        let point = space.point(row);
        for (class, out) in out.iter_mut().enumerate() {
            let weights = &weights[class * self.stride..(class + 1) * self.stride];
            let mut sum = dot_f32(point, &weights[..self.d]) + weights[self.stride - 1];
            for (code, (at, n)) in space.categories(row).iter().zip(&self.codes) {
                if usize::from(*code) < *n {
                    sum += INDICATOR * weights[at + usize::from(*code)];
                }
            }
            if let Some(text) = &space.text {
                let (terms, values) = text.row(row);
                let words = &weights[self.words_at..];
                sum += terms.iter().zip(values).map(|(t, v)| v * words[*t as usize]).sum::<f32>();
            }
            *out = sum;
        }
    }

    fn add(&self, gradient: &mut [f32], space: &Space, row: usize, excess: &[f32]) {
        let point = space.point(row);
        for (class, excess) in excess.iter().enumerate() {
            let gradient = &mut gradient[class * self.stride..(class + 1) * self.stride];
            for (g, x) in gradient.iter_mut().zip(point) {
                *g += excess * x;
            }
            gradient[self.stride - 1] += excess;
            for (code, (at, n)) in space.categories(row).iter().zip(&self.codes) {
                if usize::from(*code) < *n {
                    gradient[at + usize::from(*code)] += INDICATOR * excess;
                }
            }
            if let Some(text) = &space.text {
                let (terms, values) = text.row(row);
                let words = &mut gradient[self.words_at..];
                for (term, value) in terms.iter().zip(values) {
                    words[*term as usize] += excess * value;
                }
            }
        }
    }

    /// Probability of each class at one point of a space of the same shape.
    pub(crate) fn probs(&self, space: &Space, row: usize, out: &mut [f32]) {
        self.scores(&self.weights, space, row, &mut out[..self.n_classes]);
        softmax_f32(out);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(dot_f32(a, b))
}

/// The weights at which `value`, which also writes its gradient, is least.
fn minimise(
    mut weights: Vec<f32>,
    steps_max: usize,
    mut value: impl FnMut(&[f32], &mut [f32]) -> f64,
) -> Vec<f32> {
    let n = weights.len();
    let mut gradient = vec![0.0; n];
    let mut now = value(&weights, &mut gradient);
    let mut pairs: Vec<(Vec<f32>, Vec<f32>, f64)> = Vec::new();
    for _ in 0..steps_max {
        let direction = direction(&gradient, &pairs);
        let slope = dot(&direction, &gradient);
        if -1e-9 < slope {
            break;
        }
        let mut step =
            if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut moved = None;
        for _ in 0..20 {
            let at = |(w, d): (&f32, &f32)| w + step as f32 * d;
            let next: Vec<f32> = weights.iter().zip(&direction).map(at).collect();
            let mut next_gradient = vec![0.0; n];
            let then = value(&next, &mut next_gradient);
            if then <= now + 1e-4 * step * slope {
                moved = Some((next, next_gradient, then));
                break;
            }
            step *= 0.5;
        }
        let Some((next, next_gradient, then)) = moved else { break };
        let s: Vec<f32> = next.iter().zip(&weights).map(|(a, b)| a - b).collect();
        let y: Vec<f32> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let sy = dot(&s, &y);
        if sy > 1e-12 {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((s, y, sy));
        }
        let gained = now - then;
        (weights, gradient, now) = (next, next_gradient, then);
        if gained < 1e-6 * now.abs().max(1e-3) {
            break;
        }
    }
    weights
}

/// The two-loop recursion.
fn direction(gradient: &[f32], pairs: &[(Vec<f32>, Vec<f32>, f64)]) -> Vec<f32> {
    let mut q: Vec<f32> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (s, y, sy) in pairs.iter().rev() {
        let alpha = dot(s, &q) / sy;
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha as f32 * y);
        alphas.push(alpha);
    }
    if let Some((_, y, sy)) = pairs.last() {
        let scale = (sy / dot(y, y).max(1e-30)) as f32;
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, sy), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(y, &q) / sy;
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) as f32 * s);
    }
    q
}
