//! Who acts.

use std::fmt;
use std::str::FromStr;

use crate::digest::{hex, unhex};

/// The name of a person, team or machine that acts: 1 to 128 bytes of `a-z A-Z 0-9 . _ @ / -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalName(Box<str>);

impl PrincipalName {
    /// Longest name, in bytes.
    pub const LEN_MAX: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that names no principal.
#[derive(Debug, thiserror::Error)]
#[error("a principal's name is 1 to 128 bytes of a-z A-Z 0-9 . _ @ / -")]
pub struct PrincipalNameError;

impl FromStr for PrincipalName {
    type Err = PrincipalNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@/-".contains(&byte);
        if text.is_empty() || Self::LEN_MAX < text.len() || !text.bytes().all(plain) {
            return Err(PrincipalNameError);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for PrincipalName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for PrincipalName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What stands for a person or machine in a record: 16 bytes that mean nothing without a table
/// or key kept elsewhere, so that destroying that erases the link and no record changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(pub [u8; 16]);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Pseudonym {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Pseudonym {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        let bytes = unhex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not 32 hexadecimal digits"))
    }
}

/// How a principal proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthProof {
    /// An API key, by its public id.
    ApiKey {
        /// The key's id.
        key_id: Box<str>,
    },
    /// The uid of the process at the other end of the admin socket, or of this process.
    LocalUid(u32),
    /// A token that a configured issuer signed.
    Token {
        /// The issuer's configured name.
        issuer: Box<str>,
        /// The certificate that was shown beside it, by its first 16 hexadecimal digits.
        certificate: Option<Box<str>>,
    },
    /// A client certificate.
    Certificate {
        /// The first 16 hexadecimal digits of its SHA-256.
        fingerprint: Box<str>,
    },
}

impl AuthProof {
    /// The word for records: `api-key:<id>`, `local-uid:<uid>`, `oidc:<issuer>`,
    /// `oidc:<issuer>+mtls:<digits>` or `mtls:<digits>`.
    pub fn describe(&self) -> String {
        match self {
            Self::ApiKey { key_id } => format!("api-key:{key_id}"),
            Self::LocalUid(uid) => format!("local-uid:{uid}"),
            Self::Token { issuer, certificate: None } => format!("oidc:{issuer}"),
            Self::Token { issuer, certificate: Some(digits) } => {
                format!("oidc:{issuer}+mtls:{digits}")
            }
            Self::Certificate { fingerprint } => format!("mtls:{fingerprint}"),
        }
    }
}

/// Who acts, and how that was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its name, for logs of the operator and the sealed part of records only.
    pub name: PrincipalName,
    /// What stands for it in records.
    pub pseudonym: Pseudonym,
    /// How it proved itself.
    pub proof: AuthProof,
}
