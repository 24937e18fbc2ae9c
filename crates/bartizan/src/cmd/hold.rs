//! `bartizan hold add|release|list`: legal holds, which forbid erasing and pruning.

use std::io;

use bartizan_core::clock::{NS_PER_S, Rfc3339};
use serde_json::json;

use super::erase::{check_reason, subject};
use super::{Failure, Format, Outcome, Place, world};
use crate::answer::Answer;
use crate::owner::operation::{
    Hex16, HoldAdd, HoldRelease, HoldRow, Kept, Operation, Outcome as Performed,
};
use crate::owner::reach::Reach;
use crate::render::table::Table;

/// Arguments of `bartizan hold`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Forbid erasing a subject, or everything
    Add {
        /// Whom it is about; `-` reads the name from standard input
        #[arg(long, value_name = "NAME", conflicts_with = "everything")]
        subject: Option<String>,
        /// Forbid every erasure and every pruning
        #[arg(long, required_unless_present = "subject")]
        everything: bool,
        /// Why and on whose authority, for the record; never a person's name
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take a hold away; erasures that waited for it are carried out at once
    Release {
        /// Its id, as `hold add` gave it and `hold list` shows it
        id: Hex16,
        /// Why and on whose authority, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List holds, and erasures that wait
    List {
        /// Shape of the list
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Runs `bartizan hold`.
///
/// # Errors
/// What the store's owner says.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Add { subject: name, everything: _, reason } => {
            check_reason(reason)?;
            let subject = name.as_deref().map(subject).transpose()?;
            let add = HoldAdd { subject, reason: reason.clone() };
            let (hold, receipts) = change(place, &Operation::HoldAdd(add))?;
            writeln!(out, "{hold}")?;
            eprintln!("Held; receipt {}", receipts.join(" "));
        }
        Args::Release { id, reason } => {
            check_reason(reason)?;
            let release = HoldRelease { hold: *id, reason: reason.clone() };
            let (hold, receipts) = change(place, &Operation::HoldRelease(release))?;
            let n_erasures = receipts.len().saturating_sub(1);
            eprintln!("Released {hold}; {n_erasures} erasures that waited were carried out.");
            for receipt in receipts {
                writeln!(out, "{receipt}")?;
            }
        }
        Args::List { format } => {
            let performed = perform(place, &Operation::HoldList)?;
            let Kept::Holds { holds, waiting } = performed else { return Err(unexpected()) };
            list(&holds, &waiting, *format, out)?;
        }
    }
    Ok(Answer::Yes)
}

fn unexpected() -> Failure {
    Failure::unknown("the store's owner answered another question")
}

fn perform(place: &Place, operation: &Operation) -> Result<Kept, Failure> {
    let performed = Reach::open(&place.environment, &world())?.perform(operation)?;
    let Performed::Kept(kept) = performed else { return Err(unexpected()) };
    Ok(kept)
}

fn change(place: &Place, operation: &Operation) -> Result<(String, Vec<String>), Failure> {
    let Kept::Hold { hold, receipts } = perform(place, operation)? else {
        return Err(unexpected());
    };
    Ok((hold, receipts))
}

fn list(
    holds: &[HoldRow],
    waiting: &[String],
    format: Format,
    out: &mut dyn io::Write,
) -> Result<(), Failure> {
    if format == Format::Json {
        let shown = json!({ "holds": holds, "waiting": waiting });
        writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
        return Ok(());
    }
    let mut table = Table::new(&["HOLD", "OF", "SINCE"]);
    for row in holds {
        let since = Rfc3339(row.since_s.saturating_mul(NS_PER_S)).to_string();
        table.push(vec![row.hold.clone(), row.of.clone(), since]);
    }
    write!(out, "{table}")?;
    for erasure in waiting {
        writeln!(out, "erasure {erasure} waits")?;
    }
    Ok(())
}
