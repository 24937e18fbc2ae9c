//! How a child shuts itself in, and how it makes sure that it is.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde::{Deserialize, Serialize};

/// What a child of a role may still do.
pub(crate) struct Rules {
    /// System calls that it needs; all others fail with `EPERM`.
    pub(crate) syscalls: &'static [libc::c_long],
    /// Most bytes of address space.
    pub(crate) memory_bytes_max: u64,
    /// Most seconds of CPU.
    pub(crate) cpu_s_max: u64,
}

/// System calls of a child that reads its descriptor, counts, and writes its answer: memory,
/// reading and writing what is open, time, its own end.
pub(crate) const SYSCALLS_OF_A_READER: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
];
/// Calls that may not ask for memory that can be executed; the flags are their third argument.
const NO_EXEC: [libc::c_long; 2] = [libc::SYS_mmap, libc::SYS_mprotect];
/// `PROT_EXEC`.
const PROT_EXEC: u64 = 4;
/// Descriptors that are closed where the open ones cannot be listed.
const DESCRIPTORS_TRIED: RawFd = 4096;

/// How a child was shut in, in the first line of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confinement {
    /// `full`, `partial` or `absent`: files, network, signals by Landlock.
    pub(crate) landlock: String,
    /// `full` or `absent`: system calls by seccomp.
    pub(crate) seccomp: String,
    /// `full` or what could not be limited.
    pub(crate) limits: String,
    /// Descriptors beside the standard three and the bytes that are open all the same.
    pub(crate) inherited: usize,
    /// Every act that was tried.
    pub(crate) acts: Vec<Act>,
}

/// A forbidden act that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Act {
    /// What.
    pub(crate) what: String,
    /// Whether it failed, as it must.
    pub(crate) denied: bool,
}

impl Confinement {
    /// C1 and C2: everything that was tried failed, it was tried, and nothing was inherited.
    pub(crate) fn holds(&self) -> bool {
        self.inherited == 0
            && ACTS.len() == self.acts.len()
            && self.acts.iter().all(|act| act.denied)
    }

    /// Acts that did not fail.
    pub(crate) fn open(&self) -> String {
        let open = self.acts.iter().filter(|act| !act.denied).map(|act| act.what.as_str());
        let inherited = (0 < self.inherited).then_some("use descriptors of its parent");
        open.chain(inherited).collect::<Vec<_>>().join(", ")
    }

    /// In words, what is missing first.
    pub(crate) fn describe(&self) -> String {
        let Self { landlock, seccomp, limits, inherited: _, acts } = self;
        let n = acts.len();
        format!(
            "landlock {landlock}, seccomp {seccomp}, limits {limits}, {n} of {n} forbidden acts fail"
        )
    }
}

/// Closes every descriptor but the standard three and `keep` (C2), and says how many are open
/// all the same.
pub(crate) fn close_all_but_standard(keep: &File) -> usize {
    let others = others(keep);
    // One of these was the folder's own; that it cannot be closed again is right.
    for number in others.unwrap_or_else(|| (3..DESCRIPTORS_TRIED).collect()) {
        if number != keep.as_raw_fd() {
            let _closed = nix::unistd::close(number);
        }
    }
    // What is listed now is the folder of the list alone.
    self::others(keep).map_or(0, |left| left.len().saturating_sub(1))
}

fn others(keep: &File) -> Option<Vec<RawFd>> {
    let keep = keep.as_raw_fd();
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Some(numbers.filter(|number: &RawFd| 2 < *number && *number != keep).collect())
}

/// Shuts this process in for good, tries the forbidden acts, and says how it went.
pub(crate) fn shut_in(rules: &Rules, inherited: usize) -> Confinement {
    let limits = limit(rules);
    let landlock = landlock().unwrap_or_else(|_| "absent".to_owned());
    let seccomp = match filter(rules).map(|program| seccompiler::apply_filter(&program)) {
        Some(Ok(())) => "full".to_owned(),
        Some(Err(_)) | None => "absent".to_owned(),
    };
    let acts = ACTS
        .iter()
        .map(|(what, succeeds)| Act { what: (*what).to_owned(), denied: !succeeds() })
        .collect();
    Confinement { landlock, seccomp, limits, inherited, acts }
}

fn limit(rules: &Rules) -> String {
    let mut missing = Vec::new();
    let bounds = [
        ("memory", Resource::As, rules.memory_bytes_max),
        ("cpu", Resource::Cpu, rules.cpu_s_max),
        ("file size", Resource::Fsize, 0),
        ("processes", Resource::Nproc, 0),
        ("core", Resource::Core, 0),
        ("descriptors", Resource::Nofile, 16),
    ];
    for (name, resource, most) in bounds {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        if rustix::process::setrlimit(resource, limit).is_err() {
            missing.push(name);
        }
    }
    if rustix::thread::set_no_new_privs(true).is_err() {
        missing.push("no new privileges");
    }
    if rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        missing.push("no dumps");
    }
    if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        missing.push("end with the parent");
    }
    if missing.is_empty() { "full".to_owned() } else { format!("without {}", missing.join(", ")) }
}

/// No file, no port, no foreign process: a ruleset that handles everything and grants nothing.
fn landlock() -> Result<String, landlock::RulesetError> {
    let abi = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "full",
        RulesetStatus::PartiallyEnforced => "partial",
        RulesetStatus::NotEnforced => "absent",
    }
    .to_owned())
}

fn filter(rules: &Rules) -> Option<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().ok()?;
    let not_executable = || {
        let is = SeccompCmpOp::MaskedEq(PROT_EXEC);
        let condition = SeccompCondition::new(2, SeccompCmpArgLen::Qword, is, 0).ok()?;
        SeccompRule::new(vec![condition]).ok()
    };
    let mut allowed: Vec<(i64, Vec<SeccompRule>)> =
        rules.syscalls.iter().map(|call| (*call, Vec::new())).collect();
    for call in NO_EXEC {
        allowed.push((call, vec![not_executable()?]));
    }
    let (else_, then) = (SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow);
    SeccompFilter::new(allowed.into_iter().collect(), else_, then, arch).ok()?.try_into().ok()
}

/// Tries something and says whether it succeeded.
type Try = fn() -> bool;

/// What is tried, and how.
const ACTS: &[(&str, Try)] = &[
    ("read a file", || File::open("/proc/self/exe").is_ok()),
    ("list a folder", || fs::read_dir("/").is_ok()),
    ("look at a file", || fs::metadata("/").is_ok()),
    ("write a file", || write_a_file().is_ok()),
    ("make a folder", || fs::create_dir("/tmp/bartizan-child").is_ok()),
    ("make a file in memory", || {
        rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::empty()).is_ok()
    }),
    ("connect to a TCP port", || {
        TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, 9).into(), Duration::from_millis(100))
            .is_ok()
    }),
    ("listen on a TCP port", || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).is_ok()),
    ("open a UDP socket", || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).is_ok()),
    ("open a Unix socket", || UnixDatagram::unbound().is_ok()),
    ("start a process", start_a_process),
    ("start a thread", || std::thread::Builder::new().spawn(|| ()).is_ok()),
    ("signal the parent", || {
        rustix::process::getppid().is_some_and(|id| rustix::process::test_kill_process(id).is_ok())
    }),
    ("get hold of the parent", || {
        rustix::process::getppid().is_some_and(|id| {
            rustix::process::pidfd_open(id, rustix::process::PidfdFlags::empty()).is_ok()
        })
    }),
    ("change its folder", || std::env::set_current_dir("/tmp").is_ok()),
];

fn write_a_file() -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).open("/tmp/bartizan-child.txt")
}

fn start_a_process() -> bool {
    let mut command = Command::new("/proc/self/exe");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let _ended = child.kill();
    let _reaped = child.wait();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confinement(n_denied: usize, inherited: usize) -> Confinement {
        let act = |(at, (what, _)): (usize, &(&str, Try))| Act {
            what: (*what).to_owned(),
            denied: at < n_denied,
        };
        let full = || "full".to_owned();
        let acts = ACTS.iter().enumerate().map(act).collect();
        Confinement { landlock: full(), seccomp: full(), limits: full(), inherited, acts }
    }

    /// C1, from both sides: one act that succeeds, one that was not tried, one descriptor too many.
    #[test]
    fn a_child_serves_only_where_every_forbidden_act_fails() {
        assert!(confinement(ACTS.len(), 0).holds());
        let open = confinement(ACTS.len() - 1, 0);
        assert!(!open.holds() && open.open() == ACTS[ACTS.len() - 1].0);
        assert!(!confinement(ACTS.len(), 1).holds());
        let mut untried = confinement(ACTS.len(), 0);
        untried.acts.pop();
        assert!(!untried.holds());
    }

    /// The acts are real ones: here, where nothing is forbidden, most of them succeed.
    #[test]
    fn the_acts_succeed_where_nothing_is_forbidden() {
        let tried = ["read a file", "list a folder", "look at a file", "make a file in memory"];
        let more =
            ["open a UDP socket", "open a Unix socket", "start a thread", "signal the parent"];
        for wanted in tried.into_iter().chain(more) {
            let (_, succeeds) = ACTS.iter().find(|(what, _)| *what == wanted).unwrap();
            assert!(succeeds(), "{wanted}");
        }
    }
}
