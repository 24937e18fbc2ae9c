//! What is asked about models and about their callers.

use bartizan_core::{Digest, ModelName, ModelVersion, PrincipalName};
use serde::{Deserialize, Serialize};

use super::{opt_person, reason};

/// See [`super::Operation::ModelAdd`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelAdd {
    /// Its name.
    pub(crate) name: ModelName,
    /// Its version; the next free one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<ModelVersion>,
    /// Name of the folder among the staged ones, 32 hexadecimal digits.
    pub(crate) staged: String,
    /// Digest of the model's file.
    pub(crate) model: Digest,
    /// Digest of the contract's file.
    pub(crate) contract: Digest,
    /// Digest of the profile's file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<Digest>,
    /// Whether it is to be registered only, for somebody to load later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unserved: bool,
}

/// See [`super::Operation::GuardRelease`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuardRelease {
    /// Whom to let in again.
    pub(crate) principal: PrincipalName,
    /// Which of its end users, where it speaks for many.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "opt_person")]
    pub(crate) end_user: Option<String>,
    /// Why, for the record; never a person's name.
    #[serde(deserialize_with = "reason")]
    pub(crate) reason: String,
}

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelRef {
    /// Its name.
    pub(crate) name: ModelName,
    /// Its version.
    pub(crate) version: ModelVersion,
}
