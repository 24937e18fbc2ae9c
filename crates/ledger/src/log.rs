//! Opening a log, and the threads that carry it.

mod recover;

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use bartizan_core::clock::Clock;
use bartizan_core::disk::{Disk, DiskKind};

use crate::entry::Entry;
use crate::publish::{PublishError, Publisher, PublisherConfig};
use crate::queue::{AppendError, Appender, QueueBounds, Shared};
use crate::receipt::Receipt;
use crate::space::{Preparer, SEGMENT_BYTES_MIN, Shares, Space, Spares};
use crate::wal::{FrameFault, HeaderFault};
use crate::writer::{BeforeWrite, Writer};

/// Longest name of a log, in bytes.
pub const ORIGIN_BYTES_MAX: usize = 128;
/// Length of a segment in bytes, unless the configuration says otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// Longest segment, in bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Newest bytes of the log that opening it reads whole, unless the configuration says otherwise.
pub const SCAN_BYTES_DEFAULT: u64 = 1 << 30;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Its name, 1 to [`ORIGIN_BYTES_MAX`] bytes of `a-z A-Z 0-9 . _ / : -`: which log of which
    /// replica of whom.
    pub origin: Box<str>,
    /// Length of a segment in bytes.
    pub segment_bytes: u64,
    /// Most records that wait.
    pub queue_records_max: usize,
    /// Most bytes that wait.
    pub queue_bytes_max: usize,
    /// Percent of the volume that only acts of administration may use.
    pub reserve_percent: u8,
    /// Percent of the volume that folded records may use.
    pub folded_percent: u8,
    /// Whether a disk that forgets may be used.
    pub volatile_allowed: bool,
    /// Whether opening begins a new epoch: another life of the log, after a loss. Its records go
    /// on behind those that are left; it is published under [`epoch_origin`].
    pub begin_epoch: bool,
    /// How many of the newest bytes opening checks frame by frame; of older segments it checks
    /// the header. Verifying checks all.
    pub scan_bytes_max: u64,
}

impl LogConfig {
    /// The defaults for the log `origin`.
    pub fn new(origin: impl Into<Box<str>>) -> Self {
        Self {
            origin: origin.into(),
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            queue_records_max: 8_192,
            queue_bytes_max: 64 << 20,
            reserve_percent: 2,
            folded_percent: 5,
            volatile_allowed: false,
            begin_epoch: false,
            scan_bytes_max: SCAN_BYTES_DEFAULT,
        }
    }

    fn check(&self) -> Result<(), OpenError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:-".contains(&byte);
        let len = self.origin.len();
        if !(1..=ORIGIN_BYTES_MAX).contains(&len) || !self.origin.bytes().all(plain) {
            return Err(OpenError::Config {
                field: "ledger.origin",
                reason: format!(
                    "a log's name is 1 to {ORIGIN_BYTES_MAX} bytes of a-z A-Z 0-9 . _ / : -"
                ),
            });
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(OpenError::Config {
                field: "ledger.segment_bytes",
                reason: format!(
                    "{} bytes, a segment has {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}",
                    self.segment_bytes
                ),
            });
        }
        if 100 < u32::from(self.reserve_percent) + u32::from(self.folded_percent) {
            return Err(OpenError::Config {
                field: "ledger.reserve_percent",
                reason: "the reserve and the folded records' share exceed 100 percent".to_owned(),
            });
        }
        if self.queue_records_max == 0 || self.queue_bytes_max == 0 {
            return Err(OpenError::Config {
                field: "ledger.queue_records_max",
                reason: "a queue of 0 takes no record, give it at least 1".to_owned(),
            });
        }
        Ok(())
    }
}

/// Why a log was not opened. Nothing was changed, unless an I/O error came in the middle.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting that cannot be.
    #[error("`{field}`: {reason}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The disk forgets.
    #[error(
        "the store is on `{reason}`, which does not survive a loss of power: move it to a local disk, or set `ledger.volatile = true`, which every record then says"
    )]
    Volatile {
        /// What the disk is.
        reason: String,
    },
    /// A file that is no part of a log.
    #[error("`wal/{name}` is not a segment of the log: move it elsewhere")]
    Foreign {
        /// Its name.
        name: String,
    },
    /// A segment's header cannot be read.
    #[error(
        "`{segment}` is damaged in its header, which every later record depends on: restore the store from a backup"
    )]
    Header {
        /// The segment.
        segment: String,
        /// What is wrong.
        source: HeaderFault,
    },
    /// A header contradicts its name, its file or the segment before.
    #[error("`{segment}` does not belong here: {reason}")]
    Misplaced {
        /// The segment.
        segment: String,
        /// What does not fit.
        reason: String,
    },
    /// Records that were durable are not what they were.
    #[error(
        "`{segment}` is damaged at byte {offset}, where record {index} should be: restore the store from a backup, `bartizan ledger verify` lists the damage"
    )]
    Corrupt {
        /// The segment.
        segment: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The record that should be there.
        index: u64,
        /// What is wrong.
        source: FrameFault,
    },
    /// The disk fails.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the file system says.
        source: io::Error,
    },
}

/// The name under which an epoch of the log `origin` is published: its own for the first, with
/// `/e<number>` behind it for every later one.
pub fn epoch_origin(origin: &str, epoch: u64) -> String {
    if epoch <= 1 { origin.to_owned() } else { format!("{origin}/e{epoch}") }
}

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Records in the log; the next one gets this index.
    pub n_records: u64,
    /// Segments of the log.
    pub n_segments: usize,
    /// Whether the log was made just now.
    pub is_new: bool,
    /// Bytes of an unfinished group that were cut off the end. Nobody was answered for them.
    pub torn_bytes: u64,
    /// Which life of the log this is, from 1.
    pub epoch: u64,
    /// Wall time of the last record; later stamps must not be before it.
    pub last_wall_ns: Option<u64>,
    /// Chain after the last record.
    pub chain: [u8; 32],
    /// Whether the disk remembers.
    pub kind: DiskKind,
}

/// An open log: the writer, the preparer and the way in.
pub struct Log {
    appender: Appender,
    writer: Writer,
    preparer: Preparer,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
}

impl Log {
    /// Opens the log on `disk`, which the caller has locked, making it where there is none.
    ///
    /// Checks the chain of the last segment and the checksums of the newest
    /// `scan_bytes_max` bytes, cuts a torn tail, and refuses anything else that is not as it was
    /// written.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        config: &LogConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Recovery), OpenError> {
        config.check()?;
        let kind = disk.kind();
        if let (DiskKind::Volatile(reason), false) = (&kind, config.volatile_allowed) {
            return Err(OpenError::Volatile { reason: reason.clone() });
        }
        let spares = Arc::new(Spares::new(Arc::clone(&disk), config.segment_bytes));
        let found = recover::recover(&spares, config, &*clock)?;
        let shares = Shares {
            reserve_percent: config.reserve_percent,
            folded_percent: config.folded_percent,
        };
        let space = Space::new(shares, found.folded_bytes);
        space.look(&*disk).map_err(|source| {
            let doing = "read the volume's free space".to_owned();
            OpenError::Io { doing, source }
        })?;
        let bounds = QueueBounds {
            records_max: config.queue_records_max,
            bytes_max: config.queue_bytes_max,
        };
        let shared = Arc::new(Shared::new(bounds, space, (&*config.origin).into()));
        let found_end = found.end;
        let mut writer =
            Writer::new(Arc::clone(&shared), Arc::clone(&spares), Arc::clone(&clock), found_end);
        if config.begin_epoch {
            writer.begin_epoch().map_err(|reason| OpenError::Io {
                doing: "begin an epoch".to_owned(),
                source: io::Error::other(reason),
            })?;
        }
        let epoch = writer.epoch();
        let log = Self {
            disk,
            clock,
            appender: Appender { shared: Arc::clone(&shared) },
            preparer: Preparer { shared, spares },
            writer,
        };
        Ok((log, Recovery { kind, epoch, ..found.recovery }))
    }

    /// The way in, for as many threads as like.
    pub fn appender(&self) -> Appender {
        self.appender.clone()
    }

    /// The publisher of this log, which covers what its writer makes durable. Its checkpoints are
    /// dated by the log's clock.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publisher(&self, config: PublisherConfig) -> Result<Publisher, PublishError> {
        let shared = Arc::clone(&self.appender.shared);
        Publisher::open(Arc::clone(&self.disk), shared, Arc::clone(&self.clock), config)
    }

    /// Makes one record durable on this thread: for a verb that records and ends.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn record(&mut self, entry: Entry) -> Result<Receipt, AppendError> {
        let (tell, told) = mpsc::sync_channel(1);
        let done = move |answer| {
            // The receiver lives until this function ends.
            let _ = tell.send(answer);
        };
        self.appender.append(entry, Box::new(done))?;
        self.writer.step();
        told.try_recv().unwrap_or(Err(AppendError::Fenced))
    }

    /// Has `before_write` called before each group is written, on the writer's thread: what the
    /// group's records need to be durable first. Its error ends the log.
    pub fn set_before_write(&mut self, before_write: BeforeWrite) {
        self.writer.before_write = Some(before_write);
    }

    /// The parts, for a caller that brings its own threads or steps.
    pub fn into_parts(self) -> (Appender, Writer, Preparer) {
        (self.appender, self.writer, self.preparer)
    }

    /// Starts the writer's thread and the preparer's.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(self) -> io::Result<RunningLog> {
        let (appender, mut writer, preparer) = self.into_parts();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let preparing = thread("ledger-prepare").spawn(move || preparer.run())?;
        writer.preparer = Some(preparing.thread().clone());
        let writing = match thread("ledger-writer").spawn(move || writer.run()) {
            Ok(writing) => writing,
            Err(error) => {
                appender.shared.stop();
                preparing.thread().unpark();
                return Err(error);
            }
        };
        Ok(RunningLog { appender, writing: Some(writing), preparing: Some(preparing) })
    }
}

/// A log whose threads run. Dropping it stops it as [`RunningLog::stop`] does.
pub struct RunningLog {
    appender: Appender,
    writing: Option<JoinHandle<()>>,
    preparing: Option<JoinHandle<()>>,
}

impl RunningLog {
    /// The way in.
    pub fn appender(&self) -> Appender {
        self.appender.clone()
    }

    /// Refuses later appends, makes durable what waits, and ends the threads.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.appender.shared.stop();
        for thread in [self.writing.take(), self.preparing.take()].into_iter().flatten() {
            thread.thread().unpark();
            // A panic over there has fenced the log; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Drop for RunningLog {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
