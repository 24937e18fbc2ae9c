//! From the attributes of a tree operator to [`Ensemble`], checking its invariants W1 to W3.

use std::collections::HashMap;

use bartizan_core::Values;

use super::walk::{Ensemble, FEATURES_MAX, Leaves, Node, Test};
use crate::native::LoadError;
use crate::native::node::NodeContext;

/// Deepest tree, in branches from root to leaf.
const DEPTH_MAX: usize = 1_024;
/// Most nodes of all trees: positions are 31-bit numbers.
const TREE_NODES_MAX: usize = 1 << 31;

/// A list of floats: an attribute, or its twin `.._as_tensor` of newer versions.
pub(super) fn floats(node: &mut NodeContext<'_>, name: &str) -> Result<Vec<f32>, LoadError> {
    let plain = node.floats(name)?;
    let twin = format!("{name}_as_tensor");
    match node.tensor(&twin)?.map(|constant| constant.values) {
        None => Ok(plain.to_vec()),
        Some(Values::Fp32(values)) if plain.is_empty() => Ok(values),
        Some(Values::Fp32(_)) => Err(node.fault(format!("`{name}` and `{twin}` are both given"))),
        Some(other) => Err(node.fault(format!(
            "`{twin}` is {}, `native` takes FP32: export the model for 32-bit floats",
            other.datatype()
        ))),
    }
}

/// What leaves add to the scores.
pub(super) struct Target<'m> {
    trees: &'m [i64],
    nodes: &'m [i64],
    pub(super) ids: &'m [i64],
    pub(super) weights: Vec<f32>,
}

impl<'m> Target<'m> {
    pub(super) fn classes(node: &mut NodeContext<'m>) -> Result<Self, LoadError> {
        Self::read(node, "class")
    }

    pub(super) fn targets(node: &mut NodeContext<'m>) -> Result<Self, LoadError> {
        Self::read(node, "target")
    }

    fn read(node: &mut NodeContext<'m>, prefix: &str) -> Result<Self, LoadError> {
        let weights = floats(node, &format!("{prefix}_weights"))?;
        let mut ints = |suffix: &str| {
            let name = format!("{prefix}_{suffix}");
            let values = node.ints(&name)?;
            if values.len() == weights.len() {
                return Ok(values);
            }
            let (n, n_weights) = (values.len(), weights.len());
            Err(node.fault(format!("`{name}` has {n} values for {n_weights} weights")))
        };
        let (trees, nodes, ids) = (ints("treeids")?, ints("nodeids")?, ints("ids")?);
        Ok(Self { trees, nodes, ids, weights })
    }
}

/// The lists that describe nodes, all of one length.
struct Lists<'m> {
    trees: &'m [i64],
    nodes: &'m [i64],
    features: &'m [i64],
    thresholds: Vec<f32>,
    modes: &'m [&'m [u8]],
    if_true: &'m [i64],
    if_false: &'m [i64],
    /// Empty where no missing value passes.
    missing: &'m [i64],
}

impl<'m> Lists<'m> {
    fn read(node: &mut NodeContext<'m>) -> Result<Self, LoadError> {
        // Statistics of the training, by either name.
        node.ignore(&["nodes_hitrates", "nodes_hitrates_as_tensor"]);
        let lists = Self {
            trees: node.ints("nodes_treeids")?,
            nodes: node.ints("nodes_nodeids")?,
            features: node.ints("nodes_featureids")?,
            thresholds: floats(node, "nodes_values")?,
            modes: node.texts("nodes_modes")?,
            if_true: node.ints("nodes_truenodeids")?,
            if_false: node.ints("nodes_falsenodeids")?,
            missing: node.ints("nodes_missing_value_tracks_true")?,
        };
        let n = lists.trees.len();
        let lens = [
            ("nodes_nodeids", lists.nodes.len()),
            ("nodes_featureids", lists.features.len()),
            ("nodes_values", lists.thresholds.len()),
            ("nodes_modes", lists.modes.len()),
            ("nodes_truenodeids", lists.if_true.len()),
            ("nodes_falsenodeids", lists.if_false.len()),
            ("nodes_missing_value_tracks_true", lists.missing.len()),
        ];
        for (name, len) in lens {
            if len != n && !(len == 0 && name == "nodes_missing_value_tracks_true") {
                return Err(node.fault(format!("`{name}` has {len} values for {n} nodes")));
            }
        }
        if n == 0 || TREE_NODES_MAX < n {
            return Err(node.fault(format!("it has {n} tree nodes, not 1 to 2^31")));
        }
        Ok(lists)
    }

    fn name(&self, at: usize) -> String {
        format!("tree {}, node {}", self.trees[at], self.nodes[at])
    }
}

/// A node of the file: what it tests and where it leads, by position in the lists.
#[derive(Clone, Copy)]
enum Parsed {
    Leaf,
    /// The child when the test passes, the child when it does not.
    Branch(Test, [u32; 2]),
}

pub(super) fn ensemble(
    node: &mut NodeContext<'_>,
    width: usize,
    n_scores: usize,
    target: Target<'_>,
) -> Result<Ensemble, LoadError> {
    let lists = Lists::read(node)?;
    let mut by_id = HashMap::with_capacity(lists.trees.len());
    for (at, id) in lists.trees.iter().zip(lists.nodes).enumerate() {
        if by_id.insert(id, at as u32).is_some() {
            return Err(node.fault(format!("{} is there twice", lists.name(at))));
        }
    }
    let mut parsed = Vec::with_capacity(lists.trees.len());
    let mut has_parent = vec![false; lists.trees.len()];
    for at in 0..lists.trees.len() {
        let found = parse(&lists, at, width, &by_id);
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
    let roots = roots(&lists, &has_parent).map_err(|reason| node.fault(reason))?;
    let (leaves, payloads) =
        leaves(&lists, &parsed, &by_id, n_scores, &target).map_err(|reason| node.fault(reason))?;
    let (nodes, roots) =
        lay_out(&parsed, &roots, &payloads).map_err(|reason| node.fault(reason))?;
    let is_equal = |found: &Parsed| matches!(found, Parsed::Branch(Test { is_equal: true, .. }, _));
    let any_equal = parsed.iter().any(is_equal);
    Ok(Ensemble { nodes, roots, leaves, width, n_scores, any_equal })
}

/// Reads one node. Every mode becomes `<=` or `==`: for 32-bit floats `x < t` is `x <= t'` with
/// the next smaller `t'`, and the opposite of a test has its children swapped.
fn parse(
    lists: &Lists<'_>,
    at: usize,
    width: usize,
    by_id: &HashMap<(&i64, &i64), u32>,
) -> Result<Parsed, String> {
    let threshold = lists.thresholds[at];
    let below = |t: f32| if t == f32::NEG_INFINITY { f32::NAN } else { t.next_down() };
    let (threshold, is_equal, is_opposite) = match lists.modes[at] {
        b"LEAF" => return Ok(Parsed::Leaf),
        b"BRANCH_LEQ" => (threshold, false, false),
        b"BRANCH_LT" => (below(threshold), false, false),
        b"BRANCH_GT" => (threshold, false, true),
        b"BRANCH_GTE" => (below(threshold), false, true),
        b"BRANCH_EQ" => (threshold, true, false),
        b"BRANCH_NEQ" => (threshold, true, true),
        other => {
            let mode = String::from_utf8_lossy(other.get(..20).unwrap_or(other)).into_owned();
            return Err(format!("mode `{mode}` is unknown"));
        }
    };
    if lists.thresholds[at].is_nan() {
        return Err("its threshold is NaN".into());
    }
    let feature = u32::try_from(lists.features[at]).ok();
    let in_range = |feature: &u32| (*feature as usize) < width && *feature <= FEATURES_MAX;
    let Some(feature) = feature.filter(in_range) else {
        let feature = lists.features[at];
        return Err(format!("feature {feature} is not among the {width} columns of the input"));
    };
    let child = |id: &i64| {
        by_id.get(&(&lists.trees[at], id)).copied().ok_or(format!("its child {id} does not exist"))
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
    by_id: &HashMap<(&i64, &i64), u32>,
    n_scores: usize,
    target: &Target<'_>,
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
        let (tree, node) = (&target.trees[position], &target.nodes[position]);
        let Some(at) = by_id.get(&(tree, node)) else {
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
        if matches!(parsed[*at as usize], Parsed::Leaf) {
            values.push((payloads[*at as usize], score, *weight));
        }
    }
    values.sort_by_key(|(leaf, _, _)| *leaf);
    let is_dense = n_leaves.checked_mul(n_scores) == Some(values.len())
        && values.iter().enumerate().all(|(position, (leaf, score, _))| {
            (*leaf as usize, *score as usize) == (position / n_scores, position % n_scores)
        });
    if is_dense && n_scores == 1 {
        for (at, found) in parsed.iter().enumerate() {
            if matches!(found, Parsed::Leaf) {
                payloads[at] = values[payloads[at] as usize].2.to_bits();
            }
        }
        return Ok((Leaves::Single, payloads));
    }
    if is_dense {
        let dense = values.iter().map(|(_, _, weight)| *weight).collect();
        return Ok((Leaves::Dense(dense), payloads));
    }
    let mut starts = vec![0_u32; n_leaves + 1];
    values.iter().for_each(|(leaf, _, _)| starts[*leaf as usize + 1] += 1);
    for leaf in 0..n_leaves {
        starts[leaf + 1] += starts[leaf];
    }
    let values = values.into_iter().map(|(_, score, weight)| (score, weight)).collect();
    let _ = lists;
    Ok((Leaves::Sparse { starts, values }, payloads))
}

/// Nodes tree by tree, level by level, the children of a node side by side.
fn lay_out(
    parsed: &[Parsed],
    roots: &[u32],
    payloads: &[u32],
) -> Result<(Vec<Node>, Vec<u32>), String> {
    let mut nodes: Vec<Node> = Vec::with_capacity(parsed.len());
    let mut new_roots = Vec::with_capacity(roots.len());
    // Positions in the lists of the nodes of one level, and of the next.
    let (mut level, mut next) = (Vec::new(), Vec::new());
    for root in roots {
        new_roots.push(nodes.len() as u32);
        level.clear();
        level.push(*root);
        let mut depth = 0;
        while !level.is_empty() {
            if DEPTH_MAX < depth {
                return Err(format!("a tree is deeper than {DEPTH_MAX} branches"));
            }
            depth += 1;
            let after = nodes.len() + level.len();
            for at in &level {
                let own = nodes.len() as u32;
                nodes.push(match parsed[*at as usize] {
                    Parsed::Leaf => Node::leaf(own, payloads[*at as usize]),
                    Parsed::Branch(test, children) => {
                        let child = after + next.len();
                        next.extend(children);
                        Node::branch(test, child as u32)
                    }
                });
            }
            level.clear();
            std::mem::swap(&mut level, &mut next);
        }
    }
    // Each node has one parent at most, so that what was not reached is in a circle.
    if nodes.len() != parsed.len() {
        let lost = parsed.len() - nodes.len();
        return Err(format!("{lost} nodes are not reached from a root: they go in a circle"));
    }
    Ok((nodes, new_roots))
}
