//! The rules of the request gate.

use bartizan_core::{Rule, Severity};

/// All of them, by id.
pub const RULES: &[&Rule] =
    &[&UNKNOWN_CATEGORY, &INPUT_MISMATCH, &ABOVE_LIMIT, &BELOW_LIMIT, &MISSING, &NOT_FINITE];

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
