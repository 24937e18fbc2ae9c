//! `bartizan model except|except-key`: a signed exception from the model gate, and a key for it.

use std::path::PathBuf;

use bartizan_core::Digest;
use bartizan_outbound::OsEntropy;

use crate::answer::Answer;
use crate::cmd::{Failure, Outcome};
use crate::config::Models;
use crate::files;
use crate::gate::Scanner as _;
use crate::gate::exception::{self, Exception, ExceptionError};
use crate::gate::in_process::InProcess;

/// Arguments of `bartizan model except`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExceptArgs {
    /// The model
    file: PathBuf,
    /// A rule of the scan whose findings are accepted; may be given again
    #[arg(long = "rule", value_name = "RULE", required = true)]
    rules: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Last day on which it counts, like 2027-01-31 (UTC)
    #[arg(long, value_name = "DAY")]
    until: String,
    /// The private key that signs it; `bartizan model except-key` makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where it is written [default: MODEL.exception.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `bartizan model except-key`.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// Where the private key is written; it must not be there yet
    file: PathBuf,
}

/// Writes a signed exception for a model.
///
/// # Errors
/// What cannot be read, signed or written.
pub(super) fn except(args: &ExceptArgs) -> Outcome {
    let bytes = files::read_bounded(&args.file, Models::default().file_bytes_max)
        .map_err(Failure::unknown)?;
    let exception = Exception {
        digest: Digest::of(&bytes),
        rules: args.rules.clone(),
        reason: args.reason.clone(),
        until: args.until.clone(),
    };
    let signed = exception.sign(&args.key).map_err(|error| {
        let is_usage = matches!(error, ExceptionError::Shape);
        if is_usage { Failure::usage(error) } else { Failure::unknown(error) }
    })?;
    let judged = InProcess.scan("", &bytes).map_err(Failure::unknown)?;
    let (before, after) = (judged.verdict, exception.apply(&judged).verdict);
    let out = args.out.clone().unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".exception.json");
        name.into()
    });
    files::replace(&out, &signed).map_err(Failure::unknown)?;
    eprintln!("Written to {}: it makes {} {}.", out.display(), before.as_str(), after.as_str());
    for found in &judged.found {
        let accepted = args.rules.iter().any(|rule| rule == found.rule.id);
        let word = if accepted { "accepted" } else { "stays" };
        eprintln!("  {word:<8}  {}  {}", found.rule.id, found.what);
    }
    eprintln!("Use it: bartizan model add {} --exception {}", args.file.display(), out.display());
    Ok(Answer::Yes)
}

/// Makes a key for exceptions.
///
/// # Errors
/// What cannot be written.
pub(super) fn make_key(args: &KeyArgs, out: &mut dyn std::io::Write) -> Outcome {
    if args.file.exists() {
        return Err(Failure::usage(format!("`{}` is there already", args.file.display())));
    }
    let public = exception::make_key(&args.file, &OsEntropy).map_err(Failure::unknown)?;
    writeln!(out, "{public}")?;
    eprintln!(
        "Add that line to `keys/exception-keys` (mode 0600) of each environment where it may"
    );
    eprintln!("except models.");
    Ok(Answer::Yes)
}
