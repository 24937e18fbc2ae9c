//! Sealing: what a record must not hold, encrypted beside it (`docs/formats/sealing.md`).
//!
//! Invariants
//! - E1: a payload is sealed under a key that is its own: HKDF of the key of its subject and month,
//!   or of its day where it has no subject, and the record's id; so no two records share a key,
//!   whatever their nonces;
//! - E2: a payload opens only beside the record and under the key that it was sealed for;
//! - E3: without that key nothing is sealed and nothing opens: destroying it erases;
//! - E4: keys, secrets and payloads are never printed.

mod keys;
mod legacy;
mod payload;
mod slots;
mod table;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bartizan_core::clock::{NS_PER_S, Rfc3339, S_PER_DAY};
use bartizan_core::entropy::{Entropy, random};
use bartizan_core::id::DecisionId;
use bartizan_core::principal::Pseudonym;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

pub use keys::{
    Adopted, Destroyed, ErasureId, ErasurePlan, Hold, HoldId, KeysFormat, OpenErasure, SealingKeys,
    SealingKeysError, adopt_keys, downgrade_keys, keys_format, upgrade_keys,
};
pub(crate) use payload::encode_tensors;
pub use payload::{OpenedPayload, Payload};
use table::{Key, SUBJECT_KEYS_MAX, SubjectKey, Table, month_of, month_text};

use crate::entry::SEALED_BYTES_MAX;
use crate::read_cbor::DecodeError;

/// Version byte of a payload sealed under a day's key.
const OF_DAY: u8 = 1;
/// Version byte of a payload sealed under a subject's key.
const OF_SUBJECT: u8 = 2;
/// Longest head: version, month, pseudonym.
const HEAD_BYTES_MAX: usize = 1 + 4 + PSEUDONYM_BYTES;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const SEAL_LABEL: &[u8] = b"bartizan seal 1";
const PSEUDONYM_LABEL: &[u8] = b"bartizan pseudonym 1";
/// Bytes of a keyed hash that make a pseudonym.
const PSEUDONYM_BYTES: usize = 16;

/// Why a payload was not sealed or opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no key of that day: not made yet, or destroyed.
    #[error("there is no sealing key for day {day} since 1970-01-01: not made yet, or erased")]
    NoKey {
        /// Days since the Unix epoch.
        day: u32,
    },
    /// There is no key of that subject: destroyed, or not at hand.
    #[error(
        "there is no sealing key of subject {subject} for {}: erased, or not at hand", month_text(*month)
    )]
    NoSubjectKey {
        /// What the subject is called in the record.
        subject: Pseudonym,
        /// Months since year 0.
        month: u32,
    },
    /// Nobody new can be sealed for.
    #[error(
        "there are keys of {SUBJECT_KEYS_MAX} subjects and months, the most there can be: erase subjects, or begin a new environment"
    )]
    Full,
    /// Larger than a frame can hold.
    #[error("payload has {payload_bytes} bytes, the limit is {SEALED_BYTES_MAX} bytes")]
    TooLarge {
        /// Its size in bytes.
        payload_bytes: usize,
    },
    /// Not a sealed payload.
    #[error("not a sealed payload of version {OF_DAY} or {OF_SUBJECT}")]
    Malformed,
    /// The ciphertext, its record or its day is not what was sealed.
    #[error(
        "sealed payload does not open: it, its record or its key is not the one it was sealed with"
    )]
    Authentication,
    /// What was sealed is no payload.
    #[error("opened payload is malformed")]
    Payload(#[source] DecodeError),
}

/// What a pseudonym stands for: equal texts of two kinds share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PseudonymKind {
    /// Whom a decision was about, in records of release 0.1; another one each month. Later ones
    /// come from the subject's key: [`SealKey::subject`].
    Subject,
    /// Whose act it was in the caller's system; another one each month.
    EndUser,
    /// The caller's own id for a request.
    CorrelationId,
    /// A principal that no key ring names.
    Principal,
    /// A prefix of an address.
    Source,
}

impl PseudonymKind {
    fn code(self) -> u8 {
        match self {
            Self::Subject => 1,
            Self::EndUser => 2,
            Self::CorrelationId => 3,
            Self::Principal => 4,
            Self::Source => 5,
        }
    }

    fn is_monthly(self) -> bool {
        match self {
            Self::Subject | Self::EndUser => true,
            Self::CorrelationId | Self::Principal | Self::Source => false,
        }
    }
}

/// How a sealer makes keys of subjects.
pub(crate) struct Makes {
    entropy: Arc<dyn Entropy>,
    /// How many wait to be written into their slots.
    n_new: Arc<AtomicUsize>,
}

/// What seals and opens. It sees every change of the keys at once; used from many threads.
pub struct Sealer {
    table: Arc<RwLock<Table>>,
    makes: Option<Makes>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer {{ n_days: {}, keys: [redacted] }}", self.table().days.len())
    }
}

/// Under which key a payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    Day(u32),
    Subject { month: u32, name: Pseudonym },
}

impl Under {
    /// Head of a sealed payload, and what it is bound to beside its record.
    fn head(self) -> Vec<u8> {
        let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
        match self {
            Self::Day(day) => {
                head.push(OF_DAY);
                head.extend_from_slice(&day.to_le_bytes());
            }
            Self::Subject { month, name } => {
                head.push(OF_SUBJECT);
                head.extend_from_slice(&month.to_le_bytes());
                head.extend_from_slice(&name.0);
            }
        }
        head
    }

    /// Reads a head; gives what is behind it, too.
    fn parse(sealed: &[u8]) -> Option<(Self, &[u8])> {
        let (version, rest) = sealed.split_first()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let number = u32::from_le_bytes(*number);
        match *version {
            OF_DAY => Some((Self::Day(number), rest)),
            OF_SUBJECT => {
                let (name, rest) = rest.split_first_chunk::<PSEUDONYM_BYTES>()?;
                Some((Self::Subject { month: number, name: Pseudonym(*name) }, rest))
            }
            _ => None,
        }
    }

    fn absent(self) -> SealError {
        match self {
            Self::Day(day) => SealError::NoKey { day },
            Self::Subject { month, name } => SealError::NoSubjectKey { subject: name, month },
        }
    }
}

/// The key that a record's payload is sealed under. Never printed.
pub struct SealKey {
    under: Under,
    key: Key,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey [redacted]")
    }
}

impl SealKey {
    /// What the record calls its subject; `None` where it has none.
    pub fn subject(&self) -> Option<Pseudonym> {
        match self.under {
            Under::Day(_) => None,
            Under::Subject { name, .. } => Some(name),
        }
    }

    /// E1.
    fn of_record(&self, id: DecisionId) -> LessSafeKey {
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &*self.key);
        let info = [SEAL_LABEL, id.as_bytes()];
        let mut key = Zeroizing::new([0; 32]);
        #[expect(clippy::expect_used, reason = "E1: 32 bytes are far below HKDF's limit")]
        prk.expand(&info, KeyLen)
            .and_then(|okm| okm.fill(&mut *key))
            .expect("HKDF gives up to 8,160 bytes");
        #[expect(clippy::expect_used, reason = "E1: the key has the cipher's own length")]
        let key = UnboundKey::new(&AES_256_GCM, &*key).expect("32 bytes are an AES-256 key");
        LessSafeKey::new(key)
    }

    /// Seals `payload` beside the record `id`, under 12 fresh random bytes. One allocation;
    /// about 1.5 us for 1 KiB.
    ///
    /// # Errors
    /// [`SealError::TooLarge`]: the request must not be answered.
    pub fn seal(
        &self,
        id: DecisionId,
        payload: &Payload<'_>,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, SealError> {
        let head = self.under.head();
        let body_at = head.len() + NONCE_BYTES;
        let payload_bytes = payload.size_bytes();
        if SEALED_BYTES_MAX < payload_bytes + body_at + TAG_BYTES {
            return Err(SealError::TooLarge { payload_bytes });
        }
        // Room for all, so that no plain bytes stay behind in a buffer that was outgrown.
        let mut out = Vec::with_capacity(payload_bytes + body_at + TAG_BYTES);
        out.extend_from_slice(&head);
        out.extend_from_slice(&nonce);
        payload.encode(&mut out);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(aad(id, &head));
        let tag = self
            .of_record(id)
            .seal_in_place_separate_tag(nonce, aad, &mut out[body_at..])
            .map_err(|_| SealError::TooLarge { payload_bytes })?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }
}

/// HKDF's way to say how long a key is.
struct KeyLen;

impl hkdf::KeyType for KeyLen {
    fn len(&self) -> usize {
        32
    }
}

impl Sealer {
    fn new(table: Arc<RwLock<Table>>, makes: Option<Makes>) -> Self {
        Self { table, makes }
    }

    /// No code under this lock can panic half-way.
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether payloads of that day can be sealed and opened.
    pub fn has_day(&self, day: u32) -> bool {
        self.table().days.contains_key(&day)
    }

    /// The key for what is decided on `day` about `subject`, or about nobody. A subject's first
    /// key of a month is made here, in memory: [`SealingKeys::flush`] makes it durable before
    /// anything sealed under it is acknowledged. About 1 us.
    ///
    /// # Errors
    /// [`SealError::NoKey`], [`SealError::NoSubjectKey`] where keys are only read, or
    /// [`SealError::Full`]: the request must not be answered.
    pub fn key(&self, subject: Option<&str>, day: u32) -> Result<SealKey, SealError> {
        let table = self.table();
        let Some(subject) = subject else {
            let key = table.days.get(&day).ok_or(SealError::NoKey { day })?.clone();
            return Ok(SealKey { under: Under::Day(day), key });
        };
        let month = month_of(day);
        let tag = table::tag(&table.root(subject), month);
        if let Some((name, found)) = table.by_tag(&tag) {
            let under = Under::Subject { month, name };
            return Ok(SealKey { under, key: found.key.clone() });
        }
        drop(table);
        self.make(month, tag)
    }

    fn make(&self, month: u32, tag: [u8; PSEUDONYM_BYTES]) -> Result<SealKey, SealError> {
        let fresh: Key = match &self.makes {
            Some(makes) => Zeroizing::new(random::<32>(&*makes.entropy)),
            None => return Err(SealError::NoSubjectKey { subject: Pseudonym(tag), month }),
        };
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been first.
        if let Some((name, found)) = table.by_tag(&tag) {
            let under = Under::Subject { month, name };
            return Ok(SealKey { under, key: found.key.clone() });
        }
        if SUBJECT_KEYS_MAX <= table.n_subjects() {
            return Err(SealError::Full);
        }
        let name = table.insert(SubjectKey { key: fresh.clone(), month, tag });
        table.new.push(name);
        if let Some(makes) = &self.makes {
            makes.n_new.fetch_add(1, Ordering::Release);
        }
        Ok(SealKey { under: Under::Subject { month, name }, key: fresh })
    }

    /// Opens what was sealed beside the record `id`.
    ///
    /// # Errors
    /// [`SealError`]; nothing partial is given.
    pub fn open(&self, id: DecisionId, sealed: &[u8]) -> Result<OpenedPayload, SealError> {
        let (under, rest) = Under::parse(sealed).ok_or(SealError::Malformed)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Malformed)?;
        let mut body = Zeroizing::new(body.to_vec());
        let key = {
            let table = self.table();
            match under {
                Under::Day(day) => table.days.get(&day).cloned(),
                // The month is bound by the ciphertext; the name is the key's own.
                Under::Subject { name, .. } => table.subject(name).map(|key| key.key.clone()),
            }
        };
        let key = SealKey { under, key: key.ok_or(under.absent())? };
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key
            .of_record(id)
            .open_in_place(nonce, Aad::from(aad(id, &under.head())), &mut body)
            .map_err(|_| SealError::Authentication)?;
        OpenedPayload::decode(plain).map_err(SealError::Payload)
    }

    /// What stands for `text` in records of `day`: 16 bytes of HMAC-SHA-256. About 0.4 us.
    pub fn pseudonym(&self, kind: PseudonymKind, text: &str, day: u32) -> Pseudonym {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.table().pepper);
        let mut context = hmac::Context::with_key(&key);
        context.update(PSEUDONYM_LABEL);
        context.update(&[kind.code()]);
        if kind.is_monthly() {
            let midnight = Rfc3339(u64::from(day) * S_PER_DAY * NS_PER_S).to_string();
            context.update(midnight.get(..7).unwrap_or_default().as_bytes());
        }
        context.update(text.as_bytes());
        let mut bytes = [0; PSEUDONYM_BYTES];
        bytes.copy_from_slice(&context.sign().as_ref()[..PSEUDONYM_BYTES]);
        Pseudonym(bytes)
    }
}

/// E2: version, id, and what else stands in the head.
fn aad(id: DecisionId, head: &[u8]) -> Vec<u8> {
    let (version, rest) = head.split_at(1);
    [version, &id.as_bytes()[..], rest].concat()
}

#[cfg(test)]
mod tests;
