//! `cargo xtask bench engine`: what a row costs in `native`, beside onnxruntime.
//!
//! Both run in one process, one thread each, and take turns (`tests/engine/race`, a workspace of
//! its own: the house links no onnxruntime). Models and library come from a Python environment
//! that is made once. Ends with failure where a figure misses its limit.

use std::{fs, io, path::Path};

use serde_json::Value;

use crate::{command, report::say, tree, venv};

/// Times as fast as onnxruntime that a kind must be: single rows, and rows of a batch of 512.
const LIMITS: &[(&str, f64, f64)] = &[
    ("extra-trees", 4.0, 1.0),
    ("forest-binary", 4.0, 1.0),
    ("forest-multi", 4.0, 1.0),
    ("gradient-boosting-binary", 4.0, 1.0),
    ("hist-gradient-boosting", 4.0, 1.0),
    ("isolation-forest", 4.0, 1.0),
    ("lightgbm-binary", 4.0, 1.0),
    ("lightgbm-multi", 4.0, 1.0),
    ("logistic-binary", 4.0, 1.0),
    ("mlp-relu", 1.0, 1.0),
    ("pipeline-pca-logistic", 1.0, 1.0),
    ("svc-rbf", 1.0, 1.0),
    ("xgboost-binary", 4.0, 1.0),
    ("xgboost-multi", 4.0, 1.0),
];
/// Bytes of a model file that must be loaded in a second, where it has trees.
const LOAD_BYTES_PER_S_MIN: f64 = 200e6;
/// Memory of a loaded model, as a multiple of its file, at most.
const MEMORY_MAX: f64 = 1.5;

/// Measures. Returns whether every figure is within its limit.
///
/// # Errors
/// Where Python, Cargo or the library cannot be had.
pub fn run() -> io::Result<bool> {
    let folder = tree::root().join("tests/engine");
    let python = venv::python("engine", &folder.join("requirements.txt"))?;
    let zoo = venv::cache()?.join("engine-zoo");
    let mut make = std::process::Command::new(&python);
    make.current_dir(&folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["zoo.py", "full"])
        .arg(&zoo);
    if !command::run(make.args(LIMITS.iter().map(|(kind, _, _)| kind)))? {
        return Err(io::Error::other("the models could not be made"));
    }
    let library = library(&python)?;
    let mut race = command::cargo();
    race.args(["run", "--quiet", "--release", "--locked", "--manifest-path"]);
    race.arg(folder.join("race/Cargo.toml")).arg("--").arg(library).arg(&zoo);
    race.args(LIMITS.iter().map(|(kind, _, _)| kind));
    let output = race.output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    say(
        "kind                       one row ns, ort   times   batch row ns, ort   times   MB/s memory",
    );
    let lines: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let within: Vec<bool> = lines.iter().map(judge).collect();
    Ok(within.len() == LIMITS.len() && within.iter().all(|within| *within))
}

/// `libonnxruntime.so` of an environment's wheel.
fn library(python: &Path) -> io::Result<std::path::PathBuf> {
    let root = python.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    for versions in fs::read_dir(root.join("lib"))? {
        let capi = versions?.path().join("site-packages/onnxruntime/capi");
        for entry in fs::read_dir(capi)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("libonnxruntime.so") {
                return Ok(path);
            }
        }
    }
    Err(io::Error::other("the wheel of onnxruntime has no library"))
}

/// Prints one kind; whether it is within its limits.
fn judge(line: &Value) -> bool {
    let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let kind = line["kind"].as_str().unwrap_or_default();
    let (_, single_min, batch_min) =
        LIMITS.iter().find(|(name, _, _)| *name == kind).copied().unwrap_or((kind, 0.0, 0.0));
    let (one, one_ort) = (number("/single_ns/native"), number("/single_ns/onnxruntime"));
    let (row, row_ort) = (number("/batch_row_ns/native"), number("/batch_row_ns/onnxruntime"));
    let (single, batch) = (one_ort / one, row_ort / row);
    let load = number("/file_bytes") / number("/load_ns") * 1e9;
    let memory = number("/resident_bytes") / number("/file_bytes");
    let has_trees = single_min == 4.0 && kind != "logistic-binary";
    let missed = [
        ("one row", single < single_min),
        ("batch", batch < batch_min),
        ("load", has_trees && load < LOAD_BYTES_PER_S_MIN),
        ("memory", MEMORY_MAX < memory),
    ];
    let missed: Vec<_> =
        missed.iter().filter(|(_, missed)| *missed).map(|(what, _)| *what).collect();
    let mark =
        if missed.is_empty() { String::new() } else { format!("  misses {}", missed.join(", ")) };
    say(&format!(
        "{kind:26} {one:9.0} {one_ort:9.0} {single:6.1} {row:9.0} {row_ort:9.0} {batch:6.1} {:6.0} {memory:6.2}{mark}",
        load / 1e6
    ));
    missed.is_empty()
}
