//! Reading the zoo: a model, its inputs, what onnxruntime and the original library answer.

use std::path::{Path, PathBuf};

use bartizan_core::{Tensor, Values};
use serde_json::Value;

/// One model kind.
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) expected: Vec<Tensor>,
    /// `None` where the library has no such answer.
    pub(crate) original: Vec<Option<Tensor>>,
}

/// The folder of the committed files.
pub(crate) fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/zoo/data")
}

/// All kinds of a folder, by name.
pub(crate) fn kinds(folder: &Path) -> Vec<Kind> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned))
        .collect();
    names.sort();
    names.into_iter().map(|name| kind(folder, name)).collect()
}

fn kind(folder: &Path, name: String) -> Kind {
    let bytes = std::fs::read(folder.join(format!("{name}.onnx"))).unwrap();
    let text = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
    let content: Value = serde_json::from_slice(&text).unwrap();
    let list = |key: &str| -> Vec<Option<Tensor>> {
        content[key].as_array().unwrap().iter().map(tensor).collect()
    };
    let all = |key: &str| list(key).into_iter().map(Option::unwrap).collect();
    Kind {
        inputs: all("inputs"),
        expected: all("expected"),
        original: list("original"),
        name,
        bytes,
    }
}

fn tensor(value: &Value) -> Option<Tensor> {
    let name = value["name"].as_str()?;
    let shape = value["shape"].as_array()?.iter().map(|dim| dim.as_u64().unwrap()).collect();
    let data = value["data"].as_array()?;
    let number = |value: &Value| match value {
        Value::Null => f64::NAN,
        Value::String(text) => text.parse().unwrap(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.as_f64().unwrap()
        }
    };
    let int = |value: &Value| value.as_i64().unwrap();
    let values = match value["datatype"].as_str()? {
        "FP32" => Values::Fp32(data.iter().map(|value| number(value) as f32).collect()),
        "FP64" => Values::Fp64(data.iter().map(number).collect()),
        "INT64" => Values::Int64(data.iter().map(int).collect()),
        "INT32" => Values::Int32(data.iter().map(|value| int(value) as i32).collect()),
        "UINT8" => Values::Uint8(data.iter().map(|value| int(value) as u8).collect()),
        "BOOL" => Values::Bool(data.iter().map(|value| value.as_bool().unwrap()).collect()),
        "BYTES" => Values::Bytes(data.iter().map(|value| value.as_str().unwrap().into()).collect()),
        other => panic!("{name} is {other}"),
    };
    Some(Tensor::new(name, shape, values).unwrap())
}
