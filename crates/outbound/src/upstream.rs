//! A model that has not moved: an endpoint that somebody else runs, as a [`Predictor`].
//!
//! What leaves is written by `wire` from cleared tensors; what comes back is held against the
//! contract before anybody sees it.
//!
//! Invariants
//! - U1: nothing of a caller but the cleared tensors leaves, and the credential is in no error,
//!   log or `Debug`;
//! - U2: an answer that is late, too long, redirected, of another shape or from another
//!   certificate than the pinned one is no answer.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bartizan_core::predictor::{Dim, Origin, Told};
use bartizan_core::{
    Contract, Digest, PredictError, Predictor, Recipe, Signature, Tensor, TensorSpec,
};
pub use bartizan_wire::upstream::Kind;
use bartizan_wire::upstream::{Endpoint, VERSION_HEADER};
use bartizan_wire::{Limits, WireError};
use bytes::Bytes;
use hyper::http::Request;
pub use hyper::http::Uri;
pub use hyper::http::header::HeaderValue;
use hyper::http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use tokio::runtime::Handle;
use tracing::warn;

use crate::https::{HttpsClient, HttpsError, HttpsSettings, PeerCertificate, Trailers};

/// Longest version of an upstream that is kept, in bytes.
const VERSION_BYTES_MAX: usize = 64;
/// Where a call's status stands.
const GRPC_STATUS: &str = "grpc-status";
/// What replay says of its answers.
const NOT_REPLAYABLE: &str = "not replayable: upstream";

/// An endpoint, and what is shown to it.
pub struct UpstreamSettings {
    /// Which protocol it speaks.
    pub kind: Kind,
    /// The whole URL to which requests are posted.
    pub url: Uri,
    /// `Authorization` that it is shown; marked as sensitive.
    pub authorization: Option<HeaderValue>,
    /// The only certificate that is accepted, by its SHA-256; any that verifies where absent.
    pub certificate: Option<Digest>,
    /// Bounds of the client.
    pub https: HttpsSettings,
}

/// Why an upstream cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The client cannot be made.
    #[error("the upstream's client cannot be made")]
    Client(#[from] HttpsError),
    /// Its protocol cannot carry the contract's tensors.
    #[error(transparent)]
    Contract(#[from] WireError),
    /// No thread could be had for its event loop.
    #[error("cannot start the upstreams' thread")]
    Thread(#[from] std::io::Error),
}

/// The event loop of all upstreams, on a thread of its own; it ends with the process.
#[derive(Clone, Debug)]
pub struct UpstreamLoop(Handle);

impl UpstreamLoop {
    /// Starts it.
    ///
    /// # Errors
    /// What the system says.
    pub fn start() -> Result<Self, UpstreamError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("upstreams".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self(handle))
    }
}

/// An endpoint as a predictor; see the module's invariants.
pub struct Upstream {
    endpoint: Endpoint,
    client: HttpsClient,
    handle: Handle,
    url: Uri,
    authorization: Option<HeaderValue>,
    certificate: Option<Digest>,
    deadline: Duration,
    answer_bytes_max: usize,
    signature: Signature,
    recipe: Recipe,
}

impl Upstream {
    /// The endpoint of `settings`, which answers under `contract`. Opens no connection.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(
        settings: UpstreamSettings,
        contract: &Contract,
        upstreams: &UpstreamLoop,
    ) -> Result<Arc<Self>, UpstreamError> {
        let UpstreamSettings { kind, url, authorization, certificate, mut https } = settings;
        https.http2_only = matches!(kind, Kind::OipGrpc { .. });
        let (deadline, answer_bytes_max) = (https.deadline, https.answer_bytes_max);
        let version = match &kind {
            Kind::OipRest => "oip-rest",
            Kind::OipGrpc { .. } => "oip-grpc",
            Kind::AzureMl { .. } => "azure-ml",
            Kind::Mlflow => "mlflow",
        };
        let settings = NOT_REPLAYABLE.into();
        Ok(Arc::new(Self {
            endpoint: Endpoint::new(kind, contract)?,
            client: HttpsClient::new(https)?,
            handle: upstreams.0.clone(),
            url,
            authorization,
            certificate,
            deadline,
            answer_bytes_max,
            signature: signature(contract),
            recipe: Recipe { engine: "upstream", version: version.into(), settings },
        }))
    }

    fn ask(&self, inputs: &[Tensor], left: Duration) -> Result<Told, PredictError> {
        let unavailable = |reason: String| PredictError::Unavailable { reason };
        let mut body = Vec::with_capacity(1024);
        self.endpoint.render(inputs, &mut body).map_err(|error| unavailable(error.message))?;
        let mut request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static(self.endpoint.media_type()));
        if self.endpoint.is_grpc() {
            request = request.header(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let request = request
            .body(Bytes::from(body))
            .map_err(|_| unavailable("the request cannot be made".into()))?;
        let left = left.min(self.deadline);
        let (told, answered) = mpsc::sync_channel(1);
        let client = self.client.clone();
        self.handle.spawn(async move {
            // Whoever asked may have given up.
            let _ = told.send(client.send_within(request, left).await);
        });
        let answer = answered.recv_timeout(left).map_err(|_| PredictError::Deadline)?;
        let answer = answer.map_err(|error| {
            if matches!(error, HttpsError::Deadline { .. }) {
                PredictError::Deadline
            } else {
                unavailable(error.to_string())
            }
        })?;
        let peer = answer.extensions().get::<PeerCertificate>().map(|found| found.0);
        if self.certificate.is_some() && self.certificate != peer {
            return Err(unavailable("it shows another certificate than the pinned one".into()));
        }
        if !answer.status().is_success() {
            return Err(unavailable(format!(
                "it answered with status {}",
                answer.status().as_u16()
            )));
        }
        if self.endpoint.is_grpc() {
            check_called(&answer)?;
        }
        let limits = Limits { body_bytes_max: self.answer_bytes_max, ..Limits::default() };
        let n_rows = inputs.first().map_or(1, Tensor::n_rows);
        let read = self.endpoint.parse(answer.body(), n_rows, &limits);
        let read = read.map_err(|error| unavailable(error.message))?;
        let reported = answer.headers().get(VERSION_HEADER);
        let reported = reported.and_then(|value| value.to_str().ok()).map(Into::into);
        let version = read.version.or(reported).filter(|text| text.len() <= VERSION_BYTES_MAX);
        let origin = Origin { digest: self.digest(peer), version: version.map(Into::into) };
        Ok(Told { outputs: read.outputs, origin: Some(origin) })
    }

    /// What records call it: its address and the certificate that it showed.
    fn digest(&self, peer: Option<Digest>) -> Digest {
        let certificate = peer.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        Digest::of(format!("bartizan upstream 1\n{}\n{certificate}\n", self.url).as_bytes())
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("recipe", &self.recipe).finish_non_exhaustive()
    }
}

impl Predictor for Upstream {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn is_row_invariant(&self) -> bool {
        false
    }

    fn resident_bytes(&self) -> usize {
        0
    }

    /// The hop's own: it runs on a worker in any case.
    fn row_cost_ns(&self) -> u64 {
        1_000
    }

    fn predict(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, PredictError> {
        self.predict_within(inputs, self.deadline).map(|told| told.outputs)
    }

    fn leaves_process(&self) -> bool {
        true
    }

    fn origin(&self) -> Option<Origin> {
        Some(Origin { digest: self.digest(None), version: None })
    }

    fn predict_within(&self, inputs: &[Tensor], left: Duration) -> Result<Told, PredictError> {
        let outcome = self.ask(inputs, left);
        if let Err(error) = &outcome {
            let host = self.url.host().unwrap_or_default();
            warn!(host, %error, "outbound.upstream.failed");
        }
        outcome
    }
}

/// Whether a call was answered: its status stands behind the message, or in the head where there
/// is none.
fn check_called(answer: &hyper::http::Response<Bytes>) -> Result<(), PredictError> {
    let trailers = answer.extensions().get::<Trailers>();
    let status = trailers.and_then(|Trailers(fields)| fields.get(GRPC_STATUS));
    let status = status.or_else(|| answer.headers().get(GRPC_STATUS));
    let reason = match status.map(HeaderValue::as_bytes) {
        Some(b"0") => return Ok(()),
        // Codes of gRPC are 0 to 16; its text is the endpoint's own and is not passed on.
        Some(code) if code.len() <= 2 && code.iter().all(u8::is_ascii_digit) => {
            format!("it answered with gRPC status {}", String::from_utf8_lossy(code))
        }
        Some(_) => "its gRPC status is no number".to_owned(),
        None => "it ended the call without a gRPC status".to_owned(),
    };
    Err(PredictError::Unavailable { reason })
}

/// What a model is by its contract alone.
fn signature(contract: &Contract) -> Signature {
    let spec = |name: &str, datatype, shape: &[i64]| TensorSpec {
        name: name.into(),
        datatype,
        shape: shape.iter().map(|dim| u64::try_from(*dim).map_or(Dim::Any, Dim::Fixed)).collect(),
        copes_with_missing: true,
    };
    let inputs = contract.inputs().iter();
    let outputs = contract.outputs().iter();
    Signature {
        inputs: inputs.map(|one| spec(&one.name, one.datatype, &one.shape)).collect(),
        outputs: outputs.map(|one| spec(&one.name, one.datatype, &one.shape)).collect(),
        classes: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
