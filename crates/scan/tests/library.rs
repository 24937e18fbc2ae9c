//! The crate as a library: a reader that streams, and what the crate never reaches for.

use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use bartizan_core::{Clock, ClockSource, Digest, Stamp};
use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Report, Verdict, scan, scan_reader};

struct Still;

impl Clock for Still {
    fn now(&self) -> Stamp {
        let source = ClockSource::Simulated;
        Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
    }
}

/// Gives a few bytes at a time, and a signal now and then.
struct Dripping<'a>(Cursor<&'a [u8]>, usize);

impl Read for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = into.len().min(701);
        self.0.read(&mut into[..n])
    }
}

fn judge(name: &str, how: &dyn Fn(&str, &Options<'_>) -> Report) -> Report {
    let (allow, budget) = (Allow::new(), Budget::default());
    how(
        name,
        &Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Whole },
    )
}

fn streamed(name: &str, bytes: &[u8]) -> Report {
    judge(name, &|name, options| scan_reader(name, &mut Dripping(Cursor::new(bytes), 0), options))
}

#[expect(clippy::unwrap_used, reason = "without its files this test can say nothing")]
fn below(folder: &str) -> Vec<PathBuf> {
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { left.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Every file of the corpus has the same verdict, digest and size as a stream and as a file.
#[test]
fn a_stream_is_judged_as_the_file_is() {
    for path in below("corpus") {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let as_file = judge(&name, &|name, options| scan(name, &bytes, options));
        let as_stream = streamed(&name, &bytes);
        assert_eq!(as_stream.verdict, as_file.verdict, "{}", path.display());
        assert_eq!(as_stream.digest, Some(Digest::of(&bytes)), "{}", path.display());
        assert_eq!(as_stream.bytes, bytes.len() as u64, "{}", path.display());
    }
}

/// Longer than the window: one pass is enough for a pickle, before and after its bulk; what must
/// seek is not cleared.
#[test]
fn a_stream_beyond_the_window_is_judged_in_one_pass_or_not_cleared() {
    let n = usize::try_from(Budget::default().window_bytes_max).unwrap() + 1_000_000;
    let bulk = [&b"\x80\x04\x8e"[..], &(n as u64).to_le_bytes(), &vec![0; n]].concat();
    let good = streamed("m.pkl", &[&bulk[..], b"."].concat());
    assert_eq!(good.verdict, Verdict::Cleared, "{:?}", good.sightings);
    let hostile = streamed("m.pkl", &[&bulk[..], b"0cos\nsystem\n(S'id'\ntR."].concat());
    assert_eq!(hostile.verdict, Verdict::Hostile);
    let cut = streamed("m.pkl", &bulk);
    assert_eq!(cut.verdict, Verdict::NotCleared);
    let zip = [&b"PK\x03\x04\x14\0"[..], &vec![0; n]].concat();
    let zip = streamed("m.zip", &zip);
    assert_eq!(zip.verdict, Verdict::NotCleared, "{:?}", zip.sightings);
}

/// A reader that fails is not cleared, whatever came before.
#[test]
fn a_stream_that_fails_is_not_cleared() {
    struct Failing(bool);
    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            into[..5].copy_from_slice(b"\x80\x04N.\n");
            Ok(4)
        }
    }
    let report = judge("m.pkl", &|name, options| scan_reader(name, &mut Failing(false), options));
    assert_eq!((report.verdict, report.digest), (Verdict::NotCleared, None));
}

/// The crate starts no process, opens no file or socket, reads no environment and no clock, and
/// has no `unsafe`: its code does not name them.
#[test]
fn the_crate_reaches_for_nothing_outside() {
    let mut n = 0;
    for path in below("src") {
        if path.extension().is_none_or(|it| it != "rs")
            || path.ends_with("testing.rs")
            || path.ends_with("tests.rs")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            for word in [
                "std::process",
                "std::fs",
                "std::net",
                "std::env",
                "std::os::",
                "std::thread",
                "Command::",
                "SystemTime",
                "Instant::",
                "unsafe ",
                "libloading",
                "extern ",
            ] {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
        n += 1;
    }
    assert!(n > 50, "only {n} files were read");
}
