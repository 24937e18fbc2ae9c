//! What a scan may spend, and what it has spent.
//!
//! A budget that runs out is an outcome ([`Stop::Budget`]), never an error that hides what was
//! found before it.

use std::cell::Cell;
use std::io::{self, Read};

use bartizan_core::Clock;

use crate::sighting::Stop;

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Limits of one scan. Every one has a unit and a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most bytes that all decoders of one file may put out together.
    pub decoded_bytes_max: u64,
    /// Most bytes a decoder may put out for each byte it reads.
    pub ratio_max: u64,
    /// Most containers inside each other.
    pub depth_max: u32,
    /// Most members of all containers in one file.
    pub members_max: u64,
    /// Most opcodes of all pickles in one file.
    pub opcodes_max: u64,
    /// Most milliseconds for one file.
    pub time_ms_max: u64,
    /// Most bytes that are held in memory at once of a part that must be seen whole.
    pub window_bytes_max: u64,
    /// Most sightings that are kept whole; the rest are counted.
    pub sightings_max: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            decoded_bytes_max: 256 * 1024 * MIB,
            ratio_max: 1_100,
            depth_max: 8,
            members_max: 100_000,
            opcodes_max: 2_000_000_000,
            time_ms_max: 600_000,
            window_bytes_max: 12 * MIB,
            sightings_max: 256,
        }
    }
}

/// Bytes below which a decoder's ratio says nothing.
const RATIO_FLOOR_BYTES: u64 = 16 * MIB;
/// Charges between two looks at the clock.
const LOOK_EVERY: u32 = 64;

/// What was spent of a [`Budget`]. Shared by a scan and the decoders that it reads through.
pub(crate) struct Meter<'a> {
    budget: Budget,
    clock: &'a dyn Clock,
    ends_ns: u64,
    until_look: Cell<u32>,
    decoded: Cell<u64>,
    members: Cell<u64>,
    steps: Cell<u64>,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(budget: Budget, clock: &'a dyn Clock) -> Self {
        let ends_ns =
            clock.now().mono_ns.saturating_add(budget.time_ms_max.saturating_mul(1_000_000));
        let (until_look, decoded, members, steps) = Default::default();
        Self { budget, clock, ends_ns, until_look, decoded, members, steps }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Accounts for one member.
    pub(crate) fn member(&self) -> Result<(), Stop> {
        spend(&self.members, 1, self.budget.members_max, "members")?;
        self.time()
    }

    /// Accounts for `n` opcodes of a pickle, steps of a parser or nodes of a graph.
    pub(crate) fn steps(&self, n: u64) -> Result<(), Stop> {
        spend(&self.steps, n, self.budget.opcodes_max, "opcodes")?;
        self.time()
    }

    /// Accounts for `bytes` put out by a decoder.
    fn decoded(&self, bytes: u64) -> Result<(), Stop> {
        spend(&self.decoded, bytes, self.budget.decoded_bytes_max, "decoded bytes")?;
        self.time()
    }

    fn time(&self) -> Result<(), Stop> {
        if let Some(left) = self.until_look.get().checked_sub(1) {
            self.until_look.set(left);
            return Ok(());
        }
        self.until_look.set(LOOK_EVERY);
        if self.ends_ns < self.clock.now().mono_ns { Err(Stop::Budget("time")) } else { Ok(()) }
    }
}

fn spend(spent: &Cell<u64>, n: u64, max: u64, name: &'static str) -> Result<(), Stop> {
    spent.set(spent.get().saturating_add(n));
    if max < spent.get() { Err(Stop::Budget(name)) } else { Ok(()) }
}

/// Passes on what `decoder` puts out and stops when the meter or the ratio runs out: then with
/// [`io::ErrorKind::QuotaExceeded`].
pub(crate) struct Metered<'m, 'a, R> {
    pub(crate) decoder: R,
    pub(crate) meter: &'m Meter<'a>,
    /// Bytes that go in at most: those of the compressed part.
    pub(crate) total_in: u64,
    pub(crate) total_out: u64,
}

impl<R: Read> Read for Metered<'_, '_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(into)?;
        self.total_out = self.total_out.saturating_add(n as u64);
        let allowed =
            self.total_in.saturating_mul(self.meter.budget.ratio_max).max(RATIO_FLOOR_BYTES);
        if allowed < self.total_out || self.meter.decoded(n as u64).is_err() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(n)
    }
}
