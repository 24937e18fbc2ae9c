//! Comma-separated values (RFC 4180), with a header; `,`, `;` or tab is told by the header.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::batches::Decode;
use super::cells::{Filling, Seen, meaning};
use super::rows::Rows;
use super::{ReadError, ReadLimits};

/// Longest record, in bytes.
const RECORD_BYTES_MAX: usize = 16 << 20;
/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Bytes of records of a batch.
const BATCH_BYTES: usize = 16 << 20;

/// One record: the bytes of its fields one after the other, where each ends, whether it was quoted.
#[derive(Default)]
struct Record {
    bytes: Vec<u8>,
    fields: Vec<(usize, bool)>,
}

impl Record {
    fn field(&self, at: usize) -> Option<(&[u8], bool)> {
        let (end, is_quoted) = *self.fields.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.fields.get(before)).map_or(0, |f| f.0);
        Some((self.bytes.get(start..end)?, is_quoted))
    }

    fn end_field(&mut self, is_quoted: bool) {
        self.fields.push((self.bytes.len(), is_quoted));
    }
}

struct Reader {
    path: PathBuf,
    from: BufReader<File>,
    separator: u8,
    /// The record that is being read, counted from 1.
    number: u64,
    line: Vec<u8>,
}

impl Reader {
    fn corrupt(&self, reason: &str) -> ReadError {
        let reason = format!("record {}: {reason}", self.number);
        ReadError::Corrupt { path: self.path.clone(), reason }
    }

    /// Appends one line, its end included.
    fn line(&mut self) -> Result<bool, ReadError> {
        let before = self.line.len();
        loop {
            let chunk = self
                .from
                .fill_buf()
                .map_err(|source| ReadError::Io { path: self.path.clone(), source })?;
            if chunk.is_empty() {
                return Ok(before != self.line.len());
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end.saturating_add(1));
            self.line.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            self.from.consume(taken);
            if RECORD_BYTES_MAX < self.line.len() {
                let (found, limit) = (self.line.len() as u64, RECORD_BYTES_MAX as u64);
                let (path, what) = (self.path.clone(), "bytes in one record");
                return Err(ReadError::TooLarge { path, what, found, limit });
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// The next record that is no empty line; false at the end.
    fn next(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        loop {
            self.number = self.number.saturating_add(1);
            self.line.clear();
            if !self.line()? {
                return Ok(false);
            }
            while is_open(&self.line) {
                if !self.line()? {
                    return Err(self.corrupt("a quotation mark is not closed"));
                }
            }
            let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.is_empty() {
                split(text, self.separator, record);
                return Ok(true);
            }
        }
    }
}

/// Whether a quotation mark is open at the end: their number is odd.
fn is_open(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'"').count() % 2 == 1
}

fn split(text: &[u8], separator: u8, record: &mut Record) {
    record.bytes.clear();
    record.fields.clear();
    let mut bytes = text.iter().copied().peekable();
    let (mut is_quoted, mut is_open, mut is_start) = (false, false, true);
    while let Some(byte) = bytes.next() {
        if is_open {
            if byte != b'"' {
                record.bytes.push(byte);
            } else if bytes.next_if_eq(&b'"').is_some() {
                record.bytes.push(b'"');
            } else {
                is_open = false;
            }
        } else if byte == b'"' && is_start {
            (is_quoted, is_open) = (true, true);
        } else if byte == separator {
            record.end_field(is_quoted);
            (is_quoted, is_start) = (false, true);
            continue;
        } else {
            record.bytes.push(byte);
        }
        is_start = false;
    }
    record.end_field(is_quoted);
}

struct Csv {
    reader: Reader,
    names: Vec<String>,
    seen: Vec<Seen>,
}

/// Reads the whole file once for its types, and prepares to read it again.
pub(super) fn open(
    path: &Path,
    file: File,
    limits: &ReadLimits,
) -> Result<Box<dyn Decode>, ReadError> {
    let mut reader = Reader {
        path: path.into(),
        from: BufReader::with_capacity(1 << 20, file),
        separator: b',',
        number: 0,
        line: Vec::new(),
    };
    let mut record = Record::default();
    reader.separator = separator(&mut reader)?;
    rewind(&mut reader)?;
    if !reader.next(&mut record)? {
        return Err(ReadError::Unsupported { path: path.into(), found: "empty" });
    }
    let names = names(&reader, &record, limits)?;
    let mut seen = vec![Seen::Nothing; names.len()];
    let mut has_rows = false;
    while reader.next(&mut record)? {
        has_rows = true;
        if record.fields.len() != names.len() {
            let reason = format!("{} fields, the header has {}", record.fields.len(), names.len());
            return Err(reader.corrupt(&reason));
        }
        for (at, seen) in seen.iter_mut().enumerate() {
            if let Some((field, is_quoted)) = record.field(at) {
                *seen = seen.with(&meaning(field, is_quoted));
            }
        }
    }
    if !has_rows {
        let found = "one line of text without rows below it";
        return Err(ReadError::Unsupported { path: path.into(), found });
    }
    rewind(&mut reader)?;
    reader.next(&mut record)?;
    Ok(Box::new(Csv { reader, names, seen }))
}

fn rewind(reader: &mut Reader) -> Result<(), ReadError> {
    reader.number = 0;
    let to = reader.from.seek(SeekFrom::Start(0));
    to.map_err(|source| ReadError::Io { path: reader.path.clone(), source })?;
    // A byte order mark is no part of the first name.
    let start = reader.from.fill_buf();
    let start = start.map_err(|source| ReadError::Io { path: reader.path.clone(), source })?;
    if start.starts_with(b"\xef\xbb\xbf") {
        reader.from.consume(3);
    }
    Ok(())
}

/// The commonest of `,`, `;` and tab in the first line.
fn separator(reader: &mut Reader) -> Result<u8, ReadError> {
    reader.line.clear();
    reader.line()?;
    let count = |separator: u8| reader.line.iter().filter(|byte| **byte == separator).count();
    let most = b",;\t".iter().copied().reduce(|a, b| if count(a) < count(b) { b } else { a });
    Ok(most.unwrap_or(b','))
}

fn names(reader: &Reader, record: &Record, limits: &ReadLimits) -> Result<Vec<String>, ReadError> {
    let n = record.fields.len();
    if limits.columns_max < n {
        let (path, what) = (reader.path.clone(), "columns");
        let (found, limit) = (n as u64, limits.columns_max as u64);
        return Err(ReadError::TooLarge { path, what, found, limit });
    }
    let mut names = Vec::with_capacity(n);
    let mut known = BTreeSet::new();
    for at in 0..n {
        let (field, _) = record.field(at).unwrap_or_default();
        let name = String::from_utf8_lossy(field).into_owned();
        if !known.insert(name.clone()) {
            let reason = "two columns have this name: rename one".into();
            return Err(ReadError::Column { path: reader.path.clone(), column: name, reason });
        }
        names.push(name);
    }
    Ok(names)
}

impl Decode for Csv {
    fn next_rows(&mut self) -> Result<Option<Rows>, ReadError> {
        let named = self.names.iter().zip(&self.seen);
        let mut columns: Vec<Filling> =
            named.map(|(name, seen)| Filling::new(name, *seen)).collect();
        let mut record = Record::default();
        let (mut n_rows, mut bytes) = (0_usize, 0_usize);
        while n_rows < BATCH_ROWS && bytes < BATCH_BYTES && self.reader.next(&mut record)? {
            if record.fields.len() != columns.len() {
                return Err(self.reader.corrupt("the file changed while it was read"));
            }
            for (at, column) in columns.iter_mut().enumerate() {
                let (field, is_quoted) = record.field(at).unwrap_or_default();
                // In a column of texts "NaN" and "NA" may be names; only nothing is missing.
                let is_name = is_quoted || (column.is_text() && !field.is_empty());
                let cell = meaning(field, is_name);
                column.push(&cell, field);
            }
            n_rows = n_rows.saturating_add(1);
            bytes = bytes.saturating_add(record.bytes.len());
        }
        let columns = columns.into_iter().map(Filling::finish).collect();
        Ok((n_rows != 0).then_some(Rows { columns, n_rows }))
    }
}
