//! What a reference may add to a contract, and what never.

use bartizan_core::Contract;
use bartizan_core::predictor::{Dim, Signature, TensorSpec};

use super::*;

fn signature(inputs: &[(&str, Datatype, u64, bool)]) -> Signature {
    let spec = |(name, datatype, width, copes): &(&str, Datatype, u64, bool)| TensorSpec {
        name: (*name).into(),
        datatype: *datatype,
        shape: vec![Dim::Any, Dim::Fixed(*width)],
        copes_with_missing: *copes,
    };
    let inputs: Vec<_> = inputs.iter().map(spec).collect();
    Signature { outputs: inputs.clone(), inputs, classes: vec![] }
}

fn column(name: &str, n_missing: u64) -> ColumnFacts {
    ColumnFacts { name: name.into(), n_missing, datatype: Datatype::Fp64 }
}

/// The features of each input after sharpening, which must leave a valid contract.
fn features(inputs: &[(&str, Datatype, u64, bool)], columns: &[ColumnFacts]) -> Vec<Vec<Feature>> {
    let file = sharpen(Contract::infer(&signature(inputs)), columns);
    Contract::new(file.clone(), b"").unwrap();
    for feature in file.inputs.iter().flat_map(|input| &input.features) {
        assert_eq!((feature.min, feature.max, &feature.categories), (None, None, &None));
    }
    file.inputs.into_iter().map(|input| input.features).collect()
}

#[test]
fn columns_name_features_and_nulls_allow_missing() {
    let columns = [column("radius", 0), column("texture", 3)];
    let named = &features(&[("X", Datatype::Fp32, 2, false)], &columns)[0];
    assert_eq!(named[0].name, "radius");
    assert_eq!(named[0].missing, Missing::Refused);
    assert_eq!(named[1].name, "texture");
    assert_eq!(named[1].missing, Missing::Allowed);
}

#[test]
fn what_the_model_copes_with_stays_allowed() {
    let columns = [column("radius", 0), column("texture", 0)];
    let named = &features(&[("X", Datatype::Fp32, 2, true)], &columns)[0];
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|feature| feature.missing == Missing::Allowed));
}

/// One column too few or too many, a name twice or empty, texts for numbers: names stay off.
#[test]
fn columns_that_do_not_fit_name_nothing() {
    let text = ColumnFacts { datatype: Datatype::Bytes, ..column("b", 0) };
    for columns in [
        vec![column("a", 0)],
        vec![column("a", 0), column("b", 0), column("c", 0)],
        vec![column("a", 0), column("a", 0)],
        vec![column("a", 0), column("", 0)],
        vec![column("a", 0), text],
        vec![],
    ] {
        let found = features(&[("X", Datatype::Fp32, 2, false)], &columns);
        assert!(found[0].is_empty(), "{columns:?} gave {found:?}");
    }
}

#[test]
fn names_that_the_owner_gave_stay() {
    let mut file = Contract::infer(&signature(&[("X", Datatype::Fp32, 2, false)]));
    let own = |name: &str| Feature { name: name.into(), max: Some(9.0), ..Feature::default() };
    file.inputs[0].features = vec![own("r"), own("texture")];
    let file = sharpen(file, &[column("radius", 1), column("texture", 1)]);
    let [first, second] = &file.inputs[0].features[..] else { panic!("{file:?}") };
    assert_eq!((first.name.as_str(), first.missing), ("r", Missing::Refused));
    assert_eq!((second.name.as_str(), second.missing), ("texture", Missing::Allowed));
    assert_eq!(first.max, Some(9.0));
}

#[test]
fn inputs_of_one_column_are_matched_by_name() {
    let inputs = [
        ("age", Datatype::Fp32, 1, false),
        ("income", Datatype::Fp64, 1, false),
        ("city", Datatype::Bytes, 1, false),
        ("rooms", Datatype::Int64, 1, false),
    ];
    let columns = [column("income", 5), column("age", 0), column("city", 2), column("rooms", 2)];
    let found = features(&inputs, &columns);
    assert!(found[0].is_empty(), "no null, nothing to say");
    assert_eq!(found[1][0].missing, Missing::Allowed);
    assert!(found[2].is_empty() && found[3].is_empty(), "only floats have NaN");
}
