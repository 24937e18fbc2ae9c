//! The text of an API key: `bz_<environment>_<id>_<secret><crc>`.
//!
//! The prefix and the check sum let scanners of repositories and logs find a leaked key without
//! false alarms, and tell a mistyped key from a wrong one without asking anybody (the practice of
//! GitHub's tokens). The check sum is public and proves nothing; the secret does.
//!
//! Invariants
//! - K1: id, secret and check sum are [`KeyId::LEN`], [`SECRET_LEN`] and [`CRC_LEN`] characters
//!   of `0-9 A-Z a-z`; the secret's 43 carry 256 bits (62^43 > 2^256);
//! - K2: the check sum is CRC-32C over every byte before it, so that no change of up to three
//!   bits and no burst of up to 32 goes unseen.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::fmt;
use std::str::FromStr;

use bartizan_core::{Entropy, EnvName};
use zeroize::Zeroizing;

/// Characters of the secret.
pub(crate) const SECRET_LEN: usize = 43;
/// Characters of the check sum: 62^6 > 2^32.
const CRC_LEN: usize = 6;
/// What every key begins with.
const PREFIX: &str = "bz_";
/// Longest text of a key, in bytes.
const TEXT_LEN_MAX: usize =
    PREFIX.len() + EnvName::LEN_MAX + 1 + KeyId::LEN + 1 + SECRET_LEN + CRC_LEN;
/// The digits of base 62, in the order of their bytes.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The public part of a key: what it is looked up, listed and revoked by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::LEN]);

impl KeyId {
    /// Its length, in characters and bytes.
    pub const LEN: usize = 12;

    /// A fresh id: 71 random bits.
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        Self(*random_digits(entropy))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // K1: the bytes are ASCII, so this is never the default.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Text that is no key id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 12 characters of 0-9 A-Z a-z (`bartizan key list` shows them)")]
pub struct KeyIdError;

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        digits(text).copied().map(Self).ok_or(KeyIdError)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A key that was just made: the only moment at which its text exists here.
///
/// The text is wiped when this is dropped; `Debug` does not print it.
pub struct IssuedKey {
    id: KeyId,
    expires_s: u64,
    text: Zeroizing<String>,
}

impl IssuedKey {
    pub(crate) fn new(
        environment: &EnvName,
        id: KeyId,
        secret: &[u8; SECRET_LEN],
        expires_s: u64,
    ) -> Self {
        // Whole from the start: growing would leave a copy of the secret behind.
        let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN_MAX));
        let plain = std::str::from_utf8(secret).unwrap_or_default();
        for part in [PREFIX, environment.as_str(), "_", id.as_str(), "_", plain] {
            text.push_str(part);
        }
        let crc = crc_digits(text.as_bytes());
        text.push_str(std::str::from_utf8(&crc).unwrap_or_default());
        Self { id, expires_s, text }
    }

    /// Its public id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// When it ends, in seconds since the Unix epoch.
    pub fn expires_s(&self) -> u64 {
        self.expires_s
    }

    /// Its text, to be handed to its owner; nothing here can show it again.
    pub fn reveal(self) -> Zeroizing<String> {
        self.text
    }
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuedKey({}, [redacted])", self.id)
    }
}

/// The parts of a presented key, borrowed from its text.
pub(crate) struct KeyText<'a> {
    /// Which environment it says it is for; not yet compared, any bytes without `_`.
    pub(crate) environment: &'a str,
    /// Which key it says it is.
    pub(crate) id: KeyId,
    /// What it would prove that with.
    pub(crate) secret: &'a [u8; SECRET_LEN],
}

impl<'a> KeyText<'a> {
    /// Takes `text` apart; `None` where K1 or K2 is broken. Allocates nothing.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if TEXT_LEN_MAX < text.len() {
            return None;
        }
        let (body, crc) = text.split_at_checked(text.len().checked_sub(CRC_LEN)?)?;
        if crc.as_bytes() != crc_digits(body.as_bytes()) {
            return None;
        }
        let mut parts = body.strip_prefix(PREFIX)?.split('_');
        let (environment, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self { environment, id: id.parse().ok()?, secret: digits(secret)? })
    }
}

/// `N` digits of base 62, drawn evenly: each from 64 random bits, whose bias is below 2^-58.
pub(crate) fn random_digits<const N: usize>(entropy: &dyn Entropy) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    for byte in out.iter_mut() {
        let mut random = Zeroizing::new([0; 8]);
        entropy.fill(random.as_mut_slice());
        let scaled = u128::from(u64::from_le_bytes(*random)).wrapping_mul(62) >> 64;
        *byte = digit(scaled);
    }
    out
}

fn digit(value: u128) -> u8 {
    // Callers hand in less than 62, so there is always one.
    usize::try_from(value).ok().and_then(|value| DIGITS.get(value)).copied().unwrap_or(b'0')
}

/// `text` as `N` digits of base 62.
fn digits<const N: usize>(text: &str) -> Option<&[u8; N]> {
    let bytes: &[u8; N] = text.as_bytes().try_into().ok()?;
    bytes.iter().all(u8::is_ascii_alphanumeric).then_some(bytes)
}

/// CRC-32C of `bytes` in base 62, most significant digit first.
fn crc_digits(bytes: &[u8]) -> [u8; CRC_LEN] {
    let mut rest = crc32c::crc32c(bytes);
    let mut out = [b'0'; CRC_LEN];
    for byte in out.iter_mut().rev() {
        *byte = digit(u128::from(rest.wrapping_rem(62)));
        rest = rest.wrapping_div(62);
    }
    out
}

#[cfg(test)]
mod tests;
