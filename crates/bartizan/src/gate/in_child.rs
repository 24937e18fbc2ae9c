//! The scanner in a child process without keys, network or the right to write: what a running
//! server asks.

use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bartizan_core::{Clock, ClockSource, Digest, Stamp};
use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Source, Verdict};
use serde::{Deserialize, Serialize};

use super::files::read_fully_at;
use super::{FINDINGS_MAX, Found, Judged, ScanError, Scanner};
use crate::child::confine::Confinement;
use crate::child::spawn::{Bounds, ChildError};
use crate::child::{self, Role};

/// How long a scan may take; the scan's own budget of time ends a little earlier.
const DEADLINE: Duration = Duration::from_secs(120);
/// The scan's own budget, in milliseconds.
const TIME_MS_MAX: u64 = 110_000;
/// Most bytes of an answer: all findings with the longest words that a scan makes.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// Longest text of a finding, in bytes.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Scans in a child.
#[derive(Debug, Default)]
pub(crate) struct InChild {
    /// How the first one was shut in.
    told: OnceLock<Confinement>,
}

/// What a child answers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    verdict: String,
    digest: Option<Digest>,
    found: Vec<ToldFinding>,
    n_more: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldFinding {
    rule: String,
    what: String,
    member: String,
    offset: u64,
    count: u64,
}

impl Scanner for InChild {
    fn scan(&self, _name: &str, bytes: &[u8]) -> Result<Judged, ScanError> {
        super::published::checked()?;
        let bounds = Bounds { deadline: DEADLINE, output_bytes_max: OUTPUT_BYTES_MAX };
        let answered = child::ask(Role::Scan, bytes, &bounds)?;
        self.told.get_or_init(|| answered.confinement);
        let told = serde_json::from_slice(&answered.output).ok().and_then(read);
        told.ok_or(ScanError::Child(ChildError::Ended {
            how: "it did not answer our question".to_owned(),
        }))
    }

    fn confinement(&self) -> String {
        if self.told.get().is_none() {
            // The smallest question there is; what goes wrong is told by the next real one.
            let _asked = self.scan("", b"\x80\x04N.");
        }
        match self.told.get() {
            Some(told) => format!("in a child process: {}", told.describe()),
            None => "in no child process: none can be started".to_owned(),
        }
    }

    fn confined(&self) -> Vec<(&'static str, bool)> {
        let told = self.told.get();
        let is_full = |part: fn(&Confinement) -> &str| told.map(part) == Some("full");
        vec![
            ("landlock", is_full(|it| &it.landlock)),
            ("seccomp", is_full(|it| &it.seccomp)),
            ("limits", is_full(|it| &it.limits)),
        ]
    }
}

/// The child's answer, held against what a scan can say: rules that there are, texts without
/// control characters.
fn read(told: Told) -> Option<Judged> {
    let verdict = Verdict::ALL.iter().copied().find(|one| one.as_str() == told.verdict)?;
    let plain = |text: &str| text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    let found = told.found.into_iter().take(FINDINGS_MAX).map(|it| {
        let rule = bartizan_scan::rule(&it.rule)?;
        (plain(&it.what) && plain(&it.member)).then_some(())?;
        let ToldFinding { rule: _, what, member, offset, count } = it;
        Some(Found { rule, what, member, offset, count })
    });
    let found: Vec<Found> = found.collect::<Option<_>>()?;
    // A verdict is never milder than what was found.
    let worst = found.iter().map(|found| Verdict::of(found.rule.severity));
    let verdict = worst.fold(verdict, Verdict::and);
    Some(Judged { verdict, digest: told.digest, found, n_more: told.n_more })
}

/// What the child does: scans `input`, answers on `out`.
pub(crate) fn work(input: File, out: &mut dyn io::Write) -> io::Result<()> {
    let source =
        Held { size: rustix::fs::seek(&input, rustix::fs::SeekFrom::End(0))?, file: input };
    let (allow, clock) = (Allow::new(), SinceStart(Instant::now()));
    let options = Options {
        allow: &allow,
        budget: Budget { time_ms_max: TIME_MS_MAX, ..Budget::default() },
        clock: &clock,
        siblings: &Alone,
        hash: Hash::Whole,
    };
    let judged = Judged::of(&bartizan_scan::scan("", &source, &options));
    let cut = |text: String| match text.floor_char_boundary(TEXT_BYTES_MAX) {
        end if end < text.len() => text.get(..end).unwrap_or("").to_owned(),
        _ => text,
    };
    let found = judged.found.into_iter().map(|found| ToldFinding {
        rule: found.rule.id.to_owned(),
        what: cut(found.what),
        member: cut(found.member),
        offset: found.offset,
        count: found.count,
    });
    let told = Told {
        verdict: judged.verdict.as_str().to_owned(),
        digest: judged.digest,
        found: found.collect(),
        n_more: judged.n_more,
    };
    serde_json::to_writer(out, &told)?;
    Ok(())
}

/// The sealed bytes.
struct Held {
    file: File,
    size: u64,
}

impl Source for Held {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        read_fully_at(&self.file, offset, into)
    }
}

/// Time since the child began: all that a budget needs, and the one clock that it is left.
struct SinceStart(Instant);

impl Clock for SinceStart {
    fn now(&self) -> Stamp {
        let mono_ns = u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let source = ClockSource::Unsynchronised;
        Stamp { wall_ns: mono_ns, raw_ns: mono_ns, mono_ns, source, error_ns: u64::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(verdict: &str, rule: &str, what: &str) -> Told {
        let found = ToldFinding {
            rule: rule.to_owned(),
            what: what.to_owned(),
            member: String::new(),
            offset: 0,
            count: 1,
        };
        Told { verdict: verdict.to_owned(), digest: None, found: vec![found], n_more: 0 }
    }

    /// A child that lies is not believed further than it can be: no rule of its own, no control
    /// characters, no verdict that its own findings contradict.
    #[test]
    fn an_answer_is_held_against_what_a_scan_can_say() {
        assert!(read(told("cleared", "scan.none", "x")).is_none());
        assert!(read(told("fine", "scan.pickle.call", "x")).is_none());
        assert!(read(told("hostile", "scan.pickle.call", "x\u{1b}[2J")).is_none());
        assert!(
            read(told("hostile", "scan.pickle.call", &"x".repeat(TEXT_BYTES_MAX + 1))).is_none()
        );
        let judged = read(told("cleared", "scan.pickle.call", "x")).unwrap();
        assert_eq!(judged.verdict, Verdict::Hostile);
    }

    /// The work itself, without its walls: the same verdict and digest as anywhere else.
    #[test]
    fn the_child_says_what_the_scan_says() {
        let folder = crate::testing::TempDir::new();
        for (bytes, verdict) in [
            (&b"\x80\x04N."[..], Verdict::Cleared),
            (b"cos\nsystem\n(S'id'\ntR.", Verdict::Hostile),
        ] {
            let path = folder.path().join("m");
            std::fs::write(&path, bytes).unwrap();
            let mut out = Vec::new();
            work(File::open(&path).unwrap(), &mut out).unwrap();
            let judged = read(serde_json::from_slice(&out).unwrap()).unwrap();
            assert_eq!((judged.verdict, judged.digest), (verdict, Some(Digest::of(bytes))));
        }
    }
}
