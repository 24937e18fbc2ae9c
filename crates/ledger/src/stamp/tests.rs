//! Stamps that OpenSSL's authority made (`fixtures/make.sh`), whole and spoilt.

use proptest::prelude::*;

use super::*;

const TEXT: &[u8] = b"example.com/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
const ASKED: &[u8] = include_bytes!("fixtures/asked.tsq");
const RSA: &[u8] = include_bytes!("fixtures/rsa.tsr");
const EC: &[u8] = include_bytes!("fixtures/ec.tsr");
/// Without the signer's certificate in it, and without the nonce of `ASKED`.
const BARE: &[u8] = include_bytes!("fixtures/bare.tsr");
const ROOT_RSA: &[u8] = include_bytes!("fixtures/root-rsa.pem");
const ROOT_EC: &[u8] = include_bytes!("fixtures/root-ec.pem");
const SIGNER_EC: &[u8] = include_bytes!("fixtures/tsa-ec.pem");
const SERVER: &[u8] = include_bytes!("fixtures/server.cms");

fn trusting(pems: &[&[u8]]) -> Authorities {
    Authorities::from_pem(&pems.concat()).unwrap()
}

/// The nonce of the stored request, as OpenSSL drew it: 8 bytes.
fn nonce() -> [u8; NONCE_BYTES] {
    let mut request = Der::new(ASKED).inside(SEQUENCE).unwrap();
    let _version = request.take(INTEGER).unwrap();
    let _imprint = request.take(SEQUENCE).unwrap();
    let content = request.take(INTEGER).unwrap().content;
    let mut nonce = [0; NONCE_BYTES];
    let digits = content.strip_prefix(&[0]).unwrap_or(content);
    nonce[NONCE_BYTES - digits.len()..].copy_from_slice(digits);
    nonce
}

/// What we would ask is what OpenSSL asks, byte for byte.
#[test]
fn a_request_is_what_openssl_would_ask() {
    assert_eq!(request(TEXT, &nonce()), ASKED);
}

/// TS1, the good side: RSA and ECDSA, with the signer's certificate inside and outside.
#[test]
fn a_stamp_by_a_vouched_signer_is_accepted() {
    let cases = [
        (RSA, trusting(&[ROOT_RSA]), Some(nonce())),
        (EC, trusting(&[ROOT_EC]), Some(nonce())),
        (EC, trusting(&[ROOT_RSA, ROOT_EC]), None),
        (BARE, trusting(&[ROOT_EC, SIGNER_EC]), None),
    ];
    for (answer, authorities, nonce) in cases {
        let stamp = authorities.check(answer, TEXT, nonce.as_ref()).unwrap();
        assert_eq!(stamp.accuracy_ns, Some(1_500_100_000));
        assert_eq!(stamp.serial, [0x0b]);
        // 2026-11 to 2046: made once, by hand.
        assert!((1_793_000_000..2_400_000_000).contains(&(stamp.time_ns / NS_PER_S)));
    }
}

/// TS1, the other side, each fault by its own name.
#[test]
fn a_stamp_of_anything_else_is_refused_by_name() {
    let ours = trusting(&[ROOT_EC]);
    assert_eq!(ours.check(EC, b"another text\n", None), Err(StampError::Imprint));
    assert_eq!(ours.check(EC, TEXT, Some(&[7; NONCE_BYTES])), Err(StampError::Nonce));
    assert_eq!(ours.check(BARE, TEXT, None), Err(StampError::Signer));
    let other = trusting(&[ROOT_RSA]).check(EC, TEXT, None).unwrap_err();
    assert!(matches!(&other, StampError::Chain { reason } if reason.contains("UnknownIssuer")));
    let mut refused = EC.to_vec();
    let at = refused.windows(3).position(|three| three == [0x02, 0x01, 0x00]).unwrap();
    refused[at + 2] = 2;
    assert_eq!(ours.check(&refused, TEXT, None), Err(StampError::Refused { status: 2 }));
    assert_eq!(ours.check(&vec![0; STAMP_BYTES_MAX + 1], TEXT, None), Err(StampError::TooLong));
    let longer = [EC, &[0]].concat();
    assert!(matches!(ours.check(&longer, TEXT, None), Err(StampError::Malformed { .. })));
    for pem in [&b""[..], b"no pem", b"-----BEGIN CERTIFICATE-----\nAA==\n"] {
        assert_eq!(Authorities::from_pem(pem).unwrap_err(), StampError::Roots);
    }
}

/// A certificate that a root vouches for, but not for stamping, is not believed, though it signed
/// all that a stamp has.
#[test]
fn a_certificate_for_another_purpose_may_not_stamp() {
    let status = wrap(SEQUENCE, &[&wrap_unsigned(&[0])]);
    let answer = wrap(SEQUENCE, &[&status, SERVER]);
    let refused = trusting(&[ROOT_EC]).check(&answer, TEXT, None).unwrap_err();
    assert!(
        matches!(&refused, StampError::Chain { reason } if reason.contains("Eku")),
        "{refused:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// TS1: one changed byte anywhere in the token is noticed, unless it stands where nothing is
    /// said about the stamp (the list of hashes, the signer's second name, other certificates).
    #[test]
    fn no_changed_byte_changes_what_is_said(at in 0..EC.len(), flip in 1..=255_u8) {
        let ours = trusting(&[ROOT_EC]);
        let whole = ours.check(EC, TEXT, Some(&nonce())).unwrap();
        let mut spoilt = EC.to_vec();
        spoilt[at] ^= flip;
        if let Ok(stamp) = ours.check(&spoilt, TEXT, Some(&nonce())) {
            prop_assert_eq!(stamp, whole);
        }
    }

    /// Foreign bytes never make it panic.
    #[test]
    fn foreign_bytes_are_only_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(trusting(&[ROOT_EC]).check(&bytes, TEXT, None).is_err());
    }
}
