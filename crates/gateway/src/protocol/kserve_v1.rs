//! KServe's first protocol: `POST /v1/models/M:predict`.

use bartizan_core::Refusal;
use bartizan_decision::{Answer, Protocol, Rendered};
use bartizan_wire::{kserve_v1, mlflow, oip};

use super::{Dialect, Heard, Understood, table, tabled, unread};

/// Bodies of KServe v1, whose answers are MLflow's and whose errors are the next protocol's.
#[derive(Debug)]
pub(crate) struct KserveV1;

impl Protocol for KserveV1 {
    fn name(&self) -> &'static str {
        "kserve-v1"
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        let mut body = Vec::with_capacity(256);
        mlflow::render_predictions(answer.outputs, answer.contract, &mut body).map_err(unread)?;
        Ok(tabled(body, answer.obligations))
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        oip::render_error(refusal, &mut body);
        body
    }
}

impl Dialect for KserveV1 {
    fn hear(&self, heard: Heard<'_>) -> Result<Understood, Refusal> {
        let request = kserve_v1::parse_predict(heard.body, heard.model.table(), &heard.limits);
        Ok(table(request.map_err(unread)?))
    }
}
