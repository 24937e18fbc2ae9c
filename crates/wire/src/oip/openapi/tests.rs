//! The description holds together.

use std::collections::BTreeSet;

use super::*;

/// Every `$ref` in `value`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                found.insert(target.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_schema_is_used_and_every_reference_leads_somewhere() {
    let document = openapi("1.2.3");
    assert_eq!(document["info"]["version"], "1.2.3");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let known: BTreeSet<_> =
        schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, known);
}

/// O1: an inference can be refused with every code but that of another method.
#[test]
fn every_status_of_a_refusal_is_documented() {
    let document = openapi("1");
    let responses = &document["paths"]["/v2/models/{model}/infer"]["post"]["responses"];
    let found: BTreeSet<_> = responses.as_object().unwrap().keys().cloned().collect();
    let mut expected: BTreeSet<_> = RefusalCode::ALL
        .iter()
        .filter(|code| **code != RefusalCode::MethodNotAllowed)
        .map(|code| status(*code).to_string())
        .collect();
    expected.insert("200".into());
    assert_eq!(found, expected);
    let busy = responses["503"]["description"].as_str().unwrap();
    assert_eq!(
        busy,
        "Refused: access-unavailable, draining, model-unavailable, overloaded, unpublished, unrecordable.",
    );
}

#[test]
fn operations_have_unique_ids_and_declare_what_their_paths_hold() {
    let document = openapi("1");
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path}");
            let declared: Vec<_> = operation["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let held: Vec<_> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(declared, held, "{path}");
        }
    }
    assert_eq!(ids.len(), 10);
}

/// Only health is open: a key is asked for everywhere else.
#[test]
fn only_health_needs_no_key() {
    let document = openapi("1");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            assert_eq!(operation.get("security").is_some(), path.starts_with("/v2/health/"));
        }
    }
}
