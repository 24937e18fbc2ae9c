//! Sealing: what a record must not hold, encrypted beside it (`docs/formats/sealing.md`).
//!
//! Invariants
//! - E1: a payload is sealed under a key that is its own: HKDF of the day's key and the record's
//!   id; so no two records share a key, whatever their nonces;
//! - E2: a payload opens only beside the record and the day that it was sealed for;
//! - E3: without the day's key nothing is sealed and nothing opens: destroying it erases;
//! - E4: keys, secrets and payloads are never printed.

mod keys;
mod payload;

use std::collections::BTreeMap;
use std::fmt;

use bartizan_core::clock::{NS_PER_S, Rfc3339, S_PER_DAY};
use bartizan_core::id::DecisionId;
use bartizan_core::principal::Pseudonym;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};

pub use keys::{SealingKeys, SealingKeysError};
pub(crate) use payload::encode_tensors;
pub use payload::{OpenedPayload, Payload};

use crate::entry::SEALED_BYTES_MAX;
use crate::read_cbor::DecodeError;

/// Version byte of a sealed payload.
const VERSION: u8 = 1;
/// Version, day, nonce.
const HEADER_BYTES: usize = 1 + 4 + NONCE_BYTES;
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
    /// Larger than a frame can hold.
    #[error("payload has {payload_bytes} bytes, the limit is {SEALED_BYTES_MAX} bytes")]
    TooLarge {
        /// Its size in bytes.
        payload_bytes: usize,
    },
    /// Not a sealed payload.
    #[error("not a sealed payload of version {VERSION}")]
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
    /// Whom a decision is about; another one each month.
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

/// One immutable snapshot of the keys. Cheap to share; used from many threads.
pub struct Sealer {
    days: BTreeMap<u32, hkdf::Prk>,
    pseudonyms: hmac::Key,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer {{ n_days: {}, keys: [redacted] }}", self.days.len())
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
    fn new(days: impl Iterator<Item = (u32, [u8; 32])>, pseudonyms: &[u8; 32]) -> Self {
        let prk = |key: [u8; 32]| hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &key);
        Self {
            days: days.map(|(day, key)| (day, prk(key))).collect(),
            pseudonyms: hmac::Key::new(hmac::HMAC_SHA256, pseudonyms),
        }
    }

    /// Whether payloads of that day can be sealed and opened.
    pub fn has_day(&self, day: u32) -> bool {
        self.days.contains_key(&day)
    }

    /// Seals `payload` beside the record `id` of `day`, under 12 fresh random bytes. One
    /// allocation; about 1.5 us for 1 KiB.
    ///
    /// # Errors
    /// [`SealError::NoKey`] or [`SealError::TooLarge`]: the request must not be answered.
    pub fn seal(
        &self,
        id: DecisionId,
        day: u32,
        payload: &Payload<'_>,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, SealError> {
        let key = self.record_key(id, day)?;
        let payload_bytes = payload.size_bytes();
        if SEALED_BYTES_MAX < payload_bytes + HEADER_BYTES + TAG_BYTES {
            return Err(SealError::TooLarge { payload_bytes });
        }
        // Room for all, so that no plain bytes stay behind in a buffer that was outgrown.
        let mut out = Vec::with_capacity(payload_bytes + HEADER_BYTES + TAG_BYTES);
        out.push(VERSION);
        out.extend_from_slice(&day.to_le_bytes());
        out.extend_from_slice(&nonce);
        payload.encode(&mut out);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(aad(id, day)), &mut out[HEADER_BYTES..])
            .map_err(|_| SealError::TooLarge { payload_bytes })?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Opens what was sealed beside the record `id`.
    ///
    /// # Errors
    /// [`SealError`]; nothing partial is given.
    pub fn open(&self, id: DecisionId, sealed: &[u8]) -> Result<OpenedPayload, SealError> {
        let day = sealed_day(sealed).ok_or(SealError::Malformed)?;
        let (nonce, mut body) = sealed
            .get(5..)
            .and_then(|rest| rest.split_first_chunk::<NONCE_BYTES>())
            .map(|(nonce, body)| (*nonce, body.to_vec()))
            .ok_or(SealError::Malformed)?;
        let key = self.record_key(id, day)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = key
            .open_in_place(nonce, Aad::from(aad(id, day)), &mut body)
            .map_err(|_| SealError::Authentication)?;
        let opened = OpenedPayload::decode(plain).map_err(SealError::Payload);
        zeroize::Zeroize::zeroize(&mut body);
        opened
    }

    /// E1.
    fn record_key(&self, id: DecisionId, day: u32) -> Result<LessSafeKey, SealError> {
        let day_key = self.days.get(&day).ok_or(SealError::NoKey { day })?;
        let info = [SEAL_LABEL, id.as_bytes()];
        let mut key = zeroize::Zeroizing::new([0; 32]);
        #[expect(clippy::expect_used, reason = "E1: 32 bytes are far below HKDF's limit")]
        day_key
            .expand(&info, KeyLen)
            .and_then(|okm| okm.fill(&mut *key))
            .expect("HKDF gives up to 8,160 bytes");
        #[expect(clippy::expect_used, reason = "E1: the key has the cipher's own length")]
        let key = UnboundKey::new(&AES_256_GCM, &*key).expect("32 bytes are an AES-256 key");
        Ok(LessSafeKey::new(key))
    }

    /// What stands for `text` in records of `day`: 16 bytes of HMAC-SHA-256. About 0.4 us.
    pub fn pseudonym(&self, kind: PseudonymKind, text: &str, day: u32) -> Pseudonym {
        let mut context = hmac::Context::with_key(&self.pseudonyms);
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

/// E2: version, id, day.
fn aad(id: DecisionId, day: u32) -> [u8; 21] {
    let mut aad = [VERSION; 21];
    aad[1..17].copy_from_slice(id.as_bytes());
    aad[17..].copy_from_slice(&day.to_le_bytes());
    aad
}

/// Day under whose key `sealed` was sealed; `None` where it is no sealed payload.
pub(crate) fn sealed_day(sealed: &[u8]) -> Option<u32> {
    let (version, rest) = sealed.split_first()?;
    let day = rest.first_chunk::<4>()?;
    (*version == VERSION).then(|| u32::from_le_bytes(*day))
}

#[cfg(test)]
mod tests;
