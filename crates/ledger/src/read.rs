//! Reading a log from outside: without its lock, while it may be written.
//!
//! What stands behind the last whole frame of the last segment is being written or was torn:
//! here it is the end. Damage anywhere before is an error with its place.

use std::io;
use std::sync::Arc;

use bartizan_core::disk::Disk;
use bartizan_core::id::DecisionId;

use crate::entry::EntryClass;
use crate::receipt::{Receipt, leaf_hash};
use crate::record::id_of;
use crate::wal::scan::{Check, Cursor, Step, Walk};
use crate::wal::{
    FrameFault, HEADER_BYTES, HeaderFault, SegmentHeader, WAL_DIR, parse_segment_name, segment_name,
};

/// How much later than its id says a record may have been appended, and still be looked for
/// first where its time says, in nanoseconds: ten minutes.
const LATE_NS_MAX: u64 = 600 * 1_000_000_000;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("there is no log here")]
    Absent,
    /// The disk fails.
    #[error("cannot read `{name}`")]
    Io {
        /// The file or folder.
        name: String,
        /// What the file system says.
        source: io::Error,
    },
    /// A header is damaged.
    #[error("`{segment}` is damaged in its header")]
    Header {
        /// The segment.
        segment: String,
        /// What is wrong.
        source: HeaderFault,
    },
    /// A frame is damaged.
    #[error("`{segment}` is damaged at byte {offset}, where record {index} should be")]
    Damaged {
        /// The segment.
        segment: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The record that should be there.
        index: u64,
        /// What is wrong.
        source: FrameFault,
    },
}

/// One entry as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Name of the log.
    pub origin: Arc<str>,
    /// Position in it.
    pub index: u64,
    /// Its quota.
    pub class: EntryClass,
    /// The record's bytes.
    pub leaf: Vec<u8>,
    /// The sealed bytes; may be empty.
    pub sealed: Vec<u8>,
    /// The segment it lies in.
    pub segment: String,
    /// Where in the segment, in bytes.
    pub offset: u64,
}

impl StoredEntry {
    /// The receipt that was given for it.
    pub fn receipt(&self) -> Receipt {
        let origin = Arc::clone(&self.origin);
        Receipt { origin, index: self.index, leaf_hash: leaf_hash(&self.leaf) }
    }
}

struct Segment {
    name: String,
    header: SegmentHeader,
}

/// A log as its segments were when it was opened; records appended to the last of them later are
/// seen, later segments are not. Memory: one window of 256 KiB, or the largest frame.
pub struct Reader {
    disk: Arc<dyn Disk>,
    origin: Arc<str>,
    segments: Vec<Segment>,
}

impl Reader {
    /// Reads the headers of all segments.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(disk: Arc<dyn Disk>) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { name: WAL_DIR.to_owned(), source };
        let names = disk.list(WAL_DIR).map_err(io)?;
        let mut segments = Vec::new();
        for first_index in names.iter().filter_map(|name| parse_segment_name(name)) {
            let name = segment_name(first_index);
            let header = read_header(&*disk, &name)?;
            segments.push(Segment { name, header });
        }
        let origin = segments.first().map(|segment| Arc::from(&*segment.header.origin));
        Ok(Self { disk, origin: origin.ok_or(ReadError::Absent)?, segments })
    }

    /// Name of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// First record that it holds: those before it were pruned.
    pub fn first_index(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.header.first_index)
    }

    /// Which life of the log its last segment is of, from 1.
    pub fn epoch(&self) -> u64 {
        self.segments.last().map_or(1, |segment| segment.header.epoch)
    }

    /// All entries in order.
    pub fn entries(&self) -> Entries<'_> {
        Entries { reader: self, segment_idx: 0, walk: None, is_over: false }
    }

    /// The entry at `index`; `None` where the log ends before it. Reads one segment.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn get(&self, index: u64) -> Result<Option<StoredEntry>, ReadError> {
        let after = self.segments.partition_point(|segment| segment.header.first_index <= index);
        let Some(segment_idx) = after.checked_sub(1) else { return Ok(None) };
        self.search(segment_idx, |frame_index, _| frame_index == index)
    }

    /// The entry whose record is `id`; `None` where no segment holds it. Reads the segments
    /// that its time points to first, so an id that exists usually costs one segment.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn find(&self, id: DecisionId) -> Result<Option<StoredEntry>, ReadError> {
        let time_ns = id.unix_ms().saturating_mul(1_000_000);
        let opened_by =
            |ns| self.segments.partition_point(|segment| segment.header.opened_ns <= ns);
        // The millisecond of the id may have begun before the segment did.
        let first = opened_by(time_ns).saturating_sub(1);
        let likely = first..opened_by(time_ns.saturating_add(LATE_NS_MAX)).max(first + 1);
        let all = 0..self.segments.len();
        let others = all.clone().rev().filter(|segment_idx| !likely.contains(segment_idx));
        for segment_idx in likely.clone().filter(|idx| all.contains(idx)).chain(others) {
            let found = self.search(segment_idx, |_, leaf| id_of(leaf) == Some(id))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn search(
        &self,
        segment_idx: usize,
        wanted: impl Fn(u64, &[u8]) -> bool,
    ) -> Result<Option<StoredEntry>, ReadError> {
        let mut walk = self.walk(segment_idx)?;
        while let Some(entry) = self.step(segment_idx, &mut walk, &wanted)? {
            if let Some(entry) = entry {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn walk(&self, segment_idx: usize) -> Result<Walk, ReadError> {
        let segment = &self.segments[segment_idx];
        let io = |source| ReadError::Io { name: segment.name.clone(), source };
        let file = self.disk.open(&segment.name, false).map_err(io)?;
        let cursor = Cursor::new(file).map_err(io)?;
        Ok(Walk::new(cursor, segment.header.first_index, segment.header.chain))
    }

    /// The next frame, copied out where it is wanted; `None` at the segment's end.
    fn step(
        &self,
        segment_idx: usize,
        walk: &mut Walk,
        wanted: impl Fn(u64, &[u8]) -> bool,
    ) -> Result<Option<Option<StoredEntry>>, ReadError> {
        let segment = &self.segments[segment_idx];
        let next = self.segments.get(segment_idx + 1);
        let io = |source| ReadError::Io { name: segment.name.clone(), source };
        let fault = match walk.next(Check::Sums).map_err(io)? {
            Step::Frame(_, frame) if !wanted(frame.index, frame.leaf) => return Ok(Some(None)),
            Step::Frame(offset, frame) => {
                return Ok(Some(Some(StoredEntry {
                    origin: Arc::clone(&self.origin),
                    index: frame.index,
                    class: frame.class,
                    leaf: frame.leaf.to_vec(),
                    sealed: frame.sealed.to_vec(),
                    segment: segment.name.clone(),
                    offset,
                })));
            }
            Step::End => FrameFault::Missing,
            Step::Bad(fault) => fault,
        };
        match next {
            // A live or torn tail.
            None => Ok(None),
            Some(next) if next.header.first_index == walk.index => Ok(None),
            Some(_) => Err(ReadError::Damaged {
                segment: segment.name.clone(),
                offset: walk.at,
                index: walk.index,
                source: fault,
            }),
        }
    }
}

pub(crate) fn read_header(disk: &dyn Disk, name: &str) -> Result<SegmentHeader, ReadError> {
    let io = |source| ReadError::Io { name: name.to_owned(), source };
    let file = disk.open(name, false).map_err(io)?;
    let mut page = vec![0; HEADER_BYTES];
    let read = file.read_at(&mut page, 0).map_err(io)?;
    page.truncate(read);
    SegmentHeader::parse(&page)
        .map_err(|source| ReadError::Header { segment: name.to_owned(), source })
}

/// The entries of a log in order; ends after the first error.
pub struct Entries<'r> {
    reader: &'r Reader,
    segment_idx: usize,
    walk: Option<Walk>,
    is_over: bool,
}

impl Entries<'_> {
    fn step(&mut self) -> Result<Option<StoredEntry>, ReadError> {
        while self.segment_idx < self.reader.segments.len() {
            let walk = match &mut self.walk {
                Some(walk) => walk,
                slot => slot.insert(self.reader.walk(self.segment_idx)?),
            };
            if let Some(entry) = self.reader.step(self.segment_idx, walk, |_, _| true)? {
                return Ok(entry);
            }
            self.segment_idx += 1;
            self.walk = None;
        }
        Ok(None)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<StoredEntry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.step().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests;
