//! A folder of the local file system behind the port `Disk`, and its lock.
//!
//! Folders are made 0700 and files 0600: what lies here is for one owner. A sync is `fdatasync`;
//! whether it means anything is said by [`Disk::kind`], from the file system's own magic number.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bartizan_core::disk::{Disk, DiskFile, DiskKind};
use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

/// Bytes of zeroes written between two syncs while a file is preallocated: small enough not to
/// hold up the log's own syncs on the same device.
const ZEROES_BYTES: usize = 1 << 20;
/// Name of the file whose lock says who owns a store.
const LOCK_NAME: &str = "LOCK";

/// File systems on which a sync does not survive a loss of power, or says so without knowing
/// (`linux/magic.h`, and the file systems' own sources).
const VOLATILE: &[(u64, &str)] = &[
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlay"),
    (0x0000_6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0000_517b, "smb"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
];

/// A folder of the local file system.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
}

impl FileDisk {
    /// The folder `root`, made with its parents (mode 0700) where it is absent.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        make_dir(&root)?;
        Ok(Self { root })
    }

    /// The folder `root`, which must exist.
    ///
    /// # Errors
    /// `NotFound` or `NotADirectory`, or what the file system says.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        if std::fs::metadata(&root)?.is_dir() {
            Ok(Self { root })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the folder for this process, until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// [`LockError::Held`] with the holder's process id where another process has it.
    pub fn lock(&self) -> Result<StoreLock, LockError> {
        let path = self.root.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                return Err(LockError::Held { pid: text.trim().parse().ok() });
            }
            Err(error) => return Err(LockError::Io(error.into())),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(StoreLock { _file: file })
    }

    /// Path of `name`, which must stay inside the folder.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if name.split('/').all(plain) && !name.contains('\0') {
            Ok(self.root.join(name))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a name has plain parts between `/`"))
        }
    }
}

/// The lock of a store; dropping it gives the store back.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why a store could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process owns it.
    #[error("the store is in use by process {}", pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()))]
    Held {
        /// Its id, where it could be read.
        pid: Option<u32>,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock the store")]
    Io(#[from] io::Error),
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

impl Disk for FileDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path(name)?;
        if let (true, Some(parent)) = (create, path.parent()) {
            make_dir(parent)?;
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(create).truncate(false).mode(0o600);
        let file = match options.open(&path) {
            // Verbs that only read work on read-only media too.
            Err(error)
                if !create
                    && matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
            {
                File::open(&path)?
            }
            other => other?,
        };
        Ok(Box::new(LocalFile { file }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let path = if dir.is_empty() { self.root.clone() } else { self.path(dir)? };
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from)?, self.path(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name)?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let path = if dir.is_empty() { self.root.clone() } else { self.path(dir)? };
        File::open(&path)?.sync_all()?;
        // The folder's own name is part of what must survive.
        if dir.is_empty() { Ok(()) } else { File::open(&self.root)?.sync_all() }
    }

    fn free_bytes(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::statvfs(&self.root)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok((bytes(stat.f_bavail), bytes(stat.f_blocks)))
    }

    fn kind(&self) -> DiskKind {
        match rustix::fs::statfs(&self.root) {
            Ok(stat) => {
                // Some targets sign-extend the 32-bit magic.
                let magic = stat.f_type as u64 & 0xffff_ffff;
                let known = VOLATILE.iter().find(|(number, _)| *number == magic);
                known.map_or(DiskKind::Durable, |(_, name)| DiskKind::Volatile((*name).to_owned()))
            }
            Err(error) => DiskKind::Volatile(format!("unknown: {error}")),
        }
    }
}

struct LocalFile {
    file: File,
}

impl Drop for LocalFile {
    /// A segment that is full is rarely read again soon: its pages are given back, so that the
    /// next segment is written into memory that is warm and the page cache does not grow with the
    /// log. What is not synced stays; whether the system does it is its own affair.
    fn drop(&mut self) {
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }
}

impl DiskFile for LocalFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn preallocate(&mut self, len_bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len_bytes) {
            // Not every file system can; the zeroes below claim the blocks there.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        let zeroes = vec![0; ZEROES_BYTES.min(usize::try_from(len_bytes).unwrap_or(ZEROES_BYTES))];
        let mut at = 0;
        while at < len_bytes {
            let n = (len_bytes - at).min(zeroes.len() as u64);
            self.file.write_all_at(&zeroes[..n as usize], at)?;
            self.file.sync_data()?;
            at += n;
        }
        self.file.set_len(len_bytes)?;
        self.file.sync_all()
    }

    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests;
