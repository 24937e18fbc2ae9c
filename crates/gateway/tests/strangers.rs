//! A server on a real socket, and callers that it knows nothing of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_access::{ModelScope, Scopes};
use bartizan_core::{Clock, Entropy, Principal};
use bartizan_decision::testing::{Mood, Puppet, Rig};
use bartizan_gateway::route::{Listener, Needs, ROUTES};
use bartizan_gateway::{Addresses, Admin, AdminReply, HttpLimits, Live, Server, Services};
use bartizan_ledger::{Body, Log, LogConfig, MemDisk, Reader, Record, RunningLog};
use bartizan_testkit::{SimClock, SimEntropy};

struct NoAdmin;

impl Admin for NoAdmin {
    fn perform(&self, _: &Principal, _: &str, _: &[u8]) -> AdminReply {
        AdminReply { status: 200, body: Vec::new() }
    }
}

/// A server of one puppet on a free loopback port, its log in memory.
struct Stage {
    server: Server,
    log: RunningLog,
    disk: Arc<MemDisk>,
    puppet: Arc<Puppet>,
    key: String,
}

impl Stage {
    fn start(limits: HttpLimits) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(1_795_564_800_000_000_000));
        let entropy: Arc<dyn Entropy> = Arc::new(SimEntropy::new(3));
        let puppet = Puppet::new(Mood::Fine);
        let scopes = Scopes::inference(ModelScope::All);
        let rig = Rig::new(puppet.clone(), scopes, clock.clone(), entropy.clone()).unwrap();
        let disk = Arc::new(MemDisk::new());
        let segment_bytes = 1 << 20;
        let config =
            LogConfig { volatile_allowed: true, segment_bytes, ..LogConfig::new("test/local/r1") };
        let (log, _) = Log::open(disk.clone(), &config, clock.clone()).unwrap();
        let log = log.start().unwrap();
        let live = Live { snapshot: rig.snapshot, tls: None };
        let services = Services {
            live: Arc::new(ArcSwap::from_pointee(live)),
            appender: log.appender(),
            clock,
            entropy,
            admin: Arc::new(NoAdmin),
            published: None,
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let addresses = Addresses {
            inference: any,
            admin: None,
            operations: Some(any),
            log: None,
            socket: None,
        };
        let server = Server::start(&addresses, limits, services).unwrap();
        Self { server, log, disk, puppet, key: rig.key }
    }

    fn address(&self, listener: Listener) -> Option<SocketAddr> {
        let addresses = self.server.addresses();
        match listener {
            Listener::Inference => Some(addresses.inference),
            Listener::Operations => addresses.operations,
            Listener::Admin | Listener::Log | Listener::Socket => None,
        }
    }

    /// Stops the server and gives every record.
    fn end(self) -> Vec<Vec<u8>> {
        self.server.drain();
        self.log.stop();
        let reader = Reader::open(self.disk).unwrap();
        reader.entries().map(|entry| entry.unwrap().leaf).collect()
    }
}

/// Status and text of the answer to one request on a connection of its own.
fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

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
                assert!(matches!(status, 401 | 429), "{path} {headers:?}: {text}");
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
