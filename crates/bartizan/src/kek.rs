//! Who holds the key-encryption key of an environment.

use std::path::PathBuf;
use std::sync::Arc;

use bartizan_core::Entropy;
use bartizan_ledger::{FileDisk, FileKeys, KeyWrap, Sealer, SealingKeys};
use bartizan_outbound::OsEntropy;

use crate::config::keys::Wrap;
use crate::environment::Environment;
use crate::files::{self, FileError, failed};

/// The holder that the configuration of `environment` names. The folder of files is made where it
/// is absent.
///
/// # Errors
/// [`FileError`], among them the `chmod` to run where others could read the keys.
pub(crate) fn of(
    environment: &Environment,
    entropy: Arc<dyn Entropy>,
) -> Result<Arc<dyn KeyWrap>, FileError> {
    match environment.config().keys.wrap {
        Wrap::File => {
            let folder = folder(environment);
            let disk = FileDisk::create(&folder).map_err(failed("open", &folder))?;
            files::check_private(&folder, 0o700)?;
            Ok(Arc::new(FileKeys::new(Arc::new(disk), entropy)))
        }
    }
}

/// The keys of `environment`, to open with and nothing else: changes nothing.
///
/// # Errors
/// What the folder of keys or the holder of the key-encryption key says.
pub(crate) fn read_sealer(
    environment: &Environment,
) -> Result<Arc<Sealer>, Box<dyn std::error::Error + Send + Sync>> {
    let wrap = of(environment, Arc::new(OsEntropy))?;
    let path = environment.keys_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path))?;
    Ok(SealingKeys::read(&disk, &*wrap)?)
}

/// The folder of key-encryption keys.
pub(crate) fn folder(environment: &Environment) -> PathBuf {
    environment.root().join(&environment.config().keys.kek_dir)
}
