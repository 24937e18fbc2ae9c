//! A record as JSON, for people and their tools. A view: what is absent is left out, numbers of
//! nanoseconds become RFC 3339 text where they are wall time.

use bartizan_core::clock::{Rfc3339, Stamp};
use bartizan_core::digest::{Digest, hex};
use serde_json::{Map, Value, json};

use super::{
    Act, Body, Commitments, Decision, Digests, Durations, FindingList, ModelRef, Record, Tally,
};

/// An object that leaves out what is absent.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn opt(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn show(&mut self, name: &str, value: Option<impl ToString>) {
        self.opt(name, value.map(|value| value.to_string()));
    }

    fn word(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.set(name, value);
        }
    }

    fn object(&mut self, name: &str, object: Self) {
        if !object.0.is_empty() {
            self.set(name, Value::Object(object.0));
        }
    }
}

fn time(ns: u64) -> String {
    Rfc3339(ns).to_string()
}

impl Record<'_> {
    /// The record as a JSON object.
    pub fn to_json(&self) -> Value {
        let mut it = Object::default();
        it.set("id", self.id.to_string());
        it.set("at", stamp(&self.at));
        it.set("environment", &*self.environment);
        it.set("replica", &*self.replica);
        it.set("volatile", self.volatile);
        match &self.body {
            Body::Decision(body) => it.object("decision", decision(body)),
            Body::Tally(body) => it.object("tally", tally(body)),
            Body::Act(body) => it.object("act", act(body)),
        }
        Value::Object(it.0)
    }
}

fn stamp(at: &Stamp) -> Value {
    json!({
        "wall": time(at.wall_ns),
        "wall_ns": at.wall_ns,
        "raw_ns": at.raw_ns,
        "mono_ns": at.mono_ns,
        "source": at.source.as_str(),
        "error_ns": at.error_ns,
    })
}

fn decision(decision: &Decision<'_>) -> Object {
    let mut it = Object::default();
    it.show("principal", decision.principal);
    it.opt("proof", decision.proof.as_deref());
    it.opt("purpose", decision.purpose.as_deref());
    it.show("subject", decision.subject);
    it.show("end_user", decision.end_user);
    it.show("correlation", decision.correlation);
    it.word("listener", &decision.listener);
    it.word("route", &decision.route);
    it.word("protocol", &decision.protocol);
    it.opt("model", decision.model.as_ref().map(model));
    if let Some(engine) = &decision.engine {
        it.set(
            "engine",
            json!({"engine": engine.engine, "version": engine.version, "settings": engine.settings}),
        );
    }
    it.object("digests", digests(&decision.digests));
    it.object("commitments", commitments(&decision.commitments));
    it.set("n_rows", decision.n_rows);
    it.set("findings", findings(&decision.findings));
    it.set("n_more_findings", decision.findings.n_more);
    it.set("verdict", decision.verdict.as_str());
    it.opt("refusal", decision.refusal.as_deref());
    it.opt("guard_step", decision.guard_step);
    it.opt(
        "traceparent",
        decision.trace_context.as_ref().map(|trace| {
            format!("00-{}-{}-{:02x}", hex(&trace.trace_id), hex(&trace.span_id), trace.flags)
        }),
    );
    if let Some(upstream) = &decision.upstream {
        let mut server = Object::default();
        server.set("digest", upstream.digest.to_string());
        server.opt("version", upstream.version.as_deref());
        it.object("upstream", server);
    }
    it.object("durations", durations(&decision.durations));
    if !decision.policies.is_empty() {
        it.set("policies", decision.policies.iter().map(|id| id.to_string()).collect::<Vec<_>>());
    }
    if !decision.obligations.is_free() {
        it.opt("obligations", serde_json::to_value(&decision.obligations).ok());
    }
    it
}

fn model(model: &ModelRef<'_>) -> Value {
    json!({"name": model.name, "version": model.version, "digest": model.digest})
}

fn digests(digests: &Digests) -> Object {
    let mut it = Object::default();
    it.show("policy", digests.policy);
    it.show("contract", digests.contract);
    it.show("profile", digests.profile);
    it.show("snapshot", digests.snapshot);
    it
}

fn commitments(commitments: &Commitments) -> Object {
    let mut it = Object::default();
    it.show("received", commitments.received.map(Digest));
    it.show("tensors", commitments.tensors.map(Digest));
    it.show("output", commitments.output.map(Digest));
    it.show("reply", commitments.reply.map(Digest));
    it
}

fn findings(findings: &FindingList<'_>) -> Value {
    let finding = |finding: &super::RecordedFinding<'_>| {
        let mut it = Object::default();
        it.set("rule", &*finding.rule);
        it.set("severity", finding.severity.as_str());
        it.opt("field", finding.field.as_deref());
        it.opt("row", finding.row);
        it.set("count", finding.count);
        it.set("score", finding.score);
        Value::Object(it.0)
    };
    findings.kept.iter().map(finding).collect()
}

fn durations(durations: &Durations) -> Object {
    let mut it = Object::default();
    let Durations { read_ns, admit_ns, guard_ns, predict_ns, review_ns } = *durations;
    let steps = [
        ("read_ns", read_ns),
        ("admit_ns", admit_ns),
        ("guard_ns", guard_ns),
        ("predict_ns", predict_ns),
        ("review_ns", review_ns),
    ];
    for (name, ns) in steps.into_iter().filter(|(_, ns)| *ns != 0) {
        it.set(name, ns);
    }
    it
}

fn tally(tally: &Tally<'_>) -> Object {
    let mut it = Object::default();
    it.word("listener", &tally.listener);
    it.word("refusal", &tally.refusal);
    it.opt("failure", tally.failure.as_deref());
    it.show("source", tally.source);
    it.show("principal", tally.principal);
    it.set("count", tally.count);
    it.set("from", time(tally.from_ns));
    it.set("to", time(tally.to_ns));
    it.set("samples", tally.samples_ns.iter().map(|ns| time(*ns)).collect::<Vec<_>>());
    it
}

fn act(act: &Act<'_>) -> Object {
    let mut it = Object::default();
    it.set("kind", act.kind.as_str());
    it.opt("kind_code", matches!(act.kind, super::ActKind::Other(_)).then(|| act.kind.code()));
    it.set("outcome", act.outcome.as_str());
    it.show("principal", act.principal);
    it.opt("proof", act.proof.as_deref());
    it.opt("resource", act.resource.as_deref());
    it.opt("reason", act.reason.as_deref());
    it.opt("model", act.model.as_ref().map(model));
    it.object("digests", digests(&act.digests));
    it.opt("count", act.count);
    it.opt("bytes", act.bytes);
    it.opt("from", act.from_ns.map(time));
    it.opt("to", act.to_ns.map(time));
    if !act.findings.kept.is_empty() {
        it.set("findings", findings(&act.findings));
        it.set("n_more_findings", act.findings.n_more);
    }
    it
}
