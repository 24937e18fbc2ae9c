//! `bartizan man DIR`: the manual, one page a command.

use std::fs;
use std::path::PathBuf;

use super::{Failure, Outcome};
use crate::answer::Answer;
use crate::files::failed;

/// Arguments of `bartizan man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the pages, made if it is absent
    dir: PathBuf,
}

/// Writes `bartizan.1`, `bartizan-key.1`, `bartizan-key-issue.1` and so on.
///
/// # Errors
/// Where a page cannot be written.
pub(crate) fn run(args: &Args, command: clap::Command) -> Outcome {
    let dir = &args.dir;
    fs::create_dir_all(dir).map_err(failed("make", dir)).map_err(Failure::unknown)?;
    clap_mangen::generate_to(command, dir)
        .map_err(failed("write the manual into", dir))
        .map_err(Failure::unknown)?;
    Ok(Answer::Yes)
}
