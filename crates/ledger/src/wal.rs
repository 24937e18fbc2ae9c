//! The bytes of a segment of the write-ahead log (`docs/formats/wal.md`).
//!
//! A segment is a header page, then frames without gaps, then zeroes. Everything here is pure,
//! takes foreign bytes, allocates nothing by their word, and never panics.
//!
//! Invariants
//! - W1: a frame starts at a multiple of 8 bytes, so its length and checksum never lie in two
//!   sectors;
//! - W2: every byte of a segment is covered: by the header's checksum, a frame's, or by having
//!   to be zero;
//! - W3: `chain[i] = SHA-256(0x03 || chain[i-1] || leaf_hash[i] || SHA-256(sealed[i]))`.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod frame;
mod header;
pub(crate) mod scan;

use sha2::{Digest as _, Sha256};

pub use frame::{FRAME_HEAD_BYTES, Frame, FrameFault, parse_frame};
pub(crate) use frame::{frame_bytes, push_frame};
pub use header::{HEADER_BYTES, HeaderFault, SegmentHeader};

/// Folder of the segments in a store.
pub const WAL_DIR: &str = "wal";
/// Chain value before the first record of a log.
pub const CHAIN_START: [u8; 32] = [0; 32];
/// Bytes that a disk writes as one: what a torn write is torn at.
pub(crate) const SECTOR_BYTES: u64 = 512;

/// Name of the segment whose first record is `first_index`.
pub fn segment_name(first_index: u64) -> String {
    format!("{WAL_DIR}/{first_index:016x}.wal")
}

/// First index that a file name in [`WAL_DIR`] stands for; `None` where it is no segment's.
pub fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    let canonical =
        digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if canonical { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// W3: the chain after a record.
pub fn next_chain(before: &[u8; 32], leaf_hash: &[u8; 32], sealed_hash: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([0x03]);
    hasher.update(before);
    hasher.update(leaf_hash);
    hasher.update(sealed_hash);
    hasher.finalize().into()
}

/// Little-endian number at `at`.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    bytes.get(at..end).and_then(|part| part.try_into().ok()).map(u32::from_le_bytes)
}

/// Little-endian number at `at`.
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    bytes.get(at..end).and_then(|part| part.try_into().ok()).map(u64::from_le_bytes)
}

/// 32 bytes at `at`.
fn hash_at(bytes: &[u8], at: usize) -> Option<[u8; 32]> {
    let end = at.checked_add(32)?;
    bytes.get(at..end).and_then(|part| part.try_into().ok())
}

#[cfg(test)]
mod tests;
