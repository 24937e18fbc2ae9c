//! `.tlog-proof`: a proof that some entry is in a log, whole in one text (`tlog-proof`).

use std::fmt;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::note::{NOTE_BYTES_MAX, Note, NoteError};
use super::tree::{Hash, PROOF_HASHES_MAX, ProofError, verify_inclusion};
use super::{base64, decimal};

/// First line of the format.
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Longest proof that is read, in bytes: a note, its hashes, and a record with what is disclosed.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + (4 << 20);

/// A proof that was read, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// What the application adds; nothing vouches for it but what it leads to itself.
    pub extra: Option<Vec<u8>>,
    /// Place of the entry.
    pub index: u64,
    /// Hashes from the leaf's sibling to the root's child.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, whole.
    pub checkpoint: String,
}

/// Why text is no proof, or does not prove.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofTextError {
    /// Too long to be looked at.
    #[error("the proof has more than {PROOF_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the proof is not text")]
    Text,
    /// Its first line is another format's or version's.
    #[error("the first line is not `{FIRST_LINE}`")]
    Version,
    /// A line that should be something else.
    #[error("line {line} is not {expected}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// Its checkpoint is no note.
    #[error("the checkpoint is no signed note")]
    Note(#[from] NoteError),
    /// Its checkpoint is none.
    #[error("the checkpoint is none")]
    Checkpoint(#[from] CheckpointError),
    /// Its hashes do not lead from the entry to the checkpoint's root.
    #[error("the entry is not in the checkpoint's tree at that place")]
    Inclusion(#[from] ProofError),
}

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// [`ProofTextError`]; whether it proves is [`TlogProof::verify`]'s to say.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofTextError> {
        if PROOF_BYTES_MAX < bytes.len() {
            return Err(ProofTextError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ProofTextError::Text)?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(ProofTextError::Line { line: 1, expected: "a proof with a checkpoint" })?;
        let mut lines = head.split('\n').zip(1_usize..).peekable();
        if lines.next().is_none_or(|(line, _)| line != FIRST_LINE) {
            return Err(ProofTextError::Version);
        }
        let mut extra = None;
        if let Some((encoded, line)) =
            lines.peek().and_then(|(text, line)| Some((text.strip_prefix("extra ")?, *line)))
        {
            let expected = "`extra` and base 64";
            extra = Some(base64::decode(encoded).ok_or(ProofTextError::Line { line, expected })?);
            lines.next();
        }
        let (index, line) = lines.next().unwrap_or(("", 2));
        let expected = "`index` and a number";
        let index = index.strip_prefix("index ").and_then(decimal);
        let index = index.ok_or(ProofTextError::Line { line, expected })?;
        let mut hashes = Vec::new();
        for (encoded, line) in lines {
            let expected = "a hash in base 64, of at most 128";
            let hash = base64::decode_exact(encoded);
            let hash = hash.filter(|_| hashes.len() < PROOF_HASHES_MAX);
            hashes.push(hash.ok_or(ProofTextError::Line { line, expected })?);
        }
        let note = Note::parse(checkpoint.as_bytes())?;
        Checkpoint::parse(note.text)?;
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that the entry with `leaf_hash` is where the proof says in the tree of its
    /// checkpoint, and gives both. Whether the checkpoint is to be believed is the policy's to
    /// say.
    ///
    /// # Errors
    /// [`ProofTextError`].
    pub fn verify(&self, leaf_hash: &Hash) -> Result<(Note<'_>, Checkpoint<'_>), ProofTextError> {
        let note = Note::parse(self.checkpoint.as_bytes())?;
        let checkpoint = Checkpoint::parse(note.text)?;
        let Checkpoint { size, root, .. } = &checkpoint;
        verify_inclusion(self.index, *size, leaf_hash, &self.hashes, root)?;
        Ok((note, checkpoint))
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", base64::encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", base64::encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
