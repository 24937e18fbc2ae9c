//! The bytes of the key store, format 2 (`docs/formats/sealing.md`): a header that names the KEK
//! and holds the generation's own key, wrapped, and slots of fixed size sealed under that key.
//!
//! Pure: nothing here reads a disk or draws a random byte.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::wrap::{KekId, WRAPPED_BYTES_MAX};

pub(super) const MAGIC: &[u8; 8] = b"bzkeys\r\n";
pub(super) const FORMAT: u32 = 2;
/// One sector: written whole or not at all.
pub(super) const HEADER_BYTES: usize = 512;
/// Four to a sector, none across two.
pub(super) const SLOT_BYTES: usize = 128;
const NONCE_BYTES: usize = 12;
const PLAIN_BYTES: usize = 80;
const TAG_BYTES: usize = 16;
/// Bytes of a slot that its checksum covers.
const COVERED_BYTES: usize = SLOT_BYTES - 4;
const SLOT_LABEL: &[u8] = b"bartizan slot 2";
const WRAPPED_AT: usize = 66;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Counts the times that all keys were wrapped anew.
    pub(super) generation: u64,
    /// Under which KEK the generation's key is wrapped.
    pub(super) kek: KekId,
    /// The KEK before it, to be destroyed; none in a first generation.
    pub(super) previous: Option<KekId>,
    /// Whether the store began as format 1, so that older payloads lie under day keys only.
    pub(super) is_migrated: bool,
    /// The generation's key, wrapped.
    pub(super) wrapped: Vec<u8>,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&(SLOT_BYTES as u32).to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.kek.0);
        out.extend_from_slice(&self.previous.map_or([0; 16], |kek| kek.0));
        out.push(u8::from(self.previous.is_some()));
        out.push(u8::from(self.is_migrated));
        out.resize(WRAPPED_AT - 2, 0);
        out.extend_from_slice(&(self.wrapped.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.wrapped);
        out.resize(HEADER_BYTES - 4, 0);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` where it is no header of this format.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        let slot_bytes = u32_at(bytes, 12)?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*crc)
            || !bytes.starts_with(MAGIC)
            || format_of(bytes) != Some(FORMAT)
            || slot_bytes as usize != SLOT_BYTES
        {
            return None;
        }
        let flag = |at: usize| bytes.get(at).map(|byte| *byte == 1);
        let id = |at: usize| bytes.get(at..at + 16)?.try_into().ok().map(KekId);
        let len = u16::from_le_bytes(bytes.get(WRAPPED_AT - 2..WRAPPED_AT)?.try_into().ok()?);
        let len = usize::from(len);
        if WRAPPED_BYTES_MAX < len {
            return None;
        }
        Some(Self {
            generation: u64_at(bytes, 16)?,
            kek: id(24)?,
            previous: id(40).filter(|_| flag(56) == Some(true)),
            is_migrated: flag(57)?,
            wrapped: bytes.get(WRAPPED_AT..WRAPPED_AT + len)?.to_vec(),
        })
    }
}

/// The format that a file of keys says it has; `None` where it is no such file.
pub(super) fn format_of(bytes: &[u8]) -> Option<u32> {
    bytes.starts_with(MAGIC).then(|| u32_at(bytes, 8)).flatten()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// What a slot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A pepper: `period` counts them, the highest is in use.
    Pepper,
    /// A day's key; `period` is the day.
    Day,
    /// A subject's key of a month; `period` is the month, `name` the tag by which it is found.
    Subject,
    /// A legal hold: `name` is its id, `key` the subject's root, zeroes where it is of everything.
    Hold,
    /// An erasure that is not over: `name` is its id, `key` the subject's root, `period` its state.
    Erasure,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Pepper, Self::Day, Self::Subject, Self::Hold, Self::Erasure];

    fn code(self) -> u8 {
        self as u8 + 1
    }
}

/// What a slot holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) kind: Kind,
    pub(super) period: u32,
    pub(super) name: [u8; 16],
    pub(super) key: Zeroizing<[u8; 32]>,
    /// When it was made, in nanoseconds since the Unix epoch.
    pub(super) made_ns: u64,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({:?}, {}, [redacted])", self.kind, self.period)
    }
}

impl Content {
    fn encode(&self) -> Zeroizing<[u8; PLAIN_BYTES]> {
        let mut plain = Zeroizing::new([0; PLAIN_BYTES]);
        plain[0] = self.kind.code();
        plain[4..8].copy_from_slice(&self.period.to_le_bytes());
        plain[8..24].copy_from_slice(&self.name);
        plain[24..56].copy_from_slice(&*self.key);
        plain[56..64].copy_from_slice(&self.made_ns.to_le_bytes());
        plain
    }

    fn parse(plain: &[u8]) -> Option<Self> {
        let kind = Kind::ALL.into_iter().find(|kind| Some(&kind.code()) == plain.first())?;
        Some(Self {
            kind,
            period: u32_at(plain, 4)?,
            name: plain.get(8..24)?.try_into().ok()?,
            key: Zeroizing::new(plain.get(24..56)?.try_into().ok()?),
            made_ns: u64_at(plain, 56)?,
        })
    }
}

/// The key of one generation of the key store: what every slot of it is sealed under.
pub(super) struct GenerationKey {
    key: LessSafeKey,
    generation: u64,
}

/// What lies in a slot's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Free,
    Held(Content),
    Damaged,
}

impl GenerationKey {
    pub(super) fn new(key: &[u8; 32], generation: u64) -> Self {
        #[expect(clippy::expect_used, reason = "Y3: the key has the cipher's own length")]
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key");
        Self { key: LessSafeKey::new(key), generation }
    }

    /// A slot may not be moved to another place, or back into another generation.
    fn aad(&self, slot_idx: usize) -> Vec<u8> {
        [SLOT_LABEL, &self.generation.to_le_bytes(), &(slot_idx as u32).to_le_bytes()].concat()
    }

    /// The bytes of slot `slot_idx`, under 12 fresh random bytes.
    pub(super) fn seal(
        &self,
        slot_idx: usize,
        content: &Content,
        nonce: [u8; NONCE_BYTES],
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&*content.encode());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(self.aad(slot_idx));
        #[expect(clippy::expect_used, reason = "Y3: 80 bytes are far below the cipher's limit")]
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, aad, &mut out[NONCE_BYTES..])
            .expect("AES-GCM seals 80 bytes");
        out.extend_from_slice(tag.as_ref());
        out.resize(COVERED_BYTES, 0);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// What lies in the place of slot `slot_idx`.
    pub(super) fn open(&self, slot_idx: usize, slot: &[u8]) -> Slot {
        if slot.iter().all(|byte| *byte == 0) {
            return Slot::Free;
        }
        self.content(slot_idx, slot).map_or(Slot::Damaged, Slot::Held)
    }

    fn content(&self, slot_idx: usize, slot: &[u8]) -> Option<Content> {
        let (covered, crc) = slot.split_last_chunk::<4>()?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (nonce, rest) = covered.split_first_chunk::<NONCE_BYTES>()?;
        let mut body = Zeroizing::new(rest.get(..PLAIN_BYTES + TAG_BYTES)?.to_vec());
        let aad = Aad::from(self.aad(slot_idx));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        Content::parse(self.key.open_in_place(nonce, aad, &mut body).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(kind: Kind) -> Content {
        let key = Zeroizing::new([0xab; 32]);
        Content { kind, period: 7, name: [3; 16], key, made_ns: 9 }
    }

    /// Y3: each kind comes back, in its own place and generation only, and no changed bit passes.
    #[test]
    fn a_slot_opens_only_where_it_was_written() {
        let key = GenerationKey::new(&[5; 32], 4);
        for kind in Kind::ALL {
            let slot = key.seal(2, &content(kind), [1; 12]);
            assert_eq!(slot.len(), SLOT_BYTES);
            assert_eq!(key.open(2, &slot), Slot::Held(content(kind)));
            assert_eq!(key.open(3, &slot), Slot::Damaged);
            assert_eq!(GenerationKey::new(&[5; 32], 5).open(2, &slot), Slot::Damaged);
            for bit in 0..slot.len() * 8 {
                let mut changed = slot.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(key.open(2, &changed), Slot::Damaged, "bit {bit}");
            }
        }
        assert_eq!(key.open(0, &[0; SLOT_BYTES]), Slot::Free);
    }

    #[test]
    fn a_header_reads_back_and_no_changed_bit_passes() {
        for previous in [None, Some(KekId([8; 16]))] {
            let header = Header {
                generation: 77,
                kek: KekId([9; 16]),
                previous,
                is_migrated: previous.is_some(),
                wrapped: vec![4; WRAPPED_BYTES_MAX],
            };
            let bytes = header.encode();
            assert_eq!(bytes.len(), HEADER_BYTES);
            assert_eq!(Header::parse(&bytes), Some(header));
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::parse(&changed), None, "bit {bit}");
            }
        }
    }
}
