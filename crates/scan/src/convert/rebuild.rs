//! What calls and states of a cleared pickle make: arrays, tensors, types, storages.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is of no use to a tensor is skipped, whatever it is; nothing is judged here"
)]

use super::collect::{Collector, Index, Over, Step, Value};
use super::layout::{self, Layout, Tensor};

impl<'a> Collector<'a> {
    pub(super) fn call(&mut self, callee: Index, args: Index) -> Step<Value<'a>> {
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
    pub(super) fn rebuild(&self, args: &[Index]) -> Step<Value<'a>> {
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

    pub(super) fn storage(&self, id: Index) -> Step<Value<'a>> {
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

    pub(super) fn raw(&self, index: Index) -> Option<std::borrow::Cow<'a, [u8]>> {
        match self.value(index) {
            Value::Bytes(bytes) => Some((*bytes).into()),
            Value::Latin(bytes) => Some(bytes.clone().into()),
            _ => None,
        }
    }

    /// `_frombuffer(bytes, dtype, shape, order)`.
    pub(super) fn of_buffer(&self, args: &[Index]) -> Step<Value<'a>> {
        let [bytes, dtype, shape, order] = *args else { return self.odd("an array's parts") };
        let fortran = matches!(self.value(order), Value::Text("F"));
        self.filled(dtype, shape, fortran, self.raw(bytes))
    }

    pub(super) fn filled(
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

    pub(super) fn build(&mut self, state: Index) -> Step<()> {
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
    pub(super) fn wrapped(&mut self, state: Index) -> Step<Value<'a>> {
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
}
