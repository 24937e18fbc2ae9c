//! `bartizan init DIR`: makes an environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use bartizan_core::EnvName;
use bartizan_outbound::OsEntropy;

use super::{Failure, Outcome, Span, now_s, world};
use crate::answer::Answer;
use crate::config::{Config, FILE_NAME, Stage};
use crate::environment::{Environment, MakeError, Plan};
use crate::owner::Owner;
use crate::owner::store::Act;
use crate::tls::make;

/// Arguments of `bartizan init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A new or empty folder
    dir: PathBuf,
    /// Name of the environment: part of every key, so it stays
    #[arg(long, default_value = "dev")]
    name: EnvName,
    /// What it is for; beyond `dev` nobody puts into service what he registered himself
    #[arg(long, value_enum, default_value_t)]
    stage: Stage,
    /// Name of the place where it runs
    #[arg(long, default_value = "local")]
    site: EnvName,
    /// Name of this replica
    #[arg(long, default_value = "r1")]
    replica: EnvName,
    /// Accept a disk that does not survive a loss of power; every record then says so
    #[arg(long)]
    volatile: bool,
    /// How long the certificates live (at most 398d)
    #[arg(long, value_name = "SPAN", default_value_t = Span { secs: 365 * 86_400 })]
    tls_for: Span,
    /// Address and port to answer on [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address and port of a plain listener for health and metrics [default: none]
    #[arg(long, value_name = "ADDRESS")]
    operations: Option<SocketAddr>,
    /// A first administrator, who gets a client certificate; may be given several times
    #[arg(long, value_name = "NAME", default_value = "first")]
    administrator: Vec<EnvName>,
    /// Do nothing where DIR is an environment already
    #[arg(long)]
    if_absent: bool,
    /// Only replace the certificates of the environment in DIR by new ones for this machine
    #[arg(long, conflicts_with_all = ["name", "stage", "administrator", "site", "replica", "volatile", "listen", "operations", "if_absent"])]
    renew_tls: bool,
}

/// Runs `bartizan init`.
///
/// # Errors
/// What could not be made.
pub(crate) fn run(args: &Args) -> Outcome {
    if args.tls_for.secs == 0 || make::LIFETIME_S_MAX < args.tls_for.secs {
        return Err(Failure::usage("`--tls-for` is at least 1s and at most 398d"));
    }
    if args.renew_tls {
        return renew(args);
    }
    if args.if_absent && args.dir.join(FILE_NAME).is_file() {
        // A damaged one must not pass for one that is there.
        Environment::open(&args.dir).map_err(Failure::unknown)?;
        eprintln!("{} is an environment already; nothing was changed.", args.dir.display());
        return Ok(Answer::Yes);
    }
    let mut config = Config::default();
    config.inference.address = args.listen.unwrap_or(config.inference.address);
    config.operations.address = args.operations;
    config.environment.name = args.name.clone();
    config.environment.stage = args.stage;
    config.environment.site = args.site.clone();
    config.environment.replica = args.replica.clone();
    config.ledger.volatile = args.volatile;
    let administrators: Vec<String> = args.administrator.iter().map(ToString::to_string).collect();
    let plan = Plan {
        config,
        tls_lifetime_s: args.tls_for.secs,
        now_s: now_s(),
        entropy: &OsEntropy,
        administrators: &administrators,
    };
    Environment::make(&args.dir, &plan).map_err(|error| match error {
        error @ (MakeError::NotEmpty { .. } | MakeError::Volatile { .. }) => Failure::no(error),
        error @ (MakeError::File(_) | MakeError::Tls(_) | MakeError::Config(_)) => {
            Failure::unknown(error)
        }
    })?;
    found(&args.dir)?;
    let dir = args.dir.display();
    eprintln!("Made the environment `{}` in {dir}:", args.name);
    eprintln!("  bartizan.toml  the configuration, with every default");
    eprintln!("  keys/          secrets: back them up apart from store/, never share them");
    eprintln!("  tls/           a certificate for localhost; clients trust tls/ca.pem");
    eprintln!("  store/         the ledger");
    eprintln!("  administrators/  who administers over the network: give each file to its holder,");
    eprintln!("                 then remove it here; no other such certificate can be made");
    eprintln!("Next:");
    eprintln!("  bartizan -e {dir} model add MODEL.onnx");
    eprintln!("  bartizan -e {dir} key issue --principal NAME --for 90d > key.txt");
    eprintln!("  bartizan -e {dir} serve");
    Ok(Answer::Yes)
}

/// Takes the new store for the first time, which makes sealing keys and log, and puts its making
/// on record.
fn found(dir: &std::path::Path) -> Result<(), Failure> {
    let environment = Environment::open(dir).map_err(Failure::unknown)?;
    let owner = Owner::take(environment, world()).map_err(Failure::unknown)?;
    let caller = owner.local_principal().map_err(Failure::unknown)?;
    owner.record(&caller, &Act::Init).map_err(Failure::unknown)?;
    owner.enforce_policies(&caller).map_err(Failure::unknown)?;
    Ok(())
}

fn renew(args: &Args) -> Outcome {
    let environment = Environment::open(&args.dir).map_err(Failure::unknown)?;
    let folder = environment.root().join("tls");
    make::write(&folder, now_s(), args.tls_for.secs).map_err(Failure::unknown)?;
    eprintln!("New certificates in {}, good for {}.", folder.display(), args.tls_for);
    eprintln!("Give clients the new ca.pem; a running server takes them on SIGHUP.");
    Ok(Answer::Yes)
}
