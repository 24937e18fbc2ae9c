//! `bartizan access test FILE`: policies against expected answers, for CI.

use std::io;
use std::path::PathBuf;

use bartizan_access::Zone;
use serde::Deserialize;

use super::super::{Failure, Outcome, Place};
use super::policies_of;
use super::question::{Object, Question, zone};
use crate::answer::Answer;
use crate::files;

/// Longest file of cases, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Arguments of `bartizan access test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A TOML file of `[[case]]` with `principal`, `action`, `resource` and `expect`
    file: PathBuf,
    /// Other policies than the environment's: a folder, or one file
    #[arg(long, value_name = "PLACE")]
    policies: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    principal: String,
    action: String,
    resource: String,
    expect: Expect,
    /// The policy that must be among those that decide.
    by: Option<String>,
    purpose: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default = "api_key")]
    method: String,
    #[serde(default)]
    strength: u8,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default = "inference")]
    listener: String,
    #[serde(default = "loopback")]
    zone: String,
    /// Hours since Monday 1970-01-05T00:00Z: 0 where the time does not matter.
    #[serde(default)]
    hour: u64,
}

fn api_key() -> String {
    "api-key".into()
}

fn inference() -> String {
    "inference".into()
}

fn loopback() -> String {
    Zone::Loopback.as_str().into()
}

/// 1970-01-05, a Monday, in hours since the Unix epoch.
const FIRST_MONDAY_H: u64 = 4 * 24;
const NS_PER_H: u64 = 3_600 * 1_000_000_000;

impl Case {
    fn question(&self) -> Result<Question, String> {
        Ok(Question {
            principal: self.principal.clone(),
            groups: self.groups.iter().map(|group| group.as_str().into()).collect(),
            method: self.method.clone(),
            strength: self.strength,
            scopes: self.scopes.clone(),
            action: self.action.parse().map_err(|error| format!("`action`: {error}"))?,
            object: self
                .resource
                .parse::<Object>()
                .map_err(|error| format!("`resource`: {error}"))?,
            purpose: self.purpose.clone(),
            listener: self.listener.clone(),
            zone: zone(&self.zone)?,
            wall_ns: self.hour.saturating_add(FIRST_MONDAY_H).saturating_mul(NS_PER_H),
        })
    }
}

/// Runs `bartizan access test`: yes where every case is as expected, no where one is not.
///
/// # Errors
/// What could not be read or makes no sense.
pub(super) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let bytes = files::read_bounded(&args.file, FILE_BYTES_MAX).map_err(Failure::unknown)?;
    let text = String::from_utf8(bytes).map_err(Failure::unknown)?;
    let name = args.file.display();
    let unreadable = |error: toml::de::Error| Failure::unknown(format!("{name}: {error}"));
    let file: File = toml::from_str(&text).map_err(unreadable)?;
    if file.case.is_empty() {
        return Err(Failure::unknown(format!(
            "{name}: no `[[case]]` in it, so nothing was tested"
        )));
    }
    let policies = policies_of(args.policies.as_deref(), place)?;
    let mut n_wrong = 0;
    for (n, case) in (1..).zip(&file.case) {
        let question = case
            .question()
            .map_err(|error| Failure::unknown(format!("{name}, case {n}: {error}")))?;
        let ruling = question.ask(&policies);
        let found = if ruling.is_allowed { Expect::Allow } else { Expect::Deny };
        let by = case.by.as_ref().is_none_or(|by| ruling.policies.iter().any(|id| **id == **by));
        if found == case.expect && by {
            continue;
        }
        n_wrong += 1;
        let policies = if ruling.policies.is_empty() {
            "no policy permits it".to_owned()
        } else {
            format!("by {}", ruling.policies.join(", "))
        };
        let Case { principal, action, resource, expect, .. } = case;
        writeln!(
            out,
            "case {n}: {principal} {action} {resource}: expected {expect:?}{}, is {found:?} \
             ({policies})",
            case.by.as_ref().map_or_else(String::new, |by| format!(" by {by}")),
        )?;
    }
    let n_cases = file.case.len();
    writeln!(out, "{} of {n_cases} cases are as expected", n_cases - n_wrong)?;
    Ok(if n_wrong == 0 { Answer::Yes } else { Answer::No })
}
