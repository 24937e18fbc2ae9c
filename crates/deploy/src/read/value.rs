//! Trees to `serde_json` values, and typed values from trees.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, IntoDeserializer, Visitor};
use serde_json::Value;

use super::{Data, Entry, Node, Pos};

/// A value as a tree that stands nowhere, keys sorted.
pub fn of_value(value: &Value) -> Node {
    let data = match value {
        Value::Null => Data::Null,
        Value::Bool(value) => Data::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Data::Int(number),
            None => Data::Float(number.as_f64().unwrap_or(0.0)),
        },
        Value::String(text) => Data::Text(text.as_str().into()),
        Value::Array(items) => Data::List(items.iter().map(of_value).collect()),
        Value::Object(map) => {
            let mut entries: Vec<Entry> = map
                .iter()
                .map(|(key, below)| Entry {
                    key: key.as_str().into(),
                    at: Pos::START,
                    node: of_value(below),
                })
                .collect();
            entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Data::Map(entries)
        }
    };
    Node::new(Pos::START, data)
}

/// The same value without places. A number that JSON cannot hold becomes `null`.
pub fn to_value(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::from(*value),
        Data::Int(number) => Value::from(*number),
        Data::Float(number) => Value::from(*number),
        Data::Text(text) => Value::from(&**text),
        Data::List(items) => items.iter().map(to_value).collect(),
        Data::Map(entries) => {
            entries.iter().map(|entry| (entry.key.to_string(), to_value(&entry.node))).collect()
        }
    }
}

/// So that a checked tree becomes a typed value in one pass.
impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match &self.data {
            Data::Null => visitor.visit_unit(),
            Data::Bool(value) => visitor.visit_bool(*value),
            Data::Int(number) => visitor.visit_i64(*number),
            Data::Float(number) => visitor.visit_f64(*number),
            Data::Text(text) => visitor.visit_borrowed_str(text),
            Data::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            // A key that is `null` is a key that is not there.
            Data::Map(entries) => visitor.visit_map(MapDeserializer::new(
                entries
                    .iter()
                    .filter(|entry| !entry.node.is_null())
                    .map(|entry| (&*entry.key, &entry.node)),
            )),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.text() {
            Some(text) => visitor.visit_enum(text.into_deserializer()),
            None => Err(de::Error::custom(format!("a choice is text, not {}", self.data.kind()))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
