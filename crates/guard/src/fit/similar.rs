//! When two rows are near: thresholds and rates by pairs of honest rows.

use bartizan_stats::chance::Chance;
use bartizan_stats::ln::ln;
use bartizan_stats::quantile::{quantile, sorted};

use super::{Split, bytes};
use crate::index::{apart, shared_weight};
use crate::profile::Profile;
use crate::recent::{RECENT, WINDOW, is_between};

/// Most rows whose pairs are looked at.
const PAIR_ROWS_MAX: usize = 1_500;
/// Part of honest rows that may have a near one in the window.
const FLAGGED: f64 = 0.01;
/// How much closer than that is near.
const CLOSER: f64 = 0.75;
/// How much more surprising than the 99 % quantile of honest rows.
const MORE: f64 = 1.1;
/// Largest surprise of one equal value, in nats.
const NATS_MAX: f64 = 8.0;

/// Sets the thresholds of `near` and `shared`, and the weights.
pub(super) fn calibrate(profile: &mut Profile, split: &Split<'_>, chance: &mut Chance) {
    let width = profile.width();
    let rows: Vec<&[f64]> = split.fit.iter().chain(&split.threshold).copied().collect();
    let all = bytes(profile, &rows[..rows.len().min(PAIR_ROWS_MAX)]);
    let all: Vec<&[u8]> = all.chunks_exact(width).collect();
    let mut pairs = Vec::with_capacity(all.len() * all.len() / 2);
    for (at, a) in all.iter().enumerate() {
        pairs.extend(all[..at].iter().map(|b| f64::from(apart(a, b))));
    }
    // Of so many rows in the window, at most `FLAGGED` in the mean lie within this.
    let near = quantile(&sorted(pairs), FLAGGED / f64::from(WINDOW));
    profile.thresholds.near = (near * CLOSER * CLOSER) as u32;
    let n = all.len().max(1) as f64;
    for at in 0..width {
        let mut counts = [0_u32; 256];
        all.iter().for_each(|row| counts[row[at] as usize] += 1);
        let equal: f64 = counts.iter().map(|count| (f64::from(*count) / n).powi(2)).sum();
        let nats = (-ln(equal.max(f64::MIN_POSITIVE))).clamp(0.0, NATS_MAX);
        profile.weights[at] = (nats * 64.0) as u16;
    }
    let fit = bytes(profile, &split.fit);
    let fit: Vec<&[u8]> = fit.chunks_exact(width).collect();
    let threshold = bytes(profile, &split.threshold);
    let scores = threshold.chunks_exact(width).map(|row| {
        let drawn = (0..RECENT).map(|_| fit[chance.below(fit.len())]);
        let most = drawn.map(|other| shared_weight(row, other, &profile.weights)).max();
        f64::from(most.unwrap_or(0))
    });
    let score = quantile(&sorted(scores), 1.0 - FLAGGED);
    let total: u32 = profile.weights.iter().map(|weight| u32::from(*weight)).sum();
    // Where honest rows share nearly all they can, sharing says nothing.
    let score = (score * MORE) as u32;
    profile.thresholds.shared = if total <= score { u32::MAX } else { score };
}

/// How often honest rows are near others, on the line between two, or either.
pub(super) fn rates(profile: &Profile, split: &Split<'_>, chance: &mut Chance) -> (f64, f64, f64) {
    let width = profile.width();
    let fit = bytes(profile, &split.fit);
    let fit: Vec<&[u8]> = fit.chunks_exact(width).collect();
    let rate = bytes(profile, &split.rate);
    let (mut n_near, mut n_line, mut n_similar) = (0_u32, 0_u32, 0_u32);
    for row in rate.chunks_exact(width) {
        let drawn: Vec<&[u8]> = (0..RECENT).map(|_| fit[chance.below(fit.len())]).collect();
        let is_near = drawn.iter().any(|other| {
            apart(row, other) <= profile.thresholds.near && 0 < profile.thresholds.near
                || profile.thresholds.shared < shared_weight(row, other, &profile.weights)
        });
        let last = drawn[0];
        let gap = |a: &[u8], b: &[u8]| (apart(a, b) as f32).sqrt();
        let near = (profile.thresholds.near as f32).sqrt();
        let is_line = drawn[1..]
            .iter()
            .any(|other| is_between(gap(row, last), gap(row, other), gap(last, other), near));
        n_near += u32::from(is_near);
        n_line += u32::from(is_line);
        n_similar += u32::from(is_near || is_line);
    }
    let n = split.rate.len().max(1) as f64;
    (f64::from(n_near) / n, f64::from(n_line) / n, f64::from(n_similar) / n)
}
