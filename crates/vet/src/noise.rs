//! Whether a data set has planted labels at all, before any row is blamed.
//!
//! Natural errors fade where the judges are sure; planted flips do not. So among the surest rows
//! of each predicted class the share of every other label is a floor: its lower bound is tested,
//! pair by pair.

use bartizan_stats::tail::normal_upper;

use crate::label::Judged;
use crate::table::Coded;

/// Share of the rows of a predicted class that are its surest.
const SUREST: f64 = 0.4;
/// Share of foreign labels among the surest rows that is still natural.
const NATURAL: f64 = 0.012;
/// Fewest foreign labels among the surest rows.
const COUNT_MIN: usize = 4;

/// Labels of one class that stand on rows of another.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What the judges see.
    pub from: usize,
    /// What the label says.
    pub to: usize,
    /// Share of `to` among the surest rows of `from`.
    pub share: f64,
    /// Rows whose label is to be looked at, worst first.
    pub rows: Vec<u32>,
    /// Chance of so many by nature.
    pub p_value: f64,
}

/// Suspected pairs, and the number of tests made.
pub(crate) fn pairs(judged: &Judged, label: &Coded) -> (Vec<Pair>, usize) {
    let k = judged.n_classes;
    let mut by_class: Vec<Vec<(f32, u32)>> = vec![Vec::new(); k];
    for row in 0..label.codes.len() {
        let probs = judged.row(row);
        let Some(top) = (0..k).reduce(|a, b| if probs[a] < probs[b] { b } else { a }) else {
            continue;
        };
        by_class[top].push((probs[top], row as u32));
    }
    let (mut pairs, mut n_tests) = (Vec::new(), 0);
    for (from, rows) in by_class.iter_mut().enumerate() {
        rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let surest = ((rows.len() as f64 * SUREST) as usize).min(rows.len());
        for to in (0..k).filter(|to| *to != from) {
            n_tests += 1;
            let is_to = |(_, row): &&(f32, u32)| label.codes[*row as usize] as usize == to;
            let hits = rows[..surest].iter().filter(is_to).count();
            let n = surest as f64;
            let expected = NATURAL * n / (k as f64 - 1.0).max(1.0);
            let z = (hits as f64 - 0.5 - expected) / (expected + 0.25).sqrt();
            let p_value = normal_upper(z);
            if COUNT_MIN <= hits && p_value < 1e-4 {
                let share = hits as f64 / n;
                // As many as the floor says, of those that are surest to be foreign.
                let wanted = (share * rows.len() as f64) as usize;
                let rows = rows.iter().filter(is_to).map(|(_, row)| *row).take(wanted).collect();
                pairs.push(Pair { from, to, share, rows, p_value });
            }
        }
    }
    (pairs, n_tests)
}
