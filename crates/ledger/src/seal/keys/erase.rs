//! Erasing a subject's keys, and the holds that forbid it.
//!
//! An erasure is planned, noted in a slot of its own, carried out, and closed; whoever records it
//! does so between these steps. What is noted survives a loss of power and is found again by
//! [`SealingKeys::open_erasures`].

use std::fmt;

use bartizan_core::digest::hex;
use bartizan_core::principal::Pseudonym;
use zeroize::Zeroizing;

use super::super::table::month_of;
use super::{Content, Key, Kind, Place, SealingKeys, SealingKeysError, Table};
use crate::wrap::Reach;

/// States of a noted erasure, as a slot's period.
const WAITING: u32 = 0;
const BEGUN: u32 = 1;
const DESTROYED: u32 = 2;
const ZERO: [u8; 32] = [0; 32];

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }
    };
}

id! {
    /// Name of a hold, random.
    HoldId
}
id! {
    /// Name of an erasure, random.
    ErasureId
}

/// A legal hold. Of one subject it knows what its keys are found by, not its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its name.
    pub id: HoldId,
    /// When it was added, in nanoseconds since the Unix epoch.
    pub made_ns: u64,
    root: Key,
}

impl Hold {
    pub(super) fn from_slot(id: HoldId, root: Key, made_ns: u64) -> Self {
        Self { id, made_ns, root }
    }

    pub(super) fn slot(&self) -> Content {
        let key = self.root.clone();
        Content { kind: Kind::Hold, period: 0, name: self.id.0, key, made_ns: self.made_ns }
    }

    /// Whether it holds everything, not one subject.
    pub fn is_of_everything(&self) -> bool {
        *self.root == ZERO
    }

    fn concerns(&self, root: &[u8; 32]) -> bool {
        self.is_of_everything() || *self.root == *root
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({}, [redacted])", self.id)
    }
}

/// An erasure as its slot notes it.
pub(super) struct Noted {
    state: u32,
    root: Key,
    made_ns: u64,
}

impl Noted {
    pub(super) fn from_slot(state: u32, root: Key, made_ns: u64) -> Self {
        Self { state, root, made_ns }
    }

    pub(super) fn slot(&self, id: ErasureId) -> Content {
        let key = self.root.clone();
        let (period, made_ns) = (self.state, self.made_ns);
        Content { kind: Kind::Erasure, period, name: id.0, key, made_ns }
    }
}

/// What an erasure of a subject would destroy, and what forbids it.
pub struct ErasurePlan {
    root: Key,
    /// What the keys are called in records: at most one a month.
    pub keys: Vec<Pseudonym>,
    /// Holds that forbid it.
    pub held_by: Vec<HoldId>,
}

impl fmt::Debug for ErasurePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErasurePlan {{ n_keys: {}, [redacted] }}", self.keys.len())
    }
}

/// An erasure that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenErasure {
    /// Its name.
    pub id: ErasureId,
    /// When it was asked for, in nanoseconds since the Unix epoch.
    pub asked_ns: u64,
    /// Keys that it would destroy now.
    pub keys: Vec<Pseudonym>,
    /// Whether a hold forbids it.
    pub is_held: bool,
    /// Whether it was asked for while a hold forbade it, and was never begun.
    pub is_waiting: bool,
}

/// What was destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// Keys that are gone, by what they are called in records.
    pub keys: Vec<Pseudonym>,
    /// How far that reaches.
    pub reach: Reach,
}

fn held_by<'b>(holds: impl Iterator<Item = &'b Hold>, root: &[u8; 32]) -> Vec<HoldId> {
    holds.filter(|hold| hold.concerns(root)).map(|hold| hold.id).collect()
}

impl SealingKeys {
    /// What stands for `subject` while an erasure of it waits: a keyed hash that nobody without
    /// the key store can make from a guess.
    pub fn subject_root(&self, subject: &str) -> Key {
        self.table().root(subject)
    }

    /// What erasing `subject` would mean. Changes nothing.
    pub fn plan_erasure(&self, subject: &str) -> ErasurePlan {
        let root = self.table().root(subject);
        self.plan_erasure_of(root)
    }

    /// The same of whom a [`SealingKeys::subject_root`] stands for.
    pub fn plan_erasure_of(&self, root: Key) -> ErasurePlan {
        let book = self.book();
        let table = self.table();
        let held_by = held_by(book.holds.values(), &root);
        ErasurePlan { keys: table.of_root(&root), root, held_by }
    }

    /// Notes the erasure `id` of `plan` at `now_ns` since the Unix epoch, durably: as begun, or
    /// as waiting where a hold forbids it.
    ///
    /// # Errors
    /// [`SealingKeysError`]; it is then not noted.
    pub fn note_erasure(
        &self,
        id: ErasureId,
        plan: &ErasurePlan,
        now_ns: u64,
    ) -> Result<(), SealingKeysError> {
        let state = if plan.held_by.is_empty() { BEGUN } else { WAITING };
        let mut book = self.book();
        let noted = Noted { state, root: plan.root.clone(), made_ns: now_ns };
        self.write(&mut book, &[(Place::Erasure(id), Some(noted.slot(id)))])?;
        book.erasures.insert(id, noted);
        Ok(())
    }

    /// Erasures that were noted and not closed: to be carried out by whoever opens the store,
    /// and after a hold was released.
    pub fn open_erasures(&self) -> Vec<OpenErasure> {
        let book = self.book();
        let table = self.table();
        let open = book.erasures.iter().map(|(id, noted)| {
            let is_destroyed = noted.state == DESTROYED;
            let (keys, is_held) = if is_destroyed {
                (Vec::new(), false)
            } else {
                let holds = held_by(book.holds.values(), &noted.root);
                (table.of_root(&noted.root), !holds.is_empty())
            };
            let is_waiting = noted.state == WAITING;
            OpenErasure { id: *id, asked_ns: noted.made_ns, keys, is_held, is_waiting }
        });
        open.collect()
    }

    /// Carries out the erasure `id`: Y4 for `keys`, those that it was recorded to destroy. An
    /// erasure that got as far before is not repeated. Keys made for the subject since are of
    /// later decisions, and stay.
    ///
    /// # Errors
    /// [`SealingKeysError`]: it is not complete, and noted still.
    pub fn destroy(
        &self,
        id: ErasureId,
        keys: &[Pseudonym],
    ) -> Result<Destroyed, SealingKeysError> {
        let mut book = self.book();
        let reach = self.shared.wrap.reach();
        self.flush_into(&mut book)?;
        let gone: Vec<_> = keys.iter().map(|key| (Place::Subject(*key), None)).collect();
        #[cfg(test)]
        let gone = if self.is_mutant(super::Mutant::SkipOverwrite) { Vec::new() } else { gone };
        self.write(&mut book, &gone)?;
        let mut removed = Vec::new();
        {
            let mut table = self.table_mut();
            for key in keys {
                if table.subject(*key).is_some() {
                    removed.push(*key);
                }
                table.remove(*key);
            }
        }
        if let Some(noted) = book.erasures.get_mut(&id) {
            // From the next generation on nothing says whom it was about.
            noted.state = DESTROYED;
            noted.root = Zeroizing::new(ZERO);
        }
        self.renew(&mut book)?;
        Ok(Destroyed { keys: removed, reach })
    }

    /// Forgets the erasure `id`, which is on record as complete.
    ///
    /// # Errors
    /// [`SealingKeysError`]; it is found again as destroyed, and can be closed again.
    pub fn close_erasure(&self, id: ErasureId) -> Result<(), SealingKeysError> {
        let mut book = self.book();
        self.write(&mut book, &[(Place::Erasure(id), None)])?;
        book.erasures.remove(&id);
        Ok(())
    }

    /// Keys of days before `day`, and of subjects in earlier months than that of `day`: what
    /// [`SealingKeys::expire`] would destroy. Those of held subjects are not among them, and
    /// nothing is where everything is held.
    pub fn expired(&self, day: u32) -> (Vec<u32>, Vec<Pseudonym>) {
        let book = self.book();
        let table = self.table();
        if book.holds.values().any(Hold::is_of_everything) {
            return (Vec::new(), Vec::new());
        }
        let held: Vec<Pseudonym> =
            book.holds.values().flat_map(|hold| table.of_root(&hold.root)).collect();
        let days = table.days.range(..day).map(|(day, _)| *day).collect();
        let month = month_of(day);
        let subjects = table.subjects().into_iter();
        let old = subjects.filter(|(name, key)| key.month < month && !held.contains(name));
        (days, old.map(|(name, _)| name).collect())
    }

    /// Destroys these keys of days and of subjects, all or, where it fails, some; nothing where
    /// there are none. Y4 holds for them, too.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn expire(&self, days: &[u32], subjects: &[Pseudonym]) -> Result<(), SealingKeysError> {
        if days.is_empty() && subjects.is_empty() {
            return Ok(());
        }
        let mut book = self.book();
        self.flush_into(&mut book)?;
        let of_days = days.iter().map(|day| (Place::Day(*day), None));
        let of_subjects = subjects.iter().map(|name| (Place::Subject(*name), None));
        let gone: Vec<_> = of_days.chain(of_subjects).collect();
        self.write(&mut book, &gone)?;
        self.forget(days, subjects);
        self.renew(&mut book)
    }

    fn forget(&self, days: &[u32], subjects: &[Pseudonym]) {
        let mut table = self.table_mut();
        let table: &mut Table = &mut table;
        table.days.retain(|day, _| !days.contains(day));
        for name in subjects {
            table.remove(*name);
        }
    }

    /// Adds the hold `id` at `now_ns` since the Unix epoch: of `subject`, or of everything.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn add_hold(
        &self,
        id: HoldId,
        subject: Option<&str>,
        now_ns: u64,
    ) -> Result<(), SealingKeysError> {
        let mut book = self.book();
        let root = subject.map_or(Zeroizing::new(ZERO), |subject| self.table().root(subject));
        let hold = Hold { id, made_ns: now_ns, root };
        self.write(&mut book, &[(Place::Hold(id), Some(hold.slot()))])?;
        book.holds.insert(id, hold);
        Ok(())
    }

    /// Takes the hold `id` away. What waited for it is then to be carried out: see
    /// [`SealingKeys::open_erasures`].
    ///
    /// # Errors
    /// [`SealingKeysError::NoSuchHold`], or what the disk says.
    pub fn release_hold(&self, id: HoldId) -> Result<(), SealingKeysError> {
        let mut book = self.book();
        if !book.holds.contains_key(&id) {
            return Err(SealingKeysError::NoSuchHold(id));
        }
        self.write(&mut book, &[(Place::Hold(id), None)])?;
        book.holds.remove(&id);
        Ok(())
    }

    /// Every hold, by id.
    pub fn holds(&self) -> Vec<Hold> {
        self.book().holds.values().cloned().collect()
    }
}
