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
use crate::publish::PublisherConfig;
use crate::read::{Reader, StoredEntry};
use crate::record::Decision;
use crate::record::{Act, ActKind};
use crate::seal::{Payload, SealingKeys};
use crate::secret::RecordSecret;
use crate::tlog::{KeyKind, NoteSigner};
use crate::wrap::FileKeys;

fn sealing_keys_on(
    disk: SimDisk,
    seed: u64,
    today: u32,
) -> Result<SealingKeys, crate::seal::SealingKeysError> {
    let (disk, entropy) = (Arc::new(disk), Arc::new(SimEntropy::new(seed)));
    let wrap = Arc::new(FileKeys::new(disk.clone(), entropy.clone()));
    SealingKeys::open(disk, wrap, entropy, today)
}

fn sealing_keys(
    disk_seed: u64,
    seed: u64,
    today: u32,
) -> Result<SealingKeys, crate::seal::SealingKeysError> {
    sealing_keys_on(SimDisk::new(disk_seed), seed, today)
}

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
        retained: &[],
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
    let keys = sealing_keys_on(keys, 1, clock.now().day());
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

    let other = sealing_keys(3, 9, 1);
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
    let keys = sealing_keys(2, 1, 20_833);
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

fn act_entry(clock: &SimClock, n: u64) -> Entry {
    let at = clock.now();
    let act = Act { count: Some(n), ..Act::new(ActKind::KeysListed) };
    let (environment, replica) = ("dev".into(), "r1".into());
    let id = DecisionId::new(at.wall_ns, [n as u8; 10]);
    let body = Body::Act(Box::new(act));
    let record = Record { id, at, environment, replica, volatile: false, body };
    Entry::new(record.encode(), vec![n as u8; 40], EntryClass::Reserved).unwrap()
}

/// A published log of several tiles, closed in order, with the key that signed it.
fn published(n: u64) -> (SimDisk, Policy) {
    let disk = SimDisk::new(7);
    let clock = Arc::new(SimClock::new(1_800_000_000_000_000_000));
    let config = LogConfig { segment_bytes: 64 << 10, ..LogConfig::new("log.example/a/0") };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), &config, clock.clone()).unwrap();
    let key = NoteSigner::from_seed("log.example/a/0", KeyKind::Ed25519, &[1; 32]).unwrap();
    let policy = Policy::of_logs(vec![key.public().clone()]);
    let config = PublisherConfig {
        signers: vec![key],
        anchor: None,
        outside: Vec::new(),
        ended: Vec::new(),
    };
    let mut publisher = log.publisher(config).unwrap();
    for n in 0..n {
        log.record(act_entry(&clock, n)).unwrap();
        if n % 100 == 7 {
            publisher.step().unwrap();
        }
    }
    publisher.finish().unwrap();
    (disk, policy)
}

#[test]
fn a_file_cut_short_before_the_checkpoint_that_needs_it_is_no_damage() {
    let (disk, policy) = published(10);
    let clock = Arc::new(SimClock::new(1_800_000_001_000_000_000));
    let config = LogConfig { segment_bytes: 64 << 10, ..LogConfig::new("log.example/a/0") };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), &config, clock.clone()).unwrap();
    for n in 0..5 {
        log.record(act_entry(&clock, n)).unwrap();
    }
    drop(log);
    let bundle =
        crate::files::read_whole(&disk, "tlog/tile/entries/000.p/10", 1 << 20).unwrap().unwrap();
    let sizes = [0, 1, bundle.len() / 2, bundle.len()];
    for cut in sizes {
        disk.plant("tlog/tile/entries/000.p/12", &bundle[..cut]);
        let report = look(&disk, &policy);
        assert!(report.damage.is_none(), "{cut}: {:?}", report.damage);
        assert_eq!((report.tree.n_covered, report.n_records), (10, 15));
    }
    let mut other = bundle.clone();
    other[100] ^= 1;
    disk.plant("tlog/tile/entries/000.p/12", &other);
    assert_eq!(place(&look(&disk, &policy)).unwrap().0, "tlog/tile/entries/000.p/12");
    disk.plant("tlog/tile/entries/000.p/12", &bundle);
    disk.plant("tlog/tile/entries/000.p/10", &bundle[..100]);
    assert_eq!(place(&look(&disk, &policy)), Some(("tlog/tile/entries/000.p/10", 100)));
}

fn look(disk: &SimDisk, policy: &Policy) -> VerifyReport {
    let checks = Checks { policy: Some(policy), ..Checks::default() };
    verify_with(disk, &checks, Scope::Closed, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// Every file of a store's log.
fn names(disk: &SimDisk) -> Vec<String> {
    let mut folders = vec!["wal".to_owned(), "tlog".to_owned()];
    for kind in ["0", "1", "entries"] {
        folders.push(format!("tlog/tile/{kind}"));
        folders.extend((0..8).map(|index| format!("tlog/tile/{kind}/{index:03}.p")));
    }
    let inside = |folder: &String| {
        let names = disk.list(folder).unwrap().into_iter();
        names.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    folders.iter().flat_map(inside).filter(|name| !name.ends_with(".tmp")).collect()
}

/// V1, V3: random bit flips, cuts and swaps anywhere in the folder, each found and located.
#[test]
fn every_change_of_a_published_log_is_found_where_it_is() {
    let n_changes = if std::env::var_os("BARTIZAN_DEEP").is_some() { 10_000 } else { 120 };
    let (disk, policy) = published(700);
    let names = names(&disk);
    let sound = look(&disk, &policy);
    assert!(sound.damage.is_none() && sound.torn_tail.is_none(), "{:?}", sound.damage);
    assert_eq!((sound.tree.checkpoint_size, sound.tree.n_signatures), (Some(700), 1));
    assert!(12 < names.len() && 8 < sound.tree.n_files, "{names:?}");
    let mut chance = SplitMix::new(11);
    let mut n_made = 0;
    while n_made < n_changes {
        let name = &names[chance.below(names.len() as u64) as usize];
        let before = disk.bytes(name).unwrap();
        let mut bytes = before.clone();
        let at = chance.below(bytes.len() as u64) as usize;
        match chance.below(4) {
            0 => bytes.truncate(at),
            1 => {
                let (a, b) = (at / 64 * 64, chance.below(bytes.len() as u64) as usize / 64 * 64);
                for n in 0..64.min(bytes.len() - a.max(b)) {
                    bytes.swap(a + n, b + n);
                }
            }
            _ => bytes[at] ^= 1 << chance.below(8),
        }
        if bytes == before {
            continue;
        }
        disk.plant(name, &bytes);
        n_made += 1;
        let report = look(&disk, &policy);
        let found = report.damage.as_ref().or(report.torn_tail.as_ref());
        let found =
            found.unwrap_or_else(|| panic!("change {n_made} of `{name}` at {at} not found"));
        assert_eq!(&found.segment, name, "change {n_made} at {at}: {found:?}");
        disk.plant(name, &before);
    }
    assert!(look(&disk, &policy).damage.is_none());
}

/// V3: what is missing, foreign, of another key or rolled back, by name.
#[test]
fn what_is_wrong_with_the_published_log_is_named() {
    let (disk, policy) = published(300);
    let damage = |disk: &SimDisk, checks: &Checks<'_>| {
        let told = &mut |_, _| ControlFlow::Continue(());
        let damage = verify_with(disk, checks, Scope::Closed, told).unwrap().damage;
        damage.map(|damage| format!("{}: {}", damage.segment, damage.kind)).unwrap_or_default()
    };
    let checks = Checks { policy: Some(&policy), ..Checks::default() };
    disk.remove("tlog/tile/0/000").unwrap();
    assert_eq!(damage(&disk, &checks), "tlog/tile/0/000: is missing");
    let (disk, _) = published(300);
    disk.plant("tlog/tile/0/xyz", b"hello");
    assert!(damage(&disk, &checks).contains("tlog/tile/0/xyz: is no file of the published log"));
    let (disk, _) = published(300);
    let other = NoteSigner::from_seed("log.example/a/0", KeyKind::Ed25519, &[2; 32]).unwrap();
    let stranger = Policy::of_logs(vec![other.public().clone()]);
    let checked = Checks { policy: Some(&stranger), ..Checks::default() };
    assert_eq!(damage(&disk, &checked), "tlog/checkpoint: no signature of the log's key");
    let known = |size, root| Outside { source: "w.example".to_owned(), size, root };
    let outside = [known(301, Some([0; 32]))];
    let checked = Checks { outside: &outside, ..checks };
    assert!(damage(&disk, &checked).contains("w.example knows 301 records, the log ends at 300"));
    let outside = [known(7, Some([0; 32]))];
    let checked = Checks { outside: &outside, ..checks };
    assert!(damage(&disk, &checked).contains("another root than w.example says"));
    assert_eq!(damage(&disk, &checks), "");
    let unsigned = verify(&disk, None, Scope::Closed, &mut |_, _| ControlFlow::Continue(()));
    assert_eq!(unsigned.unwrap().tree.n_signatures_unchecked, 1, "V2");
}

/// A proof out of the published folder verifies with the policy alone.
#[test]
fn a_record_is_proved_out_of_what_was_published() {
    let (disk, policy) = published(700);
    for entry in stored(&disk).iter().step_by(97) {
        let hash = leaf_hash(&entry.leaf);
        let extra = crate::Extra { leaf: entry.leaf.clone(), disclosure: None };
        let proof = crate::prove_record(&disk, entry.index, &hash, Some(extra.encode())).unwrap();
        let proof = crate::tlog::TlogProof::parse(proof.to_string().as_bytes()).unwrap();
        let (note, checkpoint) = proof.verify(&hash).unwrap();
        assert_eq!(checkpoint.size, 700);
        assert!(policy.judge(&note).unwrap().is_good());
        assert!(proof.verify(&leaf_hash(b"another")).is_err());
    }
    let beyond = crate::prove_record(&disk, 700, &[0; 32], None).unwrap_err();
    assert!(matches!(beyond, crate::ProveError::NotPublished { index: 700, size: 700 }));
}
