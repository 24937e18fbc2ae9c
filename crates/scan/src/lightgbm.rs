//! LightGBM's text models: sections of `key=value` lines, sizes and indexes of trees held against
//! each other, because its reader in C++ does not.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeMap;

use crate::config;
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Reader};
use crate::source::Stream;

pub(crate) const FORMAT: Format = Format {
    name: "lightgbm",
    claims: |head| head.starts(b"tree\nversion=v") || head.starts(b"tree\r\nversion=v"),
    reader: Reader::Forward(read),
};

/// Keys before the first tree.
const HEADER: &[&str] = &[
    "average_output",
    "feature_infos",
    "feature_names",
    "label_index",
    "max_feature_idx",
    "monotone_constraints",
    "num_class",
    "num_tree_per_iteration",
    "objective",
    "tree_sizes",
    "version",
];
/// Keys of a tree: name, and how many values it has.
const TREE: &[(&str, Count)] = &[
    ("cat_boundaries", Count::Categories),
    ("cat_threshold", Count::Any),
    ("decision_type", Count::Nodes),
    ("internal_count", Count::Nodes),
    ("internal_value", Count::Nodes),
    ("internal_weight", Count::Nodes),
    ("is_linear", Count::One),
    ("leaf_coeff", Count::Any),
    ("leaf_const", Count::Leaves),
    ("leaf_count", Count::Leaves),
    ("leaf_features", Count::Any),
    ("leaf_value", Count::Leaves),
    ("leaf_weight", Count::Leaves),
    ("left_child", Count::Nodes),
    ("num_cat", Count::One),
    ("num_features", Count::Leaves),
    ("num_leaves", Count::One),
    ("right_child", Count::Nodes),
    ("shrinkage", Count::One),
    ("split_feature", Count::Nodes),
    ("split_gain", Count::Nodes),
    ("threshold", Count::Nodes),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    One,
    Nodes,
    Leaves,
    Categories,
    Any,
}

/// Where in the file a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Tree,
    AfterTrees,
    Importances,
    Parameters,
    End,
}

#[derive(Default)]
struct Header {
    n_trees: Option<usize>,
    feature_max: Option<i64>,
}

fn read(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let mut part = Part::Header;
    let mut header = Header::default();
    let mut tree: BTreeMap<String, String> = BTreeMap::new();
    let mut n_trees = 0_usize;
    loop {
        scope.meter.steps(1)?;
        let at = stream.offset();
        let Some(line) = line(stream)? else {
            let cut = Stop::broken(at, "the model is cut off");
            let whole = part == Part::End && header.n_trees.is_none_or(|n| n == n_trees);
            return if whole { Ok(()) } else { Err(cut) };
        };
        let (key, value) = line.split_once('=').unwrap_or((&line, ""));
        match (part, key) {
            (_, "") => {}
            (Part::Header, "tree") if at == 0 => {}
            (Part::Header, key) if HEADER.contains(&key) => match key {
                "max_feature_idx" => header.feature_max = value.parse().ok(),
                "tree_sizes" => header.n_trees = Some(value.split_whitespace().count()),
                _ => {}
            },
            (Part::Header | Part::Tree, "Tree") => {
                check(scope, &header, &mut tree, at, n_trees > 0)?;
                n_trees = n_trees.saturating_add(1);
                part = Part::Tree;
            }
            (Part::Tree, key) if TREE.iter().any(|(known, _)| *known == key) => {
                if tree.insert(key.to_owned(), value.to_owned()).is_some() {
                    return Err(Stop::broken(at, "a line of a tree is there twice"));
                }
            }
            (Part::Header | Part::Tree, "end of trees") => {
                check(scope, &header, &mut tree, at, n_trees > 0)?;
                part = Part::AfterTrees;
            }
            (Part::AfterTrees, "feature_importances:" | "feature importances:") => {
                part = Part::Importances;
            }
            (Part::AfterTrees | Part::Importances, "parameters:") => part = Part::Parameters,
            (Part::Importances, _) if value.parse::<f64>().is_ok() => {}
            (Part::Parameters, "end of parameters") => part = Part::End,
            (Part::Parameters, key) if key.starts_with('[') && line.ends_with(']') => {}
            (Part::Parameters, key) if key.starts_with("!!") || key.contains(": ") => {}
            (Part::End, key) if key.starts_with("pandas_categorical:") => {
                let json = line.split_once(':').map_or("", |(_, json)| json);
                config::judge_json(scope, json.as_bytes().to_vec())?;
            }
            _ => {
                let what = format!("the line `{}` has no place in a model", escape::text(&line));
                scope.report(&rules::FILE_BROKEN, at, what);
            }
        }
    }
}

/// The next line; the last may lack its newline.
fn line(stream: &mut Stream<'_>) -> Result<Option<String>, Stop> {
    let at = stream.offset();
    let bytes = match stream.line()? {
        Some(line) => line.to_vec(),
        None => stream.rest(crate::source::TAKE_BYTES_MAX as u64)?,
    };
    if bytes.is_empty() && stream.offset() == at {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| Stop::broken(at, "a line is not UTF-8"))?;
    Ok(Some(text.trim_end().to_owned()))
}

/// Holds the values of a tree against each other.
fn check(
    scope: &mut Scope<'_>,
    header: &Header,
    tree: &mut BTreeMap<String, String>,
    at: u64,
    is_there: bool,
) -> Result<(), Stop> {
    let tree = std::mem::take(tree);
    if !is_there {
        return Ok(());
    }
    let number = |key: &str| tree.get(key).and_then(|value| value.parse::<usize>().ok());
    let leaves = number("num_leaves").filter(|leaves| 0 < *leaves);
    let leaves = leaves.ok_or(Stop::broken(at, "a tree without a number of leaves"))?;
    let nodes = leaves.saturating_sub(1);
    for (key, count) in TREE {
        let Some(value) = tree.get(*key) else { continue };
        let n = value.split_whitespace().count();
        let expected = match count {
            Count::One => 1,
            Count::Nodes => nodes,
            Count::Leaves => leaves,
            Count::Categories => number("num_cat").unwrap_or(0).saturating_add(1),
            Count::Any => n,
        };
        // Counts and weights are left out where they were not kept; a lone leaf has no nodes.
        if n != expected && n != 0 {
            let what = format!("`{key}` of a tree has {n} values, not {expected}");
            scope.report(&rules::FILE_BROKEN, at, what);
        }
    }
    let leaf_min = i64::try_from(leaves).unwrap_or(i64::MAX).saturating_neg();
    let node_max = i64::try_from(nodes).unwrap_or(i64::MAX);
    let within = |key: &str, min: i64, max: i64| {
        tree.get(key).is_none_or(|value| {
            value
                .split_whitespace()
                .all(|item| item.parse::<i64>().is_ok_and(|index| min <= index && index < max))
        })
    };
    let feature_end = header.feature_max.unwrap_or(0).saturating_add(1);
    if !within("left_child", leaf_min, node_max)
        || !within("right_child", leaf_min, node_max)
        || !within("split_feature", 0, feature_end)
    {
        scope.report(&rules::FILE_BROKEN, at, "an index of a tree lies outside of it");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
