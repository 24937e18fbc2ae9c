//! The file of sealing keys: fixed slots of one sector each, so that one key is written, and one
//! day overwritten, without touching another.
//!
//! Invariants
//! - Y1: a key is durable before anything is sealed under it;
//! - Y2: a slot that cannot be read is neither used nor overwritten: it is counted and told.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bartizan_core::disk::{Disk, DiskFile};
use bartizan_core::entropy::{Entropy, random};
use zeroize::Zeroizing;

use super::Sealer;

/// Name of the file in the folder of keys.
const NAME: &str = "sealing.keys";
const TEMPORARY_NAME: &str = "sealing.keys.tmp";
const MAGIC: &[u8; 8] = b"bzkeys\r\n";
const FORMAT: u32 = 1;
/// One sector: written whole or not at all.
const SLOT_BYTES: usize = 512;
/// Bytes that a slot's checksum covers.
const COVERED_BYTES: usize = 40;
/// Slots of a new file: a month, and room to spare.
const SLOTS_NEW: usize = 64;
/// Most slots: a key a day for 44 years.
const SLOTS_MAX: usize = 16_384;
/// How many days ahead a key is made.
const DAYS_AHEAD: u32 = 1;

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeysError {
    /// The disk fails.
    #[error("cannot read or write the sealing keys")]
    Io(#[from] io::Error),
    /// Not such a file.
    #[error(
        "`{NAME}` is not a file of sealing keys of format {FORMAT}: restore it from its backup"
    )]
    Format,
    /// The pseudonym key is gone.
    #[error(
        "`{NAME}` has lost its pseudonym key: restore it from its backup, pseudonyms would change without it"
    )]
    Pseudonyms,
    /// No slot is left.
    #[error("`{NAME}` has no slot left, it has at most {SLOTS_MAX}")]
    Full,
}

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pseudonym,
    Day,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Self::Pseudonym => 1,
            Self::Day => 2,
        }
    }
}

enum Slot {
    Free,
    Key(Kind, u32, Zeroizing<[u8; 32]>),
    Damaged,
}

fn slot_bytes(kind: Kind, day: u32, key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut slot = Zeroizing::new(Vec::with_capacity(SLOT_BYTES));
    slot.extend_from_slice(&kind.code().to_le_bytes());
    slot.extend_from_slice(&day.to_le_bytes());
    slot.extend_from_slice(key);
    let crc = crc32c::crc32c(&slot);
    slot.extend_from_slice(&crc.to_le_bytes());
    slot.resize(SLOT_BYTES, 0);
    slot
}

fn read_slot(slot: &[u8]) -> Slot {
    if slot.iter().all(|byte| *byte == 0) {
        return Slot::Free;
    }
    let number = |at: usize| {
        slot.get(at..at + 4).and_then(|part| part.try_into().ok()).map(u32::from_le_bytes)
    };
    let covered = slot.get(..COVERED_BYTES).unwrap_or_default();
    let sound = number(COVERED_BYTES) == Some(crc32c::crc32c(covered));
    let key = slot.get(8..COVERED_BYTES).and_then(|key| <[u8; 32]>::try_from(key).ok());
    let kind = [Kind::Pseudonym, Kind::Day].into_iter().find(|kind| number(0) == Some(kind.code()));
    match (sound, kind, number(4), key) {
        (true, Some(kind), Some(day), Some(key)) => Slot::Key(kind, day, Zeroizing::new(key)),
        _ => Slot::Damaged,
    }
}

/// The file's content.
struct Book {
    days: BTreeMap<u32, Zeroizing<[u8; 32]>>,
    slots: BTreeMap<u32, usize>,
    pseudonyms: Zeroizing<[u8; 32]>,
    free: Vec<usize>,
    n_slots: usize,
    n_damaged: usize,
}

impl Book {
    fn parse(bytes: &[u8]) -> Result<Self, SealingKeysError> {
        let (header, slots) = bytes.split_at_checked(SLOT_BYTES).ok_or(SealingKeysError::Format)?;
        if header != header_bytes().as_slice() {
            return Err(SealingKeysError::Format);
        }
        let mut pseudonyms = None;
        let mut book = Self {
            days: BTreeMap::new(),
            slots: BTreeMap::new(),
            pseudonyms: Zeroizing::new([0; 32]),
            free: Vec::new(),
            n_slots: slots.len() / SLOT_BYTES,
            n_damaged: 0,
        };
        for (slot_idx, slot) in slots.chunks_exact(SLOT_BYTES).enumerate() {
            match read_slot(slot) {
                Slot::Free => book.free.push(slot_idx),
                Slot::Key(Kind::Pseudonym, _, key) => pseudonyms = Some(key),
                Slot::Key(Kind::Day, day, key) => {
                    book.days.insert(day, key);
                    book.slots.insert(day, slot_idx);
                }
                Slot::Damaged => book.n_damaged += 1,
            }
        }
        book.pseudonyms = pseudonyms.ok_or(SealingKeysError::Pseudonyms)?;
        Ok(book)
    }

    fn sealer(&self) -> Arc<Sealer> {
        let days = self.days.iter().map(|(day, key)| (*day, **key));
        Arc::new(Sealer::new(days, &self.pseudonyms))
    }
}

fn header_bytes() -> Vec<u8> {
    let mut header = Vec::with_capacity(SLOT_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&(SLOT_BYTES as u32).to_le_bytes());
    let crc = crc32c::crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header.resize(SLOT_BYTES, 0);
    header
}

/// The sealing keys of an environment: one a day, and one for pseudonyms.
pub struct SealingKeys {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    book: Mutex<Book>,
    sealer: RwLock<Arc<Sealer>>,
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKeys [redacted]")
    }
}

impl SealingKeys {
    /// Opens the keys in the folder `disk`, making them where there are none, and the key of
    /// `today` (days since the Unix epoch) and the next where they are missing.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        entropy: Arc<dyn Entropy>,
        today: u32,
    ) -> Result<Self, SealingKeysError> {
        let book = match disk.open(NAME, false) {
            Ok(file) => Book::parse(&read_whole(&*file)?)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&*disk, &*entropy)?,
            Err(error) => return Err(error.into()),
        };
        settle(&*disk, &book, today)?;
        let sealer = RwLock::new(book.sealer());
        let keys = Self { disk, entropy, book: Mutex::new(book), sealer };
        keys.maintain(today)?;
        Ok(keys)
    }

    /// Reads the keys in the folder `disk` and changes nothing: for verbs that only read.
    ///
    /// # Errors
    /// [`SealingKeysError`]; `NotFound` where there are none.
    pub fn read(disk: &dyn Disk) -> Result<Arc<Sealer>, SealingKeysError> {
        let file = disk.open(NAME, false)?;
        Ok(Book::parse(&read_whole(&*file)?)?.sealer())
    }

    /// The snapshot to use now: take one a request.
    pub fn sealer(&self) -> Arc<Sealer> {
        Arc::clone(&self.sealer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many slots cannot be read; payloads of those days do not open.
    pub fn n_damaged(&self) -> usize {
        self.locked().n_damaged
    }

    /// Y1: makes the keys of `today` and the next day where they are missing. To be called from
    /// a background thread, at least every few hours; never on a request's way.
    ///
    /// # Errors
    /// [`SealingKeysError`]; sealing goes on with the keys there are.
    pub fn maintain(&self, today: u32) -> Result<(), SealingKeysError> {
        let mut book = self.locked();
        let missing: Vec<u32> = (today..=today.saturating_add(DAYS_AHEAD))
            .filter(|day| !book.days.contains_key(day))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut file = self.disk.open(NAME, false)?;
        for day in missing {
            let key = Zeroizing::new(random::<32>(&*self.entropy));
            let slot_idx = book.free.first().copied().unwrap_or(book.n_slots);
            if SLOTS_MAX <= slot_idx {
                return Err(SealingKeysError::Full);
            }
            let at = (slot_idx + 1) * SLOT_BYTES;
            // In doubt until the sync: not to be given out twice.
            book.free.retain(|free| *free != slot_idx);
            book.n_slots = book.n_slots.max(slot_idx + 1);
            file.write_at(&slot_bytes(Kind::Day, day, &key), at as u64)?;
            file.sync()?;
            book.days.insert(day, key);
            book.slots.insert(day, slot_idx);
        }
        let sealer = book.sealer();
        drop(book);
        *self.sealer.write().unwrap_or_else(PoisonError::into_inner) = sealer;
        Ok(())
    }

    /// No code under this lock can panic half-way.
    fn locked(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Y1, for keys that an earlier process wrote: it may have seen a sync fail and died, and then
/// the key can be read but is not on the disk. Those still in use are written once more.
fn settle(disk: &dyn Disk, book: &Book, today: u32) -> Result<(), SealingKeysError> {
    let mut file = disk.open(NAME, false)?;
    for (day, key) in book.days.range(today..) {
        if let Some(slot_idx) = book.slots.get(day) {
            let at = (slot_idx + 1) * SLOT_BYTES;
            file.write_at(&slot_bytes(Kind::Day, *day, key), at as u64)?;
        }
    }
    file.sync()?;
    Ok(disk.sync_dir("")?)
}

/// The whole file, which is never longer than its slots.
fn read_whole(file: &dyn DiskFile) -> Result<Zeroizing<Vec<u8>>, SealingKeysError> {
    let len_max = (SLOTS_MAX + 1) * SLOT_BYTES;
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if len_max < len {
        return Err(SealingKeysError::Format);
    }
    let mut bytes = Zeroizing::new(vec![0; len]);
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Makes the file under another name first: it is there whole or not at all.
fn create(disk: &dyn Disk, entropy: &dyn Entropy) -> Result<Book, SealingKeysError> {
    let mut bytes = Zeroizing::new(header_bytes());
    let key = Zeroizing::new(random::<32>(entropy));
    bytes.extend_from_slice(&slot_bytes(Kind::Pseudonym, 0, &key));
    bytes.resize((SLOTS_NEW + 1) * SLOT_BYTES, 0);
    let mut file = disk.open(TEMPORARY_NAME, true)?;
    file.set_len(0)?;
    file.write_at(&bytes, 0)?;
    file.sync()?;
    disk.rename(TEMPORARY_NAME, NAME)?;
    disk.sync_dir("")?;
    Book::parse(&bytes)
}
