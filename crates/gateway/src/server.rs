//! Starting, running and draining a server.
//!
//! Each lane is a thread with its own single-threaded event loop: a request is served where its
//! connection was put (`accept.rs`) and nothing is stolen or shared on its way but the snapshot,
//! the ledger's queue and counters. There is one listening socket, without `SO_REUSEPORT`, so that
//! a second process on the same port is refused by the kernel instead of being given half the
//! traffic.

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

use crate::accept::{Inlet, Outlet, accept_tcp, accept_unix, serve_handoffs, way_in};
use crate::background;
use crate::lane::Lane;
use crate::route::Listener;
use crate::settings::{Addresses, HttpLimits};
use crate::shared::{Services, Shared};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;
/// Threads of a lane that run what may block or takes long: most of them wait for upstreams.
const BLOCKING_THREADS_PER_LANE_MAX: usize = 32;

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
    let hints = [
        (io::ErrorKind::AddrInUse, ": another process has it; choose another port or stop it"),
        (io::ErrorKind::PermissionDenied, ": not allowed; choose a port above 1023"),
        (io::ErrorKind::AddrNotAvailable, ": this machine has no such address"),
    ];
    hints.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, hint)| hint)
}

/// A running server. Dropping it stops nothing: see [`Server::drain`].
#[derive(Debug)]
pub struct Server {
    bound: Addresses,
    stop: watch::Sender<bool>,
    lanes: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// The listening sockets, all kept by the first lane.
struct Doors {
    tcp: Vec<(Listener, TcpListener)>,
    unix: Option<UnixListener>,
    inlets: Vec<Inlet>,
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
        let mut tcp = vec![(Listener::Inference, bind(Listener::Inference, &mut bound.inference)?)];
        for (listener, address) in [
            (Listener::Admin, &mut bound.admin),
            (Listener::Operations, &mut bound.operations),
            (Listener::Log, &mut bound.log),
        ] {
            if let Some(address) = address {
                tcp.push((listener, bind(listener, address)?));
            }
        }
        let unix = bound.socket.as_deref().map(bind_unix).transpose()?;
        let (stop, stopped) = watch::channel(false);
        let n_lanes = limits.lanes.max(1);
        let shared = Arc::new(Shared::new(services, limits));
        let (inlets, outlets): (Vec<_>, Vec<_>) = (0..n_lanes).map(|_| way_in()).unzip();
        let mut doors = Some(Doors { tcp, unix, inlets });
        let lanes = outlets
            .into_iter()
            .enumerate()
            .map(|(lane_idx, outlet)| {
                start_lane(lane_idx, doors.take(), outlet, shared.clone(), stopped.clone())
            })
            .collect::<Result<_, _>>()?;
        info!(address = %bound.inference, tls = has_tls, lanes = n_lanes, "gateway.listener.opened");
        Ok(Self { bound, stop, lanes, shared })
    }

    /// The addresses that it listens on, with the ports that the system chose.
    pub fn addresses(&self) -> &Addresses {
        &self.bound
    }

    /// Shows in `/metrics` whether the process that scans models is wholly shut in by `means`.
    pub fn scanner_confined(&self, means: &'static str, is_full: bool) {
        self.shared.metrics.scanner(means, is_full);
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
    doors: Option<Doors>,
    outlet: Outlet,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, StartError> {
    let resting = shared.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || Lane::rest(&resting))
        .max_blocking_threads(BLOCKING_THREADS_PER_LANE_MAX)
        .build()
        .map_err(|source| StartError::Lane { source })?;
    let lane = move || runtime.block_on(run_lane(doors, outlet, shared, stopped));
    let name = format!("lane-{lane_idx}");
    std::thread::Builder::new().name(name).spawn(lane).map_err(|source| StartError::Lane { source })
}

async fn run_lane(
    doors: Option<Doors>,
    outlet: Outlet,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let lane = Lane::new(shared.clone());
    let delivering = tokio::spawn(lane.clone().deliver());
    let mut loops = JoinSet::new();
    loops.spawn(serve_handoffs(outlet, lane.clone(), stopped.clone()));
    if let Some(Doors { tcp, unix, inlets }) = doors {
        loops.spawn(background::tick(shared.clone(), stopped.clone()));
        for (listener, socket) in tcp {
            let (shared, inlets) = (shared.clone(), inlets.clone());
            loops.spawn(accept_tcp(listener, socket, shared, inlets, stopped.clone()));
        }
        if let Some(socket) = unix {
            loops.spawn(accept_unix(socket, lane.clone(), stopped.clone()));
        }
    }
    while loops.join_next().await.is_some() {}
    delivering.abort();
}
