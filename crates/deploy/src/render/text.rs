//! JSON and YAML text, byte-stable: keys sorted, two spaces, a newline at the end, whatever
//! order `serde_json` was built with.

use serde_json::{Map, Value};

/// `value` as JSON.
pub fn json_text(value: &Value) -> String {
    let mut out = String::new();
    json(value, 0, &mut out);
    out.push('\n');
    out
}

/// Entries in the order of their keys.
pub(crate) fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn json(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push_str("[\n");
            for (idx, item) in items.iter().enumerate() {
                indent(depth + 1, out);
                json(item, depth + 1, out);
                out.push_str(if idx + 1 < items.len() { ",\n" } else { "\n" });
            }
            indent(depth, out);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            out.push_str("{\n");
            for (idx, (key, below)) in sorted(map).into_iter().enumerate() {
                indent(depth + 1, out);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                json(below, depth + 1, out);
                out.push_str(if idx + 1 < map.len() { ",\n" } else { "\n" });
            }
            indent(depth, out);
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// `value` as a YAML document in block style. Text is quoted wherever YAML 1.1 or 1.2 could read
/// anything but text.
pub fn yaml_text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => yaml_map(map, 0, false, &mut out),
        Value::Array(items) if !items.is_empty() => yaml_list(items, 0, &mut out),
        scalar => {
            yaml_scalar(scalar, &mut out);
            out.push('\n');
        }
    }
    out
}

fn yaml_map(map: &Map<String, Value>, depth: usize, is_first_inline: bool, out: &mut String) {
    for (idx, (key, below)) in sorted(map).into_iter().enumerate() {
        if 0 < idx || !is_first_inline {
            indent(depth, out);
        }
        yaml_scalar(&Value::from(key.as_str()), out);
        out.push(':');
        yaml_below(below, depth, out);
    }
}

fn yaml_below(below: &Value, depth: usize, out: &mut String) {
    match below {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            yaml_map(map, depth + 1, false, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            yaml_list(items, depth, out);
        }
        scalar => {
            out.push(' ');
            yaml_scalar(scalar, out);
            out.push('\n');
        }
    }
}

fn yaml_list(items: &[Value], depth: usize, out: &mut String) {
    for item in items {
        indent(depth, out);
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => yaml_map(map, depth + 1, true, out),
            Value::Array(below) if !below.is_empty() => {
                out.push('\n');
                yaml_list(below, depth + 1, out);
            }
            scalar => {
                yaml_scalar(scalar, out);
                out.push('\n');
            }
        }
    }
}

fn yaml_scalar(value: &Value, out: &mut String) {
    match value {
        Value::String(text) if is_plain(text) => out.push_str(text),
        // A JSON string is a YAML double-quoted scalar.
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Whether text can stand without quotes: letters first, then what no YAML reader takes for
/// anything else.
fn is_plain(text: &str) -> bool {
    const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    starts && text.chars().all(plain) && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}
