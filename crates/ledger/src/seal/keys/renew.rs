//! Wrapping all keys anew: a new generation of the file, under a fresh KEK (Y4).
//!
//! The order: the new file's header under another name, synced, so that its KEK is known whatever
//! happens; its slots, synced; its right name, synced; the old file's header overwritten; the old
//! KEK destroyed. Until the right name is synced the old generation stands whole with its KEK, and
//! a KEK that only the other name knows is destroyed by whoever comes next; from then on the new
//! one stands, and its header says which KEK is to go.

use std::collections::{BTreeMap, HashMap};
use std::io;

use bartizan_core::disk::Disk;
use bartizan_core::entropy::{Entropy, random};
use zeroize::Zeroizing;

use super::{
    Book, Content, GenerationKey, HEADER_BYTES, Header, INDEX_KEY, KekId, KeyWrap, Kind, NAME,
    PEPPER, Place, SLOT_BYTES, SLOTS_STEP, SealingKeys, SealingKeysError, TEMPORARY_NAME, Table,
    content, subject_content,
};

/// What a new generation is made of.
struct Source<'a> {
    generation: u64,
    previous: Option<KekId>,
    is_migrated: bool,
    slots: Vec<(Place, Content)>,
    disk: &'a dyn Disk,
    wrap: &'a dyn KeyWrap,
    entropy: &'a dyn Entropy,
}

impl Source<'_> {
    /// Makes it durable under its name.
    fn write(self) -> Result<Book, SealingKeysError> {
        discard_stale(self.disk, self.wrap, self.previous)?;
        let kek = KekId(random(self.entropy));
        let key = Zeroizing::new(random::<32>(self.entropy));
        self.wrap.create(kek)?;
        let wrapped = self.wrap.wrap(kek, &key)?;
        let Self { generation, previous, is_migrated, .. } = self;
        let header = Header { generation, kek, previous, is_migrated, wrapped };
        let key = GenerationKey::new(&key, generation);
        let n_slots = self.slots.len().next_multiple_of(SLOTS_STEP);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + n_slots * SLOT_BYTES);
        bytes.extend_from_slice(&header.encode());
        let mut file = self.disk.open(TEMPORARY_NAME, true)?;
        file.write_at(&bytes, 0)?;
        file.sync()?;
        self.disk.sync_dir("")?;
        let mut places = HashMap::with_capacity(self.slots.len());
        for (slot_idx, (place, content)) in self.slots.iter().enumerate() {
            bytes.extend_from_slice(&key.seal(slot_idx, content, random(self.entropy)));
            places.insert(*place, slot_idx);
        }
        let free = (self.slots.len()..n_slots).rev().collect();
        bytes.resize(HEADER_BYTES + n_slots * SLOT_BYTES, 0);
        file.write_at(&bytes, 0)?;
        file.sync()?;
        self.disk.rename(TEMPORARY_NAME, NAME)?;
        self.disk.sync_dir("")?;
        Ok(Book {
            header,
            key,
            file,
            places,
            free,
            n_slots,
            n_damaged: 0,
            holds: BTreeMap::new(),
            erasures: BTreeMap::new(),
            is_broken: false,
        })
    }
}

/// Removes what an earlier attempt left under the other name, and destroys its KEK, unless that
/// is `current`.
pub(super) fn discard_stale(
    disk: &dyn Disk,
    wrap: &dyn KeyWrap,
    current: Option<KekId>,
) -> Result<(), SealingKeysError> {
    let file = match disk.open(TEMPORARY_NAME, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut head = [0; HEADER_BYTES];
    let read = file.read_at(&mut head, 0)?;
    if let Some(header) = Header::parse(&head[..read])
        && Some(header.kek) != current
    {
        wrap.destroy(header.kek)?;
    }
    disk.remove(TEMPORARY_NAME)?;
    Ok(disk.sync_dir("")?)
}

/// The slots of what `table` holds.
fn slots_of(table: &Table) -> Vec<(Place, Content)> {
    let secrets = [(INDEX_KEY, &table.index_key), (PEPPER, &table.pepper)];
    let secrets = secrets
        .map(|(period, key)| (Place::Secret(period), content(Kind::Pepper, period, [0; 16], key)));
    let days = table.days.iter().map(|(day, key)| {
        let content = content(Kind::Day, *day, [0; 16], key);
        (Place::Day(*day), content)
    });
    let subjects = table.subjects();
    let subjects = subjects.iter().map(|(name, key)| (Place::Subject(*name), subject_content(key)));
    secrets.into_iter().chain(days).chain(subjects).collect()
}

/// A key store with nothing in it but the two secrets.
pub(super) fn create(
    disk: &dyn Disk,
    wrap: &dyn KeyWrap,
    entropy: &dyn Entropy,
) -> Result<(Book, Table), SealingKeysError> {
    let fresh = || Zeroizing::new(random::<32>(entropy));
    found(disk, wrap, entropy, Table::new(fresh(), fresh()), false)
}

/// The first generation of a key store, of what `table` holds.
pub(super) fn found(
    disk: &dyn Disk,
    wrap: &dyn KeyWrap,
    entropy: &dyn Entropy,
    table: Table,
    is_migrated: bool,
) -> Result<(Book, Table), SealingKeysError> {
    let slots = slots_of(&table);
    let source = Source { generation: 1, previous: None, is_migrated, slots, disk, wrap, entropy };
    Ok((source.write()?, table))
}

impl SealingKeys {
    /// Wraps all keys anew under a fresh KEK and destroys the old one, on the quick and live.
    ///
    /// # Errors
    /// [`SealingKeysError`]. Where only the old KEK could not be destroyed, opening the store
    /// again, or renewing once more, destroys it.
    pub fn rotate_kek(&self) -> Result<(), SealingKeysError> {
        let mut book = self.book();
        self.renew(&mut book)
    }

    /// Exchanges the key behind pseudonyms for a fresh one and destroys the old one: pseudonyms
    /// from now on differ, and nobody can tell any more whom the old ones stood for. Pseudonyms
    /// of subjects are not concerned: they come from the subject's own key.
    ///
    /// # Errors
    /// [`SealingKeysError`]; the old key is then in use until the store is opened again.
    pub fn rotate_pepper(&self) -> Result<(), SealingKeysError> {
        let mut book = self.book();
        let key = Zeroizing::new(random::<32>(&*self.shared.entropy));
        let slot = content(Kind::Pepper, PEPPER, [0; 16], &key);
        self.write(&mut book, &[(Place::Secret(PEPPER), Some(slot))])?;
        self.table_mut().pepper = key;
        self.renew(&mut book)
    }

    /// Y4 and Y5.
    pub(super) fn renew(&self, book: &mut Book) -> Result<(), SealingKeysError> {
        if book.is_broken {
            return Err(SealingKeysError::Broken);
        }
        self.flush_into(book)?;
        // A KEK that an earlier run could not destroy goes first: the header names only one.
        if let Some(previous) = book.header.previous {
            self.shared.wrap.destroy(previous)?;
        }
        #[cfg(test)]
        if self.is_mutant(super::Mutant::SkipRenewal) {
            return Ok(());
        }
        #[cfg(test)]
        if self.is_mutant(super::Mutant::DestroyFirst) {
            self.shared.wrap.destroy(book.header.kek)?;
        }
        let mut slots = slots_of(&self.table());
        slots.extend(book.holds.values().map(|hold| (Place::Hold(hold.id), hold.slot())));
        let noted = book.erasures.iter();
        slots.extend(noted.map(|(id, noted)| (Place::Erasure(*id), noted.slot(*id))));
        let source = Source {
            generation: book.header.generation + 1,
            previous: Some(book.header.kek),
            is_migrated: book.header.is_migrated,
            slots,
            disk: &*self.shared.disk,
            wrap: &*self.shared.wrap,
            entropy: &*self.shared.entropy,
        };
        let mut new = source.write().inspect_err(|error| {
            // Y6: which of the two files has the name is in doubt.
            book.is_broken = matches!(error, SealingKeysError::Io(_));
        })?;
        (new.holds, new.erasures) =
            (std::mem::take(&mut book.holds), std::mem::take(&mut book.erasures));
        let mut old = std::mem::replace(book, new);
        // The old generation's key, wrapped, over its very blocks. It is worthless without its
        // KEK, so a disk that fails here fails nobody.
        let _best_effort = old.file.write_at(&[0; HEADER_BYTES], 0).and_then(|()| old.file.sync());
        #[cfg(test)]
        if self.is_mutant(super::Mutant::SkipDestruction) {
            return Ok(());
        }
        self.shared.wrap.destroy(old.header.kek)?;
        Ok(())
    }
}
