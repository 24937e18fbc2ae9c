//! Tests of the GGUF reader: templates, bounds, and a file of the gguf library.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "tests may panic"
)]

use crate::Verdict;
use crate::testing::{has, scan};

const GENUINE: &[u8] = include_bytes!("../../corpus/benign/gguf/tiny.gguf");

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn value(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

fn file(values: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((values.len() as u64).to_le_bytes());
    bytes.extend(values.concat());
    bytes.extend(tensors.concat());
    if data > 0 {
        bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
    }
    bytes
}

/// A file of the gguf library is cleared; cut anywhere it is not.
#[test]
fn a_genuine_file_is_cleared_and_its_pieces_are_not() {
    let report = scan(GENUINE);
    assert_eq!(report.verdict, Verdict::Cleared, "{:?}", report.sightings);
    // The last tensor may lack the zeros that fill up its block.
    crate::testing::cuts_are_never_cleared(GENUINE);
    crate::testing::mutations_never_panic(GENUINE);
}

/// Row CVE-2024-34359, G3: a hostile template is found under any key, also in arrays.
#[test]
fn hostile_templates_are_found_under_any_key() {
    let hostile = text("{{ ''.__class__.__base__.__subclasses__() }}");
    let array = [&8_u32.to_le_bytes()[..], &1_u64.to_le_bytes(), &hostile].concat();
    for values in [
        vec![value("tokenizer.chat_template", 8, &hostile)],
        vec![value("tokenizer.chat_template.tool_use", 8, &hostile)],
        vec![value("general.description", 8, &hostile)],
        vec![value("tokenizer.chat_templates", 9, &array)],
    ] {
        let bytes = file(&values, &[], 0);
        let report = scan(&bytes);
        assert_eq!(report.verdict, Verdict::Hostile, "{:?}", report.sightings);
        assert!(has(&report, "scan.template.attribute"));
    }
    let plain = value("tokenizer.chat_template", 8, &text("{{ messages[0]['content'] }}"));
    assert_eq!(scan(&file(&[plain], &[], 0)).verdict, Verdict::Cleared);
}

/// G1, G2: counts, lengths and places that overflow, overlap or lie outside.
#[test]
fn claims_are_held_against_the_file() {
    let huge = u64::MAX.to_le_bytes();
    let mut counts = file(&[], &[], 0);
    counts[8..16].copy_from_slice(&huge);
    let array = [&4_u32.to_le_bytes()[..], &(u64::MAX / 4 + 1).to_le_bytes()].concat();
    let deep = [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat().repeat(10);
    let pair =
        |first: u64, second: u64| vec![tensor("a", &[8], 0, first), tensor("b", &[8], 0, second)];
    let good = file(&[], &pair(0, 32), 64);
    assert_eq!(scan(&good).verdict, Verdict::Cleared, "{:?}", scan(&good).sightings);
    for (why, bytes, verdict) in [
        ("tensors", counts, Verdict::Hostile),
        ("text", file(&[value("a", 8, &huge)], &[], 0), Verdict::Hostile),
        ("array", file(&[value("a", 9, &array)], &[], 0), Verdict::Hostile),
        ("key", file(&[[&huge[..], b"a"].concat()], &[], 0), Verdict::Hostile),
        ("depth", file(&[value("a", 9, &deep)], &[], 0), Verdict::NotCleared),
        ("kind", file(&[value("a", 13, b"")], &[], 0), Verdict::NotCleared),
        ("overlap", file(&[], &pair(0, 0), 64), Verdict::Hostile),
        ("unaligned", file(&[], &pair(0, 33), 96), Verdict::Hostile),
        ("gap", file(&[], &pair(0, 64), 96), Verdict::NotCleared),
        ("tail", file(&[], &pair(0, 32), 65), Verdict::NotCleared),
        ("short", file(&[], &pair(0, 32), 63), Verdict::NotCleared),
        ("dims", file(&[], &[tensor("a", &[1; 5], 0, 0)], 32), Verdict::Hostile),
        ("product", file(&[], &[tensor("a", &[1 << 33; 2], 0, 0)], 32), Verdict::Hostile),
        ("offset", file(&[], &[tensor("a", &[8], 0, u64::MAX - 31)], 32), Verdict::Hostile),
        (
            "same key",
            file(&[value("a", 0, b"1"), value("a", 0, b"1")], &[], 0),
            Verdict::NotCleared,
        ),
        ("alignment", file(&[value("general.alignment", 4, &[0; 4])], &[], 0), Verdict::Hostile),
        ("order", b"FUGG\0\0\0\x03".to_vec(), Verdict::NotCleared),
    ] {
        let report = scan(&bytes);
        assert_eq!(report.verdict, verdict, "{why}: {:?}", report.sightings);
    }
}
