//! Signed notes: a text, an empty line, and lines of signatures.

use std::fmt;

use super::base64;
use super::key::{VerifierKey, is_key_name};

/// Longest note that is read, in bytes: a checkpoint with 64 ML-DSA-44 signatures.
pub const NOTE_BYTES_MAX: usize = 256 << 10;
/// Most signatures of a note that is read.
pub const SIGNATURES_MAX: usize = 64;
/// How a signature line begins: an em dash and a space.
const LINE_START: &str = "\u{2014} ";

/// Why text is no signed note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Too long to be looked at.
    #[error("the note has more than {NOTE_BYTES_MAX} bytes")]
    TooLong,
    /// Not text.
    #[error("the note is not UTF-8, or has a control character at byte {at}")]
    Text {
        /// Where.
        at: usize,
    },
    /// No empty line between text and signatures, or no end of the last line.
    #[error("the note has no text, empty line and signatures, each with its line feed")]
    Shape,
    /// A line that is no signature.
    #[error("line {line_idx} of the note's signatures is none")]
    Signature {
        /// Which, from 0.
        line_idx: usize,
    },
    /// More signatures than are read.
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    Signatures,
}

/// One signature as a note carries it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignatureLine {
    /// Name of the key.
    pub name: Box<str>,
    /// Its id.
    pub key_id: [u8; 4],
    /// What the key made of the text.
    pub signature: Vec<u8>,
}

impl SignatureLine {
    /// The line, with or without its line feed.
    pub fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_suffix('\n').unwrap_or(line).strip_prefix(LINE_START)?;
        let (name, encoded) = rest.split_once(' ')?;
        let bytes = base64::decode(encoded)?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        let whole = is_key_name(name) && !signature.is_empty();
        whole.then(|| Self { name: name.into(), key_id: *key_id, signature: signature.to_vec() })
    }

    /// Whether `key` says that it made this line.
    pub fn is_of(&self, key: &VerifierKey) -> bool {
        *self.name == *key.name() && self.key_id == key.id()
    }
}

/// With its line feed.
impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.signature);
        writeln!(f, "{LINE_START}{} {}", self.name, base64::encode(&bytes))
    }
}

/// A signed note that was read, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// What is signed, its last line feed included.
    pub text: &'a str,
    /// By whom.
    pub signatures: Vec<SignatureLine>,
}

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoteError> {
        if NOTE_BYTES_MAX < bytes.len() {
            return Err(NoteError::TooLong);
        }
        if let Some(at) = bytes.iter().position(|byte| *byte < 0x20 && *byte != b'\n') {
            return Err(NoteError::Text { at });
        }
        let whole = std::str::from_utf8(bytes)
            .map_err(|error| NoteError::Text { at: error.valid_up_to() })?;
        let split = whole.rfind("\n\n").ok_or(NoteError::Shape)?;
        let (text, rest) =
            whole.split_at_checked(split.saturating_add(1)).ok_or(NoteError::Shape)?;
        let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
        let lines = lines.ok_or(NoteError::Shape)?;
        let mut signatures = Vec::new();
        for (line, line_idx) in lines.split('\n').zip(0_usize..) {
            if signatures.len() == SIGNATURES_MAX {
                return Err(NoteError::Signatures);
            }
            let line = SignatureLine::parse(line).ok_or(NoteError::Signature { line_idx })?;
            signatures.push(line);
        }
        Ok(Self { text, signatures })
    }

    /// Whether `key` signed: `None` where no line is by it, `Some(Err(()))` where one says so
    /// and is not, `Some(Ok(time))` where one is.
    ///
    /// A note may carry a line of the same key twice; the first that verifies counts, and one
    /// that does not spoils the whole, as `signed-note` recommends.
    pub fn signed_by(&self, key: &VerifierKey) -> Option<Result<u64, ()>> {
        let mut found = None;
        for line in self.signatures.iter().filter(|line| line.is_of(key)) {
            match key.verify(self.text, &line.signature) {
                Some(time_s) => found = found.or(Some(Ok(time_s))),
                None => return Some(Err(())),
            }
        }
        found
    }
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| line.fmt(f))
    }
}
