//! Pages of `docs/` that repeat what the tables say, compared; written anew where
//! `BARTIZAN_WRITE_DOCS` is set.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::plan::{PLAN, schema_text};
use crate::read::shape::{Key, Shape};
use crate::rules::{ADVICE, FINDINGS, Rule};

fn held(name: &str, text: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).join(name);
    if std::env::var_os("BARTIZAN_WRITE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/{name} is old: run the test with BARTIZAN_WRITE_DOCS=1");
}

#[test]
fn the_published_schema_is_current() {
    held("aks.schema.json", &schema_text());
}

#[test]
fn the_page_of_rules_is_current() {
    let mut page = String::from(
        "# Rules of the network gate\n\nMade from the tables of `crates/deploy`; do not edit \
         (a test compares). `bartizan aks check` reports\nerrors and warnings as findings; advice \
         is apart, and counts only with `--strict`.\n",
    );
    for (title, rules) in
        [("Findings", FINDINGS), ("Advice", ADVICE), ("Drift", crate::drift::RULES)]
    {
        let _ = write!(
            page,
            "\n## {title}\n| rule | level | why it matters | what to do | what Azure does \
             otherwise | source |\n|---|---|---|---|---|---|\n"
        );
        for Rule { id, level, source, azure, core } in rules {
            let level = level.as_str();
            let _ = writeln!(
                page,
                "| {id} | {level} | {} | {} | {azure} | {source} |",
                core.why, core.remedy
            );
        }
    }
    held("aks-rules.md", &page);
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Range => "range, `10.0.0.0/16`".into(),
        Shape::Address => "address, `10.0.0.10`".into(),
        Shape::Bool => "`true` or `false`".into(),
        Shape::Count(min, max) => format!("{min} to {max}"),
        Shape::Surge => "number, or share as in `33%`".into(),
        Shape::Choice(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Shape::List(Shape::Table(_), n_max) => format!("at most {n_max} tables, see below"),
        Shape::List(item, n_max) => format!("list of at most {n_max}: {}", kind(item)),
        Shape::Table(_) => "table, see below".into(),
    }
}

fn table(title: &str, keys: &[Key], page: &mut String) {
    let _ = write!(page, "\n## {title}\n| key | value | meaning |\n|---|---|---|\n");
    for key in keys {
        let must = if key.is_required { " (required)" } else { "" };
        let _ = writeln!(page, "| `{}`{must} | {} | {} |", key.name, kind(&key.shape), key.doc);
    }
    for key in keys {
        let path = match title {
            "The plan" => key.name.to_owned(),
            _ => format!("{}.{}", title.trim_matches('`'), key.name),
        };
        if let Shape::Table(below) = &key.shape {
            table(&format!("`{path}`"), below, page);
        } else if let Shape::List(Shape::Table(below), _) = &key.shape {
            table(&format!("`{path}[]`"), below, page);
        }
    }
}

#[test]
fn the_page_of_the_plan_is_current() {
    let mut page = String::from(
        "# The plan file\n\nMade from the table of keys in `crates/deploy`; do not edit (a test \
         compares).\n\nA plan is one document of at most 16 MiB: TOML 1.1, YAML 1.2 (core schema, \
         no tags) or JSON, chosen\nby the file's name, else by its first characters. The keys are \
         the same in all three. An unknown key,\na wrong kind of value or a key that stands twice \
         is an error with its place, and nothing is judged\nthen. `null` is the same as absent; \
         absent is not the same as empty: no `peerings` means that the peers\nare not known, `[]` \
         that there are none. `docs/aks.schema.json` is the same table for editors.\n",
    );
    if let Shape::Table(keys) = &PLAN {
        table("The plan", keys, &mut page);
    }
    held("formats/aks-plan.md", &page);
}
