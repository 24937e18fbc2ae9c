//! The cases over REST.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON that has no such key gives null; keys are added to objects of our own"
)]

use bartizan_core::{Datatype, Tensor, Values};
use serde_json::{Value, json};

use super::{Answer, Case, Question, Subject};
use crate::coding::{self, Coding};
use crate::oip::{HEADER_LENGTH, parse_infer, parse_infer_binary, render_request};
use crate::raw;
use crate::request::Limits;

/// In which form a request for inference is sent and wants its answer.
#[derive(Clone, Copy, Default)]
pub(super) struct Form {
    raw_in: bool,
    raw_out: bool,
    id: Option<&'static str>,
    coding: Option<Coding>,
}

const SEES_ERROR: &str = "a decode error instead of the reason: `tritonclient` reads every error \
                          as {\"error\": text}";
const SEES_RAW: &str = "`tritonclient` sends raw tensors by default: its `infer` fails";

/// See [`super::cases`].
pub(super) const CASES: &[Case] = &[
    Case {
        id: "rest-live",
        asks: "GET /v2/health/live answers 200",
        sees: "`is_server_live` is false: probes restart the server",
        question: |_| get("/v2/health/live".into()),
        check: |_, answer| status(answer, 200),
    },
    Case {
        id: "rest-ready",
        asks: "GET /v2/health/ready answers 200",
        sees: "`is_server_ready` is false: no traffic is sent",
        question: |_| get("/v2/health/ready".into()),
        check: |_, answer| status(answer, 200),
    },
    Case {
        id: "rest-server-metadata",
        asks: "GET /v2 names the server, its version and its extensions",
        sees: "`get_server_metadata` fails or lacks a key",
        question: |_| get("/v2".into()),
        check: |_, answer| has_keys(answer, &["name", "version", "extensions"]),
    },
    Case {
        id: "rest-model-metadata",
        asks: "GET /v2/models/M names versions, platform, inputs and outputs",
        sees: "`get_model_metadata` fails or lacks a key",
        question: |subject| get(format!("/v2/models/{}", subject.model)),
        check: |_, answer| has_keys(answer, &["name", "platform", "inputs", "outputs"]),
    },
    Case {
        id: "rest-model-ready",
        asks: "GET /v2/models/M/ready answers 200",
        sees: "`is_model_ready` is false",
        question: |subject| get(format!("/v2/models/{}/ready", subject.model)),
        check: |_, answer| status(answer, 200),
    },
    Case {
        id: "rest-id-echoed",
        asks: "the `id` of a request comes back in its answer",
        sees: "answers cannot be told apart",
        question: |subject| infer(subject, Form { id: Some("seven"), ..Form::default() }),
        check: |_, answer| match whole(answer)?["id"].as_str() {
            Some("seven") => Ok(()),
            _ => Err("the answer has another `id` or none".into()),
        },
    },
    Case {
        id: "rest-no-content-type",
        asks: "a body needs no content type",
        sees: "`tritonclient` sends JSON without one: its `infer` fails",
        question: |subject| {
            let mut question = infer(subject, Form::default());
            question.headers.retain(|(name, _)| *name != "content-type");
            question
        },
        check: same_bits,
    },
    Case {
        id: "rest-json-raw",
        asks: "JSON in, raw tensors out (`binary_data_output`)",
        sees: "`tritonclient` asks for raw outputs by default: it gets an error, or twice the bytes",
        question: |subject| infer(subject, Form { raw_out: true, ..Form::default() }),
        check: raw_and_same_bits,
    },
    Case {
        id: "rest-raw-json",
        asks: "raw tensors in, JSON out",
        sees: SEES_RAW,
        question: |subject| infer(subject, Form { raw_in: true, ..Form::default() }),
        check: same_bits,
    },
    Case {
        id: "rest-raw-raw",
        asks: "raw tensors in and out",
        sees: SEES_RAW,
        question: |subject| infer(subject, Form { raw_in: true, raw_out: true, ..Form::default() }),
        check: raw_and_same_bits,
    },
    Case {
        id: "rest-gzip",
        asks: "a body in gzip is taken",
        sees: "`infer(request_compression_algorithm=\"gzip\")` fails",
        question: |subject| infer(subject, Form { coding: Some(Coding::Gzip), ..Form::default() }),
        check: same_bits,
    },
    Case {
        id: "rest-deflate",
        asks: "a body in deflate is taken",
        sees: "`infer(request_compression_algorithm=\"deflate\")` fails",
        question: |subject| {
            infer(subject, Form { coding: Some(Coding::Deflate), ..Form::default() })
        },
        check: same_bits,
    },
    Case {
        id: "rest-index",
        asks: "POST /v2/repository/index takes an empty body and lists models",
        sees: "`get_model_repository_index` fails",
        question: |_| post("/v2/repository/index".into(), Vec::new()),
        check: |_, answer| match whole(answer)? {
            Value::Array(_) => Ok(()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => Err("the answer is no list".into()),
        },
    },
    Case {
        id: "rest-unknown-model",
        asks: "a model that is not there is an error in the protocol's shape",
        sees: SEES_ERROR,
        question: |_| get("/v2/models/no-such-model-anywhere".into()),
        check: |_, answer| error_shape(answer),
    },
    Case {
        id: "rest-no-json",
        asks: "a body that is no JSON is a 4xx in the protocol's shape",
        sees: SEES_ERROR,
        question: |subject| {
            post(format!("/v2/models/{}/infer", subject.model), b"{\"inputs\":".to_vec())
        },
        check: |_, answer| error_shape(answer),
    },
    Case {
        id: "rest-bad-raw-size",
        asks: "raw tensors of a wrong length are a 4xx in the protocol's shape",
        sees: "a server error, or values read from other bytes",
        question: |subject| {
            let mut question = infer(subject, Form { raw_in: true, ..Form::default() });
            question.body.pop();
            question
        },
        check: |_, answer| error_shape(answer),
    },
];

pub(super) fn get(path: String) -> Question {
    Question { method: "GET", path, headers: Vec::new(), body: Vec::new(), is_grpc: false }
}

fn post(path: String, body: Vec<u8>) -> Question {
    let headers = vec![("content-type", "application/json".to_owned())];
    Question { method: "POST", path, headers, body, is_grpc: false }
}

/// A request for inference on the subject's inputs.
pub(super) fn infer(subject: &Subject, form: Form) -> Question {
    let mut body = json_inputs(subject, form.raw_in);
    if let Some(id) = form.id {
        body["id"] = json!(id);
    }
    if form.raw_out {
        body["parameters"] = json!({ "binary_data_output": true });
    }
    let mut bytes = body.to_string().into_bytes();
    let json_bytes = bytes.len();
    if form.raw_in {
        for input in &subject.inputs {
            raw::write(input.values(), &mut bytes);
        }
    }
    if let Some(coding) = form.coding {
        bytes = coding::encode(coding, &bytes);
    }
    let mut question = post(format!("/v2/models/{}/infer", subject.model), bytes);
    if form.raw_in {
        question.headers = vec![
            ("content-type", "application/octet-stream".to_owned()),
            (HEADER_LENGTH, json_bytes.to_string()),
        ];
    }
    if let Some(coding) = form.coding {
        question.headers.push(("content-encoding", coding.as_str().to_owned()));
    }
    question
}

/// The inputs in JSON, their data inside or announced.
fn json_inputs(subject: &Subject, is_raw: bool) -> Value {
    if !is_raw {
        let mut text = Vec::new();
        // Inputs that were parsed or made here can be written.
        let _ = render_request(&subject.inputs, &mut text);
        return serde_json::from_slice(&text).unwrap_or_default();
    }
    let inputs: Vec<Value> = subject
        .inputs
        .iter()
        .map(|input| {
            json!({
                "name": input.name(),
                "shape": input.shape(),
                "datatype": input.datatype().as_str(),
                "parameters": { "binary_data_size": raw::len(input.values()) },
            })
        })
        .collect();
    json!({ "inputs": inputs })
}

fn status(answer: &Answer, wanted: u16) -> Result<(), String> {
    if answer.status == wanted { Ok(()) } else { Err(format!("the status is {}", answer.status)) }
}

/// The answer's JSON, of a success.
fn whole(answer: &Answer) -> Result<Value, String> {
    status(answer, 200)?;
    serde_json::from_slice(&answer.body).map_err(|_| "the answer is no JSON".into())
}

fn has_keys(answer: &Answer, keys: &[&str]) -> Result<(), String> {
    let body = whole(answer)?;
    match keys.iter().find(|key| body.get(**key).is_none()) {
        None => Ok(()),
        Some(key) => Err(format!("the answer has no `{key}`")),
    }
}

fn error_shape(answer: &Answer) -> Result<(), String> {
    if !(400..500).contains(&answer.status) {
        return Err(format!("the status is {}, not one of a wrong request", answer.status));
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match body.get("error") {
        Some(Value::String(text)) if !text.is_empty() => Ok(()),
        Some(_) => Err("`error` is no text".into()),
        None => Err("the body has no `error`".into()),
    }
}

/// The outputs of an answer, raw or not.
pub(super) fn outputs(answer: &Answer) -> Result<Vec<Tensor>, String> {
    status(answer, 200)?;
    let json_bytes = match answer.header(HEADER_LENGTH) {
        None => answer.body.len(),
        Some(text) => text.parse().map_err(|_| "the length of the JSON is no number")?,
    };
    let (json, raws) = answer
        .body
        .split_at_checked(json_bytes)
        .ok_or("the length of the JSON passes the end of the body")?;
    let mut value: Value =
        serde_json::from_slice(json).map_err(|_| "the answer is no JSON".to_owned())?;
    // An answer's outputs are written as a request's inputs are, and read by the same reader.
    let body = json!({ "inputs": value["outputs"].take() }).to_string().into_bytes();
    let limits = Limits::default();
    let read = if raws.is_empty() {
        parse_infer(&body, &limits)
    } else {
        parse_infer_binary(&[body.as_slice(), raws].concat(), body.len(), &limits)
    };
    read.map(|read| read.inputs).map_err(|error| format!("the outputs cannot be read: {error}"))
}

fn raw_and_same_bits(subject: &Subject, answer: &Answer) -> Result<(), String> {
    status(answer, 200)?;
    if answer.header(HEADER_LENGTH).is_none() {
        return Err(format!("the answer is all JSON: it has no header `{HEADER_LENGTH}`"));
    }
    same_bits(subject, answer)
}

fn same_bits(subject: &Subject, answer: &Answer) -> Result<(), String> {
    same(subject, &outputs(answer)?)
}

/// Whether `outputs` are those of the plain answer: names, types, shapes, bits.
pub(super) fn same(subject: &Subject, outputs: &[Tensor]) -> Result<(), String> {
    for expected in &subject.outputs {
        let name = expected.name();
        let Some(found) = outputs.iter().find(|output| output.name() == name) else {
            return Err(format!("output `{name}` is missing"));
        };
        if (found.datatype(), found.shape()) != (expected.datatype(), expected.shape()) {
            return Err(format!("output `{name}` has another type or shape than in JSON"));
        }
        let bits = |tensor: &Tensor| {
            let mut bytes = Vec::new();
            raw::write(tensor.values(), &mut bytes);
            bytes
        };
        if bits(found) != bits(expected) {
            return Err(format!("output `{name}` has other bits than in JSON"));
        }
    }
    Ok(())
}

/// A row of ones for each input of a model's metadata.
pub(super) fn inputs_of(metadata: &[u8]) -> Result<Vec<Tensor>, String> {
    let metadata: Value =
        serde_json::from_slice(metadata).map_err(|_| "the model's metadata is no JSON")?;
    let inputs = metadata["inputs"].as_array().ok_or("the model's metadata names no inputs")?;
    inputs.iter().map(ones).collect()
}

fn ones(input: &Value) -> Result<Tensor, String> {
    let name = input["name"].as_str().ok_or("an input has no name")?;
    let datatype: Datatype =
        input["datatype"].as_str().and_then(|text| text.parse().ok()).ok_or("an unknown type")?;
    let dims = input["shape"].as_array().ok_or("an input has no shape")?;
    let shape: Vec<u64> =
        dims.iter().map(|dim| dim.as_u64().filter(|dim| 0 < *dim).unwrap_or(1)).collect();
    let n = bartizan_core::tensor::element_count(&shape).map_err(|error| error.to_string())?;
    let values = match datatype {
        Datatype::Bool => Values::Bool(vec![true; n]),
        Datatype::Uint8 => Values::Uint8(vec![1; n]),
        Datatype::Uint16 => Values::Uint16(vec![1; n]),
        Datatype::Uint32 => Values::Uint32(vec![1; n]),
        Datatype::Uint64 => Values::Uint64(vec![1; n]),
        Datatype::Int8 => Values::Int8(vec![1; n]),
        Datatype::Int16 => Values::Int16(vec![1; n]),
        Datatype::Int32 => Values::Int32(vec![1; n]),
        Datatype::Int64 => Values::Int64(vec![1; n]),
        Datatype::Fp16 => Values::Fp16(vec![0x3c00; n]),
        Datatype::Bf16 => Values::Bf16(vec![0x3f80; n]),
        Datatype::Fp32 => Values::Fp32(vec![1.0; n]),
        Datatype::Fp64 => Values::Fp64(vec![1.0; n]),
        Datatype::Bytes => Values::Bytes(vec![b"1".to_vec(); n]),
    };
    Tensor::new(name, shape, values).map_err(|error| error.to_string())
}
