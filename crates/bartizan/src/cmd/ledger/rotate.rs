//! `bartizan ledger rotate|prune`.

use std::io;

use crate::answer::Answer;
use crate::cmd::erase::check_reason;
use crate::cmd::{Failure, Outcome, Place, world};
use crate::owner::operation::{
    Kept, KeysRotate, KeysRotation, Operation, Outcome as Performed, Prune, RetentionClass,
};
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

/// Ends what is too old.
///
/// # Errors
/// What the store's owner says.
pub(super) fn prune(
    (class, older_than_days): (Option<RetentionClass>, Option<u32>),
    reason: &str,
    place: &Place,
    out: &mut dyn io::Write,
) -> Outcome {
    check_reason(reason)?;
    let operation = Operation::Prune(Prune { class, older_than_days, reason: reason.to_owned() });
    let performed = Reach::open(&place.environment, &world())?.perform(&operation)?;
    let Performed::Kept(Kept::Pruned { n_days, n_subjects, n_records, kept, receipts }) = performed
    else {
        return Err(Failure::unknown("the store's owner answered another question"));
    };
    for receipt in receipts {
        writeln!(out, "{receipt}")?;
    }
    for text in &kept {
        eprintln!("Kept: {text}.");
    }
    eprintln!(
        "Destroyed the keys of {n_days} days and of {n_subjects} subjects and months, removed \
         {n_records} records."
    );
    Ok(if kept.is_empty() { Answer::Yes } else { Answer::No })
}
