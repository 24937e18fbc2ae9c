//! `bartizan erase`: destroys the keys under which everything about a person is sealed, here and
//! on every replica that the configuration names.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bartizan_core::limits;
use serde_json::json;

use super::{Failure, Format, Outcome, Place, world};
use crate::answer::Answer;
use crate::environment::Environment;
use crate::files;
use crate::log::Chain;
use crate::owner::operation::{Erase, ErasureRow, Kept, Operation, Outcome as Performed};
use crate::owner::reach::{Reach, ReachError};

/// Longest list of replicas, in bytes.
const LIST_BYTES_MAX: u64 = 64 * 1024;

/// Arguments of `bartizan erase`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who, as `bartizan-subject` names it in requests; `-` reads it from standard input, so that
    /// it stays out of the shell's history
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// Why and on whose authority, for the record; never a person's name
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Shape of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What became of it at one replica.
struct Confirmed {
    place: PathBuf,
    outcome: Result<ErasureRow, String>,
}

/// Runs `bartizan erase`.
///
/// # Errors
/// What the store's owner says.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let subject = subject(&args.subject)?;
    check_reason(&args.reason)?;
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let replicas = replicas(&environment)?;
    let operation =
        Operation::Erase(Erase { subject, is_root: false, reason: args.reason.clone() });
    let here = erase(&place.environment, &operation)?;
    let elsewhere: Vec<Confirmed> = replicas
        .into_iter()
        .map(|place| {
            let outcome = erase(&place, &operation).map_err(|error| Chain(&error).to_string());
            Confirmed { place, outcome }
        })
        .collect();
    match args.format {
        Format::Text => show(&here, &elsewhere, out)?,
        Format::Json => {
            let shown = as_json(&here, &elsewhere);
            writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
        }
    }
    Ok(answer(&here, &elsewhere))
}

/// No where a hold forbids it anywhere, unknown where a replica has not confirmed.
fn answer(here: &ErasureRow, elsewhere: &[Confirmed]) -> Answer {
    let rows = elsewhere.iter().filter_map(|replica| replica.outcome.as_ref().ok());
    if std::iter::once(here).chain(rows).any(|row| row.state != "erased") {
        Answer::No
    } else if elsewhere.iter().any(|replica| replica.outcome.is_err()) {
        Answer::Unknown
    } else {
        Answer::Yes
    }
}

fn erase(root: &Path, operation: &Operation) -> Result<ErasureRow, ReachError> {
    let performed = Reach::open(root, &world())?.perform(operation)?;
    let Performed::Kept(Kept::Erasure(row)) = performed else {
        return Err(ReachError::other_question());
    };
    Ok(row)
}

/// The other replicas' folders.
fn replicas(environment: &Environment) -> Result<Vec<PathBuf>, Failure> {
    let root = environment.root();
    let path = root.join(&environment.config().erasure.replicas_file);
    let text = match files::read_bounded(&path, LIST_BYTES_MAX) {
        Ok(bytes) => String::from_utf8(bytes).map_err(Failure::unknown)?,
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        Err(error) => return Err(Failure::unknown(error)),
    };
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| root.join(line)).collect())
}

/// The name as it was given, or a line of standard input.
///
/// # Errors
/// Where it is empty or too long.
pub(super) fn subject(given: &str) -> Result<String, Failure> {
    let name = if given == "-" {
        let mut text = String::new();
        io::stdin().take(4 * limits::ASSERTED_BYTES_MAX as u64).read_to_string(&mut text)?;
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    } else {
        given.to_owned()
    };
    let max = limits::ASSERTED_BYTES_MAX;
    if (1..=max).contains(&name.len()) {
        Ok(name)
    } else {
        Err(Failure::usage(format!("a subject has 1 to {max} bytes, this has {}", name.len())))
    }
}

/// # Errors
/// Where it is empty or longer than a record keeps.
pub(super) fn check_reason(reason: &str) -> Result<(), Failure> {
    let max = bartizan_ledger::TEXT_BYTES_MAX;
    if (1..=max).contains(&reason.len()) {
        Ok(())
    } else {
        Err(Failure::usage(format!("a reason has 1 to {max} bytes, this has {}", reason.len())))
    }
}

fn row_text(row: &ErasureRow) -> String {
    let ErasureRow { erasure, state, n_keys, held_by, receipt, .. } = row;
    let keys = format!("{n_keys} keys");
    match (state.as_str(), *n_keys) {
        ("erased", 0) => format!("nothing is sealed under this name; erasure {erasure}, {receipt}"),
        ("erased", _) => format!("erased: {keys} destroyed; erasure {erasure}, {receipt}"),
        _ => format!(
            "waiting: {keys} stay for now, held by {}; erasure {erasure}, {receipt}",
            held_by.join(", ")
        ),
    }
}

fn show(here: &ErasureRow, elsewhere: &[Confirmed], out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{}", row_text(here))?;
    for replica in elsewhere {
        let place = replica.place.display();
        match &replica.outcome {
            Ok(row) => writeln!(out, "{place}: {}", row_text(row))?,
            Err(error) => writeln!(out, "{place}: NOT CONFIRMED: {error}")?,
        }
    }
    for caveat in &here.caveats {
        eprintln!("Note: {caveat}.");
    }
    if elsewhere.iter().any(|replica| replica.outcome.is_err()) {
        eprintln!("Not complete: repeat the command once every replica can be reached.");
    }
    Ok(())
}

fn as_json(here: &ErasureRow, elsewhere: &[Confirmed]) -> serde_json::Value {
    let replica = |replica: &Confirmed| match &replica.outcome {
        Ok(row) => json!({"place": replica.place, "confirmed": true, "erasure": row}),
        Err(error) => json!({"place": replica.place, "confirmed": false, "error": error}),
    };
    json!({
        "here": here,
        "replicas": elsewhere.iter().map(replica).collect::<Vec<_>>(),
        "complete": answer(here, elsewhere) == Answer::Yes,
    })
}
