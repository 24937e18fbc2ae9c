//! What requests are authenticated against: an immutable snapshot of the key book.
//!
//! Invariants
//! - R1: for every text that is a key at all, [`KeyRing::authenticate`] looks up once, computes
//!   one HMAC over a message of one length, and compares it in constant time, before any outcome
//!   is decided: neither answer nor time tells an unknown id from a wrong secret;
//! - R2: a credential is given only where environment, id and secret fit, the proof covers the
//!   stored claims as they stand, and the key is neither revoked nor past its end.

use std::collections::HashMap;
use std::fmt;

use bartizan_core::{Digest, EnvName, PrincipalName, Pseudonym};
use ring::hmac;
use zeroize::Zeroizing;

use crate::credential::Credential;
use crate::key_text::{KeyId, KeyText, SECRET_LEN};
use crate::mac::Tag;

/// Keeps these proofs apart from everything else that the MAC key signs.
const PROOF_DOMAIN: &[u8; 20] = b"bartizan api key v1\0";
/// Length of the proven message, in bytes, the same for all keys: part of R1.
const PROOF_BYTES: usize = PROOF_DOMAIN.len() + KeyId::LEN + SECRET_LEN + 32;
/// Keeps pseudonyms of local users apart from everything else that the MAC key signs.
const LOCAL_DOMAIN: &[u8; 26] = b"bartizan local principal 1";
/// The same for principals whom somebody else vouches for.
const FEDERATED_DOMAIN: &[u8; 30] = b"bartizan federated principal 1";

/// Why a presented key proves nothing. For the operator: a caller gets one answer for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthFailure {
    /// It is no key: wrong parts, or a check sum that does not fit (a typing or copying error).
    Malformed,
    /// No key has this id.
    Unknown,
    /// The secret is not that of the id, or the stored entry was altered.
    WrongSecret,
    /// The key's time is over, or its overlap with its successor.
    Expired,
    /// The key was revoked.
    Revoked,
    /// It is a key of another environment.
    WrongEnvironment,
}

impl AuthFailure {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Malformed,
        Self::Unknown,
        Self::WrongSecret,
        Self::Expired,
        Self::Revoked,
        Self::WrongEnvironment,
    ];

    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed-key",
            Self::Unknown => "unknown-key",
            Self::WrongSecret => "wrong-secret",
            Self::Expired => "expired-key",
            Self::Revoked => "revoked-key",
            Self::WrongEnvironment => "wrong-environment",
        }
    }
}

/// One key as the ring keeps it.
pub(crate) struct RingEntry {
    /// What the holder of the secret can prove.
    pub(crate) proof: Tag,
    /// What the proof covers beside id and secret.
    pub(crate) claims: Digest,
    /// Whether it was revoked.
    pub(crate) is_revoked: bool,
    /// What its holder gets.
    pub(crate) credential: Credential,
}

/// All keys of one environment at one moment. Never changes; share it in an `Arc`.
pub struct KeyRing {
    environment: EnvName,
    hmac: hmac::Key,
    entries: HashMap<KeyId, RingEntry>,
    digest: Digest,
}

/// What is known about a presented key once all of it was looked at; see R1.
#[derive(Clone, Copy)]
struct Evidence {
    environment_fits: bool,
    is_known: bool,
    is_proven: bool,
    is_revoked: bool,
    is_over: bool,
}

impl Evidence {
    /// The one outcome that it stands for; the order is part of what operators see.
    fn failure(self) -> Option<AuthFailure> {
        let checks = [
            (self.environment_fits, AuthFailure::WrongEnvironment),
            (self.is_known, AuthFailure::Unknown),
            (self.is_proven, AuthFailure::WrongSecret),
            (!self.is_revoked, AuthFailure::Revoked),
            (!self.is_over, AuthFailure::Expired),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, failure)| failure)
    }
}

impl KeyRing {
    pub(crate) fn new(
        environment: EnvName,
        hmac: hmac::Key,
        entries: HashMap<KeyId, RingEntry>,
        digest: Digest,
    ) -> Self {
        Self { environment, hmac, entries, digest }
    }

    /// Who presents `presented` at `now_s` seconds since the Unix epoch. One look-up and one HMAC
    /// over 107 bytes, about a microsecond; nothing is allocated.
    ///
    /// # Errors
    /// [`AuthFailure`], which the caller must not learn.
    pub fn authenticate(&self, presented: &str, now_s: u64) -> Result<Credential, AuthFailure> {
        let Some(text) = KeyText::parse(presented) else {
            // Decided by the text alone, which whoever presents it can check by himself.
            return Err(AuthFailure::Malformed);
        };
        let found = self.entries.get(&text.id);
        let evidence = self.weigh(&text, found, now_s);
        match (evidence.failure(), found) {
            (None, Some(entry)) => Ok(entry.credential.clone()),
            (Some(failure), _) => Err(failure),
            (None, None) => Err(AuthFailure::Unknown),
        }
    }

    /// R1: the same work for whatever is presented.
    fn weigh(&self, text: &KeyText<'_>, found: Option<&RingEntry>, now_s: u64) -> Evidence {
        // An unknown id is proven against zeroes, which no HMAC is known to yield.
        let claims = found.map_or(Digest([0; 32]), |entry| entry.claims);
        let expected = found.map_or(Tag([0; 32]), |entry| entry.proof);
        Evidence {
            environment_fits: text.environment == self.environment.as_str(),
            is_known: found.is_some(),
            is_proven: is_proven(&self.hmac, text, claims, expected),
            is_revoked: found.is_some_and(|entry| entry.is_revoked),
            is_over: found.is_none_or(|entry| entry.credential.expires_s() <= now_s),
        }
    }

    /// Digest of the book that this is a snapshot of: what records call the policy's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whose keys these are.
    pub fn environment(&self) -> &EnvName {
        &self.environment
    }

    /// What stands in records for the local user `uid`: fixed as long as the MAC key is.
    pub fn local_pseudonym(&self, uid: u32) -> Pseudonym {
        self.pseudonym(&[LOCAL_DOMAIN, &uid.to_be_bytes()])
    }

    /// What stands in records for a principal whom an issuer of tokens or a trust domain vouches
    /// for: fixed as long as the MAC key is.
    pub fn federated_pseudonym(&self, name: &PrincipalName) -> Pseudonym {
        self.pseudonym(&[FEDERATED_DOMAIN, name.as_str().as_bytes()])
    }

    fn pseudonym(&self, parts: &[&[u8]]) -> Pseudonym {
        let tag = Tag::of(&self.hmac, parts);
        let mut half = [0; 16];
        half.copy_from_slice(&tag.0[..16]);
        Pseudonym(half)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({}, {} keys, {})", self.environment, self.entries.len(), self.digest)
    }
}

/// What the holder of `secret` can prove about key `id` and its `claims`.
pub(crate) fn prove(hmac: &hmac::Key, id: KeyId, secret: &[u8; SECRET_LEN], claims: Digest) -> Tag {
    Tag::of(hmac, &[message(id, secret, claims).as_slice()])
}

fn is_proven(hmac: &hmac::Key, text: &KeyText<'_>, claims: Digest, expected: Tag) -> bool {
    #[cfg(test)]
    tests::PROOFS.with(|count| count.set(count.get() + 1));
    // Constant-time comparison is `ring`'s.
    hmac::verify(hmac, message(text.id, text.secret, claims).as_slice(), &expected.0).is_ok()
}

/// Every part has a fixed length, so none can be taken for another.
fn message(id: KeyId, secret: &[u8; SECRET_LEN], claims: Digest) -> Zeroizing<[u8; PROOF_BYTES]> {
    let mut out = Zeroizing::new([0; PROOF_BYTES]);
    let parts: [&[u8]; 4] = [PROOF_DOMAIN, id.as_bytes(), secret, &claims.0];
    for (to, from) in out.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests;
