//! Measures the network gate: `check` of 50 subnets and 20 peers with parsing, in each language,
//! clean and with findings and repairs; `plan --auto` of 40 pools. Best of many rounds, since
//! noise only ever adds. `cargo xtask bench deploy` runs it optimised.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bartizan_deploy::plan::{Plan, read, to_json, to_yaml};
use bartizan_deploy::read::Format;
use bartizan_deploy::{allocate, check, fix};

const SUBNETS: usize = 50;
const PEERS: usize = 20;
const POOLS: usize = 40;
const ROUNDS: usize = 300;
/// What the issue asks for.
const CHECK_MAX: Duration = Duration::from_millis(1);
const AUTO_MAX: Duration = Duration::from_millis(50);

fn plan(service: &str, n_pools: usize) -> String {
    let mut text = format!(
        "region = \"westeurope\"\nnodeSubnet = \"s0\"\npluginMode = \"overlay\"\n\
         networkPolicy = \"cilium\"\ndataplane = \"cilium\"\nserviceCidr = \"{service}\"\n\
         podCidr = \"10.240.0.0/12\"\n[vnet]\nname = \"v\"\naddressSpace = [\"10.1.0.0/16\"]\n\
         onPrem = [\"192.168.0.0/16\"]\n[privateCluster]\nenabled = true\npublicFqdn = false\n\
         [lb]\ntype = \"internal\"\n[identity]\n\
         roles = [{{ role = \"Network Contributor\", scope = \"vnet\" }}]\n"
    );
    for idx in 0..PEERS {
        let _ = write!(
            text,
            "[[vnet.peerings]]\nname = \"p{idx}\"\naddressSpace = [\"10.{}.0.0/16\"]\n",
            100 + idx
        );
    }
    for idx in 0..SUBNETS {
        let _ = write!(text, "[[subnets]]\nname = \"s{idx}\"\ncidr = \"10.1.{}.0/22\"\n", idx * 4);
    }
    for idx in 0..n_pools {
        let _ = write!(text, "[[pools]]\nname = \"pool{idx}\"\ncount = 10\nmaxPods = 60\n");
    }
    text
}

fn best(mut act: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        act();
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "an example speaks on the terminal")]
fn say(what: &str, took: Duration, limit: Option<Duration>) -> bool {
    let us = took.as_secs_f64() * 1e6;
    let (note, is_fine) = match limit {
        Some(limit) if limit < took => (format!("OVER {} us", limit.as_micros()), false),
        Some(limit) => (format!("limit {} us", limit.as_micros()), true),
        None => (String::new(), true),
    };
    println!("{what:<44} {us:>10.1} us  {note}");
    is_fine
}

fn parsed(text: &str, format: Format) -> Option<Plan> {
    read(text.as_bytes(), format).ok().map(|reading| reading.plan)
}

fn main() -> std::process::ExitCode {
    let clean = plan("10.0.0.0/16", 3);
    let Some(value) = parsed(&clean, Format::Toml) else { return std::process::ExitCode::FAILURE };
    let texts = [
        ("check, TOML", clean.clone(), Format::Toml),
        ("check, YAML", to_yaml(&value), Format::Yaml),
        ("check, JSON", to_json(&value), Format::Json),
    ];
    let mut is_fine = check::check_plan(&value).findings.is_empty();
    for (what, text, format) in &texts {
        let took = best(|| {
            let reading = read(black_box(text).as_bytes(), *format);
            black_box(reading.map(|reading| check::check(&reading)).ok());
        });
        is_fine &= say(what, took, Some(CHECK_MAX));
    }
    say("  of which judging", best(|| drop(black_box(check::check_plan(&value)))), None);
    let colliding = plan("10.1.0.0/16", 3);
    let took = best(|| {
        let reading = read(black_box(&colliding).as_bytes(), Format::Toml);
        black_box(reading.map(|reading| fix::check_with_fixes(&reading)).ok());
    });
    say("check of a colliding plan, with repairs", took, None);
    let open: String = plan("10.0.0.0/16", POOLS)
        .lines()
        .filter(|line| !line.starts_with("cidr") && !line.starts_with("serviceCidr"))
        .map(|line| format!("{line}\n"))
        .collect();
    let Some(open) = parsed(&open, Format::Toml) else { return std::process::ExitCode::FAILURE };
    is_fine &= allocate::auto(&open).is_ok();
    let took = best(|| drop(black_box(allocate::auto(black_box(&open)))));
    is_fine &= say("plan --auto, 50 subnets and 40 pools open", took, Some(AUTO_MAX));
    if is_fine { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
