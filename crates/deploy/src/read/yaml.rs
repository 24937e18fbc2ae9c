//! YAML 1.2 with the core schema: `yes` and `on` are text, `010` is ten.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Budget, Data, Entry, Node, Pos, ReadError, refuse_twins};

pub(super) fn read(text: &str) -> Result<Vec<Node>, ReadError> {
    let mut builder = Builder {
        open: Vec::new(),
        done: Vec::new(),
        anchors: BTreeMap::new(),
        budget: Budget::new(),
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            let at = Pos::new(mark.line(), mark.col().saturating_add(1));
            ReadError::new(at, format!("not YAML: {}", error.info()))
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.done)
}

/// A list or table that has begun.
struct Open {
    anchor: usize,
    at: Pos,
    into: Into,
}

enum Into {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(Box<str>, Pos)> },
}

struct Builder {
    open: Vec<Open>,
    done: Vec<Node>,
    /// Finished values by anchor, with how many nodes each has.
    anchors: BTreeMap<usize, (Node, usize)>,
    budget: Budget,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), ReadError> {
        let at = Pos::new(span.start.line(), span.start.col().saturating_add(1));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return Err(ReadError::new(at, "a YAML tag: leave it out"));
                }
                self.budget.spend(1, self.open.len(), at)?;
                let is_plain = style == ScalarStyle::Plain;
                let is_key = matches!(
                    self.open.last(),
                    Some(Open { into: Into::Map { key: None, .. }, .. })
                );
                let data = match is_plain && !is_key {
                    true => plain(&text),
                    false => Data::Text(text.as_ref().into()),
                };
                self.put(Node::new(at, data), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(anchor, tag.is_some(), at, Into::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(anchor, tag.is_some(), at, Into::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some((node, n_nodes)) = self.anchors.get(&anchor) else {
                    return Err(ReadError::new(at, "an alias that contains itself: a cycle"));
                };
                let node = Node::new(at, node.data.clone());
                self.budget.spend(*n_nodes, self.open.len(), at)?;
                self.put(node, 0)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(
        &mut self,
        anchor: usize,
        has_tag: bool,
        at: Pos,
        into: Into,
    ) -> Result<(), ReadError> {
        if has_tag {
            return Err(ReadError::new(at, "a YAML tag: leave it out"));
        }
        self.budget.spend(1, self.open.len(), at)?;
        self.open.push(Open { anchor, at, into });
        Ok(())
    }

    fn end(&mut self) -> Result<(), ReadError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let data = match open.into {
            Into::List(items) => Data::List(items),
            Into::Map { entries, .. } => {
                refuse_twins(&entries)?;
                Data::Map(entries)
            }
        };
        self.put(Node::new(open.at, data), open.anchor)
    }

    /// Hands a finished value to what it stands in.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), ReadError> {
        if 0 < anchor {
            let n_nodes = count(&node);
            self.budget.spend(n_nodes, self.open.len(), node.at)?;
            self.anchors.insert(anchor, (node.clone(), n_nodes));
        }
        match self.open.last_mut().map(|open| &mut open.into) {
            None => self.done.push(node),
            Some(Into::List(items)) => items.push(node),
            Some(Into::Map { entries, key }) => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, node }),
                None => {
                    let Data::Text(text) = node.data else {
                        return Err(ReadError::new(node.at, "a key must be text"));
                    };
                    *key = Some((text, node.at));
                }
            },
        }
        Ok(())
    }
}

fn count(node: &Node) -> usize {
    let below: usize = match &node.data {
        Data::List(items) => items.iter().map(count).sum(),
        Data::Map(entries) => entries.iter().map(|entry| count(&entry.node)).sum(),
        Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Text(_) => 0,
    };
    below.saturating_add(1)
}

/// A plain scalar by the core schema (YAML 1.2.2, section 10.3.2).
fn plain(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" => return Data::Bool(true),
        "false" | "False" | "FALSE" => return Data::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.bytes().all(numeric) {
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            if let Ok(number) = text.parse() {
                return Data::Int(number);
            }
        } else if let Ok(number) = text.parse() {
            return Data::Float(number);
        }
    }
    Data::Text(text.into())
}
