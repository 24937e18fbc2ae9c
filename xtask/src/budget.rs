//! `cargo xtask budget`: what a cold release build costs, from nothing, in CPU seconds.
//!
//! The figure is what the kernel charged to the build's processes: it holds on a busy machine,
//! where a stopwatch does not. Per crate we stand in for the compiler (`RUSTC_WRAPPER`) and ask
//! the same question of each call.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
    process::{Command, ExitCode},
};

use crate::{command, report::say, venv};

/// CPU seconds that a cold release build of the default features may cost.
const CPU_S_MAX: f64 = 1_200.0;
/// Clock ticks in a second, as `/proc` counts; fixed on every Linux we run on.
const TICKS_PER_S: f64 = 100.0;
/// How many crates are named.
const N_DEAREST: usize = 10;
/// Names the file to which the stand-in for the compiler writes.
const LOG_VAR: &str = "BARTIZAN_BUDGET_LOG";

/// Stands in for the compiler when Cargo calls us as such: runs it and notes what it cost.
pub fn as_compiler() -> Option<ExitCode> {
    let log = env::var_os(LOG_VAR)?;
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let (compiler, rest) = args.split_first()?;
    let name = rest
        .iter()
        .position(|arg| arg == "--crate-name")
        .and_then(|at| rest.get(at + 1))
        .map(|name| name.to_string_lossy().into_owned());
    let status = Command::new(compiler).args(rest).status();
    if let (Some(name), Ok(cpu_s)) = (name, children_cpu_s()) {
        let file = OpenOptions::new().create(true).append(true).open(log);
        // A lost line only makes the table shorter; the total does not depend on it.
        let _ = file.and_then(|mut file| file.write_all(format!("{name} {cpu_s}\n").as_bytes()));
    }
    match status {
        Ok(status) => Some(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))),
        Err(error) => {
            say(&format!("error: cannot start the compiler: {error}"));
            Some(ExitCode::FAILURE)
        }
    }
}

/// CPU seconds of all children that have ended.
fn children_cpu_s() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    parse_children_ticks(&stat)
        .map(|ticks| ticks as f64 / TICKS_PER_S)
        .ok_or_else(|| io::Error::other("/proc/self/stat has no child times"))
}

/// `cutime + cstime` of a line of `/proc/<pid>/stat` (proc(5): fields 16 and 17), in ticks.
fn parse_children_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(13);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// Builds from nothing and prints the bill. Returns whether it is within the budget.
///
/// # Errors
/// Where the build fails or its cost cannot be read.
pub fn run() -> io::Result<bool> {
    let folder = venv::cache()?.join(format!("budget-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = build_in(&folder);
    fs::remove_dir_all(&folder)?;
    result
}

fn build_in(folder: &Path) -> io::Result<bool> {
    let log = folder.join("crates");
    let before_s = children_cpu_s()?;
    let mut command = command::cargo();
    command.args(["build", "--release", "--locked", "--package", "bartizan"]);
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    command.env("RUSTC_WRAPPER", env::current_exe()?).env(LOG_VAR, &log);
    command.env("CARGO_INCREMENTAL", "0");
    if !command::run(&mut command)? {
        return Err(io::Error::other("the build failed"));
    }
    let total_s = children_cpu_s()? - before_s;
    let crates = tally(&fs::read_to_string(&log)?);
    for line in bill(&crates, total_s) {
        say(&line);
    }
    Ok(total_s <= CPU_S_MAX)
}

/// Name and CPU seconds of each crate, dearest first; calls of one name are added up.
fn tally(log: &str) -> Vec<(String, f64)> {
    let mut crates: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, cpu_s) in log.lines().filter_map(|line| line.split_once(' ')) {
        *crates.entry(name).or_default() += cpu_s.parse::<f64>().unwrap_or(0.0);
    }
    let mut crates: Vec<_> = crates.into_iter().map(|(name, s)| (name.to_owned(), s)).collect();
    crates.sort_by(|a, b| b.1.total_cmp(&a.1));
    crates
}

fn bill(crates: &[(String, f64)], total_s: f64) -> Vec<String> {
    let build = "build_script_build";
    let n_crates = crates.iter().filter(|(name, _)| name != build && name != "___").count();
    let compiled_s: f64 = crates.iter().map(|(_, s)| s).sum();
    let mut lines =
        vec![format!("{n_crates} crates, {total_s:.0} CPU s of {CPU_S_MAX:.0} allowed")];
    for (name, cpu_s) in crates.iter().filter(|(name, _)| name != build).take(N_DEAREST) {
        let share = 100.0 * cpu_s / total_s;
        lines.push(format!("{cpu_s:>8.1} s {share:>5.1} %  {name}"));
    }
    let rest_s = total_s - compiled_s;
    lines.push(format!("{rest_s:>8.1} s          build scripts running, C code, Cargo itself"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields as proc(5) numbers them, with a name that holds what separates them.
    #[test]
    fn child_times_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 130 17 19 20";
        assert_eq!(parse_children_ticks(stat), Some(147));
        assert_eq!(parse_children_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn the_bill_adds_calls_up_and_names_the_dearest_first() {
        let crates = tally("a 1.5\nb 4\na 3.5\nbuild_script_build 9\n");
        let lines = bill(&crates, 20.0);
        assert_eq!(lines[0], "2 crates, 20 CPU s of 1200 allowed");
        assert!(lines[1].contains("5.0 s  25.0 %  a"), "{}", lines[1]);
        assert!(lines[3].contains("2.0 s"), "{}", lines[3]);
    }
}
