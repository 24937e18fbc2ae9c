//! Which findings block, as a small TOML file says.

use std::collections::BTreeSet;

use bartizan_core::{Rule, Severity};

use crate::rules::RULES;

/// What blocks; see [`Policy::parse`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Findings of this severity and above block.
    #[serde(deserialize_with = "severity")]
    block_from: Severity,
    /// Rules that block whatever their severity.
    block: BTreeSet<String>,
    /// Rules that never block.
    allow: BTreeSet<String>,
    /// Share of all findings that may be false, `0.0..=0.5`, in millionths.
    #[serde(rename = "false_discovery_ppm")]
    false_discovery_ppm: u32,
    /// Kinds of attack that must have been covered, by a part of their name; where one was not,
    /// the answer is not "clean" but "could not look".
    require: BTreeSet<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            block_from: Severity::Medium,
            block: BTreeSet::new(),
            allow: BTreeSet::new(),
            false_discovery_ppm: 10_000,
            require: BTreeSet::new(),
        }
    }
}

fn severity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
    let known = Severity::ALL.iter().find(|severity| severity.as_str() == text);
    known.copied().ok_or_else(|| {
        serde::de::Error::custom("a severity is info, low, medium, high or critical")
    })
}

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is no such TOML.
    #[error("the policy cannot be read: {0}")]
    Toml(String),
    /// It names a rule that is not there.
    #[error("the policy names the rule `{rule}`, which does not exist; see docs/rules.md")]
    UnknownRule {
        /// The name.
        rule: String,
    },
    /// A number is out of its range.
    #[error("`false_discovery_ppm` is {found}, it may be at most 500000")]
    Share {
        /// What it says.
        found: u32,
    },
}

impl Policy {
    /// Reads `text`: `block_from` (a severity, default `medium`), `block` and `allow` (lists of
    /// rule ids), `false_discovery_ppm` (default 10000), `require` (list of parts of names).
    ///
    /// # Errors
    /// [`PolicyError`]; a rule that does not exist is one.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Toml(error.message().into()))?;
        for rule in policy.block.iter().chain(&policy.allow) {
            if RULES.iter().all(|known| known.id != rule) {
                return Err(PolicyError::UnknownRule { rule: rule.clone() });
            }
        }
        if 500_000 < policy.false_discovery_ppm {
            return Err(PolicyError::Share { found: policy.false_discovery_ppm });
        }
        Ok(policy)
    }

    /// Whether a finding of `rule` blocks.
    pub fn blocks(&self, rule: &Rule) -> bool {
        let is_named = |list: &BTreeSet<String>| list.contains(rule.id);
        !is_named(&self.allow) && (is_named(&self.block) || self.block_from <= rule.severity)
    }

    /// Share of findings that may be false.
    pub fn false_discovery(&self) -> f64 {
        f64::from(self.false_discovery_ppm) / 1e6
    }

    /// What must have been covered.
    pub fn required(&self) -> &BTreeSet<String> {
        &self.require
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    #[test]
    fn a_policy_names_rules_that_exist() {
        let policy = Policy::parse(
            "block_from = \"critical\"\nblock = [\"vet.outlier.rows\"]\nallow = [\"vet.pattern.trigger\"]",
        )
        .unwrap();
        assert!(policy.blocks(rules::OUTLIER_ROWS));
        assert!(!policy.blocks(rules::PATTERN_TRIGGER));
        assert!(!policy.blocks(rules::LABEL_NOISE));
        assert!(Policy::default().blocks(rules::LABEL_NOISE));
        assert!(!Policy::default().blocks(rules::DUPLICATE_EXACT));
        for text in [
            "block = [\"vet.nothing\"]",
            "block_from = \"grave\"",
            "unknown = 1",
            "false_discovery_ppm = 500001",
            "[",
        ] {
            assert!(Policy::parse(text).is_err(), "accepted {text:?}");
        }
        assert!(Policy::parse("").unwrap() == Policy::default());
    }
}
