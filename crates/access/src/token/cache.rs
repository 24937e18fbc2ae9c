//! Tokens that were verified, by the SHA-256 of their text, so that the signature of each is
//! checked once.
//!
//! Invariants
//! - H1: only a token whose signature and claims were found good gets in, so that strangers cannot
//!   fill it; it never holds more than [`CACHE_LEN_MAX`];
//! - H2: it belongs to one state of its issuers: another state has another cache, so that a key or
//!   a rule that is gone takes its tokens along.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_core::Digest;

use super::verify::Verified;

/// Most tokens that are remembered.
pub const CACHE_LEN_MAX: usize = 16_384;

type Shelf = HashMap<Digest, Arc<Verified>>;

/// Two shelves: where the newer is full, it becomes the older, and what was there is forgotten.
/// What is asked for moves to the newer, so that what is in use stays.
#[derive(Default)]
pub(crate) struct TokenCache {
    shelves: Mutex<(Shelf, Shelf)>,
}

impl TokenCache {
    /// What is remembered under `digest`. Some 100 ns.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Arc<Verified>> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = shelves.0.get(digest) {
            return Some(found.clone());
        }
        let found = shelves.1.remove(digest)?;
        put(&mut shelves, *digest, found.clone());
        Some(found)
    }

    /// Remembers a token that was found good.
    pub(crate) fn keep(&self, digest: Digest, verified: Arc<Verified>) {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        put(&mut shelves, digest, verified);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let shelves = self.shelves.lock().unwrap();
        shelves.0.len() + shelves.1.len()
    }
}

fn put(shelves: &mut (Shelf, Shelf), digest: Digest, verified: Arc<Verified>) {
    if CACHE_LEN_MAX / 2 <= shelves.0.len() {
        shelves.1 = std::mem::take(&mut shelves.0);
    }
    shelves.0.insert(digest, verified);
}
