//! Bytes of segments.
#![allow(clippy::indexing_slicing, reason = "a test that panics fails")]

use proptest::prelude::*;

use super::*;
use crate::entry::{Entry, EntryClass};

fn header() -> SegmentHeader {
    SegmentHeader {
        origin: "log.example/a/0".into(),
        epoch: 1,
        first_index: 17,
        segment_bytes: 1 << 26,
        folded_bytes: 5,
        opened_ns: 1_795_564_800_000_000_000,
        chain: [9; 32],
    }
}

fn frame(leaf: &[u8], sealed: &[u8]) -> Vec<u8> {
    let entry = Entry::new(leaf.to_vec(), sealed.to_vec(), EntryClass::Reserved).unwrap();
    let mut out = Vec::new();
    push_frame(&mut out, &entry, 17, 2, &[3; 32]);
    assert_eq!(out.len(), frame_bytes(entry.len_bytes()));
    out
}

/// The bytes that `docs/formats/wal.md` describes, pinned by their digest.
#[test]
fn the_bytes_of_header_and_frame_are_pinned() {
    let digest = bartizan_core::Digest::of(&header().encode());
    assert_eq!(digest.hex(), "0cafb1626e920656ad637b34d9f83fb8a5bd9e6bc2b180ec9388f6a63a3c081d");
    assert_eq!(
        bartizan_core::digest::hex(&frame(b"leaf", b"sealed")),
        "3b00000028f789021100000000000000020000000400020003030303030303030303030303030303030303030303030303030303030303036c6561667365616c65645a0000000000"
    );
}

/// W2: every flipped bit of a header page and every cut is refused.
#[test]
fn a_header_reads_back_and_no_other_page_does() {
    let page = header().encode();
    assert_eq!(SegmentHeader::parse(&page), Ok(header()));
    for bit in 0..page.len() * 8 {
        let mut flipped = page.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(SegmentHeader::parse(&flipped).is_err(), "read with bit {bit} flipped");
    }
    assert_eq!(SegmentHeader::parse(&page[..HEADER_BYTES - 1]), Err(HeaderFault::Short));
}

/// W1 and W2: frames of all lengths modulo 8 end on a multiple of 8, and no bit may differ.
#[test]
fn a_frame_reads_back_and_no_other_bytes_do() {
    for n in 0..9 {
        let (leaf, sealed) = (vec![7; 10], vec![8; n]);
        let bytes = frame(&leaf, &sealed);
        assert_eq!(bytes.len() % 8, 0);
        let read = parse_frame(&bytes).unwrap().unwrap();
        assert_eq!((read.index, read.group_pos, read.class), (17, 2, EntryClass::Reserved));
        assert_eq!((read.leaf, read.sealed, read.chain), (&leaf[..], &sealed[..], [3; 32]));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_frame(&flipped).is_err(), "read with bit {bit} flipped");
        }
        for len in 8..bytes.len() {
            assert_eq!(parse_frame(&bytes[..len]), Err(FrameFault::Cut));
        }
    }
    assert_eq!(parse_frame(&[0; 64]), Ok(None));
}

#[test]
fn only_canonical_names_are_segments() {
    assert_eq!(segment_name(0x1f), "wal/000000000000001f.wal");
    assert_eq!(parse_segment_name("000000000000001f.wal"), Some(0x1f));
    assert_eq!(parse_segment_name("ffffffffffffffff.wal"), Some(u64::MAX));
    for name in ["1f.wal", "000000000000001F.wal", "000000000000001f", "+00000000000001f.wal", ""] {
        assert_eq!(parse_segment_name(name), None, "{name:?}");
    }
}

/// W3, with the words of the format.
#[test]
fn the_chain_binds_record_payload_and_all_before() {
    let parts = [&[0x03][..], &[1; 32], &[2; 32], &[4; 32]].concat();
    let expected: [u8; 32] = Sha256::digest(parts).into();
    assert_eq!(next_chain(&[1; 32], &[2; 32], &[4; 32]), expected);
}

proptest! {
    /// Foreign bytes never panic and never make a frame longer than they are.
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = SegmentHeader::parse(&bytes);
        if let Ok(Some(frame)) = parse_frame(&bytes) {
            prop_assert!(frame.frame_bytes <= bytes.len());
        }
    }
}
