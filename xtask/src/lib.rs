//! What keeps the house: tidy rules, the test run, benchmarks, budgets.
//!
//! The binary is the commands; the library is what our own tests call.

pub mod attack;
pub mod bench;
pub mod budget;
pub mod command;
pub mod docs;
pub mod e2e;
pub mod mask;
pub mod report;
pub mod suite;
pub mod tidy;
pub mod tree;
pub mod venv;
