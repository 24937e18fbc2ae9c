//! Walking trees: many at once, because each step waits for memory.
//!
//! A full block of rows goes through one tree side by side; a single row goes through many trees
//! side by side. Either way a row's score is added up tree by tree in order, so that the bits are
//! the same.
//!
//! A step is one comparison, `x <= threshold`; [`super::build`] turns every other test into that.
//! Missing values are settled before the walk: where some branch needs it, a row is written twice,
//! first with -inf for NaN, which passes every test, then as it is, where NaN fails every test;
//! a branch looks into the half whose rule it has. Otherwise +inf, above every threshold, does.
//!
//! Invariants
//! - W1: every child and root is a node; a leaf is its own child and every value passes its test;
//!   every other path ends in a leaf;
//! - W2: every feature is below the length of a prepared row, and a leaf's is never NaN there;
//! - W3: every leaf's payload is its value, or its position in the table of leaves.

use std::borrow::Cow;

/// Rows that go through a tree side by side.
const LANES: usize = 8;
/// Trees through which a row goes side by side.
const TREE_LANES: usize = 8;
/// Rows that go through a tree before the next tree: it stays in the nearest cache.
const BLOCK_ROWS: usize = 64;
/// One node, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) threshold: f32,
    /// Position in a prepared row.
    pub(super) feature: u32,
    /// Where to go if the test passes; the other child is the next one.
    pub(super) child: u32,
    /// Of a leaf; see W3.
    pub(super) payload: u32,
}

impl Node {
    /// A node whose test every value passes.
    pub(super) fn always(child: u32, payload: u32) -> Self {
        Self { threshold: f32::INFINITY, feature: 0, child, payload }
    }

    /// Without a branch that a processor could mispredict.
    #[inline(always)]
    fn next(&self, row: &[f32]) -> u32 {
        let passes = row[self.feature as usize] <= self.threshold;
        self.child + u32::from(!passes)
    }
}

/// Where a tree begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) node: u32,
    /// Steps to take before looking whether all walks have ended: the mean depth of its leaves.
    /// It decides how fast an answer is, never what it is.
    pub(super) steps: u32,
}

/// What leaves hold.
#[derive(Debug)]
pub(super) enum Leaves {
    /// One value for the only score, in the node itself.
    Single,
    /// One value for every score: `[n_leaves, n_scores]`, row-major.
    Dense(Vec<f32>),
    /// Values for some scores: leaf `i` has `values[starts[i]..starts[i + 1]]`.
    Sparse { starts: Vec<u32>, values: Vec<(u32, f32)> },
    /// The same in doubles, for an input of doubles: scores are added up in `f64`.
    Wide { starts: Vec<u32>, values: Vec<(u32, f64)> },
}

/// The thresholds of every feature, ascending, for an input of doubles: a value is compared by its
/// rank, the number of thresholds below it, which is exact in 32 bits. `x <= t[k]` where, and only
/// where, the rank of `x` is `k` at most.
#[derive(Debug)]
pub(super) struct Grid(Vec<Vec<f64>>);

impl Grid {
    /// Most thresholds of one feature: ranks must be exact as `f32`.
    const THRESHOLDS_MAX: usize = 1 << 24;

    pub(super) fn new(mut thresholds: Vec<Vec<f64>>) -> Result<Self, String> {
        for list in &mut thresholds {
            list.sort_by(f64::total_cmp);
            list.dedup();
            if Self::THRESHOLDS_MAX < list.len() {
                let (n, max) = (list.len(), Self::THRESHOLDS_MAX);
                return Err(format!("a feature has {n} thresholds, at most {max} are taken"));
            }
        }
        Ok(Self(thresholds))
    }

    /// The rank of a value; NaN for NaN.
    pub(super) fn rank(&self, feature: usize, value: f64) -> f32 {
        if value.is_nan() {
            return f32::NAN;
        }
        self.0[feature].partition_point(|threshold| *threshold < value) as f32
    }

    /// Ranks of rows, `[n_rows, n_features]`.
    pub(super) fn ranks(&self, rows: &[f64]) -> Vec<f32> {
        let rows = rows.chunks_exact(self.0.len());
        rows.flat_map(|row| row.iter().enumerate().map(|(at, x)| self.rank(at, *x))).collect()
    }

    fn resident_bytes(&self) -> usize {
        self.0.iter().map(|list| size_of_val(list.as_slice())).sum()
    }
}

/// Trees ready to be walked; see the module invariants.
#[derive(Debug)]
pub(super) struct Ensemble {
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<Root>,
    pub(super) leaves: Leaves,
    pub(super) width: usize,
    pub(super) n_scores: usize,
    /// Rows are written twice before the walk.
    pub(super) is_doubled: bool,
    /// Where the input is of doubles.
    pub(super) grid: Option<Grid>,
}

impl Ensemble {
    pub(super) fn n_trees(&self) -> usize {
        self.roots.len()
    }

    pub(super) fn n_scores(&self) -> usize {
        self.n_scores
    }

    pub(super) fn resident_bytes(&self) -> usize {
        let leaves = match &self.leaves {
            Leaves::Single => 0,
            Leaves::Dense(values) => size_of_val(values.as_slice()),
            Leaves::Sparse { starts, values } => {
                size_of_val(starts.as_slice()) + size_of_val(values.as_slice())
            }
            Leaves::Wide { starts, values } => {
                size_of_val(starts.as_slice()) + size_of_val(values.as_slice())
            }
        };
        let leaves = leaves + self.grid.as_ref().map_or(0, Grid::resident_bytes);
        size_of_val(self.nodes.as_slice()) + size_of_val(self.roots.as_slice()) + leaves
    }

    /// Scores of `rows`, `[n_rows, n_scores]`, and which of them any leaf has touched (empty where
    /// every leaf touches all).
    pub(super) fn scores(&self, rows: &[f32]) -> (Vec<f32>, Vec<bool>) {
        let n_rows = rows.len() / self.width;
        let mut scores = vec![0.0; n_rows * self.n_scores];
        let mut touched = Vec::new();
        match &self.leaves {
            Leaves::Single => self.walk(rows, |row, payload| {
                scores[row] += f32::from_bits(payload);
            }),
            Leaves::Dense(values) => {
                let n = self.n_scores;
                self.walk(rows, |row, leaf| {
                    let leaf = leaf as usize * n;
                    let into = &mut scores[row * n..(row + 1) * n];
                    into.iter_mut().zip(&values[leaf..leaf + n]).for_each(|(s, v)| *s += v);
                });
            }
            Leaves::Sparse { starts, values } => {
                touched = vec![false; scores.len()];
                self.walk(rows, |row, leaf| {
                    let (from, to) = (starts[leaf as usize], starts[leaf as usize + 1]);
                    for (score, value) in &values[from as usize..to as usize] {
                        let at = row * self.n_scores + *score as usize;
                        scores[at] += value;
                        touched[at] = true;
                    }
                });
            }
            Leaves::Wide { .. } => {
                let (wide, which) = self.wide_scores(rows);
                scores = wide.into_iter().map(|score| score as f32).collect();
                touched = which;
            }
        }
        (scores, touched)
    }

    /// [`Self::scores`] in doubles, where leaves hold these; `rows` are ranks.
    pub(super) fn wide_scores(&self, rows: &[f32]) -> (Vec<f64>, Vec<bool>) {
        let n_rows = rows.len() / self.width;
        let mut scores = vec![0.0_f64; n_rows * self.n_scores];
        let mut touched = vec![false; scores.len()];
        if let Leaves::Wide { starts, values } = &self.leaves {
            self.walk(rows, |row, leaf| {
                let (from, to) = (starts[leaf as usize], starts[leaf as usize + 1]);
                for (score, value) in &values[from as usize..to as usize] {
                    let at = row * self.n_scores + *score as usize;
                    scores[at] += value;
                    touched[at] = true;
                }
            });
        }
        (scores, touched)
    }

    /// A block of rows as the nodes read them.
    fn prepare<'r>(&self, block: &'r [f32]) -> Cow<'r, [f32]> {
        if self.is_doubled {
            let mut doubled = Vec::with_capacity(2 * block.len());
            for row in block.chunks_exact(self.width) {
                doubled.extend(row.iter().map(|x| if x.is_nan() { f32::NEG_INFINITY } else { *x }));
                doubled.extend_from_slice(row);
            }
            Cow::Owned(doubled)
        } else if block.iter().any(|x| x.is_nan()) {
            block.iter().map(|x| if x.is_nan() { f32::INFINITY } else { *x }).collect()
        } else {
            Cow::Borrowed(block)
        }
    }

    /// Calls `add` with row and payload of every leaf that is reached, for a row in tree order.
    fn walk(&self, rows: &[f32], mut add: impl FnMut(usize, u32)) {
        let width = if self.is_doubled { 2 * self.width } else { self.width };
        let mut first_row = 0;
        for block in rows.chunks(self.width * BLOCK_ROWS) {
            let prepared = self.prepare(block);
            let groups = prepared.chunks_exact(width * LANES);
            let rest = groups.remainder();
            let n_grouped = groups.len() * LANES;
            for root in &self.roots {
                for (group, rows) in groups.clone().enumerate() {
                    let rows: [&[f32]; LANES] =
                        std::array::from_fn(|lane| &rows[lane * width..(lane + 1) * width]);
                    let mut at = [root.node; LANES];
                    descend(&self.nodes, &rows, &mut at, root.steps);
                    for (lane, at) in at.into_iter().enumerate() {
                        let payload = self.nodes[at as usize].payload;
                        add(first_row + group * LANES + lane, payload);
                    }
                }
            }
            for (row_idx, row) in rest.chunks_exact(width).enumerate() {
                self.walk_row(row, |payload| add(first_row + n_grouped + row_idx, payload));
            }
            first_row += block.len() / self.width;
        }
    }

    /// One row through all trees, `TREE_LANES` trees side by side.
    fn walk_row(&self, row: &[f32], mut add: impl FnMut(u32)) {
        let (groups, rest) = self.roots.as_chunks::<TREE_LANES>();
        for roots in groups {
            let mut at = roots.map(|root| root.node);
            let steps = roots.iter().map(|root| root.steps).max().unwrap_or(0);
            descend(&self.nodes, &[row; TREE_LANES], &mut at, steps);
            at.iter().for_each(|at| add(self.nodes[*at as usize].payload));
        }
        for root in rest {
            let mut at = [root.node];
            descend(&self.nodes, &[row], &mut at, root.steps);
            add(self.nodes[at[0] as usize].payload);
        }
    }
}

/// Moves each of `at` to the leaf that its row reaches.
#[inline(always)]
fn descend<const N: usize>(nodes: &[Node], rows: &[&[f32]; N], at: &mut [u32; N], steps: u32) {
    for _ in 0..steps {
        for (at, row) in at.iter_mut().zip(rows) {
            *at = nodes[*at as usize].next(row);
        }
    }
    loop {
        let mut moved = 0;
        for (at, row) in at.iter_mut().zip(rows) {
            let next = nodes[*at as usize].next(row);
            moved |= next ^ *at;
            *at = next;
        }
        if moved == 0 {
            return;
        }
    }
}
