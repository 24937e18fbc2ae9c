//! TLS material: making what an environment starts with, and loading what its files hold.
//!
//! Invariants
//! - L1: a CA that we make is constrained to this machine's names, its key is never written, and
//!   nothing that we make outlives its bound;
//! - L2: a certificate is used only while it is valid and with the key it belongs to.

pub(crate) mod clients;
pub(crate) mod load;
pub(crate) mod make;
