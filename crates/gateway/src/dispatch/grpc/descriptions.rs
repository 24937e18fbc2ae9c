//! What the server and its models are, over gRPC.

use std::sync::Arc;

use bartizan_access::{Credential, permit_describe, permit_metrics};
use bartizan_core::{Refusal, RefusalCode};
use bartizan_decision::Model;
use bartizan_wire::grpc::pb;
use bytes::Bytes;

use super::{decoded, encoded};
use crate::describe;
use crate::dispatch::Turn;
use crate::route::Rpc;

/// The message that answers `rpc`.
pub(super) async fn of(
    turn: &Turn<'_>,
    rpc: Rpc,
    credential: &Credential,
    message: &Bytes,
) -> Result<Vec<u8>, Refusal> {
    let forbidden = |_| Refusal::new(RefusalCode::Forbidden);
    match rpc {
        Rpc::ServerMetadata => {
            permit_describe(turn.scene(), credential, None).map_err(forbidden)?;
            let extensions = describe::EXTENSIONS.iter().map(|text| (*text).to_owned()).collect();
            let name = describe::SERVER.to_owned();
            let version = env!("CARGO_PKG_VERSION").to_owned();
            Ok(encoded(&pb::ServerMetadataResponse { name, version, extensions }))
        }
        Rpc::ModelMetadata => {
            let asked: pb::ModelMetadataRequest = decoded(message)?;
            let model = turn.described(&asked.name, &asked.version, credential)?;
            Ok(encoded(&metadata(turn, &model)))
        }
        Rpc::ModelReady => {
            let asked: pb::ModelReadyRequest = decoded(message)?;
            turn.described(&asked.name, &asked.version, credential)?;
            Ok(encoded(&pb::ModelReadyResponse { ready: turn.lane.is_ready() }))
        }
        Rpc::ModelConfig => {
            let asked: pb::ModelConfigRequest = decoded(message)?;
            let model = turn.described(&asked.name, &asked.version, credential)?;
            Ok(encoded(&pb::ModelConfigResponse { config: Some(describe::config(&model)) }))
        }
        Rpc::ModelStatistics => {
            permit_metrics(turn.scene(), credential).map_err(forbidden)?;
            let asked: pb::ModelStatisticsRequest = decoded(message)?;
            let model_stats = turn.statistics(&asked.name, &asked.version)?;
            Ok(encoded(&pb::ModelStatisticsResponse { model_stats }))
        }
        Rpc::RepositoryIndex => {
            let asked: pb::RepositoryIndexRequest = decoded(message)?;
            permit_describe(turn.scene(), credential, None).map_err(forbidden)?;
            let models = turn.index(credential, asked.ready).into_iter().map(|row| {
                pb::repository_index_response::ModelIndex {
                    name: row.name.to_string(),
                    version: row.version.to_string(),
                    state: row.state.to_owned(),
                    reason: row.reason.to_owned(),
                }
            });
            Ok(encoded(&pb::RepositoryIndexResponse { models: models.collect() }))
        }
        Rpc::RepositoryModelLoad => {
            let asked: pb::RepositoryModelLoadRequest = decoded(message)?;
            if !asked.parameters.is_empty() {
                return Err(describe::no_load_parameters());
            }
            turn.control(credential, &asked.model_name, describe::Control::Load).await?;
            Ok(encoded(&pb::RepositoryModelLoadResponse {}))
        }
        Rpc::RepositoryModelUnload => {
            let asked: pb::RepositoryModelUnloadRequest = decoded(message)?;
            turn.control(credential, &asked.model_name, describe::Control::Unload).await?;
            Ok(encoded(&pb::RepositoryModelUnloadResponse {}))
        }
        Rpc::Infer | Rpc::StreamInfer | Rpc::Unimplemented => {
            permit_describe(turn.scene(), credential, None).map_err(forbidden)?;
            Err(describe::unimplemented())
        }
    }
}

fn metadata(turn: &Turn<'_>, model: &Arc<Model>) -> pb::ModelMetadataResponse {
    use pb::model_metadata_response::TensorMetadata;
    let contract = model.contract();
    let inputs = contract.inputs().iter().map(|input| TensorMetadata {
        name: input.name.clone(),
        datatype: input.datatype.as_str().to_owned(),
        shape: input.shape.clone(),
    });
    let outputs = contract.outputs().iter().map(|output| TensorMetadata {
        name: output.name.clone(),
        datatype: output.datatype.as_str().to_owned(),
        shape: output.shape.clone(),
    });
    pb::ModelMetadataResponse {
        name: model.name().to_string(),
        versions: turn
            .live
            .snapshot
            .versions(model.name())
            .iter()
            .map(ToString::to_string)
            .collect(),
        platform: describe::platform(model),
        inputs: inputs.collect(),
        outputs: outputs.collect(),
    }
}
