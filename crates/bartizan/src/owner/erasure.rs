//! Erasing people, legal holds, and exchanging the keys behind the ledger's payloads.
//!
//! Invariants
//! - X1: an erasure is on record before a key is touched, and again when the keys are gone; one
//!   that was begun is carried out by whoever owns the store next;
//! - X2: a hold forbids an erasure: it is recorded as waiting, and carried out when the last hold
//!   that concerns it is released.

use std::sync::MutexGuard;

use bartizan_core::digest::hex;
use bartizan_core::entropy::random;
use bartizan_core::{Digest, EraseError, Principal, Pseudonym};
use bartizan_ledger::{
    Act as RecordedAct, ActKind, ErasureId, ErasurePlan, HoldId, OpenErasure, Receipt, SealingKeys,
    SealingKeysError,
};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::operation::{
    Erase, ErasureRow, HoldAdd, HoldRelease, HoldRow, Kept, KeysRotate, KeysRotation, Operation,
    Outcome,
};
use super::store::Act;
use super::{OperationError, Owner, State};
use crate::log::Chain;

/// What a backup of the key store is worth after an erasure or a rotation.
const BACKUPS: &str = "backups of the key store made before now are wrapped under a \
    key-encryption key that is gone: make a new one (`bartizan backup`)";
/// What an erasure cannot reach in a store that began in release 0.1.
const MIGRATED: &str = "what release 0.1 sealed lies under keys of days, not of persons, and is \
    not erased by this";

impl Owner {
    /// X1 and X2.
    pub(super) fn erase(
        &self,
        caller: &Principal,
        erase: &Erase,
    ) -> Result<Outcome, OperationError> {
        let state = self.state();
        self.finish_begun(&state)?;
        let sealing = self.store.sealing();
        if let Some(gate) = self.world.erasers.first().filter(|_| erase.is_root) {
            let reason = "it needs the person's name, which nothing keeps while an erasure waits:                           break the glass and erase again";
            return Err(EraseError { gate: gate.gate(), reason: reason.to_owned() }.into());
        }
        let id = ErasureId(random(&*self.world.entropy));
        let plan = self.plan(erase)?;
        if !plan.held_by.is_empty() {
            return self.wait(caller, erase, id, &plan);
        }
        let mut act = of_erasure(ActKind::ErasureBegun, id);
        act.reason = Some(erase.reason.clone().into());
        act.count = Some(plan.keys.len() as u64);
        act.keys.clone_from(&plan.keys);
        self.record(caller, &Act::Kept(Box::new(act)))?;
        sealing.note_erasure(id, &plan, self.now_ns())?;
        for gate in &self.world.erasers {
            let n_things = gate.erase(&erase.subject)?;
            info!(gate = gate.gate(), n_things, "access.subject.erased");
        }
        self.forget_remembered_rows(&state);
        let (keys, receipt) = self.carry_out(Some(caller), id, &plan.keys)?;
        Ok(Outcome::Kept(Kept::Erasure(self.row(id, &keys, &[], &receipt))))
    }

    fn plan(&self, erase: &Erase) -> Result<ErasurePlan, OperationError> {
        let sealing = self.store.sealing();
        if !erase.is_root {
            return Ok(sealing.plan_erasure(&erase.subject));
        }
        let root = format!("sha256:{}", erase.subject);
        let root: Digest = root.parse().map_err(|_| OperationError::Root)?;
        Ok(sealing.plan_erasure_of(Zeroizing::new(root.0)))
    }

    /// The operation as it is kept while it waits: without the person's name, which would outlive
    /// the erasure in a file and, as a digest that can be guessed, in the record.
    pub(super) fn without_name(&self, operation: &Operation) -> Operation {
        let Operation::Erase(erase) = operation else { return operation.clone() };
        if erase.is_root {
            return operation.clone();
        }
        let root = self.store.sealing().subject_root(&erase.subject);
        let (subject, reason) = (hex(&*root), erase.reason.clone());
        Operation::Erase(Erase { subject, is_root: true, reason })
    }

    fn wait(
        &self,
        caller: &Principal,
        erase: &Erase,
        id: ErasureId,
        plan: &ErasurePlan,
    ) -> Result<Outcome, OperationError> {
        let mut act = of_erasure(ActKind::ErasureWaiting, id);
        act.outcome = bartizan_ledger::Outcome::Refused;
        act.reason = Some(erase.reason.clone().into());
        act.count = Some(plan.keys.len() as u64);
        let receipt = self.record(caller, &Act::Kept(Box::new(act)))?;
        self.store.sealing().note_erasure(id, plan, self.now_ns())?;
        Ok(Outcome::Kept(Kept::Erasure(self.row(id, &plan.keys, &plan.held_by, &receipt))))
    }

    /// Destroys the keys, records that, and closes the erasure.
    fn carry_out(
        &self,
        caller: Option<&Principal>,
        id: ErasureId,
        keys: &[Pseudonym],
    ) -> Result<(Vec<Pseudonym>, Receipt), OperationError> {
        let sealing = self.store.sealing();
        let destroyed = sealing.destroy(id, keys)?;
        let mut act = of_erasure(ActKind::Erased, id);
        act.count = Some(destroyed.keys.len() as u64);
        act.keys.clone_from(&destroyed.keys);
        let receipt = match caller {
            Some(caller) => self.record(caller, &Act::Kept(Box::new(act)))?,
            None => self.record_own(act)?,
        };
        sealing.close_erasure(id)?;
        info!(erasure = %id, n_keys = destroyed.keys.len(), "ledger.subject.erased");
        Ok((destroyed.keys, receipt))
    }

    /// X1: what was begun and not finished, by this process or one before it. Held ones wait.
    pub(super) fn finish_begun(
        &self,
        _order: &MutexGuard<'_, State>,
    ) -> Result<Vec<String>, OperationError> {
        let mut receipts = Vec::new();
        for open in self.store.sealing().open_erasures() {
            let OpenErasure { id, keys, is_held, is_waiting, .. } = open;
            if is_waiting && is_held {
                continue;
            }
            if is_waiting {
                let mut act = of_erasure(ActKind::ErasureBegun, id);
                act.count = Some(keys.len() as u64);
                act.keys.clone_from(&keys);
                self.record_own(act)?;
            }
            let (_, receipt) = self.carry_out(None, id, &keys)?;
            receipts.push(receipt.to_string());
        }
        Ok(receipts)
    }

    /// Carries out what an earlier owner had begun; said, and left for later, where it fails.
    pub(super) fn resume_erasures(&self) {
        if let Err(error) = self.finish_begun(&self.state()) {
            warn!(error = %Chain(&error), "ledger.erasure.unfinished");
        }
    }

    fn row(
        &self,
        id: ErasureId,
        keys: &[Pseudonym],
        held_by: &[HoldId],
        receipt: &Receipt,
    ) -> ErasureRow {
        let sealing = self.store.sealing();
        let mut caveats = Vec::new();
        if held_by.is_empty() {
            if !keys.is_empty() {
                caveats.push(sealing.reach().caveat().to_owned());
                caveats.push(BACKUPS.to_owned());
            }
            if sealing.is_migrated() {
                caveats.push(MIGRATED.to_owned());
            }
        }
        caveats.retain(|caveat| !caveat.is_empty());
        ErasureRow {
            erasure: id.to_string(),
            state: if held_by.is_empty() { "erased" } else { "waiting" }.to_owned(),
            n_keys: keys.len() as u64,
            held_by: held_by.iter().map(ToString::to_string).collect(),
            caveats,
            receipt: receipt.to_string(),
        }
    }

    pub(super) fn add_hold(
        &self,
        caller: &Principal,
        add: &HoldAdd,
    ) -> Result<Outcome, OperationError> {
        let _order = self.state();
        let id = HoldId(random(&*self.world.entropy));
        let mut act = RecordedAct::new(ActKind::HoldAdded);
        act.resource = Some(id.to_string().into());
        act.reason = Some(add.reason.clone().into());
        let receipt = self.record(caller, &Act::Kept(Box::new(act)))?;
        self.store.sealing().add_hold(id, add.subject.as_deref(), self.now_ns())?;
        let receipts = vec![receipt.to_string()];
        Ok(Outcome::Kept(Kept::Hold { hold: id.to_string(), receipts }))
    }

    /// X2.
    pub(super) fn release_hold(
        &self,
        caller: &Principal,
        release: &HoldRelease,
    ) -> Result<Outcome, OperationError> {
        let order = self.state();
        let sealing = self.store.sealing();
        let id = HoldId(release.hold.0);
        if !sealing.holds().iter().any(|hold| hold.id == id) {
            return Err(SealingKeysError::NoSuchHold(id).into());
        }
        let mut act = RecordedAct::new(ActKind::HoldReleased);
        act.resource = Some(id.to_string().into());
        act.reason = Some(release.reason.clone().into());
        let receipt = self.record(caller, &Act::Kept(Box::new(act)))?;
        sealing.release_hold(id)?;
        let mut receipts = vec![receipt.to_string()];
        receipts.extend(self.finish_begun(&order)?);
        Ok(Outcome::Kept(Kept::Hold { hold: id.to_string(), receipts }))
    }

    pub(super) fn list_holds(&self) -> Outcome {
        let sealing = self.store.sealing();
        let row = |hold: &bartizan_ledger::Hold| HoldRow {
            hold: hold.id.to_string(),
            of: if hold.is_of_everything() { "everything" } else { "a subject" }.to_owned(),
            since_s: hold.made_ns / bartizan_core::clock::NS_PER_S,
        };
        let holds = sealing.holds().iter().map(row).collect();
        let waiting = sealing.open_erasures();
        let waiting = waiting.iter().map(|open| open.id.to_string()).collect();
        Outcome::Kept(Kept::Holds { holds, waiting })
    }

    /// Exchanges a key while requests go on.
    pub(super) fn rotate_keys(
        &self,
        caller: &Principal,
        rotate: &KeysRotate,
    ) -> Result<Outcome, OperationError> {
        let order = self.state();
        self.finish_begun(&order)?;
        let sealing = self.store.sealing();
        let kind = match rotate.what {
            KeysRotation::Kek => ActKind::KekRotated,
            KeysRotation::Pepper => ActKind::PepperRotated,
        };
        let exchange: fn(&SealingKeys) -> Result<(), SealingKeysError> = match rotate.what {
            KeysRotation::Kek => SealingKeys::rotate_kek,
            KeysRotation::Pepper => SealingKeys::rotate_pepper,
        };
        let mut act = RecordedAct::new(kind);
        act.reason = Some(rotate.reason.clone().into());
        act.count = Some(sealing.generation() + 1);
        let receipt = self.record(caller, &Act::Kept(Box::new(act)))?;
        exchange(sealing)?;
        info!(what = ?rotate.what, generation = sealing.generation(), "ledger.key.rotated");
        let caveats = [sealing.reach().caveat(), BACKUPS];
        let caveats = caveats.into_iter().filter(|text| !text.is_empty()).map(str::to_owned);
        let (generation, receipt) = (sealing.generation(), receipt.to_string());
        let caveats = caveats.collect();
        Ok(Outcome::Kept(Kept::Rotated { generation, caveats, receipt }))
    }

    fn now_ns(&self) -> u64 {
        self.store.clock().now().wall_ns
    }
}

pub(super) fn of_erasure(kind: ActKind, id: ErasureId) -> RecordedAct<'static> {
    let mut act = RecordedAct::new(kind);
    act.resource = Some(id.to_string().into());
    act
}
