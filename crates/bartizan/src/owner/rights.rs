//! Who may do what to a store: each operation as an action on a resource of the policies.
//!
//! Invariants
//! - O4: no operation that somebody else asked for is performed unless the policies in force
//!   allow it; what is refused is on record.

use std::sync::Arc;

use bartizan_access::{
    AdminPermit, KeyId, ModelScope, PolicyAction, Registrar, Resource, Ruling, Scopes,
};
use bartizan_core::{Digest, ModelName, ModelVersion};
use tracing::warn;

use super::operation::{ModelAdd, Operation, Outcome};
use super::store::Act;
use super::{OperationError, Owner, State};
use crate::log::Chain;
use crate::policies;

/// What names of this machine's users begin with; no other principal's do.
const LOCAL_PREFIX: &str = "local/";

/// What an operation is about, in the words of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The environment.
    Environment,
    /// A project.
    Project(String),
    /// A version of a model.
    Model(ModelName, Option<ModelVersion>),
    /// A version of a model, and who registered it.
    Registered(ModelName, Option<ModelVersion>, String),
    /// A recorded decision.
    Decision(String),
}

impl About {
    fn resource(&self) -> Resource<'_> {
        match self {
            Self::Environment => Resource::Environment,
            Self::Project(name) => Resource::Project(name),
            Self::Model(name, version) => Resource::Model { name, version: *version },
            Self::Registered(name, version, by) => {
                let by = match by.starts_with(LOCAL_PREFIX) {
                    true => Registrar::Local,
                    false => Registrar::Principal(by),
                };
                Resource::Registered { name, version: *version, by }
            }
            Self::Decision(id) => Resource::Decision { id, model: None },
        }
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Environment => "the environment".into(),
            Self::Project(name) => format!("project {name}"),
            Self::Model(name, Some(version)) | Self::Registered(name, Some(version), _) => {
                format!("{name}/{version}")
            }
            Self::Model(name, None) | Self::Registered(name, None, _) => name.to_string(),
            Self::Decision(id) => format!("decision {id}"),
        }
    }
}

impl Owner {
    /// Performs `operation` for whom `permit` stands, if the policies allow it; see O4.
    ///
    /// # Errors
    /// [`OperationError`]; [`OperationError::Denied`] where they do not.
    pub(crate) fn perform_for(
        &self,
        permit: &AdminPermit,
        operation: &Operation,
    ) -> Result<Outcome, OperationError> {
        self.authorise(permit, operation)?;
        if let Operation::ModelAdd(add) = operation
            && !self.may_serve(permit, add)
        {
            let add = ModelAdd { unserved: true, ..add.clone() };
            return self.perform(permit.principal(), &Operation::ModelAdd(add));
        }
        self.perform(permit.principal(), operation)
    }

    /// Whether who registers a version may put it into service as well: to register alone brings
    /// it in, for somebody else to load.
    fn may_serve(&self, permit: &AdminPermit, add: &ModelAdd) -> bool {
        let by = permit.principal().name.to_string();
        let about = About::Registered(add.name.clone(), add.version, by);
        let policies = self.state().policies.clone();
        let at = self.store.clock().now();
        permit.allow(&policies, PolicyAction::Deploy, about.resource(), at).is_ok()
    }

    /// What `operation` needs, with what is on record of the version that it is about.
    fn right_on_record(&self, operation: &Operation, state: &State) -> (PolicyAction, About) {
        let (action, about) = right(operation, state);
        if let Operation::ModelLoad(model) = operation
            && let Ok(shelved) = self.repository.get(&model.name, model.version)
            && let Some(by) = shelved.entry.registered_by
        {
            return (action, About::Registered(model.name.clone(), Some(model.version), by));
        }
        (action, about)
    }

    /// What the policies in force say to `operation` of whom `permit` stands for.
    ///
    /// # Errors
    /// [`OperationError::Denied`], which is on record then.
    pub(crate) fn authorise(
        &self,
        permit: &AdminPermit,
        operation: &Operation,
    ) -> Result<Arc<Ruling>, OperationError> {
        let (policies, action, about) = {
            let state = self.state();
            let (action, about) = self.right_on_record(operation, &state);
            (state.policies.clone(), action, about)
        };
        let at = self.store.clock().now();
        permit.allow(&policies, action, about.resource(), at).or_else(|denied| {
            let act = Act::AccessRefused {
                operation: operation.name(),
                about: about.describe(),
                reason: denied.as_str(),
                policy: policies.digest(),
            };
            self.record(permit.principal(), &act)?;
            Err(OperationError::Denied { action, about: about.describe(), source: denied })
        })
    }

    /// The right to act of whoever runs this process.
    ///
    /// # Errors
    /// [`super::StoreError::ForeignUid`] unless it runs as the store's owner or root.
    pub(crate) fn local_permit(&self) -> Result<AdminPermit, super::StoreError> {
        super::store::local_permit(&self.environment, &self.state().keys.ring())
    }

    /// Where policies were in force before, puts those of this owner in force; see
    /// [`Owner::enforce_policies`].
    ///
    /// # Errors
    /// [`OperationError`].
    pub(crate) fn enforce_changed_policies(
        &self,
        caller: &bartizan_core::Principal,
    ) -> Result<(), OperationError> {
        let last = policies::last_in_force(&self.environment.kept_policies_dir());
        match last.map_err(OperationError::Incomplete)? {
            Some(_) => self.enforce_policies(caller),
            None => Ok(()),
        }
    }

    /// Puts the policies of this owner in force: what changed since the last owner is recorded
    /// before anything is decided by them (Y2, O2).
    ///
    /// # Errors
    /// [`OperationError`].
    pub(crate) fn enforce_policies(
        &self,
        caller: &bartizan_core::Principal,
    ) -> Result<(), OperationError> {
        let kept = self.environment.kept_policies_dir();
        if !self.environment.policies_dir().is_dir() {
            warn!("access.policies.absent");
        }
        let (policies, texts) = {
            let state = self.state();
            (state.policies.clone(), state.policy_texts.clone())
        };
        let last = policies::last_in_force(&kept).map_err(OperationError::Incomplete)?;
        if last.as_deref() == Some(policies.digest().to_string().as_str()) {
            return Ok(());
        }
        policies::keep(&kept, policies.digest(), &texts).map_err(OperationError::Incomplete)?;
        self.record(caller, &policy_changed(last, policies.digest(), policies.infos().count()))?;
        policies::set_in_force(&kept, policies.digest()).map_err(OperationError::Incomplete)
    }

    /// Reads the policies again and puts them in force, if they are in order and still those that
    /// whoever asks has seen.
    pub(super) fn reload_policies(
        &self,
        caller: &bartizan_core::Principal,
        seen: Option<Digest>,
    ) -> Result<Outcome, OperationError> {
        let mut state = self.state();
        let folder = self.environment.policies_dir();
        let loaded = policies::load(&folder, &self.environment.config().environment);
        let (policies, texts) = loaded.map_err(|error| {
            warn!(error = %Chain(&error), "access.policies.refused");
            OperationError::Policies(error)
        })?;
        let (digest, n_policies) = (policies.digest(), policies.infos().count() as u64);
        if seen.is_some_and(|seen| seen != digest) {
            return Err(OperationError::PoliciesMoved);
        }
        let kept = self.environment.kept_policies_dir();
        let last = policies::last_in_force(&kept).map_err(OperationError::Incomplete)?;
        let mut receipt = None;
        if last.as_deref() != Some(digest.to_string().as_str()) {
            policies::keep(&kept, digest, &texts).map_err(OperationError::Incomplete)?;
            let act = policy_changed(last, digest, n_policies as usize);
            receipt = Some(self.record(caller, &act)?.to_string());
            policies::set_in_force(&kept, digest).map_err(OperationError::Incomplete)?;
        }
        if state.policies.digest() != digest {
            state.policies = Arc::new(policies);
            state.policy_texts = texts;
            self.publish(&state);
        }
        Ok(Outcome::Policies { policies: digest, n_policies, receipt })
    }
}

fn policy_changed(before: Option<String>, policy: Digest, n_policies: usize) -> Act {
    Act::PolicyChanged { before, policy, n_policies: n_policies as u64 }
}

/// Which right an operation needs. A key of one project's models is the project's; any other is
/// the environment's.
fn right(operation: &Operation, state: &State) -> (PolicyAction, About) {
    let of_key = |id: KeyId| {
        let scopes = state.keys.list(0).find(|info| info.id == id).map(|info| info.scopes);
        scopes.map_or(About::Environment, |scopes| of_scopes(scopes, state))
    };
    match operation {
        Operation::KeyIssue(issue) => (PolicyAction::Grant, of_scopes(&issue.scopes, state)),
        Operation::KeyRotate(rotate) => (PolicyAction::Grant, of_key(rotate.id)),
        Operation::KeyRevoke(revoke) => (PolicyAction::Grant, of_key(revoke.id)),
        Operation::KeyList => (PolicyAction::Administer, About::Environment),
        Operation::ModelAdd(add) => {
            (PolicyAction::Register, About::Model(add.name.clone(), add.version))
        }
        Operation::ModelRemove(model)
        | Operation::ModelLoad(model)
        | Operation::ModelUnload(model) => {
            (PolicyAction::Deploy, About::Model(model.name.clone(), Some(model.version)))
        }
        Operation::GuardRelease(_) => (PolicyAction::Administer, About::Environment),
        Operation::ModelList => (PolicyAction::Describe, About::Environment),
        Operation::GateRun(_) => (PolicyAction::Administer, About::Environment),
        Operation::EvidenceOpen(open) => {
            (PolicyAction::OpenEvidence, About::Decision(open.decision.0.to_string()))
        }
        Operation::Erase(_) => (PolicyAction::Erase, About::Environment),
        Operation::HoldAdd(_) | Operation::HoldRelease(_) | Operation::Prune(_) => {
            (PolicyAction::Retain, About::Environment)
        }
        Operation::HoldList => (PolicyAction::Administer, About::Environment),
        Operation::Revoke(_)
        | Operation::Approve(_)
        | Operation::ApprovalsList
        | Operation::BreakGlass(_) => (PolicyAction::Administer, About::Environment),
        Operation::Backup(_) => (PolicyAction::Administer, About::Environment),
        Operation::KeysRotate(_) => (PolicyAction::RotateKeys, About::Environment),
        Operation::AccessReload(_) => (PolicyAction::ChangePolicy, About::Environment),
    }
}

fn of_scopes(scopes: &Scopes, state: &State) -> About {
    let ModelScope::Some(models) = &scopes.models else { return About::Environment };
    let administers = scopes.actions.contains(&bartizan_access::Action::Admin);
    let projects = state.policies.projects();
    let mut names = models.iter().map(|model| projects.of_model(model));
    match names.next() {
        Some(first) if !administers && names.all(|name| name == first) => {
            About::Project(first.to_owned())
        }
        Some(_) | None => About::Environment,
    }
}
