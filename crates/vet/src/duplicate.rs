//! Copies of rows: exact ones, near ones, and floods of them.
//!
//! A flood is a crowd far denser than what surrounds it: many rows within a small radius, few in
//! the ring around. Natural twins (a census is full of them) lie in slopes of density and are no
//! islands.

use std::collections::HashMap;

use bartizan_stats::ln::ln;
use bartizan_stats::quantile::median;

use crate::sample::{Graph, Sample};
use crate::space::{MISMATCH, TEXT};
use crate::table::{Feature, Kind, Table};

/// Near means nearer than this share of the median distance to the 10th neighbour.
const NEAR_SHARE: f32 = 0.3;
/// The same among vectors, whose distances to strangers hardly differ.
const NEAR_SHARE_VECTORS: f32 = 0.5;
/// A flood is at least this share of the rows.
const FLOOD_SHARE_MIN: f64 = 0.004;
/// The ring around a crowd reaches this many times as far.
const RING: f32 = 3.0;
const RING_VECTORS: f32 = 1.5;
/// Neighbour whose median distance is the measure.
const MEASURE: usize = 10;
/// Cosine of two texts from which on they are near, and from which on they are in the ring.
const TEXT_NEAR: f32 = 0.5;
const TEXT_RING: f32 = 0.25;
/// Least share of a flood that is near each of its rows.
const ROUND_MIN: f32 = 0.35;
/// Rows from which on a crowd may be a flood.
pub(crate) const FLOOD_MIN: usize = 8;

/// What was found; one value a row of the table.
pub(crate) struct Copies {
    pub(crate) scores: Vec<f32>,
    /// Rows equal to this one but for label and source, itself included.
    pub(crate) n_equal: Vec<u32>,
    /// Crowds that are islands, largest first: rows of the table.
    pub(crate) floods: Vec<Vec<u32>>,
    /// Rows equal to another with another label.
    pub(crate) contradictions: Vec<u32>,
}

/// Size of each row's group of equal rows.
fn equal(table: &Table) -> (Vec<u32>, Vec<u32>) {
    let mut groups: HashMap<u128, (u32, u32, bool)> = HashMap::new();
    let class = |row: usize| table.label.as_ref().map_or(0, |label| label.codes[row]);
    for (row, hash) in table.hashes.iter().enumerate() {
        let group = groups.entry(*hash).or_insert((0, class(row), false));
        group.0 += 1;
        group.2 |= group.1 != class(row);
    }
    let of = |hash: &u128| groups.get(hash).copied().unwrap_or((1, 0, false));
    let sizes = table.hashes.iter().map(|hash| of(hash).0).collect();
    let contradictions =
        (0..table.n_rows as u32).filter(|row| of(&table.hashes[*row as usize]).2).collect();
    (sizes, contradictions)
}

/// Looks for copies.
pub(crate) fn find(table: &Table, sample: &Sample, graph: &Graph) -> Copies {
    let (n_equal, contradictions) = equal(table);
    let n = sample.rows.len();
    let (near, ring) = radii(table, sample, graph);
    let mut parents: Vec<u32> = (0..n as u32).collect();
    let mut inside = vec![0.0_f32; n];
    let mut around = vec![0.0_f32; n];
    for at in 0..n {
        for (other, distance) in graph.neighbours.of(at) {
            if distance <= near {
                inside[at] += 1.0;
                join(&mut parents, at as u32, graph.references[other]);
            } else if distance <= ring {
                around[at] += 1.0;
            }
        }
    }
    let roots: Vec<u32> = (0..n as u32).map(|at| root(&mut parents, at)).collect();
    let mut crowds: HashMap<u32, Vec<u32>> = HashMap::new();
    for (at, root) in roots.iter().enumerate() {
        crowds.entry(*root).or_default().push(at as u32);
    }
    let mut scores = vec![0.0_f32; table.n_rows];
    for (row, count) in n_equal.iter().enumerate() {
        scores[row] = 0.05 * ln(f64::from(*count)) as f32;
    }
    let mut floods = Vec::new();
    let flood_min = FLOOD_MIN.max((FLOOD_SHARE_MIN * n as f64) as usize);
    for crowd in crowds.values().filter(|crowd| 2 <= crowd.len()) {
        let ringed: f32 = crowd.iter().map(|at| around[*at as usize]).sum();
        let held: f32 = crowd.iter().map(|at| inside[*at as usize]).sum();
        let island = held / (held + 2.0 * ringed).max(1.0);
        let purity = purity(table, sample, crowd);
        let size = crowd.len() as f64;
        // A crowd is round: most of it is near each of it. A chain of twins is not.
        let reach = (crowd.len() - 1).min(graph.neighbours.k) as f32;
        let roundness = held / (size as f32 * reach);
        let score = (ln(size) as f32) * island * purity;
        for at in crowd {
            // Those in the middle before those at the rim.
            let own = inside[*at as usize] / (size as f32 - 1.0).min(graph.neighbours.k as f32);
            let score = score * (0.8 + 0.2 * own.min(1.0));
            let kept = &mut scores[sample.rows[*at as usize] as usize];
            *kept = kept.max(score);
        }
        if (flood_min..=n / 2).contains(&crowd.len())
            && 0.6 <= island
            && ROUND_MIN <= roundness
            && 0.9 <= purity
        {
            floods.push(crowd.iter().map(|at| sample.rows[*at as usize]).collect());
        }
    }
    floods.sort_by_key(|flood: &Vec<u32>| (usize::MAX - flood.len(), flood[0]));
    Copies { scores, n_equal, floods, contradictions }
}

/// Share of the commonest label.
fn purity(table: &Table, sample: &Sample, crowd: &[u32]) -> f32 {
    let Some(label) = &table.label else { return 1.0 };
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for at in crowd {
        *counts.entry(label.codes[sample.rows[*at as usize] as usize]).or_default() += 1;
    }
    counts.values().max().map_or(1.0, |most| *most as f32 / crowd.len() as f32)
}

/// Largest distance of near rows and of the ring around them.
fn radii(table: &Table, sample: &Sample, graph: &Graph) -> (f32, f32) {
    if sample.space.text.is_some() {
        let distance = |cosine: f32| (TEXT * (2.0 - 2.0 * cosine)).sqrt();
        return (distance(TEXT_NEAR), distance(TEXT_RING));
    }
    let tenth = (0..sample.rows.len())
        .filter_map(|at| graph.neighbours.of(at).nth(MEASURE - 1))
        .map(|(_, distance)| f64::from(distance));
    let measure = median(tenth);
    let is_vector = |f: &Feature| matches!(f.kind, Kind::Vector { .. });
    if table.features.iter().any(is_vector) {
        let near = if measure.is_finite() { NEAR_SHARE_VECTORS * measure as f32 } else { 0.0 };
        return (near, RING_VECTORS * near);
    }
    let near = if measure.is_finite() { NEAR_SHARE * measure as f32 } else { 0.0 };
    let ring = if sample.space.c == 0 { RING * near } else { (RING * near).min(MISMATCH * 0.99) };
    (near.min(ring), ring)
}

fn root(parents: &mut [u32], mut at: u32) -> u32 {
    while parents[at as usize] != at {
        parents[at as usize] = parents[parents[at as usize] as usize];
        at = parents[at as usize];
    }
    at
}

fn join(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parents, a), root(parents, b));
    // The smaller is the root, whatever the order of joining.
    parents[a.max(b) as usize] = a.min(b);
}
