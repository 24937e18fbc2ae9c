//! The digest of a file, made of the very bytes that the scan reads.

use std::io;
use std::sync::{Mutex, PoisonError};

use bartizan_core::{Clock, Digest};
use sha2::{Digest as _, Sha256};

use crate::sighting::Stop;
use crate::source::Source;

/// Bytes that are hashed at once where the scan passed over them.
const CHUNK_BYTES: usize = 256 * 1024;

/// A source that hashes each byte the first time that it is read in order.
pub(crate) struct Hashing<'a> {
    inner: &'a dyn Source,
    state: Mutex<State>,
}

struct State {
    hasher: Sha256,
    /// All before this offset is hashed.
    front: u64,
}

impl<'a> Hashing<'a> {
    pub(crate) fn new(inner: &'a dyn Source) -> Self {
        Self { inner, state: Mutex::new(State { hasher: Sha256::new(), front: 0 }) }
    }

    /// Hashes what the scan passed over, and gives the digest.
    pub(crate) fn finish(self, clock: &dyn Clock, time_ms_max: u64) -> Result<Digest, Stop> {
        let size = self.inner.size();
        let State { mut hasher, mut front } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ends_ns = clock.now().mono_ns.saturating_add(time_ms_max.saturating_mul(1_000_000));
        let mut chunk = vec![0; CHUNK_BYTES];
        while front < size {
            let n =
                self.inner.read_at(front, &mut chunk).map_err(|error| Stop::Io(error.kind()))?;
            if n == 0 {
                return Err(Stop::broken(front, "the file is shorter than it was"));
            }
            hasher.update(chunk.get(..n).unwrap_or(&[]));
            front = front.saturating_add(n as u64);
            if ends_ns < clock.now().mono_ns {
                return Err(Stop::Budget("time"));
            }
        }
        Ok(Digest(hasher.finalize().into()))
    }
}

impl Source for Hashing<'_> {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read_at(offset, into)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = state.front.checked_sub(offset)
            && let Some(new) = usize::try_from(from).ok().and_then(|from| into.get(from..n))
        {
            state.hasher.update(new);
            state.front = state.front.saturating_add(new.len() as u64);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Still;

    /// Whatever order the scan reads in, the digest is that of the whole.
    #[test]
    fn the_digest_is_of_every_byte_once() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let hashing = Hashing::new(&bytes);
        let mut part = vec![0; 5_000];
        for offset in [990_000, 0, 100, 4_000, 4_900, 999_999, 20_000] {
            hashing.read_at(offset, &mut part).unwrap();
        }
        assert_eq!(hashing.finish(&Still, 1_000).unwrap(), Digest::of(&bytes));
    }
}
