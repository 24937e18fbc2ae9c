//! Operations on what is kept of people: erasing, holding, pruning, and the keys behind it.

use serde::{Deserialize, Serialize};

use super::Hex16;

/// See [`super::Operation::Erase`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erase {
    /// Who, as `bartizan-subject` names it in requests; or, while it waits for a second person,
    /// a keyed hash that stands for him, 64 hexadecimal digits.
    #[serde(deserialize_with = "super::person")]
    pub(crate) subject: String,
    /// Whether `subject` is what stands for him.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_root: bool,
    /// Why, for the record; never a person's name.
    #[serde(deserialize_with = "super::reason")]
    pub(crate) reason: String,
}

impl std::fmt::Debug for Erase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Erase [redacted]")
    }
}

/// See [`super::Operation::HoldAdd`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldAdd {
    /// Whom it is about; absent: everybody.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::opt_person"
    )]
    pub(crate) subject: Option<String>,
    /// Why, for the record.
    #[serde(deserialize_with = "super::reason")]
    pub(crate) reason: String,
}

impl std::fmt::Debug for HoldAdd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HoldAdd [redacted]")
    }
}

/// See [`super::Operation::HoldRelease`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldRelease {
    /// Which.
    pub(crate) hold: Hex16,
    /// Why, for the record.
    #[serde(deserialize_with = "super::reason")]
    pub(crate) reason: String,
}

/// Which key is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeysRotation {
    /// The key-encryption key: all keys are wrapped anew
    Kek,
    /// The key behind pseudonyms: old ones are unlinked, new ones differ
    Pepper,
}

/// See [`super::Operation::KeysRotate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysRotate {
    /// Which.
    pub(crate) what: KeysRotation,
    /// Why, for the record.
    #[serde(deserialize_with = "super::reason")]
    pub(crate) reason: String,
}

/// A class of what is kept.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RetentionClass {
    /// Keys of subjects and months.
    Subjects,
    /// Keys of days.
    Days,
    /// Records, by whole segments.
    Records,
}

impl RetentionClass {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[Self::Subjects, Self::Days, Self::Records];

    /// The word for people and configurations.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Days => "days",
            Self::Records => "records",
        }
    }
}

/// See [`super::Operation::Prune`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prune {
    /// Of what; absent: every class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<RetentionClass>,
    /// How old in days; absent: as the class's `days_max` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) older_than_days: Option<u32>,
    /// Why, for the record.
    #[serde(deserialize_with = "super::reason")]
    pub(crate) reason: String,
}
