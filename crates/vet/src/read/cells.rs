//! Columns made from cells of text or JSON: their types are told by all values of the file, in a
//! first pass, so that every batch of the second has the same.

#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use bartizan_core::Values;

use super::rows::{Column, Meaning};

/// One value of a file of text.
pub(super) enum Cell<'a> {
    Missing,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(&'a [u8]),
    /// Numbers of a list.
    List(Vec<f64>),
}

/// The narrowest type that holds all values seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    #[default]
    Nothing,
    Bool,
    Integer,
    Number,
    Text,
    List(usize),
    /// Values of kinds that no column holds together.
    Mixed,
}

impl Seen {
    /// What holds `cell` too.
    pub(super) fn with(self, cell: &Cell<'_>) -> Self {
        let own = match cell {
            Cell::Missing => return self,
            Cell::Bool(_) => Self::Bool,
            Cell::Integer(_) => Self::Integer,
            Cell::Number(_) => Self::Number,
            Cell::Text(_) => Self::Text,
            Cell::List(items) => Self::List(items.len()),
        };
        match (self, own) {
            (Self::Nothing, own) => own,
            (seen, own) if seen == own => seen,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            (Self::Bool | Self::Integer | Self::Number | Self::Text, _)
            | (Self::List(_) | Self::Mixed, _) => Self::Mixed,
        }
    }
}

/// A column being filled.
pub(super) struct Filling {
    name: String,
    values: Values,
    width: usize,
    missing: Vec<bool>,
    n_missing: usize,
}

impl Filling {
    /// An empty column that holds what was seen; where nothing was, numbers that are all missing.
    pub(super) fn new(name: &str, seen: Seen) -> Self {
        let values = match seen {
            Seen::Bool => Values::Bool(Vec::new()),
            Seen::Integer => Values::Int64(Vec::new()),
            Seen::Nothing | Seen::Number | Seen::List(_) => Values::Fp64(Vec::new()),
            Seen::Text | Seen::Mixed => Values::Bytes(Vec::new()),
        };
        let width = if let Seen::List(width) = seen { width.max(1) } else { 1 };
        Self { name: name.into(), values, width, missing: Vec::new(), n_missing: 0 }
    }

    /// Appends one cell; `raw` is its text, which a column of texts holds whatever it means.
    pub(super) fn push(&mut self, cell: &Cell<'_>, raw: &[u8]) {
        let is_missing = matches!(cell, Cell::Missing);
        self.missing.extend(std::iter::repeat_n(is_missing, self.width));
        self.n_missing = self.n_missing.saturating_add(if is_missing { self.width } else { 0 });
        match (&mut self.values, cell) {
            (Values::Bool(out), Cell::Bool(x)) => out.push(*x),
            (Values::Bool(out), _) => out.push(false),
            (Values::Int64(out), Cell::Integer(x)) => out.push(*x),
            (Values::Int64(out), _) => out.push(0),
            (Values::Fp64(out), Cell::List(items)) => out.extend(items),
            (Values::Fp64(out), Cell::Number(x)) => out.push(*x),
            (Values::Fp64(out), Cell::Integer(x)) => out.push(*x as f64),
            (Values::Fp64(out), _) => out.extend(std::iter::repeat_n(f64::NAN, self.width)),
            (Values::Bytes(out), Cell::Missing) => out.push(Vec::new()),
            (Values::Bytes(out), _) => out.push(raw.to_vec()),
            // No other type is made above.
            _ => {}
        }
    }

    /// The column, and an empty one in its place.
    pub(super) fn finish(self) -> Column {
        let is_text = matches!(self.values, Values::Bytes(_));
        let missing = if self.n_missing == 0 { Vec::new() } else { self.missing };
        Column {
            name: self.name,
            meaning: if is_text { Meaning::Text } else { Meaning::Plain },
            width: self.width,
            values: self.values,
            missing,
            n_missing: self.n_missing,
        }
    }
}

/// What a field of text means: nothing, a number, a truth value, or itself.
pub(super) fn meaning(field: &[u8], is_quoted: bool) -> Cell<'_> {
    if is_quoted {
        return Cell::Text(field);
    }
    let Ok(text) = str::from_utf8(field) else { return Cell::Text(field) };
    match text {
        "" | "NA" | "N/A" | "null" | "NULL" | "NaN" | "nan" => return Cell::Missing,
        "true" | "True" | "TRUE" => return Cell::Bool(true),
        "false" | "False" | "FALSE" => return Cell::Bool(false),
        _ => {}
    }
    // A number is written without blanks, and neither as `infinity` nor as `0012`.
    let starts = text.trim_start_matches(['-', '+']);
    let is_number = starts.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && !(starts.len() > 1
            && starts.starts_with('0')
            && starts.bytes().all(|b| b.is_ascii_digit()));
    if is_number {
        if let Ok(x) = text.parse::<i64>() {
            return Cell::Integer(x);
        }
        if let Ok(x) = text.parse::<f64>() {
            return Cell::Number(x);
        }
    }
    Cell::Text(field)
}

impl Filling {
    /// Whether it holds texts.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Bytes(_))
    }
}
