//! The commands, one module a verb. Data goes to stdout, talk to stderr, the conclusion is an
//! [`Answer`].

pub(crate) mod access;
pub(crate) mod aks;
pub(crate) mod approve;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod conformance;
pub(crate) mod demo;
pub(crate) mod erase;
pub(crate) mod guard;
pub(crate) mod hold;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod man;
pub(crate) mod model;
pub(crate) mod recorded;
pub(crate) mod restore;
pub(crate) mod revoke;
pub(crate) mod scan;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod trace;
pub(crate) mod vet;
pub(crate) mod witness;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_outbound::{OsClock, OsEntropy};

use crate::answer::Answer;
use crate::owner::World;
use crate::owner::reach::ReachError;

/// What every command is given.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// The environment's folder
    #[arg(
        id = "environment",
        short = 'e',
        long = "environment",
        value_name = "DIR",
        global = true,
        default_value = "."
    )]
    pub(crate) environment: PathBuf,
}

/// Shape of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON value
    Json,
}

/// Why a command has no good answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What it concludes.
    pub(crate) answer: Answer,
    /// What went wrong.
    pub(crate) error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// We looked, and the answer is no.
    pub(crate) fn no(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { answer: Answer::No, error: error.into() }
    }

    /// We could not look, or could not do it.
    pub(crate) fn unknown(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { answer: Answer::Unknown, error: error.into() }
    }

    /// The command makes no sense as it was given.
    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { answer: Answer::Usage, error: error.into() }
    }

    /// Whether whoever reads our stdout has gone, which needs no words.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let error = self.error.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::unknown(error)
    }
}

impl From<ReachError> for Failure {
    fn from(error: ReachError) -> Self {
        Self { answer: error.answer(), error: Box::new(error) }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::unknown(error)
    }
}

/// What a command concludes.
pub(crate) type Outcome = Result<Answer, Failure>;

/// The system's time and chance.
pub(crate) fn world() -> World {
    World {
        clock_not_before: Arc::new(|wall_ns| Arc::new(OsClock::not_before(wall_ns))),
        entropy: Arc::new(OsEntropy),
        // No other gate keeps anything by subject yet.
        erasers: Vec::new(),
        scanner: Arc::new(crate::gate::in_child::InChild::default()),
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn now_s() -> u64 {
    bartizan_core::Clock::now(&OsClock::new()).unix_s()
}

/// A span of time on the command line: a number and `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its length, in seconds.
    pub(crate) secs: u64,
}

/// Text that is no span of time.
#[derive(Debug, thiserror::Error)]
#[error("a span of time is a number and `s`, `m`, `h` or `d`, like `90d`")]
pub(crate) struct SpanError;

impl std::str::FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit_at = text.len().checked_sub(1).ok_or(SpanError)?;
        let (number, unit) = text.split_at_checked(unit_at).ok_or(SpanError)?;
        let unit_s = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(SpanError),
        };
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = number.parse().map_err(|_| SpanError)?;
        match number.checked_mul(unit_s) {
            Some(secs) if plain => Ok(Self { secs }),
            Some(_) | None => Err(SpanError),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secs {
            secs if 0 < secs && secs.is_multiple_of(86_400) => write!(f, "{}d", secs / 86_400),
            secs if 0 < secs && secs.is_multiple_of(3_600) => write!(f, "{}h", secs / 3_600),
            secs => write!(f, "{secs}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, secs) in [("0s", 0), ("90d", 7_776_000), ("24h", 86_400), ("5m", 300)] {
            assert_eq!(text.parse::<Span>().unwrap().secs, secs, "{text}");
        }
        for text in ["", "d", "1", "-1d", "+1d", "1w", "1 d", "1.5h", "1é", "99999999999999999999d"]
        {
            assert!(text.parse::<Span>().is_err(), "accepted {text:?}");
        }
        assert_eq!(Span { secs: 7_200 }.to_string(), "2h");
    }
}
