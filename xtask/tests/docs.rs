//! Pages of `docs/` that repeat what the code's own tables say.
//!
//! `docs/rules.md` is made here, whole; of `docs/errors.md` the table is held against the code,
//! the advice beside it is written by people.

use std::collections::BTreeSet;
use std::fs;

use bartizan_core::{RefusalCode, finding::Rule};
use xtask::docs::WRITE_VAR;
use xtask::tree::root;

/// Each gate with its table; a new gate adds a line.
const GATES: &[(&str, &str, &[&Rule])] = &[
    ("Request gate", "`crates/guard`: is this request sane?", bartizan_guard::RULES),
    (
        "Model gate",
        "`crates/scan`: what would this file do if it were loaded?",
        bartizan_scan::RULES,
    ),
    ("Data gate", "`crates/vet`: which training rows look planted?", bartizan_vet::RULES),
    (
        "Network gate",
        "`crates/deploy`: is the place it runs in really private?",
        bartizan_deploy::RULES,
    ),
];

fn rules_page() -> String {
    let mut page = String::from(
        "# Finding rules\n\nMade by `cargo xtask docs` from the tables in the gates' code; do not \
         edit. A finding names its rule, the\nplace (a field, the first row), how many values show \
         it, and never a value.\n",
    );
    for (gate, what, rules) in GATES {
        page.push_str(&format!("\n## {gate}\n{what}\n\n"));
        page.push_str(
            "| rule | severity | what was found and why it matters | what to do | ATLAS |\n",
        );
        page.push_str("|---|---|---|---|---|\n");
        let mut rules: Vec<_> = rules.iter().collect();
        rules.sort_by_key(|rule| rule.id);
        for Rule { id, severity, why, remedy, atlas } in rules {
            let (severity, atlas) = (severity.as_str(), atlas.unwrap_or("-"));
            page.push_str(&format!("| `{id}` | {severity} | {why} | {remedy} | {atlas} |\n"));
        }
    }
    page
}

#[test]
fn the_page_of_rules_is_what_the_code_says() {
    let path = root().join("docs/rules.md");
    if std::env::var_os(WRITE_VAR).is_some() {
        fs::write(&path, rules_page()).expect("the page can be written");
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == rules_page(), "docs/rules.md is old: run `cargo xtask docs`");
}

#[test]
fn rule_ids_are_unique_and_named_after_their_gate() {
    let mut seen = BTreeSet::new();
    for rule in GATES.iter().flat_map(|(_, _, rules)| rules.iter()) {
        assert!(seen.insert(rule.id), "{} stands twice", rule.id);
        let parts = rule.id.split('.').count();
        assert!(parts == 3, "{} is not `gate.noun.what`", rule.id);
    }
}

/// Each code has one row, with the status and the sentence that callers get, and no row has a
/// code that the server never sends.
#[test]
fn the_page_of_errors_has_every_code() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap_or_default();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let mut missing = String::new();
    for code in RefusalCode::ALL {
        let (name, status) = (code.as_str(), bartizan_wire::status(*code));
        let row = format!("| `{name}` | {status} | {} | ", code.message());
        if rows.iter().filter(|line| line.starts_with(&row)).count() != 1 {
            missing.push_str(&format!("{row}... |\n"));
        }
    }
    assert!(missing.is_empty(), "docs/errors.md lacks\n{missing}");
    assert_eq!(rows.len(), RefusalCode::ALL.len(), "docs/errors.md has rows of unknown codes");
}
