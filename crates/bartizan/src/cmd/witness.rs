//! `bartizan witness`: cosigns the checkpoints of other people's logs.
//!
//! A folder of its own holds everything: `witness.key` (its keys, 0600), `policy` (the logs that
//! it knows, in the form of C2SP `tlog-policy`), `state/` (what it has cosigned). It needs no
//! environment and should run where the logs' operator cannot reach it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_gateway::{WitnessDoor, WitnessServer};
use bartizan_ledger::tlog::{KeyKind, NoteSigner, Policy};
use bartizan_ledger::witness::State;
use bartizan_ledger::{FileDisk, LockError, StoreLock};
use bartizan_outbound::{OsClock, OsEntropy};
use zeroize::Zeroizing;

use super::{Failure, Outcome, now_s};
use crate::answer::Answer;
use crate::config;
use crate::files::{self, failed};
use crate::log;
use crate::tls::load;

/// Longest policy file, in bytes.
const POLICY_BYTES_MAX: u64 = 1 << 20;
/// Longest key file, in bytes.
const KEY_BYTES_MAX: u64 = 4_096;
/// The port that is used where none is said.
const PORT: u16 = 8447;

const POLICY: &str = "\
# Logs whose checkpoints this witness cosigns, one `log <verifier key>` a line: what
# `bartizan ledger policy` prints in the log's environment. Restart the witness after a change.
quorum none
";

/// Arguments of `bartizan witness`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Make a witness: a folder with a key and an empty list of logs
    Init {
        /// The folder; must be empty or absent
        dir: PathBuf,
        /// The name that it signs under: a host and a path that are yours, without a scheme
        #[arg(long)]
        name: String,
        /// Sign with ML-DSA-44 as well
        #[arg(long)]
        ml_dsa_44: bool,
    },
    /// Print its verifier keys, for the policies of those who rely on it
    Key {
        /// The witness's folder
        dir: PathBuf,
    },
    /// Say which logs it knows and the newest size that it has cosigned of each
    Status {
        /// The witness's folder
        dir: PathBuf,
    },
    /// Answer `POST /add-checkpoint` until it is told to stop
    Serve {
        /// The witness's folder
        dir: PathBuf,
        /// Where to listen
        #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))]
        address: SocketAddr,
        /// PEM file with its certificate chain; without it, it speaks plain HTTP, on loopback only
        #[arg(long, requires = "key")]
        certificate: Option<PathBuf>,
        /// PEM file with the certificate's private key
        #[arg(long, requires = "certificate")]
        key: Option<PathBuf>,
    },
}

/// Runs `bartizan witness`.
///
/// # Errors
/// What cannot be made, read or served.
pub(crate) fn run(args: &Args, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Init { dir, name, ml_dsa_44 } => init(dir, name, *ml_dsa_44, out),
        Args::Key { dir } => {
            let signers = Folder(dir).signers()?;
            signers.iter().try_for_each(|signer| writeln!(out, "{}", signer.public()))?;
            Ok(Answer::Yes)
        }
        Args::Status { dir } => status(dir, out),
        Args::Serve { dir, address, certificate, key } => {
            serve(dir, *address, certificate.as_deref().zip(key.as_deref()))
        }
    }
}

/// Where what is in a witness's folder.
struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn key_file(&self) -> PathBuf {
        self.0.join("witness.key")
    }

    fn policy_file(&self) -> PathBuf {
        self.0.join("policy")
    }

    fn state_dir(&self) -> PathBuf {
        self.0.join("state")
    }

    fn signers(&self) -> Result<Vec<NoteSigner>, Failure> {
        let path = self.key_file();
        let bytes = files::read_private(&path, KEY_BYTES_MAX).map_err(Failure::unknown)?;
        let bytes = Zeroizing::new(bytes);
        let no_key = || Failure::unknown(format!("`{}` holds no signing keys", path.display()));
        let text = std::str::from_utf8(&bytes).map_err(|_| no_key())?;
        let signers: Result<Vec<NoteSigner>, _> = text.lines().map(str::parse).collect();
        let signers = signers.map_err(|_| no_key())?;
        if signers.is_empty() { Err(no_key()) } else { Ok(signers) }
    }

    fn policy(&self) -> Result<Policy, Failure> {
        let path = self.policy_file();
        let bytes = files::read_bounded(&path, POLICY_BYTES_MAX).map_err(Failure::unknown)?;
        Policy::parse(&bytes)
            .map_err(|error| Failure::unknown(format!("`{}`: {error}", path.display())))
    }

    /// The witness, and the lock that makes it the only one on its folder.
    fn state(&self) -> Result<(State, StoreLock), Failure> {
        let path = self.state_dir();
        let disk = FileDisk::create(&path).map_err(failed("open", &path));
        let disk = disk.map_err(Failure::unknown)?;
        let lock = disk.lock().map_err(|error| match error {
            LockError::Held { pid } => Failure::unknown(format!(
                "another process{} serves this witness; stop it first",
                pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
            )),
            error @ LockError::Io(_) => Failure::unknown(error),
        })?;
        let logs = self.policy()?.logs().to_vec();
        Ok((State::new(Arc::new(disk), logs, self.signers()?), lock))
    }
}

fn init(dir: &Path, name: &str, ml_dsa_44: bool, out: &mut dyn io::Write) -> Outcome {
    files::make_private_dir(dir).map_err(Failure::unknown)?;
    let entries = fs::read_dir(dir).map_err(failed("read", dir)).map_err(Failure::unknown)?;
    if entries.count() != 0 {
        let text = format!("`{}` is not empty; choose a new folder", dir.display());
        return Err(Failure::unknown(text));
    }
    let folder = Folder(dir);
    let mut kinds = vec![KeyKind::CosignatureV1];
    kinds.extend(ml_dsa_44.then_some(KeyKind::MlDsa44));
    let mut text = Zeroizing::new(String::new());
    for kind in kinds {
        let signer = NoteSigner::random(name, kind, &OsEntropy).map_err(|_| {
            Failure::usage(format!(
                "`{name}` is no name of a key: no space, no `+`, 1 to 255 bytes"
            ))
        })?;
        text.push_str(&signer.store());
        text.push('\n');
        writeln!(out, "{}", signer.public())?;
    }
    files::make_private_dir(&folder.state_dir()).map_err(Failure::unknown)?;
    files::replace(&folder.policy_file(), POLICY.as_bytes()).map_err(Failure::unknown)?;
    // Last, so that a half-made one is not served.
    files::replace(&folder.key_file(), text.as_bytes()).map_err(Failure::unknown)?;
    eprintln!("Made a witness in `{}`. The line above is its verifier key.", dir.display());
    eprintln!("Name the logs that it is to know in `{}`.", folder.policy_file().display());
    Ok(Answer::Yes)
}

fn status(dir: &Path, out: &mut dyn io::Write) -> Outcome {
    let folder = Folder(dir);
    let path = folder.state_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    let state = State::new(Arc::new(disk), folder.policy()?.logs().to_vec(), Vec::new());
    let mut answer = Answer::Yes;
    for origin in state.origins() {
        match state.newest(origin) {
            Ok(Some(seen)) => writeln!(out, "{}\t{origin}", seen.size)?,
            Ok(None) => writeln!(out, "-\t{origin}")?,
            Err(error) => {
                eprintln!("{origin}: {error}");
                answer = Answer::Unknown;
            }
        }
    }
    Ok(answer)
}

fn serve(dir: &Path, address: SocketAddr, tls: Option<(&Path, &Path)>) -> Outcome {
    log::start(&config::Log::default());
    if tls.is_none() && !config::check::is_loopback(address) {
        return Err(Failure::usage(format!(
            "{address} is reachable from other machines; give `--certificate` and `--key`, or \
             listen on 127.0.0.1"
        )));
    }
    let tls = match tls {
        Some((certificate, key)) => {
            Some(load::server_config(certificate, key, now_s(), None).map_err(Failure::unknown)?)
        }
        None => None,
    };
    let (state, _lock) = Folder(dir).state()?;
    let n_logs = state.origins().count();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let clock = Arc::new(OsClock::new());
    let door = WitnessDoor { address, tls, state: Arc::new(state), clock };
    let server = WitnessServer::start(door)
        .map_err(|error| Failure::unknown(format!("cannot listen on {address}: {error}")))?;
    eprintln!("Witness of {n_logs} logs on {scheme}://{}", server.address());
    eprintln!("Stop with Ctrl-C or SIGTERM.");
    super::serve::until_stopped(&|| ())?;
    server.stop();
    Ok(Answer::Yes)
}

#[cfg(test)]
mod tests;
