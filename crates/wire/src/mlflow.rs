//! Bodies of MLflow's scoring server, protocol 2 (`POST /invocations`).
//!
//! Source: `mlflow/mlflow`, `mlflow/pyfunc/scoring_server/__init__.py`, and what
//! `mlflow models serve` answers. JSON holds exactly one of `dataframe_split`,
//! `dataframe_records`, `instances` and `inputs`; each takes every form that a table has here
//! ([`crate::table`]). `params` is read over: the models that are served take none.

use bartizan_core::{Contract, Refusal, RefusalCode, Tensor};

use crate::WireError;
use crate::error::{Fault, Parsed};
use crate::json::Reader;
use crate::oip::json_text;
use crate::request::{InferRequest, Limits};
use crate::table::{self, Inputs, Method, Plan, chosen, render_table, text_of};

/// The keys of which a body has one.
const FORMS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];

/// Reads a JSON body.
///
/// # Errors
/// [`WireError`] for the first thing that is wrong.
pub fn parse_invocation(
    body: &[u8],
    plan: &Plan,
    limits: &Limits,
) -> Result<InferRequest, WireError> {
    let inputs = one_of(body, plan, limits, &FORMS)?;
    Ok(InferRequest::of(inputs))
}

/// Reads the object `body`, of whose keys exactly one is among `forms` and holds the rows.
pub(crate) fn one_of(
    body: &[u8],
    plan: &Plan,
    limits: &Limits,
    forms: &[&'static str],
) -> Parsed<Inputs> {
    let text = text_of(body, limits)?;
    let mut reader = Reader::new(text, limits.depth_max);
    let mut found: Option<Inputs> = None;
    reader.object(|reader, key| {
        let Some(form) = forms.iter().find(|form| **form == key) else { return reader.skip() };
        if found.is_some() {
            let what = format!("send one of {}, not several", listed(forms));
            return Err(Fault::new(RefusalCode::Malformed, what));
        }
        let sheet = table::begin(plan, limits)?;
        found = Some(table::any_table(reader, sheet).map_err(|fault| fault.within(form))?);
        Ok(())
    })?;
    reader.finish()?;
    found.ok_or_else(|| {
        let what = format!("there are no rows; send them under one of {}", listed(forms));
        Fault::new(RefusalCode::Malformed, what)
    })
}

fn listed(forms: &[&str]) -> String {
    forms.iter().map(|form| format!("`{form}`")).collect::<Vec<_>>().join(", ")
}

/// Appends `{"predictions": ..}` to `out`.
///
/// # Errors
/// [`WireError`] where nothing may be given, or JSON cannot carry it; `out` is then as it was.
pub fn render_predictions(
    outputs: &[Tensor],
    contract: &Contract,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let choice = chosen(outputs, contract, Method::Predict)?;
    let start = out.len();
    out.extend_from_slice(b"{\"predictions\":");
    let written = render_table(&choice, out);
    out.push(b'}');
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends `refusal` as MLflow's error body to `out`, with our code and decision beside it.
pub fn render_error(refusal: &Refusal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error_code\":");
    json_text(error_code(refusal.code), out);
    out.extend_from_slice(b",\"message\":");
    json_text(refusal.message(), out);
    out.extend_from_slice(b",\"code\":");
    json_text(refusal.code.as_str(), out);
    if let Some(decision) = refusal.decision {
        out.extend_from_slice(b",\"decision\":");
        json_text(&decision.to_string(), out);
    }
    out.push(b'}');
}

/// MLflow's own word, of `mlflow.protos.databricks_pb2.ErrorCode`.
fn error_code(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Unauthenticated => "UNAUTHENTICATED",
        RefusalCode::Forbidden => "PERMISSION_DENIED",
        RefusalCode::Throttled | RefusalCode::Overloaded => "RESOURCE_EXHAUSTED",
        RefusalCode::NotFound => "RESOURCE_DOES_NOT_EXIST",
        RefusalCode::MethodNotAllowed | RefusalCode::Unsupported => "INVALID_PARAMETER_VALUE",
        RefusalCode::Malformed
        | RefusalCode::Mismatch
        | RefusalCode::InputRefused
        | RefusalCode::TooLarge
        | RefusalCode::HeadersTooLarge
        | RefusalCode::Slow => "BAD_REQUEST",
        RefusalCode::ModelUnavailable
        | RefusalCode::Draining
        | RefusalCode::Unrecordable
        | RefusalCode::Unpublished
        | RefusalCode::AccessUnavailable => "TEMPORARILY_UNAVAILABLE",
        RefusalCode::DeadlineExceeded | RefusalCode::Internal => "INTERNAL_ERROR",
    }
}
