//! `cargo xtask bench guard`: what the request gate costs a row, and how much it remembers it by.

use std::io;

use crate::command;

/// Rows that are remembered.
const ROWS: [&str; 2] = ["100000", "1000000"];

/// Measures.
///
/// # Errors
/// Where Cargo cannot be started.
pub fn run() -> io::Result<bool> {
    for rows in ROWS {
        let mut measure = command::cargo();
        measure.args(["run", "--release", "--locked", "--quiet", "--package", "bartizan-guard"]);
        measure.args(["--example", "measure", "--", rows]);
        if !command::run(&mut measure)? {
            return Ok(false);
        }
    }
    Ok(true)
}
