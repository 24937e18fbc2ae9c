//! TOML.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Budget, Data, Entry, Lines, Node, ReadError};

pub(super) fn read(text: &str) -> Result<Node, ReadError> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = lines.at(error.span().map_or(0, |span| span.start));
        ReadError::new(at, format!("not TOML: {}", error.message().replace('\n', "; ")))
    })?;
    let mut reader = Reader { lines, budget: Budget::new() };
    let data = reader.table(table.get_ref(), 0)?;
    Ok(Node::new(super::Pos::START, data))
}

struct Reader<'a> {
    lines: Lines<'a>,
    budget: Budget,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, depth: usize) -> Result<Data, ReadError> {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let at = self.lines.at(key.span().start);
            let node = self.value(value, depth.saturating_add(1))?;
            entries.push(Entry { key: key.get_ref().as_ref().into(), at, node });
        }
        Ok(Data::Map(entries))
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, ReadError> {
        let at = self.lines.at(value.span().start);
        self.budget.spend(1, depth, at)?;
        let data = match value.get_ref() {
            DeValue::String(text) => Data::Text(text.as_ref().into()),
            DeValue::Boolean(value) => Data::Bool(*value),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                Data::Int(parsed.map_err(|_| ReadError::new(at, "number out of range"))?)
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().parse();
                Data::Float(parsed.map_err(|_| ReadError::new(at, "not a number"))?)
            }
            DeValue::Datetime(_) => {
                return Err(ReadError::new(at, "a date: quote it if text was meant"));
            }
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.value(item, depth.saturating_add(1)));
                Data::List(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => self.table(table, depth)?,
        };
        Ok(Node::new(at, data))
    }
}
