//! What a server and its models say about themselves.
//!
//! Invariants
//! - M1: what is written is structs of texts and integers, which always have a JSON form.

use bartizan_core::{Contract, Datatype, ModelName, ModelVersion};
use serde::Serialize;

/// Body of `GET /v2`.
#[derive(Clone, Debug, Serialize)]
pub struct ServerMetadata<'a> {
    /// The server's name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Extensions of the protocol that it has: only what it really does, clients rely on it.
    pub extensions: &'a [&'a str],
}

#[derive(Serialize)]
struct ModelMetadata<'a> {
    name: &'a ModelName,
    versions: Vec<String>,
    platform: &'a str,
    inputs: Vec<TensorMetadata<'a>>,
    outputs: Vec<TensorMetadata<'a>>,
}

#[derive(Serialize)]
struct TensorMetadata<'a> {
    name: &'a str,
    datatype: Datatype,
    shape: &'a [i64],
}

/// One row of a repository's index.
#[derive(Clone, Debug, Serialize)]
pub struct ModelState<'a> {
    /// The model's name.
    pub name: &'a ModelName,
    /// Its version, as text.
    #[serde(serialize_with = "as_text")]
    pub version: ModelVersion,
    /// `READY`, `UNAVAILABLE`, `LOADING` or `UNLOADING`.
    pub state: &'a str,
    /// Why it is in that state; empty where there is nothing to say.
    pub reason: &'a str,
}

fn as_text<S: serde::Serializer>(version: &ModelVersion, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(version)
}

/// Body of `GET /v2`.
pub fn server_metadata(metadata: &ServerMetadata<'_>) -> Vec<u8> {
    body(metadata)
}

/// Body of `GET /v2/models/{model}` and of one of its versions: what `contract` says goes in and
/// out. `platform` names format and engine, as in `onnx_native`.
pub fn model_metadata(
    name: &ModelName,
    versions: &[ModelVersion],
    platform: &str,
    contract: &Contract,
) -> Vec<u8> {
    let inputs = contract.inputs().iter().map(|input| TensorMetadata {
        name: &input.name,
        datatype: input.datatype,
        shape: &input.shape,
    });
    let outputs = contract.outputs().iter().map(|output| TensorMetadata {
        name: &output.name,
        datatype: output.datatype,
        shape: &output.shape,
    });
    body(&ModelMetadata {
        name,
        versions: versions.iter().map(ToString::to_string).collect(),
        platform,
        inputs: inputs.collect(),
        outputs: outputs.collect(),
    })
}

/// Body of `GET /v2/health/live`.
pub fn live(is_live: bool) -> &'static [u8] {
    if is_live { b"{\"live\":true}" } else { b"{\"live\":false}" }
}

/// Body of `GET /v2/health/ready`.
pub fn ready(is_ready: bool) -> &'static [u8] {
    if is_ready { b"{\"ready\":true}" } else { b"{\"ready\":false}" }
}

/// Body of `GET /v2/models/{model}/ready`.
pub fn model_ready(name: &ModelName, is_ready: bool) -> Vec<u8> {
    // N2: a name needs no escape.
    format!("{{\"name\":\"{name}\",\"ready\":{is_ready}}}").into_bytes()
}

/// Body of `POST /v2/repository/index`.
pub fn repository_index(models: &[ModelState<'_>]) -> Vec<u8> {
    body(&models)
}

#[expect(clippy::expect_used, reason = "M1: a struct of texts has a JSON form")]
fn body(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("M1: a struct of texts has a JSON form")
}

#[cfg(test)]
mod tests;
