//! What the machine knows of a value: enough to judge names, callees and arguments, no more.
//!
//! A value is eight bytes and owns nothing; what has contents lies in the [`Heap`], whose tables
//! are bounded. When a table is full the value becomes a kind without contents, and whatever
//! needed the contents is then not cleared.

/// Most entries of each of the heap's tables.
const NODES_MAX: usize = 200_000;
/// Most values in all tuples.
const SLOTS_MAX: usize = 1_000_000;
/// Longest tuple whose contents are kept.
const TUPLE_LEN_MAX: usize = 64;
/// Most pairs of a dict that are kept.
const PAIRS_MAX: usize = 32;
/// Most long texts of which the beginning is kept.
const EXCERPTS_MAX: usize = 1_024;

/// An interned text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Word(pub(crate) u32);

/// A value on the stack or in the memo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// No value: a hole in the memo.
    Absent,
    None,
    Bool(bool),
    Int(i32),
    /// An integer of 64 bits.
    Long(u32),
    /// A float, or a longer integer.
    Number,
    Word(Word),
    /// A text too long to be a name; its beginning.
    Excerpt(u32),
    /// A text that was not kept.
    Text,
    /// Bytes that lie in the file.
    Bytes(u32),
    /// Bytes that were computed or not kept.
    Blob,
    Tuple(u32),
    List,
    Dict(u32),
    Set,
    /// A tuple or dict whose contents were not kept.
    Bulk,
    /// What an import gave.
    Global(u32),
    /// What calling this global gave.
    Instance(u32),
    /// A result whose details matter later.
    Node(u32),
    /// Anything at all.
    Unknown,
}

/// A type of array elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DType {
    pub(crate) kind: u8,
    pub(crate) item_bytes: u64,
    /// Whether elements are Python objects, `None` where that could not be told.
    pub(crate) has_object: Option<bool>,
}

/// A result whose details matter later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Node {
    /// `numpy.dtype(..)`, of the global with this index.
    DType(u32, DType),
}

/// What is known of a dict.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dict {
    /// Its first pairs whose keys are words.
    pub(crate) pairs: Vec<(Word, Value)>,
    /// Pairs that were not kept.
    pub(crate) n_more: u32,
    /// A key of the form `__name__`.
    pub(crate) special: Option<Word>,
}

/// Contents of the values of one pickle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heap {
    longs: Vec<i64>,
    excerpts: Vec<Box<str>>,
    bytes: Vec<(u64, u64)>,
    tuples: Vec<(u32, u32)>,
    slots: Vec<Value>,
    dicts: Vec<Dict>,
    nodes: Vec<Node>,
    /// A special key went into a dict that was not kept.
    pub(crate) special_lost: bool,
}

fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn at<T>(table: &[T], index: u32) -> Option<&T> {
    table.get(usize::try_from(index).ok()?)
}

impl Heap {
    pub(crate) fn clear(&mut self) {
        self.longs.clear();
        self.excerpts.clear();
        self.bytes.clear();
        self.tuples.clear();
        self.slots.clear();
        self.dicts.clear();
        self.nodes.clear();
        self.special_lost = false;
    }

    pub(crate) fn int(&mut self, value: i64) -> Value {
        if let Ok(small) = i32::try_from(value) {
            return Value::Int(small);
        }
        if NODES_MAX <= self.longs.len() {
            return Value::Number;
        }
        self.longs.push(value);
        Value::Long(index(self.longs.len().saturating_sub(1)))
    }

    pub(crate) fn integer(&self, value: Value) -> Option<i64> {
        match value {
            Value::Int(value) => Some(i64::from(value)),
            Value::Bool(value) => Some(i64::from(value)),
            Value::Long(i) => at(&self.longs, i).copied(),
            Value::Absent
            | Value::None
            | Value::Number
            | Value::Word(_)
            | Value::Excerpt(_)
            | Value::Text
            | Value::Bytes(_)
            | Value::Blob
            | Value::Tuple(_)
            | Value::List
            | Value::Dict(_)
            | Value::Set
            | Value::Bulk
            | Value::Global(_)
            | Value::Instance(_)
            | Value::Node(_)
            | Value::Unknown => None,
        }
    }

    pub(crate) fn excerpt(&mut self, text: &str) -> Value {
        if EXCERPTS_MAX <= self.excerpts.len() {
            return Value::Text;
        }
        let text: String = text.chars().take(crate::escape::TEXT_CHARS_MAX).collect();
        self.excerpts.push(text.into());
        Value::Excerpt(index(self.excerpts.len().saturating_sub(1)))
    }

    pub(crate) fn excerpt_text(&self, i: u32) -> &str {
        at(&self.excerpts, i).map_or("", |text| text)
    }

    pub(crate) fn bytes(&mut self, offset: u64, len: u64) -> Value {
        if NODES_MAX <= self.bytes.len() {
            return Value::Blob;
        }
        self.bytes.push((offset, len));
        Value::Bytes(index(self.bytes.len().saturating_sub(1)))
    }

    /// Offset and length of bytes that lie in the file.
    pub(crate) fn span(&self, i: u32) -> Option<(u64, u64)> {
        at(&self.bytes, i).copied()
    }

    pub(crate) fn tuple(&mut self, values: &[Value]) -> Value {
        let room = SLOTS_MAX.saturating_sub(self.slots.len()).min(TUPLE_LEN_MAX);
        if NODES_MAX <= self.tuples.len() || room < values.len() {
            return Value::Bulk;
        }
        self.tuples.push((index(self.slots.len()), index(values.len())));
        self.slots.extend_from_slice(values);
        Value::Tuple(index(self.tuples.len().saturating_sub(1)))
    }

    /// Contents of a tuple, if it is one and they were kept.
    pub(crate) fn items(&self, value: Value) -> Option<&[Value]> {
        let Value::Tuple(i) = value else { return None };
        let &(start, len) = at(&self.tuples, i)?;
        let start = usize::try_from(start).ok()?;
        self.slots.get(start..start.checked_add(usize::try_from(len).ok()?)?)
    }

    pub(crate) fn dict(&mut self) -> Value {
        if NODES_MAX <= self.dicts.len() {
            return Value::Bulk;
        }
        self.dicts.push(Dict::default());
        Value::Dict(index(self.dicts.len().saturating_sub(1)))
    }

    /// What is known of a dict, if it is one and was kept.
    pub(crate) fn pairs(&self, value: Value) -> Option<&Dict> {
        let Value::Dict(i) = value else { return None };
        at(&self.dicts, i)
    }

    /// Puts a pair into a dict. `special` says whether the key is a word `__name__`.
    pub(crate) fn put(&mut self, dict: Value, key: Value, value: Value, special: bool) {
        let known = if let Value::Dict(i) = dict {
            usize::try_from(i).ok().and_then(|i| self.dicts.get_mut(i))
        } else {
            None
        };
        match (known, key) {
            (Some(known), Value::Word(word)) => {
                if special {
                    known.special = Some(word);
                }
                if known.pairs.len() < PAIRS_MAX {
                    known.pairs.push((word, value));
                } else {
                    known.n_more = known.n_more.saturating_add(1);
                }
            }
            (Some(known), _) => known.n_more = known.n_more.saturating_add(1),
            (None, _) => self.special_lost |= special,
        }
    }

    pub(crate) fn node(&mut self, node: Node) -> Value {
        if NODES_MAX <= self.nodes.len() {
            return Value::Unknown;
        }
        self.nodes.push(node);
        Value::Node(index(self.nodes.len().saturating_sub(1)))
    }

    pub(crate) fn known(&self, i: u32) -> Option<Node> {
        at(&self.nodes, i).copied()
    }

    /// Replaces a node: its object was given state.
    pub(crate) fn renew(&mut self, i: u32, node: Node) {
        if let Some(old) = usize::try_from(i).ok().and_then(|i| self.nodes.get_mut(i)) {
            *old = node;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What does not fit is kept as a kind without contents, never as something else.
    #[test]
    fn a_full_table_loses_contents_not_kinds() {
        let mut heap = Heap::default();
        assert_eq!(size_of::<Value>(), 8);
        let long = vec![Value::None; TUPLE_LEN_MAX + 1];
        assert_eq!(heap.tuple(&long), Value::Bulk);
        let kept = heap.tuple(&long[1..]);
        assert_eq!(heap.items(kept).unwrap().len(), TUPLE_LEN_MAX);
        heap.put(Value::Bulk, Value::Word(Word(0)), Value::None, true);
        assert!(heap.special_lost);
        let big = heap.int(1 << 40);
        assert_eq!(heap.integer(big), Some(1 << 40));
    }
}
