//! Reading from outside.

use bartizan_core::clock::{Clock, Stamp};
use bartizan_testkit::{SimClock, SimDisk};

use super::*;
use crate::entry::Entry;
use crate::log::{Log, LogConfig};
use crate::record::{Act, ActKind, Body, Record};
use crate::writer::Writer;
use crate::{Appender, MemDisk};

fn id(n: u64) -> DecisionId {
    DecisionId::new(
        1_800_000_000_000_000_000 + n * 1_000_000_000,
        (n as u128).to_le_bytes()[..10].try_into().unwrap(),
    )
}

fn append(appender: &Appender, at: Stamp, n: u64) {
    let body = Body::Act(Box::new(Act::new(ActKind::Started)));
    let (environment, replica) = ("demo".into(), "a".into());
    let record = Record { id: id(n), at, environment, replica, volatile: false, body };
    let entry = Entry::new(record.encode(), vec![n as u8; 200], EntryClass::Decision).unwrap();
    appender.append(entry, Box::new(|answer| assert!(answer.is_ok()))).unwrap();
}

fn open(disk: &SimDisk, clock: &Arc<SimClock>) -> (Appender, Writer) {
    let config = LogConfig { segment_bytes: 16 << 10, ..LogConfig::new("a") };
    let clock = Arc::clone(clock);
    let (log, _) = Log::open(Arc::new(disk.clone()), &config, clock).unwrap();
    let (appender, writer, _) = log.into_parts();
    (appender, writer)
}

/// 200 records, one a second, over several segments.
fn log() -> (SimDisk, Arc<SimClock>) {
    let disk = SimDisk::new(1);
    let clock = Arc::new(SimClock::new(1_800_000_000_000_000_000));
    let (appender, mut writer) = open(&disk, &clock);
    for n in 0..200 {
        append(&appender, clock.now(), n);
        // Recorded half a second after it began.
        clock.advance(500_000_000);
        writer.step();
        clock.advance(500_000_000);
    }
    (disk, clock)
}

#[test]
fn every_record_is_found_by_its_id_and_by_its_index() {
    let (disk, _) = log();
    let reader = Reader::open(Arc::new(disk)).unwrap();
    assert!(2 < reader.segments.len());
    for n in 0..200 {
        let by_id = reader.find(id(n)).unwrap().unwrap();
        assert_eq!(by_id.index, n);
        assert_eq!(reader.get(n).unwrap().unwrap(), by_id);
        assert_eq!(by_id.receipt().leaf_hash, leaf_hash(&by_id.leaf));
    }
    assert!(reader.get(200).unwrap().is_none());
    assert!(reader.find(id(200)).unwrap().is_none());
}

/// The clock was set back an hour between two lives: ids are older than their segment.
#[test]
fn a_record_is_found_although_the_clock_was_set_back() {
    let (disk, _) = log();
    let back = Arc::new(SimClock::new(1_800_000_000_000_000_000 - 3_600_000_000_000));
    let (appender, mut writer) = open(&disk, &back);
    let body = Body::Act(Box::new(Act::new(ActKind::Started)));
    let early = DecisionId::new(back.now().wall_ns, [7; 10]);
    let (environment, replica) = ("demo".into(), "a".into());
    let at = back.now();
    let record = Record { id: early, at, environment, replica, volatile: false, body };
    let entry = Entry::new(record.encode(), Vec::new(), EntryClass::Reserved).unwrap();
    appender.append(entry, Box::new(|answer| assert!(answer.is_ok()))).unwrap();
    writer.step();
    let reader = Reader::open(Arc::new(disk)).unwrap();
    assert_eq!(reader.find(early).unwrap().unwrap().index, 200);
}

/// A reader that looks while the log is written sees every record that was acknowledged before.
#[test]
fn a_live_log_is_read_up_to_its_last_record() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(SimClock::new(1_800_000_000_000_000_000));
    let (appender, mut writer) = open(&disk, &clock);
    for n in 0..100 {
        append(&appender, clock.now(), n);
        writer.step();
        let reader = Reader::open(Arc::new(disk.clone())).unwrap();
        assert_eq!(reader.entries().filter(Result::is_ok).count() as u64, n + 1);
    }
}

#[test]
fn damage_before_the_end_is_an_error_with_its_place() {
    let (disk, _) = log();
    let reader = Reader::open(Arc::new(disk.clone())).unwrap();
    let third = reader.get(3).unwrap().unwrap();
    disk.flip(&third.segment, third.offset + 70, 1).unwrap();
    let seen: Vec<_> = reader.entries().collect();
    assert_eq!(seen.len(), 4);
    match seen.last() {
        Some(Err(ReadError::Damaged { segment, offset, index, source })) => {
            assert_eq!((segment, *offset, *index), (&third.segment, third.offset, 3));
            assert_eq!(*source, FrameFault::Checksum);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_log_is_no_empty_log() {
    assert!(matches!(Reader::open(Arc::new(MemDisk::new())), Err(ReadError::Absent)));
}
