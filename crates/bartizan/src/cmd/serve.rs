//! `bartizan serve`: a lasting environment, or one model in a temporary one.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use bartizan_access::{ModelScope, Scopes};
use bartizan_core::{DiskKind, entropy};
use bartizan_ledger::{FileDisk, StoreLock};
use bartizan_outbound::OsEntropy;
use bartizan_wire::oip;
use tracing::{info, warn};

use super::model::{self, FileArgs, OptionalFileArgs};
use super::{Failure, Outcome, Place, now_s, world};
use crate::answer::Answer;
use crate::assemble::{self, Running};
use crate::config::{self, Config};
use crate::environment::{self, Environment, Plan};
use crate::log::{self, Chain};
use crate::owner::operation::{KeyIssue, Operation, Outcome as Performed};

/// How long the key and the certificates of a temporary environment live, in seconds.
const TEMPORARY_LIFETIME_S: u64 = 24 * 3_600;

/// Arguments of `bartizan serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A model to serve in a temporary environment on loopback; without it, the environment of
    /// `--environment` is served
    #[command(flatten)]
    model: OptionalFileArgs,
}

/// Runs `bartizan serve` until it is told to stop.
///
/// # Errors
/// Why nothing is served.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn Write) -> Outcome {
    match args.model.given() {
        None => serve_lasting(&place.environment),
        Some(file) => serve_one(&file, out),
    }
}

fn serve_lasting(root: &Path) -> Outcome {
    let environment = Environment::open(root).map_err(Failure::unknown)?;
    log::start(&environment.config().log);
    let name = environment.name().to_string();
    let running = assemble::start(environment, world()).map_err(Failure::unknown)?;
    for (name, version, error) in running.faults() {
        warn!(model = %name, version = %version, error = %Chain(error), "engine.model.not-loaded");
    }
    let (address, n_models) = (running.address(), running.n_models());
    eprintln!("Serving environment `{name}`: {n_models} model versions on {}", url(&running));
    let confinement = running.tell_confinement();
    info!(%confinement, "scan.child.confined");
    eprintln!("Models are scanned before they are loaded, {confinement}.");
    eprintln!("Stop with Ctrl-C or SIGTERM; SIGHUP reads the certificates again.");
    if !running.owner().is_anchored() {
        eprintln!(
            "The ledger is unanchored: nothing outside its store remembers how long it is \
             (`ledger.anchor`, witnesses)."
        );
    }
    if !address.ip().is_loopback() {
        eprintln!("This address can be reached from other machines.");
    }
    until_told(&running)?;
    eprintln!("Stopping: open requests finish first.");
    running.stop();
    Ok(Answer::Yes)
}

/// Where a server answers.
pub(crate) fn url(running: &Running) -> String {
    let tls = running.owner().environment().config().inference.tls;
    let scheme = if tls == config::Tls::On { "https" } else { "http" };
    format!("{scheme}://{}", running.address())
}

/// Waits for a signal to stop, reading the certificates again on SIGHUP.
///
/// # Errors
/// Where signals cannot be waited for.
pub(crate) fn until_told(running: &Running) -> Result<(), Failure> {
    until_stopped(&|| running.reload())
}

/// Waits for a signal to stop, calling `reload` on SIGHUP.
///
/// # Errors
/// Where signals cannot be waited for.
pub(crate) fn until_stopped(reload: &dyn Fn()) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => reload(),
            }
        }
    })
}

/// A folder that goes with the process.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            warn!(folder = %self.0.display(), %error, "environment.folder.left");
        }
    }
}

fn serve_one(file: &FileArgs, out: &mut dyn Write) -> Outcome {
    let name = model::name_of(file.path()).map_err(Failure::usage)?;
    let random = bartizan_core::digest::hex(&entropy::random::<6>(&OsEntropy));
    let root = std::env::temp_dir().join(format!("bartizan-{random}"));
    let temporary = Temporary(root.clone());
    let environment = make_temporary(&root, free_loopback_port()?)?;
    log::start(&environment.config().log);
    let is_volatile = environment.config().ledger.volatile;
    // Before anything listens: what is wrong with the file is said first.
    let row = model::add(file, name.clone(), None, &root)?;
    let running = assemble::start(environment, world()).map_err(Failure::unknown)?;
    let key = issue_key(&running)?;
    let key_file = root.join("key.txt");
    crate::files::replace(&key_file, key.as_bytes()).map_err(Failure::unknown)?;
    let url = url(&running);
    eprintln!("Serving {} version {} on {url} until Ctrl-C.", row.name, row.version);
    eprintln!();
    eprintln!("This environment is temporary: it listens on loopback only, and its folder");
    eprintln!("  {}", root.display());
    eprintln!("goes when it stops. Gates:");
    eprintln!("  access   on: an API key that ends in 24 hours");
    eprintln!("  request  contract only; no profile was fitted");
    eprintln!("  model    on: scanned before it was loaded, and cleared; nobody signed it");
    eprintln!("           ({})", running.owner().scan_confinement());
    eprintln!("  data     off: nothing is known of its training data");
    eprintln!("  network  off: loopback needs no plan");
    eprintln!(
        "  ledger   on: every decision is recorded before it is answered{}",
        if is_volatile { "; volatile: this disk forgets when the power goes" } else { "" }
    );
    eprintln!();
    eprintln!("Key (also in key.txt there):");
    writeln!(out, "{key}")?;
    out.flush()?;
    eprintln!();
    eprintln!("Ask it what it takes:");
    eprintln!(
        "  curl --cacert {0}/tls/ca.pem -H \"Authorization: Bearer $(cat {0}/key.txt)\" \\",
        root.display()
    );
    eprintln!("    {url}{}", oip::model_path(&name));
    eprintln!("Put it into a lasting environment:");
    eprintln!("  bartizan init my-environment");
    eprintln!("  bartizan -e my-environment model add {}", file.path().display());
    eprintln!("  bartizan -e my-environment serve");
    until_told(&running)?;
    eprintln!("Stopping: open requests finish first.");
    running.stop();
    drop(temporary);
    Ok(Answer::Yes)
}

/// The usual port where it is free, else any.
///
/// # Errors
/// What the system says.
pub(crate) fn free_loopback_port() -> Result<SocketAddr, Failure> {
    let usual = config::Inference::default().address;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let probe = TcpListener::bind(usual).or_else(|_| TcpListener::bind(any))?;
    Ok(probe.local_addr()?)
}

/// Makes an environment that is not meant to last, on whatever disk there is.
///
/// # Errors
/// What cannot be made.
pub(crate) fn make_temporary(root: &Path, address: SocketAddr) -> Result<Environment, Failure> {
    crate::files::make_private_dir(root).map_err(Failure::unknown)?;
    let kind = environment::disk_kind(root).map_err(Failure::unknown)?;
    let mut config = Config::default();
    config.environment.name = "demo".parse().map_err(Failure::unknown)?;
    config.environment.temporary = true;
    config.inference.address = address;
    config.ledger.volatile = matches!(kind, DiskKind::Volatile(_));
    config.log.level = config::LogLevel::Warn;
    let plan = Plan {
        config,
        tls_lifetime_s: TEMPORARY_LIFETIME_S,
        now_s: now_s(),
        entropy: &OsEntropy,
        administrators: &[],
    };
    Environment::make(root, &plan).map_err(Failure::unknown)?;
    Environment::open(root).map_err(Failure::unknown)
}

/// The store's lock, where nobody holds it.
pub(crate) fn try_lock(environment: &Environment) -> Option<StoreLock> {
    FileDisk::open(environment.store_dir()).ok()?.lock().ok()
}

/// A key for every model of a temporary environment.
///
/// # Errors
/// What the owner says.
pub(crate) fn issue_key(running: &Running) -> Result<String, Failure> {
    issue(running, "demo", Scopes::inference(ModelScope::All), TEMPORARY_LIFETIME_S)
}

/// A key of `principal` for `scopes`, good for `ttl_s` seconds.
///
/// # Errors
/// What the owner says.
pub(crate) fn issue(
    running: &Running,
    principal: &str,
    scopes: Scopes,
    ttl_s: u64,
) -> Result<String, Failure> {
    let owner = running.owner();
    let caller = owner.local_principal().map_err(Failure::unknown)?;
    let principal = principal.parse().map_err(Failure::unknown)?;
    let operation = Operation::KeyIssue(KeyIssue { principal, scopes, ttl_s });
    let performed = owner.perform(&caller, &operation).map_err(Failure::unknown)?;
    let Performed::Key(made) = performed else {
        return Err(Failure::unknown("the owner made no key"));
    };
    Ok(made.key.to_string())
}
