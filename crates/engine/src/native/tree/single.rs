//! `ai.onnx.ml.TreeEnsemble` of version 5: branches and leaves in lists of their own.
//!
//! They are rewritten as the lists of the older operators, tree by tree.

use std::borrow::Cow;

use bartizan_core::{Datatype, Values};

use super::build::{Lists, Mode, Target, floats_of};
use super::{What, regression};
use crate::native::LoadError;
use crate::native::node::{Compiled, NodeContext};
use crate::native::op::post_transform::PostTransform;

/// Most visits of branches and leaves: each is visited once in a forest.
const VISITS_MAX: usize = 1 << 28;

/// The operator's own lists.
struct Forest<'m> {
    roots: &'m [i64],
    features: &'m [i64],
    splits: Vec<f64>,
    modes: Vec<u8>,
    if_true: &'m [i64],
    if_false: &'m [i64],
    true_is_leaf: &'m [i64],
    false_is_leaf: &'m [i64],
    missing: &'m [i64],
    leaf_targets: &'m [i64],
    leaf_weights: Vec<f64>,
}

fn floats(node: &mut NodeContext<'_>, name: &str) -> Result<Vec<f64>, LoadError> {
    match node.tensor(name)? {
        None => Err(node.fault(format!("`{name}` is missing"))),
        Some(constant) => floats_of(constant.values)
            .map_err(|found| node.fault(format!("`{name}` is {found}, not floats"))),
    }
}

impl<'m> Forest<'m> {
    fn read(node: &mut NodeContext<'m>) -> Result<Self, LoadError> {
        node.ignore(&["nodes_hitrates"]);
        let modes = match node.tensor("nodes_modes")?.map(|constant| constant.values) {
            Some(Values::Uint8(modes)) => modes,
            Some(_) | None => return Err(node.fault("`nodes_modes` must be UINT8")),
        };
        let forest = Self {
            roots: node.ints("tree_roots")?,
            features: node.ints("nodes_featureids")?,
            splits: floats(node, "nodes_splits")?,
            modes,
            if_true: node.ints("nodes_truenodeids")?,
            if_false: node.ints("nodes_falsenodeids")?,
            true_is_leaf: node.ints("nodes_trueleafs")?,
            false_is_leaf: node.ints("nodes_falseleafs")?,
            missing: node.ints("nodes_missing_value_tracks_true")?,
            leaf_targets: node.ints("leaf_targetids")?,
            leaf_weights: floats(node, "leaf_weights")?,
        };
        let n = forest.features.len();
        let lens = [
            forest.splits.len(),
            forest.modes.len(),
            forest.if_true.len(),
            forest.if_false.len(),
            forest.true_is_leaf.len(),
            forest.false_is_leaf.len(),
        ];
        if lens.iter().any(|len| *len != n) || ![0, n].contains(&forest.missing.len()) {
            return Err(node.fault(format!("lists of nodes are not all {n} long")));
        }
        if forest.leaf_targets.len() != forest.leaf_weights.len() {
            return Err(node.fault("`leaf_targetids` and `leaf_weights` differ in length"));
        }
        Ok(forest)
    }

    /// The older operators' lists: each visit of a branch or leaf is a node of its own.
    fn rewrite(&self) -> Result<(Lists<'static>, Target<'static>), String> {
        let mut out = Rewritten::default();
        for (tree, root) in self.roots.iter().enumerate() {
            let tree = tree as i64;
            let mut stack = vec![self.visit(&mut out, tree, *root, false)?];
            while let Some(at) = stack.pop() {
                let Some((node, branch)) = at else { continue };
                for (list, leaves, is_true) in [
                    (self.if_true, self.true_is_leaf, true),
                    (self.if_false, self.false_is_leaf, false),
                ] {
                    let child = out.nodes.len();
                    stack.push(self.visit(&mut out, tree, list[branch], leaves[branch] != 0)?);
                    let children = if is_true { &mut out.if_true } else { &mut out.if_false };
                    children[node] = child as i64;
                }
                if VISITS_MAX < out.nodes.len() {
                    return Err(format!("more than {VISITS_MAX} nodes are visited: in a circle"));
                }
            }
        }
        Ok(out.finish())
    }

    /// Adds a branch or leaf; of a branch, where it now is and which it was.
    fn visit(
        &self,
        out: &mut Rewritten,
        tree: i64,
        id: i64,
        is_leaf: bool,
    ) -> Result<Option<(usize, usize)>, String> {
        let len = if is_leaf { self.leaf_weights.len() } else { self.features.len() };
        let Some(at) = usize::try_from(id).ok().filter(|at| *at < len) else {
            let what = if is_leaf { "leaf" } else { "node" };
            return Err(format!("{what} {id} does not exist"));
        };
        if !is_leaf && out.n_branches == self.features.len() {
            return Err("a node is reached twice: they go in a circle or are shared".into());
        }
        let own = out.nodes.len();
        out.trees.push(tree);
        out.nodes.push(own as i64);
        out.if_true.push(0);
        out.if_false.push(0);
        if is_leaf {
            out.features.push(0);
            out.thresholds.push(0.0);
            out.modes.push(Mode::Leaf);
            out.missing.push(0);
            out.leaves.push((tree, own as i64, self.leaf_targets[at], self.leaf_weights[at]));
            return Ok(None);
        }
        out.n_branches += 1;
        out.features.push(self.features[at]);
        out.thresholds.push(self.splits[at]);
        out.missing.push(self.missing.get(at).copied().unwrap_or(0));
        out.modes.push(match self.modes[at] {
            0 => Mode::Leq,
            1 => Mode::Lt,
            2 => Mode::Gte,
            3 => Mode::Gt,
            4 => Mode::Eq,
            5 => Mode::Neq,
            6 => return Err("mode BRANCH_MEMBER (sets of values) is not run by `native`".into()),
            other => return Err(format!("mode {other} is unknown")),
        });
        Ok(Some((own, at)))
    }
}

#[derive(Default)]
struct Rewritten {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f64>,
    modes: Vec<Mode>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
    missing: Vec<i64>,
    leaves: Vec<(i64, i64, i64, f64)>,
    n_branches: usize,
}

impl Rewritten {
    fn finish(self) -> (Lists<'static>, Target<'static>) {
        let pick = |pick: fn(&(i64, i64, i64, f64)) -> i64| {
            Cow::Owned(self.leaves.iter().map(pick).collect())
        };
        let target = Target {
            trees: pick(|leaf| leaf.0),
            nodes: pick(|leaf| leaf.1),
            ids: pick(|leaf| leaf.2),
            weights: self.leaves.iter().map(|leaf| leaf.3).collect(),
        };
        let lists = Lists {
            trees: Cow::Owned(self.trees),
            nodes: Cow::Owned(self.nodes),
            features: Cow::Owned(self.features),
            thresholds: self.thresholds,
            modes: self.modes,
            if_true: Cow::Owned(self.if_true),
            if_false: Cow::Owned(self.if_false),
            missing: Cow::Owned(self.missing),
        };
        (lists, target)
    }
}

pub(in crate::native) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let n_targets = usize::try_from(node.int("n_targets", 1)?).unwrap_or(0);
    let is_average = match node.int("aggregate_function", 1)? {
        0 => true,
        1 => false,
        other => {
            let reason = format!("`aggregate_function` is {other}, `native` takes 0 or 1");
            return Err(node.fault(reason));
        }
    };
    let post_transform = match node.int("post_transform", 0)? {
        0 => PostTransform::None,
        1 => PostTransform::Softmax,
        2 => PostTransform::Logistic,
        3 => PostTransform::SoftmaxZero,
        4 => PostTransform::Probit,
        other => return Err(node.fault(format!("`post_transform` {other} is unknown"))),
    };
    if node.tensor("membership_values")?.is_some() {
        return Err(node.fault("`membership_values` (sets of values) are not run by `native`"));
    }
    let forest = Forest::read(node)?;
    let (lists, target) = forest.rewrite().map_err(|reason| node.fault(reason))?;
    if lists.trees.is_empty() {
        return Err(node.fault("it has no trees"));
    }
    let is_wide = node.input(0)?.datatype == Datatype::Fp64;
    let what = What { n_targets, is_average, post_transform };
    let mut compiled = regression(node, what, Vec::new(), &lists, &target)?;
    if is_wide {
        // The operator's output has the type of its input.
        let kernel = compiled.kernel;
        compiled.kernel = Box::new(super::Widened(kernel));
        compiled.outputs.iter_mut().for_each(|(datatype, _)| *datatype = Datatype::Fp64);
    }
    Ok(compiled)
}
