//! Bartizan: the secure environment around a machine-learning model.
//!
//! The one binary: commands, configuration, wiring, rendering, exit codes. What it decides lies
//! in the crates below it.

mod admin;
mod answer;
mod assemble;
mod backup;
mod child;
mod cmd;
mod config;
mod environment;
mod files;
mod gate;
mod kek;
mod log;
mod models;
mod outside;
mod owner;
mod policies;
mod render;
#[cfg(test)]
mod testing;
mod tls;
mod upstreams;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use answer::Answer;
use cmd::{Failure, Place};

/// A request makes about thirty short-lived allocations; the C library's allocator costs a fifth
/// of its CPU, this one half of that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The secure environment around a machine-learning model
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 yes, 1 no (we looked), 2 usage, 3 unknown (we could not look)."
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything at work: real models, real rows, refusals, a tampered log
    Demo(cmd::demo::Args),
    /// Make an environment: configuration, keys, certificates, store
    Init(cmd::init::Args),
    /// Serve an environment, or one model in a temporary one
    Serve(cmd::serve::Args),
    /// Issue, list, rotate and revoke API keys
    #[command(subcommand)]
    Key(cmd::key::Args),
    /// Agree to what takes two people, or list what waits
    Approve(cmd::approve::Args),
    /// Do alone what takes two people, for a while, for a reason, on record
    BreakGlass(cmd::approve::GlassArgs),
    /// End a key, a principal, a token or a certificate on all replicas
    Revoke(cmd::revoke::Args),
    /// Add, inspect, list, load, unload and remove models
    #[command(subcommand)]
    Model(cmd::model::Args),
    /// Profile a model's honest rows, let a caller in again
    #[command(subcommand)]
    Guard(cmd::guard::Args),
    /// Say what model files would do if they were loaded, without loading them
    Scan(cmd::scan::Args),
    /// Show one decision: who asked, what was decided, why, and where that is recorded
    Trace(cmd::trace::Args),
    /// Find planted rows in training data: flips, triggers, floods, bad contributors
    Vet(cmd::vet::Args),
    /// Cosign the checkpoints of other people's logs, from a folder of its own
    #[command(subcommand)]
    Witness(cmd::witness::Args),
    /// Check the ledger, exchange its keys
    #[command(subcommand)]
    Ledger(cmd::ledger::Args),
    /// Erase a person: destroy the keys under which everything about them is sealed
    Erase(cmd::erase::Args),
    /// Copy an environment, while it serves, so that it can be restored
    Backup(cmd::backup::Args),
    /// Make an environment out of a backup
    Restore(cmd::restore::Args),
    /// Bring a store of the release before to this release's formats
    #[command(subcommand)]
    Store(cmd::store::Args),
    /// Add, release and list legal holds, which forbid erasing
    #[command(subcommand)]
    Hold(cmd::hold::Args),
    /// Say who may do what and why, test policies, put them in force
    #[command(subcommand)]
    Access(cmd::access::Args),
    /// Check a configuration, or print its schema
    #[command(subcommand)]
    Config(cmd::config::Args),
    /// Plan, check, repair, render and draw a private AKS environment
    #[command(subcommand)]
    Aks(cmd::aks::Args),
    /// Ask a model about a file of rows, under the same gates; goes on after a kill
    Score(cmd::score::Args),
    /// Check that an inference server does what its clients rely on, case by case
    Conformance(cmd::conformance::Args),
    /// Print completions for a shell
    Completions(cmd::completions::Args),
    /// Write the manual, one page a command
    Man(cmd::man::Args),
}

fn main() -> ExitCode {
    keep_memory_private();
    if let Some(code) = child::as_child() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is usage.
            let answer = if error.use_stderr() { Answer::Usage } else { Answer::Yes };
            return match error.print() {
                Ok(()) => answer.into(),
                Err(_) => Answer::Unknown.into(),
            };
        }
    };
    let mut out = io::stdout().lock();
    let outcome = run(&cli, &mut out).and_then(|answer| {
        out.flush()?;
        Ok(answer)
    });
    match outcome {
        Ok(answer) => answer.into(),
        Err(failure) => {
            if !failure.is_broken_pipe() {
                complain(&failure);
            }
            failure.answer.into()
        }
    }
}

/// Keys are in this process's memory: no core is dumped, and no other process of the same user may
/// attach.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    // Best effort: a kernel that refuses this serves all the same, and `serve` runs anywhere.
    let _no_attach = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _no_core = rustix::process::setrlimit(Resource::Core, none);
}

fn run(cli: &Cli, out: &mut dyn io::Write) -> cmd::Outcome {
    // Verbs talk for themselves; their log shows what is wrong and no more. What serves starts
    // the log as its configuration says.
    if !matches!(cli.command, Command::Serve(_) | Command::Demo(_)) {
        log::start(&config::Log { level: config::LogLevel::Warn, ..config::Log::default() });
    }
    match &cli.command {
        Command::Demo(args) => cmd::demo::run(args, out),
        Command::Init(args) => cmd::init::run(args),
        Command::Serve(args) => cmd::serve::run(args, &cli.place, out),
        Command::Key(args) => cmd::key::run(args, &cli.place, out),
        Command::Approve(args) => cmd::approve::run(args, &cli.place, out),
        Command::BreakGlass(args) => cmd::approve::run_glass(args, &cli.place, out),
        Command::Revoke(args) => cmd::revoke::run(args, &cli.place),
        Command::Model(args) => cmd::model::run(args, &cli.place, out),
        Command::Scan(args) => cmd::scan::run(args, &cli.place, out),
        Command::Trace(args) => cmd::trace::run(args, &cli.place, out),
        Command::Witness(args) => cmd::witness::run(args, out),
        Command::Guard(args) => cmd::guard::run(args, &cli.place, out),
        Command::Vet(args) => cmd::vet::run(args, &cli.place, out),
        Command::Ledger(args) => cmd::ledger::run(args, &cli.place, out),
        Command::Erase(args) => cmd::erase::run(args, &cli.place, out),
        Command::Hold(args) => cmd::hold::run(args, &cli.place, out),
        Command::Backup(args) => cmd::backup::run(args, &cli.place, out),
        Command::Restore(args) => cmd::restore::run(args, &cli.place, out),
        Command::Store(args) => cmd::store::run(args, &cli.place, out),
        Command::Access(args) => cmd::access::run(args, &cli.place, out),
        Command::Config(args) => cmd::config::run(args, &cli.place, out),
        Command::Aks(args) => cmd::aks::run(args, &cli.place, out),
        Command::Score(args) => cmd::score::run(args, &cli.place),
        Command::Conformance(args) => cmd::conformance::run(args, out),
        Command::Completions(args) => cmd::completions::run(args, Cli::command(), out),
        Command::Man(args) => cmd::man::run(args, Cli::command()),
    }
}

/// Says on stderr what went wrong: the whole chain, once.
fn complain(failure: &Failure) {
    let (start, end) = if log::is_colourful() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    eprintln!("{start}bartizan:{end} {}", log::Chain(failure.error.as_ref()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// clap's own check of the whole tree: no clashing or impossible arguments.
    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
