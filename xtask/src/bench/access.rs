//! `cargo xtask bench access`: what a decision and a credential cost.
//!
//! The measuring program is an example of the crate `access`; it ends with failure where a median
//! is over its limit.

use std::io;

use crate::command;

/// Measures. Returns whether every median is within its limit.
///
/// # Errors
/// Where Cargo cannot be started.
pub fn run() -> io::Result<bool> {
    let mut command = command::cargo();
    command.args(["run", "--quiet", "--release", "--locked", "--package", "bartizan-access"]);
    command::run(command.args(["--example", "measure"]))
}
