//! The concrete reader: follows a cleared pickle and keeps what tensors are made of.
//!
//! Values are indexes into one table, so that no depth of nesting costs stack. What is of no use to
//! a tensor becomes [`Value::Other`]; state of objects is kept, so that arrays inside them are found.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is of no use to a tensor is skipped, whatever it is; nothing is judged here"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{self, Layout, Tensor};
use super::{ConvertError, TENSORS_MAX, Tensors};

/// Most values of one pickle.
const VALUES_MAX: usize = 20_000_000;
/// Longest name of a tensor, in bytes.
const NAME_BYTES_MAX: usize = 4_096;

/// A value: an index into the table.
type Index = u32;

#[derive(Clone, Debug)]
enum Value<'a> {
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
struct Over<'a> {
    dtype: &'static str,
    item_bytes: usize,
    key: &'a str,
    offset: u64,
    shape: Vec<u64>,
    strides: Vec<u64>,
}

/// The reader of one pickle.
pub(super) struct Collector<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Index>,
    memo: BTreeMap<usize, Index>,
}

type Step<T> = Result<T, ConvertError>;

impl<'a> Collector<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, values: Vec::new(), stack: Vec::new(), memo: BTreeMap::new() }
    }

    /// Offset of the next byte.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    fn odd<T>(&self, what: &'static str) -> Step<T> {
        Err(ConvertError::Unfollowed { what, offset: self.at as u64 })
    }

    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(n);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(part) => {
                self.at = self.at.saturating_add(n);
                Ok(part)
            }
            None => self.odd("it is cut off"),
        }
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn length(&mut self, width: usize) -> Step<usize> {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(self.take(width)?) {
            *to = *from;
        }
        usize::try_from(u64::from_le_bytes(wide)).or_else(|_| self.odd("a length of no file"))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let Some(len) = rest.iter().position(|byte| *byte == b'\n') else {
            return self.odd("a line is cut off");
        };
        let line = self.take(len.saturating_add(1))?;
        std::str::from_utf8(line.get(..len).unwrap_or(&[])).or_else(|_| self.odd("odd text"))
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        if VALUES_MAX <= self.values.len() {
            return self.odd("it has too many values");
        }
        let index = Index::try_from(self.values.len()).or_else(|_| self.odd("too many values"))?;
        self.values.push(value);
        self.stack.push(index);
        Ok(())
    }

    fn pop(&mut self) -> Step<Index> {
        match self.stack.pop() {
            Some(index) => Ok(index),
            None => self.odd("its stack is empty"),
        }
    }

    fn value(&self, index: Index) -> &Value<'a> {
        usize::try_from(index).ok().and_then(|at| self.values.get(at)).unwrap_or(&Value::Other)
    }

    fn set(&mut self, index: Index, value: Value<'a>) {
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

    fn items(&self, index: Index) -> &[Index] {
        if let Value::Items(items) = self.value(index) { items } else { &[] }
    }

    fn numbers(&self, index: Index) -> Option<Vec<u64>> {
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

    fn call(&mut self, callee: Index, args: Index) -> Step<Value<'a>> {
        let Value::Global(name) = self.value(callee).clone() else {
            return Ok(Value::Object(None));
        };
        let args = self.items(args).to_vec();
        Ok(match name.as_str() {
            "collections.OrderedDict" => Value::Dict(Vec::new()),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                self.rebuild(&args)?
            }
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                args.first().map_or(Value::Other, |data| self.value(*data).clone())
            }
            "numpy.dtype" => match args.first().map(|code| self.value(*code)) {
                Some(Value::Text(code)) => Value::DType((*code).to_owned()),
                Some(Value::Bytes(code)) => {
                    Value::DType(String::from_utf8_lossy(code).into_owned())
                }
                _ => Value::Other,
            },
            "numpy.core.multiarray._reconstruct" | "numpy._core.multiarray._reconstruct" => {
                match args.first().map(|class| self.value(*class)) {
                    Some(Value::Global(class)) if class == "numpy.ndarray" => Value::Empty,
                    _ => Value::Object(None),
                }
            }
            "numpy.core.numeric._frombuffer" | "numpy._core.numeric._frombuffer" => {
                self.of_buffer(&args)?
            }
            "_codecs.encode" => match args.first().map(|text| self.value(*text)) {
                Some(Value::Text(text)) => {
                    let bytes: Option<Vec<u8>> =
                        text.chars().map(|c| u8::try_from(c).ok()).collect();
                    bytes.map_or(Value::Other, Value::Latin)
                }
                _ => Value::Other,
            },
            // How protocol 2 writes no bytes at all.
            "__builtin__.bytes" | "builtins.bytes" if args.is_empty() => Value::Bytes(b""),
            "joblib.numpy_pickle.NumpyArrayWrapper" => Value::Wrapper,
            _ => Value::Object(None),
        })
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, ..)`.
    fn rebuild(&self, args: &[Index]) -> Step<Value<'a>> {
        let [storage, offset, size, stride, ..] = *args else {
            return self.odd("a tensor's parts");
        };
        let (Value::Storage(dtype, item_bytes, key), Value::Int(offset)) =
            (self.value(storage), self.value(offset))
        else {
            return self.odd("a tensor over a storage of a kind that is not converted");
        };
        match (u64::try_from(*offset), self.numbers(size), self.numbers(stride)) {
            (Ok(offset), Some(shape), Some(strides)) => {
                let (dtype, item_bytes) = (*dtype, *item_bytes);
                Ok(Value::Over(Box::new(Over { dtype, item_bytes, key, offset, shape, strides })))
            }
            _ => self.odd("a tensor without a plain shape"),
        }
    }

    fn storage(&self, id: Index) -> Step<Value<'a>> {
        let items = self.items(id);
        let view = items.get(5).map(|view| self.value(*view));
        if !matches!(view, None | Some(Value::None)) {
            return self.odd("a view of a storage");
        }
        match (items.get(1).map(|it| self.value(*it)), items.get(2).map(|it| self.value(*it))) {
            (Some(Value::Global(class)), Some(Value::Text(key))) => {
                match layout::of_storage(class) {
                    Some((dtype, item_bytes)) => Ok(Value::Storage(dtype, item_bytes, key)),
                    None => self.odd("a storage of a kind that is not converted"),
                }
            }
            _ => self.odd("a persistent id that is no storage"),
        }
    }

    fn raw(&self, index: Index) -> Option<std::borrow::Cow<'a, [u8]>> {
        match self.value(index) {
            Value::Bytes(bytes) => Some((*bytes).into()),
            Value::Latin(bytes) => Some(bytes.clone().into()),
            _ => None,
        }
    }

    /// `_frombuffer(bytes, dtype, shape, order)`.
    fn of_buffer(&self, args: &[Index]) -> Step<Value<'a>> {
        let [bytes, dtype, shape, order] = *args else { return self.odd("an array's parts") };
        let fortran = matches!(self.value(order), Value::Text("F"));
        self.filled(dtype, shape, fortran, self.raw(bytes))
    }

    fn filled(
        &self,
        dtype: Index,
        shape: Index,
        fortran: bool,
        storage: Option<std::borrow::Cow<'a, [u8]>>,
    ) -> Step<Value<'a>> {
        let Value::DType(code) = self.value(dtype) else { return Ok(Value::Other) };
        // Elements that safetensors has no word for: texts, times, objects, records.
        let Some((dtype, item_bytes, is_big_endian)) = layout::of_numpy(code) else {
            return Ok(Value::Other);
        };
        let parts = self.numbers(shape).zip(storage);
        let tensor = parts.and_then(|(shape, storage)| {
            let strides = layout::strides(&shape, fortran)?;
            let layout = Layout { item_bytes, is_big_endian, offset: 0, strides };
            Tensor::new(dtype, shape, layout, storage)
        });
        match tensor {
            Some(tensor) => Ok(Value::Tensor(tensor)),
            None => self.odd("an array whose bytes and shape do not fit"),
        }
    }

    fn build(&mut self, state: Index) -> Step<()> {
        let Some(&target) = self.stack.last() else { return self.odd("its stack is empty") };
        let new = match self.value(target).clone() {
            Value::DType(code) => {
                // (version, order, ..): the order of a code that says none.
                let order = self.items(state).get(1).map(|order| self.value(*order));
                match order {
                    Some(Value::Text(order)) if !code.starts_with(['<', '>', '=', '|']) => {
                        Value::DType(format!("{order}{code}"))
                    }
                    _ => return Ok(()),
                }
            }
            Value::Empty => {
                let [_, shape, dtype, fortran, bytes] = *self.items(state) else {
                    return self.odd("an array's state");
                };
                let fortran = matches!(self.value(fortran), Value::Bool(true) | Value::Int(1));
                self.filled(dtype, shape, fortran, self.raw(bytes))?
            }
            Value::Wrapper => self.wrapped(state)?,
            Value::Object(_) => Value::Object(Some(state)),
            _ => return Ok(()),
        };
        self.set(target, new);
        Ok(())
    }

    /// joblib's array: an optional byte that counts padding, then the elements.
    fn wrapped(&mut self, state: Index) -> Step<Value<'a>> {
        let Value::Dict(pairs) = self.value(state).clone() else { return self.odd("an array") };
        let field = |name: &str| {
            let is = |key: &Index| matches!(self.value(*key), Value::Text(text) if *text == name);
            pairs.iter().rev().find(|(key, _)| is(key)).map(|(_, value)| *value)
        };
        let (Some(dtype), Some(shape)) = (field("dtype"), field("shape")) else {
            return self.odd("an array without a type or shape");
        };
        let fortran = field("order").is_some_and(|it| matches!(self.value(it), Value::Text("F")));
        let is_aligned = field("numpy_array_alignment_bytes")
            .is_some_and(|it| matches!(self.value(it), Value::Int(_)));
        let Value::DType(code) = self.value(dtype) else { return self.odd("an array's type") };
        let Some((_, item_bytes, _)) = layout::of_numpy(code) else {
            return self.odd("an array of elements that are no numbers lies between opcodes");
        };
        let n = self
            .numbers(shape)
            .and_then(|dims| dims.iter().try_fold(item_bytes as u64, |n, dim| n.checked_mul(*dim)));
        let n = n.and_then(|n| usize::try_from(n).ok());
        let Some(n) = n else { return self.odd("an array without a plain shape") };
        if is_aligned {
            let padding = self.length(1)?;
            self.take(padding)?;
        }
        let bytes = self.take(n)?;
        self.filled(dtype, shape, fortran, Some(bytes.into()))
    }

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

fn pairs(items: &[Index]) -> Vec<(Index, Index)> {
    items.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect()
}
