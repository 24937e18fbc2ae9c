//! A witness: remembers the newest checkpoint of each log it knows, and cosigns only what
//! continues it (`tlog-witness`, `add-checkpoint`). Pure rules and the state; HTTP is elsewhere.
//!
//! Invariants
//! - N1: what is cosigned was persisted before it is answered, in one step with the check
//!   against what was there: two requests at once cannot roll a log back;
//! - N2: of two checkpoints of one log that do not continue each other at most one is cosigned;
//! - N3: a state that cannot be read refuses its log until somebody looks: it is never taken for
//!   a log never seen.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_core::digest::Digest;
use bartizan_core::disk::Disk;

use crate::files::{read_whole, replace};
use crate::tlog::{
    Checkpoint, Hash, NOTE_BYTES_MAX, Note, NoteSigner, ProofError, SignatureLine, VerifierKey,
    base64, decimal, verify_consistency,
};

/// Most lines of a consistency proof in a request.
pub const PROOF_LINES_MAX: usize = 63;
/// Longest request body, in bytes.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + 64 * 48;
/// Folder of the states.
const DIR: &str = "witness";
/// First line of a state's file.
const STATE_LINE: &str = "bartizan witness 1";

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the last checkpoint that the asker believes the witness has.
    pub old_size: u64,
    /// Proof that the new checkpoint continues that one.
    pub proof: Vec<Hash>,
    /// The new checkpoint with its signatures.
    pub checkpoint: String,
}

impl AddCheckpoint {
    /// Reads a request's body.
    ///
    /// # Errors
    /// [`WitnessRefusal::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, WitnessRefusal> {
        let malformed = |why: &'static str| WitnessRefusal::Malformed { why };
        if REQUEST_BYTES_MAX < body.len() {
            return Err(malformed("the body is too long"));
        }
        let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not text"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(malformed("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old_size = old_size.ok_or(malformed("the first line is not `old <size>`"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_LINES_MAX {
                return Err(malformed("more than 63 lines of proof"));
            }
            let hash = base64::decode_exact(line);
            proof.push(hash.ok_or(malformed("a line of the proof is no hash"))?);
        }
        Ok(Self { old_size, proof, checkpoint: checkpoint.to_owned() })
    }
}

/// The request's body.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        for hash in &self.proof {
            writeln!(f, "{}", base64::encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum WitnessRefusal {
    /// 400: not a request.
    #[error("not an add-checkpoint request: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// 400: the old size is larger than the checkpoint's.
    #[error("the old size {old_size} is larger than the checkpoint's, {size}")]
    OldSize {
        /// The old size.
        old_size: u64,
        /// The checkpoint's.
        size: u64,
    },
    /// 403: none of the signatures is by a key that is trusted for the origin.
    #[error("no signature of a key that is trusted for this log")]
    Unsigned,
    /// 404: no such log.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// 409: another size is the newest; the body names it.
    #[error("the newest checkpoint that was cosigned has {size} entries")]
    Stale {
        /// The newest size.
        size: u64,
    },
    /// 409: the same size with another root: the log shows two histories.
    #[error(
        "a checkpoint of {size} entries with another root was cosigned: the log has two histories"
    )]
    Fork {
        /// The size.
        size: u64,
    },
    /// 422: the proof does not prove.
    #[error("the new checkpoint does not continue the one that was cosigned")]
    Inconsistent(#[source] ProofError),
    /// 500: the state cannot be read or kept; nothing was cosigned.
    #[error("the witness's state cannot be kept")]
    Store(#[source] io::Error),
    /// 500: a key of the witness does not sign this.
    #[error("the witness cannot sign")]
    Sign,
}

impl WitnessRefusal {
    /// The status of the answer, as `tlog-witness` has it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } | Self::OldSize { .. } => 400,
            Self::Unsigned => 403,
            Self::UnknownLog => 404,
            Self::Stale { .. } | Self::Fork { .. } => 409,
            Self::Inconsistent(_) => 422,
            Self::Store(_) | Self::Sign => 500,
        }
    }

    /// The size that a 409's body names, to be sent as `text/x.tlog.size`.
    pub fn known_size(&self) -> Option<u64> {
        match self {
            Self::Stale { size } | Self::Fork { size } => Some(*size),
            Self::Malformed { .. }
            | Self::OldSize { .. }
            | Self::Unsigned
            | Self::UnknownLog
            | Self::Inconsistent(_)
            | Self::Store(_)
            | Self::Sign => None,
        }
    }
}

/// What a witness knows of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Entries of the newest checkpoint that was cosigned.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// A witness's memory and keys; see the module invariants.
pub struct State {
    disk: Arc<dyn Disk>,
    logs: BTreeMap<String, Vec<VerifierKey>>,
    signers: Vec<NoteSigner>,
    /// What was read or written, by origin. Held from the check to the persisted answer (N1).
    seen: Mutex<BTreeMap<String, Seen>>,
}

impl State {
    /// A witness of `logs`, by the keys trusted for each (their name is the log's origin), that
    /// cosigns with `signers` and remembers in `disk`.
    pub fn new(
        disk: Arc<dyn Disk>,
        logs: impl IntoIterator<Item = VerifierKey>,
        signers: Vec<NoteSigner>,
    ) -> Self {
        let mut by_origin: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for key in logs {
            by_origin.entry(key.name().to_owned()).or_default().push(key);
        }
        Self { disk, logs: by_origin, signers, seen: Mutex::default() }
    }

    /// Keys that its cosignatures verify by.
    pub fn keys(&self) -> impl Iterator<Item = &VerifierKey> {
        self.signers.iter().map(NoteSigner::public)
    }

    /// Origins of the logs that it knows.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// The newest checkpoint of `origin` that was cosigned; `None` where none was.
    ///
    /// # Errors
    /// What keeps the state from being read.
    pub fn newest(&self, origin: &str) -> io::Result<Option<Seen>> {
        if let Some(seen) = self.locked().get(origin) {
            return Ok(Some(*seen));
        }
        self.load(origin)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Seen>> {
        // An entry is written after it is durable, so a panic elsewhere leaves nothing half-made.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cosigns the checkpoint of `request` at `now_s` seconds since the Unix epoch, or says why
    /// not. Gives one line for each of the witness's keys. Blocks for two syncs of the disk.
    ///
    /// # Errors
    /// [`WitnessRefusal`]; what was remembered stays as it was.
    pub fn add_checkpoint(
        &self,
        request: &AddCheckpoint,
        now_s: u64,
    ) -> Result<Vec<SignatureLine>, WitnessRefusal> {
        let malformed = |why: &'static str| WitnessRefusal::Malformed { why };
        let AddCheckpoint { old_size, proof, checkpoint } = request;
        let note = Note::parse(checkpoint.as_bytes())
            .map_err(|_| malformed("the checkpoint is no signed note"))?;
        let checkpoint =
            Checkpoint::parse(note.text).map_err(|_| malformed("the checkpoint is none"))?;
        let Checkpoint { origin, size, root, .. } = checkpoint;
        let keys = self.logs.get(origin).ok_or(WitnessRefusal::UnknownLog)?;
        if !keys.iter().any(|key| matches!(note.signed_by(key), Some(Ok(_)))) {
            return Err(WitnessRefusal::Unsigned);
        }
        if size < *old_size {
            return Err(WitnessRefusal::OldSize { old_size: *old_size, size });
        }
        let mut seen = self.locked();
        let known = match seen.get(origin) {
            Some(known) => Some(*known),
            None => self.load(origin).map_err(WitnessRefusal::Store)?,
        };
        continues(known, *old_size, proof, Seen { size, root })?;
        let mut lines = Vec::new();
        for signer in &self.signers {
            lines.push(signer.sign(note.text, now_s).map_err(|_| WitnessRefusal::Sign)?);
        }
        // N1: what is known may be on the disk although writing it failed: forget it, so that
        // the disk is asked again.
        seen.remove(origin);
        let whole = request.checkpoint.as_bytes();
        self.keep(origin, whole).map_err(WitnessRefusal::Store)?;
        seen.insert(origin.to_owned(), Seen { size, root });
        Ok(lines)
    }

    /// File of an origin: its name's digest, since an origin may hold anything.
    fn file(origin: &str) -> String {
        format!("{DIR}/{}", Digest::of(origin.as_bytes()).hex())
    }

    fn keep(&self, origin: &str, checkpoint: &[u8]) -> io::Result<()> {
        let sum = Digest::of(checkpoint).hex();
        let mut bytes = format!("{STATE_LINE}\n{sum}\n").into_bytes();
        bytes.extend_from_slice(checkpoint);
        replace(&*self.disk, &Self::file(origin), &bytes)
    }

    /// N3.
    fn load(&self, origin: &str) -> io::Result<Option<Seen>> {
        let file = Self::file(origin);
        let Some(bytes) = read_whole(&*self.disk, &file, REQUEST_BYTES_MAX)? else {
            return Ok(None);
        };
        let damaged = || {
            let text = format!(
                "`{file}` is damaged: restore it from a backup, or ask the log's \
                 other witnesses for the newest size before it is removed"
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let rest = text.strip_prefix(STATE_LINE).and_then(|rest| rest.strip_prefix('\n'));
        let (sum, checkpoint) = rest.and_then(|rest| rest.split_once('\n')).ok_or_else(damaged)?;
        let note = Note::parse(checkpoint.as_bytes()).map_err(|_| damaged())?;
        let parsed = Checkpoint::parse(note.text).map_err(|_| damaged())?;
        let whole = Digest::of(checkpoint.as_bytes()).hex() == sum && parsed.origin == origin;
        if whole { Ok(Some(Seen { size: parsed.size, root: parsed.root })) } else { Err(damaged()) }
    }
}

/// N2: whether `new` continues what is known.
fn continues(
    known: Option<Seen>,
    old_size: u64,
    proof: &[Hash],
    new: Seen,
) -> Result<(), WitnessRefusal> {
    let known_size = known.map_or(0, |known| known.size);
    if known_size != old_size {
        return Err(WitnessRefusal::Stale { size: known_size });
    }
    match known {
        Some(known) if known.size == new.size && known.root != new.root => {
            return Err(WitnessRefusal::Fork { size: known.size });
        }
        Some(known) if 0 < known.size => {
            verify_consistency(known.size, new.size, proof, &known.root, &new.root)
        }
        // The empty tree is the beginning of every other, and needs no proof.
        Some(_) | None if proof.is_empty() => Ok(()),
        Some(_) | None => Err(ProofError::Length { found: proof.len(), needed: 0 }),
    }
    .map_err(WitnessRefusal::Inconsistent)
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("logs", &self.logs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
