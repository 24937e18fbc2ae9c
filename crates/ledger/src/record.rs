//! The record: what the log keeps of a decision, a tally of refusals, or an act.
//!
//! Its bytes (`docs/formats/record.md`) are the truth and are never changed; JSON is a view of
//! them. The same types are written from a request's own values and read back borrowing from the
//! leaf, so neither way copies a text.
//!
//! Invariants
//! - R1: no record is longer than `limits::RECORD_BYTES_MAX`: texts are cut at
//!   [`TEXT_BYTES_MAX`], lists are bounded;
//! - R2: a record holds no input value and no person's name: who and whom are pseudonyms, what
//!   was said is sealed beside it;
//! - R3: the same record has the same bytes, whenever and wherever it is encoded.

mod decode;
mod encode;
mod view;

use std::borrow::Cow;

use bartizan_core::Obligations;
use bartizan_core::clock::Stamp;
use bartizan_core::digest::Digest;
use bartizan_core::finding::{Finding, Findings, Severity, Verdict};
use bartizan_core::id::DecisionId;
use bartizan_core::principal::Pseudonym;

pub use crate::read_cbor::DecodeError;
pub(crate) use decode::{id_of, wall_ns_of};

/// Longest text in a record, in bytes; a longer one is cut at a character.
pub const TEXT_BYTES_MAX: usize = 256;
/// Most samples that a tally keeps.
pub const SAMPLES_MAX: usize = 8;

/// Most policies that a record names as those that decided.
pub const POLICIES_MAX: usize = 32;
/// Most outputs, and most inputs, that a record names in its obligations.
pub const OBLIGED_NAMES_MAX: usize = 64;

/// Most keys that one act lists: a subject's of 85 years, 16 KiB.
pub const ACT_KEYS_MAX: usize = 1_024;

/// A text of a record: borrowed while it is written or read, owned where it must last.
pub type Text<'a> = Cow<'a, str>;

/// One record; see the module invariants.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// Its id.
    pub id: DecisionId,
    /// When it was decided.
    pub at: Stamp,
    /// The environment's name.
    pub environment: Text<'a>,
    /// The replica's name.
    pub replica: Text<'a>,
    /// Whether the store does not survive a loss of power.
    pub volatile: bool,
    /// What happened.
    pub body: Body<'a>,
}

/// What a record is of.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// One request that was judged.
    Decision(Box<Decision<'a>>),
    /// Refusals folded into one.
    Tally(Tally<'a>),
    /// What an operator or the server itself did.
    Act(Box<Act<'a>>),
}

/// One request that was judged.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Decision<'a> {
    /// Who asked.
    pub principal: Option<Pseudonym>,
    /// How it proved itself: `api-key:<id>`.
    pub proof: Option<Text<'a>>,
    /// What for, in the policy's words.
    pub purpose: Option<Text<'a>>,
    /// Whom it is about.
    pub subject: Option<Pseudonym>,
    /// Whose act in the caller's own system it was.
    pub end_user: Option<Pseudonym>,
    /// The caller's own id for it.
    pub correlation: Option<Pseudonym>,
    /// The listener it came in at.
    pub listener: Text<'a>,
    /// The route, in the server's own words.
    pub route: Text<'a>,
    /// The protocol, in the server's own words.
    pub protocol: Text<'a>,
    /// The model.
    pub model: Option<ModelRef<'a>>,
    /// What ran it.
    pub engine: Option<EngineRef<'a>>,
    /// What was in force.
    pub digests: Digests,
    /// What was seen and said.
    pub commitments: Commitments,
    /// Rows of the request; row `i` is `<id>/<i>`.
    pub n_rows: u64,
    /// What was found.
    pub findings: FindingList<'a>,
    /// What was concluded.
    pub verdict: Verdict,
    /// Why there was no answer, as the caller was told.
    pub refusal: Option<Text<'a>>,
    /// Position in the order in which a stateful guard saw requests.
    pub guard_step: Option<u64>,
    /// The caller's trace.
    pub trace_context: Option<TraceContext>,
    /// The server that the model really ran on, where that is another.
    pub upstream: Option<Upstream<'a>>,
    /// Where the time went.
    pub durations: Durations,
    /// Ids of the policies that decided: those that permit where access was given, those that
    /// forbid where one did, none where nothing permits.
    pub policies: Vec<Text<'a>>,
    /// What the permit obliged to, of policies and credential together.
    pub obligations: Obligations,
}

/// A model, by all that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef<'a> {
    /// Its registered name.
    pub name: Text<'a>,
    /// Its version, from 1.
    pub version: u32,
    /// Digest of its file.
    pub digest: Digest,
}

/// What ran a model: enough to run it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRef<'a> {
    /// The adapter.
    pub engine: Text<'a>,
    /// Version of its arithmetic.
    pub version: Text<'a>,
    /// What else decides the bits; empty where nothing does.
    pub settings: Text<'a>,
}

/// Digests of what was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Digests {
    /// Keys and policies.
    pub policy: Option<Digest>,
    /// The model's contract.
    pub contract: Option<Digest>,
    /// What the guard learnt.
    pub profile: Option<Digest>,
    /// All of the configuration that the request was judged under.
    pub snapshot: Option<Digest>,
}

/// Commitments to what is sealed (`docs/formats/sealing.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Commitments {
    /// The exact bytes received.
    pub received: Option<[u8; 32]>,
    /// The input tensors, row by row.
    pub tensors: Option<[u8; 32]>,
    /// The model's whole output, before obligations took from it.
    pub output: Option<[u8; 32]>,
    /// The exact reply.
    pub reply: Option<[u8; 32]>,
}

/// Findings as a record keeps them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FindingList<'a> {
    /// The first of them, in the order in which they were found.
    pub kept: Vec<RecordedFinding<'a>>,
    /// How many were found beyond those.
    pub n_more: u64,
}

/// One finding as a record keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedFinding<'a> {
    /// Id of the rule.
    pub rule: Text<'a>,
    /// How much it matters.
    pub severity: Severity,
    /// Where, in the model's or operator's words.
    pub field: Option<Text<'a>>,
    /// First row it was seen in.
    pub row: Option<u64>,
    /// How many elements or rows show it.
    pub count: u64,
    /// How strongly, on the rule's own scale.
    pub score: f64,
}

impl<'a> From<&'a Finding> for RecordedFinding<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            rule: finding.rule.id.into(),
            severity: finding.rule.severity,
            field: finding.place.field.as_deref().map(Cow::Borrowed),
            row: finding.place.row,
            count: finding.count,
            score: finding.score,
        }
    }
}

impl<'a> From<&'a Findings> for FindingList<'a> {
    fn from(findings: &'a Findings) -> Self {
        let kept = findings.kept().iter().map(RecordedFinding::from).collect();
        Self { kept, n_more: findings.n_more() }
    }
}

/// The caller's place in a distributed trace (W3C Trace Context, `traceparent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Id of the whole trace.
    pub trace_id: [u8; 16],
    /// Id of the caller's span.
    pub span_id: [u8; 8],
    /// Flags.
    pub flags: u8,
}

/// A server that a model really ran on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream<'a> {
    /// Digest of its address and certificate.
    pub digest: Digest,
    /// The version that it reported.
    pub version: Option<Text<'a>>,
}

/// Nanoseconds of each step; 0 where it was not reached or not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Durations {
    /// Until the whole body had arrived and was parsed.
    pub read_ns: u64,
    /// Authentication and policy.
    pub admit_ns: u64,
    /// The guards before the model.
    pub guard_ns: u64,
    /// The model, waiting for a batch included.
    pub predict_ns: u64,
    /// The guards after the model, obligations, the reply.
    pub review_ns: u64,
}

/// Refusals folded into one record: exact counts, a few samples.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tally<'a> {
    /// The listener they came in at.
    pub listener: Text<'a>,
    /// What callers were told.
    pub refusal: Text<'a>,
    /// What was wrong with the credential, where that was it.
    pub failure: Option<Text<'a>>,
    /// Keyed hash of the address prefix.
    pub source: Option<Pseudonym>,
    /// Who asked, where that was known.
    pub principal: Option<Pseudonym>,
    /// How many.
    pub count: u64,
    /// Wall time of the first, in nanoseconds since the Unix epoch.
    pub from_ns: u64,
    /// Wall time of the last.
    pub to_ns: u64,
    /// Wall times of some of them, at most [`SAMPLES_MAX`].
    pub samples_ns: Vec<u64>,
}

macro_rules! act_kinds {
    ($($(#[$doc:meta])* $variant:ident $code:literal $text:literal),* $(,)?) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ActKind {
            $($(#[$doc])* $variant,)*
            /// An act that only a later release knows, by its number.
            Other(u64),
        }

        impl ActKind {
            /// All that this release knows.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its number in a record.
            pub fn code(self) -> u64 {
                match self { $(Self::$variant => $code,)* Self::Other(code) => code }
            }

            /// The act of that number.
            pub fn from_code(code: u64) -> Self {
                match code { $($code => Self::$variant,)* _ => Self::Other(code) }
            }

            /// The word for people.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Other(_) => "other" }
            }
        }
    };
}

act_kinds! {
    /// An environment was made.
    Init 0 "init",
    /// A server began to serve.
    Started 1 "started",
    /// A server ended in order.
    Stopped 2 "stopped",
    /// The log was opened after a crash; `bytes` of an unfinished group were cut.
    Recovered 3 "recovered",
    /// Decisions could not be recorded: `count` requests were refused from `from_ns` to `to_ns`.
    Gap 4 "gap",
    /// A key was issued.
    KeyIssued 5 "key-issued",
    /// A key was replaced by another.
    KeyRotated 6 "key-rotated",
    /// A key was revoked.
    KeyRevoked 7 "key-revoked",
    /// A model was added to the environment.
    ModelAdded 8 "model-added",
    /// A model was removed from it.
    ModelRemoved 9 "model-removed",
    /// A model was loaded into a server.
    ModelLoaded 10 "model-loaded",
    /// A model was unloaded from a server.
    ModelUnloaded 11 "model-unloaded",
    /// Configuration, keys, certificates were read again.
    ConfigReloaded 12 "config-reloaded",
    /// A sealed payload was opened.
    EvidenceOpened 13 "evidence-opened",
    /// Keys of an environment were listed.
    KeysListed 14 "keys-listed",
    /// A gate's command was run: `resource` says on what, `reason` what was concluded, `count`
    /// and `bytes` how much was judged, `snapshot` is the digest of the report.
    GateRun 15 "gate-run",
    /// A model's file was scanned before it was to be loaded.
    ModelScanned 16 "model-scanned",
    /// Other policies came into force; `count` are they.
    PolicyChanged 20 "policy-changed",
    /// An operation was refused by the policies or by a credential's scopes.
    AccessRefused 21 "access-refused",
    /// Keys of a subject are about to be destroyed: `resource` names the erasure, `keys` lists them.
    ErasureBegun 30 "erasure-begun",
    /// They were: whoever holds every byte ever written opens nothing that lies under them.
    Erased 31 "erased",
    /// A hold forbids an erasure: it waits for the hold's release.
    ErasureWaiting 32 "erasure-waiting",
    /// A legal hold was added.
    HoldAdded 33 "hold-added",
    /// A legal hold was released.
    HoldReleased 34 "hold-released",
    /// All keys were wrapped anew under a fresh key-encryption key.
    KekRotated 35 "kek-rotated",
    /// The key behind pseudonyms was exchanged.
    PepperRotated 36 "pepper-rotated",
    /// The log's own key was exchanged.
    LogKeyRotated 37 "log-key-rotated",
    /// A backup was made: it holds the log up to this record.
    BackedUp 38 "backed-up",
    /// The store was restored from a backup.
    Restored 39 "restored",
    /// Records that were too old were removed, or their keys destroyed.
    Pruned 40 "pruned",
    /// The store's formats were brought up to this release's.
    StoreUpgraded 41 "store-upgraded",
    /// An issuer of tokens publishes other keys than before.
    IssuerKeysChanged 50 "issuer-keys-changed",
    /// A credential or a principal was revoked on all replicas.
    AccessRevoked 51 "access-revoked",
    /// Something that takes two people was asked for.
    ApprovalRequested 52 "approval-requested",
    /// Somebody else agreed to it.
    ApprovalGiven 53 "approval-given",
    /// Somebody refused it, or took it back.
    ApprovalRefused 54 "approval-refused",
    /// Nobody agreed in time.
    ApprovalExpired 55 "approval-expired",
    /// What takes two people may be done by one, for a while and for a reason.
    GlassBroken 56 "glass-broken",
    /// Somebody else looked at what was done meanwhile.
    GlassReviewed 57 "glass-reviewed",
    /// A new epoch of the log began after a loss: `resource` names the epoch before, `reason`
    /// cites its last known checkpoint, `count` says how many records are lost.
    EpochBegun 60 "epoch-begun",
    /// The system's clock went back by more than it may; readiness went off.
    ClockStepped 61 "clock-stepped",
    /// A witness says that the log was rolled back or forked: `reason` says which and who.
    WitnessAlarmed 70 "witness-alarmed",
    /// Checkpoints cannot be time-stamped from now on: `reason` says why.
    StampFailed 71 "stamp-failed",
    /// What the request gate held a caller by was lifted: `resource` names it by pseudonym.
    GuardReleased 80 "guard-released",
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Outcome {
    /// It was done.
    #[default]
    Done,
    /// It was refused, for want of a right or because it could not be.
    Refused,
    /// It was tried and failed.
    Failed,
}

impl Outcome {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What an operator or the server itself did.
#[derive(Clone, Debug, PartialEq)]
pub struct Act<'a> {
    /// What.
    pub kind: ActKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Who.
    pub principal: Option<Pseudonym>,
    /// How it proved itself.
    pub proof: Option<Text<'a>>,
    /// On what: a key's id, `<model>/<version>`, a decision's id, a file.
    pub resource: Option<Text<'a>>,
    /// Why, in the operator's or the server's words; never a person's name.
    pub reason: Option<Text<'a>>,
    /// The model, where it is about one.
    pub model: Option<ModelRef<'a>>,
    /// What is in force after it.
    pub digests: Digests,
    /// How many, where the kind says so.
    pub count: Option<u64>,
    /// How many bytes, where the kind says so.
    pub bytes: Option<u64>,
    /// Since when, in nanoseconds since the Unix epoch, where the kind says so.
    pub from_ns: Option<u64>,
    /// Until when.
    pub to_ns: Option<u64>,
    /// What a gate found.
    pub findings: FindingList<'a>,
    /// Keys of subjects that it is about, by what their records call the subject; at most
    /// [`ACT_KEYS_MAX`].
    pub keys: Vec<Pseudonym>,
}

impl Act<'_> {
    /// An act of `kind` that was done, with nothing else said.
    pub fn new(kind: ActKind) -> Self {
        Self {
            kind,
            outcome: Outcome::Done,
            principal: None,
            proof: None,
            resource: None,
            reason: None,
            model: None,
            digests: Digests::default(),
            count: None,
            bytes: None,
            from_ns: None,
            to_ns: None,
            keys: Vec::new(),
            findings: FindingList::default(),
        }
    }
}

#[cfg(test)]
mod tests;
