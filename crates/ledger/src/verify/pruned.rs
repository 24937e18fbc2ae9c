//! A log whose beginning was pruned: what explains that, and the tree it goes on from.

use std::collections::BTreeMap;
use std::io;

use super::tree::Audit;
use super::{Damage, DamageKind};
use crate::files::read_whole;
use crate::prune::tombstone_of;
use crate::publish::tlog_name;
use crate::receipt::leaf_hash;
use crate::record::Act;
use crate::tlog::{Resource, TILE_WIDTH, bundle_entries};
use crate::wal::segment_name;

/// Longest bundle, in bytes.
const BUNDLE_BYTES_MAX: usize = 256 * (65_535 + 2);
/// Bytes of a full tile of hashes.
const TILE_BYTES: usize = 8_192;

/// Tombstones as the log tells them, and where its segments begin.
#[derive(Default)]
pub(super) struct Tombstones {
    starts: BTreeMap<u64, [u8; 32]>,
    told: Vec<(u64, [u8; 32])>,
}

impl Tombstones {
    /// A segment begins at record `first` behind `chain`.
    pub(super) fn begins(&mut self, first: u64, chain: [u8; 32]) {
        self.starts.insert(first, chain);
    }

    /// Takes in an act of the log.
    pub(super) fn note(&mut self, act: &Act<'_>) {
        self.told.extend(tombstone_of(act));
    }

    /// The damage of a log that begins at record `first`, unless a tombstone of its own explains
    /// it: one that says up to there, or further after a pruning that was interrupted, and binds
    /// the chain of a segment that is there.
    pub(super) fn unexplained(&self, first: u64) -> Option<Damage> {
        let explains =
            |told: &(u64, [u8; 32])| first <= told.0 && self.starts.get(&told.0) == Some(&told.1);
        if first == 0 || self.told.iter().any(explains) {
            return None;
        }
        let reason = format!(
            "records 0 to {} are missing, and no record says that they were pruned",
            first - 1
        );
        let (segment, kind) = (segment_name(first), DamageKind::Misplaced(reason));
        Some(Damage { segment, offset: 0, index: Some(0), kind })
    }
}

impl Audit<'_> {
    /// Grows the tree over the pruned records out of the hashes that the tiles keep of them, and
    /// compares every tile above and every root that is known on the way. 32 bytes read a record.
    pub(super) fn begin_at(&mut self, first: u64) -> io::Result<()> {
        for tile_idx in 0..first.div_ceil(TILE_WIDTH) {
            let resource = Resource::Tile { level: 0, index: tile_idx, width: 256 };
            let name = tlog_name(&resource);
            let tile = read_whole(self.disk(), &name, TILE_BYTES)?.unwrap_or_default();
            if tile.len() != TILE_BYTES {
                self.lost(&name, tile.len() as u64, tile_idx * TILE_WIDTH);
                return Ok(());
            }
            let hashes = tile.as_chunks::<32>().0;
            let left = (first - tile_idx * TILE_WIDTH).min(TILE_WIDTH) as usize;
            if left as u64 == TILE_WIDTH {
                for hash in hashes {
                    self.push_hash(*hash)?;
                }
                continue;
            }
            // The first records that stay share a bundle with the last that are gone.
            let name = tlog_name(&Resource::Entries { index: tile_idx, width: 256 });
            let bundle = read_whole(self.disk(), &name, BUNDLE_BYTES_MAX)?.unwrap_or_default();
            let entries = bundle_entries(&bundle, 256).unwrap_or_default();
            let mut entries = entries.into_iter();
            for (hash, index) in hashes.iter().take(left).zip(tile_idx * TILE_WIDTH..) {
                match entries.next() {
                    Some(leaf) if leaf_hash(leaf) == *hash => self.push(leaf, *hash)?,
                    Some(_) | None => {
                        self.lost(&name, 0, index);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}
