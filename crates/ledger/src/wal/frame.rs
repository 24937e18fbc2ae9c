//! One frame: a record and what is sealed beside it.

use bartizan_core::limits::RECORD_BYTES_MAX;

use super::{hash_at, u32_at, u64_at};
use crate::entry::{Entry, EntryClass, SEALED_BYTES_MAX};

/// Bytes of a frame before its leaf.
pub const FRAME_HEAD_BYTES: usize = 56;
/// Bytes before what `len` and the checksum cover.
const PREFIX_BYTES: usize = 8;
/// Bytes that the checksum covers before the leaf.
const COVERED_HEAD_BYTES: usize = FRAME_HEAD_BYTES - PREFIX_BYTES;
/// Last byte that `len` counts: never zero, so that a write cut short anywhere leaves a zero.
const END_MARK: u8 = 0x5a;
/// Shortest that `len` may say.
const LEN_MIN: usize = COVERED_HEAD_BYTES + 1;
/// Longest that `len` may say.
const LEN_MAX: usize = LEN_MIN + RECORD_BYTES_MAX + SEALED_BYTES_MAX;
/// W1.
const ALIGN_BYTES: usize = 8;

/// A frame whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Position of its record in the log.
    pub index: u64,
    /// Position in the group that was written and synced as one.
    pub group_pos: u32,
    /// Quota of its entry.
    pub class: EntryClass,
    /// Chain after it.
    pub chain: [u8; 32],
    /// The record's bytes.
    pub leaf: &'a [u8],
    /// The sealed bytes; may be empty.
    pub sealed: &'a [u8],
    /// Bytes of the whole frame, padding included.
    pub frame_bytes: usize,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// Its length is none that a frame can have.
    #[error("frame length is not possible")]
    Length,
    /// It ends behind the end of the segment.
    #[error("frame ends behind the end of the segment")]
    Cut,
    /// Its checksum is wrong.
    #[error("frame checksum is wrong")]
    Checksum,
    /// The checksum is right and the content is not.
    #[error("frame content is not valid")]
    Content,
    /// A byte of its padding is not zero.
    #[error("a padding byte is not zero")]
    Padding,
    /// Its index is not the next one.
    #[error("frame is not the next of the log")]
    Index,
    /// Its chain value does not follow from the one before.
    #[error("chain value does not follow from the record before")]
    Chain,
    /// Zeroes stand where a frame must be.
    #[error("frame is missing")]
    Missing,
    /// Bytes stand where zeroes must be.
    #[error("bytes behind the last frame are not zero")]
    Trailing,
}

/// Bytes of the frame of an entry with `leaf_bytes + sealed_bytes` bytes, padding included.
pub(crate) fn frame_bytes(entry_bytes: usize) -> usize {
    FRAME_HEAD_BYTES.saturating_add(entry_bytes).saturating_add(1).next_multiple_of(ALIGN_BYTES)
}

/// Appends the frame of `entry` to `out`, whose length is a multiple of 8 (W1).
pub(crate) fn push_frame(
    out: &mut Vec<u8>,
    entry: &Entry,
    index: u64,
    group_pos: u32,
    chain: &[u8; 32],
) {
    let start = out.len();
    let len = LEN_MIN.saturating_add(entry.len_bytes());
    let leaf_len = u16::try_from(entry.leaf().len()).unwrap_or(u16::MAX);
    out.reserve(frame_bytes(entry.len_bytes()));
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(&group_pos.to_le_bytes());
    out.extend_from_slice(&leaf_len.to_le_bytes());
    out.extend_from_slice(&[entry.class().code(), 0]);
    out.extend_from_slice(chain);
    out.extend_from_slice(entry.leaf());
    out.extend_from_slice(entry.sealed());
    out.push(END_MARK);
    let covered = start.saturating_add(PREFIX_BYTES);
    let crc = crc32c::crc32c(out.get(covered..).unwrap_or_default());
    if let Some(slot) = out.get_mut(start.saturating_add(4)..covered) {
        slot.copy_from_slice(&crc.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(ALIGN_BYTES), 0);
}

/// Bytes of the whole frame that `head` begins, padding included; `None` where zeroes say that
/// there is none.
///
/// # Errors
/// [`FrameFault::Length`].
pub(super) fn frame_extent(head: &[u8]) -> Result<Option<usize>, FrameFault> {
    let (len, crc) = match (u32_at(head, 0), u32_at(head, 4)) {
        (Some(len), Some(crc)) => (len, crc),
        _ => return Err(FrameFault::Cut),
    };
    if len == 0 && crc == 0 {
        return Ok(None);
    }
    match usize::try_from(len) {
        Ok(len) if (LEN_MIN..=LEN_MAX).contains(&len) => {
            Ok(Some(len.saturating_add(PREFIX_BYTES).next_multiple_of(ALIGN_BYTES)))
        }
        _ => Err(FrameFault::Length),
    }
}

/// Reads the frame at the start of `bytes`; `None` where its length and checksum are zero: the
/// end of what was written.
///
/// # Errors
/// [`FrameFault`]; index and chain are the caller's to check.
pub fn parse_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, FrameFault> {
    let Some(extent) = frame_extent(bytes)? else { return Ok(None) };
    let whole = bytes.get(..extent).ok_or(FrameFault::Cut)?;
    let len = u32_at(whole, 0).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
    let end = len.saturating_add(PREFIX_BYTES);
    let (covered, padding) = match (whole.get(PREFIX_BYTES..end), whole.get(end..)) {
        (Some(covered), Some(padding)) => (covered, padding),
        _ => return Err(FrameFault::Length),
    };
    if Some(crc32c::crc32c(covered)) != u32_at(whole, 4) {
        return Err(FrameFault::Checksum);
    }
    if padding.iter().any(|byte| *byte != 0) {
        return Err(FrameFault::Padding);
    }
    fields(covered, extent).map(Some).ok_or(FrameFault::Content)
}

fn fields(covered: &[u8], frame_bytes: usize) -> Option<Frame<'_>> {
    let packed = u32_at(covered, 12)?.to_le_bytes();
    let [low, high, class, zero] = packed;
    let leaf_len = usize::from(u16::from_le_bytes([low, high]));
    if zero != 0 {
        return None;
    }
    let (mark, parts) = covered.get(COVERED_HEAD_BYTES..)?.split_last()?;
    let (leaf, sealed) = parts.split_at_checked(leaf_len)?;
    if *mark != END_MARK {
        return None;
    }
    Some(Frame {
        index: u64_at(covered, 0)?,
        group_pos: u32_at(covered, 8)?,
        class: EntryClass::from_code(class)?,
        chain: hash_at(covered, 16)?,
        leaf,
        sealed,
        frame_bytes,
    })
}

impl Frame<'_> {
    /// Index of the first record of its group; `None` where the content contradicts itself.
    pub(crate) fn group_first(&self) -> Option<u64> {
        self.index.checked_sub(u64::from(self.group_pos))
    }
}
