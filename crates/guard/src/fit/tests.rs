//! Profiles: what they say of three data sets, and of references that are hardly any.

use super::*;
use crate::testing::{Source, contract, tensor};

fn profile_of(rows: &[Vec<f32>], contract: &Contract) -> Profile {
    let inputs = [tensor(rows)];
    let model = Digest::of(b"m");
    fit(&Reference { inputs: &inputs, contract, model, seed: 1 }).unwrap()
}

#[test]
fn honest_rows_are_rarely_flagged_in_any_channel() {
    for source in Source::ALL {
        let profile = source.profile();
        assert!(profile.is_calibrated);
        let rates = profile.rates;
        for rate in [rates.range, rates.distance, rates.odd, rates.similar] {
            assert!(rate <= 0.05, "{source:?}: {rates:?}");
        }
        assert!(0 < profile.thresholds.near, "{source:?}");
    }
}

/// P1: what was written reads back, and the same reference gives the same bytes.
#[test]
fn a_profile_reads_back_and_is_a_function_of_its_reference() {
    let profile = Source::Amounts.profile();
    let bytes = profile.to_bytes().unwrap();
    assert!(Profile::read(&bytes).unwrap() == *profile);
    assert!(bytes == Source::Amounts.profile().to_bytes().unwrap());
    assert!(Profile::read(&bytes[..bytes.len() / 2]).is_err());
    for (key, value) in [
        ("\"format\":1", "\"format\":2"),
        ("\"is_folded\":false", "\"is_folded\":true"),
        ("\"extent\":1.0", "\"extent\":0.0"),
    ] {
        let text = String::from_utf8(bytes.clone()).unwrap().replace(key, value);
        assert!(Profile::read(text.as_bytes()).is_err(), "{value}");
    }
}

/// P2.
#[test]
fn a_profile_of_another_model_or_contract_is_refused() {
    let profile = Source::Reals.profile();
    let own = Source::Reals.contract();
    assert!(profile.check_binds(Digest::of(b"model"), &own).is_ok());
    let other = profile.check_binds(Digest::of(b"other"), &own).unwrap_err();
    assert!(other.to_string().contains("profile is of model"), "{other}");
    let other = profile.check_binds(Digest::of(b"model"), &contract(13)).unwrap_err();
    assert!(other.to_string().contains("profile is of contract"), "{other}");
}

#[test]
fn steps_and_ranges_are_those_of_the_data() {
    let profile = Source::Amounts.profile();
    let steps: Vec<_> = profile.columns.iter().take(4).map(|column| column.step).collect();
    assert_eq!(steps, [Some(0.01), Some(1.0), Some(0.1), Some(1.0)]);
    assert_eq!(Source::Reals.profile().columns[5].step, None);
    let flag = &profile.columns[3];
    assert!(flag.accept_low <= 0.0 && 1.0 <= flag.accept_high && flag.accept_high < 2.0);
}

#[test]
fn small_values_lie_on_no_step_that_is_larger_than_they_are() {
    let small = [0.002, 0.013, 0.0, 0.049];
    assert_eq!(step(small.into_iter()), Some(0.001));
    assert_eq!(step([0.0, 1.0, -3.0].into_iter()), Some(1.0));
    assert_eq!(step([0.0, 0.0].into_iter()), Some(1.0));
    assert_eq!(step([1e-9, 0.25].into_iter()), None);
}

/// Both sides of the edge: one row fewer than needed is not calibrated, and says so.
#[test]
fn too_few_rows_are_said_to_be_too_few() {
    let rows = Source::Reals.rows(DISTINCT_MIN, 3);
    let contract = Source::Reals.contract();
    assert!(profile_of(&rows, &contract).is_calibrated);
    let few = profile_of(&rows[1..], &contract);
    assert!(!few.is_calibrated);
    assert_eq!(few.thresholds.near, 0);
    let mut repeated = rows[..10].to_vec();
    repeated.extend((0..500).map(|at| rows[at % 10].clone()));
    assert!(!profile_of(&repeated, &contract).is_calibrated);
    assert!(!profile_of(&rows[..1], &contract).is_calibrated);
}

#[test]
fn constant_and_empty_columns_and_gaps_are_survived() {
    let contract = contract(4);
    let mut chance = Chance::new(3, 3);
    let row = |chance: &mut Chance| {
        let gap = if chance.unit() < 0.2 { f32::NAN } else { chance.unit() as f32 };
        vec![7.0, f32::NAN, gap, chance.normal() as f32]
    };
    let rows: Vec<_> = (0..400).map(|_| row(&mut chance)).collect();
    let profile = profile_of(&rows, &contract);
    assert!(Profile::read(&profile.to_bytes().unwrap()).is_ok());
    assert_eq!(profile.columns[1].missing_rate, 1.0);
    assert!((profile.columns[2].missing_rate - 0.2).abs() < 0.06);
    assert!(profile.rates.odd < 0.06, "{:?}", profile.rates);
}

/// 10,000 columns are folded into 64 bytes, and a row far off is still told.
#[test]
fn ten_thousand_columns_are_folded() {
    let contract = contract(10_000);
    let mut chance = Chance::new(9, 9);
    let rows: Vec<Vec<f32>> =
        (0..120).map(|_| (0..10_000).map(|_| chance.unit() as f32).collect()).collect();
    let profile = profile_of(&rows, &contract);
    assert!(profile.is_folded && profile.width() == WIDTH_MAX);
    let mut point = Point::new(10_000);
    let far: Vec<f64> =
        rows[0].iter().enumerate().map(|(at, x)| f64::from(*x) + (at % 2) as f64).collect();
    place(&profile, &far, &mut point);
    assert!(profile.is_far(&point));
}
