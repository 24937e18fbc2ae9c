//! F6: what is declared in one place and must be answered in another.

use std::collections::{BTreeMap, BTreeSet};

use super::Breach;
use crate::{
    mask::{closing, test_ranges, words},
    tree::{Source, Tree},
};

/// Macros that make an event.
const EVENT_MACROS: &[&str] = &["error", "warn", "info", "debug", "trace", "event"];
/// Where events are explained.
const EVENTS_PAGE: &str = "docs/events.md";

/// The label that a module header declares on this line (`//! - W1: …`).
fn label(line: &str) -> Option<&str> {
    let (label, _) = line.strip_prefix("//! - ")?.split_once(':')?;
    let digits = label.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = label.len() - digits.len();
    let plain = (1..=3).contains(&letters)
        && (1..=2).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some(label)
}

/// F6: each label of a module header is unique in its room and cited by a comment in a test
/// there, or as `room LABEL` in a test elsewhere.
pub(super) fn invariants(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut declared: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for source in &tree.sources {
        for label in source.text.lines().filter_map(label) {
            if let Some(other) = declared.insert((&source.room, label), &source.path) {
                let what = format!("label {label} is also declared in {other}: rename one");
                breaches.push(Breach::new(&source.path, what));
            }
        }
    }
    let mut at_home: BTreeMap<&str, String> = BTreeMap::new();
    let mut everywhere = String::new();
    for source in &tree.sources {
        let cited = test_comments(source);
        everywhere.push_str(&cited);
        at_home.entry(&source.room).or_default().push_str(&cited);
    }
    for file in tree.files.iter().filter(|file| file.path.ends_with(".py")) {
        everywhere.push_str(&file.text);
    }
    for ((room, label), path) in declared {
        let near = at_home.get(room).is_some_and(|text| words(text, label).next().is_some());
        let far = words(&everywhere, &format!("{room} {label}")).next().is_some();
        if !near && !far {
            let what = format!("invariant {label} is cited by no test: write it, name it there");
            breaches.push(Breach::new(path, what));
        }
    }
    breaches
}

/// Comments inside tests, and documentation that holds an example (a doc test).
fn test_comments(source: &Source) -> String {
    if source.is_test {
        return source.whole.comments.clone();
    }
    let mut text = String::new();
    for range in test_ranges(&source.whole.code) {
        text.push_str(&source.whole.comments[range]);
        text.push('\n');
    }
    let mut block = String::new();
    for line in source.text.lines().chain([""]) {
        let line = line.trim();
        if line.starts_with("//!") || line.starts_with("///") {
            if label(line).is_none() {
                block.push_str(line);
                block.push('\n');
            }
        } else {
            if block.contains("```") {
                text.push_str(&block);
            }
            block.clear();
        }
    }
    text
}

/// F6: events are named `plane.noun.past` and stand in `docs/events.md`, and nothing else does.
pub(super) fn events(tree: &Tree) -> Vec<Breach> {
    let page = tree.text(EVENTS_PAGE).unwrap_or_default();
    let listed: BTreeSet<&str> = page.lines().filter_map(row_name).collect();
    let (mut breaches, mut used) = (Vec::new(), BTreeSet::new());
    for source in &tree.sources {
        for (at, name) in source_events(source) {
            if !is_event_name(name) {
                let what = format!("event `{name}` is not named `plane.noun.past`");
                breaches.push(Breach::at(&source.path, &source.text, at, what));
            } else if !listed.contains(name) {
                let what = format!("event `{name}` is not in {EVENTS_PAGE}");
                breaches.push(Breach::at(&source.path, &source.text, at, what));
            }
            used.insert(name);
        }
    }
    for name in listed.difference(&used) {
        breaches.push(Breach::new(EVENTS_PAGE, format!("`{name}` is no event of the code")));
    }
    breaches
}

/// The name in backticks with which a table's row begins.
fn row_name(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("| `")?.split_once('`')?;
    Some(name)
}

/// Every event that product code makes: where, and its message.
fn source_events(source: &Source) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for name in EVENT_MACROS {
        for at in words(&source.code, name) {
            let open = at + name.len() + 1;
            if !source.code[at + name.len()..].starts_with("!(") {
                continue;
            }
            let end = closing(&source.code, open);
            found.push((at, message(&source.text[open..end], &source.code[open..end])));
        }
    }
    found
}

/// The last text literal of a macro call that is not a field's value; empty if there is none.
fn message<'a>(call: &'a str, code: &str) -> &'a str {
    let quotes: Vec<usize> = code.match_indices('"').map(|(at, _)| at).collect();
    let mut texts = quotes.chunks_exact(2).filter(|pair| {
        let before = code[..pair[0]].trim_end();
        before.ends_with(',') || before.ends_with('(')
    });
    texts.next_back().map_or("", |pair| &call[pair[0] + 1..pair[1]])
}

fn is_event_name(name: &str) -> bool {
    let parts: Vec<_> = name.split('.').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'-' | b'0'..=b'9'))
    };
    (3..=4).contains(&parts.len()) && parts.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "//! A.\n//!\n//! - W1: it holds.\nfn a() {}\n";

    #[test]
    fn an_invariant_without_a_test_is_found() {
        let cite = "#[cfg(test)]\nmod tests {\n/// W1 from both sides.\n#[test]\nfn t() {}\n}\n";
        let whole = format!("{HEADER}{cite}");
        let wrong = whole.replace("W1 from", "W12 from");
        assert_eq!(invariants(&Tree::of(&[("crates/a/src/a.rs", &whole)])), []);
        assert_eq!(invariants(&Tree::of(&[("crates/a/src/a.rs", &wrong)])).len(), 1);
        assert_eq!(invariants(&Tree::of(&[("crates/a/src/a.rs", HEADER)])).len(), 1);
    }

    /// A test of another room cites with the room's name, a doc test by holding an example.
    #[test]
    fn an_invariant_is_cited_from_elsewhere_with_its_room() {
        let home = ("crates/a/src/a.rs", HEADER);
        for (path, text, n) in [
            ("crates/b/tests/b.rs", "/// a W1 holds.\nfn t() {}\n", 0),
            ("crates/b/tests/b.rs", "/// W1 holds.\nfn t() {}\n", 1),
            ("tests/interop/test_a.py", "\"\"\"a W1 holds.\"\"\"\n", 0),
            ("crates/a/src/b.rs", "/// W1:\n/// ```compile_fail\n/// ```\nfn b() {}\n", 0),
            ("crates/a/src/b.rs", "/// W1, in words only.\nfn b() {}\n", 1),
        ] {
            assert_eq!(invariants(&Tree::of(&[home, (path, text)])).len(), n, "{path} {text}");
        }
    }

    #[test]
    fn a_label_is_declared_once_a_room() {
        let cite = "/// W1\nfn t() {}\n";
        let twice = [
            ("crates/a/src/a.rs", HEADER),
            ("crates/a/src/b.rs", HEADER),
            ("crates/a/tests/t.rs", cite),
        ];
        assert_eq!(invariants(&Tree::of(&twice)).len(), 1);
    }

    #[test]
    fn events_and_their_page_agree() {
        let page =
            ("docs/events.md", "| event | level |\n|---|---|\n| `wire.body.read` | debug |\n");
        let call = |args: &str| format!("fn f() {{ info!({args}); }}\n");
        for (args, n) in [
            ("n = 1, name = \"x\", \"wire.body.read\"", 0),
            ("\"wire.body.read\"", 0),
            ("\"wire.body.lost\"", 2),
            ("\"it was read\"", 2),
            ("name = \"wire.body.read\"", 2),
        ] {
            let code = call(args);
            let breaches = events(&Tree::of(&[page, ("crates/a/src/a.rs", &code)]));
            assert_eq!(breaches.len(), n, "{args}: {breaches:?}");
        }
        assert_eq!(events(&Tree::of(&[page])).len(), 1);
    }
}
