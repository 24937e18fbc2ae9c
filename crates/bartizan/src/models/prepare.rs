//! From a file that somebody brings to a model that can be served: what it is, whether it loads,
//! and the contract it is served under.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::contract::{ContractError, ContractFile};
use bartizan_core::{Contract, Digest, Predictor, limits};
use bartizan_engine::sniff::{self, FileKind};
use bartizan_engine::{Inspection, LoadError, LoadLimits};
use bartizan_guard::{ColumnFacts, PROFILE_BYTES_MAX, Profile, ProfileError, sharpen};
use bartizan_scan::Verdict;
use bartizan_vet::read::{self, ReadError, ReadLimits};

use super::{CONTRACT_BYTES_MAX, Files};
use crate::config::Models;
use crate::files::{self, FileError, failed};
use crate::gate::exception::EXCEPTION_BYTES_MAX;
use crate::gate::{self, GateError, Judged, Refusal, Rights, Scanner, in_process};

/// Most entries of a folder that are looked at to say what it is.
const FOLDER_ENTRIES_MAX: usize = 1_024;
/// Columns of a reference that are taken for the answer where it has more columns than the model.
const ANSWER_COLUMNS: &[&str] = &["target", "label", "prediction", "class", "truth", "y"];

/// Why a file cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is something else than a model that we run.
    #[error("`{}`{}: {kind}", path.display(), gate(judged.as_deref()))]
    OtherKind {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        kind: FileKind,
        /// What the model gate thinks of it, where it is one file: not that it is hostile.
        judged: Option<Box<Judged>>,
    },
    /// The model gate does not let it through.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// It is a model, but not one that can be run.
    #[error("the model does not load")]
    Load(#[from] LoadError),
    /// The contract is no TOML of the right shape.
    #[error("the contract does not read{}: {message}", at(*position))]
    Syntax {
        /// Line and column, from 1.
        position: Option<(usize, usize)>,
        /// What is wrong.
        message: String,
    },
    /// The contract breaks a rule, or contradicts the model.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The profile is none, or another model's.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The reference cannot be read.
    #[error("the reference cannot be read")]
    Reference(#[from] ReadError),
    /// The contract cannot be written.
    #[error("the inferred contract cannot be written")]
    Write(#[from] toml::ser::Error),
}

impl PrepareError {
    /// What the model gate concluded, where that is why or beside why.
    pub(crate) fn judged(&self) -> Option<&Judged> {
        match self {
            Self::OtherKind { judged, .. } => judged.as_deref(),
            Self::Gate(GateError::Refused(refusal)) => Some(&refusal.judged),
            Self::Gate(GateError::Exception { judged, .. }) => Some(judged),
            Self::Gate(GateError::Unscanned { .. } | GateError::OtherBytes { .. })
            | Self::File(_)
            | Self::Load(_)
            | Self::Syntax { .. }
            | Self::Contract(_)
            | Self::Profile(_)
            | Self::Reference(_)
            | Self::Write(_) => None,
        }
    }

    /// Whether we looked, and it will not do.
    pub(crate) fn is_no(&self) -> bool {
        match self {
            Self::OtherKind { .. }
            | Self::Load(_)
            | Self::Syntax { .. }
            | Self::Contract(_)
            | Self::Profile(_) => true,
            Self::Gate(error) => error.is_no(),
            Self::File(_) | Self::Reference(_) | Self::Write(_) => false,
        }
    }
}

fn gate(judged: Option<&Judged>) -> String {
    let Some(judged) = judged else { return String::new() };
    let worst =
        judged.found.iter().find(|found| Verdict::of(found.rule.severity) != Verdict::Cleared);
    match worst {
        Some(found) => format!(" (the model gate: not cleared, {})", found.what),
        None => " (the model gate: cleared)".to_owned(),
    }
}

fn at(position: Option<(usize, usize)>) -> String {
    position.map_or_else(String::new, |(line, column)| format!(" at line {line}, column {column}"))
}

/// What somebody brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought<'a> {
    /// The model's file.
    pub(crate) model: &'a Path,
    /// The contract's file; it is inferred from the model where absent.
    pub(crate) contract: Option<&'a Path>,
    /// A sample of the data that the model was trained on, which sharpens an inferred contract.
    pub(crate) reference: Option<&'a Path>,
    /// A signed exception from the model gate.
    pub(crate) exception: Option<&'a Path>,
    /// A profile of honest rows.
    pub(crate) profile: Option<&'a Path>,
    /// Public keys that may except.
    pub(crate) exception_keys: &'a [String],
}

/// A model that can be served.
pub(crate) struct Prepared {
    /// Its two files.
    pub(crate) files: Files,
    /// What runs it.
    pub(crate) predictor: Arc<dyn Predictor>,
    /// What was concluded on the way, for people.
    pub(crate) remarks: Vec<String>,
    /// What the model gate concluded of the model's file.
    pub(crate) judged: Judged,
}

/// Reads what was brought, checks it, and makes the contract where there is none.
///
/// # Errors
/// [`PrepareError`].
pub(crate) fn prepare(
    brought: &Brought<'_>,
    bounds: &Models,
    scanner: &dyn Scanner,
) -> Result<Prepared, PrepareError> {
    let bytes = read_model(brought.model, bounds)?;
    let name = brought.model.to_string_lossy();
    let exception = match brought.exception {
        Some(path) => Some(files::read_bounded(path, EXCEPTION_BYTES_MAX)?),
        None => None,
    };
    let rights = Rights {
        exception: exception.as_deref(),
        keys: brought.exception_keys,
        now_ns: crate::cmd::now_s().saturating_mul(bartizan_core::clock::NS_PER_S),
    };
    let passed = gate::pass(scanner, &name, &bytes, Digest::of(&bytes), &rights)?;
    let predictor = load_model(&bytes, bounds)?;
    let mut remarks = Vec::new();
    remarks
        .extend(passed.excepted.map(|words| format!("the model gate does not clear it: {words}")));
    let text = match brought.contract {
        Some(path) => {
            if brought.reference.is_some() {
                remarks.push("the contract is given, so the reference was not used".to_owned());
            }
            files::read_bounded(path, CONTRACT_BYTES_MAX)?
        }
        None => {
            let inferred = infer(&*predictor, brought.reference, &mut remarks)?;
            toml::to_string(&inferred)?.into_bytes()
        }
    };
    let contract = read_contract(&text, limits::ROWS_MAX)?;
    contract.check_fits(predictor.signature())?;
    let profile = match brought.profile {
        Some(path) => {
            let profile = files::read_bounded(path, PROFILE_BYTES_MAX)?;
            read_profile(&profile, Digest::of(&bytes), &contract)?;
            Some(profile)
        }
        None => None,
    };
    Ok(Prepared {
        files: Files { model: bytes, contract: text, exception, profile },
        predictor,
        remarks,
        judged: passed.judged,
    })
}

/// The predictor and contract of files that were prepared before. Where the contract takes more
/// than `rows_max` rows, it is read as taking so many; its digest stays that of the file.
///
/// # Errors
/// [`PrepareError`].
pub(crate) fn load(
    files: &Files,
    bounds: &Models,
    rows_max: u64,
) -> Result<(Arc<dyn Predictor>, Contract), PrepareError> {
    let predictor = load_model(&files.model, bounds)?;
    let contract = read_contract(&files.contract, rows_max)?;
    contract.check_fits(predictor.signature())?;
    Ok((predictor, contract))
}

/// The profile in `bytes`, if it is of this model under this contract.
///
/// # Errors
/// [`ProfileError`].
pub(crate) fn read_profile(
    bytes: &[u8],
    model: Digest,
    contract: &Contract,
) -> Result<Profile, ProfileError> {
    let profile = Profile::read(bytes)?;
    profile.check_binds(model, contract)?;
    Ok(profile)
}

fn read_model(path: &Path, bounds: &Models) -> Result<Vec<u8>, PrepareError> {
    let kind = if path.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(failed("read", path))?.take(FOLDER_ENTRIES_MAX) {
            let entry = entry.map_err(failed("read", path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        sniff::sniff_folder(names.iter().map(String::as_str))
    } else {
        // The beginning alone first: what the file is matters more than how long it is.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        sniff::sniff(&files::read_head(path, sniff::HEAD_BYTES as u64)?, &name)
    };
    if kind.is_loaded_here() {
        Ok(files::read_bounded(path, bounds.file_bytes_max)?)
    } else {
        Err(other_kind(path, kind))
    }
}

/// Nothing of another kind is loaded here, but what it would do elsewhere is told.
fn other_kind(path: &Path, kind: FileKind) -> PrepareError {
    match in_process::judge_file(path) {
        Some(judged) if judged.verdict == Verdict::Hostile => {
            let name = path.to_string_lossy().into_owned();
            PrepareError::Gate(GateError::Refused(Box::new(Refusal { name, judged })))
        }
        judged => {
            let judged = judged.map(Box::new);
            PrepareError::OtherKind { path: path.to_owned(), kind, judged }
        }
    }
}

/// What a model's file is made of, whether or not it loads.
///
/// # Errors
/// [`PrepareError`] where it cannot be read, or is no model that we run.
pub(crate) fn inspect(path: &Path, bounds: &Models) -> Result<Inspection, PrepareError> {
    Ok(bartizan_engine::inspect(&read_model(path, bounds)?, &limits(bounds))?)
}

fn load_model(bytes: &[u8], bounds: &Models) -> Result<Arc<dyn Predictor>, PrepareError> {
    Ok(bartizan_engine::load(bytes, &limits(bounds))?.into())
}

fn limits(bounds: &Models) -> LoadLimits {
    LoadLimits {
        file_bytes_max: usize::try_from(bounds.file_bytes_max).unwrap_or(usize::MAX),
        resident_bytes_max: usize::try_from(bounds.resident_bytes_max).unwrap_or(usize::MAX),
        ..LoadLimits::default()
    }
}

/// The contract in `bytes`, taking at most `rows_max` rows.
///
/// # Errors
/// [`PrepareError`].
pub(crate) fn read_contract(bytes: &[u8], rows_max: u64) -> Result<Contract, PrepareError> {
    let text = std::str::from_utf8(bytes).map_err(|fault| PrepareError::Syntax {
        position: None,
        message: format!("byte {} is not UTF-8", fault.valid_up_to()),
    })?;
    let mut file: ContractFile = toml::from_str(text).map_err(|fault| {
        let position = fault.span().map(|span| position(text, span.start));
        PrepareError::Syntax { position, message: fault.message().replace('\n', ", ") }
    })?;
    // The file's own value is checked first, so that a wrong one is not hidden.
    let contract = Contract::new(file.clone(), bytes)?;
    if contract.rows_max() <= rows_max {
        return Ok(contract);
    }
    file.rows_max = Some(rows_max);
    Ok(Contract::new(file, bytes)?)
}

fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}

fn infer(
    predictor: &dyn Predictor,
    reference: Option<&Path>,
    remarks: &mut Vec<String>,
) -> Result<ContractFile, PrepareError> {
    let signature = predictor.signature();
    let inferred = Contract::infer(signature);
    let Some(path) = reference else {
        remarks.push(
            "the contract is inferred from the model alone: names, types, shapes; \
             `--reference data.parquet` sharpens it, `--contract` replaces it"
                .to_owned(),
        );
        return Ok(inferred);
    };
    let rows = read::read(path, &ReadLimits::default())?;
    let n_wanted: u64 = inferred.inputs.iter().filter_map(|input| input.row_len()).sum();
    let mut columns = Vec::new();
    let n_found: u64 = rows.columns.iter().map(|column| column.width as u64).sum();
    let surplus = n_wanted < n_found;
    for column in &rows.columns {
        let is_output = signature.outputs.iter().any(|output| output.name == column.name);
        if surplus && (is_output || ANSWER_COLUMNS.contains(&column.name.as_str())) {
            remarks.push(format!("column `{}` of the reference is the answer", column.name));
            continue;
        }
        columns.push(ColumnFacts {
            name: column.name.clone(),
            n_missing: column.n_missing as u64,
            datatype: column.values.datatype(),
        });
    }
    remarks.push(format!(
        "the contract is inferred from the model and from {} rows of the reference; it has no \
         hard limits: add `min`, `max` and `categories` where you know them",
        rows.n_rows
    ));
    Ok(sharpen(inferred, &columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "format = 1\nrows_max = 100\n\
        inputs = [{ name = \"x\", datatype = \"FP32\", shape = [-1, 1] }]\n\
        outputs = [{ name = \"y\", datatype = \"FP32\", shape = [-1, 1] }]\n";

    /// The configuration's limit from both sides; the digest is the file's in every case.
    #[test]
    fn a_contract_never_takes_more_rows_than_the_configuration() {
        for (limit, taken) in [(1, 1), (99, 99), (100, 100), (65_536, 100)] {
            let contract = read_contract(CONTRACT.as_bytes(), limit).unwrap();
            assert_eq!(contract.rows_max(), taken, "{limit}");
            assert_eq!(contract.digest(), bartizan_core::Digest::of(CONTRACT.as_bytes()));
        }
        let wrong = CONTRACT.replace("100", "0");
        assert!(read_contract(wrong.as_bytes(), 10).is_err());
    }

    #[test]
    fn a_contract_that_does_not_read_is_told_with_its_place() {
        for (text, place) in [
            ("format = 1\nodd = 2\n".to_owned(), "at line 2, column 1"),
            (CONTRACT.replace("FP32", "FLOAT"), "at line 3, column "),
            ("format = \n".to_owned(), "at line 1, column "),
        ] {
            let error = read_contract(text.as_bytes(), 10).unwrap_err();
            assert!(error.to_string().contains(place), "{text}: {error}");
            assert!(error.is_no());
        }
        assert!(read_contract(&[0xff], 10).unwrap_err().to_string().contains("UTF-8"));
    }
}
