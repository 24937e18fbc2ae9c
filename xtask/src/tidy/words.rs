//! F5 and its like: words that may stand in some places only.

use std::collections::BTreeSet;

use super::Breach;
use crate::{mask::words, tree::Tree};

/// Words of the inference protocols, lower case.
const PROTOCOL_WORDS: &[&str] = &[
    "/v2/",
    "raw_input_contents",
    "raw_output_contents",
    "inference-header-content-length",
    "binary_tensor_data",
    "grpcinferenceservice",
    "azureml-model-deployment",
    "azmlinfsrv",
    "x-ms-run-fn",
    "x-ms-server-version",
];
/// Rooms that may use them: those two, and what stands beside the house.
const PROTOCOL_ROOMS: &[&str] = &["wire", "gateway", "xtask", "fuzz"];
/// Section of `ARCHITECTURE.md` that lists files with unsafe code, one a line in backticks.
const UNSAFE_HEADING: &str = "## Unsafe code";
/// Hosts of package registries and folders of one machine, in two halves lest they be found here.
const FOREIGN: &[(&str, &str)] = &[
    ("crates", ".io"),
    ("py", "pi.org"),
    ("pythonhost", "ed.org"),
    ("registry.npm", "js"),
    ("proxy.gol", "ang.org"),
    ("deb.deb", "ian.org"),
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("bash_", "jobs"),
];

/// F5: protocol words outside their rooms, in code or in texts.
pub(super) fn protocol(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in &tree.sources {
        if PROTOCOL_ROOMS.contains(&source.room.as_str()) {
            continue;
        }
        for view in [&source.code, &source.texts] {
            let view = view.to_ascii_lowercase();
            for word in PROTOCOL_WORDS {
                for (at, _) in view.match_indices(word) {
                    let what =
                        format!("`{word}` is a protocol's word: only wire and gateway know it");
                    breaches.push(Breach::at(&source.path, &view, at, what));
                }
            }
        }
    }
    breaches
}

/// Unsafe code outside the files that `ARCHITECTURE.md` lists, and listed files without any.
pub(super) fn unsafety(tree: &Tree) -> Vec<Breach> {
    let listed = unsafe_files(tree.text("ARCHITECTURE.md").unwrap_or_default());
    let mut breaches = Vec::new();
    for source in tree.sources.iter().filter(|source| source.room != "fuzz") {
        let found = words(&source.whole.code, "unsafe").next();
        match (found, listed.contains(source.path.as_str())) {
            (Some(at), false) => {
                let what = format!("unsafe code that `{UNSAFE_HEADING}` does not list");
                breaches.push(Breach::at(&source.path, &source.text, at, what));
            }
            (None, true) => {
                let what = format!("has no unsafe code: take it off `{UNSAFE_HEADING}`");
                breaches.push(Breach::new(&source.path, what));
            }
            (Some(_), true) | (None, false) => {}
        }
    }
    for path in listed.iter().filter(|path| tree.text(path).is_none()) {
        breaches
            .push(Breach::new("ARCHITECTURE.md", format!("lists `{path}`, which is not there")));
    }
    breaches
}

fn unsafe_files(architecture: &str) -> BTreeSet<&str> {
    let section = architecture.split_once(UNSAFE_HEADING).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    section.split('`').skip(1).step_by(2).filter(|path| path.ends_with(".rs")).collect()
}

/// Registry hosts and machine paths in any file that is not a lock.
pub(super) fn foreign(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (first, second) in FOREIGN {
            let word = format!("{first}{second}");
            for (at, _) in file.text.match_indices(&word) {
                let what = format!("`{word}` belongs to one machine or registry");
                breaches.push(Breach::at(&file.path, &file.text, at, what));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_words_are_found_outside_their_rooms() {
        let code = "const A: &str = \"https://x/v2/models\";\n";
        for (path, n) in [
            ("crates/wire/src/a.rs", 0),
            ("crates/gateway/src/a.rs", 0),
            ("crates/engine/src/a.rs", 1),
            ("crates/bartizan/src/a.rs", 1),
            ("crates/engine/tests/a.rs", 0),
        ] {
            assert_eq!(protocol(&Tree::of(&[(path, code)])).len(), n, "{path}");
        }
        let header = "const B: &str = \"Inference-Header-Content-Length\";";
        assert_eq!(protocol(&Tree::of(&[("crates/core/src/a.rs", header)])).len(), 1);
        let comment = "// like raw_input_contents";
        assert_eq!(protocol(&Tree::of(&[("crates/core/src/a.rs", comment)])), []);
    }

    /// Both ways: code that is not listed, and a list that says more than there is.
    #[test]
    fn unsafe_code_stands_where_the_architecture_says() {
        let code = ("crates/a/src/b.rs", "fn f() { unsafe { g() } }");
        let calm = ("crates/a/src/b.rs", "#![deny(unsafe_code)] // unsafe");
        let listed = ("ARCHITECTURE.md", "# A\n## Unsafe code\n- `crates/a/src/b.rs`: why\n## C\n");
        let silent = ("ARCHITECTURE.md", "# A\n## Unsafe code\nnone\n## C\n`crates/a/src/b.rs`\n");
        assert_eq!(unsafety(&Tree::of(&[code, listed])), []);
        assert_eq!(unsafety(&Tree::of(&[calm, silent])), []);
        assert_eq!(unsafety(&Tree::of(&[code, silent])).len(), 1);
        assert_eq!(unsafety(&Tree::of(&[calm, listed])).len(), 1);
        assert_eq!(unsafety(&Tree::of(&[listed])).len(), 1);
    }

    #[test]
    fn hosts_and_machine_paths_are_found() {
        for (first, second) in FOREIGN {
            let text = format!("see {first}{second} there\n");
            assert_eq!(foreign(&Tree::of(&[("docs/a.md", &text)])).len(), 1, "{text}");
            assert_eq!(foreign(&Tree::of(&[("fuzz/Cargo.lock", &text)])), [], "{text}");
        }
    }
}
