//! `bartizan ledger verify`.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bartizan_core::Digest;
use bartizan_core::clock::Rfc3339;
use bartizan_ledger::stamp::Authorities;
use bartizan_ledger::tlog::{Checkpoint, Note, Quorum};
use bartizan_ledger::{
    Checks, Damage, Decision, FileDisk, Outside, Reader, Scope, Sealer, StampsReport, VerifyReport,
    epoch_origin, verify_with,
};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use super::check::quorum_text;
use super::inputs::Inputs;
use super::{Failure, Format, Outcome};
use crate::answer::Answer;
use crate::config::FILE_NAME;
use crate::environment::Environment;
use crate::files::{self, failed};
use crate::log::Chain;
use crate::render::progress::Progress;

/// Longest file of roots, in bytes.
const ROOTS_BYTES_MAX: u64 = 1 << 20;

/// Files of whose signatures are believed, each in place of the environment's own.
pub(super) struct Trust<'a> {
    /// Those of the log and its witnesses.
    pub(super) policy: Option<&'a Path>,
    /// Roots of time-stamping authorities.
    pub(super) stamp_roots: Option<&'a Path>,
}

/// Verifies the environment or store in `dir`.
///
/// # Errors
/// What could not be read.
pub(super) fn run(
    dir: &Path,
    trust: &Trust<'_>,
    format: Format,
    out: &mut dyn io::Write,
) -> Outcome {
    let policy = super::policy(trust.policy, dir)?;
    let environment = if dir.join(FILE_NAME).is_file() {
        Some(Environment::open(dir).map_err(Failure::unknown)?)
    } else {
        None
    };
    let store = environment.as_ref().map_or(dir.to_owned(), Environment::store_dir);
    let sealer = environment.as_ref().and_then(read_sealer);
    let outside: Vec<Outside> = environment.as_ref().and_then(anchored).into_iter().collect();
    let authorities = authorities(trust.stamp_roots, environment.as_ref())?;
    let inputs = environment.as_ref().map(|found| Inputs::new(found.models_dir()));
    let tensors = |decision: &Decision<'_>, received: &[u8]| {
        inputs.as_ref().map_or_else(Vec::new, |inputs| inputs.of(decision, received))
    };
    let checks = Checks {
        sealer: sealer.as_deref(),
        policy: policy.as_ref(),
        outside: &outside,
        tensors: Some(&tensors),
        authorities: authorities.as_ref(),
    };
    let report = checked(&store, &checks)?;
    match format {
        Format::Text => show(&report, out)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&as_json(&report))?)?,
    }
    let tree = &report.tree;
    Ok(if report.damage.is_some() || tree.quorum == Some(Quorum::Missed) {
        Answer::No
    } else if tree.checkpoint_size.is_some() && tree.n_signatures == 0 {
        eprintln!("Nobody's signature was checked: give `--policy FILE`.");
        Answer::Unknown
    } else {
        Answer::Yes
    })
}

/// The time-stamping authorities whose roots are in `file`, else those of the configuration.
fn authorities(
    file: Option<&Path>,
    environment: Option<&Environment>,
) -> Result<Option<Authorities>, Failure> {
    let configured = environment.and_then(|environment| {
        let roots = &environment.config().time_stamps.roots;
        (!roots.is_empty()).then(|| environment.root().join(roots))
    });
    let Some(path) = file.map(Path::to_owned).or(configured) else { return Ok(None) };
    let pem = files::read_bounded(&path, ROOTS_BYTES_MAX).map_err(Failure::unknown)?;
    let authorities = Authorities::from_pem(&pem);
    let authorities =
        authorities.map_err(|error| Failure::unknown(format!("`{}`: {error}", path.display())))?;
    Ok(Some(authorities))
}

/// What the anchor of the environment knows.
fn anchored(environment: &Environment) -> Option<Outside> {
    let folder = environment.anchor_dir()?;
    let bytes = match std::fs::read(folder.join(bartizan_ledger::ANCHOR_NAME)) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("Note: the anchor is not compared: {}: {error}", folder.display());
            return None;
        }
    };
    let note = Note::parse(&bytes).ok()?;
    let checkpoint = Checkpoint::parse(note.text).ok()?;
    let disk = FileDisk::open(environment.store_dir()).ok()?;
    let epoch = Reader::open(Arc::new(disk)).map_or(1, |reader| reader.epoch());
    if checkpoint.origin != epoch_origin(&environment.origin(), epoch) {
        eprintln!("Note: the anchor knows `{}`, an epoch that has ended.", checkpoint.origin);
        return None;
    }
    let source = format!("the anchor in {}", folder.display());
    Some(Outside { source, size: checkpoint.size, root: Some(checkpoint.root) })
}

/// The keys that open what is sealed; without them the rest is checked all the same.
fn read_sealer(environment: &Environment) -> Option<Arc<Sealer>> {
    match crate::kek::read_sealer(environment) {
        Ok(sealer) => Some(sealer),
        Err(error) => {
            eprintln!("Note: what is sealed is not opened: {}", Chain(&*error));
            None
        }
    }
}

fn checked(store: &Path, checks: &Checks<'_>) -> Result<VerifyReport, Failure> {
    let disk = FileDisk::open(store).map_err(failed("open", store)).map_err(Failure::unknown)?;
    let look = |scope| {
        let mut progress = Progress::new("verifying");
        let mut tell = |done, all| {
            progress.at(done, all);
            ControlFlow::Continue(())
        };
        verify_with(&disk, checks, scope, &mut tell).map_err(Failure::unknown)
    };
    if is_held(store) {
        return look(Scope::Live);
    }
    let report = look(Scope::Closed)?;
    // Whoever took the store meanwhile may have been in the middle of a write.
    if (report.torn_tail.is_some() || report.damage.is_some()) && is_held(store) {
        return look(Scope::Live);
    }
    Ok(report)
}

/// Whether somebody owns the store just now.
fn is_held(store: &Path) -> bool {
    let Ok(file) = std::fs::File::open(store.join("LOCK")) else { return false };
    // Ours is shared and gone with the file, at the end of this function.
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

fn damage_text(damage: &Damage) -> String {
    let index = damage.index.map(|index| format!(", record {index}")).unwrap_or_default();
    format!("{}, byte {}{index}: {}", damage.segment, damage.offset, damage.kind)
}

fn show(report: &VerifyReport, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "log       {}, epoch {}", report.origin, report.epoch)?;
    writeln!(
        out,
        "records   {} in {} segments, {} bytes",
        report.n_records, report.n_segments, report.n_bytes
    )?;
    writeln!(
        out,
        "sealed    {} open and agree with their record, {} erased (as records of this log say), \
         {} without key (of days that ended, or not at hand), {} not tried; input tensors made again for {}, not for {}",
        report.n_opened,
        report.n_erased,
        report.n_without_key,
        report.n_not_tried,
        report.n_tensors,
        report.n_tensors_unchecked
    )?;
    for (protocol, n) in &report.tensors_unchecked {
        let why = "cannot be read again here, or the contract that was in force is not at hand";
        writeln!(out, "          {n} of {protocol}: {why}")?;
    }
    if 0 < report.n_pruned {
        let n = report.n_pruned;
        writeln!(
            out,
            "pruned    {n} records, as a record of this log says: their hashes lead to the roots, what they said was not checked"
        )?;
    }
    tree(report, out)?;
    writeln!(out, "chain     {}", Digest(report.chain).hex())?;
    if report.unanchored {
        writeln!(
            out,
            "unanchored: nothing outside this folder remembers how long the log was; a log cut \
             back to an earlier state would look the same"
        )?;
    }
    if let Some(torn) = &report.torn_tail {
        writeln!(
            out,
            "torn tail {}; nobody was answered for it, the next owner cuts it",
            damage_text(torn)
        )?;
    }
    match &report.damage {
        Some(damage) => writeln!(out, "DAMAGED   {}", damage_text(damage)),
        None => writeln!(out, "in order"),
    }
}

/// What was published, and what of it was not checked.
fn tree(report: &VerifyReport, out: &mut dyn io::Write) -> io::Result<()> {
    let tree = &report.tree;
    let Some(size) = tree.checkpoint_size else {
        return writeln!(out, "published nothing: no checkpoint");
    };
    writeln!(
        out,
        "published {size} records by a checkpoint of `{}`; {} tiles and bundles are what the log \
         says; {} records not covered yet",
        tree.checkpoint_origin,
        tree.n_files,
        (report.n_pruned + report.n_records).saturating_sub(tree.n_covered)
    )?;
    writeln!(
        out,
        "signed    {} signatures verify, {} of them by witnesses, {} not checked (keys not at hand)",
        tree.n_signatures, tree.n_cosignatures, tree.n_signatures_unchecked
    )?;
    if 0 < tree.n_own_cosignatures {
        writeln!(
            out,
            "          {} witnesses are of the log's own operator: they add availability, not trust",
            tree.n_own_cosignatures
        )?;
    }
    stamps(&tree.stamps, out)?;
    match tree.quorum {
        Some(quorum) => writeln!(out, "quorum    {}", quorum_text(quorum)),
        None => Ok(()),
    }
}

/// The time stamps, and which of them were not checked.
fn stamps(stamps: &StampsReport, out: &mut dyn io::Write) -> io::Result<()> {
    let StampsReport { n_good, n_unchecked, n_ended, newest } = *stamps;
    if n_good + n_unchecked == 0 {
        return writeln!(out, "stamped   not time-stamped: no authority's word on when it was");
    }
    write!(out, "stamped   {n_good} time stamps verify")?;
    if let Some((size, time_ns)) = newest {
        let at = Rfc3339(time_ns);
        write!(out, ", the newest says that the first {size} records existed at {at}")?;
    }
    if 0 < n_unchecked {
        write!(
            out,
            "; {n_unchecked} not checked: give the authority's roots, `--stamp-roots FILE`"
        )?;
    }
    if 0 < n_ended {
        write!(out, "; {n_ended} of epochs that ended, whose roots are not compared")?;
    }
    writeln!(out)
}

fn as_json(report: &VerifyReport) -> serde_json::Value {
    let damage = |damage: &Damage| {
        json!({
            "segment": damage.segment,
            "offset": damage.offset,
            "index": damage.index,
            "reason": damage.kind.to_string(),
        })
    };
    let tree = &report.tree;
    json!({
        "origin": report.origin,
        "epoch": report.epoch,
        "n_records": report.n_records,
        "n_pruned": report.n_pruned,
        "n_segments": report.n_segments,
        "n_bytes": report.n_bytes,
        "n_opened": report.n_opened,
        "n_erased": report.n_erased,
        "n_without_key": report.n_without_key,
        "n_not_tried": report.n_not_tried,
        "n_tensors": report.n_tensors,
        "n_tensors_unchecked": report.n_tensors_unchecked,
        "tensors_unchecked": report.tensors_unchecked,
        "tree": {
            "checkpoint_size": tree.checkpoint_size,
            "origin": tree.checkpoint_origin,
            "n_covered": tree.n_covered,
            "n_files": tree.n_files,
            "n_signatures": tree.n_signatures,
            "n_signatures_unchecked": tree.n_signatures_unchecked,
            "n_cosignatures": tree.n_cosignatures,
            "n_own_cosignatures": tree.n_own_cosignatures,
            "quorum": tree.quorum.map(quorum_text),
            "n_outside": tree.n_outside,
            "n_stamps": tree.stamps.n_good,
            "n_stamps_unchecked": tree.stamps.n_unchecked,
            "n_stamps_ended": tree.stamps.n_ended,
            "stamped_size": tree.stamps.newest.map(|(size, _)| size),
            "stamped_at": tree.stamps.newest.map(|(_, time_ns)| Rfc3339(time_ns).to_string()),
        },
        "chain": Digest(report.chain).hex(),
        "unanchored": report.unanchored,
        "torn_tail": report.torn_tail.as_ref().map(damage),
        "damage": report.damage.as_ref().map(damage),
    })
}
