//! What is known of a model's honest rows: made once from a reference, bound to one model and
//! one contract, digested, and never changed.
//!
//! Invariants
//! - P1: a profile that was read is whole: lengths fit each other and every number is finite;
//! - P2: it judges no other model and no other contract than those it was made for.

use bartizan_core::{Contract, Digest};
use bartizan_stats::chance::scatter;
use bartizan_stats::sum::dot_f32;
use serde::{Deserialize, Serialize};

use crate::index::apart;
use crate::point::Point;

/// Format of the file: 1.
pub(crate) const FORMAT: u32 = 1;
/// Most columns of a row; beyond it a model is not profiled.
pub(crate) const COLUMNS_MAX: usize = 65_536;
/// Bytes that a row is remembered by, at most: wider rows are folded (a count sketch: M. Charikar,
/// K. Chen, M. Farach-Colton, *Finding Frequent Items in Data Streams*, 2002), which keeps
/// distances in the mean.
pub const WIDTH_MAX: usize = 64;
/// Longest profile, in bytes.
pub const PROFILE_BYTES_MAX: u64 = 64 << 20;
/// Steps of a remembered byte in the span of the reference, which lies at 42 to 212.
const STEPS: f64 = 170.0;
/// How far, in spans, a value may lie off and still be told apart.
const FAR: f64 = 8.0;

/// What is known of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name, as findings call it.
    pub name: String,
    /// Whether its values are texts, of which only equality is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_text: bool,
    /// Smallest value that is not odd.
    pub accept_low: f64,
    /// Largest value that is not odd.
    pub accept_high: f64,
    /// Where the span begins that distances are measured by: the 0.5 % quantile.
    pub low: f64,
    /// Where it ends: the 99.5 % quantile.
    pub high: f64,
    /// What stands for a missing value: the median.
    pub median: f64,
    /// Step on which all values of the reference lie; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Part of the reference in which it is missing.
    pub missing_rate: f64,
    /// Sixteen-part histogram of the reference over the span, as counts.
    pub histogram: Vec<u32>,
}

/// Beyond which values a row is flagged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Squared robust Mahalanobis distance.
    pub mahalanobis: f64,
    /// Squared distance to the nearest centroid, in byte steps.
    pub centroid: u32,
    /// Squared distance at which two rows are near, in byte steps; 0 where similarity says
    /// nothing because honest rows repeat.
    pub near: u32,
    /// Surprise of equal values at which two rows are near, in 1/64 nat.
    pub shared: u32,
}

/// How often each channel flags honest rows, measured on rows that nothing was fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// A value beyond its range.
    pub range: f64,
    /// A value off its step.
    pub step: f64,
    /// A value missing that never is.
    pub missing: f64,
    /// Mahalanobis or centroid distance.
    pub distance: f64,
    /// Any of these.
    pub odd: f64,
    /// Near another row of the same caller.
    pub near: f64,
    /// On the line between two of them.
    pub line: f64,
    /// Near or on the line.
    pub similar: f64,
}

/// Sizes of the parts that a reference was split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Rows of the reference.
    pub n_rows: u64,
    /// Of these without exact repetitions.
    pub n_distinct: u64,
    /// What ranges, centre and spread were fitted to.
    pub n_fit: u64,
    /// What thresholds were set by.
    pub n_threshold: u64,
    /// What rates were measured on.
    pub n_rate: u64,
}

/// A profile; see the module invariants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Version of the format of profiles.
    pub format: u32,
    /// Digest of the model's file.
    pub model: Digest,
    /// Digest of the contract's file.
    pub contract: Digest,
    /// Whether thresholds and rates could be set: not by too few rows.
    pub is_calibrated: bool,
    /// What the split was drawn from.
    pub seed: u64,
    /// The parts.
    pub parts: Parts,
    /// The columns of a row, inputs in the contract's order.
    pub columns: Vec<Column>,
    /// Whether rows are folded into fewer numbers.
    pub is_folded: bool,
    /// Largest number of a folded row in the reference; 1 where rows are not folded.
    pub extent: f64,
    /// Robust centre of the rows' points.
    pub centre: Vec<f32>,
    /// Mean of the points, for drift.
    pub mean: Vec<f32>,
    /// Standard deviation of the points, for drift.
    pub deviation: Vec<f32>,
    /// Lower triangle that makes offsets from the centre round, row by row.
    pub whitening: Vec<f32>,
    /// Centroids of the reference, one after the other.
    pub centroids: Vec<u8>,
    /// Surprise of equal values in each place, in 1/64 nat.
    pub weights: Vec<u16>,
    /// Thresholds.
    pub thresholds: Thresholds,
    /// Rates.
    pub rates: Rates,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is no JSON of this shape.
    #[error("the profile does not read; make it anew with `bartizan guard fit`")]
    Syntax(#[source] serde_json::Error),
    /// P1 is broken, or it is of another release.
    #[error(
        "the profile is damaged or of another release: {0}; make it anew with `bartizan guard fit`"
    )]
    Broken(&'static str),
    /// P2 is broken.
    #[error(
        "the profile is of {what} {found}, not {expected}; fit one for this {what} with `bartizan guard fit`"
    )]
    Other {
        /// `model` or `contract`.
        what: &'static str,
        /// Whose it is.
        found: Digest,
        /// Whose it should be.
        expected: Digest,
    },
    /// The contract leaves open how long a row is.
    #[error("input `{0}` has rows of no fixed length, which cannot be profiled")]
    Open(String),
    /// Too many columns.
    #[error("a row has {found} values, the limit of a profile is {COLUMNS_MAX}")]
    Wide {
        /// How many.
        found: u64,
    },
}

/// Numbers of one row that the contract describes.
pub(crate) fn width_of(contract: &Contract) -> Result<usize, ProfileError> {
    let mut sum = 0_u64;
    for input in contract.inputs() {
        let len = input.row_len().ok_or_else(|| ProfileError::Open(input.name.clone()))?;
        sum = sum.saturating_add(len);
    }
    match usize::try_from(sum) {
        Ok(width) if 0 < width && width <= COLUMNS_MAX => Ok(width),
        Ok(_) | Err(_) => Err(ProfileError::Wide { found: sum }),
    }
}

impl Profile {
    /// Reads a profile; see P1.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn read(bytes: &[u8]) -> Result<Self, ProfileError> {
        let profile: Self = serde_json::from_slice(bytes).map_err(ProfileError::Syntax)?;
        profile.check()?;
        Ok(profile)
    }

    /// Its bytes, as they are kept and digested.
    ///
    /// # Errors
    /// None but by a number that JSON has not, which P1 excludes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProfileError> {
        let mut bytes = serde_json::to_vec(self).map_err(ProfileError::Syntax)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether it may judge this model under this contract; see P2.
    ///
    /// # Errors
    /// [`ProfileError::Other`] and what the contract's own shape forbids.
    pub fn check_binds(&self, model: Digest, contract: &Contract) -> Result<(), ProfileError> {
        for (what, found, expected) in
            [("model", self.model, model), ("contract", self.contract, contract.digest())]
        {
            if found != expected {
                return Err(ProfileError::Other { what, found, expected });
            }
        }
        if width_of(contract)? != self.columns.len() {
            return Err(ProfileError::Broken("it has not as many columns as the contract"));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ProfileError> {
        let broken = |what| Err(ProfileError::Broken(what));
        let width = self.width();
        let n_triangle = width * (width + 1) / 2;
        if self.format != FORMAT {
            return broken("its format is not 1");
        }
        if self.columns.is_empty() || COLUMNS_MAX < self.columns.len() {
            return broken("it has no columns, or too many");
        }
        if self.is_folded != (WIDTH_MAX < self.columns.len()) {
            return broken("it is folded and should not be, or the reverse");
        }
        let points = [&self.centre, &self.mean, &self.deviation];
        if points.iter().any(|point| point.len() != width) || self.weights.len() != width {
            return broken("a list has another length");
        }
        if self.whitening.len() != n_triangle || !self.centroids.len().is_multiple_of(width) {
            return broken("a matrix has another size");
        }
        let finite = |list: &[f32]| list.iter().all(|x| x.is_finite());
        if !points.iter().all(|point| finite(point)) || !finite(&self.whitening) {
            return broken("a number is not finite");
        }
        let fine = |column: &Column| {
            let ends = [column.accept_low, column.accept_high, column.low, column.high];
            ends.iter().all(|x| x.is_finite())
                && column.median.is_finite()
                && column.low < column.high
                && column.step.is_none_or(|step| 0.0 < step && step.is_finite())
                && 0.0 <= column.missing_rate
                && column.missing_rate <= 1.0
        };
        if !self.columns.iter().all(fine) {
            return broken("a column is none");
        }
        let has_extent = 0.0 < self.extent && self.extent.is_finite();
        if !has_extent {
            return broken("its extent is none");
        }
        let Rates { range, step, missing, distance, odd, near, line, similar } = self.rates;
        let rates = [range, step, missing, distance, odd, near, line, similar];
        if rates.iter().any(|rate| !(0.0 <= *rate && *rate <= 1.0)) {
            return broken("a rate is none");
        }
        Ok(())
    }

    /// Bytes that a row is remembered by.
    pub fn width(&self) -> usize {
        self.columns.len().min(WIDTH_MAX)
    }

    /// Distance at which two rows are near, in byte steps.
    pub(crate) fn near_distance(&self) -> f32 {
        (self.thresholds.near as f32).sqrt()
    }

    /// Fills in what follows from `point.raw`: the point, the bytes, what is odd about the values.
    pub(crate) fn place(&self, point: &mut Point) {
        point.n_range = 0;
        point.n_step = 0;
        point.n_missing = 0;
        point.first_odd = None;
        let width = self.width();
        point.spot[..width].fill(0.0);
        let mut print = 0x5eed;
        for (at, column) in self.columns.iter().enumerate() {
            let mut x = point.raw[at];
            print = scatter(print ^ if x.is_nan() { u64::MAX } else { (x + 0.0).to_bits() });
            let odd_before = point.n_range + point.n_step + point.n_missing;
            if x.is_nan() {
                point.n_missing += u32::from(column.missing_rate == 0.0);
                x = column.median;
            } else if !column.is_text {
                let out = x < column.accept_low || column.accept_high < x;
                point.n_range += u32::from(out);
                if let Some(step) = column.step {
                    let steps = x / step;
                    point.n_step += u32::from(OFF_STEP < (steps - steps.round()).abs());
                }
            }
            if point.first_odd.is_none()
                && odd_before < point.n_range + point.n_step + point.n_missing
            {
                point.first_odd = Some(at as u32);
            }
            let z = (x - column.low) / (column.high - column.low);
            let z = z.clamp(-FAR, FAR);
            if self.is_folded {
                let hash = scatter(at as u64 ^ 0xf01d);
                let place = (hash % WIDTH_MAX as u64) as usize;
                let centred = z - 0.5;
                point.spot[place] += if hash >> 63 == 0 { centred } else { -centred } as f32;
            } else if column.is_text {
                point.bytes[at] = (z * 255.0) as u8;
            } else {
                point.spot[at] = z as f32;
                point.bytes[at] = ((z.clamp(-0.25, 1.25) + 0.25) * STEPS) as u8;
            }
        }
        if self.is_folded {
            for at in 0..width {
                let x = f64::from(point.spot[at]) / self.extent;
                point.bytes[at] = (x.clamp(-1.0, 1.0) * 127.5 + 127.5) as u8;
            }
        }
        point.print = print as u32;
    }

    /// Squared robust Mahalanobis distance. Order of sums: each row of the triangle by
    /// `dot_f32`, then rows in order.
    pub(crate) fn mahalanobis(&self, point: &Point) -> f64 {
        let width = self.width();
        let mut offset = [0.0_f32; WIDTH_MAX];
        for ((o, x), c) in offset.iter_mut().zip(&point.spot).zip(&self.centre) {
            *o = x - c;
        }
        let mut start = 0;
        let mut sum = 0.0_f64;
        for at in 0..width {
            let z = dot_f32(&self.whitening[start..start + at + 1], &offset[..at + 1]);
            start += at + 1;
            sum += f64::from(z) * f64::from(z);
        }
        sum
    }

    /// Squared distance to the nearest centroid, in byte steps; 0 without centroids.
    pub(crate) fn centroid(&self, point: &Point) -> u32 {
        let width = self.width();
        let distances = self.centroids.chunks_exact(width).map(|c| apart(c, &point.bytes[..width]));
        distances.min().unwrap_or(0)
    }

    /// Whether a point lies farther off than honest rows do.
    pub(crate) fn is_far(&self, point: &Point) -> bool {
        self.thresholds.centroid < self.centroid(point)
            || self.thresholds.mahalanobis < self.mahalanobis(point)
    }
}

/// How far, in steps, a value may lie off its step; `fit` takes no step for which the rounding
/// of an `f32` comes near it.
pub(crate) const OFF_STEP: f64 = 0.1;
