//! Bytes to core requests and back: the Open Inference Protocol, content codings, and the
//! protocols that send tables: Azure ML, MLflow, KServe v1.
//!
//! Everything here is a pure function of its arguments. What comes from a caller is bounded
//! before memory is taken for it, and no error repeats a value of a body: errors name the field
//! by its place (`inputs[0].data`), the byte, the limit and what to do.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        reason = "tests make their own bytes"
    )
)]

pub mod azure_ml;
pub mod coding;
pub mod conformance;
mod error;
pub mod grpc;
mod json;
pub mod kserve_v1;
pub mod mlflow;
mod number;
pub mod oip;
mod raw;
mod request;
mod status;
pub mod table;
pub mod upstream;

pub use error::WireError;
pub use request::{Asserted, BinaryWish, InferReply, InferRequest, Limits, ParameterValue};
pub use status::status;
