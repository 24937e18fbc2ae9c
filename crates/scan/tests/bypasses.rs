//! Rows of the table of known bypasses that are about more than one module: each test is named
//! after its row. The rows about one format are `bypass_..` tests beside that format's reader
//! (`pickle/tests.rs`, `zip/tests.rs`, `torch/tests.rs`).

use std::path::Path;

use bartizan_core::{Clock, ClockSource, Stamp};
use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Report, Verdict, scan};

struct Still;

impl Clock for Still {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

fn judge(name: &str, bytes: &[u8]) -> Report {
    let (allow, budget) = (Allow::new(), Budget::default());
    let options =
        Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Skip };
    scan(name, &bytes.to_vec(), &options)
}

fn hostile(name: &str, bytes: &[u8]) -> Report {
    let report = judge(name, bytes);
    assert_eq!(report.verdict, Verdict::Hostile, "{name}: {:?}", report.sightings);
    report
}

fn has(report: &Report, rule: &str) -> bool {
    report.sightings.iter().any(|seen| seen.rule.id == rule)
}

const SYSTEM: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

/// GHSA-cffv-grgg-g429: one finding never hides another, neither an import seen before nor one that
/// is accepted.
#[test]
fn bypass_import_that_another_pass_has_seen() {
    // Imported and dropped, then fetched from the memo and called.
    let report = hostile("", b"\x80\x02cos\nsystem\nq\x000h\x00U\x02id\x85R.");
    assert!(has(&report, "scan.pickle.import") && has(&report, "scan.pickle.call"));
    for accepted in ["scan.pickle.import", "scan.pickle.call"] {
        let mut report = report.clone();
        report.suppress(accepted, "reviewed");
        assert_eq!(report.verdict, Verdict::Hostile, "{accepted} hid what else was found");
        assert!(report.sightings.iter().any(|seen| seen.suppressed.is_some()), "it stays visible");
    }
}

/// CVE-2025-1889, CVE-2025-10155: the name of a file tells nothing, in either direction.
#[test]
fn bypass_extension_or_type_mismatch() {
    for name in [
        "model.bin",
        "config.p",
        "a.txt",
        "a.safetensors",
        "a.onnx",
        "a.npy",
        "a.gguf",
        "a.json",
        "a.h5",
        "README",
        "a.pt.png",
        "",
    ] {
        hostile(name, SYSTEM);
        hostile(name, b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.");
    }
    assert_eq!(
        judge("a.pkl", b"plain words, no model\n").verdict,
        judge("a.txt", b"plain words, no model\n").verdict
    );
}

/// nullifAI and picklescan's 7z: archives are opened whatever their members are called; what is not
/// opened is not cleared.
#[test]
fn bypass_compressed_and_7z_pickles() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/benign/compressed");
    for entry in std::fs::read_dir(top).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        // The payload behind the compressed part is seen as well.
        let report = judge("", &[&bytes[..], SYSTEM].concat());
        assert_ne!(report.verdict, Verdict::Cleared, "{}", path.display());
    }
    let seven = [&b"7z\xbc\xaf\x27\x1c\0\x04"[..], &[0; 200]].concat();
    for bytes in [seven, [&b"Rar!\x1a\x07\x01\0"[..], &[0; 200]].concat()] {
        let report = judge("model.pkl", &bytes);
        assert_eq!(report.verdict, Verdict::NotCleared);
        assert!(has(&report, "scan.file.identified"), "{:?}", report.sightings);
    }
}

/// arXiv 2508.19774: whatever breaks a reader comes too late to hide what ran before, and clears
/// nothing where nothing ran.
#[test]
fn bypass_exceptions_as_a_weapon() {
    let call = &SYSTEM[..SYSTEM.len() - 1];
    for poison in [
        &b"\xff"[..],
        b"h\xfe",
        b"0000",
        b"S'x\n",
        b"Ix\n",
        b"\x8a\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"R",
        b"o",
        b"b",
        b"u",
        b"t",
        b"a",
        b"\x80\x09",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\xff",
        b"Fx\n",
        b"V\\u1\n",
    ] {
        hostile("", &[call, poison, b"."].concat());
        hostile("", &[b"\x80\x04", call, poison].concat());
        let alone = judge("", &[b"\x80\x04", poison, b"."].concat());
        assert_ne!(alone.verdict, Verdict::Cleared, "{poison:?}");
    }
}

/// Scanners imported by what they scan: nothing is imported here, and it is reported.
#[test]
fn bypass_scanner_interference() {
    for (module, name) in [
        ("picklescan.scanner", "_unsafe_globals.clear"),
        ("fickling.hook", "remove_hook"),
        ("fickling.fickle", "Interpreter"),
        ("modelscan.modelscan", "ModelScan"),
        ("modelaudit.core", "scan_file"),
        ("sys", "modules"),
        ("builtins", "setattr"),
        ("gc", "get_objects"),
    ] {
        let bytes = format!("c{module}\n{name}\n(tR.");
        let report = judge("", bytes.as_bytes());
        assert_ne!(report.verdict, Verdict::Cleared, "{module}.{name}");
        assert!(
            report.sightings.iter().any(|seen| seen.what.contains(module)),
            "{module} is not named"
        );
    }
}

/// Names with line ends and escape sequences reach no output as they are.
#[test]
fn bypass_report_injection() {
    for bytes in [
        &b"\x80\x04\x8c\x08os\n\x1b[2J.\x8c\x06sys\r\nx\x93\x8c\x02id\x85R."[..],
        b"cos\x1b]0;x\x07\nsystem\n(S'\x1b[2J\\n\\u202e'\ntR.",
    ] {
        let report = judge("a\n\x1b[31m.pkl", bytes);
        assert_ne!(report.verdict, Verdict::Cleared);
        for seen in &report.sightings {
            let shown = format!("{seen}{}{}", seen.what, seen.member);
            assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        }
    }
}

/// Keras: a layer in a configuration, as `.keras` and `.h5` hold it, by each of the advisories.
#[test]
fn bypass_keras_code_references_and_files() {
    let layer = |layer: &str| {
        format!(
            r#"{{"module":"keras","class_name":"Sequential","config":{{"layers":[{layer}]}},"registered_name":null}}"#
        )
    };
    for (advisory, inner) in [
        ("CVE-2024-3660", r#"{"class_name":"Lambda","config":{"function":["4wAA",null,null]}}"#),
        (
            "CVE-2025-1550",
            r#"{"module":"os","class_name":"function","config":"system","registered_name":"function"}"#,
        ),
        (
            "CVE-2025-8747",
            r#"{"module":"keras.utils","class_name":"function","config":"get_file","registered_name":"get_file"}"#,
        ),
        (
            "CVE-2025-9906",
            r#"{"module":"keras.config","class_name":"function","config":"enable_unsafe_deserialization","registered_name":"x"}"#,
        ),
        (
            "CVE-2025-49655",
            r#"{"module":"keras.layers","class_name":"TorchModuleWrapper","config":{"module":"gASV"},"registered_name":null}"#,
        ),
        (
            "CVE-2025-12058",
            r#"{"module":"keras.layers","class_name":"StringLookup","config":{"vocabulary":"/etc/passwd"},"registered_name":null}"#,
        ),
    ] {
        let report = hostile("config.json", layer(inner).as_bytes());
        let told = report.sightings.iter().any(|seen| seen.advisories.contains(&advisory));
        assert!(told, "{advisory}: {:?}", report.sightings);
    }
    // CVE-2026-1669, CVE-2025-9905: HDF5 that reaches out, and code in it.
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/hostile/h5");
    for (file, advisory) in [
        ("link.h5", "CVE-2026-1669"),
        ("storage.h5", "CVE-2026-1669"),
        ("lambda.h5", "CVE-2025-9905"),
    ] {
        let report = hostile(file, &std::fs::read(top.join(file)).unwrap());
        let told = report.sightings.iter().any(|seen| seen.advisories.contains(&advisory));
        assert!(told, "{file}: {:?}", report.sightings);
    }
}

/// GGUF's and tokenizers' templates, skops, NeMo, torch's RPC and type lines: by their advisories.
#[test]
fn bypass_templates_and_configurations_of_other_libraries() {
    let template = r#"{"tokenizer_class":"LlamaTokenizer","chat_template":"{{ ''.__class__.__mro__[1].__subclasses__() }}"}"#;
    let node = |loader: &str| {
        format!(
            r#"{{"__class__":"methodcaller","__module__":"operator","__loader__":"{loader}","content":"x"}}"#
        )
    };
    let skops = format!(
        r#"{{"__class__":"list","__module__":"builtins","__loader__":"ListNode","content":[{}]}}"#,
        node("OperatorFuncNode")
    );
    let cases: [(&str, &str, &[u8]); 5] = [
        ("CVE-2024-34359", "tokenizer_config.json", template.as_bytes()),
        ("CVE-2025-54412", "schema.json", skops.as_bytes()),
        ("CVE-2024-5480", "", b"ctorch.distributed.rpc\nrpc_sync\n(S'a'\ntR."),
        ("CVE-2022-45907", "", b"ctorch.jit.annotations\nparse_type_line\n(S'a'\ntR."),
        ("CVE-2025-46417", "", b"cssl\nget_server_certificate\n(S'a'\ntR."),
    ];
    for (advisory, name, bytes) in cases {
        let report = hostile(name, bytes);
        let told = report.sightings.iter().any(|seen| seen.advisories.contains(&advisory));
        assert!(told, "{advisory}: {:?}", report.sightings);
    }
    // CVE-2025-23304: Hydra's targets, in NeMo's configuration.
    hostile("model_config.yaml", b"model:\n  _target_: os.system\n  command: id\n");
    // CVE-2025-32434, CVE-2026-24747: a file that `weights_only` would be talked into is a pickle
    // like any other here.
    hostile("w.pt", b"\x80\x02ctorch\nload\nU\x01x\x85R.");
}

/// CVE-2019-6446: an array of objects is a pickle, and is judged as one.
#[test]
fn bypass_object_arrays_of_numpy() {
    let mut header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".to_vec();
    header.resize(117, b' ');
    header.push(b'\n');
    let head = [&b"\x93NUMPY\x01\0"[..], &(header.len() as u16).to_le_bytes(), &header].concat();
    hostile("a.npy", &[&head[..], SYSTEM].concat());
}

/// CVE-2022-25882, CVE-2024-27318, CVE-2025-51480: a tensor of ONNX whose data lie elsewhere.
#[test]
fn bypass_external_data_of_onnx() {
    let field = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
    let entry = [field(1, b"location"), field(2, b"../../../etc/passwd")].concat();
    let tensor =
        [&[0x08, 4, 0x10, 1][..], &field(8, b"w"), &field(13, &entry), &[0x70, 1]].concat();
    let graph = [field(2, b"g"), field(5, &tensor)].concat();
    let opset = [0x10, 21];
    let model = [&[0x08, 10][..], &field(7, &graph), &field(8, &opset)].concat();
    let report = hostile("m.onnx", &model);
    let told = |advisory| report.sightings.iter().any(|seen| seen.advisories.contains(&advisory));
    assert!(told("CVE-2024-27318") && told("CVE-2025-51480"), "{:?}", report.sightings);
}
