//! Candidates: changed plans that may be the repair, the mildest first.

use super::{address, setting};
use crate::allocate::{Growth, fill};
use crate::check::Finding;
use crate::plan::Plan;

/// What a candidate does: a line, and the plan with what shall be found anew left open.
pub(super) type Draft = (String, Plan);

/// What a repair may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Settings: addresses that are given stay.
    Settings,
    /// Everything.
    All,
}

/// Candidates for one finding, made one after another.
pub(super) fn of(
    plan: &Plan,
    finding: &Finding,
    reach: Reach,
) -> impl Iterator<Item = (String, Plan)> {
    let mut drafts = setting::drafts(plan, finding);
    if reach == Reach::All {
        drafts.extend(address::drafts(plan, finding));
    }
    drafts.into_iter().flat_map(filled)
}

/// A draft with its open addresses found: in the network as it is, else in a larger one.
fn filled(draft: Draft) -> impl Iterator<Item = (String, Plan)> {
    let (summary, plan) = draft;
    [Growth::Fixed, Growth::Allowed].into_iter().filter_map(move |growth| {
        let allocation = fill(&plan, growth).ok()?;
        let found = allocation.lines.join("; ");
        let text = if found.is_empty() { summary.clone() } else { format!("{summary}: {found}") };
        Some((text, allocation.plan))
    })
}
