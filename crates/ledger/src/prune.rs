//! Removing records that are too old: whole segments from the front, behind a tombstone.
//!
//! Invariants
//! - U1: nothing is removed before a durable record, the tombstone, says up to where and binds the
//!   chain there; it stands in the tree, so the log's signed checkpoint covers it;
//! - U2: what is gone is a beginning of the log at every moment: a loss of power leaves a log that
//!   opens;
//! - U3: hash tiles stay, so that what is left leads to the signed roots and an old receipt can
//!   still be held against the tree; nothing is removed that is not settled in them.

use std::io;

use bartizan_core::Digest;
use bartizan_core::disk::Disk;

use crate::files::read_whole;
use crate::publish::{SETTLED_NAME, parse_settled, tlog_name};
use crate::read::{ReadError, read_header};
use crate::record::{Act, ActKind, Outcome};
use crate::tlog::{Hash, Resource, TILE_WIDTH};
use crate::wal::{WAL_DIR, parse_segment_name, segment_name};

/// What a tombstone names as its resource.
const RESOURCE: &str = "records";
/// Bytes of a full tile of hashes.
const TILE_BYTES: usize = 8_192;

/// Segments whose records are all older than a time, and can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prunable {
    /// First record that is there.
    pub first: u64,
    /// First record that stays.
    pub end: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// When the first of them was begun, in nanoseconds since the Unix epoch.
    pub from_ns: u64,
    /// When the first that stays was begun: no record that goes is younger.
    pub to_ns: u64,
    chain: [u8; 32],
    segments: Vec<u64>,
}

/// The segments from the front all of whose records are older than `before_ns` since the Unix
/// epoch and settled in tiles; never the last. `None` where there are none. Reads every header.
///
/// # Errors
/// [`ReadError`].
pub fn prunable(disk: &dyn Disk, before_ns: u64) -> Result<Option<Prunable>, ReadError> {
    let io = |name: &str| {
        let name = name.to_owned();
        move |source| ReadError::Io { name, source }
    };
    let settled = read_whole(disk, SETTLED_NAME, 64).map_err(io(SETTLED_NAME))?;
    let settled = settled.and_then(|bytes| parse_settled(&bytes)).unwrap_or(0);
    let names = disk.list(WAL_DIR).map_err(io(WAL_DIR))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| parse_segment_name(name)).collect();
    firsts.sort_unstable();
    let mut found: Option<Prunable> = None;
    for pair in firsts.windows(2) {
        let &[first, next] = pair else { continue };
        let header = read_header(disk, &segment_name(first))?;
        let after = read_header(disk, &segment_name(next))?;
        if before_ns < after.opened_ns || settled < next {
            break;
        }
        let found = found.get_or_insert_with(|| Prunable {
            first,
            end: first,
            bytes: 0,
            from_ns: header.opened_ns,
            to_ns: 0,
            chain: [0; 32],
            segments: Vec::new(),
        });
        (found.end, found.to_ns, found.chain) = (next, after.opened_ns, after.chain);
        found.bytes = found.bytes.saturating_add(header.segment_bytes);
        found.segments.push(first);
    }
    Ok(found)
}

impl Prunable {
    /// U1: the record that must be durable before [`Prunable::remove`].
    pub fn tombstone(&self) -> Act<'static> {
        let mut act = Act::new(ActKind::Pruned);
        act.resource = Some(RESOURCE.into());
        act.count = Some(self.end);
        act.bytes = Some(self.bytes);
        (act.from_ns, act.to_ns) = (Some(self.from_ns), Some(self.to_ns));
        act.digests.snapshot = Some(Digest(self.chain));
        act
    }

    /// U2: removes the segments, one by one from the front, each durably; then the bundles of
    /// records that are gone. One sync of a folder a segment.
    ///
    /// # Errors
    /// What the disk says; the rest goes with the next pruning.
    pub fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        for first in &self.segments {
            disk.remove(&segment_name(*first))?;
            disk.sync_dir(WAL_DIR)?;
        }
        for index in self.first / TILE_WIDTH..self.end / TILE_WIDTH {
            match disk.remove(&tlog_name(&Resource::Entries { index, width: 256 })) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// First record that stays and the chain before it, where `act` is a tombstone.
pub(crate) fn tombstone_of(act: &Act<'_>) -> Option<(u64, [u8; 32])> {
    let is_one = act.kind == ActKind::Pruned
        && act.outcome == Outcome::Done
        && act.resource.as_deref() == Some(RESOURCE);
    Some((act.count?, act.digests.snapshot?.0)).filter(|_| is_one)
}

/// The leaf hash of record `index` as the tiles keep it, whether its record is there or was
/// pruned; `None` where its tile is not full or not there. Reads one tile.
///
/// # Errors
/// What the disk says.
pub fn kept_leaf_hash(disk: &dyn Disk, index: u64) -> io::Result<Option<Hash>> {
    let tile = Resource::Tile { level: 0, index: index / TILE_WIDTH, width: 256 };
    let Some(bytes) = read_whole(disk, &tlog_name(&tile), TILE_BYTES)? else { return Ok(None) };
    let at = usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX);
    Ok(bytes.as_chunks::<32>().0.get(at).copied())
}

#[cfg(test)]
mod tests;
