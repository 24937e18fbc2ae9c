//! The Open Inference Protocol, version 2, over REST with JSON tensors and with the binary
//! tensor extension.
//!
//! Source: `kserve/open-inference-protocol`, `specification/protocol/open_inference_rest.yaml`
//! and `inference_rest.md`. Where the text leaves room, what NVIDIA's `tritonclient` and Python
//! send and understand decides:
//! - unknown keys are ignored, within bounds; `bartizan-` parameters that do not exist are not;
//! - data is flat or nested exactly as `shape` says; keys stand in any order, each once;
//! - in floating-point tensors `null` and the bare token `NaN` are NaN, `Infinity` and
//!   `-Infinity` the infinities, and a number beyond the type's range is refused;
//! - `FP16` and `BF16`, which the protocol leaves to its binary extension, are in JSON taken and
//!   given as numbers, rounded to the nearest value of the type, ties to even, by way of `FP64`;
//! - in answers NaN and infinities, which JSON cannot carry, are `null`: a bare `NaN` would be
//!   refused by every strict parser.
//!
//! Memory for a body grows with its bytes, never with the shapes it claims: at most 8 bytes for
//! 2 of a body in numbers, about 14 for 1 in `BYTES` tensors of tiny texts.

mod binary;
pub(crate) mod data;
mod metadata;
mod openapi;
mod parse;
mod render;

pub use binary::{EXTENSION, HEADER_LENGTH, header_length};
pub use metadata::{
    ModelState, ServerMetadata, live, model_metadata, model_ready, ready, repository_index,
    server_metadata,
};
pub use openapi::openapi;
pub(crate) use parse::parse_answer;
pub use parse::{ID_BYTES_MAX, NAME_BYTES_MAX, parse_answer_raw, parse_infer, parse_infer_binary};
pub use render::{
    SERVER_PATH, infer_path, model_path, render_error, render_infer, render_infer_binary,
    render_request, render_request_raw,
};
pub(crate) use render::{double as json_f64, float as json_f32, text as json_text};
