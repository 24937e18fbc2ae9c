//! Input that is meant to break a reader rather than to run: nests without end. There is always a
//! verdict, and never "cleared".

use std::io::Write as _;

use bartizan_core::{Clock, ClockSource, Stamp};
use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Report, Verdict, scan};
use flate2::Compression;
use flate2::write::GzEncoder;

struct Still;

impl Clock for Still {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

fn judge(name: &str, bytes: &[u8]) -> Report {
    let (allow, budget) = (Allow::new(), Budget::default());
    let options =
        Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Skip };
    scan(name, &bytes.to_vec(), &options)
}

fn has(report: &Report, rule: &str) -> bool {
    report.sightings.iter().any(|seen| seen.rule.id == rule)
}

/// Recursion bombs in every language that nests: no stack is used up, nothing is cleared.
#[test]
fn nests_without_end_have_a_verdict() {
    const DEEP: usize = 200_000;
    let nest = |open: &str, close: &str| [open.repeat(DEEP), close.repeat(DEEP)].concat();
    let mut bombs: Vec<(&str, Vec<u8>)> = vec![
        ("a.json", nest("[", "]").into_bytes()),
        ("a.json", nest("{\"a\":", "}").into_bytes()),
        ("a.json", "[".repeat(DEEP).into_bytes()),
        ("a.yaml", [b"a: ", nest("[", "]").as_bytes()].concat()),
        ("a.jinja", format!("{{{{ {} }}}}", nest("(", ")")).into_bytes()),
        ("a.jinja", nest("{% if a %}", "{% endif %}").into_bytes()),
        ("a.pkl", [&b"\x80\x02"[..], &b"]".repeat(DEEP), &b"a".repeat(DEEP - 2), b"."].concat()),
        ("a.pkl", [&b"\x80\x02"[..], &b"(".repeat(DEEP), &b"t".repeat(DEEP - 1), b"."].concat()),
    ];
    let header =
        format!("{{'descr': {}, 'fortran_order': False, 'shape': (), }}\n", nest("(", ")"));
    let length = u16::try_from(header.len() % 60_000).unwrap().to_le_bytes();
    bombs.push(("a.npy", [&b"\x93NUMPY\x01\0"[..], &length, header.as_bytes()].concat()));
    let length = (DEEP as u64 * 2).to_le_bytes();
    bombs.push(("a.safetensors", [&length[..], nest("[", "]").as_bytes()].concat()));
    for (name, bomb) in bombs {
        let report = judge(name, &bomb);
        assert_ne!(report.verdict, Verdict::Cleared, "{name}: {:?}", &bomb[..20]);
    }
}

/// Archives in archives end at the budget for depth, and what lies below is not cleared.
#[test]
fn archives_in_archives_end_at_the_depth_of_the_budget() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let depth_max = Budget::default().depth_max;
    let mut file = b"\x80\x04N.".to_vec();
    assert_eq!(judge("", &gzip(&file)).verdict, Verdict::Cleared);
    for _ in 0..=depth_max {
        file = gzip(&file);
    }
    let report = judge("", &file);
    assert_eq!(report.verdict, Verdict::NotCleared);
    assert!(has(&report, "scan.file.budget"), "{:?}", report.sightings);
}
