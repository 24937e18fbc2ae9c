//! `bartizan key issue|list|rotate|revoke`.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use bartizan_access::{Action, Assertion, KeyId, ModelScope, Scopes};
use bartizan_core::{ModelName, Obligations, PrincipalName};

use super::{Failure, Format, Outcome, Place, Span, now_s, world};
use crate::answer::Answer;
use crate::environment::Environment;
use crate::files;
use crate::owner::keys::rows;
use crate::owner::operation::{
    KeyIssue, KeyRevoke, KeyRotate, KeyRow, NewKeyText, Operation, Outcome as Performed,
};
use crate::owner::reach::Reach;
use crate::render::table::Table;
use crate::render::time;

/// Arguments of `bartizan key`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Make a key; its text is shown once and stored nowhere
    Issue(IssueArgs),
    /// List keys
    List {
        /// Shape of the list
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Replace a key by a new one of the same scopes
    Rotate {
        /// The key to replace
        id: KeyId,
        /// How long both are good
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        overlap: Span,
        /// Write the new key into this new file (mode 0600) instead of to stdout
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Shape of the answer
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// End a key at once
    Revoke {
        /// The key to end
        id: KeyId,
    },
}

/// Arguments of `bartizan key issue`.
#[derive(Debug, clap::Args)]
pub(crate) struct IssueArgs {
    /// Whose key it is: a person, team or machine
    #[arg(long, value_name = "NAME")]
    principal: PrincipalName,
    /// How long it lives (at most 366d)
    #[arg(long = "for", value_name = "SPAN")]
    lifetime: Span,
    /// What it may be used for: infer, describe, admin, metrics, trace [default: infer,describe]
    #[arg(long, value_name = "ACTION", value_delimiter = ',')]
    action: Vec<Action>,
    /// The models it covers [default: all]
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    model: Vec<ModelName>,
    /// The purposes it is good for [default: any]
    #[arg(long, value_name = "PURPOSE")]
    purpose: Vec<String>,
    /// What its holder may say about a request: subject, end-user, purpose, correlation-id
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    may_assert: Vec<Assertion>,
    /// The only outputs it is given [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    output: Vec<String>,
    /// Give only this many likeliest classes
    #[arg(long, value_name = "N")]
    top_k: Option<u32>,
    /// Round scores and probabilities to this many decimal digits
    #[arg(long, value_name = "N")]
    digits: Option<u8>,
    /// Give only the label
    #[arg(long)]
    label_only: bool,
    /// Write the key into this new file (mode 0600) instead of to stdout
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Shape of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs `bartizan key`.
///
/// # Errors
/// What the store's owner says.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let perform = |operation: Operation| -> Result<Performed, Failure> {
        Ok(Reach::open(&place.environment, &world())?.perform(&operation)?)
    };
    match args {
        Args::Issue(issue) => {
            check_target(issue.to.as_deref())?;
            let operation = Operation::KeyIssue(KeyIssue {
                principal: issue.principal.clone(),
                scopes: scopes(issue),
                ttl_s: issue.lifetime.secs,
            });
            show_new(&perform(operation)?, issue.to.as_deref(), issue.format, out)
        }
        Args::List { format } => {
            // A verb that only reads takes no lock: the book is replaced whole.
            let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
            let book = environment.key_book().map_err(Failure::unknown)?;
            list(&rows(&book, now_s()), *format, out)
        }
        Args::Rotate { id, overlap, to, format } => {
            check_target(to.as_deref())?;
            let rotate = KeyRotate { id: *id, overlap_s: overlap.secs };
            let performed = perform(Operation::KeyRotate(rotate))?;
            eprintln!("Key {id} ends in {overlap}, or earlier if it expires earlier.");
            show_new(&performed, to.as_deref(), *format, out)
        }
        Args::Revoke { id } => {
            let performed = perform(Operation::KeyRevoke(KeyRevoke { id: *id }))?;
            let Performed::Done { receipt } = performed else { return Err(unexpected()) };
            eprintln!("Key {id} is revoked; receipt {receipt}");
            Ok(Answer::Yes)
        }
    }
}

fn unexpected() -> Failure {
    Failure::unknown("the store's owner answered another question; is it of another release?")
}

fn scopes(issue: &IssueArgs) -> Scopes {
    let actions: BTreeSet<Action> = issue.action.iter().copied().collect();
    let usual = BTreeSet::from([Action::Infer, Action::Describe]);
    let models: BTreeSet<ModelName> = issue.model.iter().cloned().collect();
    let outputs: BTreeSet<String> = issue.output.iter().cloned().collect();
    Scopes {
        actions: if actions.is_empty() { usual } else { actions },
        models: if models.is_empty() { ModelScope::All } else { ModelScope::Some(models) },
        purposes: issue.purpose.iter().cloned().collect(),
        may_assert: issue.may_assert.iter().copied().collect(),
        obligations: Obligations {
            outputs: if outputs.is_empty() { None } else { Some(outputs) },
            top_k: issue.top_k,
            digits: issue.digits,
            label_only: issue.label_only,
            ..Obligations::default()
        },
    }
}

/// A key that cannot be handed over must not be made.
fn check_target(to: Option<&std::path::Path>) -> Result<(), Failure> {
    match to {
        Some(path) if path.exists() => {
            let text = format!("`{}` is there already; a key goes into a new file", path.display());
            Err(Failure::usage(text))
        }
        Some(_) | None => Ok(()),
    }
}

fn show_new(
    performed: &Performed,
    to: Option<&std::path::Path>,
    format: Format,
    out: &mut dyn io::Write,
) -> Outcome {
    let Performed::Key(new) = performed else { return Err(unexpected()) };
    let NewKeyText { id, principal, expires_s, key, receipt } = new;
    if let Some(path) = to {
        files::replace(path, format!("{key}\n").as_bytes()).map_err(Failure::unknown)?;
    }
    match (format, to) {
        (Format::Json, None) => writeln!(out, "{}", serde_json::to_string_pretty(new)?)?,
        (Format::Json, Some(_)) => {
            let mut shown = serde_json::to_value(new)?;
            if let Some(fields) = shown.as_object_mut() {
                fields.remove("key");
            }
            writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
        }
        (Format::Text, None) => writeln!(out, "{key}")?,
        (Format::Text, Some(_)) => {}
    }
    let place = to.map_or_else(String::new, |path| format!(" in {}", path.display()));
    eprintln!("Key {id} of {principal}{place}, good until {}.", time::seconds(*expires_s));
    eprintln!("Its text is stored nowhere else; receipt {receipt}");
    Ok(Answer::Yes)
}

fn list(keys: &[KeyRow], format: Format, out: &mut dyn io::Write) -> Outcome {
    if format == Format::Json {
        writeln!(out, "{}", serde_json::to_string_pretty(keys)?)?;
        return Ok(Answer::Yes);
    }
    let mut table = Table::new(&["ID", "STATE", "PRINCIPAL", "ENDS", "ACTIONS", "MODELS"]);
    for key in keys {
        let actions: Vec<_> = key.scopes.actions.iter().map(|action| action.as_str()).collect();
        let models = match &key.scopes.models {
            ModelScope::All => "all".to_owned(),
            ModelScope::Some(names) => {
                names.iter().map(ModelName::as_str).collect::<Vec<_>>().join(",")
            }
        };
        table.push(vec![
            key.id.to_string(),
            key.state.clone(),
            key.principal.to_string(),
            time::seconds(key.ends_s),
            actions.join(","),
            models,
        ]);
    }
    write!(out, "{table}")?;
    if keys.is_empty() {
        eprintln!("No keys yet; `bartizan key issue --principal NAME --for 90d` makes one.");
    }
    Ok(Answer::Yes)
}
