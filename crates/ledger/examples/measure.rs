//! Measures the ledger beside what the machine itself can do, in one run and by turns, since a
//! busy machine is busy for both: durable appends with tiles and checkpoints on beside a bare
//! write and fdatasync loop of the same batch, the wait for an answer at half load beside a bare
//! fdatasync, verifying beside bare SHA-256, opening again. `cargo xtask bench ledger` runs it.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bartizan_core::clock::{Clock, ClockSource, Stamp};
use bartizan_core::id::DecisionId;
use bartizan_ledger::tlog::{KeyKind, NoteSigner};
use bartizan_ledger::{
    Act, ActKind, Appender, Body, Entry, EntryClass, FileDisk, Log, LogConfig, PublisherConfig,
    Record, Scope, verify,
};
use sha2::{Digest as _, Sha256};

/// Bytes of a frame with a record of 1 KiB, about.
const RECORD_BYTES: usize = 1_024;
/// Records that one turn appends.
const TURN_RECORDS: usize = 40_000;
/// Turns of each.
const TURNS: usize = 5;
/// Records of one bare write.
const BATCH_RECORDS: usize = 256;
/// Records that are unanswered at most: one group is written while the next one fills.
const IN_FLIGHT_MAX: u64 = 2 * BATCH_RECORDS as u64;
/// What the issue asks for.
const APPEND_SHARE_MIN: f64 = 0.50;
const ACK_RATIO_MAX: f64 = 2.0;
const VERIFY_SHARE_MIN: f64 = 0.55;
const RECOVERY_S_PER_GIB_MAX: f64 = 1.0;

/// The system's clock, plainly.
struct PlainClock(Instant);

impl Clock for PlainClock {
    fn now(&self) -> Stamp {
        let mono_ns = self.0.elapsed().as_nanos() as u64;
        let wall_ns = 1_800_000_000_000_000_000 + mono_ns;
        let source = ClockSource::Simulated;
        Stamp { wall_ns, raw_ns: wall_ns, mono_ns, source, error_ns: 0 }
    }
}

#[expect(clippy::print_stdout, reason = "an example speaks on the terminal")]
fn say(text: &str) {
    println!("{text}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn p99(mut values: Vec<Duration>) -> Duration {
    values.sort();
    values.get(values.len() * 99 / 100).copied().unwrap_or_default()
}

/// A record that decodes, with sealed bytes up to [`RECORD_BYTES`] in all.
fn entry(n: u64) -> Result<Entry, Box<dyn Error>> {
    let source = ClockSource::Simulated;
    let at = Stamp { wall_ns: n, raw_ns: n, mono_ns: n, source, error_ns: 0 };
    let act = Act { count: Some(n), ..Act::new(ActKind::Started) };
    let (environment, replica) = ("bench".into(), "r1".into());
    let id = DecisionId::new(at.wall_ns, [n as u8; 10]);
    let body = Body::Act(Box::new(act));
    let leaf = Record { id, at, environment, replica, volatile: false, body }.encode();
    let sealed = vec![n as u8; RECORD_BYTES - leaf.len()];
    Ok(Entry::new(leaf, sealed, EntryClass::Reserved)?)
}

/// The bare loop: a batch written and synced, over a preallocated and written file.
struct Bare {
    file: File,
    at: u64,
    len: u64,
}

impl Bare {
    fn new(path: &Path) -> Result<Self, Box<dyn Error>> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
        let len = 256 << 20;
        let zeroes = vec![0; 1 << 20];
        for at in (0..len).step_by(zeroes.len()) {
            file.write_all_at(&zeroes, at)?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0, len })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        if self.len < self.at + bytes.len() as u64 {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.file.sync_data()?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

fn open(store: &Path) -> Result<Log, Box<dyn Error>> {
    let disk = Arc::new(FileDisk::create(store)?);
    let config = LogConfig { volatile_allowed: true, ..LogConfig::new("bench.example/1") };
    let clock = Arc::new(PlainClock(Instant::now()));
    Ok(Log::open(disk, &config, clock)?.0)
}

fn publisher(log: &Log) -> Result<bartizan_ledger::RunningPublisher, Box<dyn Error>> {
    let key = NoteSigner::from_seed("bench.example/1", KeyKind::Ed25519, &[1; 32])?;
    let config = PublisherConfig {
        signers: vec![key],
        anchor: None,
        outside: Vec::new(),
        ended: Vec::new(),
    };
    Ok(log.publisher(config)?.start(Box::new(|_| {}))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let root = root.join(format!("bartizan-bench-{}", std::process::id()));
    fs::create_dir_all(&root)?;
    let outcome = measure(&root);
    fs::remove_dir_all(&root)?;
    if outcome? { Ok(()) } else { Err("a figure is over its limit".into()) }
}

fn measure(root: &Path) -> Result<bool, Box<dyn Error>> {
    let store = root.join("store");
    let log = open(&store)?;
    let publishing = publisher(&log)?;
    let running = log.start()?;
    let appender = running.appender();
    let mut bare = Bare::new(&root.join("bare"))?;
    let batch = vec![7; BATCH_RECORDS * (RECORD_BYTES + 64)];
    let (mut shares, mut rates) = (Vec::new(), Vec::new());
    let mut n = 0;
    for _ in 0..TURNS {
        let entries: Result<Vec<_>, _> = (n..n + TURN_RECORDS as u64).map(entry).collect();
        n += TURN_RECORDS as u64;
        let done = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        for (entry, n_appended) in entries?.into_iter().zip(0..) {
            append(&appender, entry, n_appended, &done)?;
        }
        while done.load(Ordering::Acquire) < TURN_RECORDS as u64 {
            std::thread::yield_now();
        }
        let ours = TURN_RECORDS as f64 / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        for _ in 0..TURN_RECORDS / BATCH_RECORDS {
            bare.write(&batch)?;
        }
        let theirs = TURN_RECORDS as f64 / begun.elapsed().as_secs_f64();
        shares.push(ours / theirs);
        rates.push(ours);
    }
    let rate = median(rates);
    let mut fine =
        limit("durable appends of bare write+fdatasync", median(shares), APPEND_SHARE_MIN, true);
    say(&format!("  {rate:.0} records/s of 1 KiB, tiles and checkpoints on"));
    fine &= acks(&appender, &mut bare, rate / 2.0)?;
    running.stop();
    drop(publishing);
    say(&format!("  peak memory of writer, publisher and this program: {} MiB", peak_mib()));
    fine &= reopened(&store)?;
    Ok(fine & verified(&store)?)
}

/// Appends once fewer than [`IN_FLIGHT_MAX`] of the `n_appended` before are unanswered.
fn append(
    appender: &Appender,
    entry: Entry,
    n_appended: u64,
    done: &Arc<AtomicU64>,
) -> Result<(), Box<dyn Error>> {
    while IN_FLIGHT_MAX <= n_appended - done.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    let done = Arc::clone(done);
    let told = move |_| {
        done.fetch_add(1, Ordering::Release);
    };
    Ok(appender.append(entry, Box::new(told))?)
}

/// Waits for an answer at a steady half of the load, and of a bare sync by turns.
fn acks(appender: &Appender, bare: &mut Bare, rate: f64) -> Result<bool, Box<dyn Error>> {
    let mut ratios = Vec::new();
    let mut shown = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TURNS {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let n = (rate / 2.0).clamp(200.0, 20_000.0) as u64;
        let begun = Instant::now();
        for at in 0..n {
            // Open loop: each has its time, whether the one before was answered or not.
            let due = begun + Duration::from_secs_f64(at as f64 / rate);
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            let waits = Arc::clone(&waits);
            let told = move |_| {
                if let Ok(mut waits) = waits.lock() {
                    waits.push(due.elapsed());
                }
            };
            appender.append(entry(at)?, Box::new(told))?;
        }
        std::thread::sleep(Duration::from_millis(200));
        let mut syncs = Vec::new();
        for _ in 0..200 {
            let begun = Instant::now();
            bare.write(&[7; 4_096])?;
            syncs.push(begun.elapsed());
        }
        let waits = waits.lock().map(|waits| waits.clone()).unwrap_or_default();
        let (ours, theirs) = (p99(waits), p99(syncs));
        ratios.push(ours.as_secs_f64() / theirs.as_secs_f64());
        shown = (ours, theirs);
    }
    say(&format!("  last turn: answer p99 {:?}, bare fdatasync p99 {:?}", shown.0, shown.1));
    Ok(limit(
        "answer p99 at half load over bare fdatasync p99",
        median(ratios),
        ACK_RATIO_MAX,
        false,
    ))
}

fn reopened(store: &Path) -> Result<bool, Box<dyn Error>> {
    let bytes: u64 = fs::read_dir(store.join("wal"))?
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|meta| meta.len())
        .sum();
    let mut took = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        drop(open(store)?);
        took.push(begun.elapsed().as_secs_f64());
    }
    let per_gib = median(took) * (1_u64 << 30) as f64 / bytes as f64;
    Ok(limit("opening, seconds a GiB of WAL", per_gib, RECOVERY_S_PER_GIB_MAX, false))
}

fn verified(store: &Path) -> Result<bool, Box<dyn Error>> {
    let disk = FileDisk::open(store)?;
    let mut shares = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let told = &mut |_, _| std::ops::ControlFlow::Continue(());
        let report = verify(&disk, None, Scope::Closed, told)?;
        if let Some(damage) = report.damage {
            return Err(format!("{}: {}", damage.segment, damage.kind).into());
        }
        let ours = begun.elapsed().as_secs_f64();
        let block = vec![7; RECORD_BYTES];
        let begun = Instant::now();
        for _ in 0..report.n_records {
            std::hint::black_box(Sha256::digest(&block));
        }
        shares.push(begun.elapsed().as_secs_f64() / ours);
    }
    Ok(limit(
        "verifying of bare SHA-256 of the same records",
        median(shares),
        VERIFY_SHARE_MIN,
        true,
    ))
}

/// Says a figure and whether it keeps its limit.
fn limit(what: &str, value: f64, bound: f64, at_least: bool) -> bool {
    let fine = if at_least { bound <= value } else { value <= bound };
    let (word, mark) =
        (if at_least { "at least" } else { "at most" }, if fine { "ok" } else { "OVER" });
    say(&format!("{mark:<5}{what}: {value:.2} ({word} {bound:.2})"));
    fine
}

fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0_u64);
    kib / 1_024
}
