//! The one reader of files of rows.
//!
//! Files are foreign: every one may be truncated, corrupt or made to harm. The format is told by
//! the content, never by the name: Parquet, comma-separated values, JSON Lines, Arrow IPC, NumPy
//! arrays. What else is recognised is refused by name.
//!
//! Invariants
//! - V1: no file ends the process: what could abort it (a claimed size that cannot be had, a
//!   nesting that overflows the stack) is refused before the decoder sees it, and a panic in the
//!   decoder is a [`ReadError::Corrupt`];
//! - V2: memory is bounded by [`ReadLimits`], whatever a file claims or expands to;
//! - V3: errors name the file, the place and the limit, never a value.
//!
//! A file must not change while it is read; then V2 does not hold.

mod batches;
mod cells;
mod columns;
mod csv;
mod footer;
mod inputs;
mod ipc;
mod json;
mod numpy;
mod pages;
mod parquet;
mod rows;
mod thrift;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use batches::Batches;
pub use inputs::InputsError;
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
    #[error(
        "`{}` is {found}; files of rows are read as Parquet, CSV, JSON Lines, Arrow IPC or NumPy arrays",
        path.display()
    )]
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
        Format::Parquet => {
            parquet::open(path, file, bytes, limits).map(|b| Batches::parquet(b, path, limits))
        }
        Format::Csv => csv::open(path, file, limits).map(|d| Batches::ours(d, path, limits)),
        Format::Json => json::open(path, file, limits).map(|d| Batches::ours(d, path, limits)),
        Format::Ipc { is_stream } => {
            ipc::open(path, file, is_stream, limits).map(|d| Batches::ours(d, path, limits))
        }
        Format::Numpy { is_archive } => {
            numpy::open(path, file, is_archive, limits).map(|d| Batches::ours(d, path, limits))
        }
        Format::Other(found) => Err(unsupported(found)),
    }
}

enum Format {
    Parquet,
    Csv,
    Json,
    Ipc { is_stream: bool },
    Numpy { is_archive: bool },
    Other(&'static str),
}

/// What a file that begins with `head` looks like.
fn sniff(head: &[u8]) -> Format {
    let known: [(&[u8], Format); 8] = [
        (b"PAR1", Format::Parquet),
        (b"PARE", Format::Other("encrypted Parquet")),
        (b"ARROW1", Format::Ipc { is_stream: false }),
        (b"\xff\xff\xff\xff", Format::Ipc { is_stream: true }),
        (b"\x93NUMPY", Format::Numpy { is_archive: false }),
        (b"PK\x03\x04", Format::Numpy { is_archive: true }),
        (b"\x1f\x8b", Format::Other("compressed with gzip")),
        (b"\x28\xb5\x2f\xfd", Format::Other("compressed with zstd")),
    ];
    let found = known.into_iter().find(|(magic, _)| head.starts_with(magic));
    let text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    match (found, head.first()) {
        (Some((_, found)), _) => found,
        (None, None) => Format::Other("empty"),
        (None, Some(0x89)) => Format::Other("of no known format, perhaps HDF5 or a picture"),
        (None, Some(b'{')) if head.iter().all(text) => Format::Json,
        (None, Some(b'[')) if head.iter().all(text) => Format::Other("one JSON array"),
        (None, Some(_)) if head.iter().all(text) => Format::Csv,
        (None, Some(_)) => Format::Other("of no known format"),
    }
}

/// The files of a data set: `path` itself, or the files right in it by name, hidden ones left out.
///
/// # Errors
/// [`ReadError`]; a folder without files is one.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let io = |source| ReadError::Io { path: path.into(), source };
    if !fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".")
            || entry.file_name().as_encoded_bytes().starts_with(b"_");
        if !is_hidden && entry.file_type().map_err(io)?.is_file() {
            files.push(entry.path());
        }
        if FILES_MAX < files.len() {
            let (what, found, limit) = ("files", files.len() as u64, FILES_MAX as u64);
            return Err(ReadError::TooLarge { path: path.into(), what, found, limit });
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ReadError::Unsupported { path: path.into(), found: "a folder without files" });
    }
    Ok(files)
}

/// Most files of a folder.
const FILES_MAX: usize = 100_000;

/// Where the row groups of a Parquet file lie, in bytes from its beginning; nothing for other
/// formats.
///
/// # Errors
/// [`ReadError`] as [`open`].
pub fn row_groups(path: &Path) -> Result<Vec<std::ops::Range<u64>>, ReadError> {
    let io = |source| ReadError::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let mut head = [0; 4];
    if file.read_exact_at(&mut head, 0).is_err() || &head != b"PAR1" {
        return Ok(Vec::new());
    }
    let bytes = file.metadata().map_err(io)?.len();
    parquet::row_groups(path, &file, bytes)
}

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod tests;
