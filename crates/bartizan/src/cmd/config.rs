//! `bartizan config check|schema`.

use std::io;
use std::path::{Path, PathBuf};

use super::{Failure, Outcome, Place, now_s};
use crate::answer::Answer;
use crate::config::check::{self, ConfigError};
use crate::config::read::Problem;
use crate::config::{Config, FILE_NAME, schema};
use crate::environment::disk_kind;
use crate::files;
use bartizan_core::DiskKind;

/// Arguments of `bartizan config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Say everything that is wrong with a configuration, and with the files it names
    Check {
        /// The environment's folder, or a configuration file
        place: Option<PathBuf>,
    },
    /// Print the JSON Schema of bartizan.toml
    Schema,
}

/// Runs `bartizan config`.
///
/// # Errors
/// What could not be read or written.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Check { place: given } => {
            run_check(given.as_deref().unwrap_or(&place.environment), out)
        }
        Args::Schema => {
            out.write_all(schema::text()?.as_bytes())?;
            Ok(Answer::Yes)
        }
    }
}

fn run_check(place: &Path, out: &mut dyn io::Write) -> Outcome {
    let path = check::file_of(place);
    let parsed = match check::load_file(&path) {
        Ok(parsed) => parsed,
        Err(ConfigError::Wrong { path, problems }) => return say(&path, &problems, out),
        Err(error @ ConfigError::Read(_)) => return Err(Failure::unknown(error)),
    };
    let root = path.parent().unwrap_or(Path::new("."));
    let mut problems = check::certificates(&parsed, root, now_s());
    problems.extend(folder(&parsed.config, root, |key, message| parsed.problem(key, message)));
    if problems.is_empty() {
        writeln!(out, "{}: in order", path.display())?;
        return Ok(Answer::Yes);
    }
    say(&path, &problems, out)
}

/// What of the environment's folder contradicts the configuration.
fn folder(config: &Config, root: &Path, problem: impl Fn(&str, String) -> Problem) -> Vec<Problem> {
    let mut found = Vec::new();
    let keys = root.join("keys");
    if keys.exists()
        && let Err(fault) = files::check_private(&keys, 0o700)
    {
        found.push(problem("", fault.to_string()));
    }
    let store = root.join("store");
    if !config.ledger.volatile
        && let Ok(DiskKind::Volatile(kind)) = disk_kind(&store)
    {
        let message = format!(
            "the store lies on {kind}, where a record does not survive a loss of power; move the \
             environment to a local disk, or set `ledger.volatile = true`, which every record \
             then says"
        );
        found.push(problem("ledger.volatile", message));
    }
    found
}

fn say(path: &Path, problems: &[Problem], out: &mut dyn io::Write) -> Outcome {
    for problem in problems {
        writeln!(out, "{}: {problem}", path.display())?;
    }
    let n = problems.len();
    let noun = if n == 1 { "problem" } else { "problems" };
    eprintln!("{n} {noun} in {}; `bartizan config schema` says what each key takes", FILE_NAME);
    Ok(Answer::No)
}
