//! Health over gRPC: what a stranger may ask. The answers say whether the server would answer,
//! and nothing of its models.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Refusal, RefusalCode};
use bartizan_wire::grpc::health::health_check_response::ServingStatus;
use bartizan_wire::grpc::health::{HealthCheckRequest, HealthCheckResponse};
use bartizan_wire::grpc::pb::{ServerLiveResponse, ServerReadyResponse};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;

use super::{ASK_BYTES_MAX, decoded, encoded, opened_stream, said_message};
use crate::answer::Answered;
use crate::lane::Lane;
use crate::messages::{self, Messages};
use crate::route::Handler;

/// The services that `Check` knows beside the server as a whole.
const SERVICE: &str = "inference.GRPCInferenceService";
/// How often a watch looks, so that a change is told within this time.
const WATCH_TICK: Duration = Duration::from_millis(500);
/// Longest watch, after which the caller asks again: strangers may hold a stream no longer.
const WATCH_MAX: Duration = Duration::from_secs(60);

/// Answers a call that needs no credential.
pub(in crate::dispatch) async fn constant(
    lane: &Arc<Lane>,
    handler: Handler,
    body: Incoming,
) -> Result<Answered, Refusal> {
    let none = hyper::HeaderMap::new();
    let messages = Messages::new(&none, body, ASK_BYTES_MAX)?;
    let message = messages.only(lane.limits.body_wait_max).await?;
    let ready = lane.is_ready();
    match handler {
        Handler::Live => Ok(said_message(&encoded(&ServerLiveResponse { live: true }))),
        Handler::Ready => Ok(said_message(&encoded(&ServerReadyResponse { ready }))),
        Handler::Check | Handler::Watch => {
            let asked: HealthCheckRequest = decoded(&message.bytes)?;
            let is_known = asked.service.is_empty() || asked.service == SERVICE;
            if handler == Handler::Watch {
                return Ok(watch(lane.clone(), is_known));
            }
            if !is_known {
                return Err(Refusal::new(RefusalCode::NotFound).because("no such service"));
            }
            Ok(said_message(&encoded(&response(lane, true))))
        }
        Handler::ServerMetadata
        | Handler::ModelMetadata
        | Handler::ModelReady
        | Handler::ModelConfig
        | Handler::ModelStatistics
        | Handler::RepositoryIndex
        | Handler::RepositoryLoad
        | Handler::RepositoryUnload
        | Handler::Unimplemented
        | Handler::Infer
        | Handler::OpenApi
        | Handler::Metrics
        | Handler::Operate
        | Handler::ReadLog
        | Handler::ModelList
        | Handler::Swagger
        | Handler::Call(_) => Err(Refusal::new(RefusalCode::Internal)),
    }
}

fn response(lane: &Lane, is_known: bool) -> HealthCheckResponse {
    let status = match (is_known, lane.is_ready()) {
        (false, _) => ServingStatus::ServiceUnknown,
        (true, true) => ServingStatus::Serving,
        (true, false) => ServingStatus::NotServing,
    };
    HealthCheckResponse { status: status.into() }
}

/// Tells the state now and whenever it changes.
fn watch(lane: Arc<Lane>, is_known: bool) -> Answered {
    let (to, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut told = None;
        let mut watched = Duration::ZERO;
        while watched < WATCH_MAX {
            let now = response(&lane, is_known);
            if told != Some(now.status) {
                told = Some(now.status);
                let frame = Frame::data(messages::framed(&encoded(&now)));
                if to.send(frame).await.is_err() {
                    return;
                }
            }
            if lane.is_draining() {
                break;
            }
            tokio::select! {
                () = to.closed() => return,
                () = tokio::time::sleep(WATCH_TICK) => watched += WATCH_TICK,
            }
        }
        // A caller that is gone needs no trailers.
        let _ = to.send(Frame::trailers(messages::ok())).await;
    });
    opened_stream(pieces)
}
