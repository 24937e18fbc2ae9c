//! What is on the disk when a log is opened, and what is done about it.
//!
//! Only the last segment can have a torn tail (`wal::scan` has the argument). It is cut by
//! writing zeroes over it. An earlier process may have seen a sync fail, and then what reads see
//! is not what the disk holds, and no later sync makes it so (Rebello et al., USENIX ATC 2020).
//! Therefore the last group that is kept, and zeroes over all that a group behind it can have
//! touched, are written again whatever they read as: at most 2 MiB, about 2 ms.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::io;

use bartizan_core::clock::Clock;
use bartizan_core::disk::{Disk, DiskFile, DiskKind};

use super::{LogConfig, OpenError, Recovery};
use crate::entry::EntryClass;
use crate::record::wall_ns_of;
use crate::space::{SPARE_NAME, Spares};
use crate::wal::scan::{Check, Cursor, GROUP_BYTES_MAX, Step, Tail, Walk};
use crate::wal::{
    CHAIN_START, FrameFault, HEADER_BYTES, SegmentHeader, WAL_DIR, parse_segment_name, segment_name,
};
use crate::writer::{End, write_header};

/// Length of a log's first segment in bytes: made while somebody waits for the server to start.
const FIRST_SEGMENT_BYTES: u64 = 4 << 20;
/// Bytes copied or zeroed at a time.
const CHUNK_BYTES: u64 = 1 << 20;

pub(super) struct Found {
    pub(super) end: End,
    pub(super) folded_bytes: u64,
    pub(super) recovery: Recovery,
}

struct Segment {
    name: String,
    header: SegmentHeader,
}

fn doing<'a>(what: &'a str, name: &'a str) -> impl Fn(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { doing: format!("{what} `{name}`"), source }
}

pub(super) fn recover(
    spares: &Spares,
    config: &LogConfig,
    clock: &dyn Clock,
) -> Result<Found, OpenError> {
    let disk = &*spares.disk;
    let segments = segments(disk, config)?;
    spares.discard().map_err(doing("remove", SPARE_NAME))?;
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return begin(spares, config, clock);
    };
    if first.header.first_index == 0 && first.header.chain != CHAIN_START {
        let reason = "the first segment does not start the chain".to_owned();
        return Err(OpenError::Misplaced { segment: first.name.clone(), reason });
    }
    let mut left = config.scan_bytes_max;
    for pair in segments.windows(2).rev() {
        let [segment, next] = pair else { continue };
        match left.checked_sub(segment.header.segment_bytes) {
            Some(rest) => left = rest,
            None => break,
        }
        check_closed(disk, segment, &next.header)?;
    }
    let mut found = check_last(disk, last)?;
    disk.sync_dir(WAL_DIR).map_err(doing("sync", WAL_DIR))?;
    found.end.folded_gone = first.header.folded_bytes;
    found.folded_bytes = found.folded_bytes.saturating_sub(first.header.folded_bytes);
    found.recovery.n_segments = segments.len();
    Ok(found)
}

/// Reads every segment's header and holds it against its name, its file and the configuration.
fn segments(disk: &dyn Disk, config: &LogConfig) -> Result<Vec<Segment>, OpenError> {
    let mut segments = Vec::new();
    for name in disk.list(WAL_DIR).map_err(doing("list", WAL_DIR))? {
        if name == SPARE_NAME {
            continue;
        }
        let Some(first_index) = parse_segment_name(&name) else {
            return Err(OpenError::Foreign { name });
        };
        segments.push(read_header(disk, config, first_index)?);
    }
    Ok(segments)
}

fn read_header(
    disk: &dyn Disk,
    config: &LogConfig,
    first_index: u64,
) -> Result<Segment, OpenError> {
    let name = segment_name(first_index);
    let file = disk.open(&name, false).map_err(doing("open", &name))?;
    let mut page = vec![0; HEADER_BYTES];
    let read = file.read_at(&mut page, 0).map_err(doing("read", &name))?;
    page.truncate(read);
    let header = match SegmentHeader::parse(&page) {
        Ok(header) => header,
        Err(source) => return Err(OpenError::Header { segment: name, source }),
    };
    let len = file.len().map_err(doing("read", &name))?;
    let reason = if header.first_index != first_index {
        format!("its header says record {}", header.first_index)
    } else if *header.origin != *config.origin {
        format!("it is of log `{}`, this is `{}`", header.origin, config.origin)
    } else if header.segment_bytes != len {
        format!("it has {len} bytes, its header says {}", header.segment_bytes)
    } else {
        return Ok(Segment { name, header });
    };
    Err(OpenError::Misplaced { segment: name, reason })
}

fn walk(disk: &dyn Disk, segment: &Segment) -> Result<Walk, OpenError> {
    let file = disk.open(&segment.name, false).map_err(doing("open", &segment.name))?;
    let cursor = Cursor::new(file).map_err(doing("read", &segment.name))?;
    Ok(Walk::new(cursor, segment.header.first_index, segment.header.chain))
}

fn corrupt(segment: &Segment, walk: &Walk, source: FrameFault) -> OpenError {
    let segment = segment.name.clone();
    OpenError::Corrupt { segment, offset: walk.at, index: walk.index, source }
}

/// A closed segment's frames must lead to the next segment's first record and chain.
fn check_closed(disk: &dyn Disk, segment: &Segment, next: &SegmentHeader) -> Result<(), OpenError> {
    let mut walk = walk(disk, segment)?;
    let fault = loop {
        match walk.next(Check::Sums).map_err(doing("read", &segment.name))? {
            Step::Frame(..) => {}
            Step::End => break None,
            Step::Bad(fault) => break Some(fault),
        }
    };
    let fault = match fault {
        None if walk.index != next.first_index => FrameFault::Missing,
        None if walk.chain != next.chain => FrameFault::Chain,
        None => return Ok(()),
        Some(fault) => fault,
    };
    Err(corrupt(segment, &walk, fault))
}

/// The last segment: its chain, its tail, and where to go on.
fn check_last(disk: &dyn Disk, segment: &Segment) -> Result<Found, OpenError> {
    let mut walk = walk(disk, segment)?;
    let mut folded_bytes = segment.header.folded_bytes;
    let mut last_wall_ns = None;
    let fault = loop {
        match walk.next(Check::Chain).map_err(doing("read", &segment.name))? {
            Step::Frame(_, frame) => {
                last_wall_ns = wall_ns_of(frame.leaf).or(last_wall_ns);
                if frame.class == EntryClass::Folded {
                    folded_bytes = folded_bytes.saturating_add(frame.frame_bytes as u64);
                }
            }
            Step::End => break None,
            Step::Bad(fault) => break Some(fault),
        }
    };
    let torn_bytes = match walk.tail(fault).map_err(doing("read", &segment.name))? {
        Tail::Clean => 0,
        Tail::Torn { bytes, .. } => bytes,
        Tail::Damaged(fault) => return Err(corrupt(segment, &walk, fault)),
    };
    let (at, index, chain, group_at) = (walk.at, walk.index, walk.chain, walk.group_at);
    let mut file = walk.cursor.into_file();
    let reach = at.saturating_add(torn_bytes.max(GROUP_BYTES_MAX as u64));
    let end = if index == segment.header.first_index { u64::MAX } else { reach };
    let end = end.min(segment.header.segment_bytes);
    settle(&mut *file, group_at, at, end).map_err(doing("repair", &segment.name))?;
    let SegmentHeader { segment_bytes, epoch, opened_ns, .. } = segment.header;
    Ok(Found {
        end: End { file, at, segment_bytes, index, chain, epoch, opened_ns, folded_gone: 0 },
        folded_bytes,
        recovery: Recovery {
            n_records: index,
            n_segments: 1,
            is_new: false,
            torn_bytes,
            last_wall_ns: last_wall_ns.or(Some(opened_ns)),
            chain,
            epoch: 1,
            kind: DiskKind::Durable,
        },
    })
}

/// Writes the last group (`group_at..at`) once more and zeroes from there to `end`, then syncs.
fn settle(file: &mut dyn DiskFile, group_at: u64, at: u64, end: u64) -> io::Result<()> {
    let mut chunk = Vec::new();
    let mut from = group_at;
    while from < end {
        let stop = if from < at { at } else { end };
        let n = stop.saturating_sub(from).min(CHUNK_BYTES);
        chunk.clear();
        chunk.resize(usize::try_from(n).unwrap_or(0), 0);
        if from < at && file.read_at(&mut chunk, from)? != chunk.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&chunk, from)?;
        from = from.saturating_add(n);
    }
    file.sync()
}

/// Makes the first segment of a new log.
fn begin(spares: &Spares, config: &LogConfig, clock: &dyn Clock) -> Result<Found, OpenError> {
    let want_bytes = config.segment_bytes.min(FIRST_SEGMENT_BYTES);
    let name = segment_name(0);
    let slot = spares.slot();
    let spare = spares.make(want_bytes, 0).map_err(doing("make", &name))?;
    let Some(mut spare) = spare else {
        let full: io::Error = io::ErrorKind::StorageFull.into();
        return Err(doing("make", &name)(full));
    };
    let header = SegmentHeader {
        origin: config.origin.clone(),
        epoch: 1,
        first_index: 0,
        segment_bytes: spare.len_bytes,
        folded_bytes: 0,
        opened_ns: clock.now().wall_ns,
        chain: CHAIN_START,
    };
    write_header(spares, &mut *spare.file, &header).map_err(doing("make", &name))?;
    drop(slot);
    let SegmentHeader { segment_bytes, epoch, opened_ns, .. } = header;
    let at = HEADER_BYTES as u64;
    let (index, chain) = (0, CHAIN_START);
    Ok(Found {
        end: End {
            file: spare.file,
            at,
            segment_bytes,
            index,
            chain,
            epoch,
            opened_ns,
            folded_gone: 0,
        },
        folded_bytes: 0,
        recovery: Recovery {
            n_records: 0,
            n_segments: 1,
            is_new: true,
            torn_bytes: 0,
            last_wall_ns: None,
            chain,
            epoch: 1,
            kind: DiskKind::Durable,
        },
    })
}
