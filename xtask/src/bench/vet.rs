//! `cargo xtask bench vet`: the data gate beside cleanlab, PyOD and Datalab on the same files.
//!
//! Peers are pinned in `tests/vet/bench-requirements.txt` and live in an environment of their own.
//! The measuring program takes turns between them and us and fails where a limit is broken.

use std::io;
use std::process::Command;

use crate::{command, report::say, tree, venv};

/// Measures. Returns whether every figure is within its limit.
///
/// # Errors
/// Where Cargo or Python cannot be started.
pub fn run() -> io::Result<bool> {
    let vet = tree::root().join("tests/vet");
    let python = venv::python("vet-bench", &vet.join("bench-requirements.txt"))?;
    let mut build = command::cargo();
    if !command::run(build.args(["build", "--release", "--locked", "--package", "bartizan"]))? {
        return Ok(false);
    }
    say("peers take minutes");
    command::run(Command::new(python).arg(vet.join("bench.py")))
}
