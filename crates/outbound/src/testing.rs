//! A log of a few entries and a witness behind HTTP, for this crate's tests.

use std::convert::Infallible;
use std::sync::Arc;

use bartizan_ledger::tlog::{
    Checkpoint, Frontier, Hash, KeyKind, NoteSigner, VerifierKey, prove_consistency,
};
use bartizan_ledger::witness::{AddCheckpoint, State};
use bartizan_ledger::{MemDisk, Published, leaf_hash};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::https::{HttpsClient, HttpsSettings};
use crate::witness::{Prove, WitnessClient};

pub(crate) const ORIGIN: &str = "log.example/a/r1";
pub(crate) const NOW_S: u64 = 1_800_000_000;

/// A log whose entry `n` is `<salt><n>`.
pub(crate) struct TestLog {
    salt: u8,
    signer: NoteSigner,
}

/// Nodes of a tree that is computed each time.
struct Leaves(u8);

impl bartizan_ledger::tlog::Nodes for Leaves {
    type Error = Infallible;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Infallible> {
        let n = 1_u64 << level;
        let mut tree = Frontier::new();
        (index * n..(index + 1) * n).for_each(|n| tree.push(leaf(self.0, n)));
        Ok(tree.root())
    }
}

fn leaf(salt: u8, n: u64) -> Hash {
    leaf_hash(&[&[salt][..], &n.to_be_bytes()].concat())
}

impl TestLog {
    /// Two logs of different salts are two histories of one log.
    pub(crate) fn new(salt: u8) -> Self {
        let signer = NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap();
        Self { salt, signer }
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.signer.public().clone()
    }

    pub(crate) fn published(&self, size: u64) -> Published {
        let mut tree = Frontier::new();
        (0..size).for_each(|n| tree.push(leaf(self.salt, n)));
        let root = tree.root();
        let text = Checkpoint { origin: ORIGIN, size, root, extensions: Vec::new() }.to_string();
        let line = self.signer.sign(&text, NOW_S).unwrap();
        Published { size, root, time_s: NOW_S, note: format!("{text}\n{line}") }
    }

    pub(crate) fn prove(&self) -> Prove {
        let salt = self.salt;
        Arc::new(move |old, size| Some(prove_consistency(&mut Leaves(salt), old, size).unwrap()))
    }
}

/// What a witness's server does.
#[derive(Clone)]
pub(crate) enum Does {
    /// What a witness should.
    Honest(Arc<State>),
    /// Always this.
    Say(u16, &'static str),
    /// What it should, but it spoils a byte of each signature.
    Forge(Arc<State>),
    /// Nothing, ever.
    Stall,
}

/// A witness's server on this machine.
pub(crate) struct TestWitness {
    pub(crate) url: String,
    pub(crate) key: VerifierKey,
}

/// The key that the witness `name` signs with.
pub(crate) fn witness_signer(name: &str) -> NoteSigner {
    let mut seed = [9; 32];
    seed[..name.len().min(32)].copy_from_slice(&name.as_bytes()[..name.len().min(32)]);
    NoteSigner::from_seed(name, KeyKind::CosignatureV1, &seed).unwrap()
}

/// An honest state of the witness `name` that knows `log`.
pub(crate) fn honest(name: &str, log: &TestLog) -> Arc<State> {
    Arc::new(State::new(Arc::new(MemDisk::new()), [log.key()], vec![witness_signer(name)]))
}

impl TestWitness {
    pub(crate) async fn start(name: &str, does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let does = does.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let does = does.clone();
                    async move { Ok::<_, Infallible>(answer(does, request).await) }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(serving);
            }
        });
        Self { url, key: witness_signer(name).public().clone() }
    }

    pub(crate) fn client(&self, settings: HttpsSettings) -> WitnessClient {
        let https = HttpsClient::new(settings).unwrap();
        WitnessClient::new(https, &self.url, self.key.clone()).unwrap()
    }
}

fn response(status: u16, body: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap()
}

async fn answer(does: Does, request: Request<Incoming>) -> Response<Full<Bytes>> {
    assert_eq!(request.uri().path(), "/add-checkpoint");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let judge = |state: &State| match AddCheckpoint::parse(&body)
        .and_then(|request| state.add_checkpoint(&request, NOW_S))
    {
        Ok(lines) => (200, lines.iter().map(ToString::to_string).collect()),
        Err(refusal) => {
            let size = refusal.known_size().map(|size| format!("{size}\n"));
            (refusal.status(), size.unwrap_or_default())
        }
    };
    match does {
        Does::Honest(state) => {
            let (status, body) = judge(&state);
            response(status, body)
        }
        Does::Say(status, body) => response(status, body.to_owned()),
        Does::Forge(state) => {
            let (status, body) = judge(&state);
            // The last character but the padding is part of the signature's last bytes.
            let at = body.trim_end_matches(['\n', '=']).len() - 3;
            let old = body.as_bytes()[at];
            let new = if old == b'A' { "B" } else { "A" };
            response(status, format!("{}{new}{}", &body[..at], &body[at + 1..]))
        }
        Does::Stall => std::future::pending().await,
    }
}
