//! One record for each run of a gate's command inside an environment.

use super::{Failure, Outcome, Place, world};
use crate::answer::Answer;
use crate::config;
use crate::log::Chain;
use crate::owner::operation::{GateOutcome, GateRun, Operation, Outcome as Performed};
use crate::owner::reach::Reach;

/// Puts `run` on record with what it concluded, says so in a last line, and gives the conclusion
/// on. A command that was given wrongly judged nothing and is not recorded.
///
/// # Errors
/// The run's own failure; and where it has no bad news, that it could not be recorded: a run that
/// is not on record is no yes.
pub(crate) fn close(place: &Place, mut run: GateRun, concluded: Outcome) -> Outcome {
    let answer = match &concluded {
        Ok(answer) => *answer,
        Err(failure) => failure.answer,
    };
    match answer {
        Answer::Yes => run.outcome = GateOutcome::Passed,
        Answer::No => run.outcome = GateOutcome::Refused,
        // What the gate said itself: nothing, or that it does not clear what it saw.
        Answer::Unknown => {}
        Answer::Usage => return concluded,
    }
    match self::run(place, &run) {
        Ok(line) => eprintln!("{line}"),
        Err(failure) if concluded.is_err() || answer == Answer::No => {
            eprintln!("not recorded: {}", Chain(failure.error.as_ref()));
        }
        Err(failure) => return Err(failure),
    }
    concluded
}

/// Puts `run` on record where `place` is an environment: by this process if nobody owns the
/// store, else by its owner. Gives the line that the command ends with: `recorded as <id>`, or
/// that nothing was recorded.
///
/// # Errors
/// [`Failure`] where there is an environment and it does not take the record: then the command has
/// no good answer.
pub(crate) fn run(place: &Place, run: &GateRun) -> Result<String, Failure> {
    let root = &place.environment;
    if !root.join(config::FILE_NAME).is_file() {
        return Ok(format!("nothing recorded: `{}` is no environment", root.display()));
    }
    let performed = Reach::open(root, &world())?.perform(&Operation::GateRun(run.clone()))?;
    let Performed::Recorded { id, .. } = performed else {
        return Err(Failure::unknown(
            "the store's owner answered another question; is it of another release?",
        ));
    };
    Ok(format!("recorded as {}", id.0))
}
