//! Every recording verb, with the server down (the lock is free, the verb takes it) and up (the
//! owner is reached through its socket): the same outcome, the same act on record.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_access::{KeyId, ModelScope, Scopes};
use bartizan_core::{Clock, ClockSource, Digest, Severity, Stamp};
use bartizan_gateway::Admin as _;
use bartizan_ledger::{ActKind, Body, FileDisk, Reader, Record};

use super::operation::{
    AccessReload, DecisionText, EvidenceOpen, Gate, GateFinding, GateOutcome, GateRun, KeyIssue,
    KeyRevoke, KeyRotate, ModelAdd, ModelRef, ModelRow,
};
use super::reach::{Reach, ReachError};
use super::*;
use crate::admin::handler::Handler;
use crate::answer::Answer;
use crate::config::{Config, Stage};
use crate::environment::Plan;
use crate::gate::in_process::InProcess;
use crate::gate::{Judged, ScanError};
use crate::models::prepare::{self, Brought};
use crate::testing::{SeededEntropy, TempDir};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const NOW_NS: u64 = 1_795_564_800_000_000_000;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: NOW_NS, raw_ns: NOW_NS, mono_ns: 1, source, error_ns: 0 }
    }
}

fn world() -> World {
    World {
        clock_not_before: Arc::new(|_| Arc::new(FixedClock)),
        entropy: Arc::new(SeededEntropy::default()),
        erasers: Vec::new(),
        scanner: Arc::new(InProcess),
    }
}

/// Whether a server owns the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Down,
    Up,
}

/// An environment, and where `Up` an owner that serves its socket as the gateway does.
struct Setup {
    dir: TempDir,
    world: World,
    owner: Option<Arc<Owner>>,
    published: Arc<AtomicUsize>,
}

impl Setup {
    fn new(server: Server) -> Self {
        Self::with(Config::default(), server)
    }

    fn with(mut config: Config, server: Server) -> Self {
        let (dir, world) = (TempDir::new(), world());
        config.ledger.volatile = true;
        config.ledger.segment_bytes = 1024 * 1024;
        let plan = Plan {
            config,
            tls_lifetime_s: 60,
            now_s: NOW_NS / 1_000_000_000,
            entropy: &*world.entropy,
            administrators: &[],
        };
        let root = dir.path().join("env");
        Environment::make(&root, &plan).unwrap();
        let mut setup = Self { dir, world, owner: None, published: Arc::default() };
        if server == Server::Up {
            setup.serve();
        }
        setup
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("env")
    }

    fn serve(&mut self) {
        let environment = Environment::open(&self.root()).unwrap();
        let socket = environment.socket();
        let owner = Arc::new(Owner::take(environment, self.world.clone()).unwrap());
        let published = self.published.clone();
        let faults = owner.serve(Box::new(move |_| {
            published.fetch_add(1, Ordering::Relaxed);
        }));
        assert!(faults.is_empty(), "{faults:?}");
        let listener = UnixListener::bind(socket).unwrap();
        let weak = Arc::downgrade(&owner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(owner) = weak.upgrade() else { return };
                answer(stream.unwrap(), &Handler(owner));
            }
        });
        self.owner = Some(owner);
    }

    fn perform(&self, operation: &Operation) -> Result<Outcome, ReachError> {
        Reach::open(&self.root(), &self.world)?.perform(operation)
    }

    fn issue(&self) -> KeyId {
        let Outcome::Key(new) = self.perform(&issue()).unwrap() else { panic!("no key") };
        new.id
    }

    /// Stages an example as `bartizan model add` does.
    fn stage(&self, example: &str) -> ModelAdd {
        let folder = Path::new(EXAMPLES).join(example);
        let bounds = Config::default().models;
        let brought = Brought {
            model: &folder.join("model.onnx"),
            contract: Some(&folder.join("contract.toml")),
            reference: None,
            exception: None,
            profile: None,
            exception_keys: &[],
        };
        let files = prepare::prepare(&brought, &bounds, &InProcess).unwrap().files;
        let repository = Repository::new(self.root().join("models"), bounds.file_bytes_max);
        ModelAdd {
            name: "cancer".parse().unwrap(),
            version: None,
            staged: repository.stage(&files, &*self.world.entropy).unwrap(),
            model: Digest::of(&files.model),
            contract: Digest::of(&files.contract),
            unserved: false,
            profile: None,
        }
    }

    fn add(&self) -> ModelRow {
        let operation = Operation::ModelAdd(self.stage("cancer-logistic"));
        let Outcome::Model(row) = self.perform(&operation).unwrap() else { panic!("no model") };
        row
    }

    /// The acts on record, oldest first.
    fn acts(&self) -> Vec<ActKind> {
        let disk = FileDisk::open(self.root().join("store")).unwrap();
        let Ok(reader) = Reader::open(Arc::new(disk)) else { return Vec::new() };
        let kind = |leaf: &[u8]| match Record::decode(leaf).unwrap().body {
            Body::Act(act) => Some(act.kind),
            Body::Decision(_) | Body::Tally(_) => None,
        };
        reader.entries().filter_map(|entry| kind(&entry.unwrap().leaf)).collect()
    }
}

/// What the gateway does with a request on the socket, without its HTTP library.
fn answer(mut stream: std::os::unix::net::UnixStream, handler: &Handler) {
    let mut bytes = Vec::new();
    let (operation, body) = loop {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).unwrap();
        if n == 0 {
            return; // a probe
        }
        bytes.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let len = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        if body.len() < len.parse().unwrap() {
            continue;
        }
        let path = head.strip_prefix("POST /admin/v1/").unwrap().split(' ').next().unwrap();
        break (path.to_owned(), body.to_owned());
    };
    let caller = handler.0.local_permit().unwrap();
    let reply = handler.perform(&caller, &operation, body.as_bytes());
    let head =
        format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n\r\n", reply.status, reply.body.len());
    stream.write_all(&[head.as_bytes(), &reply.body].concat()).unwrap();
}

fn issue() -> Operation {
    let principal = "team/a".parse().unwrap();
    Operation::KeyIssue(KeyIssue {
        principal,
        scopes: Scopes::inference(ModelScope::All),
        ttl_s: 3_600,
    })
}

fn break_glass() -> Operation {
    let reason = "the second person is out".into();
    Operation::BreakGlass(operation::BreakGlass { reason, for_s: 60 })
}

fn open_evidence() -> Operation {
    let decision = "018f6d2c-5b1e-7c3a-9f00-0123456789ab".parse().unwrap();
    Operation::EvidenceOpen(EvidenceOpen { decision: DecisionText(decision) })
}

fn one(row: &ModelRow) -> ModelRef {
    ModelRef { name: row.name.clone(), version: row.version }
}

type Prepare = fn(&Setup) -> Operation;

/// Operation, the act that must be on record for it, and whether a server must have published.
fn table() -> Vec<(&'static str, Prepare, Option<ActKind>)> {
    vec![
        ("key-issue", |_| issue(), Some(ActKind::KeyIssued)),
        (
            "key-rotate",
            |setup| Operation::KeyRotate(KeyRotate { id: setup.issue(), overlap_s: 60 }),
            Some(ActKind::KeyRotated),
        ),
        (
            "key-revoke",
            |setup| Operation::KeyRevoke(KeyRevoke { id: setup.issue() }),
            Some(ActKind::KeyRevoked),
        ),
        ("revoke", |_| revoke("team/a"), Some(ActKind::AccessRevoked)),
        ("approvals-list", |_| Operation::ApprovalsList, None),
        ("break-glass", |_| break_glass(), Some(ActKind::GlassBroken)),
        ("key-list", |_| Operation::KeyList, None),
        (
            "model-add",
            |setup| Operation::ModelAdd(setup.stage("cancer-logistic")),
            Some(ActKind::ModelAdded),
        ),
        (
            "model-remove",
            |setup| Operation::ModelRemove(one(&setup.add())),
            Some(ActKind::ModelRemoved),
        ),
        ("model-load", |setup| Operation::ModelLoad(one(&setup.add())), Some(ActKind::ModelLoaded)),
        (
            "model-unload",
            |setup| Operation::ModelUnload(one(&setup.add())),
            Some(ActKind::ModelUnloaded),
        ),
        ("model-list", |_| Operation::ModelList, None),
        ("guard-release", |_| guard_release(), Some(ActKind::GuardReleased)),
        ("evidence-open", |_| open_evidence(), Some(ActKind::EvidenceOpened)),
        (
            "hold-add",
            |_| Operation::HoldAdd(operation::HoldAdd { subject: None, reason: "case".into() }),
            Some(ActKind::HoldAdded),
        ),
        ("hold-list", |_| Operation::HoldList, None),
        (
            "keys-rotate",
            |_| {
                let what = operation::KeysRotation::Kek;
                Operation::KeysRotate(operation::KeysRotate { what, reason: "yearly".into() })
            },
            Some(ActKind::KekRotated),
        ),
        ("gate-run", |_| Operation::GateRun(gate_run()), Some(ActKind::GateRun)),
        (
            "access-reload",
            |setup| {
                let text = "@id(\"own\") permit (principal, action, resource);";
                std::fs::write(setup.root().join("policies/own.cedar"), text).unwrap();
                Operation::AccessReload(AccessReload { policies: None })
            },
            Some(ActKind::PolicyChanged),
        ),
    ]
}

fn guard_release() -> Operation {
    let principal = "team/a".parse().unwrap();
    let reason = "explained".into();
    Operation::GuardRelease(operation::GuardRelease { principal, end_user: None, reason })
}

fn gate_run() -> GateRun {
    GateRun {
        gate: Gate::Scan,
        outcome: GateOutcome::Refused,
        what: "models/m.pkl".to_owned(),
        summary: "1 file: hostile".to_owned(),
        report: Some(Digest::of(b"report")),
        n_items: 1,
        bytes: 22,
        findings: vec![GateFinding {
            rule: "scan.pickle.call".to_owned(),
            severity: Severity::Critical,
            count: 1,
        }],
        n_more: 0,
    }
}

/// O1 and O2 for every operation there is, both ways.
#[test]
fn every_verb_works_with_the_server_up_and_down() {
    let rows = table();
    let named: Vec<_> = rows.iter().map(|(name, ..)| *name).collect();
    // Erasing, releasing, pruning and agreeing have tests of their own: they are more than one record.
    let here =
        |name: &&&str| !matches!(**name, "erase" | "hold-release" | "backup" | "prune" | "approve");
    let all: Vec<&str> = Operation::NAMES.iter().filter(here).copied().collect();
    assert_eq!(named, all, "the table must have every operation");
    for (name, prepare, act) in rows {
        let mut outcomes = Vec::new();
        for server in [Server::Down, Server::Up] {
            let setup = Setup::new(server);
            let operation = prepare(&setup);
            let (acts, published) = (setup.acts(), setup.published.load(Ordering::Relaxed));
            let outcome = setup.perform(&operation).unwrap();
            let mut expected = acts;
            // What is loaded was scanned, and that is on record first.
            let loads = matches!(name, "model-add" | "model-load");
            expected.extend(loads.then_some(ActKind::ModelScanned));
            expected.extend(act);
            assert_eq!(setup.acts(), expected, "{name} {server:?}");
            let changes =
                ["key-", "model-", "access-", "revoke"].iter().any(|plane| name.starts_with(plane));
            let changes = changes && !name.ends_with("-list");
            let goes_live = server == Server::Up && changes;
            let now = setup.published.load(Ordering::Relaxed);
            assert_eq!(published < now, goes_live, "{name} {server:?}");
            outcomes.push(std::mem::discriminant(&outcome));
        }
        assert_eq!(outcomes[0], outcomes[1], "{name}: another outcome with the server up");
    }
}

/// The same refusals and the same conclusions, both ways, and nothing on record for them.
#[test]
fn what_is_refused_is_refused_both_ways_and_leaves_no_record() {
    let absent = ModelRef { name: "none".parse().unwrap(), version: ModelVersion::FIRST };
    for server in [Server::Down, Server::Up] {
        let setup = Setup::new(server);
        let mut too_long = issue();
        if let Operation::KeyIssue(issue) = &mut too_long {
            issue.ttl_s = u64::MAX;
        }
        let mut other = setup.stage("cancer-logistic");
        other.model = Digest::of(b"other");
        let before = setup.acts();
        for operation in [
            too_long,
            Operation::KeyRevoke(KeyRevoke { id: "abcdefGH0123".parse().unwrap() }),
            Operation::ModelLoad(absent.clone()),
            Operation::ModelRemove(absent.clone()),
            Operation::ModelAdd(other),
        ] {
            let error = setup.perform(&operation).unwrap_err();
            assert_eq!(error.answer(), Answer::No, "{server:?} {operation:?}: {error}");
            assert!(!error.to_string().is_empty());
        }
        assert_eq!(setup.acts(), before, "{server:?}");
    }
}

/// What a server does to keys and models lasts: the next owner finds it.
#[test]
fn what_was_done_with_the_server_up_is_there_when_it_is_down() {
    let mut setup = Setup::new(Server::Up);
    let (id, row) = (setup.issue(), setup.add());
    let live = setup.owner.as_ref().unwrap().live();
    assert_eq!(live.models.len(), 1);
    setup.perform(&Operation::KeyRevoke(KeyRevoke { id })).unwrap();
    setup.owner = None;
    // The socket's thread may still hold the owner for the request that it just answered.
    let list = loop {
        match setup.perform(&Operation::KeyList) {
            Err(ReachError::Call(_)) => {}
            other => break other.unwrap(),
        }
    };
    let Outcome::Keys { keys } = list else { panic!("not a list") };
    assert_eq!((keys[0].id, keys[0].state.as_str()), (id, "revoked"));
    let Outcome::Models { models } = setup.perform(&Operation::ModelList).unwrap() else {
        panic!("not a list")
    };
    assert_eq!(models, [ModelRow { receipt: None, ..row }]);
}

/// O1.
#[test]
fn a_store_has_one_owner_at_a_time() {
    let setup = Setup::new(Server::Down);
    let take = || Owner::take(Environment::open(&setup.root()).unwrap(), setup.world.clone());
    let first = take().unwrap();
    assert!(matches!(take(), Err(TakeError::Store(StoreError::Held { .. }))));
    drop(first);
    assert!(take().is_ok());
}

/// O2: where the act cannot be recorded, nothing changes.
#[test]
fn an_act_that_cannot_be_recorded_is_not_done() {
    let setup = Setup::new(Server::Down);
    let id = setup.issue();
    let environment = Environment::open(&setup.root()).unwrap();
    let mut owner = Owner::take(environment, setup.world.clone()).unwrap();
    let caller = owner.local_principal().unwrap();
    owner.store.stop_log();
    let error = owner.perform(&caller, &Operation::KeyRevoke(KeyRevoke { id })).unwrap_err();
    assert_eq!(error.kind(), Refused::Unrecordable, "{error}");
    let Ok(Outcome::Keys { keys }) = owner.perform(&caller, &Operation::KeyList) else {
        panic!("not a list")
    };
    assert_eq!(keys[0].state, "live");
    drop(owner);
    let Outcome::Keys { keys } = setup.perform(&Operation::KeyList).unwrap() else {
        panic!("not a list")
    };
    assert_eq!(keys[0].state, "live", "nor on disk");
}

/// Both sides of the limit: versions of one model are served while they fit together, and the
/// one too many is refused without a record.
#[test]
fn models_beyond_the_memory_limit_are_refused() {
    let mut config = Config::default();
    config.models.resident_bytes_max = 1024 * 1024;
    let setup = Setup::with(config, Server::Up);
    setup.perform(&Operation::ModelAdd(setup.stage("digits-forest"))).unwrap();
    let live = setup.owner.as_ref().unwrap().live();
    let n_fitting = 1024 * 1024 / live.models[0].resident_bytes();
    for _ in 1..n_fitting {
        setup.perform(&Operation::ModelAdd(setup.stage("digits-forest"))).unwrap();
    }
    let mut expected = setup.acts();
    expected.push(ActKind::ModelScanned);
    let one_too_many = Operation::ModelAdd(setup.stage("digits-forest"));
    let error = setup.perform(&one_too_many).unwrap_err();
    assert_eq!(error.answer(), Answer::No);
    assert!(error.to_string().contains("`models.resident_bytes_max` is 1048576"), "{error}");
    assert_eq!(setup.acts(), expected);
}

/// O3: operations that come at the same time are all performed, each on record once, and none
/// loses the change of another.
#[test]
fn operations_at_the_same_time_do_not_lose_each_other() {
    const N_THREADS: usize = 8;
    let setup = Setup::new(Server::Up);
    let owner = setup.owner.as_ref().unwrap();
    let caller = owner.local_principal().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| owner.perform(&caller, &issue()).unwrap());
        }
    });
    let Outcome::Keys { keys } = setup.perform(&Operation::KeyList).unwrap() else {
        panic!("not a list")
    };
    assert_eq!(keys.len(), N_THREADS);
    assert_eq!(setup.acts(), [ActKind::KeyIssued; N_THREADS]);
}

/// A scanner that has learnt better: it clears nothing any more.
struct Stern;

impl crate::gate::Scanner for Stern {
    fn scan(&self, name: &str, _bytes: &[u8]) -> Result<Judged, ScanError> {
        InProcess
            .scan(name, b"cos\nsystem\n(S'id'\ntR.")
            .map(|judged| Judged { digest: None, ..judged })
    }

    fn confinement(&self) -> String {
        "here".to_owned()
    }
}

/// G2 at the owner: whoever stages bytes past the command is refused by the one that loads them,
/// in words, and the refusal is on record with its rules.
#[test]
fn a_hostile_model_is_refused_by_the_owner_and_the_refusal_is_on_record() {
    for server in [Server::Down, Server::Up] {
        let setup = Setup::new(server);
        let mut add = setup.stage("cancer-logistic");
        let hostile = b"cos\nsystem\n(S'id'\ntR.".to_vec();
        let files = crate::models::Files {
            model: hostile,
            contract: b"format = 1\n".to_vec(),
            exception: None,
            profile: None,
        };
        let repository = Repository::new(setup.root().join("models"), 1024);
        add.staged = repository.stage(&files, &*setup.world.entropy).unwrap();
        (add.model, add.contract) = (Digest::of(&files.model), Digest::of(&files.contract));
        let error = setup.perform(&Operation::ModelAdd(add)).unwrap_err();
        assert_eq!(error.answer(), Answer::No);
        assert!(error.to_string().contains("calls os.system('id') on load"), "{error}");
        assert_eq!(setup.acts(), [ActKind::ModelScanned], "{server:?}");
        let disk = FileDisk::open(setup.root().join("store")).unwrap();
        let reader = Reader::open(Arc::new(disk)).unwrap();
        let leaf = reader.entries().last().unwrap().unwrap().leaf;
        let Body::Act(act) = Record::decode(&leaf).unwrap().body else { panic!("no act") };
        assert_eq!(act.outcome, bartizan_ledger::Outcome::Refused);
        assert!(act.findings.kept.iter().any(|found| found.rule == "scan.pickle.call"));
        assert!(!String::from_utf8_lossy(&leaf).contains("system"), "foreign text is on record");
    }
}

/// G2 at a start: a model that was cleared once and is not any more is not served.
#[test]
fn a_model_that_is_no_longer_cleared_is_not_loaded_at_the_next_start() {
    let setup = Setup::new(Server::Down);
    setup.add();
    let stern = World { scanner: Arc::new(Stern), ..setup.world.clone() };
    for (world, n_models) in [(setup.world.clone(), 1), (stern, 0)] {
        let owner = Owner::take(Environment::open(&setup.root()).unwrap(), world).unwrap();
        let faults = owner.serve(Box::new(|_| {}));
        assert_eq!((owner.live().models.len(), faults.len()), (n_models, 1 - n_models));
    }
    let acts = setup.acts();
    assert_eq!(acts[acts.len() - 2..], [ActKind::ModelScanned; 2]);
}

/// A run that is told in another way than ours is refused, and nothing is on record.
#[test]
fn a_gate_run_with_foreign_rules_is_refused() {
    let setup = Setup::new(Server::Down);
    for rule in ["scan os.system", "SCAN_X", &"a".repeat(65)] {
        let mut run = gate_run();
        run.findings[0].rule = rule.to_owned();
        let error = setup.perform(&Operation::GateRun(run)).unwrap_err();
        assert_eq!(error.answer(), Answer::No, "{rule}");
    }
    assert!(setup.acts().is_empty());
}

const DAY: u32 = (NOW_NS / 86_400_000_000_000) as u32;

/// Puts a decision about `subject` on record, as the gateway does.
fn decide(owner: &Owner, subject: &str, n: u64) {
    decide_on(owner, subject, n, b"what was asked");
}

fn decide_on(owner: &Owner, subject: &str, n: u64, received: &[u8]) {
    use bartizan_ledger::{Commitments, Decision, Entry, EntryClass, Payload, RecordSecret};
    let key = owner.store.sealer().key(Some(subject), DAY).unwrap();
    let secret = RecordSecret::from([n as u8; 32]);
    let payload = Payload {
        secret: &secret,
        retained: &[],
        received,
        outputs: &[],
        reply: b"what was said",
        principal: None,
        subject: Some(subject),
        end_user: None,
        purpose: None,
        correlation_id: None,
    };
    let decision = Decision { subject: key.subject(), ..Decision::default() };
    assert_eq!(decision.commitments, Commitments::default());
    let record = Record {
        id: bartizan_core::DecisionId::new(NOW_NS, [n as u8; 10]),
        at: FixedClock.now(),
        environment: "dev".into(),
        replica: "r1".into(),
        volatile: true,
        body: Body::Decision(Box::new(decision)),
    };
    let sealed = key.seal(record.id, &payload, [n as u8; 12]).unwrap();
    let entry = Entry::new(record.encode(), sealed, EntryClass::Decision).unwrap();
    let (done, told) = std::sync::mpsc::channel();
    let tell = Box::new(move |answer| done.send(answer).unwrap());
    owner.appender().append(entry, tell).unwrap();
    told.recv().unwrap().unwrap();
}

impl Setup {
    fn take(&self) -> Owner {
        Owner::take(Environment::open(&self.root()).unwrap(), self.world.clone()).unwrap()
    }

    /// What `bartizan ledger verify` says of what is sealed: opened, erased, without key.
    fn sealed(&self) -> (u64, u64, u64) {
        let environment = Environment::open(&self.root()).unwrap();
        let sealer = crate::kek::read_sealer(&environment).unwrap();
        let disk = FileDisk::open(self.root().join("store")).unwrap();
        let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
        let scope = bartizan_ledger::Scope::Live;
        let report = bartizan_ledger::verify(&disk, Some(&*sealer), scope, &mut go_on).unwrap();
        assert!(report.damage.is_none(), "{:?}", report.damage);
        (report.n_opened, report.n_erased, report.n_without_key)
    }

    fn kept(&self, operation: Operation) -> operation::Kept {
        let Outcome::Kept(kept) = self.perform(&operation).unwrap() else { panic!("not kept") };
        kept
    }

    fn erase(&self, subject: &str) -> operation::ErasureRow {
        let erase =
            operation::Erase { subject: subject.into(), is_root: false, reason: "art 17".into() };
        let operation::Kept::Erasure(row) = self.kept(Operation::Erase(erase)) else {
            panic!("no erasure")
        };
        row
    }
}

/// X1, with a server and without: what was sealed about one subject is gone, every record stays
/// and verifies, the other subject's payloads open, and a second time finds nothing.
#[test]
fn an_erased_subject_is_gone_and_the_log_says_so() {
    for server in [Server::Down, Server::Up] {
        let setup = Setup::new(server);
        {
            let owned = setup.owner.is_none().then(|| setup.take());
            let owner = owned.as_ref().or(setup.owner.as_deref()).unwrap();
            for (n, subject) in (1..).zip(["ann", "bob", "ann"]) {
                decide(owner, subject, n);
            }
        }
        assert_eq!(setup.sealed(), (3, 0, 0), "{server:?}");
        let row = setup.erase("ann");
        assert_eq!((row.state.as_str(), row.n_keys), ("erased", 1), "{server:?}");
        assert!(row.caveats.iter().any(|text| text.contains("in a file")), "{row:?}");
        assert_eq!(setup.sealed(), (1, 2, 0), "{server:?}");
        assert_eq!(setup.erase("ann").n_keys, 0);
        let erasure = [ActKind::ErasureBegun, ActKind::Erased];
        assert_eq!(setup.acts(), [erasure, erasure].concat(), "{server:?}");
    }
}

/// X2: refused and on record while it is held, carried out when the hold goes.
#[test]
fn a_held_erasure_waits_and_is_carried_out_on_release() {
    let setup = Setup::new(Server::Down);
    decide(&setup.take(), "ann", 1);
    let reason = || "case 4".to_owned();
    let add = operation::HoldAdd { subject: Some("ann".into()), reason: reason() };
    let operation::Kept::Hold { hold, .. } = setup.kept(Operation::HoldAdd(add)) else { panic!() };
    let row = setup.erase("ann");
    assert_eq!((row.state.as_str(), row.held_by), ("waiting", vec![hold.clone()]));
    assert_eq!(setup.sealed(), (1, 0, 0));
    let operation::Kept::Holds { holds, waiting } = setup.kept(Operation::HoldList) else {
        panic!()
    };
    assert_eq!((holds[0].of.as_str(), waiting.len()), ("a subject", 1));
    let release = operation::HoldRelease { hold: hold.parse().unwrap(), reason: reason() };
    let again = Operation::HoldRelease(release.clone());
    let released = setup.kept(Operation::HoldRelease(release));
    let operation::Kept::Hold { receipts, .. } = released else { panic!() };
    assert_eq!(receipts.len(), 2);
    assert_eq!(setup.sealed(), (0, 1, 0));
    let kinds = [
        ActKind::HoldAdded,
        ActKind::ErasureWaiting,
        ActKind::HoldReleased,
        ActKind::ErasureBegun,
        ActKind::Erased,
    ];
    assert_eq!(setup.acts(), kinds);
    assert_eq!(setup.perform(&again).unwrap_err().answer(), Answer::No);
}

/// X1: the process ended between the record and the deed; the next owner does it.
#[test]
fn an_erasure_that_was_begun_is_carried_out_by_the_next_owner() {
    let setup = Setup::new(Server::Down);
    {
        let owner = setup.take();
        decide(&owner, "ann", 1);
        let sealing = owner.store.sealing();
        let plan = sealing.plan_erasure("ann");
        sealing.note_erasure(bartizan_ledger::ErasureId([1; 16]), &plan, 1).unwrap();
    }
    assert_eq!(setup.sealed(), (1, 0, 0));
    drop(setup.take());
    assert_eq!(setup.sealed(), (0, 1, 0));
    assert_eq!(setup.acts(), [ActKind::Erased]);
}

/// A gate that keeps things by subject: asked before the erasure is complete, which it is not
/// where that gate fails.
#[test]
fn other_gates_erase_too_or_the_erasure_is_not_complete() {
    struct Gate(std::sync::atomic::AtomicBool);
    impl bartizan_core::Erase for Gate {
        fn gate(&self) -> &'static str {
            "guard"
        }
        fn erase(&self, subject: &str) -> Result<u64, bartizan_core::EraseError> {
            assert_eq!(subject, "ann");
            if self.0.swap(true, Ordering::Relaxed) {
                return Ok(1);
            }
            let reason = "its disk is full".to_owned();
            Err(bartizan_core::EraseError { gate: self.gate(), reason })
        }
    }
    let mut setup = Setup::new(Server::Down);
    setup.world.erasers = vec![Arc::new(Gate(false.into()))];
    decide(&setup.take(), "ann", 1);
    let erase = operation::Erase { subject: "ann".into(), is_root: false, reason: "art 17".into() };
    let error = setup.perform(&Operation::Erase(erase)).unwrap_err();
    assert_eq!(error.answer(), Answer::Unknown, "{error}");
    assert_eq!(setup.sealed(), (1, 0, 0));
    assert_eq!(setup.erase("ann").state, "erased");
    assert_eq!(setup.sealed(), (0, 1, 0));
}

/// Both keys, with payloads that open before and after, and each on record.
#[test]
fn keys_are_exchanged_and_nothing_is_lost() {
    let setup = Setup::new(Server::Up);
    decide(setup.owner.as_ref().unwrap(), "ann", 1);
    for what in [operation::KeysRotation::Kek, operation::KeysRotation::Pepper] {
        let before = setup.owner.as_ref().unwrap().store.sealing().generation();
        let rotate = operation::KeysRotate { what, reason: "yearly".into() };
        let rotated = setup.kept(Operation::KeysRotate(rotate));
        let operation::Kept::Rotated { generation, .. } = rotated else { panic!() };
        assert_eq!(generation, before + 1);
        decide(setup.owner.as_ref().unwrap(), "ann", generation);
    }
    assert_eq!(setup.sealed(), (3, 0, 0));
    assert_eq!(setup.acts(), [ActKind::KekRotated, ActKind::PepperRotated]);
    assert_eq!(std::fs::read_dir(setup.root().join("kek")).unwrap().count(), 1);
}

/// The files of a folder, copied to a new one.
fn copied(from: &Path, to: PathBuf) -> PathBuf {
    std::fs::create_dir(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    to
}

/// B1: a backup that is made while the server writes holds the log up to the record that names it, and
/// keys that open all of it; restored, it goes on, and what was erased meanwhile stays erased.
#[test]
fn a_backup_of_a_serving_store_is_restored_without_what_was_erased_since() {
    use clap::Parser as _;
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        restore: crate::cmd::restore::Args,
    }
    let setup = Setup::new(Server::Up);
    let owner = setup.owner.as_ref().unwrap();
    for (n, subject) in (1..).zip(["ann", "bob", "ann"]) {
        decide(owner, subject, n);
    }
    let dir = setup.dir.path().to_owned();
    let kek = copied(&setup.root().join("kek"), dir.join("kek-copy"));
    let take = |name: &str, with_keys: bool| {
        let (to, keys_to) = (dir.join(name), with_keys.then(|| dir.join(format!("{name}-keys"))));
        let backup = operation::Backup { to, keys_to };
        setup.perform(&Operation::Backup(backup)).unwrap()
    };
    take("first", true);
    decide(owner, "bob", 4);
    setup.erase("ann");
    take("second", false);
    let error = setup
        .perform(&Operation::Backup(operation::Backup { to: dir.join("first"), keys_to: None }));
    assert_eq!(error.unwrap_err().answer(), Answer::No);
    let restore = |store: &str, to: &str| {
        let args = [
            "x",
            "--from",
            dir.join(store).to_str().unwrap(),
            "--keys-from",
            dir.join("first-keys").to_str().unwrap(),
            "--kek",
            kek.to_str().unwrap(),
            dir.join(to).to_str().unwrap(),
        ]
        .map(str::to_owned);
        let place = crate::cmd::Place { environment: dir.clone() };
        crate::cmd::restore::run(&Cli::parse_from(args).restore, &place, &mut Vec::new())
    };
    let sealed = |name: &str| {
        let environment = Environment::open(&dir.join(name)).unwrap();
        let sealer = crate::kek::read_sealer(&environment).unwrap();
        let disk = FileDisk::open(dir.join(name).join("store")).unwrap();
        let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
        let scope = bartizan_ledger::Scope::Live;
        let report = bartizan_ledger::verify(&disk, Some(&*sealer), scope, &mut go_on).unwrap();
        assert!(report.damage.is_none(), "{:?}", report.damage);
        (report.n_opened, report.n_erased, report.n_without_key)
    };
    // The log is of after the erasure, the keys of before it: the log says what must not come back.
    assert_eq!(restore("second", "restored").unwrap(), Answer::Yes);
    assert_eq!(sealed("restored"), (2, 2, 0));
    let disk: Arc<dyn bartizan_core::Disk> =
        Arc::new(FileDisk::open(dir.join("restored/store")).unwrap());
    let config = store::log_config(&Environment::open(&dir.join("restored")).unwrap());
    let opened = bartizan_ledger::Log::open(disk, &config, Arc::new(FixedClock)).unwrap();
    assert_eq!(opened.1.epoch, 2, "a restored log begins another life");
    // Both of before it: nothing says that anybody was erased, as it was then.
    assert_eq!(restore("first", "older").unwrap(), Answer::Yes);
    assert_eq!(sealed("older"), (3, 0, 0));
    // A changed byte is found before anything is made.
    let file = dir.join("second/store/wal/0000000000000000.wal");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let failure = restore("second", "none").unwrap_err();
    assert_eq!(failure.answer, Answer::No);
    assert!(!dir.join("none").exists());
}

/// What the anchor knows beyond a backup may have erased somebody: no key is restored unless a
/// later copy of the log reaches as far, or the loss is accepted and put on record.
#[test]
fn a_backup_that_the_anchor_is_ahead_of_opens_nothing() {
    use clap::Parser as _;
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        restore: crate::cmd::restore::Args,
    }
    let anchor = TempDir::new();
    let mut config = Config::default();
    config.ledger.anchor = anchor.path().join("anchor").to_str().unwrap().to_owned();
    let mut setup = Setup::with(config, Server::Up);
    decide(setup.owner.as_ref().unwrap(), "ann", 1);
    let dir = setup.dir.path().to_owned();
    let kek = copied(&setup.root().join("kek"), dir.join("kek-copy"));
    let (to, keys_to) = (dir.join("first"), Some(dir.join("first-keys")));
    setup.perform(&Operation::Backup(operation::Backup { to, keys_to })).unwrap();
    setup.erase("ann");
    // An orderly end publishes all there is.
    setup.owner = None;
    drop(setup.take());
    let restore = |to: &str, more: &[&str]| {
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let mut args = vec!["x".to_owned(), "--from".to_owned(), path("first")];
        args.extend(["--keys-from".to_owned(), path("first-keys")]);
        args.extend(["--kek".to_owned(), kek.to_str().unwrap().to_owned(), path(to)]);
        args.extend(more.iter().map(|word| (*word).to_owned()));
        let place = crate::cmd::Place { environment: dir.clone() };
        crate::cmd::restore::run(&Cli::parse_from(args).restore, &place, &mut Vec::new())
    };
    let refused = restore("refused", &[]).unwrap_err();
    assert_eq!(refused.answer, Answer::No);
    assert!(refused.error.to_string().contains("the anchor knows"), "{}", refused.error);
    assert!(!dir.join("refused/keys/sealing.keys").exists());
    let later = setup.root().join("store");
    let more = ["--erasures-from", later.to_str().unwrap()];
    let kept = copied(&anchor.path().join("anchor"), anchor.path().join("kept"));
    assert_eq!(restore("restored", &more).unwrap(), Answer::Yes);
    let environment = Environment::open(&dir.join("restored")).unwrap();
    let sealer = crate::kek::read_sealer(&environment).unwrap();
    let disk = FileDisk::open(environment.store_dir()).unwrap();
    let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
    let scope = bartizan_ledger::Scope::Live;
    let report = bartizan_ledger::verify(&disk, Some(&*sealer), scope, &mut go_on).unwrap();
    assert!(report.damage.is_none(), "{:?}", report.damage);
    assert_eq!(report.n_opened, 0, "who was erased after the backup is back");
    // The anchor as it was, and no later copy: only in so many words.
    std::fs::remove_dir_all(anchor.path().join("anchor")).unwrap();
    copied(&kept, anchor.path().join("anchor"));
    assert_eq!(restore("lossy", &["--after-loss"]).unwrap(), Answer::Yes);
}

fn revoke(value: &str) -> Operation {
    let (kind, value) = (bartizan_access::RevocationKind::Principal, value.to_owned());
    Operation::Revoke(super::operation::Revoke { kind, value, for_s: 60 })
}

/// V3: what was revoked stays so over a restart; a list that does not read keeps the store shut.
#[test]
fn what_was_revoked_stays_revoked() {
    let setup = Setup::new(Server::Down);
    setup.perform(&revoke("team/a")).unwrap();
    assert_eq!(setup.acts().last(), Some(&ActKind::AccessRevoked));
    let take = || {
        let environment = Environment::open(&setup.root()).unwrap();
        Owner::take(environment, setup.world.clone())
    };
    let owner = take().unwrap();
    let kept: Vec<_> = owner.identities().revocations().iter().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(&*kept[0].value, "team/a");
    drop(owner);
    crate::files::replace(&setup.root().join("keys/revocations.json"), b"{}").unwrap();
    assert!(matches!(take(), Err(TakeError::Revocations(_))));
}

/// O5: nothing is done before the second person has agreed; each step is on record.
#[test]
fn what_takes_two_people_waits_for_the_second() {
    use super::operation::{Approve, Verdict};
    use bartizan_core::{AuthProof, Principal, Pseudonym};
    let mut config = Config::default();
    config.approvals.operations = vec!["revoke".to_owned()];
    let setup = Setup::with(config, Server::Down);
    let environment = Environment::open(&setup.root()).unwrap();
    let owner = Owner::take(environment, setup.world.clone()).unwrap();
    let person = |name: &str| Principal {
        name: name.parse().unwrap(),
        pseudonym: Pseudonym([3; 16]),
        proof: AuthProof::Certificate { fingerprint: "ab".into() },
    };
    let asked = owner.perform(&person("ann"), &revoke("team/a")).unwrap();
    let Outcome::Waiting { approval, .. } = asked else { panic!("it did not wait: {asked:?}") };
    let agree = Operation::Approve(Approve { id: approval, verdict: Verdict::Agree });
    let own = owner.perform(&person("ann"), &agree).unwrap_err();
    assert!(matches!(own, OperationError::Approval(ApprovalError::Own)), "{own}");
    assert_eq!(owner.identities().revocations().iter().count(), 0, "it was done by one");
    owner.perform(&person("bob"), &agree).unwrap();
    assert_eq!(owner.identities().revocations().iter().count(), 1);
    drop(owner);
    let acts = setup.acts();
    let last = &acts[acts.len() - 3..];
    let wanted = [ActKind::ApprovalRequested, ActKind::ApprovalGiven, ActKind::AccessRevoked];
    assert_eq!(last, wanted);
}

/// O5: an erasure that waits for the second person keeps no name, in no file and no record, and
/// is carried out all the same.
#[test]
fn an_erasure_that_waits_keeps_no_name() {
    use super::operation::{Approve, Verdict};
    use bartizan_core::{AuthProof, Principal, Pseudonym};
    const NAME: &str = "patient-4711-of-ward-nine";
    let mut config = Config::default();
    config.approvals.operations = vec!["erase".to_owned()];
    let setup = Setup::with(config, Server::Down);
    let environment = Environment::open(&setup.root()).unwrap();
    let approvals = environment.approvals_file();
    let owner = Owner::take(environment, setup.world.clone()).unwrap();
    decide(&owner, NAME, 1);
    let person = |name: &str| Principal {
        name: name.parse().unwrap(),
        pseudonym: Pseudonym([3; 16]),
        proof: AuthProof::Certificate { fingerprint: "ab".into() },
    };
    let (subject, reason) = (NAME.to_owned(), "request 17".to_owned());
    let erase = Operation::Erase(operation::Erase { subject, is_root: false, reason });
    let asked = owner.perform(&person("ann"), &erase).unwrap();
    let Outcome::Waiting { approval, .. } = asked else { panic!("it did not wait: {asked:?}") };
    let text = std::fs::read_to_string(&approvals).unwrap();
    assert!(text.contains("is_root") && !text.contains(NAME), "{text}");
    // Nor does a digest of what was asked, in the record, tell it to who guesses.
    let guessed = Digest::of_parts(&[b"erase", b"\n", &erase.body().unwrap()]).to_string();
    let wal = setup.root().join("store/wal");
    for file in std::fs::read_dir(wal).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(guessed.len()).any(|part| part == guessed.as_bytes()));
    }
    let agree = Operation::Approve(Approve { id: approval, verdict: Verdict::Agree });
    let done = owner.perform(&person("bob"), &agree).unwrap();
    let Outcome::Kept(operation::Kept::Erasure(row)) = done else { panic!("{done:?}") };
    assert_eq!((row.state.as_str(), row.n_keys), ("erased", 1));
    drop(owner);
    assert_eq!(setup.sealed(), (0, 1, 0));
}

/// Y1, Y2, O2 and O4: bad policies never replace good ones, a change is on record before it
/// counts, what it forbids is refused and that is on record, and its text is kept.
#[test]
fn policies_change_on_record_and_bad_ones_never_replace_good_ones() {
    let setup = Setup::new(Server::Up);
    let folder = setup.root().join("policies");
    let own = folder.join("own.cedar");
    let reload = Operation::AccessReload(AccessReload { policies: None });
    std::fs::write(&own, "@id(\"x\")\npermit (principal, action == Action::\"no\", resource);")
        .unwrap();
    let error = setup.perform(&reload).unwrap_err().to_string();
    assert!(error.contains("own.cedar:1: policy `x`"), "{error}");
    setup.issue();
    let before = setup.acts();
    assert!(!before.contains(&ActKind::PolicyChanged), "{before:?}");
    let no_keys =
        "@id(\"no-keys\")\nforbid (principal is LocalUser, action == Action::\"grant\", resource);";
    std::fs::write(&own, no_keys).unwrap();
    let moved = Operation::AccessReload(AccessReload { policies: Some(Digest::of(b"other")) });
    assert!(setup.perform(&moved).is_err());
    let Outcome::Policies { policies, receipt, .. } = setup.perform(&reload).unwrap() else {
        panic!("no policies")
    };
    assert!(receipt.is_some());
    let error = setup.perform(&issue()).unwrap_err().to_string();
    assert!(error.contains("do not allow `grant` on the environment"), "{error}");
    let kept = crate::policies::kept(&setup.root().join("store/policies"), &policies.to_string());
    assert!(kept.unwrap().files.iter().any(|file| file.text == no_keys));
    let Outcome::Policies { receipt: None, .. } = setup.perform(&reload).unwrap() else {
        panic!("the same policies were put in force twice")
    };
    let acts = setup.acts();
    assert!(acts.ends_with(&[ActKind::PolicyChanged, ActKind::AccessRefused]), "{acts:?}");
}

/// What is too old cannot be opened any more, and the log says why; what the law keeps is kept.
#[test]
fn what_is_too_old_is_pruned_and_nothing_younger() {
    let mut setup = Setup::new(Server::Down);
    decide(&setup.take(), "ann", 1);
    let prune = |older_than_days| {
        let (class, reason) = (None, "yearly".to_owned());
        Operation::Prune(operation::Prune { class, older_than_days, reason })
    };
    let error = setup.perform(&prune(Some(183))).unwrap_err();
    assert_eq!(error.answer(), Answer::No, "{error}");
    let pruned = setup.kept(prune(Some(184)));
    let operation::Kept::Pruned { n_days: 0, n_subjects: 0, n_records: 0, .. } = pruned else {
        panic!("{pruned:?}")
    };
    assert_eq!(setup.sealed(), (1, 0, 0));
    setup.world.clock_not_before = Arc::new(|_| Arc::new(Later));
    let pruned = setup.kept(prune(Some(184)));
    let operation::Kept::Pruned { n_days: 2, n_subjects: 1, n_records: 0, .. } = pruned else {
        panic!("{pruned:?}")
    };
    assert_eq!(setup.sealed(), (0, 1, 0));
}

/// Two hundred days later.
struct Later;

impl Clock for Later {
    fn now(&self) -> Stamp {
        let later = NOW_NS + 200 * 86_400_000_000_000;
        Stamp { wall_ns: later, raw_ns: later, ..FixedClock.now() }
    }
}

/// X3 and X4: whole segments go behind a tombstone, a hold keeps them; the store opens and
/// verifies, an old proof still verifies, and a beginning that no tombstone explains is damage.
#[test]
fn old_records_go_behind_a_tombstone_and_a_hold_keeps_them() {
    use bartizan_ledger::{Damage, DamageKind, Scope, verify};
    let mut setup = Setup::new(Server::Down);
    let owner = setup.take();
    for n in 0..400 {
        decide_on(&owner, "ann", n, &[7; 4_096]);
    }
    drop(owner);
    setup.world.clock_not_before = Arc::new(|_| Arc::new(Later));
    // A segment that was begun later ends the old ones.
    let owner = setup.take();
    for n in 0..300 {
        decide_on(&owner, "bob", n, &[7; 4_096]);
    }
    drop(owner);
    let prune = || {
        Operation::Prune(operation::Prune {
            class: Some(operation::RetentionClass::Records),
            older_than_days: Some(184),
            reason: "yearly".to_owned(),
        })
    };
    let hold = Operation::HoldAdd(operation::HoldAdd { subject: None, reason: "case".into() });
    let operation::Kept::Hold { hold, .. } = setup.kept(hold) else { panic!() };
    let held = setup.kept(prune());
    let operation::Kept::Pruned { n_records: 0, kept, .. } = held else { panic!("{held:?}") };
    assert_eq!(kept.len(), 1);
    let (hold, reason) = (hold.parse().unwrap(), "over".to_owned());
    setup.perform(&Operation::HoldRelease(operation::HoldRelease { hold, reason })).unwrap();
    let pruned = setup.kept(prune());
    let operation::Kept::Pruned { n_records, .. } = pruned else { panic!("{pruned:?}") };
    assert!(0 < n_records, "{pruned:?}");
    let look = || {
        let disk = FileDisk::open(setup.root().join("store")).unwrap();
        let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
        verify(&disk, None, Scope::Closed, &mut go_on).unwrap()
    };
    let report = look();
    assert!(report.damage.is_none(), "{:?}", report.damage);
    assert_eq!(report.n_pruned, n_records);
    assert!(report.tree.checkpoint_size.is_some_and(|size| n_records < size));
    // It goes on, over a restart too.
    decide(&setup.take(), "bob", 1_000);
    let report = look();
    assert!(report.damage.is_none(), "{:?}", report.damage);
    // One segment more is gone than the tombstone says.
    let wal = setup.root().join("store/wal");
    let mut segments: Vec<_> =
        std::fs::read_dir(&wal).unwrap().map(|e| e.unwrap().path()).collect();
    segments.sort();
    std::fs::remove_file(&segments[0]).unwrap();
    let Some(Damage { kind: DamageKind::Misplaced(reason), .. }) = look().damage else { panic!() };
    assert!(reason.contains("no record says that they were pruned"), "{reason}");
}

/// O4: in an environment that serves, whoever registers a version only registers it; who brought it
/// in is kept, and the same person cannot put it into service. In one of development he does both.
#[test]
fn beyond_development_who_adds_a_model_does_not_serve_it() {
    for (stage, state) in [(Stage::Dev, "loaded"), (Stage::Inference, "unloaded")] {
        let mut config = Config::default();
        config.environment.stage = stage;
        for server in [Server::Down, Server::Up] {
            let setup = Setup::with(config.clone(), server);
            let row = setup.add();
            assert_eq!(row.state, state, "{stage:?} {server:?}");
            let entry = setup.root().join("models/cancer/1/entry.json");
            let entry = std::fs::read_to_string(entry).unwrap();
            assert!(entry.contains("\"registered_by\": \"local/"), "{entry}");
            let model = ModelRef { name: row.name.clone(), version: row.version };
            let loaded = setup.perform(&Operation::ModelLoad(model));
            assert_eq!(loaded.is_ok(), stage == Stage::Dev, "{stage:?} {server:?}: {loaded:?}");
        }
    }
}
