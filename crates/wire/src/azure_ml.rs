//! Bodies of Azure ML's online endpoints (`POST /score`).
//!
//! There is no one body: a scoring script takes what it likes. These are the ones that Azure's
//! own templates, AutoML, the designer and MLflow deployments send, and what they answer:
//! - `{"data": ..}`: rows, answered as a bare list;
//! - `{"input_data": {"columns": .., "index": .., "data": ..}}`, rows, or columns: a bare list;
//! - `{"Inputs": {"data": ..}, "GlobalParameters": {"method": ..}}`, where `Inputs` may also hold
//!   rows themselves or one named list of them: `{"Results": ..}`;
//! - rows alone: a bare list;
//! - rows wherever the contract's `rows_at` says.
//!
//! `GlobalParameters.method` is `predict` or `predict_proba`; other parameters are read over.
//! Source: `microsoft/azureml-inference-server` (`docs/`, `server/routes.py`), the templates that
//! AutoML writes, and `azureml-inference-server-http` 1.5.1's answers.

use bartizan_core::contract::Table;
use bartizan_core::{Contract, Refusal, RefusalCode, Tensor};

use crate::WireError;
use crate::error::{Fault, Parsed};
use crate::json::Reader;
use crate::oip::json_text;
use crate::request::{InferRequest, Limits};
use crate::table::{self, Inputs, Method, Plan, chosen, render_table, text_of};

mod swagger;

pub use swagger::{SwaggerVersion, swagger};

/// How a request wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Manner {
    /// What the model is asked for.
    pub method: Method,
    /// Whether the rows of the answer stand under `Results`.
    pub is_wrapped: bool,
}

/// Reads a body.
///
/// # Errors
/// [`WireError`] for the first thing that is wrong.
pub fn parse_score(
    body: &[u8],
    plan: &Plan,
    limits: &Limits,
) -> Result<(InferRequest, Manner), WireError> {
    let (inputs, manner) = parse(body, plan, limits)?;
    let request = InferRequest::of(inputs);
    Ok((request, manner))
}

fn parse(body: &[u8], plan: &Plan, limits: &Limits) -> Parsed<(Inputs, Manner)> {
    let text = text_of(body, limits)?;
    let mut reader = Reader::new(text, limits.depth_max);
    let mut score = Score { plan, limits, inputs: None, manner: Manner::default() };
    match (reader.peek(), plan.table.rows_at.as_slice()) {
        (Some(b'['), []) => score.rows(&mut reader)?,
        (_, []) => reader.object(|reader, key| score.member(reader, key))?,
        (_, keys) => score.walk(&mut reader, keys)?,
    }
    reader.finish()?;
    let Some(inputs) = score.inputs else {
        let wanted = match plan.table.rows_at.as_slice() {
            [] => "`data`, `input_data` or `Inputs`".to_owned(),
            keys => format!("`{}`, as the model's contract says", keys.join(".")),
        };
        let what = format!("there are no rows; send them under {wanted}");
        return Err(Fault::new(RefusalCode::Malformed, what));
    };
    Ok((inputs, score.manner))
}

struct Score<'p> {
    plan: &'p Plan,
    limits: &'p Limits,
    inputs: Option<Inputs>,
    manner: Manner,
}

impl Score<'_> {
    fn rows(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        if self.inputs.is_some() {
            let what = "there are rows in several places; send them in one";
            return Err(Fault::new(RefusalCode::Malformed, what));
        }
        self.inputs = Some(table::any_table(reader, table::begin(self.plan, self.limits)?)?);
        Ok(())
    }

    fn member(&mut self, reader: &mut Reader<'_>, key: &str) -> Parsed<()> {
        match key {
            "data" => self.rows(reader).map_err(|fault| fault.within("data")),
            "input_data" => self.rows(reader).map_err(|fault| fault.within("input_data")),
            "Inputs" => {
                self.manner.is_wrapped = true;
                self.wrapped(reader).map_err(|fault| fault.within("Inputs"))
            }
            "GlobalParameters" | "global_parameters" if reader.peek() == Some(b'{') => {
                let read = reader.object(|reader, key| match key {
                    "method" => self.method(reader),
                    _ => reader.skip(),
                });
                read.map_err(|fault| fault.within("GlobalParameters"))
            }
            "method" => self.method(reader),
            _ => reader.skip(),
        }
    }

    /// `Inputs`: rows, or an object of one member that holds them, whatever it is called.
    fn wrapped(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        if reader.peek() != Some(b'{') {
            return self.rows(reader);
        }
        let key = reader.clone().first_key()?;
        let is_table = key
            .as_deref()
            .is_none_or(|key| self.plan.knows(key) || matches!(key, "columns" | "index"));
        if is_table {
            return self.rows(reader);
        }
        reader.object(|reader, _| match reader.peek() {
            Some(b'[' | b'{') => self.rows(reader),
            _ => reader.skip(),
        })
    }

    fn method(&mut self, reader: &mut Reader<'_>) -> Parsed<()> {
        reader.peek();
        let at = reader.at();
        self.manner.method = match &*reader.string()? {
            "predict" => Method::Predict,
            "predict_proba" => Method::Probabilities,
            _ => {
                let what = "`method` is `predict` or `predict_proba`";
                return Err(Fault::malformed(at, what));
            }
        };
        Ok(())
    }

    fn walk(&mut self, reader: &mut Reader<'_>, keys: &[String]) -> Parsed<()> {
        let Some((first, rest)) = keys.split_first() else { return self.rows(reader) };
        reader.object(
            |reader, key| {
                if key == first { self.walk(reader, rest) } else { reader.skip() }
            },
        )
    }
}

/// Appends an answer to `out`.
///
/// # Errors
/// [`WireError`] where nothing may be given, or JSON cannot carry it; `out` is then as it was.
pub fn render_score(
    outputs: &[Tensor],
    contract: &Contract,
    manner: Manner,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let choice = chosen(outputs, contract, manner.method)?;
    let table: &Table = &contract.file().table;
    let usual = if manner.is_wrapped { "Results" } else { "" };
    let key = table.answer_key.as_deref().unwrap_or(usual);
    let start = out.len();
    if !key.is_empty() {
        out.push(b'{');
        json_text(key, out);
        out.push(b':');
    }
    let written = render_table(&choice, out);
    if !key.is_empty() {
        out.push(b'}');
    }
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends `refusal` as Azure ML's error body to `out`, with our code and decision beside it.
pub fn render_error(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"message\":");
    json_text(refusal.message(), out);
    out.extend_from_slice(b",\"code\":");
    json_text(refusal.code.as_str(), out);
    if let Some(decision) = refusal.decision {
        out.extend_from_slice(b",\"decision\":");
        json_text(&decision.to_string(), out);
    }
    out.push(b'}');
}
