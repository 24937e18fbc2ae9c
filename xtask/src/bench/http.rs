//! The smallest HTTP/1.1 client that measures honestly: one connection, one request in flight,
//! the request's bytes made once, every reply read whole and held to be a success.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

/// How long a reply may take before the run is given up.
const REPLY_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest reply that is read, in bytes.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Where and how to ask.
#[derive(Clone)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// How its certificate is judged; without, the connection is plain.
    pub tls: Option<Arc<ClientConfig>>,
    /// The whole request, head and body.
    pub request: Arc<[u8]>,
}

/// A client configuration that trusts the authority in a PEM file and speaks HTTP/1.1.
///
/// # Errors
/// Where the file cannot be read or holds no certificate.
pub fn trusting(authority: &Path) -> io::Result<Arc<ClientConfig>> {
    let pem = fs::read(authority)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A request in HTTP/1.1 with keep-alive.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Arc<[u8]> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes.into()
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A keep-alive client; it connects anew where the server closed.
pub struct Client {
    target: Target,
    stream: Option<Stream>,
    reply: Vec<u8>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(target: Target) -> Self {
        Self { target, stream: None, reply: Vec::new() }
    }

    /// Asks once and returns the body of the reply.
    ///
    /// # Errors
    /// Where the connection fails or the reply is not 200: a benchmark of errors means nothing.
    pub fn ask(&mut self) -> io::Result<&[u8]> {
        let request = self.target.request.clone();
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.target)?,
        };
        stream.write_all(&request)?;
        stream.flush()?;
        let head = read_reply(&mut stream, &mut self.reply)?;
        if head.status != 200 {
            let body = String::from_utf8_lossy(&self.reply[head.body_at..]).into_owned();
            return Err(io::Error::other(format!("the server answered {}: {body}", head.status)));
        }
        if head.keeps_alive {
            self.stream = Some(stream);
        }
        Ok(&self.reply[head.body_at..])
    }
}

fn connect(target: &Target) -> io::Result<Stream> {
    let stream = TcpStream::connect_timeout(&target.address, REPLY_WAIT_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_WAIT_MAX))?;
    stream.set_write_timeout(Some(REPLY_WAIT_MAX))?;
    let Some(config) = &target.tls else { return Ok(Stream::Plain(stream)) };
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(session, stream))))
}

/// What the head of a reply says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    keeps_alive: bool,
    body_at: usize,
    body_bytes: usize,
}

/// Reads one reply whole into `reply`.
fn read_reply(stream: &mut impl Read, reply: &mut Vec<u8>) -> io::Result<Head> {
    reply.clear();
    let mut chunk = [0; 8 * 1024];
    loop {
        if let Some(head) = parse_head(reply)? {
            let whole = head.body_at + head.body_bytes;
            if REPLY_BYTES_MAX < whole {
                return Err(io::Error::other(format!("reply of {whole} bytes")));
            }
            if whole <= reply.len() {
                return Ok(head);
            }
        }
        let n = stream.read(&mut chunk)?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
        }
        reply.extend_from_slice(&chunk[..n]);
    }
}

fn parse_head(reply: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = reply.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&reply[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("reply without a status"))?;
    let (mut keeps_alive, mut body_bytes) = (true, None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            keeps_alive = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    let body_bytes = body_bytes.ok_or_else(|| io::Error::other("reply without a length"))?;
    Ok(Some(Head { status, keeps_alive, body_at: end + 4, body_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_whole_however_it_arrives() {
        struct Drip<'a>(&'a [u8]);
        impl Read for Drip<'_> {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                let n = self.0.len().min(3);
                bytes[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let text = b"HTTP/1.1 429 No\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        let mut reply = Vec::new();
        let head = read_reply(&mut Drip(text), &mut reply).unwrap();
        assert_eq!((head.status, head.keeps_alive), (429, false));
        assert_eq!(&reply[head.body_at..], b"hello");
        let cut = &text[..text.len() - 1];
        assert!(read_reply(&mut Drip(cut), &mut reply).is_err());
        assert!(read_reply(&mut Drip(b"HTTP/1.1 200 OK\r\n\r\n"), &mut reply).is_err());
    }
}
