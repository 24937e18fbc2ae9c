//! Making proofs (RFC 6962, sections 2.1.1 and 2.1.2) from tiles.

use std::collections::BTreeMap;

use super::tile::{Resource, TILE_WIDTH};
use super::tree::{Hash, empty_root, node_hash};

/// Where hashes of full subtrees come from.
pub trait Nodes {
    /// Why one cannot be had.
    type Error;

    /// Root of the full subtree of `2^level` entries at position `index` of its level.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Largest power of two below `n`, which is 2 or more.
fn split_of(n: u64) -> u64 {
    let top = n.saturating_sub(1);
    1_u64.checked_shl(63_u32.saturating_sub(top.leading_zeros())).unwrap_or(1)
}

/// Root of the entries `start..end`, where `start` is where a subtree of that many entries can
/// begin.
fn root_of<N: Nodes>(nodes: &mut N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let n = end.saturating_sub(start);
    if n == 0 {
        return Ok(empty_root());
    }
    if n.is_power_of_two() {
        let level = n.trailing_zeros();
        let index = start.checked_shr(level).unwrap_or(0);
        return nodes.node(u8::try_from(level).unwrap_or(0), index);
    }
    let middle = start.saturating_add(split_of(n));
    let left = root_of(nodes, start, middle)?;
    let right = root_of(nodes, middle, end)?;
    Ok(node_hash(&left, &right))
}

/// Root of the tree of the first `size` entries.
///
/// # Errors
/// Those of `nodes`.
pub fn subtree_root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Hash, N::Error> {
    root_of(nodes, 0, size)
}

/// Proof that entry `index` is in the tree of `size` entries; empty where it is not. Reads at
/// most two tiles a level of tiles.
///
/// # Errors
/// Those of `nodes`.
pub fn prove_inclusion<N: Nodes>(
    nodes: &mut N,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0_u64, size);
    while index < size && 1 < end.saturating_sub(start) {
        let middle = start.saturating_add(split_of(end.saturating_sub(start)));
        if index < middle {
            proof.push(root_of(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(root_of(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proof that the tree of `old_size` entries is the beginning of that of `size`; empty where
/// either is no proper tree for one, or both are one.
///
/// # Errors
/// Those of `nodes`.
pub fn prove_consistency<N: Nodes>(
    nodes: &mut N,
    old_size: u64,
    size: u64,
) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    if old_size == 0 || size <= old_size {
        return Ok(proof);
    }
    let (mut start, mut end) = (0_u64, size);
    // Until the older tree ends where a subtree of the newer one does.
    while end != old_size {
        let middle = start.saturating_add(split_of(end.saturating_sub(start)));
        if old_size <= middle {
            proof.push(root_of(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(root_of(nodes, start, middle)?);
            start = middle;
        }
    }
    if start != 0 {
        proof.push(root_of(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Nodes out of the tiles of a tree of a given size, each tile read once.
pub struct TileNodes<R> {
    size: u64,
    read: R,
    tiles: BTreeMap<(u8, u64), Vec<Hash>>,
}

/// Why a node cannot be read from tiles.
#[derive(Debug, thiserror::Error)]
pub enum TileNodeError<E> {
    /// The tile cannot be read.
    #[error("cannot read `{tile}`")]
    Read {
        /// Its name.
        tile: Resource,
        /// Why.
        source: E,
    },
    /// It has another length than its name says.
    #[error("`{tile}` has {found_bytes} bytes, its width says {expected_bytes}")]
    Length {
        /// Its name.
        tile: Resource,
        /// Its length in bytes.
        found_bytes: usize,
        /// What it should be.
        expected_bytes: usize,
    },
    /// The tree is too small to have this node.
    #[error("a tree of {size} entries has no such node")]
    Absent {
        /// Its entries.
        size: u64,
    },
}

impl<E, R: FnMut(&Resource) -> Result<Vec<u8>, E>> TileNodes<R> {
    /// Of the tree of `size` entries, whose tiles `read` gives.
    pub fn new(size: u64, read: R) -> Self {
        Self { size, read, tiles: BTreeMap::new() }
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], TileNodeError<E>> {
        if !self.tiles.contains_key(&(level, index)) {
            let absent = TileNodeError::Absent { size: self.size };
            let shift = u32::from(level).saturating_mul(8);
            let hashes = self.size.checked_shr(shift).unwrap_or(0);
            let left = hashes.saturating_sub(index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
            let width = u16::try_from(left).unwrap_or(0);
            if width == 0 {
                return Err(absent);
            }
            let tile = Resource::Tile { level, index, width };
            let bytes =
                (self.read)(&tile).map_err(|source| TileNodeError::Read { tile, source })?;
            let (hashes, rest) = bytes.as_chunks::<32>();
            if !rest.is_empty() || hashes.len() != usize::from(width) {
                let expected_bytes = usize::from(width).saturating_mul(32);
                let found_bytes = bytes.len();
                return Err(TileNodeError::Length { tile, found_bytes, expected_bytes });
            }
            self.tiles.insert((level, index), hashes.to_vec());
        }
        Ok(self.tiles.get(&(level, index)).map_or(&[], Vec::as_slice))
    }
}

impl<E, R: FnMut(&Resource) -> Result<Vec<u8>, E>> Nodes for TileNodes<R> {
    type Error = TileNodeError<E>;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let (tile_level, height) =
            (level.checked_div(8).unwrap_or(0), u32::from(level.checked_rem(8).unwrap_or(0)));
        let absent = TileNodeError::Absent { size: self.size };
        let first = index.checked_shl(height).unwrap_or(u64::MAX);
        let tile_idx = first.checked_div(TILE_WIDTH).unwrap_or(0);
        let from = usize::try_from(first.checked_rem(TILE_WIDTH).unwrap_or(0)).unwrap_or(0);
        let n = 1_usize.checked_shl(height).unwrap_or(1);
        let hashes = self.tile(tile_level, tile_idx)?;
        let part = hashes.get(from..from.saturating_add(n)).ok_or(absent)?;
        let mut row = part.to_vec();
        while 1 < row.len() {
            row =
                row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        row.first().copied().ok_or(TileNodeError::Absent { size: self.size })
    }
}
