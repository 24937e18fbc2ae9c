//! `cargo xtask bench scan`: the model gate beside picklescan, modelscan, fickling and modelaudit.
//!
//! Each peer is pinned in `tests/scan/peers/<name>.txt` and lives in an environment of its own:
//! their requirements contradict each other. The measuring program asks all of them about the same
//! files and fails where a limit of ours is broken.

use std::io;
use std::process::Command;

use crate::{command, report::say, tree, venv};

/// Who is measured beside us.
const PEERS: &[&str] = &["picklescan", "modelscan", "fickling", "modelaudit"];

/// Measures. Returns whether every figure of ours is within its limit.
///
/// # Errors
/// Where Cargo or Python cannot be started.
pub fn run() -> io::Result<bool> {
    let scan = tree::root().join("tests/scan");
    let python = venv::python("scan-bench", &scan.join("bench-requirements.txt"))?;
    let mut peers = Vec::new();
    for name in PEERS {
        let requirements = scan.join("peers").join(name).with_extension("txt");
        let python = venv::python(&format!("scan-{name}"), &requirements)?;
        peers.push(format!("{name}={}", python.display()));
    }
    let binary = command::build(&["--release", "--package", "bartizan"])?;
    // What times the crate alone.
    let alone = ["--release", "--package", "bartizan-scan", "--example", "time_scan"];
    let alone = command::build(&alone)?;
    say("peers take minutes");
    let mut bench = Command::new(python);
    bench.arg(scan.join("bench.py")).arg(binary).arg(alone).args(peers);
    command::run(&mut bench)
}
