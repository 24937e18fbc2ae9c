//! Prints what a row costs: `cargo run --release -p bartizan-engine --example time`.
//!
//! One call a row, on rows held out, and one call for all of them; the best of some rounds.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement run by hand")]

#[path = "../src/native/tests/data.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "it serves the tests too")]
mod data;

use std::hint::black_box;
use std::time::Instant;

use bartizan_core::{Predictor, Tensor, Values};

/// Rounds of which the best counts.
const ROUNDS: usize = 200;

fn main() {
    println!("model             load us   row ns, alone   row ns, batch   resident bytes");
    for name in data::NAMES {
        let example = data::read(name);
        let Values::Fp32(values) = example.input.values() else { continue };
        let (n_rows, width) = (example.input.n_rows(), example.input.row_len());
        let one = |row: &[f32]| {
            Tensor::new("features", vec![1, width as u64], Values::Fp32(row.to_vec())).unwrap()
        };
        let rows: Vec<[Tensor; 1]> = values.chunks_exact(width).map(|row| [one(row)]).collect();
        let all = [example.input.clone()];
        let alone = best(|| {
            for row in &rows {
                black_box(example.model.predict(black_box(row)).unwrap());
            }
        });
        let batch = best(|| {
            black_box(example.model.predict(black_box(&all)).unwrap());
        });
        let load = best(|| {
            let limits = bartizan_engine::LoadLimits::default();
            black_box(bartizan_engine::native::load(black_box(&example.bytes), &limits).unwrap());
        });
        let bytes = example.model.resident_bytes();
        let n = n_rows as u128;
        let (load, alone, batch) = (load / 1_000, alone / n, batch / n);
        println!("{name:16} {load:8} {alone:15} {batch:15} {bytes:16}");
    }
}

/// Nanoseconds of the fastest of [`ROUNDS`] calls.
fn best(mut call: impl FnMut()) -> u128 {
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        call();
        best = best.min(start.elapsed().as_nanos());
    }
    best
}
