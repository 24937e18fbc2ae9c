//! A `ModelInferRequest`, from its bytes.

use bartizan_core::{Datatype, RefusalCode, Tensor, limits};

use super::contents;
use super::fields::{Fields, Payload, fault};
use crate::error::{Fault, Parsed, WireError};
use crate::oip::{ID_BYTES_MAX, NAME_BYTES_MAX, data};
use crate::raw;
use crate::request::{Asserted, BinaryWish, InferRequest, Limits};

/// Most parameters of a request or a tensor.
const PARAMETERS_MAX: usize = 64;
/// What the parameters that are ours begin with.
const OURS: &str = "bartizan-";

/// The model that a request asks, as the caller spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Target<'a> {
    /// Its name.
    pub model: &'a str,
    /// Its version; empty for the newest.
    pub version: &'a str,
}

/// A request for inference and how it holds its values.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcInfer {
    /// The request.
    pub request: InferRequest,
    /// Whether its values are in `raw_input_contents`.
    pub is_raw: bool,
}

/// The model that the `ModelInferRequest` in `message` asks. One pass over its outermost fields.
///
/// # Errors
/// [`RefusalCode::Malformed`] where the bytes are no message.
pub fn target(message: &[u8]) -> Result<Target<'_>, WireError> {
    let read = || -> Parsed<Target<'_>> {
        let mut target = Target::default();
        let mut fields = Fields::new(message);
        while let Some((number, payload)) = fields.next()? {
            match number {
                1 => target.model = text(payload, NAME_BYTES_MAX, "model_name")?,
                2 => target.version = text(payload, NAME_BYTES_MAX, "model_version")?,
                _ => {}
            }
        }
        Ok(target)
    };
    Ok(read()?)
}

/// Reads the `ModelInferRequest` in `message`. Takes memory for names, shapes and values only.
///
/// # Errors
/// [`WireError`] with [`RefusalCode::Malformed`], [`RefusalCode::TooLarge`] or
/// [`RefusalCode::Unsupported`] for the first thing that is wrong.
pub fn parse_infer(message: &[u8], limits: &Limits) -> Result<GrpcInfer, WireError> {
    Ok(parse(message, limits)?)
}

fn parse(message: &[u8], limits: &Limits) -> Parsed<GrpcInfer> {
    if limits.body_bytes_max < message.len() {
        let what = format!(
            "the message has {} bytes, limit is {}; send fewer rows at a time",
            message.len(),
            limits.body_bytes_max
        );
        return Err(Fault::new(RefusalCode::TooLarge, what));
    }
    let (mut id, mut asserted) = (None, Asserted::default());
    let (mut drafts, mut outputs, mut raws) = (Vec::new(), Vec::new(), Vec::new());
    let mut n_parameters = 0;
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            // Who is asked was read before; here it must only be a text.
            1 | 2 => {
                text(payload, NAME_BYTES_MAX, "model_name")?;
            }
            3 => id = Some(text(payload, ID_BYTES_MAX, "id")?),
            4 => {
                count(&mut n_parameters, PARAMETERS_MAX, "parameters")?;
                request_parameter(payload, &mut asserted)
                    .map_err(|fault| fault.within("parameters"))?;
            }
            5 => {
                let item_idx = drafts.len();
                check(item_idx, limits::TENSORS_MAX, "inputs")?;
                let draft = draft(payload);
                drafts.push(draft.map_err(|f| f.within_item(item_idx).within("inputs"))?);
            }
            6 => {
                let item_idx = outputs.len();
                check(item_idx, limits::TENSORS_MAX, "outputs")?;
                let name = output(payload, &outputs);
                outputs.push(name.map_err(|f| f.within_item(item_idx).within("outputs"))?);
            }
            7 => {
                check(raws.len(), limits::TENSORS_MAX, "raw_input_contents")?;
                raws.push(payload.bytes().map_err(|f| f.within("raw_input_contents"))?);
            }
            _ => {}
        }
    }
    if drafts.is_empty() {
        let what = "there are no tensors; give at least one, with name, shape, datatype and values";
        return Err(Fault::new(RefusalCode::Malformed, what).within("inputs"));
    }
    let is_raw = !raws.is_empty();
    let inputs = tensors(drafts, &raws, limits)?;
    let request = InferRequest {
        id: id.filter(|id| !id.is_empty()).map(Into::into),
        inputs,
        outputs: (!outputs.is_empty()).then_some(outputs),
        asserted,
        binary: BinaryWish::default(),
    };
    Ok(GrpcInfer { request, is_raw })
}

pub(super) fn check(n: usize, max: usize, field: &str) -> Parsed<()> {
    if n < max {
        return Ok(());
    }
    let what = format!("a request has at most {max} of these");
    Err(Fault::new(RefusalCode::TooLarge, what).within(field))
}

fn count(n: &mut usize, max: usize, field: &str) -> Parsed<()> {
    check(*n, max, field)?;
    *n = n.saturating_add(1);
    Ok(())
}

pub(super) fn text<'a>(payload: Payload<'a>, bytes_max: usize, field: &str) -> Parsed<&'a str> {
    let text = payload.text().map_err(|fault| fault.within(field))?;
    if bytes_max < text.len() {
        let what = format!("the text has {} bytes, limit is {bytes_max}", text.len());
        return Err(Fault::new(RefusalCode::TooLarge, what).within(field));
    }
    Ok(text)
}

/// An input without its values.
#[derive(Default)]
pub(super) struct Draft<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: Vec<u64>,
    contents: Option<&'a [u8]>,
}

pub(super) fn draft(payload: Payload<'_>) -> Parsed<Draft<'_>> {
    let mut draft = Draft::default();
    let mut n_parameters = 0;
    let mut fields = Fields::new(payload.bytes()?);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => draft.name = text(payload, NAME_BYTES_MAX, "name")?,
            2 => draft.datatype = text(payload, NAME_BYTES_MAX, "datatype")?,
            3 => shape(payload, &mut draft.shape).map_err(|fault| fault.within("shape"))?,
            4 => {
                count(&mut n_parameters, PARAMETERS_MAX, "parameters")?;
                tensor_parameter(payload).map_err(|fault| fault.within("parameters"))?;
            }
            5 if draft.contents.is_some() => {
                return Err(fault("it stands there twice; give it once").within("contents"));
            }
            5 => draft.contents = Some(payload.bytes().map_err(|f| f.within("contents"))?),
            _ => {}
        }
    }
    Ok(draft)
}

fn shape(payload: Payload<'_>, shape: &mut Vec<u64>) -> Parsed<()> {
    let mut push = |dim: u64| {
        if limits::DIMS_MAX <= shape.len() {
            let what = format!("a tensor has at most {} dimensions", limits::DIMS_MAX);
            return Err(Fault::new(RefusalCode::TooLarge, what));
        }
        if i64::try_from(dim).is_err() {
            return Err(fault("a dimension of a request is 0 or more; -1 stands in metadata only"));
        }
        shape.push(dim);
        Ok(())
    };
    if let Payload::Varint(dim) = payload {
        return push(dim);
    }
    let mut packed = Fields::new(payload.bytes()?);
    while let Some(dim) = packed.packed()? {
        push(dim)?;
    }
    Ok(())
}

fn output(payload: Payload<'_>, so_far: &[Box<str>]) -> Parsed<Box<str>> {
    let mut name = "";
    let mut n_parameters = 0;
    let mut fields = Fields::new(payload.bytes()?);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => name = text(payload, NAME_BYTES_MAX, "name")?,
            2 => {
                count(&mut n_parameters, PARAMETERS_MAX, "parameters")?;
                tensor_parameter(payload).map_err(|fault| fault.within("parameters"))?;
            }
            _ => {}
        }
    }
    if name.is_empty() {
        return Err(fault("it is missing; name an output of the model").within("name"));
    }
    if so_far.iter().any(|other| **other == *name) {
        return Err(fault("an output is asked for twice").within("name"));
    }
    Ok(name.into())
}

/// Key and, where it is one, text of a parameter.
fn parameter(payload: Payload<'_>) -> Parsed<(&str, Option<&str>)> {
    let (mut key, mut value) = ("", None);
    let mut fields = Fields::new(payload.bytes()?);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => key = payload.text()?,
            2 => {
                value = None;
                let mut choice = Fields::new(payload.bytes()?);
                while let Some((number, payload)) = choice.next()? {
                    value = if number == 3 { Some(payload.text()?) } else { None };
                }
            }
            _ => {}
        }
    }
    Ok((key, value))
}

fn tensor_parameter(payload: Payload<'_>) -> Parsed<()> {
    let (key, _) = parameter(payload)?;
    let unsupported = match key {
        "shared_memory_region" | "shared_memory_offset" | "shared_memory_byte_size" => {
            "shared memory is not supported; send and take values in the message"
        }
        "classification" => {
            "`classification` is not supported; sort the scores of the output yourself"
        }
        _ if key.starts_with(OURS) => {
            return Err(fault("`bartizan-` parameters belong to the request, not to a tensor"));
        }
        _ => return Ok(()),
    };
    Err(Fault::new(RefusalCode::Unsupported, unsupported))
}

fn request_parameter(payload: Payload<'_>, asserted: &mut Asserted) -> Parsed<()> {
    let (key, value) = parameter(payload)?;
    let (place, name) = match key {
        "bartizan-subject" => (&mut asserted.subject, "bartizan-subject"),
        "bartizan-end-user" => (&mut asserted.end_user, "bartizan-end-user"),
        "bartizan-purpose" => (&mut asserted.purpose, "bartizan-purpose"),
        "bartizan-correlation-id" => (&mut asserted.correlation_id, "bartizan-correlation-id"),
        _ if key.starts_with(OURS) => {
            return Err(fault(
                "there is no such `bartizan-` parameter; there are `bartizan-subject`, \
                 `-end-user`, `-purpose` and `-correlation-id`",
            ));
        }
        _ => return Ok(()),
    };
    let max = limits::ASSERTED_BYTES_MAX;
    match value {
        Some(text) if text.len() <= max && !text.is_empty() && !text.contains(char::is_control) => {
            *place = Some(text.into());
            Ok(())
        }
        Some(_) | None => {
            let what = format!("it must be a text of 1 to {max} bytes without control characters");
            Err(Fault::new(RefusalCode::Malformed, what).within(name))
        }
    }
}

/// Gives each input its values.
pub(super) fn tensors(
    drafts: Vec<Draft<'_>>,
    raws: &[&[u8]],
    limits: &Limits,
) -> Parsed<Vec<Tensor>> {
    if !raws.is_empty() && raws.len() != drafts.len() {
        let what = format!(
            "there are {} for {} inputs; give one for each input, or none",
            raws.len(),
            drafts.len()
        );
        return Err(Fault::new(RefusalCode::Malformed, what).within("raw_input_contents"));
    }
    let mut n_left = limits.elements_max.min(limits::ELEMENTS_MAX);
    let mut inputs = Vec::with_capacity(drafts.len());
    for (input_idx, draft) in drafts.into_iter().enumerate() {
        let tensor = tensor(draft, raws.get(input_idx).copied(), &mut n_left);
        inputs.push(tensor.map_err(|f| f.within_item(input_idx).within("inputs"))?);
    }
    Ok(inputs)
}

fn tensor(draft: Draft<'_>, raw: Option<&[u8]>, n_left: &mut usize) -> Parsed<Tensor> {
    if draft.name.is_empty() {
        return Err(fault("it is missing; name an input of the model").within("name"));
    }
    let datatype: Datatype =
        draft.datatype.parse().map_err(|error: bartizan_core::tensor::DatatypeError| {
            Fault::new(RefusalCode::Malformed, error.to_string()).within("datatype")
        })?;
    let n_values = data::count(&draft.shape, n_left)?;
    let values = match (raw, draft.contents) {
        (Some(raw), contents) => {
            if !contents.map_or(Ok(true), contents::is_empty)? {
                let what = "it has values although `raw_input_contents` is used; use one of both \
                            for all inputs";
                return Err(fault(what).within("contents"));
            }
            raw::read(datatype, n_values, raw)?
        }
        (None, contents) => contents::read(datatype, n_values, contents.unwrap_or_default())
            .map_err(|fault| fault.within("contents"))?,
    };
    Tensor::new(draft.name, draft.shape, values)
        .map_err(|error| Fault::new(RefusalCode::Malformed, error.to_string()))
}
