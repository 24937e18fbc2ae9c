//! The parent's side: starts a child over sealed bytes, reads a bounded answer until a deadline.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

/// Bytes that are read from a child at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a parent grants a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How long it may take.
    pub(crate) deadline: Duration,
    /// Most bytes of its answer.
    pub(crate) output_bytes_max: usize,
}

/// Why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    /// It could not be started.
    #[error("cannot {act} for a child process")]
    Start {
        /// What was tried.
        act: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// C3.
    #[error("the child process took longer than {deadline_ms} ms and was killed")]
    Deadline {
        /// The bound in milliseconds.
        deadline_ms: u128,
    },
    /// C3.
    #[error("the child process answered more than {limit_bytes} bytes and was killed")]
    TooMuch {
        /// The bound in bytes.
        limit_bytes: usize,
    },
    /// It ended without an answer.
    #[error("the child process ended without an answer ({how})")]
    Ended {
        /// How it ended.
        how: String,
    },
    /// C1.
    #[error(
        "the child process is not shut in, so it did not serve: it can {acts}; run on a kernel with seccomp (Linux 3.17 or later, CONFIG_SECCOMP_FILTER) and, for files, Landlock"
    )]
    Open {
        /// What it can do.
        acts: String,
    },
}

fn cannot(act: &'static str) -> impl FnOnce(io::Error) -> ChildError {
    move |source| ChildError::Start { act, source }
}

/// This very binary, whatever lies at its path by now, with `arg` and no environment.
pub(crate) fn this_binary(arg: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(arg).env_clear().current_dir("/");
    command
}

/// `bytes` as a file in memory that nobody can change any more.
fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("bartizan-input", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(file.into())
}

/// Runs `command` over `input` as its standard input, and gives what it wrote and how it ended.
///
/// # Errors
/// [`ChildError`]; the child is then gone.
pub(crate) fn converse(
    command: &mut Command,
    input: &[u8],
    bounds: &Bounds,
) -> Result<(Vec<u8>, ExitStatus), ChildError> {
    let begun = Instant::now();
    let input = sealed(input).map_err(cannot("hold the bytes in memory"))?;
    command.stdin(Stdio::from(input)).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().map_err(cannot("start this binary"))?);
    let Some(stdout) = running.0.stdout.take() else {
        return Err(ChildError::Ended { how: "no output".to_owned() });
    };
    let late = || ChildError::Deadline { deadline_ms: bounds.deadline.as_millis() };
    let output = read(stdout, begun, bounds)?;
    // It has closed its answer; what keeps it now is nothing that we need.
    loop {
        match running.0.try_wait().map_err(cannot("wait"))? {
            Some(status) => return Ok((output, status)),
            None if bounds.deadline < begun.elapsed() => return Err(late()),
            None => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

fn read(mut stdout: ChildStdout, begun: Instant, bounds: &Bounds) -> Result<Vec<u8>, ChildError> {
    let mut output = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let left = bounds.deadline.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(ChildError::Deadline { deadline_ms: bounds.deadline.as_millis() });
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut waited = [PollFd::new(&stdout, PollFlags::IN)];
        match poll(&mut waited, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(cannot("wait")(error.into())),
        }
        let n = stdout.read(&mut chunk).map_err(cannot("read"))?;
        if n == 0 {
            return Ok(output);
        }
        if bounds.output_bytes_max < output.len() + n {
            return Err(ChildError::TooMuch { limit_bytes: bounds.output_bytes_max });
        }
        output.extend_from_slice(&chunk[..n]);
    }
}

/// A child that does not outlive its parent's interest.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // By its descriptor, which never means another process; by its number where that is none.
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let held = id.and_then(|id| rustix::process::pidfd_open(id, PidfdFlags::empty()).ok());
        let killed =
            held.is_some_and(|held| rustix::process::pidfd_send_signal(held, Signal::KILL).is_ok());
        if !killed {
            let _ended = self.0.kill();
        }
        let _reaped = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn bounds(deadline_ms: u64) -> Bounds {
        Bounds { deadline: Duration::from_millis(deadline_ms), output_bytes_max: 1_000 }
    }

    /// The bytes arrive whole, and nobody can change them.
    #[test]
    fn a_child_reads_its_bytes_and_cannot_change_them() {
        let (output, status) = converse(&mut sh("cat"), b"bytes", &bounds(20_000)).unwrap();
        assert_eq!((output.as_slice(), status.success()), (&b"bytes"[..], true));
        let script = "echo no >&0 && echo written; echo no > /proc/self/fd/0 && echo written; cat";
        let (output, _) = converse(&mut sh(script), b"bytes", &bounds(20_000)).unwrap();
        assert_eq!(output, b"bytes");
    }

    /// C3: silence, noise without end, and an end that never comes are all ended by us.
    #[test]
    fn a_child_is_killed_at_its_bounds() {
        let error = converse(&mut sh("exec sleep 60"), b"", &bounds(200)).unwrap_err();
        assert!(matches!(error, ChildError::Deadline { deadline_ms: 200 }), "{error}");
        let error = converse(&mut sh("exec yes"), b"", &bounds(20_000)).unwrap_err();
        assert!(matches!(error, ChildError::TooMuch { limit_bytes: 1_000 }), "{error}");
        let error = converse(&mut sh("exec >&-; exec sleep 60"), b"", &bounds(200)).unwrap_err();
        assert!(matches!(error, ChildError::Deadline { .. }), "{error}");
        let exact = "head -c 1000 /dev/zero";
        assert!(converse(&mut sh(exact), b"", &bounds(20_000)).is_ok());
        let more = "head -c 1001 /dev/zero";
        assert!(converse(&mut sh(more), b"", &bounds(20_000)).is_err());
    }
}
