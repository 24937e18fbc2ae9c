//! Whom others vouch for: how a change of that goes on record and then live.

use std::sync::Arc;

use bartizan_access::Identities;
use bartizan_core::Principal;
use bartizan_ledger::Receipt;

use super::store::Act;
use super::{OperationError, Owner};

impl Owner {
    /// Issuers, trust domains and revocations of this moment.
    pub(crate) fn identities(&self) -> Arc<Identities> {
        self.state().identities.clone()
    }

    /// Puts `act` on record and then lets what `change` makes of the identities go live; see O2.
    ///
    /// # Errors
    /// [`OperationError::Unrecorded`]; nothing has changed then.
    pub(crate) fn change_identities(
        &self,
        caller: &Principal,
        act: &Act,
        change: impl FnOnce(&Identities) -> Identities,
    ) -> Result<Receipt, OperationError> {
        let mut state = self.state();
        let receipt = self.record(caller, act)?;
        state.identities = Arc::new(change(&state.identities));
        self.publish(&state);
        Ok(receipt)
    }

    /// Sets the first identities, before anything is served: the start's record covers them.
    pub(crate) fn begin_with(&self, identities: Identities) {
        self.state().identities = Arc::new(identities);
    }
}
