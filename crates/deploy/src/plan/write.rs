//! A plan as text.

use serde_json::Value;

use super::Plan;
use crate::render::{json_text, yaml_text};

/// A plan as a JSON value; what is not said is absent.
pub(crate) fn to_value(plan: &Plan) -> Value {
    // A plan has text keys only, so that this cannot fail.
    serde_json::to_value(plan).unwrap_or_default()
}

/// A plan as JSON, keys sorted.
pub fn to_json(plan: &Plan) -> String {
    json_text(&to_value(plan))
}

/// A plan as YAML, keys sorted.
pub fn to_yaml(plan: &Plan) -> String {
    yaml_text(&to_value(plan))
}

/// A plan as TOML, keys in the order of the manual.
pub fn to_toml(plan: &Plan) -> String {
    toml::to_string(plan).unwrap_or_default()
}
