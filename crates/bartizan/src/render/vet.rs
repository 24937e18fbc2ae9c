//! A vetting's report as text, JSON and SARIF.

pub(crate) mod html;
mod svg;

use std::collections::BTreeMap;
use std::io;

use bartizan_core::Severity;
use bartizan_vet::{Finding, Report};
use serde_json::{Value, json};

use crate::cmd::vet::FileDigest;

/// Findings printed as text; the rest are counted.
const TEXT_FINDINGS_MAX: usize = 40;
/// Rows of a finding that SARIF lists.
const SARIF_ROWS_MAX: usize = 50;

/// For people: findings, gravest first, then what was not covered, then the verdict.
pub(crate) fn text(name: &str, report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{}: {} rows, {} columns", plain(name), report.n_rows, report.n_columns)?;
    for finding in report.findings.iter().take(TEXT_FINDINGS_MAX) {
        let blocks = if finding.blocks { "BLOCKS" } else { "      " };
        let severity = finding.rule.severity.as_str();
        writeln!(out, "\n{blocks} {severity:<8} {}", finding.rule.id)?;
        writeln!(out, "    {}", plain(&finding.claim))?;
        if !finding.rows.is_empty() {
            let rows: Vec<String> = finding.rows.iter().take(10).map(ToString::to_string).collect();
            let more = if 10 < finding.rows.len() { ", ..." } else { "" };
            writeln!(out, "    rows {}{more}", rows.join(", "))?;
        }
        writeln!(out, "    what to do: {}", finding.rule.remedy)?;
    }
    if let Some(more @ 1..) = report.findings.len().checked_sub(TEXT_FINDINGS_MAX) {
        writeln!(out, "\n{more} more findings; --format json lists all")?;
    }
    writeln!(out, "\nNot covered:")?;
    for missing in &report.not_covered {
        writeln!(out, "  {}: {}", plain(&missing.what), plain(&missing.why))?;
    }
    let n_rows = report.quarantined().len();
    let n_blocking = report.findings.iter().filter(|finding| finding.blocks).count();
    writeln!(
        out,
        "\nVerdict: {} ({n_blocking} findings block, on {n_rows} of {} rows)",
        report.verdict.as_str(),
        report.n_rows
    )
}

/// Without what could move a terminal's cursor or turn its text around.
fn plain(text: &str) -> String {
    let is_shown = |c: &char| {
        !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(is_shown).collect()
}

fn value(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule.id,
        "severity": finding.rule.severity.as_str(),
        "blocks": finding.blocks,
        "issue": finding.issue.as_str(),
        "claim": finding.claim,
        "why": finding.rule.why,
        "remedy": finding.rule.remedy,
        "atlas": finding.rule.atlas,
        "p_value": finding.p_value,
        "strength": finding.strength,
        "column": finding.column,
        "source": finding.source,
        "n_rows": finding.rows.len(),
        "rows": finding.rows,
    })
}

/// A finding without any value of the data set.
pub(crate) fn for_record(finding: &Finding) -> Value {
    let record = finding.for_record();
    json!({
        "rule": record.rule.id,
        "severity": record.rule.severity.as_str(),
        "blocks": finding.blocks,
        "column": record.place.field,
        "first_row": record.place.row,
        "n_rows": record.count,
        "strength": record.score,
    })
}

/// One JSON value; see docs/formats/vet-report.md.
pub(crate) fn json(
    report: &Report,
    files: &[FileDigest],
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let scores: BTreeMap<&str, &Vec<f32>> =
        report.scores.iter().map(|(issue, scores)| (issue.as_str(), scores)).collect();
    let flags: BTreeMap<&str, Vec<u32>> =
        report.flags().into_iter().map(|(issue, rows)| (issue.as_str(), rows)).collect();
    let sources: BTreeMap<&str, f64> =
        report.facts.sources.iter().map(|s| (s.name.as_str(), s.suspicion())).collect();
    let columns: BTreeMap<&str, f64> =
        report.facts.columns.iter().map(|column| (column.name.as_str(), column.z)).collect();
    let judges: Vec<Value> = report
        .facts
        .members
        .iter()
        .map(|m| json!({"name": m.name, "log_loss": m.log_loss, "weight": m.weight}))
        .collect();
    let file = |file: &FileDigest| {
        let groups: Vec<String> = file.row_groups.iter().map(ToString::to_string).collect();
        json!({"name": file.name, "digest": file.digest.to_string(), "row_groups": groups})
    };
    let value = json!({
        "version": 1,
        "verdict": report.verdict.as_str(),
        "n_rows": report.n_rows,
        "n_columns": report.n_columns,
        "findings": report.findings.iter().map(value).collect::<Vec<_>>(),
        "not_covered": report.not_covered.iter()
            .map(|n| json!({"what": n.what, "why": n.why})).collect::<Vec<_>>(),
        "scores": scores,
        "risk": report.risk,
        "flags": flags,
        "sources": sources,
        "columns": columns,
        "judges": judges,
        "spectral_share": report.facts.spectral_share,
        "files": files.iter().map(file).collect::<Vec<_>>(),
    });
    serde_json::to_writer(&mut *out, &value)?;
    writeln!(out)
}

/// SARIF 2.1.0: rows are logical locations.
pub(crate) fn sarif(name: &str, report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let level = |finding: &Finding| {
        if finding.blocks {
            "error"
        } else if finding.rule.severity < Severity::Medium {
            "note"
        } else {
            "warning"
        }
    };
    let rules: BTreeMap<&str, &bartizan_core::Rule> =
        report.findings.iter().map(|finding| (finding.rule.id, finding.rule)).collect();
    let rules: Vec<Value> = rules
        .values()
        .map(|rule| json!({"id": rule.id, "shortDescription": {"text": rule.why}, "help": {"text": rule.remedy}}))
        .collect();
    let result = |finding: &Finding| {
        let places: Vec<Value> = finding
            .rows
            .iter()
            .take(SARIF_ROWS_MAX)
            .map(|row| json!({"name": format!("row {row}"), "kind": "element"}))
            .collect();
        json!({
            "ruleId": finding.rule.id,
            "level": level(finding),
            "message": {"text": finding.claim},
            "locations": [{
                "physicalLocation": {"artifactLocation": {"uri": name}},
                "logicalLocations": places,
            }],
            "properties": {"blocks": finding.blocks, "rows": finding.rows.len()},
        })
    };
    let value = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "bartizan", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "invocations": [{"executionSuccessful": true}],
            "results": report.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &value)?;
    writeln!(out)
}
