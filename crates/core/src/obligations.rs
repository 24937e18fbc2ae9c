//! What a permit obliges the server to withhold.

use std::collections::BTreeSet;

/// Limits on what of a model's answer a caller is given. The default withholds nothing.
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
        };
        let b = Obligations {
            outputs: names(&["scores", "margin"]),
            top_k: Some(1),
            digits: Some(2),
            label_only: false,
        };
        let strictest = Obligations {
            outputs: names(&["scores"]),
            top_k: Some(1),
            digits: Some(2),
            label_only: true,
        };
        assert_eq!((a.and(&b), b.and(&a)), (strictest.clone(), strictest));
        let free = Obligations::default();
        assert_eq!((a.and(&free), free.and(&a), a.and(&a)), (a.clone(), a.clone(), a));
    }
}
