//! What a permit obliges the server to withhold, of the answer and of what is kept.

use std::collections::BTreeSet;

/// How long what was decided is kept, in the operator's classes. The shorter is the stricter.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// As briefly as the environment keeps anything.
    Brief,
    /// As long as the environment keeps what nobody said anything about.
    Standard,
    /// As long as the environment keeps anything.
    Long,
}

impl Retention {
    /// All of them, the strictest first.
    pub const ALL: &[Self] = &[Self::Brief, Self::Standard, Self::Long];

    /// The word for policies and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brief => "brief",
            Self::Standard => "standard",
            Self::Long => "long",
        }
    }
}

/// Limits on what of a model's answer a caller is given, on what of the request is kept, and on
/// how much is answered. The default withholds nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Obligations {
    /// Names of the only outputs to give; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<BTreeSet<String>>,
    /// Give only this many likeliest classes of each row; the others read 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Round scores and probabilities to this many decimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
    /// Give only outputs whose role in the contract is `label`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub label_only: bool,
    /// Names of the only inputs that may be kept, sealed; all where absent, none where empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain_inputs: Option<BTreeSet<String>>,
    /// How long the record is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Most rows that are answered in a day (UTC), for each principal and model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_day: Option<u64>,
}

impl Obligations {
    /// Whether nothing is withheld.
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// Both at once: of each obligation the stricter. It withholds what either of them does.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            outputs: both(&self.outputs, &other.outputs),
            top_k: least(self.top_k, other.top_k),
            digits: least(self.digits, other.digits),
            label_only: self.label_only || other.label_only,
            retain_inputs: both(&self.retain_inputs, &other.retain_inputs),
            retention: least(self.retention, other.retention),
            rows_per_day: least(self.rows_per_day, other.rows_per_day),
        }
    }
}

/// The lesser of two limits, of which either may be absent.
fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What two lists of the only allowed names have in common, of which either may be absent.
fn both(a: &Option<BTreeSet<String>>, b: &Option<BTreeSet<String>>) -> Option<BTreeSet<String>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a & b),
        (a, b) => a.as_ref().or(b.as_ref()).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Option<BTreeSet<String>> {
        Some(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    /// Of each obligation the stricter wins, whichever side it is on, and what is free adds
    /// nothing.
    #[test]
    fn of_two_sets_of_obligations_the_stricter_wins() {
        let a = Obligations {
            outputs: names(&["label", "scores"]),
            top_k: Some(3),
            digits: None,
            label_only: true,
            retain_inputs: names(&["X", "Y"]),
            retention: Some(Retention::Long),
            rows_per_day: None,
        };
        let b = Obligations {
            outputs: names(&["scores", "margin"]),
            top_k: Some(1),
            digits: Some(2),
            label_only: false,
            retain_inputs: names(&["Z"]),
            retention: Some(Retention::Brief),
            rows_per_day: Some(7),
        };
        let strictest = Obligations {
            outputs: names(&["scores"]),
            top_k: Some(1),
            digits: Some(2),
            label_only: true,
            retain_inputs: names(&[]),
            retention: Some(Retention::Brief),
            rows_per_day: Some(7),
        };
        assert_eq!((a.and(&b), b.and(&a)), (strictest.clone(), strictest));
        let free = Obligations::default();
        assert_eq!((a.and(&free), free.and(&a), a.and(&a)), (a.clone(), a.clone(), a));
    }
}
