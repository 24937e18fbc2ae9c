//! `bartizan ledger verify`.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::Digest;
use bartizan_ledger::{Damage, FileDisk, Scope, Sealer, SealingKeys, VerifyReport, verify};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use super::{Failure, Format, Outcome, Place};
use crate::answer::Answer;
use crate::config::FILE_NAME;
use crate::files::failed;
use crate::log::Chain;
use crate::render::progress::Progress;

/// Arguments of `bartizan ledger`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Check every record, every checksum, the chain, and what is sealed; takes no lock
    Verify {
        /// The environment's folder, or a copy of its store
        dir: Option<PathBuf>,
        /// Shape of the report
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Runs `bartizan ledger`.
///
/// # Errors
/// What could not be read.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let Args::Verify { dir, format } = args;
    let dir = dir.as_deref().unwrap_or(&place.environment);
    let (store, keys) = if dir.join(FILE_NAME).is_file() {
        (dir.join("store"), Some(dir.join("keys")))
    } else {
        (dir.to_owned(), None)
    };
    let sealer = keys.as_deref().and_then(read_sealer);
    let report = checked(&store, sealer.as_deref())?;
    match format {
        Format::Text => show(&report, out)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&as_json(&report))?)?,
    }
    Ok(if report.damage.is_some() { Answer::No } else { Answer::Yes })
}

/// The keys that open what is sealed; without them the rest is checked all the same.
fn read_sealer(keys: &Path) -> Option<Arc<Sealer>> {
    let disk = match FileDisk::open(keys) {
        Ok(disk) => disk,
        Err(error) => {
            eprintln!("Note: what is sealed is not opened: {}: {error}", keys.display());
            return None;
        }
    };
    match SealingKeys::read(&disk) {
        Ok(sealer) => Some(sealer),
        Err(error) => {
            eprintln!("Note: what is sealed is not opened: {}", Chain(&error));
            None
        }
    }
}

fn checked(store: &Path, sealer: Option<&Sealer>) -> Result<VerifyReport, Failure> {
    let disk = FileDisk::open(store).map_err(failed("open", store)).map_err(Failure::unknown)?;
    let look = |scope| {
        let mut progress = Progress::new("verifying");
        let mut tell = |done, all| {
            progress.at(done, all);
            ControlFlow::Continue(())
        };
        verify(&disk, sealer, scope, &mut tell).map_err(Failure::unknown)
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
    writeln!(out, "log       {}", report.origin)?;
    writeln!(
        out,
        "records   {} in {} segments, {} bytes",
        report.n_records, report.n_segments, report.n_bytes
    )?;
    writeln!(
        out,
        "sealed    {} open and agree with their record, {} without key (erased, or not at hand), \
         {} not tried",
        report.n_opened, report.n_without_key, report.n_not_tried
    )?;
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

fn as_json(report: &VerifyReport) -> serde_json::Value {
    let damage = |damage: &Damage| {
        json!({
            "segment": damage.segment,
            "offset": damage.offset,
            "index": damage.index,
            "reason": damage.kind.to_string(),
        })
    };
    json!({
        "origin": report.origin,
        "n_records": report.n_records,
        "n_segments": report.n_segments,
        "n_bytes": report.n_bytes,
        "n_opened": report.n_opened,
        "n_without_key": report.n_without_key,
        "n_not_tried": report.n_not_tried,
        "n_tensors_unchecked": report.n_tensors_unchecked,
        "chain": Digest(report.chain).hex(),
        "unanchored": report.unanchored,
        "torn_tail": report.torn_tail.as_ref().map(damage),
        "damage": report.damage.as_ref().map(damage),
    })
}
