//! The act of the network gate: a plan that collides, the finding, the repair.

use std::fs;
use std::io::Write;
use std::path::Path;

use bartizan_deploy::check::{Report, check};
use bartizan_deploy::fix;
use bartizan_deploy::plan;
use bartizan_deploy::read::Format;

use crate::cmd::Failure;

const PLAN: &str = include_str!("../../../../../examples/aks/colliding.toml");

/// Judges a colliding plan, repairs it and judges it again; writes it to `root` first, so that
/// whoever watches can repeat the commands.
///
/// # Errors
/// Where the plan cannot be written, or is not found as faulty and repaired as it must be.
pub(super) fn play(root: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let path = root.join("aks.toml");
    fs::write(&path, PLAN)?;
    let shown = path.display();
    let unread = |error: plan::PlanError| Failure::unknown(error);
    writeln!(out, "$ bartizan aks check {shown}")?;
    let before = plan::read(PLAN.as_bytes(), Format::Toml).map_err(unread)?;
    let mut report = check(&before);
    fix::propose(&before.plan, &mut report);
    findings(&report, out)?;
    if report.findings.is_empty() {
        return Err(Failure::no("the colliding plan was found in order"));
    }
    writeln!(out, "$ bartizan aks check {shown} --fix")?;
    let repaired = fix::repair(&before.plan);
    for line in &repaired.lines {
        writeln!(out, "fixed {line}")?;
    }
    let text = fix::apply(PLAN, Format::Toml, &repaired.edits).map_err(Failure::unknown)?;
    let after = plan::read(text.as_bytes(), Format::Toml).map_err(unread)?;
    let left = check(&after).findings.len();
    if left != 0 {
        return Err(Failure::no(format!("{left} findings are left after the repair")));
    }
    writeln!(out, "Nothing is left to find. See the collision: bartizan aks draw {shown}")?;
    Ok(())
}

fn findings(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    for finding in &report.findings {
        let (rule, at) = (finding.rule, finding.at);
        writeln!(out, "aks.toml:{at}: {} {}: {}", rule.level.as_str(), rule.id, finding.message)?;
        writeln!(out, "  Azure would say: {}", rule.azure)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_act_finds_and_repairs() {
        let root = std::env::temp_dir().join(format!("bartizan-plan-act-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let mut out = Vec::new();
        let played = play(&root, &mut out);
        fs::remove_dir_all(&root).unwrap();
        assert!(played.is_ok(), "{played:?}");
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("ServiceCidrOverlapExistingSubnetsCidr"), "{text}");
        assert!(text.contains("Nothing is left to find"), "{text}");
    }
}
