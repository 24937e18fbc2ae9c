//! What a server asks of others about its own log: witnesses that cosign, an authority that
//! stamps. One thread with its own event loop, so that nothing of it is on a request's way.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bartizan_core::Disk;
use bartizan_gateway::AckLevel;
use bartizan_ledger::stamp::{Authorities, StampError};
use bartizan_ledger::tlog::{
    Checkpoint, Frontier, Hash, Note, NoteSigner, Policy, PolicyError, Resource, TileNodes,
    prove_consistency, prove_inclusion,
};
use bartizan_ledger::{Outside as Memory, Published, tlog_name};
use bartizan_outbound::OsEntropy;
use bartizan_outbound::cosigning::{Cosigning, Heard, Witnessed};
use bartizan_outbound::https::{HttpsClient, HttpsError, HttpsSettings, Roots};
use bartizan_outbound::stamps::{StampClient, StampFault};
use bartizan_outbound::witness::{WitnessClient, WitnessFault};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::environment::Environment;
use crate::files::{self, FileError};
use crate::log::Chain;
use crate::owner::Owner;
use crate::owner::store::Act;

/// Longest policy or file of roots, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest wait for a witness or an authority.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for what a witness remembers, at a start.
const MEMORY_WAIT: Duration = Duration::from_secs(3);
/// Longest answer of one.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Longest part of a reason that goes into a record, in bytes.
const REASON_BYTES_MAX: usize = 200;
/// How often the time of the next stamp is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Wait after a stamp that failed.
const STAMP_BACK_OFF: Duration = Duration::from_secs(60);

/// Why the outside cannot be asked as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutsideError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The policy is none.
    #[error("`witnesses.policy` is no policy")]
    Policy(#[from] PolicyError),
    /// The policy has no witness that can be asked.
    #[error(
        "`witnesses.policy` asks for a quorum of witnesses and gives no address of one; write `witness <name> <key> <https://...>`"
    )]
    NoAddress,
    /// The client cannot be made.
    #[error("the HTTPS client cannot be made")]
    Https(#[from] HttpsError),
    /// A witness's address is none.
    #[error(transparent)]
    Witness(#[from] WitnessFault),
    /// The roots of the authority are none.
    #[error("`time_stamps.roots` cannot be used")]
    Roots(#[from] StampError),
    /// The authority's address is none.
    #[error(transparent)]
    Stamp(#[from] StampFault),
    /// A model asks for witnesses where there are none.
    #[error(
        "`ack` asks for `witnessed` and `witnesses.policy` names no witnesses; name a policy, or ask for less"
    )]
    Unwitnessed,
    /// A thread cannot be had.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// What is asked, ready to be started.
pub(crate) struct Outside {
    policy: Option<Policy>,
    witnesses: Vec<(String, WitnessClient)>,
    stamps: Option<(StampClient, Duration)>,
}

/// The thread that asks.
pub(crate) struct Asking {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Outside {
    /// As the configuration of `environment` says.
    ///
    /// # Errors
    /// [`OutsideError`].
    pub(crate) fn of(environment: &Environment) -> Result<Self, OutsideError> {
        let (config, root) = (environment.config(), environment.root());
        let mut outside = Self { policy: None, witnesses: Vec::new(), stamps: None };
        if !config.witnesses.policy.is_empty() {
            let https = client(root, &config.witnesses.roots)?;
            let path = root.join(&config.witnesses.policy);
            let policy = Policy::parse(&files::read_bounded(&path, FILE_BYTES_MAX)?)?;
            for (name, key, url) in policy.witness_urls() {
                let client = WitnessClient::new(https.clone(), url, key.clone())?;
                outside.witnesses.push((name.to_owned(), client));
            }
            if outside.witnesses.is_empty() && policy.asks_witnesses() {
                return Err(OutsideError::NoAddress);
            }
            outside.policy = Some(policy);
        }
        let has_witnesses = outside.policy.as_ref().is_some_and(Policy::asks_witnesses);
        if !has_witnesses && asks_witnesses(config) {
            return Err(OutsideError::Unwitnessed);
        }
        let stamps = &config.time_stamps;
        if !stamps.url.is_empty() {
            let https = client(root, &stamps.tls_roots)?;
            let pem = files::read_bounded(&root.join(&stamps.roots), FILE_BYTES_MAX)?;
            let client = StampClient::new(https, &stamps.url, Authorities::from_pem(&pem)?)?;
            outside.stamps = Some((client, Duration::from_secs(u64::from(stamps.interval_s))));
        }
        Ok(outside)
    }

    /// Starts to ask; `None` where there is nobody to. The receiver hears of every checkpoint
    /// that meets the quorum.
    ///
    /// # Errors
    /// [`OutsideError::Thread`].
    pub(crate) fn start(
        self,
        owner: &Arc<Owner>,
    ) -> Result<(Option<Asking>, Option<watch::Receiver<Witnessed>>), OutsideError> {
        let Self { policy, witnesses, stamps } = self;
        if witnesses.is_empty() && stamps.is_none() {
            return Ok((None, None));
        }
        let (stop, stopped) = watch::channel(false);
        let (witnessed, hears) = watch::channel(None);
        let hears = (!witnesses.is_empty()).then_some(hears);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build()
            .map_err(OutsideError::Thread)?;
        let owner = owner.clone();
        let work = move || {
            runtime.block_on(async {
                let cosigning = async {
                    if let Some(policy) = policy.filter(|_| !witnesses.is_empty()) {
                        let cosigning = cosigning(&owner, policy, witnesses);
                        cosigning.run(witnessed, stopped.clone()).await;
                    }
                };
                let stamping = async {
                    if let Some((client, interval)) = stamps {
                        stamp(&owner, &client, interval, stopped.clone()).await;
                    }
                };
                tokio::join!(cosigning, stamping);
            });
        };
        let thread = std::thread::Builder::new().name("outside".into()).spawn(work);
        Ok((Some(Asking { stop, thread: thread.map_err(OutsideError::Thread)? }), hears))
    }
}

impl Asking {
    /// Ends the thread.
    pub(crate) fn stop(self) {
        // An error means that it has ended already.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            warn!("ledger.outside.died");
        }
    }
}

/// The newest size of the log that each witness has cosigned, asked with an empty checkpoint. A
/// witness that cannot be asked remembers nothing for us, and that is said.
pub(crate) fn known(environment: &Environment, signers: &[NoteSigner]) -> Vec<Memory> {
    let outside = match Outside::of(environment) {
        Ok(outside) if !outside.witnesses.is_empty() => outside,
        // What is wrong is told where the server starts.
        Ok(_) | Err(_) => return Vec::new(),
    };
    let Some(note) = empty_checkpoint(signers) else { return Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    runtime.block_on(async {
        let mut found = Vec::new();
        for (name, client) in outside.witnesses {
            match tokio::time::timeout(MEMORY_WAIT, client.newest(&note)).await {
                Ok(Ok(0)) => {}
                Ok(Ok(size)) => {
                    found.push(Memory {
                        source: format!("the witness `{name}`"),
                        size,
                        root: None,
                    });
                }
                Ok(Err(fault)) => {
                    warn!(witness = name, error = %Chain(&fault), "ledger.witness.not-asked");
                }
                Err(_) => warn!(witness = name, error = "slow", "ledger.witness.not-asked"),
            }
        }
        found
    })
}

fn empty_checkpoint(signers: &[NoteSigner]) -> Option<String> {
    let origin = signers.first()?.public().name();
    let root = Frontier::new().root();
    let text = Checkpoint { origin, size: 0, root, extensions: Vec::new() }.to_string();
    let lines: Result<Vec<_>, _> = signers.iter().map(|signer| signer.sign(&text, 0)).collect();
    Some(Note { text: &text, signatures: lines.ok()? }.to_string())
}

fn asks_witnesses(config: &Config) -> bool {
    config.ack.default == crate::config::Ack::Witnessed || !config.ack.witnessed.is_empty()
}

/// What answers wait for, by model.
pub(crate) fn levels(config: &Config) -> std::collections::BTreeMap<String, AckLevel> {
    let of = |names: &[String], level: AckLevel| {
        names.iter().map(move |name| (name.clone(), level)).collect::<Vec<_>>()
    };
    let ack = &config.ack;
    [
        of(&ack.durable, AckLevel::Durable),
        of(&ack.published, AckLevel::Published),
        of(&ack.witnessed, AckLevel::Witnessed),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn client(root: &Path, roots: &str) -> Result<HttpsClient, OutsideError> {
    let roots = if roots.is_empty() {
        Roots::System
    } else {
        Roots::from_pem(&files::read_bounded(&root.join(roots), FILE_BYTES_MAX)?)?
    };
    let settings = HttpsSettings {
        roots,
        deadline: DEADLINE,
        answer_bytes_max: ANSWER_BYTES_MAX,
        ..HttpsSettings::default()
    };
    Ok(HttpsClient::new(settings)?)
}

fn cosigning(
    owner: &Arc<Owner>,
    policy: Policy,
    witnesses: Vec<(String, WitnessClient)>,
) -> Cosigning {
    let disk = owner.disk();
    let teller = Arc::downgrade(owner);
    Cosigning {
        publication: owner.publication(),
        policy,
        witnesses,
        prove: Arc::new(move |old, size| consistency(&*disk, old, size)),
        clock: owner.clock(),
        hear: Arc::new(move |name, heard| match heard {
            Heard::Cosigns => info!(witness = name, "ledger.witness.cosigns"),
            Heard::Fault(fault) if fault.is_alarm() => {
                error!(witness = name, error = %Chain(*fault), "ledger.witness.alarmed");
                if let Some(owner) = teller.upgrade() {
                    record(&owner, &Act::WitnessAlarmed { reason: short(name, fault) });
                }
            }
            Heard::Fault(fault) => {
                warn!(witness = name, error = %Chain(*fault), "ledger.witness.failed");
            }
        }),
    }
}

fn short(name: &str, fault: &dyn std::fmt::Display) -> String {
    let mut text = format!("{name}: {fault}");
    let cut = (0..=REASON_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(cut.unwrap_or(0));
    text
}

fn record(owner: &Owner, act: &Act) {
    let recorded = owner.local_principal().map(|caller| owner.record(&caller, act));
    if !matches!(recorded, Ok(Ok(_))) {
        warn!("ledger.outside.unrecorded");
    }
}

/// Stamps the newest checkpoint every `interval`. A failure is recorded once until it is over.
async fn stamp(
    owner: &Arc<Owner>,
    client: &StampClient,
    interval: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let publication = owner.publication();
    let mut next = tokio::time::Instant::now();
    let (mut done, mut is_failing) = (None, false);
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let newest = publication.newest().filter(|newest| done != Some(newest.size));
        let (Some(newest), true) = (newest, next <= tokio::time::Instant::now()) else { continue };
        match stamp_one(owner, client, &newest).await {
            Ok(()) => {
                next = tokio::time::Instant::now() + interval;
                done = Some(newest.size);
                publication.note_stamped(newest.size);
                info!(size = newest.size, "ledger.checkpoint.stamped");
                is_failing = false;
            }
            Err(reason) => {
                next = tokio::time::Instant::now() + STAMP_BACK_OFF.min(interval);
                warn!(size = newest.size, %reason, "ledger.checkpoint.not-stamped");
                if !is_failing {
                    is_failing = true;
                    let reason = short("time-stamping authority", &reason);
                    let (owner, act) = (owner.clone(), Act::StampFailed { reason });
                    // A panic over there is told by the runtime's hook.
                    let _ = tokio::task::spawn_blocking(move || record(&owner, &act)).await;
                }
            }
        }
    }
}

async fn stamp_one(owner: &Owner, client: &StampClient, newest: &Published) -> Result<(), String> {
    let text = bartizan_ledger::stamp::stamped_text(&newest.note).ok_or("no checkpoint")?;
    let stamped = client.stamp(text.as_bytes(), &OsEntropy).await;
    let (answer, _) = stamped.map_err(|fault| Chain(&fault).to_string())?;
    let kept = bartizan_ledger::stamp::keep(&*owner.disk(), newest.size, &answer, &newest.note);
    kept.map_err(|error| format!("cannot be kept: {error}"))
}

/// A tile as it lies in the store; cut out of the full one where a partial one has gone.
fn tile(disk: &dyn Disk, resource: &Resource) -> io::Result<Vec<u8>> {
    let read = |resource: &Resource, n_bytes: usize| -> io::Result<Vec<u8>> {
        let file = disk.open(&tlog_name(resource), false)?;
        let mut bytes = vec![0; n_bytes];
        let n_read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(n_read);
        Ok(bytes)
    };
    let Resource::Tile { level, index, width } = *resource else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let n_bytes = usize::from(width) * 32;
    match read(resource, n_bytes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            read(&Resource::Tile { level, index, width: 256 }, n_bytes)
        }
        outcome => outcome,
    }
}

fn consistency(disk: &dyn Disk, old: u64, size: u64) -> Option<Vec<Hash>> {
    let mut nodes = TileNodes::new(size, |resource: &Resource| tile(disk, resource));
    prove_consistency(&mut nodes, old, size).ok()
}

/// The proof that record `index` is in the tree of `size` records, from the store's tiles.
pub(crate) fn inclusion(disk: &dyn Disk, index: u64, size: u64) -> Option<Vec<Hash>> {
    let mut nodes = TileNodes::new(size, |resource: &Resource| tile(disk, resource));
    prove_inclusion(&mut nodes, index, size).ok()
}
