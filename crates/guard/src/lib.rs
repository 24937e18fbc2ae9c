//! Is this request sane, and is this client?
//!
//! The first of the request gate's checks is the contract: what the model's owner says that a
//! request may hold. The others need to know honest rows. Everything here is synchronous, works
//! on tensors, opens no path, reads no clock, and takes no memory for a request in which nothing
//! is found.
//!
//! How it is built:
//! - `fit` makes a [`Profile`] from a reference: ranges, steps, robust centre and spread,
//!   centroids, what counts as near, and how often each channel flags honest rows;
//! - `point` makes a row into numbers, a point and at most 64 bytes; `index` remembers the bytes
//!   and finds a caller's own near rows again, `recent` holds the latest ones against each new
//!   row exactly;
//! - `evidence` adds flags up, one caller and channel at a time, so that an honest past buys
//!   nothing: *odd* (range, step, missing, distance), *similar* (near, sharing, between two),
//!   *straddle* (near with another answer);
//! - [`Guard`] is one model's: `before` the model, `after` it; a [`Policy`] says from which
//!   evidence a caller is degraded, throttled, blocked, quarantined, and whether that holds
//!   ([`Mode`]). Its state can be kept and put back, and the same calls then give the same bits;
//! - `drift` watches whether rows still come from where the reference did.
//!
//! What behaviour cannot show is not claimed: copying a model with real rows and single
//! membership questions look like use; budgets and least disclosure limit them.

mod arrange;
mod columns;
mod contract;
mod drift;
mod evidence;
mod fit;
mod guard;
mod index;
mod keyed;
mod point;
mod policy;
mod profile;
mod recent;
mod rules;
mod sharpen;
mod subjects;
#[cfg(test)]
mod testing;

pub use arrange::Mismatch;
pub use contract::ContractGuard;
pub use fit::{DISTINCT_MIN, Reference, fit};
pub use guard::{Answers, Asker, Guard, INLINE_ROWS, Judgement, SnapshotError};
pub use policy::{Mode, Policy};
pub use profile::{
    Column, PROFILE_BYTES_MAX, Parts, Profile, ProfileError, Rates, Thresholds, WIDTH_MAX,
};
pub use rules::RULES;
pub use sharpen::{ColumnFacts, sharpen};
