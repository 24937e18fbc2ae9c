//! Tests of the key book's changes.

use super::*;
use crate::scopes::ModelScope;
use crate::seed::{Seed, Stuck};

const NOW_S: u64 = 1_800_000_000;

fn book(entropy: &dyn Entropy) -> Keys {
    Keys::new("demo".parse().unwrap(), MacKey::random(entropy))
}

fn new_key(principal: &str, ttl_s: u64) -> NewKey {
    let scopes = Scopes::inference(ModelScope::All);
    NewKey { principal: principal.parse().unwrap(), scopes, ttl_s }
}

fn states(keys: &Keys, now_s: u64) -> Vec<KeyState> {
    let mut infos: Vec<_> = keys.list(now_s).collect();
    infos.sort_by_key(|info| (info.created_s, info.id));
    infos.iter().map(|info| info.state).collect()
}

/// B2 from both sides: the shortest and the longest life, and each nearest one that is refused.
#[test]
fn a_key_must_end_within_366_days() {
    let entropy = Seed::new(1);
    let mut keys = book(&entropy);
    for ttl_s in [1, TTL_S_MAX] {
        let key = keys.issue(&new_key("ann", ttl_s), NOW_S, &entropy).unwrap();
        assert_eq!(key.expires_s(), NOW_S + ttl_s);
    }
    for ttl_s in [0, TTL_S_MAX + 1, u64::MAX] {
        let error = keys.issue(&new_key("ann", ttl_s), NOW_S, &entropy).unwrap_err();
        assert_eq!(error, KeysError::Ttl { ttl_s });
    }
    assert_eq!(keys.list(NOW_S).count(), 2);
}

#[test]
fn scopes_are_checked_at_issue() {
    let entropy = Seed::new(2);
    let mut keys = book(&entropy);
    let mut new = new_key("ann", 10);
    new.scopes.obligations.top_k = Some(0);
    let error = keys.issue(&new, NOW_S, &entropy).unwrap_err();
    assert!(error.to_string().contains("obligations.top_k"), "{error}");
    assert_eq!(keys.list(NOW_S).count(), 0);
}

/// B2: whatever is done to a key, its end never moves away.
#[test]
fn rotation_and_revocation_only_shorten_a_life() {
    let entropy = Seed::new(3);
    let mut keys = book(&entropy);
    let id = keys.issue(&new_key("ann", 100), NOW_S, &entropy).unwrap().id();
    let end = |keys: &Keys| keys.list(NOW_S).find(|info| info.id == id).unwrap().ends_s;
    let over = Rotation { id, overlap_s: OVERLAP_S_MAX + 1 };
    let error = keys.rotate(over, NOW_S, &entropy).unwrap_err();
    assert_eq!(error, KeysError::Overlap { overlap_s: OVERLAP_S_MAX + 1 });
    let long = Rotation { id, overlap_s: OVERLAP_S_MAX };
    let successor = keys.rotate(long, NOW_S + 1, &entropy).unwrap().id();
    assert_eq!(end(&keys), NOW_S + 100, "the overlap outlived the key");
    assert_eq!(states(&keys, NOW_S + 1), [KeyState::Retiring, KeyState::Live]);
    let error = keys.rotate(long, NOW_S + 2, &entropy).unwrap_err();
    assert_eq!(error, KeysError::Replaced { id, successor });
    keys.revoke(id, NOW_S + 3).unwrap();
    assert_eq!(end(&keys), NOW_S + 3);
    keys.revoke(id, NOW_S + 50).unwrap();
    assert_eq!(end(&keys), NOW_S + 3, "a second revocation moved the first");
    assert_eq!(states(&keys, NOW_S + 4), [KeyState::Revoked, KeyState::Live]);
    assert_eq!(states(&keys, NOW_S + 200), [KeyState::Revoked, KeyState::Expired]);
}

#[test]
fn a_key_that_is_over_or_unknown_is_not_rotated() {
    let entropy = Seed::new(4);
    let mut keys = book(&entropy);
    let id = keys.issue(&new_key("ann", 100), NOW_S, &entropy).unwrap().id();
    let rotation = Rotation { id, overlap_s: 0 };
    let error = keys.rotate(rotation, NOW_S + 100, &entropy).unwrap_err();
    assert_eq!(error, KeysError::Ended { id, state: KeyState::Expired });
    keys.revoke(id, NOW_S).unwrap();
    let error = keys.rotate(rotation, NOW_S, &entropy).unwrap_err();
    assert_eq!(error, KeysError::Ended { id, state: KeyState::Revoked });
    let nobody = KeyId::random(&entropy);
    let error = keys.revoke(nobody, NOW_S).unwrap_err();
    assert_eq!(error, KeysError::NoSuchKey { id: nobody });
    assert!(error.to_string().contains("bartizan key list"), "{error}");
    let rotation = Rotation { id: nobody, overlap_s: 0 };
    assert!(keys.rotate(rotation, NOW_S, &entropy).is_err());
}

/// Ended keys stay explainable for 30 days and not longer.
#[test]
fn pruning_takes_only_what_ended_long_ago() {
    let entropy = Seed::new(5);
    let mut keys = book(&entropy);
    let gone = keys.issue(&new_key("ann", TTL_S_MAX), NOW_S, &entropy).unwrap().id();
    keys.issue(&new_key("ann", 100), NOW_S, &entropy).unwrap();
    keys.issue(&new_key("ann", TTL_S_MAX), NOW_S, &entropy).unwrap();
    keys.revoke(gone, NOW_S + 50).unwrap();
    let limit_s = NOW_S + 50 + KEPT_AFTER_END_S;
    assert_eq!(keys.prune(limit_s - 1), 0);
    assert_eq!(keys.prune(limit_s), 1);
    assert_eq!(keys.prune(limit_s + 50), 1);
    assert_eq!(keys.prune(limit_s + 50), 0);
    assert_eq!(keys.list(NOW_S).count(), 1);
}

/// B4: one pseudonym a principal, however many keys; erasing breaks the link for good.
#[test]
fn a_pseudonym_is_stable_until_its_principal_is_forgotten() {
    let entropy = Seed::new(6);
    let mut keys = book(&entropy);
    let ann: PrincipalName = "ann".parse().unwrap();
    assert!(keys.forget(&ann).is_err());
    let first = keys.issue(&new_key("ann", 10), NOW_S, &entropy).unwrap().reveal();
    let pseudonym = keys.pseudonym_of(&ann).unwrap();
    keys.issue(&new_key("ann", 10), NOW_S, &entropy).unwrap();
    keys.issue(&new_key("bob", 10), NOW_S, &entropy).unwrap();
    assert_eq!(keys.pseudonym_of(&ann), Some(pseudonym));
    assert_ne!(keys.pseudonym_of(&"bob".parse().unwrap()), Some(pseudonym));
    assert_eq!(keys.name_of(pseudonym), Some(&ann));
    let credential = keys.ring().authenticate(&first, NOW_S).unwrap();
    assert_eq!(credential.principal().pseudonym, pseudonym);
    assert_eq!(keys.forget(&ann), Ok(2));
    assert_eq!(keys.name_of(pseudonym), None);
    assert!(keys.ring().authenticate(&first, NOW_S).is_err());
    assert!(!String::from_utf8(keys.to_bytes()).unwrap().contains("ann"));
    keys.issue(&new_key("ann", 10), NOW_S, &entropy).unwrap();
    assert_ne!(keys.pseudonym_of(&ann), Some(pseudonym));
}

/// B3: a full book refuses another key, unless one has ended and makes room.
#[test]
fn the_number_of_keys_is_bounded() {
    let entropy = Seed::new(7);
    let mut keys = book(&entropy);
    let new = new_key("ann", 100);
    let first = keys.issue(&new, NOW_S, &entropy).unwrap().id();
    let entry = keys.entries[&first].clone();
    while keys.entries.len() < KEYS_MAX - 1 {
        keys.entries.insert(KeyId::random(&entropy), entry.clone());
    }
    keys.issue(&new, NOW_S + 1, &entropy).unwrap();
    assert_eq!(keys.issue(&new, NOW_S + 1, &entropy).unwrap_err(), KeysError::KeysFull);
    keys.revoke(first, NOW_S + 1).unwrap();
    keys.issue(&new, NOW_S + 1, &entropy).unwrap();
    assert_eq!(keys.entries.len(), KEYS_MAX);
    assert!(!keys.entries.contains_key(&first));
}

/// B3: principals are bounded, and those already named still get keys.
#[test]
fn the_number_of_principals_is_bounded() {
    let entropy = Seed::new(8);
    let mut keys = book(&entropy);
    keys.issue(&new_key("ann", 100), NOW_S, &entropy).unwrap();
    for count in 1..PRINCIPALS_MAX {
        let name = format!("p{count}").parse().unwrap();
        keys.principals.insert(name, Pseudonym(random(&entropy)));
    }
    let error = keys.issue(&new_key("bob", 100), NOW_S, &entropy).unwrap_err();
    assert_eq!(error, KeysError::PrincipalsFull);
    keys.issue(&new_key("ann", 100), NOW_S, &entropy).unwrap();
}

/// A source that repeats itself makes one key and then none, rather than two alike.
#[test]
fn a_stuck_source_of_randomness_makes_no_second_key() {
    let entropy = Stuck(7);
    let mut keys = book(&entropy);
    keys.issue(&new_key("ann", 100), NOW_S, &entropy).unwrap();
    assert_eq!(keys.issue(&new_key("bob", 100), NOW_S, &entropy).unwrap_err(), KeysError::Entropy);
    assert_eq!(keys.list(NOW_S).count(), 1);
}
