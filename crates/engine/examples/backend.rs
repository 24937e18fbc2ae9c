//! Runs a folder of files as `tests/engine/backend.py` writes them:
//! `cargo run -p bartizan-engine --example backend FOLDER`.
//!
//! One line a test: passed, wrong, failed, or refused and why. Exit code 1 where one is wrong.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a check run by hand")]

#[path = "../tests/zoo/files.rs"]
#[expect(dead_code, clippy::panic, clippy::unwrap_used, reason = "it serves the tests too")]
mod files;

use std::path::PathBuf;
use std::process::ExitCode;

use bartizan_core::{Predictor, Tensor, Values};
use bartizan_engine::LoadLimits;
use bartizan_engine::native::load;

/// Largest difference that is forgiven: of 1, or of the expected value.
const TOLERANCE: f64 = 1e-5;

fn main() -> ExitCode {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap());
    let mut counts = [0_usize; 4];
    for kind in files::kinds(&folder) {
        let (at, verdict) = match load(&kind.bytes, &LoadLimits::default()) {
            Err(error) => (3, format!("refused  {error}")),
            Ok(model) => match model.predict(&kind.inputs) {
                Err(error) => (2, format!("failed   {error}")),
                Ok(found) if agree(&found, &kind.expected) => (0, "passed".into()),
                Ok(found) => (1, format!("wrong    {found:?} is not {:?}", kind.expected)),
            },
        };
        counts[at] += 1;
        println!("{:60} {}", kind.name, verdict.chars().take(300).collect::<String>());
    }
    let [passed, wrong, failed, refused] = counts;
    println!("{passed} passed, {wrong} wrong, {failed} failed, {refused} refused");
    if wrong == 0 && failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn numbers(values: &Values) -> Option<Vec<f64>> {
    if let Values::Fp32(values) = values {
        return Some(values.iter().copied().map(f64::from).collect());
    }
    if let Values::Fp64(values) = values { Some(values.clone()) } else { None }
}

fn agree(found: &[Tensor], expected: &[Tensor]) -> bool {
    let near = |(a, b): (&f64, &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * b.abs().max(1.0)
    };
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| {
            let same = match (numbers(a.values()), numbers(b.values())) {
                (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(near),
                (_, _) => a.values() == b.values(),
            };
            same && a.shape() == b.shape()
        })
}
