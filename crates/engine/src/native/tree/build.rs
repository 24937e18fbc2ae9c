//! From the attributes of a tree operator to [`Ensemble`], checking its invariants W1 to W3.

use std::borrow::Cow;
use std::collections::HashMap;

use bartizan_core::{Datatype, Values};

use super::walk::{Ensemble, Grid, Leaves, Node, Root};
use crate::native::LoadError;
use crate::native::node::NodeContext;

/// Deepest tree, in branches from root to leaf.
const DEPTH_MAX: usize = 1_024;
/// Most nodes of all trees: with what `==` adds their positions are 32-bit numbers.
const TREE_NODES_MAX: usize = 1 << 30;

/// A list of floats: an attribute, or its twin `.._as_tensor` of newer versions, which may be
/// doubles.
pub(super) fn doubles(node: &mut NodeContext<'_>, name: &str) -> Result<Vec<f64>, LoadError> {
    let plain = node.floats(name)?;
    let twin = format!("{name}_as_tensor");
    let Some(constant) = node.tensor(&twin)? else {
        return Ok(plain.iter().copied().map(f64::from).collect());
    };
    if !plain.is_empty() {
        return Err(node.fault(format!("`{name}` and `{twin}` are both given")));
    }
    floats_of(constant.values)
        .map_err(|found| node.fault(format!("`{twin}` is {found}, not floats")))
}

/// The values as doubles, or their type where they are no floats.
pub(super) fn floats_of(values: Values) -> Result<Vec<f64>, Datatype> {
    let found = values.datatype();
    if let Values::Fp32(values) = values {
        return Ok(values.into_iter().map(f64::from).collect());
    }
    if let Values::Fp64(values) = values { Ok(values) } else { Err(found) }
}

/// Doubles as floats, where the input is of floats: what does not fit is refused.
pub(super) fn narrow(
    node: &NodeContext<'_>,
    name: &str,
    values: &[f64],
) -> Result<Vec<f32>, LoadError> {
    let fits = |value: &f64| value.is_nan() || f64::from(*value as f32) == *value;
    if values.iter().all(fits) {
        return Ok(values.iter().map(|value| *value as f32).collect());
    }
    Err(node.fault(format!("`{name}` needs doubles, the input is of 32-bit floats")))
}

/// What leaves add to the scores.
#[derive(Default)]
pub(super) struct Target<'m> {
    pub(super) trees: Cow<'m, [i64]>,
    pub(super) nodes: Cow<'m, [i64]>,
    pub(super) ids: Cow<'m, [i64]>,
    pub(super) weights: Vec<f64>,
}

impl<'m> Target<'m> {
    pub(super) fn classes(node: &mut NodeContext<'m>) -> Result<Self, LoadError> {
        Self::read(node, "class")
    }

    pub(super) fn targets(node: &mut NodeContext<'m>) -> Result<Self, LoadError> {
        Self::read(node, "target")
    }

    fn read(node: &mut NodeContext<'m>, prefix: &str) -> Result<Self, LoadError> {
        let weights = doubles(node, &format!("{prefix}_weights"))?;
        let mut ints = |suffix: &str| {
            let name = format!("{prefix}_{suffix}");
            let values = node.ints(&name)?;
            if values.len() == weights.len() {
                return Ok(Cow::Borrowed(values));
            }
            let (n, n_weights) = (values.len(), weights.len());
            Err(node.fault(format!("`{name}` has {n} values for {n_weights} weights")))
        };
        let (trees, nodes, ids) = (ints("treeids")?, ints("nodeids")?, ints("ids")?);
        Ok(Self { trees, nodes, ids, weights })
    }
}

/// What a node does, by ONNX's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
    Leaf,
}

impl Mode {
    fn read(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"BRANCH_LEQ" => Self::Leq,
            b"BRANCH_LT" => Self::Lt,
            b"BRANCH_GTE" => Self::Gte,
            b"BRANCH_GT" => Self::Gt,
            b"BRANCH_EQ" => Self::Eq,
            b"BRANCH_NEQ" => Self::Neq,
            b"LEAF" => Self::Leaf,
            _ => return None,
        })
    }
}

/// The lists that describe nodes, all of one length.
#[derive(Default)]
pub(super) struct Lists<'m> {
    pub(super) trees: Cow<'m, [i64]>,
    pub(super) nodes: Cow<'m, [i64]>,
    pub(super) features: Cow<'m, [i64]>,
    pub(super) thresholds: Vec<f64>,
    pub(super) modes: Vec<Mode>,
    pub(super) if_true: Cow<'m, [i64]>,
    pub(super) if_false: Cow<'m, [i64]>,
    /// Empty where no missing value passes.
    pub(super) missing: Cow<'m, [i64]>,
}

impl<'m> Lists<'m> {
    pub(super) fn read(node: &mut NodeContext<'m>) -> Result<Self, LoadError> {
        // Statistics of the training, by either name.
        node.ignore(&["nodes_hitrates", "nodes_hitrates_as_tensor"]);
        let names = node.texts("nodes_modes")?;
        let mut modes = Vec::with_capacity(names.len());
        for name in names {
            let Some(mode) = Mode::read(name) else {
                let name = String::from_utf8_lossy(name.get(..20).unwrap_or(name)).into_owned();
                return Err(node.fault(format!("mode `{name}` is unknown")));
            };
            modes.push(mode);
        }
        let lists = Self {
            trees: node.ints("nodes_treeids")?.into(),
            nodes: node.ints("nodes_nodeids")?.into(),
            features: node.ints("nodes_featureids")?.into(),
            thresholds: doubles(node, "nodes_values")?,
            modes,
            if_true: node.ints("nodes_truenodeids")?.into(),
            if_false: node.ints("nodes_falsenodeids")?.into(),
            missing: node.ints("nodes_missing_value_tracks_true")?.into(),
        };
        lists.check(node)?;
        Ok(lists)
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), LoadError> {
        let n = self.trees.len();
        let lens = [
            ("nodes_nodeids", self.nodes.len()),
            ("nodes_featureids", self.features.len()),
            ("nodes_values", self.thresholds.len()),
            ("nodes_modes", self.modes.len()),
            ("nodes_truenodeids", self.if_true.len()),
            ("nodes_falsenodeids", self.if_false.len()),
            ("nodes_missing_value_tracks_true", self.missing.len()),
        ];
        for (name, len) in lens {
            if len != n && !(len == 0 && name == "nodes_missing_value_tracks_true") {
                return Err(node.fault(format!("`{name}` has {len} values for {n} nodes")));
            }
        }
        if n == 0 || TREE_NODES_MAX < n {
            return Err(node.fault(format!("it has {n} tree nodes, not 1 to 2^30")));
        }
        Ok(())
    }

    fn name(&self, at: usize) -> String {
        format!("tree {}, node {}", self.trees[at], self.nodes[at])
    }
}

/// What a branch asks of a value.
#[derive(Clone, Copy)]
struct Test {
    threshold: f32,
    feature: u32,
    /// The test is `x == threshold`, not `x <= threshold`.
    is_equal: bool,
    nan_passes: bool,
}

/// A node of the file: what it tests and where it leads, by position in the lists.
#[derive(Clone, Copy)]
enum Parsed {
    Leaf,
    /// The child when the test passes, the child when it does not.
    Branch(Test, [u32; 2]),
}

/// Where in the lists a node is, by tree and id.
struct Positions {
    /// The first node of each tree: most exporters list a tree's nodes by id, from 0.
    first: HashMap<i64, u32>,
    /// All the others.
    rest: HashMap<(i64, i64), u32>,
}

impl Positions {
    /// The position of a node that is there twice is the error.
    fn new(lists: &Lists<'_>) -> Result<Self, usize> {
        let mut found = Self { first: HashMap::new(), rest: HashMap::new() };
        let (mut tree, mut start) = (None, 0_usize);
        for (at, (of, id)) in lists.trees.iter().zip(lists.nodes.iter()).enumerate() {
            if tree != Some(*of) && *id == 0 && !found.first.contains_key(of) {
                (tree, start) = (Some(*of), at);
                found.first.insert(*of, at as u32);
                continue;
            }
            let is_next = tree == Some(*of) && usize::try_from(*id) == Ok(at - start);
            if !is_next {
                // What is out of order ends the run of its tree.
                tree = None;
                if found.of(lists, *of, *id).is_some_and(|earlier| (earlier as usize) < at)
                    || found.rest.insert((*of, *id), at as u32).is_some()
                {
                    return Err(at);
                }
            }
        }
        Ok(found)
    }

    fn of(&self, lists: &Lists<'_>, tree: i64, id: i64) -> Option<u32> {
        let listed = || {
            let at = (*self.first.get(&tree)? as usize).checked_add(usize::try_from(id).ok()?)?;
            let is_it = lists.trees.get(at) == Some(&tree) && lists.nodes.get(at) == Some(&id);
            u32::try_from(at).ok().filter(|_| is_it)
        };
        listed().or_else(|| self.rest.get(&(tree, id)).copied())
    }
}

/// How wide the input's numbers are, and how branches compare them.
enum Numbers {
    Floats,
    /// Doubles become ranks among their feature's thresholds: see [`Grid`].
    Doubles(Grid),
}

impl Numbers {
    /// The threshold as it is compared, and below it the next number.
    fn threshold(&self, feature: usize, threshold: f64) -> f32 {
        match self {
            Self::Floats => threshold as f32,
            Self::Doubles(grid) => grid.rank(feature, threshold),
        }
    }

    fn below(&self, threshold: f64) -> f64 {
        match self {
            Self::Floats => f64::from((threshold as f32).next_down()),
            Self::Doubles(_) => threshold.next_down(),
        }
    }
}

/// Thresholds of every feature, in order, as far as branches need them.
fn grid(node: &NodeContext<'_>, lists: &Lists<'_>, width: usize) -> Result<Grid, LoadError> {
    let mut thresholds = vec![Vec::new(); width];
    for (at, mode) in lists.modes.iter().enumerate() {
        let (feature, threshold) = (usize::try_from(lists.features[at]), lists.thresholds[at]);
        let Some(of) = feature.ok().and_then(|feature| thresholds.get_mut(feature)) else {
            // Whoever reads the node says so.
            continue;
        };
        match mode {
            Mode::Leaf => {}
            Mode::Leq | Mode::Gt => of.push(threshold),
            Mode::Lt | Mode::Gte => of.push(threshold.next_down()),
            Mode::Eq | Mode::Neq => of.extend([threshold, threshold.next_down()]),
        }
    }
    Grid::new(thresholds).map_err(|reason| node.fault(reason))
}

pub(super) fn ensemble(
    node: &mut NodeContext<'_>,
    width: usize,
    n_scores: usize,
    lists: &Lists<'_>,
    target: &Target<'_>,
) -> Result<Ensemble, LoadError> {
    let is_wide = node.input(0)?.datatype == Datatype::Fp64;
    let numbers = if is_wide {
        Numbers::Doubles(grid(node, lists, width)?)
    } else {
        narrow(node, "nodes_values", &lists.thresholds)?;
        Numbers::Floats
    };
    let by_id = Positions::new(lists)
        .map_err(|at| node.fault(format!("{} is there twice", lists.name(at))))?;
    let mut parsed = Vec::with_capacity(lists.trees.len());
    let mut has_parent = vec![false; lists.trees.len()];
    for at in 0..lists.trees.len() {
        let found = parse(lists, at, width, &by_id, &numbers);
        let found = found.map_err(|reason| node.fault(format!("{}: {reason}", lists.name(at))))?;
        if let Parsed::Branch(_, children) = &found {
            for child in children {
                if std::mem::replace(&mut has_parent[*child as usize], true) {
                    let name = lists.name(*child as usize);
                    return Err(node.fault(format!("{name} is the child of two")));
                }
            }
        }
        parsed.push(found);
    }
    let roots = roots(lists, &has_parent).map_err(|reason| node.fault(reason))?;
    let (leaves, payloads) = leaves(lists, &parsed, &by_id, n_scores, target, is_wide)
        .map_err(|reason| node.fault(reason))?;
    // +inf instead of NaN does only where it passes no test.
    let needs_both = |found: &Parsed| match found {
        Parsed::Leaf => false,
        Parsed::Branch(test, _) => test.nan_passes || test.threshold == f32::INFINITY,
    };
    let is_doubled = parsed.iter().any(needs_both);
    let layout = Layout {
        parsed: &parsed,
        payloads: &payloads,
        failing: if is_doubled { width as u32 } else { 0 },
        nodes: Vec::with_capacity(parsed.len()),
        n_laid: 0,
    };
    let (nodes, roots) = layout.trees(&roots).map_err(|reason| node.fault(reason))?;
    let grid = match numbers {
        Numbers::Floats => None,
        Numbers::Doubles(grid) => Some(grid),
    };
    Ok(Ensemble { nodes, roots, leaves, width, n_scores, is_doubled, grid })
}

/// Reads one node. Every mode becomes `<=` or `==`: `x < t` is `x <= t'` with the next smaller
/// number `t'`, and the opposite of a test has its children swapped.
fn parse(
    lists: &Lists<'_>,
    at: usize,
    width: usize,
    by_id: &Positions,
    numbers: &Numbers,
) -> Result<Parsed, String> {
    let mode = lists.modes[at];
    let threshold = lists.thresholds[at];
    let (is_strict, is_equal, is_opposite) = match mode {
        Mode::Leaf => return Ok(Parsed::Leaf),
        Mode::Leq => (false, false, false),
        Mode::Lt => (true, false, false),
        Mode::Gt => (false, false, true),
        Mode::Gte => (true, false, true),
        Mode::Eq => (false, true, false),
        Mode::Neq => (false, true, true),
    };
    if threshold.is_nan() || (is_strict && threshold == f64::NEG_INFINITY) {
        return Err("its threshold is NaN, or -inf, which no value is below".into());
    }
    let feature = u32::try_from(lists.features[at]).ok();
    let Some(feature) = feature.filter(|feature| (*feature as usize) < width) else {
        let feature = lists.features[at];
        return Err(format!("feature {feature} is not among the {width} columns of the input"));
    };
    let threshold = if is_strict { numbers.below(threshold) } else { threshold };
    let threshold = numbers.threshold(feature as usize, threshold);
    let child = |id: &i64| {
        let child = by_id.of(lists, lists.trees[at], *id);
        child.ok_or_else(|| format!("its child {id} does not exist"))
    };
    let (if_true, if_false) = (child(&lists.if_true[at])?, child(&lists.if_false[at])?);
    // NaN fails every comparison but `!=`.
    let nan_is_true =
        lists.missing.get(at).is_some_and(|tracks| *tracks != 0) || (is_equal && is_opposite);
    let test = Test { threshold, feature, is_equal, nan_passes: nan_is_true != is_opposite };
    let children = if is_opposite { [if_false, if_true] } else { [if_true, if_false] };
    Ok(Parsed::Branch(test, children))
}

/// The root of each tree, in the order in which trees first appear.
fn roots(lists: &Lists<'_>, has_parent: &[bool]) -> Result<Vec<u32>, String> {
    let mut order = Vec::new();
    let mut by_tree: HashMap<i64, (usize, Option<u32>)> = HashMap::new();
    for (at, tree) in lists.trees.iter().enumerate() {
        let (_, root) = by_tree.entry(*tree).or_insert_with(|| {
            order.push(*tree);
            (order.len(), None)
        });
        if !has_parent[at] && root.replace(at as u32).is_some() {
            return Err(format!("tree {tree} has two roots"));
        }
    }
    let root = |tree: &i64| {
        let root = by_tree.get(tree).and_then(|(_, root)| *root);
        root.ok_or(format!("tree {tree} has no root: its nodes go in a circle"))
    };
    order.iter().map(root).collect()
}

/// The table of leaves, and each node's payload (of a leaf) by position in the lists.
fn leaves(
    lists: &Lists<'_>,
    parsed: &[Parsed],
    by_id: &Positions,
    n_scores: usize,
    target: &Target<'_>,
    is_wide: bool,
) -> Result<(Leaves, Vec<u32>), String> {
    let mut payloads = vec![0; parsed.len()];
    let mut n_leaves = 0_usize;
    for (payload, _) in
        payloads.iter_mut().zip(parsed).filter(|(_, found)| matches!(found, Parsed::Leaf))
    {
        *payload = n_leaves as u32;
        n_leaves += 1;
    }
    // Leaf, score and weight, by leaf; within a leaf in the file's order.
    let mut values = Vec::with_capacity(target.weights.len());
    for (position, weight) in target.weights.iter().enumerate() {
        let (tree, node) = (target.trees[position], target.nodes[position]);
        let Some(at) = by_id.of(lists, tree, node) else {
            return Err(format!(
                "a weight is given to tree {tree}, node {node}, which is not there"
            ));
        };
        let score = u32::try_from(target.ids[position]).ok();
        let Some(score) = score.filter(|score| (*score as usize) < n_scores) else {
            let id = target.ids[position];
            return Err(format!("a weight is given to score {id} of {n_scores}"));
        };
        // Some exporters give branches a weight, which no row reaches.
        if matches!(parsed[at as usize], Parsed::Leaf) {
            values.push((payloads[at as usize], score, *weight));
        }
    }
    values.sort_by_key(|(leaf, _, _)| *leaf);
    let is_dense = n_leaves.checked_mul(n_scores) == Some(values.len())
        && values.iter().enumerate().all(|(position, (leaf, score, _))| {
            (*leaf as usize, *score as usize) == (position / n_scores, position % n_scores)
        });
    let narrow = |value: f64| value as f32;
    let fits = |value: f64| value.is_nan() || f64::from(narrow(value)) == value;
    if !is_wide && !values.iter().all(|(_, _, weight)| fits(*weight)) {
        return Err("its weights need doubles, the input is of 32-bit floats".into());
    }
    if is_dense && n_scores == 1 && !is_wide {
        for (at, found) in parsed.iter().enumerate() {
            if matches!(found, Parsed::Leaf) {
                payloads[at] = (values[payloads[at] as usize].2 as f32).to_bits();
            }
        }
        return Ok((Leaves::Single, payloads));
    }
    if is_dense && !is_wide {
        let dense = values.iter().map(|(_, _, weight)| narrow(*weight)).collect();
        return Ok((Leaves::Dense(dense), payloads));
    }
    let mut starts = vec![0_u32; n_leaves + 1];
    values.iter().for_each(|(leaf, _, _)| starts[*leaf as usize + 1] += 1);
    for leaf in 0..n_leaves {
        starts[leaf + 1] += starts[leaf];
    }
    if is_wide {
        let values = values.into_iter().map(|(_, score, weight)| (score, weight)).collect();
        return Ok((Leaves::Wide { starts, values }, payloads));
    }
    let values = values.into_iter().map(|(_, score, weight)| (score, narrow(weight))).collect();
    Ok((Leaves::Sparse { starts, values }, payloads))
}

/// What comes to lie in a place of the next level.
#[derive(Clone, Copy)]
enum Entry {
    /// A node of the file, by position in the lists.
    Listed(u32),
    /// The second half of `x == threshold`: fails where the value is not below the threshold.
    Below { test: Test, if_unequal: u32, if_equal: u32 },
    /// Leads on to a node that lies elsewhere.
    To(u32),
}

/// Lays nodes out tree by tree, level by level, the children of a node side by side.
struct Layout<'p> {
    parsed: &'p [Parsed],
    payloads: &'p [u32],
    /// Where in a prepared row NaN fails; it passes at the row's start.
    failing: u32,
    nodes: Vec<Node>,
    /// How many nodes of the file have been laid out.
    n_laid: usize,
}

impl Layout<'_> {
    fn trees(mut self, roots: &[u32]) -> Result<(Vec<Node>, Vec<Root>), String> {
        let roots = roots.iter().map(|root| self.tree(*root)).collect::<Result<Vec<_>, _>>()?;
        // Each node has one parent at most, so that what was not reached is in a circle.
        if self.n_laid != self.parsed.len() {
            let lost = self.parsed.len() - self.n_laid;
            return Err(format!("{lost} nodes are not reached from a root: they go in a circle"));
        }
        Ok((self.nodes, roots))
    }

    fn tree(&mut self, root: u32) -> Result<Root, String> {
        let node = self.nodes.len() as u32;
        let (mut level, mut next) = (vec![Entry::Listed(root)], Vec::new());
        let (mut depth, mut n_leaves, mut depths) = (0_usize, 0_usize, 0_usize);
        while !level.is_empty() {
            if DEPTH_MAX < depth {
                return Err(format!("a tree is deeper than {DEPTH_MAX} branches"));
            }
            let after = self.nodes.len() + level.len();
            for entry in level.drain(..) {
                let child = (after + next.len()) as u32;
                let is_leaf = self.push(entry, child, &mut next);
                n_leaves += usize::from(is_leaf);
                depths += if is_leaf { depth } else { 0 };
            }
            std::mem::swap(&mut level, &mut next);
            depth += 1;
        }
        Ok(Root { node, steps: depths.checked_div(n_leaves).unwrap_or(0) as u32 })
    }

    /// Lays out one node, whose children, if it has any, go to `next`, which begins at `child`.
    fn push(&mut self, entry: Entry, child: u32, next: &mut Vec<Entry>) -> bool {
        let own = self.nodes.len() as u32;
        let feature = |test: &Test| test.feature + if test.nan_passes { 0 } else { self.failing };
        let mut is_leaf = false;
        let node = match entry {
            Entry::Listed(at) => {
                self.n_laid += 1;
                match self.parsed[at as usize] {
                    Parsed::Leaf => {
                        is_leaf = true;
                        Node::always(own, self.payloads[at as usize])
                    }
                    Parsed::Branch(test, [passes, fails]) => {
                        let (if_unequal, if_equal) = (child + 1, passes);
                        next.push(if test.is_equal {
                            Entry::Below { test, if_unequal, if_equal }
                        } else {
                            Entry::Listed(passes)
                        });
                        next.push(Entry::Listed(fails));
                        let feature = feature(&test);
                        Node { threshold: test.threshold, feature, child, payload: 0 }
                    }
                }
            }
            Entry::Below { test, if_unequal, if_equal } => {
                next.extend([Entry::To(if_unequal), Entry::Listed(if_equal)]);
                let threshold = match test.threshold {
                    f32::NEG_INFINITY => f32::NAN,
                    threshold => threshold.next_down(),
                };
                // NaN, if it came here, fails and so counts as equal.
                Node { threshold, feature: test.feature + self.failing, child, payload: 0 }
            }
            Entry::To(place) => Node::always(place, 0),
        };
        self.nodes.push(node);
        is_leaf
    }
}
