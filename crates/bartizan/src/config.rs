//! `bartizan.toml`: everything that can be set, with its default.
//!
//! The types here are the one source: [`schema`] publishes them as JSON Schema (descriptions are
//! the doc comments), [`read`] holds a file against that schema and says all that is wrong at
//! once, [`check`] looks for contradictions between values and with the files they name.
//!
//! Invariants
//! - K1: an unknown key is refused, with its place and the nearest known key;
//! - K2: inference and admin never listen beyond loopback without TLS; authentication cannot be
//!   turned off;
//! - K3: a temporary environment never listens beyond loopback.

pub(crate) mod check;
pub(crate) mod guard;
pub(crate) mod identity;
pub(crate) mod keys;
pub(crate) mod read;
pub(crate) mod schema;
pub(crate) mod template;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use bartizan_core::limits;
use bartizan_core::{EnvName, ModelName, ModelVersion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the file in an environment's folder.
pub(crate) const FILE_NAME: &str = "bartizan.toml";
/// Longest configuration file, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;

const MIB: u64 = 1024 * 1024;

/// Configuration of one Bartizan environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What this environment is called; part of every key and every record.
    pub(crate) environment: Environment,
    /// The listener that answers inference requests.
    pub(crate) inference: Inference,
    /// The listener of the admin API: off unless it has an address. The admin socket in the
    /// store's folder is always there.
    pub(crate) admin: Admin,
    /// A plain listener for health and metrics only (kubelet, Prometheus): off unless it has an
    /// address.
    pub(crate) operations: Operations,
    /// A listener on which anyone may read the log's checkpoints, tiles and entries, without
    /// credentials: off unless it has an address.
    pub(crate) log_reading: LogReading,
    /// Bounds on requests and connections.
    pub(crate) limits: Limits,
    /// The ledger: where and how decisions are recorded.
    pub(crate) ledger: Ledger,
    /// The keys under which payloads are sealed.
    pub(crate) keys: keys::Keys,
    /// Erasing a person.
    pub(crate) erasure: keys::Erasure,
    /// What an answer waits for beyond its record.
    pub(crate) ack: AckLevels,
    /// Witnesses that cosign the log's checkpoints.
    pub(crate) witnesses: Witnesses,
    /// The authority that time-stamps the log's checkpoints (RFC 3161).
    pub(crate) time_stamps: TimeStamps,
    /// How long each class of what is kept is kept. A legal hold keeps it longer.
    pub(crate) retention: keys::Retention,
    /// Bounds on models.
    pub(crate) models: Models,
    /// The request gate: what is done about callers that probe a model. It works for models that
    /// were added with a profile (`bartizan guard fit`, `bartizan model add --profile`).
    pub(crate) guard: guard::Guard,
    /// Protocols whose paths name no model: Azure ML's `/score`, MLflow's `/invocations`.
    pub(crate) score: Score,
    /// What is logged to standard error.
    pub(crate) log: Log,
    /// What takes two people.
    pub(crate) approvals: identity::Approvals,
    /// What replicas of this environment share about access.
    pub(crate) shared: identity::Shared,
    /// Issuers whose tokens are taken as credentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) issuer: Vec<identity::Issuer>,
    /// SPIFFE trust domains whose client certificates are taken as credentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) trust: Vec<identity::Trust>,
}

/// What this environment is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Environment {
    /// Name of the environment, part of every API key: 1 to 32 of a-z, 0-9 and `-`, the first a
    /// letter.
    #[schemars(with = "String", length(min = 1, max = 32), regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub(crate) name: EnvName,
    /// Name of the place where it runs; part of the ledger's origin.
    #[schemars(with = "String", length(min = 1, max = 32), regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub(crate) site: EnvName,
    /// Name of this replica; part of the ledger's origin, since each replica writes its own log.
    #[schemars(with = "String", length(min = 1, max = 32), regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub(crate) replica: EnvName,
    /// What it is for: `dev`, where one person may do everything, `training` or `inference`, where
    /// the starter policies let nobody put into service what he registered himself.
    pub(crate) stage: Stage,
    /// Whether it is made to be thrown away, as those of `bartizan demo` and
    /// `bartizan serve MODEL.onnx`. Such an environment never listens beyond loopback.
    pub(crate) temporary: bool,
}

/// What an environment is for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// Trying things out.
    #[default]
    Dev,
    /// Making models.
    Training,
    /// Serving them.
    Inference,
}

impl From<Stage> for bartizan_access::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Dev => Self::Dev,
            Stage::Training => Self::Training,
            Stage::Inference => Self::Inference,
        }
    }
}

impl Default for Environment {
    #[expect(clippy::expect_used, reason = "N1, N2: constants, held by a test")]
    fn default() -> Self {
        let name = |text: &str| text.parse().expect("a valid name");
        Self {
            name: name("dev"),
            site: name("local"),
            replica: name("r1"),
            stage: Stage::Dev,
            temporary: false,
        }
    }
}

/// Whether a listener speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tls {
    /// With `certificate` and `key`.
    #[default]
    On,
    /// In the clear; only on loopback.
    Off,
}

/// The listener that answers inference requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Inference {
    /// Address and port to listen on.
    #[schemars(with = "String", extend("format" = "ip-port"))]
    pub(crate) address: SocketAddr,
    /// `on` or `off`; `off` only on loopback.
    pub(crate) tls: Tls,
    /// PEM file with the server's certificate chain, its own certificate first; relative to the
    /// environment's folder.
    pub(crate) certificate: PathBuf,
    /// PEM file with the certificate's private key; readable by its owner only.
    pub(crate) key: PathBuf,
    /// Whether a key with `admin` may load and unload models through this listener (the
    /// repository API of the protocol), and only such as `model add` admitted.
    pub(crate) repository_control: bool,
}

impl Default for Inference {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            tls: Tls::On,
            certificate: PathBuf::from("tls/server.pem"),
            key: PathBuf::from("tls/server.key"),
            repository_control: false,
        }
    }
}

/// The listener of the admin API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Address and port to listen on; the listener is off where this is absent. It always speaks
    /// TLS, with the certificate of `[inference]`.
    #[schemars(with = "Option<String>", extend("format" = "ip-port"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<SocketAddr>,
}

/// The plain listener for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Operations {
    /// Address and port to listen on; the listener is off where this is absent. It serves health
    /// and metrics in the clear and without credentials, and nothing else.
    #[schemars(with = "Option<String>", extend("format" = "ip-port"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<SocketAddr>,
}

/// The listener on which the log may be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogReading {
    /// Address and port to listen on; the listener is off where this is absent. Whoever reaches
    /// it may read every leaf of the log; what is sealed is never there.
    #[schemars(with = "Option<String>", extend("format" = "ip-port"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<SocketAddr>,
    /// `on`, with the certificate of `[inference]`, or `off`; `off` only on loopback.
    pub(crate) tls: Tls,
}

/// Bounds on requests and connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Longest request body, in bytes.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub(crate) body_bytes_max: u64,
    /// Longest request head (request line and headers), in bytes.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub(crate) header_bytes_max: u64,
    /// Threads that serve, each with its own event loop; 0 is one a core.
    #[schemars(range(min = 0, max = 256))]
    pub(crate) lanes: u32,
    /// Most headers of a request.
    #[schemars(range(min = 8, max = 1_024))]
    pub(crate) headers_max: u32,
    /// Most connections at one time, over all listeners.
    #[schemars(range(min = 1, max = 65_536))]
    pub(crate) connections_max: u32,
    /// Most rows in one request; a contract may say fewer, never more.
    #[schemars(range(min = 1, max = 65_536))]
    pub(crate) rows_max: u32,
    /// How long a TLS handshake may take, in milliseconds.
    #[schemars(range(min = 100, max = 600_000))]
    pub(crate) handshake_ms_max: u32,
    /// Most streams of one HTTP/2 connection.
    #[schemars(range(min = 1, max = 4_096))]
    pub(crate) streams_max: u32,
    /// How long the head of a request may take to arrive, and how long a connection may stay
    /// idle, in milliseconds.
    #[schemars(range(min = 100, max = 600_000))]
    pub(crate) header_ms_max: u32,
    /// How long the body of a request may take to arrive, in milliseconds.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(crate) body_ms_max: u32,
    /// How long an answer may take from the request's head, in milliseconds.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub(crate) answer_ms_max: u32,
    /// How long the server waits for requests in flight when it stops, in milliseconds.
    #[schemars(range(min = 0, max = 600_000))]
    pub(crate) drain_ms_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: limits::BODY_BYTES_MAX as u64,
            header_bytes_max: 16 * 1024,
            headers_max: 64,
            lanes: 0,
            connections_max: 4_096,
            rows_max: limits::ROWS_MAX as u32,
            handshake_ms_max: 5_000,
            streams_max: 128,
            header_ms_max: 30_000,
            body_ms_max: 10_000,
            answer_ms_max: 10_000,
            drain_ms_max: 20_000,
        }
    }
}

/// Where the ledger keeps its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LedgerDisk {
    /// In the environment's folder `store/`.
    #[default]
    File,
    /// In memory, gone with the process; needs `volatile = true`. For measurements.
    Memory,
}

/// The ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ledger {
    /// Whether the store may lie where a sync does not survive a loss of power (tmpfs, overlay,
    /// network file systems, memory). Every record then says so.
    pub(crate) volatile: bool,
    /// `file` or `memory`.
    pub(crate) disk: LedgerDisk,
    /// Size of one segment of the write-ahead log, preallocated, in bytes.
    #[schemars(range(min = 1_048_576, max = 1_073_741_824))]
    pub(crate) segment_bytes: u64,
    /// Most records that wait to be written; beyond it requests are refused with 503.
    #[schemars(range(min = 64, max = 1_048_576))]
    pub(crate) queue_records_max: u32,
    /// Most bytes that wait to be written; beyond it requests are refused with 503.
    #[schemars(range(min = 1_048_576, max = 1_073_741_824))]
    pub(crate) queue_bytes_max: u64,
    /// A folder on another volume that remembers the newest checkpoint: a store that was put
    /// back to an earlier state is then refused. Relative to this file; empty: none.
    pub(crate) anchor: String,
    /// Whether readiness needs a clock that the kernel says is disciplined, with an error of at
    /// most one second. A clock that was set back by more than two seconds is never ready.
    pub(crate) clock_synchronised: bool,
    /// Whether checkpoints carry an ML-DSA-44 signature beside the Ed25519 one.
    pub(crate) ml_dsa_44: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            volatile: false,
            disk: LedgerDisk::File,
            segment_bytes: 64 * MIB,
            queue_records_max: 8_192,
            queue_bytes_max: 64 * MIB,
            anchor: String::new(),
            clock_synchronised: false,
            ml_dsa_44: false,
        }
    }
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ack {
    /// Its record is on disk.
    #[default]
    Durable,
    /// A signed checkpoint covers its record: up to 200 ms more.
    Published,
    /// Witnesses cosigned that checkpoint, as the policy asks; the answer carries the proof.
    Witnessed,
}

/// What an answer waits for beyond its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AckLevels {
    /// `durable`, `published` or `witnessed`: the level of models in none of the lists.
    pub(crate) default: Ack,
    /// Names of models whose answers wait for their record alone.
    pub(crate) durable: Vec<String>,
    /// Names of models whose answers wait for a checkpoint.
    pub(crate) published: Vec<String>,
    /// Names of models whose answers wait for witnesses.
    pub(crate) witnessed: Vec<String>,
}

/// Witnesses that cosign the log's checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Witnesses {
    /// File with the policy (C2SP `tlog-policy`): which witnesses, where, how many are enough.
    /// Relative to this file; empty: none.
    pub(crate) policy: String,
    /// PEM file with the roots that the witnesses' TLS certificates lead to; empty: the system's.
    pub(crate) roots: String,
}

/// The authority that time-stamps the log's checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimeStamps {
    /// Where it is asked; empty: nowhere, and checkpoints stay not time-stamped.
    pub(crate) url: String,
    /// PEM file with the roots that its stamps lead to; needed with `url`. Relative to this file.
    pub(crate) roots: String,
    /// PEM file with the roots that its TLS certificate leads to; empty: the system's.
    pub(crate) tls_roots: String,
    /// Time between two stamps, in seconds.
    #[schemars(range(min = 1, max = 604_800))]
    pub(crate) interval_s: u32,
}

impl Default for TimeStamps {
    fn default() -> Self {
        Self {
            url: String::new(),
            roots: String::new(),
            tls_roots: String::new(),
            interval_s: 3_600,
        }
    }
}

/// Bounds on models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Models {
    /// Longest model file, in bytes.
    #[schemars(range(min = 1024, max = 4_294_967_296_u64))]
    pub(crate) file_bytes_max: u64,
    /// Most memory that all loaded models together may hold, in bytes.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(crate) resident_bytes_max: u64,
    /// Most requests that one model serves at the same time; beyond it they are refused with
    /// 503.
    #[schemars(range(min = 1, max = 65_536))]
    pub(crate) concurrency_max: u32,
}

impl Default for Models {
    fn default() -> Self {
        Self { file_bytes_max: 512 * MIB, resident_bytes_max: 1024 * MIB, concurrency_max: 256 }
    }
}

/// Protocols whose paths name no model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Score {
    /// The model that they mean: its name, or its name and version, as in `fraud/3`; the only
    /// model there is where this is empty. Azure ML's callers may name another one with the
    /// header `azureml-model-deployment`.
    pub(crate) model: String,
}

impl Score {
    /// The model and version that are meant; `None` where nothing is said.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn model(&self) -> Result<Option<(ModelName, Option<ModelVersion>)>, &'static str> {
        let wrong = "must be a model's name, or name and version, like `fraud` or `fraud/3`";
        if self.model.is_empty() {
            return Ok(None);
        }
        let (name, version) = match self.model.split_once('/') {
            Some((name, version)) => (name, Some(version.parse().map_err(|_| wrong)?)),
            None => (self.model.as_str(), None),
        };
        Ok(Some((name.parse().map_err(|_| wrong)?, version)))
    }
}

/// Shape of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people, in colours where standard error is a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    /// What must wake someone.
    Error,
    /// And what we coped with.
    Warn,
    /// And what an operator did.
    #[default]
    Info,
    /// And one line a request.
    Debug,
}

/// What is logged to standard error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `text` or `json`.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info` or `debug`.
    pub(crate) level: LogLevel,
}

#[cfg(test)]
mod tests;
