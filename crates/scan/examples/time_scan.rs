//! Scans files and says what was concluded and how long it took: `time_scan
//! [--no-hash] [--bare] [-v] FILE..`; `--bare` also times SHA-256 of the same bytes alone

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use bartizan_core::{Clock, ClockSource, Stamp};
use sha2::Digest as _;

use bartizan_scan::{Allow, Alone, Budget, Hash, Options, Source, scan};

struct OnDisk(File, u64);

impl Source for OnDisk {
    fn size(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        while n < into.len() {
            match self.0.read_at(&mut into[n..], offset + n as u64)? {
                0 => break,
                got => n += got,
            }
        }
        Ok(n)
    }
}

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> Stamp {
        let mono_ns = self.0.elapsed().as_nanos() as u64;
        let source = ClockSource::Unsynchronised;
        Stamp { wall_ns: mono_ns, raw_ns: mono_ns, mono_ns, source, error_ns: u64::MAX }
    }
}

#[expect(clippy::print_stdout, reason = "an example speaks on the terminal")]
fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let hash = if args.iter().any(|arg| arg == "--no-hash") { Hash::Skip } else { Hash::Whole };
    let bare = args.iter().any(|arg| arg == "--bare");
    let verbose = args.iter().any(|arg| arg == "-v");
    let clock = Monotonic(Instant::now());
    let allow = Allow::new();
    let budget = Budget::default();
    let options = Options { allow: &allow, budget, clock: &clock, siblings: &Alone, hash };
    for path in args.iter().filter(|arg| !arg.starts_with('-')) {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let begun = Instant::now();
        let name = path.rsplit('/').next().unwrap_or(path);
        let report = scan(name, &OnDisk(file, size), &options);
        let took = begun.elapsed().as_secs_f64();
        if bare {
            let begun = Instant::now();
            let mut hasher = sha2::Sha256::new();
            let (mut chunk, mut at) = (vec![0; 256 * 1024], 0);
            let source = OnDisk(File::open(path)?, size);
            while let n @ 1.. = source.read_at(at, &mut chunk)? {
                hasher.update(&chunk[..n]);
                at += n as u64;
            }
            let alone = begun.elapsed().as_secs_f64();
            println!(
                "bare hash {:>9.3} ms, ratio {:.2} ({:02x})",
                alone * 1e3,
                alone / took,
                hasher.finalize()[0]
            );
        }
        let rate = size as f64 / 1e6 / took;
        println!(
            "{:<11} {:>9.3} ms {rate:>8.0} MB/s {} {path}",
            report.verdict.as_str(),
            took * 1e3,
            report.formats.join(","),
        );
        if verbose {
            for seen in &report.sightings {
                println!("    {seen}");
            }
        }
    }
    Ok(())
}
