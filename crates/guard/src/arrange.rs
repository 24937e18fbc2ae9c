//! Whether a request's inputs are the model's, and in which order.

use bartizan_core::contract::Input;
use bartizan_core::{Datatype, Finding, Place, RefusalCode, Tensor};

use crate::rules;

/// Why inputs are not those of the contract. The text is for the caller: it names inputs of the
/// model, types, shapes and numbers of rows, never a value and never a text of the caller's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// An input that the model does not have.
    #[error("`inputs[{input_idx}]` has a name that the model does not know, it takes {takes}")]
    Unknown {
        /// Its place in the request.
        input_idx: usize,
        /// The names of the model's inputs.
        takes: String,
    },
    /// Two inputs of one name.
    #[error("input `{input}` is there twice, send it once")]
    Duplicate {
        /// Its name.
        input: String,
    },
    /// An input of the model that is not there.
    #[error("input `{input}` is missing, the model takes {takes}")]
    Missing {
        /// Its name.
        input: String,
        /// The names of the model's inputs.
        takes: String,
    },
    /// A type that the input does not have.
    #[error("input `{input}` has datatype {found}, the model takes {takes}")]
    Datatype {
        /// The input's name.
        input: String,
        /// The request's type.
        found: Datatype,
        /// The model's type.
        takes: Datatype,
    },
    /// A shape that the input does not have.
    #[error("input `{input}` has shape {found:?}, the model takes {takes:?}")]
    Shape {
        /// The input's name.
        input: String,
        /// The request's shape.
        found: Vec<u64>,
        /// The model's shape; -1 is any number.
        takes: Vec<i64>,
    },
    /// Inputs of different numbers of rows.
    #[error(
        "input `{input}` has {rows} rows, input `{other}` has {other_rows} rows; all inputs need as many"
    )]
    Rows {
        /// The input's name.
        input: String,
        /// Its number of rows.
        rows: u64,
        /// The first input's name.
        other: String,
        /// Its number of rows.
        other_rows: u64,
    },
    /// More rows than the contract allows in one request.
    #[error("the request has {rows} rows, limit is {rows_max}; send fewer at a time")]
    TooManyRows {
        /// Number of rows.
        rows: u64,
        /// The limit.
        rows_max: u64,
    },
}

impl Mismatch {
    /// What the caller is refused with.
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::TooManyRows { .. } => RefusalCode::TooLarge,
            Self::Unknown { .. }
            | Self::Duplicate { .. }
            | Self::Missing { .. }
            | Self::Datatype { .. }
            | Self::Shape { .. }
            | Self::Rows { .. } => RefusalCode::Mismatch,
        }
    }

    /// The same for the record.
    pub fn finding(&self) -> Finding {
        let input = match self {
            Self::Duplicate { input }
            | Self::Missing { input, .. }
            | Self::Datatype { input, .. }
            | Self::Shape { input, .. }
            | Self::Rows { input, .. } => Some(input.as_str().into()),
            Self::Unknown { .. } | Self::TooManyRows { .. } => None,
        };
        let place = Place { field: input, row: None };
        Finding { rule: &rules::INPUT_MISMATCH, place, count: 1, score: 1.0 }
    }
}

/// Puts `inputs` into the order of `takes` and checks that they are these.
pub(crate) fn arrange(
    takes: &[&Input],
    rows_max: u64,
    mut inputs: Vec<Tensor>,
) -> Result<Vec<Tensor>, Mismatch> {
    let names = || takes.iter().map(|input| format!("`{}`", input.name)).collect::<Vec<_>>();
    for (input_idx, tensor) in inputs.iter().enumerate() {
        if !takes.iter().any(|input| input.name == tensor.name()) {
            return Err(Mismatch::Unknown { input_idx, takes: names().join(", ") });
        }
        if inputs[..input_idx].iter().any(|other| other.name() == tensor.name()) {
            return Err(Mismatch::Duplicate { input: tensor.name().into() });
        }
    }
    for (input_idx, input) in takes.iter().enumerate() {
        // Inputs before `input_idx` are in place and have other names.
        let found = inputs.iter().position(|tensor| tensor.name() == input.name);
        let Some(at) = found else {
            let input = input.name.clone();
            return Err(Mismatch::Missing { input, takes: names().join(", ") });
        };
        inputs.swap(input_idx, at);
    }
    for (input, tensor) in takes.iter().zip(&inputs) {
        check(input, tensor)?;
    }
    check_rows(rows_max, &inputs)?;
    Ok(inputs)
}

/// Whether `tensor` has the datatype and a shape of `input`.
pub(crate) fn check(input: &Input, tensor: &Tensor) -> Result<(), Mismatch> {
    if tensor.datatype() != input.datatype {
        let (found, takes) = (tensor.datatype(), input.datatype);
        return Err(Mismatch::Datatype { input: input.name.clone(), found, takes });
    }
    let (found, takes) = (tensor.shape(), &input.shape);
    let fits = |(dim, takes): (&u64, &i64)| *takes == -1 || i64::try_from(*dim) == Ok(*takes);
    if found.len() != takes.len() || !found.iter().zip(takes).all(fits) {
        let (found, takes) = (found.to_vec(), takes.clone());
        return Err(Mismatch::Shape { input: input.name.clone(), found, takes });
    }
    Ok(())
}

pub(crate) fn check_rows(rows_max: u64, inputs: &[Tensor]) -> Result<(), Mismatch> {
    let Some(first) = inputs.first() else { return Ok(()) };
    let n_rows = first.n_rows() as u64;
    if rows_max < n_rows {
        return Err(Mismatch::TooManyRows { rows: n_rows, rows_max });
    }
    for tensor in inputs {
        let rows = tensor.n_rows() as u64;
        if rows != n_rows {
            let (input, other) = (tensor.name().into(), first.name().into());
            return Err(Mismatch::Rows { input, rows, other, other_rows: n_rows });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
