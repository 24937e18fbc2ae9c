//! `bartizan access review`: what each principal may ask against what it asked.
//!
//! Slack of a project: the part of the pairs (principal, model) that the policies and a live key
//! allow and that nobody used in the days looked at; 0 is none to spare, 1 is all. What is proposed
//! only forbids, so that putting it in force never grants.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bartizan_access::{Keys, Policies, Zone};
use bartizan_core::ModelName;

use super::super::{Failure, Outcome, Place, now_s};
use super::history::{self, Asked, History};
use super::policies_of;
use crate::answer::Answer;
use crate::environment::Environment;
use crate::models::Repository;

/// Name of the file that a proposal makes.
const FILE: &str = "policies/review.cedar";

/// Arguments of `bartizan access review`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How far back use counts
    #[arg(long, default_value_t = 90, value_name = "DAYS")]
    days: u32,
    /// Print only the patch that takes away what was not used, for `git apply` or `patch -p1`
    #[arg(long)]
    patch: bool,
}

/// What one project's holders may ask, and what of it they did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Use {
    may: BTreeSet<(String, ModelName)>,
    did: BTreeSet<(String, ModelName)>,
}

impl Use {
    /// The unused part, in thousandths.
    fn slack_permille(&self) -> usize {
        let unused = self.may.difference(&self.did).count();
        (unused * 1_000).checked_div(self.may.len()).unwrap_or(0)
    }
}

/// Runs `bartizan access review`: yes where nothing is to spare, no where something is.
///
/// # Errors
/// What could not be read.
pub(super) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let policies = policies_of(None, place)?;
    let history = history::read(&environment, args.days)?;
    let keys = environment.key_book().map_err(Failure::unknown)?;
    let bytes_max = environment.config().models.file_bytes_max;
    let shelved = Repository::new(environment.models_dir(), bytes_max).list();
    let models: BTreeSet<ModelName> =
        shelved.map_err(Failure::unknown)?.into_iter().map(|one| one.name).collect();
    let uses = uses(&policies, &keys, &models, &history);
    let unused: BTreeSet<_> =
        uses.values().flat_map(|one| one.may.difference(&one.did).cloned()).collect();
    if args.patch {
        write!(out, "{}", patch(&unused))?;
    } else {
        tell(&uses, &history, args.days, out)?;
    }
    Ok(if unused.is_empty() { Answer::Yes } else { Answer::No })
}

fn uses(
    policies: &Policies,
    keys: &Keys,
    models: &BTreeSet<ModelName>,
    history: &History,
) -> BTreeMap<String, Use> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    let project = |model: &ModelName| policies.projects().of_model(model).to_owned();
    for info in keys.list(now_s()) {
        if !matches!(info.state.as_str(), "live" | "retiring") {
            continue;
        }
        for model in models.iter().filter(|model| info.scopes.models.covers(model)) {
            let scopes: Vec<String> = info.scopes.actions.iter().map(ToString::to_string).collect();
            if !info.scopes.actions.contains(&bartizan_access::Action::Infer) {
                continue;
            }
            // Scopes' purposes are what may be said; without any, none is.
            let purposes = info.scopes.purposes.iter().cloned().map(Some);
            let allowed = purposes.chain([None]).any(|purpose| {
                let asked = Asked {
                    principal: info.principal.to_string(),
                    method: "api-key",
                    scopes: scopes.clone(),
                    model: model.clone(),
                    version: Some(bartizan_core::ModelVersion::FIRST),
                    purpose,
                    listener: "inference".into(),
                    n_requests: 0,
                    n_admitted: 0,
                    last_ns: now_s().saturating_mul(bartizan_core::clock::NS_PER_S),
                };
                let zones = [Zone::Loopback, Zone::Private, Zone::Public];
                zones.into_iter().any(|zone| asked.question(zone).ask(policies).is_allowed)
            });
            if allowed {
                let pair = (info.principal.to_string(), model.clone());
                uses.entry(project(model)).or_default().may.insert(pair);
            }
        }
    }
    for asked in history.asked.iter().filter(|asked| 0 < asked.n_admitted) {
        let pair = (asked.principal.clone(), asked.model.clone());
        uses.entry(project(&asked.model)).or_default().did.insert(pair);
    }
    uses
}

fn tell(
    uses: &BTreeMap<String, Use>,
    history: &History,
    days: u32,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    for (project, one) in uses {
        let permille = one.slack_permille();
        writeln!(
            out,
            "project {project}: slack {}.{} % ({} of {} pairs of principal and model used)",
            permille / 10,
            permille % 10,
            one.may.intersection(&one.did).count(),
            one.may.len()
        )?;
        for (principal, model) in one.may.difference(&one.did) {
            writeln!(out, "  {principal} may ask {model} and did not in {days} days")?;
        }
    }
    if uses.is_empty() {
        writeln!(out, "no live key may ask a model, and none was asked")?;
    }
    if 0 < history.n_unknown {
        writeln!(
            out,
            "{} of {} requests were by tokens, certificates or keys that are gone: not compared",
            history.n_unknown, history.n_requests
        )?;
    }
    writeln!(out, "`bartizan access review --patch` prints what would take away the rest")
}

/// A patch that makes [`FILE`]: a forbid for each pair. Names are principals' and models', which
/// hold no quote and no backslash.
fn patch(unused: &BTreeSet<(String, ModelName)>) -> String {
    if unused.is_empty() {
        return String::new();
    }
    let mut lines = vec!["// Not used in the time looked at: see `bartizan access review`.".into()];
    for (n, (principal, model)) in (1..).zip(unused) {
        lines.push(format!("@id(\"review/{n}\")"));
        lines.push(format!("@reason(\"{principal} did not ask {model}\")"));
        lines.push(format!(
            "forbid (principal == Principal::\"{principal}\", action in [Action::\"infer\", \
             Action::\"explain\"], resource in Model::\"{model}\");"
        ));
    }
    let mut text = format!("--- /dev/null\n+++ b/{FILE}\n@@ -0,0 +1,{} @@\n", lines.len());
    for line in lines {
        text.push('+');
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use bartizan_access::{PolicyFile, starter};

    use super::*;

    fn pair(principal: &str, model: &str) -> (String, ModelName) {
        (principal.to_owned(), model.parse().unwrap())
    }

    /// Slack from both ends, and between.
    #[test]
    fn slack_is_the_unused_part() {
        let may = BTreeSet::from([pair("a", "m"), pair("b", "m"), pair("b", "n")]);
        let slack = |did: BTreeSet<_>| Use { may: may.clone(), did }.slack_permille();
        assert_eq!(slack(may.clone()), 0);
        assert_eq!(slack(BTreeSet::new()), 1_000);
        assert_eq!(slack(BTreeSet::from([pair("a", "m"), pair("gone", "m")])), 666);
        assert_eq!(Use::default().slack_permille(), 0);
    }

    /// What is proposed passes the checks of policies, takes what was not used, and leaves what
    /// was.
    #[test]
    fn what_is_proposed_takes_the_unused_and_nothing_else() {
        let unused = BTreeSet::from([pair("team/a", "fraud")]);
        let text: String = patch(&unused)
            .lines()
            .filter(|line| !line.starts_with("+++"))
            .filter_map(|line| line.strip_prefix('+'))
            .map(|line| format!("{line}\n"))
            .collect();
        let [first, _] = starter();
        let own = PolicyFile { name: "review.cedar".into(), text };
        let policies = Policies::new("dev".parse().unwrap(), &[first, own], None).unwrap();
        for (principal, model, allowed) in
            [("team/a", "fraud", false), ("team/a", "cancer", true), ("team/b", "fraud", true)]
        {
            let asked = Asked {
                principal: principal.into(),
                method: "api-key",
                scopes: vec!["infer".into()],
                model: model.parse().unwrap(),
                version: None,
                purpose: None,
                listener: "inference".into(),
                n_requests: 1,
                n_admitted: 1,
                last_ns: 0,
            };
            let ruling = asked.question(Zone::Loopback).ask(&policies);
            assert_eq!(ruling.is_allowed, allowed, "{principal} {model}");
        }
        assert_eq!(patch(&BTreeSet::new()), "");
    }
}
