//! A disk that can do all the harm that a real one can, by seed.
//!
//! Each file has what is on the platter and, by sector, what was written since its last sync;
//! each name likewise. [`SimDisk::crash`] is a loss of power: of every unsynced sector one of the
//! versions ever written, or the old one, stays; of the unsynced names any subset, in order.
//!
//! Model, and its sources:
//! - sectors of 512 bytes are written whole or not at all, in any order (ATA and NVMe promise the
//!   first and nothing of the second);
//! - a sync of a file makes its bytes and length durable, not its name; POSIX promises no more;
//! - a sync that fails has written any subset, and the rest is never tried again although reads
//!   still show it (Linux marks such pages clean: Rebello et al., "Can Applications Recover from
//!   fsync Failures?", USENIX ATC 2020).

mod file;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_core::disk::{Disk, DiskFile, DiskKind};

use crate::entropy::SplitMix;
use file::{Inode, SimFile};

/// Bytes that the disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;

/// What goes wrong, once, when its turn comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write fails and nothing of it was done.
    WriteError,
    /// A write fails for want of room; part of it was done.
    WriteFull,
    /// A write fails half-way.
    WriteShort,
    /// A sync fails: part of what it should write is written, the rest is never tried again.
    SyncError,
    /// Making a file longer fails for want of room.
    PreallocateFull,
    /// A sync of a folder's names fails.
    SyncDirError,
    /// A rename fails.
    RenameError,
    /// The power goes before a write.
    CrashAtWrite,
    /// The power goes before a sync.
    CrashAtSync,
}

impl Fault {
    fn operation(self) -> Operation {
        match self {
            Self::WriteError | Self::WriteFull | Self::WriteShort | Self::CrashAtWrite => {
                Operation::Write
            }
            Self::SyncError | Self::CrashAtSync => Operation::Sync,
            Self::PreallocateFull => Operation::Preallocate,
            Self::SyncDirError => Operation::SyncDir,
            Self::RenameError => Operation::Rename,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Write,
    Sync,
    Preallocate,
    SyncDir,
    Rename,
}

/// An unsynced change of names.
#[derive(Clone, Debug)]
enum NameChange {
    Set { name: String, inode: usize },
    Move { from: String, to: String, inode: usize },
    Remove { name: String },
}

impl NameChange {
    fn concerns(&self, dir: &str) -> bool {
        let inside = |name: &str| folder(name) == dir;
        match self {
            Self::Set { name, .. } | Self::Remove { name } => inside(name),
            Self::Move { from, to, .. } => inside(from) || inside(to),
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Move { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

/// Folder of a name; empty for the root.
fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

pub(crate) struct State {
    pub(crate) inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    pub(crate) chance: SplitMix,
    faults: Vec<(u64, Fault)>,
    volume_bytes: u64,
    /// Counts crashes: a file opened before one is dead after it.
    pub(crate) epoch: u64,
    n_crashes: u64,
    kind: DiskKind,
    /// Every write there ever was, where that is remembered.
    history: Option<Vec<Vec<u8>>>,
}

impl State {
    /// Keeps what is about to be written.
    pub(crate) fn remember(&mut self, bytes: &[u8]) {
        if let Some(history) = &mut self.history {
            history.push(bytes.to_vec());
        }
    }

    /// The fault whose turn it is at this operation, if any.
    pub(crate) fn fault(&mut self, operation: Operation) -> Option<Fault> {
        let mut due = None;
        for (place, (left, fault)) in self.faults.iter_mut().enumerate() {
            if fault.operation() == operation {
                match left.checked_sub(1) {
                    None => due = due.or(Some(place)),
                    Some(fewer) => *left = fewer,
                }
            }
        }
        due.map(|place| self.faults.remove(place).1)
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        let used: u64 = self.names.values().map(|inode| self.inodes[*inode].len()).sum();
        self.volume_bytes.saturating_sub(used)
    }

    pub(crate) fn crash(&mut self) {
        self.epoch += 1;
        self.n_crashes += 1;
        self.faults.clear();
        for change in std::mem::take(&mut self.changes) {
            if self.chance.one_in(2) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            inode.crash(&mut self.chance);
        }
    }
}

/// A simulated disk; clones share it.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl SimDisk {
    /// An empty disk of 1 TiB whose chance is `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            chance: SplitMix::new(seed),
            faults: Vec::new(),
            volume_bytes: 1 << 40,
            epoch: 0,
            n_crashes: 0,
            kind: DiskKind::Durable,
            history: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A test that panicked elsewhere has failed already.
    pub(crate) fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the volume this large; what lies on it stays.
    pub fn set_volume_bytes(&self, bytes: u64) {
        self.locked().volume_bytes = bytes;
    }

    /// Lets the disk say that it forgets.
    pub fn set_kind(&self, kind: DiskKind) {
        self.locked().kind = kind;
    }

    /// Lets `fault` happen after `n_before` more of the operations that it concerns.
    pub fn fail_after(&self, n_before: u64, fault: Fault) {
        self.locked().faults.push((n_before, fault));
    }

    /// Takes back every fault whose turn has not come.
    pub fn clear_faults(&self) {
        self.locked().faults.clear();
    }

    /// A loss of power, now. Files that are open are dead; open them again.
    pub fn crash(&self) {
        self.locked().crash();
    }

    /// How often the power was lost.
    pub fn n_crashes(&self) -> u64 {
        self.locked().n_crashes
    }

    /// The process dies and the machine lives: files that are open are dead, what was written
    /// stays in the page cache.
    pub fn kill(&self) {
        let mut state = self.locked();
        state.epoch += 1;
        state.faults.clear();
    }

    /// Flips one bit of a file, on the platter and in the cache.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidInput` behind the file's end.
    pub fn flip(&self, name: &str, offset: u64, bit: u8) -> io::Result<()> {
        let mut state = self.locked();
        let inode = state.names.get(name).copied().ok_or_else(absent)?;
        state.inodes[inode].flip(offset, bit).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// A copy of a file as a reader sees it now.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.locked();
        let inode = state.names.get(name).copied().ok_or_else(absent)?;
        Ok(state.inodes[inode].bytes())
    }

    /// Keeps every byte that is written from now on, as a disk that moves its blocks does.
    pub fn remember_writes(&self) {
        self.locked().history.get_or_insert_default();
    }

    /// Every write since [`SimDisk::remember_writes`], oldest first, whatever became of it.
    pub fn history(&self) -> Vec<Vec<u8>> {
        self.locked().history.clone().unwrap_or_default()
    }

    /// Names of all files, as a reader sees them now.
    pub fn names(&self) -> Vec<String> {
        self.locked().names.keys().cloned().collect()
    }

    /// Puts a durable file in place of whatever has that name.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut state = self.locked();
        let inode = state.inodes.len();
        state.inodes.push(Inode::durable(bytes.to_vec()));
        state.names.insert(name.to_owned(), inode);
        state.durable_names.insert(name.to_owned(), inode);
    }

    fn change(state: &mut State, change: NameChange) {
        change.apply(&mut state.names);
        state.changes.push(change);
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.locked();
        let inode = match state.names.get(name) {
            Some(inode) => *inode,
            None if create => {
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                Self::change(&mut state, NameChange::Set { name: name.to_owned(), inode });
                inode
            }
            None => return Err(absent()),
        };
        let epoch = state.epoch;
        drop(state);
        Ok(Box::new(SimFile { disk: self.clone(), inode, epoch }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.locked();
        let inside = state.names.keys().filter(|name| folder(name) == dir);
        Ok(inside.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.locked();
        if state.fault(Operation::Rename).is_some() {
            return Err(io::Error::other("simulated error of a rename"));
        }
        let inode = state.names.get(from).copied().ok_or_else(absent)?;
        let (from, to) = (from.to_owned(), to.to_owned());
        Self::change(&mut state, NameChange::Move { from, to, inode });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.locked();
        if !state.names.contains_key(name) {
            return Err(absent());
        }
        Self::change(&mut state, NameChange::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.locked();
        if state.fault(Operation::SyncDir).is_some() {
            return Err(io::Error::other("simulated error of a folder's sync"));
        }
        let mut changes = std::mem::take(&mut state.changes);
        changes.retain(|change| {
            let synced = change.concerns(dir);
            if synced {
                change.apply(&mut state.durable_names);
            }
            !synced
        });
        state.changes = changes;
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<(u64, u64)> {
        let state = self.locked();
        Ok((state.free_bytes(), state.volume_bytes))
    }

    fn kind(&self) -> DiskKind {
        self.locked().kind.clone()
    }
}

#[cfg(test)]
mod tests;
