//! Rows that are far from all others.
//!
//! Five views: distance to the nearest rows (S. Ramaswamy, R. Rastogi, K. Shim, 2000), random
//! cuts (isolation forest), distance by covariance, and tails of the columns (Z. Li et al., *ECOD: Unsupervised Outlier
//! Detection Using Empirical Cumulative Distribution Functions*, 2022). Each is turned into
//! robust deviations so that the sharp tail of one is not blurred by the ranks of another.

use bartizan_stats::covariance::Covariance;
use bartizan_stats::isolation::IsolationForest;
use bartizan_stats::ln::ln;
use bartizan_stats::quantile::{median, sorted};

use crate::knn::Neighbours;
use crate::parallel::Threads;
use crate::sample::{Means, Sample};
use crate::space::Space;

/// Nearest rows whose mean distance counts.
const NEAR: usize = 10;
/// The same, for crowds of outliers.
const FAR: usize = 25;
const TREES: usize = 80;
/// Values of a column that its tails are read from.
const TAIL_VALUES: usize = 1_000;
/// Columns up to which the covariance is asked, rows that it is taken from, and its shrinkage.
const COVARIANCE_COLUMNS_MAX: usize = 600;
const COVARIANCE_ROWS: usize = 4_000;
const SHRINK: f64 = 0.1;

/// The views of one row, and what each counts for.
pub(crate) const VIEWS: usize = 5;
const WEIGHTS: [f64; VIEWS] = [0.5, 0.25, 1.0, 1.0, 1.0];

struct Views {
    forest: IsolationForest,
    covariance: Option<Covariance>,
    /// Ascending values of each column, and whether they are about even: of a skewness
    /// below 1.
    tails: Vec<(Vec<f32>, bool)>,
    width: usize,
    /// Negative logarithm of the share that each number of a column's values is of all.
    shares: Vec<f64>,
}

/// A point as numbers alone: categories by how rare they are.
fn numbers(space: &Space, rarity: &[Vec<f32>], at: usize, out: &mut Vec<f32>) {
    out.clear();
    out.extend_from_slice(space.point(at));
    for (code, rarity) in space.categories(at).iter().zip(rarity) {
        out.push(rarity.get(usize::from(*code)).copied().unwrap_or(8.0));
    }
}

/// Negative logarithm of each code's share, by column.
fn rarity(space: &Space) -> Vec<Vec<f32>> {
    let of = |column: usize| {
        let codes = space.codes.iter().skip(column).step_by(space.c);
        let mut counts: Vec<f64> = Vec::new();
        for code in codes {
            let at = usize::from(*code);
            if at < usize::from(u16::MAX) - 1 {
                counts.resize(counts.len().max(at + 1), 0.0);
                counts[at] += 1.0;
            }
        }
        let n = space.n as f64 + 1.0;
        counts.into_iter().map(|count| -ln((count + 0.5) / n) as f32).collect()
    };
    (0..space.c).map(of).collect()
}

impl Views {
    fn new(space: &Space, rarity: &[Vec<f32>], seed: u64) -> Self {
        let width = space.d + space.c;
        let mut rows = Vec::with_capacity(space.n * width);
        let mut point = Vec::new();
        for at in 0..space.n {
            numbers(space, rarity, at, &mut point);
            rows.extend_from_slice(&point);
        }
        let forest = IsolationForest::new(&rows, width, TREES, seed);
        let tail = |column: usize| {
            let mut values: Vec<f32> = rows.iter().skip(column).step_by(width).copied().collect();
            values.sort_unstable_by(f32::total_cmp);
            let n = values.len().max(1) as f64;
            let step = values.len().div_ceil(TAIL_VALUES).max(1);
            let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
            let moment = |power: i32| -> f64 {
                values.iter().map(|x| (f64::from(*x) - mean).powi(power)).sum::<f64>() / n
            };
            let spread = moment(2).sqrt();
            let is_even = moment(3).abs() < spread * spread * spread;
            (values.into_iter().step_by(step).collect(), is_even)
        };
        let covariance = (width <= COVARIANCE_COLUMNS_MAX)
            .then(|| {
                Covariance::new(&rows[..rows.len().min(COVARIANCE_ROWS * width)], width, SHRINK)
            })
            .flatten();
        let tails: Vec<(Vec<f32>, bool)> = (0..width).map(tail).collect();
        let n = tails.first().map_or(0, |(values, _)| values.len());
        let share = |count: usize| -ln((count as f64 + 0.5) / (n as f64 + 1.0));
        let shares = (0..=n).map(share).collect();
        Self { forest, covariance, tails, width, shares }
    }

    /// Mean over columns of the negative logarithm of the tail beyond the row's value: of both
    /// tails together where the column is about even, else of the thinner.
    fn tail(&self, point: &[f32]) -> f32 {
        let mut sum = 0.0_f64;
        for (x, (values, is_even)) in point.iter().zip(&self.tails) {
            let below = values.partition_point(|value| value <= x);
            let above = values.len() - values.partition_point(|value| value < x);
            let (left, right) = (self.shares[below], self.shares[above]);
            sum += if *is_even { left + right } else { left.max(right) };
        }
        (sum / self.width.max(1) as f64) as f32
    }

    fn of(&self, point: &[f32], neighbours: &Neighbours, at: usize) -> [f32; VIEWS] {
        let mean = |near: usize| {
            let (sum, n) =
                neighbours.of(at).take(near).fold((0.0, 0.0), |a, b| (a.0 + b.1, a.1 + 1.0));
            sum / f32::max(n, 1.0)
        };
        if self.width == 0 {
            return [mean(NEAR), mean(FAR), 0.0, 0.0, 0.0];
        }
        let mut scratch = Vec::with_capacity(self.width);
        let apart =
            self.covariance.as_ref().map_or(0.0, |c| c.squared_distance(point, &mut scratch));
        [mean(NEAR), mean(FAR), self.forest.score(point), apart as f32, self.tail(point)]
    }
}

/// What the sample taught about rows that are far.
pub(crate) struct Watch {
    rarity: Vec<Vec<f32>>,
    views: Views,
}

impl Watch {
    pub(crate) fn new(sample: &Sample, means: Means) -> Self {
        let rarity = rarity(&sample.space);
        let views = Views::new(&sample.space, &rarity, means.seed);
        Self { rarity, views }
    }

    /// The views of each point, [`VIEWS`] values a point.
    pub(crate) fn look(
        &self,
        space: &Space,
        neighbours: &Neighbours,
        threads: Threads,
    ) -> Vec<f32> {
        let pieces = threads.map_ranges(space.n, 512, |range| {
            let mut point = Vec::new();
            let mut out = Vec::with_capacity(range.len() * VIEWS);
            for at in range {
                numbers(space, &self.rarity, at, &mut point);
                out.extend(self.views.of(&point, neighbours, at));
            }
            out
        });
        pieces.concat()
    }
}

/// Score of each row, at least 0: about 1 is ordinary, beyond 4 is far. `all` are the views of all
/// rows, by whose own medians and spreads they are put on one scale.
pub(crate) fn scores(all: &[f32]) -> Vec<f32> {
    let scales = scales(all);
    all.chunks_exact(VIEWS).map(|views| combine(views, &scales)).collect()
}

/// Median and upper spread of each view.
fn scales(own: &[f32]) -> Vec<(f64, f64)> {
    let of = |view: usize| {
        let values = sorted(own.iter().skip(view).step_by(VIEWS).map(|x| f64::from(*x)));
        let middle = median(values.iter().copied());
        let upper = bartizan_stats::quantile::quantile(&values, 0.9);
        (middle, (upper - middle).max(1e-6))
    };
    (0..VIEWS).map(of).collect()
}

fn combine(views: &[f32], scales: &[(f64, f64)]) -> f32 {
    let mut sum = 0.0;
    for ((value, (middle, spread)), weight) in views.iter().zip(scales).zip(WEIGHTS) {
        let z = (f64::from(*value) - middle) / spread;
        sum += weight * z;
    }
    (sum / WEIGHTS.iter().sum::<f64>() + 1.0).max(0.0) as f32
}
