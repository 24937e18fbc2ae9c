//! The adapters of `Disk`, each through the one suite, and what only a real folder has.

use std::os::unix::fs::PermissionsExt;

use bartizan_testkit::SimDisk;

use super::*;
use crate::conformance::check_disk;
use crate::memory::MemDisk;

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bartizan-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_adapter_conforms() {
    let folder = Folder::new("conformance");
    check_disk(&FileDisk::create(&folder.0).unwrap()).unwrap();
    check_disk(&MemDisk::new()).unwrap();
    check_disk(&SimDisk::new(1)).unwrap();
}

#[test]
fn what_is_made_is_for_its_owner_only() {
    let folder = Folder::new("modes");
    let disk = FileDisk::create(folder.0.join("store")).unwrap();
    disk.open("wal/x", true).unwrap();
    let _lock = disk.lock().unwrap();
    let mode =
        |name: &str| std::fs::metadata(folder.0.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("store"), mode("store/wal")), (0o700, 0o700));
    assert_eq!((mode("store/wal/x"), mode("store/LOCK")), (0o600, 0o600));
}

#[test]
fn a_store_has_one_owner_who_is_named() {
    let folder = Folder::new("lock");
    let disk = FileDisk::create(&folder.0).unwrap();
    let lock = disk.lock().unwrap();
    match FileDisk::open(&folder.0).unwrap().lock() {
        Err(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(lock);
    disk.lock().unwrap();
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let folder = Folder::new("names");
    let disk = FileDisk::create(&folder.0).unwrap();
    for name in ["", "..", "a/../b", "/etc/passwd", "a//b", "./a", "a\0"] {
        let error = disk.open(name, true).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
    }
    let absent = FileDisk::open(folder.0.join("absent")).unwrap_err();
    assert_eq!(absent.kind(), io::ErrorKind::NotFound);
}

/// The memory file system is where it always is; elsewhere there is nothing to look at.
#[test]
fn a_memory_file_system_says_that_it_forgets() {
    let path = Path::new("/dev/shm");
    if path.is_dir() {
        assert_eq!(FileDisk::open(path).unwrap().kind(), DiskKind::Volatile("tmpfs".to_owned()));
    }
    assert_eq!(MemDisk::new().kind(), DiskKind::Volatile("memory".to_owned()));
}
