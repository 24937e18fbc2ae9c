//! A backup: a folder of files and a manifest that says what must be in it.
//!
//! Invariants
//! - B1: a manifest is written last, and lists every file with its length and digest; a folder
//!   without one, or that differs from it, is no backup.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use bartizan_core::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files::{self, FileError, failed};

/// Name of the manifest in a backup's folder.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Longest manifest, in bytes: half a million files.
const MANIFEST_BYTES_MAX: u64 = 128 << 20;
/// Format of the manifest.
const FORMAT: u32 = 1;
/// Deepest folder below a backup's own.
const DEPTH_MAX: usize = 8;
/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Which half of a backup a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Half {
    /// Log, models, configuration.
    Store,
    /// The folder of keys, the key store in it wrapped.
    Keys,
}

/// What a backup's folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Format of the manifest.
    pub(crate) format: u32,
    /// Which half it is.
    pub(crate) half: Half,
    /// Id of the backup: the same in both halves.
    pub(crate) backup: String,
    /// Name of the log.
    pub(crate) origin: String,
    /// Records of the log that it holds, or that the log had.
    pub(crate) n_records: u64,
    /// When it was made, RFC 3339.
    pub(crate) made: String,
    /// Every file.
    pub(crate) files: Vec<Listed>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    /// Its path in the backup's folder, `/` between parts.
    pub(crate) path: String,
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub(crate) sha256: String,
}

/// Why a folder is no backup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// A file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// The manifest does not read.
    #[error("`{}` is no manifest of a backup that this release reads", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
    },
    /// It is the other half.
    #[error("`{}` is the other half of a backup: --from takes the store's, --keys-from the keys'", path.display())]
    OtherHalf {
        /// The folder.
        path: PathBuf,
    },
    /// B1.
    #[error("`{path}` in the backup is not what its manifest says: it was damaged or changed")]
    Differs {
        /// The file.
        path: String,
    },
}

impl Manifest {
    /// An empty one of this release.
    pub(crate) fn new(half: Half, backup: &str, origin: &str, n_records: u64, made: &str) -> Self {
        let (backup, origin, made) = (backup.to_owned(), origin.to_owned(), made.to_owned());
        Self { format: FORMAT, half, backup, origin, n_records, made, files: Vec::new() }
    }

    /// Writes it; see B1. Gives its digest.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn write(&mut self, folder: &Path) -> Result<[u8; 32], FileError> {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        // A manifest is plain text and numbers: it always has a JSON form.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        files::replace(&folder.join(MANIFEST), &bytes)?;
        Ok(Sha256::digest(&bytes).into())
    }

    /// Reads the manifest of `folder` and every file that it lists.
    ///
    /// # Errors
    /// [`BackupError`]: the first thing that is wrong.
    pub(crate) fn verified(folder: &Path, half: Half) -> Result<Self, BackupError> {
        let path = folder.join(MANIFEST);
        let bytes = files::read_bounded(&path, MANIFEST_BYTES_MAX)?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .ok()
            .filter(|manifest: &Self| manifest.format == FORMAT)
            .ok_or(BackupError::Manifest { path })?;
        if manifest.half != half {
            return Err(BackupError::OtherHalf { path: folder.to_owned() });
        }
        for listed in &manifest.files {
            let differs = || BackupError::Differs { path: listed.path.clone() };
            let path = inside(folder, &listed.path).ok_or_else(differs)?;
            let file = File::open(&path).map_err(|_| differs())?;
            let (bytes, sha256) = pour(file, &mut io::sink()).map_err(failed("read", &path))?;
            if (bytes, hex(&sha256)) != (listed.bytes, listed.sha256.clone()) {
                return Err(differs());
            }
        }
        Ok(manifest)
    }

    /// Copies every file of the backup in `from` into `to`, whose folders are made.
    ///
    /// # Errors
    /// [`BackupError`].
    pub(crate) fn copy_to(&self, from: &Path, to: &Path) -> Result<(), BackupError> {
        for listed in &self.files {
            let differs = || BackupError::Differs { path: listed.path.clone() };
            let source = inside(from, &listed.path).ok_or_else(differs)?;
            let target = inside(to, &listed.path).ok_or_else(differs)?;
            if copy(&source, &target)?.1 != listed.sha256 {
                return Err(differs());
            }
        }
        Ok(())
    }

    /// Copies the file `from` to `path` in the backup's folder, and lists it.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn take(&mut self, from: &Path, folder: &Path, path: &str) -> Result<(), FileError> {
        let (bytes, sha256) = copy(from, &folder.join(path))?;
        self.files.push(Listed { path: path.to_owned(), bytes, sha256 });
        Ok(())
    }

    /// Copies every plain file below the folder `from`, unless `is_left_out` says so of its
    /// path; nothing where the folder is absent.
    ///
    /// # Errors
    /// [`FileError`].
    pub(crate) fn take_all(
        &mut self,
        from: &Path,
        folder: &Path,
        path: &str,
        is_left_out: &dyn Fn(&str) -> bool,
    ) -> Result<(), FileError> {
        let mut folders = vec![(from.to_owned(), path.to_owned(), 0)];
        while let Some((from, path, depth)) = folders.pop() {
            let entries = match fs::read_dir(&from) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed("read", &from))?,
            };
            for entry in entries {
                let entry = entry.map_err(failed("read", &from))?;
                let name = format!("{path}/{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type().map_err(failed("read", &from))?;
                if is_left_out(&name) {
                    continue;
                }
                if kind.is_dir() && depth < DEPTH_MAX {
                    folders.push((entry.path(), name, depth + 1));
                } else if kind.is_file() {
                    self.take(&entry.path(), folder, &name)?;
                }
            }
        }
        Ok(())
    }
}

/// A path of a manifest, where it stays inside `folder`.
fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && path.components().next().is_some()).then(|| folder.join(path))
}

/// Copies a file, synced, for its owner only; gives length and digest.
fn copy(from: &Path, to: &Path) -> Result<(u64, String), FileError> {
    if let Some(parent) = to.parent() {
        files::make_private_dir(parent)?;
    }
    let source = File::open(from).map_err(failed("read", from))?;
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut target = options.open(to).map_err(failed("write", to))?;
    let copied = pour(source, &mut target).and_then(|copied| target.sync_all().map(|()| copied));
    let (bytes, sha256) = copied.map_err(failed("write", to))?;
    if let Some(parent) = to.parent() {
        files::sync_dir(parent)?;
    }
    Ok((bytes, hex(&sha256)))
}

fn pour(mut from: File, to: &mut dyn io::Write) -> io::Result<(u64, [u8; 32])> {
    let (mut hasher, mut n_bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        let n = from.read(&mut chunk)?;
        if n == 0 {
            return Ok((n_bytes, hasher.finalize().into()));
        }
        hasher.update(&chunk[..n]);
        to.write_all(&chunk[..n])?;
        n_bytes += n as u64;
    }
}
