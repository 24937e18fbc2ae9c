//! `bartizan ledger reopen --after-loss`: another life of a log that lost records.

use std::path::PathBuf;

use bartizan_core::entropy::random;
use bartizan_core::{DecisionId, Disk as _, DiskKind};
use bartizan_ledger::tlog::{Checkpoint, NOTE_BYTES_MAX, Note};
use bartizan_ledger::{
    ANCHOR_NAME, Act, ActKind, Body, Entry, EntryClass, FileDisk, LockError, Log, LogConfig,
    PublishError, Receipt, Record, epoch_origin,
};

use super::World;
use super::store::{self, PublisherError, StoreError};
use crate::environment::Environment;
use crate::files::{self, failed};

/// What a new epoch begins with.
pub(crate) struct Reopened {
    /// Its number.
    pub(crate) epoch: u64,
    /// Records that are left.
    pub(crate) n_left: u64,
    /// Records that are lost.
    pub(crate) n_lost: u64,
    /// Receipt of its first record, which cites the loss.
    pub(crate) receipt: Receipt,
}

/// Why no epoch was begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReopenError {
    /// There was no loss.
    #[error(
        "the store is not behind anything that is known of it: nothing is lost, and nothing was changed"
    )]
    NothingLost,
    /// The store cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger does not open.
    #[error("cannot open the ledger")]
    Log(#[from] bartizan_ledger::OpenError),
    /// What was published is wrong in another way than by a loss.
    #[error("the store is not merely behind")]
    Publisher(#[source] PublisherError),
    /// The first record cannot be made durable.
    #[error("cannot record the new epoch")]
    Record(#[from] bartizan_ledger::AppendError),
    /// It does not fit.
    #[error("the record does not fit")]
    TooLarge(#[from] bartizan_ledger::EntryTooLarge),
}

/// Begins a new epoch of the log of `environment`, whose first record cites the last checkpoint
/// that is known and how many records are lost.
///
/// # Errors
/// [`ReopenError`]; up to the record nothing is changed.
pub(crate) fn reopen(environment: &Environment, world: &World) -> Result<Reopened, ReopenError> {
    let path = environment.store_dir();
    let files = FileDisk::open(&path).map_err(failed("open", &path)).map_err(StoreError::from)?;
    let _lock = files.lock().map_err(|error| match error {
        LockError::Held { pid } => StoreError::Held { pid },
        error @ LockError::Io(_) => StoreError::Lock(error),
    })?;
    let is_volatile = matches!(files.kind(), DiskKind::Volatile(_));
    let disk = std::sync::Arc::new(files);
    let config = store::log_config(environment);
    let (log, recovery) = Log::open(disk.clone(), &config, (world.clock_not_before)(0))?;
    let (source, known, n_left) = match store::publisher(environment, world, &log, recovery.epoch) {
        Ok(_) => return Err(ReopenError::NothingLost),
        Err(PublisherError::Publish(PublishError::Behind { source_name, known, stored })) => {
            (source_name, known, stored)
        }
        Err(error) => return Err(ReopenError::Publisher(error)),
    };
    drop(log);
    let cited = cited(environment, known);
    let begin = LogConfig { begin_epoch: true, ..config };
    let clock = (world.clock_not_before)(recovery.last_wall_ns.unwrap_or(0));
    let (mut log, recovery) = Log::open(disk, &begin, clock.clone())?;
    let n_lost = known.saturating_sub(n_left);
    let mut act = Act::new(ActKind::EpochBegun);
    act.resource =
        Some(epoch_origin(&environment.origin(), recovery.epoch.saturating_sub(1)).into());
    let root = cited.unwrap_or_else(|| "unknown".to_owned());
    act.reason = Some(
        format!("{source} knows {known} records, root {root}; lost {n_left} to {}", known - 1)
            .into(),
    );
    act.count = Some(n_lost);
    let at = clock.now();
    let names = &environment.config().environment;
    let record = Record {
        id: DecisionId::new(at.wall_ns, random(&*world.entropy)),
        at,
        environment: names.name.as_str().into(),
        replica: names.replica.as_str().into(),
        volatile: is_volatile,
        body: Body::Act(Box::new(act)),
    };
    let receipt = log.record(Entry::new(record.encode(), Vec::new(), EntryClass::Reserved)?)?;
    let publisher = store::publisher(environment, world, &log, recovery.epoch);
    let published = publisher.map_err(ReopenError::Publisher)?.finish();
    published.map_err(|error| ReopenError::Publisher(error.into()))?;
    Ok(Reopened { epoch: recovery.epoch, n_left, n_lost, receipt })
}

/// The root of the checkpoint of `known` records, in hexadecimal, where a file has it.
fn cited(environment: &Environment, known: u64) -> Option<String> {
    let own = environment.store_dir().join("tlog").join("checkpoint");
    let anchor = environment.anchor_dir().map(|folder| folder.join(ANCHOR_NAME));
    let files: Vec<PathBuf> = anchor.into_iter().chain([own]).collect();
    files.iter().find_map(|path| {
        let bytes = files::read_bounded(path, NOTE_BYTES_MAX as u64).ok()?;
        let note = Note::parse(&bytes).ok()?;
        let checkpoint = Checkpoint::parse(note.text).ok()?;
        (checkpoint.size == known).then(|| bartizan_core::digest::hex(&checkpoint.root))
    })
}
