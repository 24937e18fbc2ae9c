//! The Merkle tree of RFC 6962, section 2.1, grown leaf by leaf, and the check of its proofs.

use sha2::{Digest as _, Sha256};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Most hashes of a proof in a tree whose size fits 64 bits.
pub const PROOF_HASHES_MAX: usize = 128;

/// Why a proof does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The place lies outside the tree.
    #[error("index {index} is not in a tree of {size} entries")]
    Index {
        /// The place.
        index: u64,
        /// Entries of the tree.
        size: u64,
    },
    /// The sizes contradict each other, or the proof is of an empty tree, which proves nothing.
    #[error("a tree of {old_size} entries is no proper beginning of one of {size}")]
    Sizes {
        /// Entries of the older tree.
        old_size: u64,
        /// Entries of the newer one.
        size: u64,
    },
    /// It has more or fewer hashes than its place needs.
    #[error("the proof has {found} hashes, its place needs {needed}")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it must have.
        needed: usize,
    },
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Hash of two subtrees: SHA-256 of 0x01 and both.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x01]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// Root of the tree without entries: SHA-256 of nothing.
pub(crate) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The right edge of a growing tree: what its root needs, and no more. At most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the full subtrees that make up the tree, the largest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a tree of `size` entries whose full subtrees have these roots, the largest first;
    /// `None` where their number is another.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        let fits = u32::try_from(peaks.len()).is_ok_and(|n| n == size.count_ones());
        fits.then_some(Self { size, peaks })
    }

    /// Entries of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends an entry by its leaf hash. About 2 hashes, amortised.
    pub fn push(&mut self, leaf_hash: Hash) {
        let mut hash = leaf_hash;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// Root of the tree.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Checks that the entry with `leaf_hash` stands at `index` of the tree of `size` entries with
/// `root` (RFC 9162, section 2.1.3.2). At most 64 hashes.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf_hash: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if size <= index {
        return Err(ProofError::Index { index, size });
    }
    let (inner, border) = split(index, size);
    check_len(proof.len(), inner.saturating_add(border))?;
    let (low, high) = proof.split_at_checked(inner).unwrap_or((proof, &[]));
    let hash = chain_inner(*leaf_hash, low, index);
    if chain_left(hash, high) == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `old_size` entries with `old_root` is the beginning of the tree of
/// `size` entries with `root` (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// [`ProofError`]; an older tree without entries is one, since it proves nothing.
pub fn verify_consistency(
    old_size: u64,
    size: u64,
    proof: &[Hash],
    old_root: &Hash,
    root: &Hash,
) -> Result<(), ProofError> {
    if size < old_size || (old_size == 0 && size != 0) {
        return Err(ProofError::Sizes { old_size, size });
    }
    if old_size == size {
        check_len(proof.len(), 0)?;
        return if old_root == root { Ok(()) } else { Err(ProofError::Root) };
    }
    let last = old_size.saturating_sub(1);
    let (inner, border) = split(last, size);
    // Full subtrees on the right edge of the older tree are its own business.
    let shift = usize::try_from(old_size.trailing_zeros()).unwrap_or(0);
    let inner = inner.saturating_sub(shift);
    let is_power = old_size.is_power_of_two();
    let begins = usize::from(!is_power);
    check_len(proof.len(), begins.saturating_add(inner).saturating_add(border))?;
    let (seed, rest) = match proof.split_first() {
        Some((seed, rest)) if !is_power => (seed, rest),
        Some(_) | None => (old_root, proof),
    };
    let mask = last.checked_shr(old_size.trailing_zeros()).unwrap_or(0);
    let (low, high) = rest.split_at_checked(inner).unwrap_or((rest, &[]));
    let old = chain_left(chain_inner_right(*seed, low, mask), high);
    let new = chain_left(chain_inner(*seed, low, mask), high);
    if old == *old_root && new == *root { Ok(()) } else { Err(ProofError::Root) }
}

fn check_len(found: usize, needed: usize) -> Result<(), ProofError> {
    if found == needed { Ok(()) } else { Err(ProofError::Length { found, needed }) }
}

/// Hashes of an inclusion proof below the place where the way to `index` leaves the right edge
/// of the tree, and above it.
fn split(index: u64, size: u64) -> (usize, usize) {
    let last = size.saturating_sub(1);
    let inner = u64::BITS.saturating_sub((index ^ last).leading_zeros());
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    (usize::try_from(inner).unwrap_or(0), usize::try_from(border).unwrap_or(0))
}

fn chain_inner(seed: Hash, proof: &[Hash], index: u64) -> Hash {
    proof.iter().zip(0_u32..).fold(seed, |hash, (sibling, level)| {
        match index.checked_shr(level).unwrap_or(0) & 1 {
            0 => node_hash(&hash, sibling),
            _ => node_hash(sibling, &hash),
        }
    })
}

/// Like [`chain_inner`], with the siblings on the left alone: what the older tree had.
fn chain_inner_right(seed: Hash, proof: &[Hash], index: u64) -> Hash {
    proof.iter().zip(0_u32..).fold(seed, |hash, (sibling, level)| {
        match index.checked_shr(level).unwrap_or(0) & 1 {
            0 => hash,
            _ => node_hash(sibling, &hash),
        }
    })
}

fn chain_left(seed: Hash, proof: &[Hash]) -> Hash {
    proof.iter().fold(seed, |hash, sibling| node_hash(sibling, &hash))
}
