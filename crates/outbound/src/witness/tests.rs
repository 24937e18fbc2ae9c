//! The client against honest witnesses, and against ones that lie, stall or know better.

use std::time::Duration;

use super::*;
use crate::https::HttpsSettings;
use crate::testing::{Does, NOW_S, TestLog, TestWitness, honest, witness_signer};

async fn cosign(
    client: &mut WitnessClient,
    log: &TestLog,
    size: u64,
) -> Result<Vec<SignatureLine>, WitnessFault> {
    let published = log.published(size);
    let asked = Asked { size, note: &published.note };
    client.cosign(asked, &log.prove(), NOW_S).await
}

/// From the first checkpoint on; after it lost its place, from what the witness says.
#[tokio::test]
async fn a_log_that_grows_is_cosigned_from_wherever_the_witness_stands() {
    let log = TestLog::new(0);
    let witness =
        TestWitness::start("w.example/1", Does::Honest(honest("w.example/1", &log))).await;
    let mut client = witness.client(HttpsSettings::default());
    for size in [0, 1, 5, 5, 300] {
        let lines = cosign(&mut client, &log, size).await.unwrap();
        assert_eq!(lines.len(), 1, "{size}");
        let text = log.published(size).note;
        let note = Note::parse(text.as_bytes()).unwrap();
        assert_eq!(witness.key.verify(note.text, &lines[0].signature), Some(NOW_S));
    }
    let mut fresh = witness.client(HttpsSettings::default());
    assert_eq!(fresh.newest(&log.published(0).note).await.unwrap(), 300);
    cosign(&mut fresh, &log, 301).await.unwrap();
}

/// W2: a rollback and a fork are each told of by name, and are alarms.
#[tokio::test]
async fn a_rolled_back_or_forked_log_is_told_of_by_name() {
    let (log, other) = (TestLog::new(0), TestLog::new(1));
    let state = honest("w.example/1", &log);
    let witness = TestWitness::start("w.example/1", Does::Honest(state)).await;
    let mut client = witness.client(HttpsSettings::default());
    cosign(&mut client, &log, 7).await.unwrap();
    let mut fresh = witness.client(HttpsSettings::default());
    let behind = cosign(&mut fresh, &log, 6).await.unwrap_err();
    assert!(matches!(behind, WitnessFault::Behind { seen: 7, ours: 6 }), "{behind:?}");
    for size in [7, 9] {
        let mut fresh = witness.client(HttpsSettings::default());
        let fork = cosign(&mut fresh, &other, size).await.unwrap_err();
        assert!(matches!(fork, WitnessFault::Fork { size: 7 }), "{fork:?}");
        assert!(fork.is_alarm() && behind.is_alarm());
    }
}

/// W1 and every other answer: each is a fault of its own, and none an alarm.
#[tokio::test]
async fn a_witness_that_lies_is_not_believed() {
    let log = TestLog::new(0);
    let name = "w.example/1";
    let good = log.published(3).note;
    let note = Note::parse(good.as_bytes()).unwrap();
    let late = witness_signer(name).sign(note.text, NOW_S + 301).unwrap().to_string();
    let late: &'static str = late.leak();
    let foreign = witness_signer("w.example/2").sign(note.text, NOW_S).unwrap().to_string();
    let foreign: &'static str = foreign.leak();
    let cases = [
        (Does::Forge(honest(name, &log)), "does not verify"),
        (Does::Say(200, late), "of the future: 301"),
        (Does::Say(200, foreign), "no cosignature by its key"),
        (Does::Say(200, ""), "no cosignature by its key"),
        (Does::Say(200, "no signature"), "a line is no signature"),
        (Does::Say(403, ""), "does not trust"),
        (Does::Say(404, ""), "does not know"),
        (Does::Say(500, ""), "status 500"),
        (Does::Say(409, "0\n"), "409 for its own size"),
        (Does::Say(409, "2\n"), "409 for its own size"),
        (Does::Say(409, "two"), "409 without a size"),
        (Does::Say(409, ""), "409 without a size"),
    ];
    for (does, words) in cases {
        let witness = TestWitness::start(name, does).await;
        let mut client = witness.client(HttpsSettings::default());
        let fault = cosign(&mut client, &log, 3).await.unwrap_err();
        let words = words.replace("of the future: 301", "301 s in the future");
        assert!(fault.to_string().contains(&words), "{fault} is not {words}");
        assert!(!fault.is_alarm(), "{fault}");
    }
}

/// A witness that stalls costs its deadline and no more.
#[tokio::test]
async fn a_witness_that_stalls_is_left_at_the_deadline() {
    let log = TestLog::new(0);
    let witness = TestWitness::start("w.example/1", Does::Stall).await;
    let deadline = Duration::from_millis(100);
    let mut client = witness.client(HttpsSettings { deadline, ..HttpsSettings::default() });
    let fault = cosign(&mut client, &log, 3).await.unwrap_err();
    assert!(matches!(fault, WitnessFault::Https(HttpsError::Deadline { .. })), "{fault:?}");
}

#[test]
fn an_address_has_a_scheme_and_a_host() {
    for url in ["", "w.example", "/prefix", "https://"] {
        let https = HttpsClient::new(HttpsSettings::default()).unwrap();
        let key = witness_signer("w.example/1").public().clone();
        let fault = WitnessClient::new(https, url, key).unwrap_err();
        assert!(matches!(fault, WitnessFault::Url { .. }), "{url:?}: {fault:?}");
    }
}
