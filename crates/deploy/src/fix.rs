//! Repairs: each a set of edits of the plan that removes its finding and adds none.
//!
//! A repair is not written down rule by rule as text: a candidate changes the plan, the allocator
//! fills what it left open, the whole plan is judged again, and only a candidate after which the
//! finding is gone and nothing new is there is proposed.
//!
//! Invariants
//! - FX1: the findings after a repair are findings that were there before, without the repaired
//!   one.

mod address;
mod candidate;
mod edit;
mod setting;
#[cfg(test)]
mod tests;

pub use edit::{Edit, EditError, apply, between};

use std::collections::BTreeSet;

use self::candidate::Reach;
use crate::check::{Finding, Report, check_plan};
use crate::plan::{Plan, Reading};
use crate::rules::Level;

/// Most repairs in one run of [`repair`]: each removes a finding.
const ROUNDS_MAX: usize = 500;

/// Most candidates that one run tries, each a check of the whole plan: a plan that is wrong
/// everywhere gets its first repairs and ends in time.
const TRIALS_MAX: usize = 4_000;

/// A repair.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// What it does, one line.
    pub summary: String,
    /// The edits that do it.
    pub edits: Vec<Edit>,
}

/// What was repaired, and what could not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Repaired {
    /// The plan afterwards.
    pub plan: Plan,
    /// Edits from the plan before.
    pub edits: Vec<Edit>,
    /// One line for each repair: rule and summary.
    pub lines: Vec<String>,
    /// What is left.
    pub left: Report,
}

/// Proposes a repair for each finding of a report on `plan`. About a millisecond a finding.
pub fn propose(plan: &Plan, report: &mut Report) {
    let before = keys(&report.findings);
    let mut n_left = TRIALS_MAX;
    for finding in &mut report.findings {
        finding.fix = repaired(plan, &before, finding, Reach::All, &mut n_left)
            .map(|(summary, after)| Fix { summary, edits: edit::between(plan, &after) });
    }
}

/// Checks a plan that was read from a file, with a repair for each finding.
pub fn check_with_fixes(reading: &Reading) -> Report {
    let mut report = crate::check::check(reading);
    propose(&reading.plan, &mut report);
    report
}

/// Repairs every finding that can be repaired, errors first.
pub fn repair(plan: &Plan) -> Repaired {
    let (after, lines) = run(plan, Level::Warning, Reach::All);
    Repaired { edits: edit::between(plan, &after), left: check_plan(&after), plan: after, lines }
}

/// Repairs errors only: what `aks plan --auto` does to settings.
pub(crate) fn settle(plan: &Plan) -> (Plan, Vec<String>) {
    run(plan, Level::Error, Reach::Settings)
}

/// Repairs findings down to `level`, one at a time, each on the plan that the one before left.
fn run(plan: &Plan, level: Level, reach: Reach) -> (Plan, Vec<String>) {
    let mut plan = plan.clone();
    let mut lines = Vec::new();
    let mut n_left = TRIALS_MAX;
    for _ in 0..ROUNDS_MAX {
        let mut findings = check_plan(&plan).findings;
        let before = keys(&findings);
        findings.sort_by_key(|finding| finding.rule.level);
        let repairable = findings.iter().filter(|finding| finding.rule.level <= level);
        let step = repairable.into_iter().find_map(|finding| {
            let (summary, after) = repaired(&plan, &before, finding, reach, &mut n_left)?;
            Some((format!("{}: {summary}", finding.rule.id), after))
        });
        let Some((line, after)) = step else { break };
        lines.push(line);
        plan = after;
    }
    (plan, lines)
}

type Key = (&'static str, String);

/// What identifies a finding from one check to the next.
fn keys(findings: &[Finding]) -> BTreeSet<Key> {
    findings.iter().map(|finding| (finding.rule.id, finding.path.clone())).collect()
}

/// The first candidate that removes the finding and adds none.
fn repaired(
    plan: &Plan,
    before: &BTreeSet<Key>,
    finding: &Finding,
    reach: Reach,
    n_left: &mut usize,
) -> Option<(String, Plan)> {
    let rule = finding.rule.id;
    let drafts = candidate::of(plan, finding, reach);
    drafts.take_while(|_| n_left.checked_sub(1).map(|left| *n_left = left).is_some()).find(
        |(_, after)| {
            let left = keys(&check_plan(after).findings);
            // Paths move when lists change: a rule that had n findings may not have more.
            let n_of =
                |keys: &BTreeSet<Key>, id: &str| keys.iter().filter(|key| key.0 == id).count();
            let adds_none = left
                .iter()
                .all(|key| before.contains(key) || n_of(&left, key.0) <= n_of(before, key.0));
            let shrinks = n_of(&left, rule) < n_of(before, rule);
            shrinks && adds_none && left.len() < before.len()
        },
    )
}
