//! Tar archives: ustar, GNU and pax headers; every member is judged, links are not followed.

use crate::engine;
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff::{Format, Head, Reader};
use crate::source::View;
use crate::zip;

/// Bytes of a block.
const BLOCK: u64 = 512;
/// Longest name that an extra header may carry, in bytes.
const NAME_BYTES_MAX: u64 = 4096;

pub(crate) const FORMAT: Format =
    Format { name: "tar", claims: is_tar, reader: Reader::Random(read) };

fn is_tar(head: &Head<'_>) -> bool {
    head.bytes.first_chunk::<512>().is_some_and(|block| sum_is_right(block) && block[0] != 0)
}

/// The sum of all bytes, with the sum's own field as blanks.
fn sum_is_right(block: &[u8; 512]) -> bool {
    let mut sum = 0_u64;
    for (at, byte) in block.iter().enumerate() {
        sum = sum.saturating_add(if (148..156).contains(&at) { 32 } else { u64::from(*byte) });
    }
    octal(block.get(148..156).unwrap_or(&[])) == Some(sum)
}

fn octal(field: &[u8]) -> Option<u64> {
    if let Some((&first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // GNU's base 256.
        let mut value = u64::from(first & 0x7f);
        for &byte in rest {
            value = value.checked_mul(256)?.checked_add(u64::from(byte))?;
        }
        return Some(value);
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or(field)).into_owned()
}

fn read(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let mut at = 0;
    let mut long_name = None;
    while at < view.len() {
        let block: [u8; 512] = view.array(at)?;
        if block.iter().all(|&byte| byte == 0) {
            return end(scope, view, at);
        }
        if !sum_is_right(&block) {
            return Err(Stop::broken(at, "a damaged header"));
        }
        let size = octal(block.get(124..136).unwrap_or(&[]))
            .ok_or(Stop::broken(at, "a size that is no number"))?;
        let data_at = at.saturating_add(BLOCK);
        let data = view.slice(data_at, size)?;
        let mut name = text(block.get(..100).unwrap_or(&[]));
        let prefix = text(block.get(345..500).unwrap_or(&[]));
        if block.get(257..263) == Some(b"ustar\0") && !prefix.is_empty() {
            name = format!("{prefix}/{name}");
        }
        let kind = block[156];
        match kind {
            b'L' | b'K' => {
                let bytes = data.bytes(0, size, NAME_BYTES_MAX)?;
                let linked = text(&bytes);
                check_name(scope, at, &linked);
                if kind == b'L' {
                    long_name = Some(linked);
                }
            }
            b'x' | b'g' => {
                let bytes = data.bytes(0, size, NAME_BYTES_MAX.saturating_mul(16))?;
                pax(scope, at, &bytes, &mut long_name)?;
            }
            b'0' | 0 | b'7' => {
                let name = long_name.take().unwrap_or(name);
                check_name(scope, at, &name);
                member(scope, &name, &data)?;
            }
            b'5' => {
                let name = long_name.take().unwrap_or(name);
                check_name(scope, at, &name);
            }
            b'1' | b'2' => {
                let to = text(block.get(157..257).unwrap_or(&[]));
                check_name(scope, at, &to);
                let what = format!("`{}` is a link", escape::text(&name));
                scope.report(&rules::FILE_BROKEN, at, what);
            }
            _ => {
                let what = format!("`{}` is a device, pipe or unknown", escape::text(&name));
                scope.report(&rules::ZIP_ESCAPE, at, what);
            }
        }
        at = data_at.saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
    }
    Err(Stop::broken(at, "the archive ends without its empty blocks"))
}

/// After the first empty block only empty blocks may follow.
fn end(scope: &mut Scope<'_>, view: &View<'_>, from: u64) -> Result<(), Stop> {
    let rest = view.slice(from, view.len().saturating_sub(from))?;
    let mut stream = rest.stream();
    loop {
        let chunk = stream.peek(4096)?;
        if chunk.is_empty() {
            return Ok(());
        }
        if chunk.iter().any(|&byte| byte != 0) {
            scope.report(&rules::FILE_TRAILING, from, "bytes follow the end of the archive");
            return Ok(());
        }
        let n = chunk.len() as u64;
        stream.skip(n)?;
        scope.meter.steps(1)?;
    }
}

fn member(scope: &mut Scope<'_>, name: &str, data: &View<'_>) -> Result<(), Stop> {
    scope.within(name, |scope| engine::read_view(scope, data))
}

/// `<length> <key>=<value>\n` records: only a path matters here, sizes must not change.
fn pax(
    scope: &mut Scope<'_>,
    at: u64,
    bytes: &[u8],
    long_name: &mut Option<String>,
) -> Result<(), Stop> {
    for line in String::from_utf8_lossy(bytes).split('\n') {
        let Some((key, value)) = line.split_once(' ').and_then(|(_, pair)| pair.split_once('='))
        else {
            continue;
        };
        match key {
            "path" => {
                check_name(scope, at, value);
                *long_name = Some(value.to_owned());
            }
            "linkpath" => check_name(scope, at, value),
            "size" => return Err(Stop::Unjudged("a pax header changes the size of a member")),
            _ => {}
        }
    }
    Ok(())
}

fn check_name(scope: &mut Scope<'_>, at: u64, name: &str) {
    if zip::leads_out(name) {
        let what = format!("`{}` leads out of the archive", escape::text(name));
        scope.report(&rules::ZIP_ESCAPE, at, what);
    }
}
