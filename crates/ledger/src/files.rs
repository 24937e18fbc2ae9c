//! Small files behind the port `Disk`: read whole, replaced whole.

use std::io;

use bartizan_core::disk::Disk;

/// All of the file `name`; `None` where it is absent.
///
/// # Errors
/// What the disk says, and `FileTooLarge` beyond `bytes_max`.
pub(crate) fn read_whole(
    disk: &dyn Disk,
    name: &str,
    bytes_max: usize,
) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(name, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if bytes_max < len {
        let text = format!("`{name}` has {len} bytes, the limit is {bytes_max}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Puts `bytes` in place of the file `name`: after a loss of power there is the old one or the
/// new one, whole. Two syncs.
///
/// # Errors
/// What the disk says; which of the two there is, is then unknown until it is read.
pub(crate) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    // What an earlier process left of it may have been synced in part.
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = disk.open(&temporary, true)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync_dir(name.rsplit_once('/').map_or("", |(folder, _)| folder))
}
