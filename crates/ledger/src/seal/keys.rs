//! The key store: fixed slots in one file, each sealed under the key of its generation, which a
//! key-encryption key outside wraps.
//!
//! Invariants
//! - Y1: a key is durable before anything sealed under it is acknowledged: days' keys are made
//!   ahead, subjects' keys are flushed by the log's writer before the group that needs them;
//! - Y2: a slot that cannot be read is not used: it is counted and told;
//! - Y3: a slot opens only in its place, in its generation, under that generation's key;
//! - Y4: destroying a key overwrites its slot on the disk, then wraps all others anew under a
//!   fresh KEK, then destroys the old KEK: no byte ever written opens it;
//! - Y5: whatever moment the power goes, no live key is lost, and an erasure that was noted is
//!   found again;
//! - Y6: after an error of a write or sync the store is not written again before it is reopened.

mod erase;
mod renew;
mod upgrade;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bartizan_core::disk::{Disk, DiskFile};
use bartizan_core::entropy::{Entropy, random};
use bartizan_core::principal::Pseudonym;
use zeroize::Zeroizing;

pub use erase::{Destroyed, ErasureId, ErasurePlan, Hold, HoldId, OpenErasure};
pub use upgrade::{Adopted, KeysFormat, adopt_keys, downgrade_keys, keys_format, upgrade_keys};

use super::Sealer;
use super::legacy::{self, Legacy};
use super::slots::{
    Content, FORMAT, GenerationKey, HEADER_BYTES, Header, Kind, SLOT_BYTES, Slot, format_of,
};
use super::table::{Key, SUBJECT_KEYS_MAX, SubjectKey, Table};
use crate::wrap::{KekId, KeyWrap, Reach, WrapError};

/// Name of the file in the folder of keys.
const NAME: &str = "sealing.keys";
const TEMPORARY_NAME: &str = "sealing.keys.tmp";
/// Slots by which the file grows.
const SLOTS_STEP: usize = 256;
/// Most slots: subjects' keys, and as many days as 44 years have, and room for the rest.
const SLOTS_MAX: usize = SUBJECT_KEYS_MAX + 65_536;
/// How many days ahead a key is made.
const DAYS_AHEAD: u32 = 1;
/// Periods of the two slots of kind `Pepper`.
const INDEX_KEY: u32 = 0;
const PEPPER: u32 = 1;

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeysError {
    /// The disk fails.
    #[error("cannot read or write the key store")]
    Io(#[from] io::Error),
    /// Not such a file.
    #[error(
        "`{NAME}` is not a key store of format {FORMAT}: restore it from its backup with `bartizan restore`"
    )]
    Format,
    /// A file of the release before.
    #[error(
        "`{NAME}` has format {found}, this release writes format {FORMAT}: run `bartizan store upgrade` (with `--check` it only looks)"
    )]
    Upgrade {
        /// Its format.
        found: u32,
    },
    /// The pseudonym key is gone.
    #[error(
        "`{NAME}` has lost its pseudonym key: restore it from its backup, pseudonyms would change without it"
    )]
    Pseudonyms,
    /// The key-encryption key does not do its part.
    #[error("cannot unwrap the key store `{NAME}`, or wrap it anew")]
    Wrap(#[from] WrapError),
    /// No slot is left.
    #[error(
        "`{NAME}` has no slot left, it has at most {SLOTS_MAX}: erase subjects, or begin a new environment"
    )]
    Full,
    /// Y6.
    #[error("the key store failed to write earlier and takes nothing more: restart the server")]
    Broken,
    /// There is no such hold.
    #[error("there is no hold {0}; `bartizan hold list` shows those there are")]
    NoSuchHold(HoldId),
    /// The way back is closed.
    #[error(
        "the key store cannot go back to format {}: it holds {n_subjects} keys of subjects, which that format has no place for",
        legacy::FORMAT
    )]
    NoWayBack {
        /// How many.
        n_subjects: usize,
    },
}

/// Which slot is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Secret(u32),
    Day(u32),
    Subject(Pseudonym),
    Hold(HoldId),
    Erasure(ErasureId),
}

/// The file and what lies where in it.
struct Book {
    header: Header,
    key: GenerationKey,
    file: Box<dyn DiskFile>,
    places: HashMap<Place, usize>,
    free: Vec<usize>,
    n_slots: usize,
    n_damaged: usize,
    holds: BTreeMap<HoldId, Hold>,
    erasures: BTreeMap<ErasureId, erase::Noted>,
    is_broken: bool,
}

/// Faults that a test puts in, to show that the tests would notice.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// Says that keys are durable and writes none.
    SkipFlush,
    /// Overwrites the slot and leaves it at that.
    SkipRenewal,
    /// Wraps anew and keeps the old KEK.
    SkipDestruction,
    /// Destroys the old KEK before the new file has its name.
    DestroyFirst,
    /// Wraps anew and does not overwrite the slot.
    SkipOverwrite,
}

struct Shared {
    #[cfg(test)]
    mutant: Mutex<Option<Mutant>>,
    disk: Arc<dyn Disk>,
    wrap: Arc<dyn KeyWrap>,
    entropy: Arc<dyn Entropy>,
    book: Mutex<Book>,
    table: Arc<RwLock<Table>>,
    n_new: Arc<AtomicUsize>,
    sealer: Arc<Sealer>,
}

/// The sealing keys of an environment: one a day, one a subject and month, and one for
/// pseudonyms. Clones share them.
#[derive(Clone)]
pub struct SealingKeys {
    shared: Arc<Shared>,
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKeys [redacted]")
    }
}

impl SealingKeys {
    /// Opens the keys in the folder `disk`, making them where there are none, and the key of
    /// `today` (days since the Unix epoch) and the next where they are missing. What an earlier
    /// process was in the middle of is settled: a KEK that was to be destroyed is destroyed.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        wrap: Arc<dyn KeyWrap>,
        entropy: Arc<dyn Entropy>,
        today: u32,
    ) -> Result<Self, SealingKeysError> {
        let (book, table) = match disk.open(NAME, false) {
            Ok(file) => {
                let bytes = read_whole(&*file)?;
                let loaded = load(&bytes, &*wrap, file)?;
                settle(&*disk, &*wrap, loaded, &bytes)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                renew::create(&*disk, &*wrap, &*entropy)?
            }
            Err(error) => return Err(error.into()),
        };
        let (table, n_new) = (Arc::new(RwLock::new(table)), Arc::new(AtomicUsize::new(0)));
        let makes = super::Makes { entropy: Arc::clone(&entropy), n_new: Arc::clone(&n_new) };
        let sealer = Arc::new(Sealer::new(Arc::clone(&table), Some(makes)));
        let book = Mutex::new(book);
        let shared = Shared {
            #[cfg(test)]
            mutant: Mutex::new(None),
            disk,
            wrap,
            entropy,
            book,
            table,
            n_new,
            sealer,
        };
        let keys = Self { shared: Arc::new(shared) };
        keys.maintain(today)?;
        Ok(keys)
    }

    /// Reads the keys in the folder `disk`, of this release's format or the one before, and
    /// changes nothing: for verbs that only read. What it gives makes no new keys.
    ///
    /// # Errors
    /// [`SealingKeysError`]; `NotFound` where there are none.
    pub fn read(disk: &dyn Disk, wrap: &dyn KeyWrap) -> Result<Arc<Sealer>, SealingKeysError> {
        let file = disk.open(NAME, false)?;
        let bytes = read_whole(&*file)?;
        let table = match Legacy::parse(&bytes) {
            Some(legacy) => {
                let mut table = Table::new(legacy.pepper, Zeroizing::new([0; 32]));
                table.days = legacy.days;
                table
            }
            None => load(&bytes, wrap, file)?.1,
        };
        Ok(Arc::new(Sealer::new(Arc::new(RwLock::new(table)), None)))
    }

    /// What seals and opens; it sees every later change of the keys.
    pub fn sealer(&self) -> Arc<Sealer> {
        Arc::clone(&self.shared.sealer)
    }

    /// The file's bytes of this moment, for a backup: wrapped, so worthless without the KEK.
    ///
    /// # Errors
    /// What the disk says.
    pub fn copy(&self) -> Result<Vec<u8>, SealingKeysError> {
        let mut book = self.book();
        self.flush_into(&mut book)?;
        Ok(read_whole(&*book.file)?.to_vec())
    }

    /// How many slots cannot be read; payloads under those keys do not open.
    pub fn n_damaged(&self) -> usize {
        self.book().n_damaged
    }

    /// How far the destruction of a key reaches here.
    pub fn reach(&self) -> Reach {
        self.shared.wrap.reach()
    }

    /// How often all keys were wrapped anew.
    pub fn generation(&self) -> u64 {
        self.book().header.generation
    }

    /// Whether the store began in release 0.1: what was sealed then lies under days' keys only.
    pub fn is_migrated(&self) -> bool {
        self.book().header.is_migrated
    }

    /// Y1: makes the keys of `today` and the next day where they are missing. To be called from
    /// a background thread, at least every few hours; never on a request's way.
    ///
    /// # Errors
    /// [`SealingKeysError`]; sealing goes on with the keys there are.
    pub fn maintain(&self, today: u32) -> Result<(), SealingKeysError> {
        let mut book = self.book();
        let missing: Vec<u32> = {
            let table = self.table();
            let days = today..=today.saturating_add(DAYS_AHEAD);
            days.filter(|day| !table.days.contains_key(day)).collect()
        };
        for day in missing {
            let key = Zeroizing::new(random::<32>(&*self.shared.entropy));
            let content = content(Kind::Day, day, [0; 16], &key);
            self.write(&mut book, &[(Place::Day(day), Some(content))])?;
            self.table_mut().days.insert(day, key);
        }
        Ok(())
    }

    /// Y1: makes durable every subject's key that was made since the last time. Costs one look
    /// where there is none, else a write and a sync. The log's writer calls it before each group.
    ///
    /// # Errors
    /// What the disk says; nothing that was sealed since may then be acknowledged.
    pub fn flush(&self) -> io::Result<()> {
        if self.shared.n_new.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        #[cfg(test)]
        if self.is_mutant(Mutant::SkipFlush) {
            self.table_mut().new.clear();
            return Ok(());
        }
        let mut book = self.book();
        self.flush_into(&mut book).map_err(io::Error::other)
    }

    fn flush_into(&self, book: &mut Book) -> Result<(), SealingKeysError> {
        let new: Vec<(Place, Option<Content>)> = {
            let mut table = self.table_mut();
            self.shared.n_new.store(0, Ordering::Release);
            let new = std::mem::take(&mut table.new);
            let of = |pseudonym: &Pseudonym| {
                let key = table.subject(*pseudonym)?;
                Some((Place::Subject(*pseudonym), Some(subject_content(key))))
            };
            new.iter().filter_map(of).collect()
        };
        self.write(book, &new)
    }

    /// Writes contents into their slots, or zeroes over them, and syncs once.
    fn write(
        &self,
        book: &mut Book,
        changes: &[(Place, Option<Content>)],
    ) -> Result<(), SealingKeysError> {
        if book.is_broken {
            return Err(SealingKeysError::Broken);
        }
        if changes.is_empty() {
            return Ok(());
        }
        let outcome = self.write_slots(book, changes);
        // Y6: what lies in those slots is in doubt.
        book.is_broken = matches!(outcome, Err(SealingKeysError::Io(_)));
        outcome
    }

    fn write_slots(
        &self,
        book: &mut Book,
        changes: &[(Place, Option<Content>)],
    ) -> Result<(), SealingKeysError> {
        for (place, content) in changes {
            let slot_idx = match (book.places.get(place), content) {
                (Some(slot_idx), _) => *slot_idx,
                (None, Some(_)) => book.take_slot()?,
                (None, None) => continue,
            };
            let bytes = match content {
                Some(content) => {
                    book.places.insert(*place, slot_idx);
                    book.key.seal(slot_idx, content, random(&*self.shared.entropy))
                }
                None => {
                    book.places.remove(place);
                    book.free.push(slot_idx);
                    vec![0; SLOT_BYTES]
                }
            };
            book.file.write_at(&bytes, slot_offset(slot_idx))?;
        }
        Ok(book.file.sync()?)
    }

    #[cfg(test)]
    fn is_mutant(&self, mutant: Mutant) -> bool {
        *self.shared.mutant.lock().unwrap_or_else(PoisonError::into_inner) == Some(mutant)
    }

    /// No code under these locks can panic half-way.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.shared.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.shared.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn take_slot(&mut self) -> Result<usize, SealingKeysError> {
        if self.free.is_empty() {
            let end = (self.n_slots + SLOTS_STEP).min(SLOTS_MAX);
            if end == self.n_slots {
                return Err(SealingKeysError::Full);
            }
            // Zeroes of its own, so that a later sync has no length to journal.
            let zeroes = vec![0; (end - self.n_slots) * SLOT_BYTES];
            self.file.write_at(&zeroes, slot_offset(self.n_slots))?;
            self.free.extend((self.n_slots..end).rev());
            self.n_slots = end;
        }
        self.free.pop().ok_or(SealingKeysError::Full)
    }
}

fn slot_offset(slot_idx: usize) -> u64 {
    (HEADER_BYTES + slot_idx * SLOT_BYTES) as u64
}

fn content(kind: Kind, period: u32, name: [u8; 16], key: &Key) -> Content {
    Content { kind, period, name, key: key.clone(), made_ns: 0 }
}

fn subject_content(key: &SubjectKey) -> Content {
    content(Kind::Subject, key.month, key.tag, &key.key)
}

/// Reads a whole key store.
fn load(
    bytes: &[u8],
    wrap: &dyn KeyWrap,
    file: Box<dyn DiskFile>,
) -> Result<(Book, Table), SealingKeysError> {
    let header = match (Header::parse(bytes), format_of(bytes)) {
        (Some(header), _) => header,
        (None, Some(found)) if found == legacy::FORMAT => {
            return Err(SealingKeysError::Upgrade { found });
        }
        (None, _) => return Err(SealingKeysError::Format),
    };
    let key = GenerationKey::new(&*wrap.unwrap(header.kek, &header.wrapped)?, header.generation);
    let slots = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let mut book = Book {
        header,
        key,
        file,
        places: HashMap::new(),
        free: Vec::new(),
        n_slots: slots.len() / SLOT_BYTES,
        n_damaged: 0,
        holds: BTreeMap::new(),
        erasures: BTreeMap::new(),
        is_broken: false,
    };
    let zero = || Zeroizing::new([0; 32]);
    let (mut table, mut secrets) = (Table::new(zero(), zero()), 0);
    for (slot_idx, slot) in slots.chunks_exact(SLOT_BYTES).enumerate() {
        let content = match book.key.open(slot_idx, slot) {
            Slot::Free => {
                book.free.push(slot_idx);
                continue;
            }
            Slot::Damaged => {
                book.n_damaged += 1;
                continue;
            }
            Slot::Held(content) => content,
        };
        secrets += usize::from(content.kind == Kind::Pepper);
        let place = place_of(&mut book, &mut table, content);
        book.places.insert(place, slot_idx);
    }
    book.free.reverse();
    if secrets < 2 { Err(SealingKeysError::Pseudonyms) } else { Ok((book, table)) }
}

/// Takes in what a slot holds; says which slot it is.
fn place_of(book: &mut Book, table: &mut Table, content: Content) -> Place {
    let Content { kind, period, name, key, made_ns } = content;
    match kind {
        Kind::Pepper => {
            if period == INDEX_KEY {
                table.index_key = key
            } else {
                table.pepper = key
            }
            Place::Secret(period)
        }
        Kind::Day => {
            table.days.insert(period, key);
            Place::Day(period)
        }
        Kind::Subject => Place::Subject(table.insert(SubjectKey { key, month: period, tag: name })),
        Kind::Hold => {
            let id = HoldId(name);
            book.holds.insert(id, Hold::from_slot(id, key, made_ns));
            Place::Hold(id)
        }
        Kind::Erasure => {
            let id = ErasureId(name);
            book.erasures.insert(id, erase::Noted::from_slot(period, key, made_ns));
            Place::Erasure(id)
        }
    }
}

/// What an earlier process may have left undone: it may have seen a sync fail and died, and then
/// what can be read is not on the disk; it may have died before it destroyed a KEK.
fn settle(
    disk: &dyn Disk,
    wrap: &dyn KeyWrap,
    loaded: (Book, Table),
    bytes: &[u8],
) -> Result<(Book, Table), SealingKeysError> {
    let (mut book, table) = loaded;
    book.file.write_at(bytes, 0)?;
    book.file.sync()?;
    disk.sync_dir("")?;
    renew::discard_stale(disk, wrap, Some(book.header.kek))?;
    if let Some(previous) = book.header.previous {
        wrap.destroy(previous)?;
    }
    Ok((book, table))
}

/// The whole file, which is never longer than its slots.
fn read_whole(file: &dyn DiskFile) -> Result<Zeroizing<Vec<u8>>, SealingKeysError> {
    let len_max = HEADER_BYTES + SLOTS_MAX * SLOT_BYTES;
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if len_max < len {
        return Err(SealingKeysError::Format);
    }
    let mut bytes = Zeroizing::new(vec![0; len]);
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
