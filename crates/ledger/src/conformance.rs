//! What every adapter of `Disk` must do, whatever is behind it.

use std::io;

use bartizan_core::disk::{Disk, DiskFile};

/// What an adapter does that it must not.
#[derive(Debug, thiserror::Error)]
pub enum Nonconformance {
    /// An operation failed.
    #[error("an operation failed that must not")]
    Io(#[from] io::Error),
    /// An operation gave something else.
    #[error("{0}")]
    Wrong(&'static str),
}

fn must(holds: bool, what: &'static str) -> Result<(), Nonconformance> {
    if holds { Ok(()) } else { Err(Nonconformance::Wrong(what)) }
}

fn whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xee; usize::try_from(file.len()?).unwrap_or(0) + 10];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Runs the suite on `disk`, which must be empty and is not emptied again.
///
/// # Errors
/// [`Nonconformance`]: the first thing that is wrong.
pub fn check_disk(disk: &dyn Disk) -> Result<(), Nonconformance> {
    check_names(disk)?;
    check_bytes(disk)?;
    check_lengths(disk)?;
    let (free, all) = disk.free_bytes()?;
    must(free <= all && 0 < all, "more bytes are free than there are")
}

fn check_names(disk: &dyn Disk) -> Result<(), Nonconformance> {
    let absent = disk.open("a/b", false).err().map(|error| error.kind());
    must(absent == Some(io::ErrorKind::NotFound), "an absent file is not `NotFound`")?;
    must(disk.list("a")?.is_empty(), "an absent folder has names")?;
    for name in ["a/y", "a/x", "top"] {
        disk.open(name, true)?.write_at(name.as_bytes(), 0)?;
    }
    must(disk.list("a")? == ["x", "y"], "names of a folder are not sorted or not its own")?;
    must(disk.list("")?.contains(&"top".to_owned()), "the root has no names")?;
    must(whole(&*disk.open("a/x", true)?)? == b"a/x", "opening to create empties a file")?;
    disk.rename("a/x", "a/y")?;
    disk.sync_dir("a")?;
    must(disk.list("a")? == ["y"], "a rename leaves the old name")?;
    must(whole(&*disk.open("a/y", false)?)? == b"a/x", "a rename does not replace")?;
    disk.remove("a/y")?;
    must(disk.list("a")?.is_empty(), "a removed name is listed")?;
    must(disk.remove("a/y").is_err(), "an absent file can be removed")?;
    must(disk.rename("a/y", "a/z").is_err(), "an absent file can be renamed")
}

fn check_bytes(disk: &dyn Disk) -> Result<(), Nonconformance> {
    let mut file = disk.open("bytes", true)?;
    must(file.is_empty()?, "a new file is not empty")?;
    file.write_at(b"world", 70_000)?;
    file.write_at(b"hello", 0)?;
    file.sync()?;
    must(file.len()? == 70_005, "a write behind the end does not make the file longer")?;
    let bytes = whole(&*file)?;
    must(bytes.len() == 70_005, "a read ends elsewhere than the file")?;
    must(bytes.starts_with(b"hello") && bytes.ends_with(b"world"), "bytes are not as written")?;
    must(bytes[5..70_000].iter().all(|byte| *byte == 0), "a hole is not zeroes")?;
    let mut two = [0; 2];
    must(file.read_at(&mut two, 70_004)? == 1 && two[0] == b'd', "a read passes the end")?;
    must(file.read_at(&mut two, 80_000)? == 0, "a read behind the end gives bytes")?;
    let other = disk.open("bytes", false)?;
    file.write_at(b"J", 0)?;
    must(whole(&*other)?.starts_with(b"Jello"), "another handle does not see a write")
}

fn check_lengths(disk: &dyn Disk) -> Result<(), Nonconformance> {
    let mut file = disk.open("lengths", true)?;
    file.preallocate(200_000)?;
    must(whole(&*file)? == vec![0; 200_000], "a preallocated file is not zeroes")?;
    file.write_at(&[7; 100], 150_000)?;
    file.set_len(150_050)?;
    file.set_len(200_000)?;
    let bytes = whole(&*file)?;
    must(bytes[150_000..150_050] == [7; 50], "cutting a file changes what stays")?;
    must(bytes[150_050..].iter().all(|byte| *byte == 0), "what was cut off comes back")?;
    disk.rename("lengths", "renamed")?;
    file.write_at(b"x", 0)?;
    must(whole(&*disk.open("renamed", false)?)?[0] == b'x', "a rename cuts off an open file")
}
