//! Edits: from one plan to another, and into the text of a file.
//!
//! TOML keeps its comments and layout. JSON and YAML keep the order of keys and are written anew:
//! YAML loses its comments.

use serde_json::Value;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table};

use crate::plan::{Plan, to_value};
use crate::read::{self, Data, Entry, Format, Node, Pos, ReadError, of_value};
use crate::render::{json_of, yaml_of};

/// One change of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Path of the value, `subnets[0].cidr`. An index one past the end appends.
    pub path: String,
    /// What was there; `None` where nothing was.
    pub from: Option<Value>,
    /// What shall be there; `None` where nothing shall be.
    pub to: Option<Value>,
}

/// Why edits could not be written into a file.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file and the edit do not belong together.
    #[error("there is no place for `{path}` in the file")]
    NoPlace {
        /// The path of the edit.
        path: String,
    },
}

/// The edits that make `after` of `before`.
pub fn between(before: &Plan, after: &Plan) -> Vec<Edit> {
    let mut edits = Vec::new();
    walk(&to_value(before), &to_value(after), "", &mut edits);
    edits
}

fn walk(before: &Value, after: &Value, path: &str, edits: &mut Vec<Edit>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => walk(old, new, &below(key), edits),
                    (from, to) => {
                        edits.push(Edit { path: below(key), from: from.cloned(), to: to.cloned() })
                    }
                }
            }
        }
        // Tables are told apart one by one, plain lists are replaced whole.
        (Value::Array(old), Value::Array(new))
            if old.len() <= new.len() && new.iter().all(Value::is_object) && !old.is_empty() =>
        {
            for (idx, new) in new.iter().enumerate() {
                let path = format!("{path}[{idx}]");
                match old.get(idx) {
                    Some(old) => walk(old, new, &path, edits),
                    None => edits.push(Edit { path, from: None, to: Some(new.clone()) }),
                }
            }
        }
        (old, new) if old == new => {}
        (old, new) => edits.push(Edit {
            path: path.to_owned(),
            from: Some(old.clone()),
            to: Some(new.clone()),
        }),
    }
}

/// A step of a path.
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    parts
        .map(|part| match part.strip_suffix(']').map(str::parse) {
            Some(Ok(index)) => Step::Index(index),
            _ => Step::Key(part),
        })
        .collect()
}

/// The text of a file after `edits`.
///
/// # Errors
/// [`EditError`].
pub fn apply(text: &str, format: Format, edits: &[Edit]) -> Result<String, EditError> {
    if format == Format::Toml {
        return apply_toml(text, edits);
    }
    let mut tree = read::read(text.as_bytes(), format)?;
    for edit in edits {
        let placed = set_node(&mut tree, &steps(&edit.path), edit.to.as_ref());
        placed.ok_or_else(|| EditError::NoPlace { path: edit.path.clone() })?;
    }
    Ok(if format == Format::Json { json_of(&tree) } else { yaml_of(&tree) })
}

fn set_node(node: &mut Node, steps: &[Step<'_>], to: Option<&Value>) -> Option<()> {
    let (first, rest) = steps.split_first()?;
    if node.is_null() && matches!(first, Step::Key(_)) {
        node.data = Data::Map(Vec::new());
    }
    match (first, &mut node.data) {
        (Step::Key(key), Data::Map(entries)) => {
            let found = entries.iter().position(|entry| &*entry.key == *key);
            match (found, rest, to) {
                (Some(idx), [], None) => {
                    entries.remove(idx);
                    Some(())
                }
                (Some(idx), [], Some(value)) => {
                    entries[idx].node = of_value(value);
                    Some(())
                }
                (Some(idx), rest, to) => set_node(&mut entries[idx].node, rest, to),
                (None, _, None) => Some(()),
                (None, rest, Some(value)) => {
                    let node = Node::new(Pos::START, Data::Null);
                    entries.push(Entry { key: (*key).into(), at: Pos::START, node });
                    let last = entries.last_mut()?;
                    if rest.is_empty() {
                        last.node = of_value(value);
                        return Some(());
                    }
                    set_node(&mut last.node, rest, to)
                }
            }
        }
        (Step::Index(index), Data::List(items)) => match (rest, to) {
            ([], Some(value)) if *index == items.len() => {
                items.push(of_value(value));
                Some(())
            }
            ([], Some(value)) => {
                *items.get_mut(*index)? = of_value(value);
                Some(())
            }
            ([], None) => (*index < items.len()).then(|| drop(items.remove(*index))),
            (rest, to) => set_node(items.get_mut(*index)?, rest, to),
        },
        _ => None,
    }
}

fn apply_toml(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    let no_place = |path: &str| EditError::NoPlace { path: path.to_owned() };
    let mut document: DocumentMut = text.parse().map_err(|_| no_place("(the file)"))?;
    for edit in edits {
        let placed = set_item(document.as_item_mut(), &steps(&edit.path), edit.to.as_ref());
        placed.ok_or_else(|| no_place(&edit.path))?;
    }
    Ok(document.to_string())
}

fn set_item(item: &mut Item, steps: &[Step<'_>], to: Option<&Value>) -> Option<()> {
    let (first, rest) = steps.split_first()?;
    match first {
        Step::Key(key) => {
            // Only a table with a header of its own may hold such tables.
            let is_inline = !item.is_table();
            let table = item.as_table_like_mut()?;
            match (rest, to) {
                ([], None) => {
                    table.remove(key);
                }
                ([], Some(value)) => {
                    let mut new = to_item(value, is_inline);
                    if let (Item::Value(new), Some(Item::Value(old))) = (&mut new, table.get(key)) {
                        *new.decor_mut() = old.decor().clone();
                    }
                    table.insert(key, new);
                }
                (rest, to) => {
                    if table.get(key).is_none() {
                        if to.is_none() {
                            return Some(());
                        }
                        let empty = match is_inline {
                            true => Item::Value(InlineTable::new().into()),
                            false => Item::Table(Table::new()),
                        };
                        table.insert(key, empty);
                    }
                    return set_item(table.get_mut(key)?, rest, to);
                }
            }
            Some(())
        }
        Step::Index(index) => set_member(item, *index, rest, to),
    }
}

fn set_member(item: &mut Item, index: usize, rest: &[Step<'_>], to: Option<&Value>) -> Option<()> {
    match item {
        Item::ArrayOfTables(tables) => match (rest, to) {
            ([], Some(value)) if index == tables.len() => {
                let Item::Table(table) = to_item(value, false) else { return None };
                tables.push(table);
                Some(())
            }
            ([], _) => None,
            (rest, to) => {
                let table = tables.get_mut(index)?;
                let mut below = Item::Table(std::mem::take(table));
                let placed = set_item(&mut below, rest, to);
                if let Item::Table(changed) = below {
                    *table = changed;
                }
                placed
            }
        },
        Item::Value(toml_edit::Value::Array(items)) => match (rest, to) {
            ([], Some(value)) if index == items.len() => {
                items.push(to_value_toml(value)?);
                Some(())
            }
            ([], Some(value)) => {
                items.replace(index, to_value_toml(value)?);
                Some(())
            }
            ([], None) => (index < items.len()).then(|| drop(items.remove(index))),
            (rest, to) => {
                let mut below = Item::Value(items.get(index)?.clone());
                let placed = set_item(&mut below, rest, to);
                if let Item::Value(changed) = below {
                    items.replace_formatted(index, changed);
                }
                placed
            }
        },
        Item::None | Item::Value(_) | Item::Table(_) => None,
    }
}

fn to_item(value: &Value, is_inline: bool) -> Item {
    let tables = value
        .as_array()
        .filter(|items| !is_inline && !items.is_empty() && items.iter().all(Value::is_object));
    if let (Some(map), false) = (value.as_object(), is_inline) {
        let mut table = Table::new();
        for (key, below) in sorted_keys(map) {
            table.insert(key, to_item(below, true));
        }
        return Item::Table(table);
    }
    if let Some(items) = tables {
        let mut tables = ArrayOfTables::new();
        for below in items {
            if let Item::Table(table) = to_item(below, false) {
                tables.push(table);
            }
        }
        return Item::ArrayOfTables(tables);
    }
    to_value_toml(value).map_or(Item::None, Item::Value)
}

fn sorted_keys(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn to_value_toml(value: &Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => {
            let items: Option<Array> = items.iter().map(to_value_toml).collect();
            toml_edit::Value::Array(items?)
        }
        Value::Object(map) => {
            let mut table = InlineTable::new();
            for (key, below) in sorted_keys(map) {
                table.insert(key, to_value_toml(below)?);
            }
            toml_edit::Value::InlineTable(table)
        }
    })
}
