//! HDF5, as Keras, h5py and PyTables write it: every object that can be reached, its links,
//! attributes, layout and filters; no data is read.
//!
//! Sources: HDF5 File Format Specification 3.0. What no writer of models needs (shared messages,
//! huge objects, filters on heaps, deep indexes of names) is not judged, and so not cleared.
//!
//! Invariants
//! - H1: every object header that a link, old or new, leads to is read, each once;
//! - H2: whatever would read another file is a finding: external links and storage, virtual
//!   datasets, drivers of several files;
//! - H3: every text that an attribute holds is judged: as configuration, or as a pickle.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

mod attribute;
mod fields;
mod heap;
mod index;
mod messages;

use std::collections::BTreeSet;

use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::View;
use fields::Fields;

const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Most objects of a file.
const OBJECTS_MAX: usize = 200_000;
/// Longest header or block that is read whole, in bytes.
const BLOCK_BYTES_MAX: u64 = 1024 * 1024;
/// Most blocks of one object's header.
const BLOCKS_MAX: usize = 1024;

pub(crate) const FORMAT: Format = Format { name: "hdf5", claims, reader: Reader::Random(read) };

fn claims(head: &Head<'_>) -> bool {
    head.starts(SIGNATURE) || head.view.is_some_and(|view| signature_at(view).is_some())
}

/// Where the library looks for the signature: at the start, at 512 bytes and each double.
fn signature_at(view: &View<'_>) -> Option<u64> {
    let mut at = 0_u64;
    loop {
        let found: [u8; 8] = view.array(at).ok()?;
        if found == *SIGNATURE {
            return Some(at);
        }
        at = if at == 0 { 512 } else { at.checked_mul(2)? };
    }
}

fn read(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let base = signature_at(view).ok_or(Stop::broken(0, "the signature is missing"))?;
    if base > 0 {
        let head = view.bytes(0, base.min(4096), 4096)?;
        if head.iter().any(|byte| *byte != 0) {
            scope.report(&rules::FILE_POLYGLOT, 0, "other bytes stand before the HDF5 file");
        }
    }
    let view = view.slice(base, view.len().saturating_sub(base))?;
    let version = view.array::<9>(0)?[8];
    let (file, root) = match version {
        0 | 1 => old_superblock(scope, &view, version)?,
        2 | 3 => superblock(scope, &view)?,
        _ => return Err(Stop::Unjudged("a version of HDF5 that is not known")),
    };
    let mut walk = Walk { file, seen: BTreeSet::new(), left: Vec::new() };
    walk.reach(root)?;
    while let Some(at) = walk.left.pop() {
        scope.meter.steps(1)?;
        walk.object(scope, at)?;
    }
    Ok(())
}

/// Sizes and bytes of a file.
struct File<'v> {
    view: View<'v>,
    /// Bytes of an address, and of a length.
    offset_bytes: usize,
    length_bytes: usize,
}

impl<'v> File<'v> {
    fn new(view: &View<'v>, offset_bytes: u8, length_bytes: u8) -> Result<Self, Stop> {
        let fits = |bytes: u8| matches!(bytes, 2 | 4 | 8).then_some(usize::from(bytes));
        match (fits(offset_bytes), fits(length_bytes)) {
            (Some(offset_bytes), Some(length_bytes)) => {
                Ok(Self { view: *view, offset_bytes, length_bytes })
            }
            _ => Err(Stop::broken(0, "sizes of addresses are impossible")),
        }
    }

    /// The block of `len` bytes at `at`.
    fn block(&self, at: u64, len: u64) -> Result<Vec<u8>, Stop> {
        self.view.bytes(at, len, BLOCK_BYTES_MAX)
    }

    fn fields<'f>(&self, bytes: &'f [u8], at: u64) -> Fields<'f> {
        Fields::new(bytes, at, self.offset_bytes, self.length_bytes)
    }
}

/// Versions 0 and 1; the address of the root's header.
fn old_superblock<'v>(
    scope: &mut Scope<'_>,
    view: &View<'v>,
    version: u8,
) -> Result<(File<'v>, u64), Stop> {
    let bytes = view.bytes(0, view.len().min(256), 256)?;
    let sizes = (bytes.get(13).copied().unwrap_or(0), bytes.get(14).copied().unwrap_or(0));
    let file = File::new(view, sizes.0, sizes.1)?;
    let mut fields = file.fields(&bytes, 0);
    fields.skip(if version == 0 { 24 } else { 28 })?;
    fields.offset()?;
    fields.offset()?;
    let end = fields.offset()?;
    if fields.offset()?.is_some() {
        scope.report(&rules::HDF5_EXTERNAL, 0, "a driver spreads it over several files");
    }
    fields.offset()?;
    let root = fields.offset()?;
    check_end(scope, view, end);
    Ok((file, root.ok_or(Stop::broken(0, "there is no root"))?))
}

fn superblock<'v>(scope: &mut Scope<'_>, view: &View<'v>) -> Result<(File<'v>, u64), Stop> {
    let bytes = view.bytes(0, view.len().min(256), 256)?;
    let sizes = (bytes.get(9).copied().unwrap_or(0), bytes.get(10).copied().unwrap_or(0));
    let file = File::new(view, sizes.0, sizes.1)?;
    let mut fields = file.fields(&bytes, 0);
    fields.skip(12)?;
    fields.offset()?;
    let extension = fields.offset()?;
    let end = fields.offset()?;
    let root = fields.offset()?;
    check_end(scope, view, end);
    if extension.is_some() {
        // Tables of shared messages, drivers: only files with options that models lack have one.
        return Err(Stop::Unjudged("an extension of the HDF5 superblock"));
    }
    Ok((file, root.ok_or(Stop::broken(0, "there is no root"))?))
}

fn check_end(scope: &mut Scope<'_>, view: &View<'_>, end: Option<u64>) {
    let len = view.len();
    match end {
        Some(end) if end == len => {}
        Some(end) if end < len => {
            scope.report(&rules::FILE_TRAILING, end, "bytes follow the end of the HDF5 file");
        }
        _ => scope.report(&rules::FILE_BROKEN, len, "the HDF5 file is cut off"),
    }
}

/// Objects that were met and those that are left.
struct Walk<'v> {
    file: File<'v>,
    seen: BTreeSet<u64>,
    left: Vec<u64>,
}

impl Walk<'_> {
    /// H1
    fn reach(&mut self, at: u64) -> Result<(), Stop> {
        if self.seen.insert(at) {
            if OBJECTS_MAX < self.seen.len() {
                return Err(Stop::Budget("objects of an HDF5 file"));
            }
            self.left.push(at);
        }
        Ok(())
    }

    /// Reads all messages of the object whose header is at `at`.
    fn object(&mut self, scope: &mut Scope<'_>, at: u64) -> Result<(), Stop> {
        let start: [u8; 4] = self.file.view.array(at)?;
        if start == *b"OHDR" { self.new_header(scope, at) } else { self.old_header(scope, at) }
    }

    fn old_header(&mut self, scope: &mut Scope<'_>, at: u64) -> Result<(), Stop> {
        let head = self.file.block(at, 16)?;
        let mut fields = self.file.fields(&head, at);
        if fields.u8()? != 1 {
            return Err(Stop::broken(at, "an object header of an unknown version"));
        }
        fields.skip(7)?;
        let size = u64::from(fields.u32()?);
        let mut blocks = vec![(at.saturating_add(16), size)];
        let mut met = BTreeSet::new();
        while let Some((at, len)) = blocks.pop() {
            self.check_block(&mut met, at)?;
            let bytes = self.file.block(at, len)?;
            let mut fields = self.file.fields(&bytes, at);
            while 8 <= fields.left() {
                scope.meter.steps(1)?;
                let kind = fields.u16()?;
                let len = usize::from(fields.u16()?);
                let flags = fields.u8()?;
                fields.skip(3)?;
                let at = fields.at();
                let body = fields.take(len)?;
                let mut body = self.file.fields(body, at);
                if let Some(block) = self.message(scope, kind, flags, &mut body)? {
                    blocks.push(block);
                }
            }
        }
        Ok(())
    }

    fn check_block(&self, met: &mut BTreeSet<u64>, at: u64) -> Result<(), Stop> {
        if !met.insert(at) {
            return Err(Stop::broken(at, "a header continues in itself"));
        }
        if BLOCKS_MAX < met.len() { Err(Stop::Budget("blocks of a header")) } else { Ok(()) }
    }

    fn new_header(&mut self, scope: &mut Scope<'_>, at: u64) -> Result<(), Stop> {
        let head = self.file.block(at, 32.min(self.file.view.len().saturating_sub(at)))?;
        let mut fields = self.file.fields(&head, at);
        fields.skip(4)?;
        if fields.u8()? != 2 {
            return Err(Stop::broken(at, "an object header of an unknown version"));
        }
        let flags = fields.u8()?;
        if flags & 0x20 != 0 {
            fields.skip(16)?;
        }
        if flags & 0x10 != 0 {
            fields.skip(4)?;
        }
        let size = fields.uint(1_usize << (flags & 3))?;
        let mut blocks = vec![(fields.at(), size)];
        let mut met = BTreeSet::new();
        while let Some((at, len)) = blocks.pop() {
            self.check_block(&mut met, at)?;
            let bytes = self.file.block(at, len)?;
            let mut fields = self.file.fields(&bytes, at);
            if met.len() > 1 {
                // A continuation has a mark before and a checksum after its messages.
                if fields.take(4)? != b"OCHK" {
                    return Err(Stop::broken(at, "a continuation without its mark"));
                }
                fields.cut(4)?;
            }
            let head_len = if flags & 4 == 0 { 4 } else { 6 };
            while head_len <= fields.left() {
                scope.meter.steps(1)?;
                let kind = u16::from(fields.u8()?);
                let len = usize::from(fields.u16()?);
                let message_flags = fields.u8()?;
                if flags & 4 != 0 {
                    fields.skip(2)?;
                }
                let at = fields.at();
                let body = fields.take(len)?;
                let mut body = self.file.fields(body, at);
                if let Some(block) = self.message(scope, kind, message_flags, &mut body)? {
                    blocks.push(block);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
