//! Why there is no answer; see H5.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy;

use super::connect::ConnectError;

/// Longest target of a redirect that is told, in bytes.
const TARGET_BYTES_MAX: usize = 200;

/// `scheme://host:port` of a URL: what an error may tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Box<str>);

impl Origin {
    /// Checks that `uri` is one that a request can go to.
    pub(super) fn of(uri: &Uri) -> Result<Self, HttpsError> {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(HttpsError::Url { why: "has no scheme or no host" });
        };
        if scheme != "https" && scheme != "http" {
            return Err(HttpsError::Url { why: "is neither `https` nor `http`" });
        }
        // Before an `@` stand a name and a password.
        if authority.as_str().contains('@') {
            return Err(HttpsError::Url { why: "carries credentials" });
        }
        Ok(Self(format!("{scheme}://{authority}").into()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a redirect points, without its query, short enough to be told.
pub(super) fn redirect_target(location: &str) -> Box<str> {
    let target = location.split(['?', '#']).next().unwrap_or("");
    let target = target.rsplit_once('@').map_or(target, |(_, rest)| rest);
    target.chars().filter(|c| c.is_ascii_graphic()).take(TARGET_BYTES_MAX).collect()
}

/// Why a client was not made, or a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The roots are no certificates.
    #[error(
        "the root certificates are not 1 to 1,024 PEM certificates; name a file that holds them"
    )]
    Roots,
    /// The client's own certificate and key cannot be used.
    #[error("the client certificate or its key cannot be used; check that they are one pair")]
    Identity(#[source] rustls::Error),
    /// Nothing is asked at such a URL.
    #[error("the URL {why}; write `https://host[:port]/path`")]
    Url {
        /// What is wrong with it.
        why: &'static str,
    },
    /// H2.
    #[error("{origin} is plain http and not on this machine; use https, or allow the host by name")]
    Plain {
        /// The place.
        origin: Origin,
    },
    /// The system has no root certificates.
    #[error(
        "no root certificates to check {origin} by; install the system's (`ca-certificates`) or name a file of them"
    )]
    NoRoots {
        /// The place.
        origin: Origin,
    },
    /// The name leads nowhere.
    #[error("the name in {origin} is not resolved; check its spelling and this machine's resolver")]
    Name {
        /// The place.
        origin: Origin,
        /// What the resolver says.
        source: std::io::Error,
    },
    /// Nothing takes the connection.
    #[error("{origin} is not reached; check that it runs and that the network lets us through")]
    Socket {
        /// The place.
        origin: Origin,
        /// What the system says.
        source: std::io::Error,
    },
    /// TLS failed: the certificate is not believed, or it is no TLS at all.
    #[error("no TLS with {origin}; check its certificate, its name and the configured roots")]
    Tls {
        /// The place.
        origin: Origin,
        /// What rustls says.
        source: std::io::Error,
    },
    /// No connection in time.
    #[error("{origin} was not connected within {} ms; raise the limit or find out what is slow", limit.as_millis())]
    ConnectDeadline {
        /// The place.
        origin: Origin,
        /// The limit.
        limit: Duration,
    },
    /// No whole answer in time.
    #[error("{origin} gave no whole answer within {} ms; raise the limit or find out what is slow", limit.as_millis())]
    Deadline {
        /// The place.
        origin: Origin,
        /// The limit.
        limit: Duration,
    },
    /// The answer is too long.
    #[error(
        "the answer of {origin} is longer than {limit_bytes} bytes; raise the limit if it may be"
    )]
    TooLarge {
        /// The place.
        origin: Origin,
        /// The limit.
        limit_bytes: usize,
    },
    /// H4.
    #[error("{origin} redirects (status {status}) to `{}`, which is not followed; configure the final URL", to.as_deref().unwrap_or("nowhere"))]
    Redirect {
        /// The place.
        origin: Origin,
        /// 300 to 399.
        status: u16,
        /// Where to, without a query.
        to: Option<Box<str>>,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the exchange with {origin} broke off; try again, and look at its log if it stays so")]
    Broken {
        /// The place.
        origin: Origin,
        /// What hyper says.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl HttpsError {
    pub(super) fn of_exchange(origin: &Origin, error: legacy::Error) -> Self {
        let origin = origin.clone();
        if !error.is_connect() {
            return Self::Broken { origin, source: error.into() };
        }
        let mut link: Option<&(dyn Error + 'static)> = error.source();
        while let Some(at) = link {
            if let Some(why) = at.downcast_ref::<ConnectError>() {
                return Self::of_connect(origin, why);
            }
            link = at.source();
        }
        Self::Broken { origin, source: error.into() }
    }

    fn of_connect(origin: Origin, error: &ConnectError) -> Self {
        match error {
            ConnectError::Plain => Self::Plain { origin },
            ConnectError::NoRoots => Self::NoRoots { origin },
            ConnectError::Name(source) => Self::Name { origin, source: told(source) },
            ConnectError::Socket(source) => Self::Socket { origin, source: told(source) },
            ConnectError::Tls(source) => Self::Tls { origin, source: told(source) },
            ConnectError::Host => Self::Url { why: "names no host that a certificate could name" },
            ConnectError::Slow(limit) => Self::ConnectDeadline { origin, limit: *limit },
        }
    }

    pub(super) fn of_body(origin: &Origin, source: hyper::Error) -> Self {
        Self::Broken { origin: origin.clone(), source: source.into() }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Name { .. }
            | Self::Socket { .. }
            | Self::ConnectDeadline { .. }
            | Self::Deadline { .. }
            | Self::Broken { .. } => true,
            Self::Roots
            | Self::Identity(_)
            | Self::Url { .. }
            | Self::Plain { .. }
            | Self::NoRoots { .. }
            | Self::Tls { .. }
            | Self::TooLarge { .. }
            | Self::Redirect { .. } => false,
        }
    }
}

/// The same words in an error of our own: the original belongs to the client.
fn told(error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), error.to_string())
}
