//! Tests of the reader of LightGBM's models.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests may panic")]

use crate::Verdict;
use crate::testing::scan;

const GENUINE: &[&str] = &[
    include_str!("../../corpus/benign/lightgbm/classifier.txt"),
    include_str!("../../corpus/benign/lightgbm/categorical.txt"),
];

/// Models of LightGBM 4.7 are cleared; cut before the end of the parameters they are not.
#[test]
fn models_of_lightgbm_are_cleared_and_their_pieces_are_not() {
    for model in GENUINE {
        let report = scan(model.as_bytes());
        assert_eq!(report.verdict, Verdict::Cleared, "{:?}", report.sightings);
        let end = model.find("end of parameters").unwrap();
        crate::testing::cuts_are_never_cleared(&model.as_bytes()[..end]);
        crate::testing::mutations_never_panic(model.as_bytes());
    }
}

/// Sizes and indexes that a reader in C++ would follow out of its arrays are not cleared.
#[test]
fn sizes_and_indexes_must_agree() {
    for (old, new) in [
        ("num_leaves=5", "num_leaves=9"),
        ("num_leaves=5", "num_leaves=-5"),
        ("left_child=3", "left_child=99"),
        ("left_child=3", "left_child=-99"),
        ("split_feature=0", "split_feature=77"),
        ("leaf_value=", "leaf_value=1 "),
        ("Tree=1", "Tres=1"),
        ("end of trees", "end of thees"),
        ("pandas_categorical:null", "pandas_categorical:os"),
        ("num_class=1", "evil=1"),
    ] {
        let model = GENUINE[0].replacen(old, new, 1);
        assert_ne!(model, GENUINE[0], "{old}");
        assert_eq!(scan(model.as_bytes()).verdict, Verdict::NotCleared, "{new}");
    }
}
