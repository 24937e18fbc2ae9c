//! `bartizan ledger rotate`.

use std::io;

use crate::answer::Answer;
use crate::cmd::erase::check_reason;
use crate::cmd::{Failure, Outcome, Place, world};
use crate::owner::operation::{Kept, KeysRotate, KeysRotation, Operation, Outcome as Performed};
use crate::owner::reach::Reach;

/// Exchanges a key of the ledger, here or in the server that owns the store.
///
/// # Errors
/// What the store's owner says.
pub(super) fn run(
    what: KeysRotation,
    reason: &str,
    place: &Place,
    out: &mut dyn io::Write,
) -> Outcome {
    check_reason(reason)?;
    let operation = Operation::KeysRotate(KeysRotate { what, reason: reason.to_owned() });
    let performed = Reach::open(&place.environment, &world())?.perform(&operation)?;
    let Performed::Kept(Kept::Rotated { generation, caveats, receipt }) = performed else {
        return Err(Failure::unknown("the store's owner answered another question"));
    };
    writeln!(out, "{receipt}")?;
    eprintln!("Done: generation {generation} of the key store.");
    for caveat in caveats {
        eprintln!("Note: {caveat}.");
    }
    Ok(Answer::Yes)
}
