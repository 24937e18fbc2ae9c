//! From a URL to a connection: name, socket, TLS, each within the time to connect; see H1, H2.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::Digest;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::{ClientIdentity, HttpsError, PlainHttp};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
const H2: &[u8] = b"h2";

/// SHA-256 of the certificate (DER) that the server showed; in the extensions of every answer
/// that came over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub Digest);

/// What TLS is done with; none without roots.
pub(super) fn tls(
    roots: RootCertStore,
    identity: Option<ClientIdentity>,
) -> Result<Option<TlsConnector>, HttpsError> {
    if roots.is_empty() {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(HttpsError::Identity)?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { chain, key }) => {
            builder.with_client_auth_cert(chain, key).map_err(HttpsError::Identity)?
        }
    };
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("plain http to another machine")]
    Plain,
    #[error("no root certificates")]
    NoRoots,
    #[error("the name is not resolved")]
    Name(#[source] io::Error),
    #[error("not connected")]
    Socket(#[source] io::Error),
    #[error("no TLS")]
    Tls(#[source] io::Error),
    #[error("no host")]
    Host,
    #[error("not connected in time")]
    Slow(Duration),
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector(Arc<Means>);

struct Means {
    tls: Option<TlsConnector>,
    limit: Duration,
    plain: PlainHttp,
}

impl Connector {
    pub(super) fn new(tls: Option<TlsConnector>, limit: Duration, plain: PlainHttp) -> Self {
        Self(Arc::new(Means { tls, limit, plain }))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let means = self.0.clone();
        Box::pin(async move {
            match tokio::time::timeout(means.limit, connect(&means, &uri)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(ConnectError::Slow(means.limit)),
            }
        })
    }
}

async fn connect(means: &Means, uri: &Uri) -> Result<Stream, ConnectError> {
    let host = uri.host().ok_or(ConnectError::Host)?;
    // An IPv6 address stands in brackets in a URL and nowhere else.
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let is_plain = uri.scheme_str() == Some("http");
    let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
    if !is_plain && means.tls.is_none() {
        return Err(ConnectError::NoRoots);
    }
    let found = tokio::net::lookup_host((host, port)).await.map_err(ConnectError::Name)?;
    let mut addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if is_plain && !is_allowed(&means.plain, host) {
        addresses.retain(|address| address.ip().is_loopback());
        if addresses.is_empty() {
            return Err(ConnectError::Plain);
        }
    }
    let socket = first(&addresses).await.map_err(ConnectError::Socket)?;
    // Small questions, small answers: waiting to fill a packet would only delay them.
    socket.set_nodelay(true).map_err(ConnectError::Socket)?;
    match &means.tls {
        Some(tls) if !is_plain => {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Host)?;
            let stream = tls.connect(name, socket).await.map_err(ConnectError::Tls)?;
            Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
        }
        Some(_) | None => Ok(Stream::Plain(TokioIo::new(socket))),
    }
}

fn is_allowed(plain: &PlainHttp, host: &str) -> bool {
    match plain {
        PlainHttp::LoopbackOnly => false,
        PlainHttp::AlsoTo(hosts) => hosts.contains(host),
    }
}

/// The first address that takes the connection, tried in the resolver's order.
async fn first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A connection, with TLS or without.
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let Self::Tls(stream) = self else { return Connected::new() };
        let (_, session) = stream.inner().get_ref();
        let mut connected = Connected::new();
        if let Some(shown) = session.peer_certificates().and_then(<[_]>::first) {
            connected = connected.extra(PeerCertificate(Digest::of(shown)));
        }
        if session.alpn_protocol() == Some(H2) { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
