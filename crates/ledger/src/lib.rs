//! The append-only record of every decision.
//!
//! [`Record`] is what is kept, [`Commitments`] bind it to what is sealed beside it
//! ([`Sealer`]), [`Appender`] puts both into the write-ahead log, whose one [`Writer`] makes many
//! durable with one sync and answers with a [`Receipt`]. [`Reader`] and [`verify`](verify()) look
//! at a log from outside. No socket, no clock of its own, no chance of its own.

mod backup;
mod cbor;
mod commit;
#[cfg(any(test, feature = "testing"))]
mod conformance;
mod disclose;
mod disk;
mod entry;
mod erased;
mod files;
mod log;
mod memory;
mod pacing;
mod prove;
mod prune;
mod publish;
mod queue;
mod read;
mod read_cbor;
mod receipt;
mod record;
mod seal;
mod secret;
mod space;
pub mod stamp;
pub mod tlog;
mod verify;
pub mod wal;
pub mod witness;
mod wrap;
mod writer;

pub use backup::{CopiedFile, CopyError, copy_log};
pub use commit::{
    CellProof, Commitment, SALT_BYTES, cell_commitment, commit, commit_outputs, commit_tensors,
    row_cells, row_commitment, row_of_cells,
};
#[cfg(any(test, feature = "testing"))]
pub use conformance::{Nonconformance, check_disk};
pub use disclose::{Disclosure, DisclosureError, Extra};
pub use disk::{FileDisk, LockError, StoreLock};
pub use entry::{Entry, EntryClass, EntryTooLarge, SEALED_BYTES_MAX};
pub use erased::Erasures;
pub use log::{
    Log, LogConfig, ORIGIN_BYTES_MAX, OpenError, Recovery, RunningLog, SCAN_BYTES_DEFAULT,
    SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, epoch_origin,
};
pub use memory::MemDisk;
pub use prove::{ProveError, prove_record};
pub use prune::{Prunable, kept_leaf_hash, prunable};
#[cfg(any(test, feature = "testing"))]
pub use publish::PublisherMutant;
pub use publish::{
    ANCHOR_NAME, COSIGNED_NAME, Outside, PUBLISH_NS, Publication, PublishError, Published,
    Publisher, PublisherConfig, RunningPublisher, Standing, TLOG_DIR, Told, tlog_name,
};
pub use queue::{AppendError, Appender, Done, LATER_RECORDS_MAX};
pub use read::{Entries, ReadError, Reader, StoredEntry};
pub use receipt::{Receipt, ReceiptError, leaf_hash};
pub use record::{
    ACT_KEYS_MAX, Act, ActKind, Body, Commitments, Decision, DecodeError, Digests, Durations,
    EngineRef, FindingList, ModelRef, OBLIGED_NAMES_MAX, Outcome, POLICIES_MAX, Record,
    RecordedFinding, SAMPLES_MAX, TEXT_BYTES_MAX, Tally, Text, TraceContext, Upstream,
};
pub use seal::{
    Adopted, Destroyed, ErasureId, ErasurePlan, Hold, HoldId, KeysFormat, OpenErasure,
    OpenedPayload, Payload, PseudonymKind, SealError, SealKey, Sealer, SealingKeys,
    SealingKeysError, adopt_keys, downgrade_keys, keys_format, upgrade_keys,
};
pub use secret::RecordSecret;
pub use space::Preparer;
pub use verify::{
    Checks, Damage, DamageKind, Scope, StampsReport, TensorsOf, TreeReport, VerifyReport, verify,
    verify_with,
};
pub use wrap::{FileKeys, KekId, KeyWrap, Reach, WRAPPED_BYTES_MAX, WrapError};
#[cfg(any(test, feature = "testing"))]
pub use wrap::{WrapNonconformance, check_key_wrap};
pub use writer::BeforeWrite;
#[cfg(any(test, feature = "testing"))]
pub use writer::Mutant;
pub use writer::Writer;
