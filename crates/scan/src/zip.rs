//! Zip archives: every local header and every central entry is read, whatever a reader would
//! choose, and the two views must agree.
//!
//! Invariants
//! - Z1: a member that any reader could reach is judged: by walking local headers, and by following
//!   the central directory;
//! - Z2: where the views differ, that itself is a finding;
//! - Z3: no member overlaps another or the directory.

mod records;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read};

pub(crate) use records::{Central, Local, tail};

use crate::compress;
use crate::engine;
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Reader};
use crate::source::View;

pub(crate) const FORMAT: Format = Format {
    name: "zip",
    claims: |head| head.starts(b"PK\x03\x04") || head.starts(b"PK\x05\x06"),
    reader: Reader::Random(read),
};

/// Largest stored member whose checksum is held against its bytes, in bytes: reading the data of
/// large tensors would cost more than all else.
const CHECKED_BYTES_MAX: u64 = 1024 * 1024;

/// A member as both views describe it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) method: u16,
    /// Offset of its data.
    pub(crate) data_at: u64,
    /// Bytes of its data.
    pub(crate) packed: u64,
    /// Bytes when unpacked.
    pub(crate) unpacked: u64,
    crc: u32,
    is_encrypted: bool,
}

impl Member {
    /// Its data, where it is stored as it is.
    pub(crate) fn stored<'a>(&self, view: &View<'a>) -> Option<View<'a>> {
        (self.method == 0 && !self.is_encrypted)
            .then(|| view.slice(self.data_at, self.packed).ok())
            .flatten()
    }

    fn is_folder(&self) -> bool {
        self.name.ends_with('/') && self.unpacked == 0
    }
}

/// Reads the whole archive.
pub(crate) fn read(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let members = members(scope, view)?;
    check_names(scope, &members);
    crate::identify::archive(scope, members.iter().map(|member| &*member.name));
    if crate::torch::read_zip(scope, view, &members)? {
        return Ok(());
    }
    read_members(scope, view, &members, |_| false)
}

/// Reads each member but those that `skip` has dealt with.
pub(crate) fn read_members(
    scope: &mut Scope<'_>,
    view: &View<'_>,
    members: &[Member],
    skip: impl Fn(&Member) -> bool,
) -> Result<(), Stop> {
    for member in members {
        if !member.is_folder() && !skip(member) {
            read_member(scope, view, member)?;
        }
    }
    Ok(())
}

/// Reads one member.
pub(crate) fn read_member(
    scope: &mut Scope<'_>,
    view: &View<'_>,
    member: &Member,
) -> Result<(), Stop> {
    scope.within(&member.name, |scope| {
        if member.is_encrypted {
            return Err(Stop::Encrypted);
        }
        let data = view.slice(member.data_at, member.packed)?;
        if member.method == 0 {
            check_stored(scope, member, &data)?;
            return engine::read_view(scope, &data);
        }
        let summed = Summed::default();
        let decoder = compress::member(member.method, &data)?;
        engine::read_decoded(scope, Summing { decoder, summed: &summed }, member.packed)?;
        if let Some(wrong) = summed.differs(member) {
            scope.report(&rules::FILE_BROKEN, 0, wrong);
        }
        Ok(())
    })
}

/// Holds a stored member of moderate size against its checksum.
pub(crate) fn check_stored(
    scope: &mut Scope<'_>,
    member: &Member,
    data: &View<'_>,
) -> Result<(), Stop> {
    if CHECKED_BYTES_MAX < data.len() {
        return Ok(()); // all of it is judged by content all the same
    }
    let summed = Summed::default();
    let mut reader = Summing { decoder: data.reader(), summed: &summed };
    let mut chunk = [0; 8192];
    while reader.read(&mut chunk).map_err(|error| Stop::Io(error.kind()))? > 0 {}
    if let Some(wrong) = summed.differs(member) {
        scope.report(&rules::FILE_BROKEN, 0, wrong);
    }
    Ok(())
}

/// Checksum and number of the bytes that came out so far.
#[derive(Default)]
struct Summed {
    crc: RefCell<flate2::Crc>,
    ended: Cell<bool>,
}

impl Summed {
    /// What is wrong, where all bytes came out. Bytes modulo 2^32, as the sum counts them.
    fn differs(&self, member: &Member) -> Option<&'static str> {
        let crc = self.crc.borrow();
        let is_whole = u64::from(crc.amount()) == member.unpacked & u64::from(u32::MAX);
        match (self.ended.get(), is_whole) {
            (_, true) if crc.sum() != member.crc => Some("its checksum is wrong"),
            (true, false) => Some("it unpacks to another size than the archive says"),
            _ => None,
        }
    }
}

/// Sums what a decoder puts out.
struct Summing<'s, R> {
    decoder: R,
    summed: &'s Summed,
}

impl<R: Read> Read for Summing<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(into)?;
        self.summed.ended.set(self.summed.ended.get() || n == 0 && !into.is_empty());
        self.summed.crc.borrow_mut().update(into.get(..n).unwrap_or(&[]));
        Ok(n)
    }
}

/// All members of both views, in the order of their data. Reports where the views differ.
pub(crate) fn members(scope: &mut Scope<'_>, view: &View<'_>) -> Result<Vec<Member>, Stop> {
    let directory = records::directory(view)?;
    if let Some(odd) = directory.odd {
        scope.report(&rules::FILE_TRAILING, directory.start, odd);
    }
    let mut by_offset: BTreeMap<u64, &Central> = BTreeMap::new();
    for central in &directory.entries {
        scope.meter.steps(1)?;
        if by_offset.insert(central.local_at, central).is_some() {
            let what = format!("two entries share the data of `{}`", escape::bytes(&central.name));
            scope.report(&rules::ZIP_VIEWS, central.at, what);
        }
    }
    let mut members = Vec::new();
    let mut at = 0;
    while at < directory.start {
        scope.meter.steps(1)?;
        if view.slice(at, 4).is_err() || view.array(at)? != *b"PK\x03\x04" {
            // Bytes before the first entry, or between entries: go on where the directory says.
            let next = by_offset.range(at.saturating_add(1)..).next().map(|(&next, _)| next);
            scope.report(&rules::FILE_TRAILING, at, "bytes that belong to no entry of the archive");
            match next {
                Some(next) if next < directory.start => {
                    at = next;
                    continue;
                }
                _ => break,
            }
        }
        let central = by_offset.remove(&at);
        let (member, end) = local(scope, view, at, central)?;
        if directory.start < end {
            scope.report(&rules::ZIP_VIEWS, at, "a member overlaps the directory");
        }
        if let Some((&inside, _)) = by_offset.range(at..end).next() {
            scope.report(&rules::ZIP_VIEWS, inside, "a member lies inside another");
        }
        members.push(member);
        at = end;
    }
    for (at, central) in by_offset {
        // Not met on the walk: inside another member, or beyond the directory.
        let what = format!("`{}` is not where the walk leads", escape::bytes(&central.name));
        scope.report(&rules::ZIP_VIEWS, at, what);
        let (member, _) = local(scope, view, at, Some(central))?;
        members.push(member);
    }
    Ok(members)
}

/// The member at `at`, and where it ends.
fn local(
    scope: &mut Scope<'_>,
    view: &View<'_>,
    at: u64,
    central: Option<&Central>,
) -> Result<(Member, u64), Stop> {
    let local = Local::read(view, at)?;
    let shown = escape::bytes(&local.name);
    let (packed, unpacked) = match central {
        Some(central) => {
            compare(scope, at, &local, central);
            (central.packed, central.unpacked)
        }
        None => {
            let what = format!("`{shown}` is not in the directory");
            scope.report(&rules::ZIP_VIEWS, at, what);
            if local.has_descriptor() {
                return Err(Stop::broken(at, "an entry of unknown size is not in the directory"));
            }
            (local.packed, local.unpacked)
        }
    };
    let is_encrypted =
        local.flags & 0x41 != 0 || central.is_some_and(|central| central.flags & 0x41 != 0);
    let data_at = local.data_at;
    view.slice(data_at, packed)?;
    if local.method == 0 && packed != unpacked && !is_encrypted {
        scope.report(&rules::ZIP_VIEWS, at, format!("`{shown}` is stored with two sizes"));
    }
    let end = data_at.saturating_add(packed);
    let end = if local.has_descriptor() {
        end.saturating_add(records::descriptor_len(view, end, packed, unpacked)?)
    } else {
        end
    };
    let name = String::from_utf8_lossy(&local.name).into_owned();
    let method = local.method;
    let crc = central.map_or(local.crc, |central| central.crc);
    Ok((Member { name, method, data_at, packed, unpacked, crc, is_encrypted }, end))
}

/// Z2: what a local header and its central entry both say must be the same.
fn compare(scope: &mut Scope<'_>, at: u64, local: &Local, central: &Central) {
    let shown = escape::bytes(&central.name);
    if local.name != central.name {
        let what = format!("`{shown}` is `{}` in its own header", escape::bytes(&local.name));
        scope.report(&rules::ZIP_VIEWS, at, what);
    }
    if local.method != central.method {
        scope.report(&rules::ZIP_VIEWS, at, format!("`{shown}` has two compression methods"));
    }
    let sizes = (local.packed, local.unpacked) == (central.packed, central.unpacked)
        && local.crc == central.crc;
    let deferred = local.has_descriptor() && local.crc == 0;
    if !sizes && !deferred {
        scope.report(&rules::ZIP_VIEWS, at, format!("`{shown}` has two sizes or checksums"));
    }
    // Bits 1 and 2 tell how hard it was compressed, 3 a descriptor, 11 a UTF-8 name.
    const KNOWN: u16 = 0x080e;
    if (local.flags ^ central.flags) & !0x0806 != 0 || local.flags & !(KNOWN | 1) != 0 {
        let what = format!("`{shown}` has odd flags {:#06x}/{:#06x}", local.flags, central.flags);
        scope.report(&rules::FILE_BROKEN, at, what);
    }
}

fn check_names(scope: &mut Scope<'_>, members: &[Member]) {
    let mut seen = BTreeMap::new();
    for member in members {
        let shown = escape::text(&member.name);
        if leads_out(&member.name) {
            let what = format!("member `{shown}` leads out of the archive");
            scope.report(&rules::ZIP_ESCAPE, member.data_at, what);
        }
        if member.name.contains(['\0', '\\', '\n', '\r', '\u{1b}']) {
            let what = format!("member `{shown}` has a control character or backslash in its name");
            scope.report(&rules::FILE_BROKEN, member.data_at, what);
        }
        if seen.insert(member.name.as_str(), ()).is_some() {
            let what = format!("member `{shown}` is there twice: readers take one or the other");
            scope.report(&rules::FILE_BROKEN, member.data_at, what);
        }
    }
}

/// Whether a name, joined to a folder, would lie outside it.
pub(crate) fn leads_out(name: &str) -> bool {
    let bytes = name.as_bytes();
    name.starts_with(['/', '\\'])
        || matches!(bytes, [drive, b':', ..] if drive.is_ascii_alphabetic())
        || name.split(['/', '\\']).any(|part| part == "..")
}

#[cfg(test)]
mod tests;
