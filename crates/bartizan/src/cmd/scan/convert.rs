//! `bartizan scan FILE --convert OUT.safetensors`: the tensors of a cleared file, and nothing that
//! runs. The file is read once: the bytes that are scanned for this are the bytes that are written.

use std::path::{Path, PathBuf};

use bartizan_core::{Clock as _, Digest};
use bartizan_outbound::OsClock;
use bartizan_scan::convert::{self, ConvertError};
use bartizan_scan::{Allow, Alone, Hash, Options, Verdict};

use super::policy::Policy;
use crate::cmd::Failure;
use crate::files;

/// Longest file that is converted, in bytes: it is held in memory, and what is written with it.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// Converts the one file of `paths`.
///
/// # Errors
/// Where there is not one file, it is not cleared, or it holds nothing that can be converted.
pub(super) fn run(paths: &[PathBuf], out: &Path, policy: &Policy) -> Result<(), Failure> {
    let [path] = paths else {
        return Err(Failure::usage("`--convert` takes one file"));
    };
    let bytes = files::read_bounded(path, FILE_BYTES_MAX).map_err(Failure::unknown)?;
    let clock = OsClock::new();
    let today = bartizan_core::clock::Rfc3339(clock.now().wall_ns).to_string();
    let today = today.get(..10).unwrap_or("9999-12-31");
    let added = policy.allow_for(Digest::of(&bytes), super::published(path).as_deref(), today);
    let plain = Allow::new();
    let options = Options {
        allow: added.as_ref().unwrap_or(&plain),
        budget: policy.budget(),
        clock: &clock,
        siblings: &Alone,
        hash: Hash::Skip,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let tensors = convert::tensors(&name, &bytes, &options).map_err(|error| {
        let message = format!("`{}` is not converted: {error}", path.display());
        match error {
            ConvertError::NotCleared(report) if report.verdict != Verdict::Hostile => {
                Failure::unknown(message)
            }
            ConvertError::NotCleared(_)
            | ConvertError::Unsupported(_)
            | ConvertError::Unfollowed { .. } => Failure::no(message),
        }
    })?;
    let mut file = Vec::new();
    tensors.write(&mut file)?;
    files::replace(out, &file).map_err(Failure::unknown)?;
    eprintln!(
        "{} tensors written to {}; {} other values left out",
        tensors.tensors.len(),
        out.display(),
        tensors.n_left_out
    );
    Ok(())
}
