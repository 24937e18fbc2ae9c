//! Verifying: clean logs pass, every kind of damage is found where it is.

use std::sync::Arc;

use bartizan_core::clock::Clock;
use bartizan_core::id::DecisionId;
use bartizan_core::tensor::{Tensor, Values};
use bartizan_testkit::{SimClock, SimDisk, SimEntropy, SplitMix};

use super::*;
use crate::commit::commit_tensors;
use crate::entry::{Entry, EntryClass};
use crate::log::{Log, LogConfig};
use crate::read::{Reader, StoredEntry};
use crate::record::Decision;
use crate::seal::{Payload, SealingKeys};
use crate::secret::RecordSecret;

/// What a test's record commits to beside what is sealed.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    None,
    Received,
    Output,
    Reply,
}

fn entry(sealer: &Sealer, clock: &SimClock, n: u64, lie: Lie) -> Entry {
    let id = DecisionId::new(clock.now().wall_ns, [n as u8; 10]);
    let secret = RecordSecret::from([n as u8; 32]);
    let outputs = [Tensor::new("p", vec![1], Values::Fp64(vec![n as f64])).unwrap()];
    let payload = Payload {
        secret: &secret,
        received: b"[1,2,3]",
        outputs: &outputs,
        reply: b"[0.5]",
        principal: Some("alice"),
        subject: None,
        end_user: None,
        purpose: None,
        correlation_id: None,
    };
    let text = |wanted, text: &'static [u8]| if lie == wanted { b"other" } else { text };
    let commitments = Commitments {
        received: Some(commit(&secret, Commitment::Received, text(Lie::Received, b"[1,2,3]"))),
        tensors: Some(commit_tensors(&secret, &outputs)),
        output: Some(commit_outputs(&secret, if lie == Lie::Output { &[] } else { &outputs })),
        reply: Some(commit(&secret, Commitment::Reply, text(Lie::Reply, b"[0.5]"))),
    };
    let body = Body::Decision(Box::new(Decision { commitments, ..Decision::default() }));
    let (environment, replica) = ("demo".into(), "a".into());
    let record = Record { id, at: clock.now(), environment, replica, volatile: false, body };
    let sealed = sealer.seal(id, clock.now().day(), &payload, [n as u8; 12]).unwrap();
    Entry::new(record.encode(), sealed, EntryClass::Decision).unwrap()
}

/// A log of `n` records over some segments, closed, and its keys.
fn log(n: u64, lie: Lie) -> (SimDisk, Arc<Sealer>) {
    let disk = SimDisk::new(1);
    let clock = Arc::new(SimClock::new(1_800_000_000_000_000_000));
    let keys = SimDisk::new(2);
    let keys = SealingKeys::open(Arc::new(keys), Arc::new(SimEntropy::new(1)), clock.now().day());
    let sealer = keys.unwrap().sealer();
    let config = LogConfig { segment_bytes: 16 << 10, ..LogConfig::new("a") };
    let shared: Arc<SimClock> = Arc::clone(&clock);
    let (log, _) = Log::open(Arc::new(disk.clone()), &config, shared).unwrap();
    let (appender, mut writer, _) = log.into_parts();
    for n in 0..n {
        let lie = if n == 5 { lie } else { Lie::None };
        let entry = entry(&sealer, &clock, n, lie);
        appender.append(entry, Box::new(|answer| assert!(answer.is_ok()))).unwrap();
        clock.advance(1_000_000);
        if n % 4 == 0 {
            writer.step();
        }
    }
    writer.step();
    (disk, sealer)
}

fn run(disk: &SimDisk, sealer: Option<&Sealer>, scope: Scope) -> VerifyReport {
    verify(disk, sealer, scope, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// V2: what was checked and what was not, with keys, without, and with other keys.
#[test]
fn a_sound_log_passes_and_the_report_says_what_was_not_checked() {
    let (disk, sealer) = log(60, Lie::None);
    let report = run(&disk, Some(&sealer), Scope::Closed);
    assert!(report.damage.is_none() && report.torn_tail.is_none(), "{report:?}");
    assert_eq!((report.n_records, report.n_opened, report.n_tensors_unchecked), (60, 60, 60));
    assert!(1 < report.n_segments && report.unanchored && report.origin == "a");

    let report = run(&disk, None, Scope::Live);
    assert_eq!((report.n_records, report.n_opened, report.n_not_tried), (60, 0, 60));

    let other = SealingKeys::open(Arc::new(SimDisk::new(3)), Arc::new(SimEntropy::new(9)), 1);
    let report = run(&disk, Some(&other.unwrap().sealer()), Scope::Closed);
    assert_eq!((report.n_without_key, report.damage.is_none()), (60, true));
}

#[test]
fn a_payload_that_is_not_what_its_record_commits_to_is_found() {
    for (lie, what) in [(Lie::Received, "received"), (Lie::Output, "output"), (Lie::Reply, "reply")]
    {
        let (disk, sealer) = log(10, lie);
        let damage = run(&disk, Some(&sealer), Scope::Closed).damage.unwrap();
        assert_eq!(damage.index, Some(5));
        assert!(matches!(damage.kind, DamageKind::Commitment(w) if w == what), "{damage:?}");
        assert!(run(&disk, None, Scope::Closed).damage.is_none());
    }
}

/// R2: what a request said is in the sealed part, and nowhere in the log in the clear.
#[test]
fn neither_leaf_nor_segment_shows_what_was_said_or_who_said_it() {
    let (disk, sealer) = log(20, Lie::None);
    let opened = |entry: &StoredEntry| {
        sealer.open(Record::decode(&entry.leaf).unwrap().id, &entry.sealed).unwrap()
    };
    for entry in stored(&disk) {
        assert_eq!(opened(&entry).principal.as_deref(), Some("alice"));
        assert_eq!(opened(&entry).received, b"[1,2,3]");
        for said in [&b"alice"[..], b"[1,2,3]", b"[0.5]"] {
            assert!(!entry.leaf.windows(said.len()).any(|part| part == said));
            let bytes = disk.bytes(&entry.segment).unwrap();
            assert!(!bytes.windows(said.len()).any(|part| part == said));
        }
    }
}

fn stored(disk: &SimDisk) -> Vec<StoredEntry> {
    let reader = Reader::open(Arc::new(disk.clone())).unwrap();
    reader.entries().map(Result::unwrap).collect()
}

/// The place that a report names, damage or torn tail.
fn place(report: &VerifyReport) -> Option<(&str, u64)> {
    let damage = report.damage.as_ref().or(report.torn_tail.as_ref());
    damage.map(|damage| (damage.segment.as_str(), damage.offset))
}

/// V1: thousands of flipped bits all over the log, each found, each in the frame or header that
/// it lies in.
#[test]
fn every_flipped_bit_is_found_and_its_place_named() {
    let (disk, sealer) = log(40, Lie::None);
    let entries = stored(&disk);
    let names: Vec<_> = disk.list("wal").unwrap().iter().map(|n| format!("wal/{n}")).collect();
    let mut chance = SplitMix::new(7);
    for _ in 0..2_000 {
        let name = &names[chance.below(names.len() as u64) as usize];
        let len = disk.bytes(name).unwrap().len() as u64;
        let (offset, bit) = (chance.below(len), chance.below(8) as u8);
        disk.flip(name, offset, bit).unwrap();
        let report = run(&disk, Some(&sealer), Scope::Closed);
        let found = place(&report);
        disk.flip(name, offset, bit).unwrap();
        let before = entries.iter().rfind(|e| e.segment == *name && e.offset <= offset);
        let expected = if offset < 4_096 { 0 } else { before.map_or(4_096, |e| e.offset) };
        // Behind the last frame of a segment the place is where that frame ends.
        let (segment, at) = found.unwrap_or_else(|| panic!("{name} {offset} {bit} not found"));
        assert_eq!(segment, name, "offset {offset}, bit {bit}");
        assert!(expected <= at && at <= offset, "{name}: {offset} is said to be at {at}");
    }
    assert_eq!(place(&run(&disk, Some(&sealer), Scope::Closed)), None);
}

/// V1: cuts anywhere in any segment, a segment taken away, two exchanged, two frames exchanged.
#[test]
fn every_cut_and_every_swap_is_found() {
    let (disk, sealer) = log(70, Lie::None);
    let names: Vec<_> = disk.list("wal").unwrap().iter().map(|n| format!("wal/{n}")).collect();
    assert!(2 < names.len(), "the last segment's loss is what only an anchor can tell");
    let mut chance = SplitMix::new(8);
    for _ in 0..300 {
        let name = &names[chance.below(names.len() as u64) as usize];
        let bytes = disk.bytes(name).unwrap();
        let len = chance.below(bytes.len() as u64) as usize;
        disk.plant(name, &bytes[..len]);
        let report = run(&disk, Some(&sealer), Scope::Closed);
        assert_eq!(place(&report).map(|(segment, _)| segment), Some(name.as_str()), "{len}");
        disk.plant(name, &bytes);
    }
    let entries = stored(&disk);
    for _ in 0..300 {
        let pick = |chance: &mut SplitMix| chance.below(entries.len() as u64 - 1) as usize;
        let (a, b) = (pick(&mut chance), pick(&mut chance));
        let (a, b) = (&entries[a.min(b)], &entries[a.max(b)]);
        let len = |e: &StoredEntry| crate::wal::frame_bytes(e.leaf.len() + e.sealed.len());
        if a.segment != b.segment || a.index == b.index || len(a) != len(b) {
            continue;
        }
        let bytes = disk.bytes(&a.segment).unwrap();
        let (at_a, at_b) = (a.offset as usize, b.offset as usize);
        let mut swapped = bytes.clone();
        swapped[at_a..at_a + len(a)].copy_from_slice(&bytes[at_b..at_b + len(b)]);
        swapped[at_b..at_b + len(b)].copy_from_slice(&bytes[at_a..at_a + len(a)]);
        disk.plant(&a.segment, &swapped);
        let damage = run(&disk, Some(&sealer), Scope::Closed).damage.unwrap();
        assert_eq!((damage.offset, damage.index), (a.offset, Some(a.index)));
        disk.plant(&a.segment, &bytes);
    }
    let (first, second) = (disk.bytes(&names[0]).unwrap(), disk.bytes(&names[1]).unwrap());
    disk.plant(&names[0], &second);
    disk.plant(&names[1], &first);
    assert!(run(&disk, Some(&sealer), Scope::Closed).damage.is_some());
    disk.plant(&names[0], &first);
    disk.remove(&names[1]).unwrap();
    let damage = run(&disk, Some(&sealer), Scope::Closed).damage.unwrap();
    assert_eq!(damage.segment, names[0]);
}

/// A verifier that looks while the log is written never cries wolf.
#[test]
fn a_live_log_verifies_at_every_moment() {
    let disk: Arc<dyn Disk> = Arc::new(crate::MemDisk::new());
    let config =
        LogConfig { segment_bytes: 1 << 20, volatile_allowed: true, ..LogConfig::new("a") };
    let clock = Arc::new(SimClock::new(1_800_000_000_000_000_000));
    let keys = SealingKeys::open(Arc::new(SimDisk::new(2)), Arc::new(SimEntropy::new(1)), 20_833);
    let sealer = keys.unwrap().sealer();
    let shared: Arc<SimClock> = Arc::clone(&clock);
    let (log, _) = Log::open(Arc::clone(&disk), &config, shared).unwrap();
    let running = log.start().unwrap();
    let appender = running.appender();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..3_000 {
                let entry = entry(&sealer, &clock, n, Lie::None);
                while appender.n_waiting() > 50 {
                    std::thread::yield_now();
                }
                appender.append(entry, Box::new(|answer| assert!(answer.is_ok()))).unwrap();
            }
        });
        for _ in 0..40 {
            let report =
                verify(&*disk, None, Scope::Live, &mut |_, _| ControlFlow::Continue(())).unwrap();
            assert!(report.damage.is_none(), "{:?}", report.damage);
        }
    });
    running.stop();
}

/// The chain, not only the checksums: a record rewritten with a right checksum is found.
#[test]
fn a_rewritten_frame_with_a_right_checksum_is_found_by_the_chain() {
    let (disk, sealer) = log(40, Lie::None);
    let entry = &stored(&disk)[3];
    let mut bytes = disk.bytes(&entry.segment).unwrap();
    let at = entry.offset as usize;
    let len = 48 + entry.leaf.len() + entry.sealed.len() + 1;
    bytes[at + 8 + 48 + entry.leaf.len() + 20] ^= 1;
    let crc = crc32c::crc32c(&bytes[at + 8..at + 8 + len]);
    bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    disk.plant(&entry.segment, &bytes);
    for sealer in [Some(&*sealer), None] {
        for scope in [Scope::Closed, Scope::Live] {
            let damage = run(&disk, sealer, scope).damage.unwrap();
            assert_eq!((damage.offset, damage.index), (entry.offset, Some(3)));
            assert!(matches!(damage.kind, DamageKind::Frame(FrameFault::Chain)), "{damage:?}");
        }
    }
}

#[test]
fn a_foreign_file_is_named_and_a_run_may_be_ended_early() {
    let (disk, sealer) = log(1_000, Lie::None);
    let mut n_calls = 0;
    let report = verify(&disk, Some(&sealer), Scope::Closed, &mut |done, all| {
        assert!(done <= all);
        n_calls += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(n_calls, 1);
    assert!(report.n_records < 1_000 && report.damage.is_none());
    disk.plant("wal/x", b"");
    let damage = run(&disk, None, Scope::Closed).damage.unwrap();
    assert!(damage.segment == "wal/x" && matches!(damage.kind, DamageKind::Foreign));
    let absent = verify(&SimDisk::new(1), None, Scope::Live, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(absent, Err(ReadError::Absent)));
}
