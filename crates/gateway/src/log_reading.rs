//! The log as anyone may read it: `/checkpoint`, `/tile/...`, `/tile/entries/...` (C2SP
//! `tlog-tiles`), straight from the publisher's folder.
//!
//! Everything here is public by the operator's will: leaves without personal data, hashes, signed
//! checkpoints. What is not there is 404, which readers expect: a partial tile goes when the full
//! one has come.
//!
//! Invariants
//! - L1: a path leads to a file only through [`Resource::parse`], which knows one spelling of each
//!   name and nothing else, so that no path leaves the folder;
//! - L2: what is read and not yet sent is bounded over all connections
//!   ([`HELD_BYTES_MAX`]); beyond it 503.

use std::io;
use std::sync::Arc;

use bartizan_core::Disk;
use bartizan_ledger::tlog::{BUNDLE_ENTRY_BYTES_MAX, NOTE_BYTES_MAX, Resource, TILE_WIDTH};
use bartizan_ledger::tlog_name;
use bytes::Bytes;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::answer::Answered;
use crate::reply;

/// Bytes that are read and not yet sent, at most, over all connections.
pub(crate) const HELD_BYTES_MAX: usize = 64 << 20;
/// What a place among them stands for, in bytes.
const PLACE_BYTES: usize = 64 << 10;

/// A tile or a bundle is what it is for ever, a partial one too.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// A checkpoint is the newest for less than a second.
const NOT_KEPT: &str = "no-cache";
const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";

/// The publisher's folder, open to readers.
pub(crate) struct LogReading {
    disk: Arc<dyn Disk>,
    places: Arc<Semaphore>,
}

/// Bytes with their place among those that are held; both go when the last byte is sent.
struct Held {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What comes of looking for a resource.
enum Found {
    Whole(Bytes),
    Absent,
    Busy,
}

impl LogReading {
    /// Of the store on `disk`.
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, places: Arc::new(Semaphore::new(HELD_BYTES_MAX / PLACE_BYTES)) }
    }

    /// Answers a GET of `path`.
    pub(crate) async fn answer(self: Arc<Self>, path: &str) -> Answered {
        let Some(resource) = path.strip_prefix('/').and_then(Resource::parse) else {
            return absent();
        };
        let reading = tokio::task::spawn_blocking(move || self.find(&resource));
        match reading.await.map_err(io::Error::other).flatten() {
            Ok(Found::Whole(bytes)) => found(&resource, bytes),
            Ok(Found::Absent) => absent(),
            Ok(Found::Busy) => busy(),
            Err(error) => {
                warn!(%resource, %error, "gateway.log-file.unreadable");
                reply::with_type(500, TEXT, "the log cannot be read at the moment\n")
            }
        }
    }

    fn find(&self, resource: &Resource) -> io::Result<Found> {
        let name = tlog_name(resource);
        let file = match self.disk.open(&name, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        if !fits(resource, len) {
            let text = format!("{len} bytes, which its name does not allow");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let n_places = u32::try_from(len.div_ceil(PLACE_BYTES).max(1)).unwrap_or(u32::MAX);
        let Ok(place) = self.places.clone().try_acquire_many_owned(n_places) else {
            return Ok(Found::Busy);
        };
        let mut bytes = vec![0; len];
        if file.read_at(&mut bytes, 0)? != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Found::Whole(Bytes::from_owner(Held { bytes, _place: place })))
    }
}

/// Whether a file of that length can be this resource.
fn fits(resource: &Resource, len: usize) -> bool {
    match resource {
        Resource::Checkpoint => len <= NOTE_BYTES_MAX,
        Resource::Tile { width, .. } => len == usize::from(*width) * 32,
        Resource::Entries { width, .. } => {
            let width = usize::from(*width).min(TILE_WIDTH as usize);
            (width * 2..=width * (2 + BUNDLE_ENTRY_BYTES_MAX)).contains(&len)
        }
    }
}

fn found(resource: &Resource, bytes: Bytes) -> Answered {
    let (kind, kept) = match resource {
        Resource::Checkpoint => (TEXT, NOT_KEPT),
        Resource::Tile { .. } | Resource::Entries { .. } => (BINARY, FOR_EVER),
    };
    let mut answer = reply::with_type(200, kind, bytes);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    // Pages that check the log by themselves may read it, wherever they come from.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// 404, the answer to every path that is no resource of the log.
pub(crate) fn absent() -> Answered {
    reply::with_type(404, TEXT, "the log has nothing of that name\n")
}

fn busy() -> Answered {
    let mut answer = reply::with_type(503, TEXT, "too much of the log is being read, try again\n");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_ledger::MemDisk;

    fn folder(files: &[(&str, usize)]) -> Arc<LogReading> {
        let disk = MemDisk::new();
        for (name, len) in files {
            let mut file = disk.open(name, true).unwrap();
            file.write_at(&vec![7; *len], 0).unwrap();
        }
        Arc::new(LogReading::new(Arc::new(disk)))
    }

    async fn get(reading: &Arc<LogReading>, path: &str) -> (u16, String, String, usize) {
        let answer = reading.clone().answer(path).await;
        let head = |name| {
            let value = answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            value.unwrap_or_default()
        };
        let (kind, kept) = (head("content-type"), head("cache-control"));
        (answer.status().as_u16(), kind, kept, answer.body().data().len())
    }

    /// L1: each resource by its one name, with the type and the age that the format asks for.
    #[tokio::test]
    async fn a_resource_is_found_by_its_one_name_alone() {
        let files = [
            ("tlog/checkpoint", 300),
            ("tlog/tile/0/000", 8_192),
            ("tlog/tile/0/x001/234.p/5", 160),
            ("tlog/tile/entries/000.p/2", 100),
            ("tlog/settled", 3),
            ("wal/0000000000000000.wal", 3),
        ];
        let reading = folder(&files);
        for (path, kind, kept, len) in [
            ("/checkpoint", TEXT, NOT_KEPT, 300),
            ("/tile/0/000", BINARY, FOR_EVER, 8_192),
            ("/tile/0/x001/234.p/5", BINARY, FOR_EVER, 160),
            ("/tile/entries/000.p/2", BINARY, FOR_EVER, 100),
        ] {
            let expected = (200, kind.to_owned(), kept.to_owned(), len);
            assert_eq!(get(&reading, path).await, expected, "{path}");
        }
        for path in [
            "/",
            "/checkpoint/",
            "//checkpoint",
            "/settled",
            "/tile/0/001",
            "/tile/00/000",
            "/tile/0/000/",
            "/tile/0/000.p/0",
            "/tile/0/000.p/256",
            "/tile/0/x001/234.p/05",
            "/tile/0/../../wal/0000000000000000.wal",
            "/tile/../checkpoint",
            "/tile/0/%2e%2e",
            "/../wal/0000000000000000.wal",
            "/tile/64/000",
            "/tile/entries/000.p/2/..",
        ] {
            assert_eq!(get(&reading, path).await.0, 404, "{path}");
        }
    }

    /// A file that cannot be what its name says is not given out.
    #[tokio::test]
    async fn a_file_of_another_length_is_not_given_out() {
        let files = [
            ("tlog/checkpoint", NOTE_BYTES_MAX + 1),
            ("tlog/tile/0/000", 8_191),
            ("tlog/tile/entries/000.p/2", 3),
        ];
        let reading = folder(&files);
        for path in ["/checkpoint", "/tile/0/000", "/tile/entries/000.p/2"] {
            assert_eq!(get(&reading, path).await.0, 500, "{path}");
        }
    }

    /// L2: what is held counts until it is sent.
    #[tokio::test]
    async fn no_more_is_held_than_the_limit() {
        let reading = folder(&[("tlog/tile/0/000", 8_192)]);
        let mut held = Vec::new();
        for _ in 0..HELD_BYTES_MAX / PLACE_BYTES {
            held.push(reading.clone().answer("/tile/0/000").await);
        }
        assert!(held.iter().all(|answer| answer.status() == 200));
        assert_eq!(get(&reading, "/tile/0/000").await.0, 503);
        held.pop();
        assert_eq!(get(&reading, "/tile/0/000").await.0, 200);
    }
}
