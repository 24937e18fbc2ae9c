//! Whether a data set has planted labels at all, before any row is blamed.
//!
//! Natural errors fade where the judges are sure; planted flips do not. So among the surest rows
//! the share of foreign labels is a floor. It is tested against what nature leaves there and
//! against what the judges, who have learnt from the same labels, expect: over all classes, and
//! from one class to one other.

use bartizan_stats::tail::normal_upper;

use crate::label::Judged;
use crate::table::Coded;

/// Share of the rows of a predicted class that are its surest.
const SUREST: f64 = 0.2;
/// Share of foreign labels among the surest rows that is still natural.
const NATURAL: f64 = 0.01;
/// Fewest foreign labels among the surest rows.
const COUNT_MIN: f64 = 4.0;
/// Least of the judges' own expectation that must be there.
const EXPECTED_MIN: f64 = 0.8;
/// Share of a class's foreign labels that one other class must have to be named.
const DOMINANT: f64 = 0.7;

/// Labels that stand on rows of another class.
#[derive(Clone, Debug)]
pub(crate) struct Noise {
    /// What the judges see and what the label says; `None` for all classes together.
    pub(crate) pair: Option<(usize, usize)>,
    /// Share of foreign labels among the surest rows.
    pub(crate) share: f64,
    /// Rows whose label is to be looked at, worst first.
    pub(crate) rows: Vec<u32>,
    /// Chance of so many by nature.
    pub(crate) p_value: f64,
}

/// Foreign labels among sure rows.
#[derive(Clone, Copy, Default)]
struct Count {
    n: f64,
    hits: f64,
    expected: f64,
}

impl Count {
    fn share(&self) -> f64 {
        self.hits / self.n.max(1.0)
    }

    /// Chance of so many where `natural` of the rows are foreign by nature; `None` where that is
    /// no question.
    fn p_value(&self, natural: f64) -> Option<f64> {
        let mean = natural * self.n;
        let is_sure = COUNT_MIN <= self.hits
            && EXPECTED_MIN * self.expected <= self.hits
            && 1.5 * natural * self.n < self.hits - 2.33 * self.hits.sqrt();
        is_sure.then(|| normal_upper((self.hits - 0.5 - mean) / (mean + 0.25).sqrt()))
    }
}

/// What is suspected, and the number of tests made.
pub(crate) fn find(judged: &Judged, label: &Coded) -> (Vec<Noise>, usize) {
    let k = judged.n_classes;
    let mut by_class: Vec<Vec<(f32, u32)>> = vec![Vec::new(); k];
    for row in 0..label.codes.len() {
        let probs = judged.row(row);
        let Some(top) = (0..k).reduce(|a, b| if probs[a] < probs[b] { b } else { a }) else {
            continue;
        };
        if (label.codes[row] as usize) < k {
            by_class[top].push((probs[top], row as u32));
        }
    }
    let mut all = Count::default();
    let mut found = Vec::new();
    for (from, rows) in by_class.iter_mut().enumerate() {
        rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let surest = &rows[..(rows.len() as f64 * SUREST) as usize];
        let class = |row: u32| label.codes[row as usize] as usize;
        let mut counts = vec![Count { n: surest.len() as f64, ..Count::default() }; k];
        for (_, row) in surest {
            counts[class(*row)].hits += 1.0;
            for (count, p) in counts.iter_mut().zip(judged.row(*row as usize)) {
                count.expected += f64::from(*p);
            }
        }
        let foreign = surest.len() as f64 - counts[from].hits;
        all.n += surest.len() as f64;
        all.hits += foreign;
        all.expected += surest.len() as f64 - counts[from].expected;
        for to in (0..k).filter(|to| *to != from) {
            let count = counts[to];
            let Some(p_value) = count.p_value(NATURAL) else { continue };
            if count.hits < DOMINANT * foreign {
                continue;
            }
            let wanted = (0.9 * count.share() * rows.len() as f64) as usize;
            let rows = rows.iter().map(|(_, row)| *row).filter(|row| class(*row) == to);
            let (share, rows) = (count.share(), rows.take(wanted).collect());
            found.push(Noise { pair: Some((from, to)), share, rows, p_value });
        }
    }
    if let Some(p_value) = all.p_value(NATURAL)
        && 2 < k
    {
        let wanted = (0.9 * all.share() * label.codes.len() as f64) as usize;
        let mut rows: Vec<(f32, u32)> = by_class
            .iter()
            .flatten()
            .map(|(_, row)| (judged.row(*row as usize)[label.codes[*row as usize] as usize], *row))
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let rows = rows.into_iter().map(|(_, row)| row).take(wanted).collect();
        found.push(Noise { pair: None, share: all.share(), rows, p_value });
    }
    (found, k * (k - 1) + 1)
}

/// Raises the scores of rows whose label is the target of a suspected pair by the chance that they
/// were flipped: with `e` the share flipped, given probabilities `p` are a mixture of the true
/// ones, of which `p_from / (1 - e)` and what is left of `p_to` are solved.
pub(crate) fn sharpen(scores: &mut [f32], found: &[Noise], judged: &Judged, label: &Coded) {
    let pairs: Vec<(usize, usize, f32)> = found
        .iter()
        .filter_map(|noise| noise.pair.map(|(from, to)| (from, to, noise.share.min(0.45) as f32)))
        .collect();
    if pairs.is_empty() || judged.n_classes < 3 {
        return;
    }
    for (row, score) in scores.iter_mut().enumerate() {
        let (probs, class) = (judged.row(row), label.codes[row] as usize);
        let mut flipped = 0.0_f32;
        for (from, _, share) in pairs.iter().filter(|(_, to, _)| *to == class) {
            let true_from = probs[*from] / (1.0 - share);
            let true_to = (probs[class] - share * true_from).max(0.02);
            flipped = flipped.max(share * true_from / (share * true_from + true_to));
        }
        *score = 0.5 * *score + 0.5 * flipped;
    }
}
