//! LightGBM's text format, versions 2 to 4 (`Tree::ToString`, `GBDT::SaveModelToString`).

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeMap;
use std::str::FromStr;

use super::forest::{Forest, Linear, Part, Rule};
use super::objective::{Objective, Transform};
use super::{Body, FEATURES_MAX, Fault, Read, SCORES_MAX, fault};

/// Bits of `decision_type`.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

type Fields<'t> = BTreeMap<&'t str, &'t str>;

pub(super) fn read(bytes: &[u8]) -> Result<Read, Fault> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| fault("header", format!("byte {} is not UTF-8", error.valid_up_to())))?;
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("tree") {
        return Err(fault("header", "its first line is not `tree`"));
    }
    let (header, mut tree) = fields(&mut lines);
    let n_features = number::<usize>(&header, "header", "max_feature_idx")?.saturating_add(1);
    let n_scores = number::<usize>(&header, "header", "num_tree_per_iteration")?;
    let n_classes = number::<usize>(&header, "header", "num_class")?;
    if FEATURES_MAX < n_features {
        let reason = format!("it has {n_features} features, at most {FEATURES_MAX} are taken");
        return Err(fault("header", reason));
    }
    if n_scores == 0 || SCORES_MAX < n_scores {
        let reason = format!("`num_tree_per_iteration` is {n_scores}, 1 to {SCORES_MAX} are taken");
        return Err(fault("header", reason));
    }
    let transform = transform(header.get("objective").copied().unwrap_or(""), n_scores)?;
    if 1 < n_classes && n_classes != n_scores {
        let reason = format!("`num_class` is {n_classes}, a round has {n_scores} trees");
        return Err(fault("header", reason));
    }
    let mut forest = Forest::new(Rule::LightGbm, n_features, n_scores);
    let mut n_trees = 0_usize;
    let mut ended = false;
    while let Some(line) = tree {
        if line == "end of trees" {
            ended = true;
            break;
        }
        let place = format!("tree {n_trees}");
        let (found, next) = fields(&mut lines);
        let mut parts = parts(&found, &place)?;
        let score = n_trees.checked_rem(n_scores).unwrap_or(0);
        forest.push(&mut parts, score).map_err(|reason| fault(&place, reason))?;
        n_trees = n_trees.saturating_add(1);
        tree = next;
    }
    if !ended {
        return Err(fault(&format!("tree {n_trees}"), "the file ends before `end of trees`"));
    }
    if n_trees == 0 || n_trees.checked_rem(n_scores) != Some(0) {
        let reason = format!("there are {n_trees} trees, {n_scores} a round");
        return Err(fault("header", reason));
    }
    let averages = header.contains_key("average_output");
    let n_rounds = n_trees.checked_div(n_scores).unwrap_or(1);
    let divisor = if averages { n_rounds } else { 1 };
    Ok(Read {
        body: Body::Double { forest, divisor: f64::from(u32::try_from(divisor).unwrap_or(1)) },
        objective: Objective { transform, n_scores },
    })
}

/// Lines `key=value` up to the next tree, or the end of trees, which is given.
fn fields<'t>(lines: &mut impl Iterator<Item = &'t str>) -> (Fields<'t>, Option<&'t str>) {
    let mut fields = Fields::new();
    for line in lines {
        if line.starts_with("Tree=") || line == "end of trees" {
            return (fields, Some(line));
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        fields.insert(key, value);
    }
    (fields, None)
}

fn number<T: FromStr>(fields: &Fields<'_>, place: &str, key: &str) -> Result<T, Fault> {
    let Some(text) = fields.get(key) else { return Err(fault(place, format!("no `{key}`"))) };
    text.trim().parse().map_err(|_| fault(place, format!("`{key}` is no number that fits")))
}

/// The numbers of a line, `n` of them.
fn numbers<T: FromStr>(
    fields: &Fields<'_>,
    place: &str,
    key: &str,
    n: usize,
) -> Result<Vec<T>, Fault> {
    let text = fields.get(key).copied().unwrap_or("");
    let values: Result<Vec<T>, _> = text.split_ascii_whitespace().map(str::parse).collect();
    let values = values
        .map_err(|_| fault(place, format!("`{key}` has something else than numbers that fit")))?;
    if values.len() == n {
        return Ok(values);
    }
    let found = values.len();
    Err(fault(place, format!("`{key}` has {found} values, not {n}")))
}

fn parts(fields: &Fields<'_>, place: &str) -> Result<Vec<Part<f64>>, Fault> {
    let n_leaves = number::<usize>(fields, place, "num_leaves")?;
    let text_len = fields.get("leaf_value").map_or(0, |text| text.len());
    if n_leaves == 0 || text_len < n_leaves {
        return Err(fault(place, format!("`num_leaves` is {n_leaves}, fewer have values")));
    }
    let n = n_leaves.saturating_sub(1);
    let values = numbers::<f64>(fields, place, "leaf_value", n_leaves)?;
    if values.iter().any(|value| value.is_nan()) {
        return Err(fault(place, "`leaf_value` has NaN"));
    }
    let leaf_counts = covers(fields, place, "leaf_count", n_leaves)?;
    let mut linear = linear(fields, place, n_leaves)?;
    let splits = splits(fields, place, n)?;
    let leaves = values.into_iter().zip(leaf_counts).enumerate().map(|(at, (value, cover))| {
        let linear = linear.get_mut(at).and_then(Option::take);
        Part::Leaf { value, cover, linear }
    });
    Ok(splits.into_iter().chain(leaves).collect())
}

/// Numbers of training rows; zeros where the file does not say.
fn covers(fields: &Fields<'_>, place: &str, key: &str, n: usize) -> Result<Vec<f64>, Fault> {
    if fields.get(key).is_none_or(|text| text.trim().is_empty()) {
        return Ok(vec![0.0; n]);
    }
    numbers(fields, place, key, n)
}

fn splits(fields: &Fields<'_>, place: &str, n: usize) -> Result<Vec<Part<f64>>, Fault> {
    let features = numbers::<usize>(fields, place, "split_feature", n)?;
    let thresholds = numbers::<f64>(fields, place, "threshold", n)?;
    let decisions = numbers::<u8>(fields, place, "decision_type", n)?;
    let left = numbers::<i64>(fields, place, "left_child", n)?;
    let right = numbers::<i64>(fields, place, "right_child", n)?;
    let counts = covers(fields, place, "internal_count", n)?;
    let sets = sets(fields, place)?;
    // A leaf is written as its complement; leaves follow the splits in our list.
    let child = |child: i64| {
        let leaf = usize::try_from(!child).ok().map(|leaf| n.saturating_add(leaf));
        usize::try_from(child).ok().or(leaf).unwrap_or(usize::MAX)
    };
    let mut parts = Vec::with_capacity(n);
    let rest = decisions.into_iter().zip(left).zip(right).zip(counts);
    for ((feature, threshold), (((decision, left), right), cover)) in
        features.into_iter().zip(thresholds).zip(rest)
    {
        if threshold.is_nan() {
            return Err(fault(place, "`threshold` has NaN"));
        }
        let is_categorical = decision & CATEGORICAL != 0;
        let default_left = decision & DEFAULT_LEFT != 0;
        let (missing_left, zero_is_missing) = match (decision >> 2) & 3 {
            _ if is_categorical => (false, false),
            // NaN is read as zero.
            0 => (0.0 <= threshold, false),
            1 => (default_left, true),
            2 => (default_left, false),
            _ => return Err(fault(place, format!("`decision_type` has {decision}"))),
        };
        let categories = if is_categorical { Some(set(&sets, threshold, place)?) } else { None };
        let (left, right) = (child(left), child(right));
        parts.push(Part::Split {
            feature,
            threshold,
            categories,
            missing_left,
            zero_is_missing,
            left,
            right,
            cover,
        });
    }
    Ok(parts)
}

/// The sets of categories of a tree: words of bits.
fn sets(fields: &Fields<'_>, place: &str) -> Result<Vec<Vec<u32>>, Fault> {
    let n_sets = number::<usize>(fields, place, "num_cat")?;
    if n_sets == 0 {
        return Ok(Vec::new());
    }
    let all = |key: &str| fields.get(key).map_or(0, |text| text.split_ascii_whitespace().count());
    let bounds = numbers::<usize>(fields, place, "cat_boundaries", all("cat_boundaries"))?;
    let words = numbers::<u32>(fields, place, "cat_threshold", all("cat_threshold"))?;
    if bounds.len() != n_sets.saturating_add(1) {
        return Err(fault(place, format!("`cat_boundaries` does not bound {n_sets} sets")));
    }
    let pairs = bounds.iter().zip(bounds.iter().skip(1));
    let sets: Option<Vec<_>> =
        pairs.map(|(from, to)| words.get(*from..*to).map(<[u32]>::to_vec)).collect();
    sets.ok_or_else(|| fault(place, "`cat_boundaries` points outside of `cat_threshold`"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of floats saturates, and the list decides"
)]
fn set(sets: &[Vec<u32>], threshold: f64, place: &str) -> Result<Vec<u32>, Fault> {
    let set = sets.get(threshold as usize).cloned();
    set.ok_or_else(|| fault(place, format!("there is no set of categories {threshold}")))
}

fn linear(fields: &Fields<'_>, place: &str, n: usize) -> Result<Vec<Option<Linear>>, Fault> {
    if fields.get("is_linear").is_none_or(|value| value.trim() == "0") {
        return Ok(Vec::new());
    }
    let constants = numbers::<f64>(fields, place, "leaf_const", n)?;
    let lengths = numbers::<usize>(fields, place, "num_features", n)?;
    let all = |key: &str| fields.get(key).map_or(0, |text| text.split_ascii_whitespace().count());
    let n_terms = all("leaf_features");
    let features = numbers::<u32>(fields, place, "leaf_features", n_terms)?;
    let coefficients = numbers::<f64>(fields, place, "leaf_coeff", n_terms)?;
    if lengths.iter().try_fold(0_usize, |sum, n| sum.checked_add(*n)) != Some(n_terms) {
        return Err(fault(place, "`num_features` does not count `leaf_features`"));
    }
    let mut terms = features.into_iter().zip(coefficients);
    let leaves = constants
        .into_iter()
        .zip(lengths)
        .map(|(constant, n)| Some(Linear { constant, terms: terms.by_ref().take(n).collect() }));
    Ok(leaves.collect())
}

/// What `ConvertOutput` of the objective does.
fn transform(objective: &str, n_scores: usize) -> Result<Transform, Fault> {
    let mut words = objective.split_ascii_whitespace();
    let name = words.next().unwrap_or("");
    let words: Vec<&str> = words.collect();
    let sigmoid = || {
        let text = words.iter().find_map(|word| word.strip_prefix("sigmoid:"));
        let scale = text.map_or(Some(1.0), |text| text.parse::<f64>().ok());
        let fits = |scale: &f64| scale.is_finite() && 0.0 < *scale;
        let wrong = || fault("header", "`sigmoid` of the objective is no number above 0");
        scale.filter(fits).ok_or_else(wrong)
    };
    let transform = match name {
        "regression" | "regression_l1" if words.contains(&"sqrt") => Transform::SignedSquare,
        "" | "custom" | "none" | "regression" | "regression_l1" | "huber" | "fair" | "quantile"
        | "mape" | "lambdarank" | "rank_xendcg" => Transform::None,
        "poisson" | "gamma" | "tweedie" => Transform::Exp,
        "binary" => Transform::Logistic { scale: sigmoid()? },
        "cross_entropy" => Transform::LogisticValue,
        "cross_entropy_lambda" => Transform::Softplus,
        "multiclass" => Transform::Softmax,
        "multiclassova" => Transform::OneVersusAll { scale: sigmoid()? },
        _ => {
            return Err(fault("header", format!("the objective `{name}` is not known")));
        }
    };
    let is_multi = matches!(transform, Transform::Softmax | Transform::OneVersusAll { .. });
    if matches!(transform, Transform::Logistic { .. }) && n_scores != 1 {
        return Err(fault("header", format!("`{name}` has {n_scores} trees a round, not 1")));
    }
    if is_multi && n_scores == 1 {
        return Err(fault("header", format!("`{name}` has 1 tree a round")));
    }
    Ok(transform)
}
