//! What a vetting gives.

use std::collections::BTreeMap;

use bartizan_core::{Finding as CoreFinding, Place, Rule};

use crate::label::Member;
use crate::shift::ColumnFacts;
use crate::source::SourceFacts;
use crate::trigger::Pattern;

/// Kinds of suspicion that rows are scored for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Issue {
    /// Copies and floods.
    Duplicate,
    /// A wrong label.
    Label,
    /// A row of the baseline.
    Leak,
    /// Far from all others.
    Outlier,
    /// An impossible or disguised value.
    Schema,
    /// Unlike the baseline.
    Shift,
    /// A row of a bad source.
    Source,
    /// A planted pattern.
    Trigger,
}

impl Issue {
    /// All, in order of their names.
    pub const ALL: &[Self] = &[
        Self::Duplicate,
        Self::Label,
        Self::Leak,
        Self::Outlier,
        Self::Schema,
        Self::Shift,
        Self::Source,
        Self::Trigger,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Label => "label",
            Self::Leak => "leak",
            Self::Outlier => "outlier",
            Self::Schema => "schema",
            Self::Shift => "shift",
            Self::Source => "source",
            Self::Trigger => "trigger",
        }
    }
}

/// One thing found about the data set, with the rows below it.
///
/// The evidence quotes values of the data set: it is for the report, which belongs to whoever
/// owns the data. What goes into a ledger is [`Finding::for_record`].
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// What its rows are scored under.
    pub issue: Issue,
    /// What exactly, in one sentence.
    pub claim: String,
    /// Chance of it on innocent data, as far as the test goes; 0 where the evidence is a fact.
    pub p_value: f64,
    /// How strong, on the rule's own scale.
    pub strength: f64,
    /// Column it is about.
    pub column: Option<String>,
    /// Source it is about.
    pub source: Option<String>,
    /// Rows, worst first where they have an order.
    pub rows: Vec<u32>,
    /// Whether the policy lets it block.
    pub blocks: bool,
}

impl Finding {
    /// Without any value of the data set.
    pub fn for_record(&self) -> CoreFinding {
        CoreFinding {
            rule: self.rule,
            place: Place {
                field: self.column.as_deref().map(Into::into),
                row: self.rows.iter().min().map(|row| u64::from(*row)),
            },
            count: self.rows.len() as u64,
            score: self.strength,
        }
    }
}

/// What a gate concludes about a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that blocks was found; what was not covered is listed.
    Clean,
    /// Something that blocks was found.
    Findings,
    /// Nothing that blocks was found, but what was asked for could not be looked at: nobody may
    /// call the data clean.
    NotCovered,
}

impl Verdict {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Findings => "findings",
            Self::NotCovered => "not covered",
        }
    }
}

/// What was looked for in vain, or could not be looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotCovered {
    /// What.
    pub what: String,
    /// Why, and what would change that.
    pub why: String,
}

/// Facts for people, beside findings.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Rows of each class.
    pub class_counts: Vec<usize>,
    /// Judges of the labels.
    pub members: Vec<Member>,
    /// Patterns, strongest first.
    pub patterns: Vec<Pattern>,
    /// Sources by name.
    pub sources: Vec<SourceFacts>,
    /// Columns against the baseline.
    pub columns: Vec<ColumnFacts>,
    /// Side of the square image that the byte columns make, if they do.
    pub image_side: Option<usize>,
    /// Share of rows whose class's spectral score is beyond 5 robust deviations: evidence only.
    pub spectral_share: Option<f64>,
}

/// The whole result.
#[derive(Clone, Debug)]
pub struct Report {
    /// How many rows.
    pub n_rows: usize,
    /// How many columns, label and source included.
    pub n_columns: usize,
    /// The conclusion under the policy.
    pub verdict: Verdict,
    /// Findings, gravest first.
    pub findings: Vec<Finding>,
    /// Score of each row, by issue; only issues that were looked at.
    pub scores: BTreeMap<Issue, Vec<f32>>,
    /// One score of each row, `0.0..=1.0`.
    pub risk: Vec<f32>,
    /// What was not looked at.
    pub not_covered: Vec<NotCovered>,
    /// Facts.
    pub facts: Facts,
    /// The label of each row, as a class.
    pub labels: Option<Vec<u32>>,
    /// Most likely class of each row.
    pub guesses: Option<Vec<u32>>,
}

impl Report {
    /// Rows under findings that block, by issue, ascending.
    pub fn flags(&self) -> BTreeMap<Issue, Vec<u32>> {
        let mut flags: BTreeMap<Issue, Vec<u32>> = BTreeMap::new();
        for finding in self.findings.iter().filter(|finding| finding.blocks) {
            flags.entry(finding.issue).or_default().extend(&finding.rows);
        }
        for rows in flags.values_mut() {
            rows.sort_unstable();
            rows.dedup();
        }
        flags
    }

    /// Whether a finding reports `pattern`.
    pub fn reports(&self, pattern: &Pattern) -> bool {
        let is_its = |finding: &&Finding| {
            finding.issue == Issue::Trigger && pattern.z.total_cmp(&finding.strength).is_eq()
        };
        self.findings.iter().any(|finding| is_its(&finding))
    }

    /// All rows under findings that block, ascending.
    pub fn quarantined(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = self.flags().into_values().flatten().collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}
