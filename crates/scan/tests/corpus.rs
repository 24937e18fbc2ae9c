//! Files that genuine libraries wrote (`tests/scan/make_benign.py`), and what happens to them when
//! they are cut, changed, or made to import something else.

use std::path::{Path, PathBuf};

use bartizan_core::{Clock, ClockSource, Digest, Stamp};
use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Report, Verdict, scan};
use proptest::prelude::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

const GROUPS: &[&str] = &[
    "boost",
    "compressed",
    "joblib",
    "npy",
    "numpy",
    "pandas",
    "python",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
];

#[expect(clippy::unwrap_used, reason = "without its files this test can say nothing")]
fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/benign");
    let mut files = Vec::new();
    for group in GROUPS {
        for entry in std::fs::read_dir(top.join(group)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}

fn judge(bytes: &[u8]) -> Report {
    let allow = Allow::new();
    let budget = Budget::default();
    let options =
        Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Skip };
    scan("", &bytes.to_vec(), &options)
}

/// Whole models of scikit-learn, XGBoost, LightGBM, frames, arrays, state dicts: all cleared.
#[test]
fn what_genuine_libraries_wrote_is_cleared() {
    let files = corpus();
    assert!(files.len() > 80, "only {} files", files.len());
    for (path, bytes) in files {
        let report = judge(&bytes);
        assert_eq!(report.verdict, Verdict::Cleared, "{}: {:?}", path.display(), report.sightings);
    }
}

/// S2, V2: no piece of any of them is cleared (of compressed ones: where the format can tell).
#[test]
fn a_cut_file_is_never_cleared() {
    for (path, bytes) in corpus() {
        // Every byte of the small ones, and the last bytes of all.
        let step = if bytes.len() < 2_000 { 1 } else { bytes.len() / 60 };
        let ends = bytes.len().saturating_sub(40).max(1)..bytes.len();
        for cut in (1..bytes.len()).step_by(step).chain(ends) {
            let report = judge(&bytes[..cut]);
            assert_ne!(report.verdict, Verdict::Cleared, "{} cut at {cut}", path.display());
        }
    }
}

/// A mutation that changes what the loader would import changes the verdict.
#[test]
fn another_import_is_another_verdict() {
    let mut n = 0;
    for (path, bytes) in corpus() {
        for (from, to) in [
            (&b"sklearn."[..], &b"sklearm."[..]),
            (b"numpy", b"numpi"),
            (b"pandas.", b"pandaz."),
            (b"collections", b"collectionz"),
            (b"OrderedDict", b"OrderedDicT"),
            (b"_reconstruct", b"_recontsruct"),
            (b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"),
        ] {
            // The first place where it is a module or name of its own, not data.
            let Some(at) = bytes.windows(from.len()).position(|part| part == from) else {
                continue;
            };
            if bytes.starts_with(b"\x93NUMPY") || bytes.starts_with(b"PK") {
                continue; // checksums and headers would tell anyway
            }
            let mut changed = bytes.clone();
            changed[at..at + to.len()].copy_from_slice(to);
            let report = judge(&changed);
            assert_ne!(report.verdict, Verdict::Cleared, "{}: {from:?}", path.display());
            n += 1;
        }
    }
    assert!(n > 50, "only {n} imports were changed");
}

/// A payload appended to, or put before, any file is seen.
#[test]
fn an_appended_or_prepended_payload_is_never_cleared() {
    let payload = b"cos\nsystem\n(S'id'\ntR.";
    for (path, bytes) in corpus() {
        for mixed in [[&bytes[..], payload].concat(), [payload, &bytes[..]].concat()] {
            let report = judge(&mixed);
            assert_ne!(report.verdict, Verdict::Cleared, "{}", path.display());
        }
    }
}

/// The digest is of the whole file, whatever the scan passed over.
#[test]
fn the_digest_is_that_of_the_file() {
    let allow = Allow::new();
    let budget = Budget::default();
    let options =
        Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Whole };
    for (path, bytes) in corpus() {
        let report = scan("", &bytes, &options);
        assert_eq!(report.digest, Some(Digest::of(&bytes)), "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Random bytes behind any magic are judged without a panic, and never cleared.
    #[test]
    fn random_bytes_are_never_cleared(
        magic in prop::sample::select(vec![
            &b"\x80\x04"[..], b"\x80\x02", b"PK\x03\x04", b"\x93NUMPY\x01\0", b"\x1f\x8b\x08", b"x\x9c",
            b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x5d\0\0\x80\0", b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", b"",
        ]),
        tail in prop::collection::vec(any::<u8>(), 16..400),
    ) {
        let report = judge(&[magic, &tail].concat());
        prop_assert_ne!(report.verdict, Verdict::Cleared);
    }

    /// Random opcodes with plausible operands run in the machine without a panic.
    #[test]
    fn random_opcodes_never_panic(ops in prop::collection::vec(
        prop::sample::select(b"(.0123NIKMJGX)]}atlsuebcRoiqhrjp\x80\x81\x85\x86\x87\x88\x8c\x8f\x90\x91\x93\x94\x95QP'\n\x00\x01\x02a".to_vec()),
        1..300,
    )) {
        judge(&[b"\x80\x04", &ops[..]].concat());
    }
}
