//! Proofs that a record is in the log, out of what was published.

use std::io;

use bartizan_core::disk::Disk;

use crate::files::read_whole;
use crate::publish::{COSIGNED_NAME, tlog_name};
use crate::tlog::{
    Checkpoint, Hash, NOTE_BYTES_MAX, Note, Resource, TileNodeError, TileNodes, TlogProof,
    prove_inclusion,
};

/// Longest tile, in bytes.
const TILE_BYTES_MAX: usize = 8_192;

/// Why a record cannot be proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// No checkpoint covers it yet.
    #[error(
        "record {index} is not published yet, the newest checkpoint covers {size} records; a running server publishes within a second"
    )]
    NotPublished {
        /// The record.
        index: u64,
        /// Records of the newest checkpoint.
        size: u64,
    },
    /// What was published cannot be read.
    #[error("cannot read what was published")]
    Io(#[from] io::Error),
    /// It cannot be right.
    #[error("`{name}` is {reason}; `bartizan ledger verify` says what is wrong")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A checkpoint as it was published.
struct Covering {
    note: String,
    size: u64,
    root: Hash,
}

fn covering(disk: &dyn Disk, name: &str) -> Result<Option<Covering>, ProveError> {
    let Some(bytes) = read_whole(disk, name, NOTE_BYTES_MAX)? else { return Ok(None) };
    let wrong = |reason| ProveError::Damaged { name: name.to_owned(), reason };
    let note = Note::parse(&bytes).map_err(|_| wrong("no signed note"))?;
    let checkpoint = Checkpoint::parse(note.text).map_err(|_| wrong("no checkpoint"))?;
    let (size, root) = (checkpoint.size, checkpoint.root);
    Ok(Some(Covering { note: note.to_string(), size, root }))
}

/// The proof that the record with `leaf_hash` stands at `index` of the log published in `disk`:
/// under the newest checkpoint with cosignatures that covers it, else under the newest. Reads at
/// most 16 tiles. The proof was verified before it is given.
///
/// # Errors
/// [`ProveError`].
pub fn prove_record(
    disk: &dyn Disk,
    index: u64,
    leaf_hash: &Hash,
    extra: Option<Vec<u8>>,
) -> Result<TlogProof, ProveError> {
    let newest = covering(disk, &tlog_name(&Resource::Checkpoint))?;
    let cosigned = covering(disk, COSIGNED_NAME)?;
    let size = newest.as_ref().map_or(0, |newest| newest.size);
    let covers = |found: &Covering| index < found.size;
    let found = cosigned.filter(covers).or(newest.filter(covers));
    let Covering { note, size, root } = found.ok_or(ProveError::NotPublished { index, size })?;
    let damaged = |name: String, reason| ProveError::Damaged { name, reason };
    let read = |tile: &Resource| -> Result<Vec<u8>, ProveError> {
        let name = tlog_name(tile);
        if let Some(bytes) = read_whole(disk, &name, TILE_BYTES_MAX)? {
            return Ok(bytes);
        }
        // A partial tile goes when it is full: its beginning is the same.
        let Resource::Tile { level, index, width } = *tile else {
            return Err(damaged(name, "missing"));
        };
        let full = tlog_name(&Resource::Tile { level, index, width: 256 });
        let mut bytes =
            read_whole(disk, &full, TILE_BYTES_MAX)?.ok_or_else(|| damaged(name, "missing"))?;
        bytes.truncate(usize::from(width) * 32);
        Ok(bytes)
    };
    let mut nodes = TileNodes::new(size, read);
    let hashes = prove_inclusion(&mut nodes, index, size).map_err(|error| match error {
        TileNodeError::Read { source, .. } => source,
        TileNodeError::Length { tile, .. } => damaged(tlog_name(&tile), "cut"),
        TileNodeError::Absent { .. } => damaged(tlog_name(&Resource::Checkpoint), "too large"),
    })?;
    let proof = TlogProof { extra, index, hashes, checkpoint: note };
    let leads = crate::tlog::verify_inclusion(index, size, leaf_hash, &proof.hashes, &root);
    match leads {
        Ok(()) => Ok(proof),
        Err(_) => Err(damaged(tlog_name(&Resource::Checkpoint), "of another log than its tiles")),
    }
}
