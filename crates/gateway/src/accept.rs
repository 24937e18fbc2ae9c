//! Accepting connections and giving each to a lane.
//!
//! One lane accepts and hands every connection to the lane that has fewest. If all lanes accepted,
//! whichever woke first would take a whole burst and the others would idle beside it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use crate::connection;
use crate::lane::Lane;
use crate::route::Listener;
use crate::shared::Shared;

/// How long an accept that failed for want of descriptors waits before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection on its way to its lane; it holds its place among all connections, which bounds
/// how many there can be.
struct Handoff {
    listener: Listener,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

/// Where connections of one lane are put.
#[derive(Clone)]
pub(crate) struct Inlet {
    handoffs: mpsc::UnboundedSender<Handoff>,
    n_open: Arc<AtomicUsize>,
}

/// Where the lane takes them from.
pub(crate) struct Outlet {
    handoffs: mpsc::UnboundedReceiver<Handoff>,
    n_open: Arc<AtomicUsize>,
}

/// The two ends of a lane's way in.
pub(crate) fn way_in() -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let n_open = Arc::new(AtomicUsize::new(0));
    let inlet = Inlet { handoffs: sender, n_open: n_open.clone() };
    (inlet, Outlet { handoffs: receiver, n_open })
}

/// Accepts until the server stops.
pub(crate) async fn accept_tcp(
    listener: Listener,
    socket: TcpListener,
    shared: Arc<Shared>,
    inlets: Vec<Inlet>,
    mut stopped: watch::Receiver<bool>,
) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return warn!(%error, "gateway.listener.failed"),
    };
    loop {
        // A place first, then the connection: while all are taken, callers wait in the kernel's
        // backlog and cost nothing here.
        let accepted = async {
            let place = shared.connection_place().await;
            socket.accept().await.map(|(stream, peer)| (stream, peer, place))
        };
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = accepted => accepted,
        };
        let handed = accepted.and_then(|(stream, peer, place)| {
            let stream = stream.into_std()?;
            hand_over(&inlets, Handoff { listener, stream, peer, place });
            Ok(())
        });
        if let Err(error) = handed {
            warn!(%error, "gateway.connection.not-accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

fn hand_over(inlets: &[Inlet], handoff: Handoff) {
    let Some(inlet) = inlets.iter().min_by_key(|inlet| inlet.n_open.load(Ordering::Relaxed)) else {
        return;
    };
    inlet.n_open.fetch_add(1, Ordering::Relaxed);
    if inlet.handoffs.send(handoff).is_err() {
        // The lane has ended: the server stops, and the connection with it.
        inlet.n_open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves what is handed to the lane, until the server stops and the last connection has ended
/// or was cut.
pub(crate) async fn serve_handoffs(
    mut outlet: Outlet,
    lane: Arc<Lane>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = open.join_next(), if !open.is_empty() => {}
            handoff = outlet.handoffs.recv() => {
                let Some(handoff) = handoff else { break };
                let (lane, stopped) = (lane.clone(), stopped.clone());
                let n_open = outlet.n_open.clone();
                open.spawn(async move {
                    serve(handoff, lane, stopped).await;
                    n_open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
    }
    finish(open, &lane).await;
}

async fn serve(handoff: Handoff, lane: Arc<Lane>, stopped: watch::Receiver<bool>) {
    let Handoff { listener, stream, peer, place } = handoff;
    match TcpStream::from_std(stream) {
        Ok(stream) => {
            connection::serve_tcp(listener, stream, peer, lane, place, stopped).await;
        }
        Err(error) => warn!(%error, "gateway.connection.not-accepted"),
    }
}

/// Accepts on the store's socket until the server stops.
pub(crate) async fn accept_unix(
    socket: UnixListener,
    lane: Arc<Lane>,
    mut stopped: watch::Receiver<bool>,
) {
    let socket = match tokio::net::UnixListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return warn!(%error, "gateway.listener.failed"),
    };
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = open.join_next(), if !open.is_empty() => {}
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection::serve_unix(stream, lane.clone(), stopped.clone()));
                }
                Err(error) => {
                    warn!(%error, "gateway.connection.not-accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    finish(open, &lane).await;
}

/// Waits for open connections, as long as the drain limit allows.
async fn finish(mut open: JoinSet<()>, shared: &Shared) {
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.limits.drain_wait_max, all).await.is_err() {
        warn!(connections = open.len(), "gateway.connections.cut");
    }
}
