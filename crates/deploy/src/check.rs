//! Judges a plan by every rule: what is wrong, where, why, and what could not be told.
//!
//! Invariants
//! - CK1: the set of rule ids does not depend on the order of any list of the plan;
//! - CK2: what the plan does not say is named in `unknown`, and a plan with a part that could not
//!   be judged is never clean.

mod access;
mod address;
mod advice;
mod notes;
mod size;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use access::{API_DELEGATION, NODES_ONLY, NOT_GLOBAL, authorized_max, custom_zone};
pub(crate) use address::{PLATFORM, PRIVATE, RESERVED, is_reserved};
pub(crate) use advice::may_scale;
pub(crate) use size::{PODS_A_NODE, PODS_A_POOL_MIN, nodes_max};

use crate::fix::Fix;
use crate::plan::facts::Facts;
use crate::plan::{Plan, Reading};
use crate::read::Pos;
use crate::rules::{Level, Rule};

/// Most findings that a report holds; the rest are counted.
pub const FINDINGS_MAX: usize = 1_000;

/// One thing found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// Path of the value that is at fault, `subnets[0].cidr`.
    pub path: String,
    /// Where it stands in the file; the file's start where it stands nowhere.
    pub at: Pos,
    /// What is wrong, with the values.
    pub message: String,
    /// The repair, where there is one and it was asked for.
    pub fix: Option<Fix>,
}

impl Finding {
    /// The same in the words of all gates, for a record: names the path and no value.
    pub fn to_core(&self) -> bartizan_core::Finding {
        bartizan_core::Finding::new(&self.rule.core, &self.path, None, 1)
    }
}

/// Something that could not be told from the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Path of what is not said.
    pub path: String,
    /// What is not said, and what was not checked for it.
    pub what: String,
    /// Whether the plan cannot be called clean without it.
    pub is_needed: bool,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Report {
    /// Errors and warnings, in the order of rules.
    pub findings: Vec<Finding>,
    /// Findings beyond [`FINDINGS_MAX`].
    pub n_more: usize,
    /// Good practice that the plan does not follow.
    pub advice: Vec<Finding>,
    /// What could not be told.
    pub unknown: Vec<Unknown>,
    /// Remarks that are no findings.
    pub notes: Vec<String>,
}

/// What a report says in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No error, and everything needed is known.
    Clean,
    /// At least one error.
    Errors,
    /// No error was found, but a part could not be judged.
    NotUnderstood,
}

impl Report {
    /// Its verdict; with `strict`, warnings and advice count as errors.
    pub fn verdict(&self, strict: Strictness) -> Verdict {
        let is_strict = strict == Strictness::Strict;
        let counts = |finding: &Finding| is_strict || finding.rule.level == Level::Error;
        let is_advised = is_strict && !self.advice.is_empty();
        if self.findings.iter().any(counts) || is_advised {
            Verdict::Errors
        } else if self.unknown.iter().any(|unknown| unknown.is_needed) {
            Verdict::NotUnderstood
        } else {
            Verdict::Clean
        }
    }

    /// The rules of the findings, each once, sorted by id.
    pub fn ids(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = self.findings.iter().map(|finding| finding.rule.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// Whether warnings and advice count as errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// They do not.
    Usual,
    /// They do.
    Strict,
}

/// Judges a plan that was read from a file: findings know their places. Fixes are left out, see
/// [`crate::fix::propose`].
pub fn check(reading: &Reading) -> Report {
    let mut report = check_plan(&reading.plan);
    for finding in report.findings.iter_mut().chain(&mut report.advice) {
        finding.at = reading.tree.locate(&finding.path);
    }
    report
}

/// Judges a plan. Of the order of `n log n` for `n` subnets, and of networks times peers.
pub fn check_plan(plan: &Plan) -> Report {
    let facts = Facts::of(plan);
    let mut sink = Sink::default();
    address::check(&facts, &mut sink);
    size::check(&facts, &mut sink);
    access::check(&facts, &mut sink);
    advice::check(&facts, &mut sink);
    let mut report = sink.report;
    report.findings.sort_by(|a, b| a.rule.id.cmp(b.rule.id));
    report.advice.sort_by(|a, b| a.rule.id.cmp(b.rule.id));
    notes::note(&facts, &mut report);
    report
}

/// Takes findings.
#[derive(Default)]
struct Sink {
    report: Report,
}

impl Sink {
    fn add(&mut self, rule: &'static Rule, path: impl Into<String>, message: String) {
        let finding = Finding { rule, path: path.into(), at: Pos::START, message, fix: None };
        if rule.level == Level::Advice {
            self.report.advice.push(finding);
        } else if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        } else {
            self.report.n_more += 1;
        }
    }

    /// Whether a rule was found already: some are told only when another is not.
    fn has(&self, rule: &'static Rule) -> bool {
        self.report.findings.iter().any(|finding| std::ptr::eq(finding.rule, rule))
    }
}
