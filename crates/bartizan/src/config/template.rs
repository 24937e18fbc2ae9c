//! Writes a configuration as a file for people: every key, its meaning, its default.

use serde_json::Value;

use super::{Config, schema};

/// Width of comments, in characters.
const COMMENT_CHARS_MAX: usize = 90;

const HEAD: &str = "\
# Configuration of a Bartizan environment.
# A line that begins with `#` and a key shows the default; remove the `#` to change it.
# `bartizan config check` says what is wrong, `bartizan config schema` prints the JSON Schema.
";

/// `config` as TOML: what differs from the default is set, the rest stands in comments.
///
/// # Errors
/// What `toml` says; it has no reason to.
pub(crate) fn text(config: &Config) -> Result<String, toml::ser::Error> {
    let schema = schema::schema();
    let value = toml::Table::try_from(config)?;
    let default = toml::Table::try_from(Config::default())?;
    // The serialised text has the types' own order, which a map has not.
    let written = toml::to_string(config)?;
    let mut out = String::from(HEAD);
    let mut section = String::new();
    for line in written.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if let Some(name) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
                out.push('\n');
                comment(&mut out, &schema["properties"][name]);
                out.push_str(line);
                out.push('\n');
                continue;
            }
            name.clone_into(&mut section);
            let node = &schema["properties"][name];
            out.push('\n');
            comment(&mut out, node);
            out.push_str(line);
            out.push('\n');
            absent_keys(&mut out, schema::resolve(&schema, node), &value, name);
            continue;
        }
        let key = line.split_once(" = ").map_or(line, |(key, _)| key);
        let node = schema::resolve(&schema, &schema["properties"][section.as_str()]);
        // What is in a list was put there: it is no default.
        let items = node.get("items").map(|items| schema::resolve(&schema, items));
        comment(&mut out, &items.unwrap_or(node)["properties"][key]);
        let at = |table: &toml::Table| table.get(&section).and_then(|keys| keys.get(key)).cloned();
        if items.is_none() && at(&value) == at(&default) {
            out.push_str("# ");
        }
        out.push_str(line);
        out.push('\n');
    }
    Ok(out)
}

/// Keys of a section that have no value.
fn absent_keys(out: &mut String, section: &Value, value: &toml::Table, name: &str) {
    let known = section.get("properties").and_then(Value::as_object);
    for (key, node) in known.into_iter().flatten() {
        if value.get(name).and_then(|keys| keys.get(key)).is_none() {
            comment(out, node);
            let is_address = node.get("format").and_then(Value::as_str) == Some("ip-port");
            let is_list = node.get("type").and_then(Value::as_str) == Some("array");
            let example = match (is_address, is_list) {
                (true, _) => "\"127.0.0.1:0\"",
                (false, true) => "[]",
                (false, false) => "\"...\"",
            };
            out.push_str(&format!("# {key} = {example}\n"));
        }
    }
}

fn comment(out: &mut String, node: &Value) {
    let text = node.get("description").and_then(Value::as_str).unwrap_or_default();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if COMMENT_CHARS_MAX < line.len() + 1 + word.len() {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    if line != "#" {
        out.push_str(&line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::parse;

    /// What is written reads back as the same, and so does every default that a comment shows.
    #[test]
    fn a_written_configuration_reads_back() {
        let mut config = Config::default();
        config.environment.name = "prod".parse().unwrap();
        config.ledger.volatile = true;
        let written = text(&config).unwrap();
        assert_eq!(parse(&written).unwrap().config, config, "{written}");
        let bare: String = written
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(key) if key.contains(" = ") && !key.contains('`') => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let mut read = parse(&bare).unwrap().config;
        (read.admin.address, read.operations.address) = (None, None);
        read.log_reading.address = None;
        read.shared.folder = None;
        assert_eq!(read, config, "{bare}");
    }
}
