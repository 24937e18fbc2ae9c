//! The port through which bytes become durable.
//!
//! Small on purpose: positions, whole names in one flat folder tree, and an explicit sync. A
//! simulated disk can therefore lose, tear, reorder and fail exactly what a real one can.

use std::io;

/// Whether what is synced survives a loss of power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// A local file system on a block device.
    Durable,
    /// It does not, for the reason given (`tmpfs`, `overlay`, `nfs`, memory).
    Volatile(String),
}

/// A folder that somebody owns. Names are relative, `/` between parts, without `.` or `..`.
pub trait Disk: Send + Sync {
    /// Opens the file `name` for reading and writing, making it (and its folders) if `create`.
    ///
    /// # Errors
    /// What the file system says; `NotFound` where it is absent and `create` is false.
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn DiskFile>>;

    /// Names of the files directly in folder `dir`, sorted; empty where the folder is absent.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Renames `from` to `to`, replacing it. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the file system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file `name`. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the file system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names in folder `dir` durable.
    ///
    /// # Errors
    /// What the file system says; the caller must treat one as fatal.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Bytes that may still be written: `(free, whole volume)`.
    ///
    /// # Errors
    /// What the file system says.
    fn free_bytes(&self) -> io::Result<(u64, u64)>;

    /// Whether a sync here means anything.
    fn kind(&self) -> DiskKind;
}

/// One open file of a [`Disk`].
pub trait DiskFile: Send {
    /// Length in bytes.
    ///
    /// # Errors
    /// What the file system says.
    fn len(&self) -> io::Result<u64>;

    /// Reads up to `bytes.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. Not durable before [`DiskFile::sync`].
    ///
    /// # Errors
    /// What the file system says; some of the bytes may then have been written.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file `len_bytes` long and its blocks its own: written as zeroes, so that a later
    /// sync of them has no metadata to journal.
    ///
    /// # Errors
    /// What the file system says, a full disk among it.
    fn preallocate(&mut self, len_bytes: u64) -> io::Result<()>;

    /// Cuts or extends the file to `len_bytes`.
    ///
    /// # Errors
    /// What the file system says.
    fn set_len(&mut self, len_bytes: u64) -> io::Result<()>;

    /// Makes every earlier write durable (`fdatasync`).
    ///
    /// # Errors
    /// What the file system says. After one, what was written since the last sync is in doubt
    /// for good: a second sync that succeeds proves nothing.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether the file is empty.
    ///
    /// # Errors
    /// What the file system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
