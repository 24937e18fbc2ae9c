//! Values at both sides of every edge, and the whole against a naive reference.

use std::collections::BTreeSet;

use bartizan_core::Datatype;
use bartizan_core::contract::{Category, ContractFile, Feature, Missing, Output, Role};
use proptest::prelude::*;

use super::*;

fn contract(datatype: Datatype, row_len: i64, features: Vec<Feature>) -> Contract {
    let output = Output {
        name: "y".into(),
        datatype: Datatype::Fp32,
        shape: vec![-1],
        role: Role::default(),
    };
    let shape = vec![-1, row_len];
    let file = ContractFile {
        format: 1,
        description: String::new(),
        rows_max: None,
        body_bytes_max: None,
        subject: None,
        classes: vec![],
        table: bartizan_core::contract::Table::default(),
        inputs: vec![Input { name: "X".into(), datatype, shape, features }],
        outputs: vec![output],
    };
    Contract::new(file, b"").unwrap()
}

fn feature(name: &str) -> Feature {
    Feature { name: name.into(), ..Feature::default() }
}

/// Findings as (rule, field, first row, count), and the verdict.
type Seen = (Vec<(&'static str, String, u64, u64)>, Verdict);

fn run(contract: &Contract, row_len: u64, values: Values) -> Seen {
    let n_rows = values.len() as u64 / row_len;
    let tensor = Tensor::new("X", vec![n_rows, row_len], values).unwrap();
    let guard = ContractGuard::new(contract);
    let inputs = guard.arrange(vec![tensor]).unwrap();
    let mut findings = Findings::default();
    let verdict = guard.check(&inputs, &mut findings);
    let seen = findings.kept().iter().map(|finding| {
        let place = &finding.place;
        let field = place.field.as_deref().unwrap_or_default().to_owned();
        (finding.rule.id, field, place.row.unwrap(), finding.count)
    });
    (seen.collect(), verdict)
}

/// Which rules one value of one feature breaks.
fn one(datatype: Datatype, feature: Feature, value: Values) -> Vec<&'static str> {
    let (seen, verdict) = run(&contract(datatype, 1, vec![feature]), 1, value);
    assert_eq!(verdict == Verdict::Allow, seen.is_empty());
    seen.into_iter().map(|(rule, ..)| rule).collect()
}

fn within(min: f64, max: f64) -> Feature {
    Feature { min: Some(min), max: Some(max), ..feature("x") }
}

const NONE: [&str; 0] = [];
const ABOVE: [&str; 1] = ["guard.value.above-limit"];
const BELOW: [&str; 1] = ["guard.value.below-limit"];
const MISSING: [&str; 1] = ["guard.value.missing"];
const INFINITE: [&str; 1] = ["guard.value.not-finite"];
const UNKNOWN: [&str; 1] = ["guard.category.unknown"];

#[test]
fn single_precision_limits_hold_to_the_last_bit() {
    let tiny = f32::from_bits(1);
    for (min, max, value, expected) in [
        (0.0, 1.0, 1.0, &NONE[..]),
        (0.0, 1.0, 1.0_f32.next_up(), &ABOVE),
        (0.0, 1.0, 0.0, &NONE),
        (0.0, 1.0, -0.0, &NONE),
        (-0.0, 1.0, 0.0, &NONE),
        (0.0, 1.0, -tiny, &BELOW),
        (f64::from(tiny), 1.0, tiny, &NONE),
        (f64::from(tiny), 1.0, 0.0, &BELOW),
        // A limit is rounded like a value: 0.1 written by the owner allows 0.1 of a caller.
        (0.1, 0.1, 0.1, &NONE),
        (0.1, 0.1, 0.1_f32.next_up(), &ABOVE),
        (0.1, 0.1, 0.1_f32.next_down(), &BELOW),
        // Limits beyond the type: none on its own side, nothing passes on the other.
        (-1e300, 1e300, f32::MAX, &NONE),
        (-1e300, 1e300, f32::MIN, &NONE),
        (1e300, 1e301, f32::MAX, &BELOW),
        (-1e301, -1e300, f32::MIN, &ABOVE),
        (-1e300, 1e300, f32::INFINITY, &INFINITE),
        (1e300, 1e301, f32::INFINITY, &INFINITE),
        (-1e300, 1e300, f32::NEG_INFINITY, &INFINITE),
        (0.0, 1.0, f32::NAN, &MISSING),
    ] {
        let found = one(Datatype::Fp32, within(min, max), Values::Fp32(vec![value]));
        assert_eq!(found, expected, "{value:e} within {min:e} to {max:e}");
    }
}

#[test]
fn double_and_half_precision_limits_hold_to_the_last_bit() {
    for (value, expected) in [
        (0.1, &NONE[..]),
        (0.1_f64.next_up(), &ABOVE),
        (0.1_f64.next_down(), &BELOW),
        (f64::NAN, &MISSING),
        (f64::INFINITY, &INFINITE),
    ] {
        assert_eq!(one(Datatype::Fp64, within(0.1, 0.1), Values::Fp64(vec![value])), expected);
    }
    let free = || feature("x");
    assert_eq!(one(Datatype::Fp64, free(), Values::Fp64(vec![f64::MAX])), NONE);
    assert_eq!(one(Datatype::Fp64, free(), Values::Fp64(vec![f64::MIN])), NONE);
    for (bits, expected) in [
        (half::fp16_from_f64(0.1), &NONE[..]),
        (half::fp16_from_f64(0.1) + 1, &ABOVE),
        (half::fp16_from_f64(0.1) - 1, &BELOW),
        (0x7e00, &MISSING),
        (0x7c00, &INFINITE),
        (0xfc00, &INFINITE),
    ] {
        let found = one(Datatype::Fp16, within(0.1, 0.1), Values::Fp16(vec![bits]));
        assert_eq!(found, expected, "FP16 {bits:#x}");
    }
    assert_eq!(one(Datatype::Fp16, within(-1e9, 1e9), Values::Fp16(vec![0x7bff])), NONE);
    assert_eq!(one(Datatype::Fp16, within(-1e9, 1e9), Values::Fp16(vec![0x7c00])), INFINITE);
    for (bits, expected) in [
        (half::bf16_from_f64(0.1), &NONE[..]),
        (half::bf16_from_f64(0.1) + 1, &ABOVE),
        (0x7fc0, &MISSING),
        (0x7f80, &INFINITE),
    ] {
        let found = one(Datatype::Bf16, within(0.1, 0.1), Values::Bf16(vec![bits]));
        assert_eq!(found, expected, "BF16 {bits:#x}");
    }
}

/// 2^53 + 1 and the ends of 64 bits have no `f64`: a comparison in floating point would fail.
#[test]
fn integer_limits_are_compared_exactly() {
    let two_53 = 9_007_199_254_740_992.0;
    for (min, max, value, expected) in [
        (0.0, two_53, 1 << 53, &NONE[..]),
        (0.0, two_53, (1 << 53) + 1, &ABOVE),
        (-two_53, 0.0, -(1 << 53), &NONE),
        (-two_53, 0.0, -(1 << 53) - 1, &BELOW),
        (-9_223_372_036_854_775_808.0, 0.0, i64::MIN, &NONE),
        (0.0, 9_223_372_036_854_775_808.0, i64::MAX, &NONE),
        (9_223_372_036_854_775_808.0, 1e30, i64::MAX, &BELOW),
        (-1e300, 1e300, i64::MIN, &NONE),
        (1.5, 2.5, 2, &NONE),
        (1.5, 2.5, 1, &BELOW),
        (1.5, 2.5, 3, &ABOVE),
        (-2.5, -1.5, -2, &NONE),
        (-2.5, -1.5, -3, &BELOW),
    ] {
        let found = one(Datatype::Int64, within(min, max), Values::Int64(vec![value]));
        assert_eq!(found, expected, "{value} within {min} to {max}");
    }
    let two_64 = 18_446_744_073_709_551_616.0;
    for (min, max, value, expected) in [
        (0.0, two_64, u64::MAX, &NONE[..]),
        (two_64, 1e30, u64::MAX, &BELOW),
        (-1.0, two_53, (1 << 53) + 1, &ABOVE),
        (-1.0, 9_223_372_036_854_775_808.0, 1 << 63, &NONE),
        (-1.0, 9_223_372_036_854_775_808.0, (1 << 63) + 1, &ABOVE),
    ] {
        let found = one(Datatype::Uint64, within(min, max), Values::Uint64(vec![value]));
        assert_eq!(found, expected, "{value} within {min} to {max}");
    }
    assert_eq!(one(Datatype::Bool, within(0.0, 0.0), Values::Bool(vec![true])), ABOVE);
    assert_eq!(one(Datatype::Bool, within(0.0, 0.0), Values::Bool(vec![false])), NONE);
    assert_eq!(one(Datatype::Uint8, within(1.0, 254.0), Values::Uint8(vec![255])), ABOVE);
    assert_eq!(one(Datatype::Int8, within(-127.0, 0.0), Values::Int8(vec![-128])), BELOW);
    assert_eq!(one(Datatype::Uint16, within(1.0, 2.0), Values::Uint16(vec![0])), BELOW);
    assert_eq!(one(Datatype::Int16, within(1.0, 2.0), Values::Int16(vec![3])), ABOVE);
    assert_eq!(one(Datatype::Uint32, within(1.0, 2.0), Values::Uint32(vec![3])), ABOVE);
    assert_eq!(one(Datatype::Int32, within(1.0, 2.0), Values::Int32(vec![0])), BELOW);
}

#[test]
fn only_listed_categories_pass() {
    let numbers = |list: &[i64]| Feature {
        categories: Some(list.iter().copied().map(Category::Number).collect()),
        ..feature("x")
    };
    let some = numbers(&[i64::MIN, -1, 3, i64::MAX]);
    for (value, expected) in
        [(i64::MIN, &NONE[..]), (-1, &NONE), (0, &UNKNOWN), (3, &NONE), (i64::MAX, &NONE)]
    {
        assert_eq!(one(Datatype::Int64, some.clone(), Values::Int64(vec![value])), expected);
    }
    let beyond = Values::Uint64(vec![i64::MAX as u64, 1 << 63, u64::MAX]);
    let (seen, _) = run(&contract(Datatype::Uint64, 1, vec![some]), 1, beyond);
    assert_eq!(seen, [("guard.category.unknown", "x".into(), 1, 2)]);
    let texts: BTreeSet<_> =
        ["", "a", "ab", "\u{e9}"].map(|text| Category::Text(text.into())).into();
    let texts = Feature { categories: Some(texts), ..feature("x") };
    for (value, expected) in [
        (&b""[..], &NONE[..]),
        (b"a", &NONE),
        (b"ab", &NONE),
        (b"abc", &UNKNOWN),
        (b"A", &UNKNOWN),
        ("\u{e9}".as_bytes(), &NONE),
        (b"\xff", &UNKNOWN),
    ] {
        let value = Values::Bytes(vec![value.to_vec()]);
        assert_eq!(one(Datatype::Bytes, texts.clone(), value.clone()), expected, "{value:?}");
        assert_eq!(one(Datatype::Bytes, feature("x"), value), NONE);
    }
}

#[test]
fn missing_passes_only_where_it_is_allowed_and_never_as_infinity() {
    let allowed = Feature { missing: Missing::Allowed, ..within(0.0, 1.0) };
    let odd = f32::from_bits(0xffc1_2345);
    for (value, expected) in
        [(f32::NAN, &NONE[..]), (odd, &NONE), (f32::INFINITY, &INFINITE), (2.0, &ABOVE)]
    {
        assert_eq!(one(Datatype::Fp32, allowed.clone(), Values::Fp32(vec![value])), expected);
    }
}

/// G3: exact counts and first rows, a finding a rule and column, columns by their names.
#[test]
fn a_finding_counts_what_one_rule_finds_in_one_column() {
    let nan = f32::NAN;
    let features = vec![within(0.0, 1.0), Feature { name: "y".into(), ..within(0.0, 1.0) }];
    let both = contract(Datatype::Fp32, 2, features);
    let values = vec![0.5, 0.5, nan, 2.0, 2.0, 0.5, nan, -1.0, 3.0, f32::INFINITY];
    let (seen, verdict) = run(&both, 2, Values::Fp32(values));
    assert_eq!(verdict, Verdict::Block);
    let expected = [
        ("guard.value.missing", "x", 1, 2),
        ("guard.value.above-limit", "x", 2, 2),
        ("guard.value.not-finite", "y", 4, 1),
        ("guard.value.below-limit", "y", 3, 1),
        ("guard.value.above-limit", "y", 1, 1),
    ]
    .map(|(rule, field, row, count)| (rule, field.to_owned(), row, count));
    assert_eq!(seen, expected);
    let unnamed = contract(Datatype::Fp32, 2, vec![]);
    let (seen, _) = run(&unnamed, 2, Values::Fp32(vec![1.0, nan]));
    assert_eq!(seen, [("guard.value.missing", "X[1]".into(), 0, 1)]);
}

/// Columns beyond one block are found too, and what is beyond the record's room is counted.
#[test]
fn many_columns_are_all_counted() {
    let wide = contract(Datatype::Fp32, -1, vec![]);
    let guard = ContractGuard::new(&wide);
    let values = Values::Fp32(vec![f32::NAN; 2 * 200]);
    let tensor = Tensor::new("X", vec![2, 200], values).unwrap();
    let mut findings = Findings::default();
    assert_eq!(guard.check(&[tensor], &mut findings), Verdict::Block);
    assert_eq!(findings.kept().len() as u64 + findings.n_more(), 200);
    assert_eq!(findings.kept()[63].place.field.as_deref(), Some("X[63]"));
    assert!(findings.kept().iter().all(|finding| finding.count == 2));
    let mut values = vec![0.0; 200];
    values[199] = f32::INFINITY;
    let (seen, _) = run(&wide, 200, Values::Fp32(values));
    assert_eq!(seen, [("guard.value.not-finite", "X[199]".into(), 0, 1)]);
}

#[test]
fn an_empty_batch_passes() {
    for row_len in [0, 2] {
        let fixed = contract(Datatype::Fp32, row_len, vec![within(0.0, 1.0)]);
        let tensor = Tensor::new("X", vec![0, row_len as u64], Values::Fp32(vec![])).unwrap();
        let mut findings = Findings::default();
        let guard = ContractGuard::new(&fixed);
        assert_eq!(guard.check(&[tensor], &mut findings), Verdict::Allow);
        assert!(findings.is_empty());
    }
}

#[test]
fn tensors_that_were_not_arranged_are_blocked() {
    let guard = ContractGuard::new(&contract(Datatype::Fp32, 2, vec![]));
    let wrong = [
        vec![],
        vec![Tensor::new("X", vec![1, 2], Values::Fp64(vec![0.0; 2])).unwrap()],
        vec![Tensor::new("X", vec![1, 3], Values::Fp32(vec![0.0; 3])).unwrap()],
    ];
    for inputs in wrong {
        let mut findings = Findings::default();
        assert_eq!(guard.check(&inputs, &mut findings), Verdict::Block, "{inputs:?}");
        assert_eq!(findings.kept()[0].rule.id, "guard.input.mismatch");
    }
}

/// The rule that a value breaks, said as plainly as can be.
fn naive(feature: &Feature, value: f32) -> Option<&'static str> {
    if value.is_nan() {
        let allowed = feature.missing == Missing::Allowed;
        return if allowed { None } else { Some("guard.value.missing") };
    }
    if value.is_infinite() {
        return Some("guard.value.not-finite");
    }
    if feature.min.is_some_and(|min| value < min as f32) {
        return Some("guard.value.below-limit");
    }
    if feature.max.is_some_and(|max| (max as f32) < value) {
        return Some("guard.value.above-limit");
    }
    None
}

fn any_feature() -> impl Strategy<Value = Feature> {
    let limit = prop_oneof![Just(None), (-3..3).prop_map(|x| Some(f64::from(x) * 0.1))];
    (limit.clone(), limit, any::<bool>()).prop_map(|(a, b, allowed)| {
        let (min, max) = match (a, b) {
            (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
            other => other,
        };
        let missing = if allowed { Missing::Allowed } else { Missing::Refused };
        Feature { min, max, missing, ..feature("f") }
    })
}

fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => (-4..4).prop_map(|x| x as f32 * 0.1),
        1 => any::<u32>().prop_map(f32::from_bits),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// G1 and G2: the verdict, the rules, the counts and the first rows are the naive ones.
    #[test]
    fn the_guard_agrees_with_a_naive_reading(
        features in prop::collection::vec(any_feature(), 1..70),
        values in prop::collection::vec(any_value(), 0..200),
        is_shared in any::<bool>(),
    ) {
        let row_len = features.len();
        let n_rows = values.len() / row_len;
        let values = values[..n_rows * row_len].to_vec();
        let mut features = features;
        for (n, feature) in features.iter_mut().enumerate() {
            feature.name = format!("f{n}");
        }
        if is_shared {
            features.truncate(1);
        }
        let contract = contract(Datatype::Fp32, row_len as i64, features.clone());
        let mut expected = Vec::new();
        for column in 0..row_len {
            let feature = if is_shared { &features[0] } else { &features[column] };
            for rule in Found::RULES {
                let rows: Vec<_> = (0..n_rows)
                    .filter(|row| naive(feature, values[row * row_len + column]) == Some(rule.id))
                    .collect();
                if let Some(first) = rows.first() {
                    let name = contract.inputs()[0].column_name(column);
                    expected.push((rule.id, name, *first as u64, rows.len() as u64));
                }
            }
        }
        let block = !expected.is_empty();
        expected.truncate(limits::FINDINGS_MAX);
        let (seen, verdict) = run(&contract, row_len as u64, Values::Fp32(values));
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(verdict == Verdict::Block, block);
    }

    /// G2 for integers: in exact arithmetic of rationals, here by `i128` and the limits' parts.
    #[test]
    fn integer_limits_agree_with_exact_arithmetic(
        value in any::<i64>(),
        shift in 0..63_u32,
        halves in -3..4_i32,
        far in proptest::option::of(any::<f64>()),
    ) {
        let value = value >> shift;
        let limit = far.unwrap_or(value as f64 + f64::from(halves) * 0.5);
        prop_assume!(limit.is_finite());
        let above = {
            let floor = limit.floor();
            // A finite f64 of 2^63 or more is above every i64; a smaller floor fits i128.
            if floor.abs() < 1e30 { i128::from(value) > floor as i128 } else { floor < 0.0 }
        };
        let max = Feature { max: Some(limit), ..feature("x") };
        let expected = if above { &ABOVE[..] } else { &NONE };
        prop_assert_eq!(one(Datatype::Int64, max, Values::Int64(vec![value])), expected);
    }
}

/// The format's own page is right: its example is a contract, and does what it says.
#[test]
fn the_documented_example_is_a_contract() {
    let page = include_str!("../../../../docs/formats/contract.md");
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let file: ContractFile = toml::from_str(example).unwrap();
    let guard = ContractGuard::new(&Contract::new(file, example.as_bytes()).unwrap());
    let check = |x: Vec<f32>, site: &str, patient: i64| {
        let inputs = vec![
            Tensor::new("patient", vec![1], Values::Int64(vec![patient])).unwrap(),
            Tensor::new("site", vec![1], Values::Bytes(vec![site.into()])).unwrap(),
            Tensor::new("X", vec![1, 3], Values::Fp32(x)).unwrap(),
        ];
        let mut findings = Findings::default();
        guard.check(&guard.arrange(inputs).unwrap(), &mut findings);
        let found = findings.kept().iter();
        found.map(|f| (f.rule.id, f.place.field.as_deref().unwrap().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(check(vec![12.5, f32::NAN, 0.0], "basel", 1), []);
    let expected = [
        ("guard.value.missing", "mean radius"),
        ("guard.value.below-limit", "mean area"),
        ("guard.category.unknown", "site"),
        ("guard.value.below-limit", "patient"),
    ];
    let found = check(vec![f32::NAN, 0.0, -1.0], "bern", 0);
    assert_eq!(found, expected.map(|(rule, field)| (rule, field.to_owned())));
}
