//! MLflow's scoring server: `POST /invocations`.

use bartizan_core::{Refusal, RefusalCode};
use bartizan_decision::{Answer, Protocol, Rendered};
use bartizan_wire::{mlflow, table as tables};

use super::{Dialect, Heard, Understood, media_type, table, tabled, unread};

/// Bodies of MLflow.
#[derive(Debug)]
pub(crate) struct Mlflow;

impl Protocol for Mlflow {
    fn name(&self) -> &'static str {
        "mlflow"
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        let mut body = Vec::with_capacity(256);
        mlflow::render_predictions(answer.outputs, answer.contract, &mut body).map_err(unread)?;
        Ok(tabled(body, answer.obligations))
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        mlflow::render_error(refusal, &mut body);
        body
    }
}

impl Dialect for Mlflow {
    fn hear(&self, heard: Heard<'_>) -> Result<Understood, Refusal> {
        let Heard { headers, body, model, limits } = heard;
        let request = match media_type(headers).as_str() {
            "" | "application/json" => mlflow::parse_invocation(body, model.table(), &limits),
            "text/csv" => tables::parse_csv(body, model.table(), &limits),
            _ => {
                let detail =
                    "this server takes the content types `application/json` and `text/csv`";
                return Err(Refusal::new(RefusalCode::Unsupported).because(detail));
            }
        };
        Ok(table(request.map_err(unread)?))
    }
}
