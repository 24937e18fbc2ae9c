//! Asking a time-stamping authority over HTTP (RFC 3161, section 3.4).

use bartizan_core::{Entropy, entropy};
use bartizan_ledger::stamp::{self, Authorities, NONCE_BYTES, StampError, TimeStamp};
use bytes::Bytes;
use hyper::Uri;
use hyper::http::{Request, header};

use crate::https::{HttpsClient, HttpsError};

const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";

/// Why there is no time stamp.
#[derive(Debug, thiserror::Error)]
pub enum StampFault {
    /// Its address is none.
    #[error("`{url}` is no address of a time-stamping authority; write `https://host[:port]/path`")]
    Url {
        /// What was given.
        url: String,
    },
    /// It was not reached, or did not answer.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// Any other status than 200, or another type of answer.
    #[error("the time-stamping authority answered with status {status}, type `{kind}`")]
    Answer {
        /// The status.
        status: u16,
        /// The content type, cut at 60 bytes.
        kind: String,
    },
    /// What it gave is not believed.
    #[error("the time stamp is not believed")]
    Stamp(#[from] StampError),
}

/// One authority.
#[derive(Debug)]
pub struct StampClient {
    https: HttpsClient,
    url: Uri,
    authorities: Authorities,
}

impl StampClient {
    /// The authority at `url`, whose stamps are believed by `authorities`.
    ///
    /// # Errors
    /// [`StampFault::Url`].
    pub fn new(
        https: HttpsClient,
        url: &str,
        authorities: Authorities,
    ) -> Result<Self, StampFault> {
        let parsed = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
        let parsed = parsed.ok_or_else(|| StampFault::Url { url: url.to_owned() })?;
        Ok(Self { https, url: parsed, authorities })
    }

    /// Has `text` stamped: the answer as it came, to be kept, and what it says. Judged before it
    /// is given: text, nonce, signer, chain.
    ///
    /// # Errors
    /// [`StampFault`].
    pub async fn stamp(
        &self,
        text: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<(Bytes, TimeStamp), StampFault> {
        let nonce: [u8; NONCE_BYTES] = entropy::random(entropy);
        let request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, QUERY)
            .header(header::ACCEPT, REPLY)
            .body(Bytes::from(stamp::request(text, &nonce)));
        let request = request.map_err(|_| StampFault::Url { url: self.url.to_string() })?;
        let response = self.https.send(request).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
        let status = response.status().as_u16();
        if status != 200 || !kind.eq_ignore_ascii_case(REPLY) {
            let kind = kind.chars().filter(char::is_ascii_graphic).take(60).collect();
            return Err(StampFault::Answer { status, kind });
        }
        let stamp = self.authorities.check(response.body(), text, Some(&nonce))?;
        Ok((response.into_body(), stamp))
    }
}
