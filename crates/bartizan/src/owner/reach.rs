//! How a verb reaches the owner of a store: in this process where the lock is free, else through
//! the owner's socket. The outcome is the same.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::operation::{Operation, Outcome};
use super::store::StoreError;
use super::{OperationError, Owner, TakeError, World};
use crate::admin::client::{self, CallError};
use crate::admin::handler::{Fault, FaultKind};
use crate::answer::Answer;
use crate::environment::Environment;

/// How long a store that is locked but has no socket yet (its owner starts or stops) is waited
/// for.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Who owns the store.
pub(crate) enum Reach {
    /// This process.
    Here(Box<Owner>),
    /// Another one, behind its socket.
    There(PathBuf),
}

/// Why an operation has no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// The store cannot be taken.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The owner in this process says no.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// It takes two people.
    #[error("it takes two people and waits for another until {}: `bartizan approve {approval}`", crate::render::time::seconds(*until_s))]
    Waiting {
        /// The id to agree to.
        approval: String,
        /// Until when, in seconds since the Unix epoch.
        until_s: u64,
    },
    /// The owner in another process says no.
    #[error("{}", .0.error)]
    Fault(Fault),
    /// The owner in another process cannot be reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It answers something that we do not understand.
    #[error("the store's owner is of another release: its answer (status {status}) does not read")]
    Foreign {
        /// HTTP status.
        status: u16,
        /// What does not read.
        source: serde_json::Error,
    },
}

impl ReachError {
    /// The owner answered something that was not asked.
    pub(crate) fn other_question() -> Self {
        let source = serde::de::Error::custom("it answers another question");
        Self::Foreign { status: 200, source }
    }

    /// What the command concludes from it.
    pub(crate) fn answer(&self) -> Answer {
        let kind = match self {
            Self::Operation(error) => error.kind().into(),
            Self::Fault(fault) => fault.kind,
            Self::Waiting { .. } => return Answer::No,
            Self::Take(_) | Self::Call(_) | Self::Foreign { .. } => return Answer::Unknown,
        };
        match kind {
            FaultKind::Invalid
            | FaultKind::NotFound
            | FaultKind::Conflict
            | FaultKind::Forbidden => Answer::No,
            FaultKind::Unrecordable | FaultKind::Failed => Answer::Unknown,
        }
    }
}

impl Reach {
    /// Takes the store of the environment in `root`, or finds who has it.
    ///
    /// # Errors
    /// [`ReachError::Take`], and [`ReachError::Call`] where the owner has no socket.
    pub(crate) fn open(root: &std::path::Path, world: &World) -> Result<Self, ReachError> {
        let begun = Instant::now();
        loop {
            let environment = Environment::open(root).map_err(TakeError::from)?;
            let socket = environment.socket();
            match Owner::take(environment, world.clone()) {
                Ok(owner) => return Ok(Self::Here(Box::new(owner))),
                Err(TakeError::Store(StoreError::Held { .. })) => {}
                Err(error) => return Err(error.into()),
            }
            match client::probe(&socket) {
                Ok(()) => return Ok(Self::There(socket)),
                Err(error) if WAIT_MAX < begun.elapsed() => return Err(error.into()),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Performs `operation` as `local/<uid>`. What has to wait for a second person is an error that
    /// says so.
    ///
    /// # Errors
    /// [`ReachError`].
    pub(crate) fn perform(&self, operation: &Operation) -> Result<Outcome, ReachError> {
        let outcome = self.ask(operation)?;
        if let Outcome::Waiting { approval, waits_until_s } = outcome {
            return Err(ReachError::Waiting { approval, until_s: waits_until_s });
        }
        Ok(outcome)
    }

    fn ask(&self, operation: &Operation) -> Result<Outcome, ReachError> {
        match self {
            Self::Here(owner) => {
                let permit = owner.local_permit().map_err(TakeError::from)?;
                if !matches!(operation, Operation::AccessReload(_)) {
                    owner.enforce_changed_policies(permit.principal())?;
                }
                Ok(owner.perform_for(&permit, operation)?)
            }
            Self::There(socket) => {
                let foreign = |status| move |source| ReachError::Foreign { status, source };
                let body = operation.body().map_err(foreign(0))?;
                let answer = client::call(socket, operation.name(), &body)?;
                let status = answer.status;
                if status == 200 {
                    serde_json::from_slice(&answer.body).map_err(foreign(status))
                } else {
                    let fault = serde_json::from_slice(&answer.body).map_err(foreign(status))?;
                    Err(ReachError::Fault(fault))
                }
            }
        }
    }
}
