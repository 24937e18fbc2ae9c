//! `bartizan access why PRINCIPAL ACTION RESOURCE`.

use std::io;
use std::path::PathBuf;

use bartizan_access::{ModelScope, Policies, PolicyAction, Ruling, Zone};
use bartizan_core::{Clock as _, Obligations};
use bartizan_outbound::OsClock;
use serde_json::json;

use super::super::{Failure, Format, Outcome, Place, now_s};
use super::policies_of;
use super::question::{Object, Question, zone};
use crate::answer::Answer;
use crate::environment::Environment;

/// Arguments of `bartizan access why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who: a principal's name, or `local/UID`
    principal: String,
    /// What: infer, describe, register, approve, deploy ... (`bartizan access schema`)
    action: PolicyAction,
    /// On what: environment, project:NAME, MODEL or MODEL/VERSION, dataset:NAME,
    /// column:DATASET/NAME, decision:ID or decision:ID@MODEL
    #[arg(value_parser = |text: &str| text.parse::<Object>())]
    resource: Object,
    /// What for
    #[arg(long)]
    purpose: Option<String>,
    /// Groups that the principal's token names, as ISSUER/GROUP
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// How it proves itself: api-key, oidc or mtls
    #[arg(long, default_value = "api-key", value_parser = ["api-key", "oidc", "mtls"])]
    method: String,
    /// How strongly: 0 a bearer secret, 1 with a private key
    #[arg(long, default_value_t = 0)]
    strength: u8,
    /// What its key's scopes name [default: those of its live keys]
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<String>,
    /// The listener it asks
    #[arg(long, default_value = "inference")]
    listener: String,
    /// Where it comes from: loopback, private or public
    #[arg(long, default_value = "loopback", value_parser = zone)]
    zone: Zone,
    /// Other policies than the environment's: a folder, or one file
    #[arg(long, value_name = "PLACE")]
    policies: Option<PathBuf>,
    /// Shape of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs `bartizan access why`: yes where it is allowed, no where it is not.
///
/// # Errors
/// What could not be read.
pub(super) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let policies = policies_of(args.policies.as_deref(), place)?;
    let keys = keys_of(args, place);
    let mut scopes = args.scope.clone();
    if scopes.is_empty() {
        scopes = keys.iter().flat_map(|key| key.actions.clone()).collect();
    }
    let question = Question {
        principal: args.principal.clone(),
        groups: args.group.iter().map(|group| group.as_str().into()).collect(),
        method: args.method.clone(),
        strength: args.strength,
        scopes,
        action: args.action,
        object: args.resource.clone(),
        purpose: args.purpose.clone(),
        listener: args.listener.clone(),
        zone: args.zone,
        wall_ns: OsClock::new().now().wall_ns,
    };
    let ruling = question.ask(&policies);
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&as_json(&ruling))?)?,
        Format::Text => tell(args, &policies, &ruling, &keys, out)?,
    }
    Ok(if ruling.is_allowed { Answer::Yes } else { Answer::No })
}

/// A live key of the principal, as far as it matters here.
struct KeyOf {
    id: String,
    actions: Vec<String>,
    covers: bool,
}

/// The principal's live keys; none outside an environment.
fn keys_of(args: &Args, place: &Place) -> Vec<KeyOf> {
    let Ok(environment) = Environment::open(&place.environment) else { return Vec::new() };
    let Ok(book) = environment.key_book() else { return Vec::new() };
    let now_s = now_s();
    let live = book.list(now_s).filter(|info| {
        info.principal.as_str() == args.principal
            && matches!(info.state.as_str(), "live" | "retiring")
    });
    live.map(|info| {
        let of_model = match (&args.resource, &info.scopes.models) {
            (Object::Model(name, _), ModelScope::Some(names)) => names.contains(name),
            _ => true,
        };
        let acts = info.scopes.actions.contains(&args.action.scope());
        KeyOf {
            id: info.id.to_string(),
            actions: info.scopes.actions.iter().map(ToString::to_string).collect(),
            covers: acts && of_model,
        }
    })
    .collect()
}

fn tell(
    args: &Args,
    policies: &Policies,
    ruling: &Ruling,
    keys: &[KeyOf],
    out: &mut dyn io::Write,
) -> Result<(), Failure> {
    let word = if ruling.is_allowed { "allowed" } else { "denied" };
    writeln!(out, "{word}: {} {} on {:?}", args.principal, args.action, args.resource)?;
    for id in &ruling.policies {
        let Some(info) = policies.info(id) else { continue };
        let effect = if info.forbids { "forbids" } else { "permits" };
        write!(out, "  {effect}: {id} ({}:{})", info.file, info.line)?;
        match &info.reason {
            Some(reason) => writeln!(out, ": {reason}")?,
            None => writeln!(out)?,
        }
    }
    for fault in &ruling.faults {
        writeln!(out, "  a policy failed, so the answer is no: {fault}")?;
    }
    if !ruling.is_allowed && ruling.policies.is_empty() && ruling.faults.is_empty() {
        writeln!(out, "  no policy permits it, and nothing is allowed by default")?;
    }
    if !ruling.obligations.is_free() {
        writeln!(out, "  obliges: {}", obliges(&ruling.obligations))?;
    }
    for key in keys {
        let covers = if key.covers { "covers" } else { "does not cover" };
        writeln!(out, "  key {} {covers} it: {}", key.id, key.actions.join(", "))?;
    }
    Ok(())
}

/// Obligations in one line.
pub(super) fn obliges(obligations: &Obligations) -> String {
    serde_json::to_string(obligations).unwrap_or_default()
}

fn as_json(ruling: &Ruling) -> serde_json::Value {
    let ids: Vec<&str> = ruling.policies.iter().map(|id| &**id).collect();
    json!({
        "allowed": ruling.is_allowed,
        "policies": ids,
        "obligations": ruling.obligations,
        "faults": ruling.faults,
    })
}
