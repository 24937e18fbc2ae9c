//! The key book: what an operator issues, rotates and revokes.
//!
//! Invariants
//! - B1: no secret is in the book; what is stored lets nobody compute one;
//! - B2: a key ends: at most [`TTL_S_MAX`] after it was issued, at most the overlap after it was
//!   rotated, at once when revoked; nothing here lengthens a key's life;
//! - B3: the book is bounded: [`KEYS_MAX`], [`PRINCIPALS_MAX`], [`BOOK_BYTES_MAX`];
//! - B4: a principal has one pseudonym, random and its own, as long as its name is in the book;
//!   [`Keys::forget`] is what erases the link;
//! - B5: what is stored is read back only if nothing in it was changed without the MAC key.
//!
//! A change is made on a clone that replaces the book once it is durable and recorded: that is
//! the caller's part.

mod book;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use bartizan_core::entropy::random;
use bartizan_core::{Digest, Entropy, EnvName, PrincipalName, Pseudonym};

use crate::credential::Credential;
use crate::key_ring::{KeyRing, RingEntry, prove};
use crate::key_text::{IssuedKey, KeyId, random_digits};
use crate::mac::{MacKey, Tag};
use crate::scopes::{Scopes, ScopesError};

pub use book::{BOOK_BYTES_MAX, BookError};

/// Longest life of a key, in seconds: 366 days.
pub const TTL_S_MAX: u64 = 366 * 86_400;
/// Longest overlap of a rotated key with its successor, in seconds: 30 days.
pub const OVERLAP_S_MAX: u64 = 30 * 86_400;
/// How long an ended key stays in the book so that its refusals can be explained, in seconds: 30
/// days.
pub const KEPT_AFTER_END_S: u64 = 30 * 86_400;
/// Most keys in a book, ended ones included.
pub const KEYS_MAX: usize = 16_384;
/// Most principals in a book.
pub const PRINCIPALS_MAX: usize = 65_536;
/// Tries to draw an id that is not taken: one is enough, a broken source never is.
const ID_TRIES_MAX: usize = 8;

/// What a new key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Whose it is.
    pub principal: PrincipalName,
    /// What it covers.
    pub scopes: Scopes,
    /// How long it lives, in seconds: 1 to [`TTL_S_MAX`].
    pub ttl_s: u64,
}

/// Which key is replaced, and how gently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The key to replace.
    pub id: KeyId,
    /// How long the old key goes on beside the new one, in seconds: 0 to [`OVERLAP_S_MAX`].
    pub overlap_s: u64,
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// It is good until it expires.
    Live,
    /// It is good until its overlap with its successor is over.
    Retiring,
    /// Its time, or its overlap, is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl KeyState {
    /// The word for lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Retiring => "retiring",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// What a list says about a key: all but its secret, which the book does not have.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyInfo<'a> {
    /// Its public id.
    pub id: KeyId,
    /// Whose it is.
    pub principal: &'a PrincipalName,
    /// What it covers.
    pub scopes: &'a Scopes,
    /// When it was issued, in seconds since the Unix epoch.
    pub created_s: u64,
    /// When it ends or ended, in seconds since the Unix epoch.
    pub ends_s: u64,
    /// The key that replaces it.
    pub successor: Option<KeyId>,
    /// Where it is in its life.
    pub state: KeyState,
}

/// Why the book was not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The scopes make no sense.
    #[error(transparent)]
    Scopes(#[from] ScopesError),
    /// The life asked for is none, or too long.
    #[error("a key lives 1 to {TTL_S_MAX} seconds (366 days), {ttl_s} were asked for")]
    Ttl {
        /// What was asked for, in seconds.
        ttl_s: u64,
    },
    /// The overlap asked for is too long.
    #[error("keys overlap by at most {OVERLAP_S_MAX} seconds (30 days), not by {overlap_s}")]
    Overlap {
        /// What was asked for, in seconds.
        overlap_s: u64,
    },
    /// The book has all the keys that it can have.
    #[error("there are {KEYS_MAX} keys that have not ended, the limit: revoke some")]
    KeysFull,
    /// The book has all the principals that it can have.
    #[error("there are {PRINCIPALS_MAX} principals, the limit: forget some that have no keys")]
    PrincipalsFull,
    /// No key has this id.
    #[error("there is no key `{id}`: `bartizan key list` shows what there is")]
    NoSuchKey {
        /// What was asked for.
        id: KeyId,
    },
    /// The key is over, so there is nothing to replace.
    #[error("key `{id}` is {}: issue a new one instead", state.as_str())]
    Ended {
        /// Which key.
        id: KeyId,
        /// In which way it ended.
        state: KeyState,
    },
    /// The key has a successor already.
    #[error("key `{id}` was replaced by `{successor}` already: rotate that one")]
    Replaced {
        /// Which key.
        id: KeyId,
        /// What replaced it.
        successor: KeyId,
    },
    /// No principal has this name.
    #[error("there is no principal `{name}` in the key book")]
    NoSuchPrincipal {
        /// What was asked for.
        name: PrincipalName,
    },
    /// The source of randomness repeats itself.
    #[error("the source of randomness repeats itself: no key was made")]
    Entropy,
}

/// What the holder of a key proves together with his secret. Its compact JSON, as it stands in
/// the stored book, is what the proof covers; a later field is left out where it has its default,
/// so that old proofs stand.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    principal: PrincipalName,
    scopes: Scopes,
    created_s: u64,
    expires_s: u64,
}

impl Claims {
    fn digest(&self) -> Digest {
        // Names, numbers and sets always have a JSON form; the empty text would fit no proof.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// One key as it is stored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    claims: Claims,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retires_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_s: Option<u64>,
    proof: Tag,
}

impl Entry {
    /// When it ends unless it is revoked, in seconds since the Unix epoch.
    fn ends_s(&self) -> u64 {
        self.claims.expires_s.min(self.retires_s.unwrap_or(u64::MAX))
    }

    fn state(&self, now_s: u64) -> KeyState {
        match (self.revoked_s, self.retires_s) {
            (Some(_), _) => KeyState::Revoked,
            (None, _) if self.ends_s() <= now_s => KeyState::Expired,
            (None, Some(_)) => KeyState::Retiring,
            (None, None) => KeyState::Live,
        }
    }

    /// Since when it is over, if it is, in seconds since the Unix epoch.
    fn ended_s(&self, now_s: u64) -> Option<u64> {
        let end = self.revoked_s.unwrap_or(u64::MAX).min(self.ends_s());
        (end <= now_s || self.revoked_s.is_some()).then_some(end)
    }
}

/// The key book of one environment; see the module invariants.
#[derive(Clone)]
pub struct Keys {
    environment: EnvName,
    mac_key: MacKey,
    principals: BTreeMap<PrincipalName, Pseudonym>,
    entries: BTreeMap<KeyId, Entry>,
}

impl Keys {
    /// A book without keys.
    pub fn new(environment: EnvName, mac_key: MacKey) -> Self {
        Self { environment, mac_key, principals: BTreeMap::new(), entries: BTreeMap::new() }
    }

    /// Makes a key. `now_s` is in seconds since the Unix epoch. Where the book is full, keys that
    /// have ended make room.
    ///
    /// # Errors
    /// [`KeysError`]; then the book is as it was, but for ended keys.
    pub fn issue(
        &mut self,
        new: &NewKey,
        now_s: u64,
        entropy: &dyn Entropy,
    ) -> Result<IssuedKey, KeysError> {
        let NewKey { principal, scopes, ttl_s } = new;
        scopes.check()?;
        if *ttl_s == 0 || TTL_S_MAX < *ttl_s {
            return Err(KeysError::Ttl { ttl_s: *ttl_s });
        }
        self.make_room(now_s)?;
        let id = self.free_id(entropy)?;
        self.name(principal, entropy)?;
        let claims = Claims {
            principal: principal.clone(),
            scopes: scopes.clone(),
            created_s: now_s,
            expires_s: now_s.saturating_add(*ttl_s),
        };
        let secret = random_digits(entropy);
        let proof = prove(&self.mac_key.hmac(), id, &secret, claims.digest());
        let issued = IssuedKey::new(&self.environment, id, &secret, claims.expires_s);
        let entry = Entry { claims, successor: None, retires_s: None, revoked_s: None, proof };
        self.entries.insert(id, entry);
        Ok(issued)
    }

    /// Makes a key of the same principal, scopes and length of life, and lets the old one end
    /// when the overlap is over, or before if it expires before.
    ///
    /// # Errors
    /// [`KeysError`]; then the book is as it was, but for ended keys.
    pub fn rotate(
        &mut self,
        rotation: Rotation,
        now_s: u64,
        entropy: &dyn Entropy,
    ) -> Result<IssuedKey, KeysError> {
        let Rotation { id, overlap_s } = rotation;
        if OVERLAP_S_MAX < overlap_s {
            return Err(KeysError::Overlap { overlap_s });
        }
        let entry = self.entries.get(&id).ok_or(KeysError::NoSuchKey { id })?;
        if let Some(successor) = entry.successor {
            return Err(KeysError::Replaced { id, successor });
        }
        let state = entry.state(now_s);
        if matches!(state, KeyState::Expired | KeyState::Revoked) {
            return Err(KeysError::Ended { id, state });
        }
        let Claims { principal, scopes, created_s, expires_s } = entry.claims.clone();
        let new = NewKey { principal, scopes, ttl_s: expires_s.saturating_sub(created_s) };
        let issued = self.issue(&new, now_s, entropy)?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.successor = Some(issued.id());
            entry.retires_s = Some(now_s.saturating_add(overlap_s).min(expires_s));
        }
        Ok(issued)
    }

    /// Ends a key at once. Of a key that was revoked before, the first time stands.
    ///
    /// # Errors
    /// [`KeysError::NoSuchKey`].
    pub fn revoke(&mut self, id: KeyId, now_s: u64) -> Result<(), KeysError> {
        let entry = self.entries.get_mut(&id).ok_or(KeysError::NoSuchKey { id })?;
        entry.revoked_s.get_or_insert(now_s);
        Ok(())
    }

    /// Takes out keys that ended more than [`KEPT_AFTER_END_S`] ago and says how many.
    pub fn prune(&mut self, now_s: u64) -> usize {
        self.drop_ended_before(now_s.saturating_sub(KEPT_AFTER_END_S), now_s)
    }

    /// Erases a principal: its keys and the link from its name to its pseudonym. Records keep the
    /// pseudonym, which then stands for nobody; a later key of that name gets another. Says how
    /// many keys went.
    ///
    /// # Errors
    /// [`KeysError::NoSuchPrincipal`].
    pub fn forget(&mut self, name: &PrincipalName) -> Result<usize, KeysError> {
        if self.principals.remove(name).is_none() {
            return Err(KeysError::NoSuchPrincipal { name: name.clone() });
        }
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.claims.principal != *name);
        Ok(before - self.entries.len())
    }

    /// All keys at `now_s` seconds since the Unix epoch, by id.
    pub fn list(&self, now_s: u64) -> impl Iterator<Item = KeyInfo<'_>> {
        self.entries.iter().map(move |(id, entry)| KeyInfo {
            id: *id,
            principal: &entry.claims.principal,
            scopes: &entry.claims.scopes,
            created_s: entry.claims.created_s,
            ends_s: entry.revoked_s.unwrap_or(u64::MAX).min(entry.ends_s()),
            successor: entry.successor,
            state: entry.state(now_s),
        })
    }

    /// Whom `pseudonym` stands for, while the book says so. Linear in the principals.
    pub fn name_of(&self, pseudonym: Pseudonym) -> Option<&PrincipalName> {
        self.principals.iter().find(|(_, own)| **own == pseudonym).map(|(name, _)| name)
    }

    /// What stands for `name` in records, if the book has it.
    pub fn pseudonym_of(&self, name: &PrincipalName) -> Option<Pseudonym> {
        self.principals.get(name).copied()
    }

    /// Whose keys these are.
    pub fn environment(&self) -> &EnvName {
        &self.environment
    }

    /// What requests are held against. Linear in the size of the book.
    pub fn ring(&self) -> KeyRing {
        let mut entries = HashMap::with_capacity(self.entries.len());
        for (id, entry) in &self.entries {
            // B4: load and issue see to it that there is one.
            let Some(pseudonym) = self.pseudonym_of(&entry.claims.principal) else { continue };
            let (claims, ends_s) = (&entry.claims, entry.ends_s());
            let who = (claims.principal.clone(), pseudonym);
            let kept = RingEntry {
                proof: entry.proof,
                claims: claims.digest(),
                is_revoked: entry.revoked_s.is_some(),
                credential: Credential::new(who, *id, claims.scopes.clone(), ends_s),
            };
            entries.insert(*id, kept);
        }
        KeyRing::new(self.environment.clone(), self.mac_key.hmac(), entries, self.digest())
    }

    fn make_room(&mut self, now_s: u64) -> Result<(), KeysError> {
        if KEYS_MAX <= self.entries.len() {
            self.drop_ended_before(now_s, now_s);
        }
        if self.entries.len() < KEYS_MAX { Ok(()) } else { Err(KeysError::KeysFull) }
    }

    fn drop_ended_before(&mut self, limit_s: u64, now_s: u64) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.ended_s(now_s).is_none_or(|end| limit_s < end));
        before - self.entries.len()
    }

    fn free_id(&self, entropy: &dyn Entropy) -> Result<KeyId, KeysError> {
        let mut ids = (0..ID_TRIES_MAX).map(|_| KeyId::random(entropy));
        ids.find(|id| !self.entries.contains_key(id)).ok_or(KeysError::Entropy)
    }

    fn name(&mut self, name: &PrincipalName, entropy: &dyn Entropy) -> Result<(), KeysError> {
        if self.principals.contains_key(name) {
            return Ok(());
        }
        if PRINCIPALS_MAX <= self.principals.len() {
            return Err(KeysError::PrincipalsFull);
        }
        let pseudonym = Pseudonym(random(entropy));
        if self.name_of(pseudonym).is_some() {
            return Err(KeysError::Entropy);
        }
        self.principals.insert(name.clone(), pseudonym);
        Ok(())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keys, names) = (self.entries.len(), self.principals.len());
        write!(f, "Keys({}, {keys} keys of {names} principals)", self.environment)
    }
}

#[cfg(test)]
mod tests;
