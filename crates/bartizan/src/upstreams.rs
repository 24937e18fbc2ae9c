//! Models that have not moved: `upstreams/<name>.toml` in an environment's folder, one endpoint
//! each. Address and credential stand there and nowhere else; the file's digest is the model's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Contract, Digest, ModelName, ModelVersion, Predictor};
use bartizan_outbound::https::{HttpsError, HttpsSettings, PlainHttp, Roots};
use bartizan_outbound::upstream::{
    HeaderValue, Kind, Upstream, UpstreamError, UpstreamLoop, UpstreamSettings, Uri,
};
use bartizan_wire::grpc;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::files::{self, FileError, failed};
use crate::models::CONTRACT_BYTES_MAX;
use crate::models::prepare::{PrepareError, read_contract};

/// Folder of an environment's upstreams.
pub(crate) const UPSTREAMS_DIR: &str = "upstreams";
/// Longest file of an upstream, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Longest credential, in bytes.
const CREDENTIAL_BYTES_MAX: u64 = 16 * 1024;
/// Most upstreams of an environment.
const UPSTREAMS_MAX: usize = 256;

/// Which protocol an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Protocol {
    OipRest,
    OipGrpc,
    AzureMl,
    Mlflow,
}

/// Under which key Azure ML's rows are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rows {
    #[default]
    InputData,
    Data,
}

/// `upstreams/<name>.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamFile {
    format: u32,
    protocol: Protocol,
    url: String,
    contract: PathBuf,
    #[serde(default)]
    version: Option<ModelVersion>,
    #[serde(default)]
    rows: Rows,
    /// What a gRPC endpoint calls the model; the file's name where absent.
    #[serde(default)]
    model: Option<String>,
    /// The version that a gRPC endpoint is asked for; its own choice where absent.
    #[serde(default)]
    model_version: Option<String>,
    /// File with the bearer credential, readable by its owner only.
    #[serde(default)]
    credential_file: Option<PathBuf>,
    /// Environment variable with the bearer credential.
    #[serde(default)]
    credential_env: Option<String>,
    /// PEM file with the only roots that are believed.
    #[serde(default)]
    roots: Option<PathBuf>,
    /// SHA-256 of the only certificate that is accepted.
    #[serde(default)]
    certificate: Option<Digest>,
    /// Hosts beside loopback to which it may be asked without TLS.
    #[serde(default)]
    plain_http_to: BTreeSet<String>,
    #[serde(default = "deadline_ms")]
    deadline_ms: u32,
    #[serde(default = "answer_bytes_max")]
    answer_bytes_max: u32,
    #[serde(default = "requests_max")]
    requests_max: u32,
}

fn deadline_ms() -> u32 {
    10_000
}

fn answer_bytes_max() -> u32 {
    16 * 1024 * 1024
}

fn requests_max() -> u32 {
    64
}

/// Why an upstream is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamFault {
    /// A file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its file says something wrong.
    #[error("`{}`: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// Its contract is none.
    #[error(transparent)]
    Contract(#[from] PrepareError),
    /// It cannot be asked.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Its roots are none.
    #[error("the roots of the upstream are not in order")]
    Roots(#[from] HttpsError),
}

/// An upstream that can be served.
pub(crate) struct Found {
    /// The model's name: the file's.
    pub(crate) name: ModelName,
    /// Its version; 1 unless the file says another.
    pub(crate) version: ModelVersion,
    /// Its predictor, contract and the digest of its file; or why there is none.
    pub(crate) outcome: Result<(Arc<dyn Predictor>, Contract, Digest), UpstreamFault>,
}

/// Every upstream of the environment in `root`, by name. Contracts take at most `rows_max` rows.
///
/// # Errors
/// [`UpstreamFault`] where the folder cannot be read, or the upstreams' thread cannot be had.
pub(crate) fn load_all(root: &Path, rows_max: u64) -> Result<Vec<Found>, UpstreamFault> {
    let folder = root.join(UPSTREAMS_DIR);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names: Vec<ModelName> = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed("read", &folder))? {
        let entry = entry.map_err(failed("read", &folder))?;
        let file = entry.file_name();
        let stem = file.to_str().and_then(|file| file.strip_suffix(".toml"));
        if let Some(name) = stem.and_then(|stem| stem.parse().ok()) {
            names.push(name);
        }
    }
    names.sort();
    if UPSTREAMS_MAX < names.len() {
        let message = format!("there are more than {UPSTREAMS_MAX} upstreams; remove some");
        return Err(UpstreamFault::Wrong { path: folder, message });
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let upstreams = UpstreamLoop::start()?;
    let load_one = |name: ModelName| {
        let path = folder.join(format!("{name}.toml"));
        let read = read(&path);
        let version = read.as_ref().ok().and_then(|(file, _)| file.version);
        let outcome = read.and_then(|(file, digest)| {
            let (predictor, contract) = load(root, &path, file, rows_max, &upstreams)?;
            Ok((predictor, contract, digest))
        });
        Found { name, version: version.unwrap_or(ModelVersion::FIRST), outcome }
    };
    Ok(names.into_iter().map(load_one).collect())
}

/// The contract of upstream `name` of the environment in `root`, where there is one.
///
/// # Errors
/// [`UpstreamFault`].
pub(crate) fn contract_of(
    root: &Path,
    name: &ModelName,
    rows_max: u64,
) -> Result<Option<Contract>, UpstreamFault> {
    let path = root.join(UPSTREAMS_DIR).join(format!("{name}.toml"));
    if !path.is_file() {
        return Ok(None);
    }
    let (file, _) = read(&path)?;
    let text = files::read_bounded(&root.join(&file.contract), CONTRACT_BYTES_MAX)?;
    Ok(Some(read_contract(&text, rows_max)?))
}

fn read(path: &Path) -> Result<(UpstreamFile, Digest), UpstreamFault> {
    let wrong = |message: String| UpstreamFault::Wrong { path: path.to_owned(), message };
    let bytes = files::read_bounded(path, FILE_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is not UTF-8".into()))?;
    let file: UpstreamFile =
        toml::from_str(text).map_err(|error| wrong(error.message().replace('\n', ", ")))?;
    if file.format != 1 {
        return Err(wrong(format!("it has format {}, this release reads format 1", file.format)));
    }
    Ok((file, Digest::of(&bytes)))
}

fn load(
    root: &Path,
    path: &Path,
    file: UpstreamFile,
    rows_max: u64,
    upstreams: &UpstreamLoop,
) -> Result<(Arc<dyn Predictor>, Contract), UpstreamFault> {
    let wrong =
        |message: &str| UpstreamFault::Wrong { path: path.to_owned(), message: message.into() };
    let text = files::read_bounded(&root.join(&file.contract), CONTRACT_BYTES_MAX)?;
    let contract = read_contract(&text, rows_max)?;
    let url = url_of(&file).map_err(&wrong)?;
    let is_plain = match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => false,
        (Some("http"), Some(_)) => true,
        _ => return Err(wrong("`url` must begin with `https://` and name a host")),
    };
    let credential = credential(root, path, &file)?;
    let is_loopback = url.host().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
    });
    if is_plain && credential.is_some() && !is_loopback {
        return Err(wrong("a credential is sent over `https` only, except to this machine"));
    }
    let roots = match &file.roots {
        Some(roots) => Roots::from_pem(&files::read_bounded(&root.join(roots), FILE_BYTES_MAX)?)?,
        None => Roots::System,
    };
    let rows_under = match file.rows {
        Rows::InputData => "input_data",
        Rows::Data => "data",
    };
    let kind = match file.protocol {
        Protocol::OipRest => Kind::OipRest,
        Protocol::OipGrpc => {
            let named = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            Kind::OipGrpc {
                model: file.model.unwrap_or_else(|| named.to_owned()).into(),
                version: file.model_version.unwrap_or_default().into(),
            }
        }
        Protocol::AzureMl => Kind::AzureMl { rows_under },
        Protocol::Mlflow => Kind::Mlflow,
    };
    let https = HttpsSettings {
        roots,
        deadline: Duration::from_millis(u64::from(file.deadline_ms.max(1))),
        answer_bytes_max: file.answer_bytes_max as usize,
        requests_max: file.requests_max.max(1) as usize,
        plain_http: PlainHttp::AlsoTo(file.plain_http_to),
        ..HttpsSettings::default()
    };
    let settings = UpstreamSettings {
        kind,
        url,
        authorization: credential,
        certificate: file.certificate,
        https,
    };
    let predictor = Upstream::new(settings, &contract, upstreams)?;
    Ok((predictor, contract))
}

/// The whole URL to which requests are posted.
fn url_of(file: &UpstreamFile) -> Result<Uri, &'static str> {
    let url: Uri = file.url.parse().map_err(|_| "`url` is no URL")?;
    if file.protocol != Protocol::OipGrpc {
        if file.model.is_some() || file.model_version.is_some() {
            return Err("`model` and `model_version` are for `oip-grpc`; else the URL names both");
        }
        return Ok(url);
    }
    match url.path() {
        grpc::INFER_PATH => Ok(url),
        "" | "/" => {
            let base = file.url.trim_end_matches('/');
            format!("{base}{}", grpc::INFER_PATH).parse().map_err(|_| "`url` is no URL")
        }
        _ => Err("`url` of `oip-grpc` is scheme, host and port alone"),
    }
}

/// The credential as a header that is never printed.
fn credential(
    root: &Path,
    path: &Path,
    file: &UpstreamFile,
) -> Result<Option<HeaderValue>, UpstreamFault> {
    let wrong =
        |message: &str| UpstreamFault::Wrong { path: path.to_owned(), message: message.into() };
    let secret = match (&file.credential_file, &file.credential_env) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(wrong("give `credential_file` or `credential_env`, not both"));
        }
        (Some(secret), None) => {
            let bytes =
                Zeroizing::new(files::read_private(&root.join(secret), CREDENTIAL_BYTES_MAX)?);
            let text =
                std::str::from_utf8(&bytes).map_err(|_| wrong("the credential is no text"))?;
            Zeroizing::new(text.trim().to_owned())
        }
        (None, Some(name)) => Zeroizing::new(
            std::env::var(name)
                .map_err(|_| wrong("the variable that `credential_env` names is not set"))?,
        ),
    };
    let text = Zeroizing::new(format!("Bearer {}", *secret));
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| wrong("the credential holds a line break"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
