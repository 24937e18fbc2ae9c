//! Records: their exact bytes, both ways, bounds, and what later releases may add.

use bartizan_core::clock::ClockSource;
use bartizan_core::digest::hex;
use bartizan_core::finding::Rule;
use bartizan_core::limits::{FINDINGS_MAX, RECORD_BYTES_MAX};
use proptest::prelude::*;

use super::*;

const RULE: Rule = Rule {
    id: "guard.value.above-limit",
    severity: Severity::High,
    why: "why",
    remedy: "remedy",
    atlas: None,
};

fn record(body: Body<'_>) -> Record<'_> {
    Record {
        id: DecisionId::new(1_795_564_800_123_000_000, [0x11; 10]),
        at: Stamp {
            wall_ns: 1_795_564_800_123_456_789,
            raw_ns: 1_795_564_800_123_456_000,
            mono_ns: 77,
            source: ClockSource::Synchronised,
            error_ns: 500,
        },
        environment: "demo".into(),
        replica: "a".into(),
        volatile: true,
        body,
    }
}

fn full_decision() -> Decision<'static> {
    let hash = |n| Some([n; 32]);
    let digest = |n| Some(Digest([n; 32]));
    let finding = RecordedFinding {
        rule: RULE.id.into(),
        severity: RULE.severity,
        field: Some("mean radius".into()),
        row: Some(0),
        count: 2,
        score: 0.5,
    };
    Decision {
        principal: Some(Pseudonym([1; 16])),
        proof: Some("api-key:k1".into()),
        purpose: Some("triage".into()),
        subject: Some(Pseudonym([2; 16])),
        end_user: Some(Pseudonym([3; 16])),
        correlation: Some(Pseudonym([4; 16])),
        listener: "inference".into(),
        route: "infer".into(),
        protocol: "oip-rest".into(),
        model: Some(ModelRef { name: "cancer".into(), version: 3, digest: Digest([5; 32]) }),
        engine: Some(EngineRef {
            engine: "native".into(),
            version: "1".into(),
            settings: "".into(),
        }),
        digests: Digests {
            policy: digest(6),
            contract: digest(7),
            profile: digest(8),
            snapshot: digest(9),
        },
        commitments: Commitments {
            received: hash(10),
            tensors: hash(11),
            output: hash(12),
            reply: hash(13),
        },
        n_rows: 1,
        findings: FindingList { kept: vec![finding], n_more: 300 },
        verdict: Verdict::Block,
        refusal: Some("input-refused".into()),
        guard_step: Some(70_000),
        trace_context: Some(TraceContext { trace_id: [14; 16], span_id: [15; 8], flags: 1 }),
        upstream: Some(Upstream { digest: Digest([16; 32]), version: Some("2".into()) }),
        durations: Durations {
            read_ns: 1,
            admit_ns: 2,
            guard_ns: 3,
            predict_ns: 5_000_000_000,
            review_ns: 4,
        },
        policies: Vec::new(),
        obligations: Obligations::default(),
    }
}

/// What decided and what it obliged to reads back as it was written, each list to its limit; an
/// empty list of inputs to keep is none, not all.
#[test]
fn policies_and_obligations_are_read_back_as_they_were_written() {
    let names = |n: usize| Some((0..n).map(|n| format!("name-{n:02}")).collect());
    let obligations = Obligations {
        outputs: names(OBLIGED_NAMES_MAX),
        top_k: Some(3),
        digits: Some(0),
        label_only: true,
        retain_inputs: names(0),
        retention: Some(bartizan_core::Retention::Brief),
        rows_per_day: Some(u64::MAX),
    };
    let ids = |n: usize| (0..n).map(|n| Text::from(format!("policy/{n}"))).collect::<Vec<_>>();
    let decision = Decision { policies: ids(POLICIES_MAX), obligations, ..full_decision() };
    let written = record(Body::Decision(Box::new(decision.clone())));
    assert_eq!(Record::decode(&written.encode()).unwrap(), written);
    let more = Decision {
        policies: ids(POLICIES_MAX + 1),
        obligations: Obligations {
            outputs: names(OBLIGED_NAMES_MAX + 1),
            ..decision.obligations.clone()
        },
        ..decision.clone()
    };
    let cut = record(Body::Decision(Box::new(more))).encode();
    let Body::Decision(cut) = Record::decode(&cut).unwrap().body else { panic!("a decision") };
    assert_eq!((cut.policies, cut.obligations), (decision.policies, decision.obligations));
}

fn full_tally() -> Tally<'static> {
    Tally {
        listener: "inference".into(),
        refusal: "unauthenticated".into(),
        failure: Some("unknown".into()),
        source: Some(Pseudonym([1; 16])),
        principal: None,
        count: 1_000_000,
        from_ns: 10,
        to_ns: 20,
        samples_ns: vec![10, 15, 20],
    }
}

fn full_act() -> Act<'static> {
    Act {
        outcome: Outcome::Refused,
        principal: Some(Pseudonym([1; 16])),
        proof: Some("local-uid:0".into()),
        resource: Some("k1".into()),
        reason: Some("expired".into()),
        model: Some(ModelRef { name: "m".into(), version: 1, digest: Digest([2; 32]) }),
        digests: Digests { policy: Some(Digest([3; 32])), ..Digests::default() },
        count: Some(1),
        bytes: Some(2),
        from_ns: Some(3),
        to_ns: Some(4),
        ..Act::new(ActKind::KeyRevoked)
    }
}

/// R3: these bytes are final. A change here is a change of format and needs another version.
/// What a gate found stands in its act, and comes back; an act without findings has the bytes that
/// it had before there were any.
/// The list of an erasure survives, and ends at its bound.
#[test]
fn an_erasure_lists_the_keys_that_it_destroys() {
    let mut act = Act { keys: vec![Pseudonym([7; 16]); 3], ..full_act() };
    let read = |act: &Act<'_>| {
        let bytes = record(Body::Act(Box::new(act.clone()))).encode();
        assert!(bytes.len() < RECORD_BYTES_MAX);
        match Record::decode(&bytes).unwrap().body {
            Body::Act(read) => read.keys,
            Body::Decision(_) | Body::Tally(_) => panic!("not an act"),
        }
    };
    assert_eq!(read(&act), act.keys);
    act.keys = vec![Pseudonym([8; 16]); ACT_KEYS_MAX + 1];
    assert_eq!(read(&act).len(), ACT_KEYS_MAX);
}

#[test]
fn an_act_keeps_what_a_gate_found() {
    let bare = record(Body::Act(Box::new(full_act()))).encode();
    let mut act = full_act();
    act.findings = full_decision().findings;
    let whole = record(Body::Act(Box::new(act)));
    let leaf = whole.encode();
    assert!(bare.len() < leaf.len());
    let read = Record::decode(&leaf).unwrap();
    assert_eq!(read, whole);
    assert_eq!(read.to_json()["act"]["findings"][0]["rule"], RULE.id);
    assert_eq!(read.to_json()["act"]["n_more_findings"], 300);
}

#[test]
fn the_bytes_of_a_record_of_each_kind_are_pinned() {
    let golden = include_str!("golden.hex");
    let records = [
        record(Body::Decision(Box::new(full_decision()))),
        record(Body::Decision(Box::default())),
        record(Body::Tally(full_tally())),
        record(Body::Act(Box::new(full_act()))),
    ];
    let bytes: Vec<_> = records.iter().map(|record| hex(&record.encode())).collect();
    assert_eq!(bytes.join("\n"), golden.trim_end(), "{}", bytes.join("\n"));
    for (record, line) in records.iter().zip(golden.lines()) {
        let leaf = bartizan_core::digest::unhex(line).unwrap();
        assert_eq!(Record::decode(&leaf).unwrap(), *record);
    }
}

/// R1: the largest record that the types allow, with texts and lists beyond every bound.
#[test]
fn no_record_is_longer_than_the_limit() {
    let long: Text<'_> = "é".repeat(TEXT_BYTES_MAX).into();
    let finding = RecordedFinding {
        rule: long.clone(),
        severity: Severity::Critical,
        field: Some(long.clone()),
        row: Some(u64::MAX),
        count: u64::MAX,
        score: f64::MAX,
    };
    let mut decision = full_decision();
    decision.findings = FindingList { kept: vec![finding; FINDINGS_MAX + 1], n_more: u64::MAX };
    decision.proof = Some(long.clone());
    decision.purpose = Some(long.clone());
    (decision.listener, decision.route) = (long.clone(), long.clone());
    decision.refusal = Some(long.clone());
    let mut largest = record(Body::Decision(Box::new(decision)));
    (largest.environment, largest.replica) = (long.clone(), long);
    let leaf = largest.encode();
    assert!(30_000 < leaf.len() && leaf.len() <= RECORD_BYTES_MAX, "{} bytes", leaf.len());
    let read = Record::decode(&leaf).unwrap();
    assert_eq!(read.environment, "é".repeat(TEXT_BYTES_MAX / 2), "cut at a character");
    let Body::Decision(decision) = read.body else { panic!("not a decision") };
    assert_eq!(decision.findings.kept.len(), FINDINGS_MAX);

    let mut tally = full_tally();
    tally.samples_ns = vec![u64::MAX; SAMPLES_MAX + 1];
    let leaf = record(Body::Tally(tally)).encode();
    let Body::Tally(tally) = Record::decode(&leaf).unwrap().body else { panic!("not a tally") };
    assert_eq!(tally.samples_ns.len(), SAMPLES_MAX);
}

/// An entry that only a later release knows, at the top and inside.
#[test]
fn what_a_later_release_adds_is_skipped() {
    let record = record(Body::Act(Box::new(Act::new(ActKind::Started))));
    let mut leaf = record.encode();
    // The top map has 6 entries and ends in the act's, a map of 2.
    assert_eq!((leaf[1], leaf[leaf.len() - 5]), (0xa6, 0xa2));
    let at = leaf.len() - 5;
    leaf[1] = 0xa7;
    leaf[at] = 0xa3;
    // Act: key 200 with a nested array of texts; top: key 99 with a map.
    leaf.extend([0x18, 200, 0x82, 0x61, b'a', 0x80]);
    leaf.extend([0x18, 99, 0xa1, 0x00, 0x41, 0xff]);
    assert_eq!(Record::decode(&leaf).unwrap(), record);
}

#[test]
fn kinds_of_acts_keep_their_numbers_and_unknown_ones_stay_readable() {
    // Numbers in order, each once; those left out are kept for what comes.
    let codes: Vec<u64> = ActKind::ALL.iter().map(|kind| kind.code()).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    for (code, kind) in codes.into_iter().zip(ActKind::ALL) {
        assert_eq!((kind.code(), ActKind::from_code(code)), (code, *kind));
    }
    let pinned = [(0, ActKind::Init), (16, ActKind::ModelScanned), (60, ActKind::EpochBegun)];
    assert!(pinned.iter().all(|(code, kind)| kind.code() == *code));
    let leaf = record(Body::Act(Box::new(Act::new(ActKind::Other(900))))).encode();
    let read = Record::decode(&leaf).unwrap();
    assert_eq!(read.to_json()["act"]["kind_code"], 900);
}

#[test]
fn what_is_no_record_is_refused_with_its_reason() {
    let leaf = record(Body::Decision(Box::default())).encode();
    assert_eq!(Record::decode(&[]), Err(DecodeError::Empty));
    let later = [&[2], &leaf[1..]].concat();
    assert_eq!(Record::decode(&later), Err(DecodeError::Version { found: 2 }));
    let longer = vec![1; RECORD_BYTES_MAX + 1];
    assert!(matches!(Record::decode(&longer), Err(DecodeError::TooLong { .. })));
    let trailing = [&leaf[..], &[0]].concat();
    assert_eq!(Record::decode(&trailing), Err(DecodeError::Malformed { at: leaf.len() - 1 }));
    for len in 1..leaf.len() {
        assert!(Record::decode(&leaf[..len]).is_err(), "read {len} of {} bytes", leaf.len());
    }
}

/// The view names everything in words and leaves out what is absent.
#[test]
fn json_is_a_view_of_the_record() {
    let json = record(Body::Decision(Box::new(full_decision()))).to_json();
    assert_eq!(json["at"]["wall"], "2026-11-25T00:00:00.123456Z");
    let decision = &json["decision"];
    assert_eq!(decision["verdict"], "block");
    assert_eq!(decision["findings"][0]["severity"], "high");
    assert_eq!(decision["model"]["digest"], format!("sha256:{}", "05".repeat(32)));
    let traceparent = format!("00-{}-{}-01", "0e".repeat(16), "0f".repeat(8));
    assert_eq!(decision["traceparent"], traceparent);
    let bare = record(Body::Decision(Box::default())).to_json();
    assert!(bare["decision"].get("principal").is_none());
    assert_eq!(record(Body::Act(Box::new(full_act()))).to_json()["act"]["kind"], "key-revoked");
}

#[test]
fn findings_of_a_gate_are_recorded_as_they_were_found() {
    let mut findings = Findings::default();
    for row in 0..70 {
        findings.push(Finding::new(&RULE, "x", Some(row), 1));
    }
    let list = FindingList::from(&findings);
    assert_eq!((list.kept.len(), list.n_more), (FINDINGS_MAX, 6));
    assert_eq!((&*list.kept[3].rule, list.kept[3].row), (RULE.id, Some(3)));
}

proptest! {
    /// Foreign bytes and broken records never panic, and what is read encodes to what was read.
    #[test]
    fn foreign_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let _ = Record::decode(&bytes);
        let _ = Record::decode(&[&[1], &bytes[..]].concat());
        let mut leaf = record(Body::Decision(Box::new(full_decision()))).encode();
        let at = at.index(leaf.len());
        leaf[at] ^= 1 << bit;
        if let Ok(record) = Record::decode(&leaf) {
            let again = record.encode();
            prop_assert_eq!(Record::decode(&again).unwrap().encode(), again);
        }
        let _ = (id_of(&leaf), wall_ns_of(&leaf));
    }
}
