//! Messages of gRPC over HTTP/2, in and out.
//!
//! Source: grpc/grpc, doc/PROTOCOL-HTTP2.md: a message stands behind a byte that says whether it
//! is compressed and four that say its length; the status stands in the trailers, or in the head
//! where there is no message.

use std::time::Duration;

use bartizan_core::{Refusal, RefusalCode};
use bartizan_wire::coding::Coding;
use bartizan_wire::grpc::{self, Status};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::said;

/// Media type of every response.
pub(crate) const MEDIA_TYPE: &str = "application/grpc";
/// What stands in front of a message, in bytes.
const PREFIX_BYTES: usize = 5;
/// Longest `grpc-message`, in bytes before its encoding.
const STATUS_TEXT_BYTES_MAX: usize = 1_024;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
static CODE: HeaderName = HeaderName::from_static("bartizan-code");

/// One message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    /// Its bytes, without the prefix.
    pub(crate) bytes: Bytes,
    /// How they are compressed.
    pub(crate) coding: Option<Coding>,
}

/// The messages of a request, one after the other.
#[derive(Debug)]
pub(crate) struct Messages {
    body: Incoming,
    held: BytesMut,
    coding: Option<Coding>,
    bytes_max: usize,
}

impl Messages {
    /// Those of `body`, each at most `bytes_max` long, compressed or not.
    ///
    /// # Errors
    /// A refusal of a compression that we do not know.
    pub(crate) fn new(
        headers: &HeaderMap,
        body: Incoming,
        bytes_max: usize,
    ) -> Result<Self, Refusal> {
        let word = headers.get(&GRPC_ENCODING).map_or("", |value| value.to_str().unwrap_or("?"));
        let coding = Coding::of_content(word).map_err(said::refusal)?;
        Ok(Self { body, held: BytesMut::new(), coding, bytes_max })
    }

    /// The only message of a request.
    ///
    /// # Errors
    /// A refusal: there is none or more than one, it is too large or too slow, or broken off.
    pub(crate) async fn only(mut self, within: Duration) -> Result<Message, Refusal> {
        let both = async {
            let first = self.next().await?;
            let more = if first.is_some() { self.next().await? } else { None };
            Ok((first, more))
        };
        match tokio::time::timeout(within, both).await {
            Ok(Ok((Some(message), None))) => Ok(message),
            Ok(Ok(_)) => Err(malformed("this method takes exactly one message")),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => {
                let waited = within.as_millis();
                let detail =
                    format!("the message did not arrive within {waited} ms; send it faster");
                Err(Refusal::new(RefusalCode::Slow).because(detail))
            }
        }
    }

    /// The next message; `None` after the last. May be dropped while it waits.
    ///
    /// # Errors
    /// As [`Messages::only`]; nothing can be read after one.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Refusal> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let broken = "the stream broke off within a message";
            match self.body.frame().await {
                None if self.held.is_empty() => return Ok(None),
                None | Some(Err(_)) => return Err(malformed(broken)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.held.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    fn take(&mut self) -> Result<Option<Message>, Refusal> {
        let Some(prefix) = self.held.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let Some((is_compressed, len)) = grpc::split_message(*prefix) else {
            return Err(malformed("the byte in front of a message must be 0 or 1"));
        };
        if self.bytes_max < len {
            let max = self.bytes_max;
            let detail =
                format!("the message has {len} bytes, limit is {max}; send fewer rows at a time");
            return Err(Refusal::new(RefusalCode::TooLarge).because(detail));
        }
        if self.held.len() - PREFIX_BYTES < len {
            return Ok(None);
        }
        let coding = match (is_compressed, self.coding) {
            (false, _) => None,
            (true, Some(coding)) => Some(coding),
            (true, None) => {
                return Err(malformed(
                    "a message is compressed and `grpc-encoding` does not say how",
                ));
            }
        };
        self.held.advance(PREFIX_BYTES);
        Ok(Some(Message { bytes: self.held.split_to(len).freeze(), coding }))
    }
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(RefusalCode::Malformed).because(detail)
}

/// `message` behind its prefix, not compressed.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(PREFIX_BYTES + message.len());
    out.push(0);
    // Answers are bounded far below 4 GiB by the request and by memory.
    out.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(message);
    out.into()
}

/// Trailers that say that all is well.
pub(crate) fn ok() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(&GRPC_STATUS, HeaderValue::from(Status::Ok as u16));
    trailers
}

/// Says in `head` (or trailers) that a call is refused, `text` being why.
pub(crate) fn say_refused(head: &mut HeaderMap, code: RefusalCode, text: &[u8]) {
    head.insert(&GRPC_STATUS, HeaderValue::from(grpc::status(code) as u16));
    let mut encoded = String::new();
    grpc::encode_message(text.get(..STATUS_TEXT_BYTES_MAX).unwrap_or(text), &mut encoded);
    if let Ok(value) = HeaderValue::try_from(encoded) {
        head.insert(&GRPC_MESSAGE, value);
    }
    head.insert(&CODE, HeaderValue::from_static(code.as_str()));
}

/// How long the caller is ready to wait for its answer: `grpc-timeout`, at most 8 digits and a
/// unit. One that is none is as good as none, since the caller hangs up by itself.
pub(crate) fn patience(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if 8 < digits.len() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3_600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(&GRPC_TIMEOUT, HeaderValue::try_from(text).unwrap());
            patience(&headers)
        };
        for (text, wait) in [
            ("1H", Duration::from_secs(3_600)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("20m", Duration::from_millis(20)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(of(text), Some(wait), "{text}");
        }
        for text in ["S", "", "123456789S", "1 S", "-1S", "1", "1s"] {
            assert_eq!(of(text), None, "took {text:?}");
        }
    }

    #[test]
    fn a_status_says_code_and_reason() {
        let mut head = HeaderMap::new();
        say_refused(&mut head, RefusalCode::TooLarge, "é".as_bytes());
        assert_eq!(head[&GRPC_STATUS], "8");
        assert_eq!(head[&GRPC_MESSAGE], "%C3%A9");
        assert_eq!(head[&CODE], "too-large");
        assert_eq!(framed(b"ab")[..], [0, 0, 0, 0, 2, b'a', b'b']);
    }
}
