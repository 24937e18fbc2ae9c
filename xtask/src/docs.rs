//! `cargo xtask docs`: the pages of `docs/` that are made from the code's own tables, and the
//! messages of gRPC that are made from `crates/wire/protos`.
//!
//! The tables live in the gates' crates, which xtask does not build: a test of ours names them,
//! compares the pages, and writes them anew when told to.

use std::io;

use crate::command;

/// Set when the pages are to be written rather than compared.
pub const WRITE_VAR: &str = "BARTIZAN_WRITE_DOCS";

/// Writes the generated pages, then checks all of them. Returns whether they agree.
///
/// # Errors
/// Where Cargo cannot be started.
pub fn run() -> io::Result<bool> {
    let test = || {
        let mut command = command::cargo();
        command.args(["test", "--quiet", "--locked", "--package", "xtask"]);
        command.args(["--test", "docs", "--test", "protos"]);
        command
    };
    command::run(test().env(WRITE_VAR, "1"))?;
    command::run(&mut test())
}
