//! What takes two people: how it waits, how somebody else agrees, and the glass.
//!
//! Invariants
//! - O5: an operation that the configuration says takes two people is performed when the second
//!   agreed, or while the glass is broken, and never otherwise; asking, agreeing, refusing, running
//!   out and breaking are on record before they count.

use std::sync::{MutexGuard, PoisonError};

use bartizan_access::{APPROVALS_BYTES_MAX, ApprovalError, Approvals, Pending, Sensitive};
use bartizan_core::Principal;
use bartizan_ledger::{Act as RecordedAct, ActKind};
use tracing::{error, info};

use super::operation::{ApprovalRow, Approve, BreakGlass, GlassRow, Operation, Outcome, Verdict};
use super::store::Act;
use super::{OperationError, Owner};
use crate::files;

impl Owner {
    /// Performs `operation` for `caller`, who was let in; see O2, O3 and O5. Blocks for a sync of
    /// the disk, and for as long as a model takes to load.
    ///
    /// # Errors
    /// [`OperationError`].
    pub(crate) fn perform(
        &self,
        caller: &Principal,
        operation: &Operation,
    ) -> Result<Outcome, OperationError> {
        if let Some(what) = operation.sensitive()
            && self.takes_two(what)
            && let Some(waiting) = self.hold_for_second(caller, what, operation)?
        {
            return Ok(waiting);
        }
        self.perform_now(caller, operation)
    }

    fn takes_two(&self, what: Sensitive) -> bool {
        let listed = &self.environment.config().approvals.operations;
        listed.iter().any(|one| one == what.as_str())
    }

    /// Has the operation wait for a second person; none where the glass is broken.
    fn hold_for_second(
        &self,
        caller: &Principal,
        what: Sensitive,
        operation: &Operation,
    ) -> Result<Option<Outcome>, OperationError> {
        let now_s = self.now_s();
        if let Some(glass) = self.approvals().broken(now_s) {
            error!(glass, operation = operation.name(), "admin.glass.used");
            return Ok(None);
        }
        let body = self.without_name(operation).body().unwrap_or_default();
        let pending = Pending {
            what,
            operation: operation.name().to_owned(),
            body: String::from_utf8(body).unwrap_or_default(),
            requester: caller.into(),
            approvers: Vec::new(),
            created_s: now_s,
            expires_s: now_s.saturating_add(self.environment.config().approvals.expire_s.into()),
        };
        let until_s = pending.expires_s;
        let act = act_of(ActKind::ApprovalRequested, &pending);
        let id = self.change_approvals(caller, |book| {
            let id = book.ask(pending, &*self.world.entropy)?;
            Ok((act(&id), id))
        })?;
        info!(approval = id, operation = operation.name(), "admin.approval.requested");
        Ok(Some(Outcome::Waiting { approval: id, waits_until_s: until_s }))
    }

    pub(super) fn decide_approval(
        &self,
        caller: &Principal,
        approve: &Approve,
    ) -> Result<Outcome, OperationError> {
        self.expire_approvals(caller)?;
        let id = approve.id.as_str();
        match approve.verdict {
            Verdict::Agree => self.agree(caller, id),
            Verdict::Refuse => self.change_approvals(caller, |book| {
                let refused = book.refuse(id)?;
                Ok((act_of(ActKind::ApprovalRefused, &refused)(id), done(id)))
            }),
            Verdict::Review => self.change_approvals(caller, |book| {
                let glass = book.review(id, caller)?;
                let mut act = RecordedAct::new(ActKind::GlassReviewed);
                act.resource = Some(id.to_owned().into());
                act.reason = Some(glass.reason.into());
                Ok((act, done(id)))
            }),
        }
    }

    fn agree(&self, caller: &Principal, id: &str) -> Result<Outcome, OperationError> {
        let now_s = self.now_s();
        let agreed = self.change_approvals(caller, |book| {
            let waiting = book.pending().find(|(known, _)| *known == id);
            let (_, asked) = waiting.ok_or(ApprovalError::Absent)?;
            let act = act_of(ActKind::ApprovalGiven, asked)(id);
            Ok((act, book.agree(id, caller, now_s)?))
        })?;
        let Some(agreed) = agreed else { return Ok(done(id)) };
        info!(approval = id, operation = agreed.operation, "admin.approval.given");
        // Y3: the very operation that was asked for.
        let operation = Operation::parse(&agreed.operation, agreed.body.as_bytes());
        let operation = operation.map_err(|_| OperationError::Approval(ApprovalError::Absent))?;
        self.perform_now(caller, &operation)
    }

    pub(super) fn break_glass(
        &self,
        caller: &Principal,
        asked: &BreakGlass,
    ) -> Result<Outcome, OperationError> {
        let now_s = self.now_s();
        let id = self.change_approvals(caller, |book| {
            let words = (asked.reason.as_str(), asked.for_s);
            let (id, glass) = book.break_glass(caller, words, now_s, &*self.world.entropy)?;
            let mut act = RecordedAct::new(ActKind::GlassBroken);
            act.resource = Some(id.clone().into());
            act.reason = Some(glass.reason.into());
            act.to_ns = Some(glass.until_s.saturating_mul(bartizan_core::clock::NS_PER_S));
            Ok((act, id))
        })?;
        error!(glass = id, for_s = asked.for_s, "admin.glass.broken");
        Ok(Outcome::Glass { glass: id, until_s: now_s.saturating_add(asked.for_s) })
    }

    pub(super) fn list_approvals(&self, caller: &Principal) -> Result<Outcome, OperationError> {
        self.expire_approvals(caller)?;
        let book = self.approvals();
        let approvals = book.pending().map(|(id, pending)| ApprovalRow {
            id: id.to_owned(),
            what: pending.what.as_str().to_owned(),
            operation: pending.operation.clone(),
            body: pending.body.clone(),
            requester: pending.requester.name.clone(),
            agreed: pending.approvers.iter().map(|one| one.name.clone()).collect(),
            n_missing: pending.n_missing() as u64,
            expires_s: pending.expires_s,
        });
        let glasses = book.glasses().map(|(id, glass)| GlassRow {
            id: id.to_owned(),
            breaker: glass.breaker.name.clone(),
            reason: glass.reason.clone(),
            from_s: glass.from_s,
            until_s: glass.until_s,
        });
        Ok(Outcome::Approvals { approvals: approvals.collect(), glasses: glasses.collect() })
    }

    /// Takes out what nobody agreed to in time, each on record.
    fn expire_approvals(&self, caller: &Principal) -> Result<(), OperationError> {
        let now_s = self.now_s();
        while let Some((id, _)) = self.approvals().clone().expire(now_s).into_iter().next() {
            self.change_approvals(caller, |book| {
                let over = book.refuse(&id)?;
                Ok((act_of(ActKind::ApprovalExpired, &over)(&id), ()))
            })?;
        }
        Ok(())
    }

    /// Changes a copy of the book, records the act, writes the book, and lets it count; see O2.
    fn change_approvals<T>(
        &self,
        caller: &Principal,
        change: impl FnOnce(&mut Approvals) -> Result<(RecordedAct<'static>, T), ApprovalError>,
    ) -> Result<T, OperationError> {
        let mut book = self.approvals();
        let mut next = book.clone();
        let (act, changed) = change(&mut next).map_err(OperationError::Approval)?;
        self.record(caller, &Act::Kept(Box::new(act)))?;
        let bytes = serde_json::to_vec(&next).unwrap_or_default();
        files::replace(&self.environment.approvals_file(), &bytes)
            .map_err(OperationError::Incomplete)?;
        *book = next;
        Ok(changed)
    }

    /// A lock whose holder panicked still guards a whole book: it is replaced whole.
    fn approvals(&self) -> MutexGuard<'_, Approvals> {
        self.approvals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the book that was kept, before anything is asked.
    ///
    /// # Errors
    /// It does not read.
    pub(super) fn load_approvals(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match files::read_private(&self.environment.approvals_file(), APPROVALS_BYTES_MAX as u64) {
            Ok(bytes) => *self.approvals() = serde_json::from_slice(&bytes)?,
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn done(id: &str) -> Outcome {
    Outcome::Approved { approved: id.to_owned() }
}

/// The record of something that happens to a request, whose id may not be known yet.
fn act_of(kind: ActKind, pending: &Pending) -> impl Fn(&str) -> RecordedAct<'static> + use<> {
    let words = format!("{} {}", pending.operation, pending.digest());
    move |id| {
        let mut act = RecordedAct::new(kind);
        act.resource = Some(id.to_owned().into());
        act.reason = Some(words.clone().into());
        act
    }
}
