//! Who answers a run's batches: the environment's server where one is up, else one that this
//! process starts on loopback for as long as the run takes. Either way it is a request like any
//! other: credential, contract, model, record.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bartizan_access::{Assertion, KeyId, ModelScope, Scopes};
use bartizan_core::{ModelName, ModelVersion, Tensor};
use bartizan_outbound::https::{HttpsClient, HttpsError, HttpsSettings, Roots};
use bartizan_wire::{Limits, oip};
use hyper::{Request, header};
use zeroize::Zeroizing;

use super::Args;
use crate::assemble::{self, Running};
use crate::cmd::serve::try_lock;
use crate::cmd::{Failure, world};
use crate::config::{Config, Tls};
use crate::environment::Environment;
use crate::files;
use crate::owner::operation::{KeyIssue, KeyRevoke, Operation, Outcome as Performed};
use crate::owner::reach::Reach;

/// Longest file of a key or of certificates, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long the key of a run lives, in seconds.
const KEY_LIFETIME_S: u64 = 24 * 3_600;
/// Whose key that is.
const PRINCIPAL: &str = "score";
/// How often a batch is asked again where the server is busy.
const TRIES_MAX: u32 = 8;
/// Longest pause before that.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Rows that are asked together.
pub(super) struct Batch {
    /// Its place in the file.
    pub(super) idx: u64,
    /// In the contract's order.
    pub(super) inputs: Vec<Tensor>,
}

/// What was answered to some rows that were asked together.
pub(super) struct Answered {
    /// How many.
    pub(super) n_rows: usize,
    /// The decision's id.
    pub(super) decision: String,
    /// Why there are no outputs, if there are none.
    pub(super) refused: Option<String>,
    /// The outputs that the credential covers.
    pub(super) outputs: Vec<Tensor>,
}

/// One way to get answers.
pub(super) struct Asking {
    running: Option<Running>,
    runtime: tokio::runtime::Runtime,
    client: HttpsClient,
    uri: String,
    authorization: Zeroizing<String>,
    /// The key that was made for this run, and its environment.
    own_key: Option<(KeyId, std::path::PathBuf)>,
    job: String,
}

impl Asking {
    /// Finds the server or starts one, and gets a credential.
    pub(super) fn start(args: &Args, environment: Environment, job: &str) -> Result<Self, Failure> {
        let root = environment.root().to_owned();
        let config = environment.config().clone();
        let is_free = args.url.is_none() && try_lock(&environment).is_some();
        let running = if is_free { Some(serve(environment)?) } else { None };
        let url = match (&running, &args.url) {
            (Some(running), _) => format!("http://{}", running.address()),
            (None, Some(url)) => url.trim_end_matches('/').to_owned(),
            (None, None) => url_of(&config),
        };
        let roots = match &args.ca {
            Some(path) => Some(path.clone()),
            None => Some(root.join("tls/ca.pem")).filter(|path| path.is_file()),
        };
        let roots = match roots {
            None => Roots::System,
            Some(path) => {
                let pem = files::read_bounded(&path, FILE_BYTES_MAX).map_err(Failure::unknown)?;
                Roots::from_pem(&pem).map_err(Failure::unknown)?
            }
        };
        let settings = HttpsSettings {
            roots,
            deadline: DEADLINE,
            answer_bytes_max: ANSWER_BYTES_MAX,
            ..HttpsSettings::default()
        };
        let client = HttpsClient::new(settings).map_err(Failure::unknown)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (key, own_key) = match &args.key_file {
            Some(path) => {
                let bytes = files::read_private(path, FILE_BYTES_MAX).map_err(Failure::unknown)?;
                let bytes = Zeroizing::new(bytes);
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| Failure::usage("the key file is no text"))?;
                (Zeroizing::new(text.trim().to_owned()), None)
            }
            None => {
                let (id, key) = issue(running.as_ref(), &root, &args.model)?;
                (key, Some((id, root)))
            }
        };
        let uri = format!("{url}{}", path(&args.model, args.version));
        let authorization = Zeroizing::new(format!("Bearer {}", *key));
        let job = job.to_owned();
        Ok(Self { running, runtime, client, uri, authorization, own_key, job })
    }

    /// The answers to `batch`, in its rows' order. Where the contract refuses it, the rows that it
    /// refuses are found by halves; the others are answered.
    ///
    /// # Errors
    /// Where there is no answer, or a refusal that is not about the rows.
    pub(super) fn ask(&self, batch: &Batch) -> Result<Vec<Answered>, Failure> {
        let answered = self.ask_once(batch)?;
        let half = answered.n_rows / 2;
        if answered.refused.is_none() || half == 0 {
            return Ok(vec![answered]);
        }
        let part = |range: std::ops::Range<usize>| Batch {
            idx: batch.idx,
            inputs: batch.inputs.iter().map(|input| input.rows(range.clone())).collect(),
        };
        let mut both = self.ask(&part(0..half))?;
        both.extend(self.ask(&part(half..answered.n_rows))?);
        Ok(both)
    }

    fn ask_once(&self, batch: &Batch) -> Result<Answered, Failure> {
        let n_rows = batch.inputs.first().map_or(0, Tensor::n_rows);
        let mut body = Vec::new();
        let json_bytes = oip::render_request_raw(&batch.inputs, &mut body);
        let body = bytes::Bytes::from(body);
        let mut try_idx = 0;
        loop {
            let answer =
                self.send(batch.idx, json_bytes, body.clone()).map_err(Failure::unknown)?;
            let status = answer.status().as_u16();
            let text = |name: &str| {
                let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let decision = text("bartizan-decision");
            if status == 200 {
                let length = match text(oip::HEADER_LENGTH).as_str() {
                    "" => None,
                    digits => Some(oip::header_length(digits).map_err(Failure::unknown)?),
                };
                let limits = Limits { body_bytes_max: ANSWER_BYTES_MAX, ..Limits::default() };
                let told = oip::parse_answer_raw(answer.body(), length, &limits);
                let outputs = told.map_err(Failure::unknown)?.outputs;
                return Ok(Answered { n_rows, decision, refused: None, outputs });
            }
            let said: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            let code = said["code"].as_str().unwrap_or_default().to_owned();
            try_idx += 1;
            match status {
                429 | 503 if try_idx < TRIES_MAX => {
                    let wait_s = text("retry-after").parse().unwrap_or(1);
                    std::thread::sleep(Duration::from_secs(wait_s).min(PAUSE_MAX));
                }
                400 if code == "input-refused" => {
                    let refused = Some(code);
                    return Ok(Answered { n_rows, decision, refused, outputs: Vec::new() });
                }
                _ => {
                    let why = said["error"].as_str().unwrap_or("no reason given");
                    let what = format!(
                        "batch {} is refused with status {status}, `{code}`: {why}; \
                         `bartizan trace {decision}` shows the decision",
                        batch.idx
                    );
                    return Err(if status < 500 {
                        Failure::no(what)
                    } else {
                        Failure::unknown(what)
                    });
                }
            }
        }
    }

    fn send(
        &self,
        batch_idx: u64,
        json_bytes: usize,
        body: bytes::Bytes,
    ) -> Result<hyper::Response<bytes::Bytes>, HttpsError> {
        let mut request = Request::post(&self.uri)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(oip::HEADER_LENGTH, json_bytes)
            .header(header::AUTHORIZATION, self.authorization.as_str());
        if self.own_key.is_some() {
            let batch = format!("score/{}/{batch_idx}", self.job);
            request = request.header("bartizan-correlation-id", batch);
        }
        let request =
            request.body(body).map_err(|_| HttpsError::Url { why: "makes no request" })?;
        self.runtime.block_on(self.client.send(request))
    }

    /// Ends the run's key, and the server if it is the run's own.
    pub(super) fn end(self) {
        let Self { running, own_key, .. } = self;
        if let Some((id, root)) = own_key {
            let revoke = Operation::KeyRevoke(KeyRevoke { id });
            let ended = perform(running.as_ref(), &root, &revoke);
            if ended.is_err() {
                eprintln!("Key {id} of this run could not be revoked; it ends within a day.");
            }
        }
        if let Some(running) = running {
            running.stop();
        }
    }
}

/// Serves `environment` on loopback for this process alone.
fn serve(environment: Environment) -> Result<Running, Failure> {
    let environment = environment.changed(|config| {
        config.inference.address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.inference.tls = Tls::Off;
        config.admin.address = None;
        config.operations.address = None;
        config.log_reading.address = None;
    });
    assemble::start(environment, world()).map_err(Failure::unknown)
}

fn url_of(config: &Config) -> String {
    let scheme = if config.inference.tls == Tls::On { "https" } else { "http" };
    let address = config.inference.address;
    let is_any = address.ip().is_unspecified();
    let host = if is_any { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("{scheme}://{host}:{}", address.port())
}

fn path(model: &ModelName, version: Option<ModelVersion>) -> String {
    match version {
        None => oip::infer_path(model),
        Some(version) => format!("{}/versions/{version}/infer", oip::model_path(model)),
    }
}

fn perform(
    running: Option<&Running>,
    root: &std::path::Path,
    operation: &Operation,
) -> Result<Performed, Failure> {
    match running {
        None => Ok(Reach::open(root, &world())?.perform(operation)?),
        Some(running) => {
            let permit = running.owner().local_permit().map_err(Failure::unknown)?;
            running.owner().perform_for(&permit, operation).map_err(Failure::unknown)
        }
    }
}

/// A key for this run: for this model only, and ended with it.
fn issue(
    running: Option<&Running>,
    root: &std::path::Path,
    model: &ModelName,
) -> Result<(KeyId, Zeroizing<String>), Failure> {
    let scopes = Scopes {
        may_assert: BTreeSet::from([Assertion::CorrelationId]),
        ..Scopes::inference(ModelScope::Some(BTreeSet::from([model.clone()])))
    };
    let principal = PRINCIPAL.parse().map_err(Failure::unknown)?;
    let issue = Operation::KeyIssue(KeyIssue { principal, scopes, ttl_s: KEY_LIFETIME_S });
    let Performed::Key(made) = perform(running, root, &issue)? else {
        return Err(Failure::unknown("the store's owner made no key; is it of another release?"));
    };
    Ok((made.id, Zeroizing::new(made.key)))
}
