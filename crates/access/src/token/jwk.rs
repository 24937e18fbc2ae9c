//! An issuer's keys as it publishes them (RFC 7517, 7518, 8037), cut down to those that we take.
//!
//! Invariants
//! - J1: a key verifies with one algorithm, fixed when the set is read: what a token's header says
//!   only picks among keys, and never turns a public key into a secret of an HMAC;
//! - J2: symmetric keys, keys with a private part, keys for encryption and keys outside the bounds
//!   are left out, and said; two keys of one id and algorithm make the whole set unusable;
//! - J3: a set has at most [`KEYS_MAX`] keys and [`SET_BYTES_MAX`] bytes.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_core::Digest;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

use super::compact::decode;

/// Longest published set, in bytes.
pub const SET_BYTES_MAX: usize = 256 * 1024;
/// Most keys in a set, taken or not.
pub const KEYS_MAX: usize = 64;
/// Longest id of a key, in bytes.
pub(crate) const KEY_ID_BYTES_MAX: usize = 256;
/// Bounds of an RSA modulus, in bits: below, it can be factored; above, a check costs too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;
/// Least public exponent of RSA (NIST SP 800-56B, 6.2), and most bytes of one.
const RSA_EXPONENT_MIN: u64 = 65_537;
const RSA_EXPONENT_BYTES_MAX: usize = 4;

/// A signature algorithm (RFC 7518, 3.1; RFC 8037, 3.1). None is symmetric, and there is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    Rs512,
    /// RSA PSS with SHA-256.
    Ps256,
    /// RSA PSS with SHA-384.
    Ps384,
    /// RSA PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in headers, keys and configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn rsa(self) -> Option<&'static signature::RsaParameters> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

/// Text that names no algorithm that we take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA")]
pub struct AlgorithmError;

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or(AlgorithmError)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

enum Material {
    Rsa(&'static signature::RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
    Other(UnparsedPublicKey<Vec<u8>>),
}

/// One key with its one algorithm; see J1.
pub(crate) struct Jwk {
    pub(crate) id: Option<Box<str>>,
    pub(crate) algorithm: Algorithm,
    material: Material,
}

impl Jwk {
    /// Whether `signature` is this key's over `signed`. 20 to 120 us.
    pub(crate) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(parameters, key) => key.verify(parameters, signed, signature).is_ok(),
            Material::Other(key) => key.verify(signed, signature).is_ok(),
        }
    }
}

/// Why a published set is no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetError {
    /// It is too long.
    #[error("the key set has {bytes} bytes, the limit is {SET_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It is not JSON of that shape.
    #[error("the key set is not a JSON object with `keys` (line {line}, column {column})")]
    Malformed {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// It has too many keys.
    #[error("the key set has {keys} keys, the limit is {KEYS_MAX}")]
    TooMany {
        /// How many.
        keys: usize,
    },
    /// J2: which of the two is the issuer's cannot be told.
    #[error("the key set has two keys of one id and algorithm, so that neither can be trusted")]
    Twice,
    /// None is left.
    #[error("the key set has no key that can be used: {}", if left_out.is_empty() { "it is empty" } else { left_out })]
    Empty {
        /// Why the others were left out.
        left_out: String,
    },
}

/// An issuer's keys as it published them. Share it in an `Arc`.
pub struct JwkSet {
    keys: Vec<Jwk>,
    left_out: Vec<&'static str>,
    /// The only part that changes: the same keys, seen again later.
    seen_s: AtomicU64,
    digest: Digest,
}

#[derive(Deserialize)]
struct SetJson {
    keys: Vec<KeyJson>,
}

#[derive(Deserialize)]
struct KeyJson {
    kty: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
}

impl JwkSet {
    /// Reads the published set `bytes`, fetched at `fetched_s` seconds since the Unix epoch, of an
    /// issuer that may use `allowed`. An RSA key that names no algorithm verifies with the first
    /// RSA algorithm of `allowed`.
    ///
    /// # Errors
    /// [`JwkSetError`].
    pub fn parse(
        bytes: &[u8],
        allowed: &BTreeSet<Algorithm>,
        fetched_s: u64,
    ) -> Result<Self, JwkSetError> {
        if SET_BYTES_MAX < bytes.len() {
            return Err(JwkSetError::TooLong { bytes: bytes.len() });
        }
        let set: SetJson = serde_json::from_slice(bytes).map_err(|fault| {
            JwkSetError::Malformed { line: fault.line(), column: fault.column() }
        })?;
        if KEYS_MAX < set.keys.len() {
            return Err(JwkSetError::TooMany { keys: set.keys.len() });
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        for key in set.keys {
            match read(key, allowed) {
                Ok(key) => {
                    if !known.insert((key.id.clone(), key.algorithm)) {
                        return Err(JwkSetError::Twice);
                    }
                    keys.push(key);
                }
                Err(why) => left_out.push(why),
            }
        }
        if keys.is_empty() {
            return Err(JwkSetError::Empty { left_out: left_out.join(", ") });
        }
        let seen_s = AtomicU64::new(fetched_s);
        Ok(Self { keys, left_out, seen_s, digest: Digest::of(bytes) })
    }

    /// Notes that the issuer still published the very same set at `now_s`.
    pub fn see(&self, now_s: u64) {
        self.seen_s.fetch_max(now_s, Ordering::Relaxed);
    }

    /// Why keys of the set were left out; see J2.
    pub fn left_out(&self) -> &[&'static str] {
        &self.left_out
    }

    /// How many keys are taken.
    pub fn n_keys(&self) -> usize {
        self.keys.len()
    }

    /// When it was last fetched, in seconds since the Unix epoch.
    pub fn seen_s(&self) -> u64 {
        self.seen_s.load(Ordering::Relaxed)
    }

    /// Digest of the set as it was published.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The key that a token of this key id and algorithm must verify with. A token without a key
    /// id is for the only key of a set.
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Jwk> {
        match (id, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => {
                keys.iter().find(|key| key.id.as_deref() == Some(id) && key.algorithm == algorithm)
            }
        }
    }

    /// Whether there is any key of this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }
}

impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwkSet({} keys, {})", self.keys.len(), self.digest)
    }
}

fn read(key: KeyJson, allowed: &BTreeSet<Algorithm>) -> Result<Jwk, &'static str> {
    if key.k.is_some() || key.kty.as_deref() == Some("oct") {
        return Err("a symmetric key");
    }
    if key.d.is_some() {
        return Err("a key published with its private part");
    }
    if key.r#use.as_deref().is_some_and(|purpose| purpose != "sig") {
        return Err("a key that is not for signatures");
    }
    if key.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return Err("a key that is not for verifying");
    }
    if key.kid.as_ref().is_some_and(|id| id.is_empty() || KEY_ID_BYTES_MAX < id.len()) {
        return Err("a key whose id is empty or longer than 256 bytes");
    }
    let named: Option<Algorithm> = match key.alg.as_deref() {
        Some(text) => Some(text.parse().map_err(|_| "a key of another algorithm")?),
        None => None,
    };
    let of_kind = |fits: &dyn Fn(Algorithm) -> bool, usual: Option<Algorithm>| {
        let chosen = named.or(usual).filter(|one| fits(*one) && allowed.contains(one));
        chosen.ok_or("a key of an algorithm that the issuer may not use")
    };
    let (algorithm, material) = match (key.kty.as_deref(), key.crv.as_deref()) {
        (Some("RSA"), _) => {
            let usual = allowed.iter().copied().find(|one| one.rsa().is_some());
            let algorithm = of_kind(&|one| one.rsa().is_some(), usual)?;
            let parameters = algorithm.rsa().ok_or("a key of another algorithm")?;
            (algorithm, Material::Rsa(parameters, rsa(key.n.as_deref(), key.e.as_deref())?))
        }
        (Some("EC"), Some("P-256")) => {
            let algorithm = of_kind(&|one| one == Algorithm::Es256, Some(Algorithm::Es256))?;
            let point = point::<32>(key.x.as_deref(), key.y.as_deref())?;
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            // `ring` names its algorithms by trait objects of one type.
            (algorithm, Material::Other(key))
        }
        (Some("EC"), Some("P-384")) => {
            let algorithm = of_kind(&|one| one == Algorithm::Es384, Some(Algorithm::Es384))?;
            let point = point::<48>(key.x.as_deref(), key.y.as_deref())?;
            (algorithm, Material::Other(UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)))
        }
        (Some("OKP"), Some("Ed25519")) => {
            let algorithm = of_kind(&|one| one == Algorithm::EdDsa, Some(Algorithm::EdDsa))?;
            let x = coordinate::<32>(key.x.as_deref())?;
            (algorithm, Material::Other(UnparsedPublicKey::new(&ED25519, x)))
        }
        _ => return Err("a key of a kind or curve that is not taken"),
    };
    Ok(Jwk { id: key.kid.map(Into::into), algorithm, material })
}

fn rsa(n: Option<&str>, e: Option<&str>) -> Result<RsaPublicKeyComponents<Vec<u8>>, &'static str> {
    let odd = "an RSA key without a well-formed modulus and exponent";
    let (n, e) = (n.and_then(decode).ok_or(odd)?, e.and_then(decode).ok_or(odd)?);
    let first = *n.first().ok_or(odd)?;
    let leading = usize::try_from(first.leading_zeros()).unwrap_or(8);
    let bits = n.len().saturating_mul(8).saturating_sub(leading);
    if first == 0 || !RSA_BITS.contains(&bits) {
        return Err("an RSA key that has not 2,048 to 4,096 bits");
    }
    let exponent = e.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let is_long = RSA_EXPONENT_BYTES_MAX < e.len() || e.first() == Some(&0);
    if is_long || exponent < RSA_EXPONENT_MIN || exponent & 1 == 0 {
        return Err("an RSA key whose exponent is even, below 65,537 or above 32 bits");
    }
    Ok(RsaPublicKeyComponents { n, e })
}

/// An uncompressed point (SEC 1, 2.3.3). Whether it lies on the curve is checked with each use.
fn point<const LEN: usize>(x: Option<&str>, y: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let mut point = vec![4];
    point.extend(coordinate::<LEN>(x)?);
    point.extend(coordinate::<LEN>(y)?);
    Ok(point)
}

fn coordinate<const LEN: usize>(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let bytes = text.and_then(decode).filter(|bytes| bytes.len() == LEN);
    bytes.ok_or("a key without coordinates of its curve's length")
}
