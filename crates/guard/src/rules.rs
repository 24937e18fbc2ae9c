//! The rules of the request gate.

use bartizan_core::{Rule, Severity};

/// All of them, by id.
pub const RULES: &[&Rule] = &[
    &BLOCKED,
    &BUDGET,
    &DEGRADED,
    &QUARANTINED,
    &THROTTLED,
    &UNKNOWN_CATEGORY,
    &DRIFT,
    &EVIDENCE_ODD,
    &EVIDENCE_SIMILAR,
    &EVIDENCE_STRADDLE,
    &INPUT_MISMATCH,
    &BETWEEN,
    &FAR,
    &NEAR,
    &NEAR_OTHERS,
    &NOT_JUDGED,
    &STRADDLE,
    &ABOVE_LIMIT,
    &BELOW_LIMIT,
    &MISSING,
    &NEVER_MISSING,
    &NOT_FINITE,
    &OFF_STEP,
    &OUT_OF_RANGE,
];

/// A value that is none of the contract's categories.
pub(crate) const UNKNOWN_CATEGORY: Rule = Rule {
    id: "guard.category.unknown",
    severity: Severity::Medium,
    why: "a value is none of the categories that the contract lists: what the model answers to \
          it means nothing",
    remedy: "find out where the caller has the value from; if it is legitimate, retrain the model \
             with it and then add it to `categories` in the contract",
    atlas: None,
};

/// Inputs that are not the model's.
pub(crate) const INPUT_MISMATCH: Rule = Rule {
    id: "guard.input.mismatch",
    severity: Severity::Low,
    why: "names, types, shapes or numbers of rows of the inputs are not those of the contract: \
          the caller is out of date, or explores what the server takes",
    remedy: "compare the caller's version with the model's metadata; many of these from one \
             principal are a probe",
    atlas: None,
};

/// A value above the contract's hard limit.
pub(crate) const ABOVE_LIMIT: Rule = Rule {
    id: "guard.value.above-limit",
    severity: Severity::Medium,
    why: "a value is above the contract's hard limit: a unit mistaken, a sensor broken, or an \
          input made up to force an answer",
    remedy: "check unit and source of the feature with the caller; raise `max` in the contract \
             only if such values are real",
    atlas: Some("AML.T0043"),
};

/// A value below the contract's hard limit.
pub(crate) const BELOW_LIMIT: Rule = Rule {
    id: "guard.value.below-limit",
    severity: Severity::Medium,
    why: "a value is below the contract's hard limit: a unit mistaken, a sensor broken, or an \
          input made up to force an answer",
    remedy: "check unit and source of the feature with the caller; lower `min` in the contract \
             only if such values are real",
    atlas: Some("AML.T0043"),
};

/// A missing value where none may be missing.
pub(crate) const MISSING: Rule = Rule {
    id: "guard.value.missing",
    severity: Severity::Low,
    why: "a value is missing (NaN or `null`) where the contract does not allow it: the model was \
          not made for that",
    remedy: "have the caller fill the value, or set `missing = \"allowed\"` in the contract if \
             the model really copes with it",
    atlas: None,
};

/// An infinite value.
pub(crate) const NOT_FINITE: Rule = Rule {
    id: "guard.value.not-finite",
    severity: Severity::Medium,
    why: "a value is infinite, which no measurement is: a division by zero on the caller's side, \
          or an input made up to break the model's arithmetic",
    remedy: "have the caller send a finite number, or a missing value where the contract allows it",
    atlas: Some("AML.T0043"),
};

/// guard.row.between
pub(crate) const BETWEEN: Rule = Rule {
    id: "guard.row.between",
    severity: Severity::Medium,
    why: "a row lies exactly between two earlier rows of the same caller: a search by \
          halving for the model's boundary asks such rows",
    remedy: "look at the caller's other rows; if an application really interpolates, set \
          `expects_near_duplicates` for the model",
    atlas: Some("AML.T0043.001"),
};

/// guard.caller.blocked
pub(crate) const BLOCKED: Rule = Rule {
    id: "guard.caller.blocked",
    severity: Severity::High,
    why: "the evidence against this caller has gone beyond the bound at which it is \
          refused for a while",
    remedy: "look at the evidence beside this finding; `bartizan guard release` lifts it",
    atlas: Some("AML.T0042"),
};

/// guard.caller.budget-spent
pub(crate) const BUDGET: Rule = Rule {
    id: "guard.caller.budget-spent",
    severity: Severity::Low,
    why: "the caller, or all callers of the model together, asked more rows in one day \
          than the budget allows",
    remedy: "find out whether the use has grown; raise the budget only as far as the \
          exposure of the model allows",
    atlas: Some("AML.T0024.002"),
};

/// guard.caller.degraded
pub(crate) const DEGRADED: Rule = Rule {
    id: "guard.caller.degraded",
    severity: Severity::Low,
    why: "the caller's rows are unusually like each other, so that it is given labels \
          only",
    remedy: "nothing if it explores variants honestly; whole answers come back by \
          themselves",
    atlas: Some("AML.T0042"),
};

/// guard.drift.input
pub(crate) const DRIFT: Rule = Rule {
    id: "guard.drift.input",
    severity: Severity::Low,
    why: "values come from elsewhere than those of the reference: users have changed, a \
          source has, or somebody skews what the model sees",
    remedy: "compare the feature's recent values with the profile's; fit a new profile once \
          the change is understood",
    atlas: Some("AML.T0031"),
};

/// guard.evidence.odd
pub(crate) const EVIDENCE_ODD: Rule = Rule {
    id: "guard.evidence.odd",
    severity: Severity::Info,
    why: "the caller's evidence of rows unlike honest ones, when something was done \
          about it",
    remedy: "read it together with the action beside it",
    atlas: None,
};

/// guard.evidence.similar
pub(crate) const EVIDENCE_SIMILAR: Rule = Rule {
    id: "guard.evidence.similar",
    severity: Severity::Info,
    why: "the caller's evidence of rows like each other, when something was done about \
          it",
    remedy: "read it together with the action beside it",
    atlas: None,
};

/// guard.evidence.straddle
pub(crate) const EVIDENCE_STRADDLE: Rule = Rule {
    id: "guard.evidence.straddle",
    severity: Severity::Info,
    why: "the caller's evidence of like rows with different answers, when something was \
          done about it",
    remedy: "read it together with the action beside it",
    atlas: None,
};

/// guard.row.far
pub(crate) const FAR: Rule = Rule {
    id: "guard.row.far",
    severity: Severity::Low,
    why: "a row lies farther from the reference than honest rows do",
    remedy: "one such row means little; many from one caller are a probe, or users that the \
          model was not made for",
    atlas: Some("AML.T0043"),
};

/// guard.row.near
pub(crate) const NEAR: Rule = Rule {
    id: "guard.row.near",
    severity: Severity::Low,
    why: "a row is nearer to an earlier row of the same caller than honest rows are to \
          each other",
    remedy: "one such row means little; evidence adds up by itself",
    atlas: Some("AML.T0043.001"),
};

/// guard.row.near-others
pub(crate) const NEAR_OTHERS: Rule = Rule {
    id: "guard.row.near-others",
    severity: Severity::Medium,
    why: "rows of another caller lie where this one has put several near each other: one \
          search by several identities",
    remedy: "look at the callers that ask there in the same hours",
    atlas: Some("AML.T0043.001"),
};

/// guard.row.not-judged
pub(crate) const NOT_JUDGED: Rule = Rule {
    id: "guard.row.not-judged",
    severity: Severity::High,
    why: "the guard could not judge the request",
    remedy: "this is a fault of ours or of the profile: look at the log, fit the profile \
          anew",
    atlas: None,
};

/// guard.caller.quarantined
pub(crate) const QUARANTINED: Rule = Rule {
    id: "guard.caller.quarantined",
    severity: Severity::Critical,
    why: "the evidence against this caller leaves no honest explanation, or it was \
          blocked again and again",
    remedy: "find out who it is; `bartizan guard release` lets it in again, with a reason",
    atlas: Some("AML.T0042"),
};

/// guard.row.straddle
pub(crate) const STRADDLE: Rule = Rule {
    id: "guard.row.straddle",
    severity: Severity::High,
    why: "two like rows of one caller got different answers: it asks across the model's \
          boundary",
    remedy: "many of these are an attack on the boundary; find out what the caller needs \
          them for",
    atlas: Some("AML.T0043.001"),
};

/// guard.caller.throttled
pub(crate) const THROTTLED: Rule = Rule {
    id: "guard.caller.throttled",
    severity: Severity::Medium,
    why: "the caller's rows are too much like each other to come from use: all its \
          requests to the model wait",
    remedy: "if the caller explores variants honestly, set `expects_near_duplicates` for \
          the model",
    atlas: Some("AML.T0042"),
};

/// guard.value.never-missing
pub(crate) const NEVER_MISSING: Rule = Rule {
    id: "guard.value.never-missing",
    severity: Severity::Low,
    why: "a value is missing that never is in the reference",
    remedy: "find out why the caller has no value; fit the profile anew if that is how it \
          is now",
    atlas: None,
};

/// guard.value.off-step
pub(crate) const OFF_STEP: Rule = Rule {
    id: "guard.value.off-step",
    severity: Severity::Low,
    why: "a value does not lie on the step on which all values of the reference lie, as \
          numbers made up by a program do not",
    remedy: "find out where the caller has the value from; a unit or a conversion may have \
          changed",
    atlas: Some("AML.T0043"),
};

/// guard.value.out-of-range
pub(crate) const OUT_OF_RANGE: Rule = Rule {
    id: "guard.value.out-of-range",
    severity: Severity::Low,
    why: "a value lies beyond all of the reference, though within the contract's limits",
    remedy: "one such value means little; evidence adds up by itself",
    atlas: Some("AML.T0043"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_and_say_what_to_do() {
        assert!(RULES.is_sorted_by(|a, b| a.id < b.id));
        for rule in RULES {
            assert!(rule.id.starts_with("guard."), "{}", rule.id);
            assert!(!rule.why.is_empty() && !rule.remedy.is_empty(), "{}", rule.id);
        }
    }
}
