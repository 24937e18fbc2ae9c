//! Answers that describe: health, metadata, metrics, the API itself.

use bartizan_decision::{Model, Snapshot};
use bartizan_wire::kserve_v1;
use bartizan_wire::oip::{self, ServerMetadata};

use crate::answer::Answered;
use crate::protocol::Speech;
use crate::reply;
use crate::route::Handler;
use crate::shared::Shared;

/// Media type of the OpenMetrics text format, which Prometheus reads.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Extensions of the protocol that are there; clients rely on what is named.
const EXTENSIONS: &[&str] = &[oip::EXTENSION];

/// Media type of plain text.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Liveness or readiness: 200, or 503 for a server that is not ready.
pub(crate) fn health(handler: Handler, speech: Speech, is_yes: bool) -> Answered {
    let status = if is_yes { 200 } else { 503 };
    match (speech, is_yes) {
        (Speech::AzureMl, true) => return reply::with_type(status, PLAIN, "Healthy"),
        (Speech::AzureMl, false) => return reply::with_type(status, PLAIN, "Unhealthy"),
        (Speech::Mlflow, _) => return reply::with_type(status, PLAIN, "\n"),
        (Speech::OipRest | Speech::KserveV1, _) => {}
    }
    let body = if handler == Handler::Live { oip::live(is_yes) } else { oip::ready(is_yes) };
    reply::json(status, body)
}

/// What the server is, or the description of its API.
pub(crate) fn server(handler: Handler, speech: Speech) -> Answered {
    if speech == Speech::Mlflow {
        return reply::with_type(200, PLAIN, env!("CARGO_PKG_VERSION"));
    }
    if handler == Handler::OpenApi {
        return reply::json(200, oip::openapi(env!("CARGO_PKG_VERSION")).to_string());
    }
    let metadata = ServerMetadata {
        name: "bartizan",
        version: env!("CARGO_PKG_VERSION"),
        extensions: EXTENSIONS,
    };
    reply::json(200, oip::server_metadata(&metadata))
}

/// What a model is, or whether it would answer.
pub(crate) fn model(
    handler: Handler,
    speech: Speech,
    model: &Model,
    snapshot: &Snapshot,
    is_ready: bool,
) -> Answered {
    if handler == Handler::ModelReady {
        let body = match speech {
            Speech::KserveV1 => kserve_v1::model_ready(model.name(), is_ready),
            Speech::OipRest | Speech::AzureMl | Speech::Mlflow => {
                oip::model_ready(model.name(), is_ready)
            }
        };
        return reply::json(if is_ready { 200 } else { 503 }, body);
    }
    let versions = snapshot.versions(model.name());
    let platform = format!("onnx_{}", model.recipe().engine);
    let body = oip::model_metadata(model.name(), &versions, &platform, model.contract());
    reply::json(200, body)
}

/// The numbers of the moment.
pub(crate) fn metrics(shared: &Shared, snapshot: &Snapshot) -> Answered {
    let (mut n_models, mut resident_bytes) = (0, 0);
    for model in snapshot.models() {
        n_models += 1;
        resident_bytes += model.resident_bytes();
    }
    let is_writable = shared.appender.is_writable();
    let text = shared.metrics.render(is_writable, n_models, resident_bytes);
    reply::with_type(200, OPENMETRICS, text)
}
