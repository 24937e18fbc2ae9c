//! `bartizan guard report MODEL`: what the request gate did, or would have done, by the ledger.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bartizan_core::clock::NS_PER_S;
use bartizan_core::{ModelName, Verdict};
use bartizan_ledger::{Body, Decision, FileDisk, Reader, Record};
use serde_json::json;

use crate::answer::Answer;
use crate::cmd::{Failure, Format, Outcome, Place, Span, now_s};
use crate::environment::Environment;
use crate::files::failed;
use crate::render::table::Table;

/// Decisions that are named for each principal and rule.
const SAMPLES_MAX: usize = 3;
/// Most principals and rules that are told apart; further ones are counted together.
const GROUPS_MAX: usize = 10_000;
/// What the gate does about a caller: what would have an effect where verdicts hold.
const ACTIONS: [&str; 5] = [
    "guard.caller.degraded",
    "guard.caller.throttled",
    "guard.caller.blocked",
    "guard.caller.quarantined",
    "guard.row.not-judged",
];

/// Arguments of `bartizan guard report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's name
    model: ModelName,
    /// How far back
    #[arg(long, value_name = "SPAN", default_value = "14d")]
    since: Span,
    /// Shape of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was found of one rule at one principal.
#[derive(Default)]
struct Group {
    n_requests: u64,
    samples: Vec<String>,
}

#[derive(Default)]
struct Sums {
    n_requests: u64,
    n_rows: u64,
    n_refused: u64,
    groups: BTreeMap<(String, String), Group>,
}

impl Sums {
    fn take(&mut self, id: &str, decision: &Decision<'_>) {
        self.n_requests += 1;
        self.n_rows += decision.n_rows;
        self.n_refused += u64::from(Verdict::Degrade < decision.verdict);
        let principal = decision.principal.map(|one| one.to_string()).unwrap_or_default();
        let mut seen: Vec<&str> = Vec::new();
        for finding in &decision.findings.kept {
            let is_ours = finding.rule.starts_with("guard.");
            // Evidence beside an action is part of it.
            if !is_ours
                || finding.rule.starts_with("guard.evidence.")
                || seen.contains(&&*finding.rule)
            {
                continue;
            }
            seen.push(&finding.rule);
            let mut key = (finding.rule.to_string(), principal.clone());
            if GROUPS_MAX <= self.groups.len() && !self.groups.contains_key(&key) {
                key.1 = "others".to_owned();
            }
            let group = self.groups.entry(key).or_default();
            group.n_requests += 1;
            if group.samples.len() < SAMPLES_MAX {
                group.samples.push(id.to_owned());
            }
        }
    }

    fn n_acted(&self) -> u64 {
        let acted = self.groups.iter().filter(|((rule, _), _)| ACTIONS.contains(&rule.as_str()));
        acted.map(|(_, group)| group.n_requests).sum()
    }
}

/// Sums up the ledger's decisions about a model.
///
/// # Errors
/// What cannot be read.
pub(super) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let path = environment.store_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    let reader = Reader::open(Arc::new(disk)).map_err(Failure::unknown)?;
    let from_ns = now_s().saturating_sub(args.since.secs).saturating_mul(NS_PER_S);
    let mut sums = Sums::default();
    for entry in reader.entries() {
        let leaf = entry.map_err(Failure::unknown)?.leaf;
        let record = Record::decode(&leaf).map_err(Failure::unknown)?;
        let Body::Decision(decision) = &record.body else { continue };
        let is_its = decision.model.as_ref().is_some_and(|one| one.name == args.model.as_str());
        if is_its && from_ns <= record.at.wall_ns {
            sums.take(&record.id.to_string(), decision);
        }
    }
    let mode = environment.config().guard.policy(args.model.as_str()).mode;
    match args.format {
        Format::Text => text(args, &sums, mode, out)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&shown(args, &sums))?)?,
    }
    Ok(Answer::Yes)
}

fn text(
    args: &Args,
    sums: &Sums,
    mode: bartizan_guard::Mode,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let Sums { n_requests, n_rows, n_refused, .. } = sums;
    let (model, since) = (&args.model, args.since);
    writeln!(out, "{model}, the last {since}: {n_requests} requests, {n_rows} rows")?;
    writeln!(out, "{n_refused} requests were refused by their verdict")?;
    let mut table = Table::new(&["RULE", "PRINCIPAL", "REQUESTS", "SUCH AS"]);
    for ((rule, principal), group) in &sums.groups {
        let count = group.n_requests.to_string();
        table.push(vec![rule.clone(), principal.clone(), count, group.samples.join(" ")]);
    }
    write!(out, "{table}")?;
    match mode {
        bartizan_guard::Mode::Enforce => writeln!(out, "Verdicts hold (`guard.enforce`)."),
        bartizan_guard::Mode::Observe if sums.n_acted() == 0 => writeln!(
            out,
            "To observe refuses nothing; nothing would have been done either. To enforce: name \
             the model in `guard.enforce`."
        ),
        bartizan_guard::Mode::Observe => writeln!(
            out,
            "To observe refuses nothing; {} requests would have met an action. Look at the \
             samples with `bartizan trace ID` before the model is named in `guard.enforce`; if \
             those are honest, `guard.expects_near_duplicates` or a new profile may be what it \
             needs.",
            sums.n_acted()
        ),
    }
}

fn shown(args: &Args, sums: &Sums) -> serde_json::Value {
    let groups: Vec<_> = sums
        .groups
        .iter()
        .map(|((rule, principal), group)| {
            json!({
                "rule": rule,
                "principal": principal,
                "requests": group.n_requests,
                "samples": group.samples,
            })
        })
        .collect();
    json!({
        "model": args.model.as_str(),
        "since_s": args.since.secs,
        "requests": sums.n_requests,
        "rows": sums.n_rows,
        "refused": sums.n_refused,
        "acted": sums.n_acted(),
        "groups": groups,
    })
}
