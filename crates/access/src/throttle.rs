//! How fast one source may fail to authenticate.
//!
//! A source is the peer's address, never the id that it claims: else anybody could lock out
//! anybody. And failures are counted *after* the key was judged, so a good key passes however
//! many bad ones come from the same address: who shares a NAT with an attacker is not his victim.
//! So the throttle cannot save the HMAC of a bad key, which costs a microsecond; guessing 256 bits
//! needs no throttle. What it bounds is noise: beyond its rate a source's failures are answered
//! `throttled` instead of `unauthenticated`, and the gateway may close its connections.
//!
//! Invariants
//! - D1: in any `t` seconds a source has at most [`FAILURES_BURST`] + `t` failures answered as
//!   such, unless it was displaced;
//! - D2: memory is fixed: [`SOURCES_MAX`] sources of 16 bytes. A source has [`WAYS`] places that a
//!   keyed hash gives it; the one that owes least is displaced. No search beyond these;
//! - D3: one source's failures never delay another's, whatever it claims to be.

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use bartizan_core::Entropy;
use bartizan_core::clock::NS_PER_S;
use bartizan_core::entropy::random;

/// Failures that a quiet source may have at once.
pub const FAILURES_BURST: u64 = 10;
/// After how long a source may fail once more, in nanoseconds.
pub const FAILURE_INTERVAL_NS: u64 = NS_PER_S;
/// Most sources that are remembered.
pub const SOURCES_MAX: usize = 65_536;
/// Places that one source can have.
const WAYS: usize = 4;
const SETS: usize = SOURCES_MAX / WAYS;
/// How far ahead of now a source may have failed, in nanoseconds.
const DEBT_NS_MAX: u64 = FAILURES_BURST * FAILURE_INTERVAL_NS;

/// When a throttled source may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Whole seconds from now, at least 1.
    pub secs: u32,
}

/// Source, and the time up to which its failures are paid for, in nanoseconds: a token bucket as
/// one number (GCRA, ITU-T I.371). A time not after now is a full bucket, so a place that is all
/// zero is free.
type Place = [u64; 2];

/// The failures of all sources; see the module invariants.
pub struct FailureThrottle {
    seed: [u8; 16],
    places: Mutex<Vec<Place>>,
}

impl FailureThrottle {
    /// Nobody has failed yet. The random seed keeps sources from choosing whom they displace.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { seed: random(entropy), places: Mutex::new(vec![[0; 2]; SOURCES_MAX]) }
    }

    /// Whether one more failure of `source` would be within its rate; nothing is counted.
    /// `now_ns` never goes back.
    ///
    /// # Errors
    /// [`RetryAfter`] where it would not.
    pub fn check(&self, source: IpAddr, now_ns: u64) -> Result<(), RetryAfter> {
        let key = source_key(source);
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let set = &places[self.set_range(key)];
        let paid_ns = set.iter().find(|place| place[0] == key).map_or(0, |place| place[1]);
        charge(paid_ns, now_ns).map(|_| ())
    }

    /// Counts a failure of `source`. Constant time, a lock held for some tens of nanoseconds.
    /// `now_ns` never goes back.
    ///
    /// # Errors
    /// [`RetryAfter`] where it is beyond the rate: answer `throttled`. Such a failure is not
    /// counted, so that waiting helps.
    pub fn note_failure(&self, source: IpAddr, now_ns: u64) -> Result<(), RetryAfter> {
        let key = source_key(source);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let set = &mut places[self.set_range(key)];
        let own = set.iter().position(|place| place[0] == key);
        let least = || (0..WAYS).min_by_key(|way| set[*way][1]).unwrap_or(0);
        let (way, paid_ns) = match own {
            Some(way) => (way, set[way][1]),
            None => (least(), 0),
        };
        set[way] = [key, charge(paid_ns, now_ns)?];
        Ok(())
    }

    fn set_range(&self, key: u64) -> std::ops::Range<usize> {
        // SipHash with the seed as a prefix: a source cannot know who shares its set.
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.seed);
        hasher.write_u64(key);
        let set = (hasher.finish() % SETS as u64) as usize;
        set * WAYS..(set + 1) * WAYS
    }
}

/// The time up to which failures are paid for after one more, or when that will be possible.
fn charge(paid_ns: u64, now_ns: u64) -> Result<u64, RetryAfter> {
    let next_ns = paid_ns.max(now_ns).saturating_add(FAILURE_INTERVAL_NS);
    let over_ns = next_ns.saturating_sub(now_ns.saturating_add(DEBT_NS_MAX));
    if over_ns == 0 {
        return Ok(next_ns);
    }
    Err(RetryAfter { secs: u32::try_from(over_ns.div_ceil(NS_PER_S)).unwrap_or(u32::MAX) })
}

/// An IPv4 address, or the /64 of an IPv6 address: what one subscriber is given at least. IPv4
/// takes the values of ffff:ffff::/32, which are multicast and never a source.
fn source_key(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(address) => 0xffff_ffff << 32 | u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests;
