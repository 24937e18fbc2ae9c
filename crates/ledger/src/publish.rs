//! The publisher: tiles, bundles and checkpoints out of the write-ahead log.
//!
//! All it writes is derived from the log. Tiles are not synced before the checkpoint that needs
//! them (after a loss of power they are made again), but in the background, so many a step, and
//! the mark `tlog/settled` says up to where; the checkpoint is.
//!
//! Invariants
//! - P1: a checkpoint never covers a record whose bytes in the log are not synced;
//! - P2: a checkpoint is told of only after it is durable, and is never rolled back: opening
//!   refuses a log that is behind, or leads to another root than, any checkpoint known here or
//!   outside;
//! - P3: an error of the disk ends the publisher; the log itself goes on, and the next opening
//!   makes everything again.

mod aside;
mod edge;
mod notice;
mod pruned;
mod tail;
mod thread;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use bartizan_core::clock::Clock;
use bartizan_core::disk::Disk;

use crate::files::{read_whole, replace};
use crate::queue::Shared;
use crate::read::ReadError;
use crate::tlog::{
    Checkpoint, Hash, NOTE_BYTES_MAX, Note, NoteSigner, Resource, SignerError, TILE_WIDTH,
    TileNodeError, TileNodes, VerifierKey, decimal, subtree_root,
};
use edge::fold;
pub(crate) use edge::{Edge, Full};
pub use notice::{Publication, Published, Standing, Told};
use tail::Tail;
pub use thread::RunningPublisher;

/// Folder of what is published, in the store.
pub const TLOG_DIR: &str = "tlog";
/// Name of the newest checkpoint that witnesses cosigned.
pub const COSIGNED_NAME: &str = "tlog/checkpoint.cosigned";
/// Up to where tiles are known to be durable.
pub(crate) const SETTLED_NAME: &str = "tlog/settled";
/// Time between two checkpoints of a log that grows, in nanoseconds; one that rests is covered as
/// soon as somebody asks.
pub const PUBLISH_NS: u64 = 200_000_000;
/// Records that one step takes at most: a bound on its memory and its time.
const STEP_RECORDS_MAX: u64 = 1 << 16;
/// Files that one step syncs at most.
const STEP_SYNCS_MAX: usize = 64;
/// Bytes of a full tile.
const TILE_BYTES_MAX: usize = 8_192;

/// Name of a resource in the store.
pub fn tlog_name(resource: &Resource) -> String {
    format!("{TLOG_DIR}/{resource}")
}

/// Folder of the partial files of a tile or bundle, full or not, in the store.
pub(crate) fn partial_folder(resource: &Resource) -> String {
    let full = match *resource {
        Resource::Tile { level, index, .. } => Resource::Tile { level, index, width: 256 },
        Resource::Entries { index, .. } => Resource::Entries { index, width: 256 },
        Resource::Checkpoint => Resource::Checkpoint,
    };
    format!("{}.p", tlog_name(&full))
}

/// What somebody outside the store remembers of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Who: `anchor`, or a witness's name.
    pub source: String,
    /// Entries of the newest checkpoint that it saw.
    pub size: u64,
    /// Its root, where it is known.
    pub root: Option<Hash>,
}

/// Why nothing can be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The disk fails.
    #[error("cannot {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the disk says.
        source: io::Error,
    },
    /// The log cannot be read.
    #[error("cannot read the log")]
    Read(#[from] ReadError),
    /// The newest checkpoint is not what was written, or not ours.
    #[error(
        "`{name}` is {reason}: restore the store from a backup, `bartizan ledger verify` says what is left"
    )]
    Checkpoint {
        /// The file.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// P2: the log is shorter than a checkpoint that was published.
    #[error(
        "the store holds {stored} records, {source_name} knows a checkpoint of {known}: records are lost, or the store was rolled back; restore a newer backup, or accept the loss with `bartizan ledger reopen --after-loss`, which begins a new epoch"
    )]
    Behind {
        /// Who knows.
        source_name: String,
        /// Entries of the checkpoint.
        known: u64,
        /// Records in the log.
        stored: u64,
    },
    /// P2: the log leads to another root than a checkpoint that was published.
    #[error(
        "the first {size} records lead to another root than the checkpoint that {source_name} knows: the log was rewritten; restore it from a backup"
    )]
    Diverged {
        /// Who knows.
        source_name: String,
        /// Entries of the checkpoint.
        size: u64,
    },
    /// P3: it failed before.
    #[error("publishing ended with an earlier error")]
    Over,
    /// A key does not sign.
    #[error("the log's key does not sign")]
    Sign(#[from] SignerError),
}

/// Faults that a test puts into the publisher, to show that the tests would notice.
#[cfg(any(test, feature = "testing"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PublisherMutant {
    /// None: the publisher as it is.
    #[default]
    Sound,
    /// Renames the checkpoint into place, then syncs it.
    RenameBeforeSync,
    /// Does not sync the checkpoint.
    SkipSync,
    /// Covers what was written and not yet synced.
    AheadOfSync,
}

/// How the publisher is made.
pub struct PublisherConfig {
    /// Keys of the log, the first of them Ed25519; they sign under the log's origin.
    pub signers: Vec<NoteSigner>,
    /// A folder on another volume that remembers the newest checkpoint.
    pub anchor: Option<Arc<dyn Disk>>,
    /// What else is known outside.
    pub outside: Vec<Outside>,
    /// Keys of the epochs before this one: what they signed is set aside, not continued.
    pub ended: Vec<VerifierKey>,
}

/// Name of the checkpoint in an anchor's folder.
pub const ANCHOR_NAME: &str = "checkpoint";

/// The publisher; a thread owns it, or a test steps it.
pub struct Publisher {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    signers: Vec<NoteSigner>,
    anchor: Option<Arc<dyn Disk>>,
    publication: Publication,
    tail: Tail,
    edge: Edge,
    /// Written and not yet synced, with the settled size that each brings.
    unsettled: VecDeque<(String, Option<u64>)>,
    settled: u64,
    is_anchored: bool,
    newest: Option<Arc<Published>>,
    /// P3.
    is_over: bool,
    /// While it is opened: what an earlier process left unsynced is looked at again.
    is_mending: bool,
    /// Faults that a test puts in.
    #[cfg(any(test, feature = "testing"))]
    pub mutant: PublisherMutant,
}

fn doing<'a>(what: &'a str, name: &'a str) -> impl Fn(io::Error) -> PublishError + 'a {
    move |source| PublishError::Io { doing: format!("{what} `{name}`"), source }
}

impl Publisher {
    /// Opens what was published before and makes again what a loss of power may have taken;
    /// reads the log from the last settled tile on. Publishes nothing yet.
    ///
    /// # Errors
    /// [`PublishError`]; see P2.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        config: PublisherConfig,
    ) -> Result<Self, PublishError> {
        let PublisherConfig { signers, anchor, outside, ended } = config;
        let mut known = outside;
        aside::checkpoint(&*disk, TLOG_DIR, &ended, Some(shared.durable()))?;
        if let Some(anchor) = &anchor {
            aside::checkpoint(&**anchor, "", &ended, None)?;
        }
        let own = read_checkpoint(&*disk, &tlog_name(&Resource::Checkpoint), &signers)?;
        known.extend(own.as_ref().map(|own| outside_of("its own newest checkpoint", own)));
        if let Some(anchor) = &anchor {
            let found = read_checkpoint(&**anchor, ANCHOR_NAME, &signers)?;
            known.extend(found.as_ref().map(|found| outside_of("the anchor", found)));
        }
        let stored = shared.durable();
        if let Some(ahead) = known.iter().filter(|known| stored < known.size).max_by_key(|k| k.size)
        {
            let source_name = ahead.source.clone();
            return Err(PublishError::Behind { source_name, known: ahead.size, stored });
        }
        // Its own checkpoint alone is no memory outside.
        let is_anchored = known.len() != usize::from(own.is_some());
        let publication = Publication::default();
        let newest = own.map(Arc::new);
        if let Some(newest) = &newest {
            publication.tell(Arc::clone(newest));
        }
        let (edge, settled) = match read_settled(&*disk, newest.as_deref())? {
            Some(settled) => (load_edge(&*disk, settled)?, settled),
            None => pruned::beginning(&*disk)?,
        };
        let tail = Tail::new(Arc::clone(&disk), edge.size());
        let mut publisher = Self {
            disk,
            shared,
            clock,
            signers,
            anchor,
            publication,
            tail,
            edge,
            unsettled: VecDeque::new(),
            settled,
            is_anchored,
            newest,
            is_over: false,
            is_mending: true,
            #[cfg(any(test, feature = "testing"))]
            mutant: PublisherMutant::Sound,
        };
        publisher.catch_up(&mut known)?;
        publisher.is_mending = false;
        Ok(publisher)
    }

    /// P2: reads up to each size that is known and compares the root.
    fn catch_up(&mut self, known: &mut [Outside]) -> Result<(), PublishError> {
        known.sort_by_key(|known| known.size);
        for known in known.iter() {
            while self.edge.size() < known.size {
                self.take(known.size.min(self.edge.size() + STEP_RECORDS_MAX))?;
            }
            let Some(expected) = known.root else { continue };
            let root = if known.size == self.edge.size() {
                self.write(self.edge.partial())?;
                self.edge.root()
            } else {
                self.settled_root(known.size)?
            };
            if root != expected {
                let source_name = known.source.clone();
                return Err(PublishError::Diverged { source_name, size: known.size });
            }
        }
        self.edge.partial().iter().try_for_each(|part| self.mend(part))
    }

    /// Writes again the partial files beside `full`, each a beginning of it, and removes those
    /// that are not: a loss of power may have left anything in them.
    fn mend(&self, full: &Full) -> Result<(), PublishError> {
        let folder = partial_folder(&full.resource);
        for name in self.disk.list(&folder).map_err(doing("list", &folder))? {
            let name = format!("{folder}/{name}");
            match full.beginning(name.rsplit_once('/').and_then(|(_, width)| width.parse().ok())) {
                Some(bytes) => self.put(&name, bytes)?,
                None => self.disk.remove(&name).map_err(doing("remove", &name))?,
            }
        }
        Ok(())
    }

    /// Root of the first `size` records, all of them in full tiles.
    fn settled_root(&self, size: u64) -> Result<Hash, PublishError> {
        let full = self.settled;
        let mut nodes = TileNodes::new(full, |tile: &Resource| read_tile(&*self.disk, tile));
        subtree_root(&mut nodes, size).map_err(|error| match error {
            TileNodeError::Read { source, .. } => source,
            TileNodeError::Length { tile, .. } => {
                PublishError::Checkpoint { name: tlog_name(&tile), reason: "cut" }
            }
            TileNodeError::Absent { .. } => PublishError::Checkpoint {
                name: SETTLED_NAME.to_owned(),
                reason: "behind what it settles",
            },
        })
    }

    /// Where publications are told.
    pub fn publication(&self) -> Publication {
        self.publication.clone()
    }

    /// Whether anything outside the store remembers the log's size.
    pub fn is_anchored(&self) -> bool {
        self.is_anchored || self.anchor.is_some()
    }

    /// Whether a step has anything to do.
    fn has_work(&self) -> bool {
        self.has_grown() || !self.unsettled.is_empty() || self.publication.has_cosignatures()
    }

    /// Whether records wait to be covered.
    pub fn has_grown(&self) -> bool {
        self.newest.as_ref().is_none_or(|newest| newest.size < self.shared.durable())
    }

    /// One round: what is durable and not covered yet is written as tiles and covered by a new
    /// checkpoint; cosignatures that came in are kept; some tiles are synced. Says whether a
    /// checkpoint was published.
    ///
    /// # Errors
    /// [`PublishError`]; P3: the publisher is of no use afterwards.
    pub fn step(&mut self) -> Result<bool, PublishError> {
        if self.is_over {
            return Err(PublishError::Over);
        }
        let outcome = self.round();
        if outcome.is_err() {
            self.is_over = true;
            self.publication.end();
        }
        outcome
    }

    fn round(&mut self) -> Result<bool, PublishError> {
        // P1: read once, before anything is read of the log.
        let durable = self.covered();
        let grown = self.newest.as_ref().is_none_or(|newest| newest.size < durable);
        if grown {
            while self.edge.size() < durable {
                self.take(durable.min(self.edge.size() + STEP_RECORDS_MAX))?;
            }
            self.write(self.edge.partial())?;
            self.publish()?;
        }
        self.keep_cosignatures()?;
        self.settle(STEP_SYNCS_MAX)?;
        Ok(grown)
    }

    fn covered(&self) -> u64 {
        #[cfg(any(test, feature = "testing"))]
        if self.mutant == PublisherMutant::AheadOfSync {
            return self.shared.written();
        }
        self.shared.durable()
    }

    /// Takes records up to `end` into the tree and writes the tiles that become full.
    fn take(&mut self, end: u64) -> Result<(), PublishError> {
        let (edge, mut full) = (&mut self.edge, Vec::new());
        self.tail.read(end, &mut |leaf, leaf_hash| {
            edge.push(leaf, leaf_hash, &mut full);
            Ok(())
        })?;
        for full in &full {
            let brings = match full.resource {
                Resource::Entries { index, .. } => Some((index + 1) * TILE_WIDTH),
                Resource::Tile { .. } | Resource::Checkpoint => None,
            };
            self.unsettled.push_back((tlog_name(&full.resource), brings));
        }
        self.write(full)
    }

    fn write(&self, files: Vec<Full>) -> Result<(), PublishError> {
        for full in files {
            if self.is_mending {
                self.mend(&full)?;
            }
            self.put(&tlog_name(&full.resource), &full.bytes)?;
        }
        Ok(())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
        let mut file = self.disk.open(name, true).map_err(doing("make", name))?;
        file.write_at(bytes, 0).map_err(doing("write", name))?;
        // What an earlier process left there may have been longer.
        file.set_len(bytes.len() as u64).map_err(doing("write", name))
    }

    /// P2: signs, makes durable, then tells.
    fn publish(&mut self) -> Result<(), PublishError> {
        let (size, root) = (self.edge.size(), self.edge.root());
        let time_s = self.clock.now().unix_s();
        let origin = self.signers.first().map_or("", |signer| signer.public().name());
        let text = Checkpoint { origin, size, root, extensions: Vec::new() }.to_string();
        let signatures: Result<Vec<_>, _> =
            self.signers.iter().map(|signer| signer.sign(&text, time_s)).collect();
        let note = Note { text: &text, signatures: signatures? }.to_string();
        self.put_checkpoint(note.as_bytes())?;
        let published = Arc::new(Published { size, root, time_s, note });
        self.newest = Some(Arc::clone(&published));
        self.publication.tell(published);
        Ok(())
    }

    fn put_checkpoint(&self, note: &[u8]) -> Result<(), PublishError> {
        let name = tlog_name(&Resource::Checkpoint);
        #[cfg(any(test, feature = "testing"))]
        if self.mutant != PublisherMutant::Sound && self.mutant != PublisherMutant::AheadOfSync {
            return self.put_wrongly(&name, note).map_err(doing("replace", &name));
        }
        replace(&*self.disk, &name, note).map_err(doing("replace", &name))?;
        match &self.anchor {
            Some(anchor) => {
                replace(&**anchor, ANCHOR_NAME, note).map_err(doing("replace", "the anchor"))
            }
            None => Ok(()),
        }
    }

    #[cfg(any(test, feature = "testing"))]
    fn put_wrongly(&self, name: &str, note: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.tmp");
        let mut file = self.disk.open(&temporary, true)?;
        file.write_at(note, 0)?;
        file.set_len(note.len() as u64)?;
        self.disk.rename(&temporary, name)?;
        self.disk.sync_dir(TLOG_DIR)?;
        if self.mutant == PublisherMutant::SkipSync { Ok(()) } else { file.sync() }
    }

    /// Keeps the cosignatures that came in with the checkpoint that they are of.
    fn keep_cosignatures(&mut self) -> Result<(), PublishError> {
        for (size, lines) in self.publication.take_cosignatures() {
            let cosigned = self.publication.cosigned();
            let base = match cosigned.filter(|cosigned| cosigned.size == size) {
                Some(cosigned) => Some(cosigned),
                None => self.publication.recent(size),
            };
            let newest = self.publication.cosigned().map_or(0, |cosigned| cosigned.size);
            let Some(base) = base.filter(|base| newest <= base.size) else { continue };
            let mut note = base.note.clone();
            for line in lines.iter().map(ToString::to_string) {
                if !note.contains(&line) {
                    note.push_str(&line);
                }
            }
            if Note::parse(note.as_bytes()).is_err() {
                continue;
            }
            let whole = note.as_bytes();
            replace(&*self.disk, COSIGNED_NAME, whole).map_err(doing("replace", COSIGNED_NAME))?;
            if self.newest.as_ref().is_some_and(|newest| newest.size == size) {
                self.put_checkpoint(whole)?;
            }
            let published = Published { note, ..Published::clone(&base) };
            self.publication.set_cosigned(Arc::new(published));
        }
        Ok(())
    }

    /// Syncs at most `n_max` tiles and bundles, then says up to where they are durable.
    fn settle(&mut self, n_max: usize) -> Result<(), PublishError> {
        let mut folders = BTreeSet::new();
        let mut settled = self.settled;
        for _ in 0..n_max.min(self.unsettled.len()) {
            let Some((name, brings)) = self.unsettled.pop_front() else { break };
            let mut file = self.disk.open(&name, false).map_err(doing("open", &name))?;
            file.sync().map_err(doing("sync", &name))?;
            folders.insert(Resource::folder(&name).to_owned());
            settled = brings.unwrap_or(settled);
        }
        for folder in &folders {
            self.disk.sync_dir(folder).map_err(doing("sync", folder))?;
        }
        if settled != self.settled {
            replace(&*self.disk, SETTLED_NAME, settled_text(settled).as_bytes())
                .map_err(doing("replace", SETTLED_NAME))?;
            let before = std::mem::replace(&mut self.settled, settled);
            self.prune(before, settled)?;
        }
        Ok(())
    }

    /// Removes the partial tiles and bundles before the last full ones: whoever read a
    /// checkpoint that needed them finds the full one.
    fn prune(&self, before: u64, settled: u64) -> Result<(), PublishError> {
        for level in 0..8_u8 {
            let full = |size: u64| (size >> (8 * u32::from(level))) / TILE_WIDTH;
            for index in full(before).saturating_sub(1)..full(settled).saturating_sub(1) {
                self.remove_partial(&Resource::Tile { level, index, width: 256 })?;
                if level == 0 {
                    self.remove_partial(&Resource::Entries { index, width: 256 })?;
                }
            }
        }
        Ok(())
    }

    fn remove_partial(&self, full: &Resource) -> Result<(), PublishError> {
        let folder = partial_folder(full);
        for name in self.disk.list(&folder).map_err(doing("list", &folder))? {
            let name = format!("{folder}/{name}");
            self.disk.remove(&name).map_err(doing("remove", &name))?;
        }
        Ok(())
    }

    /// Publishes and settles all there is: for an orderly end.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn finish(mut self) -> Result<(), PublishError> {
        self.step()?;
        self.settle(usize::MAX)
    }
}

impl Drop for Publisher {
    /// Nobody waits for ever.
    fn drop(&mut self) {
        self.publication.end();
    }
}

fn outside_of(source: &str, published: &Published) -> Outside {
    let (size, root) = (published.size, Some(published.root));
    Outside { source: source.to_owned(), size, root }
}

/// The checkpoint `name`, which must be signed by one of `signers`; `None` where there is none.
fn read_checkpoint(
    disk: &dyn Disk,
    name: &str,
    signers: &[NoteSigner],
) -> Result<Option<Published>, PublishError> {
    let bytes = read_whole(disk, name, NOTE_BYTES_MAX).map_err(doing("read", name))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let wrong = |reason| PublishError::Checkpoint { name: name.to_owned(), reason };
    let note = Note::parse(&bytes).map_err(|_| wrong("no signed note"))?;
    let checkpoint = Checkpoint::parse(note.text).map_err(|_| wrong("no checkpoint"))?;
    let signed = |signer: &NoteSigner| matches!(note.signed_by(signer.public()), Some(Ok(_)));
    if !signers.iter().any(signed) {
        return Err(wrong("not signed by this log's key"));
    }
    let Checkpoint { origin, size, root, .. } = checkpoint;
    if signers.iter().all(|signer| signer.public().name() != origin) {
        return Err(wrong("of another log"));
    }
    let time_s = signers.iter().filter_map(|signer| note.signed_by(signer.public()));
    let time_s = time_s.filter_map(Result::ok).max().unwrap_or(0);
    let note = note.to_string();
    Ok(Some(Published { size, root, time_s, note }))
}

/// The settled size; `None` where none was written, or it cannot be true.
fn read_settled(disk: &dyn Disk, newest: Option<&Published>) -> Result<Option<u64>, PublishError> {
    let bytes = read_whole(disk, SETTLED_NAME, 64).map_err(doing("read", SETTLED_NAME))?;
    let settled = bytes.and_then(|bytes| parse_settled(&bytes));
    let newest = newest.map_or(0, |newest| newest.size);
    Ok(settled.filter(|settled| *settled <= newest))
}

/// The mark of what is settled: the size and a checksum of its digits.
fn settled_text(settled: u64) -> String {
    let digits = settled.to_string();
    format!("{digits} {:08x}\n", crc32c::crc32c(digits.as_bytes()))
}

/// The size that a mark says; `None` where it is none.
pub(crate) fn parse_settled(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let settled = decimal(text.split_once(' ')?.0)?;
    let whole = settled_text(settled) == text && settled.is_multiple_of(TILE_WIDTH);
    whole.then_some(settled)
}

/// The edge of the tree of `size` entries out of its full tiles. Reads at most 255 tiles a
/// level.
fn load_edge(disk: &dyn Disk, size: u64) -> Result<Edge, PublishError> {
    let mut levels = Vec::new();
    for level in 0..8_u8 {
        let hashes = size >> (8 * u32::from(level));
        if hashes == 0 {
            break;
        }
        let mut row = Vec::new();
        if let Some(below) = level.checked_sub(1) {
            for index in hashes / TILE_WIDTH * TILE_WIDTH..hashes {
                let tile = Resource::Tile { level: below, index, width: 256 };
                row.push(tile_root(disk, &tile)?);
            }
        }
        levels.push(row);
    }
    Ok(Edge::at(size, levels))
}

fn tile_root(disk: &dyn Disk, tile: &Resource) -> Result<Hash, PublishError> {
    let bytes = read_tile(disk, tile)?;
    let cut = || PublishError::Checkpoint { name: tlog_name(tile), reason: "cut" };
    let whole = bytes.len() as u64 == TILE_WIDTH * 32;
    whole.then(|| fold(bytes.as_chunks::<32>().0.to_vec())).flatten().ok_or_else(cut)
}

fn read_tile(disk: &dyn Disk, tile: &Resource) -> Result<Vec<u8>, PublishError> {
    let name = tlog_name(tile);
    let bytes = read_whole(disk, &name, TILE_BYTES_MAX).map_err(doing("read", &name))?;
    bytes.ok_or(PublishError::Checkpoint { name, reason: "missing" })
}

#[cfg(test)]
mod tests;
