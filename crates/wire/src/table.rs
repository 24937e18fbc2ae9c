//! Tables of rows and columns, to the tensors of a contract and back.
//!
//! What Azure ML, MLflow, KServe v1 and CSV have in common: callers send rows, by position or by
//! name, and know nothing of tensors. A [`Plan`] is a contract made ready for that, once a model.
//! `any_table` reads the forms in which JSON is sent, [`parse_csv`] CSV, [`render_table`] writes
//! answers.
//!
//! Invariants
//! - T1: a cell lands in the column of its name, or of its position where nothing is named;
//!   every row has every column once;
//! - T2: memory grows with the cells that were read, never with what is claimed: at most 8 bytes
//!   for 2 of a body, and one row more.

mod answer;
mod cell;
mod csv;
mod plan;
mod rows;

pub(crate) use answer::write_rows;
pub use answer::{Choice, Method, chosen, render_table, write_list};
pub use csv::{CSV_COLUMNS_MAX, CSV_FIELD_BYTES_MAX, parse_csv};
pub use plan::Plan;
pub(crate) use rows::{any_table, begin};

use bartizan_core::{RefusalCode, Tensor};

use crate::error::{Fault, Parsed};
use crate::request::Limits;

/// The text of a body, within its limit.
pub(crate) fn text_of<'b>(body: &'b [u8], limits: &Limits) -> Parsed<&'b str> {
    let limit = limits.body_bytes_max;
    if limit < body.len() {
        let n_bytes = body.len();
        let what =
            format!("the body has {n_bytes} bytes, limit is {limit}; send fewer rows at a time");
        return Err(Fault::new(RefusalCode::TooLarge, what));
    }
    std::str::from_utf8(body)
        .map_err(|error| Fault::malformed(error.valid_up_to(), "the body is not UTF-8"))
}

/// Tensors that were read from a table, in the contract's order.
pub(crate) type Inputs = Vec<Tensor>;

#[cfg(test)]
mod tests;
