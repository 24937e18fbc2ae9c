//! `bartizan access diff OLD NEW`: what a change of policies changes.
//!
//! Two looks. Recorded requests of the last days are asked again of both sets. And the questions
//! that the schema and both files of projects can name are enumerated: every principal that one of
//! them names and a stranger, every action, every resource, in each class of circumstances. That is
//! a search for a counterexample, not a proof: policies over numbers (times, versions) or names that
//! no file lists may differ where it does not look, so the answer says `not proved`.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use bartizan_access::{DEFAULT_PROJECT, Policies, PolicyAction, Zone};
use bartizan_core::{ModelName, ModelVersion};

use super::super::{Failure, Outcome, Place};
use super::history::{self, Asked};
use super::policies_of;
use super::question::{Object, Question};
use crate::answer::Answer;
use crate::environment::Environment;

/// Most differences that are shown of each kind.
const SHOWN_MAX: usize = 50;
/// Most questions that are enumerated.
const QUESTIONS_MAX: usize = 4_000_000;
/// A name that no file of projects has.
const STRANGER: &str = "somebody/else";
/// A model that no project has claimed.
const UNCLAIMED: &str = "nobodys-model";

/// Arguments of `bartizan access diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The policies as they are: a folder, or one file
    old: PathBuf,
    /// The policies as they would be
    new: PathBuf,
    /// How far back recorded requests are asked again
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    days: u32,
}

/// Runs `bartizan access diff`: yes where NEW was found to grant nothing that OLD does not and to
/// change no recorded request, no where it does.
///
/// # Errors
/// What could not be read.
pub(super) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let old = policies_of(Some(&args.old), place)?;
    let new = policies_of(Some(&args.new), place)?;
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let history = history::read(&environment, args.days)?;
    let mut n_changed = 0;
    for asked in &history.asked {
        let Some(change) = changed(asked, &old, &new) else { continue };
        n_changed += asked.n_requests;
        let Asked { principal, model, n_requests, .. } = asked;
        let purpose = asked.purpose.as_deref().map(|text| format!(" for {text}"));
        let purpose = purpose.unwrap_or_default();
        writeln!(out, "{n_requests} requests of {principal} to {model}{purpose}: {change}")?;
    }
    writeln!(
        out,
        "recorded: {n_changed} of {} requests of the last {} days would be answered differently",
        history.n_requests, args.days
    )?;
    if 0 < history.n_unknown {
        writeln!(
            out,
            "  {} requests could not be asked again: tokens and certificates, whose groups are not \
             on record, and keys that are gone",
            history.n_unknown
        )?;
    }
    let found = enumerate(&old, &new, &purposes(&history.asked));
    for text in found.granted.iter().take(SHOWN_MAX) {
        writeln!(out, "NEW grants: {text}")?;
    }
    if SHOWN_MAX < found.granted.len() {
        writeln!(out, "  and {} more", found.granted.len() - SHOWN_MAX)?;
    }
    let (n_granted, n_taken) = (found.granted.len(), found.n_taken);
    let cut = if found.is_cut { ", where the search was cut off" } else { "" };
    writeln!(
        out,
        "enumerated: {} questions{cut}; NEW grants {n_granted} that OLD does not, and takes {n_taken}",
        found.n_questions
    )?;
    if n_granted == 0 {
        writeln!(out, "not proved: no solver; no counterexample was found by enumeration")?;
    }
    Ok(if n_granted == 0 && n_changed == 0 { Answer::Yes } else { Answer::No })
}

/// How a recorded question's answer changes; from where it came is not on record, so each zone is
/// tried.
fn changed(asked: &Asked, old: &Policies, new: &Policies) -> Option<String> {
    for zone in ZONES {
        let question = asked.question(zone);
        let (before, after) = (question.ask(old), question.ask(new));
        let by = |ruling: &bartizan_access::Ruling| match &ruling.policies[..] {
            [] => "no policy permits it".to_owned(),
            policies => policies.join(", "),
        };
        if before.is_allowed != after.is_allowed {
            let word = |is_allowed| if is_allowed { "allowed" } else { "denied" };
            let (was, is) = (word(before.is_allowed), word(after.is_allowed));
            return Some(format!("{was} ({}) -> {is} ({})", by(&before), by(&after)));
        }
        if before.is_allowed && before.obligations != after.obligations {
            let (was, is) = (&before.obligations, &after.obligations);
            let text = super::why::obliges;
            return Some(format!("obliged to {} -> {}", text(was), text(is)));
        }
    }
    None
}

const ZONES: [Zone; 3] = [Zone::Loopback, Zone::Private, Zone::Public];

fn purposes(asked: &[Asked]) -> BTreeSet<Option<String>> {
    asked.iter().map(|one| one.purpose.clone()).chain([None]).collect()
}

#[derive(Default)]
struct Found {
    granted: Vec<String>,
    n_taken: u64,
    n_questions: usize,
    is_cut: bool,
}

fn enumerate(old: &Policies, new: &Policies, purposes: &BTreeSet<Option<String>>) -> Found {
    let mut found = Found::default();
    let mut people: BTreeSet<&str> = BTreeSet::from([STRANGER, "local/0"]);
    people.extend(old.projects().principals());
    people.extend(new.projects().principals());
    let objects = objects(old, new);
    for principal in people {
        for action in PolicyAction::ALL {
            for object in &objects {
                for class in classes(*action, purposes) {
                    if QUESTIONS_MAX <= found.n_questions {
                        found.is_cut = true;
                        return found;
                    }
                    found.n_questions += 1;
                    let question = class.question(principal, *action, object);
                    let (before, after) = (question.ask_anew(old), question.ask_anew(new));
                    // The action is not about such a thing, whatever the circumstances.
                    if !before.faults.is_empty() && !after.faults.is_empty() {
                        break;
                    }
                    let (before, after) = (before.is_allowed, after.is_allowed);
                    if !before && after {
                        let text = format!("{principal} {action} {object:?} ({class})");
                        found.granted.push(text);
                    }
                    found.n_taken += u64::from(before && !after);
                }
            }
        }
    }
    found
}

/// Every resource that one of the sets can name, one of each kind that none does, and what lies
/// in each.
fn objects(old: &Policies, new: &Policies) -> Vec<Object> {
    let (mut models, mut datasets) = (BTreeSet::new(), BTreeSet::new());
    let mut projects = BTreeSet::from([DEFAULT_PROJECT.to_owned()]);
    models.extend(UNCLAIMED.parse::<ModelName>().ok());
    for (name, project) in old.projects().all().chain(new.projects().all()) {
        projects.insert(name.to_owned());
        models.extend(project.models.iter().cloned());
        datasets.extend(project.datasets.iter().map(ToString::to_string));
    }
    let mut all = vec![Object::Environment];
    all.extend(projects.into_iter().map(Object::Project));
    all.extend(datasets.into_iter().map(Object::Dataset));
    for model in models {
        all.push(Object::Decision { id: "d".into(), model: Some(model.clone()) });
        all.push(Object::Model(model, Some(ModelVersion::FIRST)));
    }
    all
}

/// A class of circumstances that policies can tell apart by a word.
struct Class {
    method: &'static str,
    strength: u8,
    scoped: bool,
    zone: Zone,
    purpose: Option<String>,
}

impl Class {
    fn question(&self, principal: &str, action: PolicyAction, object: &Object) -> Question {
        let scopes = if self.scoped { vec![action.scope().to_string()] } else { Vec::new() };
        let listener = if principal.starts_with("local/") { "socket" } else { "inference" };
        Question {
            principal: principal.to_owned(),
            groups: Vec::new(),
            method: self.method.to_owned(),
            strength: self.strength,
            scopes,
            action,
            object: object.clone(),
            purpose: self.purpose.clone(),
            listener: listener.to_owned(),
            zone: self.zone,
            wall_ns: 0,
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scoped = if self.scoped { "scoped" } else { "unscoped" };
        let purpose = self.purpose.as_deref().unwrap_or("no purpose");
        write!(f, "{}, {scoped}, {}, {purpose}", self.method, self.zone.as_str())
    }
}

fn classes(
    action: PolicyAction,
    purposes: &BTreeSet<Option<String>>,
) -> impl Iterator<Item = Class> + '_ {
    let with_purpose = action == PolicyAction::Infer;
    let methods = [("api-key", 0), ("oidc", 0), ("oidc", 1), ("mtls", 2)];
    purposes.iter().filter(move |purpose| with_purpose || purpose.is_none()).flat_map(
        move |purpose| {
            methods.into_iter().flat_map(move |(method, strength)| {
                [false, true].into_iter().flat_map(move |scoped| {
                    ZONES.into_iter().map(move |zone| Class {
                        method,
                        strength,
                        scoped,
                        zone,
                        purpose: purpose.clone(),
                    })
                })
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use bartizan_access::{PolicyFile, starter};

    use super::*;

    fn policies(extra: &str, projects: &str) -> Policies {
        let [first, _] = starter();
        let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
        let files = [first, file("own.cedar", extra)];
        Policies::new("dev".parse().unwrap(), &files, Some(&file("projects.toml", projects)))
            .unwrap()
    }

    /// Both sides: a forbid grants nothing and takes something; a permit is found with who, what
    /// and on what; the same set twice differs in nothing.
    #[test]
    fn what_a_change_grants_is_found_and_named() {
        let projects = "[projects.p]\nmodels = [\"credit\"]\n";
        let old = policies("", projects);
        let none = BTreeSet::from([None]);
        let same = enumerate(&old, &policies("", projects), &none);
        assert_eq!((same.granted.len(), same.n_taken, same.is_cut), (0, 0, false));
        let less = policies(
            "@id(\"x\") forbid (principal, action == Action::\"describe\", resource);",
            projects,
        );
        let found = enumerate(&old, &less, &none);
        assert!(found.granted.is_empty() && 0 < found.n_taken);
        let staffed = format!("{projects}[projects.p.roles]\nworkload = [\"svc\"]\n");
        let found = enumerate(&old, &policies("", &staffed), &none);
        assert!(found.granted.iter().all(|text| text.starts_with("svc ")), "{:?}", found.granted);
        let expected = |text: &String| text.contains("svc infer") && text.contains("credit");
        assert!(found.granted.iter().any(expected), "{:?}", found.granted);
        let purpose = BTreeSet::from([None, Some("claims".to_owned())]);
        let more = "@id(\"x\") permit (principal, action == Action::\"infer\", resource) \
                    when { context has purpose && context.purpose == \"claims\" };";
        let found = enumerate(&old, &policies(more, projects), &purpose);
        assert!(!found.granted.is_empty());
        assert!(found.granted.iter().all(|text| text.contains("claims")), "{:?}", found.granted);
    }
}
