//! Verifying a log: every byte of it, and what is sealed where the keys are at hand.
//!
//! Invariants
//! - V1: a changed, missing or moved byte anywhere in the log is found and its place named; what
//!   cannot be told from a loss of power (module `wal::scan`) is named as a torn tail;
//! - V2: what was not checked is said;
//! - V3: what was published is what the log says: every bundle, tile and checkpoint.

mod pruned;
mod stamps;
mod tree;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;

use bartizan_core::disk::Disk;
use bartizan_core::tensor::Tensor;

use crate::commit::{Commitment, commit, commit_outputs, commit_tensors};
use crate::erased::Erasures;
use crate::publish::{Outside, TLOG_DIR};
use crate::read::{ReadError, read_header};
use crate::read_cbor::DecodeError;
use crate::receipt::leaf_hash;
use crate::record::{Body, Commitments, Decision, Record};
use crate::seal::{OpenedPayload, SealError, Sealer};
use crate::space::SPARE_NAME;
use crate::stamp::Authorities;
use crate::tlog::{Policy, Quorum};
use crate::wal::scan::{Check, Cursor, Step, Tail, Walk};
use crate::wal::{
    CHAIN_START, Frame, FrameFault, HeaderFault, SegmentHeader, WAL_DIR, parse_segment_name,
    segment_name,
};
use pruned::Tombstones;
use tree::Audit;

/// Whether somebody may be writing the log meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Perhaps: what follows the last whole frame may be half-written and is not judged.
    Live,
    /// Nobody: a torn tail is reported.
    Closed,
}

/// What is wrong at a place.
#[derive(Debug, thiserror::Error)]
pub enum DamageKind {
    /// With a segment's header.
    #[error("header: {0}")]
    Header(HeaderFault),
    /// With a frame.
    #[error("frame: {0}")]
    Frame(FrameFault),
    /// With a segment as a whole.
    #[error("segment: {0}")]
    Misplaced(String),
    /// With a record's bytes.
    #[error("record: {0}")]
    Record(DecodeError),
    /// With what is sealed beside it.
    #[error("sealed payload: {0}")]
    Sealed(SealError),
    /// What is sealed is not what the record commits to.
    #[error("sealed payload is not what the record commits to: {0}")]
    Commitment(&'static str),
    /// A file that is no part of a log.
    #[error("not a segment of the log")]
    Foreign,
    /// With what was published.
    #[error("{0}")]
    Tree(String),
}

/// Damage and its place.
#[derive(Debug)]
pub struct Damage {
    /// The file.
    pub segment: String,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The record that is, or should be, there.
    pub index: Option<u64>,
    /// What is wrong.
    pub kind: DamageKind,
}

/// Most protocols that a report names one by one.
const PROTOCOLS_MAX: usize = 16;

/// What verifying found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Name of the log.
    pub origin: String,
    /// Which life of the log its last segment is of.
    pub epoch: u64,
    /// Records before the first that is there, which a tombstone of this log says were pruned.
    pub n_pruned: u64,
    /// Records read and found right, up to the first damage.
    pub n_records: u64,
    /// Segments read.
    pub n_segments: usize,
    /// Bytes of those segments.
    pub n_bytes: u64,
    /// The first damage; nothing behind it was read.
    pub damage: Option<Damage>,
    /// An unfinished group at the end, which the next opening will cut.
    pub torn_tail: Option<Damage>,
    /// Sealed payloads that opened and agree with their record.
    pub n_opened: u64,
    /// Sealed payloads whose key is not there, and no record of this log says why.
    pub n_without_key: u64,
    /// Sealed payloads whose key is not there, and a record of this log says that it was erased.
    pub n_erased: u64,
    /// Sealed payloads that were not tried, no keys being given.
    pub n_not_tried: u64,
    /// Records whose commitment to the input tensors was made again.
    pub n_tensors: u64,
    /// Records whose commitment to the input tensors needs the protocol's reader to check.
    pub n_tensors_unchecked: u64,
    /// The same by the protocol's name; beyond 16 names all are `other`.
    pub tensors_unchecked: BTreeMap<Box<str>, u64>,
    /// Whether nothing outside this folder remembers how long the log was: a log cut back to an
    /// earlier state cannot be told from one that was never longer.
    pub unanchored: bool,
    /// Chain after the last record read.
    pub chain: [u8; 32],
    /// What was published of it.
    pub tree: TreeReport,
}

/// What verifying found of tiles, bundles and checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeReport {
    /// Size of the newest checkpoint; `None` where there is none.
    pub checkpoint_size: Option<u64>,
    /// The log's name in it.
    pub checkpoint_origin: String,
    /// Checkpoints read.
    pub n_checkpoints: u64,
    /// Records that a checkpoint covers.
    pub n_covered: u64,
    /// Tiles and bundles compared.
    pub n_files: u64,
    /// Signatures that verify, those of witnesses among them.
    pub n_signatures: u64,
    /// Signatures of keys that are not at hand.
    pub n_signatures_unchecked: u64,
    /// Cosignatures that verify.
    pub n_cosignatures: u64,
    /// Those of them by witnesses of the log's own operator.
    pub n_own_cosignatures: u64,
    /// What the policy says of the cosignatures.
    pub quorum: Option<Quorum>,
    /// Sizes known outside the store that it was compared with.
    pub n_outside: u64,
    /// The time stamps of checkpoints.
    pub stamps: StampsReport,
}

/// What verifying found of the time stamps that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StampsReport {
    /// Stamps that verify, of a checkpoint of this log.
    pub n_good: u64,
    /// Stamps whose authority's roots are not at hand.
    pub n_unchecked: u64,
    /// Stamps among both of an epoch that has ended: their root is not compared.
    pub n_ended: u64,
    /// The largest checkpoint whose stamp verifies: its records, and the authority's time in
    /// nanoseconds since the Unix epoch.
    pub newest: Option<(u64, u64)>,
}

/// The input tensors that a request's bytes mean, in every order in which they may have been
/// committed to (the contract's, or the request's own); none where they cannot be read here.
pub type TensorsOf<'c> = &'c dyn Fn(&Decision<'_>, &[u8]) -> Vec<Vec<Tensor>>;

/// What a log is checked with.
#[derive(Clone, Copy, Default)]
pub struct Checks<'c> {
    /// Keys of what is sealed.
    pub sealer: Option<&'c Sealer>,
    /// Whose signatures are believed.
    pub policy: Option<&'c Policy>,
    /// What is known of the log elsewhere.
    pub outside: &'c [Outside],
    /// Reads input tensors again.
    pub tensors: Option<TensorsOf<'c>>,
    /// Whose time stamps are believed.
    pub authorities: Option<&'c Authorities>,
}

/// Verifies the log on `disk`, with its payloads where `sealer` has their keys. `progress` gets
/// bytes done and bytes in all, about every 256 KiB, and may end the run early.
///
/// # Errors
/// [`ReadError::Absent`] or [`ReadError::Io`]: it could not be looked at. Damage is a result.
pub fn verify(
    disk: &dyn Disk,
    sealer: Option<&Sealer>,
    scope: Scope,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<VerifyReport, ReadError> {
    verify_with(disk, &Checks { sealer, ..Checks::default() }, scope, progress)
}

/// [`verify`](verify()) with all that is at hand to check with.
///
/// # Errors
/// As there.
pub fn verify_with(
    disk: &dyn Disk,
    checks: &Checks<'_>,
    scope: Scope,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<VerifyReport, ReadError> {
    let mut run = Run::new(disk, *checks, scope)?;
    let firsts = std::mem::take(&mut run.firsts);
    let begin = firsts.first().copied().unwrap_or(0);
    let mut is_whole = !firsts.is_empty();
    for (segment_idx, first_index) in firsts.iter().enumerate() {
        let next = firsts.get(segment_idx + 1).copied();
        match run.segment(*first_index, next, progress)? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => {
                is_whole = false;
                break;
            }
        }
    }
    if is_whole {
        let unexplained = run.tombstones.unexplained(begin);
        run.report.n_pruned = if unexplained.is_none() { begin } else { 0 };
        run.report.damage = run.report.damage.take().or(unexplained);
    }
    run.report.chain = run.chain;
    run.report.n_erased = run.erasures.n_explained();
    run.report.n_without_key -= run.report.n_erased;
    // What is damaged in the log itself comes first; the rest is compared as far as that was read.
    if let Some(audit) = run.audit {
        let damage = if is_whole {
            let (tree, damage) = audit.end().map_err(io_error(TLOG_DIR))?;
            run.report.tree = tree;
            damage
        } else {
            run.report.tree = audit.report;
            audit.damage
        };
        run.report.damage = run.report.damage.take().or(damage);
    }
    run.report.unanchored = checks.outside.is_empty() && run.report.tree.n_cosignatures == 0;
    Ok(run.report)
}

/// What the walk through all segments carries from one to the next.
struct Run<'d> {
    disk: &'d dyn Disk,
    checks: Checks<'d>,
    audit: Option<Audit<'d>>,
    scope: Scope,
    firsts: Vec<u64>,
    report: VerifyReport,
    index: u64,
    chain: [u8; 32],
    opened_ns: u64,
    total_bytes: u64,
    told_bytes: u64,
    erasures: Erasures,
    tombstones: Tombstones,
}

/// Bytes between two calls of `progress`.
const PROGRESS_BYTES: u64 = 256 << 10;

fn io_error(name: &str) -> impl Fn(io::Error) -> ReadError + '_ {
    move |source| ReadError::Io { name: name.to_owned(), source }
}

impl<'d> Run<'d> {
    fn new(disk: &'d dyn Disk, checks: Checks<'d>, scope: Scope) -> Result<Self, ReadError> {
        let audit = Audit::new(disk, &checks, scope).map_err(io_error(TLOG_DIR))?;
        let mut report = VerifyReport { unanchored: true, ..VerifyReport::default() };
        let (mut firsts, mut total_bytes) = (Vec::new(), 0_u64);
        for name in disk.list(WAL_DIR).map_err(io_error(WAL_DIR))? {
            if let Some(first_index) = parse_segment_name(&name) {
                let name = segment_name(first_index);
                let file = disk.open(&name, false).map_err(io_error(&name))?;
                total_bytes += file.len().map_err(io_error(&name))?;
                firsts.push(first_index);
            } else if name != SPARE_NAME {
                let segment = format!("{WAL_DIR}/{name}");
                let kind = DamageKind::Foreign;
                report.damage.get_or_insert(Damage { segment, offset: 0, index: None, kind });
            }
        }
        let Some(index) = firsts.first().copied() else { return Err(ReadError::Absent) };
        if report.damage.is_some() {
            firsts.clear();
        }
        let mut audit = audit.is_needed().then_some(audit);
        if let Some(audit) = audit.as_mut().filter(|_| 0 < index) {
            audit.begin_at(index).map_err(io_error(TLOG_DIR))?;
            if let Some(damage) = audit.damage.take() {
                report.damage.get_or_insert(damage);
                firsts.clear();
            }
        }
        Ok(Self {
            disk,
            checks,
            audit,
            scope,
            firsts,
            report,
            index,
            chain: CHAIN_START,
            opened_ns: 0,
            total_bytes,
            told_bytes: 0,
            erasures: Erasures::default(),
            tombstones: Tombstones::default(),
        })
    }

    fn damage(&mut self, segment: &str, offset: u64, index: Option<u64>, kind: DamageKind) {
        let segment = segment.to_owned();
        self.report.damage.get_or_insert(Damage { segment, offset, index, kind });
    }

    fn segment(
        &mut self,
        first_index: u64,
        next: Option<u64>,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let name = segment_name(first_index);
        let header = match read_header(self.disk, &name) {
            Ok(header) => header,
            Err(ReadError::Header { segment, source }) => {
                self.damage(&segment, 0, Some(first_index), DamageKind::Header(source));
                return Ok(ControlFlow::Break(()));
            }
            Err(error) => return Err(error),
        };
        let file = self.disk.open(&name, false).map_err(io_error(&name))?;
        let cursor = Cursor::new(file).map_err(io_error(&name))?;
        if let Some(reason) = self.misplaced(&header, first_index, cursor.len()) {
            self.damage(&name, 0, Some(first_index), DamageKind::Misplaced(reason));
            return Ok(ControlFlow::Break(()));
        }
        self.tombstones.begins(first_index, header.chain);
        let len = cursor.len();
        let mut walk = Walk::new(cursor, first_index, header.chain);
        let flow = self.frames(&name, &mut walk, next, progress)?;
        (self.index, self.chain) = (walk.index, walk.chain);
        self.report.n_segments += 1;
        self.report.n_bytes += len;
        Ok(flow)
    }

    /// Why a segment with this header cannot stand here.
    fn misplaced(&mut self, header: &SegmentHeader, first_index: u64, len: u64) -> Option<String> {
        let is_first = self.report.n_segments == 0;
        if is_first {
            self.report.origin = header.origin.to_string();
            if first_index != 0 {
                self.chain = header.chain;
            }
        }
        if header.first_index != first_index {
            Some(format!("its header says record {}", header.first_index))
        } else if first_index != self.index {
            Some(format!("the segment before ends at record {}", self.index))
        } else if *header.origin != *self.report.origin {
            Some(format!("it is of log `{}`", header.origin))
        } else if header.segment_bytes != len {
            Some(format!("it has {len} bytes, its header says {}", header.segment_bytes))
        } else if header.chain != self.chain {
            Some("its chain does not follow from the segment before".to_owned())
        } else if header.epoch < self.report.epoch {
            let before = self.report.epoch;
            Some(format!("it is of epoch {}, the one before of {before}", header.epoch))
        } else if header.opened_ns < self.opened_ns {
            Some("it was begun before the segment before".to_owned())
        } else {
            self.opened_ns = header.opened_ns;
            self.report.epoch = header.epoch;
            None
        }
    }

    fn frames(
        &mut self,
        name: &str,
        walk: &mut Walk,
        next: Option<u64>,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        loop {
            let fault = match walk.next(Check::Chain).map_err(io_error(name))? {
                Step::Frame(offset, frame) => {
                    if let Some(audit) = &mut self.audit {
                        audit
                            .push(frame.leaf, leaf_hash(frame.leaf))
                            .map_err(io_error(TLOG_DIR))?;
                    }
                    if let Err(kind) = self.entry(&frame) {
                        self.damage(name, offset, Some(frame.index), kind);
                        return Ok(ControlFlow::Break(()));
                    }
                    self.report.n_records += 1;
                    if self.tell(walk.at, progress).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    continue;
                }
                Step::End => None,
                Step::Bad(fault) => Some(fault),
            };
            let tail = match (next, fault) {
                (Some(_), Some(fault)) => Tail::Damaged(fault),
                (Some(next), None) if walk.index != next => Tail::Damaged(FrameFault::Missing),
                _ => walk.tail(fault).map_err(io_error(name))?,
            };
            // What was zeroes a moment ago may have been written since: look once more.
            walk.cursor.refresh();
            let unfinished = matches!(
                fault,
                None | Some(FrameFault::Checksum | FrameFault::Length | FrameFault::Cut)
            );
            let is_written = self.scope == Scope::Live
                && unfinished
                && tail != Tail::Clean
                && walk.has_frame().map_err(io_error(name))?;
            if is_written {
                continue;
            }
            return Ok(self.judge(name, walk, next.is_some(), tail));
        }
    }

    /// Tells how far the run is, now and then.
    fn tell(
        &mut self,
        at: u64,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let done = self.report.n_bytes + at;
        if done < self.told_bytes + PROGRESS_BYTES {
            return ControlFlow::Continue(());
        }
        self.told_bytes = done;
        progress(done, self.total_bytes)
    }

    fn judge(&mut self, name: &str, walk: &Walk, is_closed: bool, tail: Tail) -> ControlFlow<()> {
        let (at, index) = (walk.at, Some(walk.index));
        match (tail, is_closed, self.scope) {
            (Tail::Clean, ..) | (Tail::Torn { .. }, false, Scope::Live) => {
                return ControlFlow::Continue(());
            }
            (Tail::Torn { fault, .. }, false, Scope::Closed) => {
                let (segment, kind) = (name.to_owned(), DamageKind::Frame(fault));
                self.report.torn_tail = Some(Damage { segment, offset: at, index, kind });
                return ControlFlow::Continue(());
            }
            (Tail::Torn { .. }, true, _) => {
                self.damage(name, at, None, DamageKind::Frame(FrameFault::Trailing));
            }
            (Tail::Damaged(fault), ..) => {
                self.damage(name, at, index, DamageKind::Frame(fault));
            }
        }
        ControlFlow::Break(())
    }

    /// The record of a frame, and what is sealed beside it.
    fn entry(&mut self, frame: &Frame<'_>) -> Result<(), DamageKind> {
        let record = Record::decode(frame.leaf).map_err(DamageKind::Record)?;
        if let Body::Act(act) = &record.body {
            self.erasures.note(act);
            self.tombstones.note(act);
        }
        if frame.sealed.is_empty() {
            return Ok(());
        }
        let Some(sealer) = self.checks.sealer else {
            self.report.n_not_tried += 1;
            return Ok(());
        };
        let payload = match sealer.open(record.id, frame.sealed) {
            Ok(payload) => payload,
            Err(error @ (SealError::NoKey { .. } | SealError::NoSubjectKey { .. })) => {
                self.report.n_without_key += 1;
                if let SealError::NoSubjectKey { subject, .. } = error {
                    self.erasures.missing(subject);
                }
                return Ok(());
            }
            Err(error) => return Err(DamageKind::Sealed(error)),
        };
        if let Body::Decision(decision) = &record.body {
            check_commitments(decision, &payload)?;
            self.tensors(decision, &payload)?;
        }
        self.report.n_opened += 1;
        Ok(())
    }
}

impl Run<'_> {
    /// The commitment to the input tensors, read again from the bytes received.
    fn tensors(
        &mut self,
        decision: &Decision<'_>,
        payload: &OpenedPayload,
    ) -> Result<(), DamageKind> {
        let Some(committed) = decision.commitments.tensors else { return Ok(()) };
        let read = self.checks.tensors.map(|read| read(decision, &payload.received));
        let orders = read.unwrap_or_default();
        if orders.is_empty() {
            self.report.n_tensors_unchecked += 1;
            let name = decision.protocol.split(';').next().unwrap_or_default();
            let by_name = &mut self.report.tensors_unchecked;
            let is_new = !by_name.contains_key(name);
            let name = if is_new && PROTOCOLS_MAX <= by_name.len() { "other" } else { name };
            *by_name.entry(name.into()).or_default() += 1;
            return Ok(());
        }
        if orders.iter().any(|tensors| commit_tensors(&payload.secret, tensors) == committed) {
            self.report.n_tensors += 1;
            Ok(())
        } else {
            Err(DamageKind::Commitment("tensors"))
        }
    }
}

/// Bytes received that an obligation forbade to keep cannot be held against their commitment.
fn check_commitments(decision: &Decision<'_>, payload: &OpenedPayload) -> Result<(), DamageKind> {
    let Commitments { received, tensors: _, output, reply } = &decision.commitments;
    let secret = &payload.secret;
    let differs = |committed: &Option<[u8; 32]>, actual: &dyn Fn() -> [u8; 32]| {
        committed.is_some_and(|committed| committed != actual())
    };
    let is_kept = decision.obligations.retain_inputs.is_none() || !payload.received.is_empty();
    if is_kept && differs(received, &|| commit(secret, Commitment::Received, &payload.received)) {
        return Err(DamageKind::Commitment("received"));
    }
    if differs(output, &|| commit_outputs(secret, &payload.outputs)) {
        return Err(DamageKind::Commitment("output"));
    }
    if differs(reply, &|| commit(secret, Commitment::Reply, &payload.reply)) {
        return Err(DamageKind::Commitment("reply"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
