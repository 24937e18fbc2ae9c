//! Repairs: each a set of edits of the plan that removes its finding and adds none.
//!
//! A repair is not written down rule by rule as text: a candidate changes the plan, the allocator
//! fills what it left open, the whole plan is judged again, and only a candidate after which the
//! finding is gone and nothing new is there is proposed.
//!
//! Invariants
//! - FX1: the findings after a repair are findings that were there before, without the repaired
//!   one.

/// A repair.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// What it does, one line.
    pub summary: String,
}
