//! Wiring: from an environment to a server that answers.

mod identities;
mod shared;

use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bartizan_core::{ClockTrouble, ModelName, ModelVersion};
use bartizan_decision::{DayRows, RowBudget, Site, Snapshot};
use bartizan_gateway::{
    self as gateway, AckLevel, Addresses, Assurance, HttpLimits, Live, Server, Services,
    StartError as ListenError,
};
use bartizan_outbound::cosigning::Witnessed;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::admin::handler::Handler;
use crate::config::{Ack, Config, Tls};
use crate::environment::Environment;
use crate::log::Chain;
use crate::outside::{self, Asking, Outside, OutsideError};
use crate::owner::store::{Act, StoreError};
use crate::owner::{self, OperationError, Owner, TakeError, World};
use crate::tls::clients;
use crate::tls::load::{self, LoadError};
use identities::{IssuerError, Keeping};
use shared::Looking;

/// How often the sealing keys of the next day are looked after.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Seconds between two times that what the guards know is kept.
const KEEP_GUARDS_S: u32 = 60;
/// How often the clock is looked at.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an orderly stop waits for the checkpoint that covers its own record.
const PUBLISH_WAIT_MAX: Duration = Duration::from_secs(10);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The store cannot be taken.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// Whoever runs this process may not act on the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates are not in order.
    #[error("TLS is not in order")]
    Tls(#[from] LoadError),
    /// The start could not be recorded.
    #[error(transparent)]
    Record(#[from] OperationError),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Witnesses or time stamps cannot be asked for as configured.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// An issuer cannot be asked.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A thread cannot be had.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// A model that is to be served and is not, and why.
pub(crate) type Fault = (ModelName, ModelVersion, OperationError);

/// A server at work, with the store that it owns.
pub(crate) struct Running {
    owner: Arc<Owner>,
    live: Arc<ArcSwap<Live>>,
    server: Server,
    faults: Vec<Fault>,
    upkeep: Upkeep,
    asking: Option<Asking>,
    tls: Arc<ArcSwapOption<gateway::Tls>>,
    keeping: Arc<Keeping>,
    looking: Looking,
}

/// Takes the store of `environment`, loads its models, and serves them.
///
/// # Errors
/// [`StartError`]; nothing is served then, and the store is given back.
pub(crate) fn start(environment: Environment, world: World) -> Result<Running, StartError> {
    let config = environment.config().clone();
    let tls = Arc::new(ArcSwapOption::new(tls(&environment, &config)?));
    let root = environment.root().to_owned();
    let outside = Outside::of(&environment)?;
    let socket = environment.socket();
    let entropy = world.entropy.clone();
    let owner = Arc::new(Owner::take(environment, world)?);
    owner.begin_with(identities::identities(&config, &owner.identities()));
    let budget: Arc<dyn RowBudget> = Arc::new(DayRows::default());
    let first = Live { snapshot: snapshot(&owner, owner.live(), &budget), tls: tls.load_full() };
    let live = Arc::new(ArcSwap::from_pointee(first));
    owner.enforce_policies(&owner.local_principal()?)?;
    let faults = publish_into(&owner, &live, &tls, budget);
    let (looking, freshness) =
        Looking::start(&owner, &config.shared).map_err(StartError::Thread)?;
    let keeper = identities::keeper(&config, &root, owner.clock())?;
    let (keeping, _thread) = Keeping::start(keeper, &owner)?;
    let caller = owner.local_principal()?;
    owner.record(&caller, &Act::Started)?;
    let (asking, witnessed) = outside.start(&owner)?;
    let addresses = Addresses {
        inference: config.inference.address,
        admin: config.admin.address,
        operations: config.operations.address,
        log: config.log_reading.address,
        socket: Some(socket),
    };
    let services = Services {
        live: live.clone(),
        appender: owner.appender(),
        clock: owner.clock(),
        entropy,
        admin: Arc::new(Handler(owner.clone())),
        published: config.log_reading.address.map(|_| owner.disk()),
        assurance: Some(assurance(&config, &owner, witnessed)),
        issuer_keys: Some(keeping.clone()),
        freshness,
    };
    let server = Server::start(&addresses, http_limits(&config), services)?;
    let upkeep = Upkeep::start(owner.clone()).map_err(StartError::Thread)?;
    Ok(Running { owner, live, server, faults, upkeep, asking, tls, keeping, looking })
}

impl Running {
    /// The address on which it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses().inference
    }

    /// How the scanner is shut in, in words; shown in `/metrics` from now on.
    pub(crate) fn tell_confinement(&self) -> String {
        let words = self.owner.scan_confinement();
        for (means, is_full) in self.owner.scan_confined() {
            self.server.scanner_confined(means, is_full);
        }
        words
    }

    /// The owner of the store.
    pub(crate) fn owner(&self) -> &Arc<Owner> {
        &self.owner
    }

    /// The models that are to be served and are not.
    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Model versions that are served.
    pub(crate) fn n_models(&self) -> usize {
        self.live.load().snapshot.models().count()
    }

    /// Reads again which issuers, trust domains and certificates the configuration names. They
    /// go live together; what is wrong with them is said, and the old ones go on.
    pub(crate) fn reload(&self) {
        match self.read_again() {
            Ok(()) => info!("gateway.tls.reloaded"),
            Err(error) => warn!(error = %Chain(error.as_ref()), "gateway.tls.not-reloaded"),
        }
    }

    fn read_again(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let environment = Environment::open(self.owner.environment().root())?;
        let config = environment.config();
        let keeper = identities::keeper(config, environment.root(), self.owner.clock())?;
        let fresh = tls(&environment, config)?;
        let caller = self.owner.local_principal()?;
        let before = self.tls.swap(fresh);
        let changed = self.owner.change_identities(&caller, &Act::ConfigReloaded, |now| {
            identities::identities(config, now)
        });
        if let Err(error) = changed {
            self.tls.store(before);
            return Err(error.into());
        }
        self.keeping.replace(keeper);
        Ok(())
    }

    /// Lets open requests finish, records the stop, and gives the store back.
    pub(crate) fn stop(self) {
        let Self { owner, live: _, server, faults: _, upkeep, asking, tls: _, keeping: _, looking } =
            self;
        server.drain();
        drop(looking);
        // Behind the requests, some of which wait for witnesses.
        if let Some(asking) = asking {
            asking.stop();
        }
        upkeep.stop();
        owner.keep_guards();
        let recorded = owner.local_principal().map(|caller| owner.record(&caller, &Act::Stopped));
        match recorded {
            // Whoever rolls the store back now is behind what the anchor knows.
            Ok(Ok(receipt)) => {
                if owner.publication().wait(receipt.index, PUBLISH_WAIT_MAX).is_none() {
                    warn!("ledger.stop.unpublished");
                }
            }
            Ok(Err(_)) | Err(_) => warn!("ledger.stop.unrecorded"),
        }
        info!("gateway.server.stopped");
    }
}

/// What listeners of `environment` speak TLS with by `config`.
fn tls(environment: &Environment, config: &Config) -> Result<Option<Arc<gateway::Tls>>, LoadError> {
    if config.inference.tls == Tls::Off {
        return Ok(None);
    }
    let clients = clients::verifier(&config.trust, environment.root())?;
    let (certificate, key) = environment.tls_files();
    let now_s = crate::cmd::now_s();
    let server = load::server_config(&certificate, &key, now_s, clients.clone())?;
    Ok(Some(Arc::new(gateway::Tls { server, clients })))
}

/// Replaces the snapshot whenever keys, models or sealing keys change.
fn publish_into(
    owner: &Arc<Owner>,
    live: &Arc<ArcSwap<Live>>,
    tls: &Arc<ArcSwapOption<gateway::Tls>>,
    budget: Arc<dyn RowBudget>,
) -> Vec<Fault> {
    // The owner holds this for as long as it lives; a strong handle would keep it alive for ever.
    let (weak, live, tls) = (Arc::downgrade(owner), live.clone(), tls.clone());
    owner.serve(Box::new(move |parts| {
        let Some(owner) = weak.upgrade() else { return };
        let snapshot = snapshot(&owner, parts, &budget);
        live.store(Arc::new(Live { snapshot, tls: tls.load_full() }));
    }))
}

fn snapshot(owner: &Owner, parts: owner::Live, budget: &Arc<dyn RowBudget>) -> Arc<Snapshot> {
    let environment = owner.environment();
    let site = Site {
        environment: environment.name().clone(),
        replica: environment.config().environment.replica.as_str().into(),
        is_volatile: owner.is_volatile(),
    };
    let owner::Live { keys, identities, policies, sealer, models } = parts;
    let snapshot = Snapshot::new(site, owner.clock(), keys, sealer, models);
    let snapshot = snapshot.with_budget(budget.clone());
    Arc::new(snapshot.with_policies(policies).with_identities(identities))
}

/// What answers wait for.
fn assurance(
    config: &Config,
    owner: &Owner,
    witnessed: Option<watch::Receiver<Witnessed>>,
) -> Assurance {
    let disk = owner.disk();
    Assurance {
        default: match config.ack.default {
            Ack::Durable => AckLevel::Durable,
            Ack::Published => AckLevel::Published,
            Ack::Witnessed => AckLevel::Witnessed,
        },
        models: outside::levels(config),
        publication: owner.publication(),
        witnessed,
        prove: Arc::new(move |index, size| outside::inclusion(&*disk, index, size)),
    }
}

fn http_limits(config: &Config) -> HttpLimits {
    let limits = &config.limits;
    let millis = |ms: u32| Duration::from_millis(u64::from(ms));
    let defaults = HttpLimits::default();
    HttpLimits {
        lanes: if limits.lanes == 0 { defaults.lanes } else { limits.lanes as usize },
        connections_max: limits.connections_max as usize,
        body_bytes_max: usize::try_from(limits.body_bytes_max).unwrap_or(usize::MAX),
        header_bytes_max: usize::try_from(limits.header_bytes_max).unwrap_or(usize::MAX),
        headers_max: limits.headers_max as usize,
        header_wait_max: millis(limits.header_ms_max),
        body_wait_max: millis(limits.body_ms_max),
        handshake_wait_max: millis(limits.handshake_ms_max),
        answer_wait_max: millis(limits.answer_ms_max),
        streams_max: limits.streams_max,
        clock_must_be_synchronised: config.ledger.clock_synchronised,
        log_tls: config.log_reading.tls == Tls::On,
        repository_control: config.inference.repository_control,
        drain_wait_max: millis(limits.drain_ms_max),
        implied_model: config.score.model().unwrap_or_default(),
    }
}

/// Whether the clock was in trouble at the last look.
#[derive(Default)]
struct ClockWatch {
    was_troubled: bool,
}

impl ClockWatch {
    /// Says, and records, that the clock went back; readiness is off meanwhile.
    fn look(&mut self, owner: &Owner) {
        let must_be_synchronised = owner.environment().config().ledger.clock_synchronised;
        let trouble = owner.clock().now().trouble(must_be_synchronised);
        match trouble {
            Some(ClockTrouble::Behind { behind_ns }) if !self.was_troubled => {
                error!(behind_ns, "ledger.clock.stepped-back");
                let act = Act::ClockStepped { behind_ns };
                let recorded = owner.local_principal().map(|caller| owner.record(&caller, &act));
                if !matches!(recorded, Ok(Ok(_))) {
                    warn!("ledger.clock.unrecorded");
                }
            }
            Some(ClockTrouble::Uncertain { error_ns }) if !self.was_troubled => {
                error!(error_ns, "ledger.clock.uncertain");
            }
            None if self.was_troubled => info!("ledger.clock.in-order"),
            Some(_) | None => {}
        }
        self.was_troubled = trouble.is_some();
    }
}

/// The thread that makes tomorrow's sealing key before tomorrow.
struct Upkeep {
    stop: mpsc::Sender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Upkeep {
    fn start(owner: Arc<Owner>) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            let mut watch = ClockWatch::default();
            let ticks = u32::try_from(UPKEEP_INTERVAL.as_secs()).unwrap_or(u32::MAX);
            for tick in (0..=ticks).cycle() {
                if stopped.recv_timeout(CLOCK_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                watch.look(&owner);
                if tick % KEEP_GUARDS_S == 0 {
                    owner.keep_guards();
                }
                if tick != ticks {
                    continue;
                }
                if let Err(error) = owner.maintain() {
                    warn!(error = %Chain(&error), "ledger.sealing-keys.not-made");
                }
            }
        };
        let thread = std::thread::Builder::new().name("upkeep".into()).spawn(work)?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    fn stop(self) {
        drop(self.stop);
        let thread = self.thread.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            warn!("ledger.upkeep.died");
        }
    }
}
