//! Scanning what comes once, in order: a body of a request, a pipe, a download.

use std::io::{self, Read};

use bartizan_core::Digest;
use sha2::{Digest as _, Sha256};

use crate::budget::Meter;
use crate::engine::{self, Hash, Options, Report};
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::sniff;

/// Bytes that are read at once of what no reader wanted.
const CHUNK_BYTES: usize = 64 * 1024;

/// Scans what `reader` gives, to its end, without holding it: memory is bounded by
/// [`Budget::window_bytes_max`](crate::Budget::window_bytes_max) and the machine's tables.
///
/// As [`scan`](crate::scan), with two differences. What is no longer than the window is judged as
/// a file would be. Of what is longer, formats that are read in one pass (pickle, joblib, `.npy`,
/// safetensors, tar, compressed data) are judged as well, and those whose directory lies at the
/// end or that must seek (zip, HDF5) are not cleared: give those as a
/// [`Source`](crate::Source). All bytes count against
/// [`Budget::decoded_bytes_max`](crate::Budget::decoded_bytes_max).
///
/// Never fails: an error of the reader is a sighting, and the verdict then at least not cleared.
///
/// ```
/// # use bartizan_core::{Clock, ClockSource, Stamp};
/// # struct Still;
/// # impl Clock for Still {
/// #     fn now(&self) -> Stamp {
/// #         let source = ClockSource::Simulated;
/// #         Stamp { wall_ns: 0, raw_ns: 0, mono_ns: 0, source, error_ns: 0 }
/// #     }
/// # }
/// use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Verdict, scan_reader};
///
/// let (allow, budget) = (Allow::new(), Budget::default());
/// let options =
///     Options { allow: &allow, budget, clock: &Still, siblings: &Alone, hash: Hash::Whole };
/// let mut body = std::io::Cursor::new(b"cos\nsystem\n(S'id'\ntR.");
/// assert_eq!(scan_reader("m.pkl", &mut body, &options).verdict, Verdict::Hostile);
/// ```
pub fn scan_reader(name: &str, reader: &mut dyn Read, options: &Options<'_>) -> Report {
    let meter = Meter::new(options.budget, options.clock);
    let mut scope = Scope::new(options.allow, &meter, options.siblings);
    scope.file = crate::escape::text(name).into();
    let hasher = matches!(options.hash, Hash::Whole).then(Sha256::new);
    let mut counted = Counted { reader, hasher, n_bytes: 0, has_ended: false };
    // Nothing is compressed here, so there is no ratio to hold it against.
    if let Err(stop) = engine::read_decoded(&mut scope, &mut counted, u64::MAX) {
        scope.stopped(&stop);
    }
    if let Err(stop) = counted.finish(&scope) {
        scope.stopped(&stop);
    }
    sniff::compare_name(&mut scope, name);
    let ended = counted.has_ended;
    let digest = counted.hasher.filter(|_| ended).map(|it| Digest(it.finalize().into()));
    let mut formats = std::mem::take(&mut scope.formats);
    if formats.is_empty() {
        formats.push("unknown");
    }
    let (verdict, sightings, n_more) = scope.finish();
    Report { verdict, formats, bytes: counted.n_bytes, digest, sightings, n_more }
}

/// Hashes and counts what passes.
struct Counted<'a> {
    reader: &'a mut dyn Read,
    hasher: Option<Sha256>,
    n_bytes: u64,
    has_ended: bool,
}

impl Counted<'_> {
    /// Reads what no reader wanted, so that the digest is of the whole.
    fn finish(&mut self, scope: &Scope<'_>) -> Result<(), Stop> {
        let mut chunk = vec![0; CHUNK_BYTES];
        while !self.has_ended {
            self.read(&mut chunk).map_err(|error| Stop::Io(error.kind()))?;
            scope.meter.steps(1)?;
            if scope.meter.budget().decoded_bytes_max < self.n_bytes {
                return Err(Stop::Budget("decoded bytes"));
            }
        }
        Ok(())
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = loop {
            match self.reader.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        self.has_ended = n == 0 && !into.is_empty();
        self.n_bytes = self.n_bytes.saturating_add(n as u64);
        if let (Some(hasher), Some(new)) = (&mut self.hasher, into.get(..n)) {
            hasher.update(new);
        }
        Ok(n)
    }
}
