//! Values as people read them, escaped and bounded.

use super::machine::Machine;
use super::value::Value;
use crate::escape;

/// Most parts of a tuple that are shown.
const ITEMS_MAX: usize = 6;
/// Most levels of tuples that are shown.
const DEPTH_MAX: usize = 3;

/// `value` in words close to Python's.
pub(super) fn show(machine: &Machine, value: Value, depth: usize) -> String {
    let heap = &machine.heap;
    match value {
        Value::Absent | Value::Unknown => "?".into(),
        Value::None => "None".into(),
        Value::Bool(value) => if value { "True" } else { "False" }.into(),
        Value::Int(_) | Value::Long(_) => {
            heap.integer(value).map_or("?".into(), |value| value.to_string())
        }
        Value::Number => "<number>".into(),
        Value::Word(word) => format!("'{}'", escape::text(machine.names.text(word))),
        Value::Excerpt(i) => format!("'{}...'", escape::text(heap.excerpt_text(i))),
        Value::Text => "<text>".into(),
        Value::Bytes(i) => {
            heap.span(i).map_or("<bytes>".into(), |(_, len)| format!("<{len} bytes>"))
        }
        Value::Blob => "<bytes>".into(),
        Value::List => "[..]".into(),
        Value::Dict(_) => "{..}".into(),
        Value::Set => "<set>".into(),
        Value::Bulk => "(..)".into(),
        Value::Tuple(_) => {
            let items = heap.items(value).unwrap_or(&[]);
            if DEPTH_MAX <= depth {
                return "(..)".into();
            }
            let mut parts: Vec<String> = items
                .iter()
                .take(ITEMS_MAX)
                .map(|&item| show(machine, item, depth.saturating_add(1)))
                .collect();
            if ITEMS_MAX < items.len() {
                parts.push("..".into());
            }
            format!("({})", parts.join(", "))
        }
        Value::Global(global) => name(machine, global),
        Value::Instance(global) => format!("{}(..)", name(machine, global)),
        Value::Node(_) => "<dtype>".into(),
    }
}

/// Dotted name of a global, escaped.
pub(super) fn name(machine: &Machine, global: u32) -> String {
    machine.names.global(global).map_or("?".into(), |global| escape::text(&global.path()))
}
