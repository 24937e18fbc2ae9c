//! From the key store of the release before to this one's, and back.

use std::io;

use bartizan_core::disk::Disk;
use bartizan_core::entropy::{Entropy, random};
use bartizan_core::principal::Pseudonym;
use zeroize::Zeroizing;

use super::{
    HEADER_BYTES, KeyWrap, NAME, Place, SealingKeysError, TEMPORARY_NAME, Table, load, read_whole,
    renew, slot_offset,
};
use crate::seal::legacy::{FORMAT as LEGACY_FORMAT, Legacy};
use crate::seal::slots::{FORMAT, format_of};

/// Which format a key store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysFormat {
    /// There is none.
    Absent,
    /// That of release 0.1: keys in the clear.
    Old,
    /// This release's.
    Current,
    /// A later release's.
    Newer(u32),
}

/// Which format the key store in the folder `disk` has.
///
/// # Errors
/// [`SealingKeysError::Format`] where it is none, or what the disk says.
pub fn keys_format(disk: &dyn Disk) -> Result<KeysFormat, SealingKeysError> {
    let file = match disk.open(NAME, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KeysFormat::Absent),
        Err(error) => return Err(error.into()),
    };
    let mut head = [0; HEADER_BYTES];
    let n = file.read_at(&mut head, 0)?;
    match format_of(&head[..n]) {
        Some(LEGACY_FORMAT) => Ok(KeysFormat::Old),
        Some(FORMAT) => Ok(KeysFormat::Current),
        Some(found) if FORMAT < found => Ok(KeysFormat::Newer(found)),
        Some(_) | None => Err(SealingKeysError::Format),
    }
}

/// Makes the key store of release 0.1 in the folder `disk` one of this release: its keys, wrapped.
/// The old file, which held them in the clear, is overwritten in place. The power may go at any
/// moment: it is then either of the two. Gives how many slots could not be read, and so were
/// lost before.
///
/// # Errors
/// [`SealingKeysError`].
pub fn upgrade_keys(
    disk: &dyn Disk,
    wrap: &dyn KeyWrap,
    entropy: &dyn Entropy,
) -> Result<usize, SealingKeysError> {
    let mut old = disk.open(NAME, false)?;
    let bytes = read_whole(&*old)?;
    let legacy = Legacy::parse(&bytes).ok_or(SealingKeysError::Format)?;
    let mut table = Table::new(legacy.pepper, Zeroizing::new(random::<32>(entropy)));
    table.days = legacy.days;
    renew::found(disk, wrap, entropy, table, true)?;
    // The old file has no name any more; its blocks held keys in the clear.
    old.write_at(&vec![0; bytes.len()], 0)?;
    old.sync()?;
    Ok(legacy.n_damaged)
}

/// What [`adopt_keys`] made of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Keys that it held.
    pub n_keys: usize,
    /// Keys that were erased since, and were left out.
    pub n_erased: usize,
}

/// Makes a key store in the folder `to` of the copy in the folder `from`, wrapped under a fresh
/// KEK of `to_wrap`. Keys of subjects that `is_erased` are left out before anything else, so that
/// they never are in it. The copy, its KEK and whoever else uses them stay as they are.
///
/// # Errors
/// [`SealingKeysError`]; there is no key store in `to` then.
pub fn adopt_keys(
    from: (&dyn Disk, &dyn KeyWrap),
    to: (&dyn Disk, &dyn KeyWrap),
    entropy: &dyn Entropy,
    is_erased: &dyn Fn(Pseudonym) -> bool,
) -> Result<Adopted, SealingKeysError> {
    let file = from.0.open(NAME, false)?;
    let bytes = read_whole(&*file)?;
    let (book, mut table) = load(&bytes, from.1, file)?;
    let names: Vec<Pseudonym> = table.subjects().into_keys().collect();
    let n_keys = names.len() + table.days.len();
    let gone: Vec<Pseudonym> = names.into_iter().filter(|name| is_erased(*name)).collect();
    for name in &gone {
        table.remove(*name);
    }
    let (mut new, _) = renew::found(to.0, to.1, entropy, table, book.header.is_migrated)?;
    // Holds hold on, and what waited waits.
    let holds = book.holds.values().map(|hold| (Place::Hold(hold.id), hold.slot()));
    let open = book.erasures.iter().map(|(id, noted)| (Place::Erasure(*id), noted.slot(*id)));
    for (_, content) in holds.chain(open) {
        let slot_idx = new.take_slot()?;
        let bytes = new.key.seal(slot_idx, &content, random(entropy));
        new.file.write_at(&bytes, slot_offset(slot_idx))?;
    }
    new.file.sync()?;
    Ok(Adopted { n_keys, n_erased: gone.len() })
}

/// The way back: makes the key store in the folder `disk` one of release 0.1 again, its keys in
/// the clear, and destroys its KEK. Only where no subject has a key, which 0.1 could not read.
///
/// # Errors
/// [`SealingKeysError::NoWayBack`], or another [`SealingKeysError`].
pub fn downgrade_keys(disk: &dyn Disk, wrap: &dyn KeyWrap) -> Result<(), SealingKeysError> {
    let file = disk.open(NAME, false)?;
    let bytes = read_whole(&*file)?;
    let (book, table) = load(&bytes, wrap, file)?;
    let n_subjects = table.n_subjects();
    if 0 < n_subjects {
        return Err(SealingKeysError::NoWayBack { n_subjects });
    }
    let legacy = Legacy { pepper: table.pepper, days: table.days, n_damaged: book.n_damaged };
    renew::discard_stale(disk, wrap, Some(book.header.kek))?;
    let mut file = disk.open(TEMPORARY_NAME, true)?;
    file.write_at(&legacy.encode(), 0)?;
    file.sync()?;
    disk.rename(TEMPORARY_NAME, NAME)?;
    disk.sync_dir("")?;
    Ok(wrap.destroy(book.header.kek)?)
}
