//! An inference request, from its bytes.

use std::borrow::Cow;

use bartizan_core::{Datatype, RefusalCode, Tensor, Values, limits};

use super::binary::{self, RawInput};
use super::data;
use crate::error::{Fault, Parsed, WireError};
use crate::json::Reader;
use crate::request::{Asserted, BinaryWish, InferRequest, Limits};
use crate::upstream::Told;

/// Longest name of a tensor, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest id of a request, in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// What the parameters that are ours begin with.
const OURS: &str = "bartizan-";

/// Reads the body of an inference request (`POST /v2/models/{model}/infer`).
///
/// One pass; a tensor whose `data` stands before its `shape` or `datatype` takes two. Takes
/// memory for names, shapes and values only: see the module.
///
/// # Errors
/// [`WireError`] with [`RefusalCode::Malformed`], [`RefusalCode::TooLarge`] or
/// [`RefusalCode::Unsupported`] for the first thing that is wrong.
pub fn parse_infer(body: &[u8], limits: &Limits) -> Result<InferRequest, WireError> {
    Ok(parse(body, None, limits)?)
}

/// Reads a body whose first `json_bytes` are JSON, and the rest raw tensors in the order of the
/// inputs that say so: the binary tensor extension.
///
/// # Errors
/// As [`parse_infer`]; also where the sizes that the inputs claim are not exactly what follows.
pub fn parse_infer_binary(
    body: &[u8],
    json_bytes: usize,
    limits: &Limits,
) -> Result<InferRequest, WireError> {
    Ok(parse(body, Some(json_bytes), limits)?)
}

fn parse(body: &[u8], json_bytes: Option<usize>, limits: &Limits) -> Parsed<InferRequest> {
    let limit = limits.body_bytes_max;
    if limit < body.len() {
        let what = format!(
            "the body has {} bytes, limit is {limit}; send fewer rows at a time",
            body.len()
        );
        return Err(Fault::new(RefusalCode::TooLarge, what));
    }
    if body.is_empty() {
        let what = "the body is empty; send a JSON object with `inputs`";
        return Err(Fault::new(RefusalCode::Malformed, what));
    }
    let (json, raw) = match json_bytes {
        None => (body, None),
        Some(json_bytes) => {
            let (json, raw) = binary::split(body, json_bytes)?;
            (json, Some(raw))
        }
    };
    let text = std::str::from_utf8(json)
        .map_err(|error| Fault::malformed(error.valid_up_to(), "the body is not UTF-8"))?;
    let mut reader = Reader::new(text, limits.depth_max);
    let mut n_left = limits.elements_max.min(limits::ELEMENTS_MAX);
    let (mut id, mut inputs, mut outputs) = (None, None, None);
    let mut said = Parameters::default();
    let mut binary = BinaryWish::default();
    reader.object(|reader, key| {
        let read = match key {
            // Python's clients and servers say what they do not say with a `null`.
            "id" | "parameters" | "outputs" if reader.peek() == Some(b'n') => return reader.skip(),
            "id" => text_of(reader, ID_BYTES_MAX).map(|text| id = Some(text.into())),
            "parameters" => request_parameters(reader, &mut said),
            "inputs" => read_inputs(reader, &mut n_left).map(|read| inputs = Some(read)),
            "outputs" => read_outputs(reader, &mut binary.named).map(|read| outputs = Some(read)),
            _ => return reader.skip(),
        };
        read.map_err(|fault| fault.within(known(key)))
    })?;
    let is_raw = |inputs: &Vec<Input>| inputs.iter().any(|one| matches!(one, Input::Raw(_)));
    if raw.is_some() || !inputs.as_ref().is_some_and(is_raw) {
        // Else what follows is raw tensors, and what is missing is the header that says so.
        reader.finish()?;
    }
    let Some(inputs) = inputs.filter(|inputs: &Vec<Input>| !inputs.is_empty()) else {
        let what = "there are no tensors; give at least one, with name, shape, datatype and data";
        return Err(Fault::new(RefusalCode::Malformed, what).within("inputs"));
    };
    let inputs = binary::join(inputs, raw)?;
    binary.by_default = said.binary_data_output;
    Ok(InferRequest { id, inputs, outputs, asserted: said.asserted, binary })
}

/// Reads an answer of another server of the protocol, with JSON tensors.
///
/// # Errors
/// [`WireError`] for the first thing that is wrong.
pub(crate) fn parse_answer(body: &[u8], limits: &Limits) -> Result<Told, WireError> {
    parse_answer_raw(body, None, limits)
}

/// Reads an answer whose first `json_bytes` are JSON, where the header says so; raw tensors
/// follow then.
///
/// # Errors
/// [`WireError`] for the first thing that is wrong; never a value of it.
pub fn parse_answer_raw(
    body: &[u8],
    json_bytes: Option<usize>,
    limits: &Limits,
) -> Result<Told, WireError> {
    let (json, raw) = match json_bytes {
        None => (body, None),
        Some(length) => {
            let (json, raw) = binary::split(body, length)?;
            (json, Some(raw))
        }
    };
    let text = crate::table::text_of(json, limits)?;
    let mut reader = Reader::new(text, limits.depth_max);
    let mut n_left = limits.elements_max.min(limits::ELEMENTS_MAX);
    let (mut version, mut outputs) = (None, None);
    reader.object(|reader, key| match key {
        "model_version" if reader.peek() == Some(b'"') => {
            version = Some(text_of(reader, NAME_BYTES_MAX)?.into());
            Ok(())
        }
        "outputs" => {
            let read = read_inputs(reader, &mut n_left);
            outputs = Some(read.map_err(|fault| fault.within("outputs"))?);
            Ok(())
        }
        _ => reader.skip(),
    })?;
    reader.finish()?;
    let Some(outputs) = outputs else {
        let what = "there are no outputs in the answer";
        return Err(Fault::new(RefusalCode::Malformed, what).into());
    };
    Ok(Told { outputs: binary::join(outputs, raw)?, version })
}

/// Our own text of a key of the protocol, so that no error can hold a text of the body.
fn known(key: &str) -> &'static str {
    const KEYS: [&str; 7] = ["id", "parameters", "inputs", "outputs", "name", "shape", "datatype"];
    KEYS.into_iter().find(|known| *known == key).unwrap_or("data")
}

/// An input, or what says of it that its values follow behind the JSON.
pub(super) enum Input {
    Whole(Tensor),
    Raw(RawInput),
}

fn read_inputs(reader: &mut Reader<'_>, n_left: &mut usize) -> Parsed<Vec<Input>> {
    let mut inputs = Vec::new();
    reader.list(|reader, item_idx| {
        check_count(item_idx)?;
        inputs.push(read_input(reader, n_left)?);
        Ok(())
    })?;
    Ok(inputs)
}

fn check_count(item_idx: usize) -> Parsed<()> {
    if item_idx < limits::TENSORS_MAX {
        return Ok(());
    }
    let what = format!("a request has at most {} of these", limits::TENSORS_MAX);
    Err(Fault::new(RefusalCode::TooLarge, what))
}

/// What is known of a tensor while its object is read.
#[derive(Default)]
struct Draft<'b> {
    name: Option<Cow<'b, str>>,
    datatype: Option<Datatype>,
    shape: Option<Vec<u64>>,
    /// Where `data` begins, if it came before what it is read by.
    data_at: Option<usize>,
    values: Option<Values>,
    /// Length of the values behind the JSON, in bytes.
    raw_bytes: Option<usize>,
}

impl Draft<'_> {
    /// Reads `data`, which is next, if type and shape are known.
    fn read_data(&mut self, reader: &mut Reader<'_>, n_left: &mut usize) -> Parsed<bool> {
        let (Some(datatype), Some(shape)) = (self.datatype, &self.shape) else {
            return Ok(false);
        };
        let n_values = data::count(shape, n_left)?;
        let values = data::read(reader, datatype, shape, n_values);
        self.values = Some(values.map_err(|fault| fault.within("data"))?);
        Ok(true)
    }
}

fn read_input(reader: &mut Reader<'_>, n_left: &mut usize) -> Parsed<Input> {
    let mut draft = Draft::default();
    reader.object(|reader, key| {
        let read = match key {
            "name" => text_of(reader, NAME_BYTES_MAX).map(|name| draft.name = Some(name)),
            "datatype" => read_datatype(reader).map(|read| draft.datatype = Some(read)),
            "shape" => read_shape(reader).map(|shape| draft.shape = Some(shape)),
            "parameters" if reader.peek() == Some(b'n') => return reader.skip(),
            "parameters" => tensor_parameters(reader, Side::Input)
                .map(|read| draft.raw_bytes = read.binary_data_size),
            "data" => {
                reader.peek();
                let at = reader.at();
                if draft.read_data(reader, n_left)? {
                    return Ok(());
                }
                draft.data_at = Some(at);
                reader.skip()
            }
            _ => return reader.skip(),
        };
        read.map_err(|fault| fault.within(known(key)))
    })?;
    let missing = |field: &str, remedy: &'static str| {
        Fault::new(RefusalCode::Malformed, remedy).within(field)
    };
    if draft.name.is_none() {
        return Err(missing("name", "it is missing; name an input of the model"));
    }
    if draft.datatype.is_none() {
        return Err(missing(
            "datatype",
            "it is missing; give the type of the data, as in \"FP32\"",
        ));
    }
    if draft.shape.is_none() {
        return Err(missing("shape", "it is missing; give the dimensions, as in [1, 30]"));
    }
    if let Some(n_bytes) = draft.raw_bytes {
        return raw_input(draft, n_bytes, n_left);
    }
    if let Some(at) = draft.data_at {
        draft.read_data(&mut reader.back_at(at), n_left)?;
    }
    let (Some(name), Some(shape), Some(values)) = (draft.name, draft.shape, draft.values) else {
        return Err(missing("data", "it is missing; give the values in one list"));
    };
    let tensor = Tensor::new(name, shape, values)
        .map_err(|error| Fault::new(RefusalCode::Malformed, error.to_string()))?;
    Ok(Input::Whole(tensor))
}

/// An input whose values follow behind the JSON.
fn raw_input(draft: Draft<'_>, n_bytes: usize, n_left: &mut usize) -> Parsed<Input> {
    let (Some(name), Some(datatype), Some(shape)) = (draft.name, draft.datatype, draft.shape)
    else {
        return Err(Fault::new(RefusalCode::Malformed, "it lacks a name, a type or a shape"));
    };
    if draft.values.is_some() || draft.data_at.is_some() {
        let what = "an input has `data` or `binary_data_size`, not both; leave one out";
        return Err(Fault::new(RefusalCode::Malformed, what).within("data"));
    }
    let n_values = data::count(&shape, n_left)?;
    Ok(Input::Raw(RawInput { name: name.into(), datatype, shape, n_values, n_bytes }))
}

fn read_datatype(reader: &mut Reader<'_>) -> Parsed<Datatype> {
    let at = reader.at();
    let text = reader.string()?;
    text.parse().map_err(|error: bartizan_core::tensor::DatatypeError| {
        Fault::malformed(at, error.to_string())
    })
}

fn read_shape(reader: &mut Reader<'_>) -> Parsed<Vec<u64>> {
    let mut shape = Vec::with_capacity(2);
    reader.list(|reader, item_idx| {
        if limits::DIMS_MAX <= item_idx {
            let what = format!("a tensor has at most {} dimensions", limits::DIMS_MAX);
            return Err(Fault::new(RefusalCode::TooLarge, what));
        }
        shape.push(data::dim(reader)?);
        Ok(())
    })?;
    Ok(shape)
}

fn read_outputs(
    reader: &mut Reader<'_>,
    binary: &mut Vec<(Box<str>, bool)>,
) -> Parsed<Vec<Box<str>>> {
    let mut names: Vec<Box<str>> = Vec::new();
    reader.list(|reader, item_idx| {
        check_count(item_idx)?;
        let (mut name, mut is_binary) = (None, None);
        reader.object(|reader, key| {
            let read = match key {
                "name" => text_of(reader, NAME_BYTES_MAX).map(|text| name = Some(text)),
                "parameters" if reader.peek() == Some(b'n') => return reader.skip(),
                "parameters" => {
                    tensor_parameters(reader, Side::Output).map(|read| is_binary = read.binary_data)
                }
                _ => return reader.skip(),
            };
            read.map_err(|fault| fault.within(known(key)))
        })?;
        let Some(name) = name else {
            let what = "it is missing; name an output of the model";
            return Err(Fault::new(RefusalCode::Malformed, what).within("name"));
        };
        if names.iter().any(|other| **other == *name) {
            let what = "an output is asked for twice";
            return Err(Fault::new(RefusalCode::Malformed, what).within("name"));
        }
        if let Some(is_binary) = is_binary {
            binary.push((name.as_ref().into(), is_binary));
        }
        names.push(name.into());
        Ok(())
    })?;
    Ok(names)
}

/// Whose parameters are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

/// What the parameters of a tensor say to us.
#[derive(Default)]
struct TensorParameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
}

/// Parameters of a tensor: those that would change what the data or the answer is and that we do
/// not know are refused, others say nothing to us.
fn tensor_parameters(reader: &mut Reader<'_>, side: Side) -> Parsed<TensorParameters> {
    let mut read = TensorParameters::default();
    reader.object(|reader, key| {
        let unsupported = match (key, side) {
            ("binary_data_size", Side::Input) => {
                let size = binary::size(reader).map_err(|fault| fault.within("binary_data_size"));
                read.binary_data_size = Some(size?);
                return Ok(());
            }
            ("binary_data", Side::Output) => {
                let wish = reader.boolean().map_err(|fault| fault.within("binary_data"));
                read.binary_data = Some(wish?);
                return Ok(());
            }
            ("shared_memory_region" | "shared_memory_offset" | "shared_memory_byte_size", _) => {
                "shared memory is not supported; send and take values in the body"
            }
            ("classification", Side::Output) => {
                "`classification` is not supported; sort the scores of the output yourself"
            }
            _ if key.starts_with(OURS) => {
                let what = "`bartizan-` parameters belong to the request, not to a tensor";
                return Err(Fault::new(RefusalCode::Malformed, what));
            }
            _ => return reader.skip(),
        };
        Err(Fault::new(RefusalCode::Unsupported, unsupported))
    })?;
    Ok(read)
}

/// What the parameters of a request say to us.
#[derive(Default)]
struct Parameters {
    asserted: Asserted,
    binary_data_output: bool,
}

fn request_parameters(reader: &mut Reader<'_>, said: &mut Parameters) -> Parsed<()> {
    let Parameters { asserted, binary_data_output } = said;
    reader.object(|reader, key| {
        let (place, name) = match key {
            "binary_data_output" => {
                let wish = reader.boolean().map_err(|fault| fault.within("binary_data_output"));
                *binary_data_output = wish?;
                return Ok(());
            }
            "bartizan-subject" => (&mut asserted.subject, "bartizan-subject"),
            "bartizan-end-user" => (&mut asserted.end_user, "bartizan-end-user"),
            "bartizan-purpose" => (&mut asserted.purpose, "bartizan-purpose"),
            "bartizan-correlation-id" => (&mut asserted.correlation_id, "bartizan-correlation-id"),
            _ if key.starts_with(OURS) => {
                let what = "there is no such `bartizan-` parameter; there are `bartizan-subject`, \
                            `-end-user`, `-purpose` and `-correlation-id`";
                return Err(Fault::new(RefusalCode::Malformed, what));
            }
            _ => return reader.skip(),
        };
        let text = text_of(reader, limits::ASSERTED_BYTES_MAX)
            .and_then(|text| {
                let bad = text.is_empty() || text.contains(char::is_control);
                let what = "it must be a text of at least one character and no control character";
                if bad { Err(Fault::new(RefusalCode::Malformed, what)) } else { Ok(text) }
            })
            .map_err(|fault| fault.within(name))?;
        *place = Some(text.into());
        Ok(())
    })
}

/// Reads a text of at most `bytes_max` bytes.
fn text_of<'b>(reader: &mut Reader<'b>, bytes_max: usize) -> Parsed<Cow<'b, str>> {
    let text = reader.string()?;
    if bytes_max < text.len() {
        let what = format!("the text has {} bytes, limit is {bytes_max}", text.len());
        return Err(Fault::new(RefusalCode::TooLarge, what));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
