//! Pruning on a simulated disk: what is left verifies, opens, goes on; power lost at every step.

use std::ops::ControlFlow;
use std::sync::Arc;

use bartizan_core::clock::Clock as _;
use bartizan_core::id::DecisionId;
use bartizan_testkit::{Fault, SimClock, SimDisk};

use super::*;
use crate::entry::{Entry, EntryClass};
use crate::log::{Log, LogConfig};
use crate::publish::{PublisherConfig, TLOG_DIR};
use crate::read::Reader;
use crate::record::{Body, Record};
use crate::tlog::{KeyKind, NoteSigner};
use crate::verify::{Damage, DamageKind, Scope, VerifyReport, verify};

const ORIGIN: &str = "log.example/a";
const SECOND_NS: u64 = 1_000_000_000;

fn signers() -> PublisherConfig {
    let signers = vec![NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap()];
    PublisherConfig { signers, anchor: None, outside: Vec::new(), ended: Vec::new() }
}

/// A log of `n` records a second apart, published and settled; then the tombstone of what is
/// older than the middle, published, too.
struct World {
    disk: SimDisk,
    clock: Arc<SimClock>,
}

impl World {
    fn new(n: u64) -> Self {
        let world = Self {
            disk: SimDisk::new(1),
            clock: Arc::new(SimClock::new(1_800_000_000 * SECOND_NS)),
        };
        world.append((0..n).map(|_| Act::new(ActKind::Started)).collect());
        world
    }

    fn open(&self) -> Log {
        let config = LogConfig { segment_bytes: 16 << 10, ..LogConfig::new(ORIGIN) };
        Log::open(Arc::new(self.disk.clone()), &config, self.clock.clone()).unwrap().0
    }

    fn append(&self, acts: Vec<Act<'static>>) {
        let mut log = self.open();
        let publisher = log.publisher(signers()).unwrap();
        for (n, act) in acts.into_iter().enumerate() {
            self.clock.advance(SECOND_NS);
            let at = self.clock.now();
            let id = DecisionId::new(at.wall_ns, [n as u8; 10]);
            let (environment, replica) = ("a".into(), "b".into());
            let body = Body::Act(Box::new(act));
            let record = Record { id, at, environment, replica, volatile: false, body };
            let entry = Entry::new(record.encode(), vec![7; 100], EntryClass::Reserved).unwrap();
            log.record(entry).unwrap();
        }
        publisher.finish().unwrap();
    }

    fn verify(&self) -> VerifyReport {
        let mut go_on = |_, _| ControlFlow::Continue(());
        verify(&self.disk, None, Scope::Closed, &mut go_on).unwrap()
    }

    fn middle(&self) -> Prunable {
        let before = self.clock.now().wall_ns - 300 * SECOND_NS;
        prunable(&self.disk, before).unwrap().unwrap()
    }
}

/// U1, U3.
#[test]
fn what_is_left_behind_a_tombstone_verifies_and_goes_on() {
    let world = World::new(1_000);
    let whole = world.verify();
    assert!(whole.damage.is_none() && whole.n_pruned == 0, "{:?}", whole.damage);
    let old = world.middle();
    assert!(300 < old.end && old.end < 700 && !old.end.is_multiple_of(TILE_WIDTH), "{old:?}");
    let receipts: Vec<_> = Reader::open(Arc::new(world.disk.clone()))
        .unwrap()
        .entries()
        .map(|entry| entry.unwrap().receipt())
        .collect();
    world.append(vec![old.tombstone()]);
    old.remove(&world.disk).unwrap();
    let left = world.verify();
    assert!(left.damage.is_none(), "{:?}", left.damage);
    assert_eq!((left.n_pruned, left.n_pruned + left.n_records), (old.end, 1_001));
    assert_eq!(left.tree.n_covered, 1_001);
    // An old receipt can still be held against the tree; its bundle is gone.
    for index in [0, 255, old.end - 1, 700] {
        let kept = kept_leaf_hash(&world.disk, index).unwrap();
        assert_eq!(kept, Some(receipts[index as usize].leaf_hash), "{index}");
    }
    let bundle = tlog_name(&Resource::Entries { index: 0, width: 256 });
    assert!(world.disk.open(&bundle, false).is_err());
    assert_eq!(prunable(&world.disk, old.to_ns).unwrap(), None);
    world.append(vec![Act::new(ActKind::Started); 300]);
    assert!(world.verify().damage.is_none());
    // The mark of what is settled is derived: without it the tree is read again.
    world.disk.remove(SETTLED_NAME).unwrap();
    world.append(vec![Act::new(ActKind::Started)]);
    assert!(world.verify().damage.is_none());
    // A second time, over the first.
    let again = world.middle();
    world.append(vec![again.tombstone()]);
    again.remove(&world.disk).unwrap();
    let left = world.verify();
    assert!(left.damage.is_none(), "{:?}", left.damage);
    assert_eq!(left.n_pruned, again.end);
}

/// U1: a beginning that is gone without, or beyond, a tombstone is damage; so is what the tiles
/// keep of the pruned records, changed.
#[test]
fn a_beginning_that_is_gone_without_a_tombstone_is_damage() {
    let reason = |world: &World| match world.verify().damage {
        Some(Damage { kind: DamageKind::Misplaced(text) | DamageKind::Tree(text), .. }) => text,
        other => panic!("{other:?}"),
    };
    let world = World::new(1_000);
    world.middle().remove(&world.disk).unwrap();
    assert!(reason(&world).contains("no record says that they were pruned"));
    let world = World::new(1_000);
    let old = world.middle();
    world.append(vec![old.tombstone()]);
    old.remove(&world.disk).unwrap();
    let left = world.disk.list(WAL_DIR).unwrap();
    let first = left.iter().filter_map(|name| parse_segment_name(name)).min().unwrap();
    world.disk.remove(&segment_name(first)).unwrap();
    assert!(reason(&world).contains("no record says that they were pruned"));
    for tile in ["0/000", "0/001", "entries"] {
        let world = World::new(1_000);
        let old = world.middle();
        world.append(vec![old.tombstone()]);
        old.remove(&world.disk).unwrap();
        let index = old.end / TILE_WIDTH;
        let name = match tile {
            "entries" => tlog_name(&Resource::Entries { index, width: 256 }),
            tile => format!("{TLOG_DIR}/tile/{tile}"),
        };
        let mut file = world.disk.open(&name, false).unwrap();
        file.write_at(&[0xff; 40], 8).unwrap();
        assert!(world.verify().damage.is_some(), "{tile}");
    }
}

/// U2: power lost at any sync of the removal leaves a log that opens and verifies.
#[test]
fn a_loss_of_power_in_the_middle_leaves_a_log_that_verifies() {
    for step in 0..12 {
        let world = World::new(1_000);
        let old = world.middle();
        world.append(vec![old.tombstone()]);
        world.disk.fail_after(step, Fault::SyncDirError);
        let is_done = old.remove(&world.disk).is_ok();
        world.disk.crash();
        world.append(vec![Act::new(ActKind::Started)]);
        let left = world.verify();
        assert!(left.damage.is_none(), "step {step}: {:?}", left.damage);
        assert!(left.n_pruned <= old.end);
        assert!(!is_done || left.n_pruned == old.end, "step {step}");
    }
}
