//! Isolation forest: how few random cuts set a row apart.
//!
//! F. T. Liu, K. M. Ting, Z.-H. Zhou, *Isolation Forest*, ICDM 2008: each tree cuts a sample of
//! 256 rows at random values of random columns until every row is alone or the depth is 8; the
//! score is `2^(-mean depth / c(256))` with `c` the mean depth of an unsuccessful search in a
//! binary tree.

use crate::chance::Chance;
use crate::exp::exp;
use crate::ln::ln;

/// Rows that a tree is made of.
const SAMPLE: usize = 256;

/// One node: a cut, or a leaf with the depth that a row which ends there is given.
#[derive(Clone, Copy, Debug)]
struct Node {
    column: u32,
    /// Below goes left, which is the next node; the rest goes to `right`.
    cut: f32,
    /// 0 for a leaf.
    right: u32,
    depth: f32,
}

/// A forest; see the module.
#[derive(Clone, Debug)]
pub struct IsolationForest {
    n_columns: usize,
    trees: Vec<Vec<Node>>,
    norm: f64,
}

/// Mean depth of an unsuccessful search among `n` leaves.
fn mean_depth(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = n as f64;
            2.0 * (ln(n - 1.0) + 0.577_215_664_901_532_9) - 2.0 * (n - 1.0) / n
        }
    }
}

impl IsolationForest {
    /// A forest of `n_trees` over `rows` (row-major, `n_columns` a row, no NaN). Cost: `n_trees`
    /// samples of 256 rows.
    pub fn new(rows: &[f32], n_columns: usize, n_trees: usize, seed: u64) -> Self {
        let n_rows = rows.len().checked_div(n_columns).unwrap_or(0);
        let depth_max = SAMPLE.ilog2() as usize;
        let trees = (0..n_trees)
            .map(|tree| {
                let mut chance = Chance::new(seed, tree as u64);
                let mut sample = chance.sample(n_rows, SAMPLE);
                let mut nodes = Vec::with_capacity(2 * SAMPLE);
                let mut grow = Grow { rows, n_columns, chance: &mut chance, nodes: &mut nodes };
                grow.node(&mut sample, depth_max, 0);
                nodes
            })
            .collect();
        Self { n_columns, trees, norm: mean_depth(SAMPLE.min(n_rows)).max(1.0) }
    }

    /// Score of one row in `0.0..=1.0`; higher is more apart. Cost: 8 comparisons a tree.
    pub fn score(&self, row: &[f32]) -> f32 {
        if self.trees.is_empty() || row.len() != self.n_columns {
            return 0.0;
        }
        let depth: f64 = self.trees.iter().map(|tree| f64::from(depth(tree, row))).sum();
        let mean = depth / self.trees.len() as f64;
        exp(-mean / self.norm * std::f64::consts::LN_2) as f32
    }
}

fn depth(tree: &[Node], row: &[f32]) -> f32 {
    let mut at = 0;
    loop {
        let node = tree[at];
        if node.right == 0 {
            return node.depth;
        }
        at = if row[node.column as usize] < node.cut { at + 1 } else { node.right as usize };
    }
}

struct Grow<'a> {
    rows: &'a [f32],
    n_columns: usize,
    chance: &'a mut Chance,
    nodes: &'a mut Vec<Node>,
}

impl Grow<'_> {
    fn node(&mut self, sample: &mut [usize], depth_left: usize, depth: usize) {
        let leaf_depth = (depth as f64 + mean_depth(sample.len())) as f32;
        self.nodes.push(Node { column: 0, cut: 0.0, right: 0, depth: leaf_depth });
        if depth_left == 0 || sample.len() < 2 {
            return;
        }
        let Some((column, cut)) = self.cut(sample) else { return };
        let is_left = |row: usize| self.rows[row * self.n_columns + column] < cut;
        let mut n_left = 0;
        for at in 0..sample.len() {
            if is_left(sample[at]) {
                sample.swap(at, n_left);
                n_left += 1;
            }
        }
        let here = self.nodes.len() - 1;
        let (left, right) = sample.split_at_mut(n_left);
        self.node(left, depth_left - 1, depth + 1);
        let right_at = self.nodes.len() as u32;
        self.node(right, depth_left - 1, depth + 1);
        self.nodes[here] = Node { column: column as u32, cut, right: right_at, depth: 0.0 };
    }

    /// A random cut of a random column that is not constant here; a few columns are tried.
    fn cut(&mut self, sample: &[usize]) -> Option<(usize, f32)> {
        for _ in 0..16 {
            let column = self.chance.below(self.n_columns);
            let value = |row: &usize| self.rows[row * self.n_columns + column];
            let low = sample.iter().map(value).fold(f32::INFINITY, f32::min);
            let high = sample.iter().map(value).fold(f32::NEG_INFINITY, f32::max);
            let cut = low + (high - low) * self.chance.unit() as f32;
            if low < cut && cut <= high {
                return Some((column, cut));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_far_from_all_others_scores_highest() {
        let mut chance = Chance::new(3, 0);
        let mut rows: Vec<f32> = (0..1_200).map(|_| chance.normal() as f32).collect();
        rows.extend([9.0, 9.0, 9.0]);
        let forest = IsolationForest::new(&rows, 3, 50, 1);
        let scores: Vec<f32> = rows.chunks(3).map(|row| forest.score(row)).collect();
        let last = scores[400];
        assert!(scores[..400].iter().all(|score| *score < last), "{last}");
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
        let again = IsolationForest::new(&rows, 3, 50, 1);
        assert_eq!(again.score(&rows[..3]).to_bits(), scores[0].to_bits());
    }

    #[test]
    fn rows_without_columns_or_without_spread_have_a_score() {
        assert_eq!(IsolationForest::new(&[], 0, 5, 1).score(&[]), 0.0_f32.max(1.0));
        let flat = IsolationForest::new(&[2.0; 40], 4, 5, 1);
        assert!(flat.score(&[2.0; 4]).is_finite());
        assert_eq!(flat.score(&[2.0; 3]), 0.0);
    }
}
