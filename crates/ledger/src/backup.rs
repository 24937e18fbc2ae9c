//! Copying a log while it is written.
//!
//! Invariants
//! - C1: a copy holds the records up to the one that was asked for, whole, and nothing behind it;
//!   it opens and verifies like a log that was closed there.

use std::io;
use std::sync::Arc;

use bartizan_core::disk::Disk;
use sha2::{Digest as _, Sha256};

use crate::read::{ReadError, Reader, read_header};
use crate::wal::{FRAME_HEAD_BYTES, WAL_DIR, frame_bytes, parse_segment_name, segment_name};

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// One file of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedFile {
    /// Its name, as the port `Disk` names it.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of those bytes.
    pub sha256: [u8; 32],
}

/// Why a log was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The log cannot be read.
    #[error("cannot read the log")]
    Read(#[from] ReadError),
    /// The log ends before the record that was asked for.
    #[error("the log has no record {index}")]
    Absent {
        /// Which record.
        index: u64,
    },
    /// The copy cannot be written, or the log not read.
    #[error("cannot copy `{name}`")]
    Io {
        /// Which file.
        name: String,
        /// What the file system says.
        source: io::Error,
    },
}

/// Copies the log on `from` up to and with record `last`, which must be durable, into `to`; see
/// C1. The log may be written meanwhile. Every file is synced.
///
/// # Errors
/// [`CopyError`]; what was copied so far stays.
pub fn copy_log(
    from: &Arc<dyn Disk>,
    to: &dyn Disk,
    last: u64,
) -> Result<Vec<CopiedFile>, CopyError> {
    let reader = Reader::open(Arc::clone(from))?;
    let end = reader.get(last)?.ok_or(CopyError::Absent { index: last })?;
    let frame = frame_bytes(end.leaf.len() + end.sealed.len()).max(FRAME_HEAD_BYTES);
    let end_at = end.offset + frame as u64;
    let io = |name: &str| {
        let name = name.to_owned();
        move |source| CopyError::Io { name, source }
    };
    let mut firsts: Vec<u64> = from
        .list(WAL_DIR)
        .map_err(io(WAL_DIR))?
        .iter()
        .filter_map(|name| parse_segment_name(name))
        .filter(|first| *first <= last)
        .collect();
    firsts.sort_unstable();
    let mut copied = Vec::new();
    for first in firsts {
        let name = segment_name(first);
        let len = read_header(&**from, &name)?.segment_bytes;
        let copy_bytes = if name == end.segment { end_at } else { len };
        copied.push(copy(&**from, to, &name, copy_bytes, len).map_err(io(&name))?);
    }
    to.sync_dir(WAL_DIR).map_err(io(WAL_DIR))?;
    Ok(copied)
}

/// Copies the first `copy_bytes` of a file, and zeroes up to `len`.
fn copy(
    from: &dyn Disk,
    to: &dyn Disk,
    name: &str,
    copy_bytes: u64,
    len: u64,
) -> io::Result<CopiedFile> {
    let source = from.open(name, false)?;
    let mut target = to.open(name, true)?;
    target.set_len(0)?;
    target.set_len(len)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < len {
        let n = usize::try_from(len - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let part = chunk.get_mut(..n).unwrap_or_default();
        part.fill(0);
        let wanted = usize::try_from(copy_bytes.saturating_sub(at)).unwrap_or(n).min(n);
        if 0 < wanted {
            let wanted = part.get_mut(..wanted).unwrap_or_default();
            if source.read_at(wanted, at)? < wanted.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            target.write_at(wanted, at)?;
        }
        hasher.update(&*part);
        at += n as u64;
    }
    target.sync()?;
    Ok(CopiedFile { name: name.to_owned(), bytes: len, sha256: hasher.finalize().into() })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use bartizan_testkit::{SimClock, SimDisk};

    use super::*;
    use crate::entry::{Entry, EntryClass};
    use crate::log::{Log, LogConfig};
    use crate::record::{Act, ActKind, Body, Record};
    use crate::verify::{Scope, verify};
    use bartizan_core::clock::Clock;
    use bartizan_core::id::DecisionId;

    /// C1, cut behind every record of a log over several segments that goes on being written.
    #[test]
    fn a_copy_ends_behind_the_record_that_was_asked_for() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let clock = Arc::new(SimClock::new(1_800_000_000_000_000_000));
        let config = LogConfig { segment_bytes: 16 << 10, ..LogConfig::new("a") };
        let (mut log, _) = Log::open(Arc::clone(&disk), &config, clock.clone()).unwrap();
        let mut record = |n: u64| {
            let at = clock.now();
            let body = Body::Act(Box::new(Act::new(ActKind::Started)));
            let id = DecisionId::new(at.wall_ns, [n as u8; 10]);
            let (environment, replica) = ("a".into(), "b".into());
            let record = Record { id, at, environment, replica, volatile: false, body };
            let sealed = vec![n as u8; 900];
            log.record(Entry::new(record.encode(), sealed, EntryClass::Decision).unwrap()).unwrap();
        };
        for n in 0..40 {
            record(n);
        }
        for last in [0, 1, 12, 13, 20, 38, 39] {
            let copy = SimDisk::new(2);
            let copied = copy_log(&disk, &copy, last).unwrap();
            record(100);
            assert!(copied.iter().map(|file| file.bytes).sum::<u64>() <= 200 << 10);
            let mut go_on = |_, _| ControlFlow::Continue(());
            let report = verify(&copy, None, Scope::Closed, &mut go_on).unwrap();
            assert_eq!((report.n_records, report.damage.is_some()), (last + 1, false), "{last}");
            assert!(report.torn_tail.is_none());
            for file in &copied {
                let bytes = copy.bytes(&file.name).unwrap();
                assert_eq!(file.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
            }
            let (log, recovery) = Log::open(Arc::new(copy), &config, clock.clone()).unwrap();
            assert_eq!(recovery.n_records, last + 1);
            drop(log);
        }
        let absent = copy_log(&disk, &SimDisk::new(3), 1_000);
        assert!(matches!(absent, Err(CopyError::Absent { index: 1_000 })));
    }
}
