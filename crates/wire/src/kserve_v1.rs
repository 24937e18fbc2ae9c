//! Bodies of KServe's v1 protocol (`POST /v1/models/M:predict`).
//!
//! Source: `kserve/website`, "V1 protocol", and `kserve/kserve`, `python/kserve`: a request has
//! `instances` or `inputs`, an answer `predictions`, an error `error`.

use bartizan_core::ModelName;

use crate::WireError;
use crate::mlflow::one_of;
use crate::oip::json_text;
use crate::request::{InferRequest, Limits};
use crate::table::Plan;

/// Reads a body.
///
/// # Errors
/// [`WireError`] for the first thing that is wrong.
pub fn parse_predict(body: &[u8], plan: &Plan, limits: &Limits) -> Result<InferRequest, WireError> {
    let inputs = one_of(body, plan, limits, &["instances", "inputs"])?;
    Ok(InferRequest::of(inputs))
}

/// Body of `GET /v1/models`.
pub fn model_list<'a>(names: impl Iterator<Item = &'a ModelName>) -> Vec<u8> {
    let mut out = b"{\"models\":[".to_vec();
    for (n, name) in names.enumerate() {
        if 0 < n {
            out.push(b',');
        }
        json_text(name.as_str(), &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

/// Body of `GET /v1/models/M`.
pub fn model_ready(name: &ModelName, is_ready: bool) -> Vec<u8> {
    let mut out = b"{\"name\":".to_vec();
    json_text(name.as_str(), &mut out);
    let ready: &[u8] = if is_ready { b",\"ready\":true}" } else { b",\"ready\":false}" };
    out.extend_from_slice(ready);
    out
}
