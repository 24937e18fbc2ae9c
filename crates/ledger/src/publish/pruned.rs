//! Where the tree goes on from when the mark of what is settled is gone: at the log's beginning,
//! or, where that was pruned, behind it.

use bartizan_core::disk::Disk;

use super::{Edge, PublishError, doing, load_edge, tlog_name};
use crate::files::read_whole;
use crate::receipt::leaf_hash;
use crate::tlog::{Resource, TILE_WIDTH, bundle_entries};
use crate::wal::{WAL_DIR, parse_segment_name};

/// Longest bundle, in bytes.
const BUNDLE_BYTES_MAX: usize = 256 * (65_535 + 2);

/// The edge at the first record that is there, and the size that is settled for sure. Reads at
/// most 255 tiles a level and one bundle.
pub(super) fn beginning(disk: &dyn Disk) -> Result<(Edge, u64), PublishError> {
    let names = disk.list(WAL_DIR).map_err(doing("list", WAL_DIR))?;
    let first = names.iter().filter_map(|name| parse_segment_name(name)).min().unwrap_or(0);
    if first == 0 {
        return Ok((Edge::default(), 0));
    }
    let settled = first / TILE_WIDTH * TILE_WIDTH;
    let mut edge = load_edge(disk, settled)?;
    let n_shared = usize::try_from(first - settled).unwrap_or(0);
    if 0 < n_shared {
        // The first records that stay share a bundle with the last that are gone.
        let name = tlog_name(&Resource::Entries { index: settled / TILE_WIDTH, width: 256 });
        let bundle = read_whole(disk, &name, BUNDLE_BYTES_MAX).map_err(doing("read", &name))?;
        let bundle = bundle.unwrap_or_default();
        let Ok(entries) = bundle_entries(&bundle, 256) else {
            return Err(PublishError::Checkpoint { name, reason: "missing or cut" });
        };
        let mut full = Vec::new();
        for leaf in entries.into_iter().take(n_shared) {
            edge.push(leaf, leaf_hash(leaf), &mut full);
        }
    }
    Ok((edge, settled))
}
