//! Reading a body that a stranger sends: never more than the limit, never longer than the
//! deadline, and no memory for what is merely claimed.

use std::time::Duration;

use bartizan_core::{Refusal, RefusalCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

/// Reads the whole of `body`.
///
/// # Errors
/// A refusal: too large (by its claim or by what came), too slow, or broken off.
pub(crate) async fn read(
    mut body: Incoming,
    bytes_max: usize,
    within: Duration,
) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    match tokio::time::timeout(within, read_all(&mut body, bytes_max)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let waited = within.as_millis();
            let detail = format!("the body did not arrive within {waited} ms; send it faster");
            Err(Refusal::new(RefusalCode::Slow).because(detail))
        }
    }
}

async fn read_all(body: &mut Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            let detail = "the body broke off before its announced end";
            Refusal::new(RefusalCode::Malformed).because(detail)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes_max < first.len() + whole.len() + data.len() {
            return Err(too_large(bytes_max));
        }
        // Nearly every body is one frame, which is then kept without a copy.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

pub(crate) fn too_large(bytes_max: usize) -> Refusal {
    let detail = format!("the body is larger than {bytes_max} bytes; send fewer rows at a time");
    Refusal::new(RefusalCode::TooLarge).because(detail)
}
