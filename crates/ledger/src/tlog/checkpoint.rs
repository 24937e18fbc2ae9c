//! Checkpoints: the text that says how many entries a log has and what their root is.

use std::fmt;

use super::tree::Hash;
use super::{base64, decimal};

/// Most lines behind the first three that are accepted.
const EXTENSIONS_MAX: usize = 16;

/// A checkpoint's text, read; its signatures are the note's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint<'a> {
    /// Name of the log.
    pub origin: &'a str,
    /// Entries of its tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Further lines, which we neither write nor interpret.
    pub extensions: Vec<&'a str>,
}

/// Why text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Fewer than three lines, an empty one, or no line feed at the end.
    #[error("a checkpoint is an origin, a size and a root, one a line")]
    Lines,
    /// The second line is no number in its one spelling.
    #[error("the checkpoint's second line is no size")]
    Size,
    /// The third line is no hash.
    #[error("the checkpoint's third line is no root hash")]
    Root,
    /// More lines than are accepted.
    #[error("the checkpoint has more than {EXTENSIONS_MAX} further lines")]
    Extensions,
}

impl<'a> Checkpoint<'a> {
    /// Reads a note's text.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(text: &'a str) -> Result<Self, CheckpointError> {
        let body = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = body.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().ok_or(CheckpointError::Lines)?;
        let size = line().ok_or(CheckpointError::Lines)?;
        let root = line().ok_or(CheckpointError::Lines)?;
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = base64::decode_exact(root).ok_or(CheckpointError::Root)?;
        let extensions: Vec<_> = lines.take(EXTENSIONS_MAX.saturating_add(1)).collect();
        if EXTENSIONS_MAX < extensions.len() {
            return Err(CheckpointError::Extensions);
        }
        if extensions.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Lines);
        }
        Ok(Self { origin, size, root, extensions })
    }
}

/// The note's text, each line with its line feed.
impl fmt::Display for Checkpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, base64::encode(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
