//! `bartizan backup`: a copy of an environment from which it can be restored, while it serves.

use std::io;
use std::path::{Path, PathBuf};

use super::{Failure, Outcome, Place, world};
use crate::answer::Answer;
use crate::owner::operation::{Backup, Kept, Operation, Outcome as Performed};
use crate::owner::reach::Reach;

/// Arguments of `bartizan backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A new or empty folder for log, models and configuration
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// A new or empty folder somewhere else for the keys, wrapped: who has both halves and the
    /// key-encryption key has everything
    #[arg(long, value_name = "DIR", required_unless_present = "without_keys")]
    keys_to: Option<PathBuf>,
    /// Leave the keys out: what is sealed cannot be opened from this backup
    #[arg(long, conflicts_with = "keys_to")]
    without_keys: bool,
}

/// Runs `bartizan backup`.
///
/// # Errors
/// What the store's owner says.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let to = absolute(&args.to)?;
    let keys_to = args.keys_to.as_deref().map(absolute).transpose()?;
    if let Some(keys_to) = &keys_to
        && (keys_to.starts_with(&to) || to.starts_with(keys_to))
    {
        return Err(Failure::usage("--keys-to lies in --to, or the other way: keep them apart"));
    }
    let operation = Operation::Backup(Backup { to, keys_to });
    let performed = Reach::open(&place.environment, &world())?.perform(&operation)?;
    let Performed::Kept(Kept::BackedUp { backup, n_records, n_files, manifest, receipt }) =
        performed
    else {
        return Err(Failure::unknown("the store's owner answered another question"));
    };
    writeln!(out, "{backup}")?;
    eprintln!("Backed up {n_records} records and {n_files} files; manifest {manifest}.");
    eprintln!("Receipt {receipt}. The key-encryption key is in no backup: keep a copy apart.");
    Ok(Answer::Yes)
}

/// A path that means the same to the server.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(Failure::unknown)
}
