//! The repository of models: `models/<name>/<version>/` with the model, its contract, and an
//! entry that names both by digest.
//!
//! Invariants
//! - M1: a version that is there is whole: it is staged under another name, synced, and renamed;
//! - M2: what is loaded is what was added: both files are held against the entry's digests.

pub(crate) mod prepare;

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bartizan_core::clock::NS_PER_S;
use bartizan_core::digest::hex;
use bartizan_core::entropy::random;
use bartizan_core::{Digest, Entropy, ModelName, ModelVersion};
use bartizan_guard::PROFILE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError, failed};
use crate::gate::exception::EXCEPTION_BYTES_MAX;
use crate::owner::operation::ModelRow;

/// Name of the model's file.
pub(crate) const MODEL_FILE: &str = "model.onnx";
/// Name of the contract's file.
pub(crate) const CONTRACT_FILE: &str = "contract.toml";
/// Name of the file of a signed exception from the model gate.
pub(crate) const EXCEPTION_FILE: &str = "exception.json";
/// Name of the file of a profile of honest rows.
pub(crate) const PROFILE_FILE: &str = "profile.json";
/// Name of the entry's file.
const ENTRY_FILE: &str = "entry.json";
/// Folder, among the models' own, where new ones are staged; no model's name begins like this.
const STAGING_DIR: &str = ".staged";
/// Longest contract, in bytes.
pub(crate) const CONTRACT_BYTES_MAX: u64 = 1024 * 1024;
/// Longest entry, in bytes.
const ENTRY_BYTES_MAX: u64 = 4096;
/// How long something may stay staged, in seconds.
const STAGED_S_MAX: u64 = 86_400;
/// Most versions of all models together.
pub(crate) const VERSIONS_MAX: usize = 4096;

/// What the server is to do with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Serve it.
    Loaded,
    /// Keep it.
    Unloaded,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Unloaded => "unloaded",
        }
    }
}

/// What is written beside a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Format of this file: 1.
    pub(crate) format: u32,
    /// Digest of the model's file.
    pub(crate) model: Digest,
    /// Length of the model's file, in bytes.
    pub(crate) model_bytes: u64,
    /// Digest of the contract's file.
    pub(crate) contract: Digest,
    /// Digest of the profile's file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<Digest>,
    /// When it was added, in seconds since the Unix epoch.
    pub(crate) added_s: u64,
    /// What the server is to do with it.
    pub(crate) state: State,
    /// Name of whoever registered it; absent from those of older releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registered_by: Option<String>,
}

/// One version in the repository.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shelved {
    /// Its name.
    pub(crate) name: ModelName,
    /// Its version.
    pub(crate) version: ModelVersion,
    /// Its entry.
    pub(crate) entry: Entry,
}

impl Shelved {
    /// As a list shows it.
    pub(crate) fn row(&self, receipt: Option<String>) -> ModelRow {
        ModelRow {
            name: self.name.clone(),
            version: self.version,
            state: self.entry.state.as_str().to_owned(),
            model: self.entry.model,
            contract: self.entry.contract,
            model_bytes: self.entry.model_bytes,
            receipt,
        }
    }
}

/// The two files of a model.
#[derive(Debug)]
pub(crate) struct Files {
    /// The model's bytes.
    pub(crate) model: Vec<u8>,
    /// The contract's bytes.
    pub(crate) contract: Vec<u8>,
    /// A signed exception from the model gate, where there is one.
    pub(crate) exception: Option<Vec<u8>>,
    /// A profile of honest rows, where there is one.
    pub(crate) profile: Option<Vec<u8>>,
}

/// Why the repository cannot do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepositoryError {
    /// A file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such version.
    #[error(
        "there is no version {version} of model `{name}`; `bartizan model list` shows what there is"
    )]
    Absent {
        /// Its name.
        name: ModelName,
        /// Its version.
        version: ModelVersion,
    },
    /// There is one already.
    #[error(
        "there is a version {version} of model `{name}` already; versions never change, so choose another number or leave it out"
    )]
    Present {
        /// Its name.
        name: ModelName,
        /// Its version.
        version: ModelVersion,
    },
    /// The repository is full.
    #[error("the repository holds {VERSIONS_MAX} versions, the limit; remove some")]
    Full,
    /// Nothing is staged under this name.
    #[error("nothing is staged as `{staged}`; add models with `bartizan model add FILE`")]
    NotStaged {
        /// What was asked for.
        staged: String,
    },
    /// M2 is broken.
    #[error("`{}` is not what was added: its digest is {found}, the entry says {expected}; restore it, or remove this version and add it again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: Digest,
        /// What it was.
        expected: Digest,
    },
    /// An entry does not read.
    #[error("`{}` is damaged; remove this version and add it again", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The folder of models.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    file_bytes_max: u64,
}

impl Repository {
    /// The repository in `root`, whose model files have at most `file_bytes_max` bytes.
    pub(crate) fn new(root: PathBuf, file_bytes_max: u64) -> Self {
        Self { root, file_bytes_max }
    }

    /// Every version, by name and version.
    ///
    /// # Errors
    /// [`RepositoryError`] where the folder or an entry cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<Shelved>, RepositoryError> {
        let mut all = Vec::new();
        for name in names::<ModelName>(&self.root)? {
            for version in names::<ModelVersion>(&self.root.join(name.as_str()))? {
                // One that is being removed has no entry any more.
                if let Some(entry) = self.entry(&name, version)? {
                    all.push(Shelved { name: name.clone(), version, entry });
                }
            }
        }
        all.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        Ok(all)
    }

    /// One version.
    ///
    /// # Errors
    /// [`RepositoryError::Absent`], or where it cannot be read.
    pub(crate) fn get(
        &self,
        name: &ModelName,
        version: ModelVersion,
    ) -> Result<Shelved, RepositoryError> {
        let name = name.clone();
        match self.entry(&name, version)? {
            Some(entry) => Ok(Shelved { name, version, entry }),
            None => Err(RepositoryError::Absent { name, version }),
        }
    }

    /// The files of `shelved`; see M2.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(crate) fn read(&self, shelved: &Shelved) -> Result<Files, RepositoryError> {
        let folder = self.folder(&shelved.name, shelved.version);
        let entry = &shelved.entry;
        let files = self.read_checked(&folder, entry.model, entry.contract)?;
        let found = files.profile.as_deref().map(Digest::of);
        if found == entry.profile {
            return Ok(files);
        }
        let path = folder.join(PROFILE_FILE);
        let none = || Digest::of(b"");
        let (found, expected) = (found.unwrap_or_else(none), entry.profile.unwrap_or_else(none));
        Err(RepositoryError::Changed { path, found, expected })
    }

    /// The staged files, if they are those of the digests.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(crate) fn read_staged(
        &self,
        staged: &str,
        model: Digest,
        contract: Digest,
    ) -> Result<Files, RepositoryError> {
        self.read_checked(&self.staged(staged)?, model, contract)
    }

    /// Writes the files of a new version where [`Repository::adopt`] finds them, and says under
    /// which name.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(crate) fn stage(
        &self,
        files: &Files,
        entropy: &dyn Entropy,
    ) -> Result<String, RepositoryError> {
        let staged = hex(&random::<16>(entropy));
        let folder = self.root.join(STAGING_DIR).join(&staged);
        files::make_private_dir(&folder)?;
        files::replace(&folder.join(MODEL_FILE), &files.model)?;
        files::replace(&folder.join(CONTRACT_FILE), &files.contract)?;
        if let Some(exception) = &files.exception {
            files::replace(&folder.join(EXCEPTION_FILE), exception)?;
        }
        if let Some(profile) = &files.profile {
            files::replace(&folder.join(PROFILE_FILE), profile)?;
        }
        Ok(staged)
    }

    /// Removes staged files; nothing happens where they are gone.
    pub(crate) fn unstage(&self, staged: &str) {
        if let Ok(folder) = self.staged(staged) {
            // What stays behind is never served, and is swept later.
            let _left_over = fs::remove_dir_all(folder);
        }
    }

    /// Removes what was staged more than [`STAGED_S_MAX`] before `now_ns` since the Unix epoch:
    /// whoever staged it has long gone.
    pub(crate) fn sweep(&self, now_ns: u64) {
        let Ok(entries) = fs::read_dir(self.root.join(STAGING_DIR)) else { return };
        for entry in entries.flatten() {
            let begun_s = entry.metadata().map_or(i64::MAX, |meta| meta.mtime());
            let begun_s = u64::try_from(begun_s).unwrap_or(0);
            if begun_s.saturating_add(STAGED_S_MAX) < now_ns / NS_PER_S {
                let _left_over = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The number that a new version of `name` gets: `wanted` if it is free, else the next.
    ///
    /// # Errors
    /// [`RepositoryError::Present`] and [`RepositoryError::Full`].
    pub(crate) fn free_version(
        &self,
        name: &ModelName,
        wanted: Option<ModelVersion>,
    ) -> Result<ModelVersion, RepositoryError> {
        if VERSIONS_MAX <= self.list()?.len() {
            return Err(RepositoryError::Full);
        }
        let folder = self.root.join(name.as_str());
        let taken = names::<ModelVersion>(&folder)?;
        match wanted {
            Some(version) if taken.contains(&version) => {
                Err(RepositoryError::Present { name: name.clone(), version })
            }
            Some(version) => Ok(version),
            None => {
                let last = taken.iter().max().map_or(0, |version| version.0.get());
                let next = last.checked_add(1).and_then(NonZeroU32::new);
                next.map(ModelVersion).ok_or(RepositoryError::Full)
            }
        }
    }

    /// Makes what is staged the version that `shelved` names; see M1.
    ///
    /// # Errors
    /// [`RepositoryError`]; the version is then absent.
    pub(crate) fn adopt(&self, staged: &str, shelved: &Shelved) -> Result<(), RepositoryError> {
        let from = self.staged(staged)?;
        let to = self.folder(&shelved.name, shelved.version);
        if to.exists() {
            let (name, version) = (shelved.name.clone(), shelved.version);
            return Err(RepositoryError::Present { name, version });
        }
        write_entry(&from, &shelved.entry)?;
        let shelf = self.root.join(shelved.name.as_str());
        files::make_private_dir(&shelf)?;
        fs::rename(&from, &to).map_err(failed("write", &to))?;
        files::sync_dir(&shelf)?;
        files::sync_dir(&self.root)?;
        Ok(())
    }

    /// Writes what the server is to do with a version.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(crate) fn set_state(&self, shelved: &Shelved, state: State) -> Result<(), RepositoryError> {
        let folder = self.folder(&shelved.name, shelved.version);
        write_entry(&folder, &Entry { state, ..shelved.entry.clone() })
    }

    /// Removes a version, its entry first: one without is not there.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(crate) fn remove(&self, shelved: &Shelved) -> Result<(), RepositoryError> {
        let folder = self.folder(&shelved.name, shelved.version);
        let entry = folder.join(ENTRY_FILE);
        fs::remove_file(&entry).map_err(failed("remove", &entry))?;
        files::sync_dir(&folder)?;
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
        Ok(())
    }

    fn folder(&self, name: &ModelName, version: ModelVersion) -> PathBuf {
        self.root.join(name.as_str()).join(version.to_string())
    }

    fn staged(&self, staged: &str) -> Result<PathBuf, RepositoryError> {
        let plain = staged.len() == 32 && staged.bytes().all(|byte| byte.is_ascii_hexdigit());
        let folder = self.root.join(STAGING_DIR).join(staged);
        if plain && folder.is_dir() {
            Ok(folder)
        } else {
            Err(RepositoryError::NotStaged { staged: staged.chars().take(64).collect() })
        }
    }

    fn entry(
        &self,
        name: &ModelName,
        version: ModelVersion,
    ) -> Result<Option<Entry>, RepositoryError> {
        let path = self.folder(name, version).join(ENTRY_FILE);
        match files::read_bounded(&path, ENTRY_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| RepositoryError::Entry { path, source }),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_checked(
        &self,
        folder: &Path,
        model: Digest,
        contract: Digest,
    ) -> Result<Files, RepositoryError> {
        let read = |name: &str, limit_bytes: u64, expected: Digest| {
            let path = folder.join(name);
            let bytes = files::read_bounded(&path, limit_bytes)?;
            let found = Digest::of(&bytes);
            if found == expected {
                Ok(bytes)
            } else {
                Err(RepositoryError::Changed { path, found, expected })
            }
        };
        let model = read(MODEL_FILE, self.file_bytes_max, model)?;
        let contract = read(CONTRACT_FILE, CONTRACT_BYTES_MAX, contract)?;
        let optional = |name: &str, limit_bytes: u64| match files::read_bounded(
            &folder.join(name),
            limit_bytes,
        ) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(RepositoryError::from(error)),
        };
        // It is signed, and so needs no digest of its own.
        let exception = optional(EXCEPTION_FILE, EXCEPTION_BYTES_MAX)?;
        let profile = optional(PROFILE_FILE, PROFILE_BYTES_MAX)?;
        Ok(Files { model, contract, exception, profile })
    }
}

fn write_entry(folder: &Path, entry: &Entry) -> Result<(), RepositoryError> {
    let path = folder.join(ENTRY_FILE);
    match serde_json::to_vec_pretty(entry) {
        Ok(bytes) => Ok(files::replace(&path, &bytes)?),
        Err(source) => Err(RepositoryError::Entry { path, source }),
    }
}

/// What in `folder` has a name that is a `T`; nothing where the folder is absent.
fn names<T: FromStr>(folder: &Path) -> Result<Vec<T>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("read", folder))?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push(name);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SeededEntropy, TempDir};

    fn shelved(version: u32, files: &Files) -> Shelved {
        let entry = Entry {
            format: 1,
            model: Digest::of(&files.model),
            model_bytes: files.model.len() as u64,
            contract: Digest::of(&files.contract),
            profile: None,
            added_s: 1,
            state: State::Loaded,
            registered_by: None,
        };
        let version = version.to_string().parse().unwrap();
        Shelved { name: "fraud".parse().unwrap(), version, entry }
    }

    fn some_files() -> Files {
        Files {
            model: b"model".to_vec(),
            contract: b"contract".to_vec(),
            exception: None,
            profile: None,
        }
    }

    #[test]
    fn a_version_is_added_read_changed_in_state_and_removed() {
        let dir = TempDir::new();
        let repository = Repository::new(dir.path().to_owned(), 5);
        let (files, entropy) = (some_files(), SeededEntropy::default());
        assert_eq!(repository.list().unwrap(), []);
        let staged = repository.stage(&files, &entropy).unwrap();
        assert_eq!(repository.list().unwrap(), [], "what is staged is not there yet");
        let one = shelved(1, &files);
        repository.adopt(&staged, &one).unwrap();
        assert_eq!(repository.list().unwrap(), std::slice::from_ref(&one));
        assert_eq!(repository.read(&one).unwrap().model, b"model");
        assert!(repository.read_staged(&staged, one.entry.model, one.entry.contract).is_err());
        repository.set_state(&one, State::Unloaded).unwrap();
        assert_eq!(repository.get(&one.name, one.version).unwrap().entry.state, State::Unloaded);
        repository.remove(&one).unwrap();
        assert!(matches!(
            repository.get(&one.name, one.version),
            Err(RepositoryError::Absent { .. })
        ));
    }

    #[test]
    fn a_version_that_is_there_is_never_replaced() {
        let dir = TempDir::new();
        let repository = Repository::new(dir.path().to_owned(), 5);
        let (files, entropy) = (some_files(), SeededEntropy::default());
        let name = "fraud".parse().unwrap();
        assert_eq!(repository.free_version(&name, None).unwrap(), ModelVersion::FIRST);
        for version in [1, 7] {
            let staged = repository.stage(&files, &entropy).unwrap();
            repository.adopt(&staged, &shelved(version, &files)).unwrap();
        }
        assert_eq!(repository.free_version(&name, None).unwrap().to_string(), "8");
        let wanted = Some("7".parse().unwrap());
        assert!(matches!(
            repository.free_version(&name, wanted),
            Err(RepositoryError::Present { .. })
        ));
        let staged = repository.stage(&files, &entropy).unwrap();
        assert!(repository.adopt(&staged, &shelved(7, &files)).is_err());
        repository.unstage(&staged);
        assert!(repository.adopt(&staged, &shelved(8, &files)).is_err());
    }

    /// M2.
    #[test]
    fn a_file_that_was_changed_after_it_was_added_is_refused() {
        let dir = TempDir::new();
        let repository = Repository::new(dir.path().to_owned(), 5);
        let (files, entropy) = (some_files(), SeededEntropy::default());
        let one = shelved(1, &files);
        let staged = repository.stage(&files, &entropy).unwrap();
        repository.adopt(&staged, &one).unwrap();
        let folder = dir.path().join("fraud/1");
        for (file, bytes) in [(MODEL_FILE, &b"xodel"[..]), (CONTRACT_FILE, b"kontract")] {
            let before = fs::read(folder.join(file)).unwrap();
            files::replace(&folder.join(file), bytes).unwrap();
            let error = repository.read(&one).unwrap_err();
            assert!(matches!(error, RepositoryError::Changed { .. }), "{error}");
            files::replace(&folder.join(file), &before).unwrap();
        }
        files::replace(&folder.join(MODEL_FILE), b"longer").unwrap();
        assert!(matches!(repository.read(&one), Err(RepositoryError::File(_))));
    }

    /// Both sides of the edge: what is a day old stays, what is older goes.
    #[test]
    fn what_was_staged_and_forgotten_is_swept() {
        let dir = TempDir::new();
        let repository = Repository::new(dir.path().to_owned(), 5);
        let staged = repository.stage(&some_files(), &SeededEntropy::default()).unwrap();
        let folder = dir.path().join(STAGING_DIR).join(staged);
        let begun_s = fs::metadata(&folder).unwrap().mtime() as u64;
        repository.sweep((begun_s + STAGED_S_MAX) * NS_PER_S);
        assert!(folder.exists());
        repository.sweep((begun_s + STAGED_S_MAX + 1) * NS_PER_S);
        assert!(!folder.exists());
    }

    /// M1: names from outside never lead out of the staging folder.
    #[test]
    fn a_staged_name_is_nothing_but_digits() {
        let dir = TempDir::new();
        let repository = Repository::new(dir.path().to_owned(), 5);
        let digest = Digest::of(b"");
        for staged in ["", "..", "../fraud", &"0".repeat(32), &"../".repeat(11)[..32]] {
            let error = repository.read_staged(staged, digest, digest).unwrap_err();
            assert!(matches!(error, RepositoryError::NotStaged { .. }), "{staged:?}: {error}");
        }
    }
}
