//! The one recursive engine: sniffs a part by its content and hands it to the reader of that
//! format, which hands its members back.

use std::io::{Cursor, Read};

use bartizan_core::{Clock, Digest};

use crate::allow::Allow;
use crate::budget::{Budget, Meter, Metered};
use crate::hash::Hashing;
use crate::rules;
use crate::scope::{Scope, Siblings};
use crate::sighting::{Sighting, Stop};
use crate::sniff::{self, Format, Head, Reader};
use crate::source::{Source, Stream, View};
use crate::verdict::Verdict;

/// Bytes at the start of a part that are looked at to tell its format.
pub(crate) const HEAD_BYTES: usize = 4096;

/// Whether the digest of the file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Hash every byte, in the same pass.
    Whole,
    /// Tensor data is passed over unread.
    Skip,
}

/// What a scan is told.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Names that pickles may import.
    pub allow: &'a Allow,
    /// What it may spend.
    pub budget: Budget,
    /// Time, for the budget.
    pub clock: &'a dyn Clock,
    /// Files beside the one that is scanned.
    pub siblings: &'a dyn Siblings,
    /// Whether to hash.
    pub hash: Hash,
}

/// What is concluded about one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The conclusion.
    pub verdict: Verdict,
    /// Formats that were recognised, in the order in which they were met, each once.
    pub formats: Vec<&'static str>,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of the whole file, where it was wanted and could be read.
    pub digest: Option<Digest>,
    /// What was found, in the order in which it was found.
    pub sightings: Vec<Sighting>,
    /// How many more there were.
    pub n_more: u64,
}

impl Report {
    /// A file that could not be opened; why, in words.
    pub fn unreadable(why: &str) -> Self {
        let mut report = Self {
            verdict: Verdict::NotCleared,
            formats: vec!["unknown"],
            bytes: 0,
            digest: None,
            sightings: Vec::new(),
            n_more: 0,
        };
        report.add(&rules::FILE_UNREADABLE, why);
        report
    }

    /// The file was written to while it was scanned.
    pub fn changed(&mut self) {
        self.add(&rules::FILE_CHANGED, "it was written to during the scan");
    }

    fn add(&mut self, rule: &'static bartizan_core::Rule, what: &str) {
        self.verdict = self.verdict.and(Verdict::of(rule.severity));
        self.sightings.push(Sighting {
            rule,
            member: "".into(),
            offset: 0,
            what: crate::escape::text(what).into(),
            advisories: &[],
            count: 1,
            suppressed: None,
        });
    }

    /// Takes what `rule` found as accepted, for `reason`, and concludes anew. What was not kept
    /// whole cannot be accepted: then the verdict stays.
    pub fn suppress(&mut self, rule: &str, reason: &str) {
        for seen in self.sightings.iter_mut().filter(|seen| seen.rule.id == rule) {
            seen.suppressed = Some(crate::escape::text(reason).into());
        }
        if self.n_more == 0 {
            let left = self.sightings.iter().filter(|seen| seen.suppressed.is_none());
            self.verdict = left
                .map(|seen| Verdict::of(seen.rule.severity))
                .fold(Verdict::Cleared, Verdict::and);
        }
    }
}

/// Scans one file. `name` is its file name, which only ever adds a remark, never a verdict.
///
/// Never fails: what cannot be read is a sighting, and the verdict then at least not cleared.
/// Memory is bounded by [`Budget::window_bytes_max`] and the machine's tables, whatever the file
/// claims.
pub fn scan(name: &str, source: &dyn Source, options: &Options<'_>) -> Report {
    let meter = Meter::new(options.budget, options.clock);
    let mut scope = Scope::new(options.allow, &meter, options.siblings);
    scope.file = crate::escape::text(name).into();
    let hashing = Hashing::new(source);
    let seen: &dyn Source = match options.hash {
        Hash::Whole => &hashing,
        Hash::Skip => source,
    };
    let view = View::whole(seen);
    if let Err(stop) = read_view(&mut scope, &view) {
        scope.stopped(&stop);
    }
    sniff::compare_name(&mut scope, name);
    let digest = match options.hash {
        Hash::Skip => None,
        Hash::Whole => match hashing.finish(options.clock, options.budget.time_ms_max) {
            Ok(digest) => Some(digest),
            Err(stop) => {
                scope.stopped(&stop);
                None
            }
        },
    };
    let mut formats = std::mem::take(&mut scope.formats);
    if formats.is_empty() {
        formats.push("unknown");
    }
    let (verdict, sightings, n_more) = scope.finish();
    Report { verdict, formats, bytes: source.size(), digest, sightings, n_more }
}

/// Reads a part that can be read at random.
pub(crate) fn read_view(scope: &mut Scope<'_>, view: &View<'_>) -> Result<(), Stop> {
    let head_len = view.len().min(HEAD_BYTES as u64);
    let bytes = view.bytes(0, head_len, HEAD_BYTES as u64)?;
    let head = Head { bytes: &bytes, len: Some(view.len()), view: Some(view) };
    let tail = crate::zip::tail(view)?;
    let format = sniff::sniff(&head, scope.name());
    let format = match (format, tail) {
        (Some(format), true) if !format.holds_zips() => {
            let what = format!("it is {} and also a zip archive", format.name);
            scope.report(&rules::FILE_POLYGLOT, 0, what);
            begin(scope, "zip");
            crate::zip::read(scope, view)?;
            Some(format)
        }
        (None, true) => {
            scope.report(&rules::FILE_POLYGLOT, 0, "a zip archive behind other bytes");
            begin(scope, "zip");
            return crate::zip::read(scope, view);
        }
        (format, _) => format,
    };
    let Some(format) = format else { return unknown(scope, &bytes) };
    begin(scope, format.name);
    match format.reader {
        Reader::Forward(read) => read(scope, &mut view.stream()),
        Reader::Random(read) => read(scope, view),
        Reader::None(why) => Err(Stop::Unjudged(why)),
    }
}

/// Reads what a decoder puts out; `total_in` is how many bytes go into it.
pub(crate) fn read_decoded(
    scope: &mut Scope<'_>,
    decoder: impl Read,
    total_in: u64,
) -> Result<(), Stop> {
    let meter = scope.meter;
    let mut metered = Metered { decoder, meter, total_in, total_out: 0 };
    let window = meter.budget().window_bytes_max;
    let mut held = Vec::new();
    let done = (&mut metered).take(window).read_to_end(&mut held);
    match done {
        Ok(_) if (held.len() as u64) < window => read_view(scope, &View::whole(&held)),
        Ok(_) => {
            let rest = Box::new(Cursor::new(held).chain(metered));
            read_stream(scope, &mut Stream::decoder(rest))
        }
        Err(_) => {
            // What came out before the damage is judged too; the stream says what was wrong.
            let kind = done.err().map_or(std::io::ErrorKind::InvalidData, |error| error.kind());
            let rest = Box::new(Cursor::new(held).chain(Failing(kind)));
            read_stream(scope, &mut Stream::decoder(rest))
        }
    }
}

/// Reads a part that comes once, in order.
pub(crate) fn read_stream(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    // A decoder that fails early still has a head to be judged by.
    let bytes = match stream.peek(HEAD_BYTES) {
        Ok(bytes) => bytes.to_vec(),
        Err(stop) => {
            let head = stream.held().to_vec();
            if head.is_empty() {
                return Err(stop);
            }
            head
        }
    };
    let head = Head { bytes: &bytes, len: None, view: None };
    let Some(format) = sniff::sniff(&head, scope.name()) else {
        return unknown(scope, &bytes);
    };
    begin(scope, format.name);
    match format.reader {
        Reader::Forward(read) => read(scope, stream),
        Reader::Random(read) => {
            let all = stream.rest(scope.meter.budget().window_bytes_max)?;
            read(scope, &View::whole(&all))
        }
        Reader::None(why) => Err(Stop::Unjudged(why)),
    }
}

/// Notes a format for the report.
pub(crate) fn begin(scope: &mut Scope<'_>, name: &'static str) {
    if !scope.formats.contains(&name) {
        scope.formats.push(name);
    }
}

fn unknown(scope: &mut Scope<'_>, head: &[u8]) -> Result<(), Stop> {
    if head.is_empty() {
        begin(scope, "empty");
        return Ok(());
    }
    if crate::checkpoint::is_values(scope) {
        begin(scope, "tensorflow checkpoint values");
        return Ok(());
    }
    let shown = crate::escape::bytes(head.get(..16).unwrap_or(head));
    scope.report(&rules::FILE_UNKNOWN, 0, format!("it begins with `{shown}`"));
    Ok(())
}

/// Fails at once.
struct Failing(std::io::ErrorKind);

impl Read for Failing {
    fn read(&mut self, _into: &mut [u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }
}

impl Format {
    /// Whether parts of it may be whole archives, so that one at its end says nothing.
    fn holds_zips(&self) -> bool {
        matches!(self.name, "zip" | "tar")
    }
}
