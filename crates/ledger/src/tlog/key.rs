//! Public keys as text (`signed-note`, verifier keys), and the check of a signature by one.

use std::fmt;
use std::str::FromStr;

use bartizan_core::digest::{hex, unhex};
use ml_dsa::{EncodedVerifyingKey, MlDsa44, VerifyingKey};
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use super::base64;
use super::checkpoint::Checkpoint;

/// Longest name of a key, in bytes: what an ML-DSA-44 cosignature can bind.
pub(crate) const KEY_NAME_BYTES_MAX: usize = 255;
/// Bytes of an ML-DSA-44 public key (FIPS 204, table 2).
const ML_DSA_44_KEY_BYTES: usize = 1_312;
/// Bytes of an ML-DSA-44 signature.
pub(crate) const ML_DSA_44_SIGNATURE_BYTES: usize = 2_420;
/// Largest time of a cosignature, in seconds: 2^63 - 1.
const TIME_S_MAX: u64 = u64::MAX >> 1;

/// What a key signs, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Ed25519 over the note's text: a log's own signature.
    Ed25519,
    /// Ed25519 over the time and the note's text: a witness's cosignature, version 1.
    CosignatureV1,
    /// ML-DSA-44 over the time and the tree (`subtree/v1`): a witness's, or a log's own.
    MlDsa44,
}

impl KeyKind {
    /// Its signature type byte.
    pub fn code(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
            Self::MlDsa44 => 0x06,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureV1),
            0x06 => Some(Self::MlDsa44),
            _ => None,
        }
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::Ed25519 | Self::CosignatureV1 => 32,
            Self::MlDsa44 => ML_DSA_44_KEY_BYTES,
        }
    }
}

/// A public key with the name that it signs under. Its text is a vkey:
/// `<name>+<key id>+<base 64 of type and key>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: Box<str>,
    kind: KeyKind,
    id: [u8; 4],
    key: Box<[u8]>,
}

/// Text that is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// Not of that shape.
    #[error("a verifier key is `<name>+<8 hexadecimal digits>+<base 64>`")]
    Shape,
    /// A name that no key can have.
    #[error("a key's name is 1 to {KEY_NAME_BYTES_MAX} bytes without space, `+` or control")]
    Name,
    /// A type of signature that we do not know.
    #[error(
        "signature type {code:#04x} is not Ed25519 (0x01), cosignature (0x04) or ML-DSA-44 (0x06)"
    )]
    Kind {
        /// Its byte.
        code: u8,
    },
    /// The key has another length than its type says.
    #[error("the key has {found_bytes} bytes, its type needs {needed_bytes}")]
    Length {
        /// What it has.
        found_bytes: usize,
        /// What it needs.
        needed_bytes: usize,
    },
    /// The id is not that of this name and key: one of the three was changed.
    #[error("the key's id is not that of its name and key")]
    Id,
}

/// Whether a key can sign under this name.
pub(crate) fn is_key_name(name: &str) -> bool {
    let fits = (1..=KEY_NAME_BYTES_MAX).contains(&name.len());
    fits && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

impl VerifierKey {
    /// The key `key` under `name`.
    ///
    /// # Errors
    /// [`VkeyError::Name`] or [`VkeyError::Length`].
    pub fn new(name: &str, kind: KeyKind, key: &[u8]) -> Result<Self, VkeyError> {
        let (found_bytes, needed_bytes) = (key.len(), kind.key_bytes());
        if !is_key_name(name) {
            return Err(VkeyError::Name);
        }
        if found_bytes != needed_bytes {
            return Err(VkeyError::Length { found_bytes, needed_bytes });
        }
        Ok(Self { name: name.into(), kind, id: key_id(name, kind, key), key: key.into() })
    }

    /// The name that it signs under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs, and how.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The id that its signature lines carry.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The key alone.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether `signature`, as a signature line carries it behind the key's id, is one by this
    /// key over the note text `text`: `Some(time)`, in seconds since the Unix epoch, 0 where
    /// none is said.
    ///
    /// Ed25519 by RFC 8032; the others by `tlog-cosignature`. 60 us for either.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Option<u64> {
        match self.kind {
            KeyKind::Ed25519 => self.ed25519(text.as_bytes(), signature).then_some(0),
            KeyKind::CosignatureV1 => {
                let (time_s, signature) = timed(signature)?;
                let message = format!("cosignature/v1\ntime {time_s}\n{text}");
                self.ed25519(message.as_bytes(), signature).then_some(time_s)
            }
            KeyKind::MlDsa44 => {
                let (time_s, signature) = timed(signature)?;
                let checkpoint = Checkpoint::parse(text).ok()?;
                let message = subtree_message(&self.name, time_s, &checkpoint)?;
                self.ml_dsa_44(&message, signature)?.then_some(time_s)
            }
        }
    }

    fn ed25519(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(message, signature).is_ok()
    }

    fn ml_dsa_44(&self, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = EncodedVerifyingKey::<MlDsa44>::try_from(&*self.key).ok()?;
        let signature = ml_dsa::Signature::<MlDsa44>::try_from(signature).ok()?;
        Some(VerifyingKey::<MlDsa44>::decode(&key).verify_with_context(message, &[], &signature))
    }
}

/// A timestamped signature's two parts.
fn timed(signature: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = signature.split_first_chunk::<8>()?;
    let time_s = u64::from_be_bytes(*time);
    (time_s <= TIME_S_MAX).then_some((time_s, signature))
}

/// The `cosigned_message` of a checkpoint; `None` where the origin does not fit.
pub(crate) fn subtree_message(
    name: &str,
    time_s: u64,
    checkpoint: &Checkpoint<'_>,
) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(128);
    message.extend_from_slice(b"subtree/v1\n\0");
    message.push(u8::try_from(name.len()).ok()?);
    message.extend_from_slice(name.as_bytes());
    message.extend_from_slice(&time_s.to_be_bytes());
    message.push(u8::try_from(checkpoint.origin.len()).ok()?);
    message.extend_from_slice(checkpoint.origin.as_bytes());
    message.extend_from_slice(&0_u64.to_be_bytes());
    message.extend_from_slice(&checkpoint.size.to_be_bytes());
    message.extend_from_slice(&checkpoint.root);
    Some(message)
}

fn key_id(name: &str, kind: KeyKind, key: &[u8]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', kind.code()]);
    hasher.update(key);
    let [a, b, c, d, ..]: [u8; 32] = hasher.finalize().into();
    [a, b, c, d]
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![self.kind.code()];
        typed.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(&self.id), base64::encode(&typed))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{} ({:?})", self.name, hex(&self.id), self.kind)
    }
}

impl FromStr for VerifierKey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rest) = text.split_once('+').ok_or(VkeyError::Shape)?;
        // The base 64 may have a `+` of its own.
        let (id, typed) = rest.split_once('+').ok_or(VkeyError::Shape)?;
        let id: [u8; 4] = unhex(id).and_then(|id| id.try_into().ok()).ok_or(VkeyError::Shape)?;
        let typed = base64::decode(typed).ok_or(VkeyError::Shape)?;
        let (code, key) = typed.split_first().ok_or(VkeyError::Shape)?;
        let kind = KeyKind::from_code(*code).ok_or(VkeyError::Kind { code: *code })?;
        let found = Self::new(name, kind, key)?;
        if found.id == id { Ok(found) } else { Err(VkeyError::Id) }
    }
}
