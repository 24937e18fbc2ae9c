//! What a credential may do, as values that only these functions can make.
//!
//! Invariants
//! - P1: a permit exists only where the credential covers the act; it is not `Clone`, `Default`
//!   or `Deserialize`, and its fields are private, so a handler that asks for one cannot be
//!   reached without;
//! - P2: nothing is covered by default, and no action covers another;
//! - P3: what a caller asserts about a request needs the scope for that assertion.
//!
//! A permit cannot be made by hand, nor kept for a second act:
//!
//! ```
//! # use bartizan_access::{Credential, permit_infer, Permit};
//! # use bartizan_core::ModelName;
//! fn handler(permit: Permit) -> ModelName { permit.model().clone() }
//! fn admit(credential: &Credential, model: &ModelName) -> Option<ModelName> {
//!     let permit = permit_infer(credential, model, None, &[]).ok()?;
//!     Some(handler(permit))
//! }
//! ```
//! ```compile_fail,E0599
//! # use bartizan_access::{Credential, permit_infer, Permit};
//! # use bartizan_core::ModelName;
//! fn handler(permit: Permit) -> ModelName { permit.model().clone() }
//! fn admit(credential: &Credential, model: &ModelName) -> Option<ModelName> {
//!     let permit = permit_infer(credential, model, None, &[]).ok()?;
//!     Some(handler(permit.clone()))
//! }
//! ```
//! ```compile_fail,E0277
//! fn is_default<T: Default>() {}
//! is_default::<bartizan_access::Permit>();
//! ```
//! ```compile_fail,E0277
//! fn can_be_read_from_bytes<T: serde::de::DeserializeOwned>() {}
//! can_be_read_from_bytes::<bartizan_access::Permit>();
//! ```

use std::fmt;

use bartizan_core::{AuthProof, ModelName, Obligations, Principal, PrincipalName, Pseudonym};

use crate::credential::Credential;
use crate::scopes::{Action, Assertion};

/// Why an act is not covered. For the operator: a caller gets one answer for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The credential is not for this kind of act.
    #[error("the credential does not cover the action `{0}`")]
    Action(Action),
    /// The credential is for other models.
    #[error("the credential does not cover this model")]
    Model,
    /// The caller may not say such a thing.
    #[error("the credential may not assert the `{0}`")]
    Assertion(Assertion),
    /// The purpose is not one of the credential's.
    #[error("the purpose is not among the credential's purposes")]
    Purpose,
    /// The credential has several purposes and the request names none.
    #[error("the credential has several purposes and the request asserts none")]
    PurposeMissing,
    /// The process at the other end of the socket is neither the owner's nor root's.
    #[error("the local user is neither the owner of the store nor root")]
    ForeignUid,
}

impl Denied {
    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action(_) => "action-not-covered",
            Self::Model => "model-not-covered",
            Self::Assertion(_) => "assertion-not-covered",
            Self::Purpose => "purpose-not-covered",
            Self::PurposeMissing => "purpose-missing",
            Self::ForeignUid => "foreign-uid",
        }
    }
}

/// The right to ask one model once; see the module invariants.
pub struct Permit {
    credential: Credential,
    model: ModelName,
    purpose: Option<Box<str>>,
}

impl Permit {
    /// Who asks.
    pub fn principal(&self) -> &Principal {
        self.credential.principal()
    }

    /// Which model may be asked.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// What for, where the request or the credential says so.
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// What must be withheld of the answer.
    pub fn obligations(&self) -> &Obligations {
        &self.credential.scopes().obligations
    }

    /// When the right ends, in seconds since the Unix epoch.
    pub fn expires_s(&self) -> u64 {
        self.credential.expires_s()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({:?}, model {})", self.credential, self.model)
    }
}

/// Whether `credential` may ask `model` for `purpose`, where the caller also makes the assertions
/// `asserted` (a purpose is one whether it is listed there or not).
///
/// A credential that lists purposes is good for these only; if it lists exactly one, that one
/// goes without saying.
///
/// # Errors
/// [`Denied`], which the caller must not learn.
pub fn permit_infer(
    credential: &Credential,
    model: &ModelName,
    purpose: Option<&str>,
    asserted: &[Assertion],
) -> Result<Permit, Denied> {
    check_action(credential, Action::Infer)?;
    let scopes = credential.scopes();
    if !scopes.models.covers(model) {
        return Err(Denied::Model);
    }
    let stated = purpose.map(|_| Assertion::Purpose);
    if let Some(other) = asserted
        .iter()
        .copied()
        .chain(stated)
        .find(|assertion| !scopes.may_assert.contains(assertion))
    {
        return Err(Denied::Assertion(other));
    }
    let purpose: Option<Box<str>> = match (purpose, scopes.purposes.len()) {
        (Some(text), 0) => Some(text.into()),
        (Some(text), _) if scopes.purposes.contains(text) => Some(text.into()),
        (Some(_), _) => return Err(Denied::Purpose),
        (None, 0 | 1) => scopes.purposes.first().map(|only| only.as_str().into()),
        (None, _) => return Err(Denied::PurposeMissing),
    };
    Ok(Permit { credential: credential.clone(), model: model.clone(), purpose })
}

fn check_action(credential: &Credential, action: Action) -> Result<(), Denied> {
    if credential.scopes().actions.contains(&action) { Ok(()) } else { Err(Denied::Action(action)) }
}

macro_rules! act_permit {
    ($(#[$doc:meta])* $permit:ident, $(#[$fn_doc:meta])* $permit_fn:ident, $action:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $permit(Principal);

        impl $permit {
            /// Who acts.
            pub fn principal(&self) -> &Principal {
                &self.0
            }
        }

        $(#[$fn_doc])*
        ///
        /// # Errors
        /// [`Denied::Action`].
        pub fn $permit_fn(credential: &Credential) -> Result<$permit, Denied> {
            check_action(credential, $action)?;
            Ok($permit(credential.principal().clone()))
        }
    };
}

act_permit!(
    /// The right to change keys, models and the server's state once; see P1.
    AdminPermit,
    /// Whether `credential` may administer.
    permit_admin,
    Action::Admin
);
act_permit!(
    /// The right to read recorded decisions once; see P1.
    TracePermit,
    /// Whether `credential` may read recorded decisions.
    permit_trace,
    Action::Trace
);
act_permit!(
    /// The right to read metrics once; see P1.
    MetricsPermit,
    /// Whether `credential` may read metrics.
    permit_metrics,
    Action::Metrics
);

/// The right to read metadata and readiness once; see P1.
#[derive(Debug)]
pub struct DescribePermit(Principal);

impl DescribePermit {
    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.0
    }
}

/// Whether `credential` may read the metadata of `model`, or where there is none, the server's.
///
/// # Errors
/// [`Denied::Action`] and [`Denied::Model`].
pub fn permit_describe(
    credential: &Credential,
    model: Option<&ModelName>,
) -> Result<DescribePermit, Denied> {
    check_action(credential, Action::Describe)?;
    if model.is_some_and(|model| !credential.scopes().models.covers(model)) {
        return Err(Denied::Model);
    }
    Ok(DescribePermit(credential.principal().clone()))
}

/// A process of this machine, as the kernel names it, and whose store it wants to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPeer {
    /// Its user.
    pub uid: u32,
    /// The user that owns the store.
    pub owner_uid: u32,
    /// What stands for the user in records: [`crate::KeyRing::local_pseudonym`].
    pub pseudonym: Pseudonym,
}

/// Whether a local process may administer. Its principal is `local/<uid>`, which never counts as
/// one of two people.
///
/// # Errors
/// [`Denied::ForeignUid`] unless it is the owner's or root's.
pub fn permit_local(peer: LocalPeer) -> Result<AdminPermit, Denied> {
    local_principal(peer).map(AdminPermit)
}

/// Whether a local process may read recorded decisions; as [`permit_local`].
///
/// # Errors
/// [`Denied::ForeignUid`].
pub fn permit_local_trace(peer: LocalPeer) -> Result<TracePermit, Denied> {
    local_principal(peer).map(TracePermit)
}

fn local_principal(peer: LocalPeer) -> Result<Principal, Denied> {
    let LocalPeer { uid, owner_uid, pseudonym } = peer;
    if uid != owner_uid && uid != 0 {
        return Err(Denied::ForeignUid);
    }
    let name: Result<PrincipalName, _> = format!("local/{uid}").parse();
    // A number behind `local/` is always a name; the error is unreachable and fails closed.
    let name = name.map_err(|_| Denied::ForeignUid)?;
    Ok(Principal { name, pseudonym, proof: AuthProof::LocalUid(uid) })
}

#[cfg(test)]
mod tests;
