//! Boosted trees over binned columns.
//!
//! Gradient boosting with second-order gains (T. Chen and C. Guestrin, *XGBoost: A Scalable Tree
//! Boosting System*, 2016) and leaf-wise growth over histograms with subtraction of siblings
//! (G. Ke et al., *LightGBM*, 2017). Columns are cut into at most [`BINS`] bins once and shared
//! by all folds.

use bartizan_stats::activation::softmax_f32;
use bartizan_stats::chance::Chance;

use crate::table::{Kind, Table};

/// Bins of a column; the last is for what is missing.
pub(crate) const BINS: usize = 64;
const MISSING: u8 = (BINS - 1) as u8;

/// How values of one column become bins.
#[derive(Clone, Debug)]
enum Cuts {
    /// Above how many of these a number lies.
    Edges(Vec<f32>),
    /// Bin of each name.
    Names(std::collections::HashMap<String, u8>),
}

/// How columns of a table become bins: column, place in its list, cuts.
#[derive(Clone, Debug)]
pub(crate) struct Binner {
    columns: Vec<(usize, usize, Cuts)>,
}

/// Binned rows, column by column.
#[derive(Clone, Debug)]
pub(crate) struct Bins {
    pub(crate) columns: Vec<Vec<u8>>,
}

impl Binner {
    /// Learns from `rows` of `table`; `order` gives each row a number by whose mean the
    /// categories of a column are ordered. `skip` names a feature that is left out.
    pub(crate) fn learn(
        table: &Table,
        rows: &[u32],
        order: &dyn Fn(usize) -> f32,
        skip: Option<usize>,
    ) -> Self {
        let mut columns = Vec::new();
        for (at, feature) in table.features.iter().enumerate() {
            if skip == Some(at) {
                continue;
            }
            match &feature.kind {
                Kind::Number(values) => {
                    let taken = rows.iter().map(|row| values[*row as usize]).collect();
                    columns.push((at, 0, Cuts::Edges(edges(taken))));
                }
                Kind::Vector { width, values } => {
                    for idx in 0..*width {
                        let value = |row: &u32| values[*row as usize * width + idx];
                        let taken = rows.iter().map(value).collect();
                        columns.push((at, idx, Cuts::Edges(edges(taken))));
                    }
                }
                Kind::Code(coded) => {
                    let mut sums = vec![(0.0_f64, 0.0_f64); coded.names.len()];
                    for row in rows {
                        let code = coded.codes[*row as usize] as usize;
                        if let Some((sum, n)) = sums.get_mut(code) {
                            *sum += f64::from(order(*row as usize));
                            *n += 1.0;
                        }
                    }
                    columns.push((at, 0, Cuts::Names(ordered(&coded.names, &sums))));
                }
                Kind::Text(_) => {}
            }
        }
        Self { columns }
    }

    /// How many columns the bins have.
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// `rows` of `table`, which has the learnt table's columns in the same places.
    pub(crate) fn map(&self, table: &Table, rows: &[u32]) -> Bins {
        let column = |(at, idx, cuts): &(usize, usize, Cuts)| -> Vec<u8> {
            match (cuts, table.features.get(*at).map(|feature| &feature.kind)) {
                (Cuts::Edges(edges), Some(Kind::Number(values))) => {
                    rows.iter().map(|row| bin(edges, values[*row as usize])).collect()
                }
                (Cuts::Edges(edges), Some(Kind::Vector { width, values })) if idx < width => {
                    let value = |row: &u32| values[*row as usize * width + idx];
                    rows.iter().map(|row| bin(edges, value(row))).collect()
                }
                (Cuts::Names(names), Some(Kind::Code(coded))) => {
                    let known: Vec<u8> = coded
                        .names
                        .iter()
                        .map(|name| names.get(name).copied().unwrap_or(MISSING))
                        .collect();
                    let code = |row: &u32| coded.codes[*row as usize] as usize;
                    rows.iter()
                        .map(|row| known.get(code(row)).copied().unwrap_or(MISSING))
                        .collect()
                }
                _ => vec![MISSING; rows.len()],
            }
        };
        Bins { columns: self.columns.iter().map(column).collect() }
    }
}

/// Edges between bins of about equal size; every value its own bin where they are few.
fn edges(mut values: Vec<f32>) -> Vec<f32> {
    values.retain(|x| x.is_finite());
    values.sort_unstable_by(f32::total_cmp);
    let mut distinct = values.clone();
    distinct.dedup();
    let middle = |pair: &[f32]| pair[0] + (pair[1] - pair[0]) * 0.5;
    if distinct.len() < BINS {
        return distinct.windows(2).map(middle).collect();
    }
    let mut edges: Vec<f32> =
        (1..BINS - 1).map(|at| values[at * values.len() / (BINS - 1)]).collect();
    edges.dedup();
    edges
}

fn bin(edges: &[f32], value: f32) -> u8 {
    if value.is_nan() { MISSING } else { edges.partition_point(|edge| *edge <= value) as u8 }
}

/// Bins of names in the order of their means, drawn towards the overall mean where rows are few.
fn ordered(names: &[String], sums: &[(f64, f64)]) -> std::collections::HashMap<String, u8> {
    let total: (f64, f64) = sums.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    let mean = if total.1 == 0.0 { 0.0 } else { total.0 / total.1 };
    let mut order: Vec<(f64, usize)> = sums
        .iter()
        .enumerate()
        .map(|(at, (sum, n))| ((sum + 10.0 * mean) / (n + 10.0), at))
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let n = order.len().max(1);
    let place = |(place, (_, at)): (usize, &(f64, usize))| {
        (names[*at].clone(), (place * (BINS - 1).min(n) / n) as u8)
    };
    order.iter().enumerate().map(place).collect()
}

/// How trees are grown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) rounds: usize,
    pub(crate) leaves: usize,
    pub(crate) rate: f32,
    pub(crate) leaf_rows_min: f32,
    pub(crate) ridge: f32,
    /// Share of columns that a tree looks at.
    pub(crate) columns_share: f64,
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    column: u32,
    /// Bins up to this go left.
    cut: u8,
    left: u32,
    /// 0 for a leaf.
    right: u32,
    value: f32,
}

/// Trees, by round and class.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    pub(crate) n_classes: usize,
    base: Vec<f32>,
    trees: Vec<Vec<Node>>,
}

/// Gradient, curvature, count: what a histogram's bin sums.
type Stat = [f32; 4];

struct Leaf {
    rows: Vec<u32>,
    stats: Vec<Stat>,
    node: usize,
    histogram: Vec<Stat>,
    total: Stat,
    best: Option<(f32, u32, u8)>,
}

fn add(a: &mut Stat, b: &Stat) {
    for lane in 0..4 {
        a[lane] += b[lane];
    }
}

struct Grower<'a> {
    bins: &'a Bins,
    growth: &'a Growth,
    columns: Vec<u32>,
}

impl Grower<'_> {
    fn histogram(&self, rows: &[u32], stats: &[Stat]) -> Vec<Stat> {
        let mut all = vec![[0.0; 4]; self.columns.len() * BINS];
        for (column, histogram) in self.columns.iter().zip(all.chunks_exact_mut(BINS)) {
            let bins = &self.bins.columns[*column as usize];
            for (row, stat) in rows.iter().zip(stats) {
                add(&mut histogram[usize::from(bins[*row as usize]) % BINS], stat);
            }
        }
        all
    }

    fn leaf(&self, rows: Vec<u32>, stats: Vec<Stat>, node: usize, histogram: Vec<Stat>) -> Leaf {
        let mut total = [0.0; 4];
        stats.iter().for_each(|stat| add(&mut total, stat));
        let best = self.best(&histogram, &total);
        Leaf { rows, stats, node, histogram, total, best }
    }

    fn best(&self, histogram: &[Stat], total: &Stat) -> Option<(f32, u32, u8)> {
        let gain = |s: &Stat| s[0] * s[0] / (s[1] + self.growth.ridge);
        let whole = gain(total);
        let mut best: Option<(f32, u32, u8)> = None;
        let enough = self.growth.leaf_rows_min;
        for (column, histogram) in self.columns.iter().zip(histogram.chunks_exact(BINS)) {
            let mut left = [0.0; 4];
            for (cut, stat) in histogram.iter().enumerate().take(BINS - 1) {
                if stat[2] == 0.0 {
                    continue;
                }
                add(&mut left, stat);
                let right = [total[0] - left[0], total[1] - left[1], total[2] - left[2], 0.0];
                if left[2] < enough || right[2] < enough {
                    continue;
                }
                let gained = gain(&left) + gain(&right) - whole;
                if 1e-6 < gained && best.is_none_or(|(most, ..)| most < gained) {
                    best = Some((gained, *column, cut as u8));
                }
            }
        }
        best
    }

    fn grow(&self, rows: Vec<u32>, stats: Vec<Stat>) -> Vec<Node> {
        let leaf = |total: &Stat| -total[0] / (total[1] + self.growth.ridge) * self.growth.rate;
        let histogram = self.histogram(&rows, &stats);
        let root = self.leaf(rows, stats, 0, histogram);
        let mut nodes =
            vec![Node { column: 0, cut: 0, left: 0, right: 0, value: leaf(&root.total) }];
        let mut leaves = vec![root];
        while leaves.len() < self.growth.leaves {
            let gain = |leaf: &Leaf| leaf.best.map_or(0.0, |(gain, ..)| gain);
            let Some(at) = (0..leaves.len())
                .reduce(|a, b| if gain(&leaves[a]) < gain(&leaves[b]) { b } else { a })
            else {
                break;
            };
            let Some((_, column, cut)) = leaves[at].best else { break };
            let parent = leaves.swap_remove(at);
            let (left_at, right_at) = (nodes.len(), nodes.len() + 1);
            let (left, right) = self.split(parent, column, cut, left_at, right_at, &mut nodes);
            nodes[left_at].value = leaf(&left.total);
            nodes[right_at].value = leaf(&right.total);
            leaves.push(left);
            leaves.push(right);
        }
        nodes
    }

    fn split(
        &self,
        parent: Leaf,
        column: u32,
        cut: u8,
        left_at: usize,
        right_at: usize,
        nodes: &mut Vec<Node>,
    ) -> (Leaf, Leaf) {
        let bins = &self.bins.columns[column as usize];
        let n = parent.rows.len();
        let (mut l_rows, mut l_stats) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let (mut r_rows, mut r_stats) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for (row, stat) in parent.rows.iter().zip(&parent.stats) {
            if bins[*row as usize] <= cut {
                l_rows.push(*row);
                l_stats.push(*stat);
            } else {
                r_rows.push(*row);
                r_stats.push(*stat);
            }
        }
        let empty = Node { column: 0, cut: 0, left: 0, right: 0, value: 0.0 };
        nodes.extend([empty, empty]);
        let (left, right) = (left_at as u32, right_at as u32);
        nodes[parent.node] = Node { column, cut, left, right, value: 0.0 };
        let is_left_small = l_rows.len() <= r_rows.len();
        let small = if is_left_small {
            self.histogram(&l_rows, &l_stats)
        } else {
            self.histogram(&r_rows, &r_stats)
        };
        let mut large = parent.histogram;
        for (a, b) in large.iter_mut().zip(&small) {
            for lane in 0..4 {
                a[lane] -= b[lane];
            }
        }
        let (l_hist, r_hist) = if is_left_small { (small, large) } else { (large, small) };
        (self.leaf(l_rows, l_stats, left_at, l_hist), self.leaf(r_rows, r_stats, right_at, r_hist))
    }
}

fn value(tree: &[Node], bin: impl Fn(usize) -> u8) -> f32 {
    let mut node = &tree[0];
    while node.right != 0 {
        let next = if bin(node.column as usize) <= node.cut { node.left } else { node.right };
        node = &tree[next as usize];
    }
    node.value
}

fn columns_of(n: usize, growth: &Growth, stream: u64) -> Vec<u32> {
    let wanted = ((n as f64 * growth.columns_share) as usize).clamp(1, n.max(1));
    let chosen = Chance::new(growth.seed, stream).sample(n, wanted);
    chosen.into_iter().map(|column| column as u32).collect()
}

impl Forest {
    /// Fits classes: `labels` of all binned rows, of which `rows` are learnt from.
    pub(crate) fn classes(
        bins: &Bins,
        labels: &[u32],
        n_classes: usize,
        rows: &[u32],
        growth: &Growth,
    ) -> Self {
        let mut counts = vec![1.0_f32; n_classes];
        rows.iter().for_each(|row| counts[labels[*row as usize] as usize] += 1.0);
        let all: f32 = counts.iter().sum();
        let base: Vec<f32> =
            counts.iter().map(|n| bartizan_stats::ln::ln(f64::from(n / all)) as f32).collect();
        // Two classes need one score: that of the second against the first.
        let is_binary = n_classes == 2;
        let n_scores = if is_binary { 1 } else { n_classes };
        let base = if is_binary { vec![base[1] - base[0]] } else { base };
        let mut scores: Vec<f32> = rows.iter().flat_map(|_| base.iter().copied()).collect();
        let mut forest = Self { n_classes, base, trees: Vec::new() };
        let mut probs = vec![0.0; n_scores];
        for round in 0..growth.rounds {
            let mut stats = vec![Vec::with_capacity(rows.len()); n_scores];
            for (row, scores) in rows.iter().zip(scores.chunks_exact(n_scores)) {
                probs.copy_from_slice(scores);
                if is_binary {
                    probs[0] = bartizan_stats::activation::sigmoid_f32(probs[0]);
                } else {
                    softmax_f32(&mut probs);
                }
                let label = labels[*row as usize] as usize;
                for (class, p) in probs.iter().enumerate() {
                    let target = if is_binary { label == 1 } else { label == class };
                    let h = (p * (1.0 - p)).max(1e-6);
                    stats[class].push([p - f32::from(u8::from(target)), h, 1.0, 0.0]);
                }
            }
            for (class, stats) in stats.into_iter().enumerate() {
                let stream = (round * n_scores + class) as u64;
                let columns = columns_of(bins.columns.len(), growth, stream);
                let grower = Grower { bins, growth, columns };
                let tree = grower.grow(rows.to_vec(), stats);
                for (at, row) in rows.iter().enumerate() {
                    let bin = |column: usize| bins.columns[column][*row as usize];
                    scores[at * n_scores + class] += value(&tree, bin);
                }
                forest.trees.push(tree);
            }
        }
        forest
    }

    /// Fits numbers by least squares.
    pub(crate) fn numbers(bins: &Bins, targets: &[f32], rows: &[u32], growth: &Growth) -> Self {
        let n = rows.len().max(1) as f64;
        let sum: f64 = rows.iter().map(|row| f64::from(targets[*row as usize])).sum();
        let mut forest = Self { n_classes: 1, base: vec![(sum / n) as f32], trees: Vec::new() };
        let mut guess = vec![forest.base[0]; rows.len()];
        for round in 0..growth.rounds {
            let stat = |(row, guess): (&u32, &f32)| [guess - targets[*row as usize], 1.0, 1.0, 0.0];
            let stats = rows.iter().zip(&guess).map(stat).collect();
            let columns = columns_of(bins.columns.len(), growth, round as u64);
            let tree = Grower { bins, growth, columns }.grow(rows.to_vec(), stats);
            for (guess, row) in guess.iter_mut().zip(rows) {
                *guess += value(&tree, |column| bins.columns[column][*row as usize]);
            }
            forest.trees.push(tree);
        }
        forest
    }

    /// Raw scores of one binned row.
    fn scores(&self, bins: &Bins, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.base);
        let n = out.len();
        for (at, tree) in self.trees.iter().enumerate() {
            out[at % n] += value(tree, |column| bins.columns[column][row]);
        }
    }

    /// Probability of each class.
    pub(crate) fn probs(&self, bins: &Bins, row: usize, out: &mut [f32]) {
        if self.n_classes == 2 {
            let mut score = [0.0];
            self.scores(bins, row, &mut score);
            out[1] = bartizan_stats::activation::sigmoid_f32(score[0]);
            out[0] = 1.0 - out[1];
        } else {
            self.scores(bins, row, out);
            softmax_f32(out);
        }
    }

    /// The number that is guessed.
    pub(crate) fn number(&self, bins: &Bins, row: usize) -> f32 {
        let mut out = [0.0];
        self.scores(bins, row, &mut out);
        out[0]
    }
}
