//! Setting aside what an epoch published that has ended.

use std::io;

use bartizan_core::disk::Disk;

use super::{
    ANCHOR_NAME, COSIGNED_NAME, PublishError, SETTLED_NAME, doing, partial_folder, tlog_name,
};
use crate::files::read_whole;
use crate::tlog::{Checkpoint, NOTE_BYTES_MAX, Note, Resource, TILE_WIDTH, VerifierKey, decimal};

/// Renames the checkpoint in `folder` that one of the `ended` keys signed to
/// `checkpoint.e<epoch>`, and removes the tiles that reach beyond the `stored` records that are
/// left, where they lie beside it. Does nothing where there is none; may be repeated.
pub(super) fn checkpoint(
    disk: &dyn Disk,
    folder: &str,
    ended: &[VerifierKey],
    stored: Option<u64>,
) -> Result<(), PublishError> {
    let name = match folder {
        "" => ANCHOR_NAME.to_owned(),
        folder => format!("{folder}/{ANCHOR_NAME}"),
    };
    let bytes = read_whole(disk, &name, NOTE_BYTES_MAX).map_err(doing("read", &name))?;
    let Some(note) = bytes.as_deref().and_then(|bytes| Note::parse(bytes).ok()) else {
        return Ok(());
    };
    let Ok(checkpoint) = Checkpoint::parse(note.text) else { return Ok(()) };
    let signed = |key: &&VerifierKey| {
        key.name() == checkpoint.origin && matches!(note.signed_by(key), Some(Ok(_)))
    };
    let Some(key) = ended.iter().find(signed) else { return Ok(()) };
    if let Some(stored) = stored {
        for name in [COSIGNED_NAME, SETTLED_NAME] {
            remove(disk, name)?;
        }
        for tile in beyond(stored.min(checkpoint.size), checkpoint.size) {
            remove(disk, &tlog_name(&tile))?;
            let partial = partial_folder(&tile);
            for width in disk.list(&partial).map_err(doing("list", &partial))? {
                remove(disk, &format!("{partial}/{width}"))?;
            }
        }
    }
    let epoch = key.name().rsplit_once("/e").and_then(|(_, epoch)| decimal(epoch));
    let aside = format!("{name}.e{}", epoch.unwrap_or(1));
    disk.rename(&name, &aside).map_err(doing("rename", &name))?;
    disk.sync_dir(folder).map_err(doing("sync", folder))
}

/// Every full tile and bundle of a tree of `size` that holds an entry from `stored` on.
fn beyond(stored: u64, size: u64) -> Vec<Resource> {
    let mut found = Vec::new();
    for level in 0..8_u8 {
        let of = |n: u64| (n >> (8 * u32::from(level))) / TILE_WIDTH;
        for index in of(stored)..=of(size) {
            found.push(Resource::Tile { level, index, width: 256 });
            if level == 0 {
                found.push(Resource::Entries { index, width: 256 });
            }
        }
    }
    found
}

fn remove(disk: &dyn Disk, name: &str) -> Result<(), PublishError> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(doing("remove", name)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
