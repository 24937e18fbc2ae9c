//! L1: bytes that are no model, and models that contradict themselves.

use bartizan_core::{Predictor, Tensor, Values};
use bartizan_engine::sniff::{FileKind, sniff};
use bartizan_engine::trees::load;
use bartizan_engine::{LoadError, LoadLimits};

use super::answers::{committed, kinds, open};

fn error(text: &str, kind: FileKind) -> String {
    match load(text.as_bytes(), kind, &LoadLimits::default()) {
        Ok(_) => panic!("it loads: {text}"),
        Err(error) => error.to_string(),
    }
}

fn file(name: &str) -> String {
    std::fs::read_to_string(committed().join(name)).unwrap()
}

#[test]
fn every_prefix_of_a_file_is_refused() {
    for name in ["lightgbm-binary-categories.txt", "xgboost-categories.json"] {
        let text = file(name);
        let end = text.find("end of trees").unwrap_or(text.len());
        for n in (0..end).step_by(7) {
            let kind = sniff(text.as_bytes(), name);
            assert!(load(&text.as_bytes()[..n], kind, &LoadLimits::default()).is_err(), "{n}");
        }
    }
    let bytes = std::fs::read(committed().join("xgboost-categories.ubj")).unwrap();
    for n in 0..bytes.len() {
        let loaded = load(&bytes[..n], FileKind::XgBoostUbj, &LoadLimits::default());
        assert!(loaded.is_err(), "{n}");
    }
}

/// F1 and F2: what would loop, point outside or ask a feature that is none is refused.
#[test]
fn a_lightgbm_file_that_contradicts_itself_is_refused_with_its_place() {
    let good = file("lightgbm-binary.txt");
    for (from, to, told) in [
        ("max_feature_idx=5", "max_feature_idx=0", "asks feature"),
        ("max_feature_idx=5", "max_feature_idx=99999999", "at most"),
        ("max_feature_idx=5", "max_feature_idx=-2", "`max_feature_idx`"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=0", "1 to"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=3", "trees"),
        ("num_leaves=8", "num_leaves=9", "leaf_value"),
        ("num_leaves=8", "num_leaves=999999999999", "num_leaves"),
        ("objective=binary sigmoid:1", "objective=binary sigmoid:-1", "`sigmoid`"),
        ("objective=binary sigmoid:1", "objective=lottery", "`lottery`"),
        ("left_child=1", "left_child=0", "reached twice"),
        ("left_child=1", "left_child=99", "no node 99"),
        ("left_child=1", "left_child=-99", "no node"),
        ("threshold=-0.066013669172057879", "threshold=nan", "NaN"),
        ("leaf_value=-0.18947368421052632", "leaf_value=nan", "NaN"),
        ("decision_type=2", "decision_type=14", "decision_type"),
        ("decision_type=2", "decision_type=3", "no set of categories"),
        ("num_cat=0", "num_cat=4", "cat_boundaries"),
        ("end of trees", "the end", "end of trees"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = error(&good.replacen(from, to, 1), FileKind::LightGbm);
        assert!(error.contains(told) && error.contains("LightGBM"), "{to}: {error}");
    }
}

/// F1 and F2.
#[test]
fn an_xgboost_file_that_contradicts_itself_is_refused_with_its_place() {
    let good = file("xgboost-categories.json");
    for (from, to, told) in [
        (
            "\"num_class\":\"0\",\"num_feature\":\"6\"",
            "\"num_class\":\"0\",\"num_feature\":\"1\"",
            "asks feature",
        ),
        (
            "\"num_class\":\"0\",\"num_feature\":\"6\"",
            "\"num_class\":\"0\",\"num_feature\":\"0\"",
            "1 to",
        ),
        (
            "\"num_class\":\"0\",\"num_feature\":\"6\"",
            "\"num_class\":\"0\",\"num_feature\":\"9999999\"",
            "1 to",
        ),
        ("\"base_score\":\"[5E-1]\"", "\"base_score\":\"[2E0]\"", "base_score"),
        ("\"base_score\":\"[5E-1]\"", "\"base_score\":\"[5E-1,5E-1]\"", "2 numbers"),
        ("binary:logistic", "binary:lottery", "`binary:lottery`"),
        ("binary:logistic", "multi:softprob", "one class"),
        ("\"gbtree\"", "\"forest\"", "`forest`"),
        ("\"tree_info\":[0,", "\"tree_info\":[7,", "score 7"),
        ("\"tree_info\":[0,", "\"tree_info\":[", "tree_info"),
        ("\"left_children\":[1,", "\"left_children\":[0,", "reached twice"),
        ("\"left_children\":[1,", "\"left_children\":[99,", "no node 99"),
        ("\"left_children\":[1,", "\"left_children\":[", "right_children"),
        ("\"split_conditions\":[", "\"split_conditions\":[NaN,", "split_conditions"),
        ("\"categories\":[0", "\"categories\":[-1", "categories"),
        ("\"categories_nodes\":[3", "\"categories_nodes\":[4", "contradict"),
        ("\"categories_segments\":[0", "\"categories_segments\":[99", "outside"),
        ("\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"3\"", "multi_output_tree"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = error(&good.replacen(from, to, 1), FileKind::XgBoostJson);
        assert!(error.contains(told) && error.contains("XGBoost"), "{to}: {error}");
    }
    let deep = format!("{}\"learner\"", "[".repeat(100_000));
    assert!(error(&deep, FileKind::XgBoostJson).contains("levels"));
    let long = "{L\0\0\0\x7f\x7f\x7f\x7f\x7flearner";
    assert!(error(long, FileKind::XgBoostUbj).contains("too early"));
}

#[test]
fn a_file_beyond_the_bounds_is_refused() {
    let text = file("lightgbm-binary.txt");
    let n = text.len();
    for (file_bytes_max, is_taken) in [(n, true), (n - 1, false)] {
        let limits = LoadLimits { file_bytes_max, ..LoadLimits::default() };
        assert_eq!(load(text.as_bytes(), FileKind::LightGbm, &limits).is_ok(), is_taken);
    }
    let held = open("lightgbm-binary.txt", text.as_bytes()).resident_bytes();
    for (resident_bytes_max, is_taken) in [(held, true), (held - 1, false)] {
        let limits = LoadLimits { resident_bytes_max, ..LoadLimits::default() };
        let loaded = load(text.as_bytes(), FileKind::LightGbm, &limits);
        assert_eq!(loaded.is_ok(), is_taken);
        if let Err(error) = loaded {
            assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
        }
    }
}

#[test]
fn no_rows_give_no_answers_and_too_many_are_refused() {
    let bytes = file("lightgbm-binary.txt").into_bytes();
    let model = open("lightgbm-binary.txt", &bytes);
    let none = Tensor::new("features", vec![0, 6], Values::Fp64(Vec::new())).unwrap();
    let outputs = model.predict(&[none]).unwrap();
    assert_eq!(outputs[1].shape(), [0, 2]);
    let limits = LoadLimits { run_bytes_max: 10_000, ..LoadLimits::default() };
    let model = load(&bytes, FileKind::LightGbm, &limits).unwrap();
    let many = Tensor::new("features", vec![1_000, 6], Values::Fp64(vec![0.0; 6_000])).unwrap();
    assert!(model.predict(&[many]).unwrap_err().to_string().contains("10000 bytes"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

    /// L1: one changed byte gives a model that answers, or an error.
    #[test]
    fn a_changed_byte_never_panics(at in 0.0_f64..1.0, byte in 0_u8..=255, which in 0_usize..1_000) {
        thread_local! {
            static KINDS: Vec<super::answers::Kind> = kinds(&committed());
        }
        KINDS.with(|kinds| {
            let kind = &kinds[which % kinds.len()];
            let (name, bytes) = &kind.files[which % kind.files.len()];
            let mut changed = bytes.clone();
            let at = (at * changed.len() as f64) as usize;
            changed[at] = byte;
            if let Ok(model) = load(&changed, sniff(bytes, name), &LoadLimits::default()) {
                let _ = model.predict(std::slice::from_ref(&kind.rows));
            }
        });
    }
}
