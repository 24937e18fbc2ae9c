//! Starting, running and draining a server.
//!
//! Each lane is a thread with its own single-threaded event loop: a request is served where its
//! connection was accepted and nothing is stolen or shared on its way but the snapshot, the
//! ledger's queue and counters. All lanes accept from one listening socket, so that a second
//! process on the same port is refused by the kernel instead of being given half the traffic.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::background;
use crate::connection;
use crate::lane::Lane;
use crate::route::Listener;
use crate::settings::{Addresses, HttpLimits};
use crate::shared::{Services, Shared};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;
/// Threads of a lane that run what may block or takes long.
const BLOCKING_THREADS_PER_LANE_MAX: usize = 4;
/// How long an accept that failed for want of descriptors waits before the next.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error("cannot listen on {address} for {listener}{}", hint(.source))]
    Listen {
        /// Which listener.
        listener: &'static str,
        /// The address or path.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A listener that needs TLS has no certificate.
    #[error("the {listener} listener needs TLS, and no certificate is configured")]
    NoTls {
        /// Which listener.
        listener: &'static str,
    },
    /// A thread or its event loop could not be made.
    #[error("cannot start a lane")]
    Lane {
        /// What the system says.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": another process has it; choose another port or stop it",
        io::ErrorKind::PermissionDenied => ": not allowed; choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        _ => "",
    }
}

/// A running server. Dropping it stops nothing: see [`Server::drain`].
#[derive(Debug)]
pub struct Server {
    bound: Addresses,
    stop: watch::Sender<bool>,
    lanes: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// The sockets of a lane.
struct Doors {
    tcp: Vec<(Listener, TcpListener)>,
    unix: Option<UnixListener>,
}

impl Server {
    /// Binds every address, then starts the lanes.
    ///
    /// # Errors
    /// [`StartError`]; nothing listens then.
    pub fn start(
        addresses: &Addresses,
        limits: HttpLimits,
        services: Services,
    ) -> Result<Self, StartError> {
        let has_tls = services.live.load().tls.is_some();
        if !has_tls && addresses.admin.is_some() {
            return Err(StartError::NoTls { listener: Listener::Admin.as_str() });
        }
        let mut bound = addresses.clone();
        let inference = bind(Listener::Inference, &mut bound.inference)?;
        let mut side = Vec::new();
        for (listener, address) in
            [(Listener::Admin, &mut bound.admin), (Listener::Operations, &mut bound.operations)]
        {
            if let Some(address) = address {
                side.push((listener, bind(listener, address)?));
            }
        }
        let socket = bound.socket.as_deref().map(bind_unix).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let n_lanes = limits.lanes.max(1);
        let shared = Arc::new(Shared::new(services, limits));
        let (mut lanes, mut first) = (Vec::new(), Some((side, socket)));
        for lane_idx in 0..n_lanes {
            let (side, unix) = first.take().unwrap_or_default();
            let mut tcp = side;
            let own = inference.try_clone().map_err(|source| StartError::Lane { source })?;
            tcp.push((Listener::Inference, own));
            let doors = Doors { tcp, unix };
            lanes.push(start_lane(lane_idx, doors, shared.clone(), stopped.clone())?);
        }
        info!(address = %bound.inference, tls = has_tls, lanes = n_lanes, "gateway.listener.opened");
        Ok(Self { bound, stop, lanes, shared })
    }

    /// The addresses that it listens on, with the ports that the system chose.
    pub fn addresses(&self) -> &Addresses {
        &self.bound
    }

    /// Stops accepting, lets open requests finish within the drain limit, writes the last
    /// tallies, and ends the lanes. Readiness is off from the first moment.
    pub fn drain(self) {
        self.shared.start_draining();
        // An error means that every lane has ended already.
        let _ = self.stop.send(true);
        for lane in self.lanes {
            if lane.join().is_err() {
                warn!("gateway.lane.died");
            }
        }
        background::write_tallies(&self.shared, background::Window::CloseNow);
        if let Some(path) = &self.bound.socket {
            // Whoever holds the store's lock next removes a stale one.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn listen_error(listener: Listener, address: impl ToString, source: io::Error) -> StartError {
    StartError::Listen { listener: listener.as_str(), address: address.to_string(), source }
}

fn bind(listener: Listener, address: &mut SocketAddr) -> Result<TcpListener, StartError> {
    let open = |address: SocketAddr| -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Lets a restart have the port while old connections linger; it does not let two
        // processes share it.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    let socket = open(*address).map_err(|source| listen_error(listener, *address, source))?;
    *address = socket.local_addr().map_err(|source| listen_error(listener, *address, source))?;
    Ok(socket)
}

/// Binds the admin socket with mode 0600 from its first moment: it is made under a name that
/// nobody is told, restricted, and then renamed. A stale socket of an earlier owner is replaced:
/// who calls this holds the store's lock.
fn bind_unix(path: &Path) -> Result<UnixListener, StartError> {
    let open = || -> io::Result<UnixListener> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let fresh = PathBuf::from(name);
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = UnixListener::bind(&fresh)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&fresh, path)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    open().map_err(|source| listen_error(Listener::Socket, path.display(), source))
}

fn start_lane(
    lane_idx: usize,
    doors: Doors,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_PER_LANE_MAX)
        .build()
        .map_err(|source| StartError::Lane { source })?;
    let lane = move || runtime.block_on(run_lane(lane_idx, doors, shared, stopped));
    let name = format!("lane-{lane_idx}");
    std::thread::Builder::new().name(name).spawn(lane).map_err(|source| StartError::Lane { source })
}

async fn run_lane(
    lane_idx: usize,
    doors: Doors,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let lane = Lane::new(shared.clone());
    let delivering = tokio::spawn(lane.clone().deliver());
    let mut loops = JoinSet::new();
    if lane_idx == 0 {
        loops.spawn(background::tick(shared.clone(), stopped.clone()));
    }
    for (listener, socket) in doors.tcp {
        loops.spawn(accept_tcp(listener, socket, lane.clone(), stopped.clone()));
    }
    if let Some(socket) = doors.unix {
        loops.spawn(accept_unix(socket, lane.clone(), stopped.clone()));
    }
    while loops.join_next().await.is_some() {}
    delivering.abort();
}

async fn accept_tcp(
    listener: Listener,
    socket: TcpListener,
    lane: Arc<Lane>,
    mut stopped: watch::Receiver<bool>,
) {
    let socket = match tokio::net::TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return warn!(%error, "gateway.listener.failed"),
    };
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = open.join_next(), if !open.is_empty() => {}
            // A place first, then the connection: while all are taken, callers wait in the
            // kernel's backlog and cost nothing here.
            place = lane.connection_place() => {
                let accepted = tokio::select! {
                    _ = stopped.changed() => break,
                    accepted = socket.accept() => accepted,
                };
                match accepted {
                    Ok((stream, peer)) => {
                        let (lane, stopped) = (lane.clone(), stopped.clone());
                        open.spawn(connection::serve_tcp(
                            listener, stream, peer, lane, place, stopped,
                        ));
                    }
                    Err(error) => {
                        warn!(%error, "gateway.connection.not-accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }
    drop(socket);
    finish(open, &lane).await;
}

async fn accept_unix(socket: UnixListener, lane: Arc<Lane>, mut stopped: watch::Receiver<bool>) {
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
