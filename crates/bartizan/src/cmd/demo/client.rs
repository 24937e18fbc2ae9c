//! The demo's own client: one HTTP/1.1 connection over TLS, as any caller would have.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most lines of a head.
const HEAD_LINES_MAX: usize = 64;
/// Longest wait for a byte.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// One answer.
pub(crate) struct Answered {
    /// HTTP status.
    pub(crate) status: u16,
    /// Its headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body as JSON, `null` where it is none.
    pub(crate) body: serde_json::Value,
    /// From the first byte sent to the last byte received.
    pub(crate) took: Duration,
}

impl Answered {
    /// A header's value; empty where it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// A connection that trusts one authority and nobody else.
pub(crate) struct Client {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Client {
    /// Connects to `address`, which must show a certificate of the authority in `ca_pem`.
    ///
    /// # Errors
    /// What the network or TLS says.
    pub(crate) fn connect(address: SocketAddr, ca_pem: &[u8]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::IpAddress(address.ip().into());
        let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let tcp = TcpStream::connect_timeout(&address, WAIT_MAX)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(WAIT_MAX))?;
        Ok(Self { stream: BufReader::new(StreamOwned::new(tls, tcp)) })
    }

    /// Sends one request. `head` is method and path, `headers` whole lines without their end.
    ///
    /// # Errors
    /// What the network says, or an answer that is not HTTP.
    pub(crate) fn send(
        &mut self,
        head: &str,
        headers: &[String],
        body: &[u8],
    ) -> io::Result<Answered> {
        let mut request = format!("{head} HTTP/1.1\r\nhost: localhost\r\n");
        for header in headers {
            request += &format!("{header}\r\n");
        }
        if !headers.iter().any(|header| header.starts_with("content-length")) {
            request += &format!("content-length: {}\r\n", body.len());
        }
        request += "\r\n";
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let begun = Instant::now();
        self.stream.get_mut().write_all(&bytes)?;
        self.stream.get_mut().flush()?;
        let (status, headers) = self.head()?;
        let len = headers.iter().find(|(name, _)| name == "content-length");
        let len: u64 = len.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        let mut body = Vec::new();
        (&mut self.stream).take(len.min(ANSWER_BYTES_MAX)).read_to_end(&mut body)?;
        let took = begun.elapsed();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answered { status, headers, body, took })
    }

    fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let garbled = || io::Error::other("the answer is not HTTP/1.1");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            (&mut self.stream).take(16 * 1024).read_line(&mut line)?;
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
            if HEAD_LINES_MAX < lines.len() {
                return Err(garbled());
            }
        }
        let first = lines.first().ok_or_else(garbled)?;
        let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
        let header = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Ok((status.ok_or_else(garbled)?, lines.iter().skip(1).filter_map(header).collect()))
    }
}
