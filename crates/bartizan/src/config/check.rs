//! What shape alone cannot say: contradictions between values, and with the files they name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::read::{Parsed, Problem};
use super::{Config, FILE_BYTES_MAX, FILE_NAME, Inference, LedgerDisk, Tls};
use crate::files;
use crate::log::Chain;
use crate::tls::load;

/// Configuration of the environment in `root`, with all that is wrong, in the file's order.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read, or it has problems.
pub(crate) fn load_file(path: &Path) -> Result<Parsed, ConfigError> {
    let bytes = files::read_bounded(path, FILE_BYTES_MAX).map_err(ConfigError::Read)?;
    let text = String::from_utf8(bytes).map_err(|fault| {
        let at = fault.utf8_error().valid_up_to();
        let message = format!("byte {at} is not UTF-8; save the file as UTF-8");
        ConfigError::Wrong {
            path: path.to_owned(),
            problems: vec![Problem { at: None, key: String::new(), message }],
        }
    })?;
    let wrong = |problems| ConfigError::Wrong { path: path.to_owned(), problems };
    let parsed = super::read::parse(&text).map_err(wrong)?;
    let problems = contradictions(&parsed);
    if problems.is_empty() { Ok(parsed) } else { Err(wrong(problems)) }
}

/// Where the configuration of `place` is: the file itself, or [`FILE_NAME`] in the folder.
pub(crate) fn file_of(place: &Path) -> PathBuf {
    if place.is_dir() { place.join(FILE_NAME) } else { place.to_owned() }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// We could not look.
    #[error("cannot read the configuration")]
    Read(#[source] files::FileError),
    /// We looked.
    #[error("`{}` has {} problem(s): {}", path.display(), problems.len(), listed(problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// Contradictions between values; see K2 and K3.
pub(crate) fn contradictions(parsed: &Parsed) -> Vec<Problem> {
    let config = &parsed.config;
    let mut found = Vec::new();
    let Inference { address, tls, .. } = config.inference;
    if !is_loopback(address) && tls == Tls::Off {
        let message = format!(
            "{address} is reachable from other machines, where `tls = \"off\"` is refused; \
             set `tls = \"on\"` or listen on 127.0.0.1"
        );
        found.push(parsed.problem("inference.tls", message));
    }
    if config.admin.address.is_some() && tls == Tls::Off {
        let message = "the admin listener always speaks TLS, with the certificate of \
                       `[inference]`; set `inference.tls = \"on\"` or leave this out (the admin \
                       socket in the store's folder is always there)";
        found.push(parsed.problem("admin.address", message));
    }
    if let (Some(address), log_tls) = (config.log_reading.address, config.log_reading.tls) {
        if log_tls == Tls::Off && !is_loopback(address) {
            let message = format!(
                "{address} is reachable from other machines, where `tls = \"off\"` is refused; \
                 set `tls = \"on\"`, or listen on 127.0.0.1 behind a proxy that speaks TLS"
            );
            found.push(parsed.problem("log_reading.tls", message));
        }
        if log_tls == Tls::On && tls == Tls::Off {
            let message = "the log's listener speaks TLS with the certificate of `[inference]`; \
                           set `inference.tls = \"on\"`, or `log_reading.tls = \"off\"` on loopback";
            found.push(parsed.problem("log_reading.tls", message));
        }
    }
    let listeners = listeners(config);
    for (key, address) in &listeners {
        if config.environment.temporary && !is_loopback(*address) {
            let message = format!(
                "a temporary environment never listens beyond loopback, {address} is; make a \
                 lasting one with `bartizan init DIR`, or listen on 127.0.0.1"
            );
            found.push(parsed.problem(key, message));
        }
    }
    for (idx, (key, address)) in listeners.iter().enumerate() {
        if let Some((other, _)) = listeners.iter().take(idx).find(|one| collide(one.1, *address)) {
            let message =
                format!("{address} is taken by `{other}`; give each listener its own port");
            found.push(parsed.problem(key, message));
        }
    }
    if let Err(message) = config.score.model() {
        found.push(parsed.problem("score.model", message));
    }
    found.extend(ledger(parsed));
    found.extend(outside(parsed));
    found.extend(super::identity::contradictions(parsed));
    found
}

fn outside(parsed: &Parsed) -> Vec<Problem> {
    let (ack, stamps) = (&parsed.config.ack, &parsed.config.time_stamps);
    let mut found = Vec::new();
    if !stamps.url.is_empty() && stamps.roots.is_empty() {
        let message = "a time stamp is believed only by a root: name the PEM file of the \
                       authority's";
        found.push(parsed.problem("time_stamps.roots", message));
    }
    let asks = ack.default == super::Ack::Witnessed || !ack.witnessed.is_empty();
    if asks && parsed.config.witnesses.policy.is_empty() {
        let message = "`[ack]` asks for `witnessed`, which needs a policy that names witnesses";
        found.push(parsed.problem("witnesses.policy", message));
    }
    let lists = [
        ("ack.durable", &ack.durable),
        ("ack.published", &ack.published),
        ("ack.witnessed", &ack.witnessed),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (key, name) in lists.iter().flat_map(|(key, names)| names.iter().map(move |n| (key, n))) {
        if name.parse::<bartizan_core::ModelName>().is_err() {
            found.push(parsed.problem(key, format!("`{name}` is no name of a model")));
        } else if !seen.insert(name) {
            let message = format!("`{name}` stands in these lists twice; keep one");
            found.push(parsed.problem(key, message));
        }
    }
    found
}

fn ledger(parsed: &Parsed) -> Vec<Problem> {
    let (ledger, limits) = (&parsed.config.ledger, &parsed.config.limits);
    let mut found = Vec::new();
    if ledger.disk == LedgerDisk::Memory && !ledger.volatile {
        let message = "`memory` keeps no record beyond the process; it needs \
                       `ledger.volatile = true`, which every record then says";
        found.push(parsed.problem("ledger.disk", message));
    }
    // One request's sealed part holds its body; a queue that cannot take one can take none.
    if ledger.queue_bytes_max < limits.body_bytes_max {
        let message = format!(
            "must be at least `limits.body_bytes_max` ({} bytes), or the longest request could \
             never be recorded",
            limits.body_bytes_max
        );
        found.push(parsed.problem("ledger.queue_bytes_max", message));
    }
    found
}

fn listeners(config: &Config) -> Vec<(&'static str, SocketAddr)> {
    let all = [
        ("inference.address", Some(config.inference.address)),
        ("admin.address", config.admin.address),
        ("operations.address", config.operations.address),
        ("log_reading.address", config.log_reading.address),
    ];
    all.into_iter().filter_map(|(key, address)| Some((key, address?))).collect()
}

/// Whether only this machine reaches `address`.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || any)
}

/// What is wrong with the certificates and keys that `parsed` names, relative to `root`, at
/// `now_s` seconds since the Unix epoch.
pub(crate) fn certificates(parsed: &Parsed, root: &Path, now_s: u64) -> Vec<Problem> {
    let Inference { tls, certificate, key, .. } = &parsed.config.inference;
    if *tls == Tls::Off {
        return Vec::new();
    }
    match load::certified_key(&root.join(certificate), &root.join(key), now_s) {
        Ok(_) => Vec::new(),
        Err(fault) => {
            let field =
                if fault.is_about_key() { "inference.key" } else { "inference.certificate" };
            vec![parsed.problem(field, Chain(&fault).to_string())]
        }
    }
}
