//! What takes two people: requests that wait for somebody else's agreement, and the glass that one
//! person may break.
//!
//! Invariants
//! - Y1: whoever asked never agrees to his own request; nobody agrees twice;
//! - Y2: only somebody whom a token or a certificate proves counts as one of the people: a local
//!   user and an API key, which administrators make, never do;
//! - Y3: a request ends with its time; what was agreed to is the very operation that was asked for;
//! - Y4: the glass is broken for a reason, for at most [`GLASS_S_MAX`], and what was done meanwhile
//!   stays to be reviewed until somebody else has looked.

use std::collections::BTreeMap;
use std::fmt;

use bartizan_core::digest::hex;
use bartizan_core::entropy::random;
use bartizan_core::{AuthProof, Digest, Entropy, Principal, PrincipalName};

/// People that a sensitive operation takes.
pub const PEOPLE: usize = 2;
/// Most requests that wait at once.
pub const PENDING_MAX: usize = 256;
/// Most broken glasses that wait for their review at once.
pub const REVIEWS_MAX: usize = 64;
/// Longest operation that can wait, in bytes of JSON.
pub const WAITING_BYTES_MAX: usize = 64 * 1024;
/// Longest that the glass stays broken, in seconds.
pub const GLASS_S_MAX: u64 = 8 * 3_600;
/// Longest stored book of requests, in bytes.
pub const APPROVALS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bounds of a reason, in bytes.
const REASON_BYTES: std::ops::RangeInclusive<usize> = 8..=512;

/// What takes two people where the configuration says so.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Sensitive {
    /// Erasing a person.
    Erase,
    /// Removing old records.
    Prune,
    /// Exchanging the keys that seal, sign or wrap.
    KeyRotation,
    /// Letting go what was held back from erasure.
    HoldRelease,
    /// Putting other policies into force.
    PolicyChange,
    /// Revoking access on all replicas.
    Revoke,
}

impl Sensitive {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Erase,
        Self::Prune,
        Self::KeyRotation,
        Self::HoldRelease,
        Self::PolicyChange,
        Self::Revoke,
    ];

    /// The word for configurations and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Erase => "erase",
            Self::Prune => "prune",
            Self::KeyRotation => "key-rotation",
            Self::HoldRelease => "hold-release",
            Self::PolicyChange => "policy-change",
            Self::Revoke => "revoke",
        }
    }
}

/// Somebody who asked or agreed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// His name.
    pub name: PrincipalName,
    /// Whether he counts; see Y2.
    pub counts: bool,
}

impl From<&Principal> for Person {
    fn from(principal: &Principal) -> Self {
        let counts = match principal.proof {
            AuthProof::Token { .. } | AuthProof::Certificate { .. } => true,
            AuthProof::ApiKey { .. } | AuthProof::LocalUid(_) => false,
        };
        Self { name: principal.name.clone(), counts }
    }
}

/// An operation that waits for somebody else's agreement.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// What kind it is.
    pub what: Sensitive,
    /// The operation's name.
    pub operation: String,
    /// Its JSON.
    pub body: String,
    /// Who asked.
    pub requester: Person,
    /// Who agreed.
    pub approvers: Vec<Person>,
    /// When it was asked for, in seconds since the Unix epoch.
    pub created_s: u64,
    /// When it ends unanswered, in seconds since the Unix epoch.
    pub expires_s: u64,
}

impl Pending {
    /// Digest of the very operation; see Y3.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(&[self.operation.as_bytes(), b"\n", self.body.as_bytes()])
    }

    /// How many people are still missing.
    pub fn n_missing(&self) -> usize {
        let people = self.approvers.iter().chain([&self.requester]);
        PEOPLE.saturating_sub(people.filter(|person| person.counts).count())
    }
}

/// A time in which one person may do what takes two.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Glass {
    /// Who broke it.
    pub breaker: Person,
    /// Why, in his own words.
    pub reason: String,
    /// Since when, in seconds since the Unix epoch.
    pub from_s: u64,
    /// Until when.
    pub until_s: u64,
}

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// No such request or glass, or its time is over.
    #[error("nothing of this id waits: `bartizan approve list` shows what does")]
    Absent,
    /// Y1.
    #[error("whoever asked cannot agree: somebody else must")]
    Own,
    /// Y1.
    #[error("you have agreed already: somebody else must, too")]
    Twice,
    /// Y2.
    #[error(
        "a local user and an API key do not count as one of two people: come to the admin listener with a client certificate or a token"
    )]
    NotCounted,
    /// Too many wait.
    #[error("{PENDING_MAX} requests wait, the limit: agree to some, or refuse them")]
    Full,
    /// It is too long to wait.
    #[error(
        "the operation has more than {WAITING_BYTES_MAX} bytes, so it cannot wait for a second person"
    )]
    TooLong,
    /// The reason is none, or a novel.
    #[error("a reason has 8 to 512 bytes")]
    Reason,
    /// The time asked for is none, or too long.
    #[error("the glass stays broken for 1 second to 8 hours")]
    Span,
    /// Too many wait for their review.
    #[error("{REVIEWS_MAX} broken glasses wait for their review, the limit: review some first")]
    Unreviewed,
}

/// All requests and glasses of an environment; see the module invariants.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    pending: BTreeMap<String, Pending>,
    glasses: BTreeMap<String, Glass>,
}

impl Approvals {
    /// Has `pending` wait, under a new id.
    ///
    /// # Errors
    /// [`ApprovalError::Full`] and [`ApprovalError::TooLong`].
    pub fn ask(
        &mut self,
        pending: Pending,
        entropy: &dyn Entropy,
    ) -> Result<String, ApprovalError> {
        if PENDING_MAX <= self.pending.len() {
            return Err(ApprovalError::Full);
        }
        if WAITING_BYTES_MAX < pending.body.len() {
            return Err(ApprovalError::TooLong);
        }
        let id = hex(&random::<6>(entropy));
        self.pending.insert(id.clone(), pending);
        Ok(id)
    }

    /// Notes that `who` agrees to `id` at `now_s`; gives the request where that is enough, and
    /// takes it out.
    ///
    /// # Errors
    /// [`ApprovalError`]; nothing has changed then.
    pub fn agree(
        &mut self,
        id: &str,
        who: &Principal,
        now_s: u64,
    ) -> Result<Option<Pending>, ApprovalError> {
        let pending = self.pending.get_mut(id).filter(|pending| now_s < pending.expires_s);
        let pending = pending.ok_or(ApprovalError::Absent)?;
        let person = Person::from(who);
        if pending.requester.name == person.name {
            return Err(ApprovalError::Own);
        }
        if !person.counts {
            return Err(ApprovalError::NotCounted);
        }
        if pending.approvers.iter().any(|one| one.name == person.name) {
            return Err(ApprovalError::Twice);
        }
        pending.approvers.push(person);
        if 0 < pending.n_missing() {
            return Ok(None);
        }
        Ok(self.pending.remove(id))
    }

    /// Takes out a request that nobody will agree to.
    ///
    /// # Errors
    /// [`ApprovalError::Absent`].
    pub fn refuse(&mut self, id: &str) -> Result<Pending, ApprovalError> {
        self.pending.remove(id).ok_or(ApprovalError::Absent)
    }

    /// Takes out the requests whose time is over at `now_s`.
    pub fn expire(&mut self, now_s: u64) -> Vec<(String, Pending)> {
        self.pending.extract_if(.., |_, pending| pending.expires_s <= now_s).collect()
    }

    /// Breaks the glass at `now_s` for `for_s` seconds; gives its id.
    ///
    /// # Errors
    /// [`ApprovalError::Reason`], [`ApprovalError::Span`], [`ApprovalError::Unreviewed`].
    pub fn break_glass(
        &mut self,
        who: &Principal,
        (reason, for_s): (&str, u64),
        now_s: u64,
        entropy: &dyn Entropy,
    ) -> Result<(String, Glass), ApprovalError> {
        if !REASON_BYTES.contains(&reason.trim().len()) {
            return Err(ApprovalError::Reason);
        }
        if for_s == 0 || GLASS_S_MAX < for_s {
            return Err(ApprovalError::Span);
        }
        if REVIEWS_MAX <= self.glasses.len() {
            return Err(ApprovalError::Unreviewed);
        }
        let until_s = now_s.saturating_add(for_s);
        let reason = reason.trim().to_owned();
        let glass = Glass { breaker: who.into(), reason, from_s: now_s, until_s };
        let id = hex(&random::<6>(entropy));
        self.glasses.insert(id.clone(), glass.clone());
        Ok((id, glass))
    }

    /// Whether one person may do what takes two at `now_s`, and by which glass.
    pub fn broken(&self, now_s: u64) -> Option<&str> {
        let is_broken = |glass: &Glass| glass.from_s <= now_s && now_s < glass.until_s;
        self.glasses.iter().find(|(_, glass)| is_broken(glass)).map(|(id, _)| id.as_str())
    }

    /// Ends a glass and notes that `who` has looked at what was done meanwhile; see Y4.
    ///
    /// # Errors
    /// [`ApprovalError`]; nothing has changed then.
    pub fn review(&mut self, id: &str, who: &Principal) -> Result<Glass, ApprovalError> {
        let glass = self.glasses.get(id).ok_or(ApprovalError::Absent)?;
        let person = Person::from(who);
        if glass.breaker.name == person.name {
            return Err(ApprovalError::Own);
        }
        if !person.counts {
            return Err(ApprovalError::NotCounted);
        }
        self.glasses.remove(id).ok_or(ApprovalError::Absent)
    }

    /// What waits, by id.
    pub fn pending(&self) -> impl Iterator<Item = (&str, &Pending)> {
        self.pending.iter().map(|(id, pending)| (id.as_str(), pending))
    }

    /// Glasses that were not reviewed, by id.
    pub fn glasses(&self) -> impl Iterator<Item = (&str, &Glass)> {
        self.glasses.iter().map(|(id, glass)| (id.as_str(), glass))
    }
}

impl fmt::Display for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::Pseudonym;

    use super::*;
    use crate::seed::Seed;

    fn who(name: &str, proof: AuthProof) -> Principal {
        Principal { name: name.parse().unwrap(), pseudonym: Pseudonym([1; 16]), proof }
    }

    fn certified(name: &str) -> Principal {
        who(name, AuthProof::Certificate { fingerprint: "ab".into() })
    }

    fn local() -> Principal {
        who("local/0", AuthProof::LocalUid(0))
    }

    fn asked(requester: &Principal) -> Pending {
        Pending {
            what: Sensitive::Erase,
            operation: "erase".into(),
            body: "{}".into(),
            requester: requester.into(),
            approvers: Vec::new(),
            created_s: 10,
            expires_s: 20,
        }
    }

    /// Y1 and Y2: the whole table of who asks and who agrees.
    #[test]
    fn it_takes_two_people_who_count() {
        let key = who("ann", AuthProof::ApiKey { key_id: "k".into() });
        let token = who("corp/cleo", AuthProof::Token { issuer: "corp".into(), certificate: None });
        for requester in [certified("ann"), local(), key.clone()] {
            let (mut book, entropy) = (Approvals::default(), Seed::new(1));
            let id = book.ask(asked(&requester), &entropy).unwrap();
            assert_eq!(book.agree(&id, &requester, 11).unwrap_err(), ApprovalError::Own);
            for (other, refused) in [
                (who("other", AuthProof::ApiKey { key_id: "k".into() }), ApprovalError::NotCounted),
                (who("local/7", AuthProof::LocalUid(7)), ApprovalError::NotCounted),
            ] {
                assert_eq!(book.agree(&id, &other, 11).unwrap_err(), refused);
            }
            assert_eq!(book.agree("absent", &token, 11).unwrap_err(), ApprovalError::Absent);
            let first = book.agree(&id, &certified("bob"), 11).unwrap();
            if Person::from(&requester).counts {
                assert_eq!(first.unwrap().approvers.len(), 1);
            } else {
                assert!(first.is_none(), "one person was enough for {requester:?}");
                let twice = book.agree(&id, &certified("bob"), 11).unwrap_err();
                assert_eq!(twice, ApprovalError::Twice);
                assert_eq!(book.agree(&id, &token, 11).unwrap().unwrap().approvers.len(), 2);
            }
            assert_eq!(book.agree(&id, &token, 11).unwrap_err(), ApprovalError::Absent);
        }
    }

    /// Y3 from both sides of the end.
    #[test]
    fn a_request_ends_with_its_time() {
        let (mut book, entropy) = (Approvals::default(), Seed::new(1));
        let id = book.ask(asked(&certified("ann")), &entropy).unwrap();
        let mut late = book.clone();
        assert_eq!(late.agree(&id, &certified("bob"), 20).unwrap_err(), ApprovalError::Absent);
        assert_eq!(book.expire(19), []);
        assert!(book.clone().agree(&id, &certified("bob"), 19).unwrap().is_some());
        assert_eq!(book.expire(20).len(), 1);
        let mut changed = asked(&certified("ann"));
        changed.body = "{\"subject\":\"x\"}".into();
        assert_ne!(changed.digest(), asked(&certified("ann")).digest());
        let text = serde_json::to_vec(&late).unwrap();
        assert_eq!(serde_json::from_slice::<Approvals>(&text).unwrap(), late);
        for _ in 0..PENDING_MAX {
            book.ask(asked(&local()), &entropy).unwrap();
        }
        assert_eq!(book.ask(asked(&local()), &entropy).unwrap_err(), ApprovalError::Full);
    }

    /// Y4.
    #[test]
    fn the_glass_is_broken_for_a_reason_and_a_while_and_reviewed_by_another() {
        let (mut book, entropy) = (Approvals::default(), Seed::new(1));
        let mut breaks = |reason: &str, for_s| {
            book.break_glass(&local(), (reason, for_s), 100, &entropy).map(|(id, _)| id)
        };
        for (reason, for_s, expected) in [
            ("short", 60, ApprovalError::Reason),
            ("        ", 60, ApprovalError::Reason),
            ("the registry is down", 0, ApprovalError::Span),
            ("the registry is down", GLASS_S_MAX + 1, ApprovalError::Span),
        ] {
            assert_eq!(breaks(reason, for_s).unwrap_err(), expected);
        }
        let id = breaks("the registry is down", 60).unwrap();
        assert_eq!(book.broken(99), None);
        assert_eq!(book.broken(100), Some(id.as_str()));
        assert_eq!(book.broken(159), Some(id.as_str()));
        assert_eq!(book.broken(160), None);
        assert_eq!(book.glasses().count(), 1, "it stays to be reviewed");
        assert_eq!(book.review(&id, &local()).unwrap_err(), ApprovalError::Own);
        let other = who("local/9", AuthProof::LocalUid(9));
        assert_eq!(book.review(&id, &other).unwrap_err(), ApprovalError::NotCounted);
        assert!(book.review(&id, &certified("bob")).is_ok());
        assert_eq!(book.glasses().count(), 0);
    }
}
