//! Quorums out of witnesses of which some stall, lie or are down.

use std::sync::Mutex;

use super::*;
use crate::OsClock;
use crate::https::HttpsSettings;
use crate::testing::{Does, TestLog, TestWitness, honest};

const NAMES: [&str; 3] = ["one.example/w", "two.example/w", "three.example/w"];

fn policy(log: &TestLog, witnesses: &[TestWitness], least: usize) -> Policy {
    let mut text = format!("log {}\n", log.key());
    for (at, witness) in witnesses.iter().enumerate() {
        text.push_str(&format!("witness w{at} {} {}\n", witness.key, witness.url));
    }
    let names: Vec<_> = (0..witnesses.len()).map(|at| format!("w{at}")).collect();
    text.push_str(&format!("group all {least} {}\nquorum all\n", names.join(" ")));
    Policy::parse(text.as_bytes()).unwrap()
}

struct Heap(Mutex<Vec<String>>);

/// C1: two of three are enough, whatever the third does; the note then satisfies the policy.
#[tokio::test]
async fn a_quorum_is_met_whatever_the_rest_do() {
    for bad in [0, 1, 2] {
        let log = TestLog::new(0);
        let mut witnesses = Vec::new();
        for (at, name) in NAMES.iter().enumerate() {
            let state = honest(name, &log);
            let does = match (at == bad, bad) {
                (false, _) => Does::Honest(state),
                (true, 0) => Does::Stall,
                (true, 1) => Does::Forge(state),
                (true, _) => Does::Say(500, ""),
            };
            witnesses.push(TestWitness::start(name, does).await);
        }
        let (publication, policy) = (Publication::default(), policy(&log, &witnesses, 2));
        let heard = Arc::new(Heap(Mutex::default()));
        let hears = heard.clone();
        let cosigning = Cosigning {
            publication: publication.clone(),
            policy: policy.clone(),
            witnesses: witnesses
                .iter()
                .zip(NAMES)
                .map(|(witness, name)| (name.into(), witness.client(HttpsSettings::default())))
                .collect(),
            prove: log.prove(),
            clock: Arc::new(OsClock::not_before(crate::testing::NOW_S * 1_000_000_000)),
            hear: Arc::new(move |name, heard| {
                hears.0.lock().unwrap().push(format!("{name}: {heard:?}"));
            }),
        };
        let (stop, stopped) = watch::channel(false);
        let (tell, mut told) = watch::channel(None);
        let running = tokio::spawn(cosigning.run(tell, stopped));
        for size in [3, 400] {
            publication.tell_by_hand(log.published(size));
            let covers = |known: &Witnessed| known.as_ref().is_some_and(|k| size <= k.size);
            let good = told.wait_for(covers).await.unwrap().clone().unwrap();
            let note = Note::parse(good.note.as_bytes()).unwrap();
            let judged = policy.judge(&note).unwrap();
            assert!(judged.is_good() && judged.quorum == Quorum::Met, "{judged:?}");
            assert_eq!(judged.cosigned.len(), 2);
        }
        stop.send(true).unwrap();
        running.await.unwrap();
        let heard = heard.0.lock().unwrap().join("\n");
        let fault = heard.contains(&format!("{}: Fault", NAMES[bad]));
        assert_eq!(fault, bad != 0, "{heard}");
    }
}
