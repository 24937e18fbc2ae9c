//! `bartizan aks`: the network gate on the command line. Everything is decided in `deploy`; here
//! files are read and written, and findings printed.

mod check;
mod files;

use std::fs;
use std::io;
use std::path::PathBuf;

use bartizan_core::Severity;
use bartizan_deploy::allocate::{self, AllocateError};
use bartizan_deploy::drift::{self, DiffError};
use bartizan_deploy::fix;
use bartizan_deploy::map;
use bartizan_deploy::plan::schema_text;
use bartizan_deploy::read::Format as FileFormat;
use bartizan_deploy::render::{self, RenderError};
use bartizan_deploy::rules::Level;
use bartizan_gateway::route::{Handler, Listener, ROUTES, Route};
use bartizan_scan::escape;

use super::{Failure, Format, Outcome, Place, recorded};
use crate::answer::Answer;
use crate::owner::operation::{Gate, GateRun};
use crate::render::{address_map, plan_report};
use files::Input;

/// Arguments of `bartizan aks`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Find the addresses that a plan leaves open
    Plan {
        /// The plan: TOML, YAML or JSON
        file: PathBuf,
        /// Print the plan with its addresses; without it, only what would be found and why
        #[arg(long)]
        auto: bool,
        /// Write the plan here instead of printing it
        #[arg(long, value_name = "FILE", requires = "auto")]
        out: Option<PathBuf>,
    },
    /// Judge a plan, or what there is: an ARM template, `az aks show` with `az network vnet show`,
    /// `terraform show -json`
    Check(check::Args),
    /// Write ARM template, `az` script, Python snippet and Kubernetes manifests
    Render {
        /// The plan
        file: PathBuf,
        /// Folder to write into; made where it is missing
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Compare what shall be with what is: plans, exports, dumps of a cluster
    Diff {
        /// What shall be: a file, or a folder of files that belong together
        expected: PathBuf,
        /// What is: a file, or a folder of files that belong together
        found: PathBuf,
        /// Shape of the output
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Draw the address space as SVG, collisions in red
    Draw {
        /// A plan, or files that make one
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Write the picture here instead of printing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the JSON Schema of a plan, for editors
    Schema,
}

/// Runs `bartizan aks`, and puts it on record inside an environment.
///
/// # Errors
/// What could not be read, written, decided or recorded.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let (verb, files): (&str, Vec<&std::path::Path>) = match args {
        Args::Plan { file, .. } => ("plan", vec![file]),
        Args::Check(args) => ("check", args.files()),
        Args::Render { file, .. } => ("render", vec![file]),
        Args::Diff { expected, found, .. } => ("diff", vec![expected, found]),
        Args::Draw { files, .. } => ("draw", files.iter().map(PathBuf::as_path).collect()),
        Args::Schema => {
            out.write_all(schema_text().as_bytes())?;
            return Ok(Answer::Yes);
        }
    };
    let what: Vec<String> =
        files.iter().map(|path| escape::text(&path.display().to_string())).collect();
    let mut run = GateRun::of(Gate::Aks, format!("{verb} {}", what.join(" ")));
    run.n_items = files.len() as u64;
    let concluded = perform(args, &mut run, out);
    recorded::close(place, run, concluded)
}

fn perform(args: &Args, run: &mut GateRun, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Plan { file, auto, out: target } => plan(file, *auto, target.as_deref(), out),
        Args::Check(args) => check::run(args, run, out),
        Args::Render { file, out: folder } => render(file, folder),
        Args::Diff { expected, found, format } => diff(expected, found, *format, run, out),
        Args::Draw { files, out: target } => draw(files, target.as_deref(), run, out),
        Args::Schema => Ok(Answer::Yes),
    }
}

/// How grave a rule's finding is in a record.
fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::High,
        Level::Warning => Severity::Medium,
        Level::Advice => Severity::Info,
    }
}

/// Where the rendered pods' health is asked: the plain listener's own routes.
fn probes() -> render::Probes<'static> {
    let path = |handler: Handler| {
        let is_it =
            |route: &&Route| route.listener == Listener::Operations && route.handler == handler;
        ROUTES.iter().find(is_it).map_or("/", |route| route.path)
    };
    render::Probes { live: path(Handler::Live), ready: path(Handler::Ready) }
}

fn plan(
    file: &std::path::Path,
    auto: bool,
    target: Option<&std::path::Path>,
    out: &mut dyn io::Write,
) -> Outcome {
    let input = Input::read(file)?;
    let reading = match bartizan_deploy::plan::read(&input.bytes, input.format) {
        Ok(reading) => reading,
        Err(error) => return check::not_understood(&input.name, &error.problems()),
    };
    let allocation = match allocate::auto(&reading.plan) {
        Ok(allocation) => allocation,
        Err(error @ (AllocateError::NoRoom(_) | AllocateError::Given(_))) => {
            return Err(Failure::no(error));
        }
        Err(error @ AllocateError::NotSaid(_)) => return Err(Failure::unknown(error)),
    };
    if !auto {
        for line in &allocation.lines {
            writeln!(out, "{line}")?;
        }
        if allocation.lines.is_empty() {
            writeln!(out, "nothing is open")?;
        }
        return Ok(Answer::Yes);
    }
    for line in &allocation.lines {
        eprintln!("{line}");
    }
    let edits = fix::between(&reading.plan, &allocation.plan);
    let text = fix::apply(&input.text()?, input.format, &edits).map_err(Failure::unknown)?;
    match target {
        Some(target) => fs::write(target, text)?,
        None => out.write_all(text.as_bytes())?,
    }
    Ok(Answer::Yes)
}

fn render(file: &std::path::Path, folder: &std::path::Path) -> Outcome {
    let input = Input::read(file)?;
    let reading = match bartizan_deploy::plan::read(&input.bytes, input.format) {
        Ok(reading) => reading,
        Err(error) => return check::not_understood(&input.name, &error.problems()),
    };
    let files = render::render(&reading.plan, &probes()).map_err(|error| match error {
        error @ RenderError::NotSaid { .. } => Failure::unknown(error),
        error @ (RenderError::NotClean(_)
        | RenderError::NoDigest { .. }
        | RenderError::NoPolicyEngine
        | RenderError::Preview
        | RenderError::BadName { .. }
        | RenderError::PublicServer) => Failure::no(error),
    })?;
    for file in &files {
        let path = folder.join(&file.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.text)?;
        eprintln!("{}", path.display());
    }
    if reading.plan.serving.is_none() {
        eprintln!("The plan has no `serving`: no Kubernetes manifests were written.");
    }
    Ok(Answer::Yes)
}

fn diff(
    expected: &std::path::Path,
    found: &std::path::Path,
    format: Format,
    run: &mut GateRun,
    out: &mut dyn io::Write,
) -> Outcome {
    let state = |path: &std::path::Path| -> Result<drift::State, Failure> {
        let inputs = Input::read_all(path)?;
        let files: Vec<(&[u8], FileFormat)> =
            inputs.iter().map(|input| (input.bytes.as_slice(), input.format)).collect();
        drift::state(&files).map_err(|error| {
            Failure::unknown(format!("{}: {}", path.display(), plan_report::diff_error(&error)))
        })
    };
    let (expected, found) = (state(expected)?, state(found)?);
    let comparison = drift::compare(&expected, &found, &probes()).map_err(|error| match error {
        error @ DiffError::Render(_) => Failure::no(error),
        error @ (DiffError::Import(_) | DiffError::Kinds(_) | DiffError::TooMany) => {
            Failure::unknown(error)
        }
    })?;
    let drifts = &comparison.drifts;
    run.summary = format!("{} places drifted", drifts.len());
    run.found(drifts.iter().map(|drift| (drift.rule.id, severity(drift.rule.level), 1)));
    match format {
        Format::Json => {
            let value = plan_report::comparison(&comparison);
            out.write_all(render::json_text(&value).as_bytes())?;
        }
        Format::Text => plan_report::write_comparison(&comparison, out)?,
    }
    let is_bad = comparison.drifts.iter().any(|drift| drift.rule.level == Level::Error);
    let is_unclear = comparison.unknown.iter().any(|unknown| unknown.is_needed);
    Ok(match (is_bad, is_unclear) {
        (true, _) => Answer::No,
        (false, true) => Answer::Unknown,
        (false, false) => Answer::Yes,
    })
}

fn draw(
    files: &[PathBuf],
    target: Option<&std::path::Path>,
    run: &mut GateRun,
    out: &mut dyn io::Write,
) -> Outcome {
    let inputs = Input::all(files)?;
    let imported = match check::import(&inputs) {
        Ok(imported) => imported,
        Err(problems) => return check::not_understood(&inputs[0].name, &problems),
    };
    let map = map::of(&imported.reading.plan);
    let picture = address_map::svg(&map);
    match target {
        Some(target) => fs::write(target, picture)?,
        None => out.write_all(picture.as_bytes())?,
    }
    let n = map.rows.iter().filter(|row| !row.collisions.is_empty()).count();
    run.summary = format!("{n} ranges collide");
    if 0 < n {
        eprintln!("{n} ranges collide");
    }
    Ok(if 0 < n { Answer::No } else { Answer::Yes })
}
