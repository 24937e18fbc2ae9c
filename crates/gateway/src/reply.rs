//! Responses, from what may be told.

use std::fmt::Write as _;

use bartizan_core::Refusal;
use bartizan_decision::Reply;
use bartizan_wire::coding::{self, Coding};
use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

use crate::answer::{Answer, Answered};

const DECISION: &str = "bartizan-decision";
const RECEIPT: &str = "bartizan-receipt";
/// What stands for a decision's id where there is no record that bears it.
const UNRECORDED: &str = "unrecorded";

/// Answers shorter than this are not coded, in bytes: they fit into one packet as they are.
const CODED_BYTES_MIN: usize = 1_400;
/// Answers longer than this are coded on a thread of their own, in bytes: the fastest level codes
/// about 100 MB/s, and a lane may be kept for 500 us.
const CODED_INLINE_BYTES_MAX: usize = 32 * 1024;

/// A JSON response.
pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Answered {
    with_type(status, "application/json", body)
}

/// A response of any type.
pub(crate) fn with_type(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Answered {
    let mut answer = Response::new(Answer::whole(body));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A reply whose record is durable.
pub(crate) fn told(reply: Reply, status: u16, kind: &'static str) -> Answered {
    let decision = reply.decision().to_string();
    let receipt = reply.receipt().map(|receipt| {
        let mut text = String::with_capacity(128);
        // Writing to a string does not fail.
        let _ = write!(text, "{receipt}");
        text
    });
    let retry_after_s = reply.refusal().and_then(|refusal| refusal.retry_after_s);
    let rendered = reply.into_rendered();
    let mut answer = with_type(status, kind, rendered.body);
    for (name, value) in rendered.head {
        if let Ok(value) = HeaderValue::try_from(value.into_string()) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    head(&mut answer, &decision, status, retry_after_s);
    if let Some(value) = receipt.and_then(|text| HeaderValue::try_from(text).ok()) {
        answer.headers_mut().insert(RECEIPT, value);
    }
    answer
}

/// The same answer in the coding that the caller would like, where it is long enough to gain by
/// that. The record commits to the body before it.
pub(crate) async fn coded(answer: Answered, wanted: Option<Coding>) -> Answered {
    let Some(coding) = wanted.filter(|_| CODED_BYTES_MIN <= answer.body().data().len()) else {
        return answer;
    };
    let (mut head, body) = answer.into_parts();
    let data = body.data().clone();
    let encode = move || coding::encode(coding, &data);
    let data = if body.data().len() <= CODED_INLINE_BYTES_MAX {
        encode()
    } else {
        match tokio::task::spawn_blocking(encode).await {
            Ok(data) => data,
            Err(_) => return Response::from_parts(head, body),
        }
    };
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    Response::from_parts(head, Answer::whole(data))
}

/// A refusal that has no record of its own.
pub(crate) fn refusal(
    refusal: &Refusal,
    body: Vec<u8>,
    status: u16,
    kind: &'static str,
) -> Answered {
    let decision = refusal.decision.map_or_else(|| UNRECORDED.to_owned(), |id| id.to_string());
    let mut answer = with_type(status, kind, body);
    head(&mut answer, &decision, status, refusal.retry_after_s);
    answer
}

/// Names the methods that a route takes.
pub(crate) fn allow(answer: &mut Answered, methods: &'static str) {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}

fn head(answer: &mut Answered, decision: &str, status: u16, retry_after_s: Option<u32>) {
    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::try_from(decision) {
        headers.insert(DECISION, value);
    }
    if status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bartizan\""));
    }
    let retry_after_s = retry_after_s.or((status == 429 || status == 503).then_some(1));
    if let Some(secs) = retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
}
