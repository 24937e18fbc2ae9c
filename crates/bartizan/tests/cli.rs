//! The built binary from outside: exit codes, files, and what is said where.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

const BARTIZAN: &str = env!("CARGO_BIN_EXE_bartizan");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bartizan-cli-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn bartizan(dir: &Path, args: &[&str]) -> Output {
    Command::new(BARTIZAN).args(args).current_dir(dir).env_remove("BARTIZAN_LOG").output().unwrap()
}

/// Runs and expects `code`; gives stdout and stderr.
fn expect(dir: &Path, args: &[&str], code: i32) -> (String, String) {
    let output = bartizan(dir, args);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}\nstdout: {out}\nstderr: {err}");
    (out, err)
}

/// An environment on whatever disk the test has.
fn environment(dir: &TempDir) -> PathBuf {
    let path = dir.path("env");
    let text = path.to_str().unwrap().to_owned();
    expect(&dir.0, &["init", &text, "--volatile", "--name", "test"], 0);
    path
}

fn walk(path: &Path, seen: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        seen.push(path.clone());
        if path.is_dir() {
            walk(&path, seen);
        }
    }
}

/// E2, and modes.
#[test]
fn an_environment_is_made_once_and_for_its_owner_alone() {
    let dir = TempDir::new();
    let env = environment(&dir);
    let mut seen = vec![env.clone()];
    walk(&env, &mut seen);
    for path in &seen {
        let meta = fs::metadata(path).unwrap();
        let mode = meta.permissions().mode() & 0o777;
        let wanted = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}: {mode:o}", path.display());
    }
    for name in ["bartizan.toml", ".gitignore", "keys", "tls/ca.pem", "models", "store"] {
        assert!(env.join(name).exists(), "{name} is missing");
    }
    let before = fs::read(env.join("keys/keyring.mac")).unwrap();
    let (_, err) = expect(&dir.0, &["init", "env", "--volatile"], 1);
    assert!(err.contains("is not empty; choose a new folder"), "{err}");
    assert_eq!(fs::read(env.join("keys/keyring.mac")).unwrap(), before);
    expect(&dir.0, &["config", "check", "env"], 0);
}

/// `/dev/shm` is a tmpfs on every Linux.
#[test]
fn a_disk_that_forgets_is_refused_unless_that_is_accepted() {
    let dir = TempDir::new();
    let shm = PathBuf::from(format!("/dev/shm/bartizan-{}", std::process::id()));
    let path = shm.to_str().unwrap();
    let (_, err) = expect(&dir.0, &["init", path], 1);
    assert!(err.contains("tmpfs") && err.contains("--volatile"), "{err}");
    expect(&dir.0, &["init", path, "--volatile"], 0);
    let toml = shm.join("bartizan.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, text.replace("\nvolatile = true\n", "\nvolatile = false\n")).unwrap();
    let (out, _) = expect(&dir.0, &["config", "check", path], 1);
    let issue = ["-e", path, "key", "issue", "--principal", "a", "--for", "1d"];
    let (_, err) = expect(&dir.0, &issue, 3);
    fs::remove_dir_all(&shm).unwrap();
    assert!(out.contains("`ledger.volatile`"), "{out}");
    assert!(err.contains("ledger.volatile = true"), "{err}");
}

/// E1.
#[test]
fn a_secret_that_others_may_read_stops_every_verb() {
    let dir = TempDir::new();
    let env = environment(&dir);
    for (file, mode) in [("keys/keyring.mac", 0o644), ("keys/keyring.json", 0o640), ("keys", 0o750)]
    {
        let path = env.join(file);
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (_, err) = expect(&dir.0, &["-e", "env", "key", "list"], 3);
        assert!(err.contains("run `chmod "), "{file}: {err}");
        fs::set_permissions(&path, before).unwrap();
        expect(&dir.0, &["-e", "env", "key", "list"], 0);
    }
}

/// House style: 0 yes, 1 no, 2 usage, 3 unknown.
#[test]
fn exit_codes_say_what_was_concluded() {
    let dir = TempDir::new();
    environment(&dir);
    fs::write(dir.path("bad.toml"), "[log]\nlevle = \"info\"\n").unwrap();
    fs::write(dir.path("binary.toml"), [0xff, 0xfe]).unwrap();
    fs::write(dir.path("model.pkl"), b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00").unwrap();
    let id = "018f6d2c-5b1e-7c3a-9f00-0123456789ab";
    let cases: &[(&[&str], i32)] = &[
        (&["--version"], 0),
        (&["--help"], 0),
        (&["key", "--help"], 0),
        (&[], 2),
        (&["frobnicate"], 2),
        (&["key", "issue"], 2),
        (&["key", "revoke", "../etc"], 2),
        (&["key", "issue", "--principal", "a", "--for", "soon"], 2),
        (&["init", "x", "--tls-for", "399d"], 2),
        (&["init", "x", "--name", "Prod"], 2),
        (&["config", "check", "env"], 0),
        (&["config", "check", "bad.toml"], 1),
        (&["config", "check", "binary.toml"], 1),
        (&["config", "check", "absent"], 3),
        (&["-e", "absent", "key", "list"], 3),
        (&["-e", "env", "key", "list"], 0),
        (&["-e", "env", "key", "issue", "--principal", "a", "--for", "999d"], 1),
        (&["-e", "env", "key", "revoke", "abcdefGH0123"], 1),
        (&["-e", "env", "model", "list"], 0),
        (&["-e", "env", "model", "load", "none", "1"], 1),
        (&["-e", "env", "model", "add", "absent.onnx"], 3),
        (&["-e", "env", "model", "add", "model.pkl"], 1),
        (&["-e", "env", "trace", id], 1),
        (&["-e", "env", "trace", "nonsense"], 2),
        (&["ledger", "verify", "env"], 0),
        (&["ledger", "verify", "absent"], 3),
    ];
    for (args, code) in cases {
        expect(&dir.0, args, *code);
    }
}

#[test]
fn a_wrong_configuration_is_said_with_position_and_suggestion_on_stdout() {
    let dir = TempDir::new();
    fs::write(
        dir.path("bartizan.toml"),
        "[inference]\nadress = \"127.0.0.1:1\"\ntls = \"off\"\n[limits]\nrows_max = 0\n",
    )
    .unwrap();
    let (out, err) = expect(&dir.0, &["config", "check"], 1);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "./bartizan.toml: line 2, column 1: `inference.adress`: unknown key; \
             did you mean `address`?",
            "./bartizan.toml: line 5, column 1: `limits.rows_max`: must be from 1 to 65536, is 0",
        ]
    );
    assert!(err.starts_with("2 problems"), "{err}");
    fs::write(dir.path("bartizan.toml"), "[inference]\naddress = \"0.0.0.0:1\"\ntls = \"off\"\n")
        .unwrap();
    let (out, _) = expect(&dir.0, &["config", "check"], 1);
    assert!(out.contains("`inference.tls`"), "{out}");
}

#[test]
fn missing_mismatched_and_exposed_certificates_are_named() {
    let dir = TempDir::new();
    let env = environment(&dir);
    let other = dir.path("other");
    expect(&dir.0, &["init", other.to_str().unwrap(), "--volatile"], 0);
    let (certificate, key) = (env.join("tls/server.pem"), env.join("tls/server.key"));
    let good = fs::read(&key).unwrap();
    fs::write(&key, fs::read(other.join("tls/server.key")).unwrap()).unwrap();
    let (out, _) = expect(&dir.0, &["config", "check", "env"], 1);
    assert!(out.contains("`inference.key`") && out.contains("does not belong"), "{out}");
    fs::write(&key, good).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (out, _) = expect(&dir.0, &["config", "check", "env"], 1);
    assert!(out.contains("chmod 600"), "{out}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(&certificate).unwrap();
    let (out, _) = expect(&dir.0, &["config", "check", "env"], 1);
    assert!(out.contains("`inference.certificate`"), "{out}");
    expect(&dir.0, &["init", "env", "--renew-tls"], 0);
    expect(&dir.0, &["config", "check", "env"], 0);
}

#[test]
fn the_schema_manual_and_completions_are_made() {
    let dir = TempDir::new();
    let (schema, _) = expect(&dir.0, &["config", "schema"], 0);
    assert!(schema.contains("\"$schema\"") && schema.trim_end().ends_with('}'), "{schema}");
    for (shell, part) in
        [("bash", "_bartizan()"), ("zsh", "#compdef bartizan"), ("fish", "complete -c bartizan")]
    {
        let (text, _) = expect(&dir.0, &["completions", shell], 0);
        assert!(text.contains(part) && text.contains("revoke"), "{shell}");
    }
    expect(&dir.0, &["man", "pages"], 0);
    for page in ["bartizan.1", "bartizan-key.1", "bartizan-key-issue.1", "bartizan-trace.1"] {
        let text = fs::read_to_string(dir.path("pages").join(page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}");
    }
}

/// Keys over their life, with no server: each step is on record, and the text of a key is shown
/// once and nowhere stored.
#[test]
fn keys_are_issued_rotated_listed_and_revoked() {
    let dir = TempDir::new();
    let env = environment(&dir);
    let at = |args: &[&str], code| {
        let all: Vec<&str> = ["-e", "env"].iter().chain(args).copied().collect();
        expect(&dir.0, &all, code)
    };
    let (key, err) = at(&["key", "issue", "--principal", "team/a", "--for", "90d"], 0);
    assert!(key.starts_with("bz_test_") && key.trim_end().len() == key.len() - 1, "{key}");
    assert!(err.contains("receipt \"test/local/r1\";index="), "{err}");
    let id = key.split('_').nth(2).unwrap().to_owned();
    at(&["key", "rotate", &id, "--overlap", "1h", "--to", "new-key.txt"], 0);
    let new = fs::read_to_string(dir.path("new-key.txt")).unwrap();
    assert!(new.starts_with("bz_test_") && new != key);
    let mode = fs::metadata(dir.path("new-key.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    at(&["key", "rotate", &id], 1);
    let new_id = new.split('_').nth(2).unwrap().to_owned();
    at(&["key", "rotate", &new_id, "--to", "new-key.txt"], 2);
    at(&["key", "revoke", &new_id], 0);
    let (list, _) = at(&["key", "list", "--format", "json"], 0);
    assert!(list.contains("\"retiring\"") && list.contains("\"revoked\""), "{list}");
    let (list, _) = at(&["key", "list"], 0);
    assert!(list.contains(&id) && list.contains("retiring"), "{list}");
    let mut seen = Vec::new();
    walk(&env, &mut seen);
    let secret = key.trim_end().rsplit('_').next().unwrap();
    for path in seen.iter().filter(|path| path.is_file()) {
        let bytes = fs::read(path).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{} holds the secret", path.display());
    }
    expect(&dir.0, &["ledger", "verify", "env"], 0);
}

#[test]
fn models_are_added_listed_unloaded_and_removed() {
    let dir = TempDir::new();
    environment(&dir);
    let model = format!("{EXAMPLES}/cancer-logistic/model.onnx");
    let contract = format!("{EXAMPLES}/cancer-logistic/contract.toml");
    let reference = format!("{EXAMPLES}/cancer-logistic/reference.parquet");
    let at = |args: &[&str], code| {
        let all: Vec<&str> = ["-e", "env", "model"].iter().chain(args).copied().collect();
        expect(&dir.0, &all, code)
    };
    let (out, _) = at(&["add", &model, "--name", "cancer", "--contract", &contract], 0);
    assert_eq!(out, "cancer 1\n");
    let (out, _) = at(&["add", &model, "--name", "cancer", "--reference", &reference], 0);
    assert_eq!(out, "cancer 2\n");
    at(&["add", &model, "--name", "cancer", "--version", "2"], 1);
    let (inferred, err) = at(&["inspect", &model, "--reference", &reference], 0);
    assert!(inferred.contains("mean radius") && !inferred.contains("\"target\""), "{inferred}");
    assert!(err.contains("column `target` of the reference is the answer"), "{err}");
    let (operators, err) = at(&["inspect", &model, "--operators"], 0);
    let line = operators.lines().find(|line| line.starts_with("LinearClassifier")).unwrap();
    assert!(line.contains("ai.onnx.ml 1") && line.contains("native"), "{operators}");
    assert!(err.contains("It loads"), "{err}");
    let scan = format!("{EXAMPLES}/../crates/engine/tests/zoo/data/knn-regressor-scan.onnx");
    let (operators, err) = at(&["inspect", &scan, "--operators"], 1);
    assert!(operators.lines().any(|line| line.starts_with("Scan") && line.contains(" - ")));
    assert!(err.contains("operator `Scan`"), "{err}");
    let wrong = fs::read_to_string(&contract).unwrap().replace("[-1, 30]", "[-1, 31]");
    fs::write(dir.path("wrong.toml"), wrong).unwrap();
    at(&["add", &model, "--name", "cancer", "--contract", "wrong.toml"], 1);
    fs::write(dir.path("odd.toml"), "format = 1\nodd = 2\n").unwrap();
    let (_, err) = at(&["add", &model, "--contract", "odd.toml"], 1);
    assert!(err.contains("line 2, column 1"), "{err}");
    at(&["unload", "cancer", "1"], 0);
    let (list, _) = at(&["list"], 0);
    assert!(list.lines().nth(1).unwrap().starts_with("cancer  1        unloaded"), "{list}");
    at(&["load", "cancer", "1"], 0);
    at(&["remove", "cancer", "2"], 0);
    at(&["remove", "cancer", "2"], 1);
    fs::write(dir.path("env/models/cancer/1/model.onnx"), b"changed").unwrap();
    at(&["load", "cancer", "1"], 1);
    let staged = fs::read_dir(dir.path("env/models/.staged")).unwrap().count();
    assert_eq!(staged, 0, "refused models leave nothing behind");
}

/// A file that could run code when loaded is named, not loaded.
#[test]
fn what_is_no_onnx_model_is_named_with_the_next_command() {
    let dir = TempDir::new();
    environment(&dir);
    fs::write(dir.path("model.pkl"), b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00").unwrap();
    fs::create_dir(dir.path("mlflow")).unwrap();
    fs::write(dir.path("mlflow/MLmodel"), b"flavors:\n").unwrap();
    // Longer than any model may be: what it is comes before how long it is.
    fs::File::options().write(true).open(dir.path("model.pkl")).unwrap().set_len(1 << 40).unwrap();
    for (file, part) in [("model.pkl", "ickle"), ("mlflow", "MLflow")] {
        let (_, err) = expect(&dir.0, &["-e", "env", "model", "add", file], 1);
        assert!(err.contains(part) && err.contains("not executed"), "{file}: {err}");
        assert!(err.contains("; next: "), "{file}: {err}");
    }
}

/// What is hostile is refused in words with its remedy, what is cleared is said to be, and each
/// look is on record where there is an environment, and nowhere else.
#[test]
fn the_model_gate_refuses_in_words_and_records_each_scan() {
    let dir = TempDir::new();
    environment(&dir);
    fs::write(dir.path("evil.pkl"), b"cos\nsystem\n(S'id'\ntR.").unwrap();
    fs::write(dir.path("odd.bin"), b"\x00\x01\x02\x03").unwrap();
    fs::write(dir.path("good.pkl"), b"\x80\x04N.").unwrap();
    for args in [&["-e", "env", "model", "add", "evil.pkl"][..], &["serve", "evil.pkl"]] {
        let (_, err) = expect(&dir.0, args, 1);
        assert!(err.contains("calls os.system('id') on load"), "{err}");
        assert!(err.contains("what to do: do not load it"), "{err}");
        assert!(err.contains("recorded as "), "{err}");
    }
    let (_, err) = expect(&dir.0, &["-e", "env", "model", "add", "good.pkl"], 1);
    assert!(err.contains("the model gate: cleared") && err.contains("not executed"), "{err}");
    for (file, code) in [("good.pkl", 0), ("evil.pkl", 1), ("odd.bin", 3)] {
        let (_, err) = expect(&dir.0, &["-e", "env", "scan", file], code);
        let last = err.lines().last().unwrap();
        let id = last.strip_prefix("recorded as ").unwrap_or_else(|| panic!("{err}"));
        let (text, _) = expect(&dir.0, &["-e", "env", "trace", id], 0);
        assert!(text.contains("gate-run") && text.contains(file), "{text}");
        let (_, err) = expect(&dir.0, &["scan", file], code);
        assert!(err.lines().last().unwrap().starts_with("nothing recorded"), "{err}");
    }
}

/// Each run of the data gate and of the network gate is one record inside an environment, whatever
/// it concludes, and none outside; the record holds rules, and no value of what was judged.
#[test]
fn each_run_of_vet_and_aks_is_one_record_inside_an_environment() {
    let dir = TempDir::new();
    environment(&dir);
    let mut rows = String::from("secretive,label\n");
    for row in 0..200 {
        let value = row * 7_919 % 100_003;
        rows.push_str(&format!("{value},{}\n", i32::from(50_000 < value)));
    }
    fs::write(dir.path("rows.csv"), rows).unwrap();
    fs::write(dir.path("torn.parquet"), b"PAR1\x00").unwrap();
    let plan = |name: &str| format!("{}/../../examples/aks/{name}", env!("CARGO_MANIFEST_DIR"));
    let (clean, colliding) = (plan("private.toml"), plan("colliding.toml"));
    let runs: [(&[&str], i32, &str); 5] = [
        (&["vet", "rows.csv", "--label", "label"], 0, "200 rows"),
        (&["vet", "torn.parquet"], 3, "torn.parquet"),
        (&["aks", "check", &clean], 0, "private.toml"),
        (&["aks", "check", &colliding], 1, "SVC-"),
        (&["aks", "draw", &colliding, "--out", "map.svg"], 1, "draw "),
    ];
    for (args, code, part) in runs {
        let (_, err) = expect(&dir.0, &[&["-e", "env"], args].concat(), code);
        let ids: Vec<_> = err.lines().filter_map(|l| l.strip_prefix("recorded as ")).collect();
        let &[id] = ids.as_slice() else { panic!("{args:?}: {err}") };
        let (text, _) = expect(&dir.0, &["-e", "env", "trace", id], 0);
        assert!(text.contains("gate-run") && text.contains(part), "{args:?}: {text}");
        assert!(!text.contains("secretive"), "{text}");
        let (_, err) = expect(&dir.0, args, code);
        assert!(err.contains("nothing recorded: `.` is no environment"), "{args:?}: {err}");
    }
    // Given wrongly: nothing was judged, nothing is recorded.
    let (_, err) = expect(&dir.0, &["-e", "env", "vet", "rows.csv", "--label", "none"], 2);
    assert!(!err.contains("recorded"), "{err}");
}

/// An exception lets one model in: signed by a listed key, for this digest, until its day; it is
/// told, recorded, kept beside the model and held against all of that at every load.
#[test]
fn a_signed_exception_lets_one_model_in_and_stays_with_it() {
    let dir = TempDir::new();
    let env = environment(&dir);
    let mut bytes = fs::read(format!("{EXAMPLES}/cancer-logistic/model.onnx")).unwrap();
    // A field that no reader knows: it loads, and nobody can say what it is for.
    bytes.extend_from_slice(&[0x7a, 4, b'a', b'b', b'c', b'd']);
    fs::write(dir.path("odd.onnx"), &bytes).unwrap();
    let at = |args: &[&str], code| expect(&dir.0, &[&["-e", "env", "model"], args].concat(), code);
    at(&["add", "odd.onnx"], 3);
    let (public, _) = at(&["except-key", "reviewer.key"], 0);
    at(&["except-key", "reviewer.key"], 2);
    let sign = |until: &str, out: &str| {
        let rule = "scan.file.unknown";
        let args = ["--reason", "reviewed", "--until", until, "--key", "reviewer.key"];
        at(&[&["except", "odd.onnx", "--rule", rule], &args[..], &["--out", out]].concat(), 0);
    };
    sign("9998-01-01", "good.json");
    sign("2020-01-01", "late.json");
    let (_, err) = at(&["add", "odd.onnx", "--exception", "good.json"], 3);
    assert!(err.contains("keys/exception-keys"), "{err}");
    let keys = env.join("keys/exception-keys");
    fs::write(&keys, public).unwrap();
    fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (_, err) = at(&["add", "odd.onnx", "--exception", "late.json"], 3);
    assert!(err.contains("ended with 2020-01-01"), "{err}");
    let (_, err) = at(&["add", "odd.onnx", "--exception", "good.json"], 0);
    assert!(err.contains("excepted until 9998-01-01"), "{err}");
    at(&["unload", "odd", "1"], 0);
    at(&["load", "odd", "1"], 0);
    at(&["unload", "odd", "1"], 0);
    fs::remove_file(env.join("models/odd/1/exception.json")).unwrap();
    let (_, err) = at(&["load", "odd", "1"], 1);
    assert!(err.contains("the model gate refuses"), "{err}");
}

/// The child that scans for a server: it tries what it must not be able to do, each try fails, and
/// only then it reads (C1). Descriptors and variables of its parent are gone (C2).
#[test]
fn the_scanning_child_serves_only_when_every_forbidden_act_fails() {
    let dir = TempDir::new();
    fs::write(dir.path("m.pkl"), b"cos\nsystem\n(S'id'\ntR.").unwrap();
    let script = format!("exec 7</dev/null; {BARTIZAN} internal-child-scan < m.pkl | cat");
    let output = Command::new("bash").args(["-c", &script]).current_dir(&dir.0).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let confinement: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(confinement["seccomp"], "full", "{text}");
    assert_eq!(confinement["inherited"], 0, "{text}");
    let acts = confinement["acts"].as_array().unwrap();
    assert!(15 <= acts.len() && acts.iter().all(|act| act["denied"] == true), "{text}");
    let told: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(told["verdict"], "hostile");
    // Where even its answer may not be written, it does not serve: no file grows.
    let script = format!("{BARTIZAN} internal-child-scan < m.pkl > answer; wc -c < answer");
    let output = Command::new("bash").args(["-c", &script]).current_dir(&dir.0).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "0");
}

/// One flipped byte anywhere in the log is found, and its place is named.
#[test]
fn verify_names_the_place_of_damage() {
    let dir = TempDir::new();
    let env = environment(&dir);
    for _ in 0..3 {
        expect(&dir.0, &["-e", "env", "key", "issue", "--principal", "a", "--for", "1d"], 0);
    }
    let wal = fs::read_dir(env.join("store/wal")).unwrap();
    let mut segments: Vec<_> = wal.map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ext| ext == "wal"));
    segments.sort();
    let bytes = fs::read(&segments[0]).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for at in [0, end / 2, end] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&segments[0], &damaged).unwrap();
        let output = bartizan(&dir.0, &["ledger", "verify", "env"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "byte {at}: {text}");
        assert!(text.contains("byte "), "byte {at}: {text}");
    }
    fs::write(&segments[0], &bytes).unwrap();
    expect(&dir.0, &["ledger", "verify", "env"], 0);
}

/// A closed stdout is no crash and no success.
#[test]
fn a_reader_that_goes_away_is_not_a_panic() {
    let dir = TempDir::new();
    let script =
        format!("{BARTIZAN} config schema | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}");
    let output = Command::new("bash").args(["-c", &script]).current_dir(&dir.0).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
}
