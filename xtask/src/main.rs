//! `cargo xtask`: the commands of whoever works on the house.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{
    attack, bench, budget, docs, e2e,
    report::{Report, say},
    suite, tidy, tree,
};

/// Tidy rules, the test run, benchmarks, budgets.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the rules that hold the house up.
    Tidy,
    /// Run every test: unit, property, snapshot, integration, corpus, real clients.
    Test {
        /// Also what is heavier: examples made anew, 1,000 crashes, fuzzing.
        #[arg(long)]
        deep: bool,
    },
    /// Build a release from nothing and print what it costs.
    Budget,
    /// Measure: `bench serve`, `bench deploy`.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Hold the log and its witnesses against other people's tools; needs Go.
    E2e,
    /// Attack the request gate with other people's tools, undefended beside defended.
    Attack,
    /// Write the generated pages of `docs/` anew and check them.
    Docs,
}

#[derive(Subcommand)]
enum Bench {
    /// What a recorded answer costs, beside a bare echo and a peer.
    Serve(bench::Options),
    /// What a row costs in `native`, beside onnxruntime.
    Engine,
    /// What the request gate costs a row, and how much it remembers it by.
    Guard,
    /// The ledger beside bare writes, syncs and SHA-256.
    Ledger,
    /// The data gate beside cleanlab, PyOD and Datalab.
    Vet,
    /// The model gate beside picklescan, modelscan, fickling and modelaudit.
    Scan,
    /// What a decision about access and a credential cost.
    Access,
    /// What it costs to judge a plan of a private AKS environment and to find its addresses.
    Deploy,
}

fn main() -> ExitCode {
    if let Some(code) = budget::as_compiler() {
        return code;
    }
    let cli = Cli::parse();
    let mut report = Report::new();
    let result = match cli.command {
        Command::Tidy => tidy::print(&tree::root()),
        Command::Test { deep } => suite::run(deep, &mut report),
        Command::Budget => budget::run(),
        Command::Bench { what: Bench::Serve(options) } => bench::run(&options),
        Command::Bench { what: Bench::Access } => bench::access::run(),
        Command::Bench { what: Bench::Deploy } => bench::deploy::run(),
        Command::Bench { what: Bench::Engine } => bench::engine::run(),
        Command::Bench { what: Bench::Guard } => bench::guard::run(),
        Command::Bench { what: Bench::Ledger } => bench::ledger::run(),
        Command::Bench { what: Bench::Scan } => bench::scan::run(),
        Command::Bench { what: Bench::Vet } => bench::vet::run(),
        Command::E2e => e2e::run(&mut report),
        Command::Attack => attack::run(),
        Command::Docs => docs::run(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
