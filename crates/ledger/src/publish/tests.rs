//! The publisher on simulated disks: losses of power, mutants that these tests must catch,
//! rollbacks, forks, anchors, and a whole folder read by the formats alone.

use std::sync::Mutex;

use bartizan_testkit::{Fault, SimClock, SimDisk, SplitMix};

use super::*;
use crate::entry::{Entry, EntryClass};
use crate::log::{Log, LogConfig, OpenError};
use crate::read::Reader;
use crate::receipt::leaf_hash;
use crate::tlog::{Frontier, KeyKind, bundle_entries};

const ORIGIN: &str = "log.example/a/0";

fn clock() -> Arc<SimClock> {
    Arc::new(SimClock::new(1_800_000_000_000_000_000))
}

fn signers() -> Vec<NoteSigner> {
    vec![NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap()]
}

fn config() -> PublisherConfig {
    PublisherConfig { signers: signers(), anchor: None, outside: Vec::new(), ended: Vec::new() }
}

fn open(disk: &SimDisk) -> Result<Log, OpenError> {
    let config = LogConfig { segment_bytes: 16 << 10, ..LogConfig::new(ORIGIN) };
    Log::open(Arc::new(disk.clone()), &config, clock()).map(|(log, _)| log)
}

fn entry(chance: &mut SplitMix) -> Entry {
    let leaf = chance.draw().to_le_bytes().repeat(1 + chance.below(60) as usize);
    let sealed = vec![7; chance.below(200) as usize];
    Entry::new(leaf, sealed, EntryClass::Decision).unwrap()
}

/// Roots of the first 0, 1, ... records of the log as it lies on the disk.
fn roots(disk: &SimDisk) -> Result<Vec<Hash>, String> {
    let reader = Reader::open(Arc::new(disk.clone())).map_err(|error| error.to_string())?;
    let (mut frontier, mut roots) = (Frontier::new(), Vec::new());
    roots.push(frontier.root());
    for entry in reader.entries() {
        frontier.push(leaf_hash(&entry.map_err(|error| error.to_string())?.leaf));
        roots.push(frontier.root());
    }
    Ok(roots)
}

/// P1, P2: what was told, and what lies on the disk, is a beginning of the log.
fn check_told(disk: &SimDisk, told: &[(u64, Hash)]) -> Result<(), String> {
    let roots = roots(disk)?;
    let name = tlog_name(&Resource::Checkpoint);
    let lying = read_checkpoint(disk, &name, &signers()).map_err(|error| error.to_string())?;
    let lying = lying.map(|published| (published.size, published.root));
    if let (Some(lying), Some(last)) = (lying, told.last())
        && lying.0 < last.0
    {
        return Err(format!("the checkpoint of {} was told and is {} now", last.0, lying.0));
    }
    for (size, root) in told.iter().copied().chain(lying) {
        match roots.get(size as usize) {
            None => return Err(format!("a checkpoint of {size} covers {}", roots.len() - 1)),
            Some(found) if *found != root => return Err(format!("another root at {size}")),
            Some(_) => {}
        }
    }
    Ok(())
}

fn lives(seed: u64, mutant: PublisherMutant) -> Result<usize, String> {
    const FAULTS: &[Fault] = &[
        Fault::CrashAtWrite,
        Fault::CrashAtSync,
        Fault::CrashAtSync,
        Fault::SyncError,
        Fault::WriteError,
        Fault::WriteShort,
        Fault::WriteFull,
        Fault::SyncDirError,
        Fault::RenameError,
    ];
    let (mut chance, disk) = (SplitMix::new(seed), SimDisk::new(seed));
    let told: Arc<Mutex<Vec<(u64, Hash)>>> = Arc::default();
    for _ in 0..5 {
        let opened = open(&disk);
        let log = match opened {
            Ok(log) => log,
            Err(OpenError::Io { .. }) => {
                disk.crash();
                continue;
            }
            Err(error) => return Err(format!("does not open: {error}")),
        };
        check_told(&disk, &told.lock().unwrap())?;
        let publisher = log.publisher(config());
        let mut publisher = publisher.map_err(|error| format!("does not open: {error}"))?;
        publisher.mutant = mutant;
        let (appender, mut writer, _) = log.into_parts();
        disk.fail_after(chance.below(30), FAULTS[chance.below(FAULTS.len() as u64) as usize]);
        for _ in 0..chance.below(14) {
            for _ in 0..chance.below(40) {
                let _ = appender.append(entry(&mut chance), Box::new(|_| {}));
            }
            writer.step();
            if chance.one_in(2) && publisher.step().is_ok() {
                let newest = publisher.publication().newest();
                let newest = newest.map(|newest| (newest.size, newest.root));
                told.lock().unwrap().extend(newest);
            }
        }
        disk.clear_faults();
        if chance.one_in(4) { disk.kill() } else { disk.crash() }
    }
    let log = open(&disk).map_err(|error| format!("does not open at last: {error}"))?;
    check_told(&disk, &told.lock().unwrap())?;
    let mut publisher = log.publisher(config()).map_err(|error| error.to_string())?;
    publisher.step().map_err(|error| error.to_string())?;
    check_folder(&disk)?;
    let n_told = told.lock().unwrap().len();
    Ok(n_told)
}

/// The folder as another reader sees it: every tile and bundle of the checkpoint's size is
/// there, has the log's bytes, and leads to the checkpoint's root.
fn check_folder(disk: &SimDisk) -> Result<(), String> {
    let name = tlog_name(&Resource::Checkpoint);
    let newest = read_checkpoint(disk, &name, &signers()).map_err(|error| error.to_string())?;
    let Some(Published { size, root, .. }) = newest else { return Ok(()) };
    let mut nodes = TileNodes::new(size, |tile: &Resource| disk.bytes(&tlog_name(tile)));
    let found = subtree_root(&mut nodes, size).map_err(|error| error.to_string())?;
    if found != root {
        return Err(format!("tiles of {size} lead to another root"));
    }
    let mut frontier = Frontier::new();
    for index in 0..size.div_ceil(TILE_WIDTH) {
        let width = (size - index * TILE_WIDTH).min(TILE_WIDTH) as u16;
        let name = tlog_name(&Resource::Entries { index, width });
        let bytes = disk.bytes(&name).map_err(|error| format!("{name}: {error}"))?;
        let entries = bundle_entries(&bytes, width).map_err(|error| error.to_string())?;
        entries.iter().for_each(|entry| frontier.push(leaf_hash(entry)));
    }
    if frontier.root() == root { Ok(()) } else { Err("bundles lead to another root".to_owned()) }
}

/// P1, P2: no loss of power rolls a checkpoint back, or leaves one that covers what is not there.
#[test]
fn no_loss_of_power_leaves_a_checkpoint_beyond_the_log() {
    let n_seeds = if std::env::var_os("BARTIZAN_DEEP").is_some() { 20_000 } else { 150 };
    let mut n_told = 0;
    for seed in 0..n_seeds {
        match lives(seed, PublisherMutant::Sound) {
            Ok(n) => n_told += n,
            Err(reason) => panic!("seed {seed}: {reason}"),
        }
    }
    assert!(n_seeds < n_told as u64 * 2, "only {n_told} checkpoints were told");
}

/// The test above would notice a publisher that syncs too late, not at all, or covers too much.
#[test]
fn a_publisher_that_tells_too_early_is_caught() {
    use PublisherMutant::{AheadOfSync, RenameBeforeSync, SkipSync};
    for mutant in [RenameBeforeSync, SkipSync, AheadOfSync] {
        let caught = (0..60).filter(|seed| lives(*seed, mutant).is_err()).count();
        assert!(1 < caught, "{mutant:?} was caught by {caught} seeds of 60");
    }
}

/// A log with `n` records, published and settled.
fn grown(disk: &SimDisk, n: usize) -> Log {
    let log = open(disk).unwrap();
    let publisher = log.publisher(config()).unwrap();
    let mut chance = SplitMix::new(n as u64);
    let log = append(log, n, &mut chance);
    publisher.finish().unwrap();
    log
}

fn append(mut log: Log, n: usize, chance: &mut SplitMix) -> Log {
    for _ in 0..n {
        log.record(entry(chance)).unwrap();
    }
    log
}

#[test]
fn a_folder_of_several_tiles_is_read_by_the_formats_alone() {
    let disk = SimDisk::new(1);
    grown(&disk, 1_300);
    check_folder(&disk).unwrap();
    assert_eq!(disk.bytes(SETTLED_NAME).unwrap(), settled_text(1_280).as_bytes());
    assert_eq!(disk.list("tlog/tile/0/000.p").unwrap(), [""; 0]);
    // Opened again, it reads only what is not settled, and goes on.
    let log = open(&disk).unwrap();
    let mut publisher = log.publisher(config()).unwrap();
    assert_eq!(publisher.settled, 1_280);
    assert!(!publisher.step().unwrap(), "nothing grew");
    append(log, 300, &mut SplitMix::new(2));
    assert!(publisher.has_grown() && publisher.step().unwrap());
    assert_eq!(publisher.publication().newest().unwrap().size, 1_600);
    check_folder(&disk).unwrap();
}

/// P2: a store that was put back to an earlier state, with and without memory outside.
#[test]
fn a_store_behind_what_is_known_of_it_is_refused() {
    let (disk, anchor) = (SimDisk::new(1), Arc::new(SimDisk::new(2)));
    let anchored = || PublisherConfig { anchor: Some(anchor.clone()), ..config() };
    let log = open(&disk).unwrap();
    let mut publisher = log.publisher(anchored()).unwrap();
    let mut chance = SplitMix::new(1);
    let log = append(log, 20, &mut chance);
    publisher.step().unwrap();
    assert!(publisher.is_anchored());
    let names = ["wal/0000000000000000.wal", "tlog/checkpoint"];
    let backup: Vec<_> = names.iter().map(|name| (name, disk.bytes(name).unwrap())).collect();
    append(log, 9, &mut chance);
    publisher.step().unwrap();
    drop(publisher);
    // The whole store goes back; only what lies elsewhere remembers.
    backup.iter().for_each(|(name, bytes)| disk.plant(name, bytes));
    let log = open(&disk).unwrap();
    assert!(log.publisher(config()).is_ok_and(|publisher| !publisher.is_anchored()));
    let refused = log.publisher(anchored()).err().unwrap().to_string();
    assert!(refused.contains("holds 20 records, the anchor knows a checkpoint of 29"), "{refused}");
    let witness = |size, root| PublisherConfig {
        outside: vec![Outside { source: "w.example".to_owned(), size, root }],
        ..config()
    };
    assert!(log.publisher(witness(20, None)).is_ok_and(|publisher| publisher.is_anchored()));
    let refused = log.publisher(witness(21, None)).err().unwrap();
    assert!(matches!(refused, PublishError::Behind { known: 21, stored: 20, .. }), "{refused}");
    let refused = log.publisher(witness(7, Some([9; 32]))).err().unwrap();
    assert!(matches!(refused, PublishError::Diverged { size: 7, .. }), "{refused}");
    let root = roots(&disk).unwrap()[7];
    assert!(log.publisher(witness(7, Some(root))).is_ok());
}

/// P2: an outside memory that is older than the settled tiles is compared by the tiles.
#[test]
fn an_old_memory_is_compared_with_settled_tiles() {
    let disk = SimDisk::new(1);
    let log = grown(&disk, 600);
    let known = |size, root| PublisherConfig {
        outside: vec![Outside { source: "w".to_owned(), size, root: Some(root) }],
        ..config()
    };
    let roots = roots(&disk).unwrap();
    for size in [1, 255, 256, 300, 512, 513, 600] {
        assert!(log.publisher(known(size, roots[size as usize])).is_ok(), "size {size}");
        let refused = log.publisher(known(size, [1; 32])).err().unwrap();
        assert!(matches!(refused, PublishError::Diverged { .. }), "{refused}");
    }
}

#[test]
fn a_checkpoint_that_is_not_ours_or_damaged_is_refused_with_its_place() {
    let disk = SimDisk::new(1);
    let log = grown(&disk, 3);
    let name = tlog_name(&Resource::Checkpoint);
    let good = disk.bytes(&name).unwrap();
    let other = NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[2; 32]).unwrap();
    let wrong_key = PublisherConfig { signers: vec![other], ..config() };
    let refused = log.publisher(wrong_key).err().unwrap().to_string();
    assert!(refused.contains("`tlog/checkpoint` is not signed by this log's key"), "{refused}");
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 4;
        disk.plant(&name, &changed);
        assert!(log.publisher(config()).is_err(), "byte {at}");
    }
    disk.plant(&name, b"");
    assert!(log.publisher(config()).is_err());
    disk.plant(&name, &good);
    assert!(log.publisher(config()).is_ok());
}

/// Cosignatures are kept with the checkpoint that they are of, and an older one never replaces a
/// newer one.
#[test]
fn cosignatures_stay_with_their_checkpoint() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    let mut publisher = log.publisher(config()).unwrap();
    let publication = publisher.publication();
    let witness = NoteSigner::from_seed("w.example", KeyKind::CosignatureV1, &[5; 32]).unwrap();
    let mut chance = SplitMix::new(1);
    let log = append(log, 2, &mut chance);
    publisher.step().unwrap();
    let first = publication.newest().unwrap();
    append(log, 2, &mut chance);
    publisher.step().unwrap();
    let second = publication.newest().unwrap();
    for (published, expected) in [(&second, 4), (&first, 4)] {
        let text = Note::parse(published.note.as_bytes()).unwrap().text;
        let line = witness.sign(text, 1_800_000_000).unwrap();
        publication.add_cosignatures(published.size, vec![line.clone(), line]);
        publisher.step().unwrap();
        let cosigned = publication.cosigned().unwrap();
        assert_eq!(cosigned.size, expected);
        let note = Note::parse(cosigned.note.as_bytes()).unwrap();
        assert_eq!(note.signatures.len(), 2);
        assert_eq!(note.signed_by(witness.public()), Some(Ok(1_800_000_000)));
        assert_eq!(disk.bytes(COSIGNED_NAME).unwrap(), cosigned.note.as_bytes());
    }
    let checkpoint = disk.bytes(&tlog_name(&Resource::Checkpoint)).unwrap();
    assert_eq!(Note::parse(&checkpoint).unwrap().signatures.len(), 2);
}

/// P3.
#[test]
fn an_error_of_the_disk_ends_the_publisher_and_not_the_log() {
    let disk = SimDisk::new(1);
    let log = open(&disk).unwrap();
    let mut publisher = log.publisher(config()).unwrap();
    let mut chance = SplitMix::new(1);
    let log = append(log, 2, &mut chance);
    let told = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&told);
    let heard = move |answer: Option<Arc<Published>>| note.lock().unwrap().push(answer.is_some());
    publisher.publication().when_covers(1, Box::new(heard));
    disk.fail_after(0, Fault::SyncError);
    assert!(publisher.step().is_err());
    assert_eq!(*told.lock().unwrap(), [false]);
    append(log, 2, &mut chance);
}

/// After a loss: the old checkpoint is set aside, the new epoch goes on behind what is left under
/// a name of its own, and the folder is whole again.
#[test]
fn a_new_epoch_goes_on_behind_what_is_left_under_its_own_name() {
    let (disk, anchor) = (SimDisk::new(1), Arc::new(SimDisk::new(2)));
    let anchored = || PublisherConfig { anchor: Some(anchor.clone()), ..config() };
    let log = open(&disk).unwrap();
    let publisher = log.publisher(anchored()).unwrap();
    let log = append(log, 300, &mut SplitMix::new(1));
    let names = || disk.list("wal").unwrap();
    let before: Vec<_> = names();
    drop(append(log, 700, &mut SplitMix::new(2)));
    publisher.finish().unwrap();
    // All segments but the first few are lost.
    for name in names().iter().filter(|name| !before.contains(name)) {
        disk.remove(&format!("wal/{name}")).unwrap();
    }
    let log = open(&disk).unwrap();
    let stored = log.appender().n_durable();
    assert!(stored < 1_000, "{stored} records are left");
    assert!(matches!(log.publisher(anchored()), Err(PublishError::Behind { known: 1_000, .. })));
    drop(log);
    let begin = LogConfig { segment_bytes: 16 << 10, begin_epoch: true, ..LogConfig::new(ORIGIN) };
    let (log, recovery) = Log::open(Arc::new(disk.clone()), &begin, clock()).unwrap();
    assert_eq!((recovery.epoch, log.appender().n_durable()), (2, stored));
    let name = crate::log::epoch_origin(ORIGIN, 2);
    let key = || signers().remove(0);
    let reopened = || PublisherConfig {
        signers: vec![key().renamed(&name).unwrap()],
        ended: vec![key().public().clone()],
        anchor: Some(anchor.clone()),
        ..config()
    };
    let publisher = log.publisher(reopened()).unwrap();
    append(log, 5, &mut SplitMix::new(3));
    publisher.finish().unwrap();
    assert!(disk.bytes("tlog/checkpoint.e1").is_ok() && anchor.bytes("checkpoint.e1").is_ok());
    let newest = read_checkpoint(&disk, "tlog/checkpoint", &reopened().signers).unwrap().unwrap();
    assert_eq!(newest.size, stored + 5);
    assert_eq!(newest.root, roots(&disk).unwrap()[newest.size as usize]);
    // It opens again as what it is now.
    let log = open(&disk).unwrap();
    assert!(log.publisher(reopened()).is_ok_and(|publisher| !publisher.has_grown()));
}
