//! `bartizan scan PATH..`: what would these files do if they were loaded?
//!
//! Nothing is loaded. Each file has a verdict; the worst is the answer: hostile (1) wins over not
//! cleared (3), and 0 is given only where every file is cleared and there was one.

mod convert;
mod explain;
mod policy;
mod tally;

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bartizan_core::Digest;
use bartizan_core::clock::Rfc3339;
use bartizan_outbound::OsClock;
use bartizan_scan::{Allow, Hash, Options, Report, Source as _, Verdict, escape};

use super::{Failure, Outcome, Place, recorded};
use crate::answer::Answer;
use crate::gate::extension::{PUBLISHED_BYTES_MAX, PUBLISHED_SUFFIX};
use crate::gate::files::{self, Beside, Item, Opened};
use crate::owner::operation::{Gate, GateRun};
use crate::render::scan::{self as render, Scanned};
use policy::Policy;
use tally::Tally;

/// Shape of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// For people
    #[default]
    Text,
    /// One JSON value, `docs/scan.md` describes it
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// Arguments of `bartizan scan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all cleared, 1 something is hostile, 2 usage, 3 something is \
                        not cleared (and nothing hostile)."
)]
pub(crate) struct Args {
    /// Files and folders
    #[arg(required_unless_present = "explain")]
    paths: Vec<PathBuf>,
    /// Shape of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Shape,
    /// Names you vouch for and findings you accept, each for one digest, with reason and expiry
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How many files are scanned at once; as many as there are processors unless given
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Write an unsigned in-toto statement about all files to this file
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// Write the tensors of the one file, if it is cleared, to this safetensors file: of a torch
    /// file, a pickle or joblib of NumPy arrays, .npy or .npz
    #[arg(long, value_name = "FILE")]
    convert: Option<PathBuf>,
    /// Do not hash: tensor data is then passed over unread, and no policy for a digest applies
    #[arg(long, conflicts_with_all = ["policy", "statement"])]
    no_digest: bool,
    /// Explain a rule (`scan.pickle.call`), or what is thought of a name
    /// (`collections.OrderedDict`; with `--policy` also of names that it adds)
    #[arg(long, value_name = "RULE|NAME")]
    explain: Option<String>,
}

impl Args {
    /// What `bartizan scan PATH` asks.
    pub(crate) fn of(path: &std::path::Path) -> Self {
        Self {
            paths: vec![path.to_owned()],
            format: Shape::Text,
            policy: None,
            jobs: None,
            statement: None,
            convert: None,
            no_digest: false,
            explain: None,
        }
    }
}

/// Runs `bartizan scan`.
///
/// # Errors
/// A policy that cannot be read, or an answer that cannot be written. A file that cannot be read
/// is an answer, no error.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    crate::gate::published::checked().map_err(Failure::unknown)?;
    let policy = args.policy.as_deref().map(Policy::read).transpose()?.unwrap_or_default();
    if let Some(what) = &args.explain {
        return explain::run(what, &policy, &today(), out);
    }
    let items = files::expand(&args.paths);
    let jobs = args.jobs.or_else(|| std::thread::available_parallelism().ok());
    let hash = if args.no_digest { Hash::Skip } else { Hash::Whole };
    let scanned = scan_all(&items, jobs.map_or(1, NonZeroUsize::get), hash, &policy);
    match args.format {
        Shape::Text => render::text(&scanned, out)?,
        Shape::Json => writeln!(out, "{}", render::ascii(&render::json(&scanned))?)?,
        Shape::Sarif => {
            writeln!(out, "{}", render::ascii(&render::sarif(&scanned))?)?;
        }
    }
    if let Some(path) = &args.statement {
        let statement = serde_json::to_vec_pretty(&render::statement(&scanned))?;
        crate::files::replace(path, &statement).map_err(Failure::unknown)?;
    }
    let converted = match &args.convert {
        Some(out) => convert::run(&args.paths, out, &policy),
        None => Ok(()),
    };
    recorded::close(place, run_of(&scanned)?, converted.map(|()| answer(&scanned)))
}

/// The run as a record keeps it: rules and counts, no word out of the files.
fn run_of(scanned: &[Scanned]) -> Result<GateRun, Failure> {
    let n = |verdict| scanned.iter().filter(|one| one.report.verdict == verdict).count();
    let summary = format!(
        "{} cleared, {} not cleared, {} hostile; rules {}, names {}",
        n(Verdict::Cleared),
        n(Verdict::NotCleared),
        n(Verdict::Hostile),
        bartizan_scan::RULES_VERSION,
        bartizan_scan::allow_digest(),
    );
    let paths: Vec<_> = scanned.iter().take(8).map(|one| escape::text(&one.path)).collect();
    let mut run = GateRun {
        outcome: crate::gate::outcome(render::worst(scanned)),
        summary,
        report: Some(Digest::of(&serde_json::to_vec(&render::json(scanned))?)),
        n_items: scanned.len() as u64,
        bytes: scanned.iter().map(|one| one.report.bytes).sum(),
        ..GateRun::of(Gate::Scan, paths.join(" "))
    };
    let seen = scanned.iter().flat_map(|one| &one.report.sightings);
    let seen = seen.filter(|seen| seen.suppressed.is_none());
    run.found(seen.map(|seen| (seen.rule.id, seen.rule.severity, seen.count)));
    Ok(run)
}

/// The worst verdict, as an answer; no file at all is no reason to say yes.
fn answer(scanned: &[Scanned]) -> Answer {
    match render::worst(scanned) {
        Some(Verdict::Cleared) => Answer::Yes,
        Some(Verdict::Hostile) => Answer::No,
        Some(Verdict::NotCleared) | None => Answer::Unknown,
    }
}

fn scan_all(items: &[Item], jobs: usize, hash: Hash, policy: &Policy) -> Vec<Scanned> {
    let next = AtomicUsize::new(0);
    let tally = Tally::of(items);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let today = today();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let report = scan_one(item, hash, policy, &today, &tally);
                    let path = item.path.to_string_lossy().into_owned();
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((at, Scanned { path, report }));
                }
            });
        }
    });
    let mut scanned = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    scanned.sort_by_key(|(at, _)| *at);
    scanned.into_iter().map(|(_, scanned)| scanned).collect()
}

/// The day, in UTC, as policies write it.
fn today() -> String {
    let mut today = Rfc3339(bartizan_core::Clock::now(&OsClock::new()).wall_ns).to_string();
    today.truncate(10);
    today
}

fn scan_one(item: &Item, hash: Hash, policy: &Policy, today: &str, tally: &Tally) -> Report {
    if let Some(trouble) = &item.trouble {
        return Report::unreadable(trouble);
    }
    let opened = match Opened::open(&item.path) {
        Ok(opened) => opened,
        Err(error) => return Report::unreadable(&error.to_string()),
    };
    let clock = OsClock::new();
    let plain = Allow::new();
    let added = if policy.has_names() {
        digest(&opened).and_then(|digest| {
            let published = published(&item.path);
            let names = policy.allow_for(digest, published.as_deref(), today);
            names.map(|names| (digest, names))
        })
    } else {
        None
    };
    let siblings = Beside(item.folder.clone());
    let name = item.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let options = Options {
        allow: added.as_ref().map_or(&plain, |(_, names)| names),
        budget: policy.budget(),
        clock: &clock,
        siblings: &siblings,
        hash,
    };
    let watched = tally.watch(&opened);
    let mut report = bartizan_scan::scan(&name.unwrap_or_default(), &watched, &options);
    watched.done();
    let is_other = added.is_some_and(|(digest, _)| report.digest != Some(digest));
    if is_other || !opened.is_unchanged() {
        report.changed();
    } else {
        policy.apply(&mut report, today);
    }
    report
}

/// What its publisher says about a file, where that lies beside it.
fn published(path: &std::path::Path) -> Option<Vec<u8>> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(PUBLISHED_SUFFIX);
    crate::files::read_bounded(beside.as_ref(), PUBLISHED_BYTES_MAX).ok()
}

/// Digest of a file before it is scanned, to find the names that a policy adds for it.
fn digest(opened: &Opened) -> Option<Digest> {
    use sha2::Digest as _;

    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        let n = opened.read_at(at, &mut chunk).ok()?;
        if n == 0 {
            return Some(Digest(hasher.finalize().into()));
        }
        hasher.update(chunk.get(..n)?);
        at += n as u64;
    }
}

#[cfg(test)]
fn scan_paths(paths: &[&std::path::Path]) -> Vec<Scanned> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    scan_all(&files::expand(&paths), 2, Hash::Whole, &Policy::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;
    use std::path::Path;

    /// The worst file decides, no file is no yes, and names with control characters stay on one
    /// line of every shape.
    #[test]
    fn the_worst_verdict_is_the_answer_in_every_shape() {
        let folder = TempDir::new();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("good.pkl"), b"\x80\x04N.").unwrap();
        std::fs::write(at("odd\n\x1b[2J.bin"), b"\x00\x01\x02").unwrap();
        std::fs::write(at("zz.pkl"), b"cos\nsystem\n(S'id'\ntR.").unwrap();
        let good = scan_paths(&[&at("good.pkl")]);
        assert_eq!(answer(&good), Answer::Yes);
        assert_eq!(
            answer(&scan_paths(&[&at("good.pkl"), &at("odd\n\x1b[2J.bin")])),
            Answer::Unknown
        );
        assert_eq!(answer(&scan_paths(&[])), Answer::Unknown);
        assert_eq!(answer(&scan_paths(&[&at("missing")])), Answer::Unknown);
        let all = scan_paths(&[folder.path()]);
        assert_eq!(answer(&all), Answer::No);
        let mut text = Vec::new();
        render::text(&all, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            !text.contains('\u{1b}') && text.contains("calls os.system('id') on load"),
            "{text}"
        );
        let json = render::json(&all);
        assert_eq!(json["verdict"], "hostile");
        assert_eq!(json["files"].as_array().unwrap().len(), 3);
        assert_eq!(json["files"][0]["verdict"], "cleared");
        let sarif = render::sarif(&all);
        assert_eq!(sarif["version"], "2.1.0");
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        assert!(results.iter().any(|result| result["ruleId"] == "scan.pickle.call"));
        let statement = render::statement(&all);
        assert_eq!(statement["subject"].as_array().unwrap().len(), 3);
        assert_eq!(statement["predicate"]["verdict"], "hostile");
    }

    /// A name that a policy adds clears one file, and only that.
    #[test]
    fn a_policy_clears_one_digest() {
        let folder = TempDir::new();
        let path = folder.path().join("m.pkl");
        let bytes = b"\x80\x04\x8c\x04mine\x8c\x05Model\x93)\x81}b.";
        std::fs::write(&path, bytes).unwrap();
        let text = format!(
            "[[allow]]\nmodule = \"mine\"\nname = \"Model\"\nrole = \"state\"\ndigest = \"{}\"\nreason = \"reviewed\"\nexpires = \"9998-01-01\"\n",
            Digest::of(bytes)
        );
        let policy_path = folder.path().join("scan.toml");
        std::fs::write(&policy_path, text).unwrap();
        let policy = Policy::read(&policy_path).unwrap();
        let verdict = |path: &Path| {
            let items = files::expand(&[path.to_path_buf()]);
            scan_all(&items, 1, Hash::Whole, &policy)[0].report.verdict
        };
        assert_eq!(verdict(&path), Verdict::Cleared);
        let other = folder.path().join("n.pkl");
        std::fs::write(&other, b"\x80\x04N0\x8c\x04mine\x8c\x05Model\x93)\x81}b.").unwrap();
        assert_eq!(verdict(&other), Verdict::NotCleared);
    }
}
