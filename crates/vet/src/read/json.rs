//! JSON Lines: one object a line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::batches::Decode;
use super::cells::{Cell, Filling, Seen};
use super::rows::Rows;
use super::{ReadError, ReadLimits};

/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Rows of a batch.
const BATCH_ROWS: usize = 4_096;
/// Bytes of lines of a batch.
const BATCH_BYTES: usize = 16 << 20;

struct Lines {
    path: PathBuf,
    from: BufReader<File>,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    fn corrupt(&self, reason: &str) -> ReadError {
        let reason = format!("line {}: {reason}", self.number);
        ReadError::Corrupt { path: self.path.clone(), reason }
    }

    fn next(&mut self) -> Result<Option<Map<String, Value>>, ReadError> {
        loop {
            self.number = self.number.saturating_add(1);
            self.line.clear();
            let mut limited = (&mut self.from).take(LINE_BYTES_MAX + 1);
            let read = limited.read_until(b'\n', &mut self.line);
            let read = read.map_err(|source| ReadError::Io { path: self.path.clone(), source })?;
            if read == 0 {
                return Ok(None);
            }
            if LINE_BYTES_MAX < read as u64 {
                let (found, limit) = (read as u64, LINE_BYTES_MAX);
                let (path, what) = (self.path.clone(), "bytes in one line");
                return Err(ReadError::TooLarge { path, what, found, limit });
            }
            let line = self.line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            // The parser's own message may quote the line.
            return match serde_json::from_slice(line) {
                Ok(Value::Object(object)) => Ok(Some(object)),
                Ok(_) => Err(self.corrupt("not an object")),
                Err(error) => {
                    Err(self.corrupt(&format!("no JSON at its column {}", error.column())))
                }
            };
        }
    }
}

fn cell(value: &Value) -> Option<Cell<'_>> {
    Some(match value {
        Value::Null => Cell::Missing,
        Value::Bool(x) => Cell::Bool(*x),
        Value::Number(x) => match x.as_i64() {
            Some(x) => Cell::Integer(x),
            None => Cell::Number(x.as_f64()?),
        },
        Value::String(text) => Cell::Text(text.as_bytes()),
        Value::Array(items) => Cell::List(items.iter().map(Value::as_f64).collect::<Option<_>>()?),
        Value::Object(_) => return None,
    })
}

struct Json {
    lines: Lines,
    columns: Vec<(String, Seen)>,
}

/// Reads the whole file once for its names and types, and prepares to read it again.
pub(super) fn open(
    path: &Path,
    file: File,
    limits: &ReadLimits,
) -> Result<Box<dyn Decode>, ReadError> {
    let from = BufReader::with_capacity(1 << 20, file);
    let mut lines = Lines { path: path.into(), from, number: 0, line: Vec::new() };
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut columns: Vec<(String, Seen)> = Vec::new();
    while let Some(object) = lines.next()? {
        for (name, value) in &object {
            let at = match places.get(name) {
                Some(at) => *at,
                None => {
                    if limits.columns_max <= columns.len() {
                        let (path, what) = (path.into(), "columns");
                        let limit = limits.columns_max as u64;
                        return Err(ReadError::TooLarge { path, what, found: limit + 1, limit });
                    }
                    places.insert(name.clone(), columns.len());
                    columns.push((name.clone(), Seen::Nothing));
                    columns.len() - 1
                }
            };
            let column = |reason: &str| ReadError::Column {
                path: path.into(),
                column: name.clone(),
                reason: format!("line {}: {reason}", lines.number),
            };
            let cell = cell(value)
                .ok_or_else(|| column("nested values are not read, only lists of numbers are"))?;
            let Some((_, seen)) = columns.get_mut(at) else { continue };
            let next = seen.with(&cell);
            if next == Seen::Mixed {
                return Err(column(
                    "its value is of another kind than those before, or its list \
                                   of another length",
                ));
            }
            if matches!(next, Seen::List(len) if len == 0 || limits.list_len_max < len) {
                return Err(column("its list is empty or too long"));
            }
            *seen = next;
        }
    }
    lines.number = 0;
    let to = lines.from.seek(SeekFrom::Start(0));
    to.map_err(|source| ReadError::Io { path: path.into(), source })?;
    Ok(Box::new(Json { lines, columns }))
}

impl Decode for Json {
    fn next_rows(&mut self) -> Result<Option<Rows>, ReadError> {
        let new = |(name, seen): &(String, Seen)| Filling::new(name, *seen);
        let mut columns: Vec<Filling> = self.columns.iter().map(new).collect();
        let (mut n_rows, mut bytes) = (0, 0);
        while n_rows < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(object) = self.lines.next()? else { break };
            for ((name, seen), column) in self.columns.iter().zip(&mut columns) {
                let value = object.get(name).and_then(cell).unwrap_or(Cell::Missing);
                if seen.with(&value) != *seen {
                    return Err(self.lines.corrupt("the file changed while it was read"));
                }
                let raw: &[u8] = if let Cell::Text(text) = &value { text } else { &[] };
                column.push(&value, raw);
            }
            n_rows += 1;
            bytes += self.lines.line.len();
        }
        let columns = columns.into_iter().map(Filling::finish).collect();
        Ok((n_rows != 0).then_some(Rows { columns, n_rows }))
    }
}
