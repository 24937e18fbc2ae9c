//! What was asked before: rows as bytes, found again by where they lie.
//!
//! A ring of rows with two sets of hash tables over it: in one a principal finds its own rows, in
//! the other everybody's. A table holds the newest row of each bucket; a bucket is four random
//! projections, cut into steps (M. Datar, N. Immorlica, P. Indyk, V. Mirrokni, *Locality-Sensitive
//! Hashing Scheme Based on p-Stable Distributions*, 2004), hashed under the salt.
//!
//! Invariants
//! - I1: memory is taken once, by capacity; a full ring forgets its oldest row;
//! - I2: one owner holds at most [`OWNER_SHARE`] of the rows: beyond it its own oldest row goes;
//! - I3: no owner's rows decide what another finds among its own.

use bartizan_stats::chance::{Chance, scatter};
use bartizan_stats::sum::dot_f32;

use crate::profile::WIDTH_MAX;

/// One owner's part of the ring is one of so many.
pub(crate) const OWNER_SHARE: u32 = 20;
/// Tables of each kind.
const TABLES: usize = 4;
/// Projections of a bucket.
const PROJECTIONS: usize = 4;
/// Width of a step, in multiples of the distance that counts as near.
const STEP: f32 = 4.0;

/// What is known of a row beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Whose it is, from 1; 0 is nobody's.
    pub(crate) owner: u32,
    /// How many rows its owner had put in before.
    pub(crate) seq: u32,
    /// Hash of the exact values.
    pub(crate) print: u32,
    /// When, in seconds since the Unix epoch.
    pub(crate) at_s: u32,
    /// What was answered; 0 where that is not known.
    pub(crate) label: u16,
    /// How sure the model was, 0 to 65,535.
    pub(crate) confidence: u16,
}

/// The buckets of one row.
pub(crate) type Buckets = [u64; TABLES];

/// The rows; see the module invariants.
pub(crate) struct Index {
    width: usize,
    capacity: u32,
    bytes: Vec<u8>,
    /// Owner, seq, print, time, label and confidence, the owner's row before, the one after, 0;
    /// slots plus one.
    metas: Vec<[u32; 8]>,
    own: Vec<u32>,
    shared: Vec<u32>,
    mask: u64,
    salt: u64,
    projections: Vec<f32>,
    offsets: [f32; TABLES * PROJECTIONS],
    scale: f32,
    next: u32,
    /// Each owner's oldest and newest slot, plus one, and how many rows it has.
    chains: Vec<[u32; 3]>,
}

impl Index {
    /// An index of `capacity` rows of `width` bytes, of at most `owners` owners; rows within `near` byte steps of each other
    /// mostly share a bucket.
    pub(crate) fn new(capacity: u32, width: usize, near: f32, salt: u64, owners: usize) -> Self {
        let slots = (capacity as usize).next_power_of_two();
        let mut chance = Chance::new(salt, 1);
        let mut projections = vec![0.0; TABLES * PROJECTIONS * width];
        projections.iter_mut().for_each(|x| *x = chance.normal() as f32);
        let mut offsets = [0.0; TABLES * PROJECTIONS];
        offsets.iter_mut().for_each(|x| *x = chance.unit() as f32);
        Self {
            width,
            capacity,
            bytes: vec![0; capacity as usize * width],
            metas: vec![[0; 8]; capacity as usize],
            // Slots are kept plus one, so that fresh memory, which is zero, is empty.
            own: vec![0; TABLES * slots],
            shared: vec![0; TABLES * slots],
            mask: slots as u64 - 1,
            salt,
            projections,
            offsets,
            scale: 1.0 / (STEP * near.max(f32::MIN_POSITIVE)),
            next: 0,
            chains: vec![[0; 3]; owners + 1],
        }
    }

    /// Bytes of memory that a full index of this shape holds.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + 32 * self.metas.len() + 4 * (self.own.len() + self.shared.len())
    }

    /// Where a row lies.
    pub(crate) fn buckets(&self, row: &[u8]) -> Buckets {
        let mut point = [0.0_f32; WIDTH_MAX];
        point.iter_mut().zip(row).for_each(|(x, byte)| *x = f32::from(*byte));
        let point = &point[..self.width];
        let mut buckets = [0; TABLES];
        for (table, bucket) in buckets.iter_mut().enumerate() {
            let mut key = scatter(self.salt ^ table as u64);
            for at in table * PROJECTIONS..(table + 1) * PROJECTIONS {
                let axis = &self.projections[at * self.width..(at + 1) * self.width];
                let place = dot_f32(axis, point) * self.scale + self.offsets[at];
                key = scatter(key ^ (place.floor() as i64).cast_unsigned());
            }
            *bucket = key;
        }
        buckets
    }

    fn at(&self, table: usize, bucket: u64, owner: u32) -> usize {
        let hashed = scatter(bucket ^ (u64::from(owner) << 32)) & self.mask;
        table * (self.mask as usize + 1) + hashed as usize
    }

    /// Rows of `owner` that may be near.
    pub(crate) fn own(&self, buckets: &Buckets, owner: u32) -> [Option<u32>; TABLES] {
        let mut found = [None; TABLES];
        for (table, found) in found.iter_mut().enumerate() {
            let slot = self.own[self.at(table, buckets[table], owner)].checked_sub(1);
            *found = slot.filter(|slot| self.metas[*slot as usize][0] == owner);
        }
        found
    }

    /// Rows of others than `owner` that may be near.
    pub(crate) fn others(&self, buckets: &Buckets, owner: u32) -> [Option<u32>; TABLES] {
        let mut found = [None; TABLES];
        for (table, found) in found.iter_mut().enumerate() {
            let slot = self.shared[self.at(table, buckets[table], 0)].checked_sub(1);
            *found = slot.filter(|slot| {
                let holder = self.metas[*slot as usize][0];
                holder != 0 && holder != owner
            });
        }
        found
    }

    /// The bytes of a row.
    pub(crate) fn row(&self, slot: u32) -> &[u8] {
        &self.bytes[slot as usize * self.width..(slot as usize + 1) * self.width]
    }

    /// What is known of a row.
    pub(crate) fn meta(&self, slot: u32) -> Meta {
        let [owner, seq, print, at_s, answer, ..] = self.metas[slot as usize];
        let (label, confidence) = (answer as u16, (answer >> 16) as u16);
        Meta { owner, seq, print, at_s, label, confidence }
    }

    /// Notes what was answered to the row of `owner` that was its `seq`th, if it is still there.
    pub(crate) fn answer(&mut self, slot: u32, owner: u32, seq: u32, label: u16, confidence: u16) {
        let meta = &mut self.metas[slot as usize];
        if meta[0] == owner && meta[1] == seq {
            meta[4] = u32::from(label) | (u32::from(confidence) << 16);
        }
    }

    /// Takes a row in, and returns its slot.
    pub(crate) fn insert(&mut self, row: &[u8], buckets: &Buckets, meta: Meta) -> u32 {
        let slot = self.free_slot(meta.owner);
        let answer = u32::from(meta.label) | (u32::from(meta.confidence) << 16);
        let [_, newest, len] = self.chains[meta.owner as usize];
        self.metas[slot as usize] =
            [meta.owner, meta.seq, meta.print, meta.at_s, answer, newest, 0, 0];
        if let Some(newest) = newest.checked_sub(1) {
            self.metas[newest as usize][6] = slot + 1;
        }
        let chain = &mut self.chains[meta.owner as usize];
        *chain = [if len == 0 { slot + 1 } else { chain[0] }, slot + 1, len + 1];
        let start = slot as usize * self.width;
        self.bytes[start..start + self.width].copy_from_slice(row);
        for (table, bucket) in buckets.iter().enumerate() {
            let (own, shared) = (self.at(table, *bucket, meta.owner), self.at(table, *bucket, 0));
            self.own[own] = slot + 1;
            self.shared[shared] = slot + 1;
        }
        slot
    }

    /// I1, I2: the owner's oldest where it has its share, else the ring's next.
    fn free_slot(&mut self, owner: u32) -> u32 {
        let [oldest, _, len] = self.chains[owner as usize];
        let slot = match oldest.checked_sub(1) {
            Some(oldest) if self.share() <= len => oldest,
            Some(_) | None => {
                let slot = self.next;
                self.next = (self.next + 1) % self.capacity;
                slot
            }
        };
        self.forget(slot);
        slot
    }

    /// Most rows of one owner.
    pub(crate) fn share(&self) -> u32 {
        (self.capacity / OWNER_SHARE).max(1)
    }

    /// Rows of `owner` that are held.
    #[cfg(test)]
    pub(crate) fn held_by(&self, owner: u32) -> u32 {
        self.chains[owner as usize][2]
    }

    /// Forgets all rows of `owner`.
    pub(crate) fn forget_owner(&mut self, owner: u32) {
        while let Some(oldest) = self.chains[owner as usize][0].checked_sub(1) {
            self.forget(oldest);
        }
    }

    /// Takes a row out of its owner's chain; tables that still name it are told by its owner, 0.
    fn forget(&mut self, slot: u32) {
        let [owner, _, _, _, _, before, after, _] = self.metas[slot as usize];
        if owner == 0 {
            return;
        }
        let chain = &mut self.chains[owner as usize];
        chain[2] -= 1;
        match before.checked_sub(1) {
            Some(before) => self.metas[before as usize][6] = after,
            None => chain[0] = after,
        }
        match after.checked_sub(1) {
            Some(after) => self.metas[after as usize][5] = before,
            None => chain[1] = before,
        }
        self.metas[slot as usize] = [0; 8];
        self.row_mut(slot).fill(0);
    }

    fn row_mut(&mut self, slot: u32) -> &mut [u8] {
        &mut self.bytes[slot as usize * self.width..(slot as usize + 1) * self.width]
    }

    /// How many rows are held.
    #[cfg(test)]
    pub(crate) fn n_held(&self) -> usize {
        self.metas.iter().filter(|meta| meta[0] != 0).count()
    }

    /// Writes rows, chains and tables: what is not zero, each behind its place.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.next.to_le_bytes());
        let held = || self.metas.iter().enumerate().filter(|(_, meta)| meta[0] != 0);
        put(out, held().count());
        for (slot, meta) in held() {
            put(out, slot);
            meta.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
            out.extend_from_slice(self.row(slot as u32));
            // Rows are padded, so that all is read by fours.
            out.resize(out.len().next_multiple_of(4), 0);
        }
        let chains = || self.chains.iter().enumerate().filter(|(_, chain)| chain[2] != 0);
        put(out, chains().count());
        for (owner, chain) in chains() {
            put(out, owner);
            chain.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        }
        for table in [&self.own, &self.shared] {
            let used = || table.iter().enumerate().filter(|(_, slot)| **slot != 0);
            put(out, used().count());
            for (at, slot) in used() {
                put(out, at);
                out.extend_from_slice(&slot.to_le_bytes());
            }
        }
    }

    /// Reads what [`Index::write`] wrote into an empty index, whose owners are 1 to `n_owners`;
    /// how many bytes that were, or `None` where they are none.
    pub(crate) fn read(&mut self, bytes: &[u8], n_owners: u32) -> Option<usize> {
        let mut at = 0;
        let mut next = || -> Option<u32> {
            let n = bytes.get(at..)?.first_chunk::<4>()?;
            at += 4;
            Some(u32::from_le_bytes(*n))
        };
        self.next = next().filter(|slot| *slot < self.capacity)?;
        let (capacity, width) = (self.capacity, self.width);
        let n_held = next().filter(|n| *n <= capacity)?;
        for _ in 0..n_held {
            let slot = next().filter(|slot| *slot < capacity)?;
            let mut meta = [0; 8];
            for n in &mut meta {
                *n = next()?;
            }
            let [owner, .., before, after, _] = meta;
            if owner == 0 || n_owners < owner || capacity < before || capacity < after {
                return None;
            }
            self.metas[slot as usize] = meta;
            let mut row = [0_u8; WIDTH_MAX];
            for four in row[..width].chunks_mut(4) {
                let bytes = next()?.to_le_bytes();
                four.copy_from_slice(&bytes[..four.len()]);
            }
            let start = slot as usize * width;
            self.bytes[start..start + width].copy_from_slice(&row[..width]);
        }
        for _ in 0..next().filter(|n| *n <= n_owners)? {
            let owner = next().filter(|owner| 0 < *owner && *owner <= n_owners)?;
            let chain = [next()?, next()?, next()?];
            if chain.iter().any(|n| capacity < *n) {
                return None;
            }
            self.chains[owner as usize] = chain;
        }
        for table in [&mut self.own, &mut self.shared] {
            for _ in 0..next().filter(|n| *n as usize <= table.len())? {
                let place = next()? as usize;
                *table.get_mut(place)? = next().filter(|slot| *slot <= capacity)?;
            }
        }
        Some(at)
    }
}

fn put(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

/// Sum of the squared differences.
#[inline]
pub(crate) fn apart(a: &[u8], b: &[u8]) -> u32 {
    let n = a.len().min(b.len());
    a[..n]
        .iter()
        .zip(&b[..n])
        .map(|(x, y)| {
            let gap = i32::from(*x) - i32::from(*y);
            (gap * gap).cast_unsigned()
        })
        .sum()
}

/// Sum of the weights of equal bytes.
#[inline]
pub(crate) fn shared_weight(a: &[u8], b: &[u8], weights: &[u16]) -> u32 {
    let equal = |((x, y), weight): ((&u8, &u8), &u16)| if x == y { u32::from(*weight) } else { 0 };
    a.iter().zip(b).zip(weights).map(equal).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(owner: u32, seq: u32) -> Meta {
        Meta { owner, seq, print: seq, at_s: 0, label: 0, confidence: 0 }
    }

    fn put(index: &mut Index, owner: u32, seq: u32, row: [u8; 2]) -> u32 {
        let buckets = index.buckets(&row);
        index.insert(&row, &buckets, meta(owner, seq))
    }

    /// I2 from both sides, and I1: the others' rows stay where one owner floods.
    #[test]
    fn one_owner_never_holds_more_than_its_share() {
        let mut index = Index::new(100, 2, 5.0, 9, 4);
        for seq in 0..4 {
            put(&mut index, 1, seq, [10 * seq as u8, 50]);
        }
        for seq in 0..1_000 {
            put(&mut index, 2, seq, [50, (seq % 250) as u8]);
            assert!(index.held_by(2) <= index.share());
        }
        assert_eq!((index.held_by(1), index.held_by(2), index.share()), (4, 5, 5));
        assert_eq!(index.n_held(), 9);
        index.forget_owner(2);
        assert_eq!((index.held_by(2), index.n_held()), (0, 4));
    }

    /// I3: a row is found near its own, and only there unless one asks for others'.
    #[test]
    fn rows_are_found_again_by_their_owner_and_apart_from_that_by_others() {
        let mut index = Index::new(64, 2, 5.0, 3, 4);
        let slot = put(&mut index, 1, 0, [40, 40]);
        let near = index.buckets(&[41, 40]);
        assert!(index.own(&near, 1).contains(&Some(slot)));
        assert_eq!(index.own(&near, 2), [None; TABLES]);
        assert!(index.others(&near, 2).contains(&Some(slot)));
        assert_eq!(index.others(&near, 1), [None; TABLES]);
        index.answer(slot, 1, 0, 7, 9);
        assert_eq!((index.meta(slot).label, index.meta(slot).confidence), (7, 9));
        index.answer(slot, 1, 1, 8, 9);
        assert_eq!(index.meta(slot).label, 7);
    }

    /// I1: a ring that goes round forgets the oldest and keeps chains whole.
    #[test]
    fn a_full_ring_forgets_its_oldest_rows() {
        let mut index = Index::new(40, 2, 5.0, 3, 41);
        for owner in 1..=40 {
            put(&mut index, owner, 0, [owner as u8, 20]);
            put(&mut index, owner, 1, [owner as u8, 40]);
        }
        assert_eq!(index.n_held(), 40);
        assert_eq!((index.held_by(20), index.held_by(21)), (0, 2));
    }

    /// Bytes a row at 64 features: the bound of the issue is 160.
    #[test]
    fn a_remembered_row_of_64_features_takes_at_most_160_bytes() {
        let index = Index::new(1 << 10, 64, 5.0, 3, 4);
        assert!(index.size() <= 160 << 10, "{} bytes a row", index.size() >> 10);
    }
}
