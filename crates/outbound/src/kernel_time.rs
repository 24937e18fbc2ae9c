//! What the kernel knows about its own clock: the one place with unsafe code in this crate.
#![allow(unsafe_code, reason = "adjtimex has no safe wrapper")]

/// Bit of `timex.status` that says that nothing disciplines the clock (`adjtimex(2)`).
const STA_UNSYNC: i32 = 0x40;

/// How well the kernel's wall clock is kept.
pub(crate) struct Discipline {
    /// Whether a time daemon disciplines it.
    pub(crate) is_synchronised: bool,
    /// Largest error that the kernel admits, in nanoseconds.
    pub(crate) error_ns: u64,
}

/// Asks the kernel; takes a few hundred nanoseconds. A kernel that refuses counts as
/// undisciplined with an unbounded error.
pub(crate) fn discipline() -> Discipline {
    // SAFETY: `timex` is plain numbers, for which all-zero bytes are a value, and `modes == 0`
    // makes `adjtimex` only fill it in.
    let (outcome, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if outcome < 0 {
        return Discipline { is_synchronised: false, error_ns: i64::MAX as u64 };
    }
    let micros = u64::try_from(timex.maxerror).unwrap_or(0);
    let is_synchronised = timex.status & STA_UNSYNC == 0;
    Discipline { is_synchronised, error_ns: micros.saturating_mul(1_000) }
}
