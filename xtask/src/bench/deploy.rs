//! `cargo xtask bench deploy`: what it costs to judge a plan and to find its addresses.
//!
//! The measuring program is an example of the gate's crate, which xtask does not build into
//! itself; it ends with failure where a figure is over its limit.

use std::io;

use crate::command;

/// Measures. Returns whether every figure is within its limit.
///
/// # Errors
/// Where Cargo cannot be started.
pub fn run() -> io::Result<bool> {
    let mut command = command::cargo();
    command.args(["run", "--quiet", "--release", "--locked", "--package", "bartizan-deploy"]);
    command::run(command.args(["--example", "measure"]))
}
