//! Rows of a file to a model's inputs.

use bartizan_core::contract::Input;
use bartizan_core::half::{bf16_from_f64, bf16_to_f32, fp16_from_f64, fp16_to_f32};
use bartizan_core::tensor::ShapeError;
use bartizan_core::{Contract, Datatype, Tensor, Values};

use super::rows::{Column, Rows};

/// Why rows are not the inputs of a model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// The file lacks a column.
    #[error("input `{input}` needs a column `{column}`, which the file does not have")]
    NoColumn {
        /// Which input.
        input: String,
        /// Which column it needs.
        column: String,
    },
    /// The contract leaves open how many columns the input has.
    #[error(
        "input `{input}` has shape {shape:?}: list its features in the contract, or give the file \
         one column of that name that is a fixed-size list"
    )]
    Open {
        /// Which input.
        input: String,
        /// Its shape in the contract.
        shape: Vec<i64>,
    },
    /// A value cannot be one of the input.
    #[error("column `{column}`, row {row_idx}: {reason} in input `{input}` of {datatype}")]
    Value {
        /// Which input.
        input: String,
        /// Which column.
        column: String,
        /// Which row, counted from 0.
        row_idx: usize,
        /// What does not fit; never the value.
        reason: &'static str,
        /// The input's type.
        datatype: Datatype,
    },
    /// There are too many values for one tensor.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl Rows {
    /// The inputs that `contract` describes, in its order. Columns are found by the names of the
    /// contract's features, or as a fixed-size list by the input's own name; others are left.
    ///
    /// A number keeps its value or is refused, with one exception: into floating-point inputs a
    /// fraction is rounded to the nearest number of that type. A missing value becomes NaN, and is
    /// refused where the input's type has none. Linear in the number of values.
    ///
    /// # Errors
    /// [`InputsError`] naming input, column and row.
    pub fn to_inputs(&self, contract: &Contract) -> Result<Vec<Tensor>, InputsError> {
        contract.inputs().iter().map(|input| self.input(input)).collect()
    }

    fn input(&self, input: &Input) -> Result<Tensor, InputsError> {
        let sources = self.sources(input)?;
        let row_len: usize = sources.iter().map(|column| column.width).sum();
        let shape = shape(input, self.n_rows, row_len)?;
        let mut values = Sink::new(input.datatype, self.n_rows * row_len);
        for row_idx in 0..self.n_rows {
            for column in &sources {
                let items = row_idx * column.width..(row_idx + 1) * column.width;
                for idx in items {
                    values.push(cell(column, idx)).map_err(|reason| InputsError::Value {
                        input: input.name.clone(),
                        column: column.name.clone(),
                        row_idx,
                        reason,
                        datatype: input.datatype,
                    })?;
                }
            }
        }
        Ok(Tensor::new(input.name.as_str(), shape, values.0)?)
    }

    /// The columns of an input, in its order.
    fn sources(&self, input: &Input) -> Result<Vec<&Column>, InputsError> {
        let row_len = input.row_len().and_then(|len| usize::try_from(len).ok());
        let fits = |column: &&Column| row_len.is_none_or(|len| len == column.width);
        let single = match input.features.as_slice() {
            [only] => Some(only.name.as_str()),
            _ => None,
        };
        let whole = [Some(input.name.as_str()), single];
        let mut whole = whole.into_iter().flatten().filter_map(|name| self.column(name));
        if let Some(column) = whole.find(fits) {
            return Ok(vec![column]);
        }
        let Some(row_len) = row_len else {
            let shape = input.shape.clone();
            return Err(InputsError::Open { input: input.name.clone(), shape });
        };
        let named = |idx| {
            let name = input.column_name(idx);
            let column = self.column(&name).filter(|column| column.width == 1);
            column.ok_or(InputsError::NoColumn { input: input.name.clone(), column: name })
        };
        (0..row_len).map(named).collect()
    }
}

/// The tensor's shape: the contract's, with the file's number of rows, and what it leaves open
/// filled in where that is one dimension.
fn shape(input: &Input, n_rows: usize, row_len: usize) -> Result<Vec<u64>, InputsError> {
    let open = || InputsError::Open { input: input.name.clone(), shape: input.shape.clone() };
    let dims = input.shape.get(1..).unwrap_or_default();
    let known = dims.iter().filter(|dim| 0 <= **dim);
    let known: u64 = known.map(|dim| dim.unsigned_abs()).product();
    let n_open = dims.iter().filter(|dim| **dim < 0).count();
    let fill = match n_open {
        0 => 0,
        1 if known != 0 && (row_len as u64).is_multiple_of(known) => row_len as u64 / known,
        _ => return Err(open()),
    };
    let dims = dims.iter().map(|dim| u64::try_from(*dim).unwrap_or(fill));
    Ok(std::iter::once(n_rows as u64).chain(dims).collect())
}

/// One value on its way.
enum Cell<'a> {
    Missing,
    Integer(i128),
    Float(f64),
    Bytes(&'a [u8]),
}

fn cell(column: &Column, idx: usize) -> Cell<'_> {
    if column.is_missing(idx) {
        return Cell::Missing;
    }
    match &column.values {
        Values::Bool(v) => Cell::Integer(v[idx].into()),
        Values::Uint8(v) => Cell::Integer(v[idx].into()),
        Values::Uint16(v) => Cell::Integer(v[idx].into()),
        Values::Uint32(v) => Cell::Integer(v[idx].into()),
        Values::Uint64(v) => Cell::Integer(v[idx].into()),
        Values::Int8(v) => Cell::Integer(v[idx].into()),
        Values::Int16(v) => Cell::Integer(v[idx].into()),
        Values::Int32(v) => Cell::Integer(v[idx].into()),
        Values::Int64(v) => Cell::Integer(v[idx].into()),
        Values::Fp16(v) => Cell::Float(fp16_to_f32(v[idx]).into()),
        Values::Bf16(v) => Cell::Float(bf16_to_f32(v[idx]).into()),
        Values::Fp32(v) => Cell::Float(v[idx].into()),
        Values::Fp64(v) => Cell::Float(v[idx]),
        Values::Bytes(v) => Cell::Bytes(&v[idx]),
    }
}

/// Values of an input, being filled.
struct Sink(Values);

impl Sink {
    fn new(datatype: Datatype, n: usize) -> Self {
        Self(match datatype {
            Datatype::Bool => Values::Bool(Vec::with_capacity(n)),
            Datatype::Uint8 => Values::Uint8(Vec::with_capacity(n)),
            Datatype::Uint16 => Values::Uint16(Vec::with_capacity(n)),
            Datatype::Uint32 => Values::Uint32(Vec::with_capacity(n)),
            Datatype::Uint64 => Values::Uint64(Vec::with_capacity(n)),
            Datatype::Int8 => Values::Int8(Vec::with_capacity(n)),
            Datatype::Int16 => Values::Int16(Vec::with_capacity(n)),
            Datatype::Int32 => Values::Int32(Vec::with_capacity(n)),
            Datatype::Int64 => Values::Int64(Vec::with_capacity(n)),
            Datatype::Fp16 => Values::Fp16(Vec::with_capacity(n)),
            Datatype::Bf16 => Values::Bf16(Vec::with_capacity(n)),
            Datatype::Fp32 => Values::Fp32(Vec::with_capacity(n)),
            Datatype::Fp64 => Values::Fp64(Vec::with_capacity(n)),
            Datatype::Bytes => Values::Bytes(Vec::with_capacity(n)),
        })
    }

    fn push(&mut self, cell: Cell<'_>) -> Result<(), &'static str> {
        match &mut self.0 {
            Values::Bool(out) => out.push(match integer(&cell)? {
                0 => false,
                1 => true,
                _ => return Err("a value is neither 0 nor 1"),
            }),
            Values::Uint8(out) => out.push(narrow(&cell)?),
            Values::Uint16(out) => out.push(narrow(&cell)?),
            Values::Uint32(out) => out.push(narrow(&cell)?),
            Values::Uint64(out) => out.push(narrow(&cell)?),
            Values::Int8(out) => out.push(narrow(&cell)?),
            Values::Int16(out) => out.push(narrow(&cell)?),
            Values::Int32(out) => out.push(narrow(&cell)?),
            Values::Int64(out) => out.push(narrow(&cell)?),
            Values::Fp16(out) => {
                out.push(float(&cell, fp16_from_f64, |bits| fp16_to_f32(bits).into())?);
            }
            Values::Bf16(out) => {
                out.push(float(&cell, bf16_from_f64, |bits| bf16_to_f32(bits).into())?);
            }
            Values::Fp32(out) => out.push(float(&cell, |x| x as f32, f64::from)?),
            Values::Fp64(out) => out.push(float(&cell, |x| x, |x| x)?),
            Values::Bytes(out) => out.push(match cell {
                Cell::Bytes(bytes) => bytes.to_vec(),
                Cell::Missing => return Err("a value is missing, which has no form"),
                Cell::Integer(_) | Cell::Float(_) => return Err("a value is not text"),
            }),
        }
        Ok(())
    }
}

/// Integers of at most this magnitude are floating-point numbers of 64 bits.
const EXACT_MAX: u128 = 1 << 53;

fn integer(cell: &Cell<'_>) -> Result<i128, &'static str> {
    match cell {
        Cell::Integer(x) => Ok(*x),
        // Beyond 2^53 neighbouring integers are one float, so it says nothing certain.
        Cell::Float(x) if x.fract() == 0.0 && x.abs() <= EXACT_MAX as f64 => Ok(*x as i128),
        Cell::Float(x) if x.is_nan() => Err("a value is missing, which has no form"),
        Cell::Float(_) => Err("a value is no integer"),
        Cell::Missing => Err("a value is missing, which has no form"),
        Cell::Bytes(_) => Err("a value is not a number"),
    }
}

fn narrow<T: TryFrom<i128>>(cell: &Cell<'_>) -> Result<T, &'static str> {
    T::try_from(integer(cell)?).map_err(|_| "a value is out of range")
}

/// A number as the nearest `T`. Integers keep their value; a finite number stays finite.
fn float<T: Copy>(
    cell: &Cell<'_>,
    to: impl Fn(f64) -> T,
    back: impl Fn(T) -> f64,
) -> Result<T, &'static str> {
    let x = match cell {
        Cell::Missing => f64::NAN,
        Cell::Float(x) => *x,
        Cell::Integer(x) => {
            let near = *x as f64;
            let is_kept = x.unsigned_abs() <= EXACT_MAX && back(to(near)) == near;
            return if is_kept { Ok(to(near)) } else { Err("an integer is too large to keep") };
        }
        Cell::Bytes(_) => return Err("a value is not a number"),
    };
    let near = to(x);
    if x.is_finite() && !back(near).is_finite() {
        return Err("a value is out of range");
    }
    Ok(near)
}

#[cfg(test)]
mod tests;
