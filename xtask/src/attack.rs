//! `cargo xtask attack`: the Adversarial Robustness Toolbox against the request gate, undefended
//! beside defended, one fresh identity a victim.

use std::io;
use std::process::Command;

use crate::{command, report::say, tree, venv};

/// Attacks. Returns whether the defended server keeps every bound.
///
/// # Errors
/// Where Cargo or Python cannot be started.
pub fn run() -> io::Result<bool> {
    let folder = tree::root().join("tests/guard");
    let python = venv::python("guard", &folder.join("requirements.txt"))?;
    let binary = command::build(&["--package", "bartizan"])?;
    say("undefended attacks ask up to a thousand rows each: some minutes");
    let mut compare = Command::new(python);
    compare.arg(folder.join("compare.py")).current_dir(&folder);
    command::run(compare.env("BARTIZAN_BIN", binary).env("PYTHONDONTWRITEBYTECODE", "1"))
}
