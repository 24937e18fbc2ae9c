//! What was found, exactly where, in words.

use std::fmt;

use bartizan_core::{Finding, Rule};

use crate::escape;

/// Why reading stopped before the end. Every one of them keeps a file from being cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes do not follow the format.
    Broken {
        /// Offset in the member, in bytes.
        offset: u64,
        /// What is wrong, in our words.
        what: &'static str,
    },
    /// A budget ran out; its name.
    Budget(&'static str),
    /// A part is encrypted.
    Encrypted,
    /// The format is known, or a part of it, but not judged; what and why.
    Unjudged(&'static str),
    /// The source could not be read.
    Io(std::io::ErrorKind),
}

impl Stop {
    /// A malformed place.
    pub(crate) fn broken(offset: u64, what: &'static str) -> Self {
        Self::Broken { offset, what }
    }
}

/// One thing seen in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// The rule that it falls under.
    pub rule: &'static Rule,
    /// Member path inside the file, parts joined by `!/`, escaped; empty for the file itself.
    pub member: Box<str>,
    /// Offset in that member, in bytes.
    pub offset: u64,
    /// What it is, in words, escaped: "calls os.system('id') on load".
    pub what: Box<str>,
    /// Advisories that describe it (CVE, GHSA).
    pub advisories: &'static [&'static str],
    /// How often it was seen; the offset is the first.
    pub count: u64,
    /// Why it does not count, where a policy says so for this very file.
    pub suppressed: Option<Box<str>>,
}

impl Sighting {
    /// The noun that all gates share: rule, place and count. `file` is the operator's own name
    /// for the file; foreign text stays here (core's F1).
    pub fn finding(&self, file: &str) -> Finding {
        Finding::new(self.rule, &escape::text(file), None, self.count)
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.rule.id, self.offset)?;
        if !self.member.is_empty() {
            write!(f, " in {}", self.member)?;
        }
        write!(f, ": {}", self.what)
    }
}
