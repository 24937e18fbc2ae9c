//! Other programs: run to their end, watched line by line.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{report::say, tree};

/// Cargo, in the project's folder.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(tree::root());
    command
}

/// Runs a command to its end, talking to our own output. Returns whether it succeeded.
///
/// # Errors
/// Where it cannot be started.
pub fn run(command: &mut Command) -> io::Result<bool> {
    let status = command.stdin(Stdio::null()).status();
    Ok(status.map_err(|error| cannot_start(command, &error))?.success())
}

/// Runs a command to its end, passing each line of its output on and to `see`. Returns whether
/// it succeeded.
///
/// # Errors
/// Where it cannot be started or its output not read.
pub fn watch(command: &mut Command, mut see: impl FnMut(&str)) -> io::Result<bool> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| cannot_start(command, &error))?;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            see(&line);
            say(&line);
        }
    }
    Ok(child.wait()?.success())
}

fn cannot_start(command: &Command, error: &io::Error) -> io::Error {
    let program = command.get_program().to_string_lossy().into_owned();
    io::Error::new(error.kind(), format!("cannot start `{program}`: {error}"))
}

/// Builds a package's program and returns where it is.
///
/// # Errors
/// Where it does not build.
pub fn build(args: &[&str]) -> io::Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--locked", "--message-format", "json-render-diagnostics"]).args(args);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("cargo build {} failed", args.join(" "))));
    }
    let last = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back();
    last.ok_or_else(|| io::Error::other(format!("cargo build {} made no program", args.join(" "))))
}
