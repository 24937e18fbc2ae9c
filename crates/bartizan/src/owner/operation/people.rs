//! Operations on who is believed, and on what takes two people.

use bartizan_access::RevocationKind;
use bartizan_core::PrincipalName;
use serde::{Deserialize, Serialize};

/// See [`super::Operation::Revoke`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revoke {
    /// What it is about.
    pub(crate) kind: RevocationKind,
    /// Which.
    pub(crate) value: String,
    /// How long that is kept, in seconds.
    pub(crate) for_s: u64,
}

/// See [`super::Operation::Approve`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approve {
    /// What waits.
    pub(crate) id: String,
    /// What is said to it.
    pub(crate) verdict: Verdict,
}

/// What somebody says to what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It may be done.
    Agree,
    /// It may not.
    Refuse,
    /// What was done behind a broken glass was looked at.
    Review,
}

/// See [`super::Operation::BreakGlass`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakGlass {
    /// Why.
    pub(crate) reason: String,
    /// For how long, in seconds.
    pub(crate) for_s: u64,
}

/// One request that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ApprovalRow {
    /// Its id.
    pub(crate) id: String,
    /// What kind of thing it is.
    pub(crate) what: String,
    /// The operation's name.
    pub(crate) operation: String,
    /// Its JSON.
    pub(crate) body: String,
    /// Who asked.
    pub(crate) requester: PrincipalName,
    /// Who agreed.
    pub(crate) agreed: Vec<PrincipalName>,
    /// How many people are missing.
    pub(crate) n_missing: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub(crate) expires_s: u64,
}

/// One broken glass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GlassRow {
    /// Its id.
    pub(crate) id: String,
    /// Who broke it.
    pub(crate) breaker: PrincipalName,
    /// Why.
    pub(crate) reason: String,
    /// Since when, in seconds since the Unix epoch.
    pub(crate) from_s: u64,
    /// Until when.
    pub(crate) until_s: u64,
}
