//! Rows of the bypass table that concern torch and tar files.

use crate::testing::{has, scan};
use crate::{Report, Verdict};

const STATE: &[u8] = include_bytes!("../../corpus/benign/torch/state_dict.pt");
const LEGACY: &[u8] = include_bytes!("../../corpus/benign/torch/state_dict.legacy.pth");
const PAYLOAD: &[u8] = b"cos\nsystem\n(S'id'\ntR.";

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[track_caller]
fn not_cleared(bytes: &[u8], rule: &str) -> Report {
    let report = scan(bytes);
    assert_ne!(report.verdict, Verdict::Cleared);
    assert!(has(&report, rule), "{rule}: {:?}", report.sightings);
    report
}

/// Storages are what the pickle says they are: another size, type or key is found.
#[test]
fn storages_must_be_those_that_the_pickle_names() {
    assert_eq!(scan(STATE).verdict, Verdict::Cleared, "{:?}", scan(STATE).sightings);
    let other_type = replaced(STATE, b"FloatStorage", b"DoublStorage");
    not_cleared(&other_type, "scan.pickle.unlisted");
    let other_kind = replaced(STATE, b"storage", b"storagf");
    not_cleared(&other_kind, "scan.pickle.persistent");
    let gone = replaced(STATE, b"state_dict/data/0", b"state_dict/data/7");
    not_cleared(&gone, "scan.zip.views");
}

/// A legacy file: every stream is judged, and the raw storages must end where the file ends.
#[test]
fn bypass_legacy_torch_file_with_a_payload_in_any_stream() {
    assert_eq!(scan(LEGACY).verdict, Verdict::Cleared, "{:?}", scan(LEGACY).sightings);
    let magic = &LEGACY[..15];
    let first = [magic, PAYLOAD].concat();
    assert_eq!(scan(&first).verdict, Verdict::Hostile);
    let tail = [LEGACY, PAYLOAD].concat();
    not_cleared(&tail, "scan.file.trailing");
    not_cleared(&LEGACY[..LEGACY.len() - 1], "scan.file.broken");
}

/// One header and its data.
fn tar(name: &str, kind: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.extend_from_slice(data);
    block.resize(block.len().div_ceil(512) * 512, 0);
    block
}

/// nullifAI and tar slip: members of a tar are judged, names and links that lead out are hostile.
#[test]
fn bypass_tar_members_links_and_names() {
    let end = [0_u8; 1024];
    let good = [&tar("a.pkl", b'0', "", b"\x80\x04N.")[..], &end].concat();
    assert_eq!(scan(&good).verdict, Verdict::Cleared, "{:?}", scan(&good).sightings);
    let bad = [&tar("a.txt", b'0', "", PAYLOAD)[..], &end].concat();
    assert!(has(&scan(&bad), "scan.pickle.call"));
    for (name, kind, link) in [
        ("../../x", b'0', ""),
        ("/etc/cron.d/x", b'0', ""),
        ("a", b'2', "/etc/passwd"),
        ("a", b'1', "../x"),
        ("a", b'6', ""),
    ] {
        let slip = [&tar(name, kind, link, b"")[..], &end].concat();
        let report = scan(&slip);
        assert_eq!(report.verdict, Verdict::Hostile, "{name} {link}: {:?}", report.sightings);
    }
    let hidden = [&good[..], PAYLOAD].concat();
    not_cleared(&hidden, "scan.file.trailing");
    crate::testing::cuts_are_never_cleared(&good[..good.len() - 1024]);
}
