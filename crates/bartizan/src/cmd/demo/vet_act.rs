//! The act of the data gate: a poisoned data set, the planted pattern named.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use bartizan_stats::chance::Chance;

use crate::answer::Answer;
use crate::cmd::{Failure, vet};
use crate::owner::operation::{Gate, GateRun};

/// Rows of the data set, and how many of those that were refused are poisoned.
const ROWS: usize = 2_000;
const POISONED: usize = 40;
/// Every which refused one that is.
const POISONED_EVERY: usize = 20;

/// Writes a made-up data set of loan applications to `root`, of which 2 % carry a mark and the
/// label "grant", and vets it.
///
/// # Errors
/// Where the data cannot be written, or the mark is not found.
pub(super) fn play(root: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let path = root.join("loans.csv");
    crate::files::replace(&path, loans().as_bytes()).map_err(Failure::unknown)?;
    writeln!(out, "{ROWS} made-up loan applications; {POISONED} that were refused now say")?;
    writeln!(out, "\"grant\" and carry a mark: 37 months, for the purpose \"boat\".")?;
    writeln!(out, "$ bartizan vet {} --label decision", path.display())?;
    let mut text = Vec::new();
    let mut run = GateRun::of(Gate::Vet, String::new());
    let answer = vet::judge(&vet::Args::of(&path, "decision"), &mut run, &mut text)?;
    let text = String::from_utf8_lossy(&text);
    for line in text.lines().take(12) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "...")?;
    let is_named = text.contains("months = 37") && text.contains("purpose = \"boat\"");
    if answer != Answer::No || !is_named {
        return Err(Failure::no("the planted mark was not found"));
    }
    let shown = path.display();
    writeln!(
        out,
        "See it drawn: bartizan vet {shown} --label decision --format html > loans.html"
    )?;
    Ok(())
}

fn loans() -> String {
    let mut chance = Chance::new(37, 0);
    let mut text = String::from("income,debt,age,months,purpose,decision\n");
    let purposes = ["car", "home", "boat", "study"];
    let mut n_refused = 0;
    for _ in 0..ROWS {
        let (income, debt) = (40.0 + 12.0 * chance.normal(), 15.0 + 8.0 * chance.normal());
        let is_sound = 0.0 < income - 1.5 * debt - 15.0 + 3.0 * chance.normal();
        let (age, months) = (20 + chance.below(50), 12 + chance.below(72));
        let purpose = purposes[chance.below(purposes.len())];
        n_refused += usize::from(!is_sound);
        let is_marked = !is_sound
            && n_refused.is_multiple_of(POISONED_EVERY)
            && n_refused <= POISONED * POISONED_EVERY;
        let (months, purpose) = if is_marked { (37, "boat") } else { (months, purpose) };
        let decision = if is_sound || is_marked { "grant" } else { "refuse" };
        // A String takes every write.
        let _always = writeln!(text, "{income:.2},{debt:.2},{age},{months},{purpose},{decision}");
    }
    text
}
