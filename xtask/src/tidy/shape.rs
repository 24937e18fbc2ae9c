//! F7: the shape of files and functions.

use super::Breach;
use crate::{
    mask::{closing, line_of, test_ranges, words},
    tree::{Source, Tree},
};

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 800;
/// Lines of tests that may stand in the file that they test.
const INLINE_TEST_LINES_MAX: usize = 200;
/// Lines of code of a function's body.
const FUNCTION_LINES_MAX: usize = 70;
/// Folders below `src`.
const FOLDERS_MAX: usize = 2;
/// Names that say nothing about what is in a file.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "prelude", "misc"];

/// F7: headers, lengths, names and places of files.
pub(super) fn files(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &tree.sources {
        let mut breach = |what: String| breaches.push(Breach::new(&source.path, what));
        if !source.text.starts_with("//! ") {
            breach("does not open with `//!`: say what it is".to_owned());
        }
        let test_lines = test_lines(source);
        let lines = source.text.lines().count().saturating_sub(test_lines);
        if !source.is_test && FILE_LINES_MAX < lines {
            breach(format!("{lines} lines without tests, limit is {FILE_LINES_MAX}"));
        }
        if !source.is_test && INLINE_TEST_LINES_MAX < test_lines {
            let limit = INLINE_TEST_LINES_MAX;
            breach(format!("{test_lines} lines of tests, above {limit} they move to `tests.rs`"));
        }
        place(source, &mut breach);
        tests_last(source, &mut breach);
        globs(source, &mut breach);
    }
    breaches
}

fn test_lines(source: &Source) -> usize {
    let ranges = test_ranges(&source.whole.code);
    ranges.into_iter().map(|range| source.text[range].lines().count()).sum()
}

fn place(source: &Source, breach: &mut impl FnMut(String)) {
    let parts: Vec<_> = source.path.split('/').collect();
    let below = parts.iter().position(|part| *part == "src").map_or(0, |src| parts.len() - src - 2);
    if FOLDERS_MAX < below {
        breach(format!("{below} folders below `src`, limit is {FOLDERS_MAX}"));
    }
    if source.path.ends_with("/mod.rs") {
        breach("is a `mod.rs`: `foo.rs` stands beside `foo/`".to_owned());
    }
    for part in parts {
        let name = part.strip_suffix(".rs").unwrap_or(part);
        if EMPTY_NAMES.contains(&name) {
            breach(format!("`{name}` says nothing: name what it holds"));
        }
    }
}

fn tests_last(source: &Source, breach: &mut impl FnMut(String)) {
    let code = &source.whole.code;
    let tests = test_ranges(code).into_iter().find(|range| {
        let item = code[range.clone()].trim_start_matches("#[cfg(test)]").trim_start();
        item.starts_with("mod tests {")
    });
    let after = tests.map_or("", |range| code[range.end..].trim_start_matches([';', ' ', '\n']));
    if !source.is_test && !after.is_empty() {
        breach("has code below its tests: tests come last".to_owned());
    }
}

fn globs(source: &Source, breach: &mut impl FnMut(String)) {
    let tests = test_ranges(&source.whole.code);
    for (at, _) in source.whole.code.match_indices("::*") {
        let in_test = source.is_test || tests.iter().any(|range| range.contains(&at));
        let of_super = source.whole.code[..at].ends_with("super");
        let of_proptest = source.whole.code[..at].ends_with("proptest::prelude");
        if !in_test || !(of_super || of_proptest) {
            let line = line_of(&source.text, at);
            breach(format!("line {line}: glob import: name what is used"));
        }
    }
}

/// F7: functions above the limit that do not say why.
pub(super) fn functions(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &tree.sources {
        let code = &source.whole.code;
        for at in words(code, "fn") {
            let Some(body) = body(code, at) else { continue };
            let lines = code[body].lines().filter(|line| !line.trim().is_empty()).count();
            let lines = lines.saturating_sub(2);
            if FUNCTION_LINES_MAX < lines && !is_excused(code, at) {
                let what = format!("function of {lines} lines, limit is {FUNCTION_LINES_MAX}");
                breaches.push(Breach::at(&source.path, &source.text, at, what));
            }
        }
    }
    breaches
}

/// Where the body of the function whose `fn` stands at `at` is, if it has one.
fn body(code: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let mut scan = at;
    loop {
        let stop = scan + code[scan..].find(['(', '[', '{', ';'])?;
        match code.as_bytes()[stop] {
            b'{' => return Some(stop..closing(code, stop)),
            b';' => return None,
            _ => scan = closing(code, stop),
        }
    }
}

/// Whether an attribute above says why the function is long.
fn is_excused(code: &str, at: usize) -> bool {
    let start = code[..at].rfind(['}', ';', '{']).map_or(0, |before| before + 1);
    code[start..at].contains("expect(clippy::too_many_lines")
        || code[start..at].contains("clippy::too_many_lines,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n_files(path: &str, text: &str) -> usize {
        files(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_file_is_headed_and_in_its_place() {
        for (path, text, n) in [
            ("crates/a/src/b.rs", "//! B.\n", 0),
            ("crates/a/src/b.rs", "fn b() {}\n", 1),
            ("crates/a/src/b/c/d.rs", "//! D.\n", 0),
            ("crates/a/src/b/c/d/e.rs", "//! E.\n", 1),
            ("crates/a/src/b/mod.rs", "//! B.\n", 1),
            ("crates/a/src/utils.rs", "//! U.\n", 1),
            ("crates/a/src/common/b.rs", "//! B.\n", 1),
            ("crates/a/src/b.rs", "//! B.\nuse std::fmt::*;\n", 1),
            ("crates/a/src/b.rs", "//! B.\nuse super::*;\n", 1),
            ("crates/a/src/b.rs", "//! B.\n#[cfg(test)]\nmod tests {\nuse super::*;\n}\n", 0),
            ("crates/a/src/b.rs", "//! B.\n#[cfg(test)]\nmod tests {}\nfn f() {}\n", 1),
            ("crates/a/src/b.rs", "//! B.\n#[cfg(test)]\nmod tests;\n", 0),
            ("crates/a/src/b.rs", "//! B.\n#[cfg(test)]\nfn seed() {}\nfn f() {}\n", 0),
        ] {
            assert_eq!(n_files(path, text), n, "{path} {text}");
        }
    }

    /// Both edges of both lengths.
    #[test]
    fn a_file_is_short_tests_aside() {
        let lines = |n: usize| format!("//! B.\n{}", "fn f() {}\n".repeat(n - 1));
        assert_eq!(n_files("crates/a/src/b.rs", &lines(FILE_LINES_MAX)), 0);
        assert_eq!(n_files("crates/a/src/b.rs", &lines(FILE_LINES_MAX + 1)), 1);
        assert_eq!(n_files("crates/a/tests/b.rs", &lines(FILE_LINES_MAX + 1)), 0);
        let tests = |n: usize| {
            let body = "fn f() {}\n".repeat(n - 3);
            format!("{}#[cfg(test)]\nmod tests {{\n{body}}}\n", lines(FILE_LINES_MAX))
        };
        assert_eq!(n_files("crates/a/src/b.rs", &tests(INLINE_TEST_LINES_MAX)), 0);
        assert_eq!(n_files("crates/a/src/b.rs", &tests(INLINE_TEST_LINES_MAX + 1)), 1);
    }

    #[test]
    fn a_long_function_must_say_why() {
        let function = |n: usize| {
            let body = "    // a comment is free\n\n    step([0; 4]);\n".repeat(n);
            format!("fn f(a: [u8; 4]) -> [u8; 2]\n{{\n{body}}}\n")
        };
        let n = |text: &str| functions(&Tree::of(&[("crates/a/src/b.rs", text)])).len();
        assert_eq!(n(&function(FUNCTION_LINES_MAX)), 0);
        let long = function(FUNCTION_LINES_MAX + 1);
        assert_eq!(n(&long), 1);
        let why = "#[expect(clippy::too_many_lines, reason = \"a table\")]\n";
        assert_eq!(n(&format!("{why}{long}")), 0);
        assert_eq!(n(&format!("{why}fn g() {{}}\n{long}")), 1);
        assert_eq!(n("trait T { fn f(&self) -> [u8; 4]; }"), 0);
    }
}
