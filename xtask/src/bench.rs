//! `cargo xtask bench serve`: what a recorded answer costs, beside a bare echo and a peer.
//!
//! All servers are up at once and take turns, round after round, so that a busy machine is busy
//! for all of them. Absolute figures are the best of the rounds (noise only ever adds); ratios
//! are the median of the rounds' own ratios. Every reply must be a success or the run fails.

pub mod access;
pub mod deploy;
pub mod engine;
pub mod guard;
pub mod http;
pub mod ledger;
pub mod load;
pub mod process;
mod run;
pub mod scan;
pub mod server;
mod table;
pub mod vet;

pub use run::{Options, run};
