//! The steps at work: what is refused is recorded, and nothing is told without its record.

use std::sync::Arc;

use bartizan_access::{Credential, ModelScope, Policies, PolicyFile, Scopes, Zone};
use bartizan_core::{Clock, Obligations, Refusal, RefusalCode, Tensor, Values};
use bartizan_ledger::{Body, Decision, Log, LogConfig, MemDisk, OpenedPayload, Receipt, Record};
use bartizan_testkit::{SimClock, SimEntropy};
use bartizan_wire::Asserted;
use bytes::Bytes;

use crate::testing::{Mood, Puppet};
use crate::{
    Answer, Arrival, Ask, Chance, Protocol, Rendered, Spoken, Unrecorded, Withheld, admit,
};

/// A snapshot around a puppet, and the simulated clock that it goes by.
struct Rig {
    clock: Arc<SimClock>,
    snapshot: Arc<crate::Snapshot>,
    key: String,
}

impl Rig {
    fn new(puppet: Arc<Puppet>, scopes: Scopes) -> Self {
        let clock = Arc::new(SimClock::new(1_795_564_800_000_000_000));
        let entropy = Arc::new(SimEntropy::new(7));
        let rig = crate::testing::Rig::new(puppet, scopes, clock.clone(), entropy).unwrap();
        Self { clock, snapshot: rig.snapshot, key: rig.key }
    }

    fn open(puppet: Arc<Puppet>) -> Self {
        Self::new(puppet, Scopes::inference(ModelScope::All))
    }
}

/// Says which outputs it was given.
#[derive(Debug)]
struct Plain;

impl Protocol for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn answer(&self, answer: &Answer<'_>) -> Result<Rendered, Refusal> {
        let names: Vec<_> = answer.outputs.iter().map(Tensor::name).collect();
        Ok(names.join(",").into_bytes().into())
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        refusal.code.as_str().into()
    }
}

fn arrival(rig: &Rig, seed: u64) -> Arrival {
    let at = rig.clock.now();
    Arrival {
        at,
        deadline_ns: at.mono_ns + 1_000_000,
        chance: Chance::draw(&SimEntropy::new(seed)),
        listener: "test",
        zone: Zone::Loopback,
        route: "/test",
        protocol: &Plain,
        trace_context: None,
    }
}

fn credential(rig: &Rig) -> Credential {
    rig.snapshot.keys().authenticate(&rig.key, rig.clock.now().unix_s()).unwrap()
}

fn spoken(values: Vec<f32>) -> Spoken {
    let shape = vec![1, values.len() as u64];
    let tensor = Tensor::new("X", shape, Values::Fp32(values)).unwrap();
    let received = Bytes::from_static(b"{}");
    Spoken {
        received: received.into(),
        tensors: vec![tensor],
        wanted: None,
        id: None,
        asserted: Asserted::default(),
        voice: None,
    }
}

/// One request from its arrival to what is withheld of it.
fn decide(rig: &Rig, values: Vec<f32>) -> Withheld {
    let ask = Ask { model: "puppet", ..Ask::default() };
    let admitted = match admit(rig.snapshot.clone(), arrival(rig, 1), &credential(rig), ask) {
        Ok(admitted) => admitted,
        Err(withheld) => return withheld,
    };
    match admitted.clear(spoken(values)) {
        Ok(cleared) => {
            let model = cleared.model().clone();
            model.predict_one(cleared).review()
        }
        Err(withheld) => withheld,
    }
}

/// Puts the record into a real log and gives its receipt, and the refusal that it tells of.
fn record(withheld: &mut Withheld) -> (Receipt, Option<String>) {
    let entry = withheld.take_entry().expect("there is a record");
    let leaf = entry.leaf().to_vec();
    let clock = Arc::new(bartizan_testkit::SimClock::new(1));
    let config = LogConfig { volatile_allowed: true, ..LogConfig::new("test") };
    let (mut log, _) = Log::open(Arc::new(MemDisk::new()), &config, clock).unwrap();
    let receipt = log.record(entry).unwrap();
    let record = Record::decode(&leaf).unwrap();
    let Body::Decision(decision) = record.body else { panic!("a decision") };
    (receipt, decision.refusal.map(|code| code.to_string()))
}

/// D1 and D3: what the guard does not clear never reaches the predictor, and its refusal is
/// recorded like an answer.
#[test]
fn a_predictor_sees_only_what_was_cleared_and_every_refusal_is_recorded() {
    let puppet = Puppet::new(Mood::Fine);
    let rig = Rig::open(puppet.clone());
    for (values, code) in [
        (vec![f32::NAN, 0.0], RefusalCode::InputRefused),
        (vec![f32::INFINITY, 0.0], RefusalCode::InputRefused),
        (vec![1.0, 2.0, 3.0], RefusalCode::Mismatch),
    ] {
        let mut withheld = decide(&rig, values);
        assert_eq!(withheld.refusal(), Some(code));
        let (receipt, told) = record(&mut withheld);
        assert_eq!(told.as_deref(), Some(code.as_str()));
        let reply = withheld.release(receipt).unwrap();
        assert_eq!(reply.into_body(), code.as_str().as_bytes());
    }
    assert_eq!(puppet.n_calls(), 0);
    let mut withheld = decide(&rig, vec![0.5, 0.5]);
    let (receipt, told) = record(&mut withheld);
    assert_eq!((puppet.n_calls(), told), (1, None));
    assert_eq!(withheld.release(receipt).unwrap().into_body(), b"label,scores");
}

/// A guard of the puppet that knows 400 rows in the unit square.
fn watched(model: crate::Model, mode: bartizan_guard::Mode) -> crate::Model {
    let mut values = Vec::new();
    for at in 0..400_u32 {
        // Two rotations of the unit interval fill the square evenly.
        values.extend([0.754_877_7, 0.569_840_3].map(|step: f32| (at as f32 * step).fract()));
    }
    let inputs = [Tensor::new("X", vec![400, 2], Values::Fp32(values)).unwrap()];
    let reference = bartizan_guard::Reference {
        inputs: &inputs,
        contract: model.contract(),
        model: model.digest(),
        seed: 1,
    };
    let profile = bartizan_guard::fit(&reference).unwrap();
    let digest = bartizan_core::Digest::of(&profile.to_bytes().unwrap());
    let policy = bartizan_guard::Policy { mode, callers_max: 16, ..Default::default() };
    let guard = bartizan_guard::Guard::new(Arc::new(profile), policy, [1, 2]);
    let channels = std::collections::BTreeSet::new();
    model.watched(crate::Watch { guard: Arc::new(guard), profile: digest, channels })
}

/// D3 for the guard: who asks only rows unlike any honest one is refused, whatever it asks then,
/// in words that do not say why; where the guard only observes, all is answered. Each record has
/// step, profile and findings.
#[test]
fn a_caller_that_the_guard_holds_is_refused_and_on_record_with_its_step() {
    use bartizan_guard::Mode;
    for mode in [Mode::Enforce, Mode::Observe] {
        let clock = Arc::new(SimClock::new(1_795_564_800_000_000_000));
        let entropy = Arc::new(SimEntropy::new(7));
        let scopes = Scopes::inference(ModelScope::All);
        let (puppet, finish) = (Puppet::new(Mood::Fine), |model| watched(model, mode));
        let made = crate::testing::Rig::with_model(puppet, scopes, clock.clone(), entropy, finish);
        let made = made.unwrap();
        let rig = Rig { clock, snapshot: made.snapshot, key: made.key };
        let far = |at: f32| vec![40.0 + 9.0 * (at * at).sin(), -70.0 - 9.0 * (3.0 * at).cos()];
        let rows = (0..40).map(|at| far(at as f32)).chain([vec![0.5, 0.5]]);
        let mut refused = Vec::new();
        let mut last_step = 0;
        for row in rows {
            let mut withheld = decide(&rig, row);
            refused.push(withheld.refusal());
            let leaf = withheld.take_entry().unwrap().leaf().to_vec();
            let Body::Decision(decision) = Record::decode(&leaf).unwrap().body else { panic!() };
            assert!(last_step < decision.guard_step.unwrap());
            last_step = decision.guard_step.unwrap();
            assert!(decision.digests.profile.is_some());
        }
        match mode {
            Mode::Enforce => {
                let first = refused.iter().position(Option::is_some).unwrap();
                assert!(first < 25, "{first}");
                let codes = [Some(RefusalCode::Forbidden), Some(RefusalCode::Throttled)];
                assert!(codes.contains(&refused[first]), "{refused:?}");
                assert!(refused[first..].iter().all(|code| *code == refused[first]));
            }
            Mode::Observe => assert!(refused.iter().all(Option::is_none), "{refused:?}"),
        }
    }
}

/// D2: a receipt of another record opens nothing, and a record is taken once.
#[test]
fn a_reply_is_given_for_its_own_receipt_alone() {
    let rig = Rig::open(Puppet::new(Mood::Fine));
    let mut one = decide(&rig, vec![0.5, 0.5]);
    let mut other = decide(&rig, vec![0.25, 0.5]);
    let (of_other, _) = record(&mut other);
    assert!(one.take_entry().is_some());
    assert!(one.take_entry().is_none());
    assert_eq!(one.release(of_other.clone()).unwrap_err(), Unrecorded);
    assert!(other.release(of_other).is_ok());
}

/// D4: neither an error nor a panic of a predictor is an answer, and both are on record.
#[test]
fn a_fault_of_a_predictor_is_a_recorded_refusal() {
    for mood in [Mood::Failing, Mood::Panicking] {
        let rig = Rig::open(Puppet::new(mood));
        let mut withheld = decide(&rig, vec![0.5, 0.5]);
        assert_eq!(withheld.refusal(), Some(RefusalCode::Internal), "{mood:?}");
        let (_, told) = record(&mut withheld);
        assert_eq!(told.as_deref(), Some("internal"));
    }
}

/// S1: a request in flight goes on with the snapshot it was admitted under, whatever replaces it.
#[test]
fn a_request_is_judged_by_one_snapshot() {
    let rig = Rig::open(Puppet::new(Mood::Fine));
    let ask = Ask { model: "puppet", ..Ask::default() };
    let admitted = admit(rig.snapshot.clone(), arrival(&rig, 1), &credential(&rig), ask).unwrap();
    let digest = rig.snapshot.digest();
    let model = Arc::downgrade(admitted.model());
    drop(rig.snapshot);
    assert!(model.upgrade().is_some(), "the old model is kept for it");
    let cleared = admitted.clear(spoken(vec![0.5, 0.5])).unwrap();
    let model = cleared.model().clone();
    let mut withheld = model.predict_one(cleared).review();
    let entry = withheld.take_entry().unwrap();
    let Body::Decision(decision) = Record::decode(entry.leaf()).unwrap().body else { panic!() };
    assert_eq!(decision.digests.snapshot, Some(digest));
}

#[test]
fn a_late_answer_is_a_refusal() {
    let rig = Rig::open(Puppet::new(Mood::Fine));
    let ask = Ask { model: "puppet", ..Ask::default() };
    let admitted = admit(rig.snapshot.clone(), arrival(&rig, 1), &credential(&rig), ask).unwrap();
    rig.clock.advance(2_000_000);
    let cleared = admitted.clear(spoken(vec![0.5, 0.5])).unwrap();
    let model = cleared.model().clone();
    let withheld = model.predict_one(cleared).review();
    assert_eq!(withheld.refusal(), Some(RefusalCode::DeadlineExceeded));
}

#[test]
fn a_models_places_are_bounded_and_given_back() {
    let rig = Rig::open(Puppet::new(Mood::Fine));
    let ask = || Ask { model: "puppet", ..Ask::default() };
    let enter = || admit(rig.snapshot.clone(), arrival(&rig, 1), &credential(&rig), ask());
    let inside: Vec<_> = (0..4).map(|_| enter().unwrap()).collect();
    assert_eq!(enter().unwrap_err().refusal(), Some(RefusalCode::Overloaded));
    drop(inside);
    assert!(enter().is_ok());
}

/// Access comes before existence: who may not ask a model does not learn whether it is there.
#[test]
fn a_key_for_other_models_learns_nothing_of_this_one() {
    let only = ModelScope::Some(["other".parse().unwrap()].into());
    let rig = Rig::new(Puppet::new(Mood::Fine), Scopes::inference(only));
    let code = |model| {
        let ask = Ask { model, ..Ask::default() };
        let refused = admit(rig.snapshot.clone(), arrival(&rig, 1), &credential(&rig), ask);
        refused.unwrap_err().refusal()
    };
    assert_eq!(code("puppet"), Some(RefusalCode::Forbidden));
    assert_eq!(code("nothing-there"), Some(RefusalCode::Forbidden));
    assert_eq!(code("other"), Some(RefusalCode::NotFound));
}

/// What a permit withholds is in the record, and not in the reply.
#[test]
fn a_label_only_key_is_given_the_label_alone() {
    let obligations = Obligations { label_only: true, ..Obligations::default() };
    let scopes = Scopes { obligations, ..Scopes::inference(ModelScope::All) };
    let rig = Rig::new(Puppet::new(Mood::Fine), scopes);
    let mut withheld = decide(&rig, vec![0.5, 0.25]);
    let entry = withheld.take_entry().unwrap();
    let opened = rig.snapshot.sealer().open(withheld.id(), entry.sealed()).unwrap();
    assert_eq!(opened.outputs.len(), 2, "the whole answer is kept, sealed");
    assert_eq!(opened.reply, b"label");
}

/// The record of `values` asked by a holder of `obligations`: its decision, and what is sealed.
fn recorded(obligations: &Obligations, values: Vec<f32>) -> (Decision<'static>, OpenedPayload) {
    let scopes = Scopes { obligations: obligations.clone(), ..Scopes::inference(ModelScope::All) };
    let rig = Rig::new(Puppet::new(Mood::Fine), scopes);
    let mut withheld = decide(&rig, values);
    let entry = withheld.take_entry().unwrap();
    let opened = rig.snapshot.sealer().open(withheld.id(), entry.sealed()).unwrap();
    let leaf: &'static [u8] = Vec::leak(entry.leaf().to_vec());
    let Body::Decision(decision) = Record::decode(leaf).unwrap().body else { panic!() };
    (*decision, opened)
}

/// From both sides: inputs that may not be kept are in no byte that is kept, answered or refused,
/// and the record says what was obliged and which policies decided.
#[test]
fn inputs_that_may_not_be_kept_are_not_kept() {
    let retain = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Obligations { retain_inputs: Some(names), ..Obligations::default() }
    };
    for values in [vec![0.5, 0.25], vec![f32::NAN, 0.25]] {
        let (decision, opened) = recorded(&Obligations::default(), values.clone());
        assert_eq!((&opened.received[..], opened.retained.len()), (&b"{}"[..], 0));
        assert_eq!(decision.policies, ["callers-as-granted"]);
        assert!(decision.obligations.is_free());
        for (obligations, n_kept) in [(retain(&["X"]), 1), (retain(&["Y"]), 0), (retain(&[]), 0)] {
            let (decision, opened) = recorded(&obligations, values.clone());
            assert!(opened.received.is_empty(), "{obligations:?}");
            let n_inputs = usize::from(decision.commitments.tensors.is_some());
            assert_eq!(opened.retained.len(), n_kept * n_inputs, "{obligations:?}");
            assert_eq!(decision.obligations, obligations);
            assert!(decision.commitments.received.is_some(), "what came can still be proved");
        }
    }
}

/// B1: the day's last row is answered; the next is refused with when to come again, reaches no
/// model, and is on record.
#[test]
fn rows_beyond_the_days_budget_are_refused_until_midnight() {
    let obligations = Obligations { rows_per_day: Some(2), ..Obligations::default() };
    let scopes = Scopes { obligations, ..Scopes::inference(ModelScope::All) };
    let puppet = Puppet::new(Mood::Fine);
    let rig = Rig::new(puppet.clone(), scopes);
    for _ in 0..2 {
        assert_eq!(decide(&rig, vec![0.5, 0.5]).refusal(), None);
    }
    let mut withheld = decide(&rig, vec![0.5, 0.5]);
    assert_eq!((withheld.refusal(), puppet.n_calls()), (Some(RefusalCode::Throttled), 2));
    let (receipt, told) = record(&mut withheld);
    assert_eq!(told.as_deref(), Some("throttled"));
    let reply = withheld.release(receipt).unwrap();
    let left_s = 86_400 - rig.clock.now().unix_s() % 86_400;
    assert_eq!(reply.refusal().unwrap().retry_after_s.map(u64::from), Some(left_s));
}

/// A refusal by policy names the policies that forbid; where nothing permits, none.
#[test]
fn who_is_refused_by_policy_is_refused_by_name_on_record() {
    let only = ModelScope::Some(["other".parse().unwrap()].into());
    let rig = Rig::new(Puppet::new(Mood::Fine), Scopes::inference(only));
    let text = "@id(\"own/no-puppets\")\nforbid (principal, action, resource);";
    let file = PolicyFile { name: "own.cedar".into(), text: text.into() };
    let policies = Policies::new("test".parse().unwrap(), &[file], None).unwrap();
    let snapshot = Arc::into_inner(rig.snapshot).unwrap().with_policies(Arc::new(policies));
    let rig = Rig { snapshot: Arc::new(snapshot), ..rig };
    let ask = Ask { model: "other", ..Ask::default() };
    let refused = admit(rig.snapshot.clone(), arrival(&rig, 1), &credential(&rig), ask);
    let entry = refused.unwrap_err().take_entry().unwrap();
    let Body::Decision(decision) = Record::decode(entry.leaf()).unwrap().body else { panic!() };
    assert_eq!(decision.policies, ["own/no-puppets"]);
    assert_eq!(decision.digests.policy, Some(rig.snapshot.policies().digest()));
}
