//! Getting an issuer's key set: by discovery, from an address, or from a file.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::io::Read as _;
use std::path::PathBuf;

use bartizan_access::{JwkSetError, SET_BYTES_MAX};
use bytes::Bytes;
use hyper::http::{Method, Request, StatusCode, header};

use crate::https::{HttpsClient, HttpsError};

/// Longest discovery document, in bytes.
const DISCOVERY_BYTES_MAX: usize = 64 * 1024;

/// Where an issuer's key set is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// Where its discovery document says (`<issuer>/.well-known/openid-configuration`).
    Discovery,
    /// At this address.
    Url(String),
    /// In this file, which somebody else keeps fresh.
    File(PathBuf),
}

/// How one issuer's key set is got.
#[derive(Clone, Debug)]
pub struct Source {
    /// The issuer, as its tokens name it.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeysAt,
    /// What dials out.
    pub client: HttpsClient,
}

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It cannot be reached.
    #[error("cannot fetch {what}")]
    Https {
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: HttpsError,
    },
    /// It answers something else.
    #[error("{what} is answered with status {status}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// The file cannot be read.
    #[error("cannot read the file of keys")]
    File(#[source] std::io::Error),
    /// The configured text is no address.
    #[error("`{url}` is no address; it looks like `https://login.example.org/keys`")]
    Url {
        /// The text.
        url: String,
    },
    /// The document is not what it should be.
    #[error(
        "the discovery document is longer than 64 KiB, or no JSON object with `issuer` and `jwks_uri`"
    )]
    Discovery,
    /// The document is another issuer's.
    #[error(
        "the discovery document is of issuer `{found}`, configured is `{wanted}`; they must be the same to the byte"
    )]
    OtherIssuer {
        /// What it says.
        found: String,
        /// What was configured.
        wanted: String,
    },
    /// The set is no good.
    #[error("the issuer's key set is no use")]
    Keys(#[source] JwkSetError),
}

#[derive(serde::Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    /// The key set as it is published now. One request, or two with discovery.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        match &self.keys {
            KeysAt::File(path) => {
                let limit = u64::try_from(SET_BYTES_MAX).unwrap_or(u64::MAX);
                let file = std::fs::File::open(path).map_err(FetchError::File)?;
                let mut bytes = Vec::new();
                file.take(limit.saturating_add(1))
                    .read_to_end(&mut bytes)
                    .map_err(FetchError::File)?;
                Ok(bytes)
            }
            KeysAt::Url(url) => self.get(url, "the key set").await,
            KeysAt::Discovery => {
                let url = self.discover().await?;
                self.get(&url, "the key set").await
            }
        }
    }

    async fn discover(&self) -> Result<String, FetchError> {
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let url = format!("{base}/.well-known/openid-configuration");
        let bytes = self.get(&url, "the discovery document").await?;
        if DISCOVERY_BYTES_MAX < bytes.len() {
            return Err(FetchError::Discovery);
        }
        let found: Discovery = serde_json::from_slice(&bytes).map_err(|_| FetchError::Discovery)?;
        if found.issuer != self.issuer {
            let (found, wanted) = (found.issuer, self.issuer.clone());
            return Err(FetchError::OtherIssuer { found, wanted });
        }
        Ok(found.jwks_uri)
    }

    async fn get(&self, url: &str, what: &'static str) -> Result<Vec<u8>, FetchError> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(url)
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| FetchError::Url { url: url.to_owned() })?;
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|source| FetchError::Https { what, source })?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status { what, status: answer.status().as_u16() });
        }
        Ok(answer.into_body().to_vec())
    }
}
