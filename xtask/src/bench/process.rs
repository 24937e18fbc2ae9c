//! What the kernel knows of a running process, and what a disk can do.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    time::Instant,
};

use super::load::Latencies;

/// Clock ticks in a second, as `/proc` counts; fixed on every Linux we run on.
const TICKS_PER_S: f64 = 100.0;
/// Syncs of a disk probe.
const N_SYNCS: u64 = 400;
/// Bytes written before each sync: about one record.
const SYNC_BYTES: usize = 1_024;

/// CPU seconds that a process and its threads, and those of its children that it still has, used.
///
/// # Errors
/// Where the process is gone.
pub fn cpu_s(pids: &[u32]) -> io::Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        ticks += parse_ticks(&stat).ok_or_else(|| io::Error::other("unreadable /proc stat"))?;
    }
    Ok(ticks as f64 / TICKS_PER_S)
}

/// `utime + stime` of a line of `/proc/<pid>/stat` (proc(5): fields 14 and 15), in ticks.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// A process and all that descend from it.
pub fn family(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut at = 0;
    while let Some(parent) = pids.get(at) {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.unwrap_or_default();
        pids.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        at += 1;
    }
    pids
}

/// Memory that a process holds, in MiB.
///
/// # Errors
/// Where the process is gone.
pub fn resident_mib(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| io::Error::other("no VmRSS"))
}

/// How long the bare disk takes to make a record's worth of bytes durable: into a file whose
/// blocks are its own already, as the ledger's are.
///
/// # Errors
/// Where the folder cannot be written.
pub fn fdatasync(folder: &Path) -> io::Result<Latencies> {
    let path = folder.join("fdatasync-probe");
    let file = File::create(&path)?;
    file.write_all_at(&vec![1; SYNC_BYTES * N_SYNCS as usize], 0)?;
    file.sync_all()?;
    let block = [2; SYNC_BYTES];
    let mut took_us = Vec::new();
    for idx in 0..N_SYNCS {
        let start = Instant::now();
        file.write_all_at(&block, idx * SYNC_BYTES as u64)?;
        file.sync_data()?;
        took_us.push(start.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    Ok(Latencies::new(took_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 130 17 19 20";
        assert_eq!(parse_ticks(stat), Some(147));
    }

    #[test]
    fn this_process_is_seen() {
        let own = std::process::id();
        assert!(cpu_s(&[own]).is_ok());
        assert!(family(own).contains(&own));
        assert!(resident_mib(own).unwrap() > 0.1);
    }
}
