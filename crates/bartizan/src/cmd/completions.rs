//! `bartizan completions SHELL`: completions for a shell, on stdout.

use std::io;

use clap_complete::Shell;

use super::Outcome;
use crate::answer::Answer;

/// Arguments of `bartizan completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Writes the completions of `command`.
///
/// # Errors
/// Where `out` cannot be written.
pub(crate) fn run(args: &Args, mut command: clap::Command, out: &mut dyn io::Write) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "bartizan", &mut text);
    out.write_all(&text)?;
    Ok(Answer::Yes)
}
