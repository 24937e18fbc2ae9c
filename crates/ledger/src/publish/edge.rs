//! The growing right edge of the tree, tile by tile.

use sha2::{Digest as _, Sha256};

use crate::tlog::{Hash, Resource, TILE_WIDTH, node_hash, push_bundle_entry};

/// What became full and can be written.
pub(crate) struct Full {
    pub(crate) resource: Resource,
    pub(crate) bytes: Vec<u8>,
}

impl Full {
    /// Bytes of its first `width` hashes or entries; `None` where there are fewer, or none.
    pub(crate) fn beginning(&self, width: Option<u16>) -> Option<&[u8]> {
        let width = width.filter(|width| 0 < *width && u64::from(*width) < TILE_WIDTH)?;
        let end = match self.resource {
            Resource::Tile { .. } => usize::from(width) * 32,
            Resource::Entries { .. } | Resource::Checkpoint => {
                let mut at = 0;
                for _ in 0..width {
                    let len = self.bytes.get(at..at + 2)?;
                    at += 2 + usize::from(u16::from_be_bytes([len[0], len[1]]));
                }
                at
            }
        };
        self.bytes.get(..end)
    }
}

/// Hashes of the tiles that are not full yet, level by level, and the bundle that is not.
#[derive(Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    /// At most 255 hashes a level.
    levels: Vec<Vec<Hash>>,
    bundle: Vec<u8>,
}

/// Root of one full subtree out of its `2^n` hashes.
pub(crate) fn fold(mut row: Vec<Hash>) -> Option<Hash> {
    while 1 < row.len() {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}

impl Edge {
    /// The edge at `size` entries, a multiple of [`TILE_WIDTH`], given its unfinished levels.
    pub(crate) fn at(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels, bundle: Vec::new() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry; `full` gets what it completes, lower levels first, the bundle last.
    pub(crate) fn push(&mut self, leaf: &[u8], leaf_hash: Hash, full: &mut Vec<Full>) {
        // `RECORD_BYTES_MAX` is what a bundle can hold.
        let fits = push_bundle_entry(&mut self.bundle, leaf);
        debug_assert!(fits, "R1: a record fits a bundle");
        self.push_hash(leaf_hash, full);
        if self.size.is_multiple_of(TILE_WIDTH) {
            let index = self.size / TILE_WIDTH - 1;
            let resource = Resource::Entries { index, width: 256 };
            full.push(Full { resource, bytes: std::mem::take(&mut self.bundle) });
        }
    }

    /// Appends an entry of which only the hash is known, as [`Edge::push`] does; bundles lack it.
    pub(crate) fn push_hash(&mut self, leaf_hash: Hash, full: &mut Vec<Full>) {
        let (mut hash, mut level) = (leaf_hash, 0_usize);
        let index = self.size;
        self.size += 1;
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            if row.len() as u64 != TILE_WIDTH {
                break;
            }
            let row = std::mem::take(row);
            let shift = 8 * (level as u32 + 1);
            let resource = Resource::Tile { level: level as u8, index: index >> shift, width: 256 };
            full.push(Full { resource, bytes: row.as_flattened().to_vec() });
            let Some(root) = fold(row) else { break };
            (hash, level) = (root, level + 1);
        }
    }

    /// The partial tiles and the partial bundle of this size.
    pub(crate) fn partial(&self) -> Vec<Full> {
        let mut partial = Vec::new();
        for (row, level) in self.levels.iter().zip(0_u8..) {
            if row.is_empty() {
                continue;
            }
            let index = self.size >> (8 * (u32::from(level) + 1));
            let resource = Resource::Tile { level, index, width: row.len() as u16 };
            partial.push(Full { resource, bytes: row.as_flattened().to_vec() });
        }
        let width = (self.size % TILE_WIDTH) as u16;
        if width != 0 {
            let resource = Resource::Entries { index: self.size / TILE_WIDTH, width };
            partial.push(Full { resource, bytes: self.bundle.clone() });
        }
        partial
    }

    /// Root of the tree. At most 255 hashes a level.
    pub(crate) fn root(&self) -> Hash {
        let mut right: Option<Hash> = None;
        for row in &self.levels {
            let mut rest: &[Hash] = row;
            // Full subtrees of this row from the right, the smallest first.
            while !rest.is_empty() {
                let n = 1_usize << rest.len().trailing_zeros();
                let (left, last) = rest.split_at(rest.len() - n);
                let peak = fold(last.to_vec());
                right = match (peak, right) {
                    (Some(peak), Some(right)) => Some(node_hash(&peak, &right)),
                    (peak, right) => peak.or(right),
                };
                rest = left;
            }
        }
        right.unwrap_or_else(|| Sha256::digest([]).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::leaf_hash;
    use crate::tlog::{Frontier, tiles_of};

    /// The root is that of the plain tree, and what is written is what `tiles_of` names.
    #[test]
    fn the_edge_has_the_trees_root_and_writes_its_tiles() {
        let (mut edge, mut frontier, mut full) = (Edge::default(), Frontier::new(), Vec::new());
        for n in 0..66_000_u64 {
            let leaf = n.to_le_bytes();
            edge.push(&leaf, leaf_hash(&leaf), &mut full);
            frontier.push(leaf_hash(&leaf));
            if n < 600 || n % 997 == 0 || 65_530 < n && n < 65_540 {
                assert_eq!(edge.root(), frontier.root(), "size {}", n + 1);
            }
        }
        let tiles = |all: &[Full]| -> Vec<Resource> {
            let tile = |full: &&Full| matches!(full.resource, Resource::Tile { .. });
            all.iter().filter(tile).map(|full| full.resource).collect()
        };
        let mut written = [tiles(&full), tiles(&edge.partial())].concat();
        let mut expected = tiles_of(0, 66_000);
        written.sort();
        expected.sort();
        assert_eq!(written, expected);
        let n_bundles = full.len() - tiles(&full).len();
        assert_eq!((n_bundles, edge.size()), (257, 66_000));
    }
}
