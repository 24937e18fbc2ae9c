//! The Open Inference Protocol over gRPC.

use bartizan_core::{Refusal, RefusalCode};
use bartizan_decision::{Answer, Protocol, Rendered, Reply};
use bartizan_wire::{InferReply, grpc};

use super::oip_rest::withheld;
use super::{Dialect, Heard, Understood};
use crate::answer::{self, Answered};
use crate::{messages, reply, said};

/// The protocol, version 2. What it says to a request is one message; what it says to a refused
/// one is the text of its status.
#[derive(Debug)]
pub(crate) struct OipGrpc;

/// The same for a request that holds its values typed.
#[derive(Debug)]
struct Typed;

fn render(answer: &Answer<'_>, is_raw: bool) -> Rendered {
    let parameters = withheld(answer.obligations);
    let reply = InferReply {
        model: answer.model,
        version: answer.version,
        id: answer.id,
        outputs: answer.outputs,
        parameters: &parameters,
    };
    grpc::render_infer(&reply, is_raw).into()
}

impl Protocol for OipGrpc {
    fn name(&self) -> &'static str {
        "oip-grpc"
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        Ok(render(answer, true))
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        refusal.message().into()
    }
}

impl Protocol for Typed {
    fn name(&self) -> &'static str {
        OipGrpc.name()
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        Ok(render(answer, false))
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        OipGrpc.refusal(refusal)
    }
}

impl Dialect for OipGrpc {
    fn hear(&self, heard: Heard<'_>) -> Result<Understood, Refusal> {
        let read = grpc::parse_infer(heard.body, &heard.limits).map_err(said::refusal)?;
        let request = read.request;
        Ok(Understood {
            tensors: request.inputs,
            wanted: request.outputs,
            id: request.id,
            asserted: request.asserted,
            voice: (!read.is_raw).then(|| -> Box<dyn Protocol> { Box::new(Typed) }),
        })
    }

    /// A refusal is said in the status.
    fn status(&self, _: RefusalCode) -> u16 {
        200
    }

    fn media_type(&self) -> &'static str {
        messages::MEDIA_TYPE
    }

    fn told(&self, reply: Reply) -> Answered {
        let code = reply.refusal().map(|refusal| refusal.code);
        let answer = reply::told(reply, 200, self.media_type());
        match code {
            None => answer.map(|body| answer::Answer::message(body.data())),
            Some(code) => refused(answer, code),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Answered {
        let body = self.refusal(refusal);
        refused(reply::refusal(refusal, body, 200, self.media_type()), refusal.code)
    }
}

/// The text of a refusal goes from the body into the head, which is all that is sent.
fn refused(answer: Answered, code: RefusalCode) -> Answered {
    let (mut parts, body) = answer.into_parts();
    messages::say_refused(&mut parts.headers, code, body.data());
    Answered::from_parts(parts, answer::Answer::head_only())
}
