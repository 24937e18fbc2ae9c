//! Tests of the text of a key.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that is wrong about its own bytes should fail"
)]

use super::*;
use crate::seed::{Seed, Stuck};
use proptest::prelude::*;

fn issued(environment: &str, entropy: &dyn Entropy) -> IssuedKey {
    let id = KeyId::random(entropy);
    IssuedKey::new(&environment.parse().unwrap(), id, &random_digits(entropy), 7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// K1 and K2: what is printed is read back, part by part, whatever environment and chance.
    #[test]
    fn a_key_reads_back_what_it_prints(environment in "[a-z][a-z0-9-]{0,31}", seed: u64) {
        let key = issued(&environment, &Seed::new(seed));
        let id = key.id();
        let text = key.reveal();
        let parts = KeyText::parse(&text).unwrap();
        prop_assert_eq!(parts.environment, &environment);
        prop_assert_eq!(parts.id, id);
        let rest = format!("bz_{environment}_{id}_");
        prop_assert_eq!(&text.as_bytes()[rest.len()..][..SECRET_LEN], parts.secret);
        prop_assert_eq!(text.len(), rest.len() + SECRET_LEN + CRC_LEN);
        prop_assert!(text.is_ascii() && text.len() <= TEXT_LEN_MAX);
    }

    /// No text makes the parser fail otherwise than by saying no.
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,140}") {
        prop_assert!(KeyText::parse(&text).is_none());
    }
}

/// K2: no flipped byte of a key leaves a key, be it in the prefix, the parts or the check sum.
#[test]
fn every_byte_flip_is_told_from_a_key() {
    let text = issued("demo", &Seed::new(1)).reveal();
    assert!(KeyText::parse(&text).is_some());
    for at in 0..text.len() {
        for other in 0..=0x7f_u8 {
            let mut bytes = text.as_bytes().to_vec();
            if std::mem::replace(&mut bytes[at], other) == other {
                continue;
            }
            let flipped = String::from_utf8(bytes).unwrap();
            assert!(KeyText::parse(&flipped).is_none(), "byte {at} as {other:#x}");
        }
    }
}

/// K1 from both sides: keys that are longer, shorter, or have other parts, with a check sum that
/// fits, are still no keys.
#[test]
fn a_fitting_check_sum_does_not_make_a_key() {
    let (id, secret) = ("a".repeat(12), "b".repeat(43));
    let sum = |body: String| {
        let crc = crc_digits(body.as_bytes());
        format!("{body}{}", std::str::from_utf8(&crc).unwrap())
    };
    let longest = "e".repeat(EnvName::LEN_MAX);
    for body in [format!("bz_dev_{id}_{secret}"), format!("bz_{longest}_{id}_{secret}")] {
        let text = sum(body);
        assert!(KeyText::parse(&text).is_some(), "refused {text}");
    }
    for body in [
        String::new(),
        "bz_".into(),
        format!("by_dev_{id}_{secret}"),
        format!("bz_dev_{id}{secret}"),
        format!("bz_dev_{id}_{secret}_"),
        format!("bz_dev_{id}a_{secret}"),
        format!("bz_dev_{id}_{secret}b"),
        format!("bz_dev_{id}_{}", &secret[1..]),
        format!("bz_dev_{id}_{}-", &secret[1..]),
        format!("bz_dev_{id}_{}é", &secret[2..]),
        format!("bz_e{longest}_{id}_{secret}"),
    ] {
        let text = sum(body);
        assert!(KeyText::parse(&text).is_none(), "accepted {text}");
    }
    for text in ["", "0", "00000", "000000", "ééé", "bz_dev"] {
        assert!(KeyText::parse(text).is_none(), "accepted {text}");
    }
}

/// The whole range of chance maps into the digits, and evenly at its ends.
#[test]
fn digits_are_drawn_from_all_62() {
    assert_eq!(random_digits::<3>(&Stuck(0)).as_slice(), b"000");
    assert_eq!(random_digits::<3>(&Stuck(0xff)).as_slice(), b"zzz");
    let drawn = random_digits::<4096>(&Seed::new(3));
    for digit in DIGITS {
        let count = drawn.iter().filter(|byte| *byte == digit).count();
        // 66 are expected, with a standard deviation of 8.
        assert!((20..120).contains(&count), "{} was drawn {count} times", char::from(*digit));
    }
}

/// The check sum is CRC-32C: its published check value (of `123456789`) in base 62.
#[test]
fn the_check_sum_is_the_published_one() {
    let digits = crc_digits(b"123456789");
    let value = digits.iter().fold(0_u64, |value, byte| {
        value * 62 + DIGITS.iter().position(|digit| digit == byte).unwrap() as u64
    });
    assert_eq!(value, 0xe306_9283);
}

#[test]
fn an_issued_key_prints_no_secret() {
    let key = issued("demo", &Seed::new(2));
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("IssuedKey({}, [redacted])", key.id()));
    assert_eq!(key.expires_s(), 7);
    let text = key.reveal();
    let secret = KeyText::parse(&text).unwrap().secret;
    assert!(!shown.contains(std::str::from_utf8(secret).unwrap()));
}

#[test]
fn only_twelve_digits_are_a_key_id() {
    assert_eq!("0aZ0aZ0aZ0aZ".parse::<KeyId>().unwrap().to_string(), "0aZ0aZ0aZ0aZ");
    for text in ["", "0aZ0aZ0aZ0a", "0aZ0aZ0aZ0aZ0", "0aZ0aZ0aZ0a_", "0aZ0aZ0aZ0é"] {
        assert_eq!(text.parse::<KeyId>(), Err(KeyIdError), "accepted {text:?}");
    }
}
