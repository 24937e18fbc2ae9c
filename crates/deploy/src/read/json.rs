//! JSON (RFC 8259).

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use jiter::{Jiter, JiterError, NumberAny, NumberInt, Peek};

use super::{Budget, Data, Entry, Lines, Node, ReadError, refuse_twins};

pub(super) fn read(text: &str) -> Result<Node, ReadError> {
    let lines = Lines::of(text);
    let mut reader = Reader { json: Jiter::new(text.as_bytes()), lines, budget: Budget::new() };
    let peek = reader.json.peek();
    let peek = reader.checked(peek)?;
    let node = reader.value(peek, 0)?;
    let end = reader.json.finish();
    reader.checked(end)?;
    Ok(node)
}

struct Reader<'a> {
    json: Jiter<'a>,
    lines: Lines<'a>,
    budget: Budget,
}

impl Reader<'_> {
    fn checked<T>(&self, result: Result<T, JiterError>) -> Result<T, ReadError> {
        result.map_err(|error| {
            let what = format!("not JSON: {}", error.error_type);
            ReadError::new(self.lines.at(error.index), what)
        })
    }

    fn value(&mut self, peek: Peek, depth: usize) -> Result<Node, ReadError> {
        let at = self.lines.at(self.json.current_index());
        self.budget.spend(1, depth, at)?;
        let data = match peek {
            Peek::Null => {
                let result = self.json.known_null();
                self.checked(result)?;
                Data::Null
            }
            Peek::True | Peek::False => {
                let result = self.json.known_bool(peek);
                Data::Bool(self.checked(result)?)
            }
            Peek::String => match self.json.known_str().map(Into::into) {
                Ok(text) => Data::Text(text),
                Err(error) => return self.checked(Err(error)),
            },
            Peek::Array => self.list(depth)?,
            Peek::Object => self.map(depth)?,
            _ => {
                let result = self.json.known_number(peek);
                match self.checked(result)? {
                    NumberAny::Int(NumberInt::Int(number)) => Data::Int(number),
                    NumberAny::Int(NumberInt::BigInt(_)) => {
                        return Err(ReadError::new(at, "number out of range"));
                    }
                    NumberAny::Float(number) => Data::Float(number),
                }
            }
        };
        Ok(Node::new(at, data))
    }

    fn list(&mut self, depth: usize) -> Result<Data, ReadError> {
        let mut items = Vec::new();
        let first = self.json.known_array();
        let mut next = self.checked(first)?;
        while let Some(peek) = next {
            items.push(self.value(peek, depth.saturating_add(1))?);
            let step = self.json.array_step();
            next = self.checked(step)?;
        }
        Ok(Data::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Data, ReadError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut start = self.json.current_index();
        let mut next = self.json.known_object().map(|key| key.map(Box::<str>::from));
        while let Some(key) = self.checked(next)? {
            let at = self.key_at(start);
            let peek = self.json.peek();
            let peek = self.checked(peek)?;
            let node = self.value(peek, depth.saturating_add(1))?;
            entries.push(Entry { key, at, node });
            start = self.json.current_index();
            next = self.json.next_key().map(|key| key.map(Box::<str>::from));
        }
        refuse_twins(&entries)?;
        Ok(Data::Map(entries))
    }

    /// Where the key begins that was read after `start`: behind `{` or `,` and white space.
    fn key_at(&self, start: usize) -> super::Pos {
        let rest = self.lines.text.as_bytes().get(start..).unwrap_or_default();
        let skipped = rest.iter().take_while(|byte| **byte != b'"').count();
        self.lines.at(start.saturating_add(skipped))
    }
}
