//! Rows in memory, column by column.

use bartizan_core::Values;

/// What the numbers or bytes of a column stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Themselves.
    Plain,
    /// UTF-8 text.
    Text,
    /// Days since the Unix epoch.
    Days,
    /// Seconds since the Unix epoch; the file's time zone is not kept.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Millis,
    /// Microseconds since the Unix epoch.
    Micros,
    /// Nanoseconds since the Unix epoch.
    Nanos,
}

/// One column: `width` values a row, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name in the file.
    pub name: String,
    /// What its values stand for.
    pub meaning: Meaning,
    /// Values a row: 1, or the length of a fixed-size list.
    pub width: usize,
    /// The values; where one is missing, NaN, 0, `false` or empty by its type.
    pub values: Values,
    /// Whether each value is missing; empty where none is.
    pub missing: Vec<bool>,
    /// How many are missing. A NaN that the file has as a value is not counted.
    pub n_missing: usize,
}

impl Column {
    /// Whether value `idx` is missing in the file.
    pub fn is_missing(&self, idx: usize) -> bool {
        self.missing.get(idx).copied().unwrap_or(false)
    }
}

/// Some rows of a file, or all. Names of columns are unique; all have `n_rows * width` values.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The columns, in the file's order.
    pub columns: Vec<Column>,
    /// How many rows.
    pub n_rows: usize,
}

impl Rows {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
