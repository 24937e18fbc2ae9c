//! An environment's folder: where what is, who may read it, and how it is made.
//!
//! Invariants
//! - E1: an environment is opened only if its secrets are its owner's alone;
//! - E2: a folder with anything in it is never made into an environment; the configuration is
//!   written last, so that a half-made one is never opened.

use std::fs;
use std::path::{Path, PathBuf};

use bartizan_access::{BookError, Keys, MacKey};
use bartizan_core::{Disk as _, DiskKind, Entropy, EnvName};
use bartizan_ledger::FileDisk;
use zeroize::Zeroizing;

use crate::config::check::{self, ConfigError};
use crate::config::identity::Trust;
use crate::config::{self, Config};
use crate::files::{self, FileError, failed};
use crate::tls::make;

/// Folder with the certificates of the first administrators.
pub(crate) const ADMINISTRATORS_DIR: &str = "administrators";
/// Longest stored key, in bytes.
const KEY_BYTES_MAX: u64 = 64;

/// Longest list of keys that may except models, in bytes.
const EXCEPTION_KEYS_BYTES_MAX: u64 = 64 * 1024;

/// Why an environment could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// There is none.
    #[error("`{}` is no environment (no `bartizan.toml` in it); make one with `bartizan init DIR`, or name one with `--environment DIR`", root.display())]
    Absent {
        /// The folder.
        root: PathBuf,
    },
    /// Its configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be had, or E1 is broken.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key's file has the wrong length.
    #[error("`{}` is not a key of {expected_bytes} bytes; restore it from a backup", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// How long it should be.
        expected_bytes: usize,
    },
    /// The key book was changed or is damaged.
    #[error("the key book `{}` cannot be trusted; restore it, and `keyring.mac` beside it, from a backup", path.display())]
    Book {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BookError,
    },
    /// The key book is another environment's.
    #[error(
        "the key book is of environment `{book}`, the configuration says `{configured}`; a name, once chosen, stays: it is part of every key"
    )]
    OtherName {
        /// What the book says.
        book: EnvName,
        /// What the configuration says.
        configured: EnvName,
    },
}

/// Why an environment could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    /// E2.
    #[error("`{}` is not empty; choose a new folder", root.display())]
    NotEmpty {
        /// The folder.
        root: PathBuf,
    },
    /// Its disk forgets.
    #[error("`{}` lies on {kind}, where a record does not survive a loss of power; choose a folder on a local disk, or accept that with `--volatile` (every record then says so)", root.display())]
    Volatile {
        /// The folder.
        root: PathBuf,
        /// What it lies on.
        kind: String,
    },
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The certificates cannot be made.
    #[error(transparent)]
    Tls(#[from] make::MakeError),
    /// The configuration cannot be written.
    #[error("cannot write the configuration")]
    Config(#[from] toml::ser::Error),
}

/// What to make, and from what.
pub(crate) struct Plan<'a> {
    /// The configuration.
    pub(crate) config: Config,
    /// How long the certificates live, in seconds.
    pub(crate) tls_lifetime_s: u64,
    /// Seconds since the Unix epoch.
    pub(crate) now_s: u64,
    /// Randomness.
    pub(crate) entropy: &'a dyn Entropy,
    /// Names of the first administrators, each of whom gets a client certificate.
    pub(crate) administrators: &'a [String],
}

/// An environment whose configuration was read and whose permissions were checked.
#[derive(Debug)]
pub(crate) struct Environment {
    root: PathBuf,
    config: Config,
}

impl Environment {
    /// Opens the environment in `root`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(root: &Path) -> Result<Self, OpenError> {
        let file = root.join(config::FILE_NAME);
        if !file.is_file() {
            return Err(OpenError::Absent { root: root.to_owned() });
        }
        let root = fs::canonicalize(root).map_err(failed("read", root))?;
        let environment = Self { root, config: check::load_file(&file)?.config };
        files::check_private(&environment.keys_dir(), 0o700)?;
        Ok(environment)
    }

    /// Makes an environment in the folder `root`, which must be empty or absent. The sealing
    /// keys and the log are made by the first owner of its store.
    ///
    /// # Errors
    /// [`MakeError`].
    pub(crate) fn make(root: &Path, plan: &Plan<'_>) -> Result<(), MakeError> {
        files::make_private_dir(root)?;
        let entries = fs::read_dir(root).map_err(failed("read", root))?;
        if entries.count() != 0 {
            return Err(MakeError::NotEmpty { root: root.to_owned() });
        }
        if !plan.config.ledger.volatile
            && let DiskKind::Volatile(kind) = disk_kind(root)?
        {
            return Err(MakeError::Volatile { root: root.to_owned(), kind });
        }
        let layout = Layout(root);
        let kek_dir = root.join(&plan.config.keys.kek_dir);
        for folder in [layout.keys_dir(), layout.models_dir(), layout.store_dir(), kek_dir] {
            files::make_private_dir(&folder)?;
        }
        // Nothing in here belongs into a repository, least of all the keys.
        files::replace(&root.join(".gitignore"), b"*\n")?;
        let mac_key = MacKey::random(plan.entropy);
        files::replace(&layout.mac_key_file(), mac_key.expose())?;
        let keys = Keys::new(plan.config.environment.name.clone(), mac_key);
        files::replace(&layout.book_file(), &keys.to_bytes())?;
        crate::policies::write_starter(&layout.policies_dir())?;
        make::write(&layout.tls_dir(), plan.now_s, plan.tls_lifetime_s)?;
        let mut config = plan.config.clone();
        if !plan.administrators.is_empty() {
            config.trust.push(Self::make_administrators(&layout, plan)?);
        }
        let text = config::template::text(&config)?;
        files::replace(&root.join(config::FILE_NAME), text.as_bytes())?;
        Ok(())
    }

    /// Makes the first administrators: a file each with certificate and key, to be taken away by
    /// its holder.
    fn make_administrators(layout: &Layout<'_>, plan: &Plan<'_>) -> Result<Trust, MakeError> {
        let name = &plan.config.environment.name;
        let domain = config::identity::administrators_domain(name);
        let Plan { administrators, now_s, tls_lifetime_s, .. } = plan;
        let made = make::administrators(&domain, administrators, *now_s, *tls_lifetime_s)?;
        let roots = PathBuf::from("tls").join(make::ADMINISTRATORS_FILE);
        files::replace(&layout.0.join(&roots), made.authority.as_bytes())?;
        let folder = layout.0.join(ADMINISTRATORS_DIR);
        files::make_private_dir(&folder)?;
        for (person, pem) in made.people {
            files::replace(&folder.join(format!("{person}.pem")), pem.as_bytes())?;
        }
        Ok(Trust::of_administrators(name, roots))
    }

    /// Its folder, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The same with another configuration than its file's, for this process alone.
    #[must_use]
    pub(crate) fn changed(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Its name.
    pub(crate) fn name(&self) -> &EnvName {
        &self.config().environment.name
    }

    /// Name of its log: `environment/site/replica`.
    pub(crate) fn origin(&self) -> String {
        let config::Environment { name, site, replica, .. } = &self.config().environment;
        format!("{name}/{site}/{replica}")
    }

    /// The folder of keys.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        Layout(&self.root).keys_dir()
    }

    /// The folder of models.
    pub(crate) fn models_dir(&self) -> PathBuf {
        Layout(&self.root).models_dir()
    }

    /// The folder of policies.
    pub(crate) fn policies_dir(&self) -> PathBuf {
        Layout(&self.root).policies_dir()
    }

    /// The folder of the policies that were in force.
    pub(crate) fn kept_policies_dir(&self) -> PathBuf {
        self.store_dir().join("policies")
    }

    /// The ledger's folder.
    pub(crate) fn store_dir(&self) -> PathBuf {
        Layout(&self.root).store_dir()
    }

    /// The socket of the store's owner.
    pub(crate) fn socket(&self) -> PathBuf {
        self.store_dir().join("admin.sock")
    }

    /// The folder that remembers the newest checkpoint; `None` where none is configured.
    pub(crate) fn anchor_dir(&self) -> Option<PathBuf> {
        let anchor = &self.config.ledger.anchor;
        (!anchor.is_empty()).then(|| self.root.join(anchor))
    }

    /// The file of the keys that sign the ledger's checkpoints.
    pub(crate) fn log_key_file(&self) -> PathBuf {
        Layout(&self.root).log_key_file()
    }

    /// Public keys of those who may except models from the model gate: the first word of each
    /// line of `keys/exception-keys`; none where there is no such file.
    ///
    /// # Errors
    /// [`FileError`] where it cannot be read, or others could write to it.
    pub(crate) fn exception_keys(&self) -> Result<Vec<String>, FileError> {
        let path = self.keys_dir().join("exception-keys");
        match files::read_private(&path, EXCEPTION_KEYS_BYTES_MAX) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let words = text.lines().filter_map(|line| line.split_whitespace().next());
                Ok(words.map(str::to_owned).collect())
            }
            Err(error) if error.is_absent() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The file of the key book.
    pub(crate) fn book_file(&self) -> PathBuf {
        Layout(&self.root).book_file()
    }

    /// The file of what waits for a second person.
    pub(crate) fn approvals_file(&self) -> PathBuf {
        self.keys_dir().join("approvals.json")
    }

    /// The file of what was revoked.
    pub(crate) fn revocations_file(&self) -> PathBuf {
        self.keys_dir().join("revocations.json")
    }

    /// The listener's certificate and key files.
    pub(crate) fn tls_files(&self) -> (PathBuf, PathBuf) {
        let inference = &self.config().inference;
        (self.root.join(&inference.certificate), self.root.join(&inference.key))
    }

    /// The key book, as it is on disk.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn key_book(&self) -> Result<Keys, OpenError> {
        let layout = Layout(&self.root);
        let mac_path = layout.mac_key_file();
        let bytes = Zeroizing::new(files::read_private(&mac_path, KEY_BYTES_MAX)?);
        let mac_key = MacKey::from_bytes(&bytes)
            .ok_or(OpenError::Key { path: mac_path, expected_bytes: MacKey::LEN })?;
        let path = layout.book_file();
        let bytes = files::read_private(&path, bartizan_access::BOOK_BYTES_MAX as u64)?;
        let keys =
            Keys::from_bytes(&bytes, mac_key).map_err(|source| OpenError::Book { path, source })?;
        if keys.environment() == self.name() {
            Ok(keys)
        } else {
            let (book, configured) = (keys.environment().clone(), self.name().clone());
            Err(OpenError::OtherName { book, configured })
        }
    }
}

/// Whether a sync in `folder` means anything.
///
/// # Errors
/// [`FileError`].
pub(crate) fn disk_kind(folder: &Path) -> Result<DiskKind, FileError> {
    let disk = FileDisk::open(folder).map_err(failed("read", folder))?;
    Ok(disk.kind())
}

struct Layout<'a>(&'a Path);

impl Layout<'_> {
    fn keys_dir(&self) -> PathBuf {
        self.0.join("keys")
    }

    fn models_dir(&self) -> PathBuf {
        self.0.join("models")
    }

    fn policies_dir(&self) -> PathBuf {
        self.0.join("policies")
    }

    fn store_dir(&self) -> PathBuf {
        self.0.join("store")
    }

    fn tls_dir(&self) -> PathBuf {
        self.0.join("tls")
    }

    fn mac_key_file(&self) -> PathBuf {
        self.keys_dir().join("keyring.mac")
    }

    fn log_key_file(&self) -> PathBuf {
        self.keys_dir().join("log.key")
    }

    fn book_file(&self) -> PathBuf {
        self.keys_dir().join("keyring.json")
    }
}
