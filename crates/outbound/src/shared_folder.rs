//! What replicas share about access, as a file in a folder that all of them see.
//!
//! Invariants
//! - S1: the list is replaced whole, under a lock, and synced before the change is acknowledged;
//! - S2: a folder without the list is out of reach, not empty: a mount that is missing must not
//!   read as "nobody is revoked". [`SharedFolder::prepare`] makes the first list, on purpose.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bartizan_access::{
    REVOCATIONS_BYTES_MAX, Revocation, RevocationError, Revocations, SharedError, SharedState,
};

/// Name of the list in the folder.
const LIST: &str = "revocations.json";
/// Name of the file that is locked while the list is replaced.
const LOCK: &str = "revocations.lock";

/// The adapter of [`SharedState`] for a folder; see the module invariants.
#[derive(Clone, Debug)]
pub struct SharedFolder {
    folder: PathBuf,
}

impl SharedFolder {
    /// The list in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Makes an empty list where there is none yet. The folder itself must be there.
    ///
    /// # Errors
    /// [`SharedError`].
    pub fn prepare(&self) -> Result<(), SharedError> {
        let _lock = self.lock()?;
        if !self.list().exists() {
            self.replace(&Revocations::default())?;
        }
        Ok(())
    }

    fn list(&self) -> PathBuf {
        self.folder.join(LIST)
    }

    /// Held for as long as the file lives.
    fn lock(&self) -> Result<File, SharedError> {
        let open = || {
            let mut options = OpenOptions::new();
            let file = options.create(true).append(true).open(self.folder.join(LOCK))?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(SharedError::Unreachable)
    }

    fn replace(&self, list: &Revocations) -> Result<(), SharedError> {
        let beside = self.folder.join(format!(".{LIST}.{}.new", std::process::id()));
        let write = || -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(&list.to_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, self.list())?;
            sync_dir(&self.folder)
        };
        write().map_err(SharedError::Unreachable)
    }
}

fn sync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl SharedState for SharedFolder {
    fn read(&self) -> Result<Revocations, SharedError> {
        let limit = u64::try_from(REVOCATIONS_BYTES_MAX).unwrap_or(u64::MAX);
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let file = File::open(self.list())?;
            file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(SharedError::Unreachable)?;
        Ok(Revocations::from_bytes(&bytes)?)
    }

    fn revoke(&self, revocation: Revocation, now_s: u64) -> Result<Revocations, SharedError> {
        let _lock = self.lock()?;
        let next = self.read()?.with(revocation, now_s).map_err(|error: RevocationError| error)?;
        self.replace(&next)?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use bartizan_access::testing::shared_state_keeps_its_promise;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("bartizan-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// S1.
    #[test]
    fn a_folder_keeps_the_promise_of_shared_state() {
        let folder = folder("shared");
        let (one, other) = (SharedFolder::new(&folder), SharedFolder::new(&folder));
        one.prepare().unwrap();
        shared_state_keeps_its_promise(&one, &other);
        other.prepare().unwrap();
        assert_ne!(one.read().unwrap().iter().count(), 0, "a list was made anew");
        fs::remove_dir_all(folder).unwrap();
    }

    /// S2: neither an empty folder, nor none, nor a damaged list reads as "nobody".
    #[test]
    fn what_is_not_there_is_out_of_reach() {
        let folder = folder("unshared");
        let shared = SharedFolder::new(&folder);
        assert!(matches!(shared.read(), Err(SharedError::Unreachable(_))));
        shared.prepare().unwrap();
        assert_eq!(shared.read().unwrap().sequence(), 0);
        fs::write(folder.join(LIST), b"").unwrap();
        assert!(matches!(shared.read(), Err(SharedError::List(_))));
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(shared.read(), Err(SharedError::Unreachable(_))));
        assert!(shared.prepare().is_err());
    }
}
