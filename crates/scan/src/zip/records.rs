//! Records of a zip archive (PKWARE APPNOTE 6.3.10).

use crate::sighting::Stop;
use crate::source::View;

/// Fixed part of the end record, in bytes.
const END_BYTES: u64 = 22;
/// Longest comment, in bytes.
const COMMENT_BYTES_MAX: u64 = 65_535;
/// Bytes of the directory that are held in memory: a hundred thousand entries.
const DIRECTORY_BYTES_MAX: u64 = 12 * 1024 * 1024;

/// A local header.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) name: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) packed: u64,
    pub(crate) unpacked: u64,
    /// Offset of the data.
    pub(crate) data_at: u64,
}

/// An entry of the central directory.
#[derive(Clone, Debug)]
pub(crate) struct Central {
    /// Offset of the entry.
    pub(crate) at: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) packed: u64,
    pub(crate) unpacked: u64,
    /// Offset of the local header, bytes before the archive included.
    pub(crate) local_at: u64,
}

/// The central directory.
pub(crate) struct Directory {
    pub(crate) entries: Vec<Central>,
    /// Offset at which it starts.
    pub(crate) start: u64,
    /// Something odd about its place.
    pub(crate) odd: Option<&'static str>,
}

/// Whether a zip reader that looks from the end would find an archive.
pub(crate) fn tail(view: &View<'_>) -> Result<bool, Stop> {
    let Some(at) = find_end(view)? else { return Ok(false) };
    Ok(directory_at(view, at).is_ok())
}

/// Offset of the last end record.
fn find_end(view: &View<'_>) -> Result<Option<u64>, Stop> {
    let len = view.len().min(END_BYTES.saturating_add(COMMENT_BYTES_MAX));
    let from = view.len().saturating_sub(len);
    let bytes = view.bytes(from, len, len)?;
    let found = bytes.windows(4).rposition(|window| window == b"PK\x05\x06");
    Ok(found.map(|at| from.saturating_add(at as u64)))
}

impl Local {
    pub(crate) fn read(view: &View<'_>, at: u64) -> Result<Self, Stop> {
        let fixed: [u8; 30] = view.array(at)?;
        if !fixed.starts_with(b"PK\x03\x04") {
            return Err(Stop::broken(at, "no entry where the directory says"));
        }
        let field = Fields(&fixed);
        let (name_len, extra_len) = (field.u16(26), field.u16(28));
        let name_at = at.saturating_add(30);
        let name = view.bytes(name_at, u64::from(name_len), u64::from(u16::MAX))?;
        let extra_at = name_at.saturating_add(u64::from(name_len));
        let extra = view.bytes(extra_at, u64::from(extra_len), u64::from(u16::MAX))?;
        let mut local = Self {
            name,
            flags: field.u16(6),
            method: field.u16(8),
            crc: field.u32(14),
            packed: u64::from(field.u32(18)),
            unpacked: u64::from(field.u32(22)),
            data_at: extra_at.saturating_add(u64::from(extra_len)),
        };
        let mut wide = Wide::find(&extra);
        wide.replace(&mut local.unpacked);
        wide.replace(&mut local.packed);
        Ok(local)
    }

    /// Whether sizes and checksum follow the data.
    pub(crate) fn has_descriptor(&self) -> bool {
        self.flags & 8 != 0
    }
}

/// Length of the descriptor at `at`, which must tell these sizes: with or without signature, with
/// 4 or 8 byte sizes.
pub(crate) fn descriptor_len(
    view: &View<'_>,
    at: u64,
    packed: u64,
    unpacked: u64,
) -> Result<u64, Stop> {
    let signed = view.array::<4>(at).is_ok_and(|mark| mark == *b"PK\x07\x08");
    let from = at.saturating_add(if signed { 8 } else { 4 });
    let narrow = |at: u64| view.u32(at).map(u64::from);
    if view.u64(from).is_ok_and(|size| size == packed)
        && view.u64(from.saturating_add(8)).is_ok_and(|size| size == unpacked)
    {
        return Ok(from.saturating_add(16).saturating_sub(at));
    }
    if narrow(from).is_ok_and(|size| size == packed)
        && narrow(from.saturating_add(4)).is_ok_and(|size| size == unpacked)
    {
        return Ok(from.saturating_add(8).saturating_sub(at));
    }
    Err(Stop::broken(at, "a data descriptor that does not match the directory"))
}

/// Reads the central directory that the last end record points to.
pub(crate) fn directory(view: &View<'_>) -> Result<Directory, Stop> {
    let at = find_end(view)?.ok_or(Stop::broken(0, "a zip archive without an end record"))?;
    directory_at(view, at)
}

fn directory_at(view: &View<'_>, end_at: u64) -> Result<Directory, Stop> {
    let end: [u8; 22] = view.array(end_at)?;
    let field = Fields(&end);
    let mut n_entries = u64::from(field.u16(10));
    let mut size = u64::from(field.u32(12));
    let mut offset = u64::from(field.u32(16));
    let mut ends = end_at;
    let mut odd = None;
    let locator = end_at
        .checked_sub(20)
        .filter(|&at| view.array::<4>(at).is_ok_and(|mark| mark == *b"PK\x06\x07"));
    if let Some(locator) = locator {
        // The 64-bit record lies just before its locator; bytes before the archive shift it.
        let wide = locator
            .checked_sub(56)
            .filter(|&at| view.array::<4>(at).is_ok_and(|mark| mark == *b"PK\x06\x06"))
            .ok_or(Stop::broken(locator, "a 64-bit end record is not where it must be"))?;
        n_entries = view.u64(wide.saturating_add(32))?;
        size = view.u64(wide.saturating_add(40))?;
        offset = view.u64(wide.saturating_add(48))?;
        ends = wide;
    }
    let comment = u64::from(field.u16(20));
    if end_at.saturating_add(END_BYTES).saturating_add(comment) != view.len() {
        odd = Some("bytes follow the end of the archive, or its comment is cut");
    }
    let start = ends.checked_sub(size).ok_or(Stop::broken(end_at, "the directory is too large"))?;
    let shift =
        start.checked_sub(offset).ok_or(Stop::broken(end_at, "the directory lies elsewhere"))?;
    if shift > 0 {
        odd = Some("the archive begins behind other bytes");
    }
    if DIRECTORY_BYTES_MAX < size {
        return Err(Stop::Budget("directory bytes"));
    }
    let bytes = view.bytes(start, size, DIRECTORY_BYTES_MAX)?;
    let entries = entries(&bytes, start, shift)?;
    if n_entries != entries.len() as u64 {
        return Err(Stop::broken(end_at, "the directory has another number of entries"));
    }
    Ok(Directory { entries, start, odd })
}

fn entries(bytes: &[u8], start: u64, shift: u64) -> Result<Vec<Central>, Stop> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = start.saturating_add((bytes.len().saturating_sub(rest.len())) as u64);
        let bad = Stop::broken(at, "a damaged entry of the directory");
        let Some((fixed, after)) = rest.split_at_checked(46) else { return Err(bad) };
        if !fixed.starts_with(b"PK\x01\x02") {
            return Err(bad);
        }
        let field = Fields(fixed);
        let lens = [field.u16(28), field.u16(30), field.u16(32)].map(usize::from);
        let Some((name, after)) = after.split_at_checked(lens[0]) else { return Err(bad) };
        let Some((extra, after)) = after.split_at_checked(lens[1]) else { return Err(bad) };
        let Some((_, after)) = after.split_at_checked(lens[2]) else { return Err(bad) };
        rest = after;
        let mut central = Central {
            at,
            name: name.to_vec(),
            flags: field.u16(8),
            method: field.u16(10),
            crc: field.u32(16),
            packed: u64::from(field.u32(20)),
            unpacked: u64::from(field.u32(24)),
            local_at: u64::from(field.u32(42)),
        };
        let mut wide = Wide::find(extra);
        wide.replace(&mut central.unpacked);
        wide.replace(&mut central.packed);
        wide.replace(&mut central.local_at);
        central.local_at = central.local_at.saturating_add(shift);
        entries.push(central);
    }
    Ok(entries)
}

/// Little-endian fields of a record whose length was checked; zero beyond it.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u16(&self, at: usize) -> u16 {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |&bytes| u16::from_le_bytes(bytes))
    }

    fn u32(&self, at: usize) -> u32 {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |&bytes| u32::from_le_bytes(bytes))
    }
}

/// The 64-bit extra field: values for those fields that are all ones, in order.
struct Wide<'a>(&'a [u8]);

impl<'a> Wide<'a> {
    fn find(extra: &'a [u8]) -> Self {
        let mut rest = extra;
        while let Some((header, after)) = rest.split_at_checked(4) {
            let field = Fields(header);
            let Some((data, after)) = after.split_at_checked(usize::from(field.u16(2))) else {
                break;
            };
            if field.u16(0) == 1 {
                return Self(data);
            }
            rest = after;
        }
        Self(&[])
    }

    fn replace(&mut self, value: &mut u64) {
        if *value == u64::from(u32::MAX)
            && let Some((wide, rest)) = self.0.split_first_chunk()
        {
            *value = u64::from_le_bytes(*wide);
            self.0 = rest;
        }
    }
}
