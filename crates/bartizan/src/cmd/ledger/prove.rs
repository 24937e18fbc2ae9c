//! `bartizan ledger prove`: a record's proof, and one field of it where that is asked.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bartizan_core::{DecisionId, Tensor};
use bartizan_ledger::{
    Body, Disclosure, Extra, FileDisk, ProveError, Record, StoredEntry, prove_record,
};

use super::inputs::Inputs;
use super::{Failure, Outcome, Place};
use crate::answer::Answer;
use crate::cmd::{trace, world};
use crate::environment::Environment;
use crate::files::failed;
use crate::owner::operation::{DecisionText, EvidenceOpen, Operation};
use crate::owner::reach::Reach;

/// How long a record that a server has just written may take to be published.
const PUBLISH_WAIT: Duration = Duration::from_secs(3);

/// The field to disclose.
pub(super) struct Field<'a> {
    /// Its name: an input's, or one of its columns'.
    pub(super) name: &'a str,
    /// In which row.
    pub(super) row_idx: u64,
}

/// Writes the proof of the record `id`.
///
/// # Errors
/// What could not be read, opened or proved.
pub(super) fn run(
    id: DecisionId,
    field: Option<Field<'_>>,
    output: Option<&Path>,
    place: &Place,
    out: &mut dyn io::Write,
) -> Outcome {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let stored = trace::find(&environment, id)?;
    let disclosure = match field {
        Some(field) => Some(disclose(&environment, place, &stored, &field)?),
        None => None,
    };
    let extra = Extra { leaf: stored.leaf.clone(), disclosure };
    let path = environment.store_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    let leaf_hash = stored.receipt().leaf_hash;
    let begun = Instant::now();
    let proof = loop {
        match prove_record(&disk, stored.index, &leaf_hash, Some(extra.encode())) {
            Err(ProveError::NotPublished { .. }) if begun.elapsed() < PUBLISH_WAIT => {
                std::thread::sleep(Duration::from_millis(100));
            }
            other => break other.map_err(Failure::unknown)?,
        }
    };
    match output {
        Some(path) => {
            std::fs::write(path, proof.to_string())
                .map_err(failed("write", path))
                .map_err(Failure::unknown)?;
            eprintln!("Wrote the proof to {}; anybody checks it with", path.display());
            eprintln!("  bartizan ledger check {} --policy POLICY", path.display());
        }
        None => write!(out, "{proof}")?,
    }
    Ok(Answer::Yes)
}

/// Opens the record's payload, which is recorded first, and shows one cell of it.
fn disclose(
    environment: &Environment,
    place: &Place,
    stored: &StoredEntry,
    field: &Field<'_>,
) -> Result<Disclosure, Failure> {
    let record = Record::decode(&stored.leaf).map_err(Failure::unknown)?;
    let Body::Decision(decision) = &record.body else {
        return Err(Failure::no("only a decision has input fields"));
    };
    let open = EvidenceOpen { decision: DecisionText(record.id) };
    Reach::open(&place.environment, &world())?.perform(&Operation::EvidenceOpen(open))?;
    let sealer = crate::kek::read_sealer(environment).map_err(Failure::unknown)?;
    let payload = sealer.open(record.id, &stored.sealed).map_err(Failure::no)?;
    let orders = Inputs::new(environment.models_dir()).of(decision, &payload.received);
    for tensors in &orders {
        let Some(place) = place_of(tensors, field.name) else { continue };
        let made = Disclosure::of(&payload.secret, tensors, field.row_idx, place);
        let Some(disclosure) = made else { continue };
        let leaf = stored.leaf.clone();
        let extra = Extra { leaf, disclosure: Some(disclosure) };
        if extra.verify().is_ok()
            && let Some(disclosure) = extra.disclosure
        {
            return Ok(disclosure);
        }
    }
    let (name, row) = (field.name, field.row_idx);
    Err(Failure::no(format!(
        "the request has no field `{name}` in row {row} that the record commits to: name an \
         input, or `<input>[<column>]`"
    )))
}

/// Tensor and column of a field's name: `<input>`, or `<input>[<column>]`.
fn place_of(tensors: &[Tensor], name: &str) -> Option<(u32, u32)> {
    let (input, column) = match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
        Some((input, column)) => (input, column.parse().ok()?),
        None => (name, 0),
    };
    let at = tensors.iter().position(|tensor| tensor.name() == input)?;
    Some((u32::try_from(at).ok()?, column))
}
