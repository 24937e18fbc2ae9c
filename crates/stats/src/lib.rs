//! Deterministic numeric kernels.
//!
//! Nothing here calls the platform's mathematics library and nothing contracts a multiplication
//! and an addition into one rounding, so that the same input gives the same bits on every
//! processor that rounds as IEEE 754 says, in debug and in release. A kernel that sums says in
//! which order.
//!
//! Invariants
//! - S1: the bits of a result depend on the arguments alone.

pub mod activation;
pub mod chance;
pub mod covariance;
pub mod erf;
pub mod exp;
pub mod isolation;
pub mod ln;
pub mod pow;
pub mod quantile;
pub mod sum;
pub mod tail;
