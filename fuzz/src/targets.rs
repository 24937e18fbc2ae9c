//! What each fuzz target does with its bytes: parse them, and hold what came of it to the
//! parser's promise. A panic, or memory beyond the fuzzer's bound, is the finding.

use std::ops::ControlFlow;
use std::sync::Arc;

use bartizan_access::{
    Algorithm, ISSUER_KEYS_MAX, Issuer, IssuerKind, IssuerRules, Issuers, JwkSet, KeyRing, Keys,
    MacKey, ModelScope, PeerCertificate, Scopes, TokenKinds,
};
use bartizan_core::contract::ContractFile;
use bartizan_core::disk::{Disk, DiskFile};
use bartizan_core::predictor::Dim;
use bartizan_core::{
    Clock, ClockSource, Contract, Datatype, DecisionId, Entropy, EnvName, Signature, Stamp, Tensor,
    TensorSpec, Values,
};
use bartizan_ledger::{
    FileKeys, Log, LogConfig, MemDisk, Receipt, Record, Scope, SealingKeys, verify, wal,
};
use bartizan_wire::{Limits, azure_ml, grpc, kserve_v1, mlflow, oip, table as tables};

/// A target: its name, which is its folder in the corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("certificate", certificate),
    ("contract", contract),
    ("key_book", key_book),
    ("jwks", jwks),
    ("key_text", key_text),
    ("oip", oip_body),
    ("oip_binary", oip_binary),
    ("oip_grpc", oip_grpc),
    ("onnx", onnx),
    ("plan", plan),
    ("receipt", receipt),
    ("record", record),
    ("rows", rows),
    ("scan_archive", |bytes| scan("model.pt", bytes)),
    ("scan_boosters", |bytes| scan("model.txt", bytes)),
    ("scan_compressed", |bytes| scan("model.joblib", bytes)),
    ("scan_config", |bytes| scan("config.json", bytes)),
    ("scan_gguf", |bytes| scan("model.gguf", bytes)),
    ("scan_hdf5", |bytes| scan("model.h5", bytes)),
    ("scan_numpy", |bytes| scan("a.npy", bytes)),
    ("scan_onnx", |bytes| scan("model.onnx", bytes)),
    ("scan_pickle", |bytes| scan("model.pkl", bytes)),
    ("scan_safetensors", |bytes| scan("model.safetensors", bytes)),
    ("scan_template", |bytes| scan("chat_template.jinja", bytes)),
    ("scan_tensorflow", |bytes| scan("saved_model.pb", bytes)),
    ("scan_torch", |bytes| scan("model.pth", bytes)),
    ("sealed", sealed),
    ("table", table),
    ("tlog", tlog),
    ("token", token),
    ("wal", wal_recovery),
];

/// Runs the target of this name.
///
/// # Panics
/// Where there is none, or where it found something.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a known target");
    target(bytes);
}

/// Notes, checkpoints, proofs, policies, requests to a witness: what reads, prints itself again.
fn tlog(bytes: &[u8]) {
    use bartizan_ledger::tlog::{
        Checkpoint, Note, Policy, Resource, TlogProof, VerifierKey, bundle_entries,
    };
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
        if let Ok(checkpoint) = Checkpoint::parse(note.text) {
            assert_eq!(checkpoint.to_string(), note.text);
        }
    }
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        let _ = proof.verify(&[7; 32]);
        if let Some(extra) = &proof.extra {
            let _ = bartizan_ledger::Extra::decode(extra).map(|extra| extra.verify().is_ok());
        }
    }
    if let Ok(request) = bartizan_ledger::witness::AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes);
    }
    let _ = Policy::parse(bytes);
    let _ = bartizan_ledger::Extra::decode(bytes).map(|extra| extra.verify().is_ok());
    let _ = bundle_entries(bytes, 3);
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(resource) = Resource::parse(text) {
            assert_eq!(resource.to_string(), text);
        }
        if let Ok(key) = text.parse::<VerifierKey>() {
            assert!(key.to_string().eq_ignore_ascii_case(text));
        }
    }
}

/// Chance that has none: the same bytes every time.
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Clock for Fixed {
    fn now(&self) -> Stamp {
        let wall_ns = 1_795_564_800_000_000_000;
        let source = ClockSource::Simulated;
        Stamp { wall_ns, raw_ns: wall_ns, mono_ns: 1, source, error_ns: 0 }
    }
}

/// A contract as its owner writes it: what is valid is also valid when written again.
fn contract(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(file) = toml::from_str::<ContractFile>(text) else { return };
    if let Ok(contract) = Contract::new(file, bytes) {
        let written = toml::to_string(contract.file()).expect("a contract can be written");
        let again: ContractFile = toml::from_str(&written).expect("what was written can be read");
        assert!(again == *contract.file(), "a contract changed on its way");
    }
}

fn mac_key() -> MacKey {
    MacKey::from_bytes(&[7; MacKey::LEN]).expect("a key of the right length")
}

/// A stored key book: nothing that we did not seal is taken.
fn key_book(bytes: &[u8]) {
    if let Ok(keys) = Keys::from_bytes(bytes, mac_key()) {
        assert!(keys.to_bytes() == bytes, "a book has two forms");
    }
}

/// The text of a key that nobody was given.
fn key_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let name: EnvName = "dev".parse().expect("a valid name");
    let ring: KeyRing = Keys::new(name, mac_key()).ring();
    assert!(ring.authenticate(text, 1).is_err(), "an empty ring let {text:?} in");
}

/// The body of an inference request: its tensors keep their promise.
fn oip_body(bytes: &[u8]) {
    match oip::parse_infer(bytes, &Limits::default()) {
        Ok(request) => {
            for tensor in &request.inputs {
                let n_claimed: u64 = tensor.shape().iter().product();
                assert_eq!(n_claimed, tensor.values().len() as u64, "shape and values differ");
            }
        }
        Err(error) => assert!(!error.message.is_empty(), "an error without a reason"),
    }
}

/// A body with raw tensors behind its JSON: the length of the JSON comes first, as two bytes.
fn oip_binary(bytes: &[u8]) {
    let Some((length, body)) = bytes.split_first_chunk() else { return };
    let json_bytes = usize::from(u16::from_le_bytes(*length));
    let limits = Limits { elements_max: 1 << 16, ..Limits::default() };
    if let Ok(request) = oip::parse_infer_binary(body, json_bytes, &limits) {
        tensors_hold(&request.inputs);
    }
}

/// A `ModelInferRequest`: what we take, generated code takes too, with the same names.
fn oip_grpc(bytes: &[u8]) {
    let target = grpc::target(bytes);
    let limits = Limits { elements_max: 1 << 16, ..Limits::default() };
    if let Ok(read) = grpc::parse_infer(bytes, &limits) {
        assert!(target.is_ok(), "a request without a model that can be read");
        tensors_hold(&read.request.inputs);
        // Of a parameter that says nothing to us we do not look at the value.
        let theirs = <grpc::pb::ModelInferRequest as prost::Message>::decode(bytes);
        let Ok(theirs) = theirs else { return };
        assert_eq!(theirs.inputs.len(), read.request.inputs.len(), "an input is missing");
    }
}

fn tensors_hold(inputs: &[Tensor]) {
    for tensor in inputs {
        let n_claimed: u64 = tensor.shape().iter().product();
        assert_eq!(n_claimed, tensor.values().len() as u64, "shape and values differ");
    }
}

/// A body of rows; its first byte says in which protocol. What is read fits its shapes, and holds
/// no more rows than the contract takes.
fn table(bytes: &[u8]) {
    const CONTRACT: &str = r#"
format = 1
rows_max = 16
inputs = [
    { name = "X", datatype = "FP32", shape = [-1, 2], features = [{ name = "a" }, { name = "b" }] },
    { name = "site", datatype = "BYTES", shape = [-1] },
    { name = "age", datatype = "INT64", shape = [-1, 1] },
]
outputs = [{ name = "label", datatype = "INT64", shape = [-1], role = "label" }]
table = { extra_columns = "dropped" }
"#;
    let Some((kind, body)) = bytes.split_first() else { return };
    let file: ContractFile = toml::from_str(CONTRACT).expect("a contract");
    let contract = Contract::new(file, CONTRACT.as_bytes()).expect("a contract");
    let plan = tables::Plan::new(&contract);
    let limits = Limits::default();
    let read = match kind {
        b'c' => tables::parse_csv(body, &plan, &limits),
        b'm' => mlflow::parse_invocation(body, &plan, &limits),
        b'k' => kserve_v1::parse_predict(body, &plan, &limits),
        _ => azure_ml::parse_score(body, &plan, &limits).map(|(request, _)| request),
    };
    match read {
        Ok(request) => {
            assert_eq!(request.inputs.len(), 3, "an input is missing");
            for tensor in &request.inputs {
                assert!(tensor.n_rows() <= 16, "more rows than the contract takes");
                assert_eq!(tensor.n_rows(), request.inputs[0].n_rows(), "a ragged table");
            }
        }
        Err(error) => assert!(!error.message.is_empty(), "an error without a reason"),
    }
}

/// A model file: ONNX, or what LightGBM and XGBoost save. What loads answers a row of zeroes, or
/// says why it cannot.
fn onnx(bytes: &[u8]) {
    let limits = bartizan_engine::LoadLimits {
        file_bytes_max: 1 << 20,
        resident_bytes_max: 16 << 20,
        run_bytes_max: 16 << 20,
    };
    if let Ok(model) = bartizan_engine::load(bytes, &limits) {
        assert!(model.resident_bytes() <= 32 << 20, "a small file became a large model");
        if let Some(row) = zeroes(model.signature())
            && let Ok(outputs) = model.predict(&row)
        {
            assert_eq!(outputs.len(), model.signature().outputs.len(), "an output is missing");
            if let Ok(explained) = model.explain(&row) {
                assert_eq!(explained.n_rows(), row[0].n_rows(), "a row is not explained");
            }
        }
    }
}

/// One row of zeroes, where it is of a sane size.
fn zeroes(signature: &Signature) -> Option<Vec<Tensor>> {
    let tensor = |spec: &TensorSpec| {
        let dims = spec.shape.iter().map(|dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Any => 1,
        });
        let shape: Vec<u64> = dims.collect();
        let n = shape.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim))?;
        if 1 << 16 < n {
            return None;
        }
        let n = n as usize;
        let values = match spec.datatype {
            Datatype::Fp32 => Values::Fp32(vec![0.0; n]),
            Datatype::Fp64 => Values::Fp64(vec![0.0; n]),
            Datatype::Int64 => Values::Int64(vec![0; n]),
            Datatype::Int32 => Values::Int32(vec![0; n]),
            Datatype::Bool => Values::Bool(vec![false; n]),
            Datatype::Bytes => Values::Bytes(vec![Vec::new(); n]),
            Datatype::Uint8
            | Datatype::Uint16
            | Datatype::Uint32
            | Datatype::Uint64
            | Datatype::Int8
            | Datatype::Int16
            | Datatype::Fp16
            | Datatype::Bf16 => return None,
        };
        Tensor::new(spec.name.as_str(), shape, values).ok()
    };
    signature.inputs.iter().map(tensor).collect()
}

/// A plan, or an export that makes one, in each of the three notations: what is understood is
/// judged, repaired and judged again without more findings than before.
fn plan(bytes: &[u8]) {
    use bartizan_deploy::read::Format;
    for format in [Format::Toml, Format::Yaml, Format::Json] {
        let Ok(imported) = bartizan_deploy::import::read(&[(bytes, format)]) else { continue };
        let before = bartizan_deploy::fix::check_with_fixes(&imported.reading);
        let repaired = bartizan_deploy::fix::repair(&imported.reading.plan);
        let text = serde_json::to_vec(&repaired.plan).expect("a plan can be written");
        let again = bartizan_deploy::import::read(&[(&text, Format::Json)]);
        let again = again.expect("what was repaired can be read");
        let after = bartizan_deploy::fix::check_with_fixes(&again.reading);
        assert!(after.findings.len() <= before.findings.len(), "a repair broke something");
    }
}

/// A file of rows in any of the formats, which its content tells.
fn rows(bytes: &[u8]) {
    let name = format!("bartizan-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    let limits = bartizan_vet::read::ReadLimits {
        file_bytes_max: 1 << 20,
        rows_max: 1 << 16,
        columns_max: 256,
        decoded_bytes_max: 16 << 20,
        page_bytes_max: 4 << 20,
        ..Default::default()
    };
    let outcome = bartizan_vet::read::read(&path, &limits);
    std::fs::remove_file(&path).expect("a temporary file can be removed");
    if let Ok(rows) = outcome {
        assert!(rows.n_rows <= 1 << 16, "more rows than the limit");
    }
}

/// A receipt's text: what is read is written the same.
fn receipt(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(receipt) = text.parse::<Receipt>() {
        assert_eq!(receipt.to_string(), text, "a receipt has two forms");
    }
}

/// A record's bytes: what is read can be shown, and reads the same when written.
fn record(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        let _ = record.to_json();
        let written = record.encode();
        let again = Record::decode(&written).expect("what was written can be read");
        assert!(again == record, "a record changed on its way");
    }
}

/// A file under the model gate: its verdict is that of what was found (S1), the digest is that of
/// its bytes, and foreign text is escaped.
fn scan(name: &str, bytes: &[u8]) {
    let allow = bartizan_scan::Allow::new();
    let budget = bartizan_scan::Budget {
        decoded_bytes_max: 64 << 20,
        opcodes_max: 4 << 20,
        ..bartizan_scan::Budget::default()
    };
    let options = bartizan_scan::Options {
        allow: &allow,
        budget,
        clock: &Fixed,
        siblings: &bartizan_scan::Alone,
        hash: bartizan_scan::Hash::Whole,
    };
    let report = bartizan_scan::scan(name, &bytes, &options);
    assert_eq!(report.bytes, bytes.len() as u64, "another size");
    assert_eq!(report.digest, Some(bartizan_core::Digest::of(bytes)), "another digest");
    let worst = report.sightings.iter().map(|seen| bartizan_scan::Verdict::of(seen.rule.severity));
    let worst = worst.fold(bartizan_scan::Verdict::Cleared, bartizan_scan::Verdict::and);
    assert!(worst <= report.verdict, "a verdict milder than what was found");
    assert!(report.n_more != 0 || worst == report.verdict, "a verdict without a reason");
    assert!(
        report.sightings.iter().all(|seen| !seen.what.chars().any(char::is_control)),
        "foreign text is not escaped"
    );
}

/// A sealed payload that we did not seal.
fn sealed(bytes: &[u8]) {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let wrap = Arc::new(FileKeys::new(Arc::clone(&disk), Arc::new(Fixed)));
    let keys = SealingKeys::open(disk, wrap, Arc::new(Fixed), 20_781).expect("keys can be made");
    let outcome = keys.sealer().open(DecisionId::new(1, [0; 10]), bytes);
    assert!(outcome.is_err(), "bytes that nobody sealed were opened");
}

/// A log's only segment after any accident: opening it never panics, and what it accepts also
/// verifies.
fn wal_recovery(bytes: &[u8]) {
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let mut file: Box<dyn DiskFile> =
        disk.open(&wal::segment_name(0), true).expect("memory can be written");
    file.write_at(bytes, 0).expect("memory can be written");
    drop(file);
    let look =
        |disk: &dyn Disk, scope| verify(disk, None, scope, &mut |_, _| ControlFlow::Continue(()));
    let before = look(&*disk, Scope::Closed);
    let config = LogConfig { volatile_allowed: true, ..LogConfig::new("fuzz/local/r1") };
    if Log::open(disk.clone(), &config, Arc::new(Fixed)).is_ok() {
        let after = look(&*disk, Scope::Closed).expect("an open log can be read");
        assert!(after.torn_tail.is_none(), "recovery left a torn tail");
        if let Ok(before) = before {
            assert!(before.n_records <= after.n_records, "recovery lost a whole record");
        }
    }
}

/// A client certificate: reading looks no further than its bytes, and what it names is a name.
fn certificate(bytes: &[u8]) {
    if let Ok(read) = PeerCertificate::parse(bytes)
        && let Some(id) = read.id()
    {
        let name = id.principal().expect("a SPIFFE id has a name");
        assert!(name.as_str().starts_with("spiffe/"), "{name} is outside its trust domain");
    }
}

/// A published set of keys: what is taken stays within its bounds.
fn jwks(bytes: &[u8]) {
    if let Ok(set) = JwkSet::parse(bytes, &Algorithm::ALL.iter().copied().collect(), 1) {
        let n_seen = set.n_keys() + set.left_out().len();
        assert!(1 <= set.n_keys() && n_seen <= ISSUER_KEYS_MAX, "{n_seen} keys");
    }
}

/// A token that nobody signed, against the public keys of RFC 7515, A.3 and RFC 8037, A.2.
fn token(bytes: &[u8]) {
    const KEYS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let algorithms = Algorithm::ALL.iter().copied().collect();
    let keys = JwkSet::parse(KEYS, &algorithms, 1).expect("a good set");
    let rules = IssuerRules {
        name: "fuzz".parse().expect("a valid name"),
        kind: IssuerKind::Oidc,
        issuer: "https://issuer.example".into(),
        audience: "bartizan".into(),
        algorithms,
        kinds: TokenKinds::Any,
        tenant: None,
        clients: Default::default(),
        skew_s: 60,
        life_s_max: 86_400,
        stale_s_max: 86_400,
        needs_binding: false,
        scopes: Scopes::inference(ModelScope::All),
    };
    let issuers = Issuers::new(vec![Issuer { rules: Arc::new(rules), keys: Some(Arc::new(keys)) }]);
    let ring = Keys::new("dev".parse().expect("a valid name"), mac_key()).ring();
    assert!(issuers.authenticate(text, None, &ring, 2).is_err(), "a forged token was taken");
}
