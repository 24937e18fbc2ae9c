//! The secret of one record: what makes its commitments say nothing to those without it.

use std::fmt;

use bartizan_core::entropy::{Entropy, random};
use zeroize::Zeroize;

/// 32 random bytes of one record. Overwritten when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordSecret([u8; 32]);

impl RecordSecret {
    /// A fresh one.
    pub fn random(entropy: &dyn Entropy) -> Self {
        Self(random(entropy))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for RecordSecret {
    fn from(mut bytes: [u8; 32]) -> Self {
        let secret = Self(bytes);
        bytes.zeroize();
        secret
    }
}

impl fmt::Debug for RecordSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Drop for RecordSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
