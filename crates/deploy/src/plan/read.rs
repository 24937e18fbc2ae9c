//! A plan file into a [`Plan`], or everything in it that was not understood.

use super::{PLAN, Plan};
use crate::read::shape::{Problem, problems};
use crate::read::{self, Format, Node, Pos, ReadError};

/// A plan with the tree it was read from, which knows where everything stands.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The plan as written.
    pub plan: Plan,
    /// Where its values stand.
    pub tree: Node,
}

/// Why a file is no plan. Nothing of it is judged then: a plan that was understood in part only
/// would be judged by what it does not say.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// Not TOML, YAML or JSON.
    #[error(transparent)]
    Syntax(#[from] ReadError),
    /// Keys or values that a plan does not have.
    #[error("{} thing(s) in the plan were not understood", .0.len())]
    NotUnderstood(Vec<Problem>),
}

impl PlanError {
    /// Everything that was not understood, at least one.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::NotUnderstood(problems) => problems.clone(),
            Self::Syntax(error) => vec![Problem {
                at: error.at,
                path: String::new(),
                what: error.what.clone(),
                suggestion: None,
            }],
        }
    }
}

/// Reads a plan. O(bytes).
///
/// # Errors
/// [`PlanError`], with every key and value that was not understood.
pub fn read(bytes: &[u8], format: Format) -> Result<Reading, PlanError> {
    let tree = read::read(bytes, format)?;
    of_tree(tree)
}

/// A plan from a tree, which may have been made from an export.
///
/// # Errors
/// [`PlanError::NotUnderstood`].
pub(crate) fn of_tree(tree: Node) -> Result<Reading, PlanError> {
    let found = problems(&tree, &PLAN);
    if !found.is_empty() {
        return Err(PlanError::NotUnderstood(found));
    }
    match serde::Deserialize::deserialize(&tree) {
        Ok(plan) => Ok(Reading { plan, tree }),
        Err::<Plan, serde::de::value::Error>(error) => {
            let problem = Problem {
                at: Pos::START,
                path: String::new(),
                what: error.to_string(),
                suggestion: None,
            };
            Err(PlanError::NotUnderstood(vec![problem]))
        }
    }
}
