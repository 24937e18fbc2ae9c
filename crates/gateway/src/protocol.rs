//! The Open Inference Protocol over REST, as `decision` asks for it.

use bartizan_core::{Refusal, RefusalCode};
use bartizan_decision::{Answer, Protocol};
use bartizan_wire::{InferReply, ParameterValue, oip};

/// JSON bodies of the Open Inference Protocol, version 2.
#[derive(Debug)]
pub(crate) struct OipRest;

impl Protocol for OipRest {
    fn name(&self) -> &'static str {
        "oip-rest"
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Vec<u8>, Refusal> {
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
            Ok(()) => Ok(body),
            Err(error) => Err(Refusal::new(RefusalCode::Internal).because(error.message)),
        }
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        oip::render_error(refusal, &mut body);
        body
    }
}
