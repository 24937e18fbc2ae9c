//! CSV (RFC 4180): a header line of names, then rows.
//!
//! Read as `pandas.read_csv` reads it where that makes sense: `,` between fields, `"` around
//! them, `""` for a quote within, lines ended by LF or CRLF, a byte order mark overlooked, empty
//! lines skipped, an empty field a missing value. Everything else is refused with its line: rows
//! of another length, quotes in the middle of a field, NUL, text after a closing quote.

use std::borrow::Cow;

use bartizan_core::RefusalCode;

use super::cell::NoCell;
use super::plan::Plan;
use super::{Inputs, text_of};
use crate::WireError;
use crate::error::{Fault, Parsed};
use crate::request::{InferRequest, Limits};

/// Most columns of a header.
pub const CSV_COLUMNS_MAX: usize = 16_384;
/// Longest field, in bytes.
pub const CSV_FIELD_BYTES_MAX: usize = 64 * 1024;

/// Reads a body of CSV for the model of `plan`.
///
/// # Errors
/// [`WireError`] naming line and column; never a text of the body.
pub fn parse_csv(body: &[u8], plan: &Plan, limits: &Limits) -> Result<InferRequest, WireError> {
    let inputs = parse(body, plan, limits)?;
    Ok(InferRequest::of(inputs))
}

fn parse(body: &[u8], plan: &Plan, limits: &Limits) -> Parsed<Inputs> {
    let text = text_of(body, limits)?;
    let mut sheet = super::begin(plan, limits)?;
    let mut lines = Fields::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut names: Vec<String> = Vec::new();
    while let Some(field) = lines.next_field()? {
        if CSV_COLUMNS_MAX <= names.len() {
            let what = format!("the header has more than {CSV_COLUMNS_MAX} columns");
            return Err(Fault::new(RefusalCode::TooLarge, what));
        }
        names.push(field.text.into_owned());
        if field.is_last {
            break;
        }
    }
    if names.is_empty() {
        let what = "the body is empty; send a line with the columns' names, then the rows";
        return Err(Fault::new(RefusalCode::Malformed, what));
    }
    let columns = sheet.header(names.iter().map(String::as_str))?;
    let mut field_idx = 0_usize;
    while let Some(field) = lines.next_field()? {
        if field_idx == 0 {
            sheet.begin_row()?;
            sheet.make_room();
        }
        let line = field.line;
        let Some(column) = columns.get(field_idx) else {
            return Err(ragged(line, columns.len(), "more"));
        };
        if let Some(column) = column {
            let put = sheet.put_field(*column, &field.text, field.is_quoted);
            put.map_err(|why| no_cell(line, plan, column.column_idx, &why))?;
        }
        field_idx = field_idx.saturating_add(1);
        if field.is_last {
            if field_idx != columns.len() {
                return Err(ragged(line, columns.len(), "fewer"));
            }
            field_idx = 0;
        }
    }
    sheet.finish()
}

#[cold]
fn ragged(line: usize, n_columns: usize, how: &str) -> Box<Fault> {
    let what = format!("line {line}: it has {how} fields than the header, which has {n_columns}");
    Fault::new(RefusalCode::Malformed, what)
}

#[cold]
fn no_cell(line: usize, plan: &Plan, column_idx: usize, why: &NoCell) -> Box<Fault> {
    let name = plan.column_name(column_idx);
    let what = match why {
        NoCell::Missing => "nothing is there, and this column has no missing values".to_owned(),
        NoCell::Kind(wanted) => format!("it is not {wanted}"),
        NoCell::Range => "a number is outside the range of its column's datatype".to_owned(),
    };
    Fault::new(RefusalCode::Malformed, format!("line {line}, column `{name}`: {what}"))
}

/// One field.
struct Field<'t> {
    text: Cow<'t, str>,
    is_quoted: bool,
    /// Whether its line ends with it.
    is_last: bool,
    line: usize,
}

struct Fields<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    at_line_start: bool,
}

impl<'t> Fields<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 1, at_line_start: true }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn bad(&self, what: &str) -> Box<Fault> {
        Fault::new(RefusalCode::Malformed, format!("line {}: {what}", self.line))
    }

    /// Moves over a line's end, if one is there.
    fn line_end(&mut self) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n' | b'\r', ..] => 1,
            _ => return false,
        };
        self.at = self.at.saturating_add(len);
        self.line = self.line.saturating_add(1);
        self.at_line_start = true;
        true
    }

    fn next_field(&mut self) -> Parsed<Option<Field<'t>>> {
        if self.at_line_start {
            while self.line_end() {}
            if self.byte().is_none() {
                return Ok(None);
            }
        }
        let line = self.line;
        self.at_line_start = false;
        let is_quoted = self.byte() == Some(b'"');
        let text = if is_quoted { self.quoted()? } else { Cow::Borrowed(self.plain()?) };
        if CSV_FIELD_BYTES_MAX < text.len() {
            let what = format!("line {line}: a field has more than {CSV_FIELD_BYTES_MAX} bytes");
            return Err(Fault::new(RefusalCode::TooLarge, what));
        }
        let is_last = match self.byte() {
            None => {
                self.at_line_start = true;
                true
            }
            Some(b',') => {
                self.at = self.at.saturating_add(1);
                false
            }
            Some(_) if self.line_end() => true,
            Some(_) => return Err(self.bad("text stands after a closing quote")),
        };
        Ok(Some(Field { text, is_quoted, is_last, line }))
    }

    fn plain(&mut self) -> Parsed<&'t str> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let stop = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r' | b'"' | 0));
        self.at = start.saturating_add(stop.unwrap_or(rest.len()));
        match self.byte() {
            Some(b'"') => Err(self.bad("a quote stands within a field; put the field in quotes")),
            Some(0) => Err(self.bad("a NUL stands in a field")),
            _ => Ok(self.text.get(start..self.at).unwrap_or_default()),
        }
    }

    /// A field in quotes; copies only where it holds quotes.
    fn quoted(&mut self) -> Parsed<Cow<'t, str>> {
        self.at = self.at.saturating_add(1);
        let (mut start, mut copy) = (self.at, None::<String>);
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\n' | 0));
            let Some(stop) = stop else { return Err(self.bad("a quote is not closed")) };
            self.at = self.at.saturating_add(stop);
            match self.byte() {
                Some(b'\n') => self.line = self.line.saturating_add(1),
                Some(0) => return Err(self.bad("a NUL stands in a field")),
                _ => {
                    let piece = self.text.get(start..self.at).unwrap_or_default();
                    self.at = self.at.saturating_add(1);
                    if self.byte() != Some(b'"') {
                        return Ok(match copy {
                            None => Cow::Borrowed(piece),
                            Some(text) => Cow::Owned(text + piece),
                        });
                    }
                    let text = copy.get_or_insert_default();
                    text.push_str(piece);
                    text.push('"');
                    start = self.at.saturating_add(1);
                }
            }
            self.at = self.at.saturating_add(1);
        }
    }
}
