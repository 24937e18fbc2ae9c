//! What drifted between two states of an environment: a plan, an export, a dump of a cluster.
//!
//! The first state is what shall be. Only its own fields are compared: a second state that says
//! more has not drifted by that, unless what it adds opens something.
//!
//! Invariants
//! - DR1: what a state says beyond the other's own fields is not drift: defaults, status and
//!   other managers' fields are silent.
//! - DR2: what the second state does not tell is not drift, but what it lists without an expected
//!   member is.

mod objects;
mod plans;
mod quantity;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

pub use rules::RULES;

use serde_json::Value;

use crate::check::Unknown;
use crate::import::{ImportError, Imported, Kind, of_trees};
use crate::plan::Plan;
use crate::read::{Data, Format, Node, read_all, to_value};
use crate::render::{Probes, RenderError, objects as render_objects};
use crate::rules::Rule;

/// Most objects of a dump.
const OBJECTS_MAX: usize = 20_000;

/// One state of an environment.
#[derive(Clone, Debug)]
pub enum State {
    /// A plan, or exports read as one.
    Plan(Box<Imported>),
    /// Kubernetes objects.
    Objects(Vec<Value>),
}

/// One difference that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// What kind of difference, and how bad.
    pub rule: &'static Rule,
    /// Where: a path of the plan, or kind, name and path of an object.
    pub path: String,
    /// What shall be; `null` where nothing shall be.
    pub expected: Value,
    /// What is; `null` where nothing is.
    pub found: Value,
}

impl Drift {
    /// One line: what shall be and what is.
    pub fn message(&self) -> String {
        let show = |value: &Value| {
            let text = value.to_string();
            let cut: String = text.chars().take(160).collect();
            if cut.len() < text.len() { format!("{cut}…") } else { cut }
        };
        match (&self.expected, &self.found) {
            (Value::Null, found) => format!("{} is there and shall not be", show(found)),
            (expected, Value::Null) => format!("{} is gone", show(expected)),
            (expected, found) => format!("{}, planned {}", show(found), show(expected)),
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Comparison {
    /// Differences, by rule and path.
    pub drifts: Vec<Drift>,
    /// What the second state does not tell.
    pub unknown: Vec<Unknown>,
}

/// Why two states were not compared.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DiffError {
    /// One of them was not read.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The plan has no objects to compare a cluster with.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// They are of kinds that have nothing in common.
    #[error("Kubernetes objects cannot be compared with {0}: give the plan first")]
    Kinds(&'static str),
    /// A dump is too large.
    #[error("more than {OBJECTS_MAX} objects: dump only the namespace and the policies")]
    TooMany,
}

/// Reads one state from its files.
///
/// # Errors
/// [`DiffError`].
pub fn state(files: &[(&[u8], Format)]) -> Result<State, DiffError> {
    let mut trees = Vec::new();
    let mut found = Vec::new();
    for (bytes, format) in files {
        for tree in read_all(bytes, *format).map_err(ImportError::from)? {
            let kind = Kind::of(&tree).map_err(ImportError::from)?;
            if kind == Kind::Kubernetes {
                collect(&tree, &mut found)?;
            } else {
                trees.push((kind, tree));
            }
        }
    }
    match (trees.is_empty(), found.is_empty()) {
        (true, false) => Ok(State::Objects(found)),
        (false, false) => Err(DiffError::Kinds("an export in one state")),
        _ => Ok(State::Plan(Box::new(of_trees(trees)?))),
    }
}

/// Objects of a document, those of a `List` one by one.
fn collect(tree: &Node, found: &mut Vec<Value>) -> Result<(), DiffError> {
    if let Some(Data::List(items)) = tree.get("items").map(|items| &items.data) {
        found.extend(items.iter().map(to_value));
    } else {
        found.push(to_value(tree));
    }
    if OBJECTS_MAX < found.len() { Err(DiffError::TooMany) } else { Ok(()) }
}

/// Compares what shall be with what is; `probes` as the objects were rendered with.
///
/// # Errors
/// [`DiffError::Kinds`] and [`DiffError::Render`].
pub fn compare(
    expected: &State,
    found: &State,
    probes: &Probes<'_>,
) -> Result<Comparison, DiffError> {
    let mut comparison = match (expected, found) {
        (State::Plan(a), State::Plan(b)) => Comparison {
            drifts: plans::compare(&a.reading.plan, &b.reading.plan),
            unknown: b.unknown.clone(),
        },
        (State::Plan(a), State::Objects(objects)) => {
            let rendered = rendered(&a.reading.plan, probes)?;
            Comparison { drifts: objects::compare(&rendered, objects), unknown: Vec::new() }
        }
        (State::Objects(a), State::Objects(b)) => {
            Comparison { drifts: objects::compare(a, b), unknown: Vec::new() }
        }
        (State::Objects(_), State::Plan(_)) => return Err(DiffError::Kinds("a plan")),
    };
    comparison.drifts.sort_by(|a, b| (a.rule.id, &a.path).cmp(&(b.rule.id, &b.path)));
    comparison.drifts.dedup();
    Ok(comparison)
}

fn rendered(plan: &Plan, probes: &Probes<'_>) -> Result<Vec<Value>, DiffError> {
    let objects = render_objects(plan, probes)?;
    if objects.is_empty() {
        return Err(DiffError::Kinds("a plan without `serving`"));
    }
    let is_object = |value: &Value| value["kind"] != "Kustomization";
    Ok(objects.into_iter().map(|(_, value)| value).filter(is_object).collect())
}
