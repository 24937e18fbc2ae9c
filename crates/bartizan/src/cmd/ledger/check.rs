//! `bartizan ledger check`: a proof, offline; or a receipt, in the log.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bartizan_core::Disk;
use bartizan_core::clock::{NS_PER_S, Rfc3339};
use bartizan_core::digest::hex;
use bartizan_ledger::tlog::{Judgement, PROOF_BYTES_MAX, Policy, Quorum, TlogProof};
use bartizan_ledger::{
    Disclosure, Extra, FileDisk, Reader, Receipt, Record, kept_leaf_hash, leaf_hash,
};
use serde_json::json;

use super::{Failure, Format, Outcome, Place};
use crate::answer::Answer;
use crate::environment::Environment;
use crate::files::{self, failed};
use crate::render::record;

/// Checks a proof's file, or a receipt.
///
/// # Errors
/// What could not be read.
pub(super) fn run(
    what: &str,
    policy: Option<&Path>,
    format: Format,
    place: &Place,
    out: &mut dyn io::Write,
) -> Outcome {
    if what.starts_with('"') {
        let receipt: Receipt = what.parse().map_err(Failure::usage)?;
        return look_up(&receipt, format, place, out);
    }
    let path = Path::new(what);
    let bytes = files::read_bounded(path, PROOF_BYTES_MAX as u64).map_err(Failure::unknown)?;
    let Some(policy) = super::policy(policy, &place.environment)? else {
        return Err(Failure::usage(
            "say whose signatures are believed: `--policy FILE` (`bartizan ledger policy` in the \
             log's environment prints one)",
        ));
    };
    proof(&bytes, &policy, format, out)
}

fn look_up(receipt: &Receipt, format: Format, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let path = environment.store_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let reader = Reader::open(disk.clone()).map_err(Failure::unknown)?;
    if *receipt.origin != *reader.origin() {
        let (theirs, ours) = (&receipt.origin, reader.origin());
        let text = format!("the receipt is of log `{theirs}`, this is `{ours}`");
        return Err(Failure::unknown(text));
    }
    let found = reader.get(receipt.index).map_err(Failure::unknown)?;
    let verdict = match &found {
        Some(entry) if entry.receipt() == *receipt => "in the log",
        Some(_) => "LACKING: another record stands at that place",
        None if receipt.index < reader.first_index() => {
            match kept_leaf_hash(&*disk, receipt.index).map_err(Failure::unknown)? {
                Some(hash) if hash == receipt.leaf_hash => "pruned; the tree still has its hash",
                Some(_) => "LACKING: the tree has another hash at that place",
                None => return Err(Failure::unknown("its record was pruned, its tile is missing")),
            }
        }
        None => "LACKING: the log ends before that place",
    };
    let is_there = !verdict.starts_with("LACKING");
    match format {
        Format::Text => writeln!(out, "receipt   {receipt}\nverdict   {verdict}")?,
        Format::Json => {
            let shown = json!({
                "receipt": receipt.to_string(),
                "index": receipt.index,
                "is_in_log": is_there,
                "verdict": verdict,
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
        }
    }
    Ok(if is_there { Answer::Yes } else { Answer::No })
}

fn proof(bytes: &[u8], policy: &Policy, format: Format, out: &mut dyn io::Write) -> Outcome {
    let proof = TlogProof::parse(bytes).map_err(Failure::no)?;
    let extra = proof.extra.as_deref().ok_or_else(|| {
        Failure::unknown("the proof carries no record, so there is nothing to hold it against")
    })?;
    let extra = Extra::decode(extra).map_err(Failure::no)?;
    let (note, checkpoint) = proof.verify(&leaf_hash(&extra.leaf)).map_err(Failure::no)?;
    let judgement = policy.judge(&note).map_err(Failure::no)?;
    let record = extra.verify().map_err(Failure::no)?;
    match format {
        Format::Text => {
            writeln!(out, "record    {} at {} of `{}`", record.id, proof.index, checkpoint.origin)?;
            writeln!(out, "covered   by a checkpoint of {} records", checkpoint.size)?;
            show(&judgement, out)?;
            if let Some(disclosure) = &extra.disclosure {
                writeln!(out, "disclosed {}", shown(disclosure))?;
            }
            write!(out, "{}", record::text(&record, &|_| None))?;
        }
        Format::Json => {
            let shown = as_json(&proof, &checkpoint, &judgement, &extra, &record);
            writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
        }
    }
    Ok(if judgement.is_good() { Answer::Yes } else { Answer::No })
}

fn show(judgement: &Judgement, out: &mut dyn io::Write) -> io::Result<()> {
    match (judgement.log_keys.as_slice(), judgement.forged.as_slice()) {
        (_, [forged, ..]) => writeln!(out, "FORGED    a signature of `{forged}` is wrong")?,
        ([], []) => writeln!(out, "UNSIGNED  by any log of the policy")?,
        (keys, []) => writeln!(out, "signed    by {}", keys.join(", "))?,
    }
    for witness in &judgement.cosigned {
        let at = Rfc3339(witness.time_s.saturating_mul(NS_PER_S));
        let own = if witness.is_own {
            ", the log's own operator: it adds availability, not trust"
        } else {
            ""
        };
        writeln!(out, "witness   {} ({}) at {at}{own}", witness.witness, witness.operator)?;
    }
    writeln!(out, "quorum    {}", quorum_text(judgement.quorum))
}

/// A quorum in words.
pub(super) fn quorum_text(quorum: Quorum) -> &'static str {
    match quorum {
        Quorum::None => "none asked for: only the log's own key vouches for this",
        Quorum::Met => "met by operators other than the log's own",
        Quorum::MetByOwn => {
            "met only with the log's own operator, which adds availability, not trust"
        }
        Quorum::Missed => "MISSED: too few witnesses cosigned",
    }
}

/// A disclosed value for people: its number where the contract says that it is one.
fn shown(disclosure: &Disclosure) -> String {
    let Disclosure { name, row_idx, column_idx, value, datatype, .. } = disclosure;
    let number = match (datatype.as_str(), value.as_slice()) {
        ("FP64", bytes) => bytes.try_into().ok().map(|b| f64::from_le_bytes(b).to_string()),
        ("FP32", bytes) => bytes.try_into().ok().map(|b| f32::from_le_bytes(b).to_string()),
        ("INT64", bytes) => bytes.try_into().ok().map(|b| i64::from_le_bytes(b).to_string()),
        ("INT32", bytes) => bytes.try_into().ok().map(|b| i32::from_le_bytes(b).to_string()),
        _ => None,
    };
    let number = number.unwrap_or_else(|| format!("bytes {}", hex(value)));
    let name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("`{name}`[{column_idx}] of row {row_idx} = {number}")
}

fn as_json(
    proof: &TlogProof,
    checkpoint: &bartizan_ledger::tlog::Checkpoint<'_>,
    judgement: &Judgement,
    extra: &Extra,
    record: &Record<'_>,
) -> serde_json::Value {
    let cosigned = judgement.cosigned.iter().map(|witness| {
        json!({
            "witness": witness.witness,
            "operator": witness.operator,
            "time_s": witness.time_s,
            "is_own": witness.is_own,
        })
    });
    json!({
        "origin": checkpoint.origin,
        "index": proof.index,
        "size": checkpoint.size,
        "is_good": judgement.is_good(),
        "log_keys": judgement.log_keys,
        "forged": judgement.forged,
        "cosigned": cosigned.collect::<Vec<_>>(),
        "quorum": quorum_text(judgement.quorum),
        "disclosed": extra.disclosure.as_ref().map(|shown| json!({
            "field": shown.name,
            "row": shown.row_idx,
            "column": shown.column_idx,
            "datatype": shown.datatype,
            "value_hex": hex(&shown.value),
        })),
        "record": record.to_json(),
    })
}
