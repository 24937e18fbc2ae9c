//! The sandboxed child: this very binary, started again without keys, network or the right to
//! write, to do one thing to foreign bytes.
//!
//! The parent ([`spawn`]) hands it the bytes by a sealed descriptor, reads a bounded answer, and
//! kills it at its deadline. The child ([`confine`]) shuts itself in after `exec` and before it
//! reads a byte, then tries what it must not be able to do, and refuses to serve unless every
//! try fails. No `unsafe`, so nothing runs between `fork` and `exec` but the standard library.
//!
//! A role says what a child does ([`Role`]); ONNX Runtime's will be one more.
//!
//! Invariants
//! - C1: a child serves only after every forbidden act was tried and failed;
//! - C2: a child inherits three descriptors: the bytes, its answer, and nowhere; no environment;
//! - C3: whatever a child does, the parent waits no longer than the deadline and holds no more than
//!   the bound of the answer.

pub(crate) mod confine;
pub(crate) mod spawn;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use confine::{Confinement, Rules};

/// What a child is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Scan a model's file.
    Scan,
}

impl Role {
    const ALL: &[Self] = &[Self::Scan];

    /// The argument that makes this binary such a child.
    pub(crate) fn arg(self) -> &'static str {
        match self {
            Self::Scan => "internal-child-scan",
        }
    }

    fn rules(self) -> Rules {
        match self {
            Self::Scan => Rules {
                syscalls: confine::SYSCALLS_OF_A_READER,
                memory_bytes_max: 4 * 1024 * 1024 * 1024,
                cpu_s_max: 600,
            },
        }
    }

    fn work(self) -> fn(File, &mut dyn io::Write) -> io::Result<()> {
        match self {
            Self::Scan => crate::gate::in_child::work,
        }
    }
}

/// Exit code of a child that is not shut in and therefore does not serve (C1).
const NOT_SHUT_IN: u8 = 4;
/// Exit code of a child that could not read or answer.
const FAILED: u8 = 5;

/// Where this process was started as a child: does its work, and says with which code to end.
pub(crate) fn as_child() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let (first, more) = (args.next()?, args.next());
    let role = Role::ALL.iter().copied().find(|role| first == OsStr::new(role.arg()))?;
    if more.is_some() {
        return None;
    }
    Some(match serve(role) {
        Ok(code) => code,
        Err(_) => FAILED.into(),
    })
}

fn serve(role: Role) -> io::Result<ExitCode> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let inherited = confine::close_all_but_standard(&input);
    let confinement = confine::shut_in(&role.rules(), inherited);
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &confinement)?;
    out.write_all(b"\n")?;
    if !confinement.holds() {
        out.flush()?;
        return Ok(NOT_SHUT_IN.into());
    }
    role.work()(input, &mut out)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What a child answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// How it was shut in.
    pub(crate) confinement: Confinement,
    /// What its work wrote.
    pub(crate) output: Vec<u8>,
}

/// Starts a child of `role` over `input` and reads its answer.
///
/// # Errors
/// [`spawn::ChildError`]; then there is no answer.
pub(crate) fn ask(
    role: Role,
    input: &[u8],
    bounds: &spawn::Bounds,
) -> Result<Answered, spawn::ChildError> {
    let mut command = spawn::this_binary(role.arg());
    let (mut output, status) = spawn::converse(&mut command, input, bounds)?;
    let end = output.iter().position(|byte| *byte == b'\n').unwrap_or(output.len());
    let confinement: Confinement = serde_json::from_slice(output.get(..end).unwrap_or(&[]))
        .map_err(|_| spawn::ChildError::Ended { how: status.to_string() })?;
    if !confinement.holds() {
        return Err(spawn::ChildError::Open { acts: confinement.open() });
    }
    if !status.success() {
        return Err(spawn::ChildError::Ended { how: status.to_string() });
    }
    output.drain(..(end + 1).min(output.len()));
    Ok(Answered { confinement, output })
}
