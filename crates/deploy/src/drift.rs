//! What drifted between two states of an environment.
//!
//! Invariants
//! - DR1: what a state says beyond the other's own fields is not drift: defaults, status and
//!   other managers' fields are silent.

pub(crate) mod rules;

pub use rules::RULES;
