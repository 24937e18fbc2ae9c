//! What a scan opens: files given, and all files of folders given, each only if it is a regular
//! file, never by a link to a folder.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bartizan_scan::{Siblings, Source};
use rustix::fs::{Mode, OFlags};

/// Deepest folder below a given one.
const DEPTH_MAX: usize = 64;
/// Most files of one run.
const FILES_MAX: usize = 1_000_000;

/// A file to scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Where it is, as it was given or found.
    pub(crate) path: PathBuf,
    /// Folder whose files it may refer to.
    pub(crate) folder: PathBuf,
    /// Why it cannot be scanned, where that is known already.
    pub(crate) trouble: Option<String>,
}

/// All files at `paths`, folders walked in order of names.
pub(crate) fn expand(paths: &[PathBuf]) -> Vec<Item> {
    let mut items = Vec::new();
    for path in paths {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk(path, &mut items),
            Ok(_) => {
                let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
                items.push(Item { path: path.clone(), folder, trouble: None });
            }
            Err(error) => items.push(trouble(path, &error.to_string())),
        }
    }
    items
}

fn trouble(path: &Path, why: &str) -> Item {
    Item { path: path.to_path_buf(), folder: PathBuf::new(), trouble: Some(why.into()) }
}

fn walk(top: &Path, items: &mut Vec<Item>) {
    // Folders still to be read, with their depth; the last is read next.
    let mut left = vec![(top.to_path_buf(), 0_usize)];
    while let Some((folder, depth)) = left.pop() {
        let mut entries: Vec<_> = match std::fs::read_dir(&folder).and_then(Iterator::collect) {
            Ok(entries) => entries,
            Err(error) => {
                items.push(trouble(&folder, &error.to_string()));
                continue;
            }
        };
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut below = Vec::new();
        for entry in entries {
            let path = entry.path();
            if FILES_MAX <= items.len() {
                items.push(trouble(&path, "too many files for one run"));
                return;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() == ".git" => {}
                Ok(kind) if kind.is_dir() && DEPTH_MAX <= depth => {
                    items.push(trouble(&path, "folders inside each other too deep"));
                }
                Ok(kind) if kind.is_dir() => below.push((path, depth + 1)),
                Ok(kind) if kind.is_symlink() && leads_to_folder(&path) => {
                    items.push(trouble(&path, "a link to a folder is not followed"));
                }
                Ok(_) => items.push(Item { path, folder: folder.clone(), trouble: None }),
                Err(error) => items.push(trouble(&path, &error.to_string())),
            }
        }
        left.extend(below.into_iter().rev());
    }
}

fn leads_to_folder(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// A regular file, opened for the whole scan.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    size: u64,
    seen: Metadata,
}

impl Opened {
    /// Opens `path`; never waits for a pipe's other end.
    ///
    /// # Errors
    /// What the system says, or that it is no regular file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let seen = file.metadata()?;
        if !seen.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(Self { file, size: seen.len(), seen })
    }

    /// Whether it is still what was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.file.metadata().is_ok_and(|now| {
            let of = |metadata: &Metadata| {
                (
                    metadata.len(),
                    metadata.mtime(),
                    metadata.mtime_nsec(),
                    metadata.ctime(),
                    metadata.ctime_nsec(),
                )
            };
            of(&now) == of(&self.seen)
        })
    }
}

impl Source for Opened {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        read_fully_at(&self.file, offset, into)
    }
}

/// Fills `into` from `offset` as far as there are bytes.
pub(crate) fn read_fully_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < into.len() {
        match file.read_at(&mut into[n..], offset + n as u64) {
            Ok(0) => break,
            Ok(got) => n += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}

/// The files of a folder, by name.
pub(crate) struct Beside(pub(crate) PathBuf);

impl Siblings for Beside {
    fn size(&self, relative: &str) -> Option<u64> {
        if relative.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return None;
        }
        let metadata = std::fs::metadata(self.0.join(relative)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    /// Pipes, links to folders, loops and missing files are told, never waited for or followed.
    #[test]
    fn odd_files_are_told_and_not_followed() {
        let folder = TempDir::new();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("sub/b"), b"b").unwrap();
        std::fs::write(at("a"), b"a").unwrap();
        std::os::unix::fs::symlink("..", at("sub/up")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from(0o600),
            0,
        )
        .unwrap();
        let items = expand(&[folder.path().to_path_buf(), at("missing")]);
        let names: Vec<_> = items
            .iter()
            .map(|item| (item.path.file_name().unwrap().to_str().unwrap(), item.trouble.is_some()))
            .collect();
        assert_eq!(
            names,
            [
                ("a", false),
                ("loop", false),
                ("pipe", false),
                ("b", false),
                ("up", true),
                ("missing", true)
            ]
        );
        assert!(Opened::open(&at("pipe")).is_err() && Opened::open(&at("loop")).is_err());
        let opened = Opened::open(&at("a")).unwrap();
        assert!(opened.is_unchanged());
        std::fs::write(at("a"), b"changed").unwrap();
        assert!(!opened.is_unchanged());
        let beside = Beside(folder.path().to_path_buf());
        assert_eq!(beside.size("sub/b"), Some(1));
        assert_eq!(beside.size("sub/../a"), None);
    }
}
