//! Answers that describe: health, metadata, metrics, the API itself.

use bartizan_core::{Datatype, ModelName, Refusal, RefusalCode};
use bartizan_decision::{Model, Snapshot};
use bartizan_wire::grpc::pb;
use bartizan_wire::kserve_v1;
use bartizan_wire::oip::{self, ServerMetadata};
use serde_json::json;

use crate::admin::AdminReply;

use crate::answer::Answered;
use crate::protocol::Speech;
use crate::reply;
use crate::route::Handler;
use crate::shared::Shared;

/// Media type of the OpenMetrics text format, which Prometheus reads.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Extensions of the protocol that are there; clients rely on what is named.
pub(crate) const EXTENSIONS: &[&str] =
    &[oip::EXTENSION, "model_configuration", "model_repository", "statistics"];
/// What the server calls itself.
pub(crate) const SERVER: &str = "bartizan";

/// Media type of plain text.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Liveness or readiness: 200, or 503 for a server that is not ready.
pub(crate) fn health(handler: Handler, speech: Speech, is_yes: bool) -> Answered {
    let status = if is_yes { 200 } else { 503 };
    match (speech, is_yes) {
        (Speech::AzureMl, true) => return reply::with_type(status, PLAIN, "Healthy"),
        (Speech::AzureMl, false) => return reply::with_type(status, PLAIN, "Unhealthy"),
        (Speech::Mlflow, _) => return reply::with_type(status, PLAIN, "\n"),
        (Speech::OipRest | Speech::OipGrpc | Speech::KserveV1, _) => {}
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
    let metadata =
        ServerMetadata { name: SERVER, version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS };
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
            Speech::OipRest | Speech::OipGrpc | Speech::AzureMl | Speech::Mlflow => {
                oip::model_ready(model.name(), is_ready)
            }
        };
        return reply::json(if is_ready { 200 } else { 503 }, body);
    }
    let versions = snapshot.versions(model.name());
    let body = oip::model_metadata(model.name(), &versions, &platform(model), model.contract());
    reply::json(200, body)
}

/// Format and engine of a model.
pub(crate) fn platform(model: &Model) -> String {
    format!("onnx_{}", model.recipe().engine)
}

/// What Triton's clients call the configuration of a model: its tensors and its engine.
pub(crate) fn config(model: &Model) -> pb::ModelConfig {
    let contract = model.contract();
    let input = contract.inputs().iter().map(|input| pb::ModelInput {
        name: input.name.clone(),
        data_type: data_type(input.datatype).into(),
        dims: input.shape.clone(),
    });
    let output = contract.outputs().iter().map(|output| pb::ModelOutput {
        name: output.name.clone(),
        data_type: data_type(output.datatype).into(),
        dims: output.shape.clone(),
    });
    pb::ModelConfig {
        name: model.name().to_string(),
        platform: platform(model),
        backend: model.recipe().engine.to_owned(),
        // Shapes are whole: the first dimension is one of them.
        max_batch_size: 0,
        input: input.collect(),
        output: output.collect(),
    }
}

fn data_type(datatype: Datatype) -> pb::DataType {
    match datatype {
        Datatype::Bool => pb::DataType::TypeBool,
        Datatype::Uint8 => pb::DataType::TypeUint8,
        Datatype::Uint16 => pb::DataType::TypeUint16,
        Datatype::Uint32 => pb::DataType::TypeUint32,
        Datatype::Uint64 => pb::DataType::TypeUint64,
        Datatype::Int8 => pb::DataType::TypeInt8,
        Datatype::Int16 => pb::DataType::TypeInt16,
        Datatype::Int32 => pb::DataType::TypeInt32,
        Datatype::Int64 => pb::DataType::TypeInt64,
        Datatype::Fp16 => pb::DataType::TypeFp16,
        Datatype::Bf16 => pb::DataType::TypeBf16,
        Datatype::Fp32 => pb::DataType::TypeFp32,
        Datatype::Fp64 => pb::DataType::TypeFp64,
        Datatype::Bytes => pb::DataType::TypeString,
    }
}

/// What a model has done so far, as Triton counts.
pub(crate) fn statistics(model: &Model) -> pb::ModelStatistics {
    let served = model.served();
    let duration = |count, ns| Some(pb::StatisticDuration { count, ns });
    let stats = pb::InferStatistics {
        success: duration(served.n_answered, served.answered_ns),
        fail: duration(served.n_refused, served.refused_ns),
        queue: duration(served.n_answered, 0),
        compute_input: duration(served.n_answered, 0),
        compute_infer: duration(served.n_answered, served.predict_ns),
        compute_output: duration(served.n_answered, 0),
    };
    pb::ModelStatistics {
        name: model.name().to_string(),
        version: model.version().to_string(),
        last_inference: served.last_ms,
        inference_count: served.n_rows,
        execution_count: served.n_answered,
        inference_stats: Some(stats),
    }
}

/// A model's configuration as REST says it.
pub(crate) fn config_json(model: &Model) -> Answered {
    let config = config(model);
    let input: Vec<_> = config
        .input
        .iter()
        .map(|one| {
            json!({
                "name": one.name, "data_type": one.data_type().as_str_name(), "dims": one.dims,
            })
        })
        .collect();
    let output: Vec<_> = config
        .output
        .iter()
        .map(|one| {
            json!({
                "name": one.name, "data_type": one.data_type().as_str_name(), "dims": one.dims,
            })
        })
        .collect();
    let body = json!({
        "name": config.name,
        "platform": config.platform,
        "backend": config.backend,
        "max_batch_size": config.max_batch_size,
        "input": input,
        "output": output,
    });
    reply::json(200, body.to_string())
}

/// Statistics as REST says them.
pub(crate) fn statistics_json(all: &[pb::ModelStatistics]) -> Answered {
    let duration = |one: &Option<pb::StatisticDuration>| {
        let one = one.unwrap_or_default();
        json!({ "count": one.count, "ns": one.ns })
    };
    let rows: Vec<_> = all
        .iter()
        .map(|model| {
            let stats = model.inference_stats.unwrap_or_default();
            json!({
                "name": model.name,
                "version": model.version,
                "last_inference": model.last_inference,
                "inference_count": model.inference_count,
                "execution_count": model.execution_count,
                "inference_stats": {
                    "success": duration(&stats.success),
                    "fail": duration(&stats.fail),
                    "queue": duration(&stats.queue),
                    "compute_input": duration(&stats.compute_input),
                    "compute_infer": duration(&stats.compute_infer),
                    "compute_output": duration(&stats.compute_output),
                },
                "batch_stats": [],
            })
        })
        .collect();
    reply::json(200, json!({ "model_stats": rows }).to_string())
}

/// What may be done to a model through the repository API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Load,
    Unload,
}

impl Control {
    /// The admin API's operation for it.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Load => "model-load",
            Self::Unload => "model-unload",
        }
    }
}

/// Files and configurations in a request to load are a way around `model add`.
pub(crate) fn no_load_parameters() -> Refusal {
    let detail = "a model is loaded as `model add` admitted it; no parameters, files or \
                  configurations are taken here";
    Refusal::new(RefusalCode::Unsupported).because(detail)
}

/// What is known by name and never done.
pub(crate) fn unimplemented() -> Refusal {
    let detail = "shared memory, trace and log settings are not offered; send and take tensors in \
                  the request";
    Refusal::new(RefusalCode::Unsupported).because(detail)
}

/// Versions of model `name` in the owner's list of models: what `model add` admitted.
///
/// # Errors
/// A refusal where there are none, or no list.
pub(crate) fn versions_listed(list: &AdminReply, name: &ModelName) -> Result<Vec<u64>, Refusal> {
    if list.status != 200 {
        return Err(not_controlled(list));
    }
    let said: serde_json::Value = serde_json::from_slice(&list.body).unwrap_or_default();
    let rows = said["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = rows.iter().filter(|row| row["name"].as_str() == Some(name.as_str()));
    let versions: Vec<u64> = own.filter_map(|row| row["version"].as_u64()).collect();
    if versions.is_empty() { Err(Refusal::new(RefusalCode::NotFound)) } else { Ok(versions) }
}

/// Why the owner of the store did not load or unload.
pub(crate) fn not_controlled(reply: &AdminReply) -> Refusal {
    let said: Option<serde_json::Value> = serde_json::from_slice(&reply.body).ok();
    let reason = said.as_ref().and_then(|said| said["error"].as_str());
    let code = match reply.status {
        404 => RefusalCode::NotFound,
        403 => RefusalCode::Forbidden,
        _ => RefusalCode::ModelUnavailable,
    };
    let refusal = Refusal::new(code);
    match reason {
        Some(reason) => refusal.because(reason),
        None => refusal,
    }
}

/// The numbers of the moment.
pub(crate) fn metrics(shared: &Shared, snapshot: &Snapshot) -> Answered {
    let (mut n_models, mut resident_bytes) = (0, 0);
    for model in snapshot.models() {
        n_models += 1;
        resident_bytes += model.resident_bytes();
    }
    let is_writable = shared.appender.is_writable();
    if let Some(assurance) = &shared.assurance {
        shared.metrics.stands(assurance.publication.standing());
    }
    let text = shared.metrics.render(is_writable, n_models, resident_bytes);
    reply::with_type(200, OPENMETRICS, text)
}
