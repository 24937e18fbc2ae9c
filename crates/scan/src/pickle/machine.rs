//! The machine: one loop over opcodes, exact in stack, marks, memo and frames.

use super::event::How;
use super::judge;
use super::memo::{Memo, Put};
use super::names::Names;
use super::value::{Heap, Value};
use crate::escape;
use crate::rules;
use crate::scope::Scope;
use crate::sighting::Stop;
use crate::source::Stream;

/// Most values on the stack.
const STACK_MAX: usize = 2_000_000;
/// Opcodes between two charges to the meter.
const CHARGE_EVERY: u32 = 16_384;
/// No frame is open.
const NO_FRAME: u64 = u64::MAX;

/// The machine. Names are those of the whole file, all else is of one pickle.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(super) stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Memo,
    pub(super) heap: Heap,
    pub(super) names: Names,
    pub(super) proto: u8,
    frame_end: u64,
    /// Offset of the opcode that runs.
    pub(super) at: u64,
    until_charge: u32,
    /// Whether joblib's hook is not to run: a plain pickle inside a joblib file.
    pub(super) is_plain: bool,
    /// Whether the plain reading of array bytes has been followed.
    pub(super) forked: bool,
}

/// Whether a byte is an opcode at all.
pub(crate) fn is_opcode(op: u8) -> bool {
    matches!(op,
        b'(' | b')' | b'.' | b'0'..=b'2' | b']' | b'}' | b'B' | b'C' | b'F' | b'G' | b'I'..=b'N'
        | b'P'..=b'V' | b'X' | b'a'..=b'e' | b'g'..=b'j' | b'l' | b'o'..=b'u' | 0x80..=0x98)
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { frame_end: NO_FRAME, ..Self::default() }
    }

    /// A machine in the same state that reads on as plain `pickle` would.
    pub(super) fn fork(&self) -> Self {
        Self {
            stack: self.stack.clone(),
            marks: self.marks.clone(),
            memo: self.memo.clone(),
            heap: self.heap.clone(),
            proto: self.proto,
            frame_end: NO_FRAME,
            names: self.names.clone(),
            is_plain: true,
            ..Self::default()
        }
    }

    /// Runs one pickle up to and with its `STOP`, and gives what `load` would return.
    pub(crate) fn run(
        &mut self,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<Value, Stop> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        self.heap.clear();
        self.proto = 0;
        self.frame_end = NO_FRAME;
        self.forked = false;
        self.go_on(scope, stream)
    }

    /// Runs from the present state on.
    pub(super) fn go_on(
        &mut self,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<Value, Stop> {
        let start = stream.offset();
        loop {
            self.at = stream.offset();
            let Some(op) = stream.next()? else {
                return Err(Stop::broken(self.at, "the pickle ends without STOP"));
            };
            if self.until_charge == 0 {
                self.until_charge = CHARGE_EVERY;
                scope.meter.steps(u64::from(CHARGE_EVERY))?;
            }
            self.until_charge = self.until_charge.wrapping_sub(1);
            if op == b'.' {
                return self.stop(scope, stream);
            }
            if op == 0x80 && self.at != start {
                scope.report(&rules::PICKLE_DIFFERS, self.at, "the protocol is declared twice");
            }
            self.step(op, scope, stream)?;
            if self.frame_end <= stream.offset() {
                self.leave_frame(scope, stream.offset());
            }
        }
    }

    /// Bytes that are no opcodes follow: a frame must have ended just before them.
    pub(super) fn end_frame(&mut self, scope: &mut Scope<'_>, offset: u64) {
        if self.frame_end != NO_FRAME && self.frame_end != offset {
            scope.report(&rules::PICKLE_FRAME, self.at, "array bytes lie inside a frame");
        }
        self.frame_end = NO_FRAME;
    }

    fn leave_frame(&mut self, scope: &mut Scope<'_>, offset: u64) {
        if self.frame_end < offset {
            let what = "an operand crosses the end of its frame: the C reader reads other bytes";
            scope.report(&rules::PICKLE_FRAME, self.at, what);
        }
        self.frame_end = NO_FRAME;
    }

    fn stop(&mut self, scope: &mut Scope<'_>, stream: &Stream<'_>) -> Result<Value, Stop> {
        let value = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            let what = format!("{} values are left on the stack", self.stack.len());
            scope.report(&rules::PICKLE_LEFTOVER, self.at, what);
        }
        if self.frame_end != NO_FRAME && self.frame_end != stream.offset() {
            let what = "the pickle ends before its frame: readers go on at different bytes";
            scope.report(&rules::PICKLE_FRAME, self.at, what);
        }
        Ok(value)
    }

    #[expect(clippy::too_many_lines, reason = "the table of opcodes")]
    fn step(&mut self, op: u8, scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
        match op {
            // Constants.
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let [byte] = stream.array()?;
                self.push(Value::Int(i32::from(byte)))
            }
            b'M' => {
                let value = u16::from_le_bytes(stream.array()?);
                self.push(Value::Int(i32::from(value)))
            }
            b'J' => {
                let value = i32::from_le_bytes(stream.array()?);
                self.push(Value::Int(value))
            }
            b'G' => {
                let _: [u8; 8] = stream.array()?;
                self.push(Value::Number)
            }
            0x8a => {
                let [len] = stream.array()?;
                self.long_bytes(u64::from(len), stream)
            }
            0x8b => {
                let len = self.length32(stream)?;
                self.long_bytes(len, stream)
            }
            b'I' | b'L' | b'F' | b'S' | b'V' => self.text_operand(op, scope, stream),
            // Texts and bytes.
            0x8c | b'U' => {
                let [len] = stream.array()?;
                self.text(u64::from(len), op == 0x8c, stream)
            }
            b'X' => {
                let len = u32::from_le_bytes(stream.array()?);
                self.text(u64::from(len), true, stream)
            }
            0x8d => {
                let len = u64::from_le_bytes(stream.array()?);
                self.text(len, true, stream)
            }
            b'T' => {
                let len = self.length32(stream)?;
                self.text(len, false, stream)
            }
            b'C' => {
                let [len] = stream.array()?;
                self.blob(u64::from(len), stream)
            }
            b'B' => {
                let len = u32::from_le_bytes(stream.array()?);
                self.blob(u64::from(len), stream)
            }
            0x8e | 0x96 => {
                let len = u64::from_le_bytes(stream.array()?);
                self.blob(len, stream)
            }
            0x97 | 0x98 => Err(Stop::Unjudged("the pickle wants out-of-band buffers")),
            // Containers.
            b'(' => {
                self.marks.push(self.stack.len());
                if STACK_MAX < self.marks.len() { Err(Stop::Budget("stack")) } else { Ok(()) }
            }
            b')' => {
                let empty = self.heap.tuple(&[]);
                self.push(empty)
            }
            b']' => self.push(Value::List),
            0x8f => self.push(Value::Set),
            b'}' => {
                let dict = self.heap.dict();
                self.push(dict)
            }
            0x85..=0x87 => {
                let n = usize::from(op.wrapping_sub(0x84));
                let from = self.floor(n)?;
                let tuple = self.heap.tuple(self.stack.get(from..).unwrap_or(&[]));
                self.stack.truncate(from);
                self.push(tuple)
            }
            b't' => {
                let from = self.mark()?;
                let tuple = self.heap.tuple(self.stack.get(from..).unwrap_or(&[]));
                self.stack.truncate(from);
                self.push(tuple)
            }
            b'l' | 0x91 => {
                let from = self.mark()?;
                self.stack.truncate(from);
                self.push(if op == b'l' { Value::List } else { Value::Set })
            }
            b'd' => {
                let from = self.mark()?;
                let dict = self.heap.dict();
                self.set_items(dict, from)?;
                self.push(dict)
            }
            b'a' => {
                self.pop()?;
                let target = self.top()?;
                self.mutate(target, "append", scope)
            }
            b'e' | 0x90 => {
                let from = self.mark()?;
                self.stack.truncate(from);
                let target = self.top()?;
                self.mutate(target, if op == b'e' { "extend" } else { "add" }, scope)
            }
            b's' => {
                let from = self.floor(2)?;
                self.floor(3)?;
                let target = from.checked_sub(1).and_then(|at| self.stack.get(at)).copied();
                self.set_items(target.unwrap_or(Value::Unknown), from)?;
                self.mutate(target.unwrap_or(Value::Unknown), "__setitem__", scope)
            }
            b'u' => {
                let from = self.mark()?;
                let target = from
                    .checked_sub(1)
                    .filter(|at| self.base() <= *at)
                    .and_then(|at| self.stack.get(at));
                let Some(&target) = target else {
                    return Err(Stop::broken(self.at, "the stack is too short"));
                };
                self.set_items(target, from)?;
                self.mutate(target, "__setitem__", scope)
            }
            // Stack and memo.
            b'0' => {
                if self.base() < self.stack.len() {
                    self.pop().map(|_| ())
                } else {
                    self.mark().map(|_| ())
                }
            }
            b'1' => {
                let from = self.mark()?;
                self.stack.truncate(from);
                Ok(())
            }
            b'2' => {
                let top = self.top()?;
                self.push(top)
            }
            b'h' => {
                let [at] = stream.array()?;
                self.fetch(usize::from(at))
            }
            b'j' => {
                let at = u32::from_le_bytes(stream.array()?);
                self.fetch(usize::try_from(at).unwrap_or(usize::MAX))
            }
            b'q' => {
                let [at] = stream.array()?;
                self.put(usize::from(at), scope)
            }
            b'r' => {
                let at = u32::from_le_bytes(stream.array()?);
                self.put(usize::try_from(at).unwrap_or(usize::MAX), scope)
            }
            0x94 => self.put(self.memo.n_filled(), scope),
            b'g' | b'p' => {
                let at = self.index_operand(scope, stream)?;
                if op == b'g' { self.fetch(at) } else { self.put(at, scope) }
            }
            // What runs something.
            b'c' => {
                let value = self.import_lines(scope, stream)?;
                self.push(value)
            }
            0x93 => self.stack_global(scope),
            b'i' => {
                let callee = self.import_lines(scope, stream)?;
                let from = self.mark()?;
                self.call_from(callee, from, scope, stream)
            }
            b'o' => {
                let from = self.mark()?;
                let Some(&callee) = self.stack.get(from) else {
                    return Err(Stop::broken(self.at, "OBJ without a class"));
                };
                self.stack.remove(from);
                self.call_from(callee, from, scope, stream)
            }
            b'R' | 0x81 => {
                self.floor(2)?;
                let (args, callee) = (self.pop()?, self.pop()?);
                let how = if op == b'R' { How::Call } else { How::New };
                let result = self.call(how, callee, args, scope, stream);
                self.push(result)
            }
            0x92 => {
                self.floor(3)?;
                let (_kwargs, args, callee) = (self.pop()?, self.pop()?, self.pop()?);
                let result = self.call(How::New, callee, args, scope, stream);
                self.push(result)
            }
            b'b' => {
                self.floor(2)?;
                let state = self.pop()?;
                let target = self.top()?;
                self.build(target, state, scope, stream)
            }
            0x82..=0x84 => self.extension(op, scope, stream),
            b'P' => {
                let known = stream.line()?.is_some();
                self.persistent(Value::Text, scope);
                if known { self.push(Value::Unknown) } else { Err(self.cut_off()) }
            }
            b'Q' => {
                let id = self.pop()?;
                let value = self.persistent(id, scope);
                self.push(value)
            }
            // Protocol and frames.
            0x80 => {
                let [proto] = stream.array()?;
                self.proto = proto;
                if proto > 5 { Err(Stop::broken(self.at, "an unknown protocol")) } else { Ok(()) }
            }
            0x95 => self.enter_frame(scope, stream),
            _ => Err(Stop::broken(self.at, "an unknown opcode")),
        }
    }

    /// Where the values above the last mark begin.
    fn base(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn push(&mut self, value: Value) -> Result<(), Stop> {
        if STACK_MAX <= self.stack.len() {
            return Err(Stop::Budget("stack"));
        }
        self.stack.push(value);
        Ok(())
    }

    #[inline]
    fn pop(&mut self) -> Result<Value, Stop> {
        self.floor(1)?;
        self.stack.pop().ok_or(Stop::broken(self.at, "the stack is too short"))
    }

    fn top(&self) -> Result<Value, Stop> {
        let at = self.floor(1)?;
        self.stack.get(at).copied().ok_or(Stop::broken(self.at, "the stack is too short"))
    }

    /// Where the last `n` values begin; an error if the last mark or the bottom is above.
    #[inline]
    fn floor(&self, n: usize) -> Result<usize, Stop> {
        self.stack
            .len()
            .checked_sub(n)
            .filter(|&from| self.base() <= from)
            .ok_or(Stop::broken(self.at, "the stack is too short"))
    }

    /// Removes the last mark and says where it stood.
    fn mark(&mut self) -> Result<usize, Stop> {
        self.marks.pop().ok_or(Stop::broken(self.at, "there is no mark"))
    }

    fn fetch(&mut self, at: usize) -> Result<(), Stop> {
        match self.memo.get(at) {
            None => Err(Stop::broken(self.at, "the memo has no such entry")),
            Some(value) => self.push(value),
        }
    }

    fn put(&mut self, at: usize, scope: &mut Scope<'_>) -> Result<(), Stop> {
        let value = self.top()?;
        match self.memo.put(at, value)? {
            Put::Done => {}
            Put::Replaced => {
                let what = format!("memo entry {at} is written twice");
                scope.report(&rules::PICKLE_DIFFERS, self.at, what);
            }
            // What follows is still looked at; a fetch of it breaks.
            Put::Far => {
                let what = format!("memo index {at} with {} entries", self.memo.n_filled());
                scope.report(&rules::PICKLE_MEMO, self.at, what);
            }
        }
        Ok(())
    }

    fn set_items(&mut self, dict: Value, from: usize) -> Result<(), Stop> {
        let items = self.stack.get(from..).unwrap_or(&[]);
        let pairs = items.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(Stop::broken(self.at, "a dict has a key without a value"));
        }
        for pair in pairs {
            if let &[key, value] = pair {
                let special = matches!(key, Value::Word(word)
                    if judge::is_special_attribute(self.names.text(word)));
                self.heap.put(dict, key, value, special);
            }
        }
        self.stack.truncate(from);
        Ok(())
    }

    fn call_from(
        &mut self,
        callee: Value,
        from: usize,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<(), Stop> {
        let args = self.heap.tuple(self.stack.get(from..).unwrap_or(&[]));
        self.stack.truncate(from);
        let result = self.call(How::Call, callee, args, scope, stream);
        self.push(result)
    }

    fn stack_global(&mut self, scope: &mut Scope<'_>) -> Result<(), Stop> {
        self.floor(2)?;
        let (name, module) = (self.pop()?, self.pop()?);
        let value = match (module, name) {
            (Value::Word(module), Value::Word(name)) => match self.names.known(module, name) {
                Some(known) => Value::Global(known),
                None => {
                    let (m, n) =
                        (self.names.text(module).to_owned(), self.names.text(name).to_owned());
                    let value = self.import(&m, &n, scope);
                    if let Value::Global(global) = value {
                        self.names.remember(module, name, global);
                    }
                    value
                }
            },
            (
                Value::Text | Value::Excerpt(_) | Value::Word(_),
                Value::Text | Value::Excerpt(_) | Value::Word(_),
            ) => {
                scope.report(
                    &rules::FILE_BUDGET,
                    self.at,
                    "a name is too long, or there are too many",
                );
                Value::Unknown
            }
            _ => {
                let what = "the name to import is not a text but a computed value";
                scope.report(&rules::PICKLE_COMPUTED, self.at, what);
                Value::Unknown
            }
        };
        self.push(value)
    }

    fn extension(
        &mut self,
        op: u8,
        scope: &mut Scope<'_>,
        stream: &mut Stream<'_>,
    ) -> Result<(), Stop> {
        let width = match op {
            0x82 => 1,
            0x83 => 2,
            _ => 4,
        };
        let code = escape::bytes(stream.take(width)?);
        let what = format!("takes entry `{code}` of the extension registry");
        scope.report(&rules::PICKLE_EXTENSION, self.at, what);
        self.push(Value::Unknown)
    }

    fn enter_frame(&mut self, scope: &mut Scope<'_>, stream: &mut Stream<'_>) -> Result<(), Stop> {
        let len = u64::from_le_bytes(stream.array()?);
        let end = stream.offset().saturating_add(len);
        if self.frame_end != NO_FRAME && self.frame_end != self.at {
            scope.report(&rules::PICKLE_FRAME, self.at, "a frame begins inside another");
        }
        if stream.left().is_some_and(|left| left < len) {
            scope.report(&rules::PICKLE_FRAME, self.at, "a frame is longer than the data");
            return Ok(());
        }
        self.frame_end = if len == 0 { NO_FRAME } else { end };
        Ok(())
    }
}
