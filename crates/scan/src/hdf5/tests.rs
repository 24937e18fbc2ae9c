//! Tests of the HDF5 reader: files of h5py and Keras, and files that reach out.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests may panic"
)]

use crate::Verdict;
use crate::testing::{has, scan};

const GENUINE: &[(&str, &[u8])] = &[
    ("mlp", include_bytes!("../../corpus/benign/h5/mlp.h5")),
    ("cnn", include_bytes!("../../corpus/benign/h5/cnn.h5")),
    ("rnn", include_bytes!("../../corpus/benign/h5/rnn.h5")),
    ("weights", include_bytes!("../../corpus/benign/h5/mlp.weights.h5")),
    ("plain", include_bytes!("../../corpus/benign/h5/plain.h5")),
    ("latest", include_bytes!("../../corpus/benign/h5/latest.h5")),
];

/// H1: files with old and new groups, links in headers and in heaps, are read whole and cleared.
#[test]
fn files_of_h5py_and_keras_are_cleared_and_their_pieces_are_not() {
    for (name, file) in GENUINE {
        let report = scan(file);
        assert_eq!(report.verdict, Verdict::Cleared, "{name}: {:?}", report.sightings);
        crate::testing::mutations_never_panic(file);
    }
    let (_, smallest) = GENUINE[5];
    crate::testing::cuts_are_never_cleared(smallest);
}

/// Row on `.keras`: the archive and the weights inside it are cleared whole.
#[test]
fn archives_of_keras_are_cleared() {
    for (name, file) in [
        ("mlp", &include_bytes!("../../corpus/benign/keras/mlp.keras")[..]),
        ("cnn", include_bytes!("../../corpus/benign/keras/cnn.keras")),
        ("rnn", include_bytes!("../../corpus/benign/keras/rnn.keras")),
    ] {
        let report = scan(file);
        assert_eq!(report.verdict, Verdict::Cleared, "{name}: {:?}", report.sightings);
        for format in ["zip", "keras", "hdf5"] {
            assert!(report.formats.contains(&format), "{name}: {:?}", report.formats);
        }
    }
}

/// Rows CVE-2026-1669 and CVE-2025-9905, H1, H2, H3: external links and storage, virtual datasets, code
/// in `model_config`, pickles in attributes; each file was written by h5py.
#[test]
fn files_that_reach_out_or_hold_code_are_hostile() {
    for (name, rule, file) in [
        (
            "external link",
            "scan.hdf5.external",
            &include_bytes!("../../corpus/hostile/h5/link.h5")[..],
        ),
        (
            "dense external link",
            "scan.hdf5.external",
            include_bytes!("../../corpus/hostile/h5/dense.h5"),
        ),
        (
            "external storage",
            "scan.hdf5.external",
            include_bytes!("../../corpus/hostile/h5/storage.h5"),
        ),
        (
            "virtual dataset",
            "scan.hdf5.external",
            include_bytes!("../../corpus/hostile/h5/virtual.h5"),
        ),
        ("Lambda", "scan.keras.code", include_bytes!("../../corpus/hostile/h5/lambda.h5")),
        (
            "Lambda, fixed text",
            "scan.keras.code",
            include_bytes!("../../corpus/hostile/h5/fixed.h5"),
        ),
        ("pickle", "scan.pickle.call", include_bytes!("../../corpus/hostile/h5/pickle.h5")),
    ] {
        let report = scan(file);
        assert_eq!(report.verdict, Verdict::Hostile, "{name}: {:?}", report.sightings);
        assert!(has(&report, rule), "{name}: {:?}", report.sightings);
        crate::testing::cuts_are_never_cleared(&file[..file.len().min(3000)]);
        crate::testing::mutations_never_panic(file);
    }
}

/// A file behind other bytes is found, at the places where the library looks, and is not cleared.
#[test]
fn a_file_behind_other_bytes_is_not_cleared() {
    let (_, file) = GENUINE[4];
    for at in [512, 1024, 2048, 4096, 8192] {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.resize(at, b' ');
        bytes.extend(file);
        let report = scan(&bytes);
        assert!(has(&report, "scan.file.polyglot"), "at {at}: {:?}", report.formats);
        assert!(report.formats.contains(&"hdf5"), "at {at}");
    }
    let longer = [file, &[0]].concat();
    assert!(has(&scan(&longer), "scan.file.trailing"));
}
