//! Revocations: on record, kept beside the keys, shared with all replicas, live.
//!
//! Invariants
//! - V3: what was revoked stays revoked over a restart, with the shared state or without it: the
//!   list is kept here too, and a shared list that is older than the one known is not believed.

use std::sync::Arc;

use bartizan_access::{
    REVOCATIONS_BYTES_MAX, Revocation, RevocationError, RevocationKind, Revocations, SharedError,
};
use bartizan_core::{Digest, Principal};
use bartizan_outbound::shared_folder::SharedFolder;
use tracing::warn;

use super::operation::{Outcome, Revoke};
use super::store::Act;
use super::{OperationError, Owner, State};
use crate::environment::Environment;
use crate::files;
use crate::log::Chain;

/// Longest that a revocation is kept, in seconds: 400 days, longer than any credential lives.
pub(crate) const KEPT_S_MAX: u64 = 400 * 86_400;

/// What came of a look at the shared list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is the one that is known.
    Same,
    /// It had more, which is live now.
    More,
}

/// The folder that replicas of `environment` share, where they do.
pub(super) fn shared_folder(environment: &Environment) -> Option<SharedFolder> {
    let folder = environment.config().shared.folder.as_ref()?;
    Some(SharedFolder::new(environment.root().join(folder)))
}

impl Owner {
    /// Reads the list that was kept, before anything is served.
    ///
    /// # Errors
    /// The list does not read, or the folder of keys does not.
    pub(super) fn load_revocations(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let path = self.environment.revocations_file();
        let bytes = match files::read_private(&path, REVOCATIONS_BYTES_MAX as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.is_absent() => {
                // Never seen before: then, and only then, an empty shared list may be made.
                if let Some(folder) = shared_folder(&self.environment)
                    && let Err(error) = folder.prepare()
                {
                    warn!(error = %Chain(&error), "access.shared.unreachable");
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let list = Arc::new(Revocations::from_bytes(&bytes)?);
        let mut state = self.state();
        state.identities = Arc::new(state.identities.with_revocations(list));
        Ok(())
    }

    pub(super) fn revoke(
        &self,
        caller: &Principal,
        revoke: &Revoke,
    ) -> Result<Outcome, OperationError> {
        let now_s = self.now_s();
        let until_s = now_s.saturating_add(revoke.for_s.min(KEPT_S_MAX));
        let revocation =
            Revocation { kind: revoke.kind, value: revoke.value.as_str().into(), until_s };
        let receipt = self.revoke_everywhere(caller, revocation, now_s)?;
        Ok(Outcome::Done { receipt })
    }

    /// Records, shares, keeps and publishes a revocation, in this order.
    pub(super) fn revoke_everywhere(
        &self,
        caller: &Principal,
        revocation: Revocation,
        now_s: u64,
    ) -> Result<String, OperationError> {
        revocation.check().map_err(|error| OperationError::Shared(error.into()))?;
        let mut state = self.state();
        let receipt = self.record(caller, &self.act_of(&state, &revocation))?;
        let list = match &self.shared {
            Some(shared) => shared.revoke(revocation, now_s).map_err(OperationError::Shared)?,
            None => state
                .identities
                .revocations()
                .with(revocation, now_s)
                .map_err(|error| OperationError::Shared(error.into()))?,
        };
        self.keep_and_publish(&mut state, list)?;
        Ok(receipt.to_string())
    }

    /// Looks at the shared list and lets what is new in it go live, on record.
    ///
    /// # Errors
    /// [`OperationError`]; what is known stays in force.
    pub(crate) fn look_at_shared(&self) -> Result<Seen, OperationError> {
        let Some(shared) = &self.shared else { return Ok(Seen::Same) };
        let list = shared.read().map_err(OperationError::Shared)?;
        let known = self.identities().revocations().sequence();
        if list.sequence() < known {
            // Put back from a copy, or another folder: believing it would let the revoked in.
            let reason = format!(
                "it is older (state {}) than what was seen before (state {known})",
                list.sequence()
            );
            let older = RevocationError::Malformed { reason };
            return Err(OperationError::Shared(SharedError::List(older)));
        }
        if list.sequence() == known {
            return Ok(Seen::Same);
        }
        let caller = self.local_principal().map_err(|_| {
            let denied = std::io::ErrorKind::PermissionDenied.into();
            OperationError::Shared(SharedError::Unreachable(denied))
        })?;
        let mut state = self.state();
        let known = state.identities.shared_revocations();
        if list.sequence() <= known.sequence() {
            // An operation of our own was quicker.
            return Ok(Seen::Same);
        }
        let known: Vec<_> = known.iter().collect();
        for new in list.iter().filter(|one| !known.contains(one)) {
            self.record(&caller, &self.act_of(&state, &new))?;
        }
        self.keep_and_publish(&mut state, list)?;
        Ok(Seen::More)
    }

    fn keep_and_publish(&self, state: &mut State, list: Revocations) -> Result<(), OperationError> {
        files::replace(&self.environment.revocations_file(), &list.to_bytes())
            .map_err(OperationError::Incomplete)?;
        state.identities = Arc::new(state.identities.with_revocations(Arc::new(list)));
        self.publish(state);
        Ok(())
    }

    /// How a revocation stands in the ledger: without a person's name.
    fn act_of(&self, state: &State, revocation: &Revocation) -> Act {
        let Revocation { kind, value, until_s } = revocation;
        let what = match kind {
            RevocationKind::Key => format!("key:{value}"),
            RevocationKind::Certificate => format!("certificate:{value}"),
            RevocationKind::Token => format!("token:{}", Digest::of(value.as_bytes())),
            RevocationKind::Principal => {
                let name = value.parse().ok();
                let own = name.as_ref().and_then(|name| state.keys.pseudonym_of(name));
                let ring = state.keys.ring();
                let other = || name.as_ref().map(|name| ring.federated_pseudonym(name));
                let pseudonym = own.or_else(other).map(|one| one.to_string());
                format!("principal:{}", pseudonym.unwrap_or_default())
            }
        };
        Act::AccessRevoked { what, until_s: *until_s }
    }
}
