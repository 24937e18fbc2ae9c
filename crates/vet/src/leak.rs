//! Rows that stand in the baseline too: test rows that were trained on.

use std::collections::HashSet;

use bartizan_stats::quantile::median;
use bartizan_stats::tail::binomial_z;

use crate::knn::{Skip, nearest};
use crate::parallel::Threads;
use crate::sample::{Graph, Means, Sample};
use crate::table::Table;

/// Nearer than this share of the median distance within the baseline is a copy.
const COPY: f32 = 0.05;
/// Least z by which copies must exceed natural twins.
const Z_MIN: f64 = 6.0;

/// What was found.
pub(crate) struct Leak {
    /// Nearness to the baseline; 1 for an exact copy.
    pub(crate) scores: Vec<f32>,
    /// Copies, if there are more than the baseline has twins of its own.
    pub(crate) copies: Vec<u32>,
    /// By how many deviations.
    pub(crate) z: f64,
}

/// Compares `table` with a baseline that was brought into `base_sample` and `base_graph`.
pub(crate) fn find(
    table: &Table,
    baseline: &Table,
    base: &Sample,
    graph: &Graph,
    means: Means,
) -> Leak {
    let known: HashSet<u128> = baseline.hashes.iter().copied().collect();
    let rows: Vec<u32> = (0..table.n_rows as u32).collect();
    let usual = median(
        (0..base.rows.len())
            .filter_map(|at| graph.neighbours.of(at).next())
            .map(|(_, distance)| f64::from(distance)),
    );
    let usual = if usual.is_finite() && 1e-6 < usual { usual as f32 } else { 1e-6 };
    let pieces = means.threads.map_ranges(rows.len(), crate::sample::PIECE, |range| {
        let rows = &rows[range];
        let space = base.scales.map(table, rows);
        let near = nearest(&graph.space, &space, &Skip::Nothing, 1, Threads::new(1));
        let of = |at: usize| near.of(at).next().map_or(f32::INFINITY, |(_, distance)| distance);
        (0..rows.len()).map(of).collect::<Vec<f32>>()
    });
    let distances: Vec<f32> = pieces.into_iter().flatten().collect();
    let is_known = |row: usize| table.hashes.get(row).is_some_and(|hash| known.contains(hash));
    let score = |(row, distance): (usize, &f32)| {
        if is_known(row) { 1.0 } else { 0.99 / (1.0 + 10.0 * distance / usual) }
    };
    let scores = distances.iter().enumerate().map(score).collect();
    let copies: Vec<u32> = (0..table.n_rows)
        .filter(|row| is_known(*row) || distances[*row] < COPY * usual)
        .map(|row| row as u32)
        .collect();
    let twins = twins(base, graph, usual);
    let z = binomial_z(copies.len() as f64, table.n_rows as f64, twins);
    let copies = if Z_MIN <= z { copies } else { Vec::new() };
    Leak { scores, copies, z }
}

/// Share of the baseline's rows that have a copy in it.
fn twins(base: &Sample, graph: &Graph, usual: f32) -> f64 {
    let n = base.rows.len();
    let is_twin = |at: &usize| {
        graph.neighbours.of(*at).next().is_some_and(|(_, distance)| distance < COPY * usual)
    };
    (0..n).filter(is_twin).count() as f64 / n.max(1) as f64
}
