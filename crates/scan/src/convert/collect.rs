//! The concrete reader: follows a cleared pickle and keeps what tensors are made of.
//!
//! Values are indexes into one table, so that no depth of nesting costs stack. What is of no use to
//! a tensor becomes [`Value::Other`]; state of objects is kept, so that arrays inside them are found.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is of no use to a tensor is skipped, whatever it is; nothing is judged here"
)]

use std::collections::BTreeMap;

use super::ConvertError;
use super::layout::Tensor;

/// Most values of one pickle.
const VALUES_MAX: usize = 20_000_000;
/// A value: an index into the table.
pub(super) type Index = u32;

#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    /// Bytes in the file.
    Bytes(&'a [u8]),
    /// Bytes that a text stands for, as pickles of protocol 2 write them.
    Latin(Vec<u8>),
    Items(Vec<Index>),
    Dict(Vec<(Index, Index)>),
    /// An imported name.
    Global(String),
    /// A type of NumPy's elements: its code, with the byte order.
    DType(String),
    /// A storage of torch's: its type and key.
    Storage(&'static str, usize, &'a str),
    /// An array that gets its state by `BUILD`.
    Empty,
    Tensor(Tensor<'a>),
    /// A tensor over a storage whose bytes are known when all is read.
    Over(Box<Over<'a>>),
    /// An object with state.
    Object(Option<Index>),
    /// joblib's stand-in for an array, whose bytes follow its state.
    Wrapper,
    Mark,
    Other,
}

#[derive(Clone, Debug)]
pub(super) struct Over<'a> {
    pub(super) dtype: &'static str,
    pub(super) item_bytes: usize,
    pub(super) key: &'a str,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// The reader of one pickle.
pub(super) struct Collector<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) values: Vec<Value<'a>>,
    pub(super) stack: Vec<Index>,
    memo: BTreeMap<usize, Index>,
}

pub(super) type Step<T> = Result<T, ConvertError>;

impl<'a> Collector<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, values: Vec::new(), stack: Vec::new(), memo: BTreeMap::new() }
    }

    /// Offset of the next byte.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn odd<T>(&self, what: &'static str) -> Step<T> {
        Err(ConvertError::Unfollowed { what, offset: self.at as u64 })
    }

    pub(super) fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(n);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(part) => {
                self.at = self.at.saturating_add(n);
                Ok(part)
            }
            None => self.odd("it is cut off"),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(super) fn length(&mut self, width: usize) -> Step<usize> {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(self.take(width)?) {
            *to = *from;
        }
        usize::try_from(u64::from_le_bytes(wide)).or_else(|_| self.odd("a length of no file"))
    }

    pub(super) fn line(&mut self) -> Step<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
            return self.odd("a line is cut off");
        };
        let line = self.take(len.saturating_add(1))?;
        std::str::from_utf8(line.get(..len).unwrap_or(&[])).or_else(|_| self.odd("odd text"))
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Step<()> {
        if VALUES_MAX <= self.values.len() {
            return self.odd("it has too many values");
        }
        let index = Index::try_from(self.values.len()).or_else(|_| self.odd("too many values"))?;
        self.values.push(value);
        self.stack.push(index);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Step<Index> {
        match self.stack.pop() {
            Some(index) => Ok(index),
            None => self.odd("its stack is empty"),
        }
    }

    pub(super) fn value(&self, index: Index) -> &Value<'a> {
        usize::try_from(index).ok().and_then(|at| self.values.get(at)).unwrap_or(&Value::Other)
    }

    pub(super) fn set(&mut self, index: Index, value: Value<'a>) {
        if let Some(old) = usize::try_from(index).ok().and_then(|at| self.values.get_mut(at)) {
            *old = value;
        }
    }

    /// Values above the last mark, which goes.
    fn above_mark(&mut self) -> Step<Vec<Index>> {
        let is_mark = |index: &Index| matches!(self.value(*index), Value::Mark);
        let Some(at) = self.stack.iter().rposition(is_mark) else { return self.odd("no mark") };
        let items = self.stack.split_off(at);
        Ok(items.get(1..).unwrap_or(&[]).to_vec())
    }

    /// Reads up to and with `STOP`, and gives what it returns.
    pub(super) fn run(&mut self) -> Step<Index> {
        self.values.clear();
        self.stack.clear();
        self.memo.clear();
        loop {
            let [op] = self.array()?;
            if op == b'.' {
                return self.pop();
            }
            self.step(op)?;
        }
    }

    #[expect(clippy::too_many_lines, reason = "the table of opcodes")]
    fn step(&mut self, op: u8) -> Step<()> {
        match op {
            0x80 => self.take(1).map(|_| ()),
            0x95 => self.take(8).map(|_| ()),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let [byte] = self.array()?;
                self.push(Value::Int(i64::from(byte)))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(i64::from(value)))
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(i64::from(value)))
            }
            0x8a => {
                let n = self.length(1)?;
                let bytes = self.take(n)?;
                let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
                let mut wide = [fill; 8];
                if 8 < n {
                    return self.push(Value::Other);
                }
                for (to, from) in wide.iter_mut().zip(bytes) {
                    *to = *from;
                }
                self.push(Value::Int(i64::from_le_bytes(wide)))
            }
            0x8b => {
                let n = self.length(4)?;
                self.take(n)?;
                self.push(Value::Other)
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)
            }
            b'F' | b'L' => {
                self.line()?;
                self.push(Value::Other)
            }
            b'I' => {
                let line = self.line()?;
                let value = match line {
                    "00" => Value::Bool(false),
                    "01" => Value::Bool(true),
                    line => line.parse().map_or(Value::Other, Value::Int),
                };
                self.push(value)
            }
            0x8c => self.text(1),
            b'X' => self.text(4),
            0x8d => self.text(8),
            b'U' => self.blob(1),
            b'T' => self.blob(4),
            b'C' => self.blob(1),
            b'B' => self.blob(4),
            0x8e => self.blob(8),
            0x96 => self.blob(8),
            b'(' => self.push(Value::Mark),
            b')' | b']' => self.push(Value::Items(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x8f => self.push(Value::Other),
            b't' | b'l' => {
                let items = self.above_mark()?;
                self.push(Value::Items(items))
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x84..op {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::Items(items))
            }
            b'd' => {
                let items = self.above_mark()?;
                let pairs = pairs(&items);
                self.push(Value::Dict(pairs))
            }
            0x91 => {
                self.above_mark()?;
                self.push(Value::Other)
            }
            0x90 => self.above_mark().map(|_| ()),
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])
            }
            b'e' => {
                let items = self.above_mark()?;
                self.extend(&items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.put(vec![(key, value)])
            }
            b'u' => {
                let items = self.above_mark()?;
                self.put(pairs(&items))
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.above_mark().map(|_| ()),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
                Ok(())
            }
            b'q' | b'r' => {
                let at = self.length(if op == b'q' { 1 } else { 4 })?;
                self.remember(at)
            }
            0x94 => self.remember(self.memo.len()),
            b'h' | b'j' => {
                let at = self.length(if op == b'h' { 1 } else { 4 })?;
                match self.memo.get(&at) {
                    Some(index) => self.stack.push(*index),
                    None => return self.odd("its memo has no such entry"),
                }
                Ok(())
            }
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Value::Global(name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.value(module), self.value(name)) {
                    (Value::Text(module), Value::Text(name)) => {
                        let name = format!("{module}.{name}");
                        self.push(Value::Global(name))
                    }
                    _ => self.odd("a computed name"),
                }
            }
            b'R' | 0x81 => {
                let (args, callee) = (self.pop()?, self.pop()?);
                let value = self.call(callee, args)?;
                self.push(value)
            }
            0x92 => {
                let _kwargs = self.pop()?;
                let (args, callee) = (self.pop()?, self.pop()?);
                let value = self.call(callee, args)?;
                self.push(value)
            }
            b'b' => {
                let state = self.pop()?;
                self.build(state)
            }
            b'Q' => {
                let id = self.pop()?;
                let value = self.storage(id)?;
                self.push(value)
            }
            _ => self.odd("an opcode that only old pickles have; save it with protocol 2 or later"),
        }
    }

    fn text(&mut self, width: usize) -> Step<()> {
        let n = self.length(width)?;
        let bytes = self.take(n)?;
        self.push(std::str::from_utf8(bytes).map_or(Value::Other, Value::Text))
    }

    fn blob(&mut self, width: usize) -> Step<()> {
        let n = self.length(width)?;
        let bytes = self.take(n)?;
        self.push(Value::Bytes(bytes))
    }

    fn extend(&mut self, more: &[Index]) -> Step<()> {
        let Some(&target) = self.stack.last() else { return self.odd("its stack is empty") };
        if let Some(Value::Items(items)) =
            usize::try_from(target).ok().and_then(|at| self.values.get_mut(at))
        {
            items.extend_from_slice(more);
        }
        Ok(())
    }

    fn put(&mut self, more: Vec<(Index, Index)>) -> Step<()> {
        let Some(&target) = self.stack.last() else { return self.odd("its stack is empty") };
        if let Some(Value::Dict(pairs)) =
            usize::try_from(target).ok().and_then(|at| self.values.get_mut(at))
        {
            pairs.extend(more);
        }
        Ok(())
    }

    fn remember(&mut self, at: usize) -> Step<()> {
        let Some(&top) = self.stack.last() else { return self.odd("its stack is empty") };
        self.memo.insert(at, top);
        Ok(())
    }

    pub(super) fn items(&self, index: Index) -> &[Index] {
        if let Value::Items(items) = self.value(index) { items } else { &[] }
    }

    pub(super) fn numbers(&self, index: Index) -> Option<Vec<u64>> {
        let number = |index: &Index| match self.value(*index) {
            Value::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        };
        match self.value(index) {
            Value::Items(items) => items.iter().map(number).collect(),
            Value::Int(_) => Some(vec![number(&index)?]),
            _ => None,
        }
    }
}

fn pairs(items: &[Index]) -> Vec<(Index, Index)> {
    items.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect()
}
