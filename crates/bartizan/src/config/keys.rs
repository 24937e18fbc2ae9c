//! Configuration of keys and of what is done with them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who holds the key-encryption key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wrap {
    /// Files in `keys.kek_dir`, mode 0600.
    #[default]
    File,
}

/// The keys under which payloads are sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    /// Who holds the key-encryption key that wraps the key store: `file`.
    pub(crate) wrap: Wrap,
    /// Folder of the key-encryption keys where `wrap` is `file`; relative to the environment's
    /// folder. Best on another volume. It is never part of a backup: keep a copy of it apart, and
    /// make that copy anew after each erasure and rotation.
    pub(crate) kek_dir: PathBuf,
}

impl Default for Keys {
    fn default() -> Self {
        Self { wrap: Wrap::File, kek_dir: PathBuf::from("kek") }
    }
}

/// Erasing a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Erasure {
    /// File with the other replicas' environment folders, one a line, relative to this
    /// environment's folder. `bartizan erase` is complete when each has confirmed. Where there is
    /// no such file there are no other replicas.
    pub(crate) replicas_file: PathBuf,
}

impl Default for Erasure {
    fn default() -> Self {
        Self { replicas_file: PathBuf::from("replicas.txt") }
    }
}
