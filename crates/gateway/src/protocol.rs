//! How each protocol says things: the one place that maps a route's [`Speech`] to its words.
//!
//! To add a protocol: a variant here, its routes in `route.rs`, and a file beside this one that
//! implements [`Dialect`].

mod oip_rest;

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Refusal, RefusalCode, Tensor};
use bartizan_decision::{Model, Protocol, Reply};
use bartizan_wire::{Asserted, Limits, status};
use bytes::Bytes;
use hyper::header::HeaderMap;

use crate::answer::Answered;
use crate::reply;

/// The protocol that a route speaks: in which it is asked, answered and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// The Open Inference Protocol, version 2, over REST.
    OipRest,
}

impl Speech {
    /// Its words.
    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::OipRest => &oip_rest::OipRest,
        }
    }
}

/// A request for inference, on its way from bytes to tensors.
pub(crate) struct Heard<'a> {
    /// The head's fields.
    pub(crate) headers: &'a HeaderMap,
    /// The body, its content coding undone; at most `limits.body_bytes_max` long.
    pub(crate) body: &'a Bytes,
    /// The model that is asked.
    #[expect(dead_code, reason = "bodies in the shape that a contract names come next")]
    pub(crate) model: &'a Arc<Model>,
    /// Bounds on the body.
    pub(crate) limits: Limits,
}

/// What a body says, whatever the protocol.
#[derive(Default)]
pub(crate) struct Understood {
    /// Its tensors, in the caller's order.
    pub(crate) tensors: Vec<Tensor>,
    /// The outputs it wants; all where absent.
    pub(crate) wanted: Option<Vec<Box<str>>>,
    /// Its own id for the request.
    pub(crate) id: Option<Box<str>>,
    /// What it says about the request.
    pub(crate) asserted: Asserted,
    /// How this request wants its answer; as the dialect answers where absent.
    pub(crate) voice: Option<Box<dyn Protocol>>,
}

impl fmt::Debug for Understood {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Understood").field("n_tensors", &self.tensors.len()).finish_non_exhaustive()
    }
}

/// One protocol: how a request is read, and how answers and refusals become responses. What the
/// bodies hold is [`Protocol`]'s.
pub(crate) trait Dialect: Protocol {
    /// Reads a request for inference. Runs on a lane where the body is short, else on a thread
    /// that may take its time.
    ///
    /// # Errors
    /// A refusal that names the place, the limit and the remedy, and holds nothing of the body.
    fn hear(&self, heard: Heard<'_>) -> Result<Understood, Refusal>;

    /// Adds to `form` what else of the head the body is read by; see `Received::form`.
    fn note_form(&self, _: &HeaderMap, _: &mut String) {}

    /// Status of a refusal.
    fn status(&self, code: RefusalCode) -> u16 {
        status(code)
    }

    /// Media type of its refusals, and of its answers unless an answer's own head says another.
    fn media_type(&self) -> &'static str {
        "application/json"
    }

    /// The response for a reply whose record is durable.
    fn told(&self, reply: Reply) -> Answered {
        let status = reply.refusal().map_or(200, |refusal| self.status(refusal.code));
        reply::told(reply, status, self.media_type())
    }

    /// The response for a refusal that has no record of its own.
    fn refuse(&self, refusal: &Refusal) -> Answered {
        let body = self.refusal(refusal);
        reply::refusal(refusal, body, self.status(refusal.code), self.media_type())
    }
}
