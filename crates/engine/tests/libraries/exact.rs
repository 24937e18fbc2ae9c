//! L2 and the promise of the header: margins bit by bit, answers to the last place.

use bartizan_core::{Digest, Predictor, Tensor, Values};
use bartizan_engine::conformance;

use super::answers::{committed, doubles, folder, kinds, open};

/// Kind and digest of its outputs' canonical bytes, by kind.
const GOLDEN: &str = include_str!("golden.txt");

/// Bits by which the numbers differ at most; all zeros are one.
fn ulps(a: &Values, b: &Values) -> u64 {
    let ordered = |bits: i64| if bits < 0 { i64::MIN - bits } else { bits };
    let ordered32 = |x: &f32| {
        let bits = x.to_bits() as i32;
        i64::from(if bits < 0 { i32::MIN - bits } else { bits })
    };
    match (a, b) {
        (Values::Fp32(a), Values::Fp32(b)) => {
            let pairs = a.iter().zip(b).filter(|(a, b)| !(a.is_nan() && b.is_nan()));
            pairs.map(|(a, b)| ordered32(a).abs_diff(ordered32(b))).max().unwrap_or(0)
        }
        (Values::Fp64(a), Values::Fp64(b)) => {
            let pairs = a.iter().zip(b).filter(|(a, b)| !(a.is_nan() && b.is_nan()));
            let apart = |(a, b): (&f64, &f64)| {
                ordered(a.to_bits() as i64).abs_diff(ordered(b.to_bits() as i64))
            };
            pairs.map(apart).max().unwrap_or(0)
        }
        _ => u64::MAX,
    }
}

#[test]
fn margins_are_the_librarys_bit_by_bit() {
    let mut wrong = Vec::new();
    for kind in kinds(&folder()) {
        for (file, bytes) in &kind.files {
            let margins = open(file, bytes).margins(std::slice::from_ref(&kind.rows)).unwrap();
            let told = &kind.told["margin"];
            assert_eq!(margins.values().len(), told.values().len(), "{file}");
            let apart = ulps(margins.values(), told.values());
            wrong.extend((apart != 0).then(|| format!("{file} is {apart} units away")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The library gives one probability for two classes, a class as a number, or what we give.
fn answer(kind: &str, outputs: &[Tensor]) -> Values {
    let probabilities = outputs.iter().find(|output| output.name() == "probabilities");
    let second = |list: &[f64]| list.iter().skip(1).step_by(2).copied().collect::<Vec<_>>();
    match (probabilities.map(Tensor::values), &outputs[0]) {
        (Some(Values::Fp64(list)), tensor) if list.len() == 2 * tensor.n_rows() => {
            Values::Fp64(second(list))
        }
        (Some(Values::Fp32(list)), tensor) if list.len() == 2 * tensor.n_rows() => {
            Values::Fp32(list.iter().skip(1).step_by(2).copied().collect())
        }
        (Some(values), _) => values.clone(),
        (None, tensor) => match tensor.values() {
            Values::Int64(list) => Values::Fp32(list.iter().map(|x| *x as f32).collect()),
            values => {
                assert_eq!(tensor.name(), "variable", "{kind}");
                values.clone()
            }
        },
    }
}

#[test]
fn answers_are_the_librarys_but_for_the_last_places_of_an_exponential() {
    let mut wrong = Vec::new();
    for kind in kinds(&folder()) {
        for (file, bytes) in &kind.files {
            let outputs = open(file, bytes).predict(std::slice::from_ref(&kind.rows)).unwrap();
            let (ours, told) = (answer(&kind.name, &outputs), kind.told["answer"].values());
            assert_eq!(ours.len(), told.len(), "{file}");
            let apart = ulps(&ours, told);
            wrong.extend((4 < apart).then(|| format!("{file} is {apart} units away")));
            if outputs[0].name() == "label" && outputs.len() == 2 {
                let n = outputs[1].row_len();
                let labels = doubles(outputs[0].values());
                for (row, label) in doubles(outputs[1].values()).chunks_exact(n).zip(labels) {
                    assert!(row.iter().all(|p| *p <= row[label as usize]), "{file}: {row:?}");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// E2 and L2 by the suite of every adapter: splits, order, threads, repetition.
#[test]
fn every_kind_passes_the_suite_of_adapters() {
    for kind in kinds(&committed()) {
        for (file, bytes) in &kind.files {
            let checked = conformance::check(&open(file, bytes), std::slice::from_ref(&kind.rows));
            assert_eq!(checked, Ok(()), "{file}");
        }
    }
}

/// What this finds is to be written into `golden.txt` only with a new `trees::VERSION`.
#[test]
fn answers_of_every_file_have_the_digests_written_down() {
    let mut found = String::new();
    for kind in kinds(&committed()) {
        for (file, bytes) in &kind.files {
            let mut answer = Vec::new();
            for output in open(file, bytes).predict(std::slice::from_ref(&kind.rows)).unwrap() {
                answer.extend_from_slice(output.name().as_bytes());
                output.values().canonical(0..output.values().len(), &mut answer);
            }
            found += &format!("{file} {}\n", Digest::of(&answer).hex());
        }
    }
    assert_eq!(found, GOLDEN, "all of them: {found}");
}

/// The library's own TreeSHAP, which is what the package `shap` gives for these models.
#[test]
fn contributions_are_the_librarys_to_a_millionth() {
    let mut wrong = Vec::new();
    for kind in kinds(&folder()) {
        for (file, bytes) in &kind.files {
            let model = open(file, bytes);
            let explained = model.explain(std::slice::from_ref(&kind.rows));
            let Some(told) = kind.told.get("contributions") else {
                let error = explained.unwrap_err().to_string();
                assert!(error.contains("linear models"), "{file}: {error}");
                continue;
            };
            let ours = doubles(explained.unwrap().values());
            let told = doubles(told.values());
            assert_eq!(ours.len(), told.len(), "{file}");
            // Values of 1e30 in linear models are beside the point of the sixth digit.
            let apart = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs().max(1.0);
            let most = ours.iter().zip(&told).map(apart).fold(0.0, f64::max);
            wrong.extend((1e-6 < most).then(|| format!("{file} is {most:e} away")));
            let margins =
                doubles(model.margins(std::slice::from_ref(&kind.rows)).unwrap().values());
            let stride = kind.rows.row_len() + 1;
            for (row, margin) in ours.chunks_exact(stride).zip(margins) {
                let sum: f64 = row.iter().sum();
                let scale = row.iter().fold(1.0, |scale: f64, x| scale.max(x.abs()));
                assert!((sum - margin).abs() <= 2e-6 * scale, "{file}: {sum} is not {margin}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
