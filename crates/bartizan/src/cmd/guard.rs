//! `bartizan guard fit|explain|report|release`: the request gate's profiles, and whom it holds.

mod report;

use std::io;
use std::path::{Path, PathBuf};

use bartizan_core::{Digest, PrincipalName, limits};
use bartizan_guard::{DISTINCT_MIN, PROFILE_BYTES_MAX, Profile, Reference, fit};
use bartizan_vet::read::{self, ReadLimits};

use super::{Failure, Format, Outcome, Place, world};
use crate::answer::Answer;
use crate::files;
use crate::gate::in_process::InProcess;
use crate::models::prepare::{self, Brought};
use crate::owner::operation::{GuardRelease, Operation, Outcome as Performed};
use crate::owner::reach::Reach;
use crate::render::profile as render;

/// Arguments of `bartizan guard`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Make a profile of a model's honest rows
    Fit(FitArgs),
    /// Print a profile for people
    Explain {
        /// The profile
        profile: PathBuf,
        /// Shape of the answer
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say what the request gate did, or would have done, by the ledger
    Report(report::Args),
    /// Let a caller in again that the request gate holds
    Release {
        /// Whom
        principal: PrincipalName,
        /// Which of its end users, where it speaks for many
        #[arg(long, value_name = "TEXT")]
        end_user: Option<String>,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Arguments of `bartizan guard fit`.
#[derive(Debug, clap::Args)]
pub(crate) struct FitArgs {
    /// The model, an ONNX file
    model: PathBuf,
    /// Its contract (TOML); inferred as `bartizan model add` infers it where absent
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Rows that it was trained on or has honestly seen
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// What the split of the reference is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where it is written [default: MODEL.profile.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `bartizan guard`.
///
/// # Errors
/// What cannot be read, fitted, written or done.
pub(crate) fn run(args: &Args, place: &Place, out: &mut dyn io::Write) -> Outcome {
    match args {
        Args::Fit(args) => fit_profile(args, out),
        Args::Explain { profile, format } => explain(profile, *format, out),
        Args::Report(args) => report::run(args, place, out),
        Args::Release { principal, end_user, reason } => {
            let release = GuardRelease {
                principal: principal.clone(),
                end_user: end_user.clone(),
                reason: reason.clone(),
            };
            let reach = Reach::open(&place.environment, &world())?;
            let performed = reach.perform(&Operation::GuardRelease(release))?;
            let Performed::Done { receipt } = performed else {
                return Err(Failure::unknown(
                    "the store's owner answered another question; is it of another release?",
                ));
            };
            eprintln!("Released; receipt {receipt}");
            Ok(Answer::Yes)
        }
    }
}

/// Fits a profile to rows of a file.
///
/// # Errors
/// What cannot be read or fitted.
pub(crate) fn fitted(
    model: &Path,
    contract: Option<&Path>,
    reference: &Path,
    seed: u64,
) -> Result<Profile, Failure> {
    let brought = Brought {
        model,
        contract,
        // Read for the contract only where that is inferred.
        reference: contract.is_none().then_some(reference),
        exception: None,
        profile: None,
        exception_keys: &[],
    };
    let bounds = crate::config::Models::default();
    let prepared = prepare::prepare(&brought, &bounds, &InProcess).map_err(|error| {
        if error.is_no() { Failure::no(error) } else { Failure::unknown(error) }
    })?;
    let contract = prepare::read_contract(&prepared.files.contract, limits::ROWS_MAX)
        .map_err(Failure::unknown)?;
    let rows = read::read(reference, &ReadLimits::default()).map_err(Failure::unknown)?;
    let inputs = rows.to_inputs(&contract).map_err(Failure::no)?;
    let model = Digest::of(&prepared.files.model);
    let reference = Reference { inputs: &inputs, contract: &contract, model, seed };
    fit(&reference).map_err(Failure::no)
}

fn fit_profile(args: &FitArgs, out: &mut dyn io::Write) -> Outcome {
    let profile = fitted(&args.model, args.contract.as_deref(), &args.reference, args.seed)?;
    let bytes = profile.to_bytes().map_err(Failure::unknown)?;
    let path = args.out.clone().unwrap_or_else(|| {
        let mut name = args.model.clone().into_os_string();
        name.push(".profile.json");
        name.into()
    });
    files::replace(&path, &bytes).map_err(Failure::unknown)?;
    writeln!(out, "{}", Digest::of(&bytes))?;
    eprintln!("Written to {}.", path.display());
    if profile.is_calibrated {
        eprintln!(
            "Use it: bartizan model add {} --profile {}",
            args.model.display(),
            path.display()
        );
    } else {
        eprintln!(
            "Not calibrated: the reference has {} different rows, at least {DISTINCT_MIN} are \
             needed; only ranges are known.",
            profile.parts.n_distinct
        );
    }
    Ok(Answer::Yes)
}

fn explain(path: &Path, format: Format, out: &mut dyn io::Write) -> Outcome {
    let bytes = files::read_bounded(path, PROFILE_BYTES_MAX).map_err(Failure::unknown)?;
    let profile = Profile::read(&bytes).map_err(Failure::no)?;
    match format {
        Format::Text => write!(out, "{}", render::text(&profile, Digest::of(&bytes)))?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&profile)?)?,
    }
    Ok(Answer::Yes)
}
