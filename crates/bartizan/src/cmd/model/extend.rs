//! `bartizan model extend|publish`: names of one's own for the model gate's allow-list, signed; and
//! a publisher's word that a file is its own.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bartizan_core::Digest;

use crate::answer::Answer;
use crate::cmd::{Failure, Outcome};
use crate::files;
use crate::gate::exception::key_pair;
use crate::gate::extension::{self, AddedName, Extension, ExtensionError, PUBLISHED_SUFFIX};

/// Arguments of `bartizan model extend`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtendArgs {
    /// Files that it is for, by their digests
    files: Vec<PathBuf>,
    /// A publisher's public key: it is for every file that the publisher signed as its own
    /// (`bartizan model publish`); may be given again
    #[arg(long = "publisher", value_name = "KEY", required_unless_present = "files")]
    publishers: Vec<String>,
    /// What may be imported and how, `mine.models:Scaler=state`, with the role state, class,
    /// function or reference (docs/scan-allow.md); may be given again
    #[arg(long = "name", value_name = "MODULE:NAME=ROLE", required = true)]
    names: Vec<AddedName>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Last day on which it counts, like 2027-01-31 (UTC)
    #[arg(long, value_name = "DAY")]
    until: String,
    /// The private key that signs it; `bartizan model except-key` makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where it is written
    #[arg(long, value_name = "FILE", default_value = "allow.extension.json")]
    out: PathBuf,
}

/// Arguments of `bartizan model publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// The file
    file: PathBuf,
    /// The publisher's private key; `bartizan model except-key` makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Writes a signed extension of the allow-list.
///
/// # Errors
/// What cannot be read, signed or written.
pub(super) fn extend(args: &ExtendArgs) -> Outcome {
    let digests = args.files.iter().map(|file| digest(file)).collect::<Result<_, _>>()?;
    let extension = Extension {
        digests,
        publishers: args.publishers.clone(),
        names: args.names.clone(),
        reason: args.reason.clone(),
        until: args.until.clone(),
    };
    let pair = key_pair(&args.key).map_err(Failure::unknown)?;
    let signed = extension.sign(&pair).map_err(|error| {
        let is_usage = matches!(error, ExtensionError::Shape);
        if is_usage { Failure::usage(error) } else { Failure::unknown(error) }
    })?;
    files::replace(&args.out, &signed).map_err(Failure::unknown)?;
    eprintln!("Written to {}. It counts where a policy lists it and its key:", args.out.display());
    eprintln!("  [extensions]\n  files = [\"{}\"]", args.out.display());
    let key = crate::gate::dsse::hinted_key(&signed).unwrap_or_default();
    eprintln!("  keys = [\"{key}\"]");
    Ok(Answer::Yes)
}

/// Writes a publisher's statement beside its file.
///
/// # Errors
/// What cannot be read, signed or written.
pub(super) fn publish(args: &PublishArgs) -> Outcome {
    let pair = key_pair(&args.key).map_err(Failure::unknown)?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let statement = extension::publish(&pair, &name, digest(&args.file)?)?;
    let mut out = args.file.clone().into_os_string();
    out.push(PUBLISHED_SUFFIX);
    files::replace(Path::new(&out), &statement).map_err(Failure::unknown)?;
    eprintln!("Written to {}.", Path::new(&out).display());
    Ok(Answer::Yes)
}

/// Digest of a file of any size.
fn digest(path: &Path) -> Result<Digest, Failure> {
    use sha2::Digest as _;

    let mut file =
        std::fs::File::open(path).map_err(files::failed("read", path)).map_err(Failure::unknown)?;
    let (mut hasher, mut chunk) = (sha2::Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Digest(hasher.finalize().into())),
            n => hasher.update(chunk.get(..n).unwrap_or(&[])),
        }
    }
}
