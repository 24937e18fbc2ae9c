//! Exceptions: that a model may be loaded although the gate does not clear it, signed by whoever
//! answers for that.
//!
//! An exception is for one file's digest and for named rules, has a reason and a last day, and is
//! signed (Ed25519) by a key whose public half stands in the environment's `keys/exception-keys`. It lies
//! beside the model and is held against all of that at every load; `docs/formats/exception.md`
//! tells it byte by byte.
//!
//! Invariants
//! - GX1: an exception counts for one digest, up to and with its last day (UTC), by a listed key;
//! - GX2: it takes away findings of the rules that it names and nothing else: what is found beside
//!   them, or was not kept whole, still keeps the model out.

use std::path::Path;

use bartizan_core::clock::Rfc3339;
use bartizan_core::digest::hex;
use bartizan_core::{Digest, Entropy};
use bartizan_scan::Verdict;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Judged;
use crate::files::{self, FileError};

/// Longest exception, in bytes.
pub(crate) const EXCEPTION_BYTES_MAX: u64 = 16 * 1024;
/// Most rules of one exception.
const RULES_MAX: usize = 16;
/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 200;
/// What is signed begins with this line, so that no other signature of the key counts here.
const CONTEXT: &[u8] = b"bartizan scan exception v1\n";
/// What stands before a public key in text.
const KEY_PREFIX: &str = "ed25519:";
/// Bytes of a private key's seed, and of a public key.
const KEY_BYTES: usize = 32;

/// Why an exception does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExceptionError {
    /// A file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not written as exceptions are.
    #[error("the exception does not read; make one with `bartizan model except`")]
    Syntax(#[source] serde_json::Error),
    /// It has no rule, no reason, no day, or too much of them.
    #[error(
        "an exception has 1 to {RULES_MAX} rules of the scan, a reason of at most {REASON_BYTES_MAX} bytes, and a last day like 2027-01-31"
    )]
    Shape,
    /// GX1.
    #[error(
        "the exception is signed by `{key}`, which is not among `keys/exception-keys` of this environment; have it added there if it may except models"
    )]
    OtherKey {
        /// The key that signed.
        key: String,
    },
    /// GX1.
    #[error("the exception's signature does not fit: it was changed after it was signed")]
    Signature,
    /// GX1.
    #[error("the exception is for {named}, the model is {found}; make one for this file")]
    OtherDigest {
        /// What it is for.
        named: Digest,
        /// What was to be loaded.
        found: Digest,
    },
    /// GX1.
    #[error("the exception ended with {until}; review the model again and make a new one")]
    Ended {
        /// Its last day.
        until: String,
    },
    /// A key that is none.
    #[error("`{text}` is no key of the form `{KEY_PREFIX}` and 64 hexadecimal digits")]
    Key {
        /// What stands there.
        text: String,
    },
    /// A private key cannot be made or used.
    #[error("the private key cannot be used; make one with `bartizan model except-key FILE`")]
    Private,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    /// The file that may be loaded.
    pub(crate) digest: Digest,
    /// Rules whose findings are accepted.
    pub(crate) rules: Vec<String>,
    /// Why.
    pub(crate) reason: String,
    /// Last day on which it counts, `2027-01-31`, UTC.
    pub(crate) until: String,
}

/// As it lies in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    /// JSON of an [`Exception`]: these very bytes are signed.
    exception: String,
    /// Public key, `ed25519:<hex>`.
    key: String,
    /// Signature, in hexadecimal digits.
    signature: String,
}

impl Exception {
    fn check(&self) -> Result<(), ExceptionError> {
        let rules = (1..=RULES_MAX).contains(&self.rules.len())
            && self.rules.iter().all(|rule| bartizan_scan::rule(rule).is_some());
        if rules && is_reason(&self.reason) && is_day(&self.until) {
            Ok(())
        } else {
            Err(ExceptionError::Shape)
        }
    }

    /// Signs it with the private key in `key_file`.
    ///
    /// # Errors
    /// [`ExceptionError`].
    pub(crate) fn sign(&self, key_file: &Path) -> Result<Vec<u8>, ExceptionError> {
        self.check()?;
        let pair = key_pair(key_file)?;
        let exception = serde_json::to_string(self).map_err(ExceptionError::Syntax)?;
        let signature = pair.sign(&[CONTEXT, exception.as_bytes()].concat());
        let signed = Signed {
            exception,
            key: key_text(pair.public_key().as_ref()),
            signature: hex(signature.as_ref()),
        };
        serde_json::to_vec_pretty(&signed).map_err(ExceptionError::Syntax)
    }

    /// The exception in `bytes`, if it counts for a file with `digest` at `now_ns` since the Unix
    /// epoch (GX1), and the key that signed it.
    ///
    /// # Errors
    /// [`ExceptionError`].
    pub(crate) fn verify(
        bytes: &[u8],
        keys: &[String],
        digest: Digest,
        now_ns: u64,
    ) -> Result<(Self, String), ExceptionError> {
        let signed: Signed = serde_json::from_slice(bytes).map_err(ExceptionError::Syntax)?;
        if !keys.contains(&signed.key) {
            let key: String = signed.key.chars().filter(char::is_ascii_graphic).take(80).collect();
            return Err(ExceptionError::OtherKey { key });
        }
        let public = public_key(&signed.key)?;
        let signature = unhex::<64>(&signed.signature).ok_or(ExceptionError::Signature)?;
        UnparsedPublicKey::new(&ED25519, public)
            .verify(&[CONTEXT, signed.exception.as_bytes()].concat(), &signature)
            .map_err(|_| ExceptionError::Signature)?;
        let it: Self = serde_json::from_str(&signed.exception).map_err(ExceptionError::Syntax)?;
        it.check()?;
        if it.digest != digest {
            return Err(ExceptionError::OtherDigest { named: it.digest, found: digest });
        }
        let today = Rfc3339(now_ns).to_string();
        if it.until.as_str() < today.get(..10).unwrap_or("9999-12-31") {
            return Err(ExceptionError::Ended { until: it.until });
        }
        Ok((it, signed.key))
    }

    /// What is left of `judged` where this counts (GX2).
    pub(crate) fn apply(&self, judged: &Judged) -> Judged {
        let mut left = judged.clone();
        if judged.n_more != 0 {
            return left;
        }
        left.found.retain(|found| !self.rules.iter().any(|rule| rule == found.rule.id));
        let verdicts = left.found.iter().map(|found| Verdict::of(found.rule.severity));
        left.verdict = verdicts.fold(Verdict::Cleared, Verdict::and);
        left
    }
}

/// Makes a private key in `file`, readable by its owner alone, and gives the public one as text.
///
/// # Errors
/// [`ExceptionError`].
pub(crate) fn make_key(file: &Path, entropy: &dyn Entropy) -> Result<String, ExceptionError> {
    let seed = Zeroizing::new(bartizan_core::entropy::random::<KEY_BYTES>(entropy));
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| ExceptionError::Private)?;
    files::replace(file, Zeroizing::new(format!("{}\n", hex(&*seed))).as_bytes())?;
    Ok(key_text(pair.public_key().as_ref()))
}

/// The private key in `key_file`, as [`make_key`] writes it.
///
/// # Errors
/// [`ExceptionError`].
pub(crate) fn key_pair(key_file: &Path) -> Result<Ed25519KeyPair, ExceptionError> {
    let text = Zeroizing::new(files::read_private(key_file, 256)?);
    let seed = std::str::from_utf8(&text).ok().and_then(|text| unhex::<KEY_BYTES>(text.trim()));
    let seed = Zeroizing::new(seed.ok_or(ExceptionError::Private)?);
    Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| ExceptionError::Private)
}

/// Whether `text` is a reason: not empty, not too long.
pub(crate) fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= REASON_BYTES_MAX
}

/// Whether `text` is written like a day, `2027-01-31`.
pub(crate) fn is_day(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// A public key as text.
pub(crate) fn key_text(public: &[u8]) -> String {
    format!("{KEY_PREFIX}{}", hex(public))
}

/// The public key that `text` stands for.
///
/// # Errors
/// [`ExceptionError::Key`].
pub(crate) fn public_key(text: &str) -> Result<[u8; KEY_BYTES], ExceptionError> {
    let key = text.strip_prefix(KEY_PREFIX).and_then(unhex::<KEY_BYTES>);
    key.ok_or_else(|| ExceptionError::Key { text: text.chars().take(80).collect() })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Scanner as _;
    use crate::gate::in_process::InProcess;
    use crate::testing::{SeededEntropy, TempDir};

    /// 2026-11-25.
    const NOW_NS: u64 = 1_795_564_800_000_000_000;
    const ODD: &[u8] = b"\x00\x01\x02\x03";

    fn exception() -> Exception {
        Exception {
            digest: Digest::of(ODD),
            rules: vec!["scan.file.unknown".to_owned()],
            reason: "reviewed by hand".to_owned(),
            until: "2026-11-25".to_owned(),
        }
    }

    /// GX1 from both sides: the digest, the day, the key, and every byte that was signed.
    #[test]
    fn an_exception_counts_for_one_digest_until_its_day_by_a_known_key() {
        let folder = TempDir::new();
        let file = folder.path().join("reviewer.key");
        let key = make_key(&file, &SeededEntropy::default()).unwrap();
        let keys = [key.clone()];
        let bytes = exception().sign(&file).unwrap();
        let verify = |bytes: &[u8], keys: &[String], digest, now_ns| {
            Exception::verify(bytes, keys, digest, now_ns).map(|(it, by)| (it.reason, by))
        };
        let digest = Digest::of(ODD);
        let day_ns = 86_400_000_000_000;
        let good = verify(&bytes, &keys, digest, NOW_NS + day_ns - 1).unwrap();
        assert_eq!(good, ("reviewed by hand".to_owned(), key));
        let late = verify(&bytes, &keys, digest, NOW_NS + day_ns);
        assert!(matches!(late, Err(ExceptionError::Ended { .. })), "{late:?}");
        let other = verify(&bytes, &keys, Digest::of(b"other"), NOW_NS);
        assert!(matches!(other, Err(ExceptionError::OtherDigest { .. })), "{other:?}");
        let stranger = verify(&bytes, &[], digest, NOW_NS);
        assert!(matches!(stranger, Err(ExceptionError::OtherKey { .. })), "{stranger:?}");
        let text = String::from_utf8(bytes).unwrap();
        for changed in [
            text.replace("2026-11-25", "2036-11-25"),
            text.replace("reviewed", "Reviewed"),
            text.replace("scan.file.unknown", "scan.pickle.calls"),
        ] {
            assert_ne!(changed, text);
            let found = verify(changed.as_bytes(), &keys, digest, NOW_NS);
            assert!(matches!(found, Err(ExceptionError::Signature)), "{found:?}");
        }
    }

    /// GX2: only what is named is taken away.
    #[test]
    fn an_exception_takes_away_what_it_names_and_nothing_else() {
        let odd = InProcess.scan("m", ODD).unwrap();
        assert_eq!(exception().apply(&odd).verdict, Verdict::Cleared);
        let hostile = InProcess.scan("m", b"cos\nsystem\n(S'id'\ntR.").unwrap();
        assert_eq!(exception().apply(&hostile).verdict, Verdict::Hostile);
        let mut more = odd;
        more.n_more = 1;
        assert_eq!(exception().apply(&more).verdict, Verdict::NotCleared);
    }

    #[test]
    fn an_exception_without_rule_reason_or_day_is_not_signed() {
        let folder = TempDir::new();
        let file = folder.path().join("k");
        make_key(&file, &SeededEntropy::default()).unwrap();
        let bad: [fn(&mut Exception); 5] = [
            |it| it.rules.clear(),
            |it| it.rules = vec!["scan.none".to_owned()],
            |it| it.reason = " ".to_owned(),
            |it| it.until = "soon".to_owned(),
            |it| it.reason = "x".repeat(201),
        ];
        for change in bad {
            let mut it = exception();
            change(&mut it);
            assert!(matches!(it.sign(&file), Err(ExceptionError::Shape)), "{it:?}");
        }
        assert!(exception().sign(&folder.path().join("none")).is_err());
    }
}
