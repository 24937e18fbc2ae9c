//! The Open Inference Protocol over REST: JSON, and the binary tensor extension.

use bartizan_core::{Obligations, Refusal, RefusalCode};
use bartizan_decision::{Answer, Protocol, Rendered};
use bartizan_wire::{BinaryWish, InferReply, ParameterValue, oip};
use hyper::header::HeaderMap;

use super::{Dialect, Heard, Understood};
use crate::said;

/// Media type of an answer with raw tensors behind its JSON.
const BINARY: &str = "application/octet-stream";

/// The protocol, version 2.
#[derive(Debug)]
pub(crate) struct OipRest;

/// The same for a request that wants raw tensors.
#[derive(Debug)]
struct Binary(BinaryWish);

/// What was withheld is said, so that a 0 of a withheld class is not taken for its score.
pub(super) fn withheld(obligations: &Obligations) -> Vec<(&'static str, ParameterValue<'static>)> {
    let mut parameters = Vec::new();
    if let Some(k) = obligations.top_k {
        parameters.push(("bartizan-top-k", ParameterValue::Int(i64::from(k))));
    }
    if let Some(digits) = obligations.digits {
        parameters.push(("bartizan-digits", ParameterValue::Int(i64::from(digits))));
    }
    parameters
}

fn render(answer: &Answer<'_>, wish: &BinaryWish) -> Result<Rendered, Refusal> {
    let parameters = withheld(answer.obligations);
    let reply = InferReply {
        model: answer.model,
        version: answer.version,
        id: answer.id,
        outputs: answer.outputs,
        parameters: &parameters,
    };
    let mut body = Vec::with_capacity(512);
    match oip::render_infer_binary(&reply, wish, &mut body) {
        Ok(None) => Ok(body.into()),
        Ok(Some(json_bytes)) => {
            let length = json_bytes.to_string().into_boxed_str();
            let head = vec![(oip::HEADER_LENGTH, length), ("content-type", BINARY.into())];
            Ok(Rendered { body, head })
        }
        Err(error) => Err(Refusal::new(RefusalCode::Internal).because(error.message)),
    }
}

impl Protocol for OipRest {
    fn name(&self) -> &'static str {
        "oip-rest"
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        render(answer, &BinaryWish::default())
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        oip::render_error(refusal, &mut body);
        body
    }
}

impl Protocol for Binary {
    fn name(&self) -> &'static str {
        OipRest.name()
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        render(answer, &self.0)
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        OipRest.refusal(refusal)
    }
}

/// Length of the JSON in front of raw tensors, where the head gives one.
fn json_bytes(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let mut given = headers.get_all(oip::HEADER_LENGTH).iter();
    let length = match (given.next(), given.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => oip::header_length(value.to_str().unwrap_or("?")),
        (Some(_), Some(_)) => oip::header_length("more than one"),
    };
    length.map(Some).map_err(said::refusal)
}

impl Dialect for OipRest {
    fn note_form(&self, headers: &HeaderMap, form: &mut String) {
        if let Ok(Some(length)) = json_bytes(headers) {
            let separator = if form.is_empty() { "" } else { ";" };
            *form += &format!("{separator}json={length}");
        }
    }

    fn hear(&self, heard: Heard<'_>) -> Result<Understood, Refusal> {
        let request = match json_bytes(heard.headers)? {
            None => oip::parse_infer(heard.body, &heard.limits),
            Some(length) => oip::parse_infer_binary(heard.body, length, &heard.limits),
        };
        let request = request.map_err(said::refusal)?;
        let voice = (!request.binary.is_none())
            .then(|| -> Box<dyn Protocol> { Box::new(Binary(request.binary)) });
        Ok(Understood {
            tensors: request.inputs,
            wanted: request.outputs,
            id: request.id,
            asserted: request.asserted,
            voice,
        })
    }
}
