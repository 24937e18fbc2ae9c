//! What is made up after a format's first bytes, and what is cut out of, doubled in or moved about
//! genuine and hostile files, has a verdict, and the made-up is never cleared.

use std::path::{Path, PathBuf};

use bartizan_core::{Clock, ClockSource, Stamp};
use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Report, Verdict, scan};
use proptest::prelude::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

/// First bytes of formats, as their readers want them.
const STARTS: &[&[u8]] = &[
    b"GGUF\x03\0\0\0",
    b"GGUF\x02\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0",
    b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0",
    b"\x89HDF\r\n\x1a\n\x02\x08\x08\0\0\0\0\0\0\0\0\0",
    b"{L\0\0\0\0\0\0\0\x07learner",
    b"{\"class_name\":",
    b"[{\"chat_template\":\"{{ ",
    b"\x08\x0a:",
    b"\x08\x01\x12",
    b"\x0a\x05\x0a\x01a\x12",
    b"tree\nversion=v4\nmax_feature_idx=1\n\nTree=0\n",
    b"{% set a = ",
    b"--- ",
    b"_target_: ",
];

#[expect(clippy::unwrap_used, reason = "without its files this test can say nothing")]
fn files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")];
    let mut files = Vec::new();
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                files.push((path, bytes));
            }
        }
    }
    files.sort();
    files
}

fn judge(name: &str, bytes: &[u8]) -> Report {
    let allow = Allow::new();
    let budget = Budget::default();
    let options =
        Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Skip };
    scan(name, &bytes.to_vec(), &options)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Bytes that nobody wrote, after the first bytes of each format.
    #[test]
    fn what_is_made_up_is_never_cleared(
        start in 0..STARTS.len(),
        bytes in prop::collection::vec(any::<u8>(), 16..400),
    ) {
        let file = [STARTS[start], &bytes].concat();
        prop_assert_ne!(judge("", &file).verdict, Verdict::Cleared, "{:?}", file);
    }

    /// The same with the letters that texts are made of; what happens to be whole has a verdict.
    #[test]
    fn made_up_texts_have_a_verdict(
        start in 0..STARTS.len(),
        text in "[\\[\\]{}()\"':,.|~_ a-c0-2\n%!&*-]{0,200}",
    ) {
        let file = [STARTS[start], text.as_bytes()].concat();
        for name in ["", "a.yaml", "a.jinja", "requirements.txt", "a.json"] {
            judge(name, &file);
        }
    }
}

/// Parts taken out, doubled, zeroed or swapped, in every file of the corpus.
#[test]
fn files_that_are_put_together_anew_have_a_verdict() {
    for (path, bytes) in files() {
        if 60_000 < bytes.len() {
            continue;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let n = bytes.len();
        let rounds = (400_000 / (n + 1)).clamp(4, 48);
        // A linear congruence: the same places in every run.
        let mut seed = 0x9e37_79b9_u64;
        let mut draw = |max: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap_or(0) % max.max(1)
        };
        for _ in 0..rounds {
            let at = draw(n);
            let len = draw(64).min(n - at);
            let (before, rest) = bytes.split_at(at);
            let (part, after) = rest.split_at(len);
            let zeros = vec![0_u8; len];
            let ones = vec![0xff_u8; len.min(8)];
            for made in [
                [before, after].concat(),
                [before, part, part, after].concat(),
                [before, &zeros, after].concat(),
                [before, &ones, after].concat(),
                [after, part, before].concat(),
            ] {
                judge(&name, &made);
            }
        }
    }
}
