//! Findings: the one noun with which every gate answers.
//!
//! A finding never holds an input value or a person's name: it may be logged and is part of a
//! record that cannot be erased. Its texts are a rule's constants and names of the model's own.

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Odd, rarely harmful.
    Low,
    /// Needs a look.
    Medium,
    /// Needs a look today.
    High,
    /// Wakes someone.
    Critical,
}

impl Severity {
    /// All of them, mildest first.
    pub const ALL: &[Self] = &[Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word for records and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A rule: what is looked for, why it matters, what to do. Each is one constant in the table of
/// the gate that owns it, from which `docs/rules.md` is generated.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable id, `<gate>.<noun>.<what>`: `guard.value.above-limit`.
    pub id: &'static str,
    /// How much a finding of it matters.
    pub severity: Severity,
    /// What was found and why it matters, one sentence for the operator.
    pub why: &'static str,
    /// What to do, one sentence for the operator.
    pub remedy: &'static str,
    /// MITRE ATLAS technique it may be a sign of.
    pub atlas: Option<&'static str>,
}

/// Where a finding lies.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// Tensor, feature, column, file or key: a name of the model's or the operator's, never a
    /// caller's text.
    pub field: Option<Box<str>>,
    /// First row it was seen in.
    pub row: Option<u64>,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// Where.
    pub place: Place,
    /// How many elements or rows show it.
    pub count: u64,
    /// How strongly, on the rule's own scale; 1 where the rule has none.
    pub score: f64,
}

impl Finding {
    /// A finding of `rule` in `field`, seen `count` times, first in `row`.
    pub fn new(rule: &'static Rule, field: &str, row: Option<u64>, count: u64) -> Self {
        let place = Place { field: Some(field.into()), row };
        Self { rule, place, count, score: 1.0 }
    }
}

/// Findings of one act: the first [`limits::FINDINGS_MAX`](crate::limits::FINDINGS_MAX) whole,
/// the rest as an exact count. Holds no memory while empty.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    n_more: u64,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        if self.kept.len() < crate::limits::FINDINGS_MAX {
            self.kept.push(finding);
        } else {
            self.n_more += 1;
        }
    }

    /// Those that were kept, in the order in which they were found.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many were found beyond those.
    pub fn n_more(&self) -> u64 {
        self.n_more
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// What the request gate concludes. Later ones are sterner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Verdict {
    /// Answer.
    #[default]
    Allow,
    /// Answer, and tell the operator.
    Flag,
    /// Answer with less.
    Degrade,
    /// Not now.
    Throttle,
    /// No.
    Block,
    /// No, and nothing more from this principal until somebody has looked.
    Quarantine,
}

impl Verdict {
    /// All of them, mildest first.
    pub const ALL: &[Self] =
        &[Self::Allow, Self::Flag, Self::Degrade, Self::Throttle, Self::Block, Self::Quarantine];

    /// The word for records and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Flag => "flag",
            Self::Degrade => "degrade",
            Self::Throttle => "throttle",
            Self::Block => "block",
            Self::Quarantine => "quarantine",
        }
    }
}
