//! The Open Inference Protocol over REST.

use bartizan_core::{Refusal, RefusalCode};
use bartizan_decision::{Answer, Protocol, Rendered};
use bartizan_wire::{InferReply, ParameterValue, oip};

use super::{Dialect, Heard, Understood};

/// JSON bodies of the Open Inference Protocol, version 2.
#[derive(Debug)]
pub(crate) struct OipRest;

impl Protocol for OipRest {
    fn name(&self) -> &'static str {
        "oip-rest"
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        let withheld = answer.obligations;
        // What was withheld is said, so that a 0 of a withheld class is not taken for its score.
        let mut parameters = Vec::new();
        if let Some(k) = withheld.top_k {
            parameters.push(("bartizan-top-k", ParameterValue::Int(i64::from(k))));
        }
        if let Some(digits) = withheld.digits {
            parameters.push(("bartizan-digits", ParameterValue::Int(i64::from(digits))));
        }
        let reply = InferReply {
            model: answer.model,
            version: answer.version,
            id: answer.id,
            outputs: answer.outputs,
            parameters: &parameters,
        };
        let mut body = Vec::with_capacity(512);
        match oip::render_infer(&reply, &mut body) {
            Ok(()) => Ok(body.into()),
            Err(error) => Err(Refusal::new(RefusalCode::Internal).because(error.message)),
        }
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        oip::render_error(refusal, &mut body);
        body
    }
}

impl Dialect for OipRest {
    fn hear(&self, heard: Heard<'_>) -> Result<Understood, Refusal> {
        let request = oip::parse_infer(heard.body, &heard.limits)
            .map_err(|error| Refusal::new(error.code).because(error.message))?;
        Ok(Understood {
            tensors: request.inputs,
            wanted: request.outputs,
            id: request.id,
            asserted: request.asserted,
            voice: None,
        })
    }
}
