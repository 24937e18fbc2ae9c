//! Signed envelopes: DSSE v1 (secure-systems-lab/dsse) with Ed25519 (RFC 8032), as JSON.
//!
//! The bytes of the payload are signed exactly as they stand, together with their type; nothing is
//! ever written anew before it is checked.
//!
//! Invariants
//! - D1: an envelope opens only for a key that the caller names, and only as the type that it asks
//!   for: what was signed as something else does not count.

use bartizan_ledger::tlog::base64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::exception::{key_text, public_key};

/// Type of in-toto statements.
pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Most signatures that are looked at.
const SIGNATURES_MAX: usize = 16;

/// Why an envelope does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DsseError {
    /// It is not written as envelopes are.
    #[error("it is no DSSE envelope")]
    Syntax(#[source] serde_json::Error),
    /// Its payload or a signature is no base64.
    #[error("its payload or signature is no base64")]
    Base64,
    /// D1.
    #[error("it holds `{found}`, not `{wanted}`")]
    Type {
        /// What it says that it holds.
        found: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// D1.
    #[error("no key that counts here has signed it, or it was changed after it was signed")]
    Signature,
}

/// As it lies in a file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    /// A hint; here the public key as text.
    #[serde(default)]
    keyid: Option<String>,
    sig: String,
}

/// What was signed, and the key that signed it, as text.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The bytes.
    pub(crate) payload: Vec<u8>,
    /// `ed25519:` and 64 hexadecimal digits.
    pub(crate) key: String,
}

/// An envelope around `payload`, signed by `pair`.
///
/// # Errors
/// What cannot be written as JSON.
pub(crate) fn seal(
    pair: &Ed25519KeyPair,
    kind: &str,
    payload: &[u8],
) -> serde_json::Result<Vec<u8>> {
    let envelope = Envelope {
        payload_type: kind.to_owned(),
        payload: base64::encode(payload),
        signatures: vec![Signature {
            keyid: Some(key_text(pair.public_key().as_ref())),
            sig: base64::encode(pair.sign(&encoded(kind, payload)).as_ref()),
        }],
    };
    let mut bytes = serde_json::to_vec_pretty(&envelope)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What is in `envelope`, if one of `keys` has signed it as `kind` (D1).
///
/// # Errors
/// [`DsseError`].
pub(crate) fn open(
    envelope: &[u8],
    kind: &'static str,
    keys: &[String],
) -> Result<Opened, DsseError> {
    let envelope: Envelope = serde_json::from_slice(envelope).map_err(DsseError::Syntax)?;
    if envelope.payload_type != kind {
        let plain = envelope.payload_type.chars().filter(char::is_ascii_graphic);
        return Err(DsseError::Type { found: plain.take(80).collect(), wanted: kind });
    }
    let payload = base64::decode(&envelope.payload).ok_or(DsseError::Base64)?;
    let signed = encoded(kind, &payload);
    for signature in envelope.signatures.iter().take(SIGNATURES_MAX) {
        let bytes = base64::decode(&signature.sig).ok_or(DsseError::Base64)?;
        for key in keys {
            let fits = public_key(key).is_ok_and(|public| {
                UnparsedPublicKey::new(&ED25519, public).verify(&signed, &bytes).is_ok()
            });
            if fits {
                return Ok(Opened { payload, key: key.clone() });
            }
        }
    }
    Err(DsseError::Signature)
}

/// The key that an envelope says has signed it; a hint, to be checked by [`open`].
pub(crate) fn hinted_key(envelope: &[u8]) -> Option<String> {
    let envelope: Envelope = serde_json::from_slice(envelope).ok()?;
    envelope.signatures.into_iter().next()?.keyid
}

/// PAE: what is signed in truth.
fn encoded(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(seed: u8) -> (Ed25519KeyPair, String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = key_text(pair.public_key().as_ref());
        (pair, key)
    }

    /// The example of the DSSE specification.
    #[test]
    fn what_is_signed_is_written_as_the_specification_says() {
        let encoded = encoded("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    /// D1: key, type, payload and signature all count.
    #[test]
    fn an_envelope_opens_for_its_key_and_type_alone() {
        let ((mine, key), (_, other)) = (pair(1), pair(2));
        let sealed = seal(&mine, IN_TOTO, b"{\"a\":1}").unwrap();
        let both = [other.clone(), key.clone()];
        let opened = open(&sealed, IN_TOTO, &both).unwrap();
        assert_eq!((opened.payload.as_slice(), &opened.key), (&b"{\"a\":1}"[..], &key));
        assert_eq!(hinted_key(&sealed), Some(key.clone()));
        assert!(matches!(open(&sealed, IN_TOTO, &[other]), Err(DsseError::Signature)));
        assert!(matches!(open(&sealed, IN_TOTO, &[]), Err(DsseError::Signature)));
        assert!(matches!(open(&sealed, "x/y", &both), Err(DsseError::Type { .. })));
        let text = String::from_utf8(sealed).unwrap();
        let changed = text.replace(&base64::encode(b"{\"a\":1}"), &base64::encode(b"{\"a\":2}"));
        assert_ne!(changed, text);
        let changed = open(changed.as_bytes(), IN_TOTO, &both);
        assert!(matches!(changed, Err(DsseError::Signature)));
        let renamed = text.replace(IN_TOTO, "x/y");
        assert!(matches!(open(renamed.as_bytes(), "x/y", &both), Err(DsseError::Signature)));
    }
}
