//! The bounded queue between those who append and the one writer.
//!
//! Invariants
//! - Q1: appending never blocks on the disk: it takes one short lock, or fails at once;
//! - Q2: what was appended is answered exactly once, whatever happens to the log;
//! - Q3: records that wait or are being written never exceed the queue's bounds.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use crate::entry::Entry;
use crate::receipt::Receipt;
use crate::space::Space;

/// Called once on the writer's thread, after the sync that made the record durable or the error
/// that did not. Must be quick and must not panic.
pub type Done = Box<dyn FnOnce(Result<Receipt, AppendError>) + Send>;

/// Why a record was not appended. Nothing of it will ever be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The queue is full; try again soon.
    #[error("the ledger's queue is full")]
    Full,
    /// The volume is full but for the reserve, or its share for folded records is used up.
    #[error("the ledger's share of the disk is used up")]
    Quota,
    /// A write or sync failed; the log must be opened again.
    #[error("the ledger cannot write any more")]
    Fenced,
    /// The log was stopped.
    #[error("the ledger is stopped")]
    Stopped,
}

pub(crate) struct Pending {
    pub(crate) entry: Entry,
    pub(crate) done: Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Running = 0,
    Stopping = 1,
    Fenced = 2,
}

pub(crate) struct Queue {
    pub(crate) pending: Vec<Pending>,
    /// Records that wait or are being written.
    n_records: usize,
    /// Their bytes.
    n_bytes: usize,
    state: State,
}

/// Bounds of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueBounds {
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
}

/// Records that wait before the writer is woken for what was appended for later.
pub const LATER_RECORDS_MAX: usize = 16;

/// Never wake the writer: it is awake.
pub(crate) const AWAKE: usize = usize::MAX;

pub(crate) struct Shared {
    queue: Mutex<Queue>,
    bounds: QueueBounds,
    /// Wake the writer once this many records wait.
    wake_at: AtomicUsize,
    writer: OnceLock<Thread>,
    /// Copy of the queue's state for those who only look.
    state: AtomicU8,
    fence: OnceLock<String>,
    /// Records whose group was synced.
    durable: AtomicU64,
    /// Records that were written, synced or not.
    #[cfg(any(test, feature = "testing"))]
    written: AtomicU64,
    pub(crate) space: Space,
    pub(crate) origin: Arc<str>,
}

impl Shared {
    pub(crate) fn new(bounds: QueueBounds, space: Space, origin: Arc<str>) -> Self {
        let queue = Queue { pending: Vec::new(), n_records: 0, n_bytes: 0, state: State::Running };
        Self {
            queue: Mutex::new(queue),
            bounds,
            wake_at: AtomicUsize::new(AWAKE),
            writer: OnceLock::new(),
            state: AtomicU8::new(State::Running as u8),
            fence: OnceLock::new(),
            durable: AtomicU64::new(0),
            #[cfg(any(test, feature = "testing"))]
            written: AtomicU64::new(0),
            space,
            origin,
        }
    }

    /// Records from 0 on that are durable: what a checkpoint may cover.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, n_records: u64) {
        self.durable.store(n_records, Ordering::Release);
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire).max(self.durable())
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn set_written(&self, n_records: u64) {
        self.written.store(n_records, Ordering::Release);
    }

    /// No code under this lock can panic half-way.
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> State {
        self.locked().state
    }

    pub(crate) fn n_waiting(&self) -> usize {
        self.locked().pending.len()
    }

    /// Moves all that waits to the end of `into`.
    pub(crate) fn take(&self, into: &mut Vec<Pending>) {
        into.append(&mut self.locked().pending);
    }

    /// Q3: makes room for as many records and bytes again.
    pub(crate) fn release(&self, n_records: usize, n_bytes: usize) {
        let mut queue = self.locked();
        queue.n_records = queue.n_records.saturating_sub(n_records);
        queue.n_bytes = queue.n_bytes.saturating_sub(n_bytes);
    }

    /// Names the thread to wake.
    pub(crate) fn set_writer(&self, thread: Thread) {
        let _ = self.writer.set(thread);
    }

    /// Asks to be woken once `n_records` wait. The caller must look at the queue afterwards and
    /// park only if it is still shorter.
    pub(crate) fn wake_at(&self, n_records: usize) {
        self.wake_at.store(n_records, Ordering::SeqCst);
    }

    pub(crate) fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Refuses later appends; what waits is still written.
    pub(crate) fn stop(&self) {
        {
            let mut queue = self.locked();
            if queue.state == State::Running {
                queue.state = State::Stopping;
                self.state.store(State::Stopping as u8, Ordering::Release);
            }
        }
        self.wake();
    }

    /// Ends the log: every waiter and every later append gets [`AppendError::Fenced`].
    pub(crate) fn fence(&self, reason: &str) {
        let _ = self.fence.set(reason.to_owned());
        let mut waiting = Vec::new();
        {
            let mut queue = self.locked();
            queue.state = State::Fenced;
            self.state.store(State::Fenced as u8, Ordering::Release);
            std::mem::swap(&mut waiting, &mut queue.pending);
        }
        for pending in waiting {
            (pending.done)(Err(AppendError::Fenced));
        }
        self.wake();
    }
}

/// The end of the log that many threads hold. Cheap to clone.
#[derive(Clone)]
pub struct Appender {
    pub(crate) shared: Arc<Shared>,
}

impl Appender {
    /// Queues `entry`. Returns at once; `done` is called when the record is durable, or will
    /// never be. Where this returns an error, `done` is not called. Costs about 100 ns.
    ///
    /// # Errors
    /// [`AppendError`]: nothing was queued.
    pub fn append(&self, entry: Entry, done: Done) -> Result<(), AppendError> {
        let n_waiting = self.enqueue(entry, done)?;
        self.wake_for(n_waiting);
        Ok(())
    }

    /// [`Appender::append`] for a caller that has more to append: the writer is not woken before
    /// [`LATER_RECORDS_MAX`] records wait, or [`Appender::flush`] is called. A wake-up costs more
    /// than a record, and a group costs one sync.
    ///
    /// # Errors
    /// [`AppendError`]: nothing was queued.
    pub fn append_later(&self, entry: Entry, done: Done) -> Result<(), AppendError> {
        let n_waiting = self.enqueue(entry, done)?;
        if LATER_RECORDS_MAX <= n_waiting {
            self.wake_for(n_waiting);
        }
        Ok(())
    }

    /// Wakes the writer for what was appended for later, if it sleeps and anything waits.
    pub fn flush(&self) {
        // Without the queue's lock: whoever appended sees its own record.
        if self.shared.wake_at.load(Ordering::SeqCst) == AWAKE {
            return;
        }
        let n_waiting = self.shared.n_waiting();
        if 0 < n_waiting {
            self.wake_for(n_waiting);
        }
    }

    fn wake_for(&self, n_waiting: usize) {
        let wake_at = &self.shared.wake_at;
        if wake_at.load(Ordering::SeqCst) <= n_waiting
            && wake_at.swap(AWAKE, Ordering::SeqCst) <= n_waiting
        {
            self.shared.wake();
        }
    }

    /// Queues an entry; gives the number of records that wait.
    fn enqueue(&self, entry: Entry, done: Done) -> Result<usize, AppendError> {
        self.shared.space.admit(&entry)?;
        let n_bytes = entry.len_bytes();
        let mut queue = self.shared.locked();
        match queue.state {
            State::Running => {}
            State::Stopping => return Err(AppendError::Stopped),
            State::Fenced => return Err(AppendError::Fenced),
        }
        let bounds = self.shared.bounds;
        // An entry larger than the bound still passes alone, or it never would.
        let fits = queue.n_bytes.saturating_add(n_bytes) <= bounds.bytes_max;
        if bounds.records_max <= queue.n_records || !(fits || queue.n_records == 0) {
            return Err(AppendError::Full);
        }
        queue.n_records += 1;
        queue.n_bytes += n_bytes;
        queue.pending.push(Pending { entry, done });
        Ok(queue.pending.len())
    }

    /// Whether an append may succeed: neither stopped nor fenced.
    pub fn is_writable(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) == State::Running as u8
    }

    /// What ended the log, for the operator; `None` while nothing has.
    pub fn fence_reason(&self) -> Option<&str> {
        self.shared.fence.get().map(String::as_str)
    }

    /// Bytes that decisions may still fill, as of the last look at the volume (at most a second
    /// ago).
    pub fn room_bytes(&self) -> u64 {
        self.shared.space.room_bytes()
    }

    /// Records from 0 on that are durable.
    pub fn n_durable(&self) -> u64 {
        self.shared.durable()
    }

    /// Records that wait to be written at this moment.
    pub fn n_waiting(&self) -> usize {
        self.shared.n_waiting()
    }
}
