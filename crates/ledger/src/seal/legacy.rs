//! The key store of release 0.1, format 1: slots of one sector, keys in the clear. It is read,
//! never written, but for the way back of an upgrade.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::slots::MAGIC;

pub(super) const FORMAT: u32 = 1;
const SLOT_BYTES: usize = 512;
/// Bytes that a slot's checksum covers.
const COVERED_BYTES: usize = 40;
/// Slots of a new file of that release.
const SLOTS_NEW: usize = 64;
const PSEUDONYM: u32 = 1;
const DAY: u32 = 2;

/// What such a file holds.
pub(super) struct Legacy {
    pub(super) pepper: Zeroizing<[u8; 32]>,
    pub(super) days: BTreeMap<u32, Zeroizing<[u8; 32]>>,
    pub(super) n_damaged: usize,
}

fn header_bytes() -> Vec<u8> {
    let mut header = Vec::with_capacity(SLOT_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&(SLOT_BYTES as u32).to_le_bytes());
    let crc = crc32c::crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header.resize(SLOT_BYTES, 0);
    header
}

enum Slot {
    Free,
    Key(u32, u32, Zeroizing<[u8; 32]>),
    Damaged,
}

fn read_slot(slot: &[u8]) -> Slot {
    if slot.iter().all(|byte| *byte == 0) {
        return Slot::Free;
    }
    let number = |at: usize| {
        slot.get(at..at + 4).and_then(|part| part.try_into().ok()).map(u32::from_le_bytes)
    };
    let covered = slot.get(..COVERED_BYTES).unwrap_or_default();
    let sound = number(COVERED_BYTES) == Some(crc32c::crc32c(covered));
    let key = slot.get(8..COVERED_BYTES).and_then(|key| <[u8; 32]>::try_from(key).ok());
    match (sound, number(0), number(4), key) {
        (true, Some(kind @ (PSEUDONYM | DAY)), Some(day), Some(key)) => {
            Slot::Key(kind, day, Zeroizing::new(key))
        }
        _ => Slot::Damaged,
    }
}

impl Legacy {
    /// `None` where it is no such file, or has lost its pseudonym key.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, slots) = bytes.split_at_checked(SLOT_BYTES)?;
        if header != header_bytes().as_slice() {
            return None;
        }
        let (mut pepper, mut days, mut n_damaged) = (None, BTreeMap::new(), 0);
        for slot in slots.chunks_exact(SLOT_BYTES) {
            match read_slot(slot) {
                Slot::Free => {}
                Slot::Key(PSEUDONYM, _, key) => pepper = Some(key),
                Slot::Key(_, day, key) => {
                    days.insert(day, key);
                }
                Slot::Damaged => n_damaged += 1,
            }
        }
        Some(Self { pepper: pepper?, days, n_damaged })
    }

    /// The whole file, as release 0.1 would have written it.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let slots = 1 + self.days.len();
        let len = (1 + slots.max(SLOTS_NEW)) * SLOT_BYTES;
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        out.extend_from_slice(&header_bytes());
        let days = self.days.iter().map(|(day, key)| (DAY, *day, key));
        for (kind, day, key) in std::iter::once((PSEUDONYM, 0, &self.pepper)).chain(days) {
            let start = out.len();
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&day.to_le_bytes());
            out.extend_from_slice(&**key);
            let crc = crc32c::crc32c(&out[start..]);
            out.extend_from_slice(&crc.to_le_bytes());
            out.resize(start + SLOT_BYTES, 0);
        }
        out.resize(len, 0);
        out
    }
}
