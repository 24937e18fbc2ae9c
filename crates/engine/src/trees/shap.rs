//! Path-dependent TreeSHAP (Lundberg, Erion, Lee: Consistent Individualized Feature Attribution
//! for Tree Ensembles, 2018, algorithm 2), in `f64`, as LightGBM and XGBoost do it.
//!
//! A row's contributions and the base value add up to its margin. Cost: leaves times depth
//! squared for a row and a tree.

use super::forest::{Forest, Real, Step};

/// Deepest trees that are explained: the cost grows with the square.
pub(super) const EXPLAIN_DEPTH_MAX: usize = 128;

/// A feature on the way to a node.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    /// `None` for the root's.
    feature: Option<u32>,
    /// Share of the training rows that go on where the feature is not known.
    zero: f64,
    /// Whether this row goes on.
    one: f64,
    /// Share of the orders of features in which it counts.
    weight: f64,
}

/// Adds what each feature of `row` gives every score, `[n_scores, width + 1]`, the base value of
/// the trees last; `base` has each root's mean.
pub(super) fn add<T: Real>(forest: &Forest<T>, means: &[f64], row: &[T], into: &mut [f64]) {
    let stride = forest.width + 1;
    for ((root, score), mean) in forest.roots.iter().zip(means) {
        let from = *score as usize * stride;
        let into = &mut into[from..from + stride];
        into[forest.width] += mean;
        let mut path = Vec::with_capacity(forest.depth + 2);
        extend(&mut path, Element { feature: None, zero: 1.0, one: 1.0, weight: 0.0 });
        descend(forest, *root, row, &path, into);
    }
}

/// Each tree's mean over its training rows, by their covers.
pub(super) fn means<T: Real>(forest: &Forest<T>) -> Vec<f64> {
    forest.roots.iter().map(|(root, _)| mean(forest, *root)).collect()
}

fn mean<T: Real>(forest: &Forest<T>, at: u32) -> f64 {
    match forest.step(at) {
        Step::Leaf(value) => value,
        Step::Split { children, .. } => {
            let of = |child| mean(forest, child) * forest.cover(child) / forest.cover(at);
            of(children[0]) + of(children[1])
        }
    }
}

fn descend<T: Real>(forest: &Forest<T>, at: u32, row: &[T], path: &[Element], into: &mut [f64]) {
    let (feature, children) = match forest.step(at) {
        Step::Leaf(value) => {
            for position in 1..path.len() {
                let element = path[position];
                let weight = unwound_sum(path, position);
                if let Some(feature) = element.feature {
                    into[feature as usize] += weight * (element.one - element.zero) * value;
                }
            }
            return;
        }
        Step::Split { feature, children } => (feature, children),
    };
    let hot = forest.child(at, row);
    let mut path = path.to_vec();
    let (mut zero, mut one) = (1.0, 1.0);
    // A feature that was asked before is asked as one: its element is taken back first.
    if let Some(position) = path.iter().position(|element| element.feature == Some(feature)) {
        (zero, one) = (path[position].zero, path[position].one);
        unwind(&mut path, position);
    }
    for child in children {
        let share = forest.cover(child) / forest.cover(at);
        let mut path = path.clone();
        let one = if child == hot { one } else { 0.0 };
        let feature = Some(feature);
        extend(&mut path, Element { feature, zero: zero * share, one, weight: 0.0 });
        descend(forest, child, row, &path, into);
    }
}

/// EXTEND of the paper.
fn extend(path: &mut Vec<Element>, element: Element) {
    let depth = path.len();
    let n = (depth + 1) as f64;
    path.push(Element { weight: if depth == 0 { 1.0 } else { 0.0 }, ..element });
    for i in (0..depth).rev() {
        path[i + 1].weight += element.one * path[i].weight * (i + 1) as f64 / n;
        path[i].weight = element.zero * path[i].weight * (depth - i) as f64 / n;
    }
}

/// UNWIND of the paper.
fn unwind(path: &mut Vec<Element>, position: usize) {
    let depth = path.len() - 1;
    let n = (depth + 1) as f64;
    let Element { zero, one, .. } = path[position];
    let mut next = path[depth].weight;
    for i in (0..depth).rev() {
        if one != 0.0 {
            let weight = path[i].weight;
            path[i].weight = next * n / ((i + 1) as f64 * one);
            next = weight - path[i].weight * zero * (depth - i) as f64 / n;
        } else {
            path[i].weight = path[i].weight * n / (zero * (depth - i) as f64);
        }
    }
    for i in position..depth {
        let Element { feature, zero, one, .. } = path[i + 1];
        path[i] = Element { feature, zero, one, weight: path[i].weight };
    }
    path.pop();
}

/// The sum of the weights after [`unwind`], without it.
fn unwound_sum(path: &[Element], position: usize) -> f64 {
    let depth = path.len() - 1;
    let n = (depth + 1) as f64;
    let Element { zero, one, .. } = path[position];
    let mut next = path[depth].weight;
    let mut sum = 0.0;
    for i in (0..depth).rev() {
        if one != 0.0 {
            let weight = next * n / ((i + 1) as f64 * one);
            sum += weight;
            next = path[i].weight - weight * zero * (depth - i) as f64 / n;
        } else if zero != 0.0 {
            sum += path[i].weight / zero * n / (depth - i) as f64;
        }
    }
    sum
}
