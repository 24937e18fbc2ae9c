//! Answers as tables: which outputs, in which shape.

use bartizan_core::contract::{AnswerShape, Role, Table};
use bartizan_core::{Contract, RefusalCode, Tensor, Values, half};

use crate::WireError;
use crate::oip::{json_f32, json_f64, json_text};

/// What a request asks the model to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Method {
    /// The prediction: what the contract's `[table]` says, or the label.
    #[default]
    Predict,
    /// The probabilities, as AutoML's `predict_proba`.
    Probabilities,
}

/// The outputs of an answer, and how they are written.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// The outputs.
    pub outputs: Vec<&'a Tensor>,
    /// Their shape.
    pub shape: AnswerShape,
}

/// Which of `outputs`, all of which may be given, stand in the answer; see [`Table`].
///
/// # Errors
/// [`RefusalCode::Forbidden`] where what is asked for may not be given.
pub fn chosen<'a>(
    outputs: &'a [Tensor],
    contract: &Contract,
    method: Method,
) -> Result<Choice<'a>, WireError> {
    let table: &Table = &contract.file().table;
    let role = |tensor: &Tensor| {
        let found = contract.outputs().iter().find(|output| output.name == tensor.name());
        found.map_or(Role::Other, |output| output.role)
    };
    let of = |wanted: Role| outputs.iter().filter(move |tensor| role(tensor) == wanted);
    let picked: Vec<&Tensor> = match (method, &table.outputs) {
        (Method::Probabilities, _) => of(Role::Probabilities).take(1).collect(),
        (Method::Predict, Some(names)) => {
            let given = |name: &String| outputs.iter().find(|tensor| tensor.name() == name);
            names.iter().filter_map(given).collect()
        }
        (Method::Predict, None) => match of(Role::Label).next() {
            Some(label) => vec![label],
            None => outputs.iter().collect(),
        },
    };
    if picked.is_empty() {
        let message = "the credential does not cover any output that this answer is made of";
        return Err(WireError { code: RefusalCode::Forbidden, message: message.into() });
    }
    let natural = if picked.len() == 1 { AnswerShape::Values } else { AnswerShape::Columns };
    let shape = match table.answer {
        Some(AnswerShape::Values) | None => natural,
        Some(shape) if method == Method::Predict => shape,
        Some(_) => natural,
    };
    Ok(Choice { outputs: picked, shape })
}

/// Appends the rows of `choice` as JSON to `out`.
///
/// # Errors
/// [`RefusalCode::Internal`] where a text is not UTF-8, or outputs of `records` have different
/// numbers of rows.
pub fn render_table(choice: &Choice<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
    match (choice.shape, choice.outputs.as_slice()) {
        (AnswerShape::Values, [only]) => write_list(only, out),
        (AnswerShape::Values | AnswerShape::Columns, outputs) => {
            for (n, output) in outputs.iter().enumerate() {
                out.push(if n == 0 { b'{' } else { b',' });
                json_text(output.name(), out);
                out.push(b':');
                write_list(output, out)?;
            }
            out.push(b'}');
            Ok(())
        }
        (AnswerShape::Records, outputs) => {
            let n_rows = outputs.first().map_or(0, |first| first.n_rows());
            if outputs.iter().any(|output| output.n_rows() != n_rows) {
                let message = "the outputs have different numbers of rows".to_owned();
                return Err(WireError { code: RefusalCode::Internal, message });
            }
            out.push(b'[');
            for row_idx in 0..n_rows {
                out.extend_from_slice(if row_idx == 0 { b"{" } else { b",{" });
                for (n, output) in outputs.iter().enumerate() {
                    if 0 < n {
                        out.push(b',');
                    }
                    json_text(output.name(), out);
                    out.push(b':');
                    write_row(output, row_idx, out)?;
                }
                out.push(b'}');
            }
            out.push(b']');
            Ok(())
        }
    }
}

/// Appends the rows of `tensor`, nested as its shape; rows of one value are that value.
///
/// # Errors
/// [`RefusalCode::Internal`] where a text is not UTF-8.
pub fn write_list(tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), WireError> {
    out.push(b'[');
    for row_idx in 0..tensor.n_rows() {
        if 0 < row_idx {
            out.push(b',');
        }
        write_row(tensor, row_idx, out)?;
    }
    out.push(b']');
    Ok(())
}

/// Appends rows of all `tensors` side by side: a flat list a row.
///
/// # Errors
/// [`RefusalCode::Internal`] where a text is not UTF-8.
pub(crate) fn write_rows(tensors: &[Tensor], out: &mut Vec<u8>) -> Result<(), WireError> {
    let n_rows = tensors.first().map_or(0, Tensor::n_rows);
    out.push(b'[');
    for row_idx in 0..n_rows {
        out.extend_from_slice(if row_idx == 0 { b"[" } else { b",[" });
        let mut is_first = true;
        for tensor in tensors {
            let start = row_idx.saturating_mul(tensor.row_len());
            for at in start..start.saturating_add(tensor.row_len()) {
                if !is_first {
                    out.push(b',');
                }
                is_first = false;
                element(tensor, at, out)?;
            }
        }
        out.push(b']');
    }
    out.push(b']');
    Ok(())
}

fn write_row(tensor: &Tensor, row_idx: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let row_len = tensor.row_len();
    let start = row_idx.saturating_mul(row_len);
    if row_len == 1 {
        return element(tensor, start, out);
    }
    nest(tensor, start, row_len, tensor.shape().get(1..).unwrap_or_default(), out)
}

/// `len` values from `start`, in lists as `dims` say.
fn nest(
    tensor: &Tensor,
    start: usize,
    len: usize,
    dims: &[u64],
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let (n_items, inner) = match dims.split_first() {
        Some((n_items, inner)) => (usize::try_from(*n_items).unwrap_or(0), inner),
        None => (len, dims),
    };
    let item_len = len.checked_div(n_items).unwrap_or(0);
    out.push(b'[');
    for item_idx in 0..n_items {
        if 0 < item_idx {
            out.push(b',');
        }
        let at = start.saturating_add(item_idx.saturating_mul(item_len));
        if inner.is_empty() {
            element(tensor, at, out)?;
        } else {
            nest(tensor, at, item_len, inner, out)?;
        }
    }
    out.push(b']');
    Ok(())
}

fn element(tensor: &Tensor, at: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    macro_rules! integer {
        ($values:expr) => {
            match $values.get(at) {
                Some(value) => {
                    out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
                    Ok(())
                }
                None => Err(beyond()),
            }
        };
    }
    let given = |found: Option<()>| found.ok_or_else(beyond);
    match tensor.values() {
        Values::Bool(values) => given(values.get(at).map(|value| {
            out.extend_from_slice(if *value { b"true" } else { b"false" });
        })),
        Values::Uint8(values) => integer!(values),
        Values::Uint16(values) => integer!(values),
        Values::Uint32(values) => integer!(values),
        Values::Uint64(values) => integer!(values),
        Values::Int8(values) => integer!(values),
        Values::Int16(values) => integer!(values),
        Values::Int32(values) => integer!(values),
        Values::Int64(values) => integer!(values),
        Values::Fp16(values) => {
            given(values.get(at).map(|bits| json_f32(half::fp16_to_f32(*bits), out)))
        }
        Values::Bf16(values) => {
            given(values.get(at).map(|bits| json_f32(half::bf16_to_f32(*bits), out)))
        }
        Values::Fp32(values) => given(values.get(at).map(|value| json_f32(*value, out))),
        Values::Fp64(values) => given(values.get(at).map(|value| json_f64(*value, out))),
        Values::Bytes(values) => {
            let bytes = values.get(at).ok_or_else(beyond)?;
            let text = std::str::from_utf8(bytes).map_err(|_| {
                let message = format!("output `{}` holds bytes that are no text", tensor.name());
                WireError { code: RefusalCode::Internal, message }
            })?;
            json_text(text, out);
            Ok(())
        }
    }
}

#[cold]
fn beyond() -> WireError {
    let message = "an output is shorter than its shape".to_owned();
    WireError { code: RefusalCode::Internal, message }
}
