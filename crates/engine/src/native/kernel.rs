//! What an operator becomes when a model is loaded, and how it is run.

use std::borrow::Cow;

use bartizan_core::{Datatype, Values};

/// Why an operator has no result. The plan adds which operator, and of which node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) Cow<'static, str>);

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

/// A compiled operator: pure, and for every row the same arithmetic in the same order.
pub(crate) trait Kernel: Send + Sync {
    /// Reads the inputs of `call` and puts every output.
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault>;
}

/// A kernel that is a function.
pub(crate) struct Function<F>(pub(crate) F);

impl<F> Kernel for Function<F>
where
    F: Fn(&mut Call<'_, '_>) -> Result<(), Fault> + Send + Sync,
{
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        (self.0)(call)
    }
}

/// `$pick` of the elements of `$values`, in the same type.
macro_rules! same_type {
    ($values:expr, $pick:expr) => {
        match $values {
            Values::Bool(v) => Values::Bool(($pick)(v)),
            Values::Uint8(v) => Values::Uint8(($pick)(v)),
            Values::Uint16(v) => Values::Uint16(($pick)(v)),
            Values::Uint32(v) => Values::Uint32(($pick)(v)),
            Values::Uint64(v) => Values::Uint64(($pick)(v)),
            Values::Int8(v) => Values::Int8(($pick)(v)),
            Values::Int16(v) => Values::Int16(($pick)(v)),
            Values::Int32(v) => Values::Int32(($pick)(v)),
            Values::Int64(v) => Values::Int64(($pick)(v)),
            Values::Fp16(v) => Values::Fp16(($pick)(v)),
            Values::Bf16(v) => Values::Bf16(($pick)(v)),
            Values::Fp32(v) => Values::Fp32(($pick)(v)),
            Values::Fp64(v) => Values::Fp64(($pick)(v)),
            Values::Bytes(v) => Values::Bytes(($pick)(v)),
        }
    };
}
pub(crate) use same_type;

/// One place of the plan's values.
#[derive(Debug)]
pub(crate) enum Slot<'a> {
    /// Not computed yet, or given away.
    Empty,
    /// A constant, or an input of the caller.
    Lent(&'a Values),
    /// Computed.
    Owned(Values),
}

/// Where an operator's input comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub(crate) slot: usize,
    /// Nobody needs it afterwards: it may be changed in place.
    pub(crate) last_use: bool,
}

/// One run of one operator.
pub(crate) struct Call<'c, 'a> {
    pub(crate) rows: usize,
    pub(crate) inputs: &'c [Option<Operand>],
    pub(crate) outputs: &'c [Option<usize>],
    pub(crate) slots: &'c mut [Slot<'a>],
}

pub(crate) const WRONG_TYPE: &str = "a value has another type than at load";
const NO_VALUE: &str = "a value is missing";

macro_rules! typed {
    ($name:ident, $variant:ident, $type:ty) => {
        /// Input `position`, of this type.
        pub(crate) fn $name(&self, position: usize) -> Result<&[$type], Fault> {
            match self.input(position)? {
                Values::$variant(values) => Ok(values),
                _ => Err(WRONG_TYPE.into()),
            }
        }
    };
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one type is wanted, any other is a fault")]
impl Call<'_, '_> {
    typed!(f32s, Fp32, f32);
    typed!(f64s, Fp64, f64);
    typed!(i64s, Int64, i64);
    typed!(bools, Bool, bool);

    /// Input `position` to change and pass on: copied only where others need it.
    pub(crate) fn take_f32s(&mut self, position: usize) -> Result<Vec<f32>, Fault> {
        match self.take(position)? {
            Values::Fp32(values) => Ok(values),
            _ => Err(WRONG_TYPE.into()),
        }
    }

    fn operand(&self, position: usize) -> Result<Operand, Fault> {
        self.inputs.get(position).copied().flatten().ok_or(NO_VALUE.into())
    }

    /// Input `position`.
    pub(crate) fn input(&self, position: usize) -> Result<&Values, Fault> {
        match &self.slots[self.operand(position)?.slot] {
            Slot::Empty => Err(NO_VALUE.into()),
            Slot::Lent(values) => Ok(values),
            Slot::Owned(values) => Ok(values),
        }
    }

    /// Input `position`, moved where nobody else needs it, else copied.
    pub(crate) fn take(&mut self, position: usize) -> Result<Values, Fault> {
        let operand = self.operand(position)?;
        let slot = &mut self.slots[operand.slot];
        match slot {
            Slot::Empty => Err(NO_VALUE.into()),
            Slot::Lent(values) => Ok((*values).clone()),
            Slot::Owned(values) if !operand.last_use => Ok(values.clone()),
            Slot::Owned(_) => match std::mem::replace(slot, Slot::Empty) {
                Slot::Owned(values) => Ok(values),
                Slot::Empty | Slot::Lent(_) => Err(NO_VALUE.into()),
            },
        }
    }

    /// Input `position` as `f32`, rounded where it has another numeric type.
    pub(crate) fn rounded(&self, position: usize) -> Result<Cow<'_, [f32]>, Fault> {
        Ok(match self.input(position)? {
            Values::Fp32(values) => Cow::Borrowed(values),
            Values::Fp64(values) => values.iter().map(|value| *value as f32).collect(),
            Values::Int64(values) => values.iter().map(|value| *value as f32).collect(),
            Values::Int32(values) => values.iter().map(|value| *value as f32).collect(),
            _ => return Err(WRONG_TYPE.into()),
        })
    }

    /// Input `position` as `f64`; 64-bit integers are rounded.
    pub(crate) fn doubles(&self, position: usize) -> Result<Cow<'_, [f64]>, Fault> {
        Ok(match self.input(position)? {
            Values::Fp64(values) => Cow::Borrowed(values),
            Values::Fp32(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Values::Int64(values) => values.iter().map(|value| *value as f64).collect(),
            Values::Int32(values) => values.iter().map(|value| f64::from(*value)).collect(),
            _ => return Err(WRONG_TYPE.into()),
        })
    }

    /// Input `position`, integers of either width.
    pub(crate) fn integers(&self, position: usize) -> Result<Cow<'_, [i64]>, Fault> {
        Ok(match self.input(position)? {
            Values::Int64(values) => Cow::Borrowed(values),
            Values::Int32(values) => values.iter().map(|value| i64::from(*value)).collect(),
            _ => return Err(WRONG_TYPE.into()),
        })
    }

    /// Output `position` as it was put, to change.
    pub(crate) fn written(&mut self, position: usize) -> Option<&mut Values> {
        let slot = self.outputs.get(position).copied().flatten()?;
        match &mut self.slots[slot] {
            Slot::Owned(values) => Some(values),
            Slot::Empty | Slot::Lent(_) => None,
        }
    }

    /// Puts output `position`; dropped where nobody wants it.
    pub(crate) fn put(&mut self, position: usize, values: Values) {
        if let Some(slot) = self.outputs.get(position).copied().flatten() {
            self.slots[slot] = Slot::Owned(values);
        }
    }
}

/// The types that [`Call::rounded`] takes.
pub(crate) fn is_rounded(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Fp32 | Datatype::Fp64 | Datatype::Int64 | Datatype::Int32)
}
