//! What a credential covers.
//!
//! Invariants (checked by [`Scopes::check`] wherever scopes enter: at issue and at load)
//! - S1: there is at least one action; a list of models, outputs or purposes is not empty where
//!   emptiness would read as "all";
//! - S2: a key with several purposes may assert one, else it could never be used;
//! - S3: `digits <= 9` and `1 <= top_k`;
//! - S4: the canonical JSON of a scope has at most [`SCOPES_BYTES_MAX`] bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bartizan_core::limits::ASSERTED_BYTES_MAX;
use bartizan_core::{ModelName, Obligations};

/// Longest canonical JSON of one key's scopes, in bytes: with [`crate::KEYS_MAX`] it bounds the
/// book.
pub const SCOPES_BYTES_MAX: usize = 2_048;
/// Most decimal digits that an obligation can round to: a 32-bit float has 9 that matter.
pub const DIGITS_MAX: u8 = 9;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for files, commands and records.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or(WordError {
                    words: &[$($text),*],
                })
            }
        }
    };
}

/// Text that is none of the words that may stand there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is one of {}", words.join(", "))]
pub struct WordError {
    words: &'static [&'static str],
}

words! {
    /// What a credential may be used for. None includes another.
    Action {
        /// Ask a model for predictions.
        Infer "infer",
        /// Read a model's metadata and readiness, and the server's.
        Describe "describe",
        /// Change keys, models and the server's state.
        Admin "admin",
        /// Read metrics.
        Metrics "metrics",
        /// Read recorded decisions.
        Trace "trace",
    }
}

words! {
    /// What a caller may say about a request that the server cannot check.
    Assertion {
        /// Whom the decision is about.
        Subject "subject",
        /// On whose behalf the caller asks.
        EndUser "end-user",
        /// What for.
        Purpose "purpose",
        /// The caller's own id of the request.
        CorrelationId "correlation-id",
    }
}

/// Which models a credential covers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelScope {
    /// Every model of the environment, now and later.
    All,
    /// These, in all their versions.
    Some(BTreeSet<ModelName>),
}

impl ModelScope {
    /// Whether `model` is covered.
    pub fn covers(&self, model: &ModelName) -> bool {
        match self {
            Self::All => true,
            Self::Some(models) => models.contains(model),
        }
    }
}

/// What a credential covers; see the module invariants.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scopes {
    /// What it may be used for.
    pub actions: BTreeSet<Action>,
    /// On which models.
    pub models: ModelScope,
    /// For which purposes; any, or none, where empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub purposes: BTreeSet<String>,
    /// What its holder may assert.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_assert: BTreeSet<Assertion>,
    /// What is withheld from its holder.
    #[serde(default, skip_serializing_if = "Obligations::is_free")]
    pub obligations: Obligations,
}

/// Why scopes make no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct ScopesError {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it and what would be right.
    pub reason: &'static str,
}

impl Scopes {
    /// Inference and metadata on `models`, nothing withheld and nothing asserted: the usual
    /// caller's.
    pub fn inference(models: ModelScope) -> Self {
        Self {
            actions: BTreeSet::from([Action::Infer, Action::Describe]),
            models,
            purposes: BTreeSet::new(),
            may_assert: BTreeSet::new(),
            obligations: Obligations::default(),
        }
    }

    /// Checks S1 to S4.
    ///
    /// # Errors
    /// [`ScopesError`] naming the first field that breaks one.
    pub fn check(&self) -> Result<(), ScopesError> {
        let broken = |field, reason| Err(ScopesError { field, reason });
        if self.actions.is_empty() {
            return broken("actions", "is empty: a key needs at least one action");
        }
        if self.models == ModelScope::Some(BTreeSet::new()) {
            return broken("models", "lists none: name models, or say `all`");
        }
        if self.purposes.iter().any(|text| text.is_empty() || ASSERTED_BYTES_MAX < text.len()) {
            return broken("purposes", "has one that is not 1 to 256 bytes long");
        }
        if 1 < self.purposes.len() && !self.may_assert.contains(&Assertion::Purpose) {
            return broken("purposes", "has several: then `may_assert` must have `purpose`");
        }
        let Obligations { outputs, top_k, digits, rows_per_day, .. } = &self.obligations;
        if outputs.as_ref().is_some_and(|names| names.is_empty() || names.contains("")) {
            return broken("obligations.outputs", "is empty or has an empty name: leave it out");
        }
        if *top_k == Some(0) {
            return broken("obligations.top_k", "is 0: it is at least 1");
        }
        if digits.is_some_and(|digits| DIGITS_MAX < digits) {
            return broken("obligations.digits", "is above 9: it is 0 to 9");
        }
        if *rows_per_day == Some(0) {
            return broken("obligations.rows_per_day", "is 0: it is at least 1");
        }
        match serde_json::to_vec(self) {
            Ok(json) if json.len() <= SCOPES_BYTES_MAX => Ok(()),
            _ => broken("scopes", "are longer than 2048 bytes of JSON: use several keys"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn obliged(obligations: Obligations) -> Scopes {
        Scopes { obligations, ..Scopes::inference(ModelScope::All) }
    }

    fn with_purposes(texts: &[&str], may_assert: &[Assertion]) -> Scopes {
        let may_assert = may_assert.iter().copied().collect();
        Scopes { purposes: names(texts), may_assert, ..Scopes::inference(ModelScope::All) }
    }

    /// S1, S2 and S3 from both sides: the last good value, and each nearest bad one.
    #[test]
    fn scopes_that_could_mislead_or_never_work_are_refused() {
        let free = Obligations::default();
        let long = "p".repeat(ASSERTED_BYTES_MAX);
        let models = |texts: &[&str]| {
            let models = texts.iter().map(|text| text.parse().unwrap()).collect();
            Scopes::inference(ModelScope::Some(models))
        };
        for scopes in [
            Scopes::inference(ModelScope::All),
            models(&["fraud"]),
            with_purposes(&[&long], &[]),
            with_purposes(&["a", "b"], &[Assertion::Purpose]),
            obliged(Obligations { digits: Some(9), ..free.clone() }),
            obliged(Obligations { top_k: Some(1), ..free.clone() }),
            obliged(Obligations { outputs: Some(names(&["label"])), ..free.clone() }),
        ] {
            assert_eq!(scopes.check(), Ok(()), "refused {scopes:?}");
        }
        let idle = Scopes { actions: BTreeSet::new(), ..Scopes::inference(ModelScope::All) };
        for (scopes, field) in [
            (idle, "actions"),
            (models(&[]), "models"),
            (with_purposes(&[&format!("{long}p")], &[]), "purposes"),
            (with_purposes(&[""], &[]), "purposes"),
            (with_purposes(&["a", "b"], &[Assertion::Subject]), "purposes"),
            (obliged(Obligations { digits: Some(10), ..free.clone() }), "obligations.digits"),
            (obliged(Obligations { top_k: Some(0), ..free.clone() }), "obligations.top_k"),
            (
                obliged(Obligations { outputs: Some(names(&[])), ..free.clone() }),
                "obligations.outputs",
            ),
            (obliged(Obligations { outputs: Some(names(&[""])), ..free }), "obligations.outputs"),
        ] {
            assert_eq!(scopes.check().map_err(|error| error.field), Err(field), "{scopes:?}");
        }
    }

    /// S4 from both sides.
    #[test]
    fn scopes_are_bounded_in_bytes() {
        let output = |len: usize| {
            obliged(Obligations {
                outputs: Some(names(&["o".repeat(len).as_str()])),
                ..Obligations::default()
            })
        };
        let overhead = serde_json::to_vec(&output(1)).unwrap().len() - 1;
        assert_eq!(output(SCOPES_BYTES_MAX - overhead).check(), Ok(()));
        assert!(output(SCOPES_BYTES_MAX - overhead + 1).check().is_err());
    }

    #[test]
    fn words_read_back_what_they_print() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
            assert_eq!(serde_json::to_string(action).unwrap(), format!("\"{action}\""));
        }
        for assertion in Assertion::ALL {
            assert_eq!(assertion.as_str().parse(), Ok(*assertion));
            assert_eq!(serde_json::to_string(assertion).unwrap(), format!("\"{assertion}\""));
        }
        let error = "Infer".parse::<Action>().unwrap_err();
        assert_eq!(error.to_string(), "it is one of infer, describe, admin, metrics, trace");
    }
}
