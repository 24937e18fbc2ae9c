//! What the guard costs a row: `cargo run --release -p bartizan-guard --example measure [ROWS]`.
//!
//! Remembers so many rows (a million unless told) of 64 features from 2,000 callers, then times
//! `before` and `after` of single rows and prints quantiles, bytes a row, and how that compares
//! with the contract alone.

use std::sync::Arc;
use std::time::Instant;

use bartizan_core::contract::ContractFile;
use bartizan_core::{Contract, Digest, Findings, Tensor, Values};
use bartizan_guard::{Answers, Asker, ContractGuard, Guard, Mode, Policy, Reference, fit};
use bartizan_stats::chance::Chance;

const FEATURES: usize = 64;
const CALLERS: usize = 2_000;
const TIMED: usize = 200_000;

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let n_rows: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let file: ContractFile = serde_json::from_str(&format!(
        "{{\"format\":1,\"inputs\":[{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,{FEATURES}]}}],\
         \"outputs\":[{{\"name\":\"y\",\"datatype\":\"INT64\",\"shape\":[-1]}}]}}"
    ))?;
    let contract = Contract::new(file, b"measure")?;
    let mut chance = Chance::new(1, 1);
    let inputs = [tensor(2_000, &mut chance)?];
    let model = Digest::of(b"measure");
    let profile = fit(&Reference { inputs: &inputs, contract: &contract, model, seed: 1 })?;
    let policy = Policy {
        mode: Mode::Enforce,
        remembered_rows: n_rows,
        callers_max: CALLERS,
        ..Policy::default()
    };
    let guard = Guard::new(Arc::new(profile), policy, [5, 6]);
    let label = Tensor::new("y", vec![1], Values::Int64(vec![1]))?;
    let answers = Answers { label: Some(&label), scores: None };
    let ask = |row: &Tensor, caller: usize| {
        let mut principal = [0; 16];
        principal[..8].copy_from_slice(&(caller as u64).to_le_bytes());
        let asker = Asker { principal, end_user: None, is_channel: false };
        let mut findings = Findings::default();
        let begun = Instant::now();
        let inputs = std::slice::from_ref(row);
        let mut judgement = guard.before(&asker, inputs, 1_000, &mut findings);
        guard.after(&mut judgement, &asker, answers, &mut findings);
        begun.elapsed().as_nanos()
    };
    for _ in 0..n_rows {
        let row = tensor(1, &mut chance)?;
        ask(&row, chance.below(CALLERS));
    }
    let rows = (0..TIMED).map(|_| tensor(1, &mut chance)).collect::<Result<Vec<_>, _>>()?;
    let watched = rows.iter().map(|row| ask(row, chance.below(CALLERS))).collect();
    let contract_guard = ContractGuard::new(&contract);
    let alone = rows
        .iter()
        .map(|row| {
            let begun = Instant::now();
            let mut findings = Findings::default();
            contract_guard.check(std::slice::from_ref(row), &mut findings);
            begun.elapsed().as_nanos()
        })
        .collect();
    let say = |name: &str, times: Vec<u128>| {
        let mut times = times;
        times.sort_unstable();
        let at = |part: f64| times[(part * (times.len() - 1) as f64) as usize];
        eprintln!("{name}: p50 {} ns, p99 {} ns", at(0.5), at(0.99));
    };
    let bytes = guard.index_bytes() as f64 / f64::from(n_rows);
    eprintln!("{n_rows} rows of {FEATURES} features: {bytes:.0} bytes a row");
    say("guard, before and after", watched);
    say("contract alone", alone);
    Ok(())
}

fn tensor(n_rows: u64, chance: &mut Chance) -> Result<Tensor, bartizan_core::tensor::ShapeError> {
    let values = (0..n_rows * FEATURES as u64).map(|_| chance.normal() as f32).collect();
    Tensor::new("x", vec![n_rows, FEATURES as u64], Values::Fp32(values))
}
