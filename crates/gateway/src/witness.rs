//! A witness's door: `POST /add-checkpoint` of C2SP `tlog-witness`, and nothing else.
//!
//! Its own process, its own folder, none of a server's services: a witness is of use because it
//! shares nothing with the log that it watches. All judging is `ledger::witness`.
//! An answer of 200 leaves only after the state that it speaks of is durable, and what a stranger
//! can hold of it is bounded: connections, requests, bytes, time.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bartizan_core::Clock;
use bartizan_ledger::witness::{AddCheckpoint, REQUEST_BYTES_MAX, State, WitnessRefusal};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info, warn};

use crate::answer::Answered;
use crate::body;
use crate::reply;

/// Connections at one time.
const CONNECTIONS_MAX: usize = 256;
/// Requests that wait for the state at one time; each is a sync or two of the disk.
const REQUESTS_MAX: usize = 64;
/// Longest TLS handshake, wait for a head, and wait for a body.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest life of a connection.
const CONNECTION_MAX: Duration = Duration::from_secs(600);
/// Longest wait for open requests at a stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Wait after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const PATH: &str = "/add-checkpoint";
const TEXT: &str = "text/plain; charset=utf-8";
/// The type of a 409's body.
const SIZE: &str = "text/x.tlog.size";

/// What a witness serves with.
pub struct WitnessDoor {
    /// Where it listens.
    pub address: SocketAddr,
    /// Certificates; in the clear without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What it knows and signs with.
    pub state: Arc<State>,
    /// The time that cosignatures carry.
    pub clock: Arc<dyn Clock>,
}

/// A witness at work, on a thread of its own.
#[derive(Debug)]
pub struct WitnessServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

struct Within {
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    requests: Semaphore,
}

impl WitnessServer {
    /// Binds the address and serves.
    ///
    /// # Errors
    /// What the system says to the address or the thread.
    pub fn start(door: WitnessDoor) -> io::Result<Self> {
        let socket = TcpListener::bind(door.address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build()?;
        let serve = move || runtime.block_on(serve(socket, door, stopped));
        let thread = std::thread::Builder::new().name("witness".into()).spawn(serve)?;
        info!(%address, "witness.listener.opened");
        Ok(Self { address, stop, thread })
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets open requests end and stops.
    pub fn stop(self) {
        // An error means that it has ended already.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            error!("witness.thread.died");
        }
    }
}

async fn serve(socket: TcpListener, door: WitnessDoor, mut stopped: watch::Receiver<bool>) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return error!(%error, "witness.listener.failed"),
    };
    let WitnessDoor { tls, state, clock, .. } = door;
    let tls = tls.map(TlsAcceptor::from);
    let within = Arc::new(Within { state, clock, requests: Semaphore::new(REQUESTS_MAX) });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            socket.accept().await.map(|(stream, _)| (stream, place))
        };
        tokio::select! {
            _ = stopped.changed() => break,
            _ = open.join_next(), if !open.is_empty() => {}
            accepted = accepted => match accepted {
                Ok((stream, place)) => {
                    let (within, tls, stopped) = (within.clone(), tls.clone(), stopped.clone());
                    open.spawn(connection(stream, tls, within, place, stopped));
                }
                Err(error) => {
                    warn!(%error, "witness.connection.not-accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    let all = async { while open.join_next().await.is_some() {} };
    // Whoever has not ended by then is cut: nothing is half done, only unanswered.
    let _ = tokio::time::timeout(DRAIN_MAX, all).await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    within: Arc<Within>,
    place: OwnedSemaphorePermit,
    stopped: watch::Receiver<bool>,
) {
    let _place = place;
    let Some(tls) = tls else { return speak(stream, within, stopped).await };
    match tokio::time::timeout(WAIT_MAX, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(stream, within, stopped).await,
        Ok(Err(_)) | Err(_) => debug!("witness.handshake.failed"),
    }
}

async fn speak<S>(stream: S, within: Arc<Within>, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(WAIT_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(WAIT_MAX)
        .max_concurrent_streams(8);
    let service = service_fn(move |request| {
        let within = within.clone();
        async move { Ok::<_, Infallible>(within.answer(request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tokio::time::sleep(CONNECTION_MAX) => Ok(()),
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "witness.connection.lost");
    }
}

impl Within {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answered {
        if request.uri().path() != PATH {
            return reply::with_type(404, TEXT, "a witness answers POST /add-checkpoint\n");
        }
        if request.method() != Method::POST {
            let mut answer = reply::with_type(405, TEXT, "this route takes POST\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return answer;
        }
        let Ok(_turn) = self.requests.try_acquire() else {
            return reply::with_type(503, TEXT, "the witness is busy, try again\n");
        };
        let body = match body::read(request.into_body(), REQUEST_BYTES_MAX, WAIT_MAX).await {
            Ok(body) => body,
            Err(refusal) => {
                let status = bartizan_wire::status(refusal.code);
                return reply::with_type(status, TEXT, format!("{}\n", refusal.message()));
            }
        };
        let within = self.clone();
        let judged = tokio::task::spawn_blocking(move || within.judge(&body)).await;
        judged.unwrap_or_else(|_| reply::with_type(500, TEXT, "the witness failed\n"))
    }

    fn judge(&self, body: &[u8]) -> Answered {
        let judged = AddCheckpoint::parse(body).and_then(|request| {
            let lines = self.state.add_checkpoint(&request, self.clock.now().unix_s())?;
            Ok(lines.iter().map(ToString::to_string).collect::<String>())
        });
        match judged {
            Ok(lines) => reply::with_type(200, TEXT, lines),
            Err(refusal) => {
                tell(&refusal);
                let status = refusal.status();
                match refusal.known_size() {
                    Some(size) => reply::with_type(status, SIZE, format!("{size}\n")),
                    None => reply::with_type(status, TEXT, format!("{refusal}\n")),
                }
            }
        }
    }
}

/// What an operator should see of a refusal.
fn tell(refusal: &WitnessRefusal) {
    match refusal {
        WitnessRefusal::Fork { .. } | WitnessRefusal::Inconsistent(_) => {
            error!(%refusal, "witness.log.forked");
        }
        WitnessRefusal::Store(source) => error!(%refusal, %source, "witness.state.unkept"),
        WitnessRefusal::Sign => error!(%refusal, "witness.state.unkept"),
        WitnessRefusal::Malformed { .. }
        | WitnessRefusal::OldSize { .. }
        | WitnessRefusal::Unsigned
        | WitnessRefusal::UnknownLog
        | WitnessRefusal::Stale { .. } => debug!(%refusal, "witness.checkpoint.refused"),
    }
}
