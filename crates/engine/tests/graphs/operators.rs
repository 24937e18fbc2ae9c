//! Operators, one small graph each; expected values follow the text of the ONNX specification.

use bartizan_core::predictor::Dim;
use bartizan_core::{PredictError, Predictor, Values};

use super::build::{
    FLOAT, INT64, ML, Message, Model, STRING, f32_tensor, float, floats, i64_tensor, int,
    tensor_attribute, text, texts, value,
};
use super::open::{open, refusal, run};

/// What one node gives for rows of `width` floats.
fn one(node: (&str, &str), attributes: &[Message], width: usize, x: &[f32]) -> (Vec<u64>, Values) {
    let model = Model::new(width as i64, 0).node(node.0, node.1, &["x"], &["y"], attributes);
    let output = untyped(model);
    let outputs = run(&output, width, x).unwrap();
    (outputs[0].shape().to_vec(), outputs[0].values().clone())
}

/// Leaves the type of the output open, as some exporters do.
fn untyped(mut model: Model) -> Model {
    let tensor = Message::default().int(1, 0);
    let kind = Message::default().bytes(1, tensor.0);
    model.outputs = vec![Message::default().bytes(1, "y").bytes(2, kind.0)];
    model
}

#[test]
fn functions_of_one_number_keep_nan_and_limits() {
    let x = [-1.0, 0.0, 2.0, f32::INFINITY];
    assert_eq!(one(("Relu", ""), &[], 4, &x).1, Values::Fp32(vec![0.0, 0.0, 2.0, f32::INFINITY]));
    let tanh = one(("Tanh", ""), &[], 1, &[0.5]).1;
    assert_eq!(tanh, Values::Fp32(vec![0.462_117_16]));
    let sigmoid = one(("Sigmoid", ""), &[], 2, &[0.0, f32::NEG_INFINITY]).1;
    assert_eq!(sigmoid, Values::Fp32(vec![0.5, 0.0]));
    for op in ["Relu", "Tanh", "Sigmoid"] {
        let Values::Fp32(values) = one((op, ""), &[], 1, &[f32::NAN]).1 else { panic!("{op}") };
        assert_eq!(values[0].to_bits(), f32::NAN.to_bits(), "{op}");
    }
}

#[test]
fn softmax_means_something_else_before_version_13() {
    let cube = |opset: i64, axis: i64| {
        let mut model = untyped(Model::new(4, 0))
            .tensor(i64_tensor("shape", &[3], &[-1, 2, 2]))
            .node("Reshape", "", &["x", "shape"], &["cube"], &[])
            .node("Softmax", "", &["cube"], &["y"], &[int("axis", axis)]);
        model.opset = opset;
        model
    };
    let quarter = run(&cube(12, 1), 4, &[1.0; 4]).unwrap();
    assert_eq!(quarter[0].values(), &Values::Fp32(vec![0.25; 4]));
    let half = run(&cube(13, -1), 4, &[1.0; 4]).unwrap();
    assert_eq!(half[0].values(), &Values::Fp32(vec![0.5; 4]));
    let across = run(&cube(13, 1), 4, &[1.0; 4]).unwrap();
    assert_eq!(across[0].values(), &Values::Fp32(vec![0.5; 4]));
    assert!(refusal(&cube(13, 0)).contains("mix rows"));
    assert!(refusal(&cube(12, 0)).contains("mix rows"));
}

#[test]
fn arg_max_takes_the_first_or_the_last_of_equals() {
    let x = [1.0, 3.0, 3.0, 2.0, 1.0, 0.0];
    let axis = int("axis", 1);
    let found = one(("ArgMax", ""), std::slice::from_ref(&axis), 3, &x);
    assert_eq!(found, (vec![2, 1], Values::Int64(vec![1, 0])));
    let attributes = [axis, int("select_last_index", 1), int("keepdims", 0)];
    let found = one(("ArgMax", ""), &attributes, 3, &x);
    assert_eq!(found, (vec![2], Values::Int64(vec![2, 0])));
}

#[test]
fn gemm_scales_and_transposes() {
    let model = |attributes: &[Message]| {
        untyped(Model::new(2, 0))
            .tensor(f32_tensor("b", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
            .tensor(f32_tensor("c", &[1, 3], &[10.0, 20.0, 30.0]))
            .node("Gemm", "", &["x", "b", "c"], &["y"], attributes)
    };
    let attributes = [int("transB", 1), float("alpha", 2.0), float("beta", 0.5)];
    let outputs = run(&model(&attributes), 2, &[1.0, 1.0, 0.0, 1.0]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![11.0, 24.0, 37.0, 9.0, 18.0, 27.0]));
    assert!(refusal(&model(&[])).contains("cannot be multiplied"));
    assert!(refusal(&model(&[int("transA", 1)])).contains("mix rows"));
    assert!(refusal(&model(&[int("transB", 1), int("fast", 1)])).contains("`fast`"));
}

#[test]
fn arithmetic_broadcasts_and_integers_do_not_divide_by_zero() {
    let model = untyped(Model::new(2, 0))
        .tensor(f32_tensor("two", &[], &[2.0]))
        .tensor(f32_tensor("row", &[2], &[1.0, 10.0]))
        .node("Mul", "", &["x", "two"], &["a"], &[])
        .node("Sub", "", &["row", "a"], &["b"], &[])
        .node("Add", "", &["b", "x"], &["c"], &[])
        .node("Div", "", &["c", "two"], &["y"], &[]);
    let outputs = run(&model, 2, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![0.0, 4.0, -1.0, 3.0]));
    let integers = |by: i64| {
        untyped(Model::new(1, 0))
            .tensor(i64_tensor("by", &[1], &[by]))
            .node("Cast", "", &["x"], &["i"], &[int("to", INT64)])
            .node("Div", "", &["i", "by"], &["y"], &[])
    };
    let outputs = run(&integers(2), 1, &[-7.9, f32::NAN, 1e30]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Int64(vec![-3, 0, i64::MAX / 2]));
    let error = run(&integers(0), 1, &[1.0]).unwrap_err();
    let PredictError::Operator { operator, node, reason } = error else { panic!("{error}") };
    assert_eq!((operator.as_str(), node.as_str()), ("Div", "the-Div"));
    assert_eq!(reason, "division by zero");
}

#[test]
fn columns_are_joined_chosen_and_reshaped() {
    let model = untyped(Model::new(3, 0))
        .tensor(i64_tensor("order", &[2], &[2, 0]))
        .node("ArrayFeatureExtractor", ML, &["x", "order"], &["chosen"], &[])
        .node("Concat", "", &["chosen", "x"], &["joined"], &[int("axis", -1)])
        .node("Flatten", "", &["joined"], &["flat"], &[])
        .node("Identity", "", &["flat"], &["y"], &[]);
    let outputs = run(&model, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    assert_eq!(outputs[0].shape(), [2, 5]);
    let told = vec![3.0, 1.0, 1.0, 2.0, 3.0, 6.0, 4.0, 4.0, 5.0, 6.0];
    assert_eq!(outputs[0].values(), &Values::Fp32(told));
    let bad = |index: i64| {
        untyped(Model::new(3, 0)).tensor(i64_tensor("order", &[1], &[index])).node(
            "ArrayFeatureExtractor",
            ML,
            &["x", "order"],
            &["y"],
            &[],
        )
    };
    assert!(refusal(&bad(3)).contains("not below 3 columns"));
    assert!(refusal(&bad(-1)).contains("not below 3 columns"));
}

#[test]
fn a_lookup_beyond_its_table_fails_for_that_request() {
    let model = untyped(Model::new(1, 0))
        .tensor(i64_tensor("table", &[2], &[70, 80]))
        .tensor(i64_tensor("shape", &[1], &[-1]))
        .node("Cast", "", &["x"], &["i"], &[int("to", INT64)])
        .node("ArrayFeatureExtractor", ML, &["table", "i"], &["found"], &[])
        .node("Reshape", "", &["found", "shape"], &["y"], &[]);
    let outputs = run(&model, 1, &[1.0, 0.0, 1.0]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Int64(vec![80, 70, 80]));
    for x in [2.0, -1.0] {
        assert!(matches!(run(&model, 1, &[x]), Err(PredictError::Operator { .. })), "{x}");
    }
}

#[test]
fn a_normalizer_divides_by_the_norm_and_leaves_zero_rows() {
    let norm =
        |norm: &str| one(("Normalizer", ML), &[text("norm", norm)], 2, &[3.0, -4.0, 0.0, 0.0]).1;
    assert_eq!(norm("L2"), Values::Fp32(vec![0.6, -0.8, 0.0, 0.0]));
    assert_eq!(norm("L1"), Values::Fp32(vec![3.0 / 7.0, -4.0 / 7.0, 0.0, 0.0]));
    assert_eq!(norm("MAX"), Values::Fp32(vec![1.0, -4.0 / 3.0, 0.0, 0.0]));
}

#[test]
fn a_scaler_takes_one_pair_or_one_for_each_column() {
    let scaler = |offset: &[f32], scale: &[f32]| {
        one(("Scaler", ML), &[floats("offset", offset), floats("scale", scale)], 2, &[3.0, 5.0]).1
    };
    assert_eq!(scaler(&[1.0], &[2.0]), Values::Fp32(vec![4.0, 8.0]));
    assert_eq!(scaler(&[1.0, 2.0], &[2.0]), Values::Fp32(vec![4.0, 6.0]));
    assert_eq!(scaler(&[], &[2.0, 3.0]), Values::Fp32(vec![6.0, 15.0]));
    let bad = untyped(Model::new(2, 0)).node(
        "Scaler",
        ML,
        &["x"],
        &["y"],
        &[floats("offset", &[1.0; 3])],
    );
    assert!(refusal(&bad).contains("`offset` has 3 values, the input has 2 columns"));
}

#[test]
fn linear_models_make_scores_labels_and_probabilities() {
    let classifier = |post: &str, n: usize, labels: Message| {
        let mut model = Model::new(2, STRING);
        model.outputs.push(value("p", FLOAT, &[-1, -1]));
        let (coefficients, intercepts) = ([1.0, 0.0, 0.0, 1.0, -1.0, -1.0], [0.0, 0.0, 0.5]);
        let attributes = [
            floats("coefficients", &coefficients[..2 * n]),
            floats("intercepts", &intercepts[..n]),
            labels,
            text("post_transform", post),
        ];
        model.node("LinearClassifier", ML, &["x"], &["y", "p"], &attributes)
    };
    let abc = || texts("classlabels_strings", &["a", "b", "c"]);
    let x = [2.0, 1.0, -3.0, -4.0];
    let outputs = run(&classifier("NONE", 3, abc()), 2, &x).unwrap();
    assert_eq!(outputs[0].values(), &Values::Bytes(vec![b"a".to_vec(), b"c".to_vec()]));
    assert_eq!(outputs[1].values(), &Values::Fp32(vec![2.0, 1.0, -2.5, -3.0, -4.0, 7.5]));
    let model = open(&classifier("SOFTMAX", 3, abc()).bytes()).unwrap();
    assert_eq!(model.signature().classes, ["a", "b", "c"]);
    let two = || texts("classlabels_strings", &["no", "yes"]);
    let outputs = run(&classifier("NONE", 1, two()), 2, &x).unwrap();
    assert_eq!(outputs[0].values(), &Values::Bytes(vec![b"yes".to_vec(), b"no".to_vec()]));
    assert_eq!(outputs[1].values(), &Values::Fp32(vec![-1.0, 2.0, 4.0, -3.0]));
    let outputs = run(&classifier("LOGISTIC", 1, two()), 2, &x).unwrap();
    let Values::Fp32(pairs) = outputs[1].values() else { panic!() };
    assert!(pairs.chunks(2).all(|pair| (pair[0] + pair[1] - 1.0).abs() < 1e-6), "{pairs:?}");
    let long = |n: usize| texts("classlabels_strings", &["no", &"y".repeat(n)]);
    assert!(open(&classifier("NONE", 1, long(1_024)).bytes()).is_ok());
    assert!(refusal(&classifier("NONE", 1, long(1_025))).contains("longer than 1024 bytes"));
    assert!(refusal(&classifier("NORMIT", 3, abc())).contains("`post_transform` is `NORMIT`"));
    assert!(refusal(&classifier("SOFTMAX", 1, two())).contains("SOFTMAX"));
    assert!(refusal(&classifier("NONE", 2, abc())).contains("2 scores for 3 labels"));
    let regressor = [floats("coefficients", &[1.0, 2.0]), floats("intercepts", &[0.5])];
    assert_eq!(
        one(("LinearRegressor", ML), &regressor, 2, &x),
        (vec![2, 1], Values::Fp32(vec![4.5, -10.5]))
    );
}

#[test]
fn what_depends_on_no_input_is_computed_at_load() {
    let constant = tensor_attribute("value", f32_tensor("", &[2], &[1.0, 2.0]));
    let model = untyped(Model::new(2, 0))
        .node("Constant", "", &[], &["a"], &[constant])
        .node("Add", "", &["a", "a"], &["b"], &[])
        .node("Mul", "", &["x", "b"], &["y"], &[]);
    let outputs = run(&model, 2, &[1.0, 1.0]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![2.0, 4.0]));
}

#[test]
fn an_input_given_out_again_and_an_output_used_inside_are_both_kept() {
    let mut model = Model::new(1, FLOAT);
    model.outputs =
        vec![value("x", FLOAT, &[-1, 1]), value("a", FLOAT, &[-1, 1]), value("y", FLOAT, &[-1, 1])];
    let model =
        model.node("Relu", "", &["x"], &["a"], &[]).node("Sigmoid", "", &["a"], &["y"], &[]);
    let outputs = run(&model, 1, &[-1.0, 0.0]).unwrap();
    assert_eq!(outputs[0].values(), &Values::Fp32(vec![-1.0, 0.0]));
    assert_eq!(outputs[1].values(), &Values::Fp32(vec![0.0, 0.0]));
    assert_eq!(outputs[2].values(), &Values::Fp32(vec![0.5, 0.5]));
}

#[test]
fn only_a_model_for_single_rows_or_any_number_is_row_invariant() {
    for (rows, dim, invariant) in
        [(-1, Dim::Any, true), (1, Dim::Fixed(1), true), (2, Dim::Fixed(2), false)]
    {
        let mut model = Model::new(2, FLOAT).node("Relu", "", &["x"], &["y"], &[]);
        model.inputs = vec![value("x", FLOAT, &[rows, 2])];
        let model = open(&model.bytes()).unwrap();
        assert_eq!(model.signature().inputs[0].shape, [dim, Dim::Fixed(2)]);
        assert_eq!(model.is_row_invariant(), invariant, "{rows}");
    }
}
