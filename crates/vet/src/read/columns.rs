//! Arrow arrays to columns.

use std::fmt::Display;

use arrow_array::cast::AsArray;
use arrow_array::types as arrow;
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use bartizan_core::{Datatype, Values};

use super::rows::{Column, Meaning};

/// Bytes that a `BYTES` value takes beside its own: the vector that holds it.
const BYTES_OVERHEAD: u64 = 24;
/// Half-precision NaN.
const FP16_NAN: u16 = 0x7e00;

/// How a column of the file is read.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Type of its values.
    pub(super) datatype: Datatype,
    /// What they stand for.
    pub(super) meaning: Meaning,
    /// Values a row.
    pub(super) width: usize,
}

impl Plan {
    /// How a column of `data_type` is read, or why it is not.
    pub(super) fn of(data_type: &DataType, list_len_max: usize) -> Result<Self, String> {
        if let DataType::FixedSizeList(item, len) = data_type {
            let len = usize::try_from(*len).ok().filter(|len| (1..=list_len_max).contains(len));
            let Some(width) = len else {
                return Err(format!("its lists do not have 1 to {list_len_max} values"));
            };
            let is_number =
                |plan: &Self| plan.datatype.width() != 0 && plan.meaning == Meaning::Plain;
            let Some(scalar) = scalar(item.data_type()).ok().filter(is_number) else {
                return Err(refused(data_type, "lists are read of numbers only"));
            };
            return Ok(Self { width, ..scalar });
        }
        scalar(data_type)
    }

    /// Bytes that a row takes at least, decoded.
    pub(super) fn row_bytes(&self) -> u64 {
        let each = value_bytes(self.datatype);
        each * self.width as u64
    }

    /// The column without rows.
    pub(super) fn column(&self, name: &str) -> Column {
        Column {
            name: name.into(),
            meaning: self.meaning,
            width: self.width,
            values: empty(self.datatype),
            missing: Vec::new(),
            n_missing: 0,
        }
    }
}

/// Bytes that a value takes, its own text aside.
fn value_bytes(datatype: Datatype) -> u64 {
    if datatype == Datatype::Bytes { BYTES_OVERHEAD } else { datatype.width() as u64 }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "Arrow's other types, now and later, are refused"
)]
fn scalar(data_type: &DataType) -> Result<Plan, String> {
    use Datatype as D;
    let (datatype, meaning) = match data_type {
        DataType::Boolean => (D::Bool, Meaning::Plain),
        DataType::Int8 => (D::Int8, Meaning::Plain),
        DataType::Int16 => (D::Int16, Meaning::Plain),
        DataType::Int32 => (D::Int32, Meaning::Plain),
        DataType::Int64 => (D::Int64, Meaning::Plain),
        DataType::UInt8 => (D::Uint8, Meaning::Plain),
        DataType::UInt16 => (D::Uint16, Meaning::Plain),
        DataType::UInt32 => (D::Uint32, Meaning::Plain),
        DataType::UInt64 => (D::Uint64, Meaning::Plain),
        DataType::Float16 => (D::Fp16, Meaning::Plain),
        DataType::Float32 => (D::Fp32, Meaning::Plain),
        // A column without any value has no type: pandas writes it so.
        DataType::Float64 | DataType::Null => (D::Fp64, Meaning::Plain),
        DataType::Utf8View => (D::Bytes, Meaning::Text),
        DataType::BinaryView | DataType::FixedSizeBinary(_) => (D::Bytes, Meaning::Plain),
        DataType::Date32 => (D::Int64, Meaning::Days),
        DataType::Date64 => (D::Int64, Meaning::Millis),
        DataType::Timestamp(TimeUnit::Second, _) => (D::Int64, Meaning::Seconds),
        DataType::Timestamp(TimeUnit::Millisecond, _) => (D::Int64, Meaning::Millis),
        DataType::Timestamp(TimeUnit::Microsecond, _) => (D::Int64, Meaning::Micros),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => (D::Int64, Meaning::Nanos),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => {
            return Err(refused(data_type, "write it as integers or floating-point numbers"));
        }
        other => {
            return Err(refused(
                other,
                "columns are read that are boolean, number, text, bytes, date or time stamp, or \
                 a fixed-size list of numbers",
            ));
        }
    };
    Ok(Plan { datatype, meaning, width: 1 })
}

fn refused(data_type: &DataType, remedy: impl Display) -> String {
    let text = data_type.to_string();
    // A nested type's text is as long as the file likes.
    let name: String = text.chars().take(64).collect();
    format!("type {name} is not read: {remedy}")
}

fn empty(datatype: Datatype) -> Values {
    match datatype {
        Datatype::Bool => Values::Bool(Vec::new()),
        Datatype::Uint8 => Values::Uint8(Vec::new()),
        Datatype::Uint16 => Values::Uint16(Vec::new()),
        Datatype::Uint32 => Values::Uint32(Vec::new()),
        Datatype::Uint64 => Values::Uint64(Vec::new()),
        Datatype::Int8 => Values::Int8(Vec::new()),
        Datatype::Int16 => Values::Int16(Vec::new()),
        Datatype::Int32 => Values::Int32(Vec::new()),
        Datatype::Int64 => Values::Int64(Vec::new()),
        Datatype::Fp16 => Values::Fp16(Vec::new()),
        Datatype::Bf16 => Values::Bf16(Vec::new()),
        Datatype::Fp32 => Values::Fp32(Vec::new()),
        Datatype::Fp64 => Values::Fp64(Vec::new()),
        Datatype::Bytes => Values::Bytes(Vec::new()),
    }
}

/// What is left of [`super::ReadLimits::decoded_bytes_max`].
pub(super) struct Budget {
    /// Bytes that may still be decoded.
    pub(super) left: u64,
}

impl Budget {
    /// Takes `bytes`, if they are left.
    pub(super) fn take(&mut self, bytes: u64) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }
}

/// Why a batch could not be appended.
pub(super) enum AppendError {
    /// The budget is used up.
    Budget,
    /// The decoder gave another type than it announced.
    Type,
}

/// Appends the rows of `array` to `column`, which was planned for its type.
pub(super) fn append(
    column: &mut Column,
    array: &dyn Array,
    budget: &mut Budget,
) -> Result<(), AppendError> {
    if let DataType::FixedSizeList(_, len) = array.data_type() {
        let list = array.as_fixed_size_list_opt().ok_or(AppendError::Type)?;
        let width = usize::try_from(*len).map_err(|_| AppendError::Type)?;
        let first = usize::try_from(list.value_offset(0)).map_err(|_| AppendError::Type)?;
        let items = list.values().slice(first, list.len() * width);
        if width != column.width {
            return Err(AppendError::Type);
        }
        let is_missing = |idx: usize| list.is_null(idx / width) || items.is_null(idx);
        return append_scalars(column, items.as_ref(), is_missing, budget);
    }
    let all_missing = array.data_type() == &DataType::Null;
    append_scalars(column, array, |idx| all_missing || array.is_null(idx), budget)
}

fn append_scalars(
    column: &mut Column,
    array: &dyn Array,
    is_missing: impl Fn(usize) -> bool,
    budget: &mut Budget,
) -> Result<(), AppendError> {
    let datatype = column.values.datatype();
    let each = value_bytes(datatype);
    // One byte a value for the mask of the missing.
    let cost = (each + 1).checked_mul(array.len() as u64).ok_or(AppendError::Budget)?;
    budget.take(cost).ok_or(AppendError::Budget)?;
    note_missing(column, array.len(), &is_missing);
    let gap = &is_missing;
    match &mut column.values {
        Values::Bool(out) => {
            let from = array.as_boolean_opt().ok_or(AppendError::Type)?;
            out.extend((0..from.len()).map(|idx| !gap(idx) && from.value(idx)));
            Ok(())
        }
        Values::Uint8(out) => numbers::<arrow::UInt8Type, _>(out, array, gap, 0, |x| x),
        Values::Uint16(out) => numbers::<arrow::UInt16Type, _>(out, array, gap, 0, |x| x),
        Values::Uint32(out) => numbers::<arrow::UInt32Type, _>(out, array, gap, 0, |x| x),
        Values::Uint64(out) => numbers::<arrow::UInt64Type, _>(out, array, gap, 0, |x| x),
        Values::Int8(out) => numbers::<arrow::Int8Type, _>(out, array, gap, 0, |x| x),
        Values::Int16(out) => numbers::<arrow::Int16Type, _>(out, array, gap, 0, |x| x),
        Values::Int32(out) => numbers::<arrow::Int32Type, _>(out, array, gap, 0, |x| x),
        Values::Int64(out) => integers(out, array, gap),
        Values::Fp16(out) => {
            numbers::<arrow::Float16Type, _>(out, array, gap, FP16_NAN, |x| x.to_bits())
        }
        // No file has this type.
        Values::Bf16(_) => Err(AppendError::Type),
        Values::Fp32(out) => numbers::<arrow::Float32Type, _>(out, array, gap, f32::NAN, |x| x),
        Values::Fp64(out) if array.data_type() == &DataType::Null => {
            out.extend(std::iter::repeat_n(f64::NAN, array.len()));
            Ok(())
        }
        Values::Fp64(out) => numbers::<arrow::Float64Type, _>(out, array, gap, f64::NAN, |x| x),
        Values::Bytes(out) => texts(out, array, gap, budget),
    }
}

fn note_missing(column: &mut Column, added: usize, is_missing: impl Fn(usize) -> bool) {
    let count = (0..added).filter(|idx| is_missing(*idx)).count();
    if count == 0 && column.missing.is_empty() {
        return;
    }
    column.missing.resize(column.values.len(), false);
    column.missing.extend((0..added).map(is_missing));
    column.n_missing += count;
}

fn numbers<T: ArrowPrimitiveType, V: Copy>(
    out: &mut Vec<V>,
    array: &dyn Array,
    is_missing: impl Fn(usize) -> bool,
    instead: V,
    convert: impl Fn(T::Native) -> V,
) -> Result<(), AppendError> {
    let from = array.as_primitive_opt::<T>().ok_or(AppendError::Type)?;
    let value = |(idx, x): (usize, &T::Native)| if is_missing(idx) { instead } else { convert(*x) };
    out.extend(from.values().iter().enumerate().map(value));
    Ok(())
}

/// Integers of 64 bits, dates and time stamps.
#[expect(clippy::wildcard_enum_match_arm, reason = "an array of another type is an error below")]
fn integers(
    out: &mut Vec<i64>,
    array: &dyn Array,
    gap: impl Fn(usize) -> bool,
) -> Result<(), AppendError> {
    match array.data_type() {
        DataType::Date32 => numbers::<arrow::Date32Type, _>(out, array, gap, 0, i64::from),
        DataType::Date64 => numbers::<arrow::Date64Type, _>(out, array, gap, 0, |x| x),
        DataType::Timestamp(TimeUnit::Second, _) => {
            numbers::<arrow::TimestampSecondType, _>(out, array, gap, 0, |x| x)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            numbers::<arrow::TimestampMillisecondType, _>(out, array, gap, 0, |x| x)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            numbers::<arrow::TimestampMicrosecondType, _>(out, array, gap, 0, |x| x)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            numbers::<arrow::TimestampNanosecondType, _>(out, array, gap, 0, |x| x)
        }
        _ => numbers::<arrow::Int64Type, _>(out, array, gap, 0, |x| x),
    }
}

/// Texts and bytes. Their sizes are taken from the budget before one is copied: a few bytes of a
/// file can name one long text a million times.
fn texts(
    out: &mut Vec<Vec<u8>>,
    array: &dyn Array,
    is_missing: impl Fn(usize) -> bool,
    budget: &mut Budget,
) -> Result<(), AppendError> {
    if let Some(from) = array.as_string_view_opt() {
        return copy(out, from.len(), is_missing, |idx| from.value(idx).as_bytes(), budget);
    }
    if let Some(from) = array.as_binary_view_opt() {
        return copy(out, from.len(), is_missing, |idx| from.value(idx), budget);
    }
    let from = array.as_fixed_size_binary_opt().ok_or(AppendError::Type)?;
    copy(out, from.len(), is_missing, |idx| from.value(idx), budget)
}

fn copy<'a>(
    out: &mut Vec<Vec<u8>>,
    len: usize,
    is_missing: impl Fn(usize) -> bool,
    value: impl Fn(usize) -> &'a [u8],
    budget: &mut Budget,
) -> Result<(), AppendError> {
    let value = |idx: usize| if is_missing(idx) { &[] } else { value(idx) };
    let bytes = (0..len).map(|idx| value(idx).len() as u64).sum();
    budget.take(bytes).ok_or(AppendError::Budget)?;
    out.extend((0..len).map(|idx| value(idx).to_vec()));
    Ok(())
}
