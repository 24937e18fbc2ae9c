//! Talk: structured logs on standard error. Data never goes here, and talk never to stdout.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, LogLevel};

/// Environment variable that overrides the level (`debug`, or `tracing` directives).
const LEVEL_VARIABLE: &str = "BARTIZAN_LOG";

/// An error and all that caused it, on one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Lets a panic say where it was and no more: its text may hold what must not reach a log.
fn quieten_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or(""), "process.thread.panicked");
    }));
}

/// Starts logging as `config` says; only the first call has an effect.
pub(crate) fn start(config: &Log) {
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    // Our crates all begin with `bartizan`; what others say matters from `warn` on.
    let others = if config.level == LogLevel::Error { "error" } else { "warn" };
    let chosen = format!("{others},bartizan={level}");
    let filter = EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new(chosen));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    quieten_panics();
    // A second start (a test, or a command that serves after it made an environment) is no fault.
    let _already_started = match config.format {
        LogFormat::Text => builder.with_ansi(is_colourful()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
    };
}

/// Whether standard error is a terminal that wants colours (<https://no-color.org>).
pub(crate) fn is_colourful() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !refused && !dumb && io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `a`")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_what_caused_it() {
        let error = Outer(io::Error::other("the disk is on fire"));
        assert_eq!(Chain(&error).to_string(), "cannot read `a`: the disk is on fire");
    }
}
