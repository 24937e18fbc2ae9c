//! Contracts that are none, and contracts of another model.

use super::*;

fn spec(name: &str, datatype: Datatype, shape: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.into(), datatype, shape: shape.into(), copes_with_missing: false }
}

fn signature() -> Signature {
    Signature {
        inputs: vec![spec("X", Datatype::Fp32, &[Dim::Any, Dim::Fixed(2)])],
        outputs: vec![
            spec("label", Datatype::Int64, &[Dim::Any]),
            spec("probabilities", Datatype::Fp32, &[Dim::Any, Dim::Fixed(3)]),
        ],
        classes: vec!["0".into(), "1".into(), "2".into()],
    }
}

fn feature(name: &str) -> Feature {
    Feature { name: name.into(), ..Feature::default() }
}

#[test]
fn what_is_inferred_from_a_model_fits_it() {
    let file = Contract::infer(&signature());
    assert_eq!(file.outputs[0].role, Role::Label);
    assert_eq!(file.outputs[1].role, Role::Probabilities);
    assert_eq!(file.classes[2].value, Category::Number(2));
    let contract = Contract::new(file, b"bytes").unwrap();
    contract.check_fits(&signature()).unwrap();
    assert_eq!(contract.digest(), Digest::of(b"bytes"));
}

/// C1, C2, C3, C4, C5 and the bounds: each change to a good contract breaks it, and is named.
#[test]
fn a_broken_contract_is_refused_with_its_place() {
    let good = {
        let mut file = Contract::infer(&signature());
        file.inputs[0].features = vec![feature("a"), feature("b")];
        file
    };
    Contract::new(good.clone(), b"").unwrap();
    type Change = fn(&mut ContractFile);
    let changes: [(&str, Change); 15] = [
        ("classes", |file| file.classes.push(file.classes[0].clone())),
        ("feature `a`", |file| {
            file.inputs[0].datatype = Datatype::Bytes;
            file.inputs[0].features[0].max = Some(1.0);
        }),
        ("format", |file| file.format = 2),
        ("tensors", |file| file.inputs.clear()),
        ("rows_max", |file| file.rows_max = Some(0)),
        ("input `X`", |file| file.inputs.push(file.inputs[0].clone())),
        ("output `label`", |file| file.outputs.push(file.outputs[0].clone())),
        ("input `X`", |file| file.inputs[0].shape = vec![-2]),
        ("input `X`", |file| file.inputs[0].features.push(feature("c"))),
        ("feature `a`", |file| file.inputs[0].features[1].name = "a".into()),
        ("feature `b`", |file| file.inputs[0].features[1].min = Some(f64::NAN)),
        ("feature `b`", |file| {
            file.inputs[0].features[1] = Feature { min: Some(2.0), max: Some(1.0), ..feature("b") };
        }),
        ("feature `b`", |file| {
            file.inputs[0].features[1].categories = Some([Category::Number(1)].into());
        }),
        ("input `X`", |file| {
            file.inputs[0].datatype = Datatype::Int64;
            file.inputs[0].features[0].missing = Missing::Allowed;
        }),
        ("subject", |file| file.subject = Some("who".into())),
    ];
    for (place, change) in changes {
        let mut file = good.clone();
        change(&mut file);
        let text = Contract::new(file, b"").unwrap_err().to_string();
        assert!(text.contains(place), "`{text}` does not name `{place}`");
    }
}

#[test]
fn a_contract_of_another_model_is_refused_with_the_difference() {
    type Change = fn(&mut ContractFile);
    let changes: [(&str, Change); 5] = [
        ("input `Y`", |file| file.inputs[0].name = "Y".into()),
        ("FP64", |file| file.inputs[0].datatype = Datatype::Fp64),
        ("[-1, 3]", |file| file.inputs[0].shape = vec![-1, 3]),
        ("output `gone`", |file| file.outputs[1].name = "gone".into()),
        ("inputs", |file| {
            let mut second = file.inputs[0].clone();
            second.name = "Z".into();
            file.inputs.push(second);
        }),
    ];
    for (word, change) in changes {
        let mut file = Contract::infer(&signature());
        change(&mut file);
        let contract = Contract::new(file, b"").unwrap();
        let text = contract.check_fits(&signature()).unwrap_err().to_string();
        assert!(text.contains(word), "`{text}` does not name `{word}`");
    }
    let mut narrower = Contract::infer(&signature());
    narrower.inputs[0].shape[0] = 8;
    narrower.outputs.truncate(1);
    Contract::new(narrower, b"").unwrap().check_fits(&signature()).unwrap();
}

#[test]
fn columns_are_called_by_their_features() {
    let mut input = Contract::infer(&signature()).inputs.remove(0);
    assert_eq!(input.column_name(1), "X[1]");
    input.features = vec![feature("pixel")];
    assert_eq!(input.column_name(1), "pixel[1]");
    input.features = vec![feature("a"), feature("b")];
    assert_eq!(input.column_name(1), "b");
}
