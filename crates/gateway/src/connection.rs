//! One connection: TLS, then HTTP/1.1 or HTTP/2, each step within its deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::caller::{Peer, Shown};
use crate::dispatch;
use crate::lane::Lane;
use crate::route::Listener;
use crate::settings::HttpLimits;

/// Room for a head that is too large to be told so in the protocol's own shape, as a multiple of
/// the limit; beyond it the connection is answered by the HTTP library.
const HEAD_ROOM: usize = 4;
/// Headers that the HTTP library reads without an allocation for each request.
const HEADERS_FOR_NOTHING: usize = 99;
/// Least room for a head that the HTTP library accepts, in bytes.
const HEAD_ROOM_BYTES_MIN: usize = 8 * 1024;

pub(crate) async fn serve_tcp(
    listener: Listener,
    stream: TcpStream,
    peer: SocketAddr,
    lane: Arc<Lane>,
    place: OwnedSemaphorePermit,
    stopped: watch::Receiver<bool>,
) {
    let _place = place;
    if let Err(error) = stream.set_nodelay(true) {
        return debug!(%error, "gateway.connection.lost");
    }
    let peer = Peer::Network(peer.ip());
    let tls = match listener {
        Listener::Operations | Listener::Socket => None,
        Listener::Log if !lane.limits.log_tls => None,
        Listener::Inference | Listener::Admin | Listener::Log => lane.live.load().tls.clone(),
    };
    let Some(tls) = tls else {
        return serve(listener, stream, (peer, None), lane, stopped).await;
    };
    let handshake = TlsAcceptor::from(tls.server.clone()).accept(stream);
    match tokio::time::timeout(lane.limits.handshake_wait_max, handshake).await {
        Ok(Ok(stream)) => {
            let chain = stream.get_ref().1.peer_certificates();
            let shown = chain.and_then(Shown::new).map(Arc::new);
            serve(listener, stream, (peer, shown), lane, stopped).await;
        }
        Ok(Err(error)) => {
            lane.metrics.handshakes_failed.inc();
            debug!(%error, "gateway.handshake.failed");
        }
        Err(_) => {
            lane.metrics.handshakes_failed.inc();
            debug!("gateway.handshake.slow");
        }
    }
}

pub(crate) async fn serve_unix(
    stream: UnixStream,
    lane: Arc<Lane>,
    stopped: watch::Receiver<bool>,
) {
    let peer = match stream.peer_cred() {
        Ok(credentials) => Peer::Process { uid: credentials.uid() },
        Err(error) => return debug!(%error, "gateway.connection.lost"),
    };
    serve(Listener::Socket, stream, (peer, None), lane, stopped).await;
}

async fn serve<S>(
    listener: Listener,
    stream: S,
    (peer, shown): (Peer, Option<Arc<Shown>>),
    lane: Arc<Lane>,
    mut stopped: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = builder(&lane.limits);
    lane.metrics.connections.inc();
    let activity = Arc::new(Activity::default());
    let service = {
        let (lane, activity) = (lane.clone(), activity.clone());
        service_fn(move |request| {
            let turn = activity.begin();
            let answer = dispatch::serve(lane.clone(), listener, (peer, shown.clone()), request);
            async move {
                // What is sent piece by piece is being answered until the last piece.
                let mut answer = answer.await;
                if let Ok(answer) = &mut answer {
                    answer.body_mut().keep(turn);
                }
                answer
            }
        })
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut look = tokio::time::interval(lane.limits.header_wait_max);
    look.tick().await;
    let mut n_seen = 0;
    let outcome = loop {
        tokio::select! {
            outcome = &mut connection => break outcome,
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                break connection.await;
            }
            _ = look.tick() => match activity.since(n_seen) {
                Seen::Busy(n_asked) => n_seen = n_asked,
                Seen::Nothing => {
                    debug!("gateway.connection.idle");
                    break Ok(());
                }
            }
        }
    };
    if let Err(error) = outcome {
        debug!(%error, "gateway.connection.lost");
    }
    lane.metrics.connections.dec();
}

fn builder(limits: &HttpLimits) -> auto::Builder<TokioExecutor> {
    let head_room = (limits.header_bytes_max * HEAD_ROOM).max(HEAD_ROOM_BYTES_MIN);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // No time-out of the library's own for heads: it would set a timer for each request, and
    // `Activity` hangs up on whoever does not finish one.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http1().max_buf_size(head_room).half_close(true);
    if HEADERS_FOR_NOTHING < limits.headers_max {
        builder.http1().max_headers(limits.headers_max + 1);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head_room).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams_max)
        .keep_alive_interval(limits.header_wait_max)
        .keep_alive_timeout(limits.handshake_wait_max);
    builder
}

/// What a connection has been used for: whoever finishes no head for the length of its wait is
/// hung up on, whatever of a protocol has been said by then. A look comes once that long, so it
/// takes at most twice as long.
#[derive(Default)]
struct Activity {
    n_asked: AtomicU64,
    n_open: AtomicU32,
}

/// What there was since the last look.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Requests are open or have come; how many there were in all.
    Busy(u64),
    /// Neither.
    Nothing,
}

impl Activity {
    fn begin(self: &Arc<Self>) -> Turn {
        self.n_asked.fetch_add(1, Ordering::Relaxed);
        self.n_open.fetch_add(1, Ordering::Relaxed);
        Turn(self.clone())
    }

    fn since(&self, n_seen: u64) -> Seen {
        let n_asked = self.n_asked.load(Ordering::Relaxed);
        let is_open = 0 < self.n_open.load(Ordering::Relaxed);
        if is_open || n_seen < n_asked { Seen::Busy(n_asked) } else { Seen::Nothing }
    }
}

/// A request that is being answered; its end is noted however it comes.
struct Turn(Arc<Activity>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.n_open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_without_requests_is_idle() {
        let activity = Arc::new(Activity::default());
        assert_eq!(activity.since(0), Seen::Nothing);
        let turn = activity.begin();
        assert_eq!(activity.since(0), Seen::Busy(1));
        assert_eq!(activity.since(1), Seen::Busy(1), "it is still being answered");
        drop(turn);
        assert_eq!(activity.since(0), Seen::Busy(1), "it came since the last look");
        assert_eq!(activity.since(1), Seen::Nothing);
    }
}
