//! The few ways in which files of an environment are read and written.
//!
//! Invariants
//! - P1: secrets are written with mode 0600 into folders of mode 0700, and are not read where
//!   anybody but their owner could read or write them;
//! - P2: a file is replaced whole or not at all: written beside, synced, renamed, folder synced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Mode bits of group and world.
const OTHERS: u32 = 0o077;

/// Why a file of an environment could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system says no.
    #[error("cannot {act} `{}`", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is longer than its bound.
    #[error("`{}` is longer than {limit_bytes} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        limit_bytes: u64,
    },
    /// It is not a plain file.
    #[error("`{}` is not a plain file", path.display())]
    NotPlain {
        /// What is no file.
        path: PathBuf,
    },
    /// P1 is broken.
    #[error(
        "`{}` holds a secret and has mode {mode:04o}: others may read it; run `chmod {wanted:o} {}`",
        path.display(),
        path.display()
    )]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// P1 is broken by its owner.
    #[error("`{}` belongs to uid {found}, this process runs as uid {own}; run `chown {own} {}`", path.display(), path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        found: u32,
        /// Who we are.
        own: u32,
    },
}

impl FileError {
    /// Whether the file is just not there.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Turns an error of the system into a [`FileError`] about `path`.
pub(crate) fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { act, path, source }
}

/// The bytes of a plain file of at most `limit_bytes`.
///
/// # Errors
/// [`FileError`]; a longer file is not read at all.
pub(crate) fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, FileError> {
    let file = open_plain(path)?;
    let meta = file.metadata().map_err(failed("read", path))?;
    let too_long = || FileError::TooLong { path: path.to_owned(), limit_bytes };
    if limit_bytes < meta.len() {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if limit_bytes < bytes.len() as u64 { Err(too_long()) } else { Ok(bytes) }
}

/// The first `n_bytes` of a plain file, or all of a shorter one.
///
/// # Errors
/// [`FileError`].
pub(crate) fn read_head(path: &Path, n_bytes: u64) -> Result<Vec<u8>, FileError> {
    let file = open_plain(path)?;
    let mut bytes = Vec::new();
    file.take(n_bytes).read_to_end(&mut bytes).map_err(failed("read", path))?;
    Ok(bytes)
}

/// Opens a file that is plain; a pipe is not even opened, since that would wait for its writer.
fn open_plain(path: &Path) -> Result<File, FileError> {
    let meta = fs::metadata(path).map_err(failed("read", path))?;
    if !meta.is_file() {
        return Err(FileError::NotPlain { path: path.to_owned() });
    }
    File::open(path).map_err(failed("read", path))
}

/// The bytes of a secret; see P1.
///
/// # Errors
/// [`FileError`], among them the `chmod` to run where others could read it.
pub(crate) fn read_private(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, FileError> {
    check_private(path, 0o600)?;
    read_bounded(path, limit_bytes)
}

/// Checks that only its owner, who is us or root, can touch `path`; see P1.
///
/// # Errors
/// [`FileError`] with the command to run.
pub(crate) fn check_private(path: &Path, wanted: u32) -> Result<(), FileError> {
    let meta = fs::metadata(path).map_err(failed("read", path))?;
    let mode = meta.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode, wanted });
    }
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own && meta.uid() != 0 {
        return Err(FileError::Foreign { path: path.to_owned(), found: meta.uid(), own });
    }
    Ok(())
}

/// Makes `path` and what is missing above it, for its owner only.
///
/// # Errors
/// [`FileError`].
pub(crate) fn make_private_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}

/// Replaces `path` by `bytes`, for its owner only; see P1 and P2. Two syncs.
///
/// # Errors
/// [`FileError`]; `path` is then as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = write_new(&beside, bytes)
        .and_then(|()| fs::rename(&beside, path).map_err(failed("write", path)));
    if written.is_err() {
        // Best effort: what could not be written may not be removable either.
        let _left_over = fs::remove_file(&beside);
    }
    written?;
    sync_dir(folder)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(failed("replace", path)(error));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("write", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", path))
}

/// Makes the names in `folder` durable.
///
/// # Errors
/// [`FileError`].
pub(crate) fn sync_dir(folder: &Path) -> Result<(), FileError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(failed("sync", folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::TempDir;

    /// P1: each mode from both sides.
    #[test]
    fn a_secret_that_others_could_read_is_refused_with_the_command_to_run() {
        let dir = TempDir::new();
        let path = dir.path().join("secret");
        replace(&path, b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        for (mode, accepted) in
            [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_private(&path, 10);
            assert_eq!(read.is_ok(), accepted, "{mode:o}");
            if let Err(error) = read {
                assert!(error.to_string().contains("run `chmod 600 "), "{error}");
            }
        }
    }

    /// P2: nothing is left beside, and the bound holds from both sides.
    #[test]
    fn a_file_is_replaced_whole_and_read_within_its_bound() {
        let dir = TempDir::new();
        let path = dir.path().join("a");
        replace(&path, b"first, longer").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(read_bounded(&path, 6).unwrap(), b"second");
        assert!(matches!(read_bounded(&path, 5), Err(FileError::TooLong { limit_bytes: 5, .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("no/such/folder"), b"").is_err());
        assert!(read_bounded(&dir.path().join("b"), 5).unwrap_err().is_absent());
        assert!(matches!(read_bounded(dir.path(), 5), Err(FileError::NotPlain { .. })));
    }
}
