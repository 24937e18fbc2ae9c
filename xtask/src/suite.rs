//! `cargo xtask test`: everything that must hold, in one command, with one closing line.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command,
    report::{Counts, Report, say},
    tree, venv,
};

/// Names the folder with the public test vectors and cases.
const SHARED_VAR: &str = "BARTIZAN_SHARED";
/// Crashes under load in the ordinary run.
const CRASHES: u32 = 50;
/// The same in the deep run.
const CRASHES_DEEP: u32 = 1_000;
/// How long each fuzz target runs in the deep run, in seconds.
const FUZZ_S: u32 = 60;

/// A folder of tests in Python, with the pinned packages (`requirements.txt`) that they need.
struct Area {
    /// What the step is called.
    step: &'static str,
    /// The folder below `tests`, and the name of its virtual environment.
    folder: &'static str,
    /// Whether it runs in the deep run alone.
    deep: bool,
}

/// All of them, in the order in which they run.
const AREAS: &[Area] = &[
    Area { step: "real clients", folder: "interop", deep: false },
    Area { step: "witnesses, stamps, readers", folder: "outside", deep: false },
    Area { step: "deploy beside its peers", folder: "deploy", deep: true },
    Area { step: "engine beside its peers", folder: "engine", deep: true },
    Area { step: "KServe's own clients", folder: "kserve", deep: false },
    Area { step: "MLServer and MLflow behind us", folder: "peers", deep: true },
    Area { step: "vet on its cases", folder: "vet", deep: false },
    Area { step: "the model gate from outside", folder: "scan", deep: false },
    Area { step: "model files made anew", folder: "scan_anew", deep: true },
    Area { step: "attacks on the request gate", folder: "guard", deep: false },
];

/// Runs all tests; with `deep` also those that take long. Returns whether all is well.
///
/// # Errors
/// None of its own: a step that cannot run counts as failed.
pub fn run(deep: bool, report: &mut Report) -> io::Result<bool> {
    let shared = shared(report);
    report.step("cargo test --workspace", || cargo_test(shared.as_deref(), deep));
    let crashes = if deep { CRASHES_DEEP } else { CRASHES };
    for area in AREAS.iter().filter(|area| deep || !area.deep) {
        report.step(area.step, || run_area(area.folder, crashes, shared.as_deref()));
    }
    if deep {
        report.step("examples made anew", examples);
        fuzz(report);
    }
    Ok(report.close())
}

/// Runs the tests in the folder `name` below `tests`, on the binary as it is.
///
/// # Errors
/// What cannot be built, had or started.
pub(crate) fn area(name: &str) -> io::Result<Counts> {
    run_area(name, CRASHES, None)
}

fn run_area(name: &str, crashes: u32, shared: Option<&Path>) -> io::Result<Counts> {
    let folder = tree::root().join("tests").join(name);
    let python = venv::python(name, &folder.join("requirements.txt"))?;
    let binary = command::build(&["--package", "bartizan"])?;
    pytest(&python, &folder, &binary, crashes, shared)
}

/// The shared folder. Its absence fails in CI and is a counted skip elsewhere.
fn shared(report: &mut Report) -> Option<PathBuf> {
    let folder = env::var_os(SHARED_VAR).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| tree::root().join("../shared"));
    match folder.canonicalize() {
        Ok(folder) => Some(folder),
        Err(error) => {
            let why = format!("`{}`: {error}; set {SHARED_VAR}", folder.display());
            if env::var_os("CI").is_some_and(|value| value == "true") {
                report.step("shared vectors", || Err(io::Error::other(why)));
            } else {
                report.skip("shared vectors", &why);
            }
            None
        }
    }
}

fn cargo_test(shared: Option<&Path>, deep: bool) -> io::Result<Counts> {
    let mut command = command::cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    match shared {
        Some(shared) => command.env(SHARED_VAR, shared),
        None => command.env_remove(SHARED_VAR),
    };
    if deep {
        // Tests with seeds run many more of them.
        command.env("BARTIZAN_DEEP", "1");
    }
    let mut counts = Counts::default();
    let success = command::watch(&mut command, |line| {
        if let Some(more) = cargo_counts(line) {
            counts.passed += more.passed;
            counts.failed += more.failed;
            counts.skipped += more.skipped;
        }
    })?;
    if !success && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

/// The counts in a closing line of a Rust test binary.
fn cargo_counts(line: &str) -> Option<Counts> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name: &str| {
        let part = rest.split(';').map(str::trim).find_map(|part| part.strip_suffix(name))?;
        part.trim().parse().ok()
    };
    Some(Counts { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
}

fn pytest(
    python: &Path,
    folder: &Path,
    server: &Path,
    crashes: u32,
    shared: Option<&Path>,
) -> io::Result<Counts> {
    let results = env::temp_dir().join(format!("bartizan-interop-{}.xml", std::process::id()));
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-p", "no:cacheprovider", "-rs", "--durations=5", "--junit-xml"]);
    command.arg(&results).arg(folder).current_dir(folder);
    command.env("BARTIZAN_BIN", server).env("CRASHES", crashes.to_string());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    match shared {
        Some(shared) => command.env(SHARED_VAR, shared),
        None => command.env_remove(SHARED_VAR),
    };
    let success = command::run(&mut command)?;
    let xml = fs::read_to_string(&results).unwrap_or_default();
    let _ = fs::remove_file(&results);
    let mut counts = junit_counts(&xml).unwrap_or_default();
    if !success && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

/// The counts in the head of a JUnit report.
fn junit_counts(xml: &str) -> Option<Counts> {
    let (_, suite) = xml.split_once("<testsuite ")?;
    let (suite, _) = suite.split_once('>')?;
    let count = |name: &str| -> Option<u64> {
        let (_, value) = suite.split_once(&format!("{name}=\""))?;
        value.split('"').next()?.parse().ok()
    };
    let (failed, skipped) = (count("failures")? + count("errors")?, count("skipped")?);
    let passed = count("tests")?.saturating_sub(failed + skipped);
    Some(Counts { passed, failed, skipped })
}

/// Trains the example models again and compares them with what is committed.
fn examples() -> io::Result<Counts> {
    let folder = tree::root().join("examples");
    let python = venv::python("examples", &folder.join("requirements.txt"))?;
    let mut command = Command::new(python);
    command.arg(folder.join("train.py")).arg("--check").env("PYTHONDONTWRITEBYTECODE", "1");
    let success = command::run(&mut command)?;
    Ok(Counts { passed: u64::from(success), failed: u64::from(!success), skipped: 0 })
}

/// Runs each fuzz target for a while, where nightly Rust and cargo-fuzz are installed.
fn fuzz(report: &mut Report) {
    let has_fuzz = Command::new("cargo")
        .args(["+nightly", "fuzz", "--version"])
        .current_dir(tree::root())
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_fuzz {
        report.skip("fuzzing", "needs nightly Rust and `cargo install cargo-fuzz`");
        return;
    }
    let targets = fs::read_dir(tree::root().join("fuzz/fuzz_targets"));
    let mut names: Vec<String> = targets
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    for name in names {
        report.step(&format!("fuzz {name}"), || {
            say(&format!("for {FUZZ_S} s"));
            // What it finds goes into the cache; what is worth keeping is added by hand.
            let found = venv::cache()?.join("fuzz").join(&name);
            fs::create_dir_all(&found)?;
            let mut command = Command::new("cargo");
            command.args(["+nightly", "fuzz", "run", &name]).arg(&found);
            command.arg(tree::root().join("fuzz/corpus").join(&name)).arg("--");
            command.arg(format!("-max_total_time={FUZZ_S}")).arg("-rss_limit_mb=2048");
            command.arg(format!("-artifact_prefix={}/crash-", found.display()));
            let success = command::run(command.current_dir(tree::root()))?;
            Ok(Counts { passed: u64::from(success), failed: u64::from(!success), skipped: 0 })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_rust_test_binary_are_read() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(cargo_counts(line), Some(Counts { passed: 12, failed: 3, skipped: 1 }));
        assert_eq!(cargo_counts("test a::b ... ok"), None);
    }

    #[test]
    fn the_counts_of_a_junit_report_are_read() {
        let xml = "<?xml?><testsuites name=\"x\"><testsuite name=\"pytest\" errors=\"1\" \
                   failures=\"2\" skipped=\"3\" tests=\"10\" time=\"1\"><testcase/></testsuite>";
        assert_eq!(junit_counts(xml), Some(Counts { passed: 4, failed: 3, skipped: 3 }));
        assert_eq!(junit_counts(""), None);
    }
}
