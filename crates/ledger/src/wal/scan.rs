//! Walking through a segment, and telling a torn tail from damage.
//!
//! Why the two can be told apart. Groups are written one at a time: the next group is written
//! only after the sync of the one before has succeeded, and nobody is acknowledged before that.
//! So of all frames on the disk only those of the last group may lack sectors after a loss of
//! power, and each lacking sector still holds what it held before: zeroes, because segments are
//! written as zeroes first and recovery writes zeroes over all that a group behind the last whole
//! frame can have touched ([`GROUP_BYTES_MAX`]), whether or not it reads as zeroes already. Let `i` be
//! the index that is expected where a frame cannot be read. Then
//! - a readable frame further on whose group began after `i` proves that the group of `i` was
//!   synced: damage;
//! - a readable frame further on whose group began at or before `i` is a leftover of the same
//!   unacknowledged group and proves nothing;
//! - a frame of a torn write has at least one sector's part that is all zeroes, or, where the
//!   write itself was cut short (a full disk, an I/O error), zeroes from some byte to its end,
//!   where a whole frame has a mark; one that has neither was written whole and has changed
//!   since: damage;
//! - a frame with a right checksum and a wrong index, chain or content is no torn write: damage.
//!
//! What this cannot see, for lack of anything later that remembers: the loss of whole sectors of
//! the very last group. The stop record of an orderly stop is such a later group; a checkpoint
//! outside the store will be another.
//!
//! Sectors of [`SECTOR_BYTES`] are taken to be written whole or not at all; a sector that the
//! last group shares with the one before is rewritten with the same earlier bytes.

use std::io;

use bartizan_core::disk::DiskFile;
use sha2::{Digest as _, Sha256};

use super::frame::frame_extent;
use super::{
    FRAME_HEAD_BYTES, Frame, FrameFault, HEADER_BYTES, SECTOR_BYTES, next_chain, parse_frame,
    u32_at, u64_at,
};
use crate::receipt::leaf_hash;

/// Bytes read at a time.
const WINDOW_BYTES: usize = 256 << 10;
/// Bytes of a group at most, unless it is one frame that begins a segment: beyond this a sync
/// costs as much a byte as two.
pub(crate) const GROUP_BYTES_MAX: usize = 1 << 20;
/// Most records of one group: a bound on how far ahead of its place a leftover's index can be.
pub(crate) const GROUP_RECORDS_MAX: usize = 1 << 20;
/// How many times over the bytes of a segment may be summed up in search of later frames, before
/// the search gives up and calls it damage.
const SEARCH_PASSES_MAX: u64 = 4;

/// A file read through a window.
pub(crate) struct Cursor {
    file: Box<dyn DiskFile>,
    len: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Cursor {
    pub(crate) fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len, window: Vec::new(), window_at: 0 })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads again what the window holds: somebody may have written there since.
    pub(crate) fn refresh(&mut self) {
        self.window.clear();
    }

    pub(crate) fn into_file(self) -> Box<dyn DiskFile> {
        self.file
    }

    /// `n` bytes at `at`, fewer at the end of the file.
    pub(crate) fn bytes(&mut self, at: u64, n: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let n = n.min(left);
        let inside = at.checked_sub(self.window_at).and_then(|skip| usize::try_from(skip).ok());
        let held = inside
            .is_some_and(|skip| skip.checked_add(n).is_some_and(|end| end <= self.window.len()));
        let skip = if held { inside.unwrap_or(0) } else { 0 };
        if !held {
            self.window.resize(n.max(WINDOW_BYTES).min(left), 0);
            self.window_at = at;
            let read = self.file.read_at(&mut self.window, at)?;
            self.window.truncate(read);
        }
        let rest = self.window.get(skip..).unwrap_or_default();
        Ok(rest.get(..n).unwrap_or(rest))
    }

    /// Whether the `n` bytes at `at` are there and all zero.
    fn are_zero(&mut self, at: u64, n: u64) -> io::Result<bool> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let bytes = self.bytes(at, n)?;
        Ok(bytes.len() == n && bytes.iter().all(|byte| *byte == 0))
    }

    /// End of the last byte at or after `from` that is not zero.
    fn last_nonzero(&mut self, from: u64) -> io::Result<Option<u64>> {
        let (mut at, mut last) = (from, None);
        while at < self.len {
            let chunk = self.bytes(at, WINDOW_BYTES)?;
            let n = chunk.len() as u64;
            if let Some(found) = chunk.iter().rposition(|byte| *byte != 0) {
                last = Some(at.saturating_add(found as u64).saturating_add(1));
            }
            if n == 0 {
                break;
            }
            at = at.saturating_add(n);
        }
        Ok(last)
    }
}

/// How much of a frame is checked on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Checksum, order and content.
    Sums,
    /// That and the chain, which reads every byte twice.
    Chain,
}

/// What stands at the next place.
pub(crate) enum Step<'a> {
    /// A frame, and where it starts.
    Frame(u64, Frame<'a>),
    /// Zeroes: nothing was written from here on.
    End,
    /// Something else.
    Bad(FrameFault),
}

/// A walk from frame to frame.
pub(crate) struct Walk {
    pub(crate) cursor: Cursor,
    /// Where the next frame starts.
    pub(crate) at: u64,
    /// Its index.
    pub(crate) index: u64,
    /// Chain before it.
    pub(crate) chain: [u8; 32],
    /// Where the group of the last frame starts.
    pub(crate) group_at: u64,
}

impl Walk {
    /// At the first frame of a segment whose header says `index` and `chain`.
    pub(crate) fn new(cursor: Cursor, index: u64, chain: [u8; 32]) -> Self {
        let at = HEADER_BYTES as u64;
        Self { cursor, at, index, chain, group_at: at }
    }

    /// The next frame. After anything but a frame the walk stays where it is.
    pub(crate) fn next(&mut self, check: Check) -> io::Result<Step<'_>> {
        let extent = match frame_extent(self.cursor.bytes(self.at, FRAME_HEAD_BYTES)?) {
            Ok(Some(extent)) => extent,
            Ok(None) => return Ok(Step::End),
            // Zero bytes left: the segment is full to its last byte.
            Err(FrameFault::Cut) if self.at == self.cursor.len() => return Ok(Step::End),
            Err(fault) => return Ok(Step::Bad(fault)),
        };
        let frame = match parse_frame(self.cursor.bytes(self.at, extent)?) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(Step::End),
            Err(fault) => return Ok(Step::Bad(fault)),
        };
        let group_first = frame.group_first();
        if frame.index != self.index || group_first.is_none() {
            return Ok(Step::Bad(FrameFault::Index));
        }
        if check == Check::Chain {
            let sealed_hash = Sha256::digest(frame.sealed).into();
            if next_chain(&self.chain, &leaf_hash(frame.leaf), &sealed_hash) != frame.chain {
                return Ok(Step::Bad(FrameFault::Chain));
            }
        }
        let at = self.at;
        if frame.group_pos == 0 {
            self.group_at = at;
        }
        self.at = at.saturating_add(extent as u64);
        self.index = self.index.saturating_add(1);
        self.chain = frame.chain;
        Ok(Step::Frame(at, frame))
    }

    /// Whether the next frame is there by now; the walk stays where it is.
    pub(crate) fn has_frame(&mut self) -> io::Result<bool> {
        let extent = match frame_extent(self.cursor.bytes(self.at, FRAME_HEAD_BYTES)?) {
            Ok(Some(extent)) => extent,
            Ok(None) | Err(_) => return Ok(false),
        };
        let frame = parse_frame(self.cursor.bytes(self.at, extent)?);
        Ok(matches!(frame, Ok(Some(frame)) if frame.index == self.index))
    }

    /// What the bytes from here to the end are, given that there is no frame here because of
    /// `fault` (`None`: zeroes). Only for the last segment: see the module's argument.
    pub(crate) fn tail(&mut self, fault: Option<FrameFault>) -> io::Result<Tail> {
        let Some(end) = self.cursor.last_nonzero(self.at)? else { return Ok(Tail::Clean) };
        let fault = match fault {
            None => FrameFault::Trailing,
            Some(fault @ (FrameFault::Checksum | FrameFault::Length | FrameFault::Cut)) => fault,
            Some(fault) => return Ok(Tail::Damaged(fault)),
        };
        if self.was_synced(end)? || !self.looks_torn()? {
            return Ok(Tail::Damaged(fault));
        }
        Ok(Tail::Torn { bytes: end.saturating_sub(self.at), fault })
    }

    /// Whether a frame between here and `end` proves that the group expected here was synced.
    fn was_synced(&mut self, end: u64) -> io::Result<bool> {
        let mut budget = self.cursor.len().saturating_mul(SEARCH_PASSES_MAX);
        let mut at = self.at.saturating_add(8);
        while at < end {
            let mut step = 8;
            let head = self.cursor.bytes(at, FRAME_HEAD_BYTES)?;
            let candidate = plausible(head, self.index);
            let left = self.cursor.len().saturating_sub(at);
            if let Some(extent) = candidate.filter(|extent| *extent as u64 <= left) {
                let Some(left) = budget.checked_sub(extent as u64) else { return Ok(true) };
                budget = left;
                if let Ok(Some(frame)) = parse_frame(self.cursor.bytes(at, extent)?) {
                    match frame.group_first() {
                        Some(first) if first <= self.index => step = extent as u64,
                        _ => return Ok(true),
                    }
                }
            }
            at = at.saturating_add(step);
        }
        Ok(false)
    }

    /// Whether some sector's part of the frame here is all zeroes, or it ends in zeroes.
    fn looks_torn(&mut self) -> io::Result<bool> {
        let at = self.at;
        let head = self.cursor.bytes(at, FRAME_HEAD_BYTES)?;
        // Cut short in its first 8 bytes: behind them a whole frame has its chain value.
        if head.iter().skip(8).all(|byte| *byte == 0) {
            return Ok(true);
        }
        let (len, extent) = (u64::from(u32_at(head, 0).unwrap_or(0)), frame_extent(head));
        let sector_end = at.saturating_add(1).next_multiple_of(SECTOR_BYTES);
        match extent {
            Ok(Some(_)) => {}
            // Never written, or zeroed by a recovery that did not come to its end.
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
        let end = at.saturating_add(8).saturating_add(len);
        if self.cursor.are_zero(end.saturating_sub(1), 1)? {
            return Ok(true);
        }
        let (mut from, mut to) = (at, sector_end.min(end));
        while from < to {
            if self.cursor.are_zero(from, to.saturating_sub(from))? {
                return Ok(true);
            }
            (from, to) = (to, to.saturating_add(SECTOR_BYTES).min(end));
        }
        Ok(false)
    }
}

/// Bytes of the frame that `head` may begin, where its index could follow `index` in a group.
fn plausible(head: &[u8], index: u64) -> Option<usize> {
    let ahead = u64_at(head, 8)?.checked_sub(index)?;
    let near = 0 < ahead && ahead <= (GROUP_RECORDS_MAX as u64).saturating_mul(2);
    if near { frame_extent(head).ok().flatten() } else { None }
}

/// What follows the last frame of the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeroes.
    Clean,
    /// Leftovers of a group that nobody was answered for.
    Torn {
        /// Bytes from the first to the last of them.
        bytes: u64,
        /// What is wrong with the first of them.
        fault: FrameFault,
    },
    /// What was synced and has changed since.
    Damaged(FrameFault),
}
