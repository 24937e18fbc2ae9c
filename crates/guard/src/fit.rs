//! A profile from a reference: rows that the model was trained on or has honestly seen.
//!
//! The rows are split once, by a seed: a half to fit ranges, centre and spread, a quarter to set
//! thresholds, a quarter to measure how often each channel flags rows that nothing was fitted to
//! (split conformal: V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a Random World*,
//! 2005). Deterministic.

mod kmeans;
mod similar;

use bartizan_core::{Contract, Digest, Tensor};
use bartizan_stats::chance::{Chance, scatter};
use bartizan_stats::covariance::Covariance;
use bartizan_stats::quantile::{quantile, sorted};

use crate::point::Point;
use crate::profile::{
    Column, FORMAT, OFF_STEP, Parts, Profile, ProfileError, Rates, Thresholds, WIDTH_MAX, width_of,
};

/// Fewest distinct rows by which thresholds are set; below, a profile says that it is not
/// calibrated.
pub const DISTINCT_MIN: usize = 80;
/// Part of honest rows that a threshold may flag.
const FLAGGED: f64 = 0.01;
/// Part of the rows, the closest together, that the centre and spread are taken from.
const ROBUST_SHARE: f64 = 0.75;
/// Part of the mean variance that is put on the diagonal.
const SHRINK: f64 = 0.01;
/// Steps that values may lie on.
const DECIMALS_MAX: i32 = 6;
/// Parts of a column's histogram.
const BINS: usize = 16;
/// How much wider than the reference a range may be made, in spans.
const MARGINS: [f64; 5] = [0.05, 0.1, 0.2, 0.4, 0.8];
/// Most rows that are fitted to; more are sampled.
pub(crate) const ROWS_MAX: usize = 20_000;

/// What a profile is made of.
#[derive(Debug)]
pub struct Reference<'a> {
    /// The model's inputs, in the contract's order.
    pub inputs: &'a [Tensor],
    /// What they keep to.
    pub contract: &'a Contract,
    /// Digest of the model's file.
    pub model: Digest,
    /// What the split is drawn from.
    pub seed: u64,
}

/// Makes a profile. Cost: rows x columns², at most 20,000 rows.
///
/// # Errors
/// [`ProfileError`] where the contract's rows have no fixed length, or the inputs are not its.
pub fn fit(reference: &Reference<'_>) -> Result<Profile, ProfileError> {
    let d = width_of(reference.contract)?;
    let n_rows = reference.inputs.first().map_or(0, Tensor::n_rows);
    let mut chance = Chance::new(reference.seed, 0);
    let mut order = chance.sample(n_rows, ROWS_MAX);
    chance.shuffle(&mut order);
    let mut point = Point::new(d);
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(order.len());
    for row_idx in order {
        if !point.read(reference.inputs, row_idx) {
            return Err(ProfileError::Broken("the inputs are not those of the contract"));
        }
        rows.push(point.raw.clone());
    }
    let distinct = distinct(&rows);
    let is_calibrated = DISTINCT_MIN <= distinct.len();
    let (n_fit, n_rest) = match is_calibrated {
        true => (distinct.len() / 2, distinct.len() / 4),
        false => (distinct.len(), 0),
    };
    let part = |from: usize, to: usize| -> Vec<&[f64]> {
        distinct[from..to].iter().map(|at| rows[*at].as_slice()).collect()
    };
    let split = Split {
        fit: part(0, n_fit),
        threshold: part(n_fit, n_fit + n_rest),
        rate: part(n_fit + n_rest, distinct.len().min(n_fit + 2 * n_rest)),
    };
    let mut profile = skeleton(reference, &rows, is_calibrated);
    profile.parts = Parts {
        n_rows: n_rows as u64,
        n_distinct: distinct.len() as u64,
        n_fit: split.fit.len() as u64,
        n_threshold: split.threshold.len() as u64,
        n_rate: split.rate.len() as u64,
    };
    ranges(&mut profile, &split);
    shape(&mut profile, &split);
    if is_calibrated {
        thresholds(&mut profile, &split);
        similar::calibrate(&mut profile, &split, &mut chance);
        rates(&mut profile, &split, &mut chance);
    }
    Ok(profile)
}

/// The parts of a reference.
struct Split<'a> {
    fit: Vec<&'a [f64]>,
    threshold: Vec<&'a [f64]>,
    rate: Vec<&'a [f64]>,
}

/// Positions of rows that no earlier row equals.
fn distinct(rows: &[Vec<f64>]) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    let print = |row: &[f64]| row.iter().fold(1, |hash, x| scatter(hash ^ x.to_bits()));
    (0..rows.len()).filter(|at| seen.insert(print(&rows[*at]))).collect()
}

fn skeleton(reference: &Reference<'_>, rows: &[Vec<f64>], is_calibrated: bool) -> Profile {
    let mut columns = Vec::new();
    for input in reference.contract.inputs() {
        let len = input.row_len().unwrap_or(0);
        for at in 0..usize::try_from(len).unwrap_or(0) {
            let is_text = input.datatype == bartizan_core::Datatype::Bytes;
            columns.push(column(input.column_name(at), is_text, rows, columns.len()));
        }
    }
    let is_folded = WIDTH_MAX < columns.len();
    let width = columns.len().min(WIDTH_MAX);
    Profile {
        format: FORMAT,
        model: reference.model,
        contract: reference.contract.digest(),
        is_calibrated,
        seed: reference.seed,
        parts: Parts::default(),
        columns,
        is_folded,
        extent: 1.0,
        centre: vec![0.0; width],
        mean: vec![0.0; width],
        deviation: vec![0.0; width],
        whitening: vec![0.0; width * (width + 1) / 2],
        centroids: Vec::new(),
        weights: vec![0; width],
        thresholds: Thresholds {
            mahalanobis: f64::MAX,
            centroid: u32::MAX,
            near: 0,
            shared: u32::MAX,
        },
        rates: Rates::default(),
    }
}

/// What the whole reference says about a column.
fn column(name: String, is_text: bool, rows: &[Vec<f64>], at: usize) -> Column {
    let values = sorted(rows.iter().map(|row| row[at]));
    let n_missing = rows.iter().filter(|row| row[at].is_nan()).count();
    let missing_rate = if rows.is_empty() { 0.0 } else { n_missing as f64 / rows.len() as f64 };
    let (first, last) = (values.first().copied(), values.last().copied());
    let (min, max) = (first.unwrap_or(0.0), last.unwrap_or(0.0));
    let (mut low, mut high) = match is_text {
        true => (0.0, 1.0),
        false if values.is_empty() => (0.0, 0.0),
        false => (quantile(&values, 0.005), quantile(&values, 0.995)),
    };
    if high <= low {
        (low, high) = (min, max);
    }
    if high <= low {
        // A constant column: a change by its own size is one span.
        high = low + low.abs().max(1.0);
    }
    let mut histogram = vec![0; BINS];
    for x in &values {
        let bin = ((x - low) / (high - low) * BINS as f64).clamp(0.0, BINS as f64 - 1.0);
        histogram[bin as usize] += 1;
    }
    let median = if values.is_empty() { low } else { quantile(&values, 0.5) };
    let (accept_low, accept_high) =
        if values.is_empty() { (f64::MIN, f64::MAX) } else { (min, max) };
    Column {
        name,
        is_text,
        accept_low,
        accept_high,
        low,
        high,
        median,
        step: None,
        missing_rate,
        histogram,
    }
}

/// Sets ranges and steps: by the rows to fit, just wide enough for those that set thresholds.
fn ranges(profile: &mut Profile, split: &Split<'_>) {
    let of_fit: Vec<(f64, f64)> = (0..profile.columns.len())
        .map(|at| {
            let values = split.fit.iter().map(|row| row[at]).filter(|x| !x.is_nan());
            values.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)))
        })
        .collect();
    let n_out = |margin: f64| {
        let out = |row: &&&[f64]| {
            profile.columns.iter().zip(&of_fit).zip(row.iter()).any(|((column, ends), x)| {
                let room = margin * (column.high - column.low);
                *x < ends.0 - room || ends.1 + room < *x
            })
        };
        split.threshold.iter().filter(out).count()
    };
    let bound = FLAGGED * split.threshold.len() as f64;
    let margin = MARGINS.into_iter().find(|margin| n_out(*margin) as f64 <= bound);
    let margin = margin.unwrap_or(MARGINS[MARGINS.len() - 1]);
    for (at, (column, ends)) in profile.columns.iter_mut().zip(&of_fit).enumerate() {
        if column.is_text || ends.1 < ends.0 {
            continue;
        }
        let room = margin * (column.high - column.low);
        (column.accept_low, column.accept_high) = (ends.0 - room, ends.1 + room);
        let all = split.fit.iter().chain(&split.threshold);
        column.step = step(all.map(|row| row[at]));
    }
}

/// The largest power of ten on whose multiples all values lie.
fn step(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    (0..=DECIMALS_MAX).find_map(|decimals| {
        let step = 1.0 / 10_f64.powi(decimals);
        let fits = |x: f64| {
            let steps = x / step;
            // An `f32` must be able to say the step with room to spare.
            steps.abs() * f64::from(f32::EPSILON) < OFF_STEP
                && (steps - steps.round()).abs() < 0.5 * OFF_STEP
                // What is much smaller than a step is near zero steps, and on none.
                && (x == 0.0 || steps.round() != 0.0)
        };
        let mut seen = values.clone().filter(|x| !x.is_nan()).peekable();
        (seen.peek().is_some() && seen.all(fits)).then_some(step)
    })
}

/// Points of rows, one after the other.
fn spots(profile: &Profile, rows: &[&[f64]]) -> Vec<f32> {
    let mut point = Point::new(profile.columns.len());
    let mut spots = Vec::with_capacity(rows.len() * profile.width());
    for row in rows {
        place(profile, row, &mut point);
        spots.extend_from_slice(&point.spot[..profile.width()]);
    }
    spots
}

fn place(profile: &Profile, row: &[f64], point: &mut Point) {
    point.raw.copy_from_slice(row);
    profile.place(point);
}

/// Sets where the rows lie and how they spread.
fn shape(profile: &mut Profile, split: &Split<'_>) {
    let width = profile.width();
    let points = spots(profile, &split.fit);
    if profile.is_folded {
        let extent = points.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        profile.extent = if 0.0 < extent { f64::from(extent) * 1.25 } else { 1.0 };
    }
    let n = split.fit.len().max(1) as f64;
    for at in 0..width {
        let clipped = || points.iter().skip(at).step_by(width).map(|x| f64::from(*x));
        let mean = clipped().sum::<f64>() / n;
        let variance = clipped().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        profile.mean[at] = mean as f32;
        profile.deviation[at] = variance.sqrt() as f32;
    }
    let Some(covariance) = Covariance::robust(&points, width, ROBUST_SHARE, SHRINK) else { return };
    let (centre, inverse) = covariance.whitening();
    profile.centre = centre.iter().map(|x| *x as f32).collect();
    profile.whitening = (0..width)
        .flat_map(|at| inverse[at * width..at * width + at + 1].iter().map(|x| *x as f32))
        .collect();
    if profile.whitening.iter().any(|x| !x.is_finite()) {
        profile.whitening.fill(0.0);
    }
    profile.centroids = kmeans::centroids(&bytes(profile, &split.fit), width, profile.seed);
}

/// Remembered bytes of rows, one after the other.
fn bytes(profile: &Profile, rows: &[&[f64]]) -> Vec<u8> {
    let mut point = Point::new(profile.columns.len());
    let mut all = Vec::with_capacity(rows.len() * profile.width());
    for row in rows {
        place(profile, row, &mut point);
        all.extend_from_slice(&point.bytes[..profile.width()]);
    }
    all
}

/// The value that at most [`FLAGGED`] of further scores exceed, by as many as there are: the
/// conformal quantile, and where that does not exist the largest.
fn conformal(scores: Vec<f64>) -> f64 {
    let scores = sorted(scores);
    let rank = ((scores.len() as f64 + 1.0) * (1.0 - FLAGGED)).ceil() as usize;
    let at = rank.min(scores.len()).saturating_sub(1);
    scores.get(at).copied().unwrap_or(f64::MAX)
}

fn thresholds(profile: &mut Profile, split: &Split<'_>) {
    let mut point = Point::new(profile.columns.len());
    let (mut mahalanobis, mut centroid) = (Vec::new(), Vec::new());
    for row in &split.threshold {
        place(profile, row, &mut point);
        mahalanobis.push(profile.mahalanobis(&point));
        centroid.push(f64::from(profile.centroid(&point)));
    }
    profile.thresholds.mahalanobis = conformal(mahalanobis);
    profile.thresholds.centroid = conformal(centroid) as u32;
}

fn rates(profile: &mut Profile, split: &Split<'_>, chance: &mut Chance) {
    let mut point = Point::new(profile.columns.len());
    let mut counts = [0_u32; 5];
    for row in &split.rate {
        place(profile, row, &mut point);
        let far = profile.is_far(&point);
        let flags = [0 < point.n_range, 0 < point.n_step, 0 < point.n_missing, far];
        let any = flags.iter().any(|flag| *flag);
        for (count, flag) in counts.iter_mut().zip(flags.into_iter().chain([any])) {
            *count += u32::from(flag);
        }
    }
    let n = split.rate.len().max(1) as f64;
    let [range, step, missing, distance, odd] = counts.map(|count| f64::from(count) / n);
    let (near, line, similar) = similar::rates(profile, split, chance);
    profile.rates = Rates { range, step, missing, distance, odd, near, line, similar };
}

#[cfg(test)]
mod tests;
