//! Three-valued evidence, and how it combines.
//!
//! Invariants
//! - V1: combining never softens: hostile wins over not cleared, not cleared over cleared;
//! - V2: nothing is cleared by silence: a file of which no part was read to its end is not
//!   cleared.

use bartizan_core::Severity;

/// What is concluded about a file. Later ones are sterner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Read to its last byte, and all that loading it would do is known to be harmless.
    Cleared,
    /// Something in it could not be read, is not known, or is odd.
    NotCleared,
    /// Loading it does what no model needs.
    Hostile,
}

impl Verdict {
    /// All of them, mildest first.
    pub const ALL: &[Self] = &[Self::Cleared, Self::NotCleared, Self::Hostile];

    /// The word for records, JSON and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::NotCleared => "not-cleared",
            Self::Hostile => "hostile",
        }
    }

    /// The sterner of the two (V1).
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }

    /// What a finding of this severity means for the file: the one place where findings become
    /// verdicts, so that no reader has an opinion of its own.
    pub fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Cleared,
            Severity::Low | Severity::Medium => Self::NotCleared,
            Severity::High | Severity::Critical => Self::Hostile,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V1: the sterner verdict wins, whichever comes first.
    #[test]
    fn combining_never_softens() {
        for &left in Verdict::ALL {
            for &right in Verdict::ALL {
                let both = left.and(right);
                assert!(left <= both && right <= both, "{left:?} and {right:?} gave {both:?}");
                assert_eq!(both, right.and(left));
            }
        }
    }

    /// S1: a finding that is no mere remark keeps a file from being cleared.
    #[test]
    fn only_remarks_leave_a_file_cleared() {
        for &severity in Severity::ALL {
            assert_eq!(Verdict::of(severity) == Verdict::Cleared, severity == Severity::Info);
        }
    }
}
