//! Answers, to their messages.

use bartizan_core::{Datatype, Tensor, Values};
use bytes::Bytes;
use prost::Message;

use super::pb;
use crate::raw;
use crate::request::{InferReply, ParameterValue};

/// Bytes in front of a message: whether it is compressed, and its length (gRPC over HTTP2,
/// "Length-Prefixed-Message").
const PREFIX_BYTES: usize = 5;

/// The `ModelInferResponse` that says `reply`: raw where `is_raw`, or where an output cannot be
/// said otherwise.
pub fn render_infer(reply: &InferReply<'_>, is_raw: bool) -> Vec<u8> {
    let needs_raw = |output: &Tensor| matches!(output.datatype(), Datatype::Fp16 | Datatype::Bf16);
    let is_raw = is_raw || reply.outputs.iter().any(needs_raw);
    let outputs = reply.outputs.iter().map(|output| pb::model_infer_response::InferOutputTensor {
        name: output.name().into(),
        datatype: output.datatype().as_str().into(),
        shape: output.shape().iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect(),
        contents: (!is_raw).then(|| contents(output.values())),
        ..Default::default()
    });
    let raws = reply.outputs.iter().filter(|_| is_raw).map(|output| {
        let mut bytes = Vec::new();
        raw::write(output.values(), &mut bytes);
        Bytes::from(bytes)
    });
    let message = pb::ModelInferResponse {
        model_name: reply.model.as_str().into(),
        model_version: reply.version.to_string(),
        id: reply.id.unwrap_or_default().into(),
        parameters: reply
            .parameters
            .iter()
            .map(|(name, value)| ((*name).into(), parameter(*value)))
            .collect(),
        outputs: outputs.collect(),
        raw_output_contents: raws.collect(),
    };
    message.encode_to_vec()
}

fn parameter(value: ParameterValue<'_>) -> pb::InferParameter {
    use pb::infer_parameter::ParameterChoice;
    pb::InferParameter {
        parameter_choice: Some(match value {
            ParameterValue::Bool(value) => ParameterChoice::BoolParam(value),
            ParameterValue::Int(value) => ParameterChoice::Int64Param(value),
            ParameterValue::Text(value) => ParameterChoice::StringParam(value.into()),
        }),
    }
}

pub(crate) fn contents(values: &Values) -> pb::InferTensorContents {
    let mut out = pb::InferTensorContents::default();
    match values {
        Values::Bool(v) => out.bool_contents.clone_from(v),
        Values::Int8(v) => out.int_contents = v.iter().map(|x| i32::from(*x)).collect(),
        Values::Int16(v) => out.int_contents = v.iter().map(|x| i32::from(*x)).collect(),
        Values::Int32(v) => out.int_contents.clone_from(v),
        Values::Int64(v) => out.int64_contents.clone_from(v),
        Values::Uint8(v) => out.uint_contents = v.iter().map(|x| u32::from(*x)).collect(),
        Values::Uint16(v) => out.uint_contents = v.iter().map(|x| u32::from(*x)).collect(),
        Values::Uint32(v) => out.uint_contents.clone_from(v),
        Values::Uint64(v) => out.uint64_contents.clone_from(v),
        Values::Fp32(v) => out.fp32_contents.clone_from(v),
        Values::Fp64(v) => out.fp64_contents.clone_from(v),
        Values::Bytes(v) => {
            out.bytes_contents = v.iter().map(|item| Bytes::copy_from_slice(item)).collect();
        }
        // Their tensors are given raw.
        Values::Fp16(_) | Values::Bf16(_) => {}
    }
    out
}

/// The `ModelStreamInferResponse` that holds `response`, a whole `ModelInferResponse`, and gives
/// it `parameters` more. They are appended to its bytes, which Protocol Buffers read as one
/// message: the bytes that the record commits to are its beginning.
pub fn render_streamed(response: &[u8], parameters: &[(&str, &str)]) -> Vec<u8> {
    let more = pb::ModelInferResponse { parameters: texts(parameters), ..Default::default() };
    let whole = [response, &more.encode_to_vec()].concat();
    let mut out = Vec::with_capacity(whole.len().saturating_add(16));
    prost::encoding::bytes::encode(2, &whole, &mut out);
    out
}

/// The `ModelStreamInferResponse` that says that there is no answer to one message of a stream.
pub fn render_streamed_error(message: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
    let response = pb::ModelInferResponse { parameters: texts(parameters), ..Default::default() };
    let error_message = message.to_owned();
    pb::ModelStreamInferResponse { error_message, infer_response: Some(response) }.encode_to_vec()
}

fn texts(parameters: &[(&str, &str)]) -> std::collections::BTreeMap<String, pb::InferParameter> {
    let texts = parameters.iter();
    texts.map(|(name, text)| ((*name).to_owned(), parameter(ParameterValue::Text(text)))).collect()
}

/// Whether the message that `prefix` announces is compressed, and its length in bytes; `None`
/// for a flag that gRPC does not know.
pub fn split_message(prefix: [u8; PREFIX_BYTES]) -> Option<(bool, usize)> {
    let [flag, length @ ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    (flag <= 1).then_some((flag == 1, length))
}
