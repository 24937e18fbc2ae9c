//! A contract, made ready for tables: where each column's cells go.

use bartizan_core::contract::{ExtraColumns, Input, Output, Table};
use bartizan_core::{Contract, Datatype, RefusalCode};

use crate::error::{Fault, Parsed};

/// A contract as tables meet it. Made once a model; see the module's invariants.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) parts: Vec<Part>,
    /// Columns of all inputs, in the contract's order.
    pub(super) n_columns: usize,
    /// Names of columns and inputs, sorted.
    names: Vec<(Box<str>, Target)>,
    pub(super) rows_max: u64,
    /// How the contract wants tables to be met.
    pub table: Table,
    /// Why the model cannot be asked by tables.
    trouble: Option<&'static str>,
}

/// One input of the model.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) name: Box<str>,
    pub(super) datatype: Datatype,
    /// Dimensions of one row; none where a row is one value.
    pub(super) dims: Vec<u64>,
    /// Values of one row; 0 where the first row decides ([`Part::is_open`]).
    pub(super) row_len: usize,
    /// Whether the first row decides how long a row is.
    pub(super) is_open: bool,
    /// Place of its first column among all columns.
    pub(super) first_column: usize,
    /// What its columns are called; empty where they have no names.
    pub(super) column_names: Vec<Box<str>>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One column.
    Column(ColumnRef),
    /// All columns of one input.
    Input(usize),
    /// Several columns: the name alone does not say which.
    Ambiguous,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnRef {
    pub(super) part_idx: usize,
    /// Its place within a row of its input.
    pub(super) at: usize,
    /// Its place among all columns.
    pub(super) column_idx: usize,
}

impl Plan {
    /// The plan of `contract`.
    pub fn new(contract: &Contract) -> Self {
        Self::of(contract.inputs(), contract.rows_max(), contract.file().table.clone())
    }

    fn of(inputs: &[Input], rows_max: u64, table: Table) -> Self {
        let mut parts = Vec::with_capacity(inputs.len());
        let mut n_columns = 0_usize;
        let mut trouble = None;
        for input in inputs {
            let part = Part::new(input, n_columns);
            if input.shape.is_empty() {
                trouble = Some("an input of the model has no rows");
            } else if part.is_open && (1 < inputs.len() || input.shape.len() != 2) {
                trouble = Some("an input of the model has rows of no fixed length");
            }
            n_columns = n_columns.saturating_add(part.row_len);
            parts.push(part);
        }
        let names = names(&parts);
        Self { parts, n_columns, names, rows_max, table, trouble }
    }

    /// The plan of the outputs of `contract`, as if they were inputs: how an answer is read.
    pub(crate) fn of_outputs(contract: &Contract) -> Self {
        let as_input = |output: &Output| Input {
            name: output.name.clone(),
            datatype: output.datatype,
            shape: output.shape.clone(),
            features: Vec::new(),
        };
        let inputs: Vec<_> = contract.outputs().iter().map(as_input).collect();
        let table = Table { extra_columns: ExtraColumns::Dropped, ..Table::default() };
        Self::of(&inputs, contract.rows_max(), table)
    }

    /// The names of all columns, where each has one and no other has it.
    pub(crate) fn column_names(&self) -> Option<Vec<&str>> {
        let names: Vec<&str> = self
            .parts
            .iter()
            .flat_map(|part| part.column_names.iter().map(|name| &**name))
            .collect();
        let is_clear = |name: &&str| matches!(self.find(name), Some(Target::Column(_)));
        (self.is_named() && names.iter().all(is_clear)).then_some(names)
    }

    /// Name, type and shape of each part; `None` is any dimension.
    pub(crate) fn promised(&self) -> impl Iterator<Item = (&str, Datatype, Vec<Option<u64>>)> {
        self.parts.iter().map(|part| {
            let inner = part.dims.iter().map(|dim| Some(*dim).filter(|_| !part.is_open));
            let shape = std::iter::once(None).chain(inner).collect();
            (&*part.name, part.datatype, shape)
        })
    }

    /// Whether the model can be asked by tables.
    pub(crate) fn check(&self) -> Parsed<()> {
        let Some(trouble) = self.trouble else { return Ok(()) };
        let what = format!("{trouble}, which a table cannot say; use the Open Inference Protocol");
        Err(Fault::new(RefusalCode::Unsupported, what))
    }

    /// Whether `name` is a column or an input.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether columns have names, so that they may come in any order.
    pub(super) fn is_named(&self) -> bool {
        self.parts.iter().all(|part| !part.column_names.is_empty())
    }

    /// What `name` stands for. Columns without names go by their position, as pandas writes it.
    pub(super) fn find(&self, name: &str) -> Option<Target> {
        let found = self.names.binary_search_by(|(other, _)| (**other).cmp(name));
        if let Some((_, target)) = found.ok().and_then(|at| self.names.get(at)) {
            return Some(*target);
        }
        let [part] = self.parts.as_slice() else { return None };
        let at: usize = name.parse().ok()?;
        let column = ColumnRef { part_idx: 0, at, column_idx: at };
        let known = part.column_names.is_empty() && at < part.row_len;
        known.then_some(Target::Column(column))
    }

    /// The column at place `column_idx` among all columns.
    pub(super) fn column(&self, column_idx: usize) -> Option<ColumnRef> {
        let holds = |part: &&Part| {
            part.first_column <= column_idx
                && column_idx < part.first_column.saturating_add(part.row_len)
        };
        let part_idx = self.parts.iter().position(|part| holds(&part))?;
        let first = self.parts.get(part_idx)?.first_column;
        Some(ColumnRef { part_idx, at: column_idx.checked_sub(first)?, column_idx })
    }

    /// What column `column_idx` is called in errors: a name of the contract's, or its position.
    pub(super) fn column_name(&self, column_idx: usize) -> String {
        let named = self.column(column_idx).and_then(|column| {
            let part = self.parts.get(column.part_idx)?;
            let name = part.column_names.get(column.at);
            Some(name.map_or_else(|| format!("{}[{}]", part.name, column.at), |n| n.to_string()))
        });
        named.unwrap_or_else(|| column_idx.to_string())
    }

    /// A refusal for a column that the contract does not name; nothing where they are dropped.
    pub(super) fn check_extra(&self, place: &str) -> Parsed<()> {
        if self.table.extra_columns == ExtraColumns::Dropped {
            return Ok(());
        }
        let what = if self.is_named() {
            format!("{place} has a name that is none of the model's columns: {}", self.listed())
        } else {
            format!(
                "{place} has a name, but the model's columns have none; send rows without names, \
                 or name the columns in the model's contract"
            )
        };
        Err(Fault::new(RefusalCode::Mismatch, what))
    }

    /// A refusal for a name that stands for several columns.
    pub(super) fn ambiguous(&self, place: &str) -> Box<Fault> {
        let what = format!(
            "{place} names columns of several inputs; say which, as in `input.column`, of: {}",
            self.listed()
        );
        Fault::new(RefusalCode::Mismatch, what)
    }

    /// A refusal for a column that is not there.
    pub(super) fn missing(&self, column_idx: usize) -> Box<Fault> {
        let name = self.column_name(column_idx);
        let what = format!("column `{name}` is missing; the model takes {}", self.listed());
        Fault::new(RefusalCode::Mismatch, what)
    }

    /// The columns' names, cut where they are many.
    fn listed(&self) -> String {
        const LISTED_MAX: usize = 40;
        let names = self.parts.iter().flat_map(|part| &part.column_names);
        let all: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let more = all.len().saturating_sub(LISTED_MAX);
        let listed = all.into_iter().take(LISTED_MAX).collect::<Vec<_>>().join(", ");
        if more == 0 { listed } else { format!("{listed} and {more} more") }
    }
}

impl Part {
    fn new(input: &Input, first_column: usize) -> Self {
        let dims: Vec<_> =
            input.shape.iter().skip(1).map(|dim| u64::try_from(*dim).unwrap_or(0)).collect();
        let row_len = input.row_len().and_then(|len| usize::try_from(len).ok());
        let n_features = input.features.len();
        let column_names: Vec<Box<str>> = match (row_len, n_features) {
            (Some(1), 0) => vec![input.name.as_str().into()],
            (Some(len), n) if len == n => {
                input.features.iter().map(|feature| feature.name.as_str().into()).collect()
            }
            _ => Vec::new(),
        };
        Self {
            name: input.name.as_str().into(),
            datatype: input.datatype,
            dims,
            row_len: row_len.unwrap_or(0),
            is_open: row_len.is_none(),
            first_column,
            column_names,
        }
    }
}

/// Every name that a table may use.
fn names(parts: &[Part]) -> Vec<(Box<str>, Target)> {
    let mut names: Vec<(Box<str>, Target)> = Vec::new();
    for (part_idx, part) in parts.iter().enumerate() {
        for (at, name) in part.column_names.iter().enumerate() {
            let column_idx = part.first_column.saturating_add(at);
            let target = Target::Column(ColumnRef { part_idx, at, column_idx });
            names.push((name.clone(), target));
            if 1 < parts.len() && *name != part.name {
                names.push((format!("{}.{name}", part.name).into(), target));
            }
        }
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    // One name for several columns is none of them.
    for idx in 1..names.len() {
        let twin =
            idx.checked_sub(1).and_then(|before| Some((names.get(before)?, names.get(idx)?)));
        if twin.is_some_and(|(a, b)| a.0 == b.0) {
            for place in [idx.saturating_sub(1), idx] {
                if let Some(entry) = names.get_mut(place) {
                    entry.1 = Target::Ambiguous;
                }
            }
        }
    }
    names.dedup_by(|a, b| a.0 == b.0);
    // An input's own name stands for it, unless a column has that name already.
    for (part_idx, part) in parts.iter().enumerate() {
        if let Err(at) = names.binary_search_by(|(other, _)| other.cmp(&part.name)) {
            names.insert(at, (part.name.clone(), Target::Input(part_idx)));
        }
    }
    names
}
