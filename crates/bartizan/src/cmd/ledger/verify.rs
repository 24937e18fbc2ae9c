//! `bartizan ledger verify`.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bartizan_core::Digest;
use bartizan_ledger::tlog::{Checkpoint, Note, Quorum};
use bartizan_ledger::{
    Checks, Damage, Decision, FileDisk, Outside, Reader, Scope, Sealer, VerifyReport, epoch_origin,
    verify_with,
};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use super::check::quorum_text;
use super::inputs::Inputs;
use super::{Failure, Format, Outcome};
use crate::answer::Answer;
use crate::config::FILE_NAME;
use crate::environment::Environment;
use crate::files::failed;
use crate::log::Chain;
use crate::render::progress::Progress;

/// Verifies the environment or store in `dir`.
///
/// # Errors
/// What could not be read.
pub(super) fn run(
    dir: &Path,
    policy: Option<&Path>,
    format: Format,
    out: &mut dyn io::Write,
) -> Outcome {
    let policy = super::policy(policy, dir)?;
    let environment = if dir.join(FILE_NAME).is_file() {
        Some(Environment::open(dir).map_err(Failure::unknown)?)
    } else {
        None
    };
    let store = environment.as_ref().map_or(dir.to_owned(), Environment::store_dir);
    let sealer = environment.as_ref().and_then(read_sealer);
    let outside: Vec<Outside> = environment.as_ref().and_then(anchored).into_iter().collect();
    let inputs = environment.as_ref().map(|found| Inputs::new(found.models_dir()));
    let tensors = |decision: &Decision<'_>, received: &[u8]| {
        inputs.as_ref().map_or_else(Vec::new, |inputs| inputs.of(decision, received))
    };
    let checks = Checks {
        sealer: sealer.as_deref(),
        policy: policy.as_ref(),
        outside: &outside,
        tensors: Some(&tensors),
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
    match tree.quorum {
        Some(quorum) => writeln!(out, "quorum    {}", quorum_text(quorum)),
        None => Ok(()),
    }
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
        },
        "chain": Digest(report.chain).hex(),
        "unanchored": report.unanchored,
        "torn_tail": report.torn_tail.as_ref().map(damage),
        "damage": report.damage.as_ref().map(damage),
    })
}
