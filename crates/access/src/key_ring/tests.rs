//! Tests of authentication.

use std::cell::Cell;

use super::*;
use crate::keys::{Keys, NewKey, Rotation};
use crate::mac::MacKey;
use crate::scopes::{ModelScope, Scopes};
use crate::seed::Seed;

thread_local! {
    /// Proofs computed by this thread.
    pub(super) static PROOFS: Cell<u32> = const { Cell::new(0) };
}

const NOW_S: u64 = 1_800_000_000;

fn book(environment: &str, entropy: &Seed) -> Keys {
    Keys::new(environment.parse().unwrap(), MacKey::random(entropy))
}

fn new_key(principal: &str) -> NewKey {
    let scopes = Scopes::inference(ModelScope::All);
    NewKey { principal: principal.parse().unwrap(), scopes, ttl_s: 100 }
}

/// The same text with another id or secret in it and a check sum that fits.
fn forge(text: &str, field: usize) -> String {
    let mut parts: Vec<_> = text.split('_').map(str::to_owned).collect();
    let first = if parts[field].starts_with('0') { "1" } else { "0" };
    parts[field].replace_range(..1, first);
    let body = parts.join("_");
    let body = &body[..body.len() - 6];
    let mut crc = crc32c::crc32c(body.as_bytes());
    let mut digits = Vec::new();
    for _ in 0..6 {
        let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        digits.insert(0, char::from(alphabet[(crc % 62) as usize]));
        crc /= 62;
    }
    format!("{body}{}", digits.iter().collect::<String>())
}

/// R2 for each way in which a key can fail, beside the key that does not; and R1 by structure:
/// every text that is a key costs exactly one proof, whatever becomes of it.
#[test]
fn every_outcome_costs_one_proof_and_only_a_good_key_passes() {
    let entropy = Seed::new(1);
    let mut keys = book("demo", &entropy);
    let good = keys.issue(&new_key("ann"), NOW_S, &entropy).unwrap();
    let revoked = keys.issue(&new_key("ann"), NOW_S, &entropy).unwrap();
    keys.revoke(revoked.id(), NOW_S).unwrap();
    let expired = keys.issue(&new_key("ann"), NOW_S - 100, &entropy).unwrap();
    let foreign = book("dev", &entropy).issue(&new_key("ann"), NOW_S, &entropy).unwrap();
    let (id, good) = (good.id(), good.reveal());
    let ring = keys.ring();
    let cases = [
        (good.to_string(), None),
        (forge(&good, 2), Some(AuthFailure::Unknown)),
        (forge(&good, 3), Some(AuthFailure::WrongSecret)),
        (expired.reveal().to_string(), Some(AuthFailure::Expired)),
        (revoked.reveal().to_string(), Some(AuthFailure::Revoked)),
        (foreign.reveal().to_string(), Some(AuthFailure::WrongEnvironment)),
    ];
    for (text, failure) in &cases {
        PROOFS.with(|count| count.set(0));
        let found = ring.authenticate(text, NOW_S);
        assert_eq!(found.as_ref().err(), failure.as_ref(), "{failure:?}");
        assert_eq!(PROOFS.with(Cell::get), 1, "{failure:?}");
    }
    let credential = ring.authenticate(&good, NOW_S).unwrap();
    assert_eq!(credential.key_id(), Some(id));
    assert_eq!(credential.principal().name.as_str(), "ann");
    assert_eq!(credential.principal().proof.describe(), format!("api-key:{id}"));
    assert_eq!(credential.expires_s(), NOW_S + 100);
    for text in ["", "bz_demo", &good[1..], &format!("{} ", *good)] {
        assert_eq!(ring.authenticate(text, NOW_S).unwrap_err(), AuthFailure::Malformed, "{text:?}");
    }
}

/// R1: the outcome is a function of the whole evidence, in one order, and only full evidence
/// passes.
#[test]
fn evidence_passes_only_when_it_is_whole() {
    for bits in 0..32_u8 {
        let bit = |at: u8| bits >> at & 1 == 1;
        let evidence = Evidence {
            environment_fits: bit(0),
            is_known: bit(1),
            is_proven: bit(2),
            is_revoked: !bit(3),
            is_over: !bit(4),
        };
        let expected = match bits.trailing_ones() {
            0 => Some(AuthFailure::WrongEnvironment),
            1 => Some(AuthFailure::Unknown),
            2 => Some(AuthFailure::WrongSecret),
            3 => Some(AuthFailure::Revoked),
            4 => Some(AuthFailure::Expired),
            _ => None,
        };
        assert_eq!(evidence.failure(), expected, "{bits:05b}");
    }
}

/// The last second of a key and the first after it.
#[test]
fn a_key_is_good_until_the_second_in_which_it_ends() {
    let entropy = Seed::new(2);
    let mut keys = book("demo", &entropy);
    let text = keys.issue(&new_key("ann"), NOW_S, &entropy).unwrap().reveal();
    let ring = keys.ring();
    assert!(ring.authenticate(&text, NOW_S + 99).is_ok());
    assert_eq!(ring.authenticate(&text, NOW_S + 100).unwrap_err(), AuthFailure::Expired);
}

/// Every byte flip of a key is refused by the ring.
#[test]
fn every_byte_flip_is_refused() {
    let entropy = Seed::new(3);
    let mut keys = book("demo", &entropy);
    let text = keys.issue(&new_key("ann"), NOW_S, &entropy).unwrap().reveal();
    let ring = keys.ring();
    for at in 0..text.len() {
        for bit in 0..7 {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let flipped = String::from_utf8(bytes).unwrap();
            assert!(ring.authenticate(&flipped, NOW_S).is_err(), "byte {at}, bit {bit}");
        }
    }
}

/// A ring is a snapshot: what happens to the book afterwards does not reach it.
#[test]
fn a_ring_does_not_change_and_its_digest_is_the_books() {
    let entropy = Seed::new(4);
    let mut keys = book("demo", &entropy);
    let key = keys.issue(&new_key("ann"), NOW_S, &entropy).unwrap();
    let (id, text) = (key.id(), key.reveal());
    let before = keys.ring();
    assert_eq!(before.digest(), keys.digest());
    keys.revoke(id, NOW_S).unwrap();
    assert!(before.authenticate(&text, NOW_S).is_ok());
    assert_eq!(keys.ring().authenticate(&text, NOW_S).unwrap_err(), AuthFailure::Revoked);
    assert_ne!(keys.ring().digest(), before.digest());
}

/// B2: both keys are good in the overlap, the old one not after it.
#[test]
fn a_rotated_key_lives_on_for_the_overlap_only() {
    let entropy = Seed::new(5);
    let mut keys = book("demo", &entropy);
    let old = keys.issue(&new_key("ann"), NOW_S, &entropy).unwrap();
    let rotation = Rotation { id: old.id(), overlap_s: 10 };
    let new = keys.rotate(rotation, NOW_S + 50, &entropy).unwrap();
    let (old, new, ring) = (old.reveal(), new.reveal(), keys.ring());
    assert!(ring.authenticate(&old, NOW_S + 59).is_ok());
    assert_eq!(ring.authenticate(&old, NOW_S + 60).unwrap_err(), AuthFailure::Expired);
    let (before, after) = (NOW_S + 149, NOW_S + 150);
    assert!(ring.authenticate(&new, before).is_ok());
    assert_eq!(ring.authenticate(&new, after).unwrap_err(), AuthFailure::Expired);
}

#[test]
fn nothing_that_debug_prints_names_a_person_or_a_secret() {
    let entropy = Seed::new(6);
    let mut keys = book("demo", &entropy);
    let text = keys.issue(&new_key("ann.smith"), NOW_S, &entropy).unwrap().reveal();
    let ring = keys.ring();
    let credential = ring.authenticate(&text, NOW_S).unwrap();
    let shown = format!("{ring:?} {credential:?} {keys:?} {:?}", MacKey::random(&entropy));
    assert!(!shown.contains("smith"), "{shown}");
    assert!(shown.contains("MacKey([redacted])"), "{shown}");
}

/// Two local users have two pseudonyms, the same in every snapshot under one MAC key.
#[test]
fn local_pseudonyms_depend_on_uid_and_mac_key_alone() {
    let entropy = Seed::new(7);
    let mut keys = book("demo", &entropy);
    let before = keys.ring();
    keys.issue(&new_key("ann"), NOW_S, &entropy).unwrap();
    assert_eq!(before.local_pseudonym(0), keys.ring().local_pseudonym(0));
    assert_ne!(before.local_pseudonym(0), before.local_pseudonym(1000));
    assert_ne!(before.local_pseudonym(0), book("demo", &entropy).ring().local_pseudonym(0));
}
