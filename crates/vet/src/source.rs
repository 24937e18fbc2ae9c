//! A contributor whose labels are wrong more often than the others'.
//!
//! With parts split by source no source teaches its own check. A source's share of contradicted
//! labels is compared with the median of all sources; its excess becomes the prior of each of its
//! rows, which with the row's own probability gives a posterior.

use bartizan_stats::quantile::median;
use bartizan_stats::tail::binomial_z;

use crate::label::Judged;
use crate::table::{Coded, Table};

/// Fewest rows of a source that is tested.
const ROWS_MIN: usize = 20;
/// Least z of a source that is reported: with Holm's step over at most 1,000 sources still below
/// one in a million.
pub(crate) const Z_MIN: f64 = 6.0;
/// Least excess share of contradicted labels.
const EXCESS_MIN: f64 = 0.03;

/// One source.
#[derive(Clone, Debug)]
pub struct SourceFacts {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub n_rows: usize,
    /// Share of its labels that the judges contradict.
    pub error_share: f64,
    /// The same of the median source.
    pub usual_share: f64,
    /// How many deviations that is apart.
    pub label_z: f64,
    /// Largest deviation of its columns from the other sources' (see `shift`).
    pub shift_z: f64,
    /// The column that deviates most.
    pub shift_column: Option<String>,
}

impl SourceFacts {
    /// How suspect it is altogether, in deviations.
    pub fn suspicion(&self) -> f64 {
        self.label_z.max(3.0 * self.shift_z)
    }

    /// Whether its labels are bad.
    pub fn is_bad(&self) -> bool {
        Z_MIN <= self.label_z && EXCESS_MIN <= self.error_share - self.usual_share
    }
}

/// Facts of each source, in order of name, and a score a row.
pub(crate) fn find(
    table: &Table,
    source: &Coded,
    judged: Option<&Judged>,
) -> (Vec<SourceFacts>, Vec<f32>) {
    let n = source.names.len();
    let mut scores = vec![0.0_f32; table.n_rows];
    let counts = source.counts();
    let mut facts: Vec<SourceFacts> = (0..n)
        .map(|at| SourceFacts {
            name: source.names[at].clone(),
            n_rows: counts[at],
            error_share: 0.0,
            usual_share: 0.0,
            label_z: 0.0,
            shift_z: 0.0,
            shift_column: None,
        })
        .collect();
    let (Some(judged), Some(label)) = (judged, &table.label) else { return (facts, scores) };
    let given = |row: usize| {
        label.codes.get(row).and_then(|code| judged.row(row).get(*code as usize)).copied()
    };
    for row in 0..table.n_rows {
        let Some(facts) = facts.get_mut(source.codes[row] as usize) else { continue };
        let probs = judged.row(row);
        let is_contradicted = given(row).is_some_and(|p| probs.iter().any(|q| p < *q));
        facts.error_share += f64::from(u8::from(is_contradicted)) / facts.n_rows.max(1) as f64;
    }
    let tested = |facts: &&SourceFacts| ROWS_MIN <= facts.n_rows;
    let usual = median(facts.iter().filter(tested).map(|facts| facts.error_share));
    for facts in facts.iter_mut().filter(|facts| ROWS_MIN <= facts.n_rows) {
        facts.usual_share = usual;
        let n = facts.n_rows as f64;
        facts.label_z = binomial_z(facts.error_share * n, n, usual);
    }
    let most = facts.iter().map(|facts| facts.label_z).fold(1.0, f64::max);
    for (row, score) in scores.iter_mut().enumerate() {
        let (Some(facts), Some(p)) = (facts.get(source.codes[row] as usize), given(row)) else {
            continue;
        };
        let excess = if facts.label_z < 3.0 { 0.0 } else { facts.error_share - facts.usual_share };
        let share = (1.5 * excess).clamp(0.002, 0.9) as f32;
        let (wrong, right) = (share * (1.0 - p), (1.0 - share) * p);
        let posterior = wrong / (wrong + right).max(1e-9);
        *score = posterior + 0.01 * (facts.label_z.max(0.0) / most) as f32;
    }
    (facts, scores)
}
