//! Replays the corpus of every fuzz target: what once broke a parser, and seeds of each kind.

#[path = "../../fuzz/src/targets.rs"]
#[allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "targets of a fuzzer")]
pub mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use xtask::tree::root;

/// Seeds that a target has at least.
const SEEDS_MIN: usize = 2;

fn corpus() -> PathBuf {
    root().join("fuzz/corpus")
}

#[test]
fn every_input_of_the_corpus_is_survived() {
    for (name, _) in targets::TARGETS {
        let mut n_inputs = 0;
        let folder = corpus().join(name);
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}")) {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| targets::run(name, &bytes));
            assert!(outcome.is_ok(), "{} breaks target {name}", path.display());
            n_inputs += 1;
        }
        assert!(SEEDS_MIN <= n_inputs, "target {name} has {n_inputs} seeds");
    }
}

/// Each seed cut short and with one bit turned, at places spread over its length: what a torn
/// write or a careless sender makes of it.
#[test]
fn every_seed_may_be_cut_and_changed_anywhere() {
    const PLACES: usize = 24;
    for (name, target) in targets::TARGETS {
        for entry in fs::read_dir(corpus().join(name)).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            for place in 0..PLACES {
                let at = place * bytes.len() / PLACES;
                target(&bytes[..at]);
                let mut changed = bytes.clone();
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 1 << (place % 8);
                }
                target(&changed);
            }
        }
    }
}

/// A target without a fuzz program, or a folder without a target, is forgotten work.
#[test]
fn targets_programs_and_corpora_agree() {
    let names: BTreeSet<String> =
        targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root().join("fuzz").join(folder)).unwrap();
        let stem = |entry: fs::DirEntry| entry.path().file_stem()?.to_str().map(str::to_owned);
        entries.filter_map(|entry| stem(entry.ok()?)).collect()
    };
    assert_eq!(names, stems("fuzz_targets"));
    assert_eq!(names, stems("corpus"));
}
