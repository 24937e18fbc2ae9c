//! One decision, from the end of its head to its reply: `admit`, `clear`, `predict`, `review`,
//! append, `release`. All judging is `decision`'s; this file only reads the body, chooses where
//! the work runs, and waits for the record to be durable.

use std::sync::Arc;
use std::time::Duration;

use bartizan_access::Credential;
use bartizan_core::{DecisionId, Refusal, RefusalCode, Stamp};
use bartizan_decision::{
    Admitted, Arrival, Ask, Chance, Received, Reply, Snapshot, Spoken, Whom, Withheld, admit,
};
use bartizan_wire::Limits;
use bartizan_wire::coding::{self, Coding};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HeaderMap};

use crate::assurance::AckLevel;
use crate::body;
use crate::lane::Lane;
use crate::protocol::{Heard, Speech};
use crate::said::{self, Said};
use crate::shared::Shared;

/// Bodies longer than this are parsed on a thread of their own, in bytes: below it, parsing and
/// committing take less than the 500 us that a lane may be kept from its other connections.
const INLINE_BODY_BYTES_MAX: usize = 32 * 1024;
/// The same for the prediction, in nanoseconds of estimated cost.
const INLINE_COST_NS_MAX: u64 = 250_000;

/// Carries the proof of an answer whose model asks for witnesses.
const PROOF: &str = "bartizan-proof";

/// What comes of a request.
pub(crate) enum Conclusion {
    /// A reply whose record is durable.
    Told(Box<Reply>),
    /// A refusal that was folded into a tally, or could not be recorded at all.
    Refused(Refusal),
}

/// What a head says about an inference.
pub(crate) struct Question<'a> {
    pub(crate) at: Stamp,
    pub(crate) ask: Ask<'a>,
    pub(crate) said: &'a Said,
    pub(crate) headers: HeaderMap,
}

/// Decides on a request, records that, and gives what may be told.
pub(crate) async fn infer(
    lane: &Lane,
    snapshot: Arc<Snapshot>,
    credential: &Credential,
    question: Question<'_>,
    incoming: Incoming,
) -> Conclusion {
    let Question { at, ask, said, headers } = question;
    let arrival = arrival(lane, at, said);
    let admitted = match admit(snapshot, arrival, credential, ask) {
        Ok(admitted) => admitted,
        Err(withheld) => return conclude(lane, withheld, at).await,
    };
    let level = lane.ack_level(admitted.model().name().as_str());
    let own_max = lane.limits.body_bytes_max;
    let bytes_max = admitted.body_bytes_max().map_or(own_max, |bytes| bytes.min(own_max));
    let withheld = match body::read(incoming, bytes_max, lane.limits.body_wait_max).await {
        Err(refusal) => admitted.refuse(refusal, None),
        Ok(received) => {
            let speech = said.speech;
            let letter = Letter { speech, headers, received, bytes_max: own_max, opened: None };
            decide(admitted, letter).await
        }
    };
    let concluded = conclude(lane, withheld, at).await;
    assure(lane, level, concluded, at).await
}

/// A request whose body is here already: its model is named within.
pub(crate) struct Whole {
    /// As it came.
    pub(crate) received: Bytes,
    /// Without its coding.
    pub(crate) opened: Bytes,
    /// Its coding.
    pub(crate) coding: Option<Coding>,
}

/// As [`infer`], of a request that is here already.
pub(crate) async fn infer_whole(
    lane: &Lane,
    snapshot: Arc<Snapshot>,
    credential: &Credential,
    question: Question<'_>,
    whole: Whole,
) -> Conclusion {
    let Question { at, ask, said, headers } = question;
    let arrival = arrival(lane, at, said);
    let admitted = match admit(snapshot, arrival, credential, ask) {
        Ok(admitted) => admitted,
        Err(withheld) => return conclude(lane, withheld, at).await,
    };
    let level = lane.ack_level(admitted.model().name().as_str());
    let bytes_max = lane.limits.body_bytes_max;
    let Whole { received, opened, coding } = whole;
    let withheld = match admitted.body_bytes_max() {
        Some(contract_max) if contract_max < opened.len() => {
            admitted.refuse(body::too_large(contract_max), Some(received.into()))
        }
        Some(_) | None => {
            let opened = Some((opened, coding));
            let letter = Letter { speech: said.speech, headers, received, bytes_max, opened };
            decide(admitted, letter).await
        }
    };
    let concluded = conclude(lane, withheld, at).await;
    assure(lane, level, concluded, at).await
}

/// Holds an answer back until its record is as sure as the model asks, or gives a refusal in its
/// place; see `assurance.rs`.
async fn assure(lane: &Lane, level: AckLevel, concluded: Conclusion, at: Stamp) -> Conclusion {
    let Some(assurance) = lane.assurance.as_ref().filter(|_| level != AckLevel::Durable) else {
        return concluded;
    };
    let mut reply = match concluded {
        Conclusion::Told(reply) => reply,
        Conclusion::Refused(_) => return concluded,
    };
    let (Some(receipt), None) = (reply.receipt(), reply.refusal()) else {
        return Conclusion::Told(reply);
    };
    let spent_ns = lane.clock.now().mono_ns.saturating_sub(at.mono_ns);
    let wait_max = lane.limits.answer_wait_max.saturating_sub(Duration::from_nanos(spent_ns));
    match assurance.wait(level, receipt, wait_max).await {
        Some(proof) => {
            if let Some(proof) = proof {
                reply.tell_also(PROOF, proof);
            }
            Conclusion::Told(reply)
        }
        None => {
            let mut refusal = Refusal::new(RefusalCode::Unpublished);
            refusal.decision = Some(reply.decision());
            refusal.retry_after_s = Some(1);
            Conclusion::Refused(refusal)
        }
    }
}

/// What is known of a request once its head is read.
pub(crate) fn arrival(shared: &Shared, at: Stamp, said: &Said) -> Arrival {
    let own = shared.limits.answer_wait_max;
    let wait = said.patience.map_or(own, |patience| patience.min(own));
    let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    Arrival {
        at,
        deadline_ns: at.mono_ns.saturating_add(wait_ns),
        chance: Chance::draw(&*shared.entropy),
        listener: said.listener.as_str(),
        zone: said.zone,
        route: said.route,
        protocol: said.speech.dialect(),
        trace_context: said.trace_context,
    }
}

/// A request as it came in.
struct Letter {
    speech: Speech,
    headers: HeaderMap,
    received: Bytes,
    /// Longest body, in bytes, coded or not.
    bytes_max: usize,
    /// The body without its coding, where that was undone before.
    opened: Option<(Bytes, Option<Coding>)>,
}

/// Runs the synchronous steps, where they take long on a thread of their own.
async fn decide(admitted: Admitted, letter: Letter) -> Withheld {
    // A value takes at least two bytes of JSON.
    let model = admitted.model();
    let rows_max = (letter.received.len() as u64 / (2 * model.row_len_min())).max(1);
    let cost_ns = rows_max.saturating_mul(model.row_cost_ns());
    let is_coded = letter.opened.is_none() && letter.headers.contains_key(CONTENT_ENCODING);
    let is_quick = cost_ns <= INLINE_COST_NS_MAX && !model.leaves_process();
    if !is_coded && is_quick && letter.received.len() <= INLINE_BODY_BYTES_MAX {
        return steps(admitted, letter);
    }
    let work = tokio::task::spawn_blocking(move || steps(admitted, letter));
    match work.await {
        Ok(withheld) => withheld,
        // `decision` catches panics; one outside it must not be taken for an answer.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn steps(admitted: Admitted, letter: Letter) -> Withheld {
    let Letter { speech, headers, received, bytes_max, opened } = letter;
    let dialect = speech.dialect();
    let mut form = String::new();
    let body = match opened {
        Some((body, coding)) => {
            form.push_str(coding.map_or("", Coding::as_str));
            Ok(body)
        }
        None => open(&headers, &received, bytes_max, &mut form),
    };
    let understood = body.and_then(|body| {
        dialect.note_form(&headers, &mut form);
        let limits = Limits { body_bytes_max: bytes_max, ..Limits::default() };
        dialect.hear(Heard { headers: &headers, body: &body, model: admitted.model(), limits })
    });
    let received = Received { bytes: received, form: form.into() };
    let understood = match understood {
        Ok(understood) => understood,
        Err(refusal) => return admitted.refuse(refusal, Some(received)),
    };
    let spoken = Spoken {
        received,
        tensors: understood.tensors,
        wanted: understood.wanted,
        id: understood.id,
        asserted: understood.asserted,
        voice: understood.voice,
    };
    let cleared = match admitted.clear(spoken) {
        Ok(cleared) => cleared,
        Err(withheld) => return withheld,
    };
    let model = cleared.model().clone();
    model.predict_one(cleared).review()
}

/// The body without its content coding, which goes into `form`.
fn open(
    headers: &HeaderMap,
    received: &Bytes,
    bytes_max: usize,
    form: &mut String,
) -> Result<Bytes, Refusal> {
    let Some(coding) = said::content_coding(headers)? else { return Ok(received.clone()) };
    form.push_str(coding.as_str());
    coding::decode(coding, received, bytes_max).map(Bytes::from).map_err(said::refusal)
}

/// Records what was decided and gives it out for the receipt; a principal's refusals beyond its
/// own count are folded instead.
pub(crate) async fn conclude(lane: &Lane, mut withheld: Withheld, at: Stamp) -> Conclusion {
    if let Some(tally) = tally_of(lane, &withheld, at) {
        withheld = match withheld.fold(tally) {
            Ok(refusal) => return Conclusion::Refused(refusal),
            Err(answer) => answer,
        };
    }
    let Some(entry) = withheld.take_entry() else { return unrecordable(lane, at) };
    let Ok(receipt) = lane.append(entry).await else { return unrecordable(lane, at) };
    match withheld.release(receipt) {
        Ok(reply) => Conclusion::Told(Box::new(reply)),
        Err(_) => unrecordable(lane, at),
    }
}

/// The tally that a refusal goes into, where its principal has had its own count.
fn tally_of(shared: &Shared, withheld: &Withheld, at: Stamp) -> Option<DecisionId> {
    let (key, Whom::Principal(principal)) = (withheld.fold_key()?, withheld.whom()) else {
        return None;
    };
    let mut folder = shared.folder();
    if folder.is_single(principal, at) { None } else { Some(folder.note(key, at, withheld.id())) }
}

fn unrecordable(shared: &Shared, at: Stamp) -> Conclusion {
    shared.note_gap(at);
    let mut refusal = Refusal::new(RefusalCode::Unrecordable);
    refusal.retry_after_s = Some(1);
    Conclusion::Refused(refusal)
}
