//! The first page of a segment.

use super::{hash_at, u32_at, u64_at};

/// Bytes of the header page; frames start behind it.
pub const HEADER_BYTES: usize = 4096;
/// Bytes of the header proper, one sector, checksum included.
const USED_BYTES: usize = 512;
const MAGIC: [u8; 8] = *b"bzwal\r\n\x1a";
/// The format that this release writes and reads.
const FORMAT: u32 = 1;
const ORIGIN_AT: usize = 96;
/// Longest origin, in bytes.
pub(crate) const ORIGIN_BYTES_MAX: usize = 255;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Name of the log.
    pub origin: Box<str>,
    /// Which life of the log; a restored log starts another.
    pub epoch: u64,
    /// Index of its first record.
    pub first_index: u64,
    /// Length of the whole file in bytes: a shorter file was cut.
    pub segment_bytes: u64,
    /// Bytes of folded records in all earlier segments.
    pub folded_bytes: u64,
    /// Wall time when it was begun, never before an earlier segment's.
    pub opened_ns: u64,
    /// Chain before its first record.
    pub chain: [u8; 32],
}

/// Why a page is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// It does not begin as one.
    #[error("not a segment of the log")]
    Magic,
    /// A format of another release.
    #[error("format {found}, this release reads format {FORMAT}")]
    Format {
        /// What it says.
        found: u32,
    },
    /// Its checksum is wrong.
    #[error("header checksum is wrong")]
    Checksum,
    /// The checksum is right and the content is not.
    #[error("header content is not valid")]
    Content,
    /// A byte behind it is not zero.
    #[error("a byte of the header page that must be zero is not")]
    Padding,
    /// The file ends in it.
    #[error("file is shorter than a header")]
    Short,
}

impl SegmentHeader {
    /// The header page. An origin that is too long is cut; [`crate::LogConfig`] checked it.
    pub fn encode(&self) -> Vec<u8> {
        let origin = self.origin.as_bytes();
        let origin = origin.get(..ORIGIN_BYTES_MAX).unwrap_or(origin);
        let mut page = Vec::with_capacity(HEADER_BYTES);
        page.extend_from_slice(&MAGIC);
        page.extend_from_slice(&FORMAT.to_le_bytes());
        page.extend_from_slice(&u32::try_from(origin.len()).unwrap_or(0).to_le_bytes());
        for number in
            [self.epoch, self.first_index, self.segment_bytes, self.folded_bytes, self.opened_ns]
        {
            page.extend_from_slice(&number.to_le_bytes());
        }
        page.extend_from_slice(&self.chain);
        page.resize(ORIGIN_AT, 0);
        page.extend_from_slice(origin);
        page.resize(USED_BYTES.saturating_sub(4), 0);
        let crc = crc32c::crc32c(&page);
        page.extend_from_slice(&crc.to_le_bytes());
        page.resize(HEADER_BYTES, 0);
        page
    }

    /// Reads a header page.
    ///
    /// # Errors
    /// [`HeaderFault`].
    pub fn parse(page: &[u8]) -> Result<Self, HeaderFault> {
        let (page, used) = match (page.get(..HEADER_BYTES), page.get(..USED_BYTES)) {
            (Some(page), Some(used)) => (page, used),
            _ => return Err(HeaderFault::Short),
        };
        if !used.starts_with(&MAGIC) {
            return Err(HeaderFault::Magic);
        }
        let checked = used.split_last_chunk::<4>().ok_or(HeaderFault::Short)?;
        if crc32c::crc32c(checked.0) != u32::from_le_bytes(*checked.1) {
            return Err(HeaderFault::Checksum);
        }
        let found = u32_at(used, 8).ok_or(HeaderFault::Short)?;
        if found != FORMAT {
            return Err(HeaderFault::Format { found });
        }
        if page.iter().skip(USED_BYTES).any(|byte| *byte != 0) {
            return Err(HeaderFault::Padding);
        }
        Self::fields(used).ok_or(HeaderFault::Content)
    }

    fn fields(used: &[u8]) -> Option<Self> {
        let origin_len = usize::try_from(u32_at(used, 12)?).ok()?;
        if ORIGIN_BYTES_MAX < origin_len {
            return None;
        }
        let origin = used.get(ORIGIN_AT..ORIGIN_AT.checked_add(origin_len)?)?;
        Some(Self {
            origin: std::str::from_utf8(origin).ok()?.into(),
            epoch: u64_at(used, 16)?,
            first_index: u64_at(used, 24)?,
            segment_bytes: u64_at(used, 32)?,
            folded_bytes: u64_at(used, 40)?,
            opened_ns: u64_at(used, 48)?,
            chain: hash_at(used, 56)?,
        })
    }
}
