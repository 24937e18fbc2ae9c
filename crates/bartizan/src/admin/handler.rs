//! The server's side of the admin API: the owner's operations as the gateway calls them.

use std::sync::Arc;

use bartizan_access::AdminPermit;
use bartizan_gateway::{Admin, AdminReply};
use serde::{Deserialize, Serialize};

use crate::log::Chain;
use crate::owner::operation::{Operation, Outcome, ParseError};
use crate::owner::{Owner, Refused};

/// What is sent where an operation was not performed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Why, for people.
    pub(crate) error: String,
    /// What kind of no it is.
    pub(crate) kind: FaultKind,
}

/// What kind of no a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultKind {
    /// It makes no sense as it was asked.
    Invalid,
    /// What it is about does not exist.
    NotFound,
    /// It contradicts what is there.
    Conflict,
    /// The policies do not allow it.
    Forbidden,
    /// It cannot be recorded at the moment.
    Unrecordable,
    /// A fault of the server or its machine.
    Failed,
}

impl FaultKind {
    fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Forbidden => 403,
            Self::Unrecordable => 503,
            Self::Failed => 500,
        }
    }
}

impl From<Refused> for FaultKind {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid => Self::Invalid,
            Refused::Absent => Self::NotFound,
            Refused::Conflict => Self::Conflict,
            Refused::Forbidden => Self::Forbidden,
            Refused::Unrecordable => Self::Unrecordable,
            Refused::Failed => Self::Failed,
        }
    }
}

/// Hands operations to the owner.
pub(crate) struct Handler(pub(crate) Arc<Owner>);

impl Admin for Handler {
    fn perform(&self, caller: &AdminPermit, operation: &str, body: &[u8]) -> AdminReply {
        let operation = match Operation::parse(operation, body) {
            Ok(operation) => operation,
            Err(error) => {
                let kind = match error {
                    ParseError::Unknown => FaultKind::NotFound,
                    ParseError::TooLong { .. } | ParseError::Body(_) => FaultKind::Invalid,
                };
                return fault(Chain(&error).to_string(), kind);
            }
        };
        match self.0.perform_for(caller, &operation) {
            Ok(outcome) => done(&outcome),
            Err(error) => fault(Chain(&error).to_string(), error.kind().into()),
        }
    }
}

fn done(outcome: &Outcome) -> AdminReply {
    match serde_json::to_vec(outcome) {
        Ok(body) => AdminReply { status: 200, body },
        Err(error) => fault(error.to_string(), FaultKind::Failed),
    }
}

fn fault(error: String, kind: FaultKind) -> AdminReply {
    // Two short texts always have a JSON form; an empty body would still carry the status.
    let body = serde_json::to_vec(&Fault { error, kind }).unwrap_or_default();
    AdminReply { status: kind.status(), body }
}
