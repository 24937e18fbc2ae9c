//! What keys a file may have, as data: one table checks a tree with places and suggestions, and
//! is published as JSON Schema.

use serde_json::{Map, Value, json};

use super::{Data, Entry, Node, Pos, nearest};

/// Longest text of a value, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// Text that is not empty.
    Text,
    /// A range of addresses as text; whether it is one is a rule's question.
    Range,
    /// An address as text; whether it is one is a rule's question.
    Address,
    /// `true` or `false`.
    Bool,
    /// A whole number in these bounds, both included.
    Count(i64, i64),
    /// A whole number from 0, or a share as in `33%`.
    Surge,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of at most so many.
    List(&'static Shape, usize),
    /// A table with these keys.
    Table(&'static [Key]),
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value may be; `null` counts as absent.
    pub shape: Shape,
    /// Whether it must be there.
    pub is_required: bool,
    /// What it means, for editors and the manual.
    pub doc: &'static str,
}

/// A part of a file that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Pos,
    /// The path of the key or value, `subnets[0].cidr`.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead, where that is known.
    pub suggestion: Option<String>,
}

/// Everything in `node` that the shape does not allow, in the order of the file.
pub fn problems(node: &Node, shape: &Shape) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(node, shape, "", &mut found);
    found
}

fn walk(node: &Node, shape: &Shape, path: &str, found: &mut Vec<Problem>) {
    let wrong = |what: String, suggestion: Option<String>| Problem {
        at: node.at,
        path: path.to_owned(),
        what,
        suggestion,
    };
    match (shape, &node.data) {
        (Shape::Table(keys), Data::Map(entries)) => table(node, keys, entries, path, found),
        (Shape::List(item, n_max), Data::List(items)) => {
            if *n_max < items.len() {
                let what = format!("{} entries, limit is {n_max}", items.len());
                found.push(wrong(what, None));
                return;
            }
            for (idx, below) in items.iter().enumerate() {
                walk(below, item, &format!("{path}[{idx}]"), found);
            }
        }
        (Shape::Text | Shape::Range | Shape::Address, Data::Text(text)) => {
            if text.is_empty() {
                found.push(wrong("empty text".into(), Some("leave the key out".into())));
            } else if TEXT_BYTES_MAX < text.len() {
                let what = format!("{} bytes of text, limit is {TEXT_BYTES_MAX}", text.len());
                found.push(wrong(what, None));
            }
        }
        (Shape::Bool, Data::Bool(_)) => {}
        (Shape::Bool, Data::Text(text)) => {
            let suggestion = match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "true" | "enabled" => Some("true"),
                "no" | "off" | "false" | "disabled" => Some("false"),
                _ => None,
            };
            let what = "needs true or false, without quotes".to_owned();
            found.push(wrong(what, suggestion.map(str::to_owned)));
        }
        (Shape::Count(min, max), Data::Int(number)) => {
            if number < min || max < number {
                found.push(wrong(format!("{number} is not in {min} to {max}"), None));
            }
        }
        (Shape::Surge, Data::Int(number)) if 0 <= *number && *number <= 1_000 => {}
        (Shape::Surge, Data::Text(text)) if is_share(text) => {}
        (Shape::Choice(words), Data::Text(text)) if words.contains(&&**text) => {}
        (Shape::Choice(words), Data::Text(text)) => {
            let near = nearest(text, words.iter().copied())
                .or_else(|| words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)));
            let what = format!("`{}` is none of {}", cut(text), words.join(", "));
            found.push(wrong(what, near.map(str::to_owned)));
        }
        (Shape::Text, Data::Int(_) | Data::Float(_)) => {
            found.push(wrong("needs text".into(), Some("put it in quotes".into())));
        }
        (_, other) => {
            found.push(wrong(format!("needs {}, not {}", wanted(shape), other.kind()), None));
        }
    }
}

fn table(
    node: &Node,
    keys: &'static [Key],
    entries: &[Entry],
    path: &str,
    found: &mut Vec<Problem>,
) {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for entry in entries {
        match keys.iter().find(|key| key.name == &*entry.key) {
            Some(key) if entry.node.is_null() && !key.is_required => {}
            Some(key) => walk(&entry.node, &key.shape, &below(key.name), found),
            None => {
                let names = keys.iter().map(|key| key.name);
                let same = |name: &&str| squash(name) == squash(&entry.key);
                let near = keys.iter().map(|key| key.name).find(same);
                let near = near.or_else(|| nearest(&entry.key, names));
                found.push(Problem {
                    at: entry.at,
                    path: below(&cut(&entry.key)),
                    what: "unknown key".to_owned(),
                    suggestion: near.map(str::to_owned),
                });
            }
        }
    }
    for key in keys.iter().filter(|key| key.is_required && node.get(key.name).is_none()) {
        found.push(Problem {
            at: node.at,
            path: below(key.name),
            what: "missing".to_owned(),
            suggestion: Some(key.doc.to_owned()),
        });
    }
}

/// A key without case and separators: `service_cidr` and `serviceCIDR` are slips for
/// `serviceCidr`.
fn squash(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_share(text: &str) -> bool {
    let number = text.strip_suffix('%').and_then(|digits| digits.parse::<u16>().ok());
    number.is_some_and(|share| share <= 100)
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn wanted(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text => "text",
        Shape::Range => "a range as text, as in \"10.0.0.0/16\"",
        Shape::Address => "an address as text, as in \"10.0.0.10\"",
        Shape::Bool => "true or false",
        Shape::Count(..) => "a whole number",
        Shape::Surge => "a whole number or a share as in \"33%\"",
        Shape::Choice(_) => "one word",
        Shape::List(..) => "a list",
        Shape::Table(_) => "a table",
    }
}

/// The shape as JSON Schema (draft 2020-12).
pub fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX}),
        Shape::Range => json!({"type": "string", "examples": ["10.0.0.0/16"]}),
        Shape::Address => json!({"type": "string", "examples": ["10.0.0.10"]}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Count(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Shape::Surge => json!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 1000},
            {"type": "string", "pattern": "^(100|[0-9]{1,2})%$"},
        ]}),
        Shape::Choice(words) => json!({"enum": words}),
        Shape::List(item, n_max) => {
            json!({"type": "array", "items": schema(item), "maxItems": n_max})
        }
        Shape::Table(keys) => {
            let mut properties = Map::new();
            for key in *keys {
                let mut value = schema(&key.shape);
                if !key.is_required {
                    value = json!({"anyOf": [value, {"type": "null"}]});
                }
                if let Some(object) = value.as_object_mut() {
                    object.insert("description".into(), key.doc.into());
                }
                properties.insert(key.name.into(), value);
            }
            let required: Vec<&str> =
                keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
            json!({"type": "object", "additionalProperties": false, "properties": properties,
                   "required": required})
        }
    }
}
