//! Findings as SARIF 2.1.0 (OASIS), for code scanning.

use std::collections::BTreeMap;

use bartizan_deploy::check::{Finding, Report};
use bartizan_deploy::read::Pos;
use bartizan_deploy::read::shape::Problem;
use bartizan_deploy::rules::{Level, Rule};
use serde_json::{Value, json};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A report about a plan; `file_of` names the file that a path stands in.
pub(crate) fn of_plan(report: &Report, file_of: &dyn Fn(&str) -> String) -> Value {
    let all = || report.findings.iter().chain(&report.advice);
    let rules: BTreeMap<&str, &Rule> =
        all().map(|finding| (finding.rule.id, finding.rule)).collect();
    let rules: Vec<Value> = rules.values().map(|rule| describe(rule)).collect();
    let results: Vec<Value> =
        all().map(|finding| result(finding, &file_of(&finding.path))).collect();
    log(&rules, &results, true)
}

/// What was not understood, as notifications: the run did not succeed.
pub(crate) fn of_problems(file: &str, problems: &[Problem]) -> Value {
    let mut log = log(&[], &[], false);
    let notifications: Vec<Value> = problems
        .iter()
        .map(|problem| {
            let hint = problem.suggestion.as_ref().map(|hint| format!(" ({hint})"));
            let text = format!("{}: {}{}", problem.path, problem.what, hint.unwrap_or_default());
            json!({"level": "error", "message": {"text": text},
                "locations": [location(file, problem.at)]})
        })
        .collect();
    log["runs"][0]["invocations"][0]["toolExecutionNotifications"] = json!(notifications);
    log
}

fn log(rules: &[Value], results: &[Value], is_successful: bool) -> Value {
    json!({
        "$schema": SCHEMA, "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "bartizan", "version": env!("CARGO_PKG_VERSION"),
                "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": is_successful}],
            "results": results,
        }],
    })
}

fn describe(rule: &Rule) -> Value {
    json!({
        "id": rule.id, "shortDescription": {"text": rule.core.why},
        "help": {"text": format!("{}. Azure: {}. Source: {}", rule.core.remedy, rule.azure,
            rule.source)},
        "defaultConfiguration": {"level": level(rule.level)},
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Advice => "note",
    }
}

fn location(file: &str, at: Pos) -> Value {
    json!({"physicalLocation": {"artifactLocation": {"uri": file},
        "region": {"startLine": at.line, "startColumn": at.column}}})
}

fn result(finding: &Finding, file: &str) -> Value {
    let fix = finding.fix.as_ref().map(|fix| format!(" Fix: {}.", fix.summary));
    json!({
        "ruleId": finding.rule.id, "level": level(finding.rule.level),
        "message": {"text": format!("{}.{}", finding.message, fix.unwrap_or_default())},
        "locations": [location(file, finding.at)],
        "partialFingerprints": {"rulePath/v1": format!("{} {}", finding.rule.id, finding.path)},
    })
}
