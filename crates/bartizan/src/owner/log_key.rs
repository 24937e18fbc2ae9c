//! The keys that sign the ledger's checkpoints: made once, read at each start.

use std::path::PathBuf;

use bartizan_core::Entropy;
use bartizan_ledger::tlog::{KeyKind, NoteSigner, SignerError};
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

/// The keys of the environment's log: Ed25519 first, then ML-DSA-44 where it is configured. What
/// is missing is made; a file that is there is never replaced but by more keys.
///
/// # Errors
/// [`LogKeyError`].
pub(super) fn signers(
    environment: &Environment,
    entropy: &dyn Entropy,
) -> Result<Vec<NoteSigner>, LogKeyError> {
    let (path, origin) = (environment.log_key_file(), environment.origin());
    let damaged =
        |source| LogKeyError::Damaged { path: path.clone(), origin: origin.clone(), source };
    let mut signers = Vec::new();
    match files::read_private(&path, FILE_BYTES_MAX) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let text = std::str::from_utf8(&bytes).map_err(|_| damaged(SignerError::Shape))?;
            for line in text.lines() {
                let signer: NoteSigner = line.parse().map_err(damaged)?;
                if signer.public().name() != origin {
                    return Err(damaged(SignerError::Key));
                }
                signers.push(signer);
            }
        }
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error.into()),
    }
    let mut kinds = vec![KeyKind::Ed25519];
    kinds.extend(environment.config().ledger.ml_dsa_44.then_some(KeyKind::MlDsa44));
    let n_read = signers.len();
    for kind in &kinds {
        if !signers.iter().any(|signer| signer.public().kind() == *kind) {
            signers.push(NoteSigner::random(&origin, *kind, entropy).map_err(damaged)?);
        }
    }
    if n_read != signers.len() {
        let mut text = Zeroizing::new(String::new());
        for signer in &signers {
            text.push_str(&signer.store());
            text.push('\n');
        }
        files::replace(&path, text.as_bytes())?;
    }
    signers.retain(|signer| kinds.contains(&signer.public().kind()));
    Ok(signers)
}
