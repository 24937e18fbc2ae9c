//! `bartizan trace ID`: one decision in full.
//!
//! Reading the record takes no lock. Opening what is sealed is an act of its own, on record
//! before anything is opened.

use std::io;
use std::sync::Arc;

use bartizan_access::Keys;
use bartizan_core::{DecisionId, Digest, Pseudonym};
use bartizan_ledger::{
    Body, Commitment, Decision, Erasures, FileDisk, OpenedPayload, Reader, Record, SealError,
    StoredEntry, commit, commit_outputs,
};
use serde_json::{Value, json};

use super::{Failure, Format, Outcome, Place, world};
use crate::answer::Answer;
use crate::config::LedgerDisk;
use crate::environment::Environment;
use crate::files::failed;
use crate::owner::operation::{DecisionText, EvidenceOpen, Operation, Outcome as Performed};
use crate::owner::reach::Reach;
use crate::render::{record, tensor};

/// Most bytes of a request or reply that a text shows.
const SHOWN_BYTES_MAX: usize = 2_048;

/// Arguments of `bartizan trace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The decision's id, as the header `bartizan-decision` gave it
    pub(crate) id: DecisionId,
    /// Leave what is sealed (request, outputs, reply, names) sealed; nothing is recorded then
    #[arg(long)]
    pub(crate) sealed: bool,
    /// Shape of the answer
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// What opening came to, and under which record.
enum Evidence {
    Opened(Box<Opened>),
    Erased { receipt: String },
}

struct Opened {
    payload: OpenedPayload,
    receipt: String,
    agrees: bool,
}

/// Runs `bartizan trace`.
///
/// # Errors
/// What could not be read or opened.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    let environment = Environment::open(&place.environment).map_err(Failure::unknown)?;
    let stored = find(&environment, args.id)?;
    let decoded = Record::decode(&stored.leaf).map_err(Failure::unknown)?;
    let keys = environment.key_book().map_err(Failure::unknown)?;
    let evidence = if args.sealed || stored.sealed.is_empty() {
        None
    } else {
        Some(open(&environment, place, &stored, &decoded)?)
    };
    let vouched = vouched(&environment);
    match args.format {
        Format::Text => show(&stored, &decoded, evidence.as_ref(), vouched, &keys, out)?,
        Format::Json => {
            let shown = as_json(&stored, &decoded, evidence.as_ref(), vouched);
            writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
        }
    }
    Ok(match evidence {
        Some(Evidence::Opened(opened)) if !opened.agrees => Answer::No,
        Some(_) | None => Answer::Yes,
    })
}

/// What outside the store remembers how long the log is.
fn vouched(environment: &Environment) -> Option<&'static str> {
    if environment.store_dir().join("tlog").join("checkpoint.cosigned").is_file() {
        Some("witnesses cosigned a checkpoint; `ledger prove` shows which covers it")
    } else if environment.anchor_dir().is_some() {
        Some("`ledger.anchor` remembers how long the log is")
    } else {
        None
    }
}

/// The entry whose record is `id`, in the environment's store.
///
/// # Errors
/// Where it cannot be read, or is not there.
pub(super) fn find(environment: &Environment, id: DecisionId) -> Result<StoredEntry, Failure> {
    if environment.config().ledger.disk == LedgerDisk::Memory {
        return Err(Failure::unknown(
            "this ledger is in memory (`ledger.disk`), where only its own process sees it",
        ));
    }
    let found = reader(environment)?.find(id).map_err(Failure::unknown)?;
    found.ok_or_else(|| {
        Failure::no(format!("there is no record {id} in this ledger; is it another environment's?"))
    })
}

fn reader(environment: &Environment) -> Result<Reader, Failure> {
    let path = environment.store_dir();
    let disk = FileDisk::open(&path).map_err(failed("open", &path)).map_err(Failure::unknown)?;
    Reader::open(Arc::new(disk)).map_err(Failure::unknown)
}

/// Records that the payload is opened, then opens it.
fn open(
    environment: &Environment,
    place: &Place,
    stored: &StoredEntry,
    decoded: &Record<'_>,
) -> Result<Evidence, Failure> {
    let operation = Operation::EvidenceOpen(EvidenceOpen { decision: DecisionText(decoded.id) });
    let performed = Reach::open(&place.environment, &world())?.perform(&operation)?;
    let Performed::Done { receipt } = performed else {
        return Err(Failure::unknown("the store's owner answered another question"));
    };
    let sealer = crate::kek::read_sealer(environment).map_err(Failure::unknown)?;
    let payload = match sealer.open(decoded.id, &stored.sealed) {
        Ok(payload) => payload,
        Err(SealError::NoSubjectKey { subject, .. }) if is_erased(environment, subject)? => {
            return Ok(Evidence::Erased { receipt });
        }
        Err(error) => return Err(Failure::no(error)),
    };
    let agrees = match &decoded.body {
        Body::Decision(decision) => agrees(decision, &payload),
        Body::Tally(_) | Body::Act(_) => true,
    };
    Ok(Evidence::Opened(Box::new(Opened { payload, receipt, agrees })))
}

/// Whether a record of the log says that the key of `subject` was destroyed. Reads the whole log.
fn is_erased(environment: &Environment, subject: Pseudonym) -> Result<bool, Failure> {
    let reader = reader(environment)?;
    let mut erasures = Erasures::default();
    for entry in reader.entries() {
        let entry = entry.map_err(Failure::unknown)?;
        if let Body::Act(act) = Record::decode(&entry.leaf).map_err(Failure::unknown)?.body {
            erasures.note(&act);
        }
    }
    Ok(erasures.has(subject))
}

/// Whether what was opened is what the record commits to.
fn agrees(decision: &Decision<'_>, payload: &OpenedPayload) -> bool {
    let commitments = &decision.commitments;
    // What an obligation forbade to keep is not there to be held against its commitment.
    let is_kept = decision.obligations.retain_inputs.is_none() || !payload.received.is_empty();
    let secret = &payload.secret;
    let same = |committed: Option<[u8; 32]>, found: [u8; 32]| {
        committed.is_none_or(|committed| committed == found)
    };
    (!is_kept
        || same(commitments.received, commit(secret, Commitment::Received, &payload.received)))
        && same(commitments.output, commit_outputs(secret, &payload.outputs))
        && same(commitments.reply, commit(secret, Commitment::Reply, &payload.reply))
}

fn show(
    stored: &StoredEntry,
    decoded: &Record<'_>,
    evidence: Option<&Evidence>,
    vouched: Option<&str>,
    keys: &Keys,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let local = rustix::process::geteuid().as_raw();
    let ring = keys.ring();
    let name_of = |pseudonym| match keys.name_of(pseudonym) {
        Some(name) => Some(name.to_string()),
        None => (ring.local_pseudonym(local) == pseudonym).then(|| format!("local/{local}")),
    };
    write!(out, "{}", record::text(decoded, &name_of))?;
    writeln!(out, "Recorded")?;
    writeln!(out, "  receipt      {}", stored.receipt())?;
    writeln!(out, "  leaf         {}", Digest(stored.receipt().leaf_hash).hex())?;
    writeln!(out, "  place        {}, byte {}", stored.segment, stored.offset)?;
    match vouched {
        Some(who) => writeln!(out, "  anchored     {who}")?,
        None => writeln!(out, "  unanchored   nothing outside this store vouches for it yet")?,
    }
    let Opened { payload, receipt, agrees } = match evidence {
        Some(Evidence::Opened(opened)) => &**opened,
        Some(Evidence::Erased { receipt }) => {
            return writeln!(
                out,
                "Erased: the key of its {} sealed bytes was destroyed (asked on record: {receipt})",
                stored.sealed.len()
            );
        }
        None if stored.sealed.is_empty() => return Ok(()),
        None => return writeln!(out, "Sealed: {} bytes", stored.sealed.len()),
    };
    writeln!(out, "Opened (on record: {receipt})")?;
    for (name, text) in [
        ("principal", &payload.principal),
        ("subject", &payload.subject),
        ("end user", &payload.end_user),
        ("purpose", &payload.purpose),
        ("correlation", &payload.correlation_id),
    ] {
        if let Some(text) = text {
            writeln!(out, "  {name:<13}{}", plain(text.as_bytes()))?;
        }
    }
    writeln!(out, "  {:<13}{}", "request", plain(&payload.received))?;
    for input in &payload.retained {
        let text = tensor::text(input);
        writeln!(out, "  {:<13}{}", "input kept", plain(text.as_bytes()))?;
    }
    for output in &payload.outputs {
        let text = tensor::text(output);
        writeln!(out, "  {:<13}{}", "model said", plain(text.as_bytes()))?;
    }
    writeln!(out, "  {:<13}{}", "reply", plain(&payload.reply))?;
    let verdict = if *agrees {
        "request, outputs and reply are what the record commits to"
    } else {
        "DIFFERS: what was sealed is not what the record commits to"
    };
    writeln!(out, "  {:<13}{verdict}", "commitments")
}

/// Foreign bytes for a terminal: UTF-8 without control characters, cut.
fn plain(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let text: String = String::from_utf8_lossy(shown)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if bytes.is_empty() {
        "(nothing)".to_owned()
    } else if shown.len() < bytes.len() {
        format!("{text}... ({} bytes in all; `--format json` shows them)", bytes.len())
    } else {
        text
    }
}

/// Bytes as a JSON value: what is JSON as itself, other text as text, the rest as hexadecimal.
fn bytes_json(bytes: &[u8]) -> Value {
    match (serde_json::from_slice::<Value>(bytes), std::str::from_utf8(bytes)) {
        (Ok(value), _) => json!({ "json": value }),
        (Err(_), Ok(text)) => json!({ "text": text }),
        (Err(_), Err(_)) => json!({ "hex": bartizan_core::digest::hex(bytes) }),
    }
}

fn as_json(
    stored: &StoredEntry,
    decoded: &Record<'_>,
    evidence: Option<&Evidence>,
    vouched: Option<&str>,
) -> Value {
    let receipt = stored.receipt();
    let mut shown = json!({
        "record": decoded.to_json(),
        "receipt": receipt.to_string(),
        "index": receipt.index,
        "leaf_hash": Digest(receipt.leaf_hash).hex(),
        "segment": stored.segment,
        "offset": stored.offset,
        "unanchored": vouched.is_none(),
        "sealed_bytes": stored.sealed.len(),
    });
    if let Some(Evidence::Erased { receipt }) = evidence {
        shown["erased"] = json!({ "receipt": receipt });
    }
    if let Some(Evidence::Opened(opened)) = evidence {
        let Opened { payload, receipt, agrees } = &**opened;
        shown["opened"] = json!({
            "receipt": receipt,
            "agrees_with_record": agrees,
            "principal": payload.principal,
            "subject": payload.subject,
            "end_user": payload.end_user,
            "purpose": payload.purpose,
            "correlation_id": payload.correlation_id,
            "received": bytes_json(&payload.received),
            "retained": payload.retained.iter().map(tensor::json).collect::<Vec<_>>(),
            "outputs": payload.outputs.iter().map(tensor::json).collect::<Vec<_>>(),
            "reply": bytes_json(&payload.reply),
        });
    }
    shown
}
