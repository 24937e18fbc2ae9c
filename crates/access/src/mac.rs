//! The key under which the key book is authentic, and the tags that it makes.

use std::fmt;

use bartizan_core::Entropy;
use bartizan_core::digest::{hex, unhex};
use ring::hmac;
use zeroize::Zeroizing;

/// The key of the HMAC-SHA256 that proves API keys and seals the book: 32 random bytes, kept by
/// the roof in `keys/keyring.mac`. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct MacKey(Zeroizing<[u8; Self::LEN]>);

impl MacKey {
    /// Its length, in bytes.
    pub const LEN: usize = 32;

    /// A fresh key.
    pub fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        entropy.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// The key that is stored as `bytes`; `None` where these are not [`MacKey::LEN`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Its bytes, for the file that keeps it and for nothing else.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The same key with its two states computed, which makes a check cheapest. `ring` does not
    /// wipe these states when they are dropped.
    pub(crate) fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey([redacted])")
    }
}

/// What HMAC-SHA256 makes; 64 lower-case hexadecimal digits in files. Not secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) [u8; 32]);

impl Tag {
    /// The tag of `parts`, one after the other; callers frame what could be confused.
    pub(crate) fn of(key: &hmac::Key, parts: &[&[u8]]) -> Self {
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        Self(tag)
    }
}

impl serde::Serialize for Tag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> serde::Deserialize<'de> for Tag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        let bytes = unhex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}
