//! Bytes to record. Foreign bytes: every length is checked before anything is made of it.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::collections::BTreeSet;

use bartizan_core::clock::{ClockSource, Stamp};
use bartizan_core::digest::Digest;
use bartizan_core::finding::{Severity, Verdict};
use bartizan_core::id::DecisionId;
use bartizan_core::limits::{FINDINGS_MAX, RECORD_BYTES_MAX};
use bartizan_core::principal::Pseudonym;
use bartizan_core::{Obligations, Retention};
use minicbor::Decoder;

use super::encode::{VERSION, outcome_code, severity_code, source_code, verdict_code};
use super::{
    ACT_KEYS_MAX, Act, ActKind, Body, Commitments, Decision, Digests, Durations, EngineRef,
    ModelRef, OBLIGED_NAMES_MAX, Outcome, POLICIES_MAX, Record, RecordedFinding, SAMPLES_MAX,
    Tally, Text, TraceContext, Upstream,
};
use crate::read_cbor::{DecodeError, array_len, each_entry, fixed};

type Read<T> = Result<T, DecodeError>;

fn absent(field: &'static str) -> DecodeError {
    DecodeError::Absent { field }
}

impl<'b> Record<'b> {
    /// Reads a record, borrowing its texts. What a later release added is skipped.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(leaf: &'b [u8]) -> Result<Self, DecodeError> {
        let body = versioned(leaf)?;
        let mut d = Decoder::new(body);
        let (mut id, mut at, mut volatile, mut body) = (None, None, false, None);
        let (mut environment, mut replica) = (None, None);
        each_entry(&mut d, |d, key| {
            match key {
                0 => id = Some(DecisionId::from(fixed::<16>(d, "id")?)),
                1 => at = Some(stamp(d)?),
                2 => environment = Some(text(d)?),
                3 => replica = Some(text(d)?),
                4 => volatile = d.bool()?,
                5 => body = Some(Body::Decision(Box::new(decision(d)?))),
                6 => body = Some(Body::Tally(tally(d)?)),
                7 => body = Some(Body::Act(Box::new(act(d)?))),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if d.position() != d.input().len() {
            return Err(DecodeError::Malformed { at: d.position() });
        }
        Ok(Self {
            id: id.ok_or(absent("id"))?,
            at: at.ok_or(absent("at"))?,
            environment: environment.ok_or(absent("environment"))?,
            replica: replica.ok_or(absent("replica"))?,
            volatile,
            body: body.ok_or(absent("body"))?,
        })
    }
}

fn versioned(leaf: &[u8]) -> Read<&[u8]> {
    if RECORD_BYTES_MAX < leaf.len() {
        return Err(DecodeError::TooLong { len: leaf.len(), len_max: RECORD_BYTES_MAX });
    }
    match leaf.split_first() {
        None => Err(DecodeError::Empty),
        Some((&VERSION, body)) => Ok(body),
        Some((&found, _)) => Err(DecodeError::Version { found }),
    }
}

/// Id and wall time alone: what a search reads of each record.
pub(crate) fn id_of(leaf: &[u8]) -> Option<DecisionId> {
    let mut d = Decoder::new(versioned(leaf).ok()?);
    d.map().ok()??;
    if d.u64().ok()? != 0 {
        return None;
    }
    fixed::<16>(&mut d, "id").ok().map(DecisionId::from)
}

/// Wall time of a record, where its bytes are one.
pub(crate) fn wall_ns_of(leaf: &[u8]) -> Option<u64> {
    Record::decode(leaf).ok().map(|record| record.at.wall_ns)
}

fn text<'b>(d: &mut Decoder<'b>) -> Read<Text<'b>> {
    Ok(Text::Borrowed(d.str()?))
}

fn pseudonym(d: &mut Decoder<'_>) -> Read<Option<Pseudonym>> {
    fixed(d, "pseudonym").map(|bytes| Some(Pseudonym(bytes)))
}

fn hash(d: &mut Decoder<'_>) -> Read<Option<[u8; 32]>> {
    fixed(d, "hash").map(Some)
}

fn digest(d: &mut Decoder<'_>) -> Read<Option<Digest>> {
    fixed(d, "digest").map(|bytes| Some(Digest(bytes)))
}

/// The one of `all` whose number stands next.
fn coded<T: Copy, N: Into<u64>>(
    d: &mut Decoder<'_>,
    field: &'static str,
    all: &[T],
    code: impl Fn(T) -> N,
) -> Read<T> {
    let number = d.u64()?;
    let known = all.iter().copied().find(|value| code(*value).into() == number);
    known.ok_or(DecodeError::Value { field })
}

fn stamp(d: &mut Decoder<'_>) -> Read<Stamp> {
    const SOURCES: &[ClockSource] =
        &[ClockSource::Synchronised, ClockSource::Unsynchronised, ClockSource::Simulated];
    let n = array_len(d, 16)?;
    let later = n.checked_sub(5).ok_or(DecodeError::Value { field: "at" })?;
    let stamp = Stamp {
        wall_ns: d.u64()?,
        raw_ns: d.u64()?,
        mono_ns: d.u64()?,
        source: coded(d, "clock source", SOURCES, source_code)?,
        error_ns: d.u64()?,
    };
    for _ in 0..later {
        d.skip()?;
    }
    Ok(stamp)
}

fn decision<'b>(d: &mut Decoder<'b>) -> Read<Decision<'b>> {
    let mut it = Decision::default();
    let mut verdict = None;
    each_entry(d, |d, key| {
        match key {
            0 => it.principal = pseudonym(d)?,
            1 => it.proof = Some(text(d)?),
            2 => it.purpose = Some(text(d)?),
            3 => it.subject = pseudonym(d)?,
            4 => it.end_user = pseudonym(d)?,
            5 => it.correlation = pseudonym(d)?,
            6 => it.listener = text(d)?,
            7 => it.route = text(d)?,
            8 => it.protocol = text(d)?,
            9 => it.model = Some(model(d)?),
            10 => it.engine = Some(engine(d)?),
            11 => it.digests = digests(d)?,
            12 => it.commitments = commitments(d)?,
            13 => it.n_rows = d.u64()?,
            14 => it.findings.kept = findings(d)?,
            15 => it.findings.n_more = d.u64()?,
            16 => verdict = Some(coded(d, "verdict", Verdict::ALL, verdict_code)?),
            17 => it.refusal = Some(text(d)?),
            18 => it.guard_step = Some(d.u64()?),
            19 => it.trace_context = Some(trace_context(d)?),
            20 => it.upstream = Some(upstream(d)?),
            21 => it.durations = durations(d)?,
            22 => access(d, &mut it)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    it.verdict = verdict.ok_or(absent("verdict"))?;
    Ok(it)
}

fn model<'b>(d: &mut Decoder<'b>) -> Read<ModelRef<'b>> {
    let (mut name, mut version, mut file) = (None, None, None);
    each_entry(d, |d, key| {
        match key {
            0 => name = Some(text(d)?),
            1 => version = Some(d.u32()?),
            2 => file = digest(d)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(ModelRef {
        name: name.ok_or(absent("model name"))?,
        version: version.ok_or(absent("model version"))?,
        digest: file.ok_or(absent("model digest"))?,
    })
}

fn engine<'b>(d: &mut Decoder<'b>) -> Read<EngineRef<'b>> {
    let mut it =
        EngineRef { engine: Text::default(), version: Text::default(), settings: Text::default() };
    each_entry(d, |d, key| {
        match key {
            0 => it.engine = text(d)?,
            1 => it.version = text(d)?,
            2 => it.settings = text(d)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(it)
}

fn digests(d: &mut Decoder<'_>) -> Read<Digests> {
    let mut it = Digests::default();
    each_entry(d, |d, key| {
        match key {
            0 => it.policy = digest(d)?,
            1 => it.contract = digest(d)?,
            2 => it.profile = digest(d)?,
            3 => it.snapshot = digest(d)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(it)
}

fn commitments(d: &mut Decoder<'_>) -> Read<Commitments> {
    let mut it = Commitments::default();
    each_entry(d, |d, key| {
        match key {
            0 => it.received = hash(d)?,
            1 => it.tensors = hash(d)?,
            2 => it.output = hash(d)?,
            3 => it.reply = hash(d)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(it)
}

fn findings<'b>(d: &mut Decoder<'b>) -> Read<Vec<RecordedFinding<'b>>> {
    let n = array_len(d, FINDINGS_MAX as u64)?;
    (0..n).map(|_| finding(d)).collect()
}

fn finding<'b>(d: &mut Decoder<'b>) -> Read<RecordedFinding<'b>> {
    let (mut rule, mut severity, mut field, mut row) = (None, None, None, None);
    let (mut count, mut score) = (0, 1.0);
    each_entry(d, |d, key| {
        match key {
            0 => rule = Some(text(d)?),
            1 => severity = Some(coded(d, "severity", Severity::ALL, severity_code)?),
            2 => field = Some(text(d)?),
            3 => row = Some(d.u64()?),
            4 => count = d.u64()?,
            5 => score = d.f64()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let rule = rule.ok_or(absent("rule"))?;
    let severity = severity.ok_or(absent("severity"))?;
    Ok(RecordedFinding { rule, severity, field, row, count, score })
}

fn trace_context(d: &mut Decoder<'_>) -> Read<TraceContext> {
    let bytes: [u8; 25] = fixed(d, "trace context")?;
    let split = bytes.split_first_chunk::<16>().and_then(|(trace_id, rest)| {
        let (span_id, rest) = rest.split_first_chunk::<8>()?;
        let flags = *rest.first()?;
        Some(TraceContext { trace_id: *trace_id, span_id: *span_id, flags })
    });
    split.ok_or(DecodeError::Value { field: "trace context" })
}

fn upstream<'b>(d: &mut Decoder<'b>) -> Read<Upstream<'b>> {
    let (mut server, mut version) = (None, None);
    each_entry(d, |d, key| {
        match key {
            0 => server = digest(d)?,
            1 => version = Some(text(d)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Upstream { digest: server.ok_or(absent("upstream digest"))?, version })
}

fn durations(d: &mut Decoder<'_>) -> Read<Durations> {
    let mut it = Durations::default();
    each_entry(d, |d, key| {
        match key {
            0 => it.read_ns = d.u64()?,
            1 => it.admit_ns = d.u64()?,
            2 => it.guard_ns = d.u64()?,
            3 => it.predict_ns = d.u64()?,
            4 => it.review_ns = d.u64()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(it)
}

/// What decided about access, and what it obliged to.
fn access<'b>(d: &mut Decoder<'b>, it: &mut Decision<'b>) -> Read<()> {
    each_entry(d, |d, key| {
        match key {
            0 => {
                let n = array_len(d, POLICIES_MAX as u64)?;
                it.policies = (0..n).map(|_| text(d)).collect::<Read<_>>()?;
            }
            1 => it.obligations = obligations(d)?,
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn obligations(d: &mut Decoder<'_>) -> Read<Obligations> {
    let mut it = Obligations::default();
    each_entry(d, |d, key| {
        match key {
            0 => it.outputs = Some(names(d)?),
            1 => it.top_k = Some(d.u32()?),
            2 => it.digits = Some(d.u8()?),
            3 => it.label_only = d.bool()?,
            4 => it.retain_inputs = Some(names(d)?),
            5 => {
                let word = d.str()?;
                let class = Retention::ALL.iter().copied().find(|class| class.as_str() == word);
                it.retention = Some(class.ok_or(DecodeError::Value { field: "retention" })?);
            }
            6 => it.rows_per_day = Some(d.u64()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(it)
}

fn names(d: &mut Decoder<'_>) -> Read<BTreeSet<String>> {
    let n = array_len(d, OBLIGED_NAMES_MAX as u64)?;
    (0..n).map(|_| Ok(d.str()?.to_owned())).collect()
}

fn tally<'b>(d: &mut Decoder<'b>) -> Read<Tally<'b>> {
    let mut it = Tally::default();
    each_entry(d, |d, key| {
        match key {
            0 => it.listener = text(d)?,
            1 => it.refusal = text(d)?,
            2 => it.failure = Some(text(d)?),
            3 => it.source = pseudonym(d)?,
            4 => it.principal = pseudonym(d)?,
            5 => it.count = d.u64()?,
            6 => it.from_ns = d.u64()?,
            7 => it.to_ns = d.u64()?,
            8 => {
                let n = array_len(d, SAMPLES_MAX as u64)?;
                it.samples_ns = (0..n).map(|_| Ok(d.u64()?)).collect::<Read<_>>()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(it)
}

fn act<'b>(d: &mut Decoder<'b>) -> Read<Act<'b>> {
    const OUTCOMES: &[Outcome] = &[Outcome::Done, Outcome::Refused, Outcome::Failed];
    let mut it = Act::new(ActKind::Other(u64::MAX));
    let (mut kind, mut outcome) = (None, None);
    each_entry(d, |d, key| {
        match key {
            0 => kind = Some(ActKind::from_code(d.u64()?)),
            1 => outcome = Some(coded(d, "outcome", OUTCOMES, outcome_code)?),
            2 => it.principal = pseudonym(d)?,
            3 => it.proof = Some(text(d)?),
            4 => it.resource = Some(text(d)?),
            5 => it.reason = Some(text(d)?),
            6 => it.model = Some(model(d)?),
            7 => it.digests = digests(d)?,
            8 => it.count = Some(d.u64()?),
            9 => it.bytes = Some(d.u64()?),
            10 => it.from_ns = Some(d.u64()?),
            11 => it.to_ns = Some(d.u64()?),
            12 => it.findings.kept = findings(d)?,
            13 => it.findings.n_more = d.u64()?,
            14 => {
                let n = array_len(d, ACT_KEYS_MAX as u64)?;
                let name = |d: &mut Decoder<'b>| Ok(Pseudonym(fixed(d, "keys")?));
                it.keys = (0..n).map(|_| name(d)).collect::<Read<_>>()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    it.kind = kind.ok_or(absent("kind"))?;
    it.outcome = outcome.ok_or(absent("outcome"))?;
    Ok(it)
}
