//! Tests of the key book's stored form.
#![expect(
    clippy::indexing_slicing,
    reason = "a test that is wrong about its own bytes should fail"
)]

use super::*;
use crate::key_ring::AuthFailure;
use crate::keys::{NewKey, Rotation};
use crate::scopes::{Action, Assertion, ModelScope, Scopes};
use crate::seed::Seed;
use bartizan_core::Obligations;
use proptest::prelude::*;
use zeroize::Zeroizing;

const NOW_S: u64 = 1_800_000_000;

fn mac_key() -> MacKey {
    MacKey::from_bytes(&[7; MacKey::LEN]).unwrap()
}

fn scopes() -> Scopes {
    Scopes {
        actions: [Action::Infer, Action::Trace].into(),
        models: ModelScope::Some(["fraud".parse().unwrap()].into()),
        purposes: ["credit".to_owned()].into(),
        may_assert: [Assertion::Subject].into(),
        obligations: Obligations { digits: Some(3), top_k: Some(2), ..Obligations::default() },
    }
}

/// A book with one plain key, one rotated and its successor, and one revoked; and the first's
/// text.
fn book() -> (Keys, KeyId, Zeroizing<String>) {
    let entropy = Seed::new(1);
    let mut keys = Keys::new("demo".parse().unwrap(), mac_key());
    let new = NewKey { principal: "ann".parse().unwrap(), scopes: scopes(), ttl_s: 1000 };
    let first = keys.issue(&new, NOW_S, &entropy).unwrap();
    let second = keys.issue(&new, NOW_S, &entropy).unwrap().id();
    keys.rotate(Rotation { id: second, overlap_s: 5 }, NOW_S, &entropy).unwrap();
    let new = NewKey { principal: "bob".parse().unwrap(), ..new };
    let third = keys.issue(&new, NOW_S, &entropy).unwrap().id();
    keys.revoke(third, NOW_S + 1).unwrap();
    (keys, first.id(), first.reveal())
}

/// Stores `keys` after `change`, sealed as whoever has the MAC key can seal it.
fn reseal(mut keys: Keys, change: impl FnOnce(&mut Keys)) -> Result<Keys, BookError> {
    change(&mut keys);
    Keys::from_bytes(&keys.to_bytes(), mac_key())
}

#[test]
fn a_stored_book_reads_back_whole_and_spells_itself_alike() {
    let (keys, _, text) = book();
    let bytes = keys.to_bytes();
    let again = Keys::from_bytes(&bytes, mac_key()).unwrap();
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(again.digest(), keys.digest());
    assert!(again.list(NOW_S).eq(keys.list(NOW_S)));
    assert!(again.ring().authenticate(&text, NOW_S).is_ok());
}

/// The bytes that `docs/formats/keyring.md` shows: a change here is a change of the format.
#[test]
fn the_stored_bytes_are_the_documented_ones() {
    let mut keys = Keys::new("demo".parse().unwrap(), mac_key());
    let new = NewKey {
        principal: "ann".parse().unwrap(),
        scopes: Scopes::inference(ModelScope::All),
        ttl_s: 86_400,
    };
    let key = keys.issue(&new, NOW_S, &Seed::new(2)).unwrap().reveal();
    let stored = String::from_utf8(keys.to_bytes()).unwrap();
    let documented = include_str!("../../../../../docs/formats/keyring.md");
    assert!(documented.contains(stored.trim_end()), "documented otherwise:\n{stored}");
    assert!(documented.contains(key.as_str()), "documented otherwise:\n{}", *key);
}

/// B1: neither a secret nor the MAC key is in the stored bytes.
#[test]
fn no_secret_is_stored() {
    let (keys, id, text) = book();
    let stored = String::from_utf8(keys.to_bytes()).unwrap();
    let secret = text.rsplit('_').next().unwrap();
    assert!(stored.contains(id.as_str()));
    assert!(!stored.contains(&secret[..8]), "{stored}");
    assert!(!stored.contains(&"07".repeat(8)), "{stored}");
}

/// B5: no byte of a stored book can be changed, none left out, none added.
#[test]
fn every_changed_byte_of_a_stored_book_is_refused() {
    let bytes = book().0.to_bytes();
    for at in 0..bytes.len() {
        for other in [bytes[at] ^ 1, b' ', b'9'] {
            let mut changed = bytes.clone();
            changed[at] = other;
            let refused = Keys::from_bytes(&changed, mac_key()).is_err();
            assert!(refused || changed == bytes, "byte {at} as {other:#x}");
        }
        assert!(Keys::from_bytes(&bytes[..at], mac_key()).is_err(), "cut at {at}");
    }
    let longer = [&bytes[..], b" "].concat();
    assert!(matches!(Keys::from_bytes(&longer, mac_key()), Err(BookError::NotCanonical)));
}

/// B5: each single field that somebody would want to edit, edited as text.
#[test]
fn editing_the_stored_file_is_refused() {
    let stored = String::from_utf8(book().0.to_bytes()).unwrap();
    for (from, to) in [
        ("\"expires_s\":1800001000", "\"expires_s\":1900001000"),
        ("\"created_s\":1800000000", "\"created_s\":1800000001"),
        (",\"revoked_s\":1800000001", ""),
        ("\"retires_s\":1800000005", "\"retires_s\":1800000999"),
        ("[\"infer\",\"trace\"]", "[\"infer\",\"admin\",\"trace\"]"),
        ("{\"some\":[\"fraud\"]}", "\"all\""),
        ("\"digits\":3", "\"digits\":9"),
        (",\"obligations\":{\"top_k\":2,\"digits\":3}", ""),
        ("\"principal\":\"bob\"", "\"principal\":\"ann\""),
        ("\"environment\":\"demo\"", "\"environment\":\"inference\""),
    ] {
        let edited = stored.replacen(from, to, 1);
        assert_ne!(edited, stored, "{from} is not stored");
        let error = Keys::from_bytes(edited.as_bytes(), mac_key()).unwrap_err();
        assert!(matches!(error, BookError::Altered), "{from}: {error}");
    }
    let other = MacKey::from_bytes(&[8; MacKey::LEN]).unwrap();
    let error = Keys::from_bytes(stored.as_bytes(), other).unwrap_err();
    assert!(matches!(error, BookError::Altered) && error.to_string().contains("keyring.mac"));
}

/// R2: even whoever can seal the book cannot widen or prolong somebody's key, because he lacks
/// the secret with which the claims are proven.
#[test]
fn a_resealed_change_of_claims_breaks_the_key() {
    type Change = fn(&mut Keys, KeyId);
    let changes: [(&str, Change); 4] = [
        ("scopes", |keys, id| {
            let claims = &mut keys.entries.get_mut(&id).unwrap().claims;
            claims.scopes.actions.insert(Action::Admin);
        }),
        ("expires_s", |keys, id| keys.entries.get_mut(&id).unwrap().claims.expires_s += 1),
        ("created_s", |keys, id| keys.entries.get_mut(&id).unwrap().claims.created_s += 1),
        ("principal", |keys, id| {
            keys.entries.get_mut(&id).unwrap().claims.principal = "bob".parse().unwrap();
        }),
    ];
    for (field, change) in changes {
        let (keys, id, text) = book();
        assert!(keys.ring().authenticate(&text, NOW_S).is_ok());
        let forged = reseal(keys, |keys| change(keys, id)).unwrap();
        let failure = forged.ring().authenticate(&text, NOW_S).unwrap_err();
        assert_eq!(failure, AuthFailure::WrongSecret, "{field}");
    }
    // A proof cannot be moved to another key either.
    let (keys, id, text) = book();
    let other = *keys.entries.keys().find(|other| **other != id).unwrap();
    let moved = reseal(keys, |keys| {
        keys.entries.get_mut(&id).unwrap().proof = keys.entries[&other].proof;
    });
    let failure = moved.unwrap().ring().authenticate(&text, NOW_S).unwrap_err();
    assert_eq!(failure, AuthFailure::WrongSecret);
}

/// What is sealed but makes no sense is refused with its place.
#[test]
fn a_sealed_book_that_breaks_an_invariant_is_refused_with_its_place() {
    type Change = fn(&mut Keys, KeyId);
    let changes: [(&str, Change); 5] = [
        ("claims.scopes", |keys, id| {
            keys.entries.get_mut(&id).unwrap().claims.scopes.obligations.digits = Some(10);
        }),
        ("claims.expires_s", |keys, id| {
            keys.entries.get_mut(&id).unwrap().claims.expires_s = NOW_S + TTL_S_MAX + 1;
        }),
        ("claims.expires_s", |keys, id| {
            keys.entries.get_mut(&id).unwrap().claims.expires_s = NOW_S;
        }),
        ("claims.principal", |keys, id| {
            keys.entries.get_mut(&id).unwrap().claims.principal = "eve".parse().unwrap();
        }),
        ("principals.bob", |keys, _| {
            let ann = keys.principals[&"ann".parse().unwrap()];
            keys.principals.insert("bob".parse().unwrap(), ann);
        }),
    ];
    for (place, change) in changes {
        let (keys, id, _) = book();
        let error = reseal(keys, |keys| change(keys, id)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, BookError::Broken { .. }) && text.contains(place), "{text}");
    }
}

#[test]
fn other_formats_unknown_fields_and_other_files_are_refused_by_name() {
    let read = |text: &str| Keys::from_bytes(text.as_bytes(), mac_key()).unwrap_err().to_string();
    let stored = String::from_utf8(book().0.to_bytes()).unwrap();
    let text = read("{\"book\":{\"format\":2,\"sealed\":[]},\"seal\":{}}");
    assert_eq!(text, "the key book has format 2, this release reads format 1");
    let text = read(&stored.replacen("\"format\":1", "\"format\":2", 1));
    assert_eq!(text, "the key book has format 2, this release reads format 1");
    let text = read(&stored.replacen("\"claims\":{", "\"claims\":{\"role\":1,", 1));
    assert!(text.contains("unknown field `role`") && text.contains("line 1, column"), "{text}");
    for other in ["", "null", "[]", "{}", "\u{0}", "{\"book\":{}}"] {
        assert!(read(other).contains("not well formed"), "{other:?}: {}", read(other));
    }
    let deep = "[".repeat(1_000_000);
    assert!(read(&deep).contains("not well formed"));
    let large = vec![b' '; BOOK_BYTES_MAX + 1];
    let error = Keys::from_bytes(&large, mac_key()).unwrap_err();
    assert!(matches!(error, BookError::TooLarge { .. }), "{error}");
}

/// B3: the largest sizes of all parts together stay below the limit on bytes.
#[test]
fn a_full_book_fits_its_limit() {
    let (mut keys, id, _) = book();
    let mut entry = keys.entries[&id].clone();
    let longest = "p".repeat(PrincipalName::LEN_MAX).parse().unwrap();
    entry.claims.principal = longest;
    (entry.successor, entry.retires_s, entry.revoked_s) =
        (Some(id), Some(u64::MAX), Some(u64::MAX));
    (entry.claims.created_s, entry.claims.expires_s) = (u64::MAX, u64::MAX);
    let scopes_bytes = serde_json::to_vec(&entry.claims.scopes).unwrap().len();
    keys.entries = BTreeMap::new();
    let empty = keys.to_bytes().len();
    keys.entries.insert(id, entry);
    let key_bytes = keys.to_bytes().len() - empty + 1 - scopes_bytes + crate::SCOPES_BYTES_MAX;
    let name_bytes = PrincipalName::LEN_MAX + "\"\":\"\",".len() + 32;
    let full = empty + KEYS_MAX * key_bytes + PRINCIPALS_MAX * name_bytes;
    assert!(full < BOOK_BYTES_MAX, "a full book has {full} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No bytes make the reader fail otherwise than by saying no.
    #[test]
    fn any_bytes_are_refused_without_the_seal(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Keys::from_bytes(&bytes, mac_key()).is_err());
    }
}
