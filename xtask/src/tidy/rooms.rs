//! F1 to F3: who may name whom, and what each room may name from outside.

use toml::Table;

use super::Breach;
use crate::{
    mask::{closing, is_word, words},
    tree::{Source, Tree, room},
};

/// Floors from the ground up; rooms of one floor never name each other.
const FLOORS: &[&[&str]] = &[
    &["core", "stats"],
    &["access", "guard", "engine", "scan", "vet", "ledger", "registry", "deploy", "wire"],
    &["decision"],
    &["gateway", "forensics", "broker", "outbound"],
    &["bartizan"],
];
/// Lines of code that `core` may have at most.
const CORE_LINES_MAX: usize = 2_500;
/// Modules of `std` through which `core` would do I/O, read a clock or start a thread.
const CORE_STD_BANNED: &[&str] = &["env", "fs", "net", "os", "process", "thread"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// A dependency as a manifest names it.
struct Dependency {
    room: String,
    package: String,
    is_dev: bool,
    place: String,
}

/// Every dependency of every manifest in the workspace, fuzzing aside (it is its own).
fn dependencies(tree: &Tree) -> (Vec<Dependency>, Vec<Breach>) {
    let (mut found, mut breaches) = (Vec::new(), Vec::new());
    for file in tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        let room = room(&file.path);
        if room.is_empty() || room == "fuzz" {
            continue;
        }
        let manifest: Table = match file.text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                breaches.push(Breach::new(&file.path, format!("cannot be parsed: {error}")));
                continue;
            }
        };
        let targets = manifest.get("target").and_then(|targets| targets.as_table());
        let tables =
            targets.into_iter().flat_map(Table::values).filter_map(|table| table.as_table());
        for table in tables.chain([&manifest]) {
            for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
                let entries = table.get(section).and_then(|entries| entries.as_table());
                for (key, value) in entries.into_iter().flatten() {
                    let package =
                        value.get("package").and_then(|name| name.as_str()).unwrap_or(key);
                    found.push(Dependency {
                        room: room.to_owned(),
                        package: package.to_owned(),
                        is_dev: section == "dev-dependencies",
                        place: file.path.clone(),
                    });
                }
            }
        }
    }
    (found, breaches)
}

/// F1: edges between rooms.
pub(super) fn edges(tree: &Tree) -> Vec<Breach> {
    let (dependencies, mut breaches) = dependencies(tree);
    for file in &tree.files {
        let name = room(&file.path);
        let is_manifest = file.path == format!("crates/{name}/Cargo.toml");
        if is_manifest && floor(name).is_none() && name != "testkit" {
            breaches.push(Breach::new(&file.path, "stands on no floor: add it to FLOORS"));
        }
    }
    for dependency in &dependencies {
        let Some(target) = ours(&dependency.package) else { continue };
        let verdict = edge(&dependency.room, target, dependency.is_dev);
        if let Err(why) = verdict {
            let what = format!("`{}` names `{target}`: {why}", dependency.room);
            breaches.push(Breach::new(&dependency.place, what));
        }
    }
    breaches
}

/// The room that a package is, if it is one of ours.
fn ours(package: &str) -> Option<&str> {
    match package {
        "bartizan" | "xtask" => Some(package),
        _ => package.strip_prefix("bartizan-"),
    }
}

fn edge(from: &str, to: &str, is_dev: bool) -> Result<(), &'static str> {
    match (from, to) {
        ("xtask", _) if is_dev => Ok(()),
        ("xtask", _) => Err("xtask builds without the house, only its tests may name it"),
        ("testkit", "core") => Ok(()),
        ("testkit", _) => Err("testkit names core only"),
        ("core" | "stats", "testkit") => Err("testkit stands on core"),
        (_, "testkit") if is_dev => Ok(()),
        (_, "testkit") => Err("testkit is for tests, make it a dev-dependency"),
        // A room's own tests may turn on its feature `testing`.
        _ if is_dev && from == to => Ok(()),
        _ => match (floor(from), floor(to)) {
            (Some(above), Some(below)) if below < above => Ok(()),
            (Some(here), Some(there)) if here == there => {
                Err("rooms of one floor never name each other, they meet as core nouns")
            }
            (Some(_), Some(_)) => Err("an edge points down"),
            _ => Err("one of them stands on no floor"),
        },
    }
}

/// F2: tokio and `async`, datafusion, clap and the end of the process, each in its rooms.
pub(super) fn kept(tree: &Tree) -> Vec<Breach> {
    let (dependencies, mut breaches) = dependencies(tree);
    for dependency in &dependencies {
        let (room, package) = (dependency.room.as_str(), dependency.package.as_str());
        let allowed = match package.split('-').next() {
            Some("tokio") => is_async(room),
            Some("datafusion") => matches!(room, "forensics" | "broker"),
            Some("clap" | "clap_complete" | "clap_mangen") => is_roof(room),
            _ => true,
        };
        if !allowed {
            let what = format!("`{room}` may not name `{package}`");
            breaches.push(Breach::new(&dependency.place, what));
        }
    }
    for source in &tree.sources {
        if !is_async(&source.room) && source.room != "fuzz" {
            breaches.extend(word(source, "async", "async code lives on the second floor"));
        }
        if !is_roof(&source.room) {
            for end in ["process::exit", "process::abort"] {
                breaches.extend(word(source, end, "only bartizan and xtask end the process"));
            }
        }
    }
    breaches
}

fn is_async(room: &str) -> bool {
    room == "bartizan" || FLOORS[3].contains(&room)
}

fn is_roof(room: &str) -> bool {
    matches!(room, "bartizan" | "xtask")
}

fn word<'a>(source: &'a Source, word: &'a str, why: &'a str) -> impl Iterator<Item = Breach> + 'a {
    words(&source.code, word)
        .map(move |at| Breach::at(&source.path, &source.code, at, format!("names `{word}`: {why}")))
}

/// F3: `core` does no I/O and stays small. (That it depends on nothing of ours is F1.)
pub(super) fn core(tree: &Tree) -> Vec<Breach> {
    let (mut breaches, mut lines) = (Vec::new(), 0);
    for source in tree.sources.iter().filter(|source| source.room == "core") {
        lines += source.code.lines().filter(|line| !line.trim().is_empty()).count();
        for (at, module) in std_modules(&source.code) {
            if CORE_STD_BANNED.contains(&module) {
                let what = format!("core may not name `std::{module}`: take a port");
                breaches.push(Breach::at(&source.path, &source.code, at, what));
            }
        }
        for clock in ["Instant", "SystemTime"] {
            breaches.extend(word(source, clock, "core reads no clock: take a `Stamp`"));
        }
    }
    if CORE_LINES_MAX < lines {
        let what = format!("{lines} lines of code, limit is {CORE_LINES_MAX}");
        breaches.push(Breach::new("crates/core", what));
    }
    breaches
}

/// Each module named directly after `std::`, also in a group, with its position.
fn std_modules(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for at in words(code, "std") {
        let Some(rest) = code[at + 3..].strip_prefix("::") else { continue };
        if !rest.starts_with('{') {
            found.push((at, first_word(rest)));
            continue;
        }
        let (mut depth, mut is_first) = (0_u32, false);
        for (offset, c) in rest[..closing(rest, 0)].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if is_first && depth == 1 && !c.is_whitespace() => {
                    found.push((at, first_word(&rest[offset..])));
                }
                _ => {}
            }
            is_first = matches!(c, '{' | ',') || is_first && c.is_whitespace();
        }
    }
    found
}

fn first_word(text: &str) -> &str {
    let end = text.bytes().position(|byte| !is_word(byte));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(room: &str, section: &str, package: &str) -> Vec<Breach> {
        let path = match room {
            "xtask" => "xtask/Cargo.toml".to_owned(),
            _ => format!("crates/{room}/Cargo.toml"),
        };
        edges(&Tree::of(&[(&path, &format!("[{section}]\n{package} = \"1\"\n"))]))
    }

    /// F1 from both sides: down is fine, up and sideways are not, whatever the section.
    #[test]
    fn edges_point_down_only() {
        for (room, section, package) in [
            ("wire", "dependencies", "bartizan-core"),
            ("gateway", "dependencies", "bartizan-decision"),
            ("bartizan", "dependencies", "bartizan-outbound"),
            ("ledger", "dev-dependencies", "bartizan-testkit"),
            ("xtask", "dev-dependencies", "bartizan-guard"),
            ("engine", "dev-dependencies", "bartizan-engine"),
            ("wire", "dependencies", "serde"),
        ] {
            assert_eq!(manifest(room, section, package), [], "{room} -> {package}");
        }
        for (room, section, package) in [
            ("core", "dependencies", "bartizan-wire"),
            ("core", "dependencies", "bartizan-stats"),
            ("core", "dev-dependencies", "bartizan-testkit"),
            ("wire", "dev-dependencies", "bartizan-guard"),
            ("decision", "build-dependencies", "bartizan-gateway"),
            ("gateway", "target.'cfg(unix)'.dependencies", "bartizan-outbound"),
            ("ledger", "dependencies", "bartizan-testkit"),
            ("testkit", "dependencies", "bartizan-ledger"),
            ("xtask", "dependencies", "bartizan-guard"),
            ("attic", "dependencies", "serde"),
        ] {
            assert_eq!(manifest(room, section, package).len(), 1, "{room} -> {package}");
        }
        let renamed = "[dependencies]\nx = { package = \"bartizan-guard\" }\n";
        assert_eq!(edges(&Tree::of(&[("crates/wire/Cargo.toml", renamed)])).len(), 1);
    }

    #[test]
    fn a_manifest_that_cannot_be_read_is_said() {
        assert_eq!(edges(&Tree::of(&[("crates/wire/Cargo.toml", "[")])).len(), 1);
    }

    #[test]
    fn rooms_keep_their_libraries() {
        for (room, package, n) in [
            ("gateway", "tokio", 0),
            ("bartizan", "tokio-rustls", 0),
            ("ledger", "tokio", 1),
            ("wire", "tokio-util", 1),
            ("forensics", "datafusion-sql", 0),
            ("gateway", "datafusion", 1),
            ("access", "clap", 1),
        ] {
            let text = format!("[dependencies]\n{package} = \"1\"\n");
            let tree = Tree::of(&[(&format!("crates/{room}/Cargo.toml"), &text)]);
            assert_eq!(kept(&tree).len(), n, "{room} -> {package}");
        }
        for (path, code, n) in [
            ("crates/ledger/src/a.rs", "async fn f() {}", 1),
            ("crates/gateway/src/a.rs", "async fn f() {}", 0),
            ("crates/gateway/src/a.rs", "fn f() { std::process::exit(1) }", 1),
            ("crates/bartizan/src/a.rs", "fn f() { std::process::exit(1) }", 0),
            ("crates/ledger/src/a.rs", "// async\nconst A: &str = \"async\";", 0),
        ] {
            assert_eq!(kept(&Tree::of(&[(path, code)])).len(), n, "{path} {code}");
        }
    }

    #[test]
    fn core_does_no_io_and_stays_small() {
        for (code, n) in [
            ("use std::{fmt, io};", 0),
            ("use std::fs;", 1),
            ("use std::{fmt, net::{IpAddr, TcpStream}};", 1),
            ("use std::collections::BTreeMap;", 0),
            ("fn f() { std::thread::yield_now() }", 1),
            ("use std::time::Instant;", 1),
            ("#[cfg(test)]\nmod tests { use std::fs; }", 0),
        ] {
            assert_eq!(core(&Tree::of(&[("crates/core/src/a.rs", code)])).len(), n, "{code}");
        }
        let fits = "fn f() {}\n".repeat(CORE_LINES_MAX);
        assert_eq!(core(&Tree::of(&[("crates/core/src/a.rs", &fits)])), []);
        let over = format!("{fits}fn g() {{}}\n");
        assert_eq!(core(&Tree::of(&[("crates/core/src/a.rs", &over)])).len(), 1);
    }
}
