//! Following the write-ahead log, record by record, up to what is durable.

use std::io;
use std::sync::Arc;

use bartizan_core::disk::Disk;

use crate::read::{ReadError, read_header};
use crate::receipt::leaf_hash;
use crate::tlog::Hash;
use crate::wal::scan::{Check, Cursor, Step, Walk};
use crate::wal::{FrameFault, WAL_DIR, parse_segment_name, segment_name};

/// A reader that goes on where it stopped.
pub(super) struct Tail {
    disk: Arc<dyn Disk>,
    walk: Option<(String, Walk)>,
    /// The next record.
    index: u64,
}

fn io_error(name: &str) -> impl Fn(io::Error) -> ReadError + '_ {
    move |source| ReadError::Io { name: name.to_owned(), source }
}

impl Tail {
    /// At record `index`.
    pub(super) fn new(disk: Arc<dyn Disk>, index: u64) -> Self {
        Self { disk, walk: None, index }
    }

    /// Hands every record up to `end`, which must be durable, to `each`.
    pub(super) fn read(
        &mut self,
        end: u64,
        each: &mut dyn FnMut(&[u8], Hash) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        let mut again = false;
        while self.index < end {
            let (name, walk) = match &mut self.walk {
                Some(walk) => walk,
                None => self.walk.insert(open(&*self.disk, self.index)?),
            };
            let fault = match walk.next(Check::Sums).map_err(io_error(name))? {
                Step::Frame(_, frame) => {
                    again = false;
                    if self.index <= frame.index {
                        each(frame.leaf, leaf_hash(frame.leaf)).map_err(io_error(name))?;
                        self.index = frame.index + 1;
                    }
                    continue;
                }
                Step::End => FrameFault::Missing,
                Step::Bad(fault) => fault,
            };
            // What was read ahead may have been written since.
            if !again {
                walk.cursor.refresh();
                again = true;
                continue;
            }
            let (offset, index) = (walk.at, walk.index);
            let damaged =
                ReadError::Damaged { segment: name.clone(), offset, index, source: fault };
            // Or it stands in the next segment.
            let next = segment_name(self.index);
            if fault != FrameFault::Missing || next == *name || !exists(&*self.disk, &next)? {
                return Err(damaged);
            }
            self.walk = None;
            again = false;
        }
        Ok(())
    }
}

fn exists(disk: &dyn Disk, name: &str) -> Result<bool, ReadError> {
    match disk.open(name, false) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ReadError::Io { name: name.to_owned(), source }),
    }
}

/// A walk at the start of the segment that holds `index`.
fn open(disk: &dyn Disk, index: u64) -> Result<(String, Walk), ReadError> {
    let names = disk.list(WAL_DIR).map_err(io_error(WAL_DIR))?;
    let firsts = names.iter().filter_map(|name| parse_segment_name(name));
    let first = firsts.filter(|first| *first <= index).max().ok_or(ReadError::Absent)?;
    let name = segment_name(first);
    let header = read_header(disk, &name)?;
    let file = disk.open(&name, false).map_err(io_error(&name))?;
    let cursor = Cursor::new(file).map_err(io_error(&name))?;
    Ok((name, Walk::new(cursor, header.first_index, header.chain)))
}
