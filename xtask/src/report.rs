//! What a run says: each step with its time, each thing skipped with its reason, one last line.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// Writes one line for whoever is watching.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A closed pipe is the reader's choice; the exit code still tells.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Counts of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that held.
    pub passed: u64,
    /// Those that did not, or could not be started.
    pub failed: u64,
    /// Those that were not run.
    pub skipped: u64,
}

/// The course of a run.
#[derive(Debug, Default)]
pub struct Report {
    counts: Counts,
    steps: Vec<(String, Duration)>,
    skipped: Vec<String>,
}

impl Report {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a step, says when it begins and ends, and counts what it returns; a step that could
    /// not be run at all is one failure.
    pub fn step(&mut self, name: &str, run: impl FnOnce() -> io::Result<Counts>) {
        say(&format!("\n==> {name}"));
        let start = Instant::now();
        let counts = run().unwrap_or_else(|error| {
            say(&format!("error: {error}"));
            Counts { failed: 1, ..Counts::default() }
        });
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        self.counts.skipped += counts.skipped;
        let verdict = if counts.failed == 0 { "done" } else { "FAILED" };
        say(&format!("<== {name}: {verdict} in {:.1} s", start.elapsed().as_secs_f64()));
        self.steps.push((name.to_owned(), start.elapsed()));
    }

    /// Notes that something was not run, and why; it counts as one.
    pub fn skip(&mut self, what: &str, why: &str) {
        say(&format!("\n==> {what}: SKIPPED: {why}"));
        self.skipped.push(format!("{what}: {why}"));
        self.counts.skipped += 1;
    }

    /// Prints times, skips and, alone on the last line, the counts. Returns whether all is well.
    pub fn close(&self) -> bool {
        say("");
        for (name, took) in &self.steps {
            say(&format!("{:>8.1} s  {name}", took.as_secs_f64()));
        }
        for line in &self.skipped {
            say(&format!(" skipped   {line}"));
        }
        say(&self.last_line());
        self.is_good()
    }

    fn is_good(&self) -> bool {
        self.counts.failed == 0 && 0 < self.counts.passed
    }

    fn last_line(&self) -> String {
        let Counts { passed, failed, skipped } = self.counts;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_skips_add_up() {
        let mut report = Report::new();
        assert!(!report.is_good(), "a run without a test is no success");
        report.step("a", || Ok(Counts { passed: 2, failed: 0, skipped: 1 }));
        report.skip("b", "no tool");
        assert!(report.is_good());
        report.step("c", || Err(io::Error::other("gone")));
        assert!(!report.is_good());
        assert_eq!(report.last_line(), "2 passed, 1 failed, 2 skipped");
    }
}
