//! `cargo xtask bench ledger`: the ledger beside what the disk and the processor can do by themselves.
//!
//! The measuring program is an example of the ledger's crate; both sides take turns in one run, and
//! it ends with failure where a ratio is over its limit. It writes about a gigabyte below the
//! folder `BARTIZAN_BENCH_DIR`, or the system's folder for temporary files: name one on the disk
//! that is meant.

use std::{env, io};

use crate::command;

/// Names the folder to write in.
const FOLDER_VAR: &str = "BARTIZAN_BENCH_DIR";

/// Measures. Returns whether every ratio is within its limit.
///
/// # Errors
/// Where Cargo cannot be started.
pub fn run() -> io::Result<bool> {
    let folder = env::var_os(FOLDER_VAR).unwrap_or_else(|| env::temp_dir().into_os_string());
    let mut command = command::cargo();
    command.args(["run", "--quiet", "--release", "--locked", "--package", "bartizan-ledger"]);
    command::run(command.args(["--example", "measure", "--"]).arg(folder))
}
