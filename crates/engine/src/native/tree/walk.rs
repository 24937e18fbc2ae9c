//! Walking trees: many at once, because each step waits for memory.
//!
//! A full block of rows goes through one tree side by side; a single row goes through many trees
//! side by side. Either way a row's score is added up tree by tree in order, so that the bits are
//! the same.
//!
//! Invariants
//! - W1: every child and root is a node; a leaf is its own child, and its test holds for every
//!   value; every other path ends in a leaf;
//! - W2: every feature is below `width`;
//! - W3: every leaf's payload is its value, or its position in the table of leaves.

/// Walks that go side by side.
const LANES: usize = 8;
/// Rows that go through a tree before the next tree: it stays in the nearest cache.
const BLOCK_ROWS: usize = 64;
/// Most features: what is left of 32 bits beside the flags.
pub(super) const FEATURES_MAX: u32 = EQUAL - 1;
/// Flag in [`Node::feature`]: NaN passes the test.
const NAN_PASSES: u32 = 1 << 31;
/// Flag in [`Node::feature`]: the test is `x == threshold`, not `x <= threshold`.
const EQUAL: u32 = 1 << 30;

/// One node, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    threshold: f32,
    feature: u32,
    /// Where to go if the test passes; the other child is the next one.
    child: u32,
    /// Of a leaf; see W3.
    payload: u32,
}

/// What a branch asks of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) threshold: f32,
    pub(super) feature: u32,
    /// The test is `x == threshold`, not `x <= threshold`.
    pub(super) is_equal: bool,
    pub(super) nan_passes: bool,
}

impl Node {
    pub(super) fn branch(test: Test, child: u32) -> Self {
        let equal = if test.is_equal { EQUAL } else { 0 };
        let nan = if test.nan_passes { NAN_PASSES } else { 0 };
        Self { threshold: test.threshold, feature: test.feature | equal | nan, child, payload: 0 }
    }

    pub(super) fn leaf(own: u32, payload: u32) -> Self {
        Self { threshold: f32::INFINITY, feature: NAN_PASSES, child: own, payload }
    }

    /// Without a branch that a processor could mispredict.
    #[inline(always)]
    fn next<const ANY_EQUAL: bool>(&self, row: &[f32]) -> u32 {
        let x = row[(self.feature & FEATURES_MAX) as usize];
        let nan_passes = self.feature & NAN_PASSES != 0;
        let passes = if ANY_EQUAL && self.feature & EQUAL != 0 {
            x == self.threshold
        } else {
            x <= self.threshold
        };
        self.child + u32::from(!(passes | (x.is_nan() & nan_passes)))
    }
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
}

/// Trees ready to be walked; see the module invariants.
#[derive(Debug)]
pub(super) struct Ensemble {
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<u32>,
    pub(super) leaves: Leaves,
    pub(super) width: usize,
    pub(super) n_scores: usize,
    pub(super) any_equal: bool,
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
        };
        size_of_val(self.nodes.as_slice()) + size_of_val(self.roots.as_slice()) + leaves
    }

    /// Scores of `rows`, `[n_rows, n_scores]`, and which of them any leaf has touched (empty where
    /// every leaf touches all).
    pub(super) fn scores(&self, rows: &[f32]) -> (Vec<f32>, Vec<bool>) {
        let n_rows = rows.len() / self.width;
        let mut scores = vec![0.0; n_rows * self.n_scores];
        let mut touched = Vec::new();
        match &self.leaves {
            Leaves::Single => self.walk_all(rows, &mut |row, payload| {
                scores[row] += f32::from_bits(payload);
            }),
            Leaves::Dense(values) => {
                let n = self.n_scores;
                self.walk_all(rows, &mut |row, leaf| {
                    let leaf = leaf as usize * n;
                    let into = &mut scores[row * n..(row + 1) * n];
                    into.iter_mut().zip(&values[leaf..leaf + n]).for_each(|(s, v)| *s += v);
                });
            }
            Leaves::Sparse { starts, values } => {
                touched = vec![false; scores.len()];
                self.walk_all(rows, &mut |row, leaf| {
                    let (from, to) = (starts[leaf as usize], starts[leaf as usize + 1]);
                    for (score, value) in &values[from as usize..to as usize] {
                        let at = row * self.n_scores + *score as usize;
                        scores[at] += value;
                        touched[at] = true;
                    }
                });
            }
        }
        (scores, touched)
    }

    /// Calls `add` with row and payload of every leaf that is reached, for a row in tree order.
    fn walk_all(&self, rows: &[f32], add: &mut impl FnMut(usize, u32)) {
        if self.any_equal {
            self.walk::<true>(rows, add);
        } else {
            self.walk::<false>(rows, add);
        }
    }

    fn walk<const ANY_EQUAL: bool>(&self, rows: &[f32], add: &mut impl FnMut(usize, u32)) {
        let mut first_row = 0;
        for block in rows.chunks(self.width * BLOCK_ROWS) {
            let groups = block.chunks_exact(self.width * LANES);
            let rest = groups.remainder();
            let n_grouped = groups.len() * LANES;
            if 0 < n_grouped {
                for root in &self.roots {
                    for (group, rows) in groups.clone().enumerate() {
                        let at = self.descend_rows::<ANY_EQUAL>(*root, rows);
                        for (lane, at) in at.into_iter().enumerate() {
                            let payload = self.nodes[at as usize].payload;
                            add(first_row + group * LANES + lane, payload);
                        }
                    }
                }
            }
            for (row_idx, row) in rest.chunks_exact(self.width).enumerate() {
                self.walk_row::<ANY_EQUAL>(row, &mut |payload| {
                    add(first_row + n_grouped + row_idx, payload);
                });
            }
            first_row += block.len() / self.width;
        }
    }

    /// The leaves that `LANES` rows reach in one tree.
    #[inline(always)]
    fn descend_rows<const ANY_EQUAL: bool>(&self, root: u32, rows: &[f32]) -> [u32; LANES] {
        let mut at = [root; LANES];
        loop {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows.chunks_exact(self.width)) {
                let next = self.nodes[*at as usize].next::<ANY_EQUAL>(row);
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }

    /// One row through all trees, `LANES` trees side by side.
    fn walk_row<const ANY_EQUAL: bool>(&self, row: &[f32], add: &mut impl FnMut(u32)) {
        let (groups, rest) = self.roots.as_chunks::<LANES>();
        for roots in groups {
            let mut at = *roots;
            loop {
                let mut moved = 0;
                for at in &mut at {
                    let next = self.nodes[*at as usize].next::<ANY_EQUAL>(row);
                    moved |= next ^ *at;
                    *at = next;
                }
                if moved == 0 {
                    break;
                }
            }
            at.iter().for_each(|at| add(self.nodes[*at as usize].payload));
        }
        for root in rest {
            let mut at = *root;
            loop {
                let next = self.nodes[at as usize].next::<ANY_EQUAL>(row);
                if next == at {
                    break;
                }
                at = next;
            }
            add(self.nodes[at as usize].payload);
        }
    }
}
