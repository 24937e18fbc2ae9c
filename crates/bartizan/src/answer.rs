//! What a command concludes, and the exit code that says so.
//!
//! Invariants
//! - A1: 0 means yes, 1 no (we looked), 2 usage, 3 unknown (we could not look), and nothing
//!   becomes 0 by accident.

use std::process::ExitCode;

/// A command's conclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is so, or it is done.
    Yes,
    /// It is not so: we looked.
    No,
    /// The command was not understood.
    Usage,
    /// We could not look, or could not do it.
    Unknown,
}

impl Answer {
    fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Unknown => 3,
        }
    }
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        Self::from(answer.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A1.
    #[test]
    fn only_yes_is_zero() {
        let all = [Answer::Yes, Answer::No, Answer::Usage, Answer::Unknown];
        assert_eq!(all.map(Answer::code), [0, 1, 2, 3]);
    }
}
