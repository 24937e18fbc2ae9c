//! The witness's door, asked as a log asks it and as nobody should.

use bartizan_ledger::MemDisk;
use bartizan_ledger::tlog::{Checkpoint, Frontier, Hash, Note, VerifierKey};
use bartizan_ledger::witness::AddCheckpoint;
use bartizan_outbound::https::{HttpsClient, HttpsError, HttpsSettings};
use tokio::runtime::Runtime;

use super::*;

const ORIGIN: &str = "log.example/a/r1";

struct Log {
    signer: NoteSigner,
    leaf: u8,
}

impl Log {
    fn new(seed: u8, leaf: u8) -> Self {
        let signer = NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[seed; 32]).unwrap();
        Self { signer, leaf }
    }

    fn hash(&self) -> Hash {
        bartizan_ledger::leaf_hash(&[self.leaf])
    }

    /// The checkpoint of `size` entries, all alike.
    fn checkpoint(&self, origin: &str, size: u64) -> String {
        let mut tree = Frontier::new();
        (0..size).for_each(|_| tree.push(self.hash()));
        let text = Checkpoint { origin, size, root: tree.root(), extensions: Vec::new() };
        let text = text.to_string();
        format!("{text}\n{}", self.signer.sign(&text, 0).unwrap())
    }
}

fn request(old_size: u64, proof: Vec<Hash>, checkpoint: String) -> String {
    AddCheckpoint { old_size, proof, checkpoint }.to_string()
}

struct Door {
    server: WitnessServer,
    runtime: Runtime,
    client: HttpsClient,
    key: VerifierKey,
}

impl Door {
    fn open(log: &Log) -> Self {
        let signer = NoteSigner::from_seed("w.example/1", KeyKind::CosignatureV1, &[5; 32]);
        let signer = signer.unwrap();
        let key = signer.public().clone();
        let known = [log.signer.public().clone()];
        let state = Arc::new(State::new(Arc::new(MemDisk::new()), known, vec![signer]));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let clock = Arc::new(OsClock::new());
        let door = WitnessDoor { address, tls: None, state, clock };
        let server = WitnessServer::start(door).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = HttpsClient::new(HttpsSettings::default()).unwrap();
        Self { server, runtime, client, key }
    }

    /// Status, content type and body.
    fn ask(&self, method: &str, path: &str, body: String) -> (u16, String, String) {
        let url = format!("http://{}{path}", self.server.address());
        let request = hyper::http::Request::builder().method(method).uri(url);
        let request = request.body(body.into_bytes().into()).unwrap();
        let answer = match self.runtime.block_on(self.client.send(request.clone())) {
            Ok(answer) => answer,
            // After a body that was refused unread the witness hangs up; the next request may meet
            // the end of that connection, and then asks once more on its own.
            Err(HttpsError::Broken { .. }) => {
                self.runtime.block_on(self.client.send(request)).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer.status().as_u16(), kind, body)
    }

    fn add(&self, body: String) -> (u16, String, String) {
        self.ask("POST", "/add-checkpoint", body)
    }
}

/// Each answer that `tlog-witness` has, by its status, type and body.
#[test]
fn each_request_gets_the_answer_that_the_format_has() {
    let (log, fork, stranger) = (Log::new(1, 1), Log::new(1, 2), Log::new(2, 1));
    let door = Door::open(&log);
    let size = |size: u64| (409, "text/x.tlog.size".to_owned(), format!("{size}\n"));
    let (status, _, lines) = door.add(request(0, Vec::new(), log.checkpoint(ORIGIN, 1)));
    assert_eq!(status, 200);
    let whole = log.checkpoint(ORIGIN, 1) + &lines;
    let note = Note::parse(whole.as_bytes()).unwrap();
    assert!(matches!(note.signed_by(&door.key), Some(Ok(time_s)) if 1_700_000_000 < time_s));
    // From 1 to 2 entries the proof is the second leaf.
    let proof = vec![log.hash()];
    let stale = door.add(request(0, Vec::new(), log.checkpoint(ORIGIN, 2)));
    assert_eq!(stale, size(1), "an old size that is not the newest");
    let forked = door.add(request(1, Vec::new(), fork.checkpoint(ORIGIN, 1)));
    assert_eq!(forked, size(1), "the same size with another root");
    let wrong = vec![fork.hash()];
    let (status, ..) = door.add(request(1, wrong, log.checkpoint(ORIGIN, 2)));
    assert_eq!(status, 422, "a proof that does not prove");
    assert_eq!(door.add(request(1, proof, log.checkpoint(ORIGIN, 2))).0, 200);
    let (status, ..) = door.add(request(2, Vec::new(), stranger.checkpoint(ORIGIN, 2)));
    assert_eq!(status, 403, "a key that is not the log's");
    let (status, ..) = door.add(request(0, Vec::new(), log.checkpoint("other.example", 1)));
    assert_eq!(status, 404, "a log that is not known");
    let (status, ..) = door.add(request(3, Vec::new(), log.checkpoint(ORIGIN, 2)));
    assert_eq!(status, 400, "an old size beyond the checkpoint's");
    for body in ["", "old 1", "old 01\n\nx", "old 1\nnot base64\n\nx"] {
        assert_eq!(door.add(body.to_owned()).0, 400, "{body:?}");
    }
    assert_eq!(door.add("x".repeat(bartizan_ledger::witness::REQUEST_BYTES_MAX + 1)).0, 413);
    assert_eq!(door.ask("GET", "/add-checkpoint", String::new()).0, 405);
    assert_eq!(door.ask("POST", "/", String::new()).0, 404);
    door.server.stop();
}

/// A folder is made once, is its owner's alone, and is served by one process at a time.
#[test]
fn a_witness_is_made_once_and_served_once() {
    let scratch = crate::testing::TempDir::new();
    let dir = scratch.path().join("w");
    let mut out = Vec::new();
    let make = Args::Init { dir: dir.clone(), name: "w.example/1".to_owned(), ml_dsa_44: true };
    run(&make, &mut out).unwrap();
    let made = String::from_utf8(std::mem::take(&mut out)).unwrap();
    let keys: Vec<VerifierKey> = made.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(
        keys.iter().map(VerifierKey::kind).collect::<Vec<_>>(),
        [KeyKind::CosignatureV1, KeyKind::MlDsa44]
    );
    assert!(run(&make, &mut out).is_err(), "made over another");
    run(&Args::Key { dir: dir.clone() }, &mut out).unwrap();
    assert_eq!(String::from_utf8(std::mem::take(&mut out)).unwrap(), made);
    let log = Log::new(1, 1);
    let policy = format!("log {}\nquorum none\n", log.signer.public());
    fs::write(dir.join("policy"), policy).unwrap();
    {
        let (state, _lock) = Folder(&dir).state().unwrap();
        assert!(Folder(&dir).state().is_err(), "two processes on one folder");
        let body = request(0, Vec::new(), log.checkpoint(ORIGIN, 7));
        let asked = AddCheckpoint::parse(body.as_bytes()).unwrap();
        assert_eq!(state.add_checkpoint(&asked, 1).unwrap().len(), 2);
    }
    run(&Args::Status { dir: dir.clone() }, &mut out).unwrap();
    assert_eq!(String::from_utf8(std::mem::take(&mut out)).unwrap(), format!("7\t{ORIGIN}\n"));
    let bad = "log no-key\nquorum none\n";
    fs::write(dir.join("policy"), bad).unwrap();
    let error = Folder(&dir).state().err().unwrap().error.to_string();
    assert!(error.contains("line 1"), "{error}");
}
