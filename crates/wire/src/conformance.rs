//! What a server of the Open Inference Protocol must do so that the clients people have work: a
//! list of cases, each a request and a look at its answer. Nothing here opens a socket.
//!
//! Every case is asked of one model whose inputs are known from its metadata, with one request
//! that the model answers; the answer to that request in plain JSON is what the others are held
//! against, bit by bit.

mod grpc;
mod rest;

use bartizan_core::Tensor;

use crate::error::WireError;
use crate::oip::parse_infer;
use crate::request::Limits;

/// What is asked: a request over REST, or a call over gRPC by one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// HTTP's method.
    pub method: &'static str,
    /// Path below the server's address.
    pub path: String,
    /// Fields of the head.
    pub headers: Vec<(&'static str, String)>,
    /// The body; for gRPC the message behind its prefix.
    pub body: Vec<u8>,
    /// Whether it is a call over gRPC.
    pub is_grpc: bool,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// Fields of the head and of the trailers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The model that is asked, and a request that it answers.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub model: String,
    /// Tensors that it answers.
    inputs: Vec<Tensor>,
    /// Its outputs for them, as plain JSON carries them.
    outputs: Vec<Tensor>,
}

/// One thing that a server does or does not.
pub struct Case {
    /// Its name: `rest-...` or `grpc-...`.
    pub id: &'static str,
    /// What is asked of the server.
    pub asks: &'static str,
    /// What a client sees where it fails.
    pub sees: &'static str,
    question: fn(&Subject) -> Question,
    check: fn(&Subject, &Answer) -> Result<(), String>,
}

impl Case {
    /// What to send.
    pub fn question(&self, subject: &Subject) -> Question {
        (self.question)(subject)
    }

    /// Whether `answer` is what the case asks for.
    ///
    /// # Errors
    /// What is there instead, in a sentence without values of the answer.
    pub fn check(&self, subject: &Subject, answer: &Answer) -> Result<(), String> {
        (self.check)(subject, answer)
    }
}

/// All cases, in the order in which they are asked.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    rest::CASES.iter().chain(grpc::CASES)
}

impl Subject {
    /// The model `model` with a request of the caller's own: the protocol's JSON.
    ///
    /// # Errors
    /// Where it is no request.
    pub fn with_request(model: &str, json: &[u8]) -> Result<Self, WireError> {
        let inputs = parse_infer(json, &Limits::default())?.inputs;
        Ok(Self { model: model.to_owned(), inputs, outputs: Vec::new() })
    }

    /// The model with a row of ones for each input that its metadata names.
    ///
    /// # Errors
    /// What is wrong with the metadata.
    pub fn of_metadata(model: &str, metadata: &[u8]) -> Result<Self, String> {
        let inputs = rest::inputs_of(metadata)?;
        Ok(Self { model: model.to_owned(), inputs, outputs: Vec::new() })
    }

    /// Where the model says what it takes.
    pub fn metadata_question(model: &str) -> Question {
        rest::get(format!("/v2/models/{model}"))
    }

    /// The request that the others are held against.
    pub fn plain_question(&self) -> Question {
        rest::infer(self, rest::Form::default())
    }

    /// Keeps the answer to [`Subject::plain_question`].
    ///
    /// # Errors
    /// Where it is none: then nothing can be held against it.
    pub fn keep_answer(&mut self, answer: &Answer) -> Result<(), String> {
        self.outputs = rest::outputs(answer)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
