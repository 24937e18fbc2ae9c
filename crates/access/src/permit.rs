//! What a credential may do, as values that only these functions can make.
//!
//! Invariants
//! - P1: a permit exists only where the policies allow the act and the credential's own scopes
//!   cover it; it is not `Clone`, `Default` or `Deserialize`, and its fields are private, so a
//!   handler that asks for one cannot be reached without;
//! - P2: nothing is covered by default, and no action covers another;
//! - P3: what a caller asserts about a request needs the scope for that assertion;
//! - P4: of the obligations of policies and of scopes, the stricter holds.
//!
//! A permit cannot be made by hand, nor kept for a second act:
//!
//! ```
//! # use bartizan_access::{Credential, InferAsk, permit_infer, Permit, Scene};
//! # use bartizan_core::ModelName;
//! fn handler(permit: Permit) -> ModelName { permit.model().clone() }
//! fn admit(scene: Scene<'_>, holder: &Credential, ask: InferAsk<'_>) -> Option<ModelName> {
//!     let permit = permit_infer(scene, holder, ask).ok()?;
//!     Some(handler(permit))
//! }
//! ```
//! ```compile_fail,E0599
//! # use bartizan_access::{Credential, InferAsk, permit_infer, Permit, Scene};
//! # use bartizan_core::ModelName;
//! fn handler(permit: Permit) -> ModelName { permit.model().clone() }
//! fn admit(scene: Scene<'_>, holder: &Credential, ask: InferAsk<'_>) -> Option<ModelName> {
//!     let permit = permit_infer(scene, holder, ask).ok()?;
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
use std::sync::Arc;

use bartizan_core::{
    AuthProof, ModelName, ModelVersion, Obligations, Principal, PrincipalName, Pseudonym,
};

use crate::credential::Credential;
use crate::policy::{
    AccessQuestion, Circumstances, Policies, PolicyAction, Resource, Ruling, Who, Zone,
};
use crate::scopes::{Action, Assertion};

/// Why an act is not covered. For the operator: a caller gets one answer for all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// No policy permits it, or one forbids it; their ids stand in the ruling.
    #[error("the policies do not allow it{}", said(.0))]
    Policy(Arc<Ruling>),
    /// The process at the other end of the socket is neither the owner's nor root's.
    #[error("the local user is neither the owner of the store nor root")]
    ForeignUid,
}

impl Denied {
    /// The word for records and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Action(_) => "action-not-covered",
            Self::Model => "model-not-covered",
            Self::Assertion(_) => "assertion-not-covered",
            Self::Purpose => "purpose-not-covered",
            Self::PurposeMissing => "purpose-missing",
            Self::Policy(_) => "policy",
            Self::ForeignUid => "foreign-uid",
        }
    }

    /// What the policies said, where it was they.
    pub fn ruling(&self) -> Option<&Arc<Ruling>> {
        match self {
            Self::Policy(ruling) => Some(ruling),
            Self::Action(_)
            | Self::Model
            | Self::Assertion(_)
            | Self::Purpose
            | Self::PurposeMissing
            | Self::ForeignUid => None,
        }
    }
}

fn said(ruling: &Ruling) -> String {
    if let Some(fault) = ruling.faults.first() {
        return format!(": {fault}");
    }
    match &ruling.policies[..] {
        [] => ": none permits it".into(),
        forbids => format!(": forbidden by {}", forbids.join(", ")),
    }
}

/// What decides beside the credential: the policies in force, and where and when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The policies.
    pub policies: &'a Policies,
    /// Where and when.
    pub circumstances: Circumstances<'a>,
}

impl Scene<'_> {
    fn ask(
        &self,
        credential: &Credential,
        action: PolicyAction,
        resource: Resource<'_>,
        purpose: Option<&str>,
    ) -> Result<Arc<Ruling>, Denied> {
        let scopes: Vec<&'static str> =
            credential.scopes().actions.iter().map(|action| action.as_str()).collect();
        let question = AccessQuestion {
            who: Who::Principal {
                name: credential.principal().name.as_str(),
                groups: credential.groups(),
                method: credential.method(),
                strength: credential.strength(),
                scopes: &scopes,
            },
            action,
            resource,
            purpose,
            circumstances: self.circumstances,
        };
        let ruling = self.policies.decide(&question);
        if ruling.is_allowed { Ok(ruling) } else { Err(Denied::Policy(ruling)) }
    }
}

/// What a request asks to be permitted.
#[derive(Clone, Copy, Debug)]
pub struct InferAsk<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// Its version; none where there is no such version.
    pub version: Option<ModelVersion>,
    /// The purpose that it names.
    pub purpose: Option<&'a str>,
    /// What else it asserts (a purpose is an assertion whether it is listed here or not).
    pub asserted: &'a [Assertion],
}

/// The right to ask one model once; see the module invariants.
pub struct Permit {
    credential: Credential,
    model: ModelName,
    purpose: Option<Box<str>>,
    ruling: Arc<Ruling>,
    obligations: Obligations,
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

    /// What must be withheld of the answer and not be kept of the request (P4).
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    /// What the policies said.
    pub fn ruling(&self) -> &Arc<Ruling> {
        &self.ruling
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

/// Whether `credential` may ask a model for a purpose, with what the request asserts.
///
/// A credential that lists purposes is good for these only; if it lists exactly one, that one
/// goes without saying. The policies are asked with the purpose that holds.
///
/// # Errors
/// [`Denied`], which the caller must not learn.
pub fn permit_infer(
    scene: Scene<'_>,
    credential: &Credential,
    ask: InferAsk<'_>,
) -> Result<Permit, Denied> {
    let InferAsk { model, version, purpose, asserted } = ask;
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
    let resource = Resource::Model { name: model, version };
    let ruling = scene.ask(credential, PolicyAction::Infer, resource, purpose.as_deref())?;
    let obligations = ruling.obligations.and(&scopes.obligations);
    Ok(Permit {
        credential: credential.clone(),
        model: model.clone(),
        purpose,
        ruling,
        obligations,
    })
}

fn check_action(credential: &Credential, action: Action) -> Result<(), Denied> {
    if credential.scopes().actions.contains(&action) { Ok(()) } else { Err(Denied::Action(action)) }
}

macro_rules! act_permit {
    ($(#[$doc:meta])* $permit:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $permit(Principal);

        impl $permit {
            /// Who acts.
            pub fn principal(&self) -> &Principal {
                &self.0
            }
        }
    };
}

act_permit!(
    /// The right to read a recorded decision once; see P1.
    TracePermit
);
act_permit!(
    /// The right to read metrics once; see P1.
    MetricsPermit
);

/// Whether `credential` may read the record of decision `id`, which was about `model`.
///
/// # Errors
/// [`Denied::Action`], [`Denied::Model`] and [`Denied::Policy`].
pub fn permit_trace(
    scene: Scene<'_>,
    credential: &Credential,
    id: &str,
    model: Option<&ModelName>,
) -> Result<TracePermit, Denied> {
    check_action(credential, Action::Trace)?;
    if model.is_some_and(|model| !credential.scopes().models.covers(model)) {
        return Err(Denied::Model);
    }
    scene.ask(credential, PolicyAction::ReadDecision, Resource::Decision { id, model }, None)?;
    Ok(TracePermit(credential.principal().clone()))
}

/// Whether `credential` may read metrics.
///
/// # Errors
/// [`Denied::Action`] and [`Denied::Policy`].
pub fn permit_metrics(scene: Scene<'_>, credential: &Credential) -> Result<MetricsPermit, Denied> {
    check_action(credential, Action::Metrics)?;
    scene.ask(credential, PolicyAction::ReadMetrics, Resource::Environment, None)?;
    Ok(MetricsPermit(credential.principal().clone()))
}

/// The right to read metadata and readiness once; see P1.
#[derive(Debug)]
pub struct DescribePermit(Principal);

impl DescribePermit {
    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.0
    }
}

/// Whether `credential` may read the metadata of a model (and of which version, where the caller
/// names one that exists), or where there is none, the server's.
///
/// # Errors
/// [`Denied::Action`], [`Denied::Model`] and [`Denied::Policy`].
pub fn permit_describe(
    scene: Scene<'_>,
    credential: &Credential,
    model: Option<(&ModelName, Option<ModelVersion>)>,
) -> Result<DescribePermit, Denied> {
    check_action(credential, Action::Describe)?;
    if model.is_some_and(|(name, _)| !credential.scopes().models.covers(name)) {
        return Err(Denied::Model);
    }
    let resource =
        model.map_or(Resource::Environment, |(name, version)| Resource::Model { name, version });
    scene.ask(credential, PolicyAction::Describe, resource, None)?;
    Ok(DescribePermit(credential.principal().clone()))
}

/// Somebody who may stand before the store's owner: what he may then do there is asked of the
/// policies for each act, by [`AdminPermit::allow`].
pub struct AdminPermit {
    principal: Principal,
    door: Door,
    listener: &'static str,
    zone: Zone,
}

/// How he came in.
enum Door {
    Credential(Credential),
    Local { uid: u32 },
}

impl AdminPermit {
    /// Who acts.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Who acts, for operations that are performed later.
    pub fn credential(&self) -> Option<&Credential> {
        match &self.door {
            Door::Credential(credential) => Some(credential),
            Door::Local { .. } => None,
        }
    }

    /// Whether he may do `action` on `resource` now: the credential's scopes must cover it (for
    /// models, these too), and the policies allow it.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn allow(
        &self,
        policies: &Policies,
        action: PolicyAction,
        resource: Resource<'_>,
        at: bartizan_core::Stamp,
    ) -> Result<Arc<Ruling>, Denied> {
        let circumstances = Circumstances { listener: self.listener, zone: self.zone, at };
        let scene = Scene { policies, circumstances };
        match &self.door {
            Door::Credential(credential) => {
                check_action(credential, Action::Admin)?;
                if let Resource::Model { name, .. } | Resource::Registered { name, .. } = resource
                    && !credential.scopes().models.covers(name)
                {
                    return Err(Denied::Model);
                }
                scene.ask(credential, action, resource, None)
            }
            Door::Local { uid } => {
                let who = Who::Local { uid: *uid };
                let question =
                    AccessQuestion { who, action, resource, purpose: None, circumstances };
                let ruling = policies.decide(&question);
                if ruling.is_allowed { Ok(ruling) } else { Err(Denied::Policy(ruling)) }
            }
        }
    }
}

impl fmt::Debug for AdminPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminPermit({}, {})", self.principal.pseudonym, self.listener)
    }
}

/// Whether `credential` may stand before the store's owner: its scopes must cover administration.
///
/// # Errors
/// [`Denied::Action`].
pub fn permit_admin(
    credential: &Credential,
    listener: &'static str,
    zone: Zone,
) -> Result<AdminPermit, Denied> {
    check_action(credential, Action::Admin)?;
    let principal = credential.principal().clone();
    Ok(AdminPermit { principal, door: Door::Credential(credential.clone()), listener, zone })
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

/// Whether a local process may stand before the store's owner. Its principal is `local/<uid>`,
/// which never counts as one of two people.
///
/// # Errors
/// [`Denied::ForeignUid`] unless it is the owner's or root's.
pub fn permit_local(peer: LocalPeer) -> Result<AdminPermit, Denied> {
    let principal = local_principal(peer)?;
    let door = Door::Local { uid: peer.uid };
    Ok(AdminPermit { principal, door, listener: "socket", zone: Zone::Loopback })
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
