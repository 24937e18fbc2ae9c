//! Findings about a plan, and drift, as text and as JSON.

use std::io;

use bartizan_deploy::check::{Finding, Report, Unknown};
use bartizan_deploy::drift::{Comparison, DiffError};
use bartizan_deploy::import::ImportError;
use bartizan_deploy::read::shape::Problem;
use serde_json::{Value, json};

/// Writes a report for people; `file_of` names the file that a path stands in.
pub(crate) fn write(
    report: &Report,
    file_of: &dyn Fn(&str) -> String,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    for finding in report.findings.iter().chain(&report.advice) {
        let (rule, at) = (finding.rule, finding.at);
        let file = file_of(&finding.path);
        writeln!(out, "{file}:{at}: {} {}: {}", rule.level.as_str(), rule.id, finding.message)?;
        writeln!(out, "  why     {}", rule.core.why)?;
        if rule.azure != "none" {
            writeln!(out, "  Azure   {}", rule.azure)?;
        }
        match &finding.fix {
            Some(fix) => writeln!(out, "  fix     {}", fix.summary)?,
            None => writeln!(out, "  do      {}", rule.core.remedy)?,
        }
        writeln!(out, "  source  {}", rule.source)?;
    }
    if 0 < report.n_more {
        writeln!(out, "and {} more findings", report.n_more)?;
    }
    for unknown in &report.unknown {
        writeln!(out, "unknown {}: {}", unknown.path, unknown.what)?;
    }
    for note in &report.notes {
        writeln!(out, "note {note}")?;
    }
    Ok(())
}

/// One line that sums a report up.
pub(crate) fn summary(report: &Report) -> String {
    let count = |level: &str| {
        report.findings.iter().filter(|finding| finding.rule.level.as_str() == level).count()
    };
    let (errors, warnings, advice) = (count("error"), count("warning"), report.advice.len());
    let needed = report.unknown.iter().filter(|unknown| unknown.is_needed).count();
    let open = match needed {
        0 => String::new(),
        n => format!("; {n} part(s) could not be judged"),
    };
    format!("{errors} error(s), {warnings} warning(s), {advice} piece(s) of advice{open}")
}

fn finding(finding: &Finding) -> Value {
    let fix = finding.fix.as_ref().map(|fix| {
        let edits: Vec<Value> = fix
            .edits
            .iter()
            .map(|edit| json!({"path": edit.path, "from": edit.from, "to": edit.to}))
            .collect();
        json!({"summary": fix.summary, "edits": edits})
    });
    json!({
        "rule": finding.rule.id, "severity": finding.rule.level.as_str(), "path": finding.path,
        "line": finding.at.line, "column": finding.at.column, "message": finding.message,
        "why": finding.rule.core.why, "remedy": finding.rule.core.remedy,
        "azureError": finding.rule.azure, "source": finding.rule.source, "fix": fix,
    })
}

fn unknown(unknown: &Unknown) -> Value {
    json!({"path": unknown.path, "what": unknown.what, "needed": unknown.is_needed})
}

/// A report as JSON.
pub(crate) fn value(report: &Report) -> Value {
    let all = |list: &[Finding]| list.iter().map(finding).collect::<Vec<Value>>();
    json!({
        "findings": all(&report.findings), "more": report.n_more, "advice": all(&report.advice),
        "unknown": report.unknown.iter().map(unknown).collect::<Vec<Value>>(),
        "notes": report.notes, "problems": [],
    })
}

/// What was not understood, in the shape of a report.
pub(crate) fn problems_value(problems: &[Problem]) -> Value {
    let problems: Vec<Value> = problems
        .iter()
        .map(|problem| {
            json!({"path": problem.path, "line": problem.at.line, "column": problem.at.column,
                "message": problem.what, "suggestion": problem.suggestion})
        })
        .collect();
    json!({"findings": [], "more": 0, "advice": [], "unknown": [], "notes": [],
        "problems": problems})
}

/// One line about something that was not understood.
pub(crate) fn problem_line(file: &str, problem: &Problem) -> String {
    let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    let hint = match &problem.suggestion {
        Some(hint) if problem.what == "missing" => format!(": {hint}"),
        Some(hint) => format!("; did you mean `{hint}`?"),
        None => String::new(),
    };
    format!("{file}:{}: {path}{}{hint}", problem.at, problem.what)
}

/// A comparison as JSON.
pub(crate) fn comparison(comparison: &Comparison) -> Value {
    let drifts: Vec<Value> = comparison
        .drifts
        .iter()
        .map(|drift| {
            json!({"rule": drift.rule.id, "severity": drift.rule.level.as_str(),
                "path": drift.path, "expected": drift.expected, "found": drift.found,
                "message": drift.message(), "why": drift.rule.core.why,
                "fix": drift.rule.core.remedy})
        })
        .collect();
    let unknown: Vec<Value> = comparison.unknown.iter().map(unknown).collect();
    json!({"drift": drifts, "unknown": unknown})
}

/// Writes a comparison for people.
pub(crate) fn write_comparison(comparison: &Comparison, out: &mut dyn io::Write) -> io::Result<()> {
    for drift in &comparison.drifts {
        let rule = drift.rule;
        writeln!(out, "{} {} {}: {}", rule.level.as_str(), rule.id, drift.path, drift.message())?;
        writeln!(out, "  why     {}", rule.core.why)?;
        writeln!(out, "  fix     {}", rule.core.remedy)?;
    }
    for unknown in &comparison.unknown {
        writeln!(out, "unknown {}: {}", unknown.path, unknown.what)?;
    }
    if comparison.drifts.is_empty() {
        writeln!(out, "no drift")?;
    }
    Ok(())
}

/// Why two states were not compared, with every place that was not understood.
pub(crate) fn diff_error(error: &DiffError) -> String {
    let DiffError::Import(ImportError::Plan(error)) = error else { return error.to_string() };
    let lines: Vec<String> =
        error.problems().iter().map(|problem| problem_line("", problem)).collect();
    lines.join("; ")
}
