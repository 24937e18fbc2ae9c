//! From what a pickle made to its tensors, each named by the way to it.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is of no use to a tensor is skipped, whatever it is; nothing is judged here"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::collect::{Collector, Index, Over, Step, Value};
use super::layout::{Layout, Tensor};
use super::{ConvertError, TENSORS_MAX, Tensors};

/// Longest name of a tensor, in bytes.
const NAME_BYTES_MAX: usize = 4_096;

impl<'a> Collector<'a> {
    /// The texts of a list.
    pub(super) fn texts(&self, list: Index) -> Option<Vec<&'a str>> {
        let text = |index: &Index| match self.value(*index) {
            Value::Text(text) => Some(*text),
            _ => None,
        };
        self.items(list).iter().map(text).collect()
    }

    /// Bytes of an element of the storage with this key, where the pickle names it.
    pub(super) fn item_bytes(&self, key: &str) -> Option<usize> {
        self.values.iter().find_map(|value| match value {
            Value::Storage(_, item_bytes, known) if *known == key => Some(*item_bytes),
            _ => None,
        })
    }

    /// Every tensor below `root`, named by keys and indexes; `storage` gives the bytes of a key.
    pub(super) fn tensors(
        &self,
        root: Index,
        storage: &dyn Fn(&str) -> Option<&'a [u8]>,
    ) -> Step<Tensors<'a>> {
        let mut found = Tensors { tensors: Vec::new(), n_left_out: 0 };
        let mut seen = BTreeSet::new();
        let mut left = vec![(String::new(), root)];
        while let Some((name, index)) = left.pop() {
            let below = |key: &str| {
                if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") }
            };
            if NAME_BYTES_MAX < name.len() || TENSORS_MAX < found.tensors.len() {
                return self.odd("it nests too deep, or has too many tensors");
            }
            let mut children = match self.value(index) {
                Value::Tensor(tensor) => {
                    found.tensors.push(tensor.clone().named(name));
                    continue;
                }
                Value::Over(over) => {
                    let tensor = self.over(over, storage)?;
                    found.tensors.push(tensor.named(name));
                    continue;
                }
                // A container that is reached twice holds the same tensors.
                Value::Items(_) | Value::Dict(_) | Value::Object(_) if !seen.insert(index) => {
                    continue;
                }
                Value::Items(items) => {
                    items.iter().enumerate().map(|(at, it)| (below(&at.to_string()), *it)).collect()
                }
                Value::Dict(pairs) => {
                    let mut last = BTreeMap::new();
                    for (key, value) in pairs {
                        match self.value(*key) {
                            Value::Text(key) => last.insert(below(key), *value),
                            Value::Int(key) => last.insert(below(&key.to_string()), *value),
                            _ => {
                                found.n_left_out = found.n_left_out.saturating_add(1);
                                None
                            }
                        };
                    }
                    last.into_iter().collect()
                }
                Value::Object(Some(state)) => vec![(name.clone(), *state)],
                _ => {
                    found.n_left_out = found.n_left_out.saturating_add(1);
                    Vec::new()
                }
            };
            children.reverse();
            left.extend(children);
        }
        name_and_check(found).ok_or(ConvertError::Unfollowed {
            what: "two tensors have one name",
            offset: self.at as u64,
        })
    }

    fn over(
        &self,
        over: &Over<'a>,
        storage: &dyn Fn(&str) -> Option<&'a [u8]>,
    ) -> Step<Tensor<'a>> {
        let Over { dtype, item_bytes, key, offset, shape, strides } = over;
        let (item_bytes, offset) = (*item_bytes, *offset);
        let layout = Layout { item_bytes, is_big_endian: false, offset, strides: strides.clone() };
        let tensor =
            storage(key).and_then(|bytes| Tensor::new(dtype, shape.clone(), layout, bytes.into()));
        match tensor {
            Some(tensor) => Ok(tensor),
            None => self.odd("a tensor lies outside its storage"),
        }
    }
}

/// A tensor that is all there is has no key; no two have one name.
fn name_and_check(mut found: Tensors<'_>) -> Option<Tensors<'_>> {
    let mut names = BTreeSet::new();
    for tensor in &mut found.tensors {
        if tensor.name.is_empty() {
            tensor.name = "tensor".to_owned();
        }
        if !names.insert(tensor.name.clone()) {
            return None;
        }
    }
    Some(found)
}
