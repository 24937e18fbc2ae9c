//! The keys that sign the ledger's checkpoints: made once, read at each start.

use std::path::PathBuf;

use bartizan_core::Entropy;
use bartizan_ledger::epoch_origin;
use bartizan_ledger::tlog::{KeyKind, NoteSigner, SignerError, VerifierKey};
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::files::{self, FileError};

/// Longest file of keys, in bytes: two keys of 300 bytes, and room for a third.
const FILE_BYTES_MAX: u64 = 2_048;

/// Why there are no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogKeyError {
    /// The file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what was written.
    #[error("`{}` holds no key of the log `{origin}`; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The log.
        origin: String,
        /// What is wrong.
        source: SignerError,
    },
}

/// The public keys of the environment's log, under the name of each epoch up to `epoch`; none
/// where it has none yet.
///
/// # Errors
/// [`LogKeyError`].
pub(crate) fn public(
    environment: &Environment,
    epoch: u64,
) -> Result<Vec<VerifierKey>, LogKeyError> {
    let signers = read(environment)?;
    let mut keys = Vec::new();
    for epoch in (1..=epoch).rev() {
        let named = in_epoch(environment, &signers, epoch)?;
        keys.extend(named.iter().map(|signer| signer.public().clone()));
    }
    Ok(keys)
}

/// `signers` under the name of an epoch.
fn in_epoch(
    environment: &Environment,
    signers: &[NoteSigner],
    epoch: u64,
) -> Result<Vec<NoteSigner>, LogKeyError> {
    let name = epoch_origin(&environment.origin(), epoch);
    let renamed = signers.iter().map(|signer| signer.renamed(&name));
    renamed.collect::<Result<_, _>>().map_err(|source| damaged(environment, source))
}

fn damaged(environment: &Environment, source: SignerError) -> LogKeyError {
    let (path, origin) = (environment.log_key_file(), environment.origin());
    LogKeyError::Damaged { path, origin, source }
}

/// The keys that are there.
fn read(environment: &Environment) -> Result<Vec<NoteSigner>, LogKeyError> {
    let bytes = match files::read_private(&environment.log_key_file(), FILE_BYTES_MAX) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let wrong = |source| damaged(environment, source);
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(SignerError::Shape))?;
    let mut signers = Vec::new();
    for line in text.lines() {
        let signer: NoteSigner = line.parse().map_err(wrong)?;
        if signer.public().name() != environment.origin() {
            return Err(wrong(SignerError::Key));
        }
        signers.push(signer);
    }
    Ok(signers)
}

/// The keys of an epoch of the environment's log: Ed25519 first, then ML-DSA-44 where it is configured. What
/// is missing is made; a file that is there is never replaced but by more keys.
///
/// # Errors
/// [`LogKeyError`].
pub(super) fn signers(
    environment: &Environment,
    entropy: &dyn Entropy,
    epoch: u64,
) -> Result<Vec<NoteSigner>, LogKeyError> {
    let mut signers = read(environment)?;
    let mut kinds = vec![KeyKind::Ed25519];
    kinds.extend(environment.config().ledger.ml_dsa_44.then_some(KeyKind::MlDsa44));
    let n_read = signers.len();
    for kind in &kinds {
        if !signers.iter().any(|signer| signer.public().kind() == *kind) {
            signers.push(
                NoteSigner::random(&environment.origin(), *kind, entropy)
                    .map_err(|source| damaged(environment, source))?,
            );
        }
    }
    if n_read != signers.len() {
        let mut text = Zeroizing::new(String::new());
        for signer in &signers {
            text.push_str(&signer.store());
            text.push('\n');
        }
        files::replace(&environment.log_key_file(), text.as_bytes())?;
    }
    signers.retain(|signer| kinds.contains(&signer.public().kind()));
    in_epoch(environment, &signers, epoch)
}
