//! What the owner of a store can be asked to do, as JSON.
//!
//! One type for every way in: a verb in this process, the admin socket, the admin listener.

use std::collections::BTreeMap;
use std::path::PathBuf;

mod kept;
mod models;
mod people;

use bartizan_access::{KeyId, Scopes, Sensitive};
use bartizan_core::limits::{self, FINDINGS_MAX};
use bartizan_core::{DecisionId, Digest, ModelName, ModelVersion, PrincipalName, Severity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use kept::{
    Erase, HoldAdd, HoldRelease, KeysRotate, KeysRotation, Prune, RetentionClass,
};
pub(crate) use models::{GuardRelease, ModelAdd, ModelRef};
pub(crate) use people::{ApprovalRow, Approve, BreakGlass, GlassRow, Revoke, Verdict};

/// Longest JSON of an operation, in bytes.
pub(crate) const OPERATION_BYTES_MAX: usize = 64 * 1024;

/// An operation and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    /// Make a key.
    KeyIssue(KeyIssue),
    /// Replace a key by a new one.
    KeyRotate(KeyRotate),
    /// End a key at once.
    KeyRevoke(KeyRevoke),
    /// End what is believed, on all replicas.
    Revoke(Revoke),
    /// Agree to what somebody else asked for, refuse it, or review a broken glass.
    Approve(Approve),
    /// Say what waits for a second person.
    ApprovalsList,
    /// Let one person do what takes two, for a while and for a reason.
    BreakGlass(BreakGlass),
    /// Say what keys there are.
    KeyList,
    /// Take a staged model and its contract into the repository, and serve it.
    ModelAdd(ModelAdd),
    /// Take a model out of service and out of the repository.
    ModelRemove(ModelRef),
    /// Serve a model of the repository.
    ModelLoad(ModelRef),
    /// Stop serving a model, and keep it.
    ModelUnload(ModelRef),
    /// Say what models there are.
    ModelList,
    /// Lift what the request gate holds a caller by.
    GuardRelease(GuardRelease),
    /// Read the policies again and put them in force.
    AccessReload(AccessReload),
    /// Note that somebody opens the sealed part of a record.
    EvidenceOpen(EvidenceOpen),
    /// Destroy the keys of a subject.
    Erase(Erase),
    /// Forbid erasures.
    HoldAdd(HoldAdd),
    /// Allow them again, and carry out those that waited.
    HoldRelease(HoldRelease),
    /// Say what holds there are, and what waits.
    HoldList,
    /// Exchange a key of the ledger.
    KeysRotate(KeysRotate),
    /// Copy the environment.
    Backup(Backup),
    /// Destroy keys that are too old.
    Prune(Prune),
    /// Note that a gate's command was run, and what it concluded.
    GateRun(GateRun),
}

/// See [`Operation::KeyIssue`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyIssue {
    /// Whose key it is.
    pub(crate) principal: PrincipalName,
    /// What it covers.
    pub(crate) scopes: Scopes,
    /// How long it lives, in seconds.
    pub(crate) ttl_s: u64,
}

/// See [`Operation::KeyRotate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRotate {
    /// The key to replace.
    pub(crate) id: KeyId,
    /// How long the old key goes on beside the new one, in seconds.
    pub(crate) overlap_s: u64,
}

/// See [`Operation::KeyRevoke`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRevoke {
    /// The key to end.
    pub(crate) id: KeyId,
}

/// See [`Operation::AccessReload`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessReload {
    /// Digest of the policies that were looked at; others are not put in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policies: Option<Digest>,
}

/// See [`Operation::EvidenceOpen`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvidenceOpen {
    /// Whose sealed part is opened.
    pub(crate) decision: DecisionText,
}

/// See [`Operation::GateRun`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GateRun {
    /// Which gate.
    pub(crate) gate: Gate,
    /// What it concluded.
    pub(crate) outcome: GateOutcome,
    /// What was judged: paths as they were given; a longer text than a record's is cut.
    pub(crate) what: String,
    /// The conclusion in our own words, without text out of what was judged.
    pub(crate) summary: String,
    /// Digest of the whole report as JSON.
    pub(crate) report: Option<Digest>,
    /// How many files, rows or plans were judged.
    pub(crate) n_items: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// What was found, by rule: at most `limits::FINDINGS_MAX`.
    pub(crate) findings: Vec<GateFinding>,
    /// How many rules more.
    pub(crate) n_more: u64,
}

impl GateRun {
    /// A run of which nothing is known yet.
    pub(crate) fn of(gate: Gate, what: String) -> Self {
        Self {
            gate,
            outcome: GateOutcome::Failed,
            what,
            summary: String::new(),
            report: None,
            n_items: 0,
            bytes: 0,
            findings: Vec::new(),
            n_more: 0,
        }
    }

    /// Keeps what was found, by rule, gravest first, as far as a record holds it.
    pub(crate) fn found<'a>(&mut self, all: impl Iterator<Item = (&'a str, Severity, u64)>) {
        let mut by_rule: BTreeMap<&str, GateFinding> = BTreeMap::new();
        for (rule, severity, count) in all {
            let fresh = || GateFinding { rule: rule.to_owned(), severity, count: 0 };
            by_rule.entry(rule).or_insert_with(fresh).count += count;
        }
        self.findings = by_rule.into_values().collect();
        self.findings.sort_by_key(|found| std::cmp::Reverse(found.severity));
        self.n_more = self.findings.len().saturating_sub(FINDINGS_MAX) as u64;
        self.findings.truncate(FINDINGS_MAX);
    }
}

/// A gate that has a command of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gate {
    /// `bartizan scan`.
    Scan,
    /// `bartizan vet`.
    Vet,
    /// `bartizan aks`.
    Aks,
}

impl Gate {
    /// The command.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Vet => "vet",
            Self::Aks => "aks",
        }
    }
}

/// What a gate concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GateOutcome {
    /// Nothing that matters was found.
    Passed,
    /// Something was.
    Refused,
    /// There is no answer.
    Failed,
}

/// How often a rule was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GateFinding {
    /// Its id.
    pub(crate) rule: String,
    /// How much it matters.
    #[serde(with = "severity")]
    pub(crate) severity: Severity,
    /// How often.
    pub(crate) count: u64,
}

/// A severity as its word.
mod severity {
    use bartizan_core::Severity;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        it: &Severity,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(it.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Severity, D::Error> {
        let word = std::borrow::Cow::<str>::deserialize(from)?;
        let known = Severity::ALL.iter().copied().find(|one| one.as_str() == word);
        known.ok_or_else(|| serde::de::Error::custom("no such severity"))
    }
}

/// See [`Operation::Backup`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    /// Where to: an absolute path of a new or empty folder.
    pub(crate) to: PathBuf,
    /// Where the keys go; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keys_to: Option<PathBuf>,
}

/// 16 bytes as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex16(pub(crate) [u8; 16]);

impl std::str::FromStr for Hex16 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "an id is 32 hexadecimal digits, as it was given when it was made";
        let mut bytes = [0; 16];
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(WRONG);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| WRONG)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hex16 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&bartizan_core::digest::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex16 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text of 1 to `bytes_max` bytes.
fn bounded<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    what: &str,
    bytes_max: usize,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if (1..=bytes_max).contains(&text.len()) {
        return Ok(text);
    }
    let len = text.len();
    Err(serde::de::Error::custom(format!("{what} has 1 to {bytes_max} bytes, this has {len}")))
}

fn person<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    bounded(deserializer, "a subject", limits::ASSERTED_BYTES_MAX)
}

fn opt_person<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    person(d).map(Some)
}

fn reason<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    bounded(deserializer, "a reason", bartizan_ledger::TEXT_BYTES_MAX)
}

/// A decision id as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecisionText(pub(crate) DecisionId);

impl Serialize for DecisionText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DecisionText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Why a text is no operation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParseError {
    /// There is no such operation.
    #[error("there is no operation of this name; there are {}", Operation::NAMES.join(", "))]
    Unknown,
    /// It is too long.
    #[error("an operation has at most {OPERATION_BYTES_MAX} bytes of JSON, this has {bytes}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The body is not what the operation takes.
    #[error("the body is not what this operation takes")]
    Body(#[source] serde_json::Error),
}

impl Operation {
    /// Every operation's name, as it stands in the admin API's path.
    pub(crate) const NAMES: &[&str] = &[
        "key-issue",
        "key-rotate",
        "key-revoke",
        "revoke",
        "approve",
        "approvals-list",
        "break-glass",
        "key-list",
        "model-add",
        "model-remove",
        "model-load",
        "model-unload",
        "model-list",
        "guard-release",
        "evidence-open",
        "erase",
        "hold-add",
        "hold-release",
        "hold-list",
        "keys-rotate",
        "backup",
        "prune",
        "gate-run",
        "access-reload",
    ];

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::KeyIssue(_) => "key-issue",
            Self::KeyRotate(_) => "key-rotate",
            Self::KeyRevoke(_) => "key-revoke",
            Self::Revoke(_) => "revoke",
            Self::Approve(_) => "approve",
            Self::ApprovalsList => "approvals-list",
            Self::BreakGlass(_) => "break-glass",
            Self::KeyList => "key-list",
            Self::ModelAdd(_) => "model-add",
            Self::ModelRemove(_) => "model-remove",
            Self::ModelLoad(_) => "model-load",
            Self::ModelUnload(_) => "model-unload",
            Self::ModelList => "model-list",
            Self::GuardRelease(_) => "guard-release",
            Self::EvidenceOpen(_) => "evidence-open",
            Self::Erase(_) => "erase",
            Self::HoldAdd(_) => "hold-add",
            Self::HoldRelease(_) => "hold-release",
            Self::HoldList => "hold-list",
            Self::KeysRotate(_) => "keys-rotate",
            Self::Backup(_) => "backup",
            Self::Prune(_) => "prune",
            Self::GateRun(_) => "gate-run",
            Self::AccessReload(_) => "access-reload",
        }
    }

    /// What of it takes two people where the configuration says so.
    pub(crate) fn sensitive(&self) -> Option<Sensitive> {
        match self {
            Self::Erase(_) => Some(Sensitive::Erase),
            Self::HoldRelease(_) => Some(Sensitive::HoldRelease),
            Self::KeysRotate(_) => Some(Sensitive::KeyRotation),
            Self::Prune(_) => Some(Sensitive::Prune),
            Self::Revoke(_) => Some(Sensitive::Revoke),
            Self::AccessReload(_) => Some(Sensitive::PolicyChange),
            Self::KeyIssue(_)
            | Self::KeyRotate(_)
            | Self::KeyRevoke(_)
            | Self::Approve(_)
            | Self::ApprovalsList
            | Self::BreakGlass(_)
            | Self::KeyList
            | Self::ModelAdd(_)
            | Self::ModelRemove(_)
            | Self::ModelLoad(_)
            | Self::ModelUnload(_)
            | Self::ModelList
            | Self::GuardRelease(_)
            | Self::EvidenceOpen(_)
            | Self::HoldAdd(_)
            | Self::Backup(_)
            | Self::HoldList
            | Self::GateRun(_) => None,
        }
    }

    /// Its JSON.
    ///
    /// # Errors
    /// What `serde_json` says; it has no reason to.
    pub(crate) fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::KeyIssue(issue) => serde_json::to_vec(issue),
            Self::KeyRotate(rotate) => serde_json::to_vec(rotate),
            Self::KeyRevoke(revoke) => serde_json::to_vec(revoke),
            Self::Revoke(revoke) => serde_json::to_vec(revoke),
            Self::Approve(approve) => serde_json::to_vec(approve),
            Self::BreakGlass(asked) => serde_json::to_vec(asked),
            Self::ModelAdd(add) => serde_json::to_vec(add),
            Self::ModelRemove(model) | Self::ModelLoad(model) | Self::ModelUnload(model) => {
                serde_json::to_vec(model)
            }
            Self::GuardRelease(release) => serde_json::to_vec(release),
            Self::EvidenceOpen(open) => serde_json::to_vec(open),
            Self::GateRun(run) => serde_json::to_vec(run),
            Self::Erase(erase) => serde_json::to_vec(erase),
            Self::HoldAdd(add) => serde_json::to_vec(add),
            Self::HoldRelease(release) => serde_json::to_vec(release),
            Self::KeysRotate(rotate) => serde_json::to_vec(rotate),
            Self::Backup(backup) => serde_json::to_vec(backup),
            Self::AccessReload(reload) => serde_json::to_vec(reload),
            Self::ApprovalsList | Self::KeyList | Self::ModelList | Self::HoldList => {
                Ok(b"{}".to_vec())
            }
            Self::Prune(prune) => serde_json::to_vec(prune),
        }
    }

    /// The operation `name` with its JSON `body`.
    ///
    /// # Errors
    /// [`ParseError`].
    pub(crate) fn parse(name: &str, body: &[u8]) -> Result<Self, ParseError> {
        if OPERATION_BYTES_MAX < body.len() {
            return Err(ParseError::TooLong { bytes: body.len() });
        }
        match name {
            "key-issue" => read(body).map(Self::KeyIssue),
            "key-rotate" => read(body).map(Self::KeyRotate),
            "key-revoke" => read(body).map(Self::KeyRevoke),
            "revoke" => read(body).map(Self::Revoke),
            "approve" => read(body).map(Self::Approve),
            "approvals-list" => read::<Empty>(body).map(|Empty {}| Self::ApprovalsList),
            "break-glass" => read(body).map(Self::BreakGlass),
            "key-list" => read::<Empty>(body).map(|Empty {}| Self::KeyList),
            "model-add" => read(body).map(Self::ModelAdd),
            "model-remove" => read(body).map(Self::ModelRemove),
            "model-load" => read(body).map(Self::ModelLoad),
            "model-unload" => read(body).map(Self::ModelUnload),
            "model-list" => read::<Empty>(body).map(|Empty {}| Self::ModelList),
            "guard-release" => read(body).map(Self::GuardRelease),
            "evidence-open" => read(body).map(Self::EvidenceOpen),
            "erase" => read(body).map(Self::Erase),
            "hold-add" => read(body).map(Self::HoldAdd),
            "hold-release" => read(body).map(Self::HoldRelease),
            "hold-list" => read::<Empty>(body).map(|Empty {}| Self::HoldList),
            "keys-rotate" => read(body).map(Self::KeysRotate),
            "backup" => read(body).map(Self::Backup),
            "prune" => read(body).map(Self::Prune),
            "gate-run" => read(body).map(Self::GateRun),
            "access-reload" => read(body).map(Self::AccessReload),
            _ => Err(ParseError::Unknown),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ParseError> {
    serde_json::from_slice(body).map_err(ParseError::Body)
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    /// A key was made.
    Key(NewKeyText),
    /// Keys there are.
    Keys {
        /// All of them, by id.
        keys: Vec<KeyRow>,
    },
    /// Models there are.
    Models {
        /// All of them, by name and version.
        models: Vec<ModelRow>,
    },
    /// A model was added, loaded, unloaded or removed.
    Model(ModelRow),
    /// A run of a gate is on record.
    Recorded {
        /// Id of the record.
        id: DecisionText,
        /// Where it stands: the receipt's text.
        recorded: String,
    },
    /// Erasures, holds and keys of the ledger.
    Kept(Kept),
    /// It waits for a second person.
    Waiting {
        /// The id to agree to.
        approval: String,
        /// Until when, in seconds since the Unix epoch.
        waits_until_s: u64,
    },
    /// What waits for a second person.
    Approvals {
        /// Requests, by id.
        approvals: Vec<ApprovalRow>,
        /// Broken glasses that nobody has reviewed, by id.
        glasses: Vec<GlassRow>,
    },
    /// The glass is broken.
    Glass {
        /// Its id.
        glass: String,
        /// Until when, in seconds since the Unix epoch.
        until_s: u64,
    },
    /// Something was said to what waits.
    Approved {
        /// Its id.
        approved: String,
    },
    /// Policies are in force.
    Policies {
        /// Their digest.
        policies: Digest,
        /// How many they are.
        n_policies: u64,
        /// Where the record of the change stands; absent where nothing changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<String>,
    },
    /// Something was done that has no more to say.
    Done {
        /// Where the record of the act stands: the receipt's text.
        receipt: String,
    },
}

/// A key that was just made: the only moment at which its text can be seen.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NewKeyText {
    /// Its public id.
    pub(crate) id: KeyId,
    /// Whose it is.
    pub(crate) principal: PrincipalName,
    /// When it ends, in seconds since the Unix epoch.
    pub(crate) expires_s: u64,
    /// Its text.
    pub(crate) key: String,
    /// Where the record of its making stands.
    pub(crate) receipt: String,
}

impl std::fmt::Debug for NewKeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewKeyText({}, [redacted])", self.id)
    }
}

/// What came of an operation on erasures, holds and keys of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Kept {
    /// A subject was erased, or is to be.
    Erasure(ErasureRow),
    /// A hold was added or released.
    Hold {
        /// Its id.
        hold: String,
        /// Where that stands, and then every erasure that it let go.
        receipts: Vec<String>,
    },
    /// Holds there are.
    Holds {
        /// All of them, by id.
        holds: Vec<HoldRow>,
        /// Erasures that wait.
        waiting: Vec<String>,
    },
    /// A backup was made.
    BackedUp {
        /// Its id.
        backup: String,
        /// Records that it holds.
        n_records: u64,
        /// Files of its store's half.
        n_files: u64,
        /// Digest of that half's manifest.
        manifest: String,
        /// Where the record of it stands: the last that it holds.
        receipt: String,
    },
    /// What was too old was ended.
    Pruned {
        /// Keys of days.
        n_days: u64,
        /// Keys of subjects.
        n_subjects: u64,
        /// Records that were removed.
        n_records: u64,
        /// What is kept all the same, and why.
        kept: Vec<String>,
        /// Where the records of it stand.
        receipts: Vec<String>,
    },
    /// A key was exchanged.
    Rotated {
        /// How often all keys were wrapped anew.
        generation: u64,
        /// What the operator must know.
        caveats: Vec<String>,
        /// Where the record of the act stands.
        receipt: String,
    },
}

/// An erasure and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ErasureRow {
    /// Its id.
    pub(crate) erasure: String,
    /// `erased`, or `waiting` for a hold.
    pub(crate) state: String,
    /// Keys that were destroyed, or would be: at most one a month.
    pub(crate) n_keys: u64,
    /// Holds that forbid it.
    pub(crate) held_by: Vec<String>,
    /// What the operator must know.
    pub(crate) caveats: Vec<String>,
    /// Where the record of it stands.
    pub(crate) receipt: String,
}

/// One hold in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HoldRow {
    /// Its id.
    pub(crate) hold: String,
    /// `everything` or `a subject`: it knows no name.
    pub(crate) of: String,
    /// Since when, in seconds since the Unix epoch.
    pub(crate) since_s: u64,
}

/// One key in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    /// Its public id.
    pub(crate) id: KeyId,
    /// Whose it is.
    pub(crate) principal: PrincipalName,
    /// What it covers.
    pub(crate) scopes: Scopes,
    /// When it was made, in seconds since the Unix epoch.
    pub(crate) created_s: u64,
    /// When it ends or ended, in seconds since the Unix epoch.
    pub(crate) ends_s: u64,
    /// `live`, `retiring`, `expired` or `revoked`.
    pub(crate) state: String,
    /// The key that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) successor: Option<KeyId>,
}

/// One version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRow {
    /// Its name.
    pub(crate) name: ModelName,
    /// Its version.
    pub(crate) version: ModelVersion,
    /// `loaded` or `unloaded`: what the server is to do with it.
    pub(crate) state: String,
    /// Digest of its file.
    pub(crate) model: Digest,
    /// Digest of its contract.
    pub(crate) contract: Digest,
    /// Length of its file, in bytes.
    pub(crate) model_bytes: u64,
    /// Where the record of the act stands; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
}

#[cfg(test)]
mod tests {
    use bartizan_access::{ModelScope, RevocationKind};

    use super::*;

    fn gate_run() -> GateRun {
        GateRun {
            gate: Gate::Scan,
            outcome: GateOutcome::Failed,
            what: "a".to_owned(),
            summary: "b".to_owned(),
            report: None,
            n_items: 2,
            bytes: 3,
            findings: vec![GateFinding {
                rule: "scan.file.unknown".to_owned(),
                severity: Severity::Medium,
                count: 4,
            }],
            n_more: 5,
        }
    }

    pub(crate) fn examples() -> Vec<Operation> {
        let id: KeyId = "abcdefGH0123".parse().unwrap();
        let name: ModelName = "fraud".parse().unwrap();
        let model = ModelRef { name: name.clone(), version: ModelVersion::FIRST };
        let digest = Digest::of(b"x");
        let scopes = Scopes::inference(ModelScope::Some([name.clone()].into()));
        let decision = "018f6d2c-5b1e-7c3a-9f00-0123456789ab".parse().unwrap();
        vec![
            Operation::KeyIssue(KeyIssue {
                principal: "team/a".parse().unwrap(),
                scopes,
                ttl_s: 60,
            }),
            Operation::KeyRotate(KeyRotate { id, overlap_s: 5 }),
            Operation::KeyRevoke(KeyRevoke { id }),
            Operation::Revoke(Revoke {
                kind: RevocationKind::Principal,
                value: "team/a".to_owned(),
                for_s: 60,
            }),
            Operation::Approve(Approve { id: "0a1b2c".to_owned(), verdict: Verdict::Review }),
            Operation::ApprovalsList,
            Operation::BreakGlass(BreakGlass { reason: "a fire".to_owned(), for_s: 60 }),
            Operation::KeyList,
            Operation::ModelAdd(ModelAdd {
                profile: None,
                name,
                version: None,
                staged: "0".repeat(32),
                model: digest,
                contract: digest,
                unserved: false,
            }),
            Operation::ModelRemove(model.clone()),
            Operation::ModelLoad(model.clone()),
            Operation::ModelUnload(model),
            Operation::ModelList,
            Operation::GuardRelease(GuardRelease {
                principal: "team/a".parse().unwrap(),
                end_user: None,
                reason: "it was a test".into(),
            }),
            Operation::EvidenceOpen(EvidenceOpen { decision: DecisionText(decision) }),
            Operation::Erase(Erase {
                subject: "patient 17".into(),
                is_root: false,
                reason: "art 17".into(),
            }),
            Operation::HoldAdd(HoldAdd { subject: None, reason: "case 4".into() }),
            Operation::HoldRelease(HoldRelease { hold: Hex16([7; 16]), reason: "over".into() }),
            Operation::HoldList,
            Operation::KeysRotate(KeysRotate { what: KeysRotation::Kek, reason: "yearly".into() }),
            Operation::Backup(Backup { to: "/a".into(), keys_to: Some("/b".into()) }),
            Operation::Prune(Prune {
                class: Some(RetentionClass::Days),
                older_than_days: Some(400),
                reason: "yearly".into(),
            }),
            Operation::GateRun(gate_run()),
            Operation::AccessReload(AccessReload { policies: Some(digest) }),
        ]
    }

    /// Every operation survives the way over the socket, and the list of names is whole.
    #[test]
    fn an_operation_reads_back_what_it_sends() {
        let all = examples();
        let names: Vec<_> = all.iter().map(Operation::name).collect();
        assert_eq!(names, Operation::NAMES);
        for operation in all {
            let body = operation.body().unwrap();
            assert_eq!(Operation::parse(operation.name(), &body).unwrap(), operation);
        }
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        let long = format!("{{}}{}", " ".repeat(OPERATION_BYTES_MAX));
        for (name, body) in [
            ("key-make", "{}"),
            ("", "{}"),
            ("key-list", ""),
            ("key-list", "{\"a\":1}"),
            ("key-list", &long),
            ("key-revoke", "{}"),
            ("key-revoke", "{\"id\":\"../../../etc\"}"),
            ("key-revoke", "{\"id\":\"abcdefGH0123\",\"more\":1}"),
            ("model-load", "{\"name\":\"../a\",\"version\":1}"),
            ("model-load", "{\"name\":\"a\",\"version\":0}"),
            ("erase", "{\"subject\":\"\",\"reason\":\"x\"}"),
            ("erase", "{\"subject\":\"x\",\"reason\":\"\"}"),
            ("hold-release", "{\"hold\":\"+0000000000000000000000000000000\",\"reason\":\"x\"}"),
            ("keys-rotate", "{\"what\":\"all\",\"reason\":\"x\"}"),
        ] {
            assert!(Operation::parse(name, body.as_bytes()).is_err(), "accepted {name} {body:?}");
        }
    }
}
