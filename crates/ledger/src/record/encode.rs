//! Record to bytes. Keys here are those of `docs/formats/record.md`; one is never used again for
//! anything else.

use bartizan_core::clock::{ClockSource, Stamp};
use bartizan_core::digest::Digest;
use bartizan_core::finding::{Severity, Verdict};
use bartizan_core::limits::FINDINGS_MAX;
use bartizan_core::{Obligations, Retention};

use super::{
    ACT_KEYS_MAX, Act, Body, Commitments, Decision, Digests, Durations, FindingList, ModelRef,
    OBLIGED_NAMES_MAX, Outcome, POLICIES_MAX, Record, SAMPLES_MAX, TEXT_BYTES_MAX, Tally,
};
use crate::cbor::{self, Map};

/// The version byte: first of every record.
pub(super) const VERSION: u8 = 1;
/// Bytes that hold nearly every record without growing.
const USUAL_BYTES: usize = 1_024;

/// R1: at most [`TEXT_BYTES_MAX`] bytes of `text`, cut at a character.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text)
}

pub(super) fn severity_code(severity: Severity) -> u8 {
    severity as u8
}

pub(super) fn verdict_code(verdict: Verdict) -> u8 {
    verdict as u8
}

pub(super) fn source_code(source: ClockSource) -> u64 {
    match source {
        ClockSource::Synchronised => 0,
        ClockSource::Unsynchronised => 1,
        ClockSource::Simulated => 2,
    }
}

pub(super) fn outcome_code(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Done => 0,
        Outcome::Refused => 1,
        Outcome::Failed => 2,
    }
}

impl Record<'_> {
    /// Its bytes, at most `limits::RECORD_BYTES_MAX`. About 0.5 us and one allocation.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(USUAL_BYTES);
        out.push(VERSION);
        let mut map = Map::begin(&mut out);
        map.bytes(0, self.id.as_bytes());
        stamp(map.key(1), &self.at);
        map.text(2, cut(&self.environment));
        map.text(3, cut(&self.replica));
        map.flag(4, self.volatile);
        match &self.body {
            Body::Decision(decision) => decision_body(&mut Map::begin(map.key(5)), decision),
            Body::Tally(tally) => tally_body(&mut Map::begin(map.key(6)), tally),
            Body::Act(act) => act_body(&mut Map::begin(map.key(7)), act),
        }
        out
    }
}

fn stamp(out: &mut Vec<u8>, at: &Stamp) {
    cbor::array(out, 5);
    for n in [at.wall_ns, at.raw_ns, at.mono_ns, source_code(at.source), at.error_ns] {
        cbor::uint(out, n);
    }
}

fn decision_body(map: &mut Map<'_>, decision: &Decision<'_>) {
    map.opt_bytes(0, decision.principal.as_ref().map(|p| &p.0[..]));
    map.opt_text(1, decision.proof.as_deref().map(cut));
    map.opt_text(2, decision.purpose.as_deref().map(cut));
    map.opt_bytes(3, decision.subject.as_ref().map(|p| &p.0[..]));
    map.opt_bytes(4, decision.end_user.as_ref().map(|p| &p.0[..]));
    map.opt_bytes(5, decision.correlation.as_ref().map(|p| &p.0[..]));
    map.word(6, cut(&decision.listener));
    map.word(7, cut(&decision.route));
    map.word(8, cut(&decision.protocol));
    model(map, 9, decision.model.as_ref());
    if let Some(engine) = &decision.engine {
        map.map(10, |map| {
            map.word(0, cut(&engine.engine));
            map.word(1, cut(&engine.version));
            map.word(2, cut(&engine.settings));
        });
    }
    digests(map, 11, &decision.digests);
    commitments(map, 12, &decision.commitments);
    map.count(13, decision.n_rows);
    findings(map, 14, &decision.findings);
    map.count(15, decision.findings.n_more);
    map.uint(16, u64::from(verdict_code(decision.verdict)));
    map.opt_text(17, decision.refusal.as_deref().map(cut));
    map.opt_uint(18, decision.guard_step);
    if let Some(trace) = &decision.trace_context {
        let out = map.key(19);
        cbor::bytes_head(out, 25);
        out.extend_from_slice(&trace.trace_id);
        out.extend_from_slice(&trace.span_id);
        out.push(trace.flags);
    }
    if let Some(upstream) = &decision.upstream {
        map.map(20, |map| {
            map.bytes(0, &upstream.digest.0);
            map.opt_text(1, upstream.version.as_deref().map(cut));
        });
    }
    durations(map, 21, &decision.durations);
    // Of the 23 entries that a map holds (B1) this is the last: what comes later goes into it.
    map.map(22, |map| {
        texts(map, 0, decision.policies.iter().map(|id| &**id), POLICIES_MAX);
        obligations(map, &decision.obligations);
    });
}

/// A list of texts; left out where there is none.
fn texts<'t>(map: &mut Map<'_>, key: u8, all: impl Iterator<Item = &'t str>, max: usize) {
    let all: Vec<&str> = all.take(max).collect();
    if !all.is_empty() {
        listed(map, key, &all);
    }
}

fn listed(map: &mut Map<'_>, key: u8, all: &[&str]) {
    let out = map.key(key);
    cbor::array(out, all.len());
    all.iter().for_each(|text| cbor::text(out, cut(text)));
}

fn obligations(map: &mut Map<'_>, obligations: &Obligations) {
    if obligations.is_free() {
        return;
    }
    let names = |names: &Option<std::collections::BTreeSet<String>>| -> Option<Vec<String>> {
        names.as_ref().map(|names| names.iter().take(OBLIGED_NAMES_MAX).cloned().collect())
    };
    map.map(1, |map| {
        if let Some(names) = names(&obligations.outputs) {
            listed(map, 0, &names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        map.opt_uint(1, obligations.top_k.map(u64::from));
        map.opt_uint(2, obligations.digits.map(u64::from));
        map.flag(3, obligations.label_only);
        if let Some(names) = names(&obligations.retain_inputs) {
            listed(map, 4, &names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        map.opt_text(5, obligations.retention.map(Retention::as_str));
        map.opt_uint(6, obligations.rows_per_day);
    });
}

fn model(map: &mut Map<'_>, key: u8, model: Option<&ModelRef<'_>>) {
    if let Some(model) = model {
        map.map(key, |map| {
            map.text(0, cut(&model.name));
            map.uint(1, u64::from(model.version));
            map.bytes(2, &model.digest.0);
        });
    }
}

fn digests(map: &mut Map<'_>, key: u8, digests: &Digests) {
    let bytes = |digest: &'_ Option<Digest>| digest.map(|digest| digest.0);
    hashes(
        map,
        key,
        [
            bytes(&digests.policy),
            bytes(&digests.contract),
            bytes(&digests.profile),
            bytes(&digests.snapshot),
        ],
    );
}

fn commitments(map: &mut Map<'_>, key: u8, commitments: &Commitments) {
    let Commitments { received, tensors, output, reply } = *commitments;
    hashes(map, key, [received, tensors, output, reply]);
}

fn hashes(map: &mut Map<'_>, key: u8, hashes: [Option<[u8; 32]>; 4]) {
    map.map(key, |map| {
        for (key, hash) in (0_u8..).zip(&hashes) {
            map.opt_bytes(key, hash.as_ref().map(|hash| &hash[..]));
        }
    });
}

fn findings(map: &mut Map<'_>, key: u8, findings: &FindingList<'_>) {
    if findings.kept.is_empty() {
        return;
    }
    let kept = &findings.kept[..findings.kept.len().min(FINDINGS_MAX)];
    let out = map.key(key);
    cbor::array(out, kept.len());
    for finding in kept {
        let mut map = Map::begin(out);
        map.text(0, cut(&finding.rule));
        map.uint(1, u64::from(severity_code(finding.severity)));
        map.opt_text(2, finding.field.as_deref().map(cut));
        map.opt_uint(3, finding.row);
        map.uint(4, finding.count);
        map.float(5, finding.score);
    }
}

fn durations(map: &mut Map<'_>, key: u8, durations: &Durations) {
    let Durations { read_ns, admit_ns, guard_ns, predict_ns, review_ns } = *durations;
    map.map(key, |map| {
        for (key, ns) in (0_u8..).zip([read_ns, admit_ns, guard_ns, predict_ns, review_ns]) {
            map.count(key, ns);
        }
    });
}

fn tally_body(map: &mut Map<'_>, tally: &Tally<'_>) {
    map.word(0, cut(&tally.listener));
    map.text(1, cut(&tally.refusal));
    map.opt_text(2, tally.failure.as_deref().map(cut));
    map.opt_bytes(3, tally.source.as_ref().map(|p| &p.0[..]));
    map.opt_bytes(4, tally.principal.as_ref().map(|p| &p.0[..]));
    map.uint(5, tally.count);
    map.uint(6, tally.from_ns);
    map.uint(7, tally.to_ns);
    if !tally.samples_ns.is_empty() {
        let samples = &tally.samples_ns[..tally.samples_ns.len().min(SAMPLES_MAX)];
        let out = map.key(8);
        cbor::array(out, samples.len());
        samples.iter().for_each(|ns| cbor::uint(out, *ns));
    }
}

fn act_body(map: &mut Map<'_>, act: &Act<'_>) {
    map.uint(0, act.kind.code());
    map.uint(1, outcome_code(act.outcome));
    map.opt_bytes(2, act.principal.as_ref().map(|p| &p.0[..]));
    map.opt_text(3, act.proof.as_deref().map(cut));
    map.opt_text(4, act.resource.as_deref().map(cut));
    map.opt_text(5, act.reason.as_deref().map(cut));
    model(map, 6, act.model.as_ref());
    digests(map, 7, &act.digests);
    map.opt_uint(8, act.count);
    map.opt_uint(9, act.bytes);
    map.opt_uint(10, act.from_ns);
    map.opt_uint(11, act.to_ns);
    findings(map, 12, &act.findings);
    map.count(13, act.findings.n_more);
    if !act.keys.is_empty() {
        let out = map.key(14);
        cbor::array(out, act.keys.len().min(ACT_KEYS_MAX));
        for key in act.keys.iter().take(ACT_KEYS_MAX) {
            cbor::bytes(out, &key.0);
        }
    }
}
