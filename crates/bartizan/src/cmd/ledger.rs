//! `bartizan ledger`: what can be said of a log, and proved of a record.

mod check;
mod inputs;
mod prove;
mod rotate;
mod served;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::{DecisionId, ModelVersion};
use bartizan_ledger::tlog::{Policy, VerifierKey};
use bartizan_ledger::{FileDisk, Reader};

use super::{Failure, Format, Outcome, Place, world};
use crate::answer::Answer;
use crate::config::FILE_NAME;
use crate::environment::Environment;
use crate::files;
use crate::owner::log_key;
use crate::owner::operation::KeysRotation;
use crate::owner::reopen::{ReopenError, Reopened, reopen};

/// Longest policy file, in bytes.
const POLICY_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `bartizan ledger`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Check every record, checksum, bundle, tile, checkpoint and signature, and what is sealed;
    /// takes no lock
    Verify {
        /// The environment's folder, a copy of its store, or the URL of a log that is served
        dir: Option<PathBuf>,
        /// Whose signatures are believed [default: the environment's own log key]
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Roots of the authority whose time stamps are believed, PEM [default: those of
        /// `time_stamps.roots`]
        #[arg(long, value_name = "FILE")]
        stamp_roots: Option<PathBuf>,
        /// Shape of the report
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write a proof that a record is in the log, whole in one file
    Prove {
        /// Id of the decision or act
        id: DecisionId,
        /// Where to [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Disclose this input field's value, and no other; the disclosure is recorded
        #[arg(long, value_name = "NAME")]
        field: Option<String>,
        /// The row whose field is disclosed
        #[arg(long, default_value_t = 0, requires = "field")]
        row: u64,
    },
    /// Verify a `.tlog-proof` offline, or look up the receipt of a reply in the log
    Check {
        /// A proof's file, or a receipt as the header `bartizan-receipt` gave it
        what: String,
        /// Whose signatures are believed [default: the environment's own log key]
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Shape of the answer
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Exchange a key while requests go on; the old one is destroyed
    Rotate {
        /// Which key
        #[arg(value_enum)]
        what: KeysRotation,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "rotation")]
        reason: String,
    },
    /// End what is older than its class's `retention.*.days_max` and not held: keys are destroyed,
    /// records removed behind a tombstone; every proof that was made still verifies
    Prune {
        /// Only this class
        #[arg(long, value_enum, value_name = "CLASS")]
        class: Option<crate::owner::operation::RetentionClass>,
        /// How old, in days [default: the class's `days_max`]
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u32>,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "retention")]
        reason: String,
    },
    /// Print the policy that trusts this environment's log: what others need to check its proofs
    Policy,
    /// Print the log's verifier keys, one a line: what a witness is told
    Key,
    /// Begin a new epoch of a log that has lost records
    Reopen {
        /// The loss is known and accepted; the new epoch's first record cites it
        #[arg(long, required = true)]
        after_loss: bool,
    },
}

/// Runs `bartizan ledger`.
///
/// # Errors
/// What could not be read.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Verify { dir, policy, stamp_roots, format } => {
            if let Some(url) = dir.as_deref().and_then(served::url_of) {
                return served::run(url, policy.as_deref(), *format, out);
            }
            let dir = dir.as_deref().unwrap_or(&place.environment);
            let trust =
                verify::Trust { policy: policy.as_deref(), stamp_roots: stamp_roots.as_deref() };
            verify::run(dir, &trust, *format, out)
        }
        Args::Prove { id, output, field, row } => {
            let field = field.as_deref().map(|name| prove::Field { name, row_idx: *row });
            prove::run(*id, field, output.as_deref(), place, out)
        }
        Args::Check { what, policy, format } => {
            check::run(what, policy.as_deref(), *format, place, out)
        }
        Args::Rotate { what, reason } => rotate::run(*what, reason, place, out),
        Args::Prune { class, older_than, reason } => {
            rotate::prune((*class, *older_than), reason, place, out)
        }
        Args::Policy => {
            let keys = keys(&place.environment)?;
            for key in keys {
                writeln!(out, "log {key}")?;
            }
            writeln!(out, "quorum none")?;
            Ok(Answer::Yes)
        }
        Args::Key => {
            for key in keys(&place.environment)? {
                writeln!(out, "{key}")?;
            }
            Ok(Answer::Yes)
        }
        Args::Reopen { after_loss: _ } => {
            let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
            let reopened = reopen(&environment, &world()).map_err(|error| match error {
                error @ ReopenError::NothingLost => Failure::no(error),
                error @ (ReopenError::Store(_)
                | ReopenError::Log(_)
                | ReopenError::Publisher(_)
                | ReopenError::Record(_)
                | ReopenError::TooLarge(_)) => Failure::unknown(error),
            })?;
            let Reopened { epoch, n_left, n_lost, receipt } = reopened;
            eprintln!("Epoch {epoch} goes on behind {n_left} records; {n_lost} are lost.");
            eprintln!("Its keys have a new name: give witnesses `bartizan ledger key` again.");
            writeln!(out, "{receipt}")?;
            Ok(Answer::Yes)
        }
    }
}

/// The policy of `file`, else the one that trusts the own log of the environment `root`; `None`
/// where there is neither.
fn policy(file: Option<&Path>, root: &Path) -> Result<Option<Policy>, Failure> {
    if let Some(path) = file {
        let bytes = files::read_bounded(path, POLICY_BYTES_MAX).map_err(Failure::unknown)?;
        return Policy::parse(&bytes).map(Some).map_err(|error| {
            Failure::unknown(format!("`{}` is no policy: {error}", path.display()))
        });
    }
    if !root.join(FILE_NAME).is_file() {
        return Ok(None);
    }
    let keys = keys(root)?;
    Ok((!keys.is_empty()).then(|| Policy::of_logs(keys)))
}

/// The public keys of the log of the environment `root`, those of its newest epoch first.
fn keys(root: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let environment = Environment::open(root).map_err(Failure::unknown)?;
    let disk = FileDisk::open(environment.store_dir()).map_err(Failure::unknown)?;
    let epoch = match Reader::open(Arc::new(disk)) {
        Ok(reader) => reader.epoch(),
        // What is wrong with the log is said by whoever reads it; its keys are what they are.
        Err(_) => 1,
    };
    log_key::public(&environment, epoch).map_err(Failure::unknown)
}

/// A model's version out of a record's number.
fn version_of(number: u32) -> Option<ModelVersion> {
    std::num::NonZeroU32::new(number).map(ModelVersion)
}
