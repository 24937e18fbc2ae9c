//! The rules that hold the house up, each a function from the project's files to what breaks it.
//!
//! `docs/` and the design explain the rules; the names here (F1 to F7 and a few of our own) are
//! theirs. A rule without a unit test that shows it failing does not belong here.

mod cited;
mod lock;
mod rooms;
mod shape;
mod words;

use std::{fmt, io, path::Path};

use crate::{report::say, tree::Tree};

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// `path` or `path:line`.
    pub place: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl Breach {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    fn at(path: &str, text: &str, position: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{}", crate::mask::line_of(text, position)), what)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// One rule.
pub struct Check {
    /// Its short name.
    pub name: &'static str,
    /// What it says, in one line.
    pub says: &'static str,
    /// Every place that breaks it.
    pub run: fn(&Tree) -> Vec<Breach>,
}

/// All of them.
pub const CHECKS: &[Check] = &[
    Check { name: "F1", says: "an edge points down, siblings never meet", run: rooms::edges },
    Check {
        name: "F2",
        says: "async, SQL, commands and exits stay in their rooms",
        run: rooms::kept,
    },
    Check { name: "F3", says: "core depends on nothing of ours and does no I/O", run: rooms::core },
    Check { name: "F5", says: "protocol words stay in wire and gateway", run: words::protocol },
    Check {
        name: "F6a",
        says: "an invariant has a label that a test cites",
        run: cited::invariants,
    },
    Check { name: "F6b", says: "an event is in docs/events.md", run: cited::events },
    Check { name: "F7a", says: "files are headed, short and in their place", run: shape::files },
    Check { name: "F7b", says: "functions fit one screen", run: shape::functions },
    Check {
        name: "unsafe",
        says: "unsafe code stands where ARCHITECTURE.md says",
        run: words::unsafety,
    },
    Check { name: "hosts", says: "no registry host, no machine's path", run: words::foreign },
    Check { name: "bans", says: "no crate that deny.toml bans is locked", run: lock::bans },
];

/// Prints every place that breaks a rule, and how many rules hold. Returns whether all do.
///
/// # Errors
/// Where the project cannot be read.
pub fn print(root: &Path) -> io::Result<bool> {
    let tree = Tree::read(root)?;
    let mut n_good = 0;
    for check in CHECKS {
        let breaches = (check.run)(&tree);
        n_good += usize::from(breaches.is_empty());
        for breach in &breaches {
            say(&format!("{} {breach}", check.name));
        }
    }
    say(&format!("{n_good} of {} rules hold in {} files", CHECKS.len(), tree.files.len()));
    Ok(n_good == CHECKS.len())
}
