//! Tests of the look through pages.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test that is wrong about its own bytes should fail"
)]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::read::tests::Temporary;

const LIMITS: PageLimits = PageLimits { page_bytes_max: 1_000, bytes_max: 2_500 };

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while 0x7f < value {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn int(value: i64, out: &mut Vec<u8>) {
    varint((value << 1 ^ value >> 63).cast_unsigned(), out);
}

/// A page of version 1 with this size and encoding, whatever its body is.
fn data_page(bytes: i64, encoding: i64, body: &[u8]) -> Vec<u8> {
    let mut page = vec![0x15, 0, 0x15];
    int(bytes, &mut page);
    page.push(0x15);
    int(body.len() as i64, &mut page);
    page.extend([0x2c, 0x15, 2, 0x15]);
    int(encoding, &mut page);
    page.extend([0x15, 6, 0x15, 6, 0, 0]);
    page.extend(body);
    page
}

fn dictionary_page(bytes: i64, n: i64) -> Vec<u8> {
    let mut page = vec![0x15, 4, 0x15];
    int(bytes, &mut page);
    page.extend([0x15, 0, 0x4c, 0x15]);
    int(n, &mut page);
    page.extend([0x15, 0, 0, 0]);
    page
}

fn data_page_v2(bytes: i64, levels: [i64; 2], compressed: bool, body: &[u8]) -> Vec<u8> {
    let mut page = vec![0x15, 6, 0x15];
    int(bytes, &mut page);
    page.push(0x15);
    int(body.len() as i64, &mut page);
    page.extend([0x5c, 0x15, 2, 0x15, 0, 0x15, 2, 0x15, 0]);
    for levels in levels {
        page.push(0x15);
        int(levels, &mut page);
    }
    page.extend([if compressed { 0x11 } else { 0x12 }, 0, 0]);
    page.extend(body);
    page
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn look(pages: &[Vec<u8>], is_gzip: bool) -> Result<Sum, PageError> {
    let bytes = pages.concat();
    let file = Temporary::new(&bytes);
    let file = File::open(file.path()).unwrap();
    let chunk = Chunk { start: 0, bytes: bytes.len() as u64, value_bytes_min: 4, is_gzip };
    let mut sum = Sum::default();
    check(&file, chunk, LIMITS, &mut sum).map(|()| sum)
}

fn reason(pages: &[Vec<u8>], is_gzip: bool) -> String {
    match look(pages, is_gzip).unwrap_err() {
        PageError::Io(error) => error.to_string(),
        PageError::Bad(reason) => reason.to_owned(),
        PageError::TooLarge { what, bytes, limit } => format!("{bytes} {what}, {limit}"),
    }
}

/// The limits on one page and on all, from both sides.
#[test]
fn pages_are_bounded_singly_and_together() {
    let page = |bytes| data_page(bytes, 0, b"xy");
    let sum = look(&[page(1_000), page(1_000), page(500)], false).unwrap();
    assert_eq!(sum, Sum { bytes: 2_500, largest_bytes: 1_000, largest_delta_bytes: 0 });
    assert_eq!(reason(&[page(1_001)], false), "1001 bytes in a page, decompressed, 1000");
    let all = "2501 bytes in all pages, decompressed, 2500";
    assert_eq!(reason(&[page(1_000), page(1_000), page(501)], false), all);
    assert_eq!(reason(&[page(-1)], false), "a size is below zero");
    let delta = data_page(700, DELTA_BYTE_ARRAY.into(), b"xy");
    assert_eq!(look(&[page(900), delta], false).unwrap().largest_delta_bytes, 700);
}

/// A dictionary's number of values, from both sides of what its bytes can hold.
#[test]
fn a_dictionary_cannot_claim_more_than_it_holds() {
    assert!(look(&[dictionary_page(400, 100)], false).is_ok());
    let claim = "a dictionary claims more values than it has bytes";
    assert_eq!(reason(&[dictionary_page(400, 101)], false), claim);
    assert_eq!(reason(&[dictionary_page(400, i32::MAX.into())], false), claim);
}

/// A page compressed with gzip is as long as it says, neither shorter nor longer, in one member
/// or in several.
#[test]
fn gzip_cannot_expand_beyond_what_it_says() {
    let body = gzip(&[7; 900]);
    assert!(look(&[data_page(900, 0, &body)], true).is_ok());
    let several = [gzip(&[7; 500]), gzip(&[7; 400])].concat();
    assert!(look(&[data_page(900, 0, &several)], true).is_ok());
    let lie = "a page compressed with gzip is not as long as it says";
    let bomb = gzip(&vec![0; 500_000]);
    for (bytes, body) in [(899, &body), (901, &body), (899, &several), (900, &bomb)] {
        assert_eq!(reason(&[data_page(bytes, 0, body)], true), lie);
    }
    assert_eq!(reason(&[data_page(900, 0, b"not gzip")], true), lie);
}

/// Of a page of version 2 only what is behind the levels is compressed, if it is at all.
#[test]
fn levels_are_not_compressed() {
    let body = [&[1, 2, 3, 4, 5][..], &gzip(&[7; 90])].concat();
    assert!(look(&[data_page_v2(95, [2, 3], true, &body)], true).is_ok());
    assert!(look(&[data_page_v2(95, [2, 2], true, &body)], true).is_err());
    assert!(look(&[data_page_v2(95, [2, 3], false, &[0; 95])], true).is_ok());
    let longer = "a page's levels are longer than the page";
    assert_eq!(reason(&[data_page_v2(95, [90, 6], true, &body)], true), longer);
    assert_eq!(reason(&[data_page_v2(95, [i32::MAX.into(); 2], true, &body)], true), longer);
}

/// A chunk's pages fill it exactly, and lie in the file.
#[test]
fn pages_must_fill_their_chunk() {
    let page = data_page(100, 0, b"body");
    for len in 1..page.len() {
        let cut = page.get(..len).unwrap().to_vec();
        let text = reason(&[cut], false);
        assert!(text.contains("cut short"), "cut at {len}: {text}");
    }
    let file = Temporary::new(&page);
    let file = File::open(file.path()).unwrap();
    let chunk = |start, bytes| Chunk { start, bytes, value_bytes_min: 1, is_gzip: false };
    let whole = page.len() as u64;
    for chunk in [chunk(1, whole), chunk(0, whole + 1), chunk(u64::MAX, 9), chunk(0, u64::MAX)] {
        assert!(check(&file, chunk, LIMITS, &mut Sum::default()).is_err(), "{chunk:?}");
    }
    assert!(check(&file, chunk(0, whole), LIMITS, &mut Sum::default()).is_ok());
}

/// A head with a long statistic is read, and one without end is not.
#[test]
fn a_head_may_be_long_but_not_endless() {
    let head = |len: usize| {
        let mut page = vec![0x15, 0, 0x15, 2, 0x15, 0, 0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6];
        page.extend([0x1c, 0x18]);
        varint(len as u64, &mut page);
        page.extend(vec![b'x'; len]);
        page.extend([0, 0, 0]);
        page
    };
    assert!(look(&[head(100_000)], false).is_ok());
    assert!(reason(&[head(2_000_000)], false).contains("longer than 1 MiB"));
}
