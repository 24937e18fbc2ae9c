//! The Open Inference Protocol over gRPC: messages to requests and back.
//!
//! Sources: `kserve/open-inference-protocol`, `specification/protocol/open_inference_grpc.proto`,
//! and Triton's superset of the same service, written down in `protos/`. [`pb`] and [`health`]
//! are generated from them. A request for inference is read by hand: generated code would take
//! memory for every empty message of a body (150 bytes for 2), this takes it for values only.
//!
//! - Values come in `raw_input_contents`, one for each input, or typed in each input's
//!   `contents`; never both. `FP16` and `BF16` come raw only.
//! - An answer is raw where the request was, or where an output is `FP16` or `BF16`.

mod client;
mod contents;
mod fields;
mod parse;
mod render;

use bartizan_core::{Datatype, RefusalCode, Values};

use crate::error::WireError;

pub use client::{INFER_PATH, parse_called, render_call};
pub use parse::{GrpcInfer, Target, parse_infer, target};
pub use render::{render_infer, render_streamed, render_streamed_error, split_message};

/// The messages of the service `inference.GRPCInferenceService`, generated.
#[expect(missing_docs, reason = "generated: the protocol's own names")]
pub mod pb {
    include!("../generated/inference.rs");
}

/// The messages of `grpc.health.v1.Health`, generated.
#[expect(missing_docs, reason = "generated: the protocol's own names")]
pub mod health {
    include!("../generated/grpc.health.v1.rs");
}

/// Typed contents of a request or an answer.
pub(crate) fn contents_of(values: &Values) -> pb::InferTensorContents {
    render::contents(values)
}

/// Values out of typed contents, from their bytes.
///
/// # Errors
/// Where they are not those of the type and number.
pub(crate) fn values_of_typed(
    datatype: Datatype,
    n_values: usize,
    contents: &[u8],
) -> Result<Values, WireError> {
    Ok(contents::read(datatype, n_values, contents)?)
}

/// Values out of raw contents.
///
/// # Errors
/// Where they are not those of the type and number.
pub(crate) fn values_of_raw(
    datatype: Datatype,
    n_values: usize,
    bytes: &[u8],
) -> Result<Values, WireError> {
    Ok(crate::raw::read(datatype, n_values, bytes)?)
}

/// Status codes of gRPC that we give (grpc/grpc, doc/statuscodes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the standard's own names say all")]
pub enum Status {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// Status of a refusal.
pub fn status(code: RefusalCode) -> Status {
    match code {
        RefusalCode::Malformed | RefusalCode::Mismatch | RefusalCode::InputRefused => {
            Status::InvalidArgument
        }
        RefusalCode::Unauthenticated => Status::Unauthenticated,
        RefusalCode::Forbidden => Status::PermissionDenied,
        RefusalCode::NotFound => Status::NotFound,
        RefusalCode::MethodNotAllowed | RefusalCode::Unsupported => Status::Unimplemented,
        RefusalCode::Slow | RefusalCode::DeadlineExceeded => Status::DeadlineExceeded,
        RefusalCode::TooLarge | RefusalCode::HeadersTooLarge | RefusalCode::Throttled => {
            Status::ResourceExhausted
        }
        RefusalCode::Internal => Status::Internal,
        RefusalCode::Overloaded
        | RefusalCode::Unpublished
        | RefusalCode::AccessUnavailable
        | RefusalCode::ModelUnavailable
        | RefusalCode::Unrecordable
        | RefusalCode::Draining => Status::Unavailable,
    }
}

/// Appends `text` as the value of `grpc-message` has it: percent-encoded (gRPC over HTTP2,
/// "Responses").
pub fn encode_message(text: &[u8], out: &mut String) {
    for byte in text {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => out.push(char::from(*byte)),
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
