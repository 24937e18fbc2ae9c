//! Time as a value, and the port through which it comes.

use std::fmt;

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;
/// Seconds in a day, leap seconds aside.
pub const S_PER_DAY: u64 = 86_400;

/// Most that the system's clock may be behind the recorded time, in nanoseconds.
pub const STEP_BACK_NS_MAX: u64 = 2 * NS_PER_S;
/// Largest error of a clock that decisions are dated by, in nanoseconds.
pub const ERROR_NS_MAX: u64 = NS_PER_S;

/// Why a clock is not to be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockTrouble {
    /// It was set back by more than [`STEP_BACK_NS_MAX`].
    Behind {
        /// How far it is behind, in nanoseconds.
        behind_ns: u64,
    },
    /// Its error may exceed [`ERROR_NS_MAX`].
    Uncertain {
        /// The kernel's bound, in nanoseconds.
        error_ns: u64,
    },
}

/// What the wall clock is kept right by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockSource {
    /// The kernel says that a time daemon disciplines it.
    Synchronised,
    /// The kernel says that nothing does.
    Unsynchronised,
    /// A test's clock.
    Simulated,
}

impl ClockSource {
    /// The word for records and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synchronised => "synchronised",
            Self::Unsynchronised => "unsynchronised",
            Self::Simulated => "simulated",
        }
    }
}

/// One reading of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Wall time in nanoseconds since the Unix epoch; never less than an earlier stamp of the
    /// same clock.
    pub wall_ns: u64,
    /// What the system's wall clock said, which may have gone back.
    pub raw_ns: u64,
    /// Nanoseconds since some fixed moment of this boot; never goes back.
    pub mono_ns: u64,
    /// What keeps the wall clock right.
    pub source: ClockSource,
    /// Largest error of the wall clock that the kernel admits, in nanoseconds.
    pub error_ns: u64,
}

impl Stamp {
    /// Whole seconds since the Unix epoch.
    pub fn unix_s(&self) -> u64 {
        self.wall_ns / NS_PER_S
    }

    /// How far the system's clock is behind the recorded time, in nanoseconds: it was set back, or
    /// the log knows a later time.
    pub fn behind_ns(&self) -> u64 {
        self.wall_ns.saturating_sub(self.raw_ns)
    }

    /// Why decisions should not be dated by this reading, if anything. An error bound counts where
    /// something disciplines the clock, or where that is asked for.
    pub fn trouble(&self, must_be_synchronised: bool) -> Option<ClockTrouble> {
        let behind_ns = self.behind_ns();
        if STEP_BACK_NS_MAX < behind_ns {
            return Some(ClockTrouble::Behind { behind_ns });
        }
        let is_bounded = match self.source {
            ClockSource::Synchronised | ClockSource::Simulated => true,
            ClockSource::Unsynchronised => must_be_synchronised,
        };
        let is_wide = is_bounded && ERROR_NS_MAX < self.error_ns;
        is_wide.then_some(ClockTrouble::Uncertain { error_ns: self.error_ns })
    }

    /// Whole days since the Unix epoch: what a day key is named by.
    pub fn day(&self) -> u32 {
        (self.unix_s() / S_PER_DAY) as u32
    }
}

/// A clock. Reading it costs a few tens of nanoseconds and never blocks.
pub trait Clock: Send + Sync {
    /// Both clocks, read together.
    fn now(&self) -> Stamp;
}

/// Date of a day counted from the Unix epoch, in the proleptic Gregorian calendar.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(day: u64) -> (u64, u64, u64) {
    let z = day + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// Wall time as RFC 3339 text in UTC, to the microsecond.
pub struct Rfc3339(
    /// Nanoseconds since the Unix epoch.
    pub u64,
);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, micros) = (self.0 / NS_PER_S, self.0 % NS_PER_S / 1_000);
        let (year, month, day) = civil(secs / S_PER_DAY);
        let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// Wall time of RFC 3339 text in UTC (`2026-11-24T12:00:00Z`, fraction allowed) or of a date
/// alone (its midnight), in nanoseconds since the Unix epoch; `None` where it is neither.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let part = |text: &str, digits: usize| -> Option<u64> {
        let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        if plain { text.parse().ok() } else { None }
    };
    let mut fields = date.split('-');
    let (year, month, day) =
        (part(fields.next()?, 4)?, part(fields.next()?, 2)?, part(fields.next()?, 2)?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut hms = clock.split(':');
    let (hour, minute, second) =
        (part(hms.next()?, 2)?, part(hms.next()?, 2)?, part(hms.next()?, 2)?);
    let known = fields.next().is_none() && hms.next().is_none() && 1970 <= year;
    if !known || 23 < hour || 59 < minute || 59 < second || 9 < fraction.len() {
        return None;
    }
    // `days_from_civil` of the same source; `civil` then refuses dates that do not exist.
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = (era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy).checked_sub(719_468)?;
    if civil(days) != (year, month, day) {
        return None;
    }
    let nanos = part(fraction, fraction.len())? * 10_u64.pow(9 - fraction.len() as u32);
    let secs = days * S_PER_DAY + hour * 3_600 + minute * 60 + second;
    secs.checked_mul(NS_PER_S)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of each bound.
    #[test]
    fn a_clock_far_behind_or_uncertain_is_trouble() {
        let at = |raw_ns, source, error_ns| Stamp {
            wall_ns: 9 * NS_PER_S,
            raw_ns,
            mono_ns: 1,
            source,
            error_ns,
        };
        let (good, none) = (ClockSource::Synchronised, ClockSource::Unsynchronised);
        assert_eq!(at(7 * NS_PER_S, good, NS_PER_S).trouble(true), None);
        let behind = at(7 * NS_PER_S - 1, good, 0).trouble(false);
        assert_eq!(behind, Some(ClockTrouble::Behind { behind_ns: 2 * NS_PER_S + 1 }));
        let error_ns = NS_PER_S + 1;
        let wide = Some(ClockTrouble::Uncertain { error_ns });
        assert_eq!(at(9 * NS_PER_S, good, error_ns).trouble(false), wide);
        assert_eq!(at(9 * NS_PER_S, none, error_ns).trouble(true), wide);
        assert_eq!(at(9 * NS_PER_S, none, error_ns).trouble(false), None);
    }

    /// Known dates, among them a leap day and both ends of a year.
    #[test]
    fn wall_time_prints_and_reads_as_rfc_3339() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000Z"),
            (1_795_564_800, "2026-11-25T00:00:00.000000Z"),
        ] {
            assert_eq!(Rfc3339(secs * NS_PER_S).to_string(), text);
            assert_eq!(parse_rfc3339(text), Some(secs * NS_PER_S), "{text}");
        }
        assert_eq!(parse_rfc3339("2026-11-25"), Some(1_795_564_800 * NS_PER_S));
        for text in [
            "",
            "2023-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-11-25T24:00:00Z",
            "1969-12-31",
            "2026-11-25T00:00:00",
            "2026-11-25T00:00:00+01:00",
            "+026-11-25",
        ] {
            assert_eq!(parse_rfc3339(text), None, "accepted {text:?}");
        }
    }
}
