//! The pages of a column chunk, looked through before they are decompressed.
//!
//! A page's head says how large it is decompressed, and the decoder reserves that much; a
//! dictionary's head says how many values it has, and the decoder makes that many; and a page
//! compressed with gzip is decompressed to its end, whatever its head says. Here each claim is
//! held against a limit, and gzip's against its own bytes.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use flate2::read::MultiGzDecoder;

use super::footer::STATISTICS;
use super::thrift::{Kind, Shape, ThriftError, Walk};

/// Bytes read at first for a page's head: nearly all are shorter.
const HEAD_BYTES: u64 = 1 << 12;
/// Longest head of a page, in bytes: it may carry two values as statistics.
const HEAD_BYTES_MAX: u64 = 1 << 20;
/// Parquet's number of the encoding `DELTA_BYTE_ARRAY`, whose values can each repeat all of the
/// one before: the only one that expands a page beyond its size times a constant.
const DELTA_BYTE_ARRAY: i32 = 7;

const I32: Shape = Shape::Plain(Kind::I32);
const BOOL: Shape = Shape::Plain(Kind::Bool);

/// A column chunk, as the footer has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// Where its first page begins, in bytes from the file's beginning.
    pub(super) start: u64,
    /// Length of its pages together, in bytes.
    pub(super) bytes: u64,
    /// Least bytes that a value of a dictionary takes.
    pub(super) value_bytes_min: u64,
    /// Whether its pages are compressed with gzip.
    pub(super) is_gzip: bool,
}

/// What the pages of a file come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Bytes of all pages, decompressed.
    pub(super) bytes: u64,
    /// Bytes of the largest page, decompressed.
    pub(super) largest_bytes: u64,
    /// Bytes of the largest page whose values can repeat the one before.
    pub(super) largest_delta_bytes: u64,
}

/// Why the pages of a chunk are not decompressed.
#[derive(Debug)]
pub(super) enum PageError {
    /// The system did not let us read.
    Io(io::Error),
    /// A head or a page is not what it should be.
    Bad(&'static str),
    /// A page is larger than the limit, or all together are.
    TooLarge {
        /// What is.
        what: &'static str,
        /// How large, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
}

/// Limits on pages, in bytes, decompressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageLimits {
    /// On one.
    pub(super) page_bytes_max: u64,
    /// On all.
    pub(super) bytes_max: u64,
}

/// Looks all pages of `chunk` through and adds them to `sum`. Reads the heads only, but gzip's
/// pages whole.
pub(super) fn check(
    file: &File,
    chunk: Chunk,
    limits: PageLimits,
    sum: &mut Sum,
) -> Result<(), PageError> {
    let (mut at, mut left) = (chunk.start, chunk.bytes);
    while left != 0 {
        let (head, head_bytes) = read_head(file, at, left)?;
        let page_bytes = u64::from(head.compressed_bytes);
        let whole = head_bytes.saturating_add(page_bytes);
        left = left.checked_sub(whole).ok_or(PageError::Bad("a page is cut short"))?;
        check_head(&head, chunk, limits, sum)?;
        if chunk.is_gzip && head.is_compressed {
            check_gzip(file, at.saturating_add(head_bytes), &head)?;
        }
        at = at.saturating_add(whole);
    }
    Ok(())
}

fn check_head(
    head: &Head,
    chunk: Chunk,
    limits: PageLimits,
    sum: &mut Sum,
) -> Result<(), PageError> {
    let bytes = u64::from(head.bytes).max(u64::from(head.compressed_bytes));
    if limits.page_bytes_max < bytes {
        let limit = limits.page_bytes_max;
        return Err(PageError::TooLarge { what: "bytes in a page, decompressed", bytes, limit });
    }
    if u64::from(head.bytes) < u64::from(head.n_dictionary).saturating_mul(chunk.value_bytes_min) {
        return Err(PageError::Bad("a dictionary claims more values than it has bytes"));
    }
    if head.bytes < head.levels_bytes {
        return Err(PageError::Bad("a page's levels are longer than the page"));
    }
    sum.bytes = sum.bytes.saturating_add(bytes);
    sum.largest_bytes = sum.largest_bytes.max(bytes);
    if head.encoding == Some(DELTA_BYTE_ARRAY) {
        sum.largest_delta_bytes = sum.largest_delta_bytes.max(bytes);
    }
    if limits.bytes_max < sum.bytes {
        let (what, limit) = ("bytes in all pages, decompressed", limits.bytes_max);
        return Err(PageError::TooLarge { what, bytes: sum.bytes, limit });
    }
    Ok(())
}

/// Decompresses a page into nothing, to see that it is as long as it says.
fn check_gzip(file: &File, at: u64, head: &Head) -> Result<(), PageError> {
    let len = usize::try_from(head.compressed_bytes).unwrap_or(usize::MAX);
    // `check_head` has bounded it.
    let mut page = vec![0; len];
    file.read_exact_at(&mut page, at).map_err(PageError::Io)?;
    let from = usize::try_from(head.levels_bytes).unwrap_or(usize::MAX);
    let compressed = page.get(from..).ok_or(PageError::Bad("a page is cut short"))?;
    let expected = u64::from(head.bytes.saturating_sub(head.levels_bytes));
    if expected == 0 {
        return Ok(());
    }
    let mut bounded = MultiGzDecoder::new(compressed).take(expected.saturating_add(1));
    match io::copy(&mut bounded, &mut io::sink()) {
        Ok(bytes) if bytes == expected => Ok(()),
        _ => Err(PageError::Bad("a page compressed with gzip is not as long as it says")),
    }
}

/// What a page's head says.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: u32,
    compressed_bytes: u32,
    /// Of data pages.
    encoding: Option<i32>,
    /// Values of a dictionary page.
    n_dictionary: u32,
    /// Bytes before the compressed part.
    levels_bytes: u32,
    is_compressed: bool,
}

fn read_head(file: &File, at: u64, left: u64) -> Result<(Head, u64), PageError> {
    for size in [HEAD_BYTES, HEAD_BYTES_MAX] {
        let size = size.min(left);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, at).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                PageError::Bad("a column lies outside of the file")
            } else {
                PageError::Io(error)
            }
        })?;
        let mut walk = Walk::new(&bytes);
        match parse_head(&mut walk) {
            Ok(head) => {
                let used = bytes.len().saturating_sub(walk.left());
                return Ok((head, used as u64));
            }
            Err(ThriftError::End) if size < left && size < HEAD_BYTES_MAX => {}
            Err(ThriftError::End) => break,
            Err(ThriftError::Bad(reason)) => return Err(PageError::Bad(reason)),
        }
    }
    Err(PageError::Bad("a page's head is cut short or longer than 1 MiB"))
}

fn parse_head(walk: &mut Walk<'_>) -> Result<Head, ThriftError> {
    let mut head = Head { is_compressed: true, ..Head::default() };
    let mut last = 0;
    while let Some(field) = walk.field(last)? {
        match (field.id, field.kind) {
            (1 | 4, Kind::I32) => walk.int32().map(|_| ())?,
            (2, Kind::I32) => head.bytes = size(walk)?,
            (3, Kind::I32) => head.compressed_bytes = size(walk)?,
            (5, Kind::Struct) => data_page(walk, &mut head)?,
            (6, Kind::Struct) => walk.value(&Shape::Struct(&[]))?,
            (7, Kind::Struct) => dictionary(walk, &mut head)?,
            (8, Kind::Struct) => data_page_v2(walk, &mut head)?,
            (1..=8, _) => return Err(ThriftError::Bad("a page's head has fields of other types")),
            _ => walk.skip_field(field)?,
        }
        last = field.id;
    }
    Ok(head)
}

fn size(walk: &mut Walk<'_>) -> Result<u32, ThriftError> {
    u32::try_from(walk.int32()?).map_err(|_| ThriftError::Bad("a size is below zero"))
}

fn data_page(walk: &mut Walk<'_>, head: &mut Head) -> Result<(), ThriftError> {
    let mut last = 0;
    while let Some(field) = walk.field(last)? {
        match (field.id, field.kind) {
            (2, Kind::I32) => head.encoding = Some(walk.int32()?),
            (1 | 3 | 4, _) => walk.expect(field, &I32)?,
            (5, _) => walk.expect(field, &STATISTICS)?,
            (2, _) => return Err(ThriftError::Bad("an encoding is no number")),
            _ => walk.skip_field(field)?,
        }
        last = field.id;
    }
    Ok(())
}

fn dictionary(walk: &mut Walk<'_>, head: &mut Head) -> Result<(), ThriftError> {
    let mut last = 0;
    while let Some(field) = walk.field(last)? {
        match (field.id, field.kind) {
            (1, Kind::I32) => head.n_dictionary = size(walk)?,
            (1, _) => return Err(ThriftError::Bad("a number of values is no number")),
            (2, _) => walk.expect(field, &I32)?,
            (3, _) => walk.expect(field, &BOOL)?,
            _ => walk.skip_field(field)?,
        }
        last = field.id;
    }
    Ok(())
}

fn data_page_v2(walk: &mut Walk<'_>, head: &mut Head) -> Result<(), ThriftError> {
    let mut last = 0;
    while let Some(field) = walk.field(last)? {
        match (field.id, field.kind) {
            (4, Kind::I32) => head.encoding = Some(walk.int32()?),
            (5 | 6, Kind::I32) => {
                head.levels_bytes = head.levels_bytes.saturating_add(size(walk)?);
            }
            (7, Kind::Bool) => head.is_compressed = field.is_true,
            (1..=3, _) => walk.expect(field, &I32)?,
            (8, _) => walk.expect(field, &STATISTICS)?,
            (4..=7, _) => return Err(ThriftError::Bad("a page's head has fields of other types")),
            _ => walk.skip_field(field)?,
        }
        last = field.id;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
