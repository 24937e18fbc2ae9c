//! The published JSON Schema of the configuration, and the shape that [`super::read`] walks.

use serde_json::Value;

use super::Config;

/// The schema as a JSON value.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "bartizan.toml".into());
    }
    schema
}

/// The schema as `bartizan config schema` prints it and as it is checked in.
///
/// # Errors
/// What `serde_json` says; it has no reason to.
pub(crate) fn text() -> Result<String, serde_json::Error> {
    // Whether a JSON object keeps its order depends on what else is built in.
    let mut schema = schema();
    schema.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&schema)?;
    text.push('\n');
    Ok(text)
}

/// The part of `schema` that `$ref`s in `node` lead to, or `node` itself.
pub(crate) fn resolve<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    node.get("$ref")
        .and_then(Value::as_str)
        .and_then(|link| link.strip_prefix('#'))
        .and_then(|pointer| schema.pointer(pointer))
        .unwrap_or(node)
}

/// The only texts that `node` allows, where it lists them.
pub(crate) fn choices(node: &Value) -> Option<Vec<&str>> {
    if let Some(listed) = node.get("enum").and_then(Value::as_array) {
        return Some(listed.iter().filter_map(Value::as_str).collect());
    }
    let variants = node.get("oneOf")?.as_array()?;
    Some(variants.iter().filter_map(|variant| variant.get("const")?.as_str()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKED_IN: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bartizan.schema.json");

    /// `bartizan config schema > docs/bartizan.schema.json` makes this pass.
    #[test]
    fn the_checked_in_schema_is_current() {
        let found = std::fs::read_to_string(CHECKED_IN).unwrap_or_default();
        assert!(
            found == text().unwrap(),
            "docs/bartizan.schema.json is stale: run `bartizan config schema > docs/bartizan.schema.json`"
        );
    }

    /// Every key that can be set is described, and every section refuses what it does not know.
    #[test]
    fn every_key_has_a_description() {
        let schema = schema();
        let sections = schema["properties"].as_object().unwrap();
        for (name, section) in sections {
            let section = resolve(&schema, section);
            let section = resolve(&schema, section.get("items").unwrap_or(section));
            assert_eq!(section["additionalProperties"], Value::Bool(false), "{name}");
            for (key, node) in section["properties"].as_object().unwrap() {
                assert!(node.get("description").is_some(), "{name}.{key} has no description");
            }
        }
    }
}
