//! What a server is told at its start, every bound with its unit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::{ModelName, ModelVersion, limits};

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The inference protocols.
    pub inference: SocketAddr,
    /// The admin API over TLS.
    pub admin: Option<SocketAddr>,
    /// Health and metrics, plain.
    pub operations: Option<SocketAddr>,
    /// The log, for whoever reaches it.
    pub log: Option<SocketAddr>,
    /// The admin API of the store's own user.
    pub socket: Option<PathBuf>,
}

/// Bounds of a server.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Threads that serve, each with its own event loop.
    pub lanes: usize,
    /// Most connections open at once, over all listeners.
    pub connections_max: usize,
    /// Longest request body, in bytes, unless a contract says less.
    pub body_bytes_max: usize,
    /// Longest head of a request (request line and headers), in bytes.
    pub header_bytes_max: usize,
    /// Most headers of a request.
    pub headers_max: usize,
    /// Longest wait for a head, and how long an idle connection is kept; up to twice that where a
    /// request came just after a look.
    pub header_wait_max: Duration,
    /// Longest wait for a body.
    pub body_wait_max: Duration,
    /// Longest TLS handshake.
    pub handshake_wait_max: Duration,
    /// Longest time from the head to the answer, after which a refusal is given instead.
    pub answer_wait_max: Duration,
    /// Most streams of one HTTP/2 connection.
    pub streams_max: u32,
    /// Whether readiness needs a clock that something disciplines, with a bounded error.
    pub clock_must_be_synchronised: bool,
    /// Whether the listener of the log speaks TLS.
    pub log_tls: bool,
    /// Whether models may be loaded and unloaded through the inference listener.
    pub repository_control: bool,
    /// Longest wait for open requests when the server stops.
    pub drain_wait_max: Duration,
    /// The model that is meant where a protocol's path names none; the only one where absent.
    pub implied_model: Option<(ModelName, Option<ModelVersion>)>,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            lanes: std::thread::available_parallelism().map_or(1, usize::from),
            connections_max: 4_096,
            body_bytes_max: limits::BODY_BYTES_MAX,
            header_bytes_max: 16 * 1024,
            headers_max: 64,
            header_wait_max: Duration::from_secs(30),
            body_wait_max: Duration::from_secs(10),
            handshake_wait_max: Duration::from_secs(5),
            answer_wait_max: Duration::from_secs(10),
            streams_max: 128,
            clock_must_be_synchronised: false,
            log_tls: true,
            repository_control: false,
            drain_wait_max: Duration::from_secs(20),
            implied_model: None,
        }
    }
}
