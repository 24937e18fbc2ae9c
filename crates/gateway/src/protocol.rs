//! How each protocol says things: the one place that maps a route's [`Speech`] to its words.
//!
//! To add a protocol: a variant here, its routes in `route.rs`, and a file beside this one that
//! implements [`Dialect`].

mod azure_ml;
mod kserve_v1;
mod mlflow;
mod oip_grpc;
mod oip_rest;

use std::fmt;
use std::sync::Arc;

use bartizan_core::{Obligations, Refusal, RefusalCode, Tensor};
use bartizan_decision::{Model, Protocol, Rendered, Reply};
use bartizan_wire::{Asserted, InferRequest, Limits, WireError, status};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::answer::Answered;
use crate::{messages, reply};

/// The protocol that a route speaks: in which it is asked, answered and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// The Open Inference Protocol, version 2, over REST.
    OipRest,
    /// The same over gRPC.
    OipGrpc,
    /// Azure ML's online endpoints.
    AzureMl,
    /// MLflow's scoring server.
    Mlflow,
    /// KServe's first protocol.
    KserveV1,
}

impl Speech {
    /// In which a request is refused that leads to no route.
    pub(crate) fn lost(path: &str, headers: &HeaderMap) -> Self {
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let is_grpc = kind.starts_with(messages::MEDIA_TYPE.as_bytes());
        if is_grpc { Self::OipGrpc } else { Self::of(path) }
    }

    /// What callers of `path` speak, also where it leads nowhere.
    pub const fn of(path: &str) -> Self {
        match path.as_bytes() {
            b"/" | b"/swagger.json" | b"/score" | b"/score/" => Self::AzureMl,
            b"/invocations" | b"/invocations/" | b"/ping" | b"/health" | b"/version" => {
                Self::Mlflow
            }
            [b'/', b'v', b'1', b'/', ..] => Self::KserveV1,
            _ => Self::OipRest,
        }
    }

    /// Its words.
    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::OipRest => &oip_rest::OipRest,
            Self::AzureMl => &azure_ml::AzureMl,
            Self::Mlflow => &mlflow::Mlflow,
            Self::KserveV1 => &kserve_v1::KserveV1,
            Self::OipGrpc => &oip_grpc::OipGrpc,
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

/// How an answer came about, for the headers that speak of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Why there is none, if there is none.
    pub(crate) refusal: Option<RefusalCode>,
    /// From the request's head to here, in nanoseconds.
    pub(crate) took_ns: u64,
}

/// Media type of a body, in lower case and without parameters; empty where the head has none.
fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What a body in a table says.
fn table(request: InferRequest) -> Understood {
    Understood { tensors: request.inputs, asserted: request.asserted, ..Understood::default() }
}

/// A refusal for a body that does not read.
fn unread(error: WireError) -> Refusal {
    Refusal::new(error.code).because(error.message)
}

/// An answer in a table, in whose rows nothing can say what was withheld: its head does, so that
/// a 0 of a withheld class is not taken for its score.
fn tabled(body: Vec<u8>, withheld: &Obligations) -> Rendered {
    let mut head: Vec<(&'static str, Box<str>)> = Vec::new();
    if let Some(k) = withheld.top_k {
        head.push(("bartizan-top-k", k.to_string().into()));
    }
    if let Some(digits) = withheld.digits {
        head.push(("bartizan-digits", digits.to_string().into()));
    }
    Rendered { body, head }
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

    /// Looks at what only this protocol has in its heads.
    ///
    /// # Errors
    /// A refusal.
    fn check_head(&self, _headers: &HeaderMap) -> Result<(), Refusal> {
        Ok(())
    }

    /// What of a request's head stands in its response's, whatever comes of it.
    fn echo(&self, _headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    /// Adds to a response what the protocol says beside the body.
    fn finish(&self, _outcome: Outcome, _answer: &mut Answered) {}

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
