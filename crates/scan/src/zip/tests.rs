//! Every row of the bypass table that concerns archives, by name.

use crate::testing::{has, scan};
use crate::{Report, Verdict};

const PAYLOAD: &[u8] = b"cos\nsystem\n(S'id'\ntR.";
const PLAIN: &[u8] = b"\x80\x04N.";

/// One entry as both views tell it.
#[derive(Clone)]
struct Entry {
    local_name: String,
    central_name: String,
    data: Vec<u8>,
    local_flags: u16,
    central_flags: u16,
    local_method: u16,
    crc: u32,
    hidden: bool,
}

fn entry(name: &str, data: &[u8]) -> Entry {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    Entry {
        local_name: name.into(),
        central_name: name.into(),
        data: data.to_vec(),
        local_flags: 0,
        central_flags: 0,
        local_method: 0,
        crc: crc.sum(),
        hidden: false,
    }
}

/// An archive of stored entries.
fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    let mut n = 0_u16;
    for entry in entries {
        let at = bytes.len() as u32;
        let size = entry.data.len() as u32;
        let common = |flags: u16, method: u16, name: &str| {
            let mut out = vec![20, 0];
            out.extend(flags.to_le_bytes());
            out.extend(method.to_le_bytes());
            out.extend([0; 4]);
            out.extend(entry.crc.to_le_bytes());
            out.extend(size.to_le_bytes());
            out.extend(size.to_le_bytes());
            out.extend((name.len() as u16).to_le_bytes());
            out.extend([0; 2]);
            out
        };
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend(common(entry.local_flags, entry.local_method, &entry.local_name));
        bytes.extend_from_slice(entry.local_name.as_bytes());
        bytes.extend_from_slice(&entry.data);
        if !entry.hidden {
            n += 1;
            directory.extend_from_slice(b"PK\x01\x02\x14\0");
            directory.extend(common(entry.central_flags, 0, &entry.central_name));
            directory.extend([0; 10]);
            directory.extend(at.to_le_bytes());
            directory.extend_from_slice(entry.central_name.as_bytes());
        }
    }
    let start = bytes.len() as u32;
    bytes.extend_from_slice(&directory);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend(n.to_le_bytes());
    bytes.extend(n.to_le_bytes());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

#[track_caller]
fn hostile(bytes: &[u8], rule: &str) -> Report {
    let report = scan(bytes);
    assert_eq!(report.verdict, Verdict::Hostile, "{:?}", report.sightings);
    assert!(has(&report, rule), "{rule}: {:?}", report.sightings);
    report
}

/// A plain archive is cleared; what is in it decides, at any depth, under any name.
#[test]
fn members_are_judged_by_content_at_any_depth() {
    let good = archive(&[entry("a.pkl", PLAIN), entry("b.pkl", PLAIN)]);
    assert_eq!(scan(&good).verdict, Verdict::Cleared, "{:?}", scan(&good).sightings);
    let inner = archive(&[entry("weights.safetensors", PAYLOAD)]);
    let report = hostile(&archive(&[entry("in.zip", &inner)]), "scan.pickle.call");
    assert_eq!(&*report.sightings[0].member, "in.zip!/weights.safetensors");
    // Too deep is not cleared, and ends.
    let mut deep = PLAIN.to_vec();
    for _ in 0..40 {
        deep = archive(&[entry("x", &deep)]);
    }
    assert!(has(&scan(&deep), "scan.file.budget"));
}

/// Z2, CVE-2025-1944: renamed in the directory.
#[test]
fn bypass_zip_renamed_in_the_central_directory() {
    let mut renamed = entry("data.pkl", PAYLOAD);
    renamed.central_name = "text.txt".into();
    let report = hostile(&archive(&[renamed]), "scan.zip.views");
    assert!(has(&report, "scan.pickle.call"));
    let mut harmless = entry("data.pkl", PLAIN);
    harmless.central_name = "text.txt".into();
    hostile(&archive(&[harmless]), "scan.zip.views");
}

/// CVE-2025-1945: flag bits that make a reader give up; CVE-2025-10156: a wrong checksum.
#[test]
fn bypass_zip_flag_bits_and_checksums() {
    for (local, central) in [(1, 0), (0, 1), (1, 1), (0x20, 0x20), (0x40, 0), (0x2000, 0)] {
        let mut odd = entry("data.pkl", PAYLOAD);
        (odd.local_flags, odd.central_flags) = (local, central);
        assert_ne!(scan(&archive(&[odd])).verdict, Verdict::Cleared, "{local:#x} {central:#x}");
    }
    let mut wrong = entry("data.pkl", PAYLOAD);
    wrong.crc ^= 1;
    hostile(&archive(&[wrong]), "scan.pickle.call");
    let mut wrong = entry("data.pkl", PLAIN);
    wrong.crc ^= 1;
    assert_ne!(scan(&archive(&[wrong])).verdict, Verdict::Cleared);
}

/// Z1: a member that only one of the two views has.
#[test]
fn bypass_zip_member_hidden_from_one_view() {
    let mut hidden = entry("data.pkl", PAYLOAD);
    hidden.hidden = true;
    hostile(&archive(&[entry("a", PLAIN), hidden.clone()]), "scan.pickle.call");
    hidden.data = PLAIN.to_vec();
    hostile(&archive(&[entry("a", PLAIN), hidden]), "scan.zip.views");
}

/// Two members of one name: readers take one or the other.
#[test]
fn bypass_zip_duplicate_names() {
    for order in [[PAYLOAD, PLAIN], [PLAIN, PAYLOAD]] {
        hostile(&archive(&[entry("d", order[0]), entry("d", order[1])]), "scan.pickle.call");
    }
    let report = scan(&archive(&[entry("d", PLAIN), entry("d", PLAIN)]));
    assert_eq!(report.verdict, Verdict::NotCleared);
}

/// Z3, overlapping members: a bomb, or two meanings of the same bytes.
#[test]
fn bypass_zip_overlap() {
    // The second entry's header is the data of the first.
    let inner = archive(&[entry("b", PAYLOAD)]);
    let outer = archive(&[entry("a", &inner[..inner.len() - 22])]);
    assert_eq!(scan(&outer).verdict, Verdict::NotCleared);
    let mut shared = archive(&[entry("a", PLAIN), entry("b", PLAIN)]);
    let second = shared.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    shared[second + 42..second + 46].copy_from_slice(&0_u32.to_le_bytes());
    hostile(&shared, "scan.zip.views");
}

/// Names that lead out of the archive.
#[test]
fn bypass_zip_names_that_lead_out() {
    for name in ["../x", "/etc/passwd", "a/../../x", "C:\\x", "\\\\host\\x"] {
        hostile(&archive(&[entry(name, PLAIN)]), "scan.archive.escape");
    }
}

/// Bytes before, between and after: an archive behind a pickle is both.
#[test]
fn bypass_polyglot_of_pickle_and_zip() {
    let good = archive(&[entry("a", PLAIN)]);
    let both = [PAYLOAD, &good[..]].concat();
    hostile(&both, "scan.pickle.call");
    let behind = [PLAIN, &archive(&[entry("a", PAYLOAD)])[..]].concat();
    hostile(&behind, "scan.pickle.call");
    let harmless = [PLAIN, &good[..]].concat();
    assert!(has(&scan(&harmless), "scan.file.polyglot"));
    let after = [&good[..], b"tail"].concat();
    assert_ne!(scan(&after).verdict, Verdict::Cleared);
}

/// Deflate: a bomb stops at the ratio, a payload inside is seen.
#[test]
fn bypass_zip_bomb() {
    use std::io::Write as _;

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..40 {
        bomb.write_all(&zeros).unwrap();
    }
    let report = scan(&bomb.finish().unwrap());
    assert_ne!(report.verdict, Verdict::Cleared);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(PAYLOAD).unwrap();
    let packed = packed.finish().unwrap();
    hostile(&packed, "scan.pickle.call");
    // Damaged after the payload: what came out before counts.
    hostile(&packed[..packed.len() - 6], "scan.pickle.call");
}

/// A cut archive is never cleared.
#[test]
fn a_cut_archive_is_never_cleared() {
    let good = archive(&[entry("a.pkl", PLAIN), entry("b.pkl", PLAIN)]);
    crate::testing::cuts_are_never_cleared(&good);
    crate::testing::mutations_never_panic(&good);
}
