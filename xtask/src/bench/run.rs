//! The course of the benchmark.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{
    http::Client,
    load::{self, Throughput},
    process,
    server::{self, Environment, MODEL, Server, Setting},
    table::{self, Bound, Figure, number},
};
use crate::{command, report::say, venv};

/// Share of its greatest throughput at which Bartizan's latency is taken.
const LOAD_SHARE: f64 = 0.7;
/// How many models a process holds when its memory is taken.
const N_MODELS: usize = 10;
/// Starts of which the best is taken.
const N_STARTS: usize = 5;

/// How much is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rounds of which the best (figures) or the median (ratios) is taken.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Connections that ask at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub connections: u32,
    /// Length of one measurement, in milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(50..=10_000))]
    pub length_ms: u32,
    /// Leave the peer out (it needs PyPI once).
    #[arg(long)]
    pub no_peer: bool,
    /// Also write all figures to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// What one server did in one round.
#[derive(Clone, Copy)]
struct Sample {
    cpu_us: f64,
    per_s: f64,
}

/// All samples of a run, by server.
#[derive(Default)]
struct Samples(BTreeMap<&'static str, Vec<Sample>>);

impl Samples {
    fn cpu_us(&self, name: &str) -> f64 {
        self.each(name, |sample| sample.cpu_us).into_iter().fold(f64::INFINITY, f64::min)
    }

    fn per_s(&self, name: &str) -> f64 {
        self.each(name, |sample| sample.per_s).into_iter().fold(0.0, f64::max)
    }

    fn each(&self, name: &str, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.0.get(name).into_iter().flatten().map(of).collect()
    }

    /// Median over the rounds of `of(a) / of(b)`.
    fn ratio(&self, a: &str, b: &str, of: impl Fn(&Sample) -> f64) -> f64 {
        let pairs = self.each(a, &of).into_iter().zip(self.each(b, &of));
        median(pairs.map(|(a, b)| a / b).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Runs the benchmark and prints its tables. Returns whether every bound holds.
///
/// # Errors
/// Where a server does not start or any request fails.
pub fn run(options: &Options) -> io::Result<bool> {
    say("building for release");
    let program = command::build(&["--release", "--package", "bartizan"])?;
    let package = ["--release", "--package", "bartizan-gateway", "--example", "echo"];
    let echo = command::build(&package)?;
    // On a real disk: a temporary folder may lie in memory.
    let work = venv::cache()?.join(format!("bench-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let result = measure(options, &program, &echo, &work);
    fs::remove_dir_all(&work)?;
    result
}

fn measure(options: &Options, program: &Path, echo: &Path, work: &Path) -> io::Result<bool> {
    let bench = Bench::start(options, program, echo, work)?;
    let mut figures = Vec::new();
    let samples = bench.throughput(options)?;
    bench.print_throughput(&samples);
    bench.judge_throughput(&samples, &mut figures);
    bench.latency(options, &samples, work, &mut figures)?;
    bench.bytes(options, &mut figures)?;
    drop(bench);
    resources(program, work, &mut figures)?;
    say("");
    table::print_figures(&figures);
    if let Some(path) = &options.json {
        let figures: Vec<_> = figures.iter().map(Figure::json).collect();
        let samples: BTreeMap<_, _> = samples
            .0
            .iter()
            .map(|(name, samples)| {
                let rows = samples.iter().map(|s| json!({"cpu_us": s.cpu_us, "per_s": s.per_s}));
                (*name, rows.collect::<Vec<_>>())
            })
            .collect();
        let text = json!({ "figures": figures, "rounds": samples });
        fs::write(path, format!("{text:#}\n"))?;
    }
    Ok(figures.iter().all(Figure::holds))
}

/// The servers, side by side.
struct Bench {
    servers: Vec<Server>,
    plain: Environment,
}

impl Bench {
    fn start(options: &Options, program: &Path, echo: &Path, work: &Path) -> io::Result<Self> {
        let names = [MODEL.to_owned()];
        let make = |name: &str| Environment::make(program, &work.join(name), &names);
        let (plain, tls, memory) = (make("plain")?, make("tls")?, make("memory")?);
        let mut servers = vec![
            plain.serve("bartizan", Setting::Plain)?,
            tls.serve("bartizan tls", Setting::Tls)?,
            memory.serve("bartizan memory", Setting::Memory)?,
        ];
        let reply_bytes = Client::new(servers[0].target.clone()).ask()?.len();
        let request = plain.request(MODEL);
        servers.push(server::echo("echo", echo, reply_bytes, None, request.clone())?);
        servers.push(server::echo("echo tls", echo, reply_bytes, Some(&tls), request)?);
        if !options.no_peer {
            servers.push(server::peer(work)?);
        }
        for server in &servers {
            say(&format!("{} answers {:.0} ms after its start", server.name, server.start_ms));
        }
        Ok(Self { servers, plain })
    }

    fn server(&self, name: &str) -> io::Result<&Server> {
        let found = self.servers.iter().find(|server| server.name == name);
        found.ok_or_else(|| io::Error::other(format!("no server `{name}`")))
    }

    fn has_peer(&self) -> bool {
        self.server("peer").is_ok()
    }

    fn throughput(&self, options: &Options) -> io::Result<Samples> {
        let length = Duration::from_millis(u64::from(options.length_ms));
        let mut samples = Samples::default();
        for round in 1..=options.rounds {
            say(&format!("round {round} of {}", options.rounds));
            for server in &self.servers {
                let before_s = server.cpu_s()?;
                let done = load::closed(&server.target, options.connections as usize, length)?;
                let cpu_s = server.cpu_s()? - before_s;
                samples.0.entry(server.name).or_default().push(sample(done, cpu_s));
            }
        }
        Ok(samples)
    }

    fn print_throughput(&self, samples: &Samples) {
        let rows: Vec<Vec<String>> = self
            .servers
            .iter()
            .map(|server| {
                let name = server.name;
                let floor = if name.ends_with("tls") { "echo tls" } else { "echo" };
                let mut row = vec![
                    name.to_owned(),
                    number(samples.cpu_us(name)),
                    number(samples.per_s(name)),
                    number(samples.ratio(name, floor, |sample| sample.cpu_us)),
                ];
                if self.has_peer() {
                    row.push(number(samples.ratio("peer", name, |sample| sample.cpu_us)));
                    row.push(number(samples.ratio(name, "peer", |sample| sample.per_s)));
                }
                row
            })
            .collect();
        let head =
            ["server", "CPU us/request", "requests/s", "CPU/echo", "peer CPU/", "/s over peer"];
        say("");
        table::print(&head[..if self.has_peer() { 6 } else { 4 }], &rows);
    }

    fn judge_throughput(&self, samples: &Samples, figures: &mut Vec<Figure>) {
        let mut figure = |what: &str, value: f64, unit: &'static str, bound: Bound| {
            figures.push(Figure { what: what.to_owned(), value, unit, bound });
        };
        for name in ["bartizan", "bartizan tls"] {
            let what = format!("CPU per recorded request, {name}");
            figure(&what, samples.cpu_us(name), "us", Bound::Free);
            figure(&format!("requests/s, {name}"), samples.per_s(name), "", Bound::Free);
        }
        let cpu = |a: &str, b: &str| samples.ratio(a, b, |sample| sample.cpu_us);
        figure("CPU per request over the echo", cpu("bartizan", "echo"), "x", Bound::AtMost(4.0));
        let tls = cpu("bartizan tls", "echo tls");
        figure("CPU per request over the echo, TLS", tls, "x", Bound::AtMost(4.0));
        if self.has_peer() {
            let share = cpu("bartizan", "peer");
            figure("CPU per request over the peer's", share, "x", Bound::AtMost(0.1));
            let more = samples.ratio("bartizan", "peer", |sample| sample.per_s);
            figure("requests/s over the peer's", more, "x", Bound::AtLeast(12.0));
        }
        let ledger = 100.0 * (cpu("bartizan", "bartizan memory") - 1.0);
        figure("CPU of the real disk over memory", ledger, "%", Bound::AtMost(10.0));
    }

    /// Latency at the same rate for all: 70 % of what Bartizan can do, plain or over TLS.
    fn latency(
        &self,
        options: &Options,
        samples: &Samples,
        work: &Path,
        figures: &mut Vec<Figure>,
    ) -> io::Result<()> {
        let mut rows = Vec::new();
        let mut syncs = Vec::new();
        let mut taken: BTreeMap<&str, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
        let n_rounds = options.rounds.div_ceil(2);
        let length = Duration::from_millis(2 * u64::from(options.length_ms));
        for round in 1..=n_rounds {
            say(&format!("latency round {round} of {n_rounds}"));
            syncs.push(process::fdatasync(work)?);
            for name in ["bartizan", "bartizan memory", "echo", "bartizan tls", "echo tls"] {
                let base = if name.ends_with("tls") { "bartizan tls" } else { "bartizan" };
                let rate = LOAD_SHARE * samples.per_s(base);
                let target = &self.server(name)?.target;
                let latencies = load::open(target, options.connections as usize, rate, length)?;
                let (p50, p99) = taken.entry(name).or_default();
                p50.push(latencies.quantile(0.5));
                p99.push(latencies.quantile(0.99));
            }
        }
        let sync = |q: f64| median(syncs.iter().map(|sync| sync.quantile(q)).collect());
        let of = |name: &str| {
            taken.get(name).map_or((f64::NAN, f64::NAN), |(p50, p99)| {
                (median(p50.clone()), median(p99.clone()))
            })
        };
        for name in taken.keys() {
            let (p50, p99) = of(name);
            rows.push(vec![(*name).to_owned(), number(p50), number(p99)]);
        }
        rows.push(vec!["bare fdatasync".to_owned(), number(sync(0.5)), number(sync(0.99))]);
        say(&format!("\nlatency at {:.0} % of Bartizan's requests/s, us", 100.0 * LOAD_SHARE));
        table::print(&["server", "p50", "p99"], &rows);
        for (name, floor) in [("bartizan", "echo"), ("bartizan tls", "echo tls")] {
            let bound = 3.0 * of(floor).1 + 2.0 * sync(0.99);
            let what = format!("p99 of {name} (3 echo p99 + 2 fdatasync p99)");
            figures.push(Figure {
                what,
                value: of(name).1,
                unit: "us",
                bound: Bound::AtMost(bound),
            });
        }
        let added = of("bartizan").0 - of("bartizan memory").0;
        let what = "p50 added by the real disk (2 fdatasync p50)".to_owned();
        let bound = Bound::AtMost(2.0 * sync(0.5));
        figures.push(Figure { what, value: added, unit: "us", bound });
        Ok(())
    }

    /// What one decision leaves on the disk.
    fn bytes(&self, options: &Options, figures: &mut Vec<Figure>) -> io::Result<()> {
        let target = &self.server("bartizan")?.target;
        let before = self.plain.log_bytes()?;
        let length = Duration::from_millis(u64::from(options.length_ms));
        let done = load::closed(target, options.connections as usize, length)?;
        // Each connection asks once before it counts.
        let n = done.n_requests + options.connections as usize;
        let each = (self.plain.log_bytes()? - before) as f64 / n as f64;
        let what = "on disk per decision of 30 features".to_owned();
        figures.push(Figure { what, value: each, unit: "B", bound: Bound::AtMost(2_048.0) });
        Ok(())
    }
}

fn sample(done: Throughput, cpu_s: f64) -> Sample {
    Sample { cpu_us: cpu_s * 1e6 / done.n_requests as f64, per_s: done.per_s() }
}

/// Memory with ten models, and the time from start to the first answer.
fn resources(program: &Path, work: &Path, figures: &mut Vec<Figure>) -> io::Result<()> {
    let names: Vec<String> = std::iter::once(MODEL.to_owned())
        .chain((1..N_MODELS).map(|idx| format!("{MODEL}-{idx}")))
        .collect();
    let ten = Environment::make(program, &work.join("ten"), &names)?;
    let mut start_ms = f64::INFINITY;
    let mut resident_mib = 0.0;
    for _ in 0..N_STARTS {
        let server = ten.serve("ten models", Setting::Tls)?;
        start_ms = server.start_ms.min(start_ms);
        for name in &names {
            let mut target = server.target.clone();
            target.request = ten.request(name);
            Client::new(target).ask()?;
        }
        resident_mib = server.resident_mib()?.max(resident_mib);
    }
    let what = format!("resident with {N_MODELS} models");
    figures.push(Figure { what, value: resident_mib, unit: "MiB", bound: Bound::AtMost(60.0) });
    let what = "start to first answer, TLS".to_owned();
    figures.push(Figure { what, value: start_ms, unit: "ms", bound: Bound::AtMost(100.0) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_medians_of_their_rounds() {
        let sample = |cpu_us| Sample { cpu_us, per_s: 1.0 };
        let mut samples = Samples::default();
        samples.0.insert("a", vec![sample(2.0), sample(40.0), sample(9.0)]);
        samples.0.insert("b", vec![sample(1.0), sample(10.0), sample(3.0)]);
        assert_eq!(samples.ratio("a", "b", |sample| sample.cpu_us), 3.0);
        assert_eq!(samples.cpu_us("a"), 2.0);
        assert_eq!(median(vec![1.0, 2.0]), 1.5);
    }
}
