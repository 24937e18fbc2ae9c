//! The one reader of files of rows.
//!
//! Files are foreign: every one may be truncated, corrupt or made to harm. The format is told by
//! the content, never by the name. This release reads Parquet; what else it recognises it refuses
//! by name.
//!
//! Invariants
//! - V1: no file ends the process: what could abort it (a claimed size that cannot be had, a
//!   nesting that overflows the stack) is refused before the decoder sees it, and a panic in the
//!   decoder is a [`ReadError::Corrupt`];
//! - V2: memory is bounded by [`ReadLimits`], whatever a file claims or expands to;
//! - V3: errors name the file, the place and the limit, never a value.
//!
//! A file must not change while it is read; then V2 does not hold.

mod columns;
mod footer;
mod inputs;
mod pages;
mod parquet;
mod rows;
mod thrift;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use inputs::InputsError;
pub use parquet::Batches;
pub use rows::{Column, Meaning, Rows};

/// Bounds of one reading. The default suits reference samples and held-out rows; who streams
/// large files sets his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// Most rows.
    pub rows_max: u64,
    /// Most columns.
    pub columns_max: usize,
    /// Most values of a fixed-size list, and most bytes of a fixed-size binary value.
    pub list_len_max: usize,
    /// Largest page (the unit in which a file is compressed), in bytes, decompressed.
    pub page_bytes_max: u64,
    /// Most bytes of all pages decompressed, and of all values decoded.
    pub decoded_bytes_max: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            file_bytes_max: 1 << 30,
            rows_max: 1 << 24,
            columns_max: 16_384,
            list_len_max: 65_536,
            page_bytes_max: 64 << 20,
            decoded_bytes_max: 2 << 30,
        }
    }
}

/// Why a file was not read to its end.
///
/// Not a finding: a finding says what is there, this says that we could not look.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system did not let us.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a file, or not of a format that is read.
    #[error("`{}` is {found}; files of rows are read as Parquet", path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What it looks like.
        found: &'static str,
    },
    /// It is beyond a limit.
    #[error("`{}` has {found} {what}, the limit is {limit}", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What there is too much of, with its unit.
        what: &'static str,
        /// How much there is, or is claimed.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
    /// One of its columns cannot be read.
    #[error("`{}`, column `{column}`: {reason}", path.display())]
    Column {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// It is damaged, or made to look so.
    #[error("`{}` is truncated or corrupt: {reason}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

/// All rows of the file at `path`. One pass; memory is that of the result and of one batch.
///
/// # Errors
/// [`ReadError`]; nothing partial is given.
pub fn read(path: &Path, limits: &ReadLimits) -> Result<Rows, ReadError> {
    open(path, limits)?.into_rows()
}

/// The rows of the file at `path` in batches, in the file's order. All that can be refused before
/// a row is decoded is refused here.
///
/// # Errors
/// [`ReadError`]; each batch may fail with one too, and is then the last.
pub fn open(path: &Path, limits: &ReadLimits) -> Result<Batches, ReadError> {
    let io = |source| ReadError::Io { path: path.into(), source };
    let unsupported = |found| ReadError::Unsupported { path: path.into(), found };
    // Asked before opening, because opening a pipe would wait for its other end.
    let kind = fs::metadata(path).map_err(io)?;
    if kind.is_dir() {
        return Err(unsupported("a folder"));
    }
    if !kind.is_file() {
        return Err(unsupported("not a regular file"));
    }
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    if limits.file_bytes_max < bytes {
        let (what, limit) = ("bytes", limits.file_bytes_max);
        return Err(ReadError::TooLarge { path: path.into(), what, found: bytes, limit });
    }
    let mut head = [0; 8];
    let head_len = head.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
    file.read_exact_at(&mut head[..head_len], 0).map_err(io)?;
    match sniff(&head[..head_len]) {
        None => parquet::open(path, file, bytes, limits),
        Some(found) => Err(unsupported(found)),
    }
}

/// What a file that begins with `head` looks like, unless it is Parquet.
fn sniff(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], Option<&'static str>); 8] = [
        (b"PAR1", None),
        (b"PARE", Some("encrypted Parquet")),
        (b"ARROW1", Some("Arrow IPC (Feather)")),
        (b"\x93NUMPY", Some("a NumPy array")),
        (b"PK\x03\x04", Some("a ZIP archive (NumPy .npz, Excel, PyTorch)")),
        (b"\x1f\x8b", Some("compressed with gzip")),
        (b"\x28\xb5\x2f\xfd", Some("compressed with zstd")),
        (b"\x89HDF", Some("HDF5")),
    ];
    let found = known.into_iter().find(|(magic, _)| head.starts_with(magic));
    let text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    match (found, head.first()) {
        (Some((_, found)), _) => found,
        (None, None) => Some("empty"),
        (None, Some(b'{' | b'[')) if head.iter().all(text) => Some("text, perhaps JSON Lines"),
        (None, Some(_)) if head.iter().all(text) => Some("text, perhaps CSV"),
        (None, Some(_)) => Some("of no known format"),
    }
}

#[cfg(test)]
mod tests;
