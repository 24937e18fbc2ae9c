//! Policies that change while a server answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "stage/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bartizan_access::{ModelScope, Policies, PolicyFile, Scopes};
use bartizan_decision::Snapshot;
use bartizan_decision::testing::{Mood, Puppet, Rig};
use bartizan_gateway::{HttpLimits, Live};
use bartizan_ledger::{Body, Record};
use bartizan_testkit::{SimClock, SimEntropy};
use stage::{Stage, ask, request};

/// Threads that ask, fewer than the puppet has places.
const N_CALLERS: usize = 3;
/// Requests of each.
const N_REQUESTS: usize = 60;

/// The snapshot that [`Stage`] begins with, key and all, with the one policy `id`.
fn snapshot(id: &str, obligation: &str) -> Arc<Snapshot> {
    let clock = Arc::new(SimClock::new(1_795_564_800_000_000_000));
    let scopes = Scopes::inference(ModelScope::All);
    let rig =
        Rig::new(Puppet::new(Mood::Fine), scopes, clock, Arc::new(SimEntropy::new(3))).unwrap();
    let text = format!("@id(\"{id}\") {obligation}\npermit (principal, action, resource);");
    let file = PolicyFile { name: "own.cedar".into(), text };
    let policies = Policies::new("test".parse().unwrap(), &[file], None).unwrap();
    Arc::new(Arc::into_inner(rig.snapshot).unwrap().with_policies(Arc::new(policies)))
}

/// S1 on real sockets: while two sets of policies replace each other without end, no request fails,
/// and each is judged, answered and recorded by one of them: policy, digests, obligations and reply
/// belong together.
#[test]
fn no_request_fails_or_is_judged_by_a_mixture_while_policies_change() {
    let stage = Stage::start(HttpLimits { lanes: 2, ..HttpLimits::default() });
    let sets = [snapshot("set/label", "@labelOnly(\"true\")"), snapshot("set/all", "")];
    let store = |set: &Arc<Snapshot>| {
        stage.live.store(Arc::new(Live { snapshot: set.clone(), tls: None }));
    };
    let address = stage.server.addresses().inference;
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    let body = r#"{"inputs":[{"name":"X","shape":[1,2],"datatype":"FP32","data":[0.5,1]}]}"#;
    // Of each answer: its decision, and whether it gave the scores.
    let ask_one = || {
        let (status, text) = ask(address, &request("POST", "/v2/models/puppet/infer", &key, body));
        assert_eq!(status, 200, "{text}");
        let id = text.lines().find_map(|line| line.strip_prefix("bartizan-decision: "));
        (id.unwrap().to_owned(), text.contains("scores"))
    };
    let mut told = BTreeMap::new();
    for set in &sets {
        store(set);
        told.extend([ask_one()]);
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for set in sets.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                store(set);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let ask_all = || (0..N_REQUESTS).map(|_| ask_one()).collect::<Vec<_>>();
        let callers: Vec<_> = (0..N_CALLERS).map(|_| scope.spawn(ask_all)).collect();
        let all: Vec<_> = callers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        told.extend(all.into_iter().flat_map(Result::unwrap));
    });
    let mut n_of = BTreeMap::new();
    for leaf in stage.end() {
        let record = Record::decode(&leaf).unwrap();
        let Body::Decision(decision) = record.body else { panic!("only decisions") };
        let [policy] = &decision.policies[..] else { panic!("{:?}", decision.policies) };
        let is_label_only = &**policy == "set/label";
        let set = &sets[usize::from(!is_label_only)];
        assert_eq!(decision.digests.policy, Some(set.policies().digest()));
        assert_eq!(decision.digests.snapshot, Some(set.digest()));
        assert_eq!(decision.obligations.label_only, is_label_only);
        assert_eq!(told.remove(&record.id.to_string()), Some(!is_label_only), "{policy}");
        *n_of.entry(policy.to_string()).or_insert(0) += 1;
    }
    assert!(told.is_empty(), "answered without a record: {told:?}");
    assert_eq!(n_of.values().sum::<usize>(), 2 + N_CALLERS * N_REQUESTS);
    assert_eq!(n_of.len(), 2, "{n_of:?}");
}
