//! `bartizan approve ID|list`: the second of two people. `bartizan break-glass`: one person, for a
//! while, for a reason.

use std::io;
use std::path::PathBuf;

use bartizan_outbound::https::{ClientIdentity, HttpsClient, HttpsSettings, Roots};
use bytes::Bytes;
use hyper::{Method, Request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Failure, Outcome, Place, Span, world};
use crate::admin::handler::Fault;
use crate::answer::Answer;
use crate::files;
use crate::owner::operation::{Approve, BreakGlass, Operation, Outcome as Performed, Verdict};
use crate::owner::reach::{Reach, ReachError};
use crate::render::time;

/// Longest PEM file, in bytes.
const PEM_BYTES_MAX: u64 = 256 * 1024;

/// Arguments of `bartizan approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What is agreed to, or `list`
    id: String,
    /// Refuse it instead
    #[arg(long, conflicts_with = "review")]
    refuse: bool,
    /// It is a broken glass: say that you have looked at what was done meanwhile
    #[arg(long)]
    review: bool,
    #[command(flatten)]
    door: Door,
}

/// Where the second person comes in: a local user never counts.
#[derive(Debug, clap::Args)]
pub(crate) struct Door {
    /// The admin listener, like https://localhost:9443
    #[arg(long, value_name = "URL", requires = "certificate")]
    server: Option<String>,
    /// PEM file with your client certificate and its key
    #[arg(long, value_name = "FILE", requires = "server")]
    certificate: Option<PathBuf>,
    /// PEM file with the authority of the server's certificate [default: the system's]
    #[arg(long, value_name = "FILE", requires = "server")]
    authority: Option<PathBuf>,
}

/// Arguments of `bartizan break-glass`.
#[derive(Debug, clap::Args)]
pub(crate) struct GlassArgs {
    /// Why: goes on record, so name no person
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long (at most 8h)
    #[arg(long = "for", value_name = "SPAN", default_value = "1h")]
    span: Span,
    #[command(flatten)]
    door: Door,
}

/// Runs `bartizan approve`.
///
/// # Errors
/// What the store's owner says.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    if args.id == "list" {
        let performed = args.door.perform(place, &Operation::ApprovalsList)?;
        let Performed::Approvals { approvals, glasses } = performed else {
            return Err(unexpected());
        };
        for one in &approvals {
            let (until, agreed) = (time::seconds(one.expires_s), one.agreed.len());
            writeln!(
                out,
                "{}\t{}\t{}\tasked by {}\tagreed {agreed}, missing {}\tuntil {until}",
                one.id, one.operation, one.body, one.requester, one.n_missing
            )?;
        }
        for one in &glasses {
            let (from, until) = (time::seconds(one.from_s), time::seconds(one.until_s));
            let (id, breaker, reason) = (&one.id, &one.breaker, &one.reason);
            writeln!(out, "{id}\tglass\t{reason}\tbroken by {breaker}\t{from} to {until}")?;
        }
        return Ok(Answer::Yes);
    }
    let verdict = match (args.refuse, args.review) {
        (true, _) => Verdict::Refuse,
        (false, true) => Verdict::Review,
        (false, false) => Verdict::Agree,
    };
    let approve = Approve { id: args.id.clone(), verdict };
    let performed = args.door.perform(place, &Operation::Approve(approve))?;
    let said = serde_json::to_string(&performed).map_err(Failure::unknown)?;
    writeln!(out, "{said}")?;
    Ok(Answer::Yes)
}

/// Runs `bartizan break-glass`.
///
/// # Errors
/// What the store's owner says.
pub(crate) fn run_glass(args: &GlassArgs, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let asked = BreakGlass { reason: args.reason.clone(), for_s: args.span.secs };
    let performed = args.door.perform(place, &Operation::BreakGlass(asked))?;
    let Performed::Glass { glass, until_s } = performed else {
        return Err(unexpected());
    };
    writeln!(out, "{glass}")?;
    eprintln!("The glass is broken until {}: everything is on record,", time::seconds(until_s));
    eprintln!("and somebody else must look at it: bartizan approve {glass} --review");
    Ok(Answer::Yes)
}

fn unexpected() -> Failure {
    Failure::unknown("the store's owner answered another question; is it of another release?")
}

impl Door {
    fn perform(&self, place: &Place, operation: &Operation) -> Result<Performed, Failure> {
        let (Some(server), Some(certificate)) = (&self.server, &self.certificate) else {
            return Ok(Reach::open(&place.environment, &world())?.perform(operation)?);
        };
        let pem = files::read_private(certificate, PEM_BYTES_MAX).map_err(Failure::unknown)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(Failure::unknown)?;
        let roots = match &self.authority {
            None => Roots::System,
            Some(path) => {
                let pem = files::read_bounded(path, PEM_BYTES_MAX).map_err(Failure::unknown)?;
                Roots::from_pem(&pem).map_err(Failure::unknown)?
            }
        };
        let client_identity = Some(ClientIdentity { chain: chain.map_err(Failure::unknown)?, key });
        let settings = HttpsSettings { roots, client_identity, ..HttpsSettings::default() };
        let client = HttpsClient::new(settings).map_err(Failure::unknown)?;
        let uri = format!("{}/admin/v1/{}", server.trim_end_matches('/'), operation.name());
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .body(Bytes::from(operation.body()?))
            .map_err(Failure::usage)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(client.send(request)).map_err(Failure::unknown)?;
        if answer.status().as_u16() == 200 {
            return Ok(serde_json::from_slice(answer.body())?);
        }
        match serde_json::from_slice::<Fault>(answer.body()) {
            Ok(fault) => Err(ReachError::Fault(fault).into()),
            Err(_) => {
                let status = answer.status();
                Err(Failure::no(format!("the server refuses this with status {status}")))
            }
        }
    }
}
