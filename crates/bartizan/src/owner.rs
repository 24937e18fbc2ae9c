//! The one process that owns a store, and what it can be asked to do.
//!
//! Invariants
//! - O1: one process owns a store: an [`Owner`] holds its lock for as long as it lives;
//! - O2: a change is durable in the ledger before it goes live: recorded, then written, then
//!   published. A change that could not be recorded did not happen. (A crash between the first
//!   two leaves a record of something that was only attempted: whoever asked got no answer.)
//! - O3: operations are performed one after another, so that the order of their records is the
//!   order in which they went live.

pub(crate) mod approvals;
mod backup;
mod erasure;
mod gates;
mod guards;
mod identities;
pub(crate) mod keys;
pub(crate) mod log_key;
mod models;
pub(crate) mod operation;
mod prune;
pub(crate) mod reach;
pub(crate) mod reopen;
pub(crate) mod revocations;
pub(crate) mod rights;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_access::{
    ApprovalError, Approvals, Denied, Identities, KeyRing, Keys, KeysError, Policies, PolicyAction,
    SharedError, SharedState,
};
use bartizan_core::{Clock, Disk, Entropy, Erase, EraseError, ModelName, ModelVersion, Principal};
use bartizan_decision::Model;
use bartizan_ledger::{Appender, Publication, Receipt, Sealer, SealingKeysError};
use tracing::info;

use crate::environment::{Environment, OpenError};
use crate::files::FileError;
use crate::gate::Scanner;
use crate::models::prepare::PrepareError;
use crate::models::{Repository, RepositoryError};
use crate::policies::{self, PoliciesError, Texts};
use crate::upstreams::UpstreamFault;
use operation::{Operation, Outcome};
use store::{Act, ActError, Store, StoreError};

/// Keys and models of one moment: what a server makes its snapshot from.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// What requests are authenticated by.
    pub(crate) keys: Arc<KeyRing>,
    /// Whom others vouch for, and who was revoked.
    pub(crate) identities: Arc<Identities>,
    /// What is allowed.
    pub(crate) policies: Arc<Policies>,
    /// What payloads are sealed with.
    pub(crate) sealer: Arc<Sealer>,
    /// Every loaded model, by name and version.
    pub(crate) models: Vec<Arc<Model>>,
}

/// What a server does with a new [`Live`]; called with operations held up, so it must be quick.
pub(crate) type Publish = Box<dyn Fn(Live) + Send + Sync>;

/// Makes a clock that never reads less than so many nanoseconds since the Unix epoch.
pub(crate) type ClockMaker = Arc<dyn Fn(u64) -> Arc<dyn Clock> + Send + Sync>;

/// Time and chance, which the roof gets from outside.
#[derive(Clone)]
pub(crate) struct World {
    /// Time, from the last record on.
    pub(crate) clock_not_before: ClockMaker,
    /// Randomness.
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Gates beside the ledger that keep something by subject.
    pub(crate) erasers: Vec<Arc<dyn Erase>>,
    /// What judges models before they are loaded.
    pub(crate) scanner: Arc<dyn Scanner>,
}

/// Why a store could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// The environment's files are not in order.
    #[error(transparent)]
    Environment(#[from] OpenError),
    /// The policies are not.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    /// The store is not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was revoked before cannot be read.
    #[error(
        "the list of what was revoked, `keys/revocations.json`, cannot be trusted; restore it from a backup"
    )]
    Revocations(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What waits for a second person cannot be read.
    #[error(
        "the list of what waits for a second person, `keys/approvals.json`, cannot be read; restore it from a backup, or remove it: what waits must then be asked for again"
    )]
    Approvals(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why an operation was not performed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperationError {
    /// The key book says no.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The repository says no.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The model cannot be served.
    #[error(transparent)]
    Prepare(Box<PrepareError>),
    /// The model is too much.
    #[error(
        "model `{name}` version {version} would bring the loaded models to {bytes} bytes, `models.resident_bytes_max` is {limit_bytes}; unload another or raise the limit"
    )]
    Memory {
        /// Its name.
        name: ModelName,
        /// Its version.
        version: ModelVersion,
        /// What all would hold, in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// There is no profile, and there must be.
    #[error(
        "model `{name}` has no profile, which `guard.profile_required` asks for; make one with `bartizan guard fit` and add the model with `--profile`, or name it in `guard.without_profile`"
    )]
    Unprofiled {
        /// Its name.
        name: ModelName,
    },
    /// A run of a gate is told in a way that is none of ours.
    #[error(
        "a gate's run has at most {} findings, each with a rule's id of letters, 0-9, `-` and `.`",
        bartizan_core::limits::FINDINGS_MAX
    )]
    GateRun,
    /// The key store does not do it.
    #[error(transparent)]
    Sealing(#[from] SealingKeysError),
    /// A backup needs a folder of its own.
    #[error("`{}` is not empty; choose a new folder", folder.display())]
    NotEmpty {
        /// The folder.
        folder: std::path::PathBuf,
    },
    /// Too young to be ended.
    #[error(
        "nothing younger than {days_min} days may be ended (`retention.{class}.days_min`), asked was {days}"
    )]
    TooYoung {
        /// Of what.
        class: &'static str,
        /// How old, in days.
        days: u32,
        /// The least.
        days_min: u32,
    },
    /// What stands for a person is none.
    #[error("what stands for a person is 64 hexadecimal digits")]
    Root,
    /// Which records are too old cannot be told.
    #[error("cannot read the log to prune it")]
    Prunable(#[source] bartizan_ledger::ReadError),
    /// Records that are on record as pruned are not all gone.
    #[error("the tombstone is on record, but not every segment could be removed; prune again")]
    Remove(#[source] std::io::Error),
    /// The log cannot be copied.
    #[error(transparent)]
    Copy(#[from] bartizan_ledger::CopyError),
    /// Another gate does not erase.
    #[error("the erasure is not complete; repeat it once the cause is gone")]
    Gate(#[from] EraseError),
    /// A revocation makes no sense, or cannot be shared with the other replicas.
    #[error("the revocation is not in force on all replicas")]
    Shared(#[source] SharedError),
    /// There is no agreement.
    #[error(transparent)]
    Approval(ApprovalError),
    /// O4.
    #[error("the policies do not allow `{action}` on {about}; `bartizan access why` explains")]
    Denied {
        /// The action.
        action: PolicyAction,
        /// On what.
        about: String,
        /// Why.
        source: Denied,
    },
    /// The policies are not in order; the old ones stay in force.
    #[error("the policies were not changed")]
    Policies(#[source] PoliciesError),
    /// The policies were changed while they were looked at.
    #[error("the policy files have changed since they were checked; look again and repeat")]
    PoliciesMoved,
    /// A model that has not moved is not in order.
    #[error(transparent)]
    Upstream(Box<UpstreamFault>),
    /// O2: so it was not done.
    #[error("the act could not be recorded, so it was not done")]
    Unrecorded(#[source] ActError),
    /// It is on record, but the file that makes it last could not be written.
    #[error("the act is on record, but could not be completed; repeat it once the cause is gone")]
    Incomplete(#[source] FileError),
}

/// What kind of no an operation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It makes no sense as it was asked.
    Invalid,
    /// What it is about does not exist.
    Absent,
    /// It contradicts what is there.
    Conflict,
    /// It cannot be recorded at the moment.
    Unrecordable,
    /// The policies do not allow it.
    Forbidden,
    /// A fault of ours or the machine's.
    Failed,
}

// Boxed: an error is a pointer's worth to everything that succeeds.
impl From<PrepareError> for OperationError {
    fn from(error: PrepareError) -> Self {
        Self::Prepare(Box::new(error))
    }
}

impl From<UpstreamFault> for OperationError {
    fn from(fault: UpstreamFault) -> Self {
        Self::Upstream(Box::new(fault))
    }
}

impl OperationError {
    /// Its kind.
    pub(crate) fn kind(&self) -> Refused {
        match self {
            Self::Keys(KeysError::NoSuchKey { .. } | KeysError::NoSuchPrincipal { .. })
            | Self::Repository(
                RepositoryError::Absent { .. } | RepositoryError::NotStaged { .. },
            ) => Refused::Absent,
            Self::Keys(
                KeysError::Scopes(_) | KeysError::Ttl { .. } | KeysError::Overlap { .. },
            )
            | Self::Prepare(_)
            | Self::Policies(_)
            | Self::Upstream(_)
            | Self::GateRun => Refused::Invalid,
            Self::Denied { .. } => Refused::Forbidden,
            Self::Keys(
                KeysError::KeysFull
                | KeysError::PrincipalsFull
                | KeysError::Ended { .. }
                | KeysError::Replaced { .. },
            )
            | Self::Repository(
                RepositoryError::Present { .. }
                | RepositoryError::Full
                | RepositoryError::Changed { .. },
            )
            | Self::PoliciesMoved
            | Self::Unprofiled { .. }
            | Self::Memory { .. } => Refused::Conflict,
            Self::Sealing(SealingKeysError::NoSuchHold(_)) => Refused::Absent,
            Self::NotEmpty { .. } | Self::TooYoung { .. } => Refused::Conflict,
            Self::Unrecorded(_) => Refused::Unrecordable,
            Self::Approval(ApprovalError::Absent) => Refused::Absent,
            Self::Approval(
                ApprovalError::Own
                | ApprovalError::Twice
                | ApprovalError::NotCounted
                | ApprovalError::Full
                | ApprovalError::Unreviewed,
            ) => Refused::Conflict,
            Self::Approval(
                ApprovalError::TooLong | ApprovalError::Reason | ApprovalError::Span,
            ) => Refused::Invalid,
            Self::Root | Self::Shared(SharedError::List(_)) => Refused::Invalid,
            Self::Shared(SharedError::Unreachable(_)) => Refused::Failed,
            Self::Keys(KeysError::Entropy)
            | Self::Repository(RepositoryError::File(_) | RepositoryError::Entry { .. })
            | Self::Sealing(_)
            | Self::Gate(_)
            | Self::Copy(_)
            | Self::Prunable(_)
            | Self::Remove(_)
            | Self::Incomplete(_) => Refused::Failed,
        }
    }
}

type Models = BTreeMap<(ModelName, ModelVersion), Arc<Model>>;

struct State {
    keys: Keys,
    identities: Arc<Identities>,
    policies: Arc<Policies>,
    policy_texts: Texts,
    models: Models,
    /// Guards of models with a profile; they outlive a model's being unloaded.
    guards: guards::Guards,
    /// Absent where no server runs in this process: then models are only checked.
    publish: Option<Publish>,
}

/// The owner of a store; see the module invariants.
pub(crate) struct Owner {
    environment: Environment,
    store: Store,
    repository: Repository,
    world: World,
    /// What all replicas share about access, where they share something.
    shared: Option<Arc<dyn SharedState>>,
    /// What waits for a second person.
    approvals: Mutex<Approvals>,
    state: Mutex<State>,
}

impl Owner {
    /// Takes the store of `environment`: its lock, then its log, which is recovered where the
    /// last owner did not close it.
    ///
    /// # Errors
    /// [`TakeError`]; [`StoreError::Held`] where another process owns it.
    pub(crate) fn take(environment: Environment, world: World) -> Result<Self, TakeError> {
        let store = Store::open(&environment, &world)?;
        let keys = environment.key_book()?;
        let folder = environment.policies_dir();
        let (policies, policy_texts) = policies::load(&folder, &environment.config().environment)?;
        let policies = Arc::new(policies);
        let models = environment.config().models.clone();
        let repository = Repository::new(environment.models_dir(), models.file_bytes_max);
        repository.sweep(store.clock().now().raw_ns);
        let state = Mutex::new(State {
            keys,
            identities: Arc::new(Identities::none()),
            policies,
            policy_texts,
            models: Models::new(),
            guards: guards::Guards::default(),
            publish: None,
        });
        let approvals = Mutex::default();
        let shared = revocations::shared_folder(&environment)
            .map(|folder| Arc::new(folder) as Arc<dyn SharedState>);
        let owner = Self { environment, store, repository, world, shared, approvals, state };
        owner.load_revocations().map_err(TakeError::Revocations)?;
        owner.load_approvals().map_err(TakeError::Approvals)?;
        owner.resume_erasures();
        Ok(owner)
    }

    /// The environment.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The way into the ledger.
    pub(crate) fn appender(&self) -> Appender {
        self.store.appender()
    }

    /// Makes the sealing keys of today and tomorrow where they are missing.
    /// To be called every few minutes, from a thread that may block.
    ///
    /// # Errors
    /// [`SealingKeysError`]; sealing goes on with the keys there are, which a new day has not.
    pub(crate) fn maintain(&self) -> Result<(), SealingKeysError> {
        self.store.maintain()
    }

    /// The clock, which never reads less than the log's last record.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.store.clock()
    }

    /// The store, for those who read what is published in it.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        self.store.disk()
    }

    /// What was published of the ledger, for those who wait for it.
    pub(crate) fn publication(&self) -> Publication {
        self.store.publication()
    }

    /// Whether anything outside the store remembers how long the ledger is.
    pub(crate) fn is_anchored(&self) -> bool {
        self.store.is_anchored()
    }

    /// Whether records may be lost with the machine's power.
    pub(crate) fn is_volatile(&self) -> bool {
        self.store.is_volatile()
    }

    /// Loads every model that is to be served, hands `publish` what there is, and calls it again
    /// after every change. Says which models could not be loaded: they are left out, and the
    /// others serve.
    pub(crate) fn serve(&self, publish: Publish) -> Vec<(ModelName, ModelVersion, OperationError)> {
        let mut state = self.state();
        let faults = self.load_all(&mut state);
        state.publish = Some(publish);
        self.publish(&state);
        faults
    }

    /// Keys and models of this moment.
    pub(crate) fn live(&self) -> Live {
        self.live_of(&self.state())
    }

    /// Performs `operation` for `caller`, whoever else had to agree.
    fn perform_now(
        &self,
        caller: &Principal,
        operation: &Operation,
    ) -> Result<Outcome, OperationError> {
        let outcome = match operation {
            Operation::KeyIssue(issue) => self.issue_key(caller, issue),
            Operation::KeyRotate(rotate) => self.rotate_key(caller, rotate),
            Operation::KeyRevoke(revoke) => self.revoke_key(caller, revoke),
            Operation::Revoke(revoke) => self.revoke(caller, revoke),
            Operation::Approve(approve) => self.decide_approval(caller, approve),
            Operation::ApprovalsList => self.list_approvals(caller),
            Operation::BreakGlass(asked) => self.break_glass(caller, asked),
            Operation::KeyList => Ok(self.list_keys()),
            Operation::ModelAdd(add) => self.add_model(caller, add),
            Operation::ModelRemove(model) => self.remove_model(caller, model),
            Operation::ModelLoad(model) => self.load_model(caller, model),
            Operation::ModelUnload(model) => self.unload_model(caller, model),
            Operation::ModelList => self.list_models(),
            Operation::GuardRelease(release) => self.release_guarded(caller, release),
            Operation::GateRun(run) => self.record_gate_run(caller, run),
            Operation::Erase(erase) => self.erase(caller, erase),
            Operation::HoldAdd(add) => self.add_hold(caller, add),
            Operation::HoldRelease(release) => self.release_hold(caller, release),
            Operation::HoldList => Ok(self.list_holds()),
            Operation::KeysRotate(rotate) => self.rotate_keys(caller, rotate),
            Operation::Backup(backup) => self.back_up(caller, backup),
            Operation::AccessReload(reload) => self.reload_policies(caller, reload.policies),
            Operation::Prune(prune) => self.prune(caller, prune),
            Operation::EvidenceOpen(open) => {
                let act = Act::EvidenceOpened { decision: open.decision.0 };
                let receipt = self.record(caller, &act)?;
                Ok(Outcome::Done { receipt: receipt.to_string() })
            }
        };
        match &outcome {
            Ok(_) => info!(operation = operation.name(), by = %caller.name, "admin.operation.done"),
            Err(error) => info!(
                operation = operation.name(),
                by = %caller.name,
                kind = ?error.kind(),
                "admin.operation.refused"
            ),
        }
        outcome
    }

    /// Puts an act on record and waits until that is durable; the server's own acts (start,
    /// stop, reload) among them.
    ///
    /// # Errors
    /// [`OperationError::Unrecorded`].
    pub(crate) fn record(&self, caller: &Principal, act: &Act) -> Result<Receipt, OperationError> {
        let recorded = self.store.record(caller, act, &*self.world.entropy);
        recorded.map_err(OperationError::Unrecorded)
    }

    /// Puts on record what the owner does of itself.
    fn record_own(&self, act: bartizan_ledger::Act<'_>) -> Result<Receipt, OperationError> {
        let recorded = self.store.append(act, &*self.world.entropy);
        recorded.map(|(_, receipt)| receipt).map_err(OperationError::Unrecorded)
    }

    /// Who this process is to the store: `local/<uid>`.
    ///
    /// # Errors
    /// [`StoreError::ForeignUid`] unless it runs as the store's owner or root.
    pub(crate) fn local_principal(&self) -> Result<Principal, StoreError> {
        store::local_principal(&self.environment, &self.state().keys.ring())
    }

    fn live_of(&self, state: &State) -> Live {
        Live {
            keys: Arc::new(state.keys.ring()),
            identities: state.identities.clone(),
            policies: state.policies.clone(),
            sealer: self.store.sealer(),
            models: state.models.values().cloned().collect(),
        }
    }

    fn publish(&self, state: &State) {
        if let Some(publish) = &state.publish {
            publish(self.live_of(state));
        }
    }

    fn now_s(&self) -> u64 {
        self.store.clock().now().unix_s()
    }

    /// A lock whose holder panicked still guards a whole state: it is replaced part by whole
    /// part, each after its act is durable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
