//! Progress on stderr, for what takes more than two seconds.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What takes less says nothing.
const SILENCE: Duration = Duration::from_secs(2);
/// How often a terminal is told.
const TERMINAL_PAUSE: Duration = Duration::from_millis(200);
/// How often a file or pipe is told.
const FILE_PAUSE: Duration = Duration::from_secs(10);

/// How far something is.
pub(crate) struct Progress {
    what: &'static str,
    begun: Instant,
    told: Option<Instant>,
    on_terminal: bool,
}

impl Progress {
    /// Progress of `what`, which begins now.
    pub(crate) fn new(what: &'static str) -> Self {
        let on_terminal = io::stderr().is_terminal();
        Self { what, begun: Instant::now(), told: None, on_terminal }
    }

    /// Says that `done` of `all` units are done, if it is time to.
    pub(crate) fn at(&mut self, done: u64, all: u64) {
        let now = Instant::now();
        let pause = if self.on_terminal { TERMINAL_PAUSE } else { FILE_PAUSE };
        let due = self.told.map_or(SILENCE <= now - self.begun, |told| pause <= now - told);
        if !due {
            return;
        }
        self.told = Some(now);
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
        let (start, end) = if self.on_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Talk that cannot be heard is no fault.
        let _unheard = write!(io::stderr(), "{start}{}: {percent} %{end}", self.what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.on_terminal && self.told.is_some() {
            let _unheard = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
