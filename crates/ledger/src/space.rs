//! Room on the volume: quotas, and the next segment, made ahead of its need.
//!
//! Invariants
//! - S1: decisions and folded records are refused once the room left is the reserve, so that an
//!   administrator, a key or an erasure can still be recorded;
//! - S2: folded records never hold more than their share of the volume;
//! - S3: a segment is zeroes on the disk, and durable as such, before its name says segment.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::disk::{Disk, DiskFile};

use crate::entry::{Entry, EntryClass};
use crate::queue::{AppendError, Shared, State};
use crate::wal::{HEADER_BYTES, WAL_DIR, frame_bytes};

/// Name under which the next segment is made.
pub(crate) const SPARE_NAME: &str = "spare.tmp";
/// Smallest segment, in bytes: what is still made when a full volume has no room for more.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 16 << 10;
/// How often the volume's free space is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Shares of the volume, in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    pub(crate) reserve_percent: u8,
    pub(crate) folded_percent: u8,
}

/// The accounts. All numbers are bytes.
pub(crate) struct Space {
    shares: Shares,
    volume: AtomicU64,
    free: AtomicU64,
    spare: AtomicU64,
    rest: AtomicU64,
    folded: AtomicU64,
}

fn percent(bytes: u64, share: u8) -> u64 {
    bytes / 100 * u64::from(share)
}

impl Space {
    pub(crate) fn new(shares: Shares, folded_bytes: u64) -> Self {
        Self {
            shares,
            volume: AtomicU64::new(0),
            free: AtomicU64::new(0),
            spare: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            folded: AtomicU64::new(folded_bytes),
        }
    }

    /// S1 and S2.
    pub(crate) fn admit(&self, entry: &Entry) -> Result<(), AppendError> {
        let need = frame_bytes(entry.len_bytes()) as u64;
        let fits = match entry.class() {
            EntryClass::Reserved => true,
            EntryClass::Decision => need <= self.room_bytes(),
            EntryClass::Folded => {
                let share =
                    percent(self.volume.load(Ordering::Relaxed), self.shares.folded_percent);
                need <= self.room_bytes() && self.folded.load(Ordering::Relaxed) + need <= share
            }
        };
        if fits { Ok(()) } else { Err(AppendError::Quota) }
    }

    /// Room that is left above the reserve.
    pub(crate) fn room_bytes(&self) -> u64 {
        let reserve = percent(self.volume.load(Ordering::Relaxed), self.shares.reserve_percent);
        let parts = [&self.free, &self.spare, &self.rest];
        let room: u64 = parts.iter().map(|part| part.load(Ordering::Relaxed)).sum();
        room.saturating_sub(reserve)
    }

    pub(crate) fn look(&self, disk: &dyn Disk) -> io::Result<()> {
        let (free, volume) = disk.free_bytes()?;
        self.free.store(free, Ordering::Relaxed);
        self.volume.store(volume, Ordering::Relaxed);
        Ok(())
    }

    /// Room left in the current segment.
    pub(crate) fn set_rest(&self, bytes: u64) {
        self.rest.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_folded(&self, bytes: u64) {
        self.folded.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }
}

/// A segment that has no name yet.
pub(crate) struct Spare {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) len_bytes: u64,
}

/// Makes segments. Its lock is held while one is made or named: there is one spare at a time.
pub(crate) struct Spares {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segment_bytes: u64,
    slot: Mutex<Option<Spare>>,
}

impl Spares {
    pub(crate) fn new(disk: Arc<dyn Disk>, segment_bytes: u64) -> Self {
        Self { disk, segment_bytes, slot: Mutex::new(None) }
    }

    /// A maker that failed left no spare, which is what an empty slot says.
    pub(crate) fn slot(&self) -> MutexGuard<'_, Option<Spare>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Path of the spare.
    pub(crate) fn name() -> String {
        format!("{WAL_DIR}/{SPARE_NAME}")
    }

    /// S3: a new spare with room for `min_bytes`, of `want_bytes` or, where the volume has no
    /// room, of less; `None` where it has none at all. The caller holds the slot's lock.
    pub(crate) fn make(&self, want_bytes: u64, min_bytes: u64) -> io::Result<Option<Spare>> {
        let min_bytes = min_bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(HEADER_BYTES as u64);
        let mut len_bytes = want_bytes.max(min_bytes).next_multiple_of(HEADER_BYTES as u64);
        loop {
            match self.make_exactly(len_bytes) {
                Ok(file) => return Ok(Some(Spare { file, len_bytes })),
                Err(error) if is_full(&error) => {
                    self.discard()?;
                    if len_bytes == min_bytes {
                        return Ok(None);
                    }
                    let less = (len_bytes / 4).next_multiple_of(HEADER_BYTES as u64);
                    len_bytes = less.max(min_bytes);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn make_exactly(&self, len_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        // Never reuse what an earlier process left: whether its zeroes are durable is unknown.
        self.discard()?;
        let mut file = self.disk.open(&Self::name(), true)?;
        file.preallocate(len_bytes)?;
        file.sync()?;
        self.disk.sync_dir(WAL_DIR)?;
        Ok(file)
    }

    /// Removes the spare's file, if there is one.
    pub(crate) fn discard(&self) -> io::Result<()> {
        match self.disk.remove(&Self::name()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Whether an error says that the volume, or our quota of it, has no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// The background step: makes the next segment ahead and looks at the volume.
pub struct Preparer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) spares: Arc<Spares>,
}

impl Preparer {
    /// Looks at the volume and makes the next segment where there is none. Any error but a full
    /// volume ends the log.
    pub fn step(&self) {
        let outcome = self.shared.space.look(&*self.spares.disk).and_then(|()| {
            let mut slot = self.spares.slot();
            if slot.is_none() {
                *slot = self.spares.make(self.spares.segment_bytes, 0)?;
                self.note(slot.as_ref());
            }
            self.shared.space.look(&*self.spares.disk)
        });
        if let Err(error) = outcome {
            self.shared.fence(&format!("cannot prepare the next segment: {error}"));
        }
    }

    fn note(&self, spare: Option<&Spare>) {
        self.shared.space.set_spare(spare);
    }

    /// Steps until the log ends: once a second, and at once when woken by `unpark`.
    pub fn run(self) {
        while self.shared.state() == State::Running {
            self.step();
            std::thread::park_timeout(LOOK_PERIOD);
        }
    }
}

impl Space {
    /// Room in the segment that was made ahead.
    pub(crate) fn set_spare(&self, spare: Option<&Spare>) {
        let room = spare.map_or(0, |spare| spare.len_bytes.saturating_sub(HEADER_BYTES as u64));
        self.spare.store(room, Ordering::Relaxed);
    }
}
