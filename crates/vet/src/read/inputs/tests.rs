//! Tests of rows as inputs, and of the examples' files.

use std::path::Path;

use bartizan_core::contract::ContractFile;

use super::*;
use crate::read::rows::Meaning;
use crate::read::{ReadLimits, read};

fn column(name: &str, values: Values) -> Column {
    let (meaning, missing) = (Meaning::Plain, Vec::new());
    Column { name: name.into(), meaning, width: 1, values, missing, n_missing: 0 }
}

fn missing(mut column: Column, idx: usize) -> Column {
    column.missing = vec![false; column.values.len()];
    column.missing[idx] = true;
    column.n_missing = 1;
    column
}

fn rows(columns: Vec<Column>) -> Rows {
    let n_rows = columns[0].values.len() / columns[0].width;
    Rows { columns, n_rows }
}

fn contract(input: &str) -> Contract {
    let text = format!(
        "format = 1\n[[inputs]]\n{input}\n\
         [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\nshape = [-1, 1]\n"
    );
    Contract::new(toml::from_str::<ContractFile>(&text).unwrap(), text.as_bytes()).unwrap()
}

fn one(datatype: Datatype) -> Contract {
    contract(&format!("name = \"x\"\ndatatype = \"{datatype}\"\nshape = [-1, 1]"))
}

/// The first input of `rows` of one column `x`.
fn cast(column: Column, datatype: Datatype) -> Result<Values, &'static str> {
    match rows(vec![column]).to_inputs(&one(datatype)) {
        Ok(tensors) => Ok(tensors[0].values().clone()),
        Err(InputsError::Value { reason, .. }) => Err(reason),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn features_are_found_by_name_and_other_columns_are_left() {
    let contract = contract(
        "name = \"f\"\ndatatype = \"FP32\"\nshape = [-1, 2]\n\
         features = [{ name = \"b\" }, { name = \"a\" }]",
    );
    let file = rows(vec![
        column("a", Values::Fp64(vec![1.0, 2.0])),
        column("target", Values::Int64(vec![0, 1])),
        column("b", Values::Int8(vec![3, 4])),
    ]);
    let tensors = file.to_inputs(&contract).unwrap();
    assert_eq!((tensors[0].name(), tensors[0].shape()), ("f", &[2, 2][..]));
    assert_eq!(tensors[0].values(), &Values::Fp32(vec![3.0, 1.0, 4.0, 2.0]));
    let error = rows(vec![column("a", Values::Int8(vec![1]))]).to_inputs(&contract).unwrap_err();
    assert_eq!(error.to_string(), "input `f` needs a column `b`, which the file does not have");
}

/// A fixed-size list by the input's name or its one feature's, and columns by position.
#[test]
fn an_input_can_be_one_wide_column() {
    let wide = |name: &str| Column { width: 4, ..column(name, Values::Uint8((0..8).collect())) };
    let expected = Values::Fp32((0..8).map(|x| x as f32).collect());
    let square = "name = \"image\"\ndatatype = \"FP32\"\nshape = [-1, 2, 2]";
    let named = format!("{square}\nfeatures = [{{ name = \"pixel\" }}]");
    for (input, name) in [(square, "image"), (&named, "image"), (&named, "pixel")] {
        let tensors = rows(vec![wide(name)]).to_inputs(&contract(input)).unwrap();
        assert_eq!((tensors[0].shape(), tensors[0].values()), (&[2, 2, 2][..], &expected));
    }
    let single = ["pixel[0]", "pixel[1]", "pixel[2]", "pixel[3]"];
    let columns = single.iter().map(|name| column(name, Values::Uint8(vec![0, 4]))).collect();
    let tensors = rows(columns).to_inputs(&contract(&named)).unwrap();
    assert_eq!(tensors[0].values(), &Values::Fp32([[0.0; 4], [4.0; 4]].concat()));
    // What the contract leaves open, the file fills in; but only one dimension.
    let open = contract("name = \"image\"\ndatatype = \"FP32\"\nshape = [-1, 2, -1]");
    let tensors = rows(vec![wide("image")]).to_inputs(&open).unwrap();
    assert_eq!(tensors[0].shape(), [2, 2, 2]);
    for shape in ["[-1, -1, -1]", "[-1, 3, -1]"] {
        let open = contract(&format!("name = \"image\"\ndatatype = \"FP32\"\nshape = {shape}"));
        let error = rows(vec![wide("image")]).to_inputs(&open).unwrap_err();
        assert!(matches!(error, InputsError::Open { .. }), "{error}");
    }
    let error = rows(vec![column("z", Values::Bool(vec![true]))]).to_inputs(&open).unwrap_err();
    assert!(matches!(error, InputsError::Open { .. }), "{error}");
}

/// Integers keep their value or are refused, from both sides of each edge.
#[test]
fn integers_are_kept_or_refused() {
    use Datatype as D;
    let int = |x: i64| column("x", Values::Int64(vec![x]));
    for (x, datatype, kept) in [
        (255, D::Uint8, Values::Uint8(vec![255])),
        (-128, D::Int8, Values::Int8(vec![-128])),
        (1, D::Bool, Values::Bool(vec![true])),
        (1 << 24, D::Fp32, Values::Fp32(vec![16_777_216.0])),
        (1 << 53, D::Fp64, Values::Fp64(vec![9_007_199_254_740_992.0])),
        (2_048, D::Fp16, Values::Fp16(vec![0x6800])),
        (256, D::Bf16, Values::Bf16(vec![0x4380])),
        (i64::MIN, D::Int64, Values::Int64(vec![i64::MIN])),
    ] {
        assert_eq!(cast(int(x), datatype), Ok(kept), "{x} as {datatype}");
    }
    for (x, datatype) in [
        (256, D::Uint8),
        (-1, D::Uint64),
        (-129, D::Int8),
        (2, D::Bool),
        ((1 << 24) + 1, D::Fp32),
        ((1 << 53) + 1, D::Fp64),
        (i64::MAX, D::Fp64),
        (2_049, D::Fp16),
        (257, D::Bf16),
        (1, D::Bytes),
    ] {
        assert!(cast(int(x), datatype).is_err(), "{x} as {datatype}");
    }
}

/// Fractions are rounded to the input's type; what is no integer does not become one.
#[test]
fn fractions_are_rounded_into_floats_only() {
    use Datatype as D;
    let float = |x: f64| column("x", Values::Fp64(vec![x]));
    assert_eq!(cast(float(0.1), D::Fp32), Ok(Values::Fp32(vec![0.1_f32])));
    assert_eq!(cast(float(1.0 / 3.0), D::Fp16), Ok(Values::Fp16(vec![0x3555])));
    assert_eq!(cast(float(f64::INFINITY), D::Fp32), Ok(Values::Fp32(vec![f32::INFINITY])));
    assert_eq!(cast(float(1e300), D::Fp32), Err("a value is out of range"));
    assert_eq!(cast(float(65_520.0), D::Fp16), Err("a value is out of range"));
    assert_eq!(cast(float(3.0), D::Int8), Ok(Values::Int8(vec![3])));
    for (x, datatype) in [(3.5, D::Int64), (1e17, D::Int64), (128.0, D::Int8), (f64::NAN, D::Int8)]
    {
        assert!(cast(float(x), datatype).is_err(), "{x} as {datatype}");
    }
    let half = column("x", Values::Fp16(vec![0x3c00]));
    assert_eq!(cast(half, D::Fp32), Ok(Values::Fp32(vec![1.0])));
}

#[test]
fn missing_values_are_nan_where_there_is_one() {
    use Datatype as D;
    let ints = || missing(column("x", Values::Int64(vec![5, 0])), 1);
    let Ok(Values::Fp32(values)) = cast(ints(), D::Fp32) else { panic!("refused") };
    assert!(values[0] == 5.0 && values[1].is_nan());
    assert!(cast(ints(), D::Int64).is_err());
    let text = || column("x", Values::Bytes(vec![b"a".to_vec()]));
    assert_eq!(cast(text(), D::Bytes), Ok(Values::Bytes(vec![b"a".to_vec()])));
    assert_eq!(cast(text(), D::Fp32), Err("a value is not a number"));
    assert!(cast(missing(text(), 0), D::Bytes).is_err());
}

/// The message names input, column and row, and not the value.
#[test]
fn an_error_says_where_and_not_what() {
    let file = rows(vec![column("x", Values::Int64(vec![0, 777_777]))]);
    let error = file.to_inputs(&one(Datatype::Uint8)).unwrap_err().to_string();
    assert_eq!(error, "column `x`, row 1: a value is out of range in input `x` of UINT8");
}

/// The files that the demo reads: every row of each becomes the model's input, and the truth is
/// beside it.
#[test]
fn the_examples_are_read_into_their_models_inputs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (name, n_features) in [
        ("cancer-logistic", 30),
        ("cancer-lightgbm", 30),
        ("digits-forest", 64),
        ("digits-mlp", 64),
    ] {
        let folder = examples.join(name);
        let text = std::fs::read_to_string(folder.join("contract.toml")).unwrap();
        let file = toml::from_str::<ContractFile>(&text).unwrap();
        let contract = Contract::new(file, text.as_bytes()).unwrap();
        for file in ["heldout.parquet", "reference.parquet"] {
            let rows = read(&folder.join(file), &ReadLimits::default()).unwrap();
            assert!(100 < rows.n_rows, "{name}/{file}");
            let tensors = rows.to_inputs(&contract).unwrap();
            assert_eq!(tensors[0].shape(), [rows.n_rows as u64, n_features], "{name}/{file}");
            assert_eq!(rows.column("target").unwrap().values.datatype(), Datatype::Int64);
        }
    }
}
