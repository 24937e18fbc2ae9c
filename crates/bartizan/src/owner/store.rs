//! The store of an environment: its lock, its log, and how acts get into it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use bartizan_access::{AdminPermit, KeyId, KeyRing, LocalPeer, permit_local};
use bartizan_core::entropy::random;
use bartizan_core::{Clock, DecisionId, Digest, Disk, DiskKind, Entropy, EnvName, Principal};
use bartizan_ledger::{
    ANCHOR_NAME, Act as RecordedAct, ActKind, AppendError, Appender, Body, Entry, EntryClass,
    EntryTooLarge, FileDisk, FindingList, LockError, Log, LogConfig, MemDisk, ModelRef,
    Outcome as RecordedOutcome, Publication, PublishError, Publisher, PublisherConfig, Receipt,
    Record, RecordedFinding, Recovery, RunningLog, RunningPublisher, Sealer, SealingKeys,
    SealingKeysError, StoreLock,
};
use tracing::{error, info, warn};

use super::World;
use super::log_key::{self, LogKeyError};
use super::operation::{GateOutcome, GateRun};
use crate::config::LedgerDisk;
use crate::environment::Environment;
use crate::files::{FileError, failed};
use crate::models::Shelved;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process owns it.
    #[error("the store is in use by process {}; stop it, or let it do the work (`bartizan key`, `model` and `trace` do so by themselves)", pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()))]
    Held {
        /// Its id, where it is known.
        pid: Option<u32>,
    },
    /// Its folder cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its lock cannot be taken.
    #[error("cannot lock the store")]
    Lock(#[source] LockError),
    /// Its log cannot be opened.
    #[error("cannot open the ledger in `{}`", path.display())]
    Log {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: bartizan_ledger::OpenError,
    },
    /// What was published of it is not in order, or it is behind what is known of it.
    #[error("cannot publish the ledger in `{}`", path.display())]
    Publish {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: bartizan_ledger::PublishError,
    },
    /// The log's own key is not in order.
    #[error(transparent)]
    LogKey(#[from] LogKeyError),
    /// Its threads cannot be started.
    #[error("cannot start the ledger's threads")]
    Threads(#[source] std::io::Error),
    /// Whoever runs this process may not act on it.
    #[error(
        "this process runs as uid {uid}, the store belongs to uid {owner_uid}; run it as that user"
    )]
    ForeignUid {
        /// Who we are.
        uid: u32,
        /// Whose it is.
        owner_uid: u32,
    },
    /// The sealing keys are not in order.
    #[error("cannot open the sealing keys in `{}`", path.display())]
    Sealing {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: SealingKeysError,
    },
}

/// Why an act is not on record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    /// The ledger does not take it.
    #[error("the ledger does not take it")]
    Append(#[from] AppendError),
    /// It does not fit a record.
    #[error("the record does not fit")]
    TooLarge(#[from] EntryTooLarge),
    /// The ledger ended before it answered.
    #[error("the ledger ended before it answered")]
    Ended,
}

/// What is done to a store, by its operators or by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// The environment was made.
    Init,
    /// A server began to serve.
    Started,
    /// A server ended in order.
    Stopped,
    /// Configuration, keys, certificates were read again.
    ConfigReloaded,
    /// A key was made, to end at that many seconds since the Unix epoch.
    KeyIssued {
        /// Its id.
        id: KeyId,
        /// When it ends.
        expires_s: u64,
    },
    /// A key was replaced.
    KeyRotated {
        /// Its id.
        id: KeyId,
        /// What replaces it.
        successor: KeyId,
    },
    /// A key was ended.
    KeyRevoked {
        /// Its id.
        id: KeyId,
    },
    /// Keys, holds, erasures, backups: as the ledger records it.
    Kept(Box<RecordedAct<'static>>),
    /// The system's clock went back by so many nanoseconds.
    ClockStepped {
        /// How far.
        behind_ns: u64,
    },
    /// An issuer's keys are others than before.
    IssuerKeysChanged {
        /// Its name.
        issuer: EnvName,
        /// Digest of the set that it publishes.
        digest: Digest,
    },
    /// A credential or a principal was revoked, everywhere.
    AccessRevoked {
        /// What it is about: `key:<id>`, `principal:<pseudonym>`, `token:<digest>`,
        /// `certificate:<digest>`.
        what: String,
        /// Until when that is kept, in seconds since the Unix epoch.
        until_s: u64,
    },
    /// A model was added.
    ModelAdded(Shelved),
    /// A model was removed.
    ModelRemoved(Shelved),
    /// A model was put into service.
    ModelLoaded(Shelved),
    /// A model was taken out of service.
    ModelUnloaded(Shelved),
    /// A model was scanned before it was to be loaded.
    ModelScanned {
        /// The model.
        shelved: Shelved,
        /// How it ended.
        outcome: RecordedOutcome,
        /// The conclusion, in our words.
        conclusion: String,
        /// What was found.
        findings: FindingList<'static>,
    },
    /// A gate's command was run.
    GateRun(GateRun),
    /// A witness says that the log was rolled back or forked.
    WitnessAlarmed {
        /// Who, and what.
        reason: String,
    },
    /// Checkpoints cannot be time-stamped.
    StampFailed {
        /// Why.
        reason: String,
    },
    /// Other policies came into force.
    PolicyChanged {
        /// Digest of those before, where there were any.
        before: Option<String>,
        /// Their digest.
        policy: Digest,
        /// How many they are.
        n_policies: u64,
    },
    /// An operation was refused by the policies or a credential's scopes.
    AccessRefused {
        /// Its name.
        operation: &'static str,
        /// On what.
        about: String,
        /// Why, in a word.
        reason: &'static str,
        /// Digest of the policies.
        policy: Digest,
    },
    /// What held a caller was lifted.
    GuardReleased {
        /// Its pseudonym.
        principal: String,
        /// Why.
        reason: String,
    },
    /// The sealed part of a record was opened.
    EvidenceOpened {
        /// Whose.
        decision: DecisionId,
    },
}

impl Act {
    fn recorded(&self) -> RecordedAct<'static> {
        let of_key = |kind, id: &KeyId| {
            let mut act = RecordedAct::new(kind);
            act.resource = Some(id.to_string().into());
            act
        };
        match self {
            Self::Init => RecordedAct::new(ActKind::Init),
            Self::Started => RecordedAct::new(ActKind::Started),
            Self::Stopped => RecordedAct::new(ActKind::Stopped),
            Self::ConfigReloaded => RecordedAct::new(ActKind::ConfigReloaded),
            Self::KeyIssued { id, expires_s } => {
                let mut act = of_key(ActKind::KeyIssued, id);
                act.to_ns = Some(expires_s.saturating_mul(bartizan_core::clock::NS_PER_S));
                act
            }
            Self::KeyRotated { id, successor } => {
                let mut act = of_key(ActKind::KeyRotated, id);
                act.reason = Some(format!("replaced by {successor}").into());
                act
            }
            Self::KeyRevoked { id } => of_key(ActKind::KeyRevoked, id),
            Self::Kept(act) => (**act).clone(),
            Self::ClockStepped { behind_ns } => {
                let mut act = RecordedAct::new(ActKind::ClockStepped);
                act.reason =
                    Some(format!("the clock is {behind_ns} ns behind recorded time").into());
                act
            }
            Self::IssuerKeysChanged { issuer, digest } => {
                let mut act = RecordedAct::new(ActKind::IssuerKeysChanged);
                act.resource = Some(issuer.to_string().into());
                act.reason = Some(format!("key set {digest}").into());
                act
            }
            Self::AccessRevoked { what, until_s } => {
                let mut act = RecordedAct::new(ActKind::AccessRevoked);
                act.resource = Some(what.clone().into());
                act.to_ns = Some(until_s.saturating_mul(bartizan_core::clock::NS_PER_S));
                act
            }
            Self::ModelAdded(shelved) => of_model(ActKind::ModelAdded, shelved),
            Self::ModelRemoved(shelved) => of_model(ActKind::ModelRemoved, shelved),
            Self::ModelLoaded(shelved) => of_model(ActKind::ModelLoaded, shelved),
            Self::ModelUnloaded(shelved) => of_model(ActKind::ModelUnloaded, shelved),
            Self::ModelScanned { shelved, outcome, conclusion, findings } => {
                let mut act = of_model(ActKind::ModelScanned, shelved);
                act.outcome = *outcome;
                act.reason = Some(conclusion.clone().into());
                act.findings = findings.clone();
                act
            }
            Self::GateRun(run) => of_run(run),
            Self::WitnessAlarmed { reason } => of_reason(ActKind::WitnessAlarmed, reason),
            Self::StampFailed { reason } => of_reason(ActKind::StampFailed, reason),
            Self::PolicyChanged { .. } | Self::AccessRefused { .. } => self.of_access(),
            Self::GuardReleased { principal, reason } => {
                let mut act = RecordedAct::new(ActKind::GuardReleased);
                act.resource = Some(format!("principal:{principal}").into());
                act.reason = Some(reason.clone().into());
                act
            }
            Self::EvidenceOpened { decision } => {
                let mut act = RecordedAct::new(ActKind::EvidenceOpened);
                act.resource = Some(decision.to_string().into());
                act
            }
        }
    }

    /// What is about policies.
    fn of_access(&self) -> RecordedAct<'static> {
        let mut act = RecordedAct::new(ActKind::PolicyChanged);
        if let Self::PolicyChanged { before, policy, n_policies } = self {
            act.reason = before.as_ref().map(|before| format!("before: {before}").into());
            act.digests.policy = Some(*policy);
            act.count = Some(*n_policies);
        }
        if let Self::AccessRefused { operation, about, reason, policy } = self {
            act.kind = ActKind::AccessRefused;
            act.outcome = RecordedOutcome::Refused;
            act.resource = Some(format!("{operation}: {about}").into());
            act.reason = Some((*reason).into());
            act.digests.policy = Some(*policy);
        }
        act
    }
}

fn of_model(kind: ActKind, shelved: &Shelved) -> RecordedAct<'static> {
    let mut act = RecordedAct::new(kind);
    act.resource = Some(format!("{}/{}", shelved.name, shelved.version).into());
    act.model = Some(ModelRef {
        name: shelved.name.to_string().into(),
        version: shelved.version.0.get(),
        digest: shelved.entry.model,
    });
    act.digests.contract = Some(shelved.entry.contract);
    act.bytes = Some(shelved.entry.model_bytes);
    act
}

fn of_reason(kind: ActKind, reason: &str) -> RecordedAct<'static> {
    let mut act = RecordedAct::new(kind);
    act.reason = Some(reason.to_owned().into());
    act
}

fn of_run(run: &GateRun) -> RecordedAct<'static> {
    let mut act = RecordedAct::new(ActKind::GateRun);
    act.outcome = match run.outcome {
        GateOutcome::Passed => RecordedOutcome::Done,
        GateOutcome::Refused => RecordedOutcome::Refused,
        GateOutcome::Failed => RecordedOutcome::Failed,
    };
    act.resource = Some(format!("{}: {}", run.gate.as_str(), run.what).into());
    act.reason = Some(run.summary.clone().into());
    act.digests.snapshot = run.report;
    (act.count, act.bytes) = (Some(run.n_items), Some(run.bytes));
    let kept = run.findings.iter().map(|found| RecordedFinding {
        rule: found.rule.clone().into(),
        severity: found.severity,
        field: None,
        row: None,
        count: found.count,
        score: 1.0,
    });
    act.findings = FindingList { kept: kept.collect(), n_more: run.n_more };
    act
}

/// An open store. Dropping it makes durable what waits, ends the log's threads, and gives the
/// lock back, in this order.
pub(crate) struct Store {
    appender: Appender,
    disk: Arc<dyn Disk>,
    // Held for its threads alone. Before the publisher, so that it ends before.
    _log: RunningLog,
    publisher: RunningPublisher,
    sealing: SealingKeys,
    clock: Arc<dyn Clock>,
    is_volatile: bool,
    environment: String,
    replica: String,
    // Last, so that it is dropped last.
    _lock: StoreLock,
}

impl Store {
    /// Locks the store of `environment` and opens its log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn open(environment: &Environment, world: &World) -> Result<Self, StoreError> {
        let path = environment.store_dir();
        let files = FileDisk::create(&path).map_err(failed("open", &path))?;
        let lock = files.lock().map_err(|error| match error {
            LockError::Held { pid } => StoreError::Held { pid },
            error @ LockError::Io(_) => StoreError::Lock(error),
        })?;
        let ledger = &environment.config().ledger;
        let disk: Arc<dyn Disk> = match ledger.disk {
            LedgerDisk::File => Arc::new(files),
            LedgerDisk::Memory => Arc::new(MemDisk::new()),
        };
        let config = log_config(environment);
        let opened = Log::open(disk.clone(), &config, (world.clock_not_before)(0));
        let (mut log, recovery) =
            opened.map_err(|source| StoreError::Log { path: path.clone(), source })?;
        // From here on no stamp is older than the log's last record.
        let clock = (world.clock_not_before)(recovery.last_wall_ns.unwrap_or(0));
        let sealing = sealing_keys(environment, world, clock.now().day())?;
        let names = &environment.config().environment;
        let publisher = publisher(environment, world, &log, recovery.epoch)
            .map_err(|source| publish_error(source, &path))?
            .start(Box::new(publisher_failed))
            .map_err(StoreError::Threads)?;
        // A subject's first key is durable before the record that needs it.
        let flushed = sealing.clone();
        log.set_before_write(Box::new(move || flushed.flush()));
        let log = log.start().map_err(StoreError::Threads)?;
        let store = Self {
            appender: log.appender(),
            disk,
            _log: log,
            publisher,
            sealing,
            clock,
            is_volatile: matches!(recovery.kind, DiskKind::Volatile(_)),
            environment: names.name.to_string(),
            replica: names.replica.to_string(),
            _lock: lock,
        };
        store.tell(&recovery, &*world.entropy);
        Ok(store)
    }

    /// Logs what opening found, and records a recovery.
    fn tell(&self, recovery: &Recovery, entropy: &dyn Entropy) {
        info!(
            records = recovery.n_records,
            segments = recovery.n_segments,
            volatile = self.is_volatile,
            unanchored = !self.is_anchored(),
            "ledger.log.opened"
        );
        if recovery.torn_bytes == 0 {
            return;
        }
        warn!(bytes = recovery.torn_bytes, "ledger.log.recovered");
        let mut act = RecordedAct::new(ActKind::Recovered);
        act.bytes = Some(recovery.torn_bytes);
        if let Err(error) = self.append(act, entropy) {
            warn!(error = %crate::log::Chain(&error), "ledger.recovery.unrecorded");
        }
    }

    /// The way into the log.
    pub(crate) fn appender(&self) -> Appender {
        self.appender.clone()
    }

    /// What it lies on.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    /// What was published of the log.
    pub(crate) fn publication(&self) -> Publication {
        self.publisher.publication().clone()
    }

    /// Whether anything outside the store remembers how long the log is.
    pub(crate) fn is_anchored(&self) -> bool {
        self.publisher.is_anchored()
    }

    /// What seals payloads now.
    pub(crate) fn sealer(&self) -> Arc<Sealer> {
        self.sealing.sealer()
    }

    /// The keys behind it.
    pub(crate) fn sealing(&self) -> &SealingKeys {
        &self.sealing
    }

    /// Makes the sealing keys of today and tomorrow where they are missing.
    ///
    /// # Errors
    /// [`SealingKeysError`]; sealing goes on with the keys there are.
    pub(crate) fn maintain(&self) -> Result<(), SealingKeysError> {
        self.sealing.maintain(self.clock.now().day())
    }

    /// The clock, which never reads less than the log's last record.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Whether records may be lost with the machine's power.
    pub(crate) fn is_volatile(&self) -> bool {
        self.is_volatile
    }

    /// Puts `act` of `caller` on record and waits until it is durable.
    ///
    /// # Errors
    /// [`ActError`]; the act is then not on record.
    pub(crate) fn record(
        &self,
        caller: &Principal,
        act: &Act,
        entropy: &dyn Entropy,
    ) -> Result<Receipt, ActError> {
        self.record_named(caller, act, entropy).map(|(_, receipt)| receipt)
    }

    /// The same; also gives the record's id.
    ///
    /// # Errors
    /// [`ActError`]; the act is then not on record.
    pub(crate) fn record_named(
        &self,
        caller: &Principal,
        act: &Act,
        entropy: &dyn Entropy,
    ) -> Result<(DecisionId, Receipt), ActError> {
        let mut recorded = act.recorded();
        recorded.principal = Some(caller.pseudonym);
        recorded.proof = Some(caller.proof.describe().into());
        self.append(recorded, entropy)
    }

    /// Ends the log under the store's feet, as a disk that fails does.
    #[cfg(test)]
    pub(super) fn stop_log(&mut self) {
        let config = LogConfig { volatile_allowed: true, ..LogConfig::new("other") };
        let opened = Log::open(Arc::new(MemDisk::new()), &config, self.clock.clone());
        self._log = opened.unwrap().0.start().unwrap();
    }

    pub(super) fn append(
        &self,
        act: RecordedAct<'_>,
        entropy: &dyn Entropy,
    ) -> Result<(DecisionId, Receipt), ActError> {
        let at = self.clock.now();
        let id = DecisionId::new(at.wall_ns, random(entropy));
        let record = Record {
            id,
            at,
            environment: self.environment.as_str().into(),
            replica: self.replica.as_str().into(),
            volatile: self.is_volatile,
            body: Body::Act(Box::new(act)),
        };
        let entry = Entry::new(record.encode(), Vec::new(), EntryClass::Reserved)?;
        let (done, receipt) = mpsc::sync_channel(1);
        let answer = Box::new(move |outcome| {
            // Whoever waited has gone; the record stands all the same.
            let _unheard = done.send(outcome);
        });
        self.appender.append(entry, answer)?;
        Ok((id, receipt.recv().map_err(|_| ActError::Ended)??))
    }
}

/// How the log of `environment` is kept.
pub(crate) fn log_config(environment: &Environment) -> LogConfig {
    let ledger = &environment.config().ledger;
    LogConfig {
        segment_bytes: ledger.segment_bytes,
        queue_records_max: ledger.queue_records_max as usize,
        queue_bytes_max: usize::try_from(ledger.queue_bytes_max).unwrap_or(usize::MAX),
        volatile_allowed: ledger.volatile,
        ..LogConfig::new(environment.origin())
    }
}

/// Why there is no publisher.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublisherError {
    /// What was published is not in order.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The keys are not.
    #[error(transparent)]
    Key(#[from] LogKeyError),
    /// The anchor's folder cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
}

fn publish_error(error: PublisherError, path: &Path) -> StoreError {
    match error {
        PublisherError::Publish(source) => StoreError::Publish { path: path.to_owned(), source },
        PublisherError::Key(error) => error.into(),
        PublisherError::File(error) => error.into(),
    }
}

fn publisher_failed(error: PublishError) {
    error!(error = %crate::log::Chain(&error), "ledger.publisher.failed");
}

/// What publishes `log` in its `epoch`, after it has been compared with all that is known of it.
pub(crate) fn publisher(
    environment: &Environment,
    world: &World,
    log: &Log,
    epoch: u64,
) -> Result<Publisher, PublisherError> {
    let anchor: Option<Arc<dyn Disk>> = match environment.anchor_dir() {
        None => None,
        Some(folder) => {
            let disk = FileDisk::create(&folder).map_err(failed("open", &folder))?;
            let has_published = environment.store_dir().join("tlog").join("checkpoint").is_file();
            if has_published && !folder.join(ANCHOR_NAME).is_file() {
                // New here, or its volume is not there: an older state would not be noticed.
                warn!(folder = %folder.display(), "ledger.anchor.empty");
            }
            Some(Arc::new(disk))
        }
    };
    let signers = log_key::signers(environment, &*world.entropy, epoch)?;
    let ended = log_key::public(environment, epoch.saturating_sub(1))?;
    let outside = crate::outside::known(environment, &signers);
    let config = PublisherConfig { signers, anchor, outside, ended };
    Ok(log.publisher(config)?)
}

fn sealing_keys(
    environment: &Environment,
    world: &World,
    today: u32,
) -> Result<SealingKeys, StoreError> {
    let path = environment.keys_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path))?;
    let wrap = crate::kek::of(environment, world.entropy.clone())?;
    let sealing = SealingKeys::open(Arc::new(disk), wrap, world.entropy.clone(), today)
        .map_err(|source| StoreError::Sealing { path, source })?;
    if 0 < sealing.n_damaged() {
        warn!(slots = sealing.n_damaged(), "ledger.sealing-keys.damaged");
    }
    Ok(sealing)
}

/// The right to act of this process on the store of `environment`.
///
/// # Errors
/// [`StoreError::ForeignUid`] unless it runs as the store's owner or root.
pub(super) fn local_permit(
    environment: &Environment,
    ring: &KeyRing,
) -> Result<AdminPermit, StoreError> {
    let path = environment.store_dir();
    let owner_uid = std::fs::metadata(&path).map_err(failed("read", &path))?.uid();
    let uid = rustix::process::geteuid().as_raw();
    let peer = LocalPeer { uid, owner_uid, pseudonym: ring.local_pseudonym(uid) };
    permit_local(peer).map_err(|_| StoreError::ForeignUid { uid, owner_uid })
}

/// Who this process is to the store of `environment`.
///
/// # Errors
/// [`StoreError::ForeignUid`] unless it runs as the store's owner or root.
pub(super) fn local_principal(
    environment: &Environment,
    ring: &KeyRing,
) -> Result<Principal, StoreError> {
    local_permit(environment, ring).map(|permit| permit.principal().clone())
}
