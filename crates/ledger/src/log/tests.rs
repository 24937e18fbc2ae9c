//! The log on simulated disks: seeded losses of power, faults, full volumes, damage, and mutants
//! of the writer that these tests must catch.

use std::sync::Mutex;

use bartizan_testkit::{Fault, SimClock, SimDisk, SplitMix};

use super::*;
use crate::entry::EntryClass;
use crate::memory::MemDisk;
use crate::read::Reader;
use crate::wal::{HEADER_BYTES, segment_name};
use crate::writer::Mutant;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 16 << 10, ..LogConfig::new("log.example/a/0") }
}

fn clock() -> Arc<SimClock> {
    Arc::new(SimClock::new(1_800_000_000_000_000_000))
}

fn open(disk: &SimDisk) -> Result<(Log, Recovery), OpenError> {
    Log::open(Arc::new(disk.clone()), &config(), clock())
}

fn entry(chance: &mut SplitMix) -> Entry {
    let leaf = chance.draw().to_le_bytes().repeat(1 + chance.below(100) as usize);
    let sealed = chance.draw().to_le_bytes().repeat(chance.below(120) as usize);
    Entry::new(leaf, sealed, EntryClass::Decision).unwrap()
}

type Answers = Arc<Mutex<Vec<Result<Receipt, AppendError>>>>;

fn append(appender: &Appender, entry: Entry, answers: &Answers) -> Result<(), AppendError> {
    let answers = Arc::clone(answers);
    appender.append(entry, Box::new(move |answer| answers.lock().unwrap().push(answer)))
}

/// Every receipt that was given names the record that lies at its index.
fn check_kept(disk: &SimDisk, receipts: &[Receipt]) -> Result<(), String> {
    let reader = Reader::open(Arc::new(disk.clone())).map_err(|error| error.to_string())?;
    let stored: Result<Vec<_>, _> = reader.entries().collect();
    let stored = stored.map_err(|error| error.to_string())?;
    for (entry, index) in stored.iter().zip(0..) {
        if entry.index != index {
            return Err(format!("record {} stands where {index} should", entry.index));
        }
    }
    for receipt in receipts {
        match stored.get(receipt.index as usize) {
            Some(entry) if entry.receipt() == *receipt => {}
            Some(_) => return Err(format!("record {} is another", receipt.index)),
            None => return Err(format!("record {} is lost", receipt.index)),
        }
    }
    Ok(())
}

/// One life of a log after another on one disk, each ended by a fault or a loss of power of the
/// seed's choice. Fails where an acknowledged record is lost or changed, an index is given
/// twice, or the log does not open again.
fn lives(seed: u64, mutant: Mutant) -> Result<usize, String> {
    const FAULTS: &[Fault] = &[
        Fault::CrashAtWrite,
        Fault::CrashAtSync,
        Fault::SyncError,
        Fault::WriteError,
        Fault::WriteShort,
        Fault::WriteFull,
        Fault::SyncDirError,
        Fault::RenameError,
        Fault::PreallocateFull,
    ];
    let mut chance = SplitMix::new(seed);
    let disk = SimDisk::new(seed);
    let mut receipts: Vec<Receipt> = Vec::new();
    for _ in 0..6 {
        if chance.one_in(2) {
            let fault = FAULTS[chance.below(FAULTS.len() as u64) as usize];
            disk.fail_after(chance.below(14), fault);
        }
        let opened = open(&disk);
        let (log, recovery) = match opened {
            Ok(opened) => opened,
            Err(OpenError::Io { .. }) => {
                end(&disk, &mut chance);
                continue;
            }
            Err(error) => return Err(format!("does not open: {error:?}")),
        };
        check_kept(&disk, &receipts)?;
        if receipts.iter().any(|receipt| recovery.n_records <= receipt.index) {
            return Err("an index would be given twice".to_owned());
        }
        let (appender, mut writer, preparer) = log.into_parts();
        writer.mutant = mutant;
        let answers = Answers::default();
        for _ in 0..chance.below(12) {
            let n_appended = (0..chance.below(6))
                .filter(|_| append(&appender, entry(&mut chance), &answers).is_ok())
                .count();
            let before = answers.lock().unwrap().len();
            writer.step();
            if chance.one_in(3) {
                preparer.step();
            }
            if answers.lock().unwrap().len() != before + n_appended {
                return Err("an append was not answered exactly once".to_owned());
            }
        }
        let answers = std::mem::take(&mut *answers.lock().unwrap());
        receipts.extend(answers.into_iter().flatten());
        end(&disk, &mut chance);
    }
    disk.clear_faults();
    open(&disk).map_err(|error| format!("does not open at last: {error:?}"))?;
    check_kept(&disk, &receipts)?;
    Ok(receipts.len())
}

/// The process ends, and the machine with it or not.
fn end(disk: &SimDisk, chance: &mut SplitMix) {
    if chance.one_in(3) { disk.kill() } else { disk.crash() }
}

/// L1, L2, L3, Q2: thousands of losses of power, none of which loses what was acknowledged. A
/// seed is six lives, of which two in three end with one: 6,000 in a run, 100,000 in a deep one.
#[test]
fn no_acknowledged_record_is_lost_in_any_loss_of_power() {
    let n_seeds = if std::env::var_os("BARTIZAN_DEEP").is_some() { 25_500 } else { 1_500 };
    let mut n_receipts = 0;
    for seed in 0..n_seeds {
        match lives(seed, Mutant::Sound) {
            Ok(n) => n_receipts += n,
            Err(reason) => panic!("seed {seed}: {reason}"),
        }
    }
    // 20,000 of the ordinary run.
    let least = n_seeds as usize * 40 / 3;
    assert!(least < n_receipts, "only {n_receipts} records were acknowledged");
}

/// The test above would notice a writer that does not sync, or syncs too late.
#[test]
fn a_writer_that_acknowledges_too_early_is_caught() {
    for mutant in [Mutant::SkipSync, Mutant::AckBeforeSync] {
        let caught = (0..100).filter(|seed| lives(*seed, mutant).is_err()).count();
        assert!(10 < caught, "{mutant:?} was caught by {caught} seeds of 100");
    }
}

#[test]
fn what_is_appended_is_acknowledged_and_read_back_after_a_restart() {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let config = LogConfig { volatile_allowed: true, ..config() };
    for round in 0..3_u64 {
        let (log, recovery) = Log::open(Arc::clone(&disk), &config, clock()).unwrap();
        assert_eq!((recovery.n_records, recovery.is_new), (round * 50, round == 0));
        let running = log.start().unwrap();
        let (tell, told) = mpsc::channel();
        for n in 0..50_u8 {
            let entry = Entry::new(vec![n; 500], vec![n; 700], EntryClass::Decision).unwrap();
            let tell = tell.clone();
            let done = Box::new(move |answer| tell.send(answer).unwrap());
            running.appender().append(entry, done).unwrap();
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

/// Q2: appenders on several threads, all answered in order of their index without a gap.
#[test]
fn records_of_many_threads_get_every_index_once() {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let config = LogConfig { volatile_allowed: true, segment_bytes: 64 << 10, ..config() };
    let (log, _) = Log::open(disk, &config, clock()).unwrap();
    let running = log.start().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (appender, tell) = (running.appender(), tell.clone());
            scope.spawn(move || {
                for n in 0..500_u32 {
                    let tell = tell.clone();
                    let leaf = n.to_le_bytes().repeat(20);
                    let entry = Entry::new(leaf, Vec::new(), EntryClass::Decision).unwrap();
                    let done = Box::new(move |answer| tell.send(answer).unwrap());
                    appender.append(entry, done).unwrap();
                }
            });
        }
    });
    drop(tell);
    running.stop();
    let indices: Vec<u64> = told.iter().map(|answer| answer.unwrap().index).collect();
    assert_eq!(indices, (0..2_000).collect::<Vec<_>>());
}

/// Q1 and Q3 from both sides of each bound.
#[test]
fn a_full_queue_refuses_at_once_and_takes_again_after_a_step() {
    let disk = SimDisk::new(1);
    let bounds = LogConfig { queue_records_max: 3, queue_bytes_max: 1_000, ..config() };
    let (log, _) = Log::open(Arc::new(disk), &bounds, clock()).unwrap();
    let (appender, mut writer, _) = log.into_parts();
    let answers = Answers::default();
    let sized = |bytes| Entry::new(vec![1; bytes], Vec::new(), EntryClass::Decision).unwrap();
    for _ in 0..3 {
        append(&appender, sized(100), &answers).unwrap();
    }
    assert_eq!(append(&appender, sized(100), &answers), Err(AppendError::Full));
    assert_eq!(writer.step(), 3);
    append(&appender, sized(600), &answers).unwrap();
    assert_eq!(append(&appender, sized(401), &answers), Err(AppendError::Full));
    append(&appender, sized(400), &answers).unwrap();
    writer.step();
    // Larger than the bound, but alone.
    append(&appender, sized(2_000), &answers).unwrap();
    assert_eq!(append(&appender, sized(1), &answers), Err(AppendError::Full));
    assert_eq!(writer.step(), 1);
    assert_eq!(answers.lock().unwrap().iter().filter(|answer| answer.is_ok()).count(), 6);
}

/// L3: after any failed write or sync every waiter and every later append is refused.
#[test]
fn an_error_of_write_or_sync_ends_the_log_for_everybody() {
    for fault in [Fault::WriteError, Fault::WriteShort, Fault::WriteFull, Fault::SyncError] {
        let disk = SimDisk::new(1);
        let (log, _) = open(&disk).unwrap();
        let (appender, mut writer, _) = log.into_parts();
        let (answers, mut chance) = (Answers::default(), SplitMix::new(1));
        append(&appender, entry(&mut chance), &answers).unwrap();
        assert_eq!(writer.step(), 1);
        disk.fail_after(0, fault);
        append(&appender, entry(&mut chance), &answers).unwrap();
        append(&appender, entry(&mut chance), &answers).unwrap();
        assert!(appender.is_writable());
        assert_eq!(writer.step(), 0);
        assert!(!appender.is_writable());
        assert!(appender.fence_reason().unwrap().contains("cannot write the log"));
        let refused = append(&appender, entry(&mut chance), &answers);
        assert_eq!(refused, Err(AppendError::Fenced), "{fault:?}");
        let answers = answers.lock().unwrap();
        assert_eq!(answers.len(), 3);
        assert!(answers[1..].iter().all(|answer| *answer == Err(AppendError::Fenced)));
    }
}

#[test]
fn a_stopped_log_refuses_and_finishes_what_waits() {
    let disk = SimDisk::new(1);
    let (log, _) = open(&disk).unwrap();
    let answers = Answers::default();
    let appender = log.appender();
    append(&appender, entry(&mut SplitMix::new(1)), &answers).unwrap();
    log.start().unwrap().stop();
    assert_eq!(answers.lock().unwrap().len(), 1);
    assert!(answers.lock().unwrap()[0].is_ok());
    let refused = append(&appender, entry(&mut SplitMix::new(2)), &answers);
    assert_eq!(refused, Err(AppendError::Stopped));
}

/// S1 and L4: on a volume that fills up decisions stop at the reserve, acts of administration go
/// on into it, and when nothing is left at all each is refused whole while the log lives on.
#[test]
fn a_full_volume_refuses_decisions_first_and_never_fences() {
    let disk = SimDisk::new(1);
    disk.set_volume_bytes(400 << 10);
    let (log, _) = Log::open(Arc::new(disk.clone()), &config(), clock()).unwrap();
    let (appender, mut writer, preparer) = log.into_parts();
    let answers = Answers::default();
    let sized = |class| Entry::new(vec![1; 900], vec![2; 100], class).unwrap();
    let mut fill = |class| {
        let mut n = 0;
        loop {
            preparer.step();
            if append(&appender, sized(class), &answers).is_err() || writer.step() == 0 {
                return n;
            }
            n += 1;
        }
    };
    assert!(200 < fill(EntryClass::Decision));
    assert!(0 < fill(EntryClass::Reserved), "the reserve takes an act of administration");
    assert_eq!(fill(EntryClass::Decision), 0);
    assert!(appender.is_writable(), "{:?}", appender.fence_reason());
    let n_ok = answers.lock().unwrap().iter().filter(|answer| answer.is_ok()).count() as u64;
    disk.crash();
    disk.set_volume_bytes(1 << 20);
    let (_, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.n_records, n_ok);
}

/// S2: strangers' refusals get their share of the volume and no more, also after a restart.
#[test]
fn folded_records_stop_at_their_share() {
    let disk = SimDisk::new(1);
    disk.set_volume_bytes(1 << 20);
    let sized = |class| Entry::new(vec![1; 1_000], Vec::new(), class).unwrap();
    let mut n_folded = 0;
    for _ in 0..2 {
        let (log, _) = open(&disk).unwrap();
        let (appender, mut writer, _) = log.into_parts();
        let answers = Answers::default();
        while append(&appender, sized(EntryClass::Folded), &answers).is_ok() {
            n_folded += writer.step();
        }
        let refused = append(&appender, sized(EntryClass::Folded), &answers);
        assert_eq!(refused, Err(AppendError::Quota));
        append(&appender, sized(EntryClass::Decision), &answers).unwrap();
        assert_eq!(writer.step(), 1);
    }
    // 5 % of a MiB in frames of 1,064 bytes.
    assert_eq!(n_folded, (1 << 20) / 100 * 5 / 1_064);
}

#[test]
fn a_record_larger_than_a_segment_gets_a_segment_of_its_own_size() {
    let disk = SimDisk::new(1);
    let (log, _) = open(&disk).unwrap();
    let (appender, mut writer, preparer) = log.into_parts();
    let answers = Answers::default();
    preparer.step();
    let large = Entry::new(vec![1; 10], vec![2; 100_000], EntryClass::Decision).unwrap();
    append(&appender, large, &answers).unwrap();
    append(&appender, entry(&mut SplitMix::new(1)), &answers).unwrap();
    assert_eq!(writer.step(), 2);
    let receipts: Vec<_> = answers.lock().unwrap().drain(..).map(Result::unwrap).collect();
    check_kept(&disk, &receipts).unwrap();
    let (_, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.n_records, 2);
}

#[test]
fn a_verb_records_on_its_own_thread() {
    let disk = SimDisk::new(1);
    let (mut log, _) = open(&disk).unwrap();
    let mut chance = SplitMix::new(1);
    for index in 0..40 {
        assert_eq!(log.record(entry(&mut chance)).unwrap().index, index);
    }
    disk.fail_after(0, Fault::SyncError);
    assert_eq!(log.record(entry(&mut chance)), Err(AppendError::Fenced));
    assert_eq!(log.record(entry(&mut chance)), Err(AppendError::Fenced));
}

/// S3: with the power lost anywhere while a segment is made, no segment is ever seen that is not
/// whole: zeroes behind a header that says its length.
#[test]
fn a_segment_is_whole_before_it_has_its_name() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut chance = SplitMix::new(seed);
        let (log, _) = open(&disk).unwrap();
        let (appender, mut writer, preparer) = log.into_parts();
        let fault = if chance.one_in(2) { Fault::CrashAtSync } else { Fault::CrashAtWrite };
        disk.fail_after(chance.below(40), fault);
        let answers = Answers::default();
        while appender.is_writable() && disk.n_crashes() == 0 {
            preparer.step();
            let _ = append(&appender, entry(&mut chance), &answers);
            writer.step();
        }
        for name in disk.list("wal").unwrap().iter().filter(|name| name.ends_with(".wal")) {
            let bytes = disk.bytes(&format!("wal/{name}")).unwrap();
            let header = crate::wal::SegmentHeader::parse(&bytes).unwrap();
            assert_eq!(header.segment_bytes, bytes.len() as u64, "seed {seed}, {name}");
        }
    }
}

/// A small log of some segments, and its receipts.
fn some_log(seed: u64, n_records: usize) -> (SimDisk, Vec<Receipt>) {
    let disk = SimDisk::new(seed);
    let (log, _) = open(&disk).unwrap();
    let (appender, mut writer, _) = log.into_parts();
    let (answers, mut chance) = (Answers::default(), SplitMix::new(seed));
    for n in 0..n_records {
        append(&appender, entry(&mut chance), &answers).unwrap();
        if n % 3 == 0 || n + 1 == n_records {
            writer.step();
        }
    }
    let receipts = answers.lock().unwrap().drain(..).map(Result::unwrap).collect();
    (disk, receipts)
}

/// Damage in a closed segment, in an early group and in the very last group is refused and named.
#[test]
fn a_corrupt_middle_is_refused_with_segment_offset_and_index() {
    let (disk, receipts) = some_log(3, 60);
    let reader = Reader::open(Arc::new(disk.clone())).unwrap();
    let stored: Vec<_> = reader.entries().map(Result::unwrap).collect();
    let last_segment = &stored[stored.len() - 1].segment;
    assert_ne!(&stored[0].segment, last_segment);
    let in_last = stored.iter().find(|entry| entry.segment == *last_segment).unwrap();
    for entry in [&stored[2], in_last, &stored[stored.len() - 1]] {
        disk.flip(&entry.segment, entry.offset + 60, 5).unwrap();
        match open(&disk) {
            Err(OpenError::Corrupt { segment, offset, index, source }) => {
                assert_eq!((&segment, offset, index), (&entry.segment, entry.offset, entry.index));
                assert_eq!(source, FrameFault::Checksum);
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("opened with record {} damaged", entry.index),
        }
        disk.flip(&entry.segment, entry.offset + 60, 5).unwrap();
    }
    open(&disk).unwrap();
    check_kept(&disk, &receipts).unwrap();
}

/// Leftovers of a torn group behind its hole are neither damage nor records.
#[test]
fn leftovers_of_an_unacknowledged_group_are_cut() {
    let (disk, receipts) = some_log(4, 3);
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.torn_bytes, 0);
    let (appender, mut writer, _) = log.into_parts();
    let answers = Answers::default();
    for _ in 0..3 {
        let entry = Entry::new(vec![9; 1_500], vec![9; 100], EntryClass::Decision).unwrap();
        append(&appender, entry, &answers).unwrap();
    }
    writer.step();
    // The group of three loses one sector of its first frame, as if it had never been synced.
    let name = segment_name(0);
    let reader = Reader::open(Arc::new(disk.clone())).unwrap();
    let hole = reader.get(3).unwrap().unwrap().offset.next_multiple_of(512) as usize;
    let mut bytes = disk.bytes(&name).unwrap();
    bytes[hole..hole + 512].fill(0);
    disk.plant(&name, &bytes);
    let (_, recovery) = open(&disk).unwrap();
    assert_eq!(recovery.n_records, 3);
    assert!(4_500 < recovery.torn_bytes, "{}", recovery.torn_bytes);
    check_kept(&disk, &receipts).unwrap();
    let (_, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.n_records, recovery.torn_bytes), (3, 0));
}

#[test]
fn a_disk_that_forgets_is_refused_unless_that_is_allowed() {
    let disk = SimDisk::new(1);
    disk.set_kind(DiskKind::Volatile("tmpfs".to_owned()));
    let error = open(&disk).err().unwrap();
    assert!(matches!(error, OpenError::Volatile { .. }));
    let text = error.to_string();
    assert!(text.contains("tmpfs") && text.contains("ledger.volatile = true"), "{text}");
    let allowed = LogConfig { volatile_allowed: true, ..config() };
    let (_, recovery) = Log::open(Arc::new(disk), &allowed, clock()).unwrap();
    assert_eq!(recovery.kind, DiskKind::Volatile("tmpfs".to_owned()));
}

#[test]
fn what_is_no_part_of_this_log_is_refused_by_name() {
    let (disk, _) = some_log(5, 40);
    disk.plant("wal/notes.txt", b"hello");
    assert!(matches!(open(&disk), Err(OpenError::Foreign { name }) if name == "notes.txt"));
    disk.remove("wal/notes.txt").unwrap();

    let other = LogConfig::new("log.example/b/0");
    let error = Log::open(Arc::new(disk.clone()), &other, clock()).err().unwrap();
    assert!(error.to_string().contains("log `log.example/a/0`"), "{error}");

    let name = segment_name(0);
    let bytes = disk.bytes(&name).unwrap();
    disk.plant(&name, &bytes[..bytes.len() - 512]);
    assert!(matches!(open(&disk), Err(OpenError::Misplaced { .. })));
    disk.plant(&name, &bytes[..HEADER_BYTES - 1]);
    assert!(matches!(open(&disk), Err(OpenError::Header { source: HeaderFault::Short, .. })));
    disk.plant(&name, &bytes);
    disk.flip(&name, 30, 0).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Header { source: HeaderFault::Checksum, .. })));
    disk.remove(&name).unwrap();
    open(&disk).map(|_| ()).expect("a log whose oldest segments were pruned opens");
}

/// Both sides of each bound of the configuration.
#[test]
fn a_configuration_that_cannot_be_is_refused_with_its_field() {
    let longest = "a".repeat(ORIGIN_BYTES_MAX);
    let good = [
        LogConfig { origin: longest.as_str().into(), ..config() },
        LogConfig { segment_bytes: SEGMENT_BYTES_MAX, ..config() },
        LogConfig { reserve_percent: 95, folded_percent: 5, ..config() },
    ];
    for config in good {
        assert!(config.check().is_ok(), "refused {config:?}");
    }
    let bad = [
        LogConfig { origin: format!("{longest}a").into(), ..config() },
        LogConfig { origin: "".into(), ..config() },
        LogConfig { origin: "a\"b".into(), ..config() },
        LogConfig { segment_bytes: SEGMENT_BYTES_MAX + 1, ..config() },
        LogConfig { segment_bytes: SEGMENT_BYTES_MIN - 1, ..config() },
        LogConfig { reserve_percent: 96, folded_percent: 5, ..config() },
        LogConfig { queue_records_max: 0, ..config() },
    ];
    for config in bad {
        let refused = config.check().unwrap_err();
        assert!(refused.to_string().contains("`ledger."), "{refused}");
    }
}

/// A wall clock set back between two lives does not move the segments' times back.
#[test]
fn a_clock_set_back_does_not_move_segments_back_in_time() {
    let (disk, _) = some_log(6, 60);
    let early = Arc::new(SimClock::new(1_000));
    let (log, _) = Log::open(Arc::new(disk.clone()), &config(), early).unwrap();
    let (appender, mut writer, _) = log.into_parts();
    let (answers, mut chance) = (Answers::default(), SplitMix::new(9));
    for _ in 0..60 {
        append(&appender, entry(&mut chance), &answers).unwrap();
        writer.step();
    }
    let (log, recovery) = open(&disk).unwrap();
    drop(log);
    assert_eq!(recovery.n_records, 120);
    assert!(recovery.last_wall_ns.unwrap() >= 1_800_000_000_000_000_000);
}
