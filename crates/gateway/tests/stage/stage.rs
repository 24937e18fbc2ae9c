//! A server of one puppet on a real socket, for tests that ask it.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bartizan_access::{AdminPermit, ModelScope, Scopes};
use bartizan_core::{Clock, Entropy};
use bartizan_decision::testing::{Mood, Puppet, Rig};
use bartizan_gateway::route::Listener;
use bartizan_gateway::{Addresses, Admin, AdminReply, HttpLimits, Live, Server, Services};
use bartizan_ledger::{Log, LogConfig, MemDisk, Reader, RunningLog};
use bartizan_testkit::{SimClock, SimEntropy};

struct NoAdmin;

impl Admin for NoAdmin {
    fn perform(&self, _: &AdminPermit, _: &str, _: &[u8]) -> AdminReply {
        AdminReply { status: 200, body: Vec::new() }
    }
}

/// A server of one puppet on a free loopback port, its log in memory.
pub(crate) struct Stage {
    pub(crate) server: Server,
    log: RunningLog,
    disk: Arc<MemDisk>,
    pub(crate) puppet: Arc<Puppet>,
    pub(crate) key: String,
    /// What requests are judged by: whoever stores another reloads it.
    pub(crate) live: Arc<ArcSwap<Live>>,
}

impl Stage {
    pub(crate) fn start(limits: HttpLimits) -> Self {
        Self::with(limits, Scopes::inference(ModelScope::All))
    }

    pub(crate) fn with(limits: HttpLimits, scopes: Scopes) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(1_795_564_800_000_000_000));
        let entropy: Arc<dyn Entropy> = Arc::new(SimEntropy::new(3));
        let puppet = Puppet::new(Mood::Fine);
        let rig = Rig::new(puppet.clone(), scopes, clock.clone(), entropy.clone()).unwrap();
        let disk = Arc::new(MemDisk::new());
        let segment_bytes = 1 << 20;
        let config =
            LogConfig { volatile_allowed: true, segment_bytes, ..LogConfig::new("test/local/r1") };
        let (log, _) = Log::open(disk.clone(), &config, clock.clone()).unwrap();
        let log = log.start().unwrap();
        let live = Live { snapshot: rig.snapshot, tls: None };
        let live = Arc::new(ArcSwap::from_pointee(live));
        let services = Services {
            live: live.clone(),
            appender: log.appender(),
            clock,
            entropy,
            admin: Arc::new(NoAdmin),
            issuer_keys: None,
            freshness: None,
            published: None,
            assurance: None,
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
        Self { server, log, disk, puppet, key: rig.key, live }
    }

    pub(crate) fn address(&self, listener: Listener) -> Option<SocketAddr> {
        let addresses = self.server.addresses();
        match listener {
            Listener::Inference => Some(addresses.inference),
            Listener::Operations => addresses.operations,
            Listener::Admin | Listener::Log | Listener::Socket => None,
        }
    }

    /// Stops the server and gives every record.
    pub(crate) fn end(self) -> Vec<Vec<u8>> {
        self.server.drain();
        self.log.stop();
        let reader = Reader::open(self.disk).unwrap();
        reader.entries().map(|entry| entry.unwrap().leaf).collect()
    }
}

/// Status and text of the answer to one request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
