//! Tests of the TensorFlow readers: files of TensorFlow 2.21, and operators that reach out.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests may panic"
)]

use crate::Verdict;
use crate::testing::build::{bytes, number};
use crate::testing::{has, scan};

fn node(op: &str) -> Vec<u8> {
    [bytes(1, "n"), bytes(2, op)].concat()
}

/// Places of a node: a graph, a function of it, both in a SavedModel, and a MetaGraph.
fn places(node: &[u8]) -> [Vec<u8>; 5] {
    let relu = [bytes(1, "a"), bytes(2, "Relu")].concat();
    let graph = [bytes(1, &relu), bytes(1, node), bytes(4, number(1, 1))].concat();
    let function = [bytes(1, bytes(1, "f")), bytes(3, node)].concat();
    let library = [bytes(1, &relu), bytes(2, bytes(1, function)), bytes(4, number(1, 1))].concat();
    let meta = |graph: &[u8]| [bytes(1, bytes(4, "serve")), bytes(2, graph)].concat();
    let saved = |graph: &[u8]| [number(1, 1), bytes(2, meta(graph))].concat();
    [graph.clone(), library.clone(), saved(&graph), saved(&library), meta(&graph)]
}

const GENUINE: &[(&str, &str, &[u8])] = &[
    (
        "exported",
        "saved-model",
        include_bytes!("../../corpus/benign/tensorflow/exported/saved_model.pb"),
    ),
    (
        "module",
        "saved-model",
        include_bytes!("../../corpus/benign/tensorflow/module/saved_model.pb"),
    ),
    ("frozen", "tensorflow graph", include_bytes!("../../corpus/benign/tensorflow/frozen.pb")),
    (
        "fingerprint",
        "tensorflow fingerprint",
        include_bytes!("../../corpus/benign/tensorflow/module/fingerprint.pb"),
    ),
];

/// Files that TensorFlow wrote are cleared, saving and restoring of variables and all; a cut one
/// is not, unless it is cut between the last fields.
#[test]
fn files_of_tensorflow_are_cleared_and_their_pieces_are_not() {
    for (name, format, file) in GENUINE {
        let report = scan(file);
        assert_eq!(report.verdict, Verdict::Cleared, "{name}: {:?}", report.sightings);
        assert_eq!(report.formats, [*format], "{name}");
        crate::testing::mutations_never_panic(file);
    }
    for file in [GENUINE[0].2, GENUINE[1].2] {
        for cut in (1..file.len()).step_by(97) {
            assert_ne!(scan(&file[..cut]).verdict, Verdict::Cleared, "cut at {cut}");
        }
    }
}

/// T1: what reads and writes files or runs Python is hostile in every graph and function; what is
/// on no list is not cleared; a function of the graph is known.
#[test]
fn operators_are_judged_wherever_their_node_is() {
    for op in [
        "ReadFile",
        "WriteFile",
        "PyFunc",
        "EagerPyFunc",
        "MatchingFiles",
        "TextLineDataset",
        "TFRecordDatasetV2",
        "ImmutableConst",
        "CreateSummaryFileWriter",
        "DebugIdentityV2",
    ] {
        let node = node(op);
        for (n, file) in places(&node).iter().enumerate() {
            let report = scan(file);
            assert_eq!(report.verdict, Verdict::Hostile, "{op} in place {n}: {:?}", report.formats);
            assert!(has(&report, "scan.tensorflow.op"), "{op} in place {n}");
        }
    }
    for (op, expected) in [
        ("MyCustomOp", Verdict::NotCleared),
        ("", Verdict::NotCleared),
        ("matmul", Verdict::NotCleared),
        ("MatMul", Verdict::Cleared),
        ("SaveV2", Verdict::Cleared),
    ] {
        for file in places(&node(op)) {
            let report = scan(&file);
            assert_eq!(report.verdict, expected, "{op}: {:?}", report.sightings);
        }
    }
    assert_eq!(scan(&places(&node("f"))[1]).verdict, Verdict::Cleared);
    let hostile = node("PyFunc");
    // With another number before it the node would be no node.
    crate::testing::mutations_are_never_cleared(&places(&hostile)[0], &bytes(1, &hostile));
}

/// An operator that prints into a file is hostile; a graph that holds a path is not cleared, and an
/// asset outside the folder is hostile.
#[test]
fn paths_in_a_graph_are_found() {
    let attribute = |key: &str, value: &[u8]| bytes(5, [bytes(1, key), bytes(2, value)].concat());
    let print = [node("PrintV2"), attribute("output_stream", &bytes(2, "file:///tmp/x"))].concat();
    assert_eq!(scan(&places(&print)[2]).verdict, Verdict::Hostile);
    let tensor = bytes(8, [number(1, 7), bytes(8, "/etc/passwd")].concat());
    let constant = [node("Const"), attribute("value", &tensor)].concat();
    assert_eq!(scan(&places(&constant)[2]).verdict, Verdict::NotCleared);
    let meta = [
        bytes(1, bytes(4, "serve")),
        bytes(2, bytes(1, node("Relu"))),
        bytes(6, bytes(2, "../../x")),
    ];
    let saved = [number(1, 1), bytes(2, meta.concat())].concat();
    assert_eq!(scan(&saved).verdict, Verdict::Hostile);
}

/// T2: a Lambda layer in the metadata of objects, in both of its places.
#[test]
fn keras_metadata_is_judged() {
    let lambda = r#"{"class_name":"Lambda","config":{"function":["4wEA",null,null]}}"#;
    let kept = bytes(
        1,
        [number(2, 1), bytes(3, "root.layer"), bytes(4, "_tf_keras_layer"), bytes(5, lambda)]
            .concat(),
    );
    let report = scan(&kept);
    assert_eq!((report.verdict, report.formats[0]), (Verdict::Hostile, "keras metadata"));
    let object = bytes(1, bytes(4, [bytes(1, "_tf_keras_layer"), bytes(3, lambda)].concat()));
    let meta = [bytes(1, bytes(4, "serve")), bytes(2, bytes(1, node("Relu"))), bytes(7, object)];
    let saved = [number(1, 1), bytes(2, meta.concat())].concat();
    assert_eq!(scan(&saved).verdict, Verdict::Hostile);
}

/// A Core ML model is recognised and not cleared.
#[test]
fn core_ml_is_recognised() {
    let file = [number(1, 5), bytes(2, bytes(1, "x")), bytes(500, "net")].concat();
    let report = scan(&file);
    assert_eq!((report.verdict, report.formats[0]), (Verdict::NotCleared, "coreml"));
}
