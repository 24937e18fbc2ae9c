//! Names, types, shapes and rows, from both sides.

use bartizan_core::Contract;
use bartizan_core::Values;
use bartizan_core::contract::{ContractFile, Output, Role};

use super::*;
use crate::ContractGuard;

/// A model of inputs `(name, datatype, shape)`.
fn guard(inputs: &[(&str, Datatype, &[i64])], rows_max: Option<u64>) -> ContractGuard {
    let input = |(name, datatype, shape): &(&str, Datatype, &[i64])| Input {
        name: (*name).into(),
        datatype: *datatype,
        shape: shape.to_vec(),
        features: vec![],
    };
    let output = Output {
        name: "y".into(),
        datatype: Datatype::Fp32,
        shape: vec![-1],
        role: Role::default(),
    };
    let file = ContractFile {
        format: 1,
        description: String::new(),
        rows_max,
        body_bytes_max: None,
        subject: None,
        classes: vec![],
        table: bartizan_core::contract::Table::default(),
        inputs: inputs.iter().map(input).collect(),
        outputs: vec![output],
    };
    ContractGuard::new(&Contract::new(file, b"").unwrap())
}

fn tensor(name: &str, shape: &[u64]) -> Tensor {
    let n = shape.iter().product::<u64>() as usize;
    Tensor::new(name, shape.to_vec(), Values::Fp32(vec![1.0; n])).unwrap()
}

fn message(guard: &ContractGuard, inputs: Vec<Tensor>) -> String {
    guard.arrange(inputs).unwrap_err().to_string()
}

const TWO: &[(&str, Datatype, &[i64])] =
    &[("X", Datatype::Fp32, &[-1, 30]), ("Z", Datatype::Fp32, &[-1])];

#[test]
fn inputs_in_any_order_come_out_in_the_models() {
    let guard = guard(TWO, None);
    let arranged = guard.arrange(vec![tensor("Z", &[2]), tensor("X", &[2, 30])]).unwrap();
    let names: Vec<_> = arranged.iter().map(Tensor::name).collect();
    assert_eq!(names, ["X", "Z"]);
    assert!(guard.arrange(vec![tensor("X", &[0, 30]), tensor("Z", &[0])]).is_ok());
}

#[test]
fn what_does_not_fit_is_named_with_what_would() {
    let guard = guard(TWO, None);
    for (inputs, expected) in [
        (
            vec![tensor("X", &[2, 29]), tensor("Z", &[2])],
            "input `X` has shape [2, 29], the model takes [-1, 30]",
        ),
        (
            vec![tensor("X", &[2, 30, 1]), tensor("Z", &[2])],
            "input `X` has shape [2, 30, 1], the model takes [-1, 30]",
        ),
        (vec![tensor("X", &[2, 30])], "input `Z` is missing, the model takes `X`, `Z`"),
        (
            vec![tensor("X", &[2, 30]), tensor("secret", &[2])],
            "`inputs[1]` has a name that the model does not know, it takes `X`, `Z`",
        ),
        (
            vec![tensor("X", &[2, 30]), tensor("Z", &[2]), tensor("X", &[2, 30])],
            "input `X` is there twice, send it once",
        ),
        (
            vec![tensor("Z", &[3]), tensor("X", &[2, 30])],
            "input `Z` has 3 rows, input `X` has 2 rows; all inputs need as many",
        ),
        (vec![], "input `X` is missing, the model takes `X`, `Z`"),
    ] {
        assert_eq!(message(&guard, inputs), expected);
    }
    let wrong = Tensor::new("X", vec![1, 30], Values::Fp64(vec![0.0; 30])).unwrap();
    let found = message(&guard, vec![wrong, tensor("Z", &[1])]);
    assert_eq!(found, "input `X` has datatype FP64, the model takes FP32");
}

#[test]
fn the_last_allowed_row_is_allowed_and_the_next_is_too_large() {
    let small = guard(&[("X", Datatype::Fp32, &[-1, 2])], Some(3));
    assert!(small.arrange(vec![tensor("X", &[3, 2])]).is_ok());
    let error = small.arrange(vec![tensor("X", &[4, 2])]).unwrap_err();
    assert_eq!(error.to_string(), "the request has 4 rows, limit is 3; send fewer at a time");
    assert_eq!(error.code(), RefusalCode::TooLarge);
    let plain = guard(&[("X", Datatype::Fp32, &[-1, 0])], None);
    let rows_max = bartizan_core::limits::ROWS_MAX;
    assert!(plain.arrange(vec![tensor("X", &[rows_max, 0])]).is_ok());
    assert!(plain.arrange(vec![tensor("X", &[rows_max + 1, 0])]).is_err());
}

#[test]
fn dimensions_match_exactly_or_are_free() {
    let scalar = guard(&[("X", Datatype::Fp32, &[])], None);
    assert!(scalar.arrange(vec![tensor("X", &[])]).is_ok());
    assert!(scalar.arrange(vec![tensor("X", &[1])]).is_err());
    let image = guard(&[("X", Datatype::Fp32, &[1, -1, 3])], None);
    assert!(image.arrange(vec![tensor("X", &[1, 7, 3])]).is_ok());
    assert!(image.arrange(vec![tensor("X", &[2, 7, 3])]).is_err());
    // -1 means any number only in the contract: nothing a request can write reads as -1.
    let huge = guard(&[("X", Datatype::Fp32, &[0, -1])], None);
    assert!(huge.arrange(vec![tensor("X", &[0, u64::MAX])]).is_ok());
    assert!(huge.arrange(vec![tensor("X", &[u64::MAX, 0])]).is_err());
}

#[test]
fn the_record_of_a_mismatch_names_only_the_models_own() {
    let guard = guard(TWO, None);
    let unknown = guard.arrange(vec![tensor("someone", &[1])]).unwrap_err();
    assert_eq!(unknown.code(), RefusalCode::Mismatch);
    assert_eq!(unknown.finding().place.field, None);
    assert!(!unknown.to_string().contains("someone"));
    let shape = guard.arrange(vec![tensor("X", &[1]), tensor("Z", &[1])]).unwrap_err();
    assert_eq!(shape.finding().place.field.as_deref(), Some("X"));
    assert_eq!(shape.finding().rule.id, "guard.input.mismatch");
}
