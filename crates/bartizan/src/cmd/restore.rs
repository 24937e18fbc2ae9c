//! `bartizan restore`: an environment out of a backup.
//!
//! Everything is verified before anything is made. Erasures that the log, or a later copy of it,
//! knows of are applied to the key store before it exists under its name. Where the anchor or a
//! witness knows of later records, an erasure may be among them: unless a later copy of the log
//! reaches as far, or the loss is accepted in so many words, there is no key store.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::{Disk, Entropy, Pseudonym};
use bartizan_ledger::{
    Act as RecordedAct, ActKind, Adopted, Body, Erasures, FileDisk, FileKeys, Log, LogConfig,
    PublishError, Reader, Record, Scope, adopt_keys, verify,
};
use bartizan_outbound::OsEntropy;

use super::{Failure, Outcome, Place, world};
use crate::answer::Answer;
use crate::backup::{Half, Manifest};
use crate::environment::Environment;
use crate::files::{self, failed};
use crate::kek;
use crate::owner::Owner;
use crate::owner::store::{Act, PublisherError, log_config, publisher};

/// Arguments of `bartizan restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store's half of a backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The keys' half; it may be of another backup than the store's
    #[arg(long, value_name = "DIR")]
    keys_from: PathBuf,
    /// The folder of key-encryption keys that belongs to it
    #[arg(long, value_name = "DIR")]
    kek: PathBuf,
    /// A later copy of the log (a store's folder), whose erasures are applied, too
    #[arg(long, value_name = "STORE")]
    erasures_from: Vec<PathBuf>,
    /// Accept that records which the anchor or a witness knows of are lost, and with them, perhaps,
    /// erasures
    #[arg(long)]
    after_loss: bool,
    /// A new or empty folder for the environment
    to: PathBuf,
}

/// Runs `bartizan restore`.
///
/// # Errors
/// What does not verify, or cannot be made.
pub(crate) fn run(args: &Args, _place: &Place, out: &mut dyn io::Write) -> Outcome {
    let store = Manifest::verified(&args.from, Half::Store).map_err(Failure::no)?;
    let keys = Manifest::verified(&args.keys_from, Half::Keys).map_err(Failure::no)?;
    if store.origin != keys.origin {
        let (a, b) = (&store.origin, &keys.origin);
        return Err(Failure::no(format!("the halves are of two logs, `{a}` and `{b}`")));
    }
    check_log(&args.from.join("store"), &store)?;
    let mut erased = Erasures::default();
    let mut n_seen = 0;
    for folder in std::iter::once(&args.from.join("store")).chain(&args.erasures_from) {
        n_seen = n_seen.max(note_erasures(folder, &store.origin, &mut erased)?);
    }
    make(args, &store, &keys)?;
    let loss = compare(&args.to)?;
    if let Some(loss) = loss.as_ref().filter(|loss| n_seen < loss.known && !args.after_loss) {
        return Err(Failure::no(format!(
            "{loss}: a person may have been erased there, so no key was restored; name a later \
             copy of the log with `--erasures-from`, or accept the loss with `--after-loss`"
        )));
    }
    let adopted = adopt(args, &|name| erased.has(name))?;
    begin_epoch(&args.to)?;
    let receipt = record(&args.to, &store, adopted, loss.as_ref())?;
    writeln!(out, "{receipt}")?;
    eprintln!(
        "Restored backup {} of {}: {} records, {} keys, {} of them erased since and left out.",
        store.backup, store.made, store.n_records, adopted.n_keys, adopted.n_erased
    );
    if let Some(loss) = &loss {
        eprintln!("Lost: {loss}.");
    }
    eprintln!("Certificates are in no backup: `bartizan init --renew-tls {}`.", args.to.display());
    Ok(Answer::Yes)
}

/// What others know of the log beyond the backup.
struct Loss {
    source: String,
    known: u64,
    stored: u64,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { source, known, stored } = self;
        write!(f, "{source} knows {known} records, the backup holds {stored}")
    }
}

/// Compares the restored log with its own checkpoints, the anchor and the witnesses.
fn compare(root: &Path) -> Result<Option<Loss>, Failure> {
    let environment = Environment::open(root).map_err(Failure::unknown)?;
    let disk = open_disk(&environment.store_dir())?;
    let _lock = disk.lock().map_err(Failure::unknown)?;
    let clock = (world().clock_not_before)(0);
    let opened = Log::open(Arc::new(disk), &log_config(&environment), clock);
    let (log, recovery) = opened.map_err(Failure::unknown)?;
    match publisher(&environment, &world(), &log, recovery.epoch) {
        Ok(publisher) => {
            if !publisher.is_anchored() {
                eprintln!("Nothing outside the backup says whether records are missing behind it.");
            }
            Ok(None)
        }
        Err(PublisherError::Publish(PublishError::Behind { source_name, known, stored })) => {
            Ok(Some(Loss { source: source_name, known, stored }))
        }
        Err(error) => Err(Failure::no(error)),
    }
}

fn open_disk(path: &Path) -> Result<FileDisk, Failure> {
    FileDisk::open(path).map_err(failed("open", path)).map_err(Failure::unknown)
}

/// The log is whole, in order, and as long as the manifest says.
fn check_log(path: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let mut go_on = |_, _| ControlFlow::Continue(());
    let report =
        verify(&open_disk(path)?, None, Scope::Closed, &mut go_on).map_err(Failure::unknown)?;
    if let Some(damage) = report.damage.or(report.torn_tail) {
        let (segment, offset, kind) = (damage.segment, damage.offset, damage.kind);
        return Err(Failure::no(format!(
            "the log in the backup: {segment}, byte {offset}: {kind}"
        )));
    }
    let (found, expected) = (report.n_pruned + report.n_records, manifest.n_records);
    if report.origin != manifest.origin || found != expected {
        return Err(Failure::no(format!(
            "the log in the backup is `{}` with {found} records, its manifest says `{}` with {expected}",
            report.origin, manifest.origin
        )));
    }
    Ok(())
}

/// What the log in `folder` says was erased. Gives up to which record that is.
fn note_erasures(folder: &Path, origin: &str, erased: &mut Erasures) -> Result<u64, Failure> {
    let reader = Reader::open(Arc::new(open_disk(folder)?)).map_err(Failure::unknown)?;
    if reader.origin() != origin {
        let found = reader.origin();
        return Err(Failure::no(format!(
            "`{}` is the log `{found}`, not `{origin}`",
            folder.display()
        )));
    }
    let mut n_seen = 0;
    for entry in reader.entries() {
        let entry = entry.map_err(Failure::unknown)?;
        n_seen = entry.index + 1;
        if let Body::Act(act) = Record::decode(&entry.leaf).map_err(Failure::unknown)?.body {
            erased.note(&act);
        }
    }
    Ok(n_seen)
}

/// Everything but the key store.
fn make(args: &Args, store: &Manifest, keys: &Manifest) -> Result<(), Failure> {
    let to = &args.to;
    files::make_private_dir(to).map_err(Failure::unknown)?;
    if std::fs::read_dir(to)?.next().is_some() {
        return Err(Failure::no(format!("`{}` is not empty; choose a new folder", to.display())));
    }
    store.copy_to(&args.from, to).map_err(Failure::unknown)?;
    let mut others = keys.clone();
    others.files.retain(|file| file.path != "keys/sealing.keys");
    others.copy_to(&args.keys_from, to).map_err(Failure::unknown)?;
    for folder in ["keys", "models", "store"] {
        files::make_private_dir(&to.join(folder)).map_err(Failure::unknown)?;
    }
    Ok(())
}

/// Makes the key store under a fresh key-encryption key; the old one stays where it is.
fn adopt(args: &Args, is_erased: &dyn Fn(Pseudonym) -> bool) -> Result<Adopted, Failure> {
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let environment = Environment::open(&args.to).map_err(Failure::unknown)?;
    let new = kek::of(&environment, entropy.clone()).map_err(Failure::unknown)?;
    let old: Arc<dyn Disk> = Arc::new(open_disk(&args.kek)?);
    let old = FileKeys::new(old, entropy.clone());
    let from = open_disk(&args.keys_from.join("keys"))?;
    let to = open_disk(&environment.keys_dir())?;
    adopt_keys((&from, &old), (&to, &*new), &*entropy, is_erased).map_err(Failure::no)
}

/// Another life of the log: what it lost behind the backup keeps its numbers in the old one.
fn begin_epoch(root: &Path) -> Result<(), Failure> {
    let environment = Environment::open(root).map_err(Failure::unknown)?;
    let disk = open_disk(&environment.store_dir())?;
    let _lock = disk.lock().map_err(Failure::unknown)?;
    let config = LogConfig { begin_epoch: true, ..log_config(&environment) };
    let clock = (world().clock_not_before)(0);
    Log::open(Arc::new(disk), &config, clock).map_err(Failure::unknown)?;
    Ok(())
}

fn record(
    root: &Path,
    manifest: &Manifest,
    adopted: Adopted,
    loss: Option<&Loss>,
) -> Result<String, Failure> {
    let environment = Environment::open(root).map_err(Failure::unknown)?;
    let owner = Owner::take(environment, world()).map_err(Failure::unknown)?;
    let caller = owner.local_principal().map_err(Failure::unknown)?;
    let mut act = RecordedAct::new(ActKind::Restored);
    act.resource = Some(manifest.backup.clone().into());
    act.count = Some(adopted.n_erased as u64);
    act.reason = loss.map(|loss| loss.to_string().into());
    let receipt = owner.record(&caller, &Act::Kept(Box::new(act))).map_err(Failure::unknown)?;
    Ok(receipt.to_string())
}
