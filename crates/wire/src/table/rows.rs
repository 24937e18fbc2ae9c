//! The forms in which rows are sent as JSON, told apart by what stands there.

use bartizan_core::{RefusalCode, Tensor, Values, limits};

use super::Inputs;
use super::cell;
use super::plan::{ColumnRef, Part, Plan, Target};
use crate::error::{Fault, Parsed};
use crate::json::Reader;
use crate::request::Limits;

/// Most keys of a row, or of an object of columns, that is no column of the model.
const EXTRA_KEYS_MAX: usize = 1_024;

/// What is being read, and what may still be read.
pub(crate) struct Sheet<'p> {
    plan: &'p Plan,
    values: Vec<Values>,
    n_rows: usize,
    rows_max: usize,
    n_left: usize,
    /// Length of a row of an open input, once its first row has been read.
    open_len: Option<usize>,
}

/// An empty sheet for `plan`.
///
/// # Errors
/// A model that tables cannot ask.
pub(crate) fn begin<'p>(plan: &'p Plan, limits: &Limits) -> Parsed<Sheet<'p>> {
    plan.check()?;
    let values = plan.parts.iter().map(|part| cell::empty(part.datatype)).collect();
    Ok(Sheet {
        plan,
        values,
        n_rows: 0,
        rows_max: usize::try_from(plan.rows_max).unwrap_or(usize::MAX),
        n_left: limits.elements_max.min(limits::ELEMENTS_MAX),
        open_len: None,
    })
}

/// Reads a table in whatever form it stands there:
/// - a list of rows, each a list of cells by position (or one cell, or nested as a tensor);
/// - a list of records, `[{"a": 1, "b": 2}, ..]`;
/// - `{"columns": [..], "index": [..], "data": [[..], ..]}`, keys in any order;
/// - an object of columns, `{"a": [1, 2], "b": [3, 4]}`, or of whole inputs.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub(crate) fn any_table(reader: &mut Reader<'_>, mut sheet: Sheet<'_>) -> Parsed<Inputs> {
    match reader.peek() {
        Some(b'[') => sheet.list(reader)?,
        Some(b'{') => {
            let first = reader.clone().first_key()?;
            let is_split = match first.as_deref() {
                Some(key @ ("columns" | "index" | "data")) => sheet.plan.find(key).is_none(),
                Some(_) | None => false,
            };
            if is_split { sheet.split(reader)? } else { sheet.columns(reader)? }
        }
        _ => return Err(reader.expected("rows: a list or an object")),
    }
    sheet.finish()
}

/// Where the cells of one column of a request go.
#[derive(Clone, Copy)]
enum Slot {
    Column(ColumnRef),
    Dropped,
}

impl<'p> Sheet<'p> {
    /// One row more, none of whose cells are there yet.
    #[inline]
    pub(super) fn begin_row(&mut self) -> Parsed<()> {
        if self.n_rows == self.rows_max {
            let what = format!("there are more than {} rows; send fewer at a time", self.rows_max);
            return Err(Fault::new(RefusalCode::TooLarge, what));
        }
        self.spend(self.plan.n_columns)?;
        self.n_rows = self.n_rows.saturating_add(1);
        Ok(())
    }

    fn spend(&mut self, n: usize) -> Parsed<()> {
        let Some(left) = self.n_left.checked_sub(n) else {
            let what =
                "the table has more cells than a request may have; send fewer rows at a time";
            return Err(Fault::new(RefusalCode::TooLarge, what));
        };
        self.n_left = left;
        Ok(())
    }

    /// Place of column `at` of the row that was begun last, within its input.
    fn place(&self, part: &Part, at: usize) -> usize {
        self.n_rows.saturating_sub(1).saturating_mul(part.row_len).saturating_add(at)
    }

    /// Makes room for the row that was begun last, for cells that come in another order.
    pub(super) fn make_room(&mut self) {
        for (part, values) in self.plan.parts.iter().zip(&mut self.values) {
            cell::extend(values, part.row_len);
        }
    }

    /// Reads a field of CSV into `column` of the row that was begun last.
    pub(super) fn put_field(
        &mut self,
        column: ColumnRef,
        field: &str,
        is_quoted: bool,
    ) -> Result<(), cell::NoCell> {
        let Some(part) = self.plan.parts.get(column.part_idx) else { return Ok(()) };
        let at = self.place(part, column.at);
        match self.values.get_mut(column.part_idx) {
            Some(values) => cell::read_field(field, is_quoted, values, at),
            None => Ok(()),
        }
    }

    fn put(&mut self, reader: &mut Reader<'_>, column: ColumnRef) -> Parsed<()> {
        let Some(part) = self.plan.parts.get(column.part_idx) else { return Ok(()) };
        let at = self.place(part, column.at);
        let Some(values) = self.values.get_mut(column.part_idx) else { return Ok(()) };
        cell::read(reader, values, at).map_err(|fault| self.in_column(fault, column.column_idx))
    }

    fn in_column(&self, fault: Box<Fault>, column_idx: usize) -> Box<Fault> {
        fault.in_column(&self.plan.column_name(column_idx))
    }

    fn list(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        let mut more = reader.begin_list()?;
        if !more {
            return Ok(());
        }
        let is_records = reader.peek() == Some(b'{');
        let mut row_idx = 0_usize;
        while more {
            self.begin_row()?;
            let row = if is_records { self.record(reader) } else { self.positional(reader) };
            row.map_err(|fault| fault.within_item(row_idx))?;
            row_idx = row_idx.saturating_add(1);
            more = reader.next_item()?;
        }
        Ok(())
    }

    /// A row whose cells stand in the contract's order: flat, or nested as the one input's shape.
    fn positional(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        if reader.peek() != Some(b'[') {
            let only = self.plan.n_columns == 1 && !self.is_open();
            let Some(column) = self.plan.column(0).filter(|_| only) else {
                return Err(reader.expected("a row: a list of cells, or an object"));
            };
            return self.put(reader, column);
        }
        if self.is_open() {
            return self.open_row(reader);
        }
        let [part] = self.plan.parts.as_slice() else {
            let n_columns = self.plan.n_columns;
            return self
                .cells(reader, n_columns, |sheet, at| sheet.plan.column(at).map(Slot::Column));
        };
        let Some(values) = self.values.first_mut() else { return Ok(()) };
        nested(reader, part, values).map_err(|(fault, at)| match at {
            Some(at) => self.in_column(fault, at),
            None => fault,
        })
    }

    fn is_open(&self) -> bool {
        self.plan.parts.first().is_some_and(|part| part.is_open)
    }

    /// A row of an input whose rows have no fixed length: as long as the first.
    fn open_row(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        let mut n_cells = 0_usize;
        let mut more = reader.begin_list()?;
        while more {
            self.spend(1)?;
            if let Some(values) = self.values.first_mut() {
                let at = values.len();
                cell::read(reader, values, at)?;
            }
            n_cells = n_cells.saturating_add(1);
            more = reader.next_item()?;
        }
        let len = *self.open_len.get_or_insert(n_cells);
        if n_cells == len { Ok(()) } else { Err(ragged(reader.at(), n_cells, len)) }
    }

    /// A list of `n_cells` cells, each where `slot` says.
    fn cells(
        &mut self,
        reader: &mut Reader<'_>,
        n_cells: usize,
        slot: impl Fn(&Self, usize) -> Option<Slot>,
    ) -> Parsed<()> {
        self.make_room();
        let mut more = reader.begin_list()?;
        let mut n_found = 0_usize;
        while more {
            if n_found == n_cells {
                return Err(ragged(reader.at(), n_found.saturating_add(1), n_cells));
            }
            match slot(self, n_found) {
                Some(Slot::Column(column)) => self.put(reader, column)?,
                Some(Slot::Dropped) | None => reader.skip()?,
            }
            n_found = n_found.saturating_add(1);
            more = reader.next_item()?;
        }
        if n_found == n_cells { Ok(()) } else { Err(ragged(reader.at(), n_found, n_cells)) }
    }

    /// A row as an object, keys in any order (T1).
    fn record(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        self.make_room();
        let mut seen = Seen::new(self.plan.n_columns);
        let mut n_extra = 0_usize;
        reader.pairs(|reader, key| match self.plan.find(key) {
            Some(Target::Column(column)) => {
                seen.once(column.column_idx).map_err(|()| self.twice(column.column_idx))?;
                self.put(reader, column)
            }
            Some(Target::Input(part_idx)) => self.whole_input(reader, part_idx, &mut seen),
            Some(Target::Ambiguous) => Err(self.plan.ambiguous("a key")),
            None => {
                self.plan.check_extra("a key")?;
                n_extra = n_extra.saturating_add(1);
                if EXTRA_KEYS_MAX < n_extra {
                    let what = format!("a row has more than {EXTRA_KEYS_MAX} extra columns");
                    return Err(Fault::new(RefusalCode::TooLarge, what));
                }
                reader.skip()
            }
        })?;
        match seen.first_missing() {
            Some(column_idx) => Err(self.plan.missing(column_idx)),
            None => Ok(()),
        }
    }

    /// All cells of one input in a record: a list, nested or flat.
    fn whole_input(
        &mut self,
        reader: &mut Reader<'_>,
        part_idx: usize,
        seen: &mut Seen,
    ) -> Parsed<()> {
        let Some(part) = self.plan.parts.get(part_idx) else { return Ok(()) };
        if part.is_open {
            return Err(reader.expected("rows without names: this input has rows of any length"));
        }
        for at in 0..part.row_len {
            let column_idx = part.first_column.saturating_add(at);
            seen.once(column_idx).map_err(|()| self.twice(column_idx))?;
        }
        let mut row = cell::empty(part.datatype);
        nested(reader, part, &mut row).map_err(|(fault, _)| fault)?;
        let start = self.place(part, 0);
        if let Some(values) = self.values.get_mut(part_idx) {
            for at in 0..part.row_len {
                cell::take(&mut row, at, values, start.saturating_add(at));
            }
        }
        Ok(())
    }

    fn twice(&self, column_idx: usize) -> Box<Fault> {
        let name = self.plan.column_name(column_idx);
        Fault::new(RefusalCode::Malformed, format!("column `{name}` is there twice"))
    }

    /// `{"columns": .., "data": ..}`; without `columns`, rows by position or records.
    fn split(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        let (mut slots, mut data_at, mut is_read) = (None, None, false);
        reader.object(|reader, key| match key {
            "columns" => {
                slots = Some(self.slots(reader).map_err(|fault| fault.within("columns"))?);
                Ok(())
            }
            "data" => {
                reader.peek();
                data_at = Some(reader.at());
                match &slots {
                    Some(slots) => {
                        is_read = true;
                        self.ordered(reader, slots).map_err(|fault| fault.within("data"))
                    }
                    None => reader.skip(),
                }
            }
            _ => reader.skip(),
        })?;
        let Some(data_at) = data_at else {
            let what = "`data` is missing; give the rows as a list of lists";
            return Err(Fault::new(RefusalCode::Malformed, what));
        };
        let mut back = reader.back_at(data_at);
        match slots {
            Some(_) if is_read => Ok(()),
            Some(slots) => self.ordered(&mut back, &slots),
            None => self.list(&mut back),
        }
        .map_err(|fault| if is_read { fault } else { fault.within("data") })
    }

    /// Names of columns, to where their cells go.
    fn slots(&self, reader: &mut Reader<'_>) -> Parsed<Vec<Slot>> {
        let mut slots = Vec::new();
        let mut seen = Seen::new(self.plan.n_columns);
        reader.list(|reader, item_idx| {
            if self.plan.n_columns.saturating_add(EXTRA_KEYS_MAX) < item_idx {
                return Err(Fault::new(RefusalCode::TooLarge, "there are too many columns"));
            }
            let target = match reader.peek() {
                Some(b'0'..=b'9') => self.plan.find(reader.number()?.text()),
                _ => self.plan.find(&reader.string()?),
            };
            slots.push(self.slot(target, item_idx, &mut seen)?);
            Ok(())
        })?;
        match seen.first_missing() {
            Some(column_idx) => Err(self.plan.missing(column_idx)),
            None => Ok(slots),
        }
    }

    fn slot(&self, target: Option<Target>, item_idx: usize, seen: &mut Seen) -> Parsed<Slot> {
        match target {
            Some(Target::Column(column)) => {
                seen.once(column.column_idx).map_err(|()| self.twice(column.column_idx))?;
                Ok(Slot::Column(column))
            }
            Some(Target::Input(_) | Target::Ambiguous) => {
                Err(self.plan.ambiguous(&format!("column {item_idx}")))
            }
            None => {
                self.plan.check_extra(&format!("column {item_idx}"))?;
                Ok(Slot::Dropped)
            }
        }
    }

    /// Rows whose cells stand in the order of `slots`.
    fn ordered(&mut self, reader: &mut Reader<'_>, slots: &[Slot]) -> Parsed<()> {
        reader.list(|reader, _| {
            self.begin_row()?;
            self.cells(reader, slots.len(), |_, at| slots.get(at).copied())
        })
    }

    /// Names of a header line, to where their cells go; `None` is dropped.
    pub(super) fn header<'t>(
        &self,
        names: impl Iterator<Item = &'t str>,
    ) -> Parsed<Vec<Option<ColumnRef>>> {
        let mut seen = Seen::new(self.plan.n_columns);
        let mut columns = Vec::new();
        for (idx, name) in names.enumerate() {
            columns.push(match self.slot(self.plan.find(name), idx, &mut seen)? {
                Slot::Column(column) => Some(column),
                Slot::Dropped => None,
            });
        }
        match seen.first_missing() {
            Some(column_idx) => Err(self.plan.missing(column_idx)),
            None => Ok(columns),
        }
    }

    /// An object of columns, or of whole inputs.
    fn columns(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        let mut seen = Seen::new(self.plan.n_columns);
        let mut loose: Vec<(ColumnRef, Values)> = Vec::new();
        let (mut n_rows, mut n_extra) = (None, 0_usize);
        reader.pairs(|reader, key| {
            let found = match self.plan.find(key) {
                Some(Target::Column(column)) => {
                    seen.once(column.column_idx).map_err(|()| self.twice(column.column_idx))?;
                    let column_values = self
                        .one_column(reader, column)
                        .map_err(|fault| self.in_column(fault, column.column_idx))?;
                    let n_found = column_values.len();
                    loose.push((column, column_values));
                    n_found
                }
                Some(Target::Input(part_idx)) => self.input_rows(reader, part_idx, &mut seen)?,
                Some(Target::Ambiguous) => return Err(self.plan.ambiguous("a key")),
                None => {
                    self.plan.check_extra("a key")?;
                    n_extra = n_extra.saturating_add(1);
                    if EXTRA_KEYS_MAX < n_extra {
                        let what = format!("there are more than {EXTRA_KEYS_MAX} extra columns");
                        return Err(Fault::new(RefusalCode::TooLarge, what));
                    }
                    return reader.skip();
                }
            };
            let first = *n_rows.get_or_insert(found);
            if first == found { Ok(()) } else { Err(ragged(reader.at(), found, first)) }
        })?;
        if let Some(column_idx) = seen.first_missing() {
            return Err(self.plan.missing(column_idx));
        }
        self.n_rows = n_rows.unwrap_or(0);
        self.assemble(loose);
        Ok(())
    }

    /// Puts loose columns, all of `n_rows` cells, into the rows of their inputs.
    fn assemble(&mut self, loose: Vec<(ColumnRef, Values)>) {
        for (column, mut cells) in loose {
            let Some(part) = self.plan.parts.get(column.part_idx) else { continue };
            let Some(values) = self.values.get_mut(column.part_idx) else { continue };
            let n_values = self.n_rows.saturating_mul(part.row_len);
            cell::extend(values, n_values.saturating_sub(values.len()));
            for row_idx in 0..self.n_rows {
                let to = row_idx.saturating_mul(part.row_len).saturating_add(column.at);
                cell::take(&mut cells, row_idx, values, to);
            }
        }
    }

    /// The cells of one column: a list of cells, or of lists of one cell.
    fn one_column(&mut self, reader: &mut Reader<'_>, column: ColumnRef) -> Parsed<Values> {
        let part = self.plan.parts.get(column.part_idx);
        let mut values = part.map_or(Values::Bool(Vec::new()), |part| cell::empty(part.datatype));
        let rows_max = self.rows_max;
        reader.list(|reader, item_idx| {
            if rows_max <= item_idx {
                let what = format!("there are more than {rows_max} rows; send fewer at a time");
                return Err(Fault::new(RefusalCode::TooLarge, what));
            }
            self.spend(1)?;
            if reader.peek() != Some(b'[') {
                return cell::read(reader, &mut values, item_idx);
            }
            if !reader.begin_list()? {
                return Err(reader.expected("a cell"));
            }
            cell::read(reader, &mut values, item_idx)?;
            if reader.next_item()? { Err(reader.expected("one cell a row")) } else { Ok(()) }
        })?;
        Ok(values)
    }

    /// The rows of one whole input; gives their number.
    fn input_rows(
        &mut self,
        reader: &mut Reader<'_>,
        part_idx: usize,
        seen: &mut Seen,
    ) -> Parsed<usize> {
        let plan = self.plan;
        let Some(part) = plan.parts.get(part_idx) else { return Ok(0) };
        for at in 0..part.row_len {
            let column_idx = part.first_column.saturating_add(at);
            seen.once(column_idx).map_err(|()| self.twice(column_idx))?;
        }
        let mut n_rows = 0_usize;
        let rows_max = self.rows_max;
        reader.list(|reader, item_idx| {
            if rows_max <= item_idx {
                let what = format!("there are more than {rows_max} rows; send fewer at a time");
                return Err(Fault::new(RefusalCode::TooLarge, what));
            }
            n_rows = item_idx.saturating_add(1);
            if part.is_open {
                return self.open_row(reader);
            }
            self.spend(part.row_len)?;
            let Some(values) = self.values.get_mut(part_idx) else { return Ok(()) };
            nested(reader, part, values).map_err(|(fault, _)| fault)
        })?;
        Ok(n_rows)
    }

    /// The tensors.
    pub(super) fn finish(self) -> Parsed<Inputs> {
        let n_rows = u64::try_from(self.n_rows).unwrap_or(u64::MAX);
        let open_len = self.open_len.and_then(|len| u64::try_from(len).ok());
        let parts = self.plan.parts.iter().zip(self.values);
        parts
            .map(|(part, values)| {
                let mut shape = vec![n_rows];
                match (part.is_open, open_len) {
                    (true, len) => shape.push(len.unwrap_or(0)),
                    (false, _) => shape.extend_from_slice(&part.dims),
                }
                Tensor::new(part.name.clone(), shape, values)
                    .map_err(|error| Fault::new(RefusalCode::Malformed, error.to_string()))
            })
            .collect()
    }
}

/// Appends one row of `part`, flat or nested as its dimensions say. A fault comes with the column
/// it is about, where one is.
fn nested(
    reader: &mut Reader<'_>,
    part: &Part,
    values: &mut Values,
) -> Result<(), (Box<Fault>, Option<usize>)> {
    let start = values.len();
    let column = |values: &Values| {
        Some(part.first_column.saturating_add(values.len().saturating_sub(start)))
    };
    if part.dims.is_empty() && reader.peek() != Some(b'[') {
        let at = values.len();
        return cell::read(reader, values, at).map_err(|fault| (fault, column(values)));
    }
    let bare = |fault| (fault, None);
    // Lists that are open; flat rows are one list of all values.
    let mut depth = 0_usize;
    loop {
        while reader.peek() == Some(b'[') {
            if part.dims.len().max(1) <= depth {
                return Err(bare(reader.expected("a cell")));
            }
            if !reader.begin_list().map_err(bare)? {
                return Err(bare(ragged(reader.at(), 0, part.row_len)));
            }
            depth = depth.saturating_add(1);
        }
        if depth == 0 {
            return Err(bare(reader.expected("a row: a list of cells")));
        }
        let n_found = values.len().saturating_sub(start);
        if n_found == part.row_len {
            return Err(bare(ragged(reader.at(), n_found.saturating_add(1), part.row_len)));
        }
        let at = values.len();
        cell::read(reader, values, at).map_err(|fault| (fault, column(values)))?;
        while !reader.next_item().map_err(bare)? {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                let n_found = values.len().saturating_sub(start);
                if n_found != part.row_len {
                    return Err(bare(ragged(reader.at(), n_found, part.row_len)));
                }
                return Ok(());
            }
        }
    }
}

#[cold]
fn ragged(at: usize, n_found: usize, n_wanted: usize) -> Box<Fault> {
    let what = format!("{n_found} or more are here where {n_wanted} are needed");
    let what = if n_found < n_wanted {
        format!("{n_found} are here where {n_wanted} are needed")
    } else {
        what
    };
    Fault::malformed(at, what)
}

/// Which columns were there.
struct Seen {
    bits: Vec<u64>,
    n_columns: usize,
}

impl Seen {
    fn new(n_columns: usize) -> Self {
        Self { bits: vec![0; n_columns.div_ceil(64)], n_columns }
    }

    fn once(&mut self, column_idx: usize) -> Result<(), ()> {
        let word = self.bits.get_mut(column_idx.div_euclid(64)).ok_or(())?;
        let bit = 1_u64.wrapping_shl(u32::try_from(column_idx.rem_euclid(64)).unwrap_or(0));
        if *word & bit != 0 {
            return Err(());
        }
        *word |= bit;
        Ok(())
    }

    fn first_missing(&self) -> Option<usize> {
        let at = self.bits.iter().position(|word| *word != u64::MAX)?;
        let ones = self.bits.get(at).map_or(0, |word| word.trailing_ones());
        let column_idx = at.saturating_mul(64).saturating_add(usize::try_from(ones).unwrap_or(0));
        (column_idx < self.n_columns).then_some(column_idx)
    }
}
