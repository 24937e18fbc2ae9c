//! A `Disk` in memory: `ledger.disk = "memory"` and the benchmark run the same code on it.
//!
//! Pages are made when they are first written with something, so that a preallocated segment
//! costs no memory before it is used.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_core::disk::{Disk, DiskFile, DiskKind};

/// Bytes of one page.
const PAGE_BYTES: usize = 1 << 16;
/// What it says of its size: more than any test or demo writes.
const VOLUME_BYTES: u64 = 1 << 40;

/// A `Disk` that ends with the process.
#[derive(Debug, Default)]
pub struct MemDisk {
    files: Mutex<BTreeMap<String, Arc<Mutex<Pages>>>>,
}

#[derive(Debug, Default)]
struct Pages {
    pages: Vec<Option<Box<[u8]>>>,
    len_bytes: u64,
}

/// A panic elsewhere cannot leave these maps half-changed in a way that matters to a reader.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemDisk {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for MemDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut files = locked(&self.files);
        let pages = match files.get(name) {
            Some(pages) => Arc::clone(pages),
            None if create => Arc::clone(files.entry(name.to_owned()).or_default()),
            None => return Err(absent()),
        };
        Ok(Box::new(MemFile { pages }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let files = locked(&self.files);
        let names = files.keys().filter_map(|name| name.strip_prefix(&prefix));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = locked(&self.files);
        let pages = files.remove(from).ok_or_else(absent)?;
        files.insert(to.to_owned(), pages);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        locked(&self.files).remove(name).map(|_| ()).ok_or_else(absent)
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<(u64, u64)> {
        Ok((VOLUME_BYTES, VOLUME_BYTES))
    }

    fn kind(&self) -> DiskKind {
        DiskKind::Volatile("memory".to_owned())
    }
}

struct MemFile {
    pages: Arc<Mutex<Pages>>,
}

/// The pieces of `len` bytes at `offset`: page, offset in it, length, in order.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut at = offset as usize;
    let end = at + len;
    std::iter::from_fn(move || {
        let (page, inside) = (at / PAGE_BYTES, at % PAGE_BYTES);
        let n = (end - at).min(PAGE_BYTES - inside);
        at += n;
        (n != 0).then_some((page, inside, n))
    })
}

impl Pages {
    fn resize(&mut self, len_bytes: u64) {
        if len_bytes < self.len_bytes {
            // What lies beyond the end reads as zeroes when the file grows again.
            let (keep, inside) = (len_bytes as usize / PAGE_BYTES, len_bytes as usize % PAGE_BYTES);
            self.pages.truncate(keep + 1);
            if let Some(Some(page)) = self.pages.get_mut(keep) {
                page[inside..].fill(0);
            }
        }
        self.len_bytes = len_bytes;
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut done = 0;
        for (page_idx, inside, n) in pieces(offset, bytes.len()) {
            if self.pages.len() <= page_idx {
                self.pages.resize_with(page_idx + 1, || None);
            }
            let page = &mut self.pages[page_idx];
            let page = page.get_or_insert_with(|| vec![0; PAGE_BYTES].into_boxed_slice());
            page[inside..inside + n].copy_from_slice(&bytes[done..done + n]);
            done += n;
        }
        self.len_bytes = self.len_bytes.max(offset + bytes.len() as u64);
    }
}

impl DiskFile for MemFile {
    fn len(&self) -> io::Result<u64> {
        Ok(locked(&self.pages).len_bytes)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let pages = locked(&self.pages);
        let left = pages.len_bytes.saturating_sub(offset);
        let len = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut done = 0;
        for (page_idx, inside, n) in pieces(offset, len) {
            let target = &mut bytes[done..done + n];
            match pages.pages.get(page_idx) {
                Some(Some(page)) => target.copy_from_slice(&page[inside..inside + n]),
                Some(None) | None => target.fill(0),
            }
            done += n;
        }
        Ok(len)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        locked(&self.pages).write(bytes, offset);
        Ok(())
    }

    fn preallocate(&mut self, len_bytes: u64) -> io::Result<()> {
        locked(&self.pages).resize(len_bytes);
        Ok(())
    }

    fn set_len(&mut self, len_bytes: u64) -> io::Result<()> {
        locked(&self.pages).resize(len_bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
