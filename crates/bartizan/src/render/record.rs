//! One record as text for people. The JSON view is the ledger's own.

use std::fmt::Write as _;

use bartizan_core::clock::Rfc3339;
use bartizan_core::{Digest, Pseudonym};
use bartizan_ledger::{Act, Body, Decision, FindingList, Record, Tally};

use super::table::Table;

/// Names for pseudonyms, where the key book still has them.
pub(crate) type NameOf<'a> = &'a dyn Fn(Pseudonym) -> Option<String>;

/// Lines of `name  value`, the values aligned.
struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a text never fails. What was recorded may hold any character; a terminal
        // is shown none that moves its cursor.
        let value: String =
            value.to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let _never = writeln!(self.0, "  {name:<13}{value}");
    }

    fn some(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.line(name, value);
        }
    }

    fn who(&mut self, name: &str, pseudonym: Option<Pseudonym>, name_of: NameOf<'_>) {
        if let Some(pseudonym) = pseudonym {
            match name_of(pseudonym) {
                Some(known) => self.line(name, format_args!("{known} (pseudonym {pseudonym})")),
                None => self.line(name, format_args!("pseudonym {pseudonym}")),
            }
        }
    }
}

/// `record` as text, with the names that `name_of` knows.
pub(crate) fn text(record: &Record<'_>, name_of: NameOf<'_>) -> String {
    let noun = match &record.body {
        Body::Decision(_) => "Decision",
        Body::Tally(_) => "Tally",
        Body::Act(_) => "Act",
    };
    let mut lines = Lines(format!("{noun} {}\n", record.id));
    let at = &record.at;
    let error_ms = at.error_ns / 1_000_000;
    let clock = format!("clock {}, error at most {error_ms} ms", at.source.as_str());
    lines.line("when", format_args!("{} ({clock})", Rfc3339(at.wall_ns)));
    if at.raw_ns != at.wall_ns {
        lines.line("raw clock", format_args!("{} (it was set back)", Rfc3339(at.raw_ns)));
    }
    let volatile = if record.volatile { ", on a volatile store" } else { "" };
    lines.line(
        "where",
        format_args!("environment {}, replica {}{volatile}", record.environment, record.replica),
    );
    match &record.body {
        Body::Decision(body) => decision(&mut lines, body, name_of),
        Body::Tally(body) => tally(&mut lines, body, name_of),
        Body::Act(body) => act(&mut lines, body, name_of),
    }
    lines.0
}

fn decision(lines: &mut Lines, decision: &Decision<'_>, name_of: NameOf<'_>) {
    match &decision.refusal {
        Some(code) => lines.line("answer", format_args!("refused: {code}")),
        None => lines.line("answer", "given"),
    }
    lines.line("verdict", decision.verdict.as_str());
    lines.who("who", decision.principal, name_of);
    lines.some("proved by", decision.proof.as_deref());
    lines.some("purpose", decision.purpose.as_deref());
    lines.some("subject", decision.subject.map(|who| format!("pseudonym {who}")));
    lines.some("end user", decision.end_user.map(|who| format!("pseudonym {who}")));
    lines.line(
        "came in by",
        format_args!("{} {} {}", decision.listener, decision.protocol, decision.route),
    );
    if let Some(model) = &decision.model {
        let (name, version) = (&model.name, model.version);
        lines.line("model", format_args!("{name} version {version}, {}", model.digest));
    }
    if let Some(engine) = &decision.engine {
        let text = format!("{} {} {}", engine.engine, engine.version, engine.settings);
        lines.line("engine", text.trim_end());
    }
    lines.line("rows", decision.n_rows);
    findings(lines, &decision.findings);
    if !decision.policies.is_empty() {
        lines.line("policies", decision.policies.join(", "));
    }
    if !decision.obligations.is_free()
        && let Ok(text) = serde_json::to_string(&decision.obligations)
    {
        lines.line("obliged to", text);
    }
    let digests = &decision.digests;
    lines.some("policy", digests.policy);
    lines.some("contract", digests.contract);
    lines.some("profile", digests.profile);
    lines.some("snapshot", digests.snapshot);
    let commitments = &decision.commitments;
    for (name, commitment) in [
        ("received", commitments.received),
        ("tensors", commitments.tensors),
        ("output", commitments.output),
        ("reply", commitments.reply),
    ] {
        let text = commitment.map(|bytes| format!("{} (commitment)", Digest(bytes).hex()));
        lines.some(name, text);
    }
    let spent = &decision.durations;
    let us = |ns: u64| format!("{}.{}", ns / 1_000, ns / 100 % 10);
    lines.line(
        "took, us",
        format_args!(
            "read {}, admit {}, guard {}, predict {}, review {}",
            us(spent.read_ns),
            us(spent.admit_ns),
            us(spent.guard_ns),
            us(spent.predict_ns),
            us(spent.review_ns)
        ),
    );
}

fn findings(lines: &mut Lines, findings: &FindingList<'_>) {
    if findings.kept.is_empty() {
        lines.line("findings", "none");
        return;
    }
    let mut table = Table::new(&["RULE", "SEVERITY", "FIELD", "FIRST ROW", "COUNT"]);
    for finding in &findings.kept {
        table.push(vec![
            finding.rule.to_string(),
            finding.severity.as_str().to_owned(),
            finding.field.as_deref().unwrap_or("-").to_owned(),
            finding.row.map_or_else(|| "-".to_owned(), |row| row.to_string()),
            finding.count.to_string(),
        ]);
    }
    lines.line("findings", findings.kept.len() as u64 + findings.n_more);
    for row in table.to_string().lines() {
        let _never = writeln!(lines.0, "    {row}");
    }
    if 0 < findings.n_more {
        let _never = writeln!(lines.0, "    and {} more", findings.n_more);
    }
}

fn tally(lines: &mut Lines, tally: &Tally<'_>, name_of: NameOf<'_>) {
    lines.line("refusals", format_args!("{} times {}", tally.count, tally.refusal));
    lines.some("because", tally.failure.as_deref());
    lines.line("came in by", &tally.listener);
    lines.some("source", tally.source);
    lines.who("who", tally.principal, name_of);
    lines.line("from", Rfc3339(tally.from_ns));
    lines.line("to", Rfc3339(tally.to_ns));
}

fn act(lines: &mut Lines, act: &Act<'_>, name_of: NameOf<'_>) {
    lines.line("act", format_args!("{}: {}", act.kind.as_str(), act.outcome.as_str()));
    lines.who("who", act.principal, name_of);
    lines.some("proved by", act.proof.as_deref());
    lines.some("on", act.resource.as_deref());
    lines.some("because", act.reason.as_deref());
    lines.some("model", act.model.as_ref().map(|model| model.digest));
    if !act.findings.kept.is_empty() {
        findings(lines, &act.findings);
    }
    lines.some("report", act.digests.snapshot);
    lines.some("count", act.count);
    lines.some("bytes", act.bytes);
    lines.some("from", act.from_ns.map(Rfc3339));
    lines.some("to", act.to_ns.map(Rfc3339));
}

#[cfg(test)]
mod tests {
    use bartizan_core::{ClockSource, DecisionId, Severity, Stamp};
    use bartizan_ledger::RecordedFinding;

    use super::*;

    fn record(body: Body<'_>) -> Record<'_> {
        let at = Stamp {
            wall_ns: 1_795_564_800_000_000_000,
            raw_ns: 1_795_564_799_000_000_000,
            mono_ns: 5,
            source: ClockSource::Synchronised,
            error_ns: 3_000_000,
        };
        let id = DecisionId::new(at.wall_ns, [7; 10]);
        Record { id, at, environment: "prod".into(), replica: "r1".into(), volatile: true, body }
    }

    /// What the analyst needs is there, and a recorded text cannot move the terminal's cursor.
    #[test]
    fn a_refused_decision_shows_who_why_and_where() {
        let finding = RecordedFinding {
            rule: "guard.value.above-limit".into(),
            severity: Severity::Medium,
            field: Some("radius".into()),
            row: Some(3),
            count: 2,
            score: 1.0,
        };
        let decision = Decision {
            principal: Some(Pseudonym([1; 16])),
            purpose: Some("a\u{1b}[2Jb".into()),
            refusal: Some("input-refused".into()),
            policies: vec!["callers-as-granted".into(), "risk/own".into()],
            obligations: bartizan_core::Obligations { top_k: Some(2), ..Default::default() },
            findings: FindingList { kept: vec![finding], n_more: 4 },
            ..Decision::default()
        };
        let name_of = |pseudonym| (pseudonym == Pseudonym([1; 16])).then(|| "team/a".to_owned());
        let shown = text(&record(Body::Decision(Box::new(decision))), &name_of);
        for part in [
            "2026-11-25T00:00:00.000000Z (clock synchronised, error at most 3 ms)",
            "it was set back",
            "environment prod, replica r1, on a volatile store",
            "refused: input-refused",
            "callers-as-granted, risk/own",
            "{\"top_k\":2}",
            "team/a (pseudonym 0101",
            "guard.value.above-limit  medium    radius  3          2",
            "and 4 more",
            "a?[2Jb",
        ] {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn tallies_and_acts_are_shown_too() {
        let tally = Tally { count: 17, refusal: "unauthenticated".into(), ..Tally::default() };
        let shown = text(&record(Body::Tally(tally)), &|_| None);
        assert!(shown.contains("17 times unauthenticated"), "{shown}");
        let mut act = Act::new(bartizan_ledger::ActKind::KeyRevoked);
        act.resource = Some("abcdefGH0123".into());
        act.principal = Some(Pseudonym([2; 16]));
        let shown = text(&record(Body::Act(Box::new(act))), &|_| None);
        assert!(shown.contains("key-revoked: done"), "{shown}");
        assert!(shown.contains("pseudonym 0202"), "{shown}");
    }
}
