//! The policies of an environment: the folder `policies/`, and what of it is in force.
//!
//! Invariants
//! - Y1: policies that do not pass their checks are never in force: at start the server does not
//!   start, at reload the old ones stay;
//! - Y2: the text of every set that was in force is kept beside the ledger under its digest, so
//!   that the digest in a record can be followed to the policies that decided.

use std::path::{Path, PathBuf};

use bartizan_access::{PROJECTS_FILE, Policies, PolicyError, PolicyFile, as_issued, starter};
use bartizan_core::{Digest, EnvName};
use serde::{Deserialize, Serialize};

use crate::config;
use crate::files::{self, FileError, failed};

/// Longest single file of policies, in bytes.
const FILE_BYTES_MAX: u64 = bartizan_access::POLICY_BYTES_MAX as u64;
/// Most files in the folder of policies.
const FILES_MAX: usize = 256;
/// Longest kept set of policies, in bytes.
#[cfg(test)]
const KEPT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Name of the file that says which set is in force.
const IN_FORCE: &str = "in-force";
/// What the published schema is called where editors look for it.
const SCHEMA_FILE: &str = "schema.cedarschema";

/// Why there are no policies.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoliciesError {
    /// They cannot be read.
    #[error("cannot read the policies")]
    File(#[from] FileError),
    /// The folder has more files than it may have.
    #[error("`{}` has more than {FILES_MAX} files; join some", folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is not text.
    #[error("`{}` is not UTF-8; save it as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Y1.
    #[error("the policies in `{}` have {} problem(s): {}", folder.display(), errors.len(), listed(errors))]
    Wrong {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with them.
        errors: Vec<PolicyError>,
    },
}

fn listed(errors: &[PolicyError]) -> String {
    errors.iter().map(PolicyError::to_string).collect::<Vec<_>>().join("; ")
}

/// Files of policies as they were read, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Texts {
    /// The `.cedar` files, by name.
    pub(crate) files: Vec<PolicyFile>,
    /// Roles and projects.
    pub(crate) projects: Option<PolicyFile>,
}

/// A set as it is kept (Y2).
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    digest: String,
    files: Vec<(String, String)>,
    projects: Option<(String, String)>,
}

impl Texts {
    /// Those in `folder`; none where there is no such folder.
    ///
    /// # Errors
    /// [`PoliciesError`].
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, PoliciesError> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed("read", folder))? {
            let name = entry.map_err(failed("read", folder))?.file_name();
            names.extend(name.into_string().ok());
        }
        names.retain(|name| name.ends_with(".cedar") || name == PROJECTS_FILE);
        names.sort();
        if FILES_MAX < names.len() {
            return Err(PoliciesError::TooMany { folder: folder.to_owned() });
        }
        let mut texts = Self::default();
        for name in names {
            let path = folder.join(&name);
            let bytes = files::read_bounded(&path, FILE_BYTES_MAX)?;
            let text = String::from_utf8(bytes).map_err(|_| PoliciesError::NotText { path })?;
            if name == PROJECTS_FILE {
                texts.projects = Some(PolicyFile { name, text });
            } else {
                texts.files.push(PolicyFile { name, text });
            }
        }
        Ok(Some(texts))
    }

    /// Those in the folder or, where `place` is one, in the single file.
    ///
    /// # Errors
    /// [`PoliciesError`].
    pub(crate) fn read_from(place: &Path) -> Result<Self, PoliciesError> {
        if let Some(texts) = Self::read(place)? {
            return Ok(texts);
        }
        let bytes = files::read_bounded(place, FILE_BYTES_MAX)?;
        let wrong = || PoliciesError::NotText { path: place.to_owned() };
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        Ok(Self { files: vec![PolicyFile { name, text }], projects: None })
    }

    /// The policies that they are (Y1).
    ///
    /// # Errors
    /// [`PoliciesError::Wrong`].
    pub(crate) fn check(&self, name: &EnvName, folder: &Path) -> Result<Policies, PoliciesError> {
        let wrong = |errors| PoliciesError::Wrong { folder: folder.to_owned(), errors };
        Policies::new(name.clone(), &self.files, self.projects.as_ref()).map_err(wrong)
    }
}

/// The policies that the folder `folder` holds for `environment`, and their texts; where
/// there is no such folder, those that let keys do what they were issued for.
///
/// # Errors
/// [`PoliciesError`].
pub(crate) fn load(
    folder: &Path,
    environment: &config::Environment,
) -> Result<(Policies, Texts), PoliciesError> {
    let (name, stage) = (&environment.name, environment.stage.into());
    let (policies, texts) = match Texts::read(folder)? {
        Some(texts) => (texts.check(name, folder)?, texts),
        None => {
            let wrong = |errors| PoliciesError::Wrong { folder: folder.to_owned(), errors };
            (as_issued(name.clone()).map_err(wrong)?, Texts::default())
        }
    };
    Ok((policies.at_stage(stage), texts))
}

/// Writes the policies that a new environment begins with into the new folder `folder`.
///
/// # Errors
/// [`FileError`].
pub(crate) fn write_starter(folder: &Path) -> Result<(), FileError> {
    files::make_private_dir(folder)?;
    for file in starter() {
        files::replace(&folder.join(&file.name), file.text.as_bytes())?;
    }
    files::replace(&folder.join(SCHEMA_FILE), bartizan_access::SCHEMA_TEXT.as_bytes())
}

/// Digest of the set that was last in force, where one was.
///
/// # Errors
/// [`FileError`].
pub(crate) fn last_in_force(kept: &Path) -> Result<Option<String>, FileError> {
    match files::read_bounded(&kept.join(IN_FORCE), FILE_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok().map(|text| text.trim().to_owned())),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps `texts` under `digest` in the folder `kept` (Y2).
///
/// # Errors
/// [`FileError`].
pub(crate) fn keep(kept: &Path, digest: Digest, texts: &Texts) -> Result<(), FileError> {
    files::make_private_dir(kept)?;
    let pair = |file: &PolicyFile| (file.name.clone(), file.text.clone());
    let set = Kept {
        format: 1,
        digest: digest.to_string(),
        files: texts.files.iter().map(pair).collect(),
        projects: texts.projects.as_ref().map(pair),
    };
    // Texts always have a JSON form.
    let bytes = serde_json::to_vec(&set).unwrap_or_default();
    files::replace(&kept.join(kept_name(&digest.to_string())), &bytes)
}

/// Says that the set `digest` is in force now.
///
/// # Errors
/// [`FileError`].
pub(crate) fn set_in_force(kept: &Path, digest: Digest) -> Result<(), FileError> {
    files::replace(&kept.join(IN_FORCE), format!("{digest}\n").as_bytes())
}

/// The texts that were kept under `digest`.
///
/// # Errors
/// [`PoliciesError`].
#[cfg(test)]
pub(crate) fn kept(folder: &Path, digest: &str) -> Result<Texts, PoliciesError> {
    let path = folder.join(kept_name(digest));
    let bytes = files::read_bounded(&path, KEPT_BYTES_MAX)?;
    let set: Kept = serde_json::from_slice(&bytes).map_err(|_| PoliciesError::NotText { path })?;
    let file = |(name, text): (String, String)| PolicyFile { name, text };
    let files = set.files.into_iter().map(file).collect();
    Ok(Texts { files, projects: set.projects.map(file) })
}

fn kept_name(digest: &str) -> String {
    let plain: String = digest.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{plain}.json")
}
