//! One request over the socket of a store's owner: HTTP/1.1, bounded in bytes and time.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest answer, head and body, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest wait for the next byte of an answer: loading a large model comes before it.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(120);
/// Longest path that `sockaddr_un` holds on Linux, in bytes, without its final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// An answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Body.
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody listens.
    #[error("the store is in use, but nobody answers on `{}`; is the owner just starting or stopping?", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke or took too long.
    #[error("the store's owner broke off")]
    Broken(#[source] io::Error),
    /// It does not speak the protocol.
    #[error("the store's owner answers something that is not HTTP/1.1: {0}")]
    Garbled(&'static str),
}

/// Sends `body` to `operation` of the owner whose socket is `path`, and waits for the answer.
///
/// # Errors
/// [`CallError`]; the operation may then have been performed or not.
pub(crate) fn call(path: &Path, operation: &str, body: &[u8]) -> Result<Answer, CallError> {
    let mut stream =
        connect(path).map_err(|source| CallError::Connect { path: path.to_owned(), source })?;
    let head = format!(
        "POST /admin/v1/{operation} HTTP/1.1\r\nhost: bartizan\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let exchange = |stream: &mut UnixStream| -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        stream.set_write_timeout(Some(ANSWER_WAIT_MAX))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut bytes = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    parse(&exchange(&mut stream).map_err(CallError::Broken)?)
}

/// Whether somebody listens on `path`.
///
/// # Errors
/// [`CallError::Connect`].
pub(crate) fn probe(path: &Path) -> Result<(), CallError> {
    match connect(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(CallError::Connect { path: path.to_owned(), source }),
    }
}

/// Connects, also where the path is too long for a socket address: then through the folder's
/// descriptor.
fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return UnixStream::connect(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = std::fs::File::open(folder)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    UnixStream::connect(short)
}

/// Status and body of a whole answer whose end was the connection's.
fn parse(bytes: &[u8]) -> Result<Answer, CallError> {
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, rest) =
        split.and_then(|at| bytes.split_at_checked(at)).ok_or(CallError::Garbled("no head"))?;
    let body = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| CallError::Garbled("head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .ok_or(CallError::Garbled("no status"))?;
    let mut len = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(CallError::Garbled("a header"))?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(CallError::Garbled("a transfer encoding"));
        }
        if name.eq_ignore_ascii_case("content-length") {
            len = value.trim().parse::<usize>().ok();
        }
    }
    if len != Some(body.len()) {
        return Err(CallError::Garbled("the body is not as long as announced"));
    }
    Ok(Answer { status, body: body.to_vec() })
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test's own bytes")]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::testing::TempDir;

    /// An owner that reads one request and gives `answer`; returns what it was sent.
    fn owner(path: &Path, answer: &'static [u8]) -> std::thread::JoinHandle<Vec<u8>> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let mut len = 0;
            while !request[..len].ends_with(b"{}") {
                len += stream.read(&mut request[len..]).unwrap();
            }
            stream.write_all(answer).unwrap();
            request.truncate(len);
            request
        })
    }

    #[test]
    fn a_request_is_one_post_and_its_answer_is_read_whole() {
        let dir = TempDir::new();
        let path = dir.path().join("s");
        let sent = owner(&path, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
        let answer = call(&path, "key-list", b"{}").unwrap();
        assert_eq!(answer, Answer { status: 200, body: b"{\"a\":1}".to_vec() });
        let sent = String::from_utf8(sent.join().unwrap()).unwrap();
        assert!(sent.starts_with("POST /admin/v1/key-list HTTP/1.1\r\n"), "{sent}");
        assert!(sent.contains("\r\ncontent-length: 2\r\n"), "{sent}");
    }

    #[test]
    fn an_answer_that_is_cut_or_not_http_is_an_error() {
        for answer in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 2\xff0 OK\r\ncontent-length: 2\r\n\r\n{}",
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nodd\r\ncontent-length: 2\r\n\r\n{}",
        ] {
            let parsed = parse(answer);
            assert!(matches!(parsed, Err(CallError::Garbled(_))), "{answer:?}: {parsed:?}");
        }
    }

    #[test]
    fn a_socket_deep_in_the_tree_is_reached() {
        let dir = TempDir::new();
        let deep = dir.path().join("d".repeat(SOCKET_PATH_BYTES_MAX));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("s");
        let short = dir.path().join("short");
        let sent = owner(&short, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        std::fs::rename(&short, &path).unwrap();
        assert_eq!(call(&path, "x", b"{}").unwrap().status, 200);
        sent.join().unwrap();
        let error = call(&deep.join("absent"), "x", b"{}").unwrap_err();
        assert!(matches!(error, CallError::Connect { .. }), "{error}");
    }
}
