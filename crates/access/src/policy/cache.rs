//! Rulings that were made before: bounded, exact, forgotten with the policies.
//!
//! Invariants
//! - F1: a ruling is given again only for a question that is equal in every byte of what the
//!   decision depends on: the whole key is compared, not its hash;
//! - F2: memory is bounded: [`PLACES_MAX`] rulings; a new one takes the place of one that shares
//!   its hash's place.
//!
//! A cache belongs to one set of policies and is dropped with it, so that the policies' digest is
//! part of every key without being compared.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use super::Ruling;

/// Most rulings that are remembered.
pub const PLACES_MAX: usize = 16_384;
/// Longest key that is remembered, in bytes: with [`PLACES_MAX`] it bounds the memory.
pub(super) const KEY_BYTES_MAX: usize = 2_048;

type Place = Option<(Box<[u8]>, Arc<Ruling>)>;

pub(super) struct Cache {
    hasher: RandomState,
    places: Box<[Mutex<Place>]>,
}

impl Cache {
    pub(super) fn new() -> Self {
        let places = (0..PLACES_MAX).map(|_| Mutex::new(None)).collect();
        Self { hasher: RandomState::new(), places }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<Ruling>> {
        let place = self.place(key).lock().unwrap_or_else(PoisonError::into_inner);
        let (own, ruling) = place.as_ref()?;
        (**own == *key).then(|| ruling.clone())
    }

    pub(super) fn put(&self, key: &[u8], ruling: &Arc<Ruling>) {
        if key.len() <= KEY_BYTES_MAX {
            let mut place = self.place(key).lock().unwrap_or_else(PoisonError::into_inner);
            *place = Some((key.into(), ruling.clone()));
        }
    }

    fn place(&self, key: &[u8]) -> &Mutex<Place> {
        &self.places[self.hasher.hash_one(key) as usize % PLACES_MAX]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F1 and F2: many more questions than places, and never another's ruling.
    #[test]
    fn a_ruling_is_given_again_for_its_own_question_alone() {
        let cache = Cache::new();
        let n_keys = 3 * PLACES_MAX as u64;
        for n in 0..n_keys {
            let mut ruling = Ruling::denied();
            ruling.obligations.top_k = Some(n as u32);
            cache.put(&n.to_le_bytes(), &Arc::new(ruling));
        }
        let mut n_kept = 0;
        for n in 0..n_keys {
            if let Some(ruling) = cache.get(&n.to_le_bytes()) {
                assert_eq!(ruling.obligations.top_k, Some(n as u32));
                n_kept += 1;
            }
        }
        assert!(0 < n_kept && n_kept <= PLACES_MAX, "{n_kept}");
        let (longest, too_long) = (vec![7; KEY_BYTES_MAX], vec![7; KEY_BYTES_MAX + 1]);
        for (key, kept) in [(longest, true), (too_long, false)] {
            cache.put(&key, &Arc::new(Ruling::denied()));
            assert_eq!(cache.get(&key).is_some(), kept, "{} bytes", key.len());
        }
    }
}
