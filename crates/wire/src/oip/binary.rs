//! The binary tensor extension: raw tensors behind a body's JSON.
//!
//! Source: KServe, "Binary Tensor Data Extension", and what `tritonclient` sends: the header
//! `Inference-Header-Content-Length` gives the length of the JSON; inputs with
//! `binary_data_size` have their bytes behind it, in the order of the inputs, without gaps.

use bartizan_core::{Datatype, RefusalCode, Tensor};

use super::parse::Input;
use crate::error::{Fault, Parsed, WireError};
use crate::json::Reader;
use crate::number::Integer;
use crate::raw;

/// Name of the extension in a server's metadata.
pub const EXTENSION: &str = "binary_tensor_data";
/// The header that gives the length of the JSON, in bytes.
pub const HEADER_LENGTH: &str = "inference-header-content-length";
/// Most digits of its value.
const DIGITS_MAX: usize = 18;

/// What an input says whose values follow behind the JSON.
pub(super) struct RawInput {
    pub(super) name: Box<str>,
    pub(super) datatype: Datatype,
    pub(super) shape: Vec<u64>,
    pub(super) n_values: usize,
    pub(super) n_bytes: usize,
}

/// Reads the value of the header [`HEADER_LENGTH`].
///
/// # Errors
/// [`RefusalCode::Malformed`] for anything but digits.
pub fn header_length(text: &str) -> Result<usize, WireError> {
    let is_number =
        (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(length) if is_number => Ok(length),
        _ => {
            let message = "header `inference-header-content-length` must be the length of the \
                           JSON in bytes, in digits";
            Err(WireError { code: RefusalCode::Malformed, message: message.into() })
        }
    }
}

/// Splits a body behind its JSON.
pub(super) fn split(body: &[u8], json_bytes: usize) -> Parsed<(&[u8], &[u8])> {
    body.split_at_checked(json_bytes).ok_or_else(|| {
        let what = format!(
            "header `inference-header-content-length` says that {json_bytes} bytes are JSON, the \
             body has {}",
            body.len()
        );
        Fault::new(RefusalCode::Malformed, what)
    })
}

/// Reads a `binary_data_size`.
pub(super) fn size(reader: &mut Reader<'_>) -> Parsed<usize> {
    reader.peek();
    let at = reader.at();
    if let Integer::Fits(number) = reader.number()?.integer()
        && let Ok(size) = usize::try_from(number)
    {
        return Ok(size);
    }
    Err(Fault::malformed(at, "a size is a whole number of bytes, 0 or more"))
}

/// Gives each input its values: those behind the JSON, where there are any, must be exactly used
/// up.
pub(super) fn join(inputs: Vec<Input>, raw: Option<&[u8]>) -> Parsed<Vec<Tensor>> {
    let mut rest = raw.unwrap_or_default();
    let mut tensors = Vec::with_capacity(inputs.len());
    for (input_idx, input) in inputs.into_iter().enumerate() {
        let tensor = match input {
            Input::Whole(tensor) => Ok(tensor),
            Input::Raw(_) if raw.is_none() => Err(Fault::new(
                RefusalCode::Malformed,
                "`binary_data_size` needs the header `inference-header-content-length` with the \
                 length of the JSON",
            )),
            Input::Raw(input) => take(input, &mut rest),
        };
        let fault = |fault: Box<Fault>| fault.within_item(input_idx).within("inputs");
        tensors.push(tensor.map_err(fault)?);
    }
    if rest.is_empty() {
        return Ok(tensors);
    }
    let what = format!(
        "{} bytes follow behind the tensors; `binary_data_size` of all inputs must add up to what \
         follows the JSON",
        rest.len()
    );
    Err(Fault::new(RefusalCode::Malformed, what))
}

fn take(input: RawInput, rest: &mut &[u8]) -> Parsed<Tensor> {
    let Some((bytes, tail)) = rest.split_at_checked(input.n_bytes) else {
        let what =
            format!("`binary_data_size` is {}, only {} bytes are left", input.n_bytes, rest.len());
        return Err(Fault::new(RefusalCode::Malformed, what));
    };
    *rest = tail;
    let values = raw::read(input.datatype, input.n_values, bytes)?;
    Tensor::new(input.name, input.shape, values)
        .map_err(|error| Fault::new(RefusalCode::Malformed, error.to_string()))
}

#[cfg(test)]
mod tests;
