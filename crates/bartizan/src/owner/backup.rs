//! Making a backup while requests go on.
//!
//! The order keeps it whole: what is derived from the log first, then the record that names the
//! backup, then the log up to that record, then the keys, which by then hold every key that those
//! records need. Nothing is erased or rotated meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::clock::Rfc3339;
use bartizan_core::digest::hex;
use bartizan_core::entropy::random;
use bartizan_core::{Digest, Disk, Principal};
use bartizan_ledger::{Act as RecordedAct, ActKind, FileDisk, copy_log};

use super::operation::{Backup, Kept, Outcome};
use super::store::Act;
use super::{OperationError, Owner};
use crate::backup::{Half, Listed, Manifest};
use crate::config;
use crate::files::{self, FileError, failed};

/// What of the store's folder is copied otherwise, or is no part of it.
const LEFT_OUT: &[&str] = &["store/wal", "store/LOCK", "store/admin.sock"];

impl Owner {
    /// Copies the environment into the folder `backup.to`, and its keys into `backup.keys_to`.
    pub(super) fn back_up(
        &self,
        caller: &Principal,
        backup: &Backup,
    ) -> Result<Outcome, OperationError> {
        let _order = self.state();
        let id = hex(&random::<16>(&*self.world.entropy));
        let made = Rfc3339(self.store.clock().now().wall_ns).to_string();
        let origin = self.environment.origin();
        for folder in std::iter::once(&backup.to).chain(&backup.keys_to) {
            empty(folder)?;
        }
        let mut manifest = Manifest::new(Half::Store, &id, &origin, 0, &made);
        self.take_derived(&mut manifest, &backup.to)?;
        let mut act = RecordedAct::new(ActKind::BackedUp);
        act.resource = Some(id.clone().into());
        let receipt = self.record(caller, &Act::Kept(Box::new(act)))?;
        manifest.n_records = receipt.index + 1;
        self.take_log(&mut manifest, &backup.to, receipt.index)?;
        let digest = manifest.write(&backup.to).map_err(OperationError::Incomplete)?;
        if let Some(to) = &backup.keys_to {
            let mut keys = Manifest::new(Half::Keys, &id, &origin, manifest.n_records, &made);
            self.take_keys(&mut keys, to)?;
            keys.write(to).map_err(OperationError::Incomplete)?;
        }
        let (n_records, n_files) = (manifest.n_records, manifest.files.len() as u64);
        let (manifest, receipt) = (Digest(digest).hex(), receipt.to_string());
        Ok(Outcome::Kept(Kept::BackedUp { backup: id, n_records, n_files, manifest, receipt }))
    }

    fn take_derived(&self, manifest: &mut Manifest, to: &Path) -> Result<(), OperationError> {
        let root = self.environment.root();
        let take = || -> Result<(), FileError> {
            manifest.take(&root.join(config::FILE_NAME), to, config::FILE_NAME)?;
            for folder in ["models", "policies"] {
                manifest.take_all(&root.join(folder), to, folder, &|_| false)?;
            }
            let is_left_out = |path: &str| LEFT_OUT.contains(&path);
            manifest.take_all(&self.environment.store_dir(), to, "store", &is_left_out)
        };
        let mut take = take;
        take().map_err(OperationError::Incomplete)
    }

    fn take_log(
        &self,
        manifest: &mut Manifest,
        to: &Path,
        last: u64,
    ) -> Result<(), OperationError> {
        let open = |path: PathBuf| FileDisk::create(&path).map_err(failed("open", &path));
        let store = open(self.environment.store_dir()).map_err(OperationError::Incomplete)?;
        let target = open(to.join("store")).map_err(OperationError::Incomplete)?;
        let store: Arc<dyn Disk> = Arc::new(store);
        let copied = copy_log(&store, &target, last)?;
        manifest.files.extend(copied.into_iter().map(|file| Listed {
            path: format!("store/{}", file.name),
            bytes: file.bytes,
            sha256: hex(&file.sha256),
        }));
        Ok(())
    }

    /// Everything in the folder of keys; the key store as it is at one moment. Never the
    /// key-encryption keys, wherever they lie.
    fn take_keys(&self, manifest: &mut Manifest, to: &Path) -> Result<(), OperationError> {
        let keys = self.store.sealing().copy()?;
        let take = |manifest: &mut Manifest| -> Result<(), FileError> {
            let beside = to.join("keys").join(".sealing.keys.part");
            files::make_private_dir(&to.join("keys"))?;
            files::replace(&beside, &keys)?;
            manifest.take(&beside, to, "keys/sealing.keys")?;
            std::fs::remove_file(&beside).map_err(failed("remove", &beside))?;
            let is_left_out = |path: &str| {
                path.starts_with("keys/sealing.keys")
                    || path.ends_with(".new")
                    || path.ends_with(".kek")
            };
            manifest.take_all(&self.environment.keys_dir(), to, "keys", &is_left_out)
        };
        take(manifest).map_err(OperationError::Incomplete)
    }
}

/// Makes `folder`, which must be new or empty.
fn empty(folder: &Path) -> Result<(), OperationError> {
    files::make_private_dir(folder).map_err(OperationError::Incomplete)?;
    let mut entries = std::fs::read_dir(folder)
        .map_err(failed("read", folder))
        .map_err(OperationError::Incomplete)?;
    if entries.next().is_some() {
        return Err(OperationError::NotEmpty { folder: folder.to_owned() });
    }
    Ok(())
}
