//! A data set in memory, as the detectors see it.
//!
//! Batches of rows are packed column by column: numbers to `f32`, repeated texts to codes, free
//! text to one arena. A 128-bit hash of each row, without label and source, is taken from the
//! exact values before they are packed.
//!
//! Invariants
//! - V4: the packed table takes at most [`Plan::memory_bytes_max`]; what would not fit is refused
//!   before it is stored.

use std::collections::HashMap;

use bartizan_core::{Digest, Values, half};

use crate::read::{Column, Meaning, Rows};

/// Most different values of a column that is kept as codes; a column with more is text.
pub const CODES_MAX: usize = 65_000;
/// A column of texts with at most this many different ones is a category whatever its size.
const CATEGORIES_SURE: usize = 64;
/// Most classes of a label.
pub const CLASSES_MAX: usize = 200;

/// Which column plays which part, and how much room there is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The label's column.
    pub label: Option<String>,
    /// Column that names who contributed a row.
    pub source: Option<String>,
    /// Column of free text.
    pub text: Option<String>,
    /// Most bytes that the packed table may take.
    pub memory_bytes_max: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { label: None, source: None, text: None, memory_bytes_max: 4 << 30 }
    }
}

/// Values that repeat: a code a row, and the names of the codes in ascending order. A missing
/// value has the code [`Coded::MISSING`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coded {
    /// Code of each row.
    pub codes: Vec<u32>,
    /// Text of each code.
    pub names: Vec<String>,
}

impl Coded {
    /// Code of a missing value.
    pub const MISSING: u32 = u32::MAX;

    /// Name of the value in `row`; a missing one is `(missing)`.
    pub fn name(&self, row: usize) -> &str {
        self.names.get(self.codes[row] as usize).map_or("(missing)", String::as_str)
    }

    /// Rows a code.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        for code in &self.codes {
            if let Some(count) = counts.get_mut(*code as usize) {
                *count += 1;
            }
        }
        counts
    }
}

/// Texts of any length, one a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u64);
    }

    /// The text of `row`; empty where it is missing.
    pub fn row(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[row] as usize]
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Numbers; NaN where missing or not finite.
    Number(Vec<f32>),
    /// Values that repeat.
    Code(Coded),
    /// Free text.
    Text(Texts),
    /// `width` numbers a row, row-major.
    Vector {
        /// Numbers a row.
        width: usize,
        /// All of them.
        values: Vec<f32>,
    },
}

/// A column that is neither label nor source.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name in the file.
    pub name: String,
    /// Its values.
    pub kind: Kind,
    /// Values missing in the file.
    pub n_missing: usize,
    /// Values that are NaN or infinite in the file.
    pub n_not_finite: usize,
    /// Whether its numbers are whole bytes in the file: perhaps pixels.
    pub is_bytes: bool,
    /// Texts that are not UTF-8.
    pub n_not_utf8: usize,
}

/// A data set; see the module.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table {
    /// How many rows.
    pub n_rows: usize,
    /// The columns but label and source, in the file's order.
    pub features: Vec<Feature>,
    /// The label, if one was asked for.
    pub label: Option<Coded>,
    /// Who contributed each row, if that was asked for.
    pub source: Option<Coded>,
    /// Hash of each row without label and source.
    pub hashes: Vec<u128>,
    /// Whether the label is a number with a fraction: a quantity, not a class.
    pub label_is_quantity: bool,
}

/// Why rows make no table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    /// A column that an option names is not there.
    #[error("no column `{column}` for `--{option}`; the columns are {known}")]
    NoColumn {
        /// Which option.
        option: &'static str,
        /// What it names.
        column: String,
        /// The columns that are there, the first few.
        known: String,
    },
    /// A column cannot play the part that it was given.
    #[error("column `{column}` cannot be the {option}: {reason}")]
    BadColumn {
        /// Which option.
        option: &'static str,
        /// What it names.
        column: String,
        /// Why, and what would do.
        reason: String,
    },
    /// Files of one data set differ.
    #[error("the files of the data set differ: {reason}")]
    Mixed {
        /// In what.
        reason: String,
    },
    /// V4.
    #[error(
        "the data set takes more than {limit_bytes} bytes in memory: raise `--memory`, or vet a \
         sample of its rows"
    )]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
    /// There is nothing to look at.
    #[error("the data set has no {what}")]
    Empty {
        /// Rows or columns.
        what: &'static str,
    },
}

enum Packing {
    Number(Vec<f32>),
    Code(Codes),
    Text(Texts),
    Vector(usize, Vec<f32>),
}

#[derive(Default)]
struct Codes {
    by_text: HashMap<Vec<u8>, u32>,
    texts: Vec<Vec<u8>>,
    codes: Vec<u32>,
}

impl Codes {
    fn push(&mut self, text: &[u8]) {
        let code = match self.by_text.get(text) {
            Some(code) => *code,
            None => {
                let code = self.texts.len() as u32;
                self.texts.push(text.to_vec());
                self.by_text.insert(text.to_vec(), code);
                code
            }
        };
        self.codes.push(code);
    }

    /// Codes in the order of their names: of numbers by value, of others by text.
    fn finish(self) -> Coded {
        let names: Vec<String> =
            self.texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        match numbers {
            Some(numbers) => order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b])),
            None => order.sort_by(|a, b| self.texts[*a].cmp(&self.texts[*b])),
        }
        let mut place = vec![0; names.len()];
        for (at, code) in order.iter().enumerate() {
            place[*code] = at as u32;
        }
        let code = |code: &u32| place.get(*code as usize).copied().unwrap_or(Coded::MISSING);
        Coded {
            codes: self.codes.iter().map(code).collect(),
            names: order.iter().map(|code| names[*code].clone()).collect(),
        }
    }
}

struct Packed {
    name: String,
    packing: Packing,
    n_missing: usize,
    n_not_finite: usize,
    is_bytes: bool,
    n_not_utf8: usize,
}

/// Packs batches; see the module.
pub struct Builder {
    plan: Plan,
    columns: Vec<Packed>,
    schema: Vec<(String, bartizan_core::Datatype, usize, Meaning)>,
    hashes: Vec<u128>,
    label_is_quantity: bool,
    n_rows: usize,
}

impl Builder {
    /// Nothing yet.
    pub fn new(plan: Plan) -> Self {
        let (columns, schema, hashes) = (Vec::new(), Vec::new(), Vec::new());
        Self { plan, columns, schema, hashes, label_is_quantity: false, n_rows: 0 }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// [`TableError`] where it does not go with those before it, or does not fit.
    pub fn push(&mut self, batch: &Rows) -> Result<(), TableError> {
        let schema: Vec<_> = batch
            .columns
            .iter()
            .map(|column| {
                (column.name.clone(), column.values.datatype(), column.width, column.meaning)
            })
            .collect();
        if self.schema.is_empty() {
            self.start(batch)?;
            self.schema = schema;
        } else if self.schema != schema {
            return Err(mixed(&self.schema, &schema));
        }
        self.hash(batch);
        for (column, packed) in batch.columns.iter().zip(&mut self.columns) {
            let must_code = [&self.plan.label, &self.plan.source]
                .into_iter()
                .any(|name| name.as_deref() == Some(column.name.as_str()));
            if self.plan.label.as_deref() == Some(column.name.as_str()) {
                self.label_is_quantity |= has_fraction(&column.values);
            }
            packed.push(column, batch.n_rows, must_code);
        }
        self.n_rows += batch.n_rows;
        if self.plan.memory_bytes_max < self.bytes() {
            return Err(TableError::TooLarge { limit_bytes: self.plan.memory_bytes_max });
        }
        Ok(())
    }

    fn start(&mut self, batch: &Rows) -> Result<(), TableError> {
        let options =
            [("label", &self.plan.label), ("source", &self.plan.source), ("text", &self.plan.text)];
        for (option, name) in options {
            let Some(name) = name else { continue };
            let Some(column) = batch.column(name) else {
                let known: Vec<_> =
                    batch.columns.iter().take(8).map(|c| format!("`{}`", c.name)).collect();
                let known = known.join(", ");
                return Err(TableError::NoColumn { option, column: name.clone(), known });
            };
            let is_text = matches!(column.values, Values::Bytes(_));
            if column.width != 1 || (option == "text" && !is_text) {
                let reason = if option == "text" { "it holds no text" } else { "it holds lists" };
                let (column, reason) = (name.clone(), reason.into());
                return Err(TableError::BadColumn { option, column, reason });
            }
        }
        self.columns = batch.columns.iter().map(|column| self.packed(column)).collect();
        Ok(())
    }

    fn packed(&self, column: &Column) -> Packed {
        let role = |name: &Option<String>| name.as_deref() == Some(column.name.as_str());
        let is_text = matches!(column.values, Values::Bytes(_));
        let packing = if role(&self.plan.label) || role(&self.plan.source) {
            Packing::Code(Codes::default())
        } else if role(&self.plan.text) {
            Packing::Text(Texts::default())
        } else if is_text {
            Packing::Code(Codes::default())
        } else if 1 < column.width {
            Packing::Vector(column.width, Vec::new())
        } else {
            Packing::Number(Vec::new())
        };
        let is_bytes = matches!(column.values, Values::Uint8(_));
        let name = column.name.clone();
        Packed { name, packing, n_missing: 0, n_not_finite: 0, is_bytes, n_not_utf8: 0 }
    }

    fn hash(&mut self, batch: &Rows) {
        let is_role = |column: &&Column| {
            [&self.plan.label, &self.plan.source]
                .into_iter()
                .all(|name| name.as_deref() != Some(column.name.as_str()))
        };
        let columns: Vec<&Column> = batch.columns.iter().filter(is_role).collect();
        let mut bytes = Vec::new();
        for row in 0..batch.n_rows {
            bytes.clear();
            for column in &columns {
                let range = row * column.width..(row + 1) * column.width;
                bytes.push(u8::from(column.is_missing(range.start)));
                column.values.canonical(range, &mut bytes);
            }
            let digest = Digest::of(&bytes).0;
            let half = std::array::from_fn(|at| digest[at]);
            self.hashes.push(u128::from_le_bytes(half));
        }
    }

    /// Bytes that the packed columns take.
    fn bytes(&self) -> u64 {
        let of = |packed: &Packed| match &packed.packing {
            Packing::Number(values) | Packing::Vector(_, values) => values.capacity() * 4,
            Packing::Code(codes) => {
                codes.codes.capacity() * 4
                    + codes.texts.iter().map(|text| 2 * text.len() + 96).sum::<usize>()
            }
            Packing::Text(texts) => texts.bytes.capacity() + texts.ends.capacity() * 8,
        };
        (self.columns.iter().map(of).sum::<usize>() + self.hashes.capacity() * 16) as u64
    }

    /// The table.
    ///
    /// # Errors
    /// [`TableError`] where there is nothing, or the label has too many classes.
    pub fn finish(self) -> Result<Table, TableError> {
        if self.n_rows == 0 {
            return Err(TableError::Empty { what: "rows" });
        }
        let n_rows = self.n_rows;
        let mut table = Table { n_rows, hashes: self.hashes, ..Table::default() };
        table.label_is_quantity = self.label_is_quantity;
        for packed in self.columns {
            let role = |name: &Option<String>| name.as_deref() == Some(packed.name.as_str());
            let (is_label, is_source) = (role(&self.plan.label), role(&self.plan.source));
            let kind = match packed.packing {
                Packing::Number(values) => Kind::Number(values),
                Packing::Vector(width, values) => Kind::Vector { width, values },
                Packing::Text(texts) => Kind::Text(texts),
                Packing::Code(codes) => {
                    let is_role = is_label || is_source;
                    if !is_role && is_free_text(&codes, n_rows) {
                        Kind::Text(uncoded(&codes))
                    } else {
                        Kind::Code(codes.finish())
                    }
                }
            };
            match kind {
                Kind::Code(coded) if is_label => table.label = Some(coded),
                Kind::Code(coded) if is_source => table.source = Some(coded),
                Kind::Number(_) | Kind::Code(_) | Kind::Text(_) | Kind::Vector { .. } => {
                    table.features.push(Feature {
                        name: packed.name,
                        kind,
                        n_missing: packed.n_missing,
                        n_not_finite: packed.n_not_finite,
                        is_bytes: packed.is_bytes,
                        n_not_utf8: packed.n_not_utf8,
                    });
                }
            }
        }
        if table.features.is_empty() {
            return Err(TableError::Empty { what: "columns beside label and source" });
        }
        Ok(table)
    }
}

fn mixed(
    a: &[(String, bartizan_core::Datatype, usize, Meaning)],
    b: &[(String, bartizan_core::Datatype, usize, Meaning)],
) -> TableError {
    let differs = a.iter().zip(b).find(|(a, b)| a != b);
    let reason = match differs {
        Some((a, b)) if a.0 != b.0 => format!("column `{}` here, `{}` there", a.0, b.0),
        Some((a, _)) => format!("column `{}` has two types", a.0),
        None => format!("{} columns here, {} there", a.len(), b.len()),
    };
    TableError::Mixed { reason }
}

/// Whether a column of texts reads like prose or ids, not like categories.
fn is_free_text(codes: &Codes, n_rows: usize) -> bool {
    let n = codes.texts.len();
    CATEGORIES_SURE < n && n_rows < 5 * n
}

fn uncoded(codes: &Codes) -> Texts {
    let mut texts = Texts::default();
    for code in &codes.codes {
        texts.push(codes.texts.get(*code as usize).map_or(&[], Vec::as_slice));
    }
    texts
}

fn has_fraction(values: &Values) -> bool {
    match values {
        Values::Fp32(v) => v.iter().any(|x| x.is_finite() && x.fract() != 0.0),
        Values::Fp64(v) => v.iter().any(|x| x.is_finite() && x.fract() != 0.0),
        Values::Bool(_) | Values::Bytes(_) => false,
        Values::Uint8(_) | Values::Uint16(_) | Values::Uint32(_) | Values::Uint64(_) => false,
        Values::Int8(_) | Values::Int16(_) | Values::Int32(_) | Values::Int64(_) => false,
        Values::Fp16(_) | Values::Bf16(_) => false,
    }
}

/// All values as `f32`, in order; `None` for texts.
fn numbers(values: &Values) -> Option<Vec<f32>> {
    Some(match values {
        Values::Bool(v) => v.iter().map(|x| f32::from(u8::from(*x))).collect(),
        Values::Uint8(v) => v.iter().map(|x| f32::from(*x)).collect(),
        Values::Uint16(v) => v.iter().map(|x| f32::from(*x)).collect(),
        Values::Uint32(v) => v.iter().map(|x| *x as f32).collect(),
        Values::Uint64(v) => v.iter().map(|x| *x as f32).collect(),
        Values::Int8(v) => v.iter().map(|x| f32::from(*x)).collect(),
        Values::Int16(v) => v.iter().map(|x| f32::from(*x)).collect(),
        Values::Int32(v) => v.iter().map(|x| *x as f32).collect(),
        Values::Int64(v) => v.iter().map(|x| *x as f32).collect(),
        Values::Fp16(v) => v.iter().map(|x| half::fp16_to_f32(*x)).collect(),
        Values::Bf16(v) => v.iter().map(|x| half::bf16_to_f32(*x)).collect(),
        Values::Fp32(v) => v.clone(),
        Values::Fp64(v) => v.iter().map(|x| *x as f32).collect(),
        Values::Bytes(_) => return None,
    })
}

impl Packed {
    fn push(&mut self, column: &Column, n_rows: usize, is_role: bool) {
        self.n_missing += column.n_missing;
        if let Values::Bytes(texts) = &column.values {
            self.n_not_utf8 += texts.iter().filter(|text| str::from_utf8(text).is_err()).count();
        }
        match &mut self.packing {
            Packing::Number(out) | Packing::Vector(_, out) => {
                let start = out.len();
                out.extend(numbers(&column.values).unwrap_or_default());
                for (idx, value) in out[start..].iter_mut().enumerate() {
                    if column.is_missing(idx) {
                        *value = f32::NAN;
                    } else if !value.is_finite() {
                        *value = f32::NAN;
                        self.n_not_finite += 1;
                    }
                }
            }
            Packing::Text(out) => {
                if let Values::Bytes(texts) = &column.values {
                    texts.iter().for_each(|text| out.push(text));
                }
            }
            Packing::Code(out) => {
                for row in 0..n_rows {
                    if column.is_missing(row) {
                        out.codes.push(Coded::MISSING);
                    } else {
                        out.push(&as_text(&column.values, row));
                    }
                }
                if CODES_MAX < out.texts.len() && !is_role {
                    self.packing = Packing::Text(uncoded(out));
                }
            }
        }
    }
}

/// The value in `row`, as a person would write it.
fn as_text(values: &Values, row: usize) -> Vec<u8> {
    match values {
        Values::Bytes(v) => v[row].clone(),
        Values::Bool(v) => v[row].to_string().into_bytes(),
        Values::Uint8(v) => v[row].to_string().into_bytes(),
        Values::Uint16(v) => v[row].to_string().into_bytes(),
        Values::Uint32(v) => v[row].to_string().into_bytes(),
        Values::Uint64(v) => v[row].to_string().into_bytes(),
        Values::Int8(v) => v[row].to_string().into_bytes(),
        Values::Int16(v) => v[row].to_string().into_bytes(),
        Values::Int32(v) => v[row].to_string().into_bytes(),
        Values::Int64(v) => v[row].to_string().into_bytes(),
        Values::Fp16(v) => half::fp16_to_f32(v[row]).to_string().into_bytes(),
        Values::Bf16(v) => half::bf16_to_f32(v[row]).to_string().into_bytes(),
        Values::Fp32(v) => v[row].to_string().into_bytes(),
        Values::Fp64(v) => v[row].to_string().into_bytes(),
    }
}
