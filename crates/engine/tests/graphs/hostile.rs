//! Files that are truncated, spoilt or made to hurt: an error, never a panic (E1, O1).

use bartizan_core::{Predictor, Tensor, Values};
use bartizan_engine::native::load;
use bartizan_engine::onnx::OnnxError;
use bartizan_engine::{LoadError, LoadLimits};
use proptest::prelude::{any, proptest};

use super::build::{
    FLOAT, INT64, ML, Message, Model, attribute, f32_tensor, floats, i64_tensor, int, ints, node,
    tensor, texts, value,
};
use super::open::{open, refusal};

fn example(name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/");
    std::fs::read(format!("{root}{name}/model.onnx")).unwrap()
}

/// A model with every kind of part: nodes, tensors, attributes, a small tree.
fn small() -> Vec<u8> {
    let tree = [
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[1, 0, 0]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        texts("nodes_modes", &["BRANCH_NEQ", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        floats("target_weights", &[1.0, -1.0]),
    ];
    Model::new(3, FLOAT)
        .tensor(f32_tensor("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        .tensor(i64_tensor("shape", &[2], &[-1, 2]))
        .node("MatMul", "", &["x", "w"], &["a"], &[])
        .node("Reshape", "", &["a", "shape"], &["b"], &[])
        .node("Softmax", "", &["b"], &["c"], &[int("axis", 1)])
        .node("Concat", "", &["c", "x"], &["d"], &[int("axis", 1)])
        .node("TreeEnsembleRegressor", ML, &["d"], &["y"], &tree)
        .bytes()
}

/// Loads, and where that works predicts: neither may panic.
fn try_all(bytes: &[u8]) {
    let limits = LoadLimits { run_bytes_max: 1 << 20, ..LoadLimits::default() };
    let Ok(model) = load(bytes, &limits) else { return };
    let inputs: Option<Vec<Tensor>> = model
        .signature()
        .inputs
        .iter()
        .map(|spec| {
            let dims: Vec<u64> = spec
                .shape
                .iter()
                .map(|dim| dim.as_i64().max(-1))
                .map(|dim| if dim < 0 { 3 } else { dim as u64 })
                .collect();
            let count: u64 = dims.iter().product();
            let values =
                Values::Fp32(vec![
                    1.5;
                    usize::try_from(count).ok().filter(|count| *count < 100_000)?
                ]);
            Tensor::new(spec.name.as_str(), dims, values).ok()
        })
        .collect();
    if let Some(inputs) = inputs {
        let _ = model.predict(&inputs);
    }
}

/// E1 and O1.
#[test]
fn no_prefix_of_a_model_makes_it_panic_or_loads() {
    for bytes in [small(), example("cancer-logistic")] {
        assert!(open(&bytes).is_ok());
        for length in 0..bytes.len() {
            try_all(&bytes[..length]);
        }
        // What ends inside the graph is no model.
        for length in 0..bytes.len() - 60 {
            assert!(open(&bytes[..length]).is_err(), "accepted the first {length} bytes");
        }
    }
}

proptest! {
    #[test]
    fn no_spoilt_model_makes_it_panic(
        which in 0_usize..3, spoils in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..8)
    ) {
        let mut bytes = match which {
            0 => small(),
            1 => example("cancer-logistic"),
            _ => example("digits-mlp"),
        };
        for (at, byte) in spoils {
            let at = at as usize % bytes.len();
            bytes[at] = byte;
        }
        try_all(&bytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        try_all(&bytes);
    }
}

/// O2: nothing is allocated for what is merely claimed.
#[test]
fn a_claimed_size_is_not_believed() {
    let huge = Message::default().int(1, 8).bytes(7, []).0;
    let mut claims = huge[..huge.len() - 1].to_vec();
    claims.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let error = open(&claims).unwrap_err();
    assert!(matches!(error, LoadError::Onnx(OnnxError::Malformed { .. })), "{error}");
    let with = |tensor: Message| {
        let mut model = Model::new(2, FLOAT).node("Add", "", &["x", "w"], &["y"], &[]);
        model.tensors.push(tensor);
        refusal(&model)
    };
    let big = 1_i64 << 40;
    assert!(with(f32_tensor("w", &[big, big], &[1.0])).contains("does not fit 1 values"));
    assert!(with(f32_tensor("w", &[big], &[])).contains("does not fit 0 values"));
    assert!(with(f32_tensor("w", &[0, big], &[])).contains("elements a row"));
    assert!(with(f32_tensor("w", &[-2], &[])).contains("negative"));
    assert!(with(f32_tensor("w", &[1; 9], &[1.0])).contains("dimensions"));
    assert!(with(tensor("w", FLOAT, &[1]).bytes(9, [0; 3])).contains("ends inside"));
    assert!(with(tensor("w", 14, &[1]).bytes(9, [0; 8])).contains("element type 14"));
    let mut wide = Model::new(1 << 40, FLOAT).node("Relu", "", &["x"], &["y"], &[]);
    assert!(refusal(&wide).contains("elements a row"));
    wide.inputs = vec![value("x", FLOAT, &[-1, -1])];
    assert!(refusal(&wide).contains("open dimension 1"));
}

#[test]
fn constants_cannot_be_grown_beyond_the_file() {
    // Each step doubles: 40 nodes would make 2^40 elements.
    let mut model = Model::new(1, FLOAT).tensor(f32_tensor("c0", &[1, 1], &[1.0]));
    for step in 0..40 {
        let (from, to) = (format!("c{step}"), format!("c{}", step + 1));
        model = model.node("Concat", "", &[&from, &from], &[&to], &[int("axis", 1)]);
    }
    let model = model.node("Add", "", &["x", "c40"], &["y"], &[]);
    assert!(refusal(&model).contains("elements a row"));
}

/// P1: what a node needs is there before it, or the file is refused.
#[test]
fn a_graph_that_does_not_hang_together_is_refused() {
    let relu = |from: &str, to: &str| node("Relu", "", &[from], &[to], &[]);
    let base = Model::new(2, FLOAT);
    let cases: Vec<(&str, Model)> = vec![
        (
            "needs its own result",
            Model { nodes: vec![relu("b", "a"), relu("a", "b"), relu("b", "y")], ..base.clone() },
        ),
        ("needs its own result", Model { nodes: vec![relu("y", "y")], ..base.clone() }),
        (
            "two nodes give the value `y`",
            Model { nodes: vec![relu("x", "y"), relu("x", "y")], ..base.clone() },
        ),
        (
            "`x` is given and computed",
            Model { nodes: vec![relu("x", "x"), relu("x", "y")], ..base.clone() },
        ),
        ("needs `w`, which is nowhere", Model { nodes: vec![relu("w", "y")], ..base.clone() }),
        ("output `y` is computed by no node", base.clone()),
        ("it has 0 outputs", Model { outputs: vec![], ..base.clone() }),
        (
            "two values have the name `x`",
            Model {
                nodes: vec![relu("x", "y")],
                inputs: vec![value("x", FLOAT, &[-1, 2]), value("x", FLOAT, &[-1, 2])],
                ..base.clone()
            },
        ),
        (
            "another number of rows",
            Model {
                nodes: vec![relu("x", "y")],
                inputs: vec![value("x", FLOAT, &[-1, 2]), value("z", FLOAT, &[4, 2])],
                ..base.clone()
            },
        ),
        (
            "is a scalar",
            Model {
                nodes: vec![relu("x", "y")],
                inputs: vec![value("x", FLOAT, &[])],
                ..base.clone()
            },
        ),
        (
            "the graph says otherwise",
            Model { outputs: vec![value("y", INT64, &[-1])], ..base.clone() }.node(
                "Relu",
                "",
                &["x"],
                &["y"],
                &[],
            ),
        ),
    ];
    for (reason, model) in cases {
        let found = refusal(&model);
        assert!(found.contains(reason), "{reason}: {found}");
    }
}

#[test]
fn nodes_that_no_output_needs_are_not_looked_at() {
    let model = Model::new(2, FLOAT).node("Relu", "", &["x"], &["y"], &[]).node(
        "NoSuchThing",
        "",
        &["nowhere"],
        &["z"],
        &[],
    );
    assert!(open(&model.bytes()).is_ok());
}

#[test]
fn an_operator_that_is_lacking_is_named() {
    let model = Model::new(2, FLOAT).node("DictVectorizer", ML, &["x"], &["y"], &[]);
    let found = refusal(&model);
    for part in [
        "`DictVectorizer`",
        "ai.onnx.ml 3",
        "`the-DictVectorizer`",
        "not among the operators",
        "Scaler",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
    let mut newer = Model::new(2, FLOAT).node("Relu", "", &["x"], &["y"], &[]);
    newer.opset = 28;
    assert!(open(&newer.bytes()).is_ok());
    newer.opset = 29;
    assert!(refusal(&newer).contains("`native` knows 7 to 28"));
    let foreign = Model::new(2, FLOAT).node("Gelu", "com.microsoft", &["x"], &["y"], &[]);
    assert!(refusal(&foreign).contains("`com.microsoft`, which the model does not import"));
}

/// O3: and nothing is opened beside the file.
#[test]
fn what_lies_outside_the_file_or_nests_is_refused() {
    let external =
        tensor("w", FLOAT, &[1]).bytes(13, Message::default().bytes(1, "location").0).int(14, 1);
    let mut model = Model::new(1, FLOAT).node("Add", "", &["x", "w"], &["y"], &[]);
    model.tensors.push(external);
    assert!(refusal(&model).contains("tensor `w` lies in another file"));
    let graph = attribute("body", 5).bytes(6, Model::new(1, FLOAT).graph().0);
    let nested = Model::new(1, FLOAT).node("Relu", "", &["x"], &["y"], &[graph]);
    assert!(refusal(&nested).contains("`body`"));
}

/// O2: both sides of each bound that a small file can reach.
#[test]
fn bounds_are_named() {
    let relu = Model::new(1, FLOAT).node("Relu", "", &["x"], &["y"], &[]);
    let bytes = relu.bytes();
    let limit = |file_bytes_max| LoadLimits { file_bytes_max, ..LoadLimits::default() };
    assert!(load(&bytes, &limit(bytes.len())).is_ok());
    let error = load(&bytes, &limit(bytes.len() - 1)).unwrap_err();
    assert!(matches!(error, LoadError::Onnx(OnnxError::Limit { what: "bytes", .. })), "{error}");
    let mut many = relu.clone();
    many.nodes.resize(10_000, node("Relu", "", &[], &[], &[]));
    assert!(open(&many.bytes()).is_ok());
    many.nodes.push(node("Relu", "", &[], &[], &[]));
    assert!(refusal(&many).contains("10001 nodes, the limit is 10000"));
    let attributes = |n: i64| {
        let attributes: Vec<_> = (0..n).map(|at| int(&format!("a{at}"), at)).collect();
        refusal(&Model::new(1, FLOAT).node("Relu", "", &["x"], &["y"], &attributes))
    };
    assert!(attributes(64).contains("`a0` is not supported"));
    assert!(attributes(65).contains("65 attributes of one node, the limit is 64"));
    let named = |n: usize| {
        open(&Model::new(1, FLOAT).node(&"a".repeat(n), "", &["x"], &["y"], &[]).bytes())
            .unwrap_err()
    };
    assert!(matches!(named(1_000), LoadError::Operator { .. }));
    assert!(matches!(named(1_025), LoadError::Onnx(OnnxError::Limit { .. })));
    let resident = LoadLimits { resident_bytes_max: 100, ..LoadLimits::default() };
    let error = load(&example("digits-mlp"), &resident).unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { limit: 100, .. }), "{error}");
}

#[test]
fn versions_of_the_file_format_are_checked() {
    let model = Model::new(1, FLOAT).node("Relu", "", &["x"], &["y"], &[]).bytes();
    assert_eq!(model[..2], [8, 8]);
    for (version, fine) in [(2, false), (3, true), (14, true), (15, false)] {
        let bytes = [&[8, version], &model[2..]].concat();
        assert_eq!(open(&bytes).is_ok(), fine, "{version}");
    }
    assert!(open(&model[2..]).unwrap_err().to_string().contains("IR version is missing"));
}
