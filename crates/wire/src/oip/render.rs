//! Replies and errors, to their bytes.

use bartizan_core::{Datatype, ModelName, Refusal, RefusalCode, Tensor, Values, half};

use crate::error::WireError;
use crate::raw;
use crate::request::{BinaryWish, InferReply, ParameterValue};

/// Appends `reply` as the protocol's JSON to `out`. Numbers are the shortest that read back to
/// the same bits; NaN and infinities are `null`. Takes no memory but what `out` grows by.
///
/// # Errors
/// [`RefusalCode::Internal`] where a `BYTES` output is not UTF-8; `out` is then as it was.
pub fn render_infer(reply: &InferReply<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    let written = write_reply(reply, None, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends `reply` as JSON and, behind it, the outputs that `wish` is for as raw bytes: the
/// binary tensor extension. Gives the length of the JSON in bytes, `None` where all is JSON.
///
/// # Errors
/// As [`render_infer`].
pub fn render_infer_binary(
    reply: &InferReply<'_>,
    wish: &BinaryWish,
    out: &mut Vec<u8>,
) -> Result<Option<usize>, WireError> {
    if !reply.outputs.iter().any(|output| wish.is_for(output.name())) {
        return render_infer(reply, out).map(|()| None);
    }
    let start = out.len();
    if let Err(error) = write_reply(reply, Some(wish), out) {
        out.truncate(start);
        return Err(error);
    }
    let json_bytes = out.len().saturating_sub(start);
    for output in reply.outputs.iter().filter(|output| wish.is_for(output.name())) {
        raw::write(output.values(), out);
    }
    Ok(Some(json_bytes))
}

fn write_reply(
    reply: &InferReply<'_>,
    wish: Option<&BinaryWish>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    out.extend_from_slice(b"{\"model_name\":");
    text(reply.model.as_str(), out);
    out.extend_from_slice(b",\"model_version\":\"");
    out.extend_from_slice(itoa::Buffer::new().format(reply.version.0.get()).as_bytes());
    out.push(b'"');
    if let Some(id) = reply.id {
        out.extend_from_slice(b",\"id\":");
        text(id, out);
    }
    if !reply.parameters.is_empty() {
        out.extend_from_slice(b",\"parameters\":{");
        for (n, (name, value)) in reply.parameters.iter().enumerate() {
            separate(n, out);
            text(name, out);
            out.push(b':');
            match value {
                ParameterValue::Bool(value) => boolean(*value, out),
                ParameterValue::Int(value) => {
                    out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
                }
                ParameterValue::Text(value) => text(value, out),
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b",\"outputs\":[");
    for (n, output) in reply.outputs.iter().enumerate() {
        separate(n, out);
        match wish {
            Some(wish) if wish.is_for(output.name()) => raw_tensor(output, out),
            _ => tensor(output, out)?,
        }
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// Appends a request for the answer to `inputs` to `out`: what a client sends. As
/// [`render_infer`], a NaN is `null`, which is read as a missing value.
///
/// # Errors
/// [`RefusalCode::Internal`] where a `BYTES` input is not UTF-8; `out` is then as it was.
pub fn render_request(inputs: &[Tensor], out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    out.extend_from_slice(b"{\"inputs\":[");
    for (n, input) in inputs.iter().enumerate() {
        separate(n, out);
        if let Err(error) = tensor(input, out) {
            out.truncate(start);
            return Err(error);
        }
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// Appends a request for raw outputs with raw `inputs` to `out`, and gives the length of its JSON,
/// which the header [`super::HEADER_LENGTH`] must say.
pub fn render_request_raw(inputs: &[Tensor], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(b"{\"parameters\":{\"binary_data_output\":true},\"inputs\":[");
    for (n, input) in inputs.iter().enumerate() {
        separate(n, out);
        out.extend_from_slice(b"{\"name\":");
        text(input.name(), out);
        out.extend_from_slice(b",\"datatype\":");
        text(input.datatype().as_str(), out);
        out.extend_from_slice(b",\"shape\":[");
        for (dim_idx, dim) in input.shape().iter().enumerate() {
            separate(dim_idx, out);
            out.extend_from_slice(itoa::Buffer::new().format(*dim).as_bytes());
        }
        out.extend_from_slice(b"],\"parameters\":{\"binary_data_size\":");
        out.extend_from_slice(itoa::Buffer::new().format(raw::len(input.values())).as_bytes());
        out.extend_from_slice(b"}}");
    }
    out.extend_from_slice(b"]}");
    let json_bytes = out.len().saturating_sub(start);
    for input in inputs {
        raw::write(input.values(), out);
    }
    json_bytes
}

/// Path under which model `name` describes itself.
pub fn model_path(name: &ModelName) -> String {
    format!("/v2/models/{name}")
}

/// Path to which requests for model `name` are posted.
pub fn infer_path(name: &ModelName) -> String {
    format!("/v2/models/{name}/infer")
}

/// Path of the server's own description.
pub const SERVER_PATH: &str = "/v2";

/// Appends `refusal` as the protocol's error body to `out`: its sentence, its code and, where
/// there is one, the decision under which the operator finds the reason.
pub fn render_error(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":");
    text(refusal.message(), out);
    out.extend_from_slice(b",\"code\":");
    text(refusal.code.as_str(), out);
    if let Some(decision) = refusal.decision {
        out.extend_from_slice(b",\"decision\":");
        text(&decision.to_string(), out);
    }
    out.push(b'}');
}

fn tensor(tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), WireError> {
    tensor_head(tensor, out);
    out.extend_from_slice(b",\"data\":[");
    data(tensor, out)?;
    out.extend_from_slice(b"]}");
    Ok(())
}

/// A tensor whose values follow behind the JSON.
fn raw_tensor(tensor: &Tensor, out: &mut Vec<u8>) {
    tensor_head(tensor, out);
    out.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
    let n_bytes = raw::len(tensor.values());
    out.extend_from_slice(itoa::Buffer::new().format(n_bytes).as_bytes());
    out.extend_from_slice(b"}}");
}

fn tensor_head(tensor: &Tensor, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"name\":");
    text(tensor.name(), out);
    out.extend_from_slice(b",\"datatype\":");
    text(tensor.datatype().as_str(), out);
    out.extend_from_slice(b",\"shape\":[");
    for (n, dim) in tensor.shape().iter().enumerate() {
        separate(n, out);
        out.extend_from_slice(itoa::Buffer::new().format(*dim).as_bytes());
    }
    out.push(b']');
}

fn data(tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), WireError> {
    match tensor.values() {
        Values::Bool(values) => each(values, out, |value, out| boolean(*value, out)),
        Values::Uint8(values) => integers(values, out),
        Values::Uint16(values) => integers(values, out),
        Values::Uint32(values) => integers(values, out),
        Values::Uint64(values) => integers(values, out),
        Values::Int8(values) => integers(values, out),
        Values::Int16(values) => integers(values, out),
        Values::Int32(values) => integers(values, out),
        Values::Int64(values) => integers(values, out),
        Values::Fp16(values) => each(values, out, |bits, out| float(half::fp16_to_f32(*bits), out)),
        Values::Bf16(values) => each(values, out, |bits, out| float(half::bf16_to_f32(*bits), out)),
        Values::Fp32(values) => each(values, out, |value, out| float(*value, out)),
        Values::Fp64(values) => each(values, out, |value, out| double(*value, out)),
        Values::Bytes(values) => {
            for (n, value) in values.iter().enumerate() {
                separate(n, out);
                text(std::str::from_utf8(value).map_err(|_| no_text(tensor))?, out);
            }
        }
    }
    Ok(())
}

#[cold]
fn no_text(tensor: &Tensor) -> WireError {
    let message = format!(
        "output `{}` holds {} that are not UTF-8, which JSON cannot carry",
        tensor.name(),
        Datatype::Bytes
    );
    WireError { code: RefusalCode::Internal, message }
}

fn separate(n: usize, out: &mut Vec<u8>) {
    if 0 < n {
        out.push(b',');
    }
}

fn each<T>(values: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    for (n, value) in values.iter().enumerate() {
        separate(n, out);
        write(value, out);
    }
}

fn integers<T: itoa::Integer + Copy>(values: &[T], out: &mut Vec<u8>) {
    each(values, out, |value, out| {
        out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
    });
}

/// Appends `value`; NaN and infinities are `null`.
pub(crate) fn float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends `value`; NaN and infinities are `null`.
pub(crate) fn double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

fn boolean(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends `value` as a JSON text.
pub(crate) fn text(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            _ => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                out.extend_from_slice(b"\\u00");
                for nibble in [byte >> 4, byte & 15] {
                    out.push(u8::try_from(digit(nibble)).unwrap_or(b'0'));
                }
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests;
