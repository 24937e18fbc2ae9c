//! Names whose calls are judged by their arguments: each is harmless as genuine libraries call it,
//! and a way around the list otherwise.

use super::event::How;
use super::judge::Standing;
use super::machine::Machine;
use super::value::{DType, Node, Value};
use crate::allow::Role;
use crate::rules;
use crate::scope::{Loader, Scope, Storage};
use crate::source::Stream;

/// Most elements that a range may have: whoever iterates it spends time and memory on each.
const RANGE_MAX: i64 = 100_000_000;
/// Most bytes that `bytes(n)` may make.
const SIZED_MAX: i64 = 1 << 20;

/// Modules whose classes models keep in a `partial`, and whose constructors open nothing.
const LAYERS: &[&str] = &["torch.nn.modules.", "torchvision.ops.", "timm.layers."];

/// Types that `copyreg._reconstructor` may make an instance by.
const BASES: &[(&str, &str)] = &[
    ("builtins", "bytes"),
    ("builtins", "complex"),
    ("builtins", "dict"),
    ("builtins", "float"),
    ("builtins", "frozenset"),
    ("builtins", "int"),
    ("builtins", "list"),
    ("builtins", "object"),
    ("builtins", "set"),
    ("builtins", "str"),
    ("builtins", "tuple"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("numpy", "ndarray"),
];

/// How a call is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// `getattr(class or instance, name)`: the dotted name must be listed itself.
    Getattr,
    /// `_codecs.encode(text, 'latin1')`.
    Encode,
    /// `copyreg._reconstructor(class, base, state)`.
    Reconstructor,
    /// `copyreg.__newobj__(class, *args)`, also `__newobj_ex__`.
    NewObject,
    /// `numpy.dtype(code, ..)`.
    DType,
    /// `numpy.core.multiarray._reconstruct(class, (0,), b'b')`.
    EmptyArray,
    /// `functools.partial(function, ..)`.
    Partial,
    /// `torch.storage._load_from_bytes(bytes)`: the bytes are a file.
    LoadFromBytes,
    /// `bytes`, `bytearray`: not of a size.
    Sized,
    /// `list`, `tuple`, `set`, ..: of a container only.
    Collect,
    /// `range` within bounds.
    Range,
    /// `type(x)` of one value only.
    TypeOf,
    /// `str`, `int`, ..: of plain values, so that no method of an instance runs.
    Plain,
    /// NumPy's makers of random generators: they call what they are given.
    RandomMaker,
    /// `pandas._new_Index(class, fields)` and its like: a class of pandas.
    IndexMaker,
    /// `torch._tensor._rebuild_from_type_v2(function, type, args, state)`: the function is called.
    FromType,
    /// joblib's stand-in for an array, whose bytes follow.
    ArrayWrapper,
}

impl Special {
    /// The judgement for a listed name.
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("builtins", "getattr") => Self::Getattr,
            ("_codecs", "encode") => Self::Encode,
            ("copyreg", "_reconstructor") => Self::Reconstructor,
            ("copyreg", "__newobj__" | "__newobj_ex__") => Self::NewObject,
            ("numpy", "dtype") => Self::DType,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Self::EmptyArray
            }
            ("functools", "partial") => Self::Partial,
            ("torch.storage", "_load_from_bytes") => Self::LoadFromBytes,
            ("builtins", "bytes" | "bytearray") => Self::Sized,
            ("builtins", "list" | "tuple" | "set" | "frozenset" | "dict") => Self::Collect,
            ("builtins", "int" | "float" | "bool" | "str" | "complex") => Self::Plain,
            ("builtins", "range") => Self::Range,
            ("builtins", "type") => Self::TypeOf,
            (
                "numpy.random._pickle",
                "__randomstate_ctor" | "__generator_ctor" | "__bit_generator_ctor",
            ) => Self::RandomMaker,
            (
                _,
                "_new_Index" | "_new_DatetimeIndex" | "_new_PeriodIndex" | "_new_IntervalIndex",
            ) if module.starts_with("pandas.core.indexes.") => Self::IndexMaker,
            ("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => Self::FromType,
            ("joblib.numpy_pickle", "NumpyArrayWrapper") => Self::ArrayWrapper,
            _ => return None,
        })
    }
}

/// Judges a call and gives its result.
pub(super) fn call(
    machine: &mut Machine,
    special: Special,
    global: u32,
    args: Value,
    scope: &mut Scope<'_>,
    stream: &mut Stream<'_>,
) -> Value {
    let items: Vec<Value> = match machine.heap.items(args) {
        Some(items) => items.to_vec(),
        None => {
            machine.misused(global, args, "its arguments could not be followed", scope);
            return Value::Unknown;
        }
    };
    let result = match special {
        Special::Getattr => getattr(machine, &items, scope),
        Special::Encode => encode(machine, &items),
        Special::Reconstructor | Special::NewObject => {
            make(machine, special, &items, args, scope, stream)
        }
        Special::DType => dtype(machine, global, &items),
        Special::EmptyArray => empty_array(machine, global, &items),
        Special::Partial => partial(machine, &items).then_some(Value::Instance(global)),
        Special::Plain => items
            .iter()
            .all(|item| {
                let live = matches!(item, Value::Instance(_) | Value::Unknown | Value::Global(_));
                !live && !matches!(item, Value::Node(_))
            })
            .then_some(Value::Instance(global)),
        Special::RandomMaker => items
            .iter()
            .all(|&item| is_of(machine, item, "numpy.random."))
            .then_some(Value::Instance(global)),
        Special::IndexMaker => items
            .first()
            .is_some_and(|&class| {
                matches!(class, Value::Global(_)) && is_of(machine, class, "pandas")
            })
            .then_some(Value::Instance(global)),
        Special::FromType => items
            .first()
            .is_some_and(|&function| {
                let Value::Global(function) = function else { return false };
                machine
                    .names
                    .global(function)
                    .is_some_and(|known| known.standing == Standing::Listed(Role::Function))
            })
            .then_some(Value::Instance(global)),
        Special::LoadFromBytes => load(machine, global, &items, scope, stream),
        Special::Sized => sized(machine, &items),
        Special::Collect => items
            .iter()
            .all(|item| !matches!(item, Value::Instance(_) | Value::Node(_) | Value::Unknown))
            .then_some(Value::Instance(global)),
        Special::Range => items
            .iter()
            .all(|&item| {
                machine
                    .heap
                    .integer(item)
                    .is_some_and(|n| n.unsigned_abs() <= RANGE_MAX.unsigned_abs())
            })
            .then_some(Value::Instance(global)),
        Special::TypeOf => (items.len() == 1).then_some(Value::Instance(global)),
        Special::ArrayWrapper => Some(Value::Instance(global)),
    };
    result.unwrap_or_else(|| {
        machine.misused(
            global,
            args,
            "with these arguments it may do more than it is listed for",
            scope,
        );
        Value::Unknown
    })
}

/// Whether a value is plain, or of a module that begins so.
fn is_of(machine: &Machine, value: Value, prefix: &str) -> bool {
    match value {
        Value::Global(global) | Value::Instance(global) => {
            machine.names.global(global).is_some_and(|known| known.module.starts_with(prefix))
        }
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Word(_) => true,
        Value::Absent
        | Value::Long(_)
        | Value::Number
        | Value::Excerpt(_)
        | Value::Text
        | Value::Bytes(_)
        | Value::Blob
        | Value::Tuple(_)
        | Value::List
        | Value::Dict(_)
        | Value::Set
        | Value::Bulk
        | Value::Node(_)
        | Value::Unknown => false,
    }
}

/// `partial` calls its function later, constructor included: so what is only to be given state
/// must not be in it, but for the layers that torch's own models keep so.
fn partial(machine: &Machine, items: &[Value]) -> bool {
    let Some(&Value::Global(function)) = items.first() else { return false };
    machine.names.global(function).is_some_and(|known| {
        let is_layer = LAYERS.iter().any(|prefix| known.module.starts_with(prefix));
        known.standing != Standing::Listed(Role::State) || is_layer
    })
}

fn getattr(machine: &mut Machine, items: &[Value], scope: &mut Scope<'_>) -> Option<Value> {
    let (&object, &attribute) = (items.first()?, items.get(1)?);
    let (Value::Global(global) | Value::Instance(global), Value::Word(attribute)) =
        (object, attribute)
    else {
        let what = "getattr of a value that is computed, or with a computed name";
        scope.report(&rules::PICKLE_COMPUTED, machine.at, what);
        return Some(Value::Unknown);
    };
    let known = machine.names.global(global)?;
    let (module, name) = (known.module.to_string(), known.name.to_string());
    let name = format!("{name}.{}", machine.names.text(attribute));
    Some(machine.import(&module, &name, scope))
}

fn encode(machine: &Machine, items: &[Value]) -> Option<Value> {
    let [Value::Word(_) | Value::Text | Value::Excerpt(_), Value::Word(codec)] = items else {
        return None;
    };
    matches!(machine.names.text(*codec), "latin1" | "latin-1").then_some(Value::Blob)
}

/// The class is called as if it were written so itself.
fn make(
    machine: &mut Machine,
    special: Special,
    items: &[Value],
    args: Value,
    scope: &mut Scope<'_>,
    stream: &mut Stream<'_>,
) -> Option<Value> {
    let &class @ Value::Global(global) = items.first()? else { return None };
    let inner = machine.names.global(global)?.standing;
    if special == Special::Reconstructor {
        // The base makes the instance: one of Python's own types, or NumPy's array.
        let &Value::Global(base) = items.get(1)? else { return None };
        let base = machine.names.global(base)?;
        let is_plain = BASES.contains(&(&*base.module, &*base.name));
        if !is_plain {
            return None;
        }
    }
    // These make something of their own arguments again.
    let makes = [Special::Reconstructor, Special::NewObject, Special::Getattr];
    if matches!(inner, Standing::Judged(inner) if makes.contains(&inner)) {
        return None;
    }
    let rest = machine.heap.tuple(items.get(1..).unwrap_or(&[]));
    let rest = if rest == Value::Bulk { args } else { rest };
    // `_reconstructor(cls, object, None)` makes a bare instance: no argument reaches it.
    let bare = items.get(2) == Some(&Value::None) && items.len() == 3;
    let rest = if bare { machine.heap.tuple(&[]) } else { rest };
    Some(machine.call(How::New, class, rest, scope, stream))
}

fn dtype(machine: &mut Machine, global: u32, items: &[Value]) -> Option<Value> {
    // A scalar type such as numpy.float64, or a list of fields: the size is not followed.
    let dtype = if let Value::Word(code) = *items.first()? {
        super::joblib::dtype_of(machine.names.text(code))
    } else {
        None
    };
    let dtype = dtype.unwrap_or(DType { kind: b'?', item_bytes: u64::MAX, has_object: None });
    Some(machine.heap.node(Node::DType(global, dtype)))
}

fn empty_array(machine: &Machine, global: u32, items: &[Value]) -> Option<Value> {
    let &[Value::Global(_), shape, _] = items else { return None };
    let shape = machine.heap.items(shape)?;
    let is_empty = shape.iter().any(|&dim| machine.heap.integer(dim) == Some(0));
    (is_empty || shape.is_empty()).then_some(Value::Instance(global))
}

fn load(
    machine: &mut Machine,
    global: u32,
    items: &[Value],
    scope: &mut Scope<'_>,
    stream: &mut Stream<'_>,
) -> Option<Value> {
    let &[Value::Bytes(at)] = items else { return None };
    let (offset, len) = machine.heap.span(at)?;
    let view = stream.view(offset, len)?;
    let name = format!("bytes at {offset}");
    // Says itself what stopped it.
    let _ = scope.within(&name, |scope| {
        scope.loader = Loader::Torch;
        crate::engine::read_view(scope, &view)
    });
    Some(Value::Instance(global))
}

fn sized(machine: &Machine, items: &[Value]) -> Option<Value> {
    let Some(&first) = items.first() else { return Some(Value::Blob) };
    match first {
        Value::Bytes(_)
        | Value::Blob
        | Value::List
        | Value::Word(_)
        | Value::Text
        | Value::Excerpt(_)
        | Value::Tuple(_) => Some(Value::Blob),
        Value::Int(_) | Value::Long(_) | Value::Bool(_) => {
            machine.heap.integer(first).filter(|n| *n <= SIZED_MAX).map(|_| Value::Blob)
        }
        Value::Absent
        | Value::None
        | Value::Number
        | Value::Dict(_)
        | Value::Set
        | Value::Bulk
        | Value::Global(_)
        | Value::Instance(_)
        | Value::Node(_)
        | Value::Unknown => None,
    }
}

/// torch's persistent id of a storage: `('storage', type, key, location, elements[, view])`.
pub(super) fn storage(machine: &mut Machine, id: Value, scope: &mut Scope<'_>) -> Option<Value> {
    let items: Vec<Value> = machine.heap.items(id)?.to_vec();
    let &Value::Word(kind) = items.first()? else { return None };
    let [_, Value::Global(class), Value::Word(key), Value::Word(_), numel, ..] = *items.as_slice()
    else {
        return None;
    };
    if machine.names.text(kind) != "storage" || items.len() > 6 {
        return None;
    }
    let item_bytes = storage_item_bytes(&machine.names.global(class)?.name)?;
    let numel = u64::try_from(machine.heap.integer(numel)?).ok()?;
    let storage =
        Storage { key: machine.names.text(key).into(), bytes: numel.checked_mul(item_bytes)? };
    if scope.storages.last() != Some(&storage) {
        scope.storages.push(storage);
    }
    Some(Value::Instance(class))
}

/// Bytes of an element of torch's storage types (`torch/storage.py`, `_dtype_to_storage_type_map`).
fn storage_item_bytes(name: &str) -> Option<u64> {
    Some(match name {
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "FloatStorage" | "IntStorage" | "QInt32Storage" => 4,
        "HalfStorage" | "ShortStorage" | "BFloat16Storage" => 2,
        "CharStorage" | "ByteStorage" | "BoolStorage" | "QInt8Storage" | "QUInt8Storage"
        | "QUInt4x2Storage" | "QUInt2x4Storage" | "UntypedStorage" => 1,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}
