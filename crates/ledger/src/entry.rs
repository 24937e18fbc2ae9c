//! What is appended: a leaf, what is sealed beside it, and which quota it counts against.

use sha2::{Digest as _, Sha256};

use crate::receipt::leaf_hash;
use bartizan_core::limits::RECORD_BYTES_MAX;

/// Longest sealed part, in bytes: a largest body, its reply and the model's output.
pub const SEALED_BYTES_MAX: usize = 48 << 20;

/// Which part of the volume an entry may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryClass {
    /// A decision: everything but the reserve.
    Decision,
    /// Folded refusals: their own share, so that strangers cannot fill the disk.
    Folded,
    /// Acts of an administrator, of keys, of erasure and of the server itself: the reserve too.
    Reserved,
}

impl EntryClass {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Decision => 0,
            Self::Folded => 1,
            Self::Reserved => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Decision),
            1 => Some(Self::Folded),
            2 => Some(Self::Reserved),
            _ => None,
        }
    }
}

/// One entry with its hashes, made on the thread that appends so that the writer need not.
#[derive(Debug)]
pub struct Entry {
    leaf: Vec<u8>,
    sealed: Vec<u8>,
    class: EntryClass,
    leaf_hash: [u8; 32],
    sealed_hash: [u8; 32],
}

/// An entry that no frame can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an entry has at most {RECORD_BYTES_MAX} bytes of record and {SEALED_BYTES_MAX} bytes sealed, this has {leaf_bytes} and {sealed_bytes}"
)]
pub struct EntryTooLarge {
    /// Bytes of its leaf.
    pub leaf_bytes: usize,
    /// Bytes of its sealed part.
    pub sealed_bytes: usize,
}

impl Entry {
    /// Hashes `leaf` and `sealed` (which may be empty). About 0.6 us a KiB.
    ///
    /// # Errors
    /// [`EntryTooLarge`].
    pub fn new(leaf: Vec<u8>, sealed: Vec<u8>, class: EntryClass) -> Result<Self, EntryTooLarge> {
        let (leaf_bytes, sealed_bytes) = (leaf.len(), sealed.len());
        if RECORD_BYTES_MAX < leaf_bytes || SEALED_BYTES_MAX < sealed_bytes {
            return Err(EntryTooLarge { leaf_bytes, sealed_bytes });
        }
        let (leaf_hash, sealed_hash) = (leaf_hash(&leaf), Sha256::digest(&sealed).into());
        Ok(Self { leaf, sealed, class, leaf_hash, sealed_hash })
    }

    /// The leaf's hash: what the receipt must name.
    pub fn leaf_hash(&self) -> &[u8; 32] {
        &self.leaf_hash
    }

    /// The leaf.
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// The sealed part.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Its quota.
    pub fn class(&self) -> EntryClass {
        self.class
    }

    pub(crate) fn sealed_hash(&self) -> &[u8; 32] {
        &self.sealed_hash
    }

    /// Bytes of both parts.
    pub fn len_bytes(&self) -> usize {
        self.leaf.len() + self.sealed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of both limits, and a message with the numbers.
    #[test]
    fn a_record_longer_than_a_bundle_can_hold_is_refused() {
        let entry = |leaf, sealed| Entry::new(vec![1; leaf], vec![2; sealed], EntryClass::Decision);
        assert!(entry(RECORD_BYTES_MAX, 0).is_ok());
        let refused = entry(RECORD_BYTES_MAX + 1, 3).unwrap_err();
        assert_eq!(refused.leaf_bytes, RECORD_BYTES_MAX + 1);
        let text = refused.to_string();
        assert!(text.contains("65535") && text.contains("65536 and 3"), "{text}");
        assert!(entry(1, SEALED_BYTES_MAX).is_ok());
        assert!(entry(1, SEALED_BYTES_MAX + 1).is_err());
    }
}
