//! Tests.

use std::sync::mpsc;

use super::*;
use crate::entry::{Entry, EntryClass};
use crate::memory::MemDisk;
use crate::read::Reader;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> bartizan_core::Stamp {
        bartizan_core::Stamp {
            wall_ns: 1,
            raw_ns: 1,
            mono_ns: 1,
            source: bartizan_core::ClockSource::Simulated,
            error_ns: 0,
        }
    }
}

#[test]
fn what_is_appended_is_acknowledged_and_read_back_after_a_restart() {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let config =
        LogConfig { volatile_allowed: true, segment_bytes: 16 << 10, ..LogConfig::new("a") };
    for round in 0..3_u64 {
        let (log, recovery) = Log::open(Arc::clone(&disk), &config, Arc::new(FixedClock)).unwrap();
        assert_eq!(recovery.n_records, round * 50);
        let running = log.start().unwrap();
        let (tell, told) = mpsc::channel();
        for n in 0..50_u8 {
            let entry = Entry::new(vec![n; 500], vec![n; 700], EntryClass::Decision).unwrap();
            let tell = tell.clone();
            running
                .appender()
                .append(entry, Box::new(move |done| tell.send(done).unwrap()))
                .unwrap();
        }
        for n in 0..50 {
            assert_eq!(told.recv().unwrap().unwrap().index, round * 50 + n);
        }
        running.stop();
    }
    let reader = Reader::open(disk).unwrap();
    let entries: Vec<_> = reader.entries().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 150);
    assert!(entries.iter().zip(0..).all(|(entry, index)| entry.index == index));
}
