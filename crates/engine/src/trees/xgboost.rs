//! XGBoost's JSON and UBJSON models (its `doc/model.schema`), as releases 1.6 and later write them.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use bartizan_stats::ln::ln;

use super::document::{self, Doc};
use super::forest::{Forest, Part, Rule};
use super::objective::{Objective, Transform};
use super::{Body, FEATURES_MAX, Fault, Read, SCORES_MAX, fault};

/// Categories are whole numbers below this (`OutOfRangeCat`).
const CATEGORY_MAX: i32 = 1 << 24;

pub(super) fn read(bytes: &[u8], is_ubj: bool) -> Result<Read, Fault> {
    let doc = document::read(bytes, is_ubj).map_err(|reason| fault("document", reason))?;
    let n_features = parameter(&doc, "num_feature", None)?;
    let n_classes = parameter(&doc, "num_class", Some(0))?;
    let n_targets = parameter(&doc, "num_target", Some(1))?;
    let n_scores = n_classes.max(n_targets).max(1);
    if n_features == 0 || FEATURES_MAX < n_features {
        let reason = format!("`num_feature` is {n_features}, 1 to {FEATURES_MAX} are taken");
        return Err(fault("learner_model_param", reason));
    }
    if SCORES_MAX < n_scores {
        let reason = format!("a row has {n_scores} scores, at most {SCORES_MAX} are taken");
        return Err(fault("learner_model_param", reason));
    }
    let name = text(&doc, "learner.objective.name")?;
    let (transform, margin) = objective(name, n_scores)?;
    let base = base(&doc, n_scores, margin)?;
    let objective = Objective { transform, n_scores };
    let booster = text(&doc, "learner.gradient_booster.name")?;
    let body = match booster {
        "gbtree" => {
            let forest = forest(&doc, "learner.gradient_booster.model", n_features, n_scores, &[])?;
            Body::Single { forest, base }
        }
        "dart" => {
            let weights = doc.at("learner.gradient_booster.weight_drop").and_then(Doc::floats);
            let weights = weights.ok_or_else(|| fault("gradient_booster", "no `weight_drop`"))?;
            let path = "learner.gradient_booster.gbtree.model";
            Body::Single { forest: forest(&doc, path, n_features, n_scores, &weights)?, base }
        }
        "gblinear" => {
            let weights = doc.at("learner.gradient_booster.model.weights").and_then(Doc::floats);
            let weights = weights.ok_or_else(|| fault("gblinear", "no `weights`"))?;
            let wanted = n_features.saturating_add(1).saturating_mul(n_scores);
            if weights.len() != wanted || weights.iter().any(|weight| weight.is_nan()) {
                let found = weights.len();
                let reason = format!("{found} `weights`, or NaN, where {wanted} should be");
                return Err(fault("gblinear", reason));
            }
            Body::Linear { weights, base, width: n_features }
        }
        _ => return Err(fault("gradient_booster", format!("`{booster}` is not known"))),
    };
    Ok(Read { body, objective })
}

fn text<'d>(doc: &'d Doc, path: &str) -> Result<&'d str, Fault> {
    doc.at(path).and_then(Doc::text).ok_or_else(|| fault("document", format!("no `{path}`")))
}

/// A number that is written as a text.
fn parameter(doc: &Doc, key: &str, default: Option<usize>) -> Result<usize, Fault> {
    let place = "learner_model_param";
    match doc.at(&format!("learner.learner_model_param.{key}")) {
        None => default.ok_or_else(|| fault(place, format!("no `{key}`"))),
        Some(value) => {
            let number = value.text().and_then(|text| text.parse().ok());
            number.ok_or_else(|| fault(place, format!("`{key}` is no number that fits")))
        }
    }
}

/// How a base score becomes a margin (`ProbToMargin`).
#[derive(Clone, Copy)]
enum Margin {
    Same,
    Logit,
    Log,
}

fn objective(name: &str, n_scores: usize) -> Result<(Transform, Margin), Fault> {
    let found = match name {
        "reg:squarederror"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "reg:pseudohubererror"
        | "rank:ndcg"
        | "rank:pairwise"
        | "rank:map" => (Transform::None, Margin::Same),
        "reg:expectileerror" => (Transform::None, Margin::Same),
        "binary:logistic" => (Transform::Logistic { scale: 1.0 }, Margin::Logit),
        "reg:logistic" => (Transform::LogisticValue, Margin::Logit),
        "binary:logitraw" => (Transform::None, Margin::Same),
        "binary:hinge" => (Transform::Above, Margin::Same),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (Transform::Exp, Margin::Log)
        }
        "multi:softprob" => (Transform::Softmax, Margin::Same),
        "multi:softmax" => (Transform::Largest, Margin::Same),
        _ => return Err(fault("objective", format!("`{name}` is not known"))),
    };
    if matches!(found.0, Transform::Softmax | Transform::Largest) && n_scores < 2 {
        return Err(fault("objective", format!("`{name}` has one class")));
    }
    if matches!(found.0, Transform::Logistic { .. } | Transform::Above) && n_scores != 1 {
        return Err(fault("objective", format!("`{name}` has {n_scores} scores, not 1")));
    }
    Ok(found)
}

/// The base score, written as a number or as a list of numbers, as margins.
#[expect(clippy::cast_possible_truncation, reason = "rounded once to the library's type")]
fn base(doc: &Doc, n_scores: usize, margin: Margin) -> Result<Vec<f32>, Fault> {
    let wrong = |reason: &str| fault("base_score", reason.to_owned());
    let written = text(doc, "learner.learner_model_param.base_score")?;
    let list = written.trim().trim_start_matches('[').trim_end_matches(']');
    let scores: Result<Vec<f32>, _> = list.split(',').map(|text| text.trim().parse()).collect();
    let mut scores = scores.map_err(|_| wrong("it is no number"))?;
    if scores.len() == 1 {
        scores.resize(n_scores, scores.first().copied().unwrap_or_default());
    }
    if scores.len() != n_scores {
        return Err(wrong(&format!("{} numbers for {n_scores} scores", scores.len())));
    }
    for score in &mut scores {
        *score = match margin {
            Margin::Same => *score,
            Margin::Log => ln(f64::from(*score)) as f32,
            Margin::Logit => -(ln(f64::from(1.0 / *score - 1.0)) as f32),
        };
        if !score.is_finite() {
            return Err(wrong("its margin is not finite"));
        }
    }
    Ok(scores)
}

fn forest(
    doc: &Doc,
    path: &str,
    n_features: usize,
    n_scores: usize,
    weights: &[f32],
) -> Result<Forest<f32>, Fault> {
    let model = doc.at(path).ok_or_else(|| fault("document", format!("no `{path}`")))?;
    let trees = model.at("trees").and_then(Doc::list);
    let trees = trees.ok_or_else(|| fault("model", "no `trees`"))?;
    let info = model.at("tree_info").and_then(Doc::ints).unwrap_or(&[]);
    if info.len() != trees.len() || !(weights.is_empty() || weights.len() == trees.len()) {
        let (n, m) = (trees.len(), info.len());
        let reason = format!("{n} trees, {m} in `tree_info`, {} weights", weights.len());
        return Err(fault("model", reason));
    }
    let mut forest = Forest::new(Rule::XgBoost, n_features, n_scores);
    for (at, (tree, score)) in trees.iter().zip(info).enumerate() {
        let place = format!("tree {at}");
        let weight = weights.get(at).copied();
        let mut parts = parts(tree, weight).map_err(|reason| fault(&place, reason))?;
        let score = usize::try_from(*score).unwrap_or(usize::MAX);
        forest.push(&mut parts, score).map_err(|reason| fault(&place, reason))?;
    }
    Ok(forest)
}

/// Numbers of a tree, `n` of them.
fn numbers<T>(list: Option<T>, key: &str, n: usize) -> Result<T, String>
where
    T: AsRef<[T::Item]> + Items,
{
    let list = list.ok_or_else(|| format!("no `{key}`, or something else than numbers in it"))?;
    let found = list.as_ref().len();
    if found == n { Ok(list) } else { Err(format!("`{key}` has {found} values, not {n}")) }
}

/// What a list holds.
trait Items {
    type Item;
}

impl<T> Items for Vec<T> {
    type Item = T;
}

impl<T> Items for &[T] {
    type Item = T;
}

fn parts(tree: &Doc, weight: Option<f32>) -> Result<Vec<Part<f32>>, String> {
    if let Some(size) = tree.at("tree_param.size_leaf_vector").and_then(Doc::text)
        && !matches!(size, "0" | "1")
    {
        return Err("its leaves hold vectors (`multi_output_tree`): train with one tree a \
                    target (`multi_strategy=\"one_output_per_tree\"`)"
            .into());
    }
    let ints = |key: &str| tree.at(key).and_then(Doc::ints);
    let left = ints("left_children").ok_or("no `left_children`")?;
    let n = left.len();
    let right = numbers(ints("right_children"), "right_children", n)?;
    let features = numbers(ints("split_indices"), "split_indices", n)?;
    let defaults = numbers(ints("default_left"), "default_left", n)?;
    let floats = |key: &str| numbers(tree.at(key).and_then(Doc::floats), key, n);
    let conditions = floats("split_conditions")?;
    if conditions.iter().any(|value| value.is_nan()) {
        return Err("`split_conditions` has NaN".into());
    }
    let covers = floats("sum_hessian").unwrap_or_else(|_| vec![0.0; n]);
    let mut sets = sets(tree, n)?;
    let position = |child: i32| usize::try_from(child).unwrap_or(usize::MAX);
    let mut parts = Vec::with_capacity(n);
    let rest = features.iter().zip(defaults).zip(conditions).zip(covers);
    for (at, ((left, right), (((feature, default), condition), cover))) in
        left.iter().zip(right).zip(rest).enumerate()
    {
        let cover = f64::from(cover);
        parts.push(if *left == -1 {
            let value = weight.map_or(condition, |weight| condition * weight);
            Part::Leaf { value, cover, linear: None }
        } else {
            Part::Split {
                feature: position(*feature),
                threshold: below(condition),
                categories: sets.get_mut(at).and_then(Option::take),
                missing_left: *default != 0,
                zero_is_missing: false,
                left: position(*left),
                right: position(*right),
                cover,
            }
        });
    }
    Ok(parts)
}

/// What a value must be at most to be below `condition`; NaN, which none is, below everything.
fn below(condition: f32) -> f32 {
    if condition == f32::NEG_INFINITY { f32::NAN } else { condition.next_down() }
}

/// Each node's set of categories, where its split is of categories.
fn sets(tree: &Doc, n: usize) -> Result<Vec<Option<Vec<u32>>>, String> {
    let ints = |key: &str| tree.at(key).and_then(Doc::ints);
    let Some(types) = ints("split_type") else { return Ok(Vec::new()) };
    if types.iter().all(|kind| *kind == 0) {
        return Ok(Vec::new());
    }
    let types = numbers(Some(types), "split_type", n)?;
    let nodes = ints("categories_nodes").ok_or("no `categories_nodes`")?;
    let from = numbers(ints("categories_segments"), "categories_segments", nodes.len())?;
    let lengths = numbers(ints("categories_sizes"), "categories_sizes", nodes.len())?;
    let all = ints("categories").ok_or("no `categories`")?;
    let mut sets = vec![None; n];
    for (node, (from, length)) in nodes.iter().zip(from.iter().zip(lengths)) {
        let size = |value: i32| usize::try_from(value).unwrap_or(usize::MAX);
        let range = size(*from)..size(*from).saturating_add(size(*length));
        let set = all.get(range).ok_or("`categories_segments` points outside of `categories`")?;
        if set.iter().any(|category| !(0..CATEGORY_MAX).contains(category)) {
            return Err(format!("`categories` has one outside of 0 to {CATEGORY_MAX}"));
        }
        let mut set: Vec<u32> = set.iter().map(|category| category.unsigned_abs()).collect();
        set.sort_unstable();
        let slot = sets.get_mut(size(*node)).ok_or("`categories_nodes` has no such node")?;
        *slot = Some(set);
    }
    let untold = |(kind, set): (&i32, &Option<Vec<u32>>)| (*kind != 0) != set.is_some();
    if types.iter().zip(&sets).any(untold) {
        return Err("`split_type` and `categories_nodes` contradict each other".into());
    }
    Ok(sets)
}
