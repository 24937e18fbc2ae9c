//! The part of ARM's template language that names and addresses are written in: parameters,
//! variables, resource ids, `concat`, `format`. Everything else stays unresolved, by name.
//!
//! Invariants
//! - EX1: a variable that leads back to itself is unresolved, and nothing recurses deeper than
//!   [`DEPTH_MAX`].

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::draft::UNRESOLVED;
use crate::read::{Data, Entry, Node};

/// Deepest nesting of calls and of variables in variables.
const DEPTH_MAX: usize = 32;
/// Longest text that an expression may make, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// Parameters and variables of a template.
pub(super) struct Scope<'a> {
    /// Declared parameters.
    pub(super) parameters: Option<&'a Node>,
    /// Variables.
    pub(super) variables: Option<&'a Node>,
}

impl Scope<'_> {
    /// `node` with every expression in it replaced by its value.
    pub(super) fn resolve(&self, node: &Node) -> Node {
        self.resolve_at(node, 0)
    }

    fn resolve_at(&self, node: &Node, depth: usize) -> Node {
        let data = match &node.data {
            Data::Text(text) if text.starts_with('[') && !text.starts_with("[[") => {
                return self.evaluate(text, node, depth);
            }
            Data::Text(text) => match text.strip_prefix('[') {
                Some(escaped) => Data::Text(escaped.into()),
                None => node.data.clone(),
            },
            Data::List(items) => {
                Data::List(items.iter().map(|item| self.resolve_at(item, depth)).collect())
            }
            Data::Map(entries) => Data::Map(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.clone(),
                        at: entry.at,
                        node: self.resolve_at(&entry.node, depth),
                    })
                    .collect(),
            ),
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) => node.data.clone(),
        };
        Node::new(node.at, data)
    }

    fn evaluate(&self, text: &str, node: &Node, depth: usize) -> Node {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let mut parser = Parser { rest: inner.unwrap_or_default(), scope: self, node };
        let value = parser.expression(depth);
        match value {
            Some(value) if parser.rest.trim().is_empty() => Node::new(node.at, value.data),
            _ => {
                let shown: String = text.chars().take(120).collect();
                Node::new(node.at, Data::Text(format!("{UNRESOLVED}{shown}").into()))
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    scope: &'a Scope<'a>,
    node: &'a Node,
}

impl Parser<'_> {
    fn text(&self, text: String) -> Option<Node> {
        let fits = text.len() <= TEXT_BYTES_MAX;
        fits.then(|| Node::new(self.node.at, Data::Text(text.into())))
    }

    /// A literal, or a call with what follows it.
    fn expression(&mut self, depth: usize) -> Option<Node> {
        if DEPTH_MAX < depth {
            return None;
        }
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix('\'') {
            return self.literal(rest);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-')?;
        let (word, rest) = self.rest.split_at_checked(end)?;
        if let Ok(number) = word.parse() {
            self.rest = rest;
            return Some(Node::new(self.node.at, Data::Int(number)));
        }
        self.rest = rest.trim_start().strip_prefix('(')?;
        let mut arguments = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix(')') {
                self.rest = rest;
                break;
            }
            arguments.push(self.expression(depth.saturating_add(1))?);
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.starts_with(')') => {}
                None => return None,
            }
        }
        let mut value = self.call(&word.to_ascii_lowercase(), &arguments, depth)?;
        while let Some(rest) = self.rest.strip_prefix('.') {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (key, rest) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
            value = value.get(key)?.clone();
            self.rest = rest;
        }
        Some(value)
    }

    /// The rest of a quoted text; two quotes are one.
    fn literal(&mut self, mut rest: &str) -> Option<Node> {
        let mut text = String::new();
        loop {
            let (part, after) = rest.split_once('\'')?;
            text.push_str(part);
            match after.strip_prefix('\'') {
                Some(more) => {
                    text.push('\'');
                    rest = more;
                }
                None => {
                    let used = self.rest.len().saturating_sub(after.len());
                    self.rest = self.rest.get(used..)?;
                    return self.text(text);
                }
            }
        }
    }

    fn call(&self, name: &str, arguments: &[Node], depth: usize) -> Option<Node> {
        let texts: Option<Vec<&str>> = arguments.iter().map(Node::text).collect();
        match name {
            "parameters" => {
                let declared = self.scope.parameters?.get(arguments.first()?.text()?)?;
                let value = declared.get("value").or_else(|| declared.get("defaultValue"))?;
                self.settled(value, depth)
            }
            "variables" => {
                let value = self.scope.variables?.get(arguments.first()?.text()?)?;
                self.settled(value, depth)
            }
            "resourceid" | "subscriptionresourceid" => self.text(resource_id(&texts?)?),
            "concat" => self.text(texts?.concat()),
            "tolower" => self.text(texts?.first()?.to_lowercase()),
            "toupper" => self.text(texts?.first()?.to_uppercase()),
            "format" => {
                let texts = texts?;
                let (first, rest) = texts.split_first()?;
                let mut text = (*first).to_owned();
                for (idx, value) in rest.iter().enumerate() {
                    text = text.replace(&format!("{{{idx}}}"), value);
                }
                self.text(text)
            }
            "createarray" => Some(Node::new(self.node.at, Data::List(arguments.to_vec()))),
            "bool" => Some(Node::new(self.node.at, Data::Bool(texts?.first()? == &"true"))),
            "true" => Some(Node::new(self.node.at, Data::Bool(true))),
            "false" => Some(Node::new(self.node.at, Data::Bool(false))),
            "null" => Some(Node::new(self.node.at, Data::Null)),
            _ => None,
        }
    }

    /// A value that may hold expressions itself: EX1.
    fn settled(&self, value: &Node, depth: usize) -> Option<Node> {
        if DEPTH_MAX < depth {
            return None;
        }
        let value = self.scope.resolve_at(value, depth.saturating_add(4));
        let is_lost = value.text().is_some_and(|text| text.starts_with(UNRESOLVED));
        (!is_lost).then_some(value)
    }
}

/// `/subscriptions/…/providers/A/b/name/c/name` from a type and names; a group or subscription
/// may stand before the type.
fn resource_id(texts: &[&str]) -> Option<String> {
    let at = texts.iter().position(|text| text.contains('/') && text.contains('.'))?;
    let kind = texts.get(at)?;
    let group = at.checked_sub(1).and_then(|idx| texts.get(idx)).copied().unwrap_or("this");
    let names = texts.get(at.saturating_add(1)..)?;
    let mut parts = kind.split('/');
    let mut id = format!("/subscriptions/this/resourceGroups/{group}/providers/{}", parts.next()?);
    let mut names = names.iter();
    for part in parts {
        id.push('/');
        id.push_str(part);
        id.push('/');
        id.push_str(names.next()?);
    }
    names.next().is_none().then_some(id)
}
