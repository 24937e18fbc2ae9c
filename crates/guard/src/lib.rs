//! Is this request sane?
//!
//! The first of the request gate's checks is the contract: what the model's owner says that a
//! request may hold. Everything here is synchronous, works on tensors, opens no path and takes
//! no memory for a request in which nothing is found.

mod arrange;
mod columns;
mod contract;
mod rules;
mod sharpen;

pub use arrange::Mismatch;
pub use contract::ContractGuard;
pub use rules::RULES;
pub use sharpen::{ColumnFacts, sharpen};
