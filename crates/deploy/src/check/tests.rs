//! The public cases, and what they leave open.

use super::*;
use crate::read::Format;

use std::path::PathBuf;

/// The shared folder; `None` where it is missing, which only CI refuses.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("BARTIZAN_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    if folder.join("deploy-cases").is_dir() {
        return Some(folder);
    }
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!is_ci, "{} has no deploy-cases: set BARTIZAN_SHARED", folder.display());
    println!("skipped: {} has no deploy-cases", folder.display());
    None
}

/// The public cases: name, plan as JSON, expected ids.
pub(crate) fn cases() -> Vec<(String, String, Vec<String>)> {
    let Some(folder) = shared() else { return Vec::new() };
    let text = std::fs::read_to_string(folder.join("deploy-cases/public-cases.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let read = |case: &serde_json::Value| {
        let ids = case["expect"].as_array().unwrap().iter();
        let mut ids: Vec<String> = ids.map(|id| id.as_str().unwrap().to_owned()).collect();
        ids.sort();
        (case["name"].as_str().unwrap().to_owned(), case["plan"].to_string(), ids)
    };
    file["cases"].as_array().unwrap().iter().map(read).collect()
}

/// Every public case, set of rule ids equal.
#[test]
fn the_public_cases_are_judged_exactly() {
    let mut wrong = Vec::new();
    for (name, plan, expected) in cases() {
        let reading = crate::plan::read(plan.as_bytes(), Format::Json);
        let reading = reading.unwrap_or_else(|error| panic!("{name}: {:?}", error.problems()));
        let report = check(&reading);
        if report.ids() != expected {
            wrong.push(format!("{name}: expected {expected:?}, found {:?}", report.ids()));
        }
        assert!(report.unknown.is_empty(), "{name}: {:?}", report.unknown);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
