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
}
