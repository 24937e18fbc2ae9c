//! Finds the addresses that a plan leaves open: subnets, service and pod range, Docker bridge,
//! DNS and load balancer.
//!
//! What is given stays. What is open gets a block of a power of two, aligned, lowest first,
//! largest request first, with room to double where the space allows it. Sizes divide each
//! other, so that placing the largest first finds a packing whenever there is one: the last
//! attempt asks for the least sizes, and where it fails none exists.
//!
//! Invariants
//! - AL1: the same plan gives the same addresses, whatever the order of its lists;
//! - AL2: an allocation is clean by `check`, or none is returned;
//! - AL3: where none is returned for want of space, no choice of aligned blocks would have done.

mod inner;
mod outer;
mod pack;
#[cfg(test)]
mod tests;

pub(crate) use inner::add_subnet;

use std::fmt;

use crate::check::{Finding, Verdict, check_plan};
use crate::plan::Plan;

/// A plan without open addresses, and how each was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// The plan.
    pub plan: Plan,
    /// One line for each address found, in the order in which they were found.
    pub lines: Vec<String>,
}

/// Space that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// What found no place: `subnet aks`, `service range`.
    pub what: String,
    /// In what space it was sought.
    pub space: String,
    /// How many addresses it needs at least, a power of two.
    pub needs: u64,
    /// The largest free aligned block of that space, in addresses.
    pub largest_free: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, space, needs, largest_free } = self;
        write!(
            f,
            "{what} needs a block of {needs} addresses in {space}, the largest free block has \
             {largest_free}: {} are missing",
            needs.saturating_sub(*largest_free)
        )
    }
}

/// Why no addresses were allocated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AllocateError {
    /// The space does not suffice, whatever is placed where.
    #[error("{}", join(.0))]
    NoRoom(Vec<Shortage>),
    /// What the plan gives is wrong already, so that nothing that is added makes it clean.
    #[error("what the plan gives is not clean: {}", first(.0))]
    Given(Vec<Finding>),
    /// Something that decides about sizes is not said.
    #[error("{0}")]
    NotSaid(String),
}

fn join(shortages: &[Shortage]) -> String {
    let lines: Vec<String> = shortages.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

fn first(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .take(3)
        .map(|finding| format!("{} {}", finding.rule.id, finding.message))
        .collect();
    lines.join("; ")
}

/// Whether the network may get a further range where its own are too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// It keeps the ranges that it has.
    Fixed,
    /// It gets one more where needed.
    Allowed,
}

/// Fills every open address of `plan`: `aks plan --auto`. Subnets that roles name and the plan
/// lacks are made. Settings are repaired where a rule finds an error in them.
///
/// # Errors
/// [`AllocateError`].
pub fn auto(plan: &Plan) -> Result<Allocation, AllocateError> {
    if plan.pools.is_empty() {
        let what = "no node pool is given: sizes follow from the pools (name, count, maxPods)";
        return Err(AllocateError::NotSaid(what.to_owned()));
    }
    let mut lines = Vec::new();
    let mut plan = plan.clone();
    inner::name_subnets(&mut plan, &mut lines);
    let mut allocation = fill(&plan, Growth::Fixed)?;
    lines.append(&mut allocation.lines);
    let (plan, mut repaired) = crate::fix::settle(&allocation.plan);
    lines.append(&mut repaired);
    let report = check_plan(&plan);
    match report.verdict(crate::check::Strictness::Usual) {
        Verdict::Clean => Ok(Allocation { plan, lines }),
        Verdict::Errors => Err(AllocateError::Given(errors(report.findings))),
        Verdict::NotUnderstood => {
            let unknown = report.unknown.iter().find(|unknown| unknown.is_needed);
            let what = unknown.map(|unknown| format!("{}: {}", unknown.path, unknown.what));
            Err(AllocateError::NotSaid(what.unwrap_or_default()))
        }
    }
}

fn errors(findings: Vec<Finding>) -> Vec<Finding> {
    let is_error = |finding: &Finding| finding.rule.level == crate::rules::Level::Error;
    findings.into_iter().filter(is_error).collect()
}

/// Fills open addresses and nothing else, without judging the result.
///
/// # Errors
/// [`AllocateError::NoRoom`].
pub(crate) fn fill(plan: &Plan, growth: Growth) -> Result<Allocation, AllocateError> {
    let mut plan = plan.clone();
    let mut lines = Vec::new();
    outer::place(&mut plan, &mut lines)?;
    inner::place(&mut plan, growth, &mut lines)?;
    outer::place_docker(&mut plan, &mut lines);
    inner::place_addresses(&mut plan, &mut lines);
    Ok(Allocation { plan, lines })
}
