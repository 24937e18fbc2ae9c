//! Sealing: what opens, what does not, and keys that outlive losses of power.

use std::sync::Arc;

use bartizan_core::disk::Disk;
use bartizan_core::tensor::{Tensor, Values};
use bartizan_testkit::{Fault, SimDisk, SimEntropy, SplitMix};
use proptest::prelude::*;

use super::*;
use crate::secret::RecordSecret;
use crate::wrap::FileKeys;

const TODAY: u32 = 20_782;

fn open_keys(disk: &SimDisk, seed: u64, today: u32) -> Result<SealingKeys, SealingKeysError> {
    let entropy = Arc::new(SimEntropy::new(seed));
    let wrap = Arc::new(FileKeys::new(Arc::new(disk.clone()), entropy.clone()));
    SealingKeys::open(Arc::new(disk.clone()), wrap, entropy, today)
}

impl Sealer {
    pub(crate) fn seal(
        &self,
        id: DecisionId,
        day: u32,
        payload: &Payload<'_>,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, SealError> {
        self.key(payload.subject, day)?.seal(id, payload, nonce)
    }
}

fn sealer() -> Arc<Sealer> {
    open_keys(&SimDisk::new(1), 1, TODAY).unwrap().sealer()
}

fn id(n: u64) -> DecisionId {
    DecisionId::new(n * 1_000_000, [n as u8; 10])
}

fn outputs() -> Vec<Tensor> {
    vec![
        Tensor::new("label", vec![2], Values::Int64(vec![1, -2])).unwrap(),
        Tensor::new("p", vec![2, 2], Values::Fp32(vec![0.25, 0.75, f32::MIN, 1e-40])).unwrap(),
        Tensor::new("t", vec![2, 1], Values::Bytes(vec![b"a".to_vec(), vec![]])).unwrap(),
        Tensor::new("b", vec![2], Values::Bool(vec![true, false])).unwrap(),
        Tensor::new("h", vec![2], Values::Fp16(vec![0x3c00, 0x7e00])).unwrap(),
    ]
}

fn about<'a>(secret: &'a RecordSecret, outputs: &'a [Tensor]) -> Payload<'a> {
    Payload { subject: Some("patient 17"), ..payload(secret, outputs) }
}

fn payload<'a>(secret: &'a RecordSecret, outputs: &'a [Tensor]) -> Payload<'a> {
    Payload {
        secret,
        retained: &[],
        received: b"{\"inputs\":[]}",
        outputs,
        reply: b"{}",
        principal: Some("team/alice"),
        subject: None,
        end_user: None,
        purpose: Some("triage"),
        correlation_id: Some("c-1"),
    }
}

#[test]
fn what_was_sealed_opens_as_it_was() {
    let (sealer, secret, outputs) = (sealer(), RecordSecret::from([7; 32]), outputs());
    for payload in [payload(&secret, &outputs), about(&secret, &outputs)] {
        let sealed = sealer.seal(id(1), TODAY, &payload, [3; 12]).unwrap();
        let opened = sealer.open(id(1), &sealed).unwrap();
        assert_eq!(opened.secret, secret);
        assert_eq!(opened.received, b"{\"inputs\":[]}");
        assert_eq!(opened.outputs, outputs);
        assert_eq!(opened.reply, b"{}");
        assert_eq!(opened.principal.as_deref(), Some("team/alice"));
        assert_eq!((opened.subject.as_deref(), opened.end_user), (payload.subject, None));
        assert_eq!(opened.correlation_id.as_deref(), Some("c-1"));
        assert!(!sealed.windows(10).any(|part| part == b"patient 17" || part == b"team/alice"));
    }
}

/// E2: every single flipped bit, every cut, another record, another day, another subject.
#[test]
fn nothing_opens_but_what_was_sealed() {
    let (sealer, secret) = (sealer(), RecordSecret::from([7; 32]));
    for payload in [payload(&secret, &[]), about(&secret, &[])] {
        let sealed = sealer.seal(id(1), TODAY, &payload, [3; 12]).unwrap();
        assert_eq!(sealer.open(id(2), &sealed), Err(SealError::Authentication));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(id(1), &flipped).is_err(), "opened with bit {bit} flipped");
        }
        for len in 0..sealed.len() {
            assert!(sealer.open(id(1), &sealed[..len]).is_err(), "opened cut to {len} bytes");
        }
        let mut other = sealed.clone();
        other[1] ^= 1;
        assert!(sealer.open(id(1), &other).is_err());
    }
    let other = sealer.key(Some("patient 18"), TODAY).unwrap();
    let mut sealed = sealer.seal(id(1), TODAY, &about(&secret, &[]), [3; 12]).unwrap();
    sealed[5..21].copy_from_slice(&other.subject().unwrap().0);
    assert_eq!(sealer.open(id(1), &sealed), Err(SealError::Authentication));
}

/// One key a subject and month: its records share a pseudonym, another month's do not, and
/// without the key nobody can compute it.
#[test]
fn a_subject_has_a_key_and_a_pseudonym_of_its_own_each_month() {
    let sealer = sealer();
    let of = |subject, day| sealer.key(Some(subject), day).unwrap().subject().unwrap();
    // 2026-11-25, 2026-11-30 and 2026-12-01.
    assert_eq!(of("a", TODAY), of("a", TODAY + 5));
    assert_ne!(of("a", TODAY), of("a", TODAY + 6));
    assert_ne!(of("a", TODAY), of("b", TODAY));
    assert_ne!(of("a", TODAY), sealer.pseudonym(PseudonymKind::Subject, "a", TODAY));
    assert_eq!(sealer.key(None, TODAY).unwrap().subject(), None);
    let other = open_keys(&SimDisk::new(9), 9, TODAY).unwrap().sealer();
    assert_ne!(other.key(Some("a"), TODAY).unwrap().subject().unwrap(), of("a", TODAY));
}

/// E1: two records sealed with one nonce share no keystream.
#[test]
fn every_record_has_a_key_of_its_own() {
    let (sealer, secret) = (sealer(), RecordSecret::from([7; 32]));
    let seal = |n| sealer.seal(id(n), TODAY, &payload(&secret, &[]), [3; 12]).unwrap();
    let (a, b) = (seal(1), seal(2));
    let same = a.iter().zip(&b).skip(17).filter(|(a, b)| a == b).count();
    assert!(same < a.len() / 8, "{same} of {} bytes are the same", a.len());
}

/// E3: a day without a key seals nothing and opens nothing.
#[test]
fn a_day_without_its_key_fails_closed() {
    let (sealer, secret) = (sealer(), RecordSecret::from([7; 32]));
    assert!(sealer.has_day(TODAY) && sealer.has_day(TODAY + 1));
    for day in [TODAY - 1, TODAY + 2] {
        let sealed = sealer.seal(id(1), day, &payload(&secret, &[]), [3; 12]);
        assert_eq!(sealed, Err(SealError::NoKey { day }));
    }
    let sealed = sealer.seal(id(1), TODAY, &payload(&secret, &[]), [3; 12]).unwrap();
    let other = open_keys(&SimDisk::new(2), 2, TODAY + 40).unwrap().sealer();
    assert_eq!(other.open(id(1), &sealed), Err(SealError::NoKey { day: TODAY }));
}

/// E4.
#[test]
fn nothing_secret_is_ever_printed() {
    let (sealer, secret, outputs) = (sealer(), RecordSecret::from([0xab; 32]), outputs());
    let payload = about(&secret, &outputs);
    let sealed = sealer.seal(id(1), TODAY, &payload, [3; 12]).unwrap();
    let opened = sealer.open(id(1), &sealed).unwrap();
    let keys = open_keys(&SimDisk::new(1), 1, TODAY).unwrap();
    let text = format!("{sealer:?} {secret:?} {payload:?} {opened:?} {keys:?}");
    assert!(text.contains("[redacted]"));
    for leak in ["171", "patient", "alice", "0.25", "ab"] {
        assert!(!text.contains(leak), "{leak:?} in {text}");
    }
}

#[test]
fn pseudonyms_differ_by_kind_and_subjects_by_month() {
    let sealer = sealer();
    let of = |kind, day| sealer.pseudonym(kind, "x", day);
    // 2026-11-25, 2026-11-30 and 2026-12-01.
    assert_eq!(of(PseudonymKind::Subject, TODAY), of(PseudonymKind::Subject, TODAY + 5));
    assert_ne!(of(PseudonymKind::Subject, TODAY), of(PseudonymKind::Subject, TODAY + 6));
    assert_ne!(of(PseudonymKind::Subject, TODAY), of(PseudonymKind::EndUser, TODAY));
    let constant = of(PseudonymKind::CorrelationId, TODAY);
    assert_eq!(constant, of(PseudonymKind::CorrelationId, TODAY + 400));
    assert_ne!(constant, sealer.pseudonym(PseudonymKind::CorrelationId, "y", TODAY));
    let other = open_keys(&SimDisk::new(1), 9, TODAY).unwrap().sealer();
    assert_ne!(constant, other.pseudonym(PseudonymKind::CorrelationId, "x", TODAY));
}

/// Y1: through losses of power and failing syncs, whatever was sealed opens afterwards.
#[test]
fn a_key_is_durable_before_anything_is_sealed_under_it() {
    let faults = [Fault::SyncError, Fault::CrashAtSync, Fault::WriteError, Fault::SyncDirError];
    for seed in 0..300 {
        let (disk, mut chance) = (SimDisk::new(seed), SplitMix::new(seed));
        let secret = RecordSecret::from([7; 32]);
        let mut sealed = Vec::new();
        for life in 0..6_u32 {
            if chance.one_in(2) {
                let fault = faults[chance.below(faults.len() as u64) as usize];
                disk.fail_after(chance.below(3), fault);
            }
            let today = TODAY + life;
            if let Ok(keys) = open_keys(&disk, seed * 100 + u64::from(life), today) {
                let _ = keys.maintain(today + 1);
                for day in today..=today + 2 {
                    let bytes = keys.sealer().seal(id(1), day, &payload(&secret, &[]), [1; 12]);
                    sealed.extend(bytes);
                }
            }
            if chance.one_in(2) { disk.kill() } else { disk.crash() }
        }
        disk.clear_faults();
        let keys = open_keys(&disk, seed, TODAY).unwrap();
        for bytes in &sealed {
            assert!(keys.sealer().open(id(1), bytes).is_ok(), "seed {seed}");
        }
        assert_eq!(keys.n_damaged(), 0, "seed {seed}");
    }
}

/// Y2: a damaged slot is told, and another day's key goes elsewhere.
#[test]
fn a_damaged_slot_is_neither_used_nor_overwritten() {
    let disk = SimDisk::new(1);
    open_keys(&disk, 1, TODAY).unwrap();
    let slot = |n: usize| 512 + n * 128;
    disk.flip("sealing.keys", slot(2) as u64 + 20, 1).unwrap();
    let bytes = || disk.bytes("sealing.keys").unwrap()[slot(2)..slot(3)].to_vec();
    let damaged = bytes();
    let keys = open_keys(&disk, 2, TODAY).unwrap();
    assert_eq!(keys.n_damaged(), 1);
    assert!(keys.sealer().has_day(TODAY), "made anew elsewhere");
    assert_eq!(bytes(), damaged);
    disk.flip("sealing.keys", slot(0) as u64 + 20, 1).unwrap();
    assert!(matches!(open_keys(&disk, 2, TODAY), Err(SealingKeysError::Pseudonyms)));
    disk.flip("sealing.keys", 3, 1).unwrap();
    assert!(matches!(open_keys(&disk, 2, TODAY), Err(SealingKeysError::Format)));
    let nothing = SimDisk::new(3);
    let wrap = FileKeys::new(Arc::new(nothing.clone()), Arc::new(SimEntropy::new(1)));
    let read = SealingKeys::read(&nothing as &dyn Disk, &wrap);
    assert!(matches!(read, Err(SealingKeysError::Io(_))));
}

#[test]
fn keys_of_more_days_than_the_file_began_with_all_stay() {
    let disk = SimDisk::new(1);
    let keys = open_keys(&disk, 1, TODAY).unwrap();
    for day in TODAY..TODAY + 600 {
        keys.maintain(day).unwrap();
    }
    let wrap = FileKeys::new(Arc::new(disk.clone()), Arc::new(SimEntropy::new(1)));
    let sealer = SealingKeys::read(&disk, &wrap).unwrap();
    assert!((TODAY..=TODAY + 600).all(|day| sealer.has_day(day)));
}

proptest! {
    /// Foreign bytes never panic, with or without the right outside.
    #[test]
    fn foreign_bytes_do_not_open(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(sealer().open(id(1), &bytes).is_err());
        let _ = OpenedPayload::decode(&bytes);
        let _ = OpenedPayload::decode(&[&[1], &bytes[..]].concat());
    }
}
