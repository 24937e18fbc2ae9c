//! What the head of a request says beside its route.

use std::time::Duration;

use bartizan_access::Zone;
use bartizan_core::digest::unhex;
use bartizan_core::{Refusal, RefusalCode, limits};
use bartizan_ledger::TraceContext;
use bartizan_wire::coding::Coding;
use bartizan_wire::{Asserted, WireError};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName};

use crate::protocol::Speech;
use crate::route::Listener;

/// Where a request came in, and whose trace it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) listener: Listener,
    pub(crate) zone: Zone,
    pub(crate) route: &'static str,
    pub(crate) speech: Speech,
    pub(crate) trace_context: Option<TraceContext>,
    /// How long the caller is ready to wait.
    pub(crate) patience: Option<Duration>,
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static SUBJECT: HeaderName = HeaderName::from_static("bartizan-subject");
static END_USER: HeaderName = HeaderName::from_static("bartizan-end-user");
static PURPOSE: HeaderName = HeaderName::from_static("bartizan-purpose");
static CORRELATION_ID: HeaderName = HeaderName::from_static("bartizan-correlation-id");

/// What a head asserts about its request.
///
/// # Errors
/// A refusal that names the header, for a text that is empty, too long or not printable ASCII.
pub(crate) fn asserted(headers: &HeaderMap) -> Result<Asserted, Refusal> {
    let one = |name: &HeaderName| -> Result<Option<Box<str>>, Refusal> {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let fits = |text: &&str| !text.is_empty() && text.len() <= limits::ASSERTED_BYTES_MAX;
        match value.to_str().ok().filter(fits) {
            Some(text) => Ok(Some(text.into())),
            None => {
                let max = limits::ASSERTED_BYTES_MAX;
                let detail = format!("header `{name}` must be 1 to {max} printable ASCII bytes");
                Err(Refusal::new(RefusalCode::Malformed).because(detail))
            }
        }
    };
    Ok(Asserted {
        subject: one(&SUBJECT)?,
        end_user: one(&END_USER)?,
        purpose: one(&PURPOSE)?,
        correlation_id: one(&CORRELATION_ID)?,
    })
}

/// How the body is coded.
///
/// # Errors
/// A refusal of a coding that we do not know, and of several.
pub(crate) fn content_coding(headers: &HeaderMap) -> Result<Option<Coding>, Refusal> {
    let mut given = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match (given.next(), given.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => Coding::of_content(value.to_str().unwrap_or("?")),
        (Some(_), Some(_)) => Coding::of_content("more than one"),
    };
    coding.map_err(refusal)
}

/// The coding in which the caller would like a long answer.
pub(crate) fn wanted_coding(headers: &HeaderMap) -> Option<Coding> {
    Coding::wanted(headers.get(ACCEPT_ENCODING)?.to_str().ok()?)
}

/// What a reader found wrong, as a refusal.
pub(crate) fn refusal(error: WireError) -> Refusal {
    Refusal::new(error.code).because(error.message)
}

/// The caller's place in a distributed trace (W3C Trace Context, level 1): `traceparent` of
/// version 00 whose ids are not all zero. Anything else is as good as none, as the standard says.
pub(crate) fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let text = headers.get(&TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_lower = text.bytes().all(|byte| !byte.is_ascii_uppercase());
    if version != "00" || parts.next().is_some() || !is_lower {
        return None;
    }
    let trace_id: [u8; 16] = unhex(trace)?.try_into().ok()?;
    let span_id: [u8; 8] = unhex(span)?.try_into().ok()?;
    let [flags]: [u8; 1] = unhex(flags)?.try_into().ok()?;
    let is_set = trace_id != [0; 16] && span_id != [0; 8];
    is_set.then_some(TraceContext { trace_id, span_id, flags })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn only_a_standard_traceparent_is_taken() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = trace_context(&headers("traceparent", good)).unwrap();
        assert_eq!((context.trace_id[0], context.span_id[7], context.flags), (0x0a, 0x31, 1));
        for bad in [
            good.to_uppercase(),
            good.replace("00-", "01-"),
            format!("{good}-00"),
            good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            good.replace("b7ad6b7169203331", &"0".repeat(16)),
            good.replace("-01", ""),
            String::new(),
        ] {
            assert!(trace_context(&headers("traceparent", &bad)).is_none(), "took {bad:?}");
        }
    }

    #[test]
    fn an_assertion_is_bounded_and_printable() {
        let longest = "x".repeat(limits::ASSERTED_BYTES_MAX);
        let told = asserted(&headers("bartizan-subject", &longest)).unwrap();
        assert_eq!(told.subject.as_deref(), Some(longest.as_str()));
        for bad in [String::new(), format!("{longest}x"), "\u{e9}".to_owned()] {
            let refusal = asserted(&headers("bartizan-purpose", &bad)).unwrap_err();
            assert!(refusal.message().contains("bartizan-purpose"), "{bad:?}");
        }
    }
}
