//! The cases over gRPC.

use bartizan_core::{Tensor, Values};
use bytes::Bytes;
use prost::Message;

use super::{Answer, Case, Question, Subject, rest};
use crate::grpc::{health, pb};
use crate::raw;

const SERVICE: &str = "/inference.GRPCInferenceService";
/// Bytes in front of a message.
const PREFIX_BYTES: usize = 5;

/// See [`super::cases`].
pub(super) const CASES: &[Case] = &[
    Case {
        id: "grpc-live",
        asks: "ServerLive says that it lives",
        sees: "`is_server_live` is false or fails",
        question: |_| call("ServerLive", &pb::ServerLiveRequest {}),
        check: |_, answer| match message::<pb::ServerLiveResponse>(answer)?.live {
            true => Ok(()),
            false => Err("it says that it does not".into()),
        },
    },
    Case {
        id: "grpc-ready",
        asks: "ServerReady says that it is ready",
        sees: "`is_server_ready` is false or fails",
        question: |_| call("ServerReady", &pb::ServerReadyRequest {}),
        check: |_, answer| match message::<pb::ServerReadyResponse>(answer)?.ready {
            true => Ok(()),
            false => Err("it says that it is not".into()),
        },
    },
    Case {
        id: "grpc-model-metadata",
        asks: "ModelMetadata names inputs and outputs",
        sees: "`get_model_metadata` fails or is empty",
        question: |subject| {
            let name = subject.model.clone();
            call("ModelMetadata", &pb::ModelMetadataRequest { name, version: String::new() })
        },
        check: |_, answer| {
            let told = message::<pb::ModelMetadataResponse>(answer)?;
            let is_empty = told.inputs.is_empty() || told.outputs.is_empty();
            if is_empty { Err("it names no inputs or no outputs".into()) } else { Ok(()) }
        },
    },
    Case {
        id: "grpc-raw",
        asks: "ModelInfer with raw contents answers the bits of REST",
        sees: "`tritonclient` sends raw contents: its `infer` fails or differs",
        question: |subject| call("ModelInfer", &request(subject, true)),
        check: same_bits,
    },
    Case {
        id: "grpc-typed",
        asks: "ModelInfer with typed contents answers the bits of REST",
        sees: "clients in other languages send typed contents: they fail or differ",
        question: |subject| call("ModelInfer", &request(subject, false)),
        check: same_bits,
    },
    Case {
        id: "grpc-mixed",
        asks: "raw and typed contents together are INVALID_ARGUMENT",
        sees: "nobody knows which of the two was answered",
        question: |subject| {
            let mut mixed = request(subject, false);
            mixed.raw_input_contents = raws(&subject.inputs);
            call("ModelInfer", &mixed)
        },
        check: |_, answer| match grpc_status(answer)? {
            3 => Ok(()),
            status => Err(format!("the status is {status}")),
        },
    },
    Case {
        id: "grpc-unknown-model",
        asks: "a model that is not there is NOT_FOUND, or INVALID_ARGUMENT as Triton says it",
        sees: "an error that clients try again, or none",
        question: |_| {
            let name = "no-such-model-anywhere".to_owned();
            call("ModelMetadata", &pb::ModelMetadataRequest { name, version: String::new() })
        },
        check: |_, answer| match grpc_status(answer)? {
            3 | 5 => Ok(()),
            status => Err(format!("the status is {status}")),
        },
    },
    Case {
        id: "grpc-health",
        asks: "the standard health service says SERVING",
        sees: "Kubernetes' gRPC probes and load balancers take the server for dead",
        question: |_| {
            let asked = health::HealthCheckRequest { service: String::new() };
            let mut question = call("", &asked);
            question.path = "/grpc.health.v1.Health/Check".into();
            question
        },
        check: |_, answer| {
            let told = message::<health::HealthCheckResponse>(answer)?;
            let status = told.status();
            if status == health::health_check_response::ServingStatus::Serving {
                Ok(())
            } else {
                Err(format!("it says {}", status.as_str_name()))
            }
        },
    },
];

fn call(method: &str, message: &impl Message) -> Question {
    let message = message.encode_to_vec();
    let mut body = vec![0];
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(&message);
    let headers =
        vec![("content-type", "application/grpc".to_owned()), ("te", "trailers".to_owned())];
    Question { method: "POST", path: format!("{SERVICE}/{method}"), headers, body, is_grpc: true }
}

fn grpc_status(answer: &Answer) -> Result<u32, String> {
    if answer.status != 200 {
        return Err(format!("HTTP's status is {}", answer.status));
    }
    let status = answer.header("grpc-status").ok_or("there is no `grpc-status`")?;
    status.parse().map_err(|_| "`grpc-status` is no number".into())
}

fn message<M: Message + Default>(answer: &Answer) -> Result<M, String> {
    match grpc_status(answer)? {
        0 => {}
        status => return Err(format!("the status is {status}")),
    }
    let message = answer.body.get(PREFIX_BYTES..).ok_or("there is no message")?;
    M::decode(message).map_err(|_| "the message cannot be read".into())
}

fn raws(inputs: &[Tensor]) -> Vec<Bytes> {
    let raw = |input: &Tensor| {
        let mut bytes = Vec::new();
        raw::write(input.values(), &mut bytes);
        bytes.into()
    };
    inputs.iter().map(raw).collect()
}

fn request(subject: &Subject, is_raw: bool) -> pb::ModelInferRequest {
    let inputs = subject.inputs.iter().map(|input| pb::model_infer_request::InferInputTensor {
        name: input.name().to_owned(),
        datatype: input.datatype().as_str().to_owned(),
        shape: input.shape().iter().filter_map(|dim| i64::try_from(*dim).ok()).collect(),
        contents: (!is_raw).then(|| crate::grpc::contents_of(input.values())),
        ..Default::default()
    });
    pb::ModelInferRequest {
        model_name: subject.model.clone(),
        inputs: inputs.collect(),
        raw_input_contents: if is_raw { raws(&subject.inputs) } else { Vec::new() },
        ..Default::default()
    }
}

fn same_bits(subject: &Subject, answer: &Answer) -> Result<(), String> {
    let told = message::<pb::ModelInferResponse>(answer)?;
    let mut outputs = Vec::new();
    for (n, output) in told.outputs.iter().enumerate() {
        let unread = |error: String| format!("an output cannot be read: {error}");
        let datatype = output.datatype.parse().map_err(|_| unread("an unknown type".into()))?;
        let shape: Vec<u64> =
            output.shape.iter().filter_map(|dim| u64::try_from(*dim).ok()).collect();
        let n_values =
            bartizan_core::tensor::element_count(&shape).map_err(|e| unread(e.to_string()))?;
        let values: Values = match (told.raw_output_contents.get(n), &output.contents) {
            (Some(bytes), _) => crate::grpc::values_of_raw(datatype, n_values, bytes),
            (None, Some(typed)) => {
                crate::grpc::values_of_typed(datatype, n_values, &typed.encode_to_vec())
            }
            (None, None) => return Err("an output has no contents".into()),
        }
        .map_err(|error| unread(error.to_string()))?;
        let tensor = Tensor::new(output.name.as_str(), shape, values);
        outputs.push(tensor.map_err(|error| unread(error.to_string()))?);
    }
    rest::same(subject, &outputs)
}
