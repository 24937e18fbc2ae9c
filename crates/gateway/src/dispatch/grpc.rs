//! Calls of gRPC: the same requests as over REST, the model's name in the message.
//!
//! Each message of a stream is authenticated, admitted, judged and recorded by itself, one after
//! the other.

mod constants;
mod descriptions;

use std::sync::Arc;
use std::time::Duration;

use bartizan_access::Credential;
use bartizan_core::{Refusal, RefusalCode};
use bartizan_decision::Ask;
use bartizan_wire::{coding, grpc};
use bytes::Bytes;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::mpsc;

pub(super) use constants::constant;

use super::{Peer, Shown, Turn};
use crate::answer::{Answer, Answered};
use crate::lane::Lane;
use crate::messages::{self, Message, Messages};
use crate::pipeline::{self, Conclusion, Question};
use crate::route::Rpc;
use crate::said::{self, Said};
use crate::shared::Live;

/// Longest message that asks for a description, in bytes.
const ASK_BYTES_MAX: usize = 16 * 1024;
/// Answers of a stream that wait to be sent; the next message is read when there is room.
const STREAM_ANSWERS_WAITING_MAX: usize = 4;
/// Longest wait for the next message of a stream.
const STREAM_IDLE_MAX: Duration = Duration::from_secs(600);
/// How often a stream that waits looks whether the server stops.
const STREAM_TICK: Duration = Duration::from_millis(500);

impl Turn<'_> {
    /// Answers a call by one message.
    pub(super) async fn call(
        &self,
        rpc: Rpc,
        credential: &Credential,
        headers: HeaderMap,
        body: Incoming,
    ) -> (Answered, Option<RefusalCode>) {
        let limits = &self.lane.limits;
        let bytes_max = if rpc == Rpc::Infer { limits.body_bytes_max } else { ASK_BYTES_MAX };
        let message = match Messages::new(&headers, body, bytes_max) {
            Ok(messages) => messages.only(limits.body_wait_max).await,
            Err(refusal) => Err(refusal),
        };
        let outcome = match message {
            Ok(message) if rpc == Rpc::Infer => {
                let conclusion = self.ask(credential, headers, message).await;
                return self.respond(conclusion);
            }
            Ok(message) => self.describe(rpc, credential, message).await,
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(message) => (said_message(&message), None),
            Err(refusal) => self.refuse_known(credential, refusal).await,
        }
    }

    /// Decides on one message.
    async fn ask(
        &self,
        credential: &Credential,
        headers: HeaderMap,
        message: Message,
    ) -> Conclusion {
        let Message { bytes, coding } = message;
        let opened = match coding {
            None => Ok(bytes.clone()),
            Some(coding) => coding::decode(coding, &bytes, self.lane.limits.body_bytes_max)
                .map(Bytes::from)
                .map_err(said::refusal),
        };
        let heard = opened.and_then(|opened| Ok((said::asserted(&headers)?, opened)));
        let (asserted, opened) = match heard {
            Ok(heard) => heard,
            Err(refusal) => return self.conclude_refusal(credential, refusal).await,
        };
        let target = match grpc::target(&opened) {
            Ok(target) => target,
            Err(error) => {
                return self.conclude_refusal(credential, said::refusal(error)).await;
            }
        };
        let version = (!target.version.is_empty()).then_some(target.version);
        let ask = Ask { model: target.model, version, asserted };
        let question = Question { at: self.at, ask, said: &self.said, headers };
        let whole = pipeline::Whole { received: bytes, opened: opened.clone(), coding };
        let snapshot = self.live.snapshot.clone();
        pipeline::infer_whole(self.lane, snapshot, credential, question, whole).await
    }

    /// The message that describes what `rpc` asks for.
    async fn describe(
        &self,
        rpc: Rpc,
        credential: &Credential,
        message: Message,
    ) -> Result<Vec<u8>, Refusal> {
        if message.coding.is_some() {
            let detail = "a call for a description is not compressed";
            return Err(Refusal::new(RefusalCode::Unsupported).because(detail));
        }
        descriptions::of(self, rpc, credential, &message.bytes).await
    }

    /// Begins a stream: the answer is its head, the rest comes as messages come.
    pub(super) fn stream(&self, headers: HeaderMap, body: Incoming) -> Result<Answered, Refusal> {
        let messages = Messages::new(&headers, body, self.lane.limits.body_bytes_max)?;
        let (to, pieces) = mpsc::channel(STREAM_ANSWERS_WAITING_MAX);
        let stream = Stream {
            lane: self.lane.clone(),
            peer: self.peer,
            shown: self.shown.clone(),
            said: self.said.clone(),
            headers,
            messages,
        };
        tokio::spawn(stream.run(to));
        Ok(opened_stream(pieces))
    }
}

/// The head of a stream whose messages come through `pieces`.
fn opened_stream(pieces: mpsc::Receiver<Frame<Bytes>>) -> Answered {
    let mut answer = Answered::new(Answer::pieces(pieces));
    let kind = HeaderValue::from_static(messages::MEDIA_TYPE);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// A response of one message.
fn said_message(message: &[u8]) -> Answered {
    let mut answer = Answered::new(Answer::message(message));
    let kind = HeaderValue::from_static(messages::MEDIA_TYPE);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// A stream of requests for inference.
struct Stream {
    lane: Arc<Lane>,
    peer: Peer,
    shown: Option<Arc<Shown>>,
    said: Said,
    headers: HeaderMap,
    messages: Messages,
}

/// Why a stream has no next message.
enum End {
    /// The caller sent its last, or is gone.
    Over,
    Refused(Refusal),
}

impl Stream {
    async fn run(mut self, to: mpsc::Sender<Frame<Bytes>>) {
        let trailers = loop {
            let message = match self.next(&to).await {
                Ok(message) => message,
                Err(End::Over) => break messages::ok(),
                Err(End::Refused(refusal)) => break trailers_of(&refusal),
            };
            match self.answer(message).await {
                Ok(said) if to.send(Frame::data(messages::framed(&said))).await.is_ok() => {}
                // The caller is gone; what was decided is on record.
                Ok(_) => return,
                Err(refusal) => break trailers_of(&refusal),
            }
        };
        // A caller that is gone needs no trailers.
        let _ = to.send(Frame::trailers(trailers)).await;
    }

    /// The next message, unless the caller goes, the server stops or the wait is too long.
    async fn next(&mut self, to: &mpsc::Sender<Frame<Bytes>>) -> Result<Message, End> {
        let mut waited = Duration::ZERO;
        loop {
            tokio::select! {
                () = to.closed() => return Err(End::Over),
                next = self.messages.next() => {
                    return match next {
                        Ok(message) => message.ok_or(End::Over),
                        Err(refusal) => Err(End::Refused(refusal)),
                    };
                }
                () = tokio::time::sleep(STREAM_TICK) => {}
            }
            waited += STREAM_TICK;
            if self.lane.is_draining() {
                return Err(End::Refused(Refusal::new(RefusalCode::Draining)));
            }
            if STREAM_IDLE_MAX <= waited {
                let detail = "no message came for too long; open a new stream";
                return Err(End::Refused(Refusal::new(RefusalCode::Slow).because(detail)));
            }
        }
    }

    /// Decides on one message as if it were a request of its own.
    ///
    /// # Errors
    /// A refusal that ends the stream: the credential is none any more.
    async fn answer(&self, message: Message) -> Result<Vec<u8>, Refusal> {
        let live: Arc<Live> = self.lane.live.load_full();
        let said = self.said.clone();
        let mut turn = Turn {
            lane: &self.lane,
            live,
            peer: self.peer,
            shown: self.shown.clone(),
            at: self.lane.clock.now(),
            said,
        };
        self.lane.metrics.in_flight.inc();
        let answered = match turn.authenticate(&self.headers).await {
            Ok(credential) => {
                let conclusion = turn.ask(&credential, self.headers.clone(), message).await;
                Ok(said_streamed(conclusion))
            }
            Err((refusal, reason)) => Err(turn.note_stranger(refusal, reason)),
        };
        self.lane.metrics.in_flight.dec();
        let took_ns = self.lane.clock.now().mono_ns.saturating_sub(turn.at.mono_ns);
        let code = match &answered {
            Ok((_, code)) => *code,
            Err(refusal) => Some(refusal.code),
        };
        self.lane.metrics.decided(code, took_ns);
        answered.map(|(said, _)| said)
    }
}

fn trailers_of(refusal: &Refusal) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    messages::say_refused(&mut trailers, refusal.code, refusal.message().as_bytes());
    trailers
}

/// A conclusion as a message of a stream, with the ids that a head would carry.
fn said_streamed(conclusion: Conclusion) -> (Vec<u8>, Option<RefusalCode>) {
    let refused = |refusal: &Refusal, receipt: &str| {
        let decision =
            refusal.decision.map_or_else(|| "unrecorded".to_owned(), |id| id.to_string());
        let parameters = [
            ("bartizan-code", refusal.code.as_str()),
            ("bartizan-decision", decision.as_str()),
            ("bartizan-receipt", receipt),
        ];
        let n = if receipt.is_empty() { 2 } else { 3 };
        let said = grpc::render_streamed_error(refusal.message(), &parameters[..n]);
        (said, Some(refusal.code))
    };
    match conclusion {
        Conclusion::Refused(refusal) => refused(&refusal, ""),
        Conclusion::Told(reply) => {
            let receipt = reply.receipt().map(ToString::to_string).unwrap_or_default();
            if let Some(refusal) = reply.refusal() {
                return refused(refusal, &receipt);
            }
            let decision = reply.decision().to_string();
            let parameters =
                [("bartizan-decision", decision.as_str()), ("bartizan-receipt", receipt.as_str())];
            (grpc::render_streamed(&reply.into_body(), &parameters), None)
        }
    }
}

/// Reads a message that asks for a description.
///
/// # Errors
/// A refusal where it is none.
fn decoded<M: prost::Message + Default>(bytes: &Bytes) -> Result<M, Refusal> {
    M::decode(bytes.clone()).map_err(|_| {
        let detail = "the message is not what the protocol says";
        Refusal::new(RefusalCode::Malformed).because(detail)
    })
}

/// Its bytes.
fn encoded(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}
