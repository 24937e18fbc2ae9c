//! Compressed files: each is decoded through the meter, and what comes out is a part of its own.

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use crate::engine;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::{View, ViewReader};

/// Most KiB of memory that an LZMA dictionary may take: `xz -9` uses 64 MiB, joblib 8 MiB.
const LZMA_MEMORY_KIB_MAX: u32 = 24 * 1024;

pub(crate) const GZIP: Format = Format {
    name: "gzip",
    claims: |head| head.starts(b"\x1f\x8b\x08"),
    reader: Reader::Random(gzip),
};
pub(crate) const ZLIB: Format =
    Format { name: "zlib", claims: is_zlib, reader: Reader::Random(zlib) };
pub(crate) const BZIP2: Format = Format {
    name: "bzip2",
    claims: |head| head.starts(b"BZh") && head.at(4, b"1AY&SY"),
    reader: Reader::Random(bzip2),
};
pub(crate) const XZ: Format =
    Format { name: "xz", claims: |head| head.starts(b"\xfd7zXZ\x00"), reader: Reader::Random(xz) };
pub(crate) const LZMA: Format =
    Format { name: "lzma", claims: is_lzma, reader: Reader::Random(lzma) };
pub(crate) const LZ4: Format = Format {
    name: "lz4",
    claims: |head| head.starts(b"\x04\x22\x4d\x18"),
    reader: Reader::Random(lz4),
};
pub(crate) const ZSTD: Format = Format {
    name: "zstd",
    claims: |head| head.starts(b"\x28\xb5\x2f\xfd"),
    reader: Reader::Random(zstd),
};

/// RFC 1950: method 8, a window of at most 32 KiB, check bits, no dictionary.
fn is_zlib(head: &Head<'_>) -> bool {
    let &[first, second, ..] = head.bytes else { return false };
    let check = u16::from_be_bytes([first, second]);
    first & 0x0f == 8 && first >> 4 == 7 && check.is_multiple_of(31) && second & 0x20 == 0
}

/// The header of `lzma.FORMAT_ALONE`: properties, dictionary size, unpacked size.
fn is_lzma(head: &Head<'_>) -> bool {
    let Some((&[properties], rest)) = head.bytes.split_first_chunk() else { return false };
    let (Some(&dict), Some(size)) = (rest.first_chunk(), rest.get(4..12)) else { return false };
    let dict = u32::from_le_bytes(dict);
    let known_size = size.iter().rev().take(2).all(|&byte| byte == 0);
    let open_size = size.iter().all(|&byte| byte == 0xff);
    properties == 0x5d
        && dict >= 4096
        && (dict.is_power_of_two() || (dict / 3).is_power_of_two())
        && (known_size || open_size)
}

fn decoded(scope: &mut Scope<'_>, view: &View<'_>, decoder: impl Read) -> Result<(), Stop> {
    scope.within("decompressed", |scope| engine::read_decoded(scope, decoder, view.len()))
}

fn input<'a>(view: &View<'a>) -> BufReader<ViewReader<'a>> {
    BufReader::with_capacity(32 * 1024, view.reader())
}

fn gzip(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    decoded(scope, view, flate2::bufread::MultiGzDecoder::new(input(view)))
}

fn zlib(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let mut decoder = flate2::bufread::ZlibDecoder::new(input(view));
    decoded(scope, view, &mut decoder)?;
    trailing(scope, view, decoder.total_in());
    Ok(())
}

fn bzip2(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    decoded(scope, view, bzip2::bufread::MultiBzDecoder::new(input(view)))
}

fn xz(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    // The dictionary is allocated by what the file claims: hold the claim against the limit.
    decoded(scope, view, lzma_rust2::XzReader::new(input(view), true))
}

fn lzma(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let n_read = Cell::new(0);
    let counted = Counted { input: input(view), n_read: &n_read };
    match lzma_rust2::LzmaReader::new_mem_limit(counted, LZMA_MEMORY_KIB_MAX, None) {
        Ok(mut decoder) => {
            decoded(scope, view, &mut decoder)?;
            let (_, unused) = decoder.into_parts();
            trailing(scope, view, n_read.get().saturating_sub(unused.len() as u64));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
            Err(Stop::Budget("decoder memory"))
        }
        Err(_) => Err(Stop::broken(0, "a damaged LZMA header")),
    }
}

fn lz4(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    if let Err(stop) = lz4_frames(scope, view) {
        // The decoder takes a cut frame for a whole one.
        scope.stopped(&stop);
    }
    decoded(scope, view, lz4_flex::frame::FrameDecoder::new(input(view)))
}

/// Walks the frames of an LZ4 file (LZ4 Frame Format 1.6): they must end where the file ends.
fn lz4_frames(scope: &Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let mut at = 0_u64;
    while at < view.len() {
        if view.array(at)? != *b"\x04\x22\x4d\x18" {
            return Err(Stop::broken(at, "bytes follow the compressed data"));
        }
        let [flags] = view.array(at.saturating_add(4))?;
        let optional = u64::from(flags & 8) | u64::from(flags & 1) << 2;
        at = at.saturating_add(7).saturating_add(optional);
        loop {
            scope.meter.steps(1)?;
            let size = u64::from(view.u32(at)? & 0x7fff_ffff);
            at = at.saturating_add(4);
            if size == 0 {
                break;
            }
            let checksum = u64::from(flags & 0x10) >> 2;
            at = at.saturating_add(size).saturating_add(checksum);
        }
        let checksum = u64::from(flags & 4);
        view.slice(at, checksum)?;
        at = at.saturating_add(checksum);
    }
    Ok(())
}

fn zstd(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let n_read = Cell::new(0);
    let counted = Counted { input: input(view), n_read: &n_read };
    match ruzstd::decoding::StreamingDecoder::new(counted) {
        Ok(decoder) => {
            decoded(scope, view, decoder)?;
            trailing(scope, view, n_read.get());
            Ok(())
        }
        Err(_) => Err(Stop::broken(0, "a damaged Zstandard header")),
    }
}

/// Counts what a decoder takes, so that bytes behind its end are seen.
struct Counted<'c, R> {
    input: R,
    n_read: &'c Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        self.n_read.set(self.n_read.get().saturating_add(n as u64));
        Ok(n)
    }
}

fn trailing(scope: &mut Scope<'_>, view: &View<'_>, read: u64) {
    if read < view.len() {
        scope.report(&rules::FILE_TRAILING, read, "bytes follow the compressed data");
    }
}

/// Decoder for a member of a zip archive, by its method.
pub(crate) fn member<'a>(method: u16, view: &View<'a>) -> Result<Box<dyn Read + 'a>, Stop> {
    match method {
        8 => Ok(Box::new(flate2::bufread::DeflateDecoder::new(input(view)))),
        12 => Ok(Box::new(bzip2::bufread::BzDecoder::new(input(view)))),
        _ => Err(Stop::Unjudged("a member is compressed by a method that is not decoded here")),
    }
}
