//! A log as others serve it, checked from its checkpoint, tiles and entries alone.

use std::io;

use super::{
    Checkpoint, CheckpointError, Frontier, Hash, JudgeError, Judgement, Note, NoteError, Policy,
    Resource, TILE_WIDTH, bundle_entries, node_hash,
};
use crate::receipt::leaf_hash;

/// Gives a resource of the log; `None` where the log has none of that name.
pub type ReadServed<'r> = dyn FnMut(&Resource) -> io::Result<Option<Vec<u8>>> + 'r;

/// A log that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its name.
    pub origin: String,
    /// Its entries.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// Whose signatures it bears.
    pub judgement: Judgement,
}

/// Why a served log is not in order, or could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    /// It could not be read.
    #[error("cannot read `{resource}`")]
    Read {
        /// What.
        resource: Resource,
        /// Why.
        source: io::Error,
    },
    /// What its checkpoint promises is not there.
    #[error("`{resource}` is not served, and the checkpoint covers it")]
    Absent {
        /// What.
        resource: Resource,
    },
    /// The first thing that is not as it should be.
    #[error("`{resource}` is damaged: {reason}")]
    Damaged {
        /// Where.
        resource: Resource,
        /// What is wrong.
        reason: String,
    },
    /// The checkpoint is no signed note.
    #[error("the checkpoint is no signed note")]
    Note(#[from] NoteError),
    /// The checkpoint is none.
    #[error("the checkpoint is none")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint cannot be judged.
    #[error("the checkpoint cannot be judged")]
    Judge(#[from] JudgeError),
    /// The entries lead to another root than the one that is signed.
    #[error("the {size} entries lead to another root than the checkpoint's")]
    Root {
        /// How many.
        size: u64,
    },
}

impl ServedError {
    /// Whether it says that we could not look, rather than what is wrong.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Read { .. })
    }
}

/// Checks every entry against its tile, every tile against those below it, and the root of all
/// against the checkpoint, which `policy` then judges. `progress` gets entries done and in all.
/// Memory is one bundle and 256 hashes a level; a log that grows meanwhile is checked as of its
/// checkpoint.
///
/// # Errors
/// [`ServedError`]: the first thing that is wrong.
pub fn verify_served(
    read: &mut ReadServed<'_>,
    policy: &Policy,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Served, ServedError> {
    let bytes = get(read, Resource::Checkpoint)?;
    let note = Note::parse(&bytes)?;
    let Checkpoint { origin, size, root, .. } = Checkpoint::parse(note.text)?;
    let judgement = policy.judge(&note)?;
    let mut walk = Walk { read, rows: Vec::new(), n_full: Vec::new() };
    let mut frontier = Frontier::new();
    let mut done = 0;
    while done < size {
        let width = u16::try_from(size.saturating_sub(done).min(TILE_WIDTH)).unwrap_or(256);
        let index = done.checked_div(TILE_WIDTH).unwrap_or(0);
        for hash in walk.bundle(index, width)? {
            frontier.push(hash);
            walk.push(hash)?;
        }
        done = done.saturating_add(u64::from(width));
        progress(done, size);
    }
    walk.finish()?;
    if frontier.root() != root {
        return Err(ServedError::Root { size });
    }
    Ok(Served { origin: origin.to_owned(), size, root, judgement })
}

fn get(read: &mut ReadServed<'_>, resource: Resource) -> Result<Vec<u8>, ServedError> {
    match read(&resource) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(ServedError::Absent { resource }),
        Err(source) => Err(ServedError::Read { resource, source }),
    }
}

struct Walk<'w, 'r> {
    read: &'w mut ReadServed<'r>,
    /// Hashes of each level's unfinished tile.
    rows: Vec<Vec<Hash>>,
    /// Tiles of each level that are full.
    n_full: Vec<u64>,
}

impl Walk<'_, '_> {
    /// A partial resource, or where it has gone the full one that took its place.
    fn get(&mut self, partial: Resource, full: Resource) -> Result<(Vec<u8>, bool), ServedError> {
        match get(self.read, partial) {
            Err(ServedError::Absent { .. }) if partial != full => Ok((get(self.read, full)?, true)),
            outcome => Ok((outcome?, false)),
        }
    }

    /// Leaf hashes of the first `width` entries of a bundle.
    fn bundle(&mut self, index: u64, width: u16) -> Result<Vec<Hash>, ServedError> {
        let resource = Resource::Entries { index, width };
        let (bytes, is_full) = self.get(resource, Resource::Entries { index, width: 256 })?;
        let entries = bundle_entries(&bytes, if is_full { 256 } else { width });
        let entries = entries
            .map_err(|error| ServedError::Damaged { resource, reason: error.to_string() })?;
        Ok(entries.into_iter().take(usize::from(width)).map(leaf_hash).collect())
    }

    fn push(&mut self, mut hash: Hash) -> Result<(), ServedError> {
        for level in 0..u8::MAX {
            let at = usize::from(level);
            if self.rows.len() == at {
                self.rows.push(Vec::new());
                self.n_full.push(0);
            }
            let (Some(row), Some(n_full)) = (self.rows.get_mut(at), self.n_full.get_mut(at)) else {
                return Ok(());
            };
            row.push(hash);
            if row.len() < 256 {
                return Ok(());
            }
            let (row, index) = (std::mem::take(row), *n_full);
            *n_full = n_full.saturating_add(1);
            self.compare(level, index, &row)?;
            let Some(root) = fold(row) else { return Ok(()) };
            hash = root;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ServedError> {
        let rows = std::mem::take(&mut self.rows);
        let n_full = std::mem::take(&mut self.n_full);
        for ((row, index), level) in rows.iter().zip(n_full).zip(0_u8..) {
            if !row.is_empty() {
                self.compare(level, index, row)?;
            }
        }
        Ok(())
    }

    fn compare(&mut self, level: u8, index: u64, row: &[Hash]) -> Result<(), ServedError> {
        let width = u16::try_from(row.len()).unwrap_or(256);
        let resource = Resource::Tile { level, index, width };
        let (bytes, _) = self.get(resource, Resource::Tile { level, index, width: 256 })?;
        let (served, rest) = bytes.as_chunks::<32>();
        let at = row.iter().zip(served).position(|(ours, served)| ours != served);
        let reason = match at {
            Some(at) => format!("hash {at} is not that of what lies below it"),
            None if served.len() < row.len() || !rest.is_empty() => "it is cut".to_owned(),
            None => return Ok(()),
        };
        Err(ServedError::Damaged { resource, reason })
    }
}

/// Root of a full tile's hashes.
fn fold(mut row: Vec<Hash>) -> Option<Hash> {
    while 1 < row.len() {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a test's own widths, at most 256")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tlog::{KeyKind, NoteSigner, push_bundle_entry};

    const ORIGIN: &str = "log.example/served";

    fn signer() -> NoteSigner {
        NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[3; 32]).unwrap()
    }

    /// All that a log of `n` entries serves.
    fn serve(n: u64) -> BTreeMap<Resource, Vec<u8>> {
        let (mut served, mut tree) = (BTreeMap::new(), Frontier::new());
        let entries: Vec<Vec<u8>> = (0..n).map(|n| n.to_be_bytes().to_vec()).collect();
        for (chunk, index) in entries.chunks(256).zip(0..) {
            let mut bundle = Vec::new();
            assert!(chunk.iter().all(|entry| push_bundle_entry(&mut bundle, entry)));
            served.insert(Resource::Entries { index, width: chunk.len() as u16 }, bundle);
        }
        let mut row: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        row.iter().for_each(|hash| tree.push(*hash));
        for level in 0.. {
            for (chunk, index) in row.chunks(256).zip(0..) {
                let tile = Resource::Tile { level, index, width: chunk.len() as u16 };
                served.insert(tile, chunk.as_flattened().to_vec());
            }
            let full = row.as_chunks::<256>().0.iter();
            row = full.filter_map(|chunk| fold(chunk.to_vec())).collect();
            if row.is_empty() {
                break;
            }
        }
        let (size, root) = (n, tree.root());
        let text = Checkpoint { origin: ORIGIN, size, root, extensions: Vec::new() }.to_string();
        let note = format!("{text}\n{}", signer().sign(&text, 0).unwrap());
        served.insert(Resource::Checkpoint, note.into_bytes());
        served
    }

    fn check(served: &BTreeMap<Resource, Vec<u8>>) -> Result<Served, ServedError> {
        let policy = Policy::of_logs(vec![signer().public().clone()]);
        let mut read = |resource: &Resource| Ok(served.get(resource).cloned());
        verify_served(&mut read, &policy, &mut |_, _| ())
    }

    #[test]
    fn a_served_log_is_in_order_at_every_edge_of_its_tiles() {
        for n in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537] {
            let found = check(&serve(n)).unwrap();
            assert!(found.judgement.is_good() && found.size == n);
        }
    }

    /// Every resource that the checkpoint covers is looked at, and the first fault is placed.
    #[test]
    fn what_is_changed_or_missing_is_found_where_it_is() {
        let whole = serve(600);
        for (resource, bytes) in &whole {
            let mut spoilt = whole.clone();
            let at = bytes.len() / 2;
            if let Some(byte) = spoilt.get_mut(resource).and_then(|bytes| bytes.get_mut(at)) {
                *byte ^= 1;
            }
            let error = check(&spoilt);
            let trusted = error.as_ref().is_ok_and(|found| found.judgement.is_good());
            assert!(!trusted, "a changed `{resource}` passed");
            let mut cut = whole.clone();
            cut.remove(resource);
            assert!(matches!(check(&cut), Err(ServedError::Absent { .. })), "{resource}");
        }
    }

    /// A partial tile that has gone since is read out of the full one.
    #[test]
    fn a_log_that_grows_meanwhile_is_checked_as_of_its_checkpoint() {
        let mut grown = serve(600);
        grown.insert(Resource::Checkpoint, serve(300).remove(&Resource::Checkpoint).unwrap());
        let found = check(&grown);
        assert!(found.is_err(), "the root's tile of that size is not there: {found:?}");
        let old = serve(300);
        for (resource, bytes) in old {
            let is_partial_below = match resource {
                Resource::Tile { level, width, .. } => level == 0 && width < 256,
                Resource::Entries { width, .. } => width < 256,
                Resource::Checkpoint => false,
            };
            if !is_partial_below {
                grown.insert(resource, bytes);
            }
        }
        assert_eq!(check(&grown).unwrap().size, 300);
    }
}
