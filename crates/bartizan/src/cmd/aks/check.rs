//! `bartizan aks check`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bartizan_core::Digest;
use bartizan_deploy::check::{Report, Strictness, Verdict};
use bartizan_deploy::fix;
use bartizan_deploy::import::{self, ImportError, Imported, Kind};
use bartizan_deploy::read::shape::Problem;
use bartizan_deploy::read::{Format as FileFormat, Pos};
use bartizan_deploy::render::json_text;

use super::files::Input;
use crate::answer::Answer;
use crate::cmd::{Failure, Outcome};
use crate::owner::operation::GateRun;
use crate::render::{plan_report, sarif};

/// Arguments of `bartizan aks check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A plan (TOML, YAML, JSON), or exports that make one together; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Shape of the output
    #[arg(long, value_enum, default_value_t)]
    format: Shape,
    /// Repair the plan in its file, then check it again
    #[arg(long)]
    fix: bool,
    /// Warnings and advice count as errors
    #[arg(long)]
    strict: bool,
}

impl Args {
    /// What shall be judged.
    pub(super) fn files(&self) -> Vec<&Path> {
        self.files.iter().map(PathBuf::as_path).collect()
    }
}

/// Shape of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// For people
    #[default]
    Text,
    /// One JSON value
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// Runs `bartizan aks check`.
///
/// # Errors
/// What could not be read or written.
pub(super) fn run(args: &Args, run: &mut GateRun, out: &mut dyn io::Write) -> Outcome {
    let mut inputs = Input::all(&args.files)?;
    let mut imported = match import(&inputs) {
        Ok(imported) => imported,
        Err(problems) => return unread(args, &inputs[0].name, &problems, out),
    };
    if args.fix {
        repair(&mut inputs, &imported)?;
        imported = match import(&inputs) {
            Ok(imported) => imported,
            Err(problems) => return unread(args, &inputs[0].name, &problems, out),
        };
    }
    let mut report = fix::check_with_fixes(&imported.reading);
    report.unknown.extend(imported.unknown.iter().cloned());
    let names = Names { inputs: &inputs, kinds: &imported.kinds };
    match args.format {
        Shape::Text => plan_report::write(&report, &|path| names.of(path).to_owned(), out)?,
        Shape::Json => out.write_all(json_text(&plan_report::value(&report)).as_bytes())?,
        Shape::Sarif => {
            let log = sarif::of_plan(&report, &|path| names.of(path).to_owned());
            out.write_all(json_text(&log).as_bytes())?;
        }
    }
    eprintln!("{}", plan_report::summary(&report));
    run.summary = plan_report::summary(&report);
    run.bytes = inputs.iter().map(|input| input.bytes.len() as u64).sum();
    run.report = Some(Digest::of(json_text(&plan_report::value(&report)).as_bytes()));
    let all = report.findings.iter().chain(&report.advice);
    run.found(all.map(|one| (one.rule.id, super::severity(one.rule.level), 1)));
    Ok(answer(&report, args.strict))
}

fn answer(report: &Report, is_strict: bool) -> Answer {
    let strictness = if is_strict { Strictness::Strict } else { Strictness::Usual };
    match report.verdict(strictness) {
        Verdict::Clean => Answer::Yes,
        Verdict::Errors => Answer::No,
        Verdict::NotUnderstood => Answer::Unknown,
    }
}

/// Which file a path of the plan stands in.
struct Names<'a> {
    inputs: &'a [Input],
    kinds: &'a [Kind],
}

impl Names<'_> {
    fn of(&self, path: &str) -> &str {
        let is_network = path.starts_with("vnet") || path.starts_with("subnets");
        let network = self.kinds.iter().position(|kind| *kind == Kind::VnetShow);
        let cluster = self.kinds.iter().position(|kind| *kind != Kind::VnetShow);
        let idx = if is_network { network.or(cluster) } else { cluster.or(network) };
        idx.and_then(|idx| self.inputs.get(idx)).map_or("-", |input| &input.name)
    }
}

/// A plan from files, or what in them was not understood.
pub(super) fn import(inputs: &[Input]) -> Result<Imported, Vec<Problem>> {
    let files: Vec<(&[u8], FileFormat)> =
        inputs.iter().map(|input| (input.bytes.as_slice(), input.format)).collect();
    import::read(&files).map_err(|error| match error {
        ImportError::Plan(error) => error.problems(),
        ImportError::Read(error) => vec![problem(error.at, error.what)],
        ImportError::Mixed(what) => vec![problem(Pos::START, what)],
    })
}

fn problem(at: Pos, what: String) -> Problem {
    Problem { at, path: String::new(), what, suggestion: None }
}

/// Says what was not understood: exit 3.
pub(super) fn not_understood(name: &str, problems: &[Problem]) -> Outcome {
    for problem in problems {
        eprintln!("{}", plan_report::problem_line(name, problem));
    }
    Err(Failure::unknown(format!("{name} was not understood: nothing in it was judged")))
}

fn unread(args: &Args, name: &str, problems: &[Problem], out: &mut dyn io::Write) -> Outcome {
    match args.format {
        Shape::Text => {}
        Shape::Json => {
            let value = plan_report::problems_value(problems);
            out.write_all(json_text(&value).as_bytes())?;
        }
        Shape::Sarif => {
            let log = sarif::of_problems(name, problems);
            out.write_all(json_text(&log).as_bytes())?;
        }
    }
    not_understood(name, problems)
}

/// Repairs a plan in its file; an export cannot be repaired, only the plan of it.
fn repair(inputs: &mut [Input], imported: &Imported) -> Result<(), Failure> {
    let ([input], [Kind::Plan]) = (&mut *inputs, imported.kinds.as_slice()) else {
        let what = "`--fix` repairs a plan; what is exported is repaired where it is deployed";
        return Err(Failure::usage(what));
    };
    if input.name == "-" {
        return Err(Failure::usage("`--fix` needs a file to write to"));
    }
    let repaired = fix::repair(&imported.reading.plan);
    for line in &repaired.lines {
        eprintln!("fixed {line}");
    }
    if repaired.edits.is_empty() {
        return Ok(());
    }
    let text =
        fix::apply(&input.text()?, input.format, &repaired.edits).map_err(Failure::unknown)?;
    if input.format == FileFormat::Yaml && input.text()?.contains('#') {
        eprintln!("comments of {} were lost: YAML is written anew", input.name);
    }
    fs::write(&input.name, &text)?;
    input.bytes = text.into_bytes();
    Ok(())
}
