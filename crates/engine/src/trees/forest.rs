//! Trees as their library walks them: its comparisons, its type, its order of summation.
//!
//! Rows go through a tree eight side by side, a single row through eight trees side by side; a
//! row's score is added up tree by tree in the file's order either way.
//!
//! Invariants
//! - F1: every child is a node, and every path ends in a leaf at most [`DEPTH_MAX`] below its root;
//! - F2: every feature is below `width`, every score below `n_scores`.

use std::collections::BTreeMap;

/// Most levels of a tree.
pub(super) const DEPTH_MAX: usize = 1_024;
/// Rows through a tree, or trees for a row, side by side.
const LANES: usize = 8;
/// Rows that go through a tree before the next tree.
const BLOCK_ROWS: usize = 64;
/// Values this near to zero are zero for LightGBM (`kZeroThreshold`, a `float` there).
pub(super) const ZERO: f64 = 1e-35_f32 as f64;

/// Flags beside a node's feature: it is a leaf; a missing value goes left; its test is of a set
/// of categories; a zero counts as missing.
const LEAF: u32 = 1 << 31;
const MISSING_LEFT: u32 = 1 << 30;
const CATEGORIES: u32 = 1 << 29;
const ZERO_IS_MISSING: u32 = 1 << 28;
const FEATURE: u32 = ZERO_IS_MISSING - 1;

/// `f32` or `f64`: what a library computes in.
pub(super) trait Real:
    Copy + PartialOrd + Default + std::ops::AddAssign + std::ops::Mul<Output = Self> + Send + Sync
{
    fn to_f64(self) -> f64;
    fn from_index(index: u32) -> Self;
    /// Rounded.
    fn from_f64(value: f64) -> Self;
}

impl Real for f32 {
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn from_index(index: u32) -> Self {
        index as Self
    }
    fn from_f64(value: f64) -> Self {
        value as Self
    }
}

impl Real for f64 {
    fn to_f64(self) -> f64 {
        self
    }
    fn from_index(index: u32) -> Self {
        index.into()
    }
    fn from_f64(value: f64) -> Self {
        value
    }
}

/// How categories are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A set is words of bits; members go left, everything else right.
    LightGbm,
    /// A set is ascending numbers; members go right, what is no category left.
    XgBoost,
}

/// A part of a tree as its file has it.
#[derive(Clone, Debug)]
pub(super) enum Part<T> {
    Leaf {
        value: T,
        /// How much of the training data came here.
        cover: f64,
        linear: Option<Linear>,
    },
    Split {
        feature: usize,
        /// Passes where the value is at most this.
        threshold: T,
        /// Instead of the threshold: the set, as [`Rule`] says.
        categories: Option<Vec<u32>>,
        missing_left: bool,
        zero_is_missing: bool,
        left: usize,
        right: usize,
        cover: f64,
    },
}

/// A leaf of a linear tree: `constant + sum(coefficient * value)` in this order.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) constant: f64,
    pub(super) terms: Vec<(u32, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct Node<T> {
    /// The threshold; a leaf's value; which set of categories.
    value: T,
    bits: u32,
    /// Where to go if the test passes, else to the next one; a leaf's own position.
    child: u32,
}

/// Trees ready to be walked.
#[derive(Debug)]
pub(super) struct Forest<T> {
    nodes: Vec<Node<T>>,
    covers: Vec<f64>,
    /// Where each tree begins, to which score it adds.
    pub(super) roots: Vec<(u32, u32)>,
    sets: Vec<Vec<u32>>,
    linear: BTreeMap<u32, Linear>,
    rule: Rule,
    is_special: bool,
    pub(super) depth: usize,
    pub(super) width: usize,
    pub(super) n_scores: usize,
}

impl<T: Real> Forest<T> {
    pub(super) fn new(rule: Rule, width: usize, n_scores: usize) -> Self {
        let (nodes, covers, roots, sets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (linear, is_special, depth) = (BTreeMap::new(), false, 0);
        Self { nodes, covers, roots, sets, linear, rule, is_special, depth, width, n_scores }
    }

    pub(super) fn is_linear(&self) -> bool {
        !self.linear.is_empty()
    }

    pub(super) fn resident_bytes(&self) -> usize {
        let sets: usize = self.sets.iter().map(|set| 24 + size_of_val(set.as_slice())).sum();
        let linear: usize = self.linear.values().map(|leaf| 64 + 16 * leaf.terms.len()).sum();
        size_of_val(self.nodes.as_slice())
            + size_of_val(self.covers.as_slice())
            + size_of_val(self.roots.as_slice())
            + sets
            + linear
    }

    /// Adds a tree whose root is the first of `parts`; F1 and F2, or what is wrong.
    pub(super) fn push(&mut self, parts: &mut [Part<T>], score: usize) -> Result<(), String> {
        if self.n_scores <= score {
            return Err(format!("its score {score} is not below {}", self.n_scores));
        }
        let root = self.reserve(1)?;
        self.roots.push((root, score as u32));
        let mut seen = vec![false; parts.len()];
        let mut open = vec![(0_usize, root, 0_usize)];
        while let Some((part_idx, at, depth)) = open.pop() {
            let n = parts.len();
            let Some(part) = parts.get_mut(part_idx) else {
                return Err(format!("there is no node {part_idx}, it has {n}"));
            };
            if std::mem::replace(&mut seen[part_idx], true) {
                return Err(format!("node {part_idx} is reached twice"));
            }
            if DEPTH_MAX < depth {
                return Err(format!("it is deeper than {DEPTH_MAX} levels"));
            }
            self.depth = self.depth.max(depth);
            let slot = at as usize;
            match part {
                Part::Leaf { value, cover, linear } => {
                    self.nodes[slot] = Node { value: *value, bits: LEAF, child: at };
                    self.covers[slot] = *cover;
                    linear.take().and_then(|leaf| self.linear.insert(at, leaf));
                }
                Part::Split { feature, cover, left, right, .. } => {
                    if self.width <= *feature || FEATURE as usize <= *feature {
                        let width = self.width;
                        return Err(format!("node {part_idx} asks feature {feature} of {width}"));
                    }
                    self.covers[slot] = *cover;
                    let child = self.nodes.len() as u32;
                    open.extend([(*right, child + 1, depth + 1), (*left, child, depth + 1)]);
                    self.nodes[slot] = self.split(part, child);
                    self.reserve(2)?;
                }
            }
        }
        Ok(())
    }

    fn split(&mut self, part: &mut Part<T>, child: u32) -> Node<T> {
        let Part::Split { feature, threshold, categories, missing_left, zero_is_missing, .. } =
            part
        else {
            return Node { value: T::default(), bits: LEAF, child };
        };
        let mut bits = *feature as u32;
        bits |= if *missing_left { MISSING_LEFT } else { 0 };
        bits |= if *zero_is_missing { ZERO_IS_MISSING } else { 0 };
        let mut value = *threshold;
        if let Some(set) = categories.take() {
            bits |= CATEGORIES;
            value = T::from_index(self.sets.len() as u32);
            self.sets.push(set);
        }
        self.is_special |= bits & (CATEGORIES | ZERO_IS_MISSING) != 0;
        Node { value, bits, child }
    }

    /// Makes room for `n` nodes and says where.
    fn reserve(&mut self, n: usize) -> Result<u32, String> {
        // A set's index is kept as a number of `T`, exact below 2^24.
        let (at, sets_max) = (self.nodes.len(), 1 << 24);
        let fits = u32::try_from(at + n).is_ok_and(|end| end < LEAF);
        if !fits || sets_max <= self.sets.len() {
            return Err("there are too many nodes".into());
        }
        self.nodes.resize(at + n, Node { value: T::default(), bits: LEAF, child: at as u32 });
        self.covers.resize(at + n, 0.0);
        Ok(at as u32)
    }

    /// Adds every tree's value to the scores of its row; `rows` is `[n_rows, width]`, `scores`
    /// `[n_rows, n_scores]`.
    pub(super) fn add_scores(&self, rows: &[T], scores: &mut [T]) {
        if self.is_special {
            self.add::<true>(rows, scores);
        } else {
            self.add::<false>(rows, scores);
        }
    }

    fn add<const SPECIAL: bool>(&self, rows: &[T], scores: &mut [T]) {
        let (width, n) = (self.width, self.n_scores);
        for (block, scores) in
            rows.chunks(width * BLOCK_ROWS).zip(scores.chunks_mut(n * BLOCK_ROWS))
        {
            let groups = block.chunks_exact(width * LANES);
            let (rest, n_grouped) = (groups.remainder(), groups.len() * LANES);
            for (root, score) in &self.roots {
                for (group, rows) in groups.clone().enumerate() {
                    let rows: [&[T]; LANES] =
                        std::array::from_fn(|lane| &rows[lane * width..(lane + 1) * width]);
                    let mut at = [*root; LANES];
                    self.descend::<SPECIAL, LANES>(&rows, &mut at);
                    for (lane, at) in at.into_iter().enumerate() {
                        let row = group * LANES + lane;
                        scores[row * n + *score as usize] += self.value(at, rows[lane]);
                    }
                }
            }
            for (row_idx, row) in rest.chunks_exact(width).enumerate() {
                let row_idx = n_grouped + row_idx;
                self.add_row::<SPECIAL>(row, &mut scores[row_idx * n..(row_idx + 1) * n]);
            }
        }
    }

    fn add_row<const SPECIAL: bool>(&self, row: &[T], scores: &mut [T]) {
        let (groups, rest) = self.roots.as_chunks::<LANES>();
        for roots in groups {
            let mut at = roots.map(|(root, _)| root);
            self.descend::<SPECIAL, LANES>(&[row; LANES], &mut at);
            for (at, (_, score)) in at.into_iter().zip(roots) {
                scores[*score as usize] += self.value(at, row);
            }
        }
        for (root, score) in rest {
            let mut at = [*root];
            self.descend::<SPECIAL, 1>(&[row], &mut at);
            scores[*score as usize] += self.value(at[0], row);
        }
    }

    /// Moves each of `at` to the leaf that its row reaches.
    #[inline(always)]
    fn descend<const SPECIAL: bool, const N: usize>(&self, rows: &[&[T]; N], at: &mut [u32; N]) {
        loop {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let node = &self.nodes[*at as usize];
                let next = node.child + u32::from(!self.passes::<SPECIAL>(node, row));
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return;
            }
        }
    }

    #[inline(always)]
    #[expect(clippy::eq_op, reason = "only NaN differs from itself")]
    fn passes<const SPECIAL: bool>(&self, node: &Node<T>, row: &[T]) -> bool {
        let bits = node.bits;
        let x = row[(bits & FEATURE) as usize];
        let is_missing = x != x;
        if SPECIAL && bits & (CATEGORIES | ZERO_IS_MISSING) != 0 && !is_missing {
            if bits & CATEGORIES != 0 {
                return self.is_left_category(node.value, x.to_f64());
            }
            if x.to_f64().abs() <= ZERO {
                return bits & MISSING_LEFT != 0;
            }
        }
        let is_left_set = SPECIAL && bits & CATEGORIES != 0;
        (x <= node.value && !is_left_set)
            | (bits & LEAF != 0)
            | (is_missing & (bits & MISSING_LEFT != 0))
    }

    fn is_left_category(&self, set: T, x: f64) -> bool {
        let set = &self.sets[set.to_f64() as usize];
        match self.rule {
            Rule::LightGbm => {
                // The cast truncates; what has no `int` is no member.
                let category = x as i64;
                let word = usize::try_from(category / 32).ok().and_then(|word| set.get(word));
                0 <= category && word.is_some_and(|word| word >> (category % 32) & 1 == 1)
            }
            Rule::XgBoost => {
                let is_category = 0.0 <= x && x < 16_777_216.0;
                !(is_category && set.binary_search(&(x as u32)).is_ok())
            }
        }
    }

    #[inline(always)]
    fn value(&self, at: u32, row: &[T]) -> T {
        let value = self.nodes[at as usize].value;
        if self.linear.is_empty() {
            return value;
        }
        let Some(leaf) = self.linear.get(&at) else { return value };
        let mut sum = leaf.constant;
        for (feature, coefficient) in &leaf.terms {
            let x = row[*feature as usize].to_f64();
            if x.is_nan() {
                return value;
            }
            sum += coefficient * x;
        }
        T::from_f64(sum)
    }

    pub(super) fn cover(&self, at: u32) -> f64 {
        self.covers[at as usize]
    }

    /// Whether every split was seen by training rows, so that trees can be explained.
    pub(super) fn has_covers(&self) -> bool {
        let is_covered = |(node, cover): (&Node<T>, &f64)| node.bits & LEAF != 0 || 0.0 < *cover;
        self.nodes.iter().zip(&self.covers).all(is_covered)
    }

    pub(super) fn step(&self, at: u32) -> Step {
        let node = &self.nodes[at as usize];
        if node.bits & LEAF != 0 {
            Step::Leaf(node.value.to_f64())
        } else {
            Step::Split { feature: node.bits & FEATURE, children: [node.child, node.child + 1] }
        }
    }

    /// Where a row goes from a split.
    pub(super) fn child(&self, at: u32, row: &[T]) -> u32 {
        let node = &self.nodes[at as usize];
        node.child + u32::from(!self.passes::<true>(node, row))
    }
}

/// What stands at a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Leaf(f64),
    Split { feature: u32, children: [u32; 2] },
}
