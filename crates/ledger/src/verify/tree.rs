//! The published log beside the write-ahead log: every bundle, tile and checkpoint.

use std::collections::BTreeMap;
use std::io;

use bartizan_core::disk::Disk;

use super::{Checks, Damage, DamageKind, Scope, TreeReport, stamps};
use crate::files::read_whole;
use crate::publish::{
    COSIGNED_NAME, Edge, Full, SETTLED_NAME, TLOG_DIR, parse_settled, partial_folder, tlog_name,
};
use crate::stamp::Authorities;
use crate::tlog::{Checkpoint, Hash, NOTE_BYTES_MAX, Note, Policy, Quorum, Resource, TILE_WIDTH};

/// Longest bundle, in bytes.
const BUNDLE_BYTES_MAX: usize = 256 * (65_535 + 2);

/// What the published log should be, grown with the log that it is compared with.
pub(super) struct Audit<'d> {
    disk: &'d dyn Disk,
    edge: Edge,
    full: Vec<Full>,
    /// By size: who knows a root of the log there, and the root.
    marks: BTreeMap<u64, Vec<(String, Hash)>>,
    /// Records that must be published: those of the largest checkpoint in the folder.
    published: u64,
    scope: Scope,
    pub(super) report: TreeReport,
    pub(super) damage: Option<Damage>,
}

fn damage(name: &str, offset: u64, index: Option<u64>, what: String) -> Damage {
    Damage { segment: name.to_owned(), offset, index, kind: DamageKind::Tree(what) }
}

impl<'d> Audit<'d> {
    /// Reads the checkpoints of the folder and their time stamps, and judges them by `checks`.
    pub(super) fn new(disk: &'d dyn Disk, checks: &Checks<'_>, scope: Scope) -> io::Result<Self> {
        let Checks { policy, outside, authorities, .. } = *checks;
        let mut audit = Self {
            disk,
            edge: Edge::default(),
            full: Vec::new(),
            marks: BTreeMap::new(),
            published: 0,
            scope,
            report: TreeReport::default(),
            damage: None,
        };
        // Before the checkpoint, which is never behind it.
        let settled = read_whole(disk, SETTLED_NAME, 64)?;
        for name in [tlog_name(&Resource::Checkpoint), COSIGNED_NAME.to_owned()] {
            audit.checkpoint(&name, policy)?;
        }
        audit.settled(settled);
        for known in outside {
            let root = known.root.map(|root| (known.source.clone(), root));
            audit.marks.entry(known.size).or_default().extend(root);
            audit.report.n_outside += 1;
        }
        audit.stamps(authorities)?;
        Ok(audit)
    }

    fn fault(&mut self, damage: Damage) {
        self.damage.get_or_insert(damage);
    }

    fn checkpoint(&mut self, name: &str, policy: Option<&Policy>) -> io::Result<()> {
        let Some(bytes) = read_whole(self.disk, name, NOTE_BYTES_MAX)? else { return Ok(()) };
        self.report.n_checkpoints += 1;
        let note = match Note::parse(&bytes) {
            Ok(note) => note,
            Err(error) => {
                self.fault(damage(name, 0, None, error.to_string()));
                return Ok(());
            }
        };
        let checkpoint = match Checkpoint::parse(note.text) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                self.fault(damage(name, 0, None, error.to_string()));
                return Ok(());
            }
        };
        if self.published < checkpoint.size || self.report.checkpoint_size.is_none() {
            self.report.checkpoint_size = Some(checkpoint.size);
            self.report.checkpoint_origin = checkpoint.origin.to_owned();
        }
        self.published = self.published.max(checkpoint.size);
        let mark = (format!("`{name}`"), checkpoint.root);
        self.marks.entry(checkpoint.size).or_default().push(mark);
        self.judge(name, &note, policy);
        Ok(())
    }

    fn judge(&mut self, name: &str, note: &Note<'_>, policy: Option<&Policy>) {
        let Some(policy) = policy else {
            self.report.n_signatures_unchecked += note.signatures.len() as u64;
            return;
        };
        let Ok(judgement) = policy.judge(note) else { return };
        let behind = note.text.len() as u64 + 1;
        if let Some(forged) = judgement.forged.first() {
            self.fault(damage(name, behind, None, format!("signature of `{forged}` is wrong")));
        } else if judgement.log_keys.is_empty() {
            let what = "no signature of the log's key".to_owned();
            self.fault(damage(name, behind, None, what));
        }
        let checked = judgement.log_keys.len() + judgement.cosigned.len();
        let unknown = note.signatures.len().saturating_sub(checked + judgement.forged.len());
        self.report.n_signatures_unchecked += unknown as u64;
        self.report.n_signatures += checked as u64;
        self.report.n_cosignatures += judgement.cosigned.len() as u64;
        let own = judgement.cosigned.iter().filter(|cosigned| cosigned.is_own).count();
        self.report.n_own_cosignatures += own as u64;
        let better = |quorum: &Quorum| match quorum {
            Quorum::Met => 3,
            Quorum::MetByOwn => 2,
            Quorum::Missed => 1,
            Quorum::None => 0,
        };
        let found = Some(judgement.quorum);
        if self.report.quorum.as_ref().map_or(-1, better) < found.as_ref().map_or(-1, better) {
            self.report.quorum = found;
        }
    }

    fn settled(&mut self, bytes: Option<Vec<u8>>) {
        let Some(bytes) = bytes else { return };
        let settled = parse_settled(&bytes);
        if settled.is_none_or(|settled| self.published < settled) {
            let what = "is no mark of what is durable, or lies beyond the checkpoint".to_owned();
            self.fault(damage(SETTLED_NAME, 0, None, what));
        }
    }

    /// Every time stamp that is kept, and the roots that are stamped.
    fn stamps(&mut self, authorities: Option<&Authorities>) -> io::Result<()> {
        let found =
            stamps::look(self.disk, authorities, &self.report.checkpoint_origin, self.scope)?;
        self.report.stamps = found.report;
        for (size, source, root) in found.roots {
            self.marks.entry(size).or_default().push((source, root));
        }
        if let Some((name, what)) = found.fault {
            self.fault(damage(&name, 0, None, what));
        }
        Ok(())
    }

    /// Whether there is anything to compare with.
    pub(super) fn is_needed(&self) -> bool {
        !self.marks.is_empty() || self.damage.is_some()
    }

    pub(super) fn disk(&self) -> &'d dyn Disk {
        self.disk
    }

    /// What the tree goes on from is cut or missing.
    pub(super) fn lost(&mut self, name: &str, offset: u64, index: u64) {
        let what = "does not hold what pruned records left there".to_owned();
        self.fault(damage(name, offset, Some(index), what));
    }

    /// The next record of the log.
    pub(super) fn push(&mut self, leaf: &[u8], leaf_hash: Hash) -> io::Result<()> {
        if self.edge.size() == 0 {
            self.reached()?;
        }
        self.edge.push(leaf, leaf_hash, &mut self.full);
        self.grown()
    }

    /// The next record of the log, which was pruned.
    pub(super) fn push_hash(&mut self, leaf_hash: Hash) -> io::Result<()> {
        if self.edge.size() == 0 {
            self.reached()?;
        }
        self.edge.push_hash(leaf_hash, &mut self.full);
        self.grown()
    }

    fn grown(&mut self) -> io::Result<()> {
        for full in std::mem::take(&mut self.full) {
            if self.edge.size() <= self.published {
                self.whole(&full)?;
            }
            self.partials(&full)?;
        }
        self.reached()
    }

    /// Compares the root where somebody knows one, and the partial tiles of that size.
    fn reached(&mut self) -> io::Result<()> {
        let size = self.edge.size();
        if size == self.published && size != 0 {
            for part in self.edge.partial() {
                self.whole(&part)?;
            }
        }
        let Some(known) = self.marks.remove(&size) else { return Ok(()) };
        let root = self.edge.root();
        for (source, expected) in known {
            if root != expected {
                let what =
                    format!("the first {size} records lead to another root than {source} says");
                let name = tlog_name(&Resource::Checkpoint);
                self.fault(damage(&name, 0, size.checked_sub(1), what));
            }
        }
        Ok(())
    }

    /// A file that must be there with exactly these bytes.
    fn whole(&mut self, full: &Full) -> io::Result<()> {
        let name = tlog_name(&full.resource);
        self.report.n_files += 1;
        match read_whole(self.disk, &name, BUNDLE_BYTES_MAX) {
            Ok(Some(found)) => self.compare(&name, full, &found, full.bytes.len()),
            // A partial one goes when its tile is full.
            Ok(None) if self.scope == Scope::Live => {}
            Ok(None) => {
                let index = Some(first_of(&full.resource));
                self.fault(damage(&name, 0, index, "is missing".to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                self.fault(damage(&name, full.bytes.len() as u64, None, error.to_string()));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn compare(&mut self, name: &str, full: &Full, found: &[u8], len: usize) {
        let expected = &full.bytes[..len];
        if found == expected {
            return;
        }
        let differs = found.iter().zip(expected).position(|(a, b)| a != b);
        let offset = differs.unwrap_or(found.len().min(expected.len()));
        let index = first_of(&full.resource)
            + match full.resource {
                Resource::Tile { level, .. } => (offset as u64 / 32) << (8 * u32::from(level)),
                Resource::Entries { .. } | Resource::Checkpoint => entry_at(expected, offset),
            };
        let what = if differs.is_some() {
            "is not what the log says".to_owned()
        } else {
            format!("has {} bytes, the log says {}", found.len(), expected.len())
        };
        self.fault(damage(name, offset as u64, Some(index), what));
    }

    /// Partial files beside a full one: each is a beginning of it.
    fn partials(&mut self, full: &Full) -> io::Result<()> {
        if self.scope == Scope::Live {
            return Ok(());
        }
        let folder = partial_folder(&full.resource);
        for width in self.disk.list(&folder)? {
            let name = format!("{folder}/{width}");
            let resource = name.strip_prefix("tlog/").and_then(Resource::parse);
            let (Some(Resource::Tile { width, .. } | Resource::Entries { width, .. }), Some(found)) =
                (resource, read_whole(self.disk, &name, BUNDLE_BYTES_MAX)?)
            else {
                self.fault(damage(&name, 0, None, "is no file of the published log".to_owned()));
                continue;
            };
            let Some(len) = full.beginning(Some(width)).map(<[u8]>::len) else {
                // Written for a checkpoint that never came: a loss of power, or foreign.
                let what = "is wider than the log".to_owned();
                self.fault(damage(&name, 0, None, what));
                continue;
            };
            let resource = with_width(&full.resource, width);
            let is_cut = full.bytes.get(..len).is_some_and(|whole| whole.starts_with(&found));
            if is_cut && self.published < end_of(&resource) {
                // Its disk was full, or its writer killed, before the checkpoint that needs it;
                // the next opening makes it again.
                continue;
            }
            self.report.n_files += 1;
            self.compare(&name, full, &found, len);
        }
        Ok(())
    }

    /// After the log's last record.
    pub(super) fn end(mut self) -> io::Result<(TreeReport, Option<Damage>)> {
        let size = self.edge.size();
        if let Some((behind, sources)) = self.marks.iter().next() {
            let source = sources.first().map_or("somebody outside", |(source, _)| source.as_str());
            let what = format!("{source} knows {behind} records, the log ends at {size}");
            let name = tlog_name(&Resource::Checkpoint);
            self.fault(damage(&name, 0, Some(size), what));
        }
        for part in self.edge.partial() {
            self.partials(&part)?;
        }
        self.names()?;
        self.report.n_covered = self.published;
        Ok((self.report, self.damage))
    }

    /// Files that no log has.
    fn names(&mut self) -> io::Result<()> {
        if self.scope == Scope::Live {
            return Ok(());
        }
        let known = ["checkpoint", "checkpoint.cosigned", "settled"];
        let temporary = ["checkpoint.tmp", "checkpoint.cosigned.tmp", "settled.tmp"];
        for name in self.disk.list(TLOG_DIR)? {
            // The last checkpoint of an epoch that has ended.
            let is_aside = name.starts_with("checkpoint.e");
            let is_known = known.contains(&name.as_str()) || is_aside;
            if !is_known && !temporary.contains(&name.as_str()) {
                let what = "is no file of the published log".to_owned();
                self.fault(damage(&format!("{TLOG_DIR}/{name}"), 0, None, what));
            }
        }
        let kinds = (0..8).map(|level: u8| level.to_string()).chain(["entries".to_owned()]);
        for (kind, level) in kinds.zip([0_u32, 1, 2, 3, 4, 5, 6, 7, 0]) {
            let folder = format!("{TLOG_DIR}/tile/{kind}");
            for name in self.disk.list(&folder)? {
                let name = format!("{folder}/{name}");
                let resource = name.strip_prefix("tlog/").and_then(Resource::parse);
                let is_full = |index: u64| index < (self.edge.size() >> (8 * level)) / TILE_WIDTH;
                let fits = matches!(
                    resource,
                    Some(Resource::Tile { index, .. } | Resource::Entries { index, .. })
                        if is_full(index)
                );
                if !fits {
                    let what = "is no file of the published log".to_owned();
                    self.fault(damage(&name, 0, None, what));
                }
            }
        }
        Ok(())
    }
}

/// First record that a resource speaks of.
fn first_of(resource: &Resource) -> u64 {
    match resource {
        Resource::Checkpoint => 0,
        Resource::Tile { level, index, .. } => index << (8 * (u32::from(*level) + 1)),
        Resource::Entries { index, .. } => index * TILE_WIDTH,
    }
}

/// The resource with another width.
fn with_width(resource: &Resource, width: u16) -> Resource {
    match *resource {
        Resource::Checkpoint => Resource::Checkpoint,
        Resource::Tile { level, index, .. } => Resource::Tile { level, index, width },
        Resource::Entries { index, .. } => Resource::Entries { index, width },
    }
}

/// Records that a log needs to hold for a resource to be there.
fn end_of(resource: &Resource) -> u64 {
    match *resource {
        Resource::Checkpoint => 0,
        Resource::Tile { level, index, width } => {
            (index * TILE_WIDTH + u64::from(width)) << (8 * u32::from(level))
        }
        Resource::Entries { index, width } => index * TILE_WIDTH + u64::from(width),
    }
}

/// Which entry of a bundle holds the byte at `offset`.
fn entry_at(bundle: &[u8], offset: usize) -> u64 {
    let (mut at, mut entry_idx) = (0, 0);
    while let Some(len) = bundle.get(at..at + 2) {
        at += 2 + usize::from(u16::from_be_bytes([len[0], len[1]]));
        if offset < at {
            break;
        }
        entry_idx += 1;
    }
    entry_idx
}
