//! Tensors as JSON and as short text.

use std::fmt::Display;

use bartizan_core::half::{bf16_to_f32, fp16_to_f32};
use bartizan_core::{Tensor, Values};
use serde_json::{Value, json};

/// Most values of a tensor that a text shows.
const SHOWN_MAX: usize = 16;

/// Name, datatype, shape and all values. What JSON has no number for (NaN, infinities) is a
/// text; bytes that are no UTF-8 are hexadecimal text.
pub(crate) fn json(tensor: &Tensor) -> Value {
    let data: Vec<Value> = (0..tensor.values().len()).map(|idx| value(tensor, idx)).collect();
    json!({
        "name": tensor.name(),
        "datatype": tensor.datatype(),
        "shape": tensor.shape(),
        "data": data,
    })
}

/// `probs FP32 [1, 2]: 0.25, 0.75`, the first [`SHOWN_MAX`] values.
pub(crate) fn text(tensor: &Tensor) -> String {
    let len = tensor.values().len();
    let shown: Vec<String> = (0..len.min(SHOWN_MAX))
        .map(|idx| {
            let value = value(tensor, idx);
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect();
    let more =
        if SHOWN_MAX < len { format!(", and {} more", len - SHOWN_MAX) } else { String::new() };
    let (name, datatype, shape) = (tensor.name(), tensor.datatype(), tensor.shape());
    format!("{name} {datatype} {shape:?}: {}{more}", shown.join(", "))
}

/// A number by its shortest text, which reads back as the same number.
fn number(number: impl Display) -> Value {
    let text = number.to_string();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn value(tensor: &Tensor, idx: usize) -> Value {
    match tensor.values() {
        Values::Bool(v) => json!(v[idx]),
        Values::Uint8(v) => json!(v[idx]),
        Values::Uint16(v) => json!(v[idx]),
        Values::Uint32(v) => json!(v[idx]),
        Values::Uint64(v) => json!(v[idx]),
        Values::Int8(v) => json!(v[idx]),
        Values::Int16(v) => json!(v[idx]),
        Values::Int32(v) => json!(v[idx]),
        Values::Int64(v) => json!(v[idx]),
        Values::Fp16(v) => number(fp16_to_f32(v[idx])),
        Values::Bf16(v) => number(bf16_to_f32(v[idx])),
        Values::Fp32(v) => number(v[idx]),
        Values::Fp64(v) => number(v[idx]),
        Values::Bytes(v) => match std::str::from_utf8(&v[idx]) {
            Ok(text) => json!(text),
            Err(_) => json!(bartizan_core::digest::hex(&v[idx])),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_shortest_text() {
        let tensor = Tensor::new("p", vec![4], Values::Fp32(vec![0.1, 1.0, f32::NAN, -2.5e-8]));
        let tensor = tensor.unwrap();
        assert_eq!(text(&tensor), "p FP32 [4]: 0.1, 1, NaN, -2.5e-8");
        assert_eq!(json(&tensor)["data"][2], "NaN");
        let bytes = Values::Bytes(vec![b"cat".to_vec(), vec![0xff]]);
        let tensor = Tensor::new("b", vec![2], bytes).unwrap();
        assert_eq!(json(&tensor)["data"], json!(["cat", "ff"]));
        let many = Tensor::new("m", vec![17], Values::Int64(vec![1; 17])).unwrap();
        assert!(text(&many).ends_with("1, and 1 more"));
    }
}
