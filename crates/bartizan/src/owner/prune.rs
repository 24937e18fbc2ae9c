//! Ending what is too old: keys, so that nothing sealed under them opens, and records.
//!
//! Invariants
//! - X3: nothing younger than its class's least age is ended, and nothing that a legal hold
//!   concerns; while any hold stands no record is removed, for one cannot tell from a record what
//!   a hold of a person whose keys are gone is about;
//! - X4: what is ended is on record before it is, and every proof made before verifies.

use bartizan_core::Principal;
use bartizan_core::clock::{NS_PER_S, S_PER_DAY};
use bartizan_core::entropy::random;
use bartizan_ledger::{ACT_KEYS_MAX, ActKind, ErasureId, prunable};
use tracing::info;

use super::erasure::of_erasure;
use super::operation::{Kept, Outcome, Prune, RetentionClass};
use super::store::Act;
use super::{OperationError, Owner};
use crate::config::keys::Ages;

/// What a pruning came to.
#[derive(Default)]
struct Pruned {
    n_days: u64,
    n_subjects: u64,
    n_records: u64,
    kept: Vec<String>,
    receipts: Vec<String>,
}

impl Owner {
    /// X3 and X4.
    pub(super) fn prune(
        &self,
        caller: &Principal,
        prune: &Prune,
    ) -> Result<Outcome, OperationError> {
        let order = self.state();
        self.finish_begun(&order)?;
        let classes =
            prune.class.as_ref().map_or(RetentionClass::ALL, |class| std::slice::from_ref(class));
        let retention = &self.environment.config().retention;
        let ages = |class| match class {
            RetentionClass::Subjects => retention.subjects,
            RetentionClass::Days => retention.days,
            RetentionClass::Records => retention.records,
        };
        // All are judged before the first is ended.
        for class in classes {
            let Ages { days_min, days_max } = ages(*class);
            let days = prune.older_than_days.unwrap_or(days_max);
            if days < days_min {
                let class = class.as_str();
                return Err(OperationError::TooYoung { class, days, days_min });
            }
        }
        let today = self.store.clock().now().day();
        let mut pruned = Pruned::default();
        for class in classes {
            let days = prune.older_than_days.unwrap_or(ages(*class).days_max);
            let cutoff = today.saturating_sub(days);
            match class {
                RetentionClass::Subjects | RetentionClass::Days => {
                    self.prune_keys(caller, prune, *class, cutoff, &mut pruned)?;
                }
                RetentionClass::Records => {
                    self.prune_records(caller, prune, cutoff, &mut pruned)?;
                }
            }
        }
        let Pruned { n_days, n_subjects, n_records, kept, receipts } = pruned;
        Ok(Outcome::Kept(Kept::Pruned { n_days, n_subjects, n_records, kept, receipts }))
    }

    /// What is destroyed is listed before and counted after, as with an erasure.
    fn prune_keys(
        &self,
        caller: &Principal,
        prune: &Prune,
        class: RetentionClass,
        cutoff: u32,
        pruned: &mut Pruned,
    ) -> Result<(), OperationError> {
        let sealing = self.store.sealing();
        let (mut days, mut subjects) = sealing.expired(cutoff);
        match class {
            RetentionClass::Subjects => days.clear(),
            RetentionClass::Days | RetentionClass::Records => subjects.clear(),
        }
        if days.is_empty() && subjects.is_empty() {
            return Ok(());
        }
        let id = ErasureId(random(&*self.world.entropy));
        for keys in subjects.chunks(ACT_KEYS_MAX) {
            let mut act = of_erasure(ActKind::ErasureBegun, id);
            act.reason = Some(prune.reason.clone().into());
            act.keys = keys.to_vec();
            self.record(caller, &Act::Kept(Box::new(act)))?;
        }
        sealing.expire(&days, &subjects)?;
        let mut act = of_erasure(ActKind::Pruned, id);
        act.reason = Some(format!("{}: {}", class.as_str(), prune.reason).into());
        act.count = Some((days.len() + subjects.len()) as u64);
        act.to_ns = Some(u64::from(cutoff) * S_PER_DAY * NS_PER_S);
        pruned.receipts.push(self.record(caller, &Act::Kept(Box::new(act)))?.to_string());
        pruned.n_days += days.len() as u64;
        pruned.n_subjects += subjects.len() as u64;
        info!(
            class = class.as_str(),
            n_days = days.len(),
            n_subjects = subjects.len(),
            "ledger.keys.pruned"
        );
        Ok(())
    }

    fn prune_records(
        &self,
        caller: &Principal,
        prune: &Prune,
        cutoff: u32,
        pruned: &mut Pruned,
    ) -> Result<(), OperationError> {
        let n_holds = self.store.sealing().holds().len();
        if 0 < n_holds {
            let text = format!("records: {n_holds} legal hold(s) stand, `bartizan hold list`");
            pruned.kept.push(text);
            return Ok(());
        }
        let disk = self.store.disk();
        let before_ns = u64::from(cutoff) * S_PER_DAY * NS_PER_S;
        let Some(old) = prunable(&*disk, before_ns).map_err(OperationError::Prunable)? else {
            return Ok(());
        };
        let mut act = old.tombstone();
        act.reason = Some(prune.reason.clone().into());
        pruned.receipts.push(self.record(caller, &Act::Kept(Box::new(act)))?.to_string());
        old.remove(&*disk).map_err(OperationError::Remove)?;
        pruned.n_records += old.end - old.first;
        info!(first = old.first, end = old.end, "ledger.records.pruned");
        Ok(())
    }
}
