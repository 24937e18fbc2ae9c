//! JSON and YAML text, byte-stable: two spaces, a newline at the end. Rendered values have their
//! keys sorted, whatever order `serde_json` was built with; a file that is written back keeps
//! its own order.

use serde_json::Value;

use crate::read::{Data, Entry, Node, of_value};

/// `value` as JSON, keys sorted.
pub fn json_text(value: &Value) -> String {
    json_of(&of_value(value))
}

/// `value` as a YAML document in block style, keys sorted.
pub fn yaml_text(value: &Value) -> String {
    yaml_of(&of_value(value))
}

/// A tree as JSON, keys in their order.
pub(crate) fn json_of(node: &Node) -> String {
    let mut out = String::new();
    json(node, 0, &mut out);
    out.push('\n');
    out
}

/// A tree as a YAML document, keys in their order. Text is quoted wherever YAML 1.1 or 1.2 could
/// read anything but text.
pub(crate) fn yaml_of(node: &Node) -> String {
    let mut out = String::new();
    if !node.entries().is_empty() {
        yaml_map(node.entries(), 0, false, &mut out);
    } else if !node.items().is_empty() {
        yaml_list(node.items(), 0, &mut out);
    } else {
        yaml_scalar(node, &mut out);
        out.push('\n');
    }
    out
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn json(node: &Node, depth: usize, out: &mut String) {
    let (items, entries) = (node.items(), node.entries());
    if items.is_empty() && entries.is_empty() {
        return scalar(node, out);
    }
    let n = items.len().max(entries.len());
    out.push_str(if entries.is_empty() { "[\n" } else { "{\n" });
    for idx in 0..n {
        indent(depth + 1, out);
        if let Some(entry) = entries.get(idx) {
            out.push_str(&quoted(&entry.key));
            out.push_str(": ");
            json(&entry.node, depth + 1, out);
        } else if let Some(item) = items.get(idx) {
            json(item, depth + 1, out);
        }
        out.push_str(if idx + 1 < n { ",\n" } else { "\n" });
    }
    indent(depth, out);
    out.push(if entries.is_empty() { ']' } else { '}' });
}

/// A value without parts, as JSON.
fn scalar(node: &Node, out: &mut String) {
    match &node.data {
        Data::Null => out.push_str("null"),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Int(number) => out.push_str(&number.to_string()),
        Data::Float(number) => out.push_str(&Value::from(*number).to_string()),
        Data::Text(text) => out.push_str(&quoted(text)),
        Data::List(_) => out.push_str("[]"),
        Data::Map(_) => out.push_str("{}"),
    }
}

fn yaml_map(entries: &[Entry], depth: usize, is_first_inline: bool, out: &mut String) {
    for (idx, entry) in entries.iter().enumerate() {
        if 0 < idx || !is_first_inline {
            indent(depth, out);
        }
        yaml_word(&entry.key, out);
        out.push(':');
        let node = &entry.node;
        if !node.entries().is_empty() {
            out.push('\n');
            yaml_map(node.entries(), depth + 1, false, out);
        } else if !node.items().is_empty() {
            out.push('\n');
            yaml_list(node.items(), depth, out);
        } else {
            out.push(' ');
            yaml_scalar(node, out);
            out.push('\n');
        }
    }
}

fn yaml_list(items: &[Node], depth: usize, out: &mut String) {
    for item in items {
        indent(depth, out);
        if !item.entries().is_empty() {
            out.push_str("- ");
            yaml_map(item.entries(), depth + 1, true, out);
        } else if !item.items().is_empty() {
            out.push_str("-\n");
            yaml_list(item.items(), depth + 1, out);
        } else {
            out.push_str("- ");
            yaml_scalar(item, out);
            out.push('\n');
        }
    }
}

fn yaml_scalar(node: &Node, out: &mut String) {
    match node.text() {
        Some(text) => yaml_word(text, out),
        None => scalar(node, out),
    }
}

fn yaml_word(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        // A JSON string is a YAML double-quoted scalar.
        out.push_str(&quoted(text));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::read::{Format, read, to_value};

    /// What is written is read back as the same value, in both languages, tricky text included.
    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({
            "text": ["", "no", "true", "1", "1e3", "a: b", "- x", "é\n\"", "~", "0x1", "#", "a b"],
            "empty": {"list": [], "map": {}}, "nested": [[1, [2]], {"a": [{"b": null}]}],
            "n": 10, "f": 1.5, "yes": false, "1": {"y": "n"}
        });
        for (text, format) in [(json_text(&value), Format::Json), (yaml_text(&value), Format::Yaml)]
        {
            let tree =
                read(text.as_bytes(), format).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(to_value(&tree), value, "{text}");
            assert!(text.ends_with('\n'));
        }
    }

    #[test]
    fn rendered_keys_are_sorted_and_read_keys_are_kept() {
        let text = "b: 1\na: 2\n";
        let tree = read(text.as_bytes(), Format::Yaml).unwrap();
        assert_eq!(yaml_of(&tree), text);
        assert_eq!(yaml_text(&to_value(&tree)), "a: 2\nb: 1\n");
    }
}
