//! A server on a real socket, and callers that it knows nothing of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bartizan_gateway::route::{Needs, ROUTES};
use bartizan_gateway::{HttpLimits, Speech};
use bartizan_ledger::{Body, Record};

#[path = "stage/stage.rs"]
mod stage;

use stage::{Stage, ask, request};

/// G1 and G2: without a credential every route gives a constant or the same refusal, whatever is
/// sent to it; nothing reaches a model, and the counts on record are exact.
#[test]
fn a_stranger_is_told_nothing_and_counted_exactly() {
    let stage = Stage::start(HttpLimits { lanes: 2, ..HttpLimits::default() });
    let mut n_refused = 0;
    for route in ROUTES {
        let Some(address) = stage.address(route.listener) else { continue };
        let path = route.path.replace("{model}", "puppet").replace("{version}", "1");
        for headers in ["", "authorization: Bearer nonsense\r\n", "authorization: Basic eDp5\r\n"] {
            let body = "{\"inputs\":[]}";
            let (status, text) = ask(address, &request(route.method, &path, headers, body));
            if matches!(route.needs, Needs::Key(_)) {
                n_refused += 1;
                let is_refused = match route.speech {
                    Speech::OipRest | Speech::AzureMl | Speech::Mlflow | Speech::KserveV1 => {
                        matches!(status, 401 | 429)
                    }
                    // UNAUTHENTICATED or RESOURCE_EXHAUSTED.
                    Speech::OipGrpc => ["16", "8"]
                        .iter()
                        .any(|code| text.contains(&format!("grpc-status: {code}\r"))),
                };
                assert!(is_refused, "{path} {headers:?}: {text}");
                assert!(text.contains("bartizan-decision: "), "{text}");
                assert!(!text.contains("puppet") && !text.contains("FP32"), "{text}");
            } else {
                assert_eq!(status, 200, "{path} {headers:?}: {text}");
            }
        }
    }
    assert_eq!(stage.puppet.n_calls(), 0);
    let counted: u64 = stage
        .end()
        .iter()
        .map(|leaf| match Record::decode(leaf).unwrap().body {
            Body::Tally(tally) => tally.count,
            Body::Decision(_) | Body::Act(_) => panic!("a record of its own"),
        })
        .sum();
    assert!(0 < n_refused);
    assert_eq!(counted, n_refused);
}

/// G2: a principal's refusal is a record of its own, under the id that it was given.
#[test]
fn what_a_principal_is_refused_is_on_record_by_itself() {
    let stage = Stage::start(HttpLimits { lanes: 1, ..HttpLimits::default() });
    let address = stage.server.addresses().inference;
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    let good = r#"{"inputs":[{"name":"X","shape":[1,2],"datatype":"FP32","data":[0.5,1]}]}"#;
    let infer = "/v2/models/puppet/infer";
    let encoded = format!("{key}content-encoding: br\r\n");
    let gzip = format!("{key}content-encoding: gzip\r\n");
    let cases = [
        (200, "POST", infer, &key, good),
        (400, "POST", infer, &key, "{"),
        (400, "POST", infer, &key, "{\"inputs\":[]}"),
        (415, "POST", infer, &encoded, good),
        (400, "POST", infer, &gzip, good),
        (404, "GET", "/nowhere", &key, ""),
        (405, "DELETE", "/v2", &key, ""),
    ];
    let mut told = Vec::new();
    for (expected, method, path, headers, body) in cases {
        let (status, text) = ask(address, &request(method, path, headers, body));
        assert_eq!(status, expected, "{path}: {text}");
        let id = text.lines().find_map(|line| line.strip_prefix("bartizan-decision: "));
        told.push(id.unwrap().to_owned());
        assert!(text.contains("bartizan-receipt: "), "{text}");
    }
    assert_eq!(stage.puppet.n_calls(), 1);
    let recorded: Vec<_> =
        stage.end().iter().map(|leaf| Record::decode(leaf).unwrap().id.to_string()).collect();
    assert_eq!(recorded, told);
}

/// Whoever connects and asks nothing is hung up on, whatever of a protocol was begun.
#[test]
fn a_silent_client_is_hung_up_on() {
    let wait = Duration::from_millis(200);
    let limits = HttpLimits { lanes: 1, header_wait_max: wait, ..HttpLimits::default() };
    let stage = Stage::start(limits);
    for begun in ["", "P", "GET /v2", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(stage.server.addresses().inference).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // The end, or a reset: anything but the time-out of the read.
        if let Err(error) = stream.read_to_end(&mut rest) {
            let kind = error.kind();
            assert_ne!(kind, std::io::ErrorKind::WouldBlock, "{begun:?} is still connected");
        }
    }
    stage.end();
}

/// A flood of strangers is folded, and no request of a principal fails beside it.
#[test]
fn a_flood_of_strangers_fails_no_admitted_request() {
    const N_FLOODERS: usize = 4;
    const N_STRANGERS: usize = 1_000;
    const N_ASKED: usize = 200;
    let stage = Stage::start(HttpLimits { lanes: 2, ..HttpLimits::default() });
    let address = stage.server.addresses().inference;
    let infer = "/v2/models/puppet/infer";
    let body = r#"{"inputs":[{"name":"X","shape":[1,2],"datatype":"FP32","data":[0.5,1]}]}"#;
    let key = format!("authorization: Bearer {}\r\n", stage.key);
    std::thread::scope(|scope| {
        for flooder in 0..N_FLOODERS {
            scope.spawn(move || {
                for n in 0..N_STRANGERS {
                    let wrong = format!("authorization: Bearer bz_test_{flooder}_{n}\r\n");
                    let (status, text) = ask(address, &request("POST", infer, &wrong, body));
                    assert!(matches!(status, 401 | 429), "{text}");
                }
            });
        }
        for _ in 0..N_ASKED {
            let (status, text) = ask(address, &request("POST", infer, &key, body));
            assert_eq!(status, 200, "{text}");
        }
    });
    let (mut n_tallies, mut n_counted, mut n_decisions) = (0, 0, 0);
    for leaf in stage.end() {
        match Record::decode(&leaf).unwrap().body {
            Body::Tally(tally) => {
                n_tallies += 1;
                n_counted += tally.count;
            }
            Body::Decision(_) => n_decisions += 1,
            Body::Act(_) => {}
        }
    }
    assert_eq!((n_counted, n_decisions), ((N_FLOODERS * N_STRANGERS) as u64, N_ASKED));
    // The simulated clock stands still: it is one window for all of them.
    assert!(n_tallies <= bartizan_decision::TALLIES_PER_WINDOW_MAX, "{n_tallies} tallies");
}
