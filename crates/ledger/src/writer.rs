//! The one writer of a log.
//!
//! Invariants
//! - L1: a record is acknowledged only after the sync of the group that holds it has succeeded;
//! - L2: a group is written only after the sync of the group before has succeeded;
//! - L3: an error of a write or sync ends the log: nothing is tried twice, since after a failed
//!   sync a second one that succeeds proves nothing;
//! - L4: a full volume is no such error as long as nothing was written: records that find no
//!   room are refused whole, the log goes on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::clock::Clock;
use bartizan_core::disk::DiskFile;

use crate::entry::EntryClass;
use crate::pacing;
use crate::queue::{AWAKE, AppendError, Done, Pending, Shared, State};
use crate::receipt::Receipt;
use crate::space::{Spare, Spares};
use crate::wal::scan::{GROUP_BYTES_MAX, GROUP_RECORDS_MAX};
use crate::wal::{
    HEADER_BYTES, SegmentHeader, WAL_DIR, frame_bytes, next_chain, push_frame, segment_name,
};

/// Bytes of the write buffer that are kept from one group to the next.
const BUFFER_BYTES_KEPT: usize = 8 << 20;

/// Faults that a test puts into the writer, to show that the tests would notice.
#[cfg(any(test, feature = "testing"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mutant {
    /// None: the writer as it is.
    #[default]
    Sound,
    /// Acknowledges without a sync.
    SkipSync,
    /// Acknowledges, then syncs.
    AckBeforeSync,
}

/// Called before a group is written; an error ends the log.
pub type BeforeWrite = Box<dyn FnMut() -> io::Result<()> + Send>;

/// Where the log ends.
pub(crate) struct End {
    pub(crate) file: Box<dyn DiskFile>,
    /// Offset of the next frame.
    pub(crate) at: u64,
    /// Length of the segment.
    pub(crate) segment_bytes: u64,
    /// Index of the next record.
    pub(crate) index: u64,
    /// Chain before it.
    pub(crate) chain: [u8; 32],
    pub(crate) epoch: u64,
    pub(crate) opened_ns: u64,
    /// Bytes of folded records in segments that are no longer there.
    pub(crate) folded_gone: u64,
}

/// The writer; a thread owns it, or a test steps it.
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) spares: Arc<Spares>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) preparer: Option<std::thread::Thread>,
    /// What must be durable before any record of a group is: keys that it was sealed under.
    pub(crate) before_write: Option<BeforeWrite>,
    end: End,
    waiting: Vec<Pending>,
    group: Vec<u8>,
    acks: Vec<(Done, Receipt)>,
    is_fenced: bool,
    n_last: usize,
    sync_mean_ns: u64,
    /// Faults that a test puts in.
    #[cfg(any(test, feature = "testing"))]
    pub mutant: Mutant,
}

/// Why a group could not be made durable.
enum Failure {
    /// L3.
    Fatal(String),
    /// L4.
    NoRoom,
}

fn fatal(what: &str) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::Fatal(format!("{what}: {error}"))
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        spares: Arc<Spares>,
        clock: Arc<dyn Clock>,
        end: End,
    ) -> Self {
        shared.space.set_rest(end.segment_bytes.saturating_sub(end.at));
        shared.set_durable(end.index);
        Self {
            shared,
            spares,
            clock,
            preparer: None,
            before_write: None,
            end,
            waiting: Vec::new(),
            group: Vec::new(),
            acks: Vec::new(),
            is_fenced: false,
            n_last: 0,
            sync_mean_ns: 0,
            #[cfg(any(test, feature = "testing"))]
            mutant: Mutant::Sound,
        }
    }

    /// One round: takes all that waits and makes it durable, in as few groups as fit. Returns how
    /// many records were made durable.
    pub fn step(&mut self) -> usize {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.shared.take(&mut waiting);
        let (n_records, n_bytes) =
            (waiting.len(), waiting.iter().map(|pending| pending.entry.len_bytes()).sum());
        let mut n_durable = 0;
        let mut has_room = true;
        for pending in waiting.drain(..) {
            n_durable += self.take_in(pending, &mut has_room);
        }
        n_durable += self.commit();
        self.waiting = waiting;
        self.n_last = n_durable;
        self.shared.release(n_records, n_bytes);
        n_durable
    }

    /// Puts a record into the group, after whatever must come before: the group's own write, the
    /// next segment. Returns how many records were made durable on the way.
    fn take_in(&mut self, pending: Pending, has_room: &mut bool) -> usize {
        let frame_bytes = frame_bytes(pending.entry.len_bytes());
        let n_durable = if self.fits_group(frame_bytes) { 0 } else { self.commit() };
        if !self.fits_segment(frame_bytes) && !self.is_fenced {
            match self.rotate(frame_bytes, *has_room) {
                Ok(()) => {}
                Err(Failure::NoRoom) => {
                    *has_room = false;
                    (pending.done)(Err(AppendError::Quota));
                    return n_durable;
                }
                Err(Failure::Fatal(reason)) => self.fence(&reason),
            }
        }
        if self.is_fenced {
            (pending.done)(Err(AppendError::Fenced));
        } else {
            self.frame(pending);
        }
        n_durable
    }

    /// Steps until the log is stopped and its queue empty, or fenced. A panic on this thread
    /// fences too: nobody waits for ever.
    pub fn run(mut self) {
        let guard = FenceOnDrop(Arc::clone(&self.shared));
        self.shared.set_writer(std::thread::current());
        while self.wait() {
            self.step();
        }
        if self.shared.state() == State::Stopping {
            std::mem::forget(guard);
        }
    }

    /// Waits for work, in company where that pays; false at the end.
    fn wait(&self) -> bool {
        loop {
            self.shared.wake_at(1);
            let state = self.shared.state();
            let n_waiting = self.shared.n_waiting();
            if 0 < n_waiting || state != State::Running {
                self.shared.wake_at(AWAKE);
                if 0 < n_waiting && state == State::Running {
                    self.gather(n_waiting);
                }
                return 0 < n_waiting && state != State::Fenced;
            }
            std::thread::park();
        }
    }

    fn gather(&self, n_waiting: usize) {
        let Some(gather) = pacing::gather(self.n_last, n_waiting, self.sync_mean_ns) else {
            return;
        };
        self.shared.wake_at(gather.until_records);
        if self.shared.n_waiting() < gather.until_records {
            std::thread::park_timeout(Duration::from_nanos(gather.wait_ns));
        }
        self.shared.wake_at(AWAKE);
    }

    /// Whether a frame may join the records of this group, if there are any.
    fn fits_group(&self, frame_bytes: usize) -> bool {
        let group_bytes = self.group.len() + frame_bytes;
        let fits = group_bytes <= GROUP_BYTES_MAX && self.acks.len() < GROUP_RECORDS_MAX;
        self.acks.is_empty() || (fits && self.fits_segment(group_bytes))
    }

    /// Whether that many bytes may follow in this segment. What is larger than a group may only
    /// begin one: recovery need not look further than a group behind the last whole frame.
    fn fits_segment(&self, bytes: usize) -> bool {
        let begins = self.end.at == HEADER_BYTES as u64;
        let left = self.end.segment_bytes - self.end.at;
        bytes as u64 <= left && (begins || bytes <= GROUP_BYTES_MAX)
    }

    fn frame(&mut self, pending: Pending) {
        let Pending { entry, done } = pending;
        let (index, group_pos) = (self.end.index, self.acks.len() as u32);
        let chain = next_chain(&self.end.chain, entry.leaf_hash(), entry.sealed_hash());
        push_frame(&mut self.group, &entry, index, group_pos, &chain);
        if entry.class() == EntryClass::Folded {
            self.shared.space.add_folded(frame_bytes(entry.len_bytes()) as u64);
        }
        self.end.chain = chain;
        self.end.index = index + 1;
        let origin = Arc::clone(&self.shared.origin);
        self.acks.push((done, Receipt { origin, index, leaf_hash: *entry.leaf_hash() }));
    }

    /// L1, L2, L3: writes and syncs the group, then answers. Returns how many records it holds.
    fn commit(&mut self) -> usize {
        if self.acks.is_empty() {
            return 0;
        }
        #[cfg(any(test, feature = "testing"))]
        if self.mutant == Mutant::AckBeforeSync {
            self.acknowledge();
        }
        match self.write_and_sync() {
            Ok(()) => self.acknowledge(),
            Err(error) => {
                self.fence(&format!("cannot write the log: {error}"));
                for (done, _) in self.acks.drain(..) {
                    done(Err(AppendError::Fenced));
                }
                0
            }
        }
    }

    fn write_and_sync(&mut self) -> io::Result<()> {
        if let Some(before_write) = &mut self.before_write {
            before_write()?;
        }
        self.end.file.write_at(&self.group, self.end.at)?;
        #[cfg(any(test, feature = "testing"))]
        self.shared.set_written(self.end.index);
        #[cfg(any(test, feature = "testing"))]
        if self.mutant == Mutant::SkipSync {
            self.advance();
            return Ok(());
        }
        let began_ns = self.clock.now().mono_ns;
        self.end.file.sync()?;
        let sync_ns = self.clock.now().mono_ns.saturating_sub(began_ns);
        self.sync_mean_ns = pacing::mean(self.sync_mean_ns, sync_ns);
        self.advance();
        Ok(())
    }

    fn advance(&mut self) {
        self.end.at += self.group.len() as u64;
        self.group.clear();
        self.group.shrink_to(BUFFER_BYTES_KEPT);
        self.shared.set_durable(self.end.index);
        self.shared.space.set_rest(self.end.segment_bytes - self.end.at);
    }

    fn acknowledge(&mut self) -> usize {
        let n_records = self.acks.len();
        for (done, receipt) in self.acks.drain(..) {
            done(Ok(receipt));
        }
        n_records
    }

    fn fence(&mut self, reason: &str) {
        self.is_fenced = true;
        self.shared.fence(reason);
    }

    /// Begins the next segment, with room for a frame; does not look for room where there was
    /// none a moment ago.
    fn rotate(&mut self, frame_bytes: usize, has_room: bool) -> Result<(), Failure> {
        let min_bytes = (HEADER_BYTES + frame_bytes) as u64;
        let spares = Arc::clone(&self.spares);
        // Held until the spare has its name, so that nobody makes another under the old one.
        let mut slot = spares.slot();
        let ready = slot.take().filter(|spare| min_bytes <= spare.len_bytes);
        let spare = match ready {
            Some(spare) => spare,
            None if !has_room => return Err(Failure::NoRoom),
            None => spares
                .make(spares.segment_bytes, min_bytes)
                .map_err(fatal("cannot make a segment"))?
                .ok_or(Failure::NoRoom)?,
        };
        self.shared.space.set_spare(None);
        self.begin(spare).map_err(fatal("cannot begin a segment"))?;
        drop(slot);
        if let Some(preparer) = &self.preparer {
            preparer.unpark();
        }
        Ok(())
    }

    /// Which life of the log this is.
    pub(crate) fn epoch(&self) -> u64 {
        self.end.epoch
    }

    /// Begins another life of the log: a segment of its own behind what is left.
    pub(crate) fn begin_epoch(&mut self) -> Result<(), String> {
        self.end.epoch += 1;
        match self.rotate(GROUP_BYTES_MAX / 4, true) {
            Ok(()) => Ok(()),
            Err(Failure::NoRoom) => Err("the volume is full".to_owned()),
            Err(Failure::Fatal(reason)) => Err(reason),
        }
    }

    fn begin(&mut self, spare: Spare) -> io::Result<()> {
        let Spare { mut file, len_bytes } = spare;
        let opened_ns = self.clock.now().wall_ns.max(self.end.opened_ns);
        let header = SegmentHeader {
            origin: (&*self.shared.origin).into(),
            epoch: self.end.epoch,
            first_index: self.end.index,
            segment_bytes: len_bytes,
            folded_bytes: self.end.folded_gone + self.shared.space.folded(),
            opened_ns,
            chain: self.end.chain,
        };
        write_header(&self.spares, &mut *file, &header)?;
        let at = HEADER_BYTES as u64;
        self.end.file = file;
        self.end.at = at;
        self.end.segment_bytes = len_bytes;
        self.end.opened_ns = opened_ns;
        self.shared.space.set_rest(len_bytes - at);
        Ok(())
    }
}

/// Makes the header durable, then the name.
pub(crate) fn write_header(
    spares: &Spares,
    file: &mut dyn DiskFile,
    header: &SegmentHeader,
) -> io::Result<()> {
    file.write_at(&header.encode(), 0)?;
    file.sync()?;
    spares.disk.rename(&Spares::name(), &segment_name(header.first_index))?;
    spares.disk.sync_dir(WAL_DIR)
}

/// Fences the log if its writer's thread ends in any other way than by a stop.
struct FenceOnDrop(Arc<Shared>);

impl Drop for FenceOnDrop {
    fn drop(&mut self) {
        self.0.fence("the writer has ended");
    }
}
