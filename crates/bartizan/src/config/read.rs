//! Reads a configuration and says everything that is wrong with its shape, with places.
//!
//! The text is walked along the published schema, so that unknown keys, wrong types and values
//! out of range are all found in one pass; only a text that passes is given to serde.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

use bartizan_deploy::read::nearest;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, schema};

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Line and column, from 1; absent where the key is not in the file.
    pub(crate) at: Option<(usize, usize)>,
    /// The key, `section.key`.
    pub(crate) key: String,
    /// What is wrong, the limit, and what to do.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.at {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration and where its keys stand.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The values.
    pub(crate) config: Config,
    places: Places,
}

impl Parsed {
    /// A problem of `key`, placed where the file has it.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        self.places.problem(key, message)
    }
}

/// Reads `text`.
///
/// # Errors
/// Every problem of its syntax; if there is none, every problem of its shape.
pub(crate) fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    let mut places = Places { line_starts: line_starts(text), keys: BTreeMap::new() };
    let (document, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        let problem = |fault: &toml::de::Error| Problem {
            at: fault.span().map(|span| places.position(span.start)),
            key: String::new(),
            message: format!("not TOML: {}", fault.message().replace('\n', ", ")),
        };
        return Err(faults.iter().map(problem).collect());
    }
    let schema = schema::schema();
    let mut walk = Walk { schema: &schema, places: &mut places, problems: Vec::new() };
    walk.table(&schema, document.get_ref(), "");
    let mut problems = walk.problems;
    if problems.is_empty() {
        match toml::from_str::<Config>(text) {
            Ok(config) => return Ok(Parsed { config, places }),
            Err(error) => problems.push(Problem {
                at: error.span().map(|span| places.position(span.start)),
                key: String::new(),
                message: error.message().to_owned(),
            }),
        }
    }
    problems.sort();
    Err(problems)
}

#[derive(Debug)]
struct Places {
    line_starts: Vec<usize>,
    keys: BTreeMap<String, Range<usize>>,
}

impl Places {
    fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= byte);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        (line.max(1), byte.saturating_sub(start) + 1)
    }

    fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        let at = self.keys.get(key).map(|span| self.position(span.start));
        Problem { at, key: key.to_owned(), message: message.into() }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(after_breaks).collect()
}

struct Walk<'a> {
    schema: &'a Value,
    places: &'a mut Places,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, node: &Value, table: &DeTable<'_>, path: &str) {
        let no_keys = serde_json::Map::new();
        let known = node.get("properties").and_then(Value::as_object).unwrap_or(&no_keys);
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.places.keys.insert(path.clone(), key.span());
            match known.get(name) {
                Some(node) => self.value(node, value, &path),
                None => {
                    let message = self.unknown(name, known);
                    self.say(&path, message);
                }
            }
        }
    }

    fn unknown(&self, name: &str, known: &serde_json::Map<String, Value>) -> String {
        if let Some(near) = nearest(name, known.keys().map(String::as_str)) {
            return format!("unknown key; did you mean `{near}`?");
        }
        let sections = self.schema.get("properties").and_then(Value::as_object);
        let holder = sections.into_iter().flatten().find(|(_, section)| {
            let section = schema::resolve(self.schema, section);
            section.get("properties").and_then(|keys| keys.get(name)).is_some()
        });
        match holder {
            Some((section, _)) => format!("unknown key here; section `[{section}]` has one"),
            None => {
                let names: Vec<_> = known.keys().map(String::as_str).collect();
                format!("unknown key; known here: {}", names.join(", "))
            }
        }
    }

    fn value(&mut self, node: &Value, value: &Spanned<DeValue<'_>>, path: &str) {
        let target = schema::resolve(self.schema, node);
        let wanted = wanted_type(target);
        match value.get_ref() {
            DeValue::Table(table) if wanted == "object" => self.table(target, table, path),
            DeValue::Array(items) if wanted == "array" => {
                let node = target.get("items").unwrap_or(&Value::Null).clone();
                for (idx, item) in items.iter().enumerate() {
                    let path = format!("{path}[{idx}]");
                    self.places.keys.insert(path.clone(), item.span());
                    self.value(&node, item, &path);
                }
            }
            DeValue::Boolean(_) if wanted == "boolean" => {}
            DeValue::String(text) if wanted == "string" => {
                if let Some(message) = check_text(target, text) {
                    self.say(path, message);
                }
            }
            DeValue::Integer(number) if wanted == "integer" => {
                if let Some(message) = check_number(target, &number.to_string()) {
                    self.say(path, message);
                }
            }
            DeValue::Table(_)
            | DeValue::Boolean(_)
            | DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                let is = kind(value.get_ref());
                self.say(path, format!("must be {}, is {is}", article(wanted)));
            }
        }
    }

    fn say(&mut self, path: &str, message: String) {
        self.problems.push(self.places.problem(path, message));
    }
}

/// The JSON type that a schema node asks for, null aside.
fn wanted_type(node: &Value) -> &str {
    let listed = match node.get("type") {
        Some(Value::Array(types)) => types.iter().find_map(|one| {
            let one = one.as_str()?;
            if one == "null" { None } else { Some(one) }
        }),
        Some(one) => one.as_str(),
        None => None,
    };
    listed.unwrap_or("string")
}

fn article(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a section",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "array" => "a list",
        _ => "a text in quotes",
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

fn check_text(node: &Value, text: &str) -> Option<String> {
    if let Some(choices) = schema::choices(node) {
        if choices.contains(&text) {
            return None;
        }
        let listed = choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>();
        let near = nearest(text, choices.into_iter());
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Some(format!("must be {}{hint}", listed.join(" or ")));
    }
    let is_address = node.get("format").and_then(Value::as_str) == Some("ip-port");
    if is_address && text.parse::<SocketAddr>().is_err() {
        return Some(
            "must be an IP address and a port, like `127.0.0.1:8443` or `[::1]:8443`".into(),
        );
    }
    if node.get("pattern").is_some() {
        let len_max = node.get("maxLength").and_then(Value::as_u64).unwrap_or(32);
        if text.parse::<bartizan_core::EnvName>().is_err() {
            return Some(format!("must be 1 to {len_max} of a-z, 0-9 and `-`, the first a letter"));
        }
    }
    None
}

fn check_number(node: &Value, text: &str) -> Option<String> {
    let bound = |name: &str| node.get(name).and_then(Value::as_u64);
    let (min, max) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(u64::MAX));
    let digits = text.replace('_', "");
    let number = match digits.get(..2) {
        Some("0x") => u64::from_str_radix(&digits[2..], 16),
        Some("0o") => u64::from_str_radix(&digits[2..], 8),
        Some("0b") => u64::from_str_radix(&digits[2..], 2),
        _ => digits.trim_start_matches('+').parse(),
    };
    match number {
        Ok(number) if min <= number && number <= max => None,
        Ok(_) | Err(_) => Some(format!("must be from {min} to {max}, is {text}")),
    }
}
