//! Bartizan's engine beside onnxruntime, both in this process, one thread each, taking turns:
//! `engine-race LIBRARY FOLDER [KIND..]`.
//!
//! LIBRARY is `libonnxruntime.so`, FOLDER holds files as `tests/engine/zoo.py` writes them. Every
//! figure is the best of [`ROUNDS`]; each round measures all of a model's four figures, so that a
//! busy machine is busy for both. One JSON object a line.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use bartizan_core::{Predictor, Tensor, Values};
use bartizan_engine::LoadLimits;
use bartizan_engine::native::load;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use serde_json::{Value, json};

/// Rounds of which the best counts.
const ROUNDS: usize = 15;
/// Rows of a batch; single calls go through as many different rows.
const BATCH_ROWS: usize = 512;
/// Batches of one measurement.
const BATCHES: u32 = 4;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (library, folder) = (arguments.next().ok_or("LIBRARY")?, arguments.next().ok_or("FOLDER")?);
    let only: Vec<String> = arguments.collect();
    let environment = ort::init_from(library)?.build()?;
    let mut names: Vec<String> = std::fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .filter(|name| only.is_empty() || only.contains(name))
        .collect();
    names.sort();
    for name in names {
        match race(&environment, Path::new(&folder), &name) {
            Ok(Some(line)) => println!("{line}"),
            Ok(None) => {}
            Err(error) => eprintln!("{name}: {error}"),
        }
    }
    Ok(())
}

/// `BATCH_ROWS` rows of the only input, repeated as needed; `None` where there is another kind of
/// input.
fn rows(path: &Path) -> Result<Option<(String, usize, Vec<f32>)>> {
    let content: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let [input] = content["inputs"].as_array().ok_or("inputs")?.as_slice() else { return Ok(None) };
    if input["datatype"] != "FP32" {
        return Ok(None);
    }
    let width = input["shape"][1].as_u64().ok_or("width")? as usize;
    let data = input["data"].as_array().ok_or("data")?;
    let number = |value: &Value| value.as_f64().map_or(f32::NAN, |value| value as f32);
    let values = data.iter().map(number).cycle().take(BATCH_ROWS * width).collect();
    Ok(Some((input["name"].as_str().ok_or("name")?.into(), width, values)))
}

fn race(environment: &ort::environment::Environment, folder: &Path, name: &str) -> Result<Option<Value>> {
    let bytes = std::fs::read(folder.join(format!("{name}.onnx")))?;
    let Some((input, width, values)) = rows(&folder.join(format!("{name}.json")))? else {
        return Ok(None);
    };
    let limits = LoadLimits::default();
    let model = load(&bytes, &limits)?;
    let mut session = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(1)?
        .commit_from_memory(&bytes)?;
    let tensor = |values: &[f32]| {
        let shape = vec![(values.len() / width) as u64, width as u64];
        Tensor::new(input.as_str(), shape, Values::Fp32(values.to_vec()))
    };
    let singles: Vec<[Tensor; 1]> = values
        .chunks_exact(width)
        .map(|row| tensor(row).map(|tensor| [tensor]))
        .collect::<std::result::Result<_, _>>()?;
    let batch = [tensor(&values)?];
    // Single rows and batches of ours, then of onnxruntime's; then a load of ours.
    let mut best = [f64::INFINITY; 5];
    for _ in 0..ROUNDS {
        let n = BATCH_ROWS as f64;
        let ours_single = time(|| {
            for row in &singles {
                black_box(model.predict(black_box(row)).is_ok());
            }
            Ok(())
        })? / n;
        let theirs_single = time(|| {
            for row in values.chunks_exact(width) {
                let view = TensorRef::from_array_view(([1_usize, width], row))?;
                black_box(session.run(ort::inputs![input.as_str() => view])?.len());
            }
            Ok(())
        })? / n;
        let many = n * f64::from(BATCHES);
        let ours_batch = time(|| {
            for _ in 0..BATCHES {
                black_box(model.predict(black_box(&batch)).is_ok());
            }
            Ok(())
        })? / many;
        let theirs_batch = time(|| {
            for _ in 0..BATCHES {
                let view = TensorRef::from_array_view(([BATCH_ROWS, width], values.as_slice()))?;
                black_box(session.run(ort::inputs![input.as_str() => view])?.len());
            }
            Ok(())
        })? / many;
        let loading = time(|| {
            black_box(load(black_box(&bytes), &limits)?);
            Ok(())
        })?;
        let found = [ours_single, ours_batch, theirs_single, theirs_batch, loading];
        best.iter_mut().zip(found).for_each(|(best, found)| *best = best.min(found));
    }
    let [ours_single, ours_batch, theirs_single, theirs_batch, loading] = best;
    Ok(Some(json!({
        "kind": name,
        "file_bytes": bytes.len(),
        "resident_bytes": model.resident_bytes(),
        "load_ns": loading,
        "single_ns": { "native": ours_single, "onnxruntime": theirs_single },
        "batch_row_ns": { "native": ours_batch, "onnxruntime": theirs_batch },
    })))
}

/// Nanoseconds that a call takes.
fn time(call: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    call()?;
    Ok(start.elapsed().as_nanos() as f64)
}
