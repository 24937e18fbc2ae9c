//! The files of the project as a value, so that every tidy rule is a function of it and can be
//! shown a tree that breaks it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::mask::{Masked, blank, test_ranges};

/// One tracked file.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the root, `/` between parts.
    pub path: String,
    /// What it holds; text that is not UTF-8 is empty.
    pub text: String,
}

/// A Rust file with its views.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root.
    pub path: String,
    /// Name of its folder under `crates/`, `xtask`, or `fuzz`.
    pub room: String,
    /// The whole text.
    pub text: String,
    /// Its views, whole.
    pub whole: Masked,
    /// Its code without what only tests see; blank where the file is a test.
    pub code: String,
    /// Its text literals without what only tests see.
    pub texts: String,
    /// Whether all of it is a test, a bench or an example.
    pub is_test: bool,
}

impl Source {
    fn new(file: &File) -> Self {
        let whole = Masked::new(&file.text);
        let is_test = is_test(&file.path);
        let everything = 0..file.text.len();
        let ranges = if is_test { vec![everything] } else { test_ranges(&whole.code) };
        Self {
            path: file.path.clone(),
            room: room(&file.path).to_owned(),
            text: file.text.clone(),
            code: blank(&whole.code, &ranges),
            texts: blank(&whole.texts, &ranges),
            is_test,
            whole,
        }
    }
}

/// Whether a path is that of code which no product runs.
fn is_test(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    parts.iter().any(|part| matches!(*part, "tests" | "benches" | "examples" | "fuzz"))
        || path.ends_with("/tests.rs")
}

/// Name of the room that a path lies in, empty for what lies in none.
pub fn room(path: &str) -> &str {
    let mut parts = path.split('/');
    match parts.next() {
        Some("crates") => parts.next().unwrap_or(""),
        Some(first @ ("xtask" | "fuzz")) => first,
        _ => "",
    }
}

/// All files that are tracked, or would be by the next `git add`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Every file, sorted by path.
    pub files: Vec<File>,
    /// Those of them that are Rust, written by hand.
    pub sources: Vec<Source>,
}

impl Tree {
    /// A tree of the given files.
    pub fn new(mut files: Vec<File>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let sources =
            files.iter().filter(|file| file.path.ends_with(".rs")).map(Source::new).collect();
        Self { files, sources }
    }

    /// Reads the project at `root`.
    ///
    /// # Errors
    /// Where git does not run there or a file cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()?;
        if !listed.status.success() {
            let why = String::from_utf8_lossy(&listed.stderr).trim().to_owned();
            return Err(io::Error::other(format!("git ls-files failed: {why}")));
        }
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut files = Vec::new();
        for name in names.split('\0').filter(|name| !name.is_empty()) {
            match fs::read(root.join(name)) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes).unwrap_or_default();
                    files.push(File { path: name.to_owned(), text });
                }
                // Deleted but not yet committed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self::new(files))
    }

    /// Text of the file at `path`.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    /// A tree of `(path, text)` pairs: what a rule is tried on.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file =
            |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        Self::new(files.iter().map(file).collect())
    }
}

/// Folder of the workspace: the parent of this crate's.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_see_is_no_product_code() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n"),
            ("crates/a/src/b/tests.rs", "fn c() {}\n"),
            ("crates/a/tests/d.rs", "fn d() {}\n"),
        ]);
        let code: Vec<_> = tree.sources.iter().map(|source| source.code.trim()).collect();
        assert_eq!(code, ["", "fn a() {}", ""]);
        assert_eq!(tree.sources[0].room, "a");
    }
}
