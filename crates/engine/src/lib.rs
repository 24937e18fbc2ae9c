//! Runs a model within bounds.
//!
//! [`native`] is the adapter of `core`'s port `Predictor` that runs here, in safe Rust: exact,
//! bounded, and with the same bits on every machine; [`trees`] is the one for the files that LightGBM
//! and XGBoost save. [`sniff`] says what a file is that is not
//! a model we run. Nothing here opens a file or a socket: bytes come in, tensors go out.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod load;
pub mod native;
pub mod onnx;
pub mod sniff;
pub mod trees;

// The examples' reader serves unit tests and the timing program alike.
#[cfg(test)]
extern crate self as bartizan_engine;

pub use load::{LoadError, LoadLimits, inspect, load};
pub use native::Inspection;
