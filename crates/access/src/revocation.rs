//! Who is no longer to be believed, before his credential ends by itself, and the port through
//! which all replicas of an environment learn of it.
//!
//! Invariants
//! - V1: a revocation is kept until every credential that it is about has ended; then it goes, so
//!   that the list stays within [`REVOCATIONS_MAX`];
//! - V2: a list that does not read, or is too long, is an error: never an empty list.

use std::collections::BTreeMap;
use std::fmt;

use bartizan_core::{Digest, PrincipalName};

use crate::certificate::PeerCertificate;
use crate::credential::Credential;
use crate::key_text::KeyId;

/// Most revocations at once.
pub const REVOCATIONS_MAX: usize = 16_384;
/// Longest stored list, in bytes.
pub const REVOCATIONS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest value of one, in bytes.
const VALUE_BYTES_MAX: usize = 640;

/// What a revocation is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationKind {
    /// An API key, by its id.
    Key,
    /// Everything of one principal, by its name.
    Principal,
    /// One token, as `<issuer>/<jti>`.
    Token,
    /// A certificate, by the 64 hexadecimal digits of its SHA-256.
    Certificate,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// What it is about.
    pub kind: RevocationKind,
    /// Which.
    pub value: Box<str>,
    /// Until when it is kept, in seconds since the Unix epoch; see V1.
    pub until_s: u64,
}

/// Why a list is none, or not longer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// V1.
    #[error(
        "there are {REVOCATIONS_MAX} revocations, the limit: shorten their time, or remove the trust domain or issuer"
    )]
    Full,
    /// V2.
    #[error("the list of revocations does not read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The value cannot be one of its kind.
    #[error("`{value}` is no {what}")]
    Value {
        /// The value.
        value: Box<str>,
        /// What it should be.
        what: &'static str,
    },
}

impl Revocation {
    /// Checks that the value can be one of its kind.
    ///
    /// # Errors
    /// [`RevocationError::Value`].
    pub fn check(&self) -> Result<(), RevocationError> {
        let (fits, what) = match self.kind {
            RevocationKind::Key => (self.value.parse::<KeyId>().is_ok(), "key id"),
            RevocationKind::Principal => {
                (self.value.parse::<PrincipalName>().is_ok(), "principal's name")
            }
            RevocationKind::Token => (self.value.contains('/'), "token: `<issuer>/<jti>`"),
            RevocationKind::Certificate => {
                let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                let fits = self.value.len() == 64 && self.value.bytes().all(is_hex);
                (fits, "certificate's SHA-256 in 64 small hexadecimal digits")
            }
        };
        if fits && self.value.len() <= VALUE_BYTES_MAX {
            Ok(())
        } else {
            Err(RevocationError::Value { value: self.value.clone(), what })
        }
    }
}

/// All revocations of one moment. Never changes; share it in an `Arc`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    sequence: u64,
    entries: BTreeMap<(RevocationKind, Box<str>), u64>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    sequence: u64,
    revocations: Vec<Revocation>,
}

impl Revocations {
    /// Reads what [`Revocations::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`RevocationError`]; see V2.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RevocationError> {
        let malformed = |reason: String| RevocationError::Malformed { reason };
        if REVOCATIONS_BYTES_MAX < bytes.len() {
            return Err(malformed(format!("it is longer than {REVOCATIONS_BYTES_MAX} bytes")));
        }
        let stored: Stored =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if stored.format != 1 {
            return Err(malformed(format!("it has format {}, this reads 1", stored.format)));
        }
        if REVOCATIONS_MAX < stored.revocations.len() {
            return Err(RevocationError::Full);
        }
        let mut entries = BTreeMap::new();
        for revocation in stored.revocations {
            revocation.check()?;
            entries.insert((revocation.kind, revocation.value), revocation.until_s);
        }
        Ok(Self { sequence: stored.sequence, entries })
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let revocations = self.iter().collect();
        let stored = Stored { format: 1, sequence: self.sequence, revocations };
        // Numbers and texts always have a JSON form; an empty file would not read (V2).
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// The same and `revocation`, without what is over at `now_s`.
    ///
    /// # Errors
    /// [`RevocationError`].
    pub fn with(&self, revocation: Revocation, now_s: u64) -> Result<Self, RevocationError> {
        revocation.check()?;
        let mut next = self.clone();
        next.entries.retain(|_, until_s| now_s < *until_s);
        let Revocation { kind, value, until_s } = revocation;
        let until = next.entries.entry((kind, value)).or_default();
        *until = until_s.max(*until);
        next.sequence = next.sequence.saturating_add(1);
        if REVOCATIONS_MAX < next.entries.len() { Err(RevocationError::Full) } else { Ok(next) }
    }

    /// Which state of the list it is: grows with every change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        let entries = self.entries.iter();
        entries.map(|((kind, value), until_s)| Revocation {
            kind: *kind,
            value: value.clone(),
            until_s: *until_s,
        })
    }

    /// Digest of the list.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Whether one of them is about `credential`, or the certificate shown for it.
    pub fn covers(&self, credential: &Credential, shown: Option<&PeerCertificate>) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let has = |kind, value: &str| self.entries.contains_key(&(kind, value.into()));
        let identity = credential.identity();
        let token = identity.issuer.as_deref().zip(identity.token_id.as_deref());
        has(RevocationKind::Principal, credential.principal().name.as_str())
            || credential.key_id().is_some_and(|id| has(RevocationKind::Key, id.as_str()))
            || token
                .is_some_and(|(issuer, id)| has(RevocationKind::Token, &format!("{issuer}/{id}")))
            || shown
                .is_some_and(|shown| has(RevocationKind::Certificate, &shown.fingerprint().hex()))
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revocations({} of state {})", self.entries.len(), self.sequence)
    }
}

/// Why the shared state could not be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// It is out of reach.
    #[error("the shared access state is out of reach")]
    Unreachable(#[source] std::io::Error),
    /// It does not read, or is full.
    #[error(transparent)]
    List(#[from] RevocationError),
}

/// What all replicas of an environment share about access. Blocks; never called on a request's
/// way. An adapter lives in `outbound`; `testing::shared_state_keeps_its_promise` is
/// what every adapter is held to.
pub trait SharedState: Send + Sync {
    /// All of it, as it stands.
    ///
    /// # Errors
    /// [`SharedError`].
    fn read(&self) -> Result<Revocations, SharedError>;

    /// Adds `revocation` at `now_s`, durably, and gives what there is then. Two that add at one
    /// time both find theirs in it.
    ///
    /// # Errors
    /// [`SharedError`]; then nothing was added.
    fn revoke(&self, revocation: Revocation, now_s: u64) -> Result<Revocations, SharedError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(n: usize, until_s: u64) -> Revocation {
        Revocation { kind: RevocationKind::Principal, value: format!("p{n}").into(), until_s }
    }

    /// V1 and V2 from both sides.
    #[test]
    fn a_list_reads_back_and_stays_within_its_limit() {
        let mut list = Revocations::default();
        for n in 0..3 {
            list = list.with(revocation(n, 100 + n as u64), 0).unwrap();
        }
        assert_eq!(Revocations::from_bytes(&list.to_bytes()).unwrap(), list);
        assert_eq!(list.with(revocation(9, 200), 101).unwrap().iter().count(), 2);
        assert_eq!(list.sequence(), 3);
        let longer = list.with(revocation(0, 50), 0).unwrap();
        assert_eq!(longer.iter().next().unwrap().until_s, 100, "a later end is never shortened");
        let full: BTreeMap<_, _> = (0..REVOCATIONS_MAX)
            .map(|n| ((RevocationKind::Principal, format!("q{n}").into()), 100))
            .collect();
        let full = Revocations { sequence: 1, entries: full };
        assert!(Revocations::from_bytes(&full.to_bytes()).is_ok());
        assert_eq!(full.with(revocation(0, 200), 0).unwrap_err(), RevocationError::Full);
        assert_eq!(full.with(revocation(0, 200), 100).unwrap().iter().count(), 1);
        for bytes in [&b""[..], b"{}", b"[]", b"{\"format\":2,\"sequence\":1,\"revocations\":[]}"] {
            assert!(Revocations::from_bytes(bytes).is_err());
        }
    }

    #[test]
    fn a_value_must_be_one_of_its_kind() {
        for (kind, value, good) in [
            (RevocationKind::Key, "abcdefGH0123", true),
            (RevocationKind::Key, "abcdefGH012", false),
            (RevocationKind::Principal, "corp/alice", true),
            (RevocationKind::Principal, "corp alice", false),
            (RevocationKind::Token, "corp/1-2", true),
            (RevocationKind::Token, "1-2", false),
            (RevocationKind::Certificate, &"0a".repeat(32), true),
            (RevocationKind::Certificate, &"0A".repeat(32), false),
        ] {
            let revocation = Revocation { kind, value: value.into(), until_s: 1 };
            assert_eq!(revocation.check().is_ok(), good, "{value}");
        }
    }
}
