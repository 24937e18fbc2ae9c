//! `cargo xtask e2e`: our log and our witnesses beside other people's tools, over real HTTP.
//!
//! Needs Go, since the tools are Go's: Tessera's `fsck` (reads a whole log and derives its root
//! again) and torchwood's `litewitness` (cosigns). Without Go each is a counted skip.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::report::Report;
use crate::suite::area;
use crate::{command, tree, venv};

/// The tools: the name of the program, its module and version.
const TOOLS: &[(&str, &str)] = &[
    ("fsck", "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"),
    ("litewitness", "filippo.io/torchwood/cmd/litewitness@v0.6.1"),
];

/// Builds the tools once, then runs `tests/e2e`. Returns whether all is well.
///
/// # Errors
/// None of its own: a step that cannot run counts as failed.
pub fn run(report: &mut Report) -> io::Result<bool> {
    let has_go = Command::new("go").arg("version").output().is_ok_and(|out| out.status.success());
    if !has_go {
        for (name, _) in TOOLS {
            report.skip(name, "needs Go on the path");
        }
        return Ok(report.close());
    }
    report.step("outside tools over HTTP", || {
        let tools = venv::cache()?.join("go");
        for (name, module) in TOOLS {
            install(&tools, name, module)?;
        }
        area("e2e")
    });
    Ok(report.close())
}

/// Builds a tool into `<tools>/bin` where it is not there yet.
fn install(tools: &Path, name: &str, module: &str) -> io::Result<()> {
    let bin = tools.join("bin");
    if bin.join(name).is_file() {
        return Ok(());
    }
    let mut go = Command::new("go");
    go.args(["install", module]).current_dir(tree::root());
    go.env("GOBIN", &bin).env("GOPATH", tools.join("path")).env("GOCACHE", tools.join("cache"));
    go.env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local");
    if command::run(&mut go)? {
        Ok(())
    } else {
        Err(io::Error::other(format!("{module} is not built")))
    }
}
