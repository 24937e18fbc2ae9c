//! Operations on the key book.

use bartizan_access::{
    IssuedKey, KeyInfo, Keys, KeysError, NewKey, Revocation, RevocationKind, Rotation,
};
use bartizan_core::{Principal, PrincipalName};
use bartizan_ledger::Receipt;

use super::operation::{KeyIssue, KeyRevoke, KeyRotate, KeyRow, NewKeyText, Outcome};
use super::revocations::KEPT_S_MAX;
use super::store::Act;
use super::{OperationError, Owner};
use crate::files;

impl Owner {
    pub(super) fn issue_key(
        &self,
        caller: &Principal,
        issue: &KeyIssue,
    ) -> Result<Outcome, OperationError> {
        let KeyIssue { principal, scopes, ttl_s } = issue.clone();
        let new = NewKey { principal, scopes, ttl_s };
        let (issued, receipt) = self.change_keys(
            caller,
            |keys, now_s| keys.issue(&new, now_s, &*self.world.entropy),
            |issued| Act::KeyIssued { id: issued.id(), expires_s: issued.expires_s() },
        )?;
        Ok(new_key(issued, new.principal, &receipt))
    }

    pub(super) fn rotate_key(
        &self,
        caller: &Principal,
        rotate: &KeyRotate,
    ) -> Result<Outcome, OperationError> {
        let rotation = Rotation { id: rotate.id, overlap_s: rotate.overlap_s };
        let ((issued, principal), receipt) = self.change_keys(
            caller,
            |keys, now_s| {
                let issued = keys.rotate(rotation, now_s, &*self.world.entropy)?;
                let owner = keys.list(now_s).find(|info| info.id == issued.id());
                let principal = owner.map(|info| info.principal.clone());
                Ok((issued, principal.ok_or(KeysError::NoSuchKey { id: rotation.id })?))
            },
            |(issued, _)| Act::KeyRotated { id: rotation.id, successor: issued.id() },
        )?;
        Ok(new_key(issued, principal, &receipt))
    }

    pub(super) fn revoke_key(
        &self,
        caller: &Principal,
        revoke: &KeyRevoke,
    ) -> Result<Outcome, OperationError> {
        let ((), receipt) = self.change_keys(
            caller,
            |keys, now_s| keys.revoke(revoke.id, now_s),
            |()| Act::KeyRevoked { id: revoke.id },
        )?;
        // This replica's book is changed; the others learn of it by what they share.
        if self.shared.is_some() {
            let until_s = self.now_s().saturating_add(KEPT_S_MAX);
            let (kind, value) = (RevocationKind::Key, revoke.id.as_str().into());
            let everywhere = Revocation { kind, value, until_s };
            self.revoke_everywhere(caller, everywhere, self.now_s())?;
        }
        Ok(Outcome::Done { receipt: receipt.to_string() })
    }

    pub(super) fn list_keys(&self) -> Outcome {
        Outcome::Keys { keys: rows(&self.state().keys, self.now_s()) }
    }

    /// Changes a copy of the book, records the act, writes the book, and lets it go live; see O2.
    fn change_keys<T>(
        &self,
        caller: &Principal,
        change: impl FnOnce(&mut Keys, u64) -> Result<T, KeysError>,
        act: impl FnOnce(&T) -> Act,
    ) -> Result<(T, Receipt), OperationError> {
        let mut state = self.state();
        let mut keys = state.keys.clone();
        let changed = change(&mut keys, self.now_s())?;
        let receipt = self.record(caller, &act(&changed))?;
        files::replace(&self.environment.book_file(), &keys.to_bytes())
            .map_err(OperationError::Incomplete)?;
        state.keys = keys;
        self.publish(&state);
        Ok((changed, receipt))
    }
}

/// The keys of a book at `now_s` seconds since the Unix epoch, by id.
pub(crate) fn rows(keys: &Keys, now_s: u64) -> Vec<KeyRow> {
    let row = |info: KeyInfo<'_>| KeyRow {
        id: info.id,
        principal: info.principal.clone(),
        scopes: info.scopes.clone(),
        created_s: info.created_s,
        ends_s: info.ends_s,
        state: info.state.as_str().to_owned(),
        successor: info.successor,
    };
    keys.list(now_s).map(row).collect()
}

fn new_key(issued: IssuedKey, principal: PrincipalName, receipt: &Receipt) -> Outcome {
    let (id, expires_s) = (issued.id(), issued.expires_s());
    let receipt = receipt.to_string();
    Outcome::Key(NewKeyText { id, principal, expires_s, key: issued.reveal().to_string(), receipt })
}
