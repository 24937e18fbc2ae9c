//! Tests of the ONNX reader: hostile models by the bypass table, and genuine ones.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests may panic"
)]

use crate::Verdict;
use crate::testing::build::{bytes, number};
use crate::testing::{has, scan};

fn op(domain: &str, name: &str) -> Vec<u8> {
    let mut node = [bytes(1, "x"), bytes(2, "y"), bytes(4, name)].concat();
    if !domain.is_empty() {
        node.extend(bytes(7, domain));
    }
    node
}

/// A model of these graph fields, and of these fields beside the graph.
fn model(graph: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    [
        number(1, 10),
        bytes(2, "test"),
        bytes(7, graph.concat()),
        bytes(8, number(2, 21)),
        bytes(8, [bytes(1, "ai.onnx.ml"), number(2, 3)].concat()),
        ["mine", "com.evil"].map(|name| bytes(8, bytes(1, name))).concat(),
        more.concat(),
    ]
    .concat()
}

fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut tensor = [number(1, 2), number(2, 1), bytes(8, "w")].concat();
    for (key, value) in entries {
        tensor.extend(bytes(13, [bytes(1, key), bytes(2, value)].concat()));
    }
    tensor.extend(number(14, 1));
    tensor
}

fn raw(dims: &[u64], len: usize) -> Vec<u8> {
    let mut tensor: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
    tensor.extend([number(2, 1), bytes(8, "w"), bytes(9, vec![0; len])].concat());
    tensor
}

const GENUINE: &[(&str, &[u8])] = &[
    ("mlp", include_bytes!("../../corpus/benign/onnx/mlp.onnx")),
    ("if-loop-function", include_bytes!("../../corpus/benign/onnx/control.onnx")),
    ("trees", include_bytes!("../../corpus/benign/onnx/trees.onnx")),
];

/// Models that the onnx library wrote are cleared; cut anywhere, or with a byte changed, they are
/// never hostile to us, and a cut one is never cleared.
#[test]
fn genuine_models_are_cleared_and_their_pieces_are_not() {
    for (name, file) in GENUINE {
        let report = scan(file);
        assert_eq!(report.verdict, Verdict::Cleared, "{name}: {:?}", report.sightings);
        assert_eq!(report.formats, ["onnx"], "{name}");
        // A cut between the last fields leaves a whole model without its metadata.
        crate::testing::cuts_are_never_cleared(&file[..file.len().saturating_sub(60)]);
        crate::testing::mutations_never_panic(file);
    }
}

/// Rows CVE-2022-25882, CVE-2024-27318, CVE-2025-51480: external data outside the folder, wherever
/// the tensor is (O1).
#[test]
fn external_data_outside_the_folder_is_hostile_wherever_it_is() {
    for path in [
        "../../../etc/passwd",
        "/etc/passwd",
        "a/../../x",
        "C:\\secrets",
        "..\\x",
        "*/_ORT_MEM_ADDR_/*",
        "file:///etc/passwd",
        "",
    ] {
        let tensor = external(&[("location", path)]);
        let attribute = bytes(5, [bytes(1, "value"), bytes(5, &tensor), number(20, 4)].concat());
        let constant = [op("", "Constant"), attribute].concat();
        let sub = bytes(5, [bytes(1, "body"), bytes(6, bytes(1, &constant))].concat());
        let looped = [op("", "Loop"), sub].concat();
        let function = [bytes(1, "F"), bytes(7, &constant), bytes(10, "mine")].concat();
        for (place, file) in [
            ("initializer", model(&[bytes(5, &tensor)], &[])),
            ("sparse", model(&[bytes(15, bytes(1, &tensor))], &[])),
            ("attribute", model(&[bytes(1, &constant)], &[])),
            ("subgraph", model(&[bytes(1, &looped)], &[])),
            ("function", model(&[], &[bytes(25, &function)])),
            ("training", model(&[], &[bytes(20, bytes(2, bytes(5, &tensor)))])),
        ] {
            let report = scan(&file);
            assert_eq!(report.verdict, Verdict::Hostile, "{path} in {place}");
            assert!(has(&report, "scan.onnx.external"));
            crate::testing::mutations_are_never_cleared(&file, &tensor);
        }
    }
}

/// External data that is not beside the model is not cleared; a key that a reader would set as an
/// attribute of its own object is hostile.
#[test]
fn external_data_must_be_there_and_plain() {
    let missing = model(&[bytes(5, external(&[("location", "weights.bin")]))], &[]);
    assert_eq!(scan(&missing).verdict, Verdict::NotCleared);
    let odd = external(&[("location", "weights.bin"), ("__class__", "x")]);
    assert_eq!(scan(&model(&[bytes(5, odd)], &[])).verdict, Verdict::Hostile);
}

/// O2: standard operators and the model's own functions are known; others are not, in any graph.
#[test]
fn operators_are_listed_or_functions_of_the_model() {
    let cleared = |file: &[u8]| scan(file).verdict == Verdict::Cleared;
    assert!(cleared(&model(&[bytes(1, op("", "Relu"))], &[])));
    assert!(cleared(&model(&[bytes(1, op("ai.onnx.ml", "Scaler"))], &[])));
    for (domain, name) in [("", "Evil"), ("com.evil", "Relu"), ("ai.onnx.ml", "Relu")] {
        let report = scan(&model(&[bytes(1, op(domain, name))], &[]));
        assert_eq!(report.verdict, Verdict::NotCleared, "{domain}.{name}");
        assert!(has(&report, "scan.onnx.custom"));
    }
    for (domain, name) in [("ai.onnx.contrib", "PyCustomOpDef_x"), ("com.microsoft", "PythonOp")] {
        let report = scan(&model(&[bytes(1, op(domain, name))], &[]));
        assert_eq!(report.verdict, Verdict::Hostile, "{domain}.{name}");
    }
    let uses = bytes(1, op("mine", "F"));
    let plain = [bytes(1, "F"), bytes(7, op("", "Relu")), bytes(10, "mine")].concat();
    assert!(cleared(&model(std::slice::from_ref(&uses), &[bytes(25, plain)])));
    let hides = [bytes(1, "F"), bytes(7, op("com.evil", "Run")), bytes(10, "mine")].concat();
    assert!(!cleared(&model(&[uses], &[bytes(25, hides)])));
}

/// Sizes that do not fit the bytes, fields twice, unknown fields and groups are not cleared.
#[test]
fn what_readers_would_take_differently_is_not_cleared() {
    let relu = bytes(1, op("", "Relu"));
    assert_eq!(scan(&model(&[bytes(5, raw(&[2, 3], 24))], &[])).verdict, Verdict::Cleared);
    for (why, file) in [
        ("short", model(&[bytes(5, raw(&[2, 3], 20))], &[])),
        ("overflow", model(&[bytes(5, raw(&[1 << 62, 1 << 62], 0))], &[])),
        ("negative", model(&[bytes(5, raw(&[u64::MAX], 4))], &[])),
        ("two graphs", model(std::slice::from_ref(&relu), &[bytes(7, bytes(1, op("", "Relu")))])),
        ("unknown field", model(std::slice::from_ref(&relu), &[bytes(99, "x")])),
        ("long producer", model(&[relu], &[bytes(2, "\n\u{1}x")])),
    ] {
        assert_ne!(scan(&file).verdict, Verdict::Cleared, "{why}");
    }
}
