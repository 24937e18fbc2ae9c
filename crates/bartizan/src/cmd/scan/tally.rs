//! How far a scan is, in bytes: so that one big file shows progress as a thousand small ones do.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_scan::Source;

use crate::gate::files::Item;
use crate::render::progress::Progress;

/// Bytes of all files, and how many are behind us.
pub(super) struct Tally {
    all_bytes: u64,
    done_bytes: AtomicU64,
    progress: Mutex<Progress>,
}

impl Tally {
    /// Nothing is done yet.
    pub(super) fn of(items: &[Item]) -> Self {
        let sizes = items.iter().filter_map(|item| Some(std::fs::metadata(&item.path).ok()?.len()));
        let progress = Mutex::new(Progress::new("scanned"));
        Self { all_bytes: sizes.sum(), done_bytes: AtomicU64::new(0), progress }
    }

    /// `source`, watched.
    pub(super) fn watch<'a, S: Source>(&'a self, source: &'a S) -> Watched<'a, S> {
        Watched { source, furthest: AtomicU64::new(0), tally: self }
    }

    fn add(&self, bytes: u64) {
        let done = self.done_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        // Whoever finds another thread telling has nothing to add.
        if let Ok(mut progress) = self.progress.try_lock() {
            progress.at(done.min(self.all_bytes), self.all_bytes);
        }
    }
}

/// A source whose reads move the tally.
pub(super) struct Watched<'a, S> {
    source: &'a S,
    furthest: AtomicU64,
    tally: &'a Tally,
}

impl<S: Source> Watched<'_, S> {
    /// It will not be read further: what was passed over is behind us too.
    pub(super) fn done(&self) {
        self.reached(self.source.size());
    }

    fn reached(&self, end: u64) {
        let before = self.furthest.fetch_max(end, Ordering::Relaxed);
        if before < end {
            self.tally.add(end - before);
        }
    }
}

impl<S: Source> Source for Watched<'_, S> {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(offset, into)?;
        self.reached(offset.saturating_add(n as u64));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes count once, in whatever order they are read, and all of them in the end.
    #[test]
    fn each_byte_counts_once() {
        let tally = Tally::of(&[]);
        let bytes = vec![0_u8; 100];
        let watched = tally.watch(&bytes);
        let done = || tally.done_bytes.load(Ordering::Relaxed);
        let mut into = [0; 10];
        for (offset, expected) in [(0, 10), (5, 15), (90, 100), (20, 100)] {
            assert_eq!(watched.read_at(offset, &mut into).unwrap(), 10);
            assert_eq!(done(), expected);
        }
        let watched = tally.watch(&bytes);
        assert_eq!(watched.read_at(0, &mut into).unwrap(), 10);
        watched.done();
        assert_eq!(done(), 200);
    }
}
