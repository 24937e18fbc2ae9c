//! Erasure against somebody who kept every byte ever written, and through losses of power.

use std::collections::BTreeMap;

use bartizan_core::id::DecisionId;
use bartizan_testkit::{Fault, SimDisk, SimEntropy, SplitMix};

use super::*;
use crate::seal::{OpenedPayload, Payload, SealKey, Under};
use crate::secret::RecordSecret;
use crate::wrap::FileKeys;

const TODAY: u32 = 20_782;
const SUBJECTS: [&str; 4] = ["ann", "bob", "cid", "dan"];
/// Days of two months.
const DAYS: [u32; 3] = [TODAY, TODAY + 1, TODAY + 10];

/// Two disks: one keeps every byte ever written and falls into the wrong hands, the other holds
/// the KEK, of which those hands have what is there in the end.
struct World {
    keys_disk: SimDisk,
    kek_disk: SimDisk,
    seed: u64,
    mutant: Option<Mutant>,
}

impl World {
    fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let (keys_disk, kek_disk) = (SimDisk::new(seed), SimDisk::new(seed ^ 0xfeed));
        keys_disk.remember_writes();
        Self { keys_disk, kek_disk, seed, mutant }
    }

    fn open(&mut self) -> Result<SealingKeys, SealingKeysError> {
        self.seed += 1_000_003;
        let entropy = Arc::new(SimEntropy::new(self.seed));
        let wrap = FileKeys::new(Arc::new(self.kek_disk.clone()), entropy.clone());
        let disk = Arc::new(self.keys_disk.clone());
        let keys = SealingKeys::open(disk, Arc::new(wrap), entropy, TODAY)?;
        *keys.shared.mutant.lock().unwrap() = self.mutant;
        Ok(keys)
    }

    fn crash(&self) {
        self.keys_disk.crash();
        self.kek_disk.crash();
    }

    /// Every key that can be had from all bytes ever written and the KEKs that are left.
    fn stolen(&self) -> Vec<Key> {
        let mut history = self.keys_disk.history();
        history.sort_unstable();
        history.dedup();
        let entropy = Arc::new(SimEntropy::new(0));
        let wrap = FileKeys::new(Arc::new(self.kek_disk.clone()), entropy);
        let mut generations = Vec::new();
        let headers = history.iter().filter_map(|write| Header::parse(write));
        let headers: BTreeMap<_, _> = headers.map(|header| (header.kek, header)).collect();
        for header in headers.values() {
            if let Ok(key) = wrap.unwrap(header.kek, &header.wrapped) {
                generations.push(GenerationKey::new(&key, header.generation));
            }
        }
        let mut stolen = Vec::new();
        for write in &history {
            let is_whole = write.starts_with(b"bzkeys");
            let slots = write.get(if is_whole { HEADER_BYTES } else { 0 }..).unwrap_or_default();
            for (at, slot) in slots.chunks_exact(SLOT_BYTES).enumerate() {
                if slot.iter().all(|byte| *byte == 0) {
                    continue;
                }
                // Where a single slot was written is not known: any place may be it.
                for slot_idx in if is_whole { at..at + 1 } else { 0..32 } {
                    for key in &generations {
                        if let Slot::Held(content) = key.open(slot_idx, slot) {
                            stolen.push(content.key);
                        }
                    }
                }
            }
        }
        stolen.sort_unstable_by_key(|key| **key);
        stolen.dedup();
        stolen
    }
}

fn id(n: u64) -> DecisionId {
    DecisionId::new(n * 1_000_000, [n as u8; 10])
}

struct Sealed {
    id: DecisionId,
    bytes: Vec<u8>,
}

fn seal(keys: &SealingKeys, n: u64, subject: Option<&str>, day: u32) -> Sealed {
    let secret = RecordSecret::from([7; 32]);
    let payload = Payload {
        secret: &secret,
        retained: &[],
        received: b"in",
        outputs: &[],
        reply: b"out",
        principal: None,
        subject,
        end_user: None,
        purpose: None,
        correlation_id: None,
    };
    let key = keys.sealer().key(subject, day).unwrap();
    Sealed { id: id(n), bytes: key.seal(id(n), &payload, [1; 12]).unwrap() }
}

/// Tries a key that somebody stole.
fn opens_with(sealed: &Sealed, key: &Key) -> bool {
    let (under, rest) = Under::parse(&sealed.bytes).unwrap();
    let (nonce, body) = rest.split_first_chunk::<12>().unwrap();
    let key = SealKey { under, key: key.clone() };
    let aad = crate::seal::aad(sealed.id, &under.head());
    let nonce = ring::aead::Nonce::assume_unique_for_key(*nonce);
    let mut body = body.to_vec();
    let opened =
        key.of_record(sealed.id).open_in_place(nonce, ring::aead::Aad::from(aad), &mut body);
    opened.is_ok_and(|plain| OpenedPayload::decode(plain).is_ok())
}

fn erase(keys: &SealingKeys, n: u8, subject: &str) -> Result<Destroyed, SealingKeysError> {
    let (id, plan) = (ErasureId([n; 16]), keys.plan_erasure(subject));
    assert!(plan.held_by.is_empty());
    keys.note_erasure(id, &plan, 5)?;
    let destroyed = keys.destroy(id, &plan.keys)?;
    keys.close_erasure(id)?;
    Ok(destroyed)
}

/// Y4, the whole of it: all history and the current KEK open everybody's payloads, and nothing of
/// whom was erased. Every 32 bytes ever written are tried as a key, too.
#[test]
fn all_history_and_the_current_key_open_nothing_of_whom_was_erased() {
    let mut world = World::new(1, None);
    let keys = world.open().unwrap();
    let sealed: Vec<(Option<&str>, Sealed)> = [Some("ann"), Some("bob"), None]
        .into_iter()
        .flat_map(|subject| DAYS[..2].iter().map(move |day| (subject, *day)))
        .chain([(Some("ann"), DAYS[2]), (Some("bob"), DAYS[2])])
        .zip(1..)
        .map(|((subject, day), n)| (subject, seal(&keys, n, subject, day)))
        .collect();
    keys.flush().unwrap();
    let before = world.stolen();
    for (subject, sealed) in &sealed {
        assert!(before.iter().any(|key| opens_with(sealed, key)), "{subject:?}: the attack works");
    }
    let destroyed = erase(&keys, 1, "ann").unwrap();
    assert_eq!((destroyed.keys.len(), destroyed.reach), (2, Reach::File));
    let after = world.stolen();
    let history = world.keys_disk.history();
    let mut windows: Vec<Key> = Vec::new();
    for write in history.iter().filter(|write| write.iter().any(|byte| *byte != 0)) {
        let end = write.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        windows.extend(write[..end].windows(32).map(|key| Zeroizing::new(key.try_into().unwrap())));
    }
    for (subject, sealed) in &sealed {
        let is_open = after.iter().any(|key| opens_with(sealed, key));
        assert_eq!(is_open, *subject != Some("ann"), "{subject:?}");
        let opened = keys.sealer().open(sealed.id, &sealed.bytes);
        assert_eq!(opened.is_ok(), *subject != Some("ann"), "{subject:?}");
    }
    let ann = sealed.iter().find(|(subject, _)| *subject == Some("ann")).unwrap();
    assert!(!windows.iter().any(|key| opens_with(&ann.1, key)), "a key lay there in the clear");
    assert!(keys.open_erasures().is_empty());
    assert_eq!(keys.plan_erasure("ann").keys, [], "and a second erasure finds nothing");
}

/// Y4: even where the KEK cannot be exchanged, the slot is overwritten before anything else, the
/// erasure is noted still, and is carried out once the KEK's holder is back.
#[test]
fn a_slot_is_overwritten_first_and_an_erasure_that_fails_is_found_again() {
    for (mutant, is_gone) in [(None, true), (Some(Mutant::SkipOverwrite), false)] {
        let mut world = World::new(2, mutant);
        let keys = world.open().unwrap();
        let ann = seal(&keys, 1, Some("ann"), TODAY);
        keys.flush().unwrap();
        let plan = keys.plan_erasure("ann");
        keys.note_erasure(ErasureId([1; 16]), &plan, 5).unwrap();
        world.kek_disk.fail_after(0, Fault::WriteError);
        let failed = keys.destroy(ErasureId([1; 16]), &plan.keys);
        assert!(matches!(failed, Err(SealingKeysError::Wrap(_))), "{failed:?}");
        world.crash();
        let keys = world.open().unwrap();
        assert_eq!(keys.sealer().open(ann.id, &ann.bytes).is_err(), is_gone);
        let [open] = &keys.open_erasures()[..] else { panic!("not noted") };
        assert!(!open.is_waiting && !open.is_held);
        keys.destroy(open.id, &open.keys).unwrap();
        keys.close_erasure(open.id).unwrap();
        assert!(keys.sealer().open(ann.id, &ann.bytes).is_err());
        assert!(!world.stolen().iter().any(|key| opens_with(&ann, key)));
    }
}

/// Both kinds of hold, from both sides; what waited is found once the last hold has gone.
#[test]
fn a_hold_forbids_and_its_release_brings_the_erasure_back() {
    let mut world = World::new(3, None);
    let keys = world.open().unwrap();
    let ann = seal(&keys, 1, Some("ann"), TODAY);
    keys.flush().unwrap();
    let (one, all) = (HoldId([1; 16]), HoldId([2; 16]));
    keys.add_hold(one, Some("ann"), 10).unwrap();
    keys.add_hold(all, None, 11).unwrap();
    assert_eq!(keys.plan_erasure("bob").held_by, [all]);
    let plan = keys.plan_erasure("ann");
    assert_eq!(plan.held_by, [one, all]);
    let id = ErasureId([3; 16]);
    keys.note_erasure(id, &plan, 12).unwrap();
    world.crash();
    let keys = world.open().unwrap();
    assert_eq!(
        keys.holds().iter().map(|hold| (hold.id, hold.is_of_everything())).collect::<Vec<_>>(),
        [(one, false), (all, true)]
    );
    keys.release_hold(all).unwrap();
    assert!(keys.plan_erasure("bob").held_by.is_empty());
    assert!(keys.open_erasures()[0].is_held);
    assert!(matches!(keys.release_hold(all), Err(SealingKeysError::NoSuchHold(_))));
    // A key of a later month is found all the same: the hold knows the person, not a key.
    let later = seal(&keys, 2, Some("ann"), DAYS[2]);
    keys.flush().unwrap();
    keys.rotate_pepper().unwrap();
    keys.release_hold(one).unwrap();
    let [open] = &keys.open_erasures()[..] else { panic!("not noted") };
    assert!(open.is_waiting && !open.is_held && open.keys.len() == 2 && open.asked_ns == 12);
    keys.destroy(open.id, &open.keys).unwrap();
    keys.close_erasure(open.id).unwrap();
    for sealed in [&ann, &later] {
        assert!(keys.sealer().open(sealed.id, &sealed.bytes).is_err());
        assert!(!world.stolen().iter().any(|key| opens_with(sealed, key)));
    }
}

/// What is older than asked goes, with its bytes; what is not stays. An empty run changes nothing.
#[test]
fn keys_that_are_too_old_expire() {
    let mut world = World::new(4, None);
    let keys = world.open().unwrap();
    let old = [seal(&keys, 1, Some("ann"), TODAY), seal(&keys, 2, None, TODAY)];
    let new = [seal(&keys, 3, Some("ann"), DAYS[2]), seal(&keys, 4, None, TODAY + 1)];
    keys.flush().unwrap();
    let before = keys.generation();
    let (days, subjects) = keys.expired(TODAY);
    assert_eq!((days.len(), subjects.len()), (0, 0));
    keys.expire(&days, &subjects).unwrap();
    assert_eq!(keys.generation(), before);
    let hold = HoldId([1; 16]);
    keys.add_hold(hold, None, 1).unwrap();
    assert_eq!(keys.expired(DAYS[2]), (vec![], vec![]));
    keys.release_hold(hold).unwrap();
    keys.add_hold(hold, Some("ann"), 1).unwrap();
    assert_eq!(keys.expired(DAYS[2]), (vec![TODAY, TODAY + 1], vec![]));
    keys.release_hold(hold).unwrap();
    let (_, subjects) = keys.expired(DAYS[2]);
    let (days, _) = keys.expired(TODAY + 1);
    assert_eq!((days.len(), subjects.len()), (1, 1));
    keys.expire(&days, &subjects).unwrap();
    assert_eq!(keys.generation(), before + 1);
    let stolen = world.stolen();
    for sealed in &old {
        assert!(keys.sealer().open(sealed.id, &sealed.bytes).is_err());
        assert!(!stolen.iter().any(|key| opens_with(sealed, key)));
    }
    for sealed in &new {
        assert!(keys.sealer().open(sealed.id, &sealed.bytes).is_ok());
    }
}

/// The old pseudonyms cannot be computed again, the new ones differ, and payloads stay.
#[test]
fn exchanging_the_pepper_unlinks_old_pseudonyms_only() {
    use crate::seal::PseudonymKind::Source;
    let mut world = World::new(5, None);
    let keys = world.open().unwrap();
    let ann = seal(&keys, 1, Some("ann"), TODAY);
    let subject = keys.sealer().key(Some("ann"), TODAY).unwrap().subject();
    let old = keys.sealer().pseudonym(Source, "10.0.0.0/24", TODAY);
    let pepper = keys.table().pepper.clone();
    keys.rotate_pepper().unwrap();
    assert_ne!(keys.sealer().pseudonym(Source, "10.0.0.0/24", TODAY), old);
    assert!(keys.sealer().open(ann.id, &ann.bytes).is_ok());
    assert_eq!(keys.sealer().key(Some("ann"), TODAY).unwrap().subject(), subject);
    assert!(!world.stolen().contains(&pepper), "the old key can still be had");
}

/// What was erased after the copy was made is not in what is made of it; the rest is, and the
/// original goes on with its own KEK.
#[test]
fn a_restored_copy_has_no_key_that_was_erased_since() {
    let mut world = World::new(6, None);
    let keys = world.open().unwrap();
    let sealed = [Some("ann"), Some("bob"), None].map(|who| (who, seal(&keys, 1, who, TODAY)));
    keys.flush().unwrap();
    keys.add_hold(HoldId([4; 16]), Some("bob"), 9).unwrap();
    let (copy, target, kek) = (SimDisk::new(7), SimDisk::new(8), SimDisk::new(9));
    copy.plant(NAME, &keys.copy().unwrap());
    let ann = keys.plan_erasure("ann").keys;
    let entropy = Arc::new(SimEntropy::new(10));
    let old = FileKeys::new(Arc::new(world.kek_disk.clone()), entropy.clone());
    let new = Arc::new(FileKeys::new(Arc::new(kek), entropy.clone()));
    let is_erased = |name| ann.contains(&name);
    let adopted = adopt_keys((&copy, &old), (&target, &*new), &*entropy, &is_erased).unwrap();
    assert_eq!(adopted, Adopted { n_keys: 4, n_erased: 1 });
    let restored = SealingKeys::open(Arc::new(target), new, entropy, TODAY).unwrap();
    assert_eq!(restored.holds(), keys.holds());
    for (who, sealed) in &sealed {
        let opened = restored.sealer().open(sealed.id, &sealed.bytes);
        assert_eq!(opened.is_ok(), *who != Some("ann"), "{who:?}");
        assert!(keys.sealer().open(sealed.id, &sealed.bytes).is_ok());
    }
    keys.rotate_kek().unwrap();
}

/// Through losses of power at every write and sync of an upgrade: the store is always one of the
/// two, keeps its keys, and no key of it lies in the clear in the end.
#[test]
fn an_upgrade_loses_nothing_wherever_the_power_goes_and_there_is_a_way_back() {
    let legacy = Legacy {
        pepper: Zeroizing::new([0x55; 32]),
        days: BTreeMap::from([(TODAY, Zeroizing::new([0x66; 32]))]),
        n_damaged: 0,
    };
    let clear = |bytes: &[u8]| bytes.windows(32).any(|part| part == [0x66; 32]);
    for n in 0..12 {
        for fault in [Fault::CrashAtWrite, Fault::CrashAtSync, Fault::SyncError] {
            let mut world = World::new(n, None);
            world.keys_disk.plant(NAME, &legacy.encode());
            assert!(clear(&legacy.encode()));
            assert!(matches!(world.open(), Err(SealingKeysError::Upgrade { found: 1 })));
            let entropy = SimEntropy::new(n);
            let wrap =
                FileKeys::new(Arc::new(world.kek_disk.clone()), Arc::new(SimEntropy::new(n + 50)));
            world.keys_disk.fail_after(n, fault);
            let done = upgrade_keys(&world.keys_disk, &wrap, &entropy);
            world.crash();
            match keys_format(&world.keys_disk).unwrap() {
                KeysFormat::Old => {
                    assert!(done.is_err());
                    upgrade_keys(&world.keys_disk, &wrap, &entropy).unwrap();
                }
                KeysFormat::Current => {}
                other @ (KeysFormat::Absent | KeysFormat::Newer(_)) => panic!("{other:?}"),
            }
            let keys = world.open().unwrap();
            assert!(keys.is_migrated());
            assert_eq!(*keys.table().days[&TODAY], [0x66; 32]);
            assert_eq!(*keys.table().pepper, [0x55; 32]);
            assert!(!clear(&world.keys_disk.bytes(NAME).unwrap()));
            drop(keys);
            downgrade_keys(&world.keys_disk, &wrap).unwrap();
            let back = Legacy::parse(&world.keys_disk.bytes(NAME).unwrap()).unwrap();
            assert_eq!(*back.days[&TODAY], [0x66; 32]);
            upgrade_keys(&world.keys_disk, &wrap, &entropy).unwrap();
            let keys = world.open().unwrap();
            seal(&keys, 1, Some("ann"), TODAY);
            keys.flush().unwrap();
            drop(keys);
            let back = downgrade_keys(&world.keys_disk, &wrap);
            assert!(matches!(back, Err(SealingKeysError::NoWayBack { n_subjects: 1 })));
        }
    }
}

/// What a key store owes: what was acknowledged, by subject, and what was erased for good.
#[derive(Default)]
struct Owed {
    acknowledged: BTreeMap<&'static str, Vec<Sealed>>,
    erased: Vec<Sealed>,
}

fn finish(keys: &SealingKeys, open: &OpenErasure) -> Result<(), SealingKeysError> {
    keys.destroy(open.id, &open.keys).and_then(|_| keys.close_erasure(open.id))
}

/// One act of an owner's; an error ends its life.
fn act(
    keys: &SealingKeys,
    owed: &mut Owed,
    chance: &mut SplitMix,
    n: u64,
) -> Result<(), SealingKeysError> {
    let subject = SUBJECTS[chance.below(4) as usize];
    match chance.below(6) {
        0 => keys.rotate_kek(),
        1 => keys.rotate_pepper(),
        2 => {
            let (id, plan) = (ErasureId([n as u8; 16]), keys.plan_erasure(subject));
            // Where it cannot be noted it is in doubt, and so is whether they open.
            let gone = owed.acknowledged.remove(subject).unwrap_or_default();
            keys.note_erasure(id, &plan, 1)?;
            owed.erased.extend(gone);
            keys.destroy(id, &plan.keys)?;
            keys.close_erasure(id)
        }
        _ => {
            let sealed = seal(keys, n, Some(subject), DAYS[chance.below(3) as usize]);
            keys.flush()?;
            owed.acknowledged.entry(subject).or_default().push(sealed);
            Ok(())
        }
    }
}

/// One owner, from opening to the first error or the eighth act, on disks that may fail.
fn life(world: &mut World, owed: &mut Owed, chance: &mut SplitMix, n: u64) {
    const FAULTS: [Fault; 6] = [
        Fault::SyncError,
        Fault::CrashAtSync,
        Fault::WriteError,
        Fault::CrashAtWrite,
        Fault::SyncDirError,
        Fault::RenameError,
    ];
    for disk in [&world.keys_disk, &world.kek_disk] {
        if chance.one_in(2) {
            disk.fail_after(chance.below(10), FAULTS[chance.below(6) as usize]);
        }
    }
    if let Ok(keys) = world.open() {
        let begun = keys.open_erasures();
        let mut is_alive = begun.iter().all(|open| finish(&keys, open).is_ok());
        for step in 0..8 {
            is_alive = is_alive && act(&keys, owed, chance, n * 8 + step).is_ok();
        }
    }
    if chance.one_in(2) {
        world.keys_disk.kill();
        world.kek_disk.kill();
    } else {
        world.crash();
    }
}

/// Seeded lives of a key store: sealing, erasing, rotation, with errors and losses of power in
/// the middle of each. `Err` says which promise was broken.
fn lives(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let (mut world, mut owed) = (World::new(seed, mutant), Owed::default());
    let mut chance = SplitMix::new(seed);
    for n in 0..5 {
        life(&mut world, &mut owed, &mut chance, n);
    }
    world.keys_disk.clear_faults();
    world.kek_disk.clear_faults();
    let keys = world.open().map_err(|error| format!("does not open: {error:?}"))?;
    for open in keys.open_erasures() {
        finish(&keys, &open).map_err(|error| format!("cannot finish: {error:?}"))?;
    }
    for sealed in owed.acknowledged.values().flatten() {
        let opened = keys.sealer().open(sealed.id, &sealed.bytes);
        opened.map_err(|error| format!("a live key is lost: {error}"))?;
    }
    let stolen = if owed.erased.is_empty() { Vec::new() } else { world.stolen() };
    for sealed in &owed.erased {
        if keys.sealer().open(sealed.id, &sealed.bytes).is_ok() {
            return Err("an erased key is back".to_owned());
        }
        if stolen.iter().any(|key| opens_with(sealed, key)) {
            return Err("an erased key can be had from old bytes".to_owned());
        }
    }
    Ok(())
}

/// Y1, Y5 and Y6.
#[test]
fn no_erased_key_comes_back_and_no_live_key_is_lost_whenever_the_power_goes() {
    let n_seeds = std::env::var("BARTIZAN_DEEP").map_or(200, |_| 20_000);
    for seed in 0..n_seeds {
        lives(seed, None).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

/// The test above would notice each of these.
#[test]
fn mutants_of_the_key_store_are_caught() {
    for mutant in
        [Mutant::SkipFlush, Mutant::SkipRenewal, Mutant::SkipDestruction, Mutant::DestroyFirst]
    {
        let caught = (0..200).any(|seed| lives(seed, Some(mutant)).is_err());
        assert!(caught, "{mutant:?} went unnoticed");
    }
}
