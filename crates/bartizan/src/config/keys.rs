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

/// How old a class of what is kept must and may become.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ages {
    /// The least, in days: `bartizan ledger prune` ends nothing younger. The EU's AI Act (articles
    /// 19 and 26) asks for six months.
    #[schemars(range(min = 0, max = 36_500))]
    pub(crate) days_min: u32,
    /// The most, in days: what `bartizan ledger prune` ends when it is not told otherwise.
    #[schemars(range(min = 1, max = 36_500))]
    pub(crate) days_max: u32,
}

impl Default for Ages {
    fn default() -> Self {
        Self { days_min: 184, days_max: 3_653 }
    }
}

/// How long each class of what is kept is kept. A legal hold keeps it longer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// What is sealed under a person's keys: when they end, nothing of it can be opened.
    pub(crate) subjects: Ages,
    /// What is sealed and about nobody who was named, under keys of days.
    pub(crate) days: Ages,
    /// Records themselves, with what is sealed beside them: whole segments of the log are removed
    /// behind a tombstone, and the tree's hashes stay.
    pub(crate) records: Ages,
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
