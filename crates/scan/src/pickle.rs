//! Pickles, protocols 0 to 5: run in a symbolic machine that imports, calls and builds nothing.
//!
//! The machine follows the union of what `pickle.py`, `_pickle.c` and `pickletools` (CPython 3.8
//! to 3.14) would read: stack, marks, memo and frames are exact, values are abstract. What a
//! pickle does is recorded when an opcode runs, never read off the result: a call whose result is
//! thrown away, or that comes before the stream breaks, counts the same.
//!
//! Invariants
//! - P1: an import or call that any of the three readers would do is seen, also in a stream that
//!   breaks afterwards;
//! - P2: bytes that the readers take differently are a finding;
//! - P3: no recursion and no allocation grows with what a file claims;
//! - P4: every byte up to the end of the data is read: several pickles, then nothing.

mod compat;
mod danger;
mod event;
mod joblib;
mod judge;
mod machine;
mod memo;
mod names;
mod operand;
mod show;
mod special;
mod text;
mod value;

use bartizan_core::Rule;

use crate::allow::Allow;
use crate::budget::{Budget, Meter};
use crate::rules;
use crate::scope::{Alone, Scope};
use crate::sighting::Stop;
use crate::sniff::Head;
use crate::source::{Stream, View};

pub(crate) use joblib::{Still, dtype_of};
pub(crate) use machine::Machine;
pub(crate) use value::DType;

pub use judge::explain;

/// Advisories on a dotted name that runs code or reaches outside, if it is one.
pub(crate) fn danger_of(path: &str) -> Option<&'static [&'static str]> {
    let (module, name) = path.rsplit_once('.').unwrap_or((path, ""));
    danger::find(module, name).map(|danger| danger.advisories)
}

/// Most opcodes that are run to tell whether a text is a pickle.
const CLAIM_OPCODES_MAX: u64 = 100_000;

/// Reads all pickles of `stream`, which must end with the last.
pub(crate) fn read(scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
    let mut machine = Machine::new();
    loop {
        machine.run(scope, stream)?;
        if stream.peek(1)?.is_empty() {
            return Ok(());
        }
        if !follows(stream.peek(4096)?) {
            let offset = stream.offset();
            scope.report(&rules::FILE_TRAILING, offset, "bytes follow the last pickle");
            return Ok(());
        }
    }
}

/// Whether another pickle may follow: anything that a loader called once more would run.
fn follows(head: &[u8]) -> bool {
    head.first().is_some_and(|&op| machine::is_opcode(op)) && !head.iter().all(|&byte| byte == 0)
}

/// Whether a part is a pickle: it has the header of protocol 2 and later, or, as text opcodes may
/// begin like any text, running it imports something, or ends properly.
pub(crate) fn claims(head: &Head<'_>) -> bool {
    if matches!(head.bytes, [0x80, 0..=5, ..]) {
        return true;
    }
    if !head.bytes.first().is_some_and(|&op| machine::is_opcode(op)) {
        return false;
    }
    let whole = head.bytes.to_vec();
    let head_view = View::whole(&whole);
    let view = head.view.unwrap_or(&head_view);
    let clock = joblib::Still;
    let budget = Budget { opcodes_max: CLAIM_OPCODES_MAX, ..Budget::default() };
    let meter = Meter::new(budget, &clock);
    let allow = Allow::new();
    let mut aside = Scope::new(&allow, &meter, &Alone);
    let done = Machine::new().run(&mut aside, &mut view.stream());
    let (_, sightings, _) = aside.finish();
    let odd = |rule: &Rule| sightings.iter().any(|seen| seen.rule.id == rule.id);
    let runs = [&rules::PICKLE_IMPORT, &rules::PICKLE_CALL, &rules::PICKLE_COMPUTED]
        .into_iter()
        .chain([&rules::PICKLE_EXTENSION, &rules::PICKLE_BUILD, &rules::PICKLE_USE])
        .any(odd);
    // A text may begin with `c`, but its lines are rarely names.
    let unlisted = odd(&rules::PICKLE_UNLISTED) && !odd(&rules::PICKLE_DIFFERS);
    runs || unlisted
        || match done {
            Ok(_) => true,
            Err(Stop::Budget(_)) => true,
            // Only the head is there to look at, and it is a pickle so far.
            Err(Stop::Broken { what: "it is cut off", .. }) => head.view.is_none(),
            Err(_) => false,
        }
}

#[cfg(test)]
mod tests;
