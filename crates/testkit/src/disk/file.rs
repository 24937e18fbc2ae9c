//! One file of the simulated disk.

use std::collections::BTreeMap;
use std::io;

use bartizan_core::disk::DiskFile;

use super::{Fault, Operation, SECTOR_BYTES, SimDisk, State};
use crate::entropy::SplitMix;

type Sector = [u8; SECTOR_BYTES];
/// Versions of an unsynced sector that are kept; older ones are forgotten.
const VERSIONS_MAX: usize = 4;

/// A file: what readers see, and how it differs from the platter.
#[derive(Default)]
pub(crate) struct Inode {
    /// What readers see.
    cache: Vec<u8>,
    /// By sector: what the platter holds, and every version written since, the last left out
    /// since it is in the cache. `None`: zeroes, from behind the platter's end.
    dirty: BTreeMap<usize, Vec<Sector>>,
    /// By sector: what the platter holds under a cache that will never be written again.
    lost: BTreeMap<usize, Sector>,
    /// Length on the platter.
    durable_len: usize,
}

impl Inode {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        let durable_len = bytes.len();
        Self { cache: bytes, durable_len, ..Self::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.cache.len() as u64
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.cache.clone()
    }

    /// Sector of the cache, zeroes behind its end.
    fn sector(&self, sector_idx: usize) -> Sector {
        let mut sector = [0; SECTOR_BYTES];
        let start = (sector_idx * SECTOR_BYTES).min(self.cache.len());
        let end = (start + SECTOR_BYTES).min(self.cache.len());
        sector[..end - start].copy_from_slice(&self.cache[start..end]);
        sector
    }

    fn put(&mut self, sector_idx: usize, sector: &Sector) {
        let start = (sector_idx * SECTOR_BYTES).min(self.cache.len());
        let end = (start + SECTOR_BYTES).min(self.cache.len());
        self.cache[start..end].copy_from_slice(&sector[..end - start]);
    }

    /// Keeps the present version of every sector of `start..end` before it is changed.
    fn touch(&mut self, start: usize, end: usize) {
        for sector_idx in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let present = self.sector(sector_idx);
            // What an earlier failed sync lost is on the platter still.
            let platter = self.lost.remove(&sector_idx);
            let versions = self.dirty.entry(sector_idx).or_default();
            versions.extend(platter);
            versions.push(present);
            if VERSIONS_MAX < versions.len() {
                versions.remove(1);
            }
        }
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.touch(offset, end);
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[offset..end].copy_from_slice(bytes);
    }

    fn resize(&mut self, len: usize) {
        if len < self.cache.len() {
            self.touch(len, self.cache.len());
        }
        self.cache.resize(len, 0);
    }

    fn sync(&mut self) {
        self.dirty.clear();
        self.durable_len = self.cache.len();
    }

    /// A sync that fails: some sectors reach the platter, the others never will.
    fn sync_in_part(&mut self, chance: &mut SplitMix) {
        for (sector_idx, versions) in std::mem::take(&mut self.dirty) {
            if let (true, Some(platter)) = (chance.one_in(2), versions.first()) {
                self.lost.insert(sector_idx, *platter);
            }
        }
        if chance.one_in(2) {
            self.durable_len = self.cache.len();
        }
    }

    /// What the platter holds becomes what readers see.
    pub(super) fn crash(&mut self, chance: &mut SplitMix) {
        let len = if chance.one_in(2) { self.cache.len() } else { self.durable_len };
        let full = self.cache.len().max(len);
        self.cache.resize(full, 0);
        for (sector_idx, sector) in std::mem::take(&mut self.lost) {
            self.put(sector_idx, &sector);
        }
        for (sector_idx, versions) in std::mem::take(&mut self.dirty) {
            let pick = chance.below(versions.len() as u64 + 1) as usize;
            if let Some(sector) = versions.get(pick) {
                self.put(sector_idx, sector);
            }
        }
        self.cache.resize(len, 0);
        self.durable_len = len;
    }

    pub(super) fn flip(&mut self, offset: u64, bit: u8) -> Option<()> {
        let at = usize::try_from(offset).ok()?;
        *self.cache.get_mut(at)? ^= 1 << (bit % 8);
        Some(())
    }
}

pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: usize,
    pub(super) epoch: u64,
}

impl SimFile {
    /// Runs `act` on the file, unless the power was lost since it was opened.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.locked();
        if state.epoch != self.epoch {
            return Err(io::Error::other("simulated loss of power"));
        }
        act(&mut state)
    }

    fn grow(state: &State, inode: usize, end: u64) -> io::Result<()> {
        let more = end.saturating_sub(state.inodes[inode].len());
        if state.free_bytes() < more { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.inodes[self.inode].len()))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state| {
            let cache = &state.inodes[self.inode].cache;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(cache.len());
            let n = bytes.len().min(cache.len() - start);
            bytes[..n].copy_from_slice(&cache[start..start + n]);
            Ok(n)
        })
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|state| {
            let fault = state.fault(Operation::Write);
            state.remember(bytes);
            // Memory is copied by words: where a write ends early, it ends between two.
            let part = state.chance.below(bytes.len() as u64) as usize & !7;
            let at = offset as usize;
            match fault {
                None => {}
                Some(Fault::CrashAtWrite) => {
                    state.inodes[self.inode].write(bytes, at);
                    state.crash();
                    return Err(io::Error::other("simulated loss of power"));
                }
                Some(Fault::WriteFull) => {
                    state.inodes[self.inode].write(&bytes[..part], at);
                    return Err(io::ErrorKind::StorageFull.into());
                }
                Some(Fault::WriteShort) => {
                    state.inodes[self.inode].write(&bytes[..part], at);
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Some(_) => return Err(io::Error::other("simulated error of a write")),
            }
            Self::grow(state, self.inode, offset + bytes.len() as u64)?;
            state.inodes[self.inode].write(bytes, at);
            Ok(())
        })
    }

    fn preallocate(&mut self, len_bytes: u64) -> io::Result<()> {
        self.with(|state| {
            if state.fault(Operation::Preallocate).is_some() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Self::grow(state, self.inode, len_bytes)?;
            state.inodes[self.inode].resize(len_bytes as usize);
            Ok(())
        })
    }

    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        self.with(|state| {
            Self::grow(state, self.inode, len_bytes)?;
            state.inodes[self.inode].resize(len_bytes as usize);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|state| match state.fault(Operation::Sync) {
            None => {
                state.inodes[self.inode].sync();
                Ok(())
            }
            Some(Fault::CrashAtSync) => {
                state.crash();
                Err(io::Error::other("simulated loss of power"))
            }
            Some(_) => {
                let State { inodes, chance, .. } = &mut *state;
                inodes[self.inode].sync_in_part(chance);
                Err(io::Error::other("simulated error of a sync"))
            }
        })
    }
}
