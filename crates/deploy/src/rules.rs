//! The rules of the network gate: one table, each rule with its source and the Azure error that
//! it prevents.
//!
//! The ids are those that people see (`SVC-SUBNET`). In the ledger and in `docs/rules.md` a rule
//! goes by its name among all gates' rules (`deploy.svc.subnet`).
//!
//! Invariants
//! - RU1: each rule that the table has is reported by some plan, and no other is.

pub(crate) mod table;
#[cfg(test)]
mod tests;

pub use table::{ADVICE, FINDINGS, RULES};

/// How a finding of a rule is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The plan does not work, or is not private.
    Error,
    /// It works today; something will bite later.
    Warning,
    /// Good practice that a plan may have reason not to follow.
    Advice,
}

impl Level {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Id in reports, `SVC-SUBNET`.
    pub id: &'static str,
    /// How its findings are taken.
    pub level: Level,
    /// Where the rule is from.
    pub source: &'static str,
    /// What Azure does if the plan is carried out all the same.
    pub azure: &'static str,
    /// The same rule among those of all gates: why it matters and what to do.
    pub core: bartizan_core::Rule,
}

/// The rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    FINDINGS.iter().chain(ADVICE).chain(crate::drift::RULES).copied().find(|rule| rule.id == id)
}
