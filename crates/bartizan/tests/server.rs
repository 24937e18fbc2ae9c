//! The built binary with a real server: every recording verb beside it and without it.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BARTIZAN: &str = env!("CARGO_BIN_EXE_bartizan");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
/// How long a server may take to open its socket before the test gives up.
const START_MAX: Duration = Duration::from_secs(30);

/// An environment of its own, removed with the value.
struct TempEnvironment(PathBuf);

impl TempEnvironment {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bartizan-{name}-{}", std::process::id()));
        let it = Self(path);
        let dir = it.0.to_str().unwrap();
        let output = run(&["init", dir, "--volatile", "--name", "test"]);
        assert!(output.status.success(), "{output:?}");
        let toml = it.0.join("bartizan.toml");
        let text = fs::read_to_string(&toml).unwrap();
        let default = "# address = \"127.0.0.1:8443\"";
        assert!(text.contains(default), "{text}");
        fs::write(&toml, text.replace(default, "address = \"127.0.0.1:0\"")).unwrap();
        it
    }

    fn verb(&self, args: &[&str]) -> (i32, String, String) {
        let all = [&["-e", self.0.to_str().unwrap()], args].concat();
        let output = run(&all);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn n_records(&self) -> u64 {
        let (code, out, err) = self.verb(&["ledger", "verify", "--format", "json"]);
        assert_eq!(code, 0, "{out}{err}");
        let line = out.lines().find(|line| line.contains("\"n_records\"")).unwrap();
        line.trim().trim_end_matches(',').rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for TempEnvironment {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn run(args: &[&str]) -> Output {
    Command::new(BARTIZAN).args(args).output().unwrap()
}

/// A server that is ended with the value.
struct Server(Child);

impl Server {
    fn start(environment: &Path) -> Self {
        let child = Command::new(BARTIZAN)
            .args(["-e", environment.to_str().unwrap(), "serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut it = Self(child);
        let begun = Instant::now();
        while !environment.join("store/admin.sock").exists() {
            assert!(it.0.try_wait().unwrap().is_none(), "the server ended");
            assert!(begun.elapsed() < START_MAX, "the server does not open its socket");
            std::thread::sleep(Duration::from_millis(20));
        }
        it
    }

    /// SIGTERM; its exit code.
    fn stop(mut self) -> Option<i32> {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The verbs in the order of a key's and a model's life: exit code and records that each leaves.
fn life(environment: &TempEnvironment) -> Vec<(String, i32, u64)> {
    let model = format!("{EXAMPLES}/cancer-logistic/model.onnx");
    let contract = format!("{EXAMPLES}/cancer-logistic/contract.toml");
    let mut told = Vec::new();
    let mut say = |args: &[&str]| -> String {
        let before = environment.n_records();
        let (code, out, err) = environment.verb(args);
        let left = environment.n_records() - before;
        told.push((format!("{} {}", args[0], args[1]), code, left));
        assert!(!err.contains("panicked"), "{args:?}: {err}");
        out
    };
    let key = say(&["key", "issue", "--principal", "team/a", "--for", "1d"]);
    let id = key.split('_').nth(2).unwrap().to_owned();
    let key = say(&["key", "rotate", &id]);
    let new_id = key.split('_').nth(2).unwrap().to_owned();
    say(&["key", "rotate", &id]);
    say(&["key", "revoke", &new_id]);
    say(&["key", "list"]);
    say(&["model", "add", &model, "--name", "cancer", "--contract", &contract]);
    say(&["model", "unload", "cancer", "1"]);
    say(&["model", "load", "cancer", "1"]);
    say(&["model", "load", "cancer", "2"]);
    say(&["model", "list"]);
    say(&["model", "remove", "cancer", "1"]);
    told
}

#[test]
fn every_verb_does_the_same_beside_a_server_and_without_one() {
    let (without, beside) = (TempEnvironment::new("without"), TempEnvironment::new("beside"));
    let server = Server::start(&beside.0);
    let found = life(&beside);
    assert_eq!(found, life(&without));
    let recorded: u64 = found.iter().map(|(_, _, left)| left).sum();
    assert_eq!(recorded, 9, "what is loaded is scanned, on record: {found:?}");
    let second = run(&["-e", beside.0.to_str().unwrap(), "serve"]);
    let text = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(3), "{text}");
    assert!(text.contains("the store is in use by process"), "{text}");
    assert_eq!(server.stop(), Some(0));
    assert_eq!(beside.n_records(), without.n_records() + 2, "a server records start and stop");
}
