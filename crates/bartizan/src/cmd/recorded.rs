//! One record for each run of a gate's command inside an environment.

use super::{Failure, Place, world};
use crate::config;
use crate::owner::operation::{GateRun, Operation, Outcome as Performed};
use crate::owner::reach::Reach;

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
    match Reach::open(root, &world())?.perform(&Operation::GateRun(run.clone()))? {
        Performed::Recorded { id, .. } => Ok(format!("recorded as {}", id.0)),
        Performed::Key(_)
        | Performed::Keys { .. }
        | Performed::Model(_)
        | Performed::Models { .. }
        | Performed::Done { .. } => Err(Failure::unknown(
            "the store's owner answered another question; is it of another release?",
        )),
    }
}
