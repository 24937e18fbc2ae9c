//! `bartizan vet DATA`: which rows of this training data look planted?
//!
//! Data goes to stdout as text, JSON, SARIF or HTML. A data set is never called clean when it
//! could not be looked at: that is an error (3), as is something that the policy requires and that
//! was not covered.

pub(crate) mod load;
mod split;
mod statement;

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use bartizan_scan::escape;
use bartizan_vet::parallel::Threads;
use bartizan_vet::read::ReadError;
use bartizan_vet::table::{Plan, TableError};
use bartizan_vet::{Options, Policy, Report, Verdict, vet};

pub(crate) use load::FileDigest;

use super::{Failure, Outcome, Place, recorded};
use crate::answer::Answer;
use crate::owner::operation::{Gate, GateRun};
use crate::render::progress::Progress;
use crate::render::vet as render;

/// Memory of the packed data unless told, in MiB.
const MEMORY_MIB: u64 = 3_072;

/// Shape of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// For people
    #[default]
    Text,
    /// One JSON value with the scores of all rows, `docs/formats/vet-report.md` describes it
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// One self-contained page with pictures
    Html,
}

/// Arguments of `bartizan vet`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 clean, 1 findings that block by policy, 2 usage, 3 could not look."
)]
pub(crate) struct Args {
    /// File of rows (Parquet, CSV, JSON Lines, Arrow IPC, NumPy), or a folder of them
    data: PathBuf,
    /// Column of the label
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Column that names who contributed a row
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Column of free text
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,
    /// Trusted data with the same columns
    #[arg(long, value_name = "DATA")]
    baseline: Option<PathBuf>,
    /// Which findings block, see docs/vet.md
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Shape of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Shape,
    /// Write the scores of rows to this new Parquet file
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Write the rows under findings that block to this new Parquet file
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Write all other rows to this new Parquet file
    #[arg(long, value_name = "FILE")]
    clean: Option<PathBuf>,
    /// Write an unsigned in-toto statement to this new file
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// Most memory that the packed data may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    memory: u64,
    /// Most threads; the answer does not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Where chance begins
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only read and count: no models, no verdict
    #[arg(long, conflicts_with_all = ["scores", "quarantine", "clean", "statement", "baseline"])]
    sketch: bool,
}

impl Args {
    /// What `bartizan vet DATA --label COLUMN` asks.
    pub(crate) fn of(data: &std::path::Path, label: &str) -> Self {
        Self {
            data: data.to_owned(),
            label: Some(label.to_owned()),
            source: None,
            text: None,
            baseline: None,
            policy: None,
            format: Shape::Text,
            scores: None,
            quarantine: None,
            clean: None,
            statement: None,
            memory: MEMORY_MIB,
            threads: None,
            seed: 1,
            sketch: false,
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::unknown(error)
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        match error {
            TableError::NoColumn { .. } | TableError::BadColumn { .. } => Self::usage(error),
            TableError::Mixed { .. } | TableError::TooLarge { .. } | TableError::Empty { .. } => {
                Self::unknown(error)
            }
        }
    }
}

/// Runs `bartizan vet`, and puts it on record inside an environment.
///
/// # Errors
/// Those of [`judge`], and a run that could not be recorded.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let mut run = GateRun::of(Gate::Vet, escape::text(&args.data.display().to_string()));
    let concluded = judge(args, &mut run, out);
    recorded::close(place, run, concluded)
}

/// Judges and says what was found; `run` learns it as a record keeps it: rules and counts, no
/// value of the data.
///
/// # Errors
/// Data, baseline or policy that cannot be read, and answers that cannot be written.
pub(crate) fn judge(args: &Args, run: &mut GateRun, out: &mut dyn io::Write) -> Outcome {
    if args.sketch {
        "read and counted, not judged".clone_into(&mut run.summary);
        return load::sketch(&args.data, out);
    }
    let policy_text = args.policy.as_ref().map(std::fs::read_to_string).transpose()?;
    let policy = policy_text.as_deref().map(Policy::parse).transpose().map_err(Failure::usage)?;
    let options = Options {
        threads: args.threads.map_or_else(Threads::available, Threads::new),
        seed: args.seed,
        policy: policy.unwrap_or_default(),
    };
    let plan = Plan {
        label: args.label.clone(),
        source: args.source.clone(),
        text: args.text.clone(),
        memory_bytes_max: args.memory << 20,
    };
    let data = load::load(&args.data, &plan)?;
    let baseline = args.baseline.as_deref().map(|path| load::baseline(path, &plan)).transpose()?;
    let progress = Mutex::new(Progress::new("vetting"));
    let say = |_: &'static str, at: u32, of: u32| {
        if let Ok(mut progress) = progress.lock() {
            progress.at(u64::from(at), u64::from(of));
        }
    };
    run.bytes = data.digests.iter().map(|file| file.bytes).sum();
    let report = vet(&data.table, baseline.as_ref().map(|base| &base.table), &options, &say);
    drop(progress);
    note(&report, run);
    if let Some(path) = &args.scores {
        bartizan_vet::write::write_scores(&report, path)?;
    }
    split::write(&args.data, &report, args.quarantine.as_deref(), args.clean.as_deref())?;
    if let Some(path) = &args.statement {
        let policy = policy_text.as_deref().unwrap_or_default();
        let text =
            statement::statement(&report, &data.digests, baseline.as_ref(), policy, args.seed)?;
        crate::files::replace(path, text.as_bytes()).map_err(Failure::unknown)?;
    }
    let name = args.data.display().to_string();
    match args.format {
        Shape::Text => render::text(&name, &report, out)?,
        Shape::Json => render::json(&report, &data.digests, out)?,
        Shape::Sarif => render::sarif(&name, &report, out)?,
        Shape::Html => render::html::page(&name, &report, &data.table, out)?,
    }
    answer(&report, &options.policy)
}

/// What of a report goes on record.
fn note(report: &Report, run: &mut GateRun) {
    run.n_items = report.n_rows as u64;
    run.summary = format!(
        "{} rows, {} findings, {} of them block; {} things not covered",
        report.n_rows,
        report.findings.len(),
        report.findings.iter().filter(|finding| finding.blocks).count(),
        report.not_covered.len(),
    );
    let of = |finding: &bartizan_vet::report::Finding| {
        (finding.rule.id, finding.rule.severity, finding.rows.len() as u64)
    };
    run.found(report.findings.iter().map(of));
}

fn answer(report: &Report, policy: &Policy) -> Outcome {
    match report.verdict {
        Verdict::Findings => return Ok(Answer::No),
        Verdict::NotCovered => return Ok(Answer::Unknown),
        Verdict::Clean => {}
    }
    for required in policy.required() {
        if let Some(missing) = report.not_covered.iter().find(|n| n.what.contains(required)) {
            let (what, why) = (&missing.what, &missing.why);
            return Err(Failure::unknown(format!(
                "the policy requires `{required}`, and this was not covered: {what}: {why}"
            )));
        }
    }
    Ok(Answer::Yes)
}
