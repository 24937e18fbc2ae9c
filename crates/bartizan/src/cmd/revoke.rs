//! `bartizan revoke key|principal|token|certificate VALUE`: ends what is believed, on all replicas.

use bartizan_access::RevocationKind;

use super::{Failure, Outcome, Place, Span, world};
use crate::answer::Answer;
use crate::owner::operation::{Operation, Outcome as Performed, Revoke};
use crate::owner::reach::Reach;

/// Arguments of `bartizan revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What is revoked: an API key by its id, everything of a principal by its name, a token as
    /// ISSUER/JTI, a certificate by its SHA-256
    #[arg(value_enum)]
    kind: Kind,
    /// Which
    value: String,
    /// How long that is kept: at least as long as what is revoked would live (at most 400d)
    #[arg(long = "for", value_name = "SPAN", default_value = "400d")]
    kept: Span,
}

/// What is revoked.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// An API key
    Key,
    /// Everything of one principal
    Principal,
    /// One token
    Token,
    /// One client certificate
    Certificate,
}

/// Runs `bartizan revoke`.
///
/// # Errors
/// What the store's owner says.
pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let kind = match args.kind {
        Kind::Key => RevocationKind::Key,
        Kind::Principal => RevocationKind::Principal,
        Kind::Token => RevocationKind::Token,
        Kind::Certificate => RevocationKind::Certificate,
    };
    let revoke = Revoke { kind, value: args.value.clone(), for_s: args.kept.secs };
    let reach = Reach::open(&place.environment, &world())?;
    let performed = reach.perform(&Operation::Revoke(revoke))?;
    let Performed::Done { receipt } = performed else {
        return Err(Failure::unknown(
            "the store's owner answered another question; is it of another release?",
        ));
    };
    eprintln!("Revoked; receipt {receipt}");
    Ok(Answer::Yes)
}
