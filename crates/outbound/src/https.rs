//! The one HTTPS client: everything that dials out over HTTP does so through [`HttpsClient`].
//!
//! It knows nothing of what is asked for. HTTP/1.1 and, where TLS negotiates it, HTTP/2.
//!
//! Invariants
//! - H1: `https` is verified against the configured roots and the host's name, always; there is no
//!   way to turn that off;
//! - H2: `http` goes to a loopback address, or to a host that the operator allowed by name, and
//!   nowhere else, whatever a name resolves to;
//! - H3: a request ends within [`HttpsSettings::deadline`], waiting for its turn included, and
//!   never takes more than [`HttpsSettings::answer_bytes_max`] of an answer into memory;
//! - H4: no redirect is followed, so credentials go only where the caller sent them;
//! - H5: an error names the place as `scheme://host:port` and never a path, a query, a header or
//!   a body: those may hold credentials.

mod connect;
mod error;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::http::{self, header};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use connect::Connector;
pub use connect::PeerCertificate;
pub use error::HttpsError;
use error::Origin;

/// Most bytes of one answer's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most headers of one answer.
const HEADERS_MAX: usize = 100;
/// How long a connection that nobody uses is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Idle connections that are kept for one host.
const IDLE_PER_HOST_MAX: usize = 8;
/// Most certificates of a text of roots.
const ROOTS_MAX: usize = 1_024;

/// Whose certificates are believed.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// The system's: `SSL_CERT_FILE`, `SSL_CERT_DIR`, or where the distribution keeps them.
    #[default]
    System,
    /// These and no others.
    Only(Vec<CertificateDer<'static>>),
}

impl Roots {
    /// The certificates of a PEM text, and no others.
    ///
    /// # Errors
    /// [`HttpsError::Roots`] when it holds none, more than 1,024, or something else.
    pub fn from_pem(pem: &[u8]) -> Result<Self, HttpsError> {
        let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| HttpsError::Roots)?;
        if roots.is_empty() || ROOTS_MAX < roots.len() {
            return Err(HttpsError::Roots);
        }
        Ok(Self::Only(roots))
    }

    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        match self {
            // One that cannot be read is left out: it is not believed then.
            Self::System => {
                let found = rustls_native_certs::load_native_certs().certs;
                store.add_parsable_certificates(found)
            }
            Self::Only(roots) => store.add_parsable_certificates(roots.iter().cloned()),
        };
        store
    }
}

/// A certificate, with its chain, and its key, which the client shows to a server that asks.
pub struct ClientIdentity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientIdentity([redacted])")
    }
}

impl Clone for ClientIdentity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Fields that came behind an answer's body, where there were any: in its extensions.
#[derive(Clone, Debug)]
pub struct Trailers(pub http::HeaderMap);

/// Where `http` without TLS may go; see H2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// To this machine only.
    #[default]
    LoopbackOnly,
    /// To this machine and to these hosts (names or addresses as they stand in the URL).
    AlsoTo(BTreeSet<String>),
}

/// What a client may do.
#[derive(Clone, Debug)]
pub struct HttpsSettings {
    /// Whose certificates are believed.
    pub roots: Roots,
    /// What the client shows to a server that asks for a certificate.
    pub client_identity: Option<ClientIdentity>,
    /// Longest time for name, connection and TLS together.
    pub connect: Duration,
    /// Longest time for one request, from the call to the last byte of the answer.
    pub deadline: Duration,
    /// Most bytes of one answer's body.
    pub answer_bytes_max: usize,
    /// Most requests under way at once; others wait, within their deadline.
    pub requests_max: usize,
    /// Where `http` without TLS may go.
    pub plain_http: PlainHttp,
    /// Whether HTTP/2 is spoken without asking: what gRPC needs where there is no TLS.
    pub http2_only: bool,
}

impl Default for HttpsSettings {
    /// The system's roots, no identity, 5 s, 30 s, 1 MiB, 64 requests, plain only to loopback.
    fn default() -> Self {
        Self {
            roots: Roots::System,
            client_identity: None,
            connect: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            answer_bytes_max: 1024 * 1024,
            requests_max: 64,
            plain_http: PlainHttp::LoopbackOnly,
            http2_only: false,
        }
    }
}

/// The client. A clone shares connections and limits. It must be used inside a tokio runtime with
/// time and I/O; see the module's invariants.
#[derive(Clone)]
pub struct HttpsClient {
    client: legacy::Client<Connector, Full<Bytes>>,
    turns: Arc<Semaphore>,
    deadline: Duration,
    answer_bytes_max: usize,
}

impl std::fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpsClient").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl HttpsClient {
    /// A client that has opened no connection yet. Reads the roots (a few milliseconds for the
    /// system's).
    ///
    /// # Errors
    /// [`HttpsError::Identity`], [`HttpsError::Roots`].
    pub fn new(settings: HttpsSettings) -> Result<Self, HttpsError> {
        let store = settings.roots.store();
        if store.is_empty() && matches!(settings.roots, Roots::Only(_)) {
            return Err(HttpsError::Roots);
        }
        let tls = connect::tls(store, settings.client_identity)?;
        let connector = Connector::new(tls, settings.connect, settings.plain_http);
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http2_only(settings.http2_only)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX)
            .http2_max_header_list_size(HEAD_BYTES_MAX as u32)
            .build(connector);
        Ok(Self {
            client,
            turns: Arc::new(Semaphore::new(settings.requests_max.clamp(1, Semaphore::MAX_PERMITS))),
            deadline: settings.deadline,
            answer_bytes_max: settings.answer_bytes_max,
        })
    }

    /// Sends one request and takes the whole answer, of whatever status but a redirect's. The
    /// answer's extensions hold the [`PeerCertificate`] if it came over TLS. A request that was
    /// begun is not tried again.
    ///
    /// # Errors
    /// [`HttpsError`]; the server may have done what was asked all the same.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpsError> {
        self.send_within(request, self.deadline).await
    }

    /// The same with a shorter deadline; a longer one is cut to the client's own.
    ///
    /// # Errors
    /// [`HttpsError`].
    pub async fn send_within(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
    ) -> Result<http::Response<Bytes>, HttpsError> {
        let limit = deadline.min(self.deadline);
        let origin = Origin::of(request.uri())?;
        let ends = Instant::now() + limit;
        match tokio::time::timeout_at(ends, self.exchange(request, &origin)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(HttpsError::Deadline { origin, limit }),
        }
    }

    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        origin: &Origin,
    ) -> Result<http::Response<Bytes>, HttpsError> {
        let _turn = self.turns.acquire().await;
        let response = self
            .client
            .request(request.map(Full::new))
            .await
            .map_err(|error| HttpsError::of_exchange(origin, error))?;
        let (mut head, body) = response.into_parts();
        if head.status.is_redirection() && head.status != http::StatusCode::NOT_MODIFIED {
            let to = head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            let to = to.map(error::redirect_target);
            return Err(HttpsError::Redirect {
                origin: origin.clone(),
                status: head.status.as_u16(),
                to,
            });
        }
        let (body, trailers) = self.take(body, origin).await?;
        if let Some(trailers) = trailers {
            head.extensions.insert(Trailers(trailers));
        }
        Ok(http::Response::from_parts(head, body))
    }

    /// Reads a body; what claims to be too long is refused before a byte of it is read, what
    /// turns out to be is refused where it passes the limit.
    async fn take(
        &self,
        mut body: Incoming,
        origin: &Origin,
    ) -> Result<(Bytes, Option<http::HeaderMap>), HttpsError> {
        let limit_bytes = self.answer_bytes_max;
        let too_large = || HttpsError::TooLarge { origin: origin.clone(), limit_bytes };
        let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if limit_bytes < least {
            return Err(too_large());
        }
        let mut taken = Vec::new();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| HttpsError::of_body(origin, source))?;
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    trailers = frame.into_trailers().ok();
                    continue;
                }
            };
            if limit_bytes.saturating_sub(taken.len()) < data.len() {
                return Err(too_large());
            }
            taken.extend_from_slice(&data);
        }
        Ok((taken.into(), trailers))
    }
}

#[cfg(test)]
mod tests;
