//! Operators of two or more numbers, with broadcasting: arithmetic, comparison, logic, `Where`.
//!
//! Integers wrap; a division by zero of integers fails. Largest and smallest of several values are
//! NaN where one is. Operators of more than two inputs go through them from the first to the last.

use bartizan_core::{Datatype, Values};
use bartizan_stats::pow::pow;

use super::broadcast::{Pairing, Stretch, broadcast, pair, pairing};
use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::Shape;

const NUMBERS: &[Datatype] = &[
    Datatype::Fp32,
    Datatype::Fp64,
    Datatype::Int64,
    Datatype::Int32,
    Datatype::Uint8,
    Datatype::Int8,
    Datatype::Uint32,
    Datatype::Uint64,
    Datatype::Uint16,
    Datatype::Int16,
];
const ANY: &[Datatype] = Datatype::ALL;

#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    /// Remainder with the sign of the divisor.
    Mod,
    /// Remainder with the sign of the dividend.
    Fmod,
}

pub(crate) fn add(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    fold(node, Operation::Add, 2)
}

pub(crate) fn sub(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    fold(node, Operation::Sub, 2)
}

pub(crate) fn mul(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    fold(node, Operation::Mul, 2)
}

pub(crate) fn div(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    fold(node, Operation::Div, 2)
}

pub(crate) fn sum(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    fold(node, Operation::Add, node.n_inputs())
}

pub(crate) fn max(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    fold(node, Operation::Max, node.n_inputs())
}

pub(crate) fn min(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    fold(node, Operation::Min, node.n_inputs())
}

pub(crate) fn modulo(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let is_fmod = node.int("fmod", 0)? != 0;
    let is_float = matches!(node.input(0)?.datatype, Datatype::Fp32 | Datatype::Fp64);
    if is_float && !is_fmod {
        return Err(node.fault("`fmod` must be 1 for floats"));
    }
    fold(node, if is_fmod { Operation::Fmod } else { Operation::Mod }, 2)
}

/// Operands of one type, and how each meets what comes of those before it.
fn pairings(
    node: &NodeContext<'_>,
    types: &[Datatype],
    n_inputs: usize,
) -> Result<(Datatype, Vec<Pairing>, Shape), LoadError> {
    let datatype = node.check_type(0, types)?;
    let mut shape = node.input(0)?.shape.clone();
    let mut pairings = Vec::with_capacity(n_inputs);
    for position in 1..n_inputs {
        let input = node.input(position)?;
        if input.datatype != datatype {
            let right = input.datatype;
            return Err(node.fault(format!("input 0 is {datatype}, input {position} is {right}")));
        }
        let out = node.shape(broadcast(&shape, &input.shape))?;
        pairings.push(pairing(&shape, &input.shape, &out));
        shape = out;
    }
    Ok((datatype, pairings, shape))
}

/// Applies `$float` or `$integer` (each by its own name for the operation) to two operands of
/// `$type`.
macro_rules! floats {
    ($operation:expr, $pairing:expr, $rows:expr, $both:expr) => {
        match $operation {
            Operation::Add => pair($pairing, $rows, $both, |a, b| a + b),
            Operation::Sub => pair($pairing, $rows, $both, |a, b| a - b),
            Operation::Mul => pair($pairing, $rows, $both, |a, b| a * b),
            Operation::Div => pair($pairing, $rows, $both, |a, b| a / b),
            Operation::Max => {
                pair($pairing, $rows, $both, |a, b| if *a > *b || a.is_nan() { *a } else { *b })
            }
            Operation::Min => {
                pair($pairing, $rows, $both, |a, b| if *a < *b || a.is_nan() { *a } else { *b })
            }
            Operation::Mod | Operation::Fmod => pair($pairing, $rows, $both, |a, b| a % b),
        }
    };
}

macro_rules! integers {
    ($operation:expr, $pairing:expr, $rows:expr, $both:expr, $type:ty) => {
        match $operation {
            Operation::Add => pair($pairing, $rows, $both, |a, b| a.wrapping_add(*b)),
            Operation::Sub => pair($pairing, $rows, $both, |a, b| a.wrapping_sub(*b)),
            Operation::Mul => pair($pairing, $rows, $both, |a, b| a.wrapping_mul(*b)),
            Operation::Max => pair($pairing, $rows, $both, |a, b| *a.max(b)),
            Operation::Min => pair($pairing, $rows, $both, |a, b| *a.min(b)),
            _ if $both.1.contains(&0) => return Err("division by zero".into()),
            Operation::Div => pair($pairing, $rows, $both, |a, b| a.wrapping_div(*b)),
            Operation::Fmod => pair($pairing, $rows, $both, |a, b| a.wrapping_rem(*b)),
            Operation::Mod => pair($pairing, $rows, $both, |a, b| {
                let rest = a.wrapping_rem(*b);
                #[allow(unused_comparisons, reason = "unsigned types have no signs to differ")]
                let differs = rest != 0 && (rest < 0) != (*b < 0);
                if differs { rest.wrapping_add(*b) } else { rest }
            }),
        }
    };
}

fn combine(
    operation: Operation,
    pairing: &Pairing,
    rows: usize,
    left: &Values,
    right: &Values,
) -> Result<Values, Fault> {
    macro_rules! types {
        ($($variant:ident $type:ty),*) => {
            match (left, right) {
                (Values::Fp32(a), Values::Fp32(b)) => {
                    Values::Fp32(floats!(operation, pairing, rows, (a, b)))
                }
                (Values::Fp64(a), Values::Fp64(b)) => {
                    Values::Fp64(floats!(operation, pairing, rows, (a, b)))
                }
                $((Values::$variant(a), Values::$variant(b)) => {
                    let both: (&[$type], &[$type]) = (a, b);
                    Values::$variant(integers!(operation, pairing, rows, both, $type))
                })*
                _ => return Err(WRONG_TYPE.into()),
            }
        };
    }
    Ok(types!(
        Int64 i64, Int32 i32, Int16 i16, Int8 i8, Uint64 u64, Uint32 u32, Uint16 u16, Uint8 u8
    ))
}

fn fold(
    node: &NodeContext<'_>,
    operation: Operation,
    n_inputs: usize,
) -> Result<Compiled, LoadError> {
    let (datatype, pairings, shape) = pairings(node, NUMBERS, n_inputs)?;
    let cost = shape.row_len() as u64 * n_inputs as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let Some(first) = pairings.first() else {
            let value = call.take(0)?;
            call.put(0, value);
            return Ok(());
        };
        let mut result = combine(operation, first, call.rows, call.input(0)?, call.input(1)?)?;
        for (position, pairing) in pairings.iter().enumerate().skip(1) {
            result = combine(operation, pairing, call.rows, &result, call.input(position + 1)?)?;
        }
        call.put(0, result);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// `Mean` of several inputs: their sum from the first to the last, divided by their number.
pub(crate) fn mean(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    let sum = sum(node)?;
    let n = node.n_inputs() as f32;
    let (kernel, (datatype, shape)) = (sum.kernel, sum.outputs[0].clone());
    let run = move |call: &mut Call<'_, '_>| {
        kernel.run(call)?;
        if let Some(values) = call.written(0) {
            if let Values::Fp32(values) = values {
                values.iter_mut().for_each(|value| *value /= n);
            } else if let Values::Fp64(values) = values {
                values.iter_mut().for_each(|value| *value /= f64::from(n));
            }
        }
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, sum.row_cost_ns))
}

/// `Pow`: the base's type counts; computed in `f64`.
pub(crate) fn power(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    const TYPES: &[Datatype] = &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Int32];
    let datatype = node.check_type(0, TYPES)?;
    node.check_type(1, TYPES)?;
    let (left, right) = (&node.input(0)?.shape, &node.input(1)?.shape);
    let shape = node.shape(broadcast(left, right))?;
    let pairing = pairing(left, right, &shape);
    let cost = shape.row_len() as u64 * 40;
    let run = move |call: &mut Call<'_, '_>| {
        let (base, exponent) = (call.doubles(0)?, call.doubles(1)?);
        let powers = pair(&pairing, call.rows, (&base, &exponent), |a, b| pow(*a, *b));
        call.put(0, narrowed(datatype, powers));
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// Doubles as `datatype`: rounded once, integers towards zero.
pub(crate) fn narrowed(datatype: Datatype, values: Vec<f64>) -> Values {
    if datatype == Datatype::Fp64 {
        Values::Fp64(values)
    } else if datatype == Datatype::Int64 {
        Values::Int64(values.into_iter().map(|value| value as i64).collect())
    } else if datatype == Datatype::Int32 {
        Values::Int32(values.into_iter().map(|value| value as i32).collect())
    } else {
        Values::Fp32(values.into_iter().map(|value| value as f32).collect())
    }
}

#[derive(Clone, Copy)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

pub(crate) fn equal(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    compare(node, Comparison::Equal, ANY)
}

pub(crate) fn less(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    compare(node, Comparison::Less, NUMBERS)
}

pub(crate) fn less_or_equal(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    compare(node, Comparison::LessOrEqual, NUMBERS)
}

pub(crate) fn greater(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    compare(node, Comparison::Greater, NUMBERS)
}

pub(crate) fn greater_or_equal(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    compare(node, Comparison::GreaterOrEqual, NUMBERS)
}

fn compare(
    node: &NodeContext<'_>,
    comparison: Comparison,
    types: &[Datatype],
) -> Result<Compiled, LoadError> {
    let (datatype, mut pairings, shape) = pairings(node, types, 2)?;
    if matches!(datatype, Datatype::Fp16 | Datatype::Bf16) {
        return Err(node.fault(format!("`native` does not compare {datatype}")));
    }
    let Some(pairing) = pairings.pop() else { return Err(node.fault("it needs two inputs")) };
    let cost = shape.row_len() as u64;
    let run = move |call: &mut Call<'_, '_>| {
        macro_rules! types {
            ($($variant:ident),*) => {
                match (call.input(0)?, call.input(1)?) {
                    $((Values::$variant(a), Values::$variant(b)) => {
                        truths(comparison, &pairing, call.rows, a, b)
                    })*
                    _ => return Err(WRONG_TYPE.into()),
                }
            };
        }
        let truths = types!(
            Fp32, Fp64, Int64, Int32, Int16, Int8, Uint64, Uint32, Uint16, Uint8, Bool, Bytes
        );
        call.put(0, Values::Bool(truths));
        Ok(())
    };
    Ok(Compiled::function(run, Datatype::Bool, shape, cost))
}

fn truths<T: PartialOrd>(
    comparison: Comparison,
    pairing: &Pairing,
    rows: usize,
    a: &[T],
    b: &[T],
) -> Vec<bool> {
    match comparison {
        Comparison::Equal => pair(pairing, rows, (a, b), |a, b| a == b),
        Comparison::Less => pair(pairing, rows, (a, b), |a, b| a < b),
        Comparison::LessOrEqual => pair(pairing, rows, (a, b), |a, b| a <= b),
        Comparison::Greater => pair(pairing, rows, (a, b), |a, b| a > b),
        Comparison::GreaterOrEqual => pair(pairing, rows, (a, b), |a, b| a >= b),
    }
}

pub(crate) fn and(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    logic(node, |a, b| *a && *b)
}

pub(crate) fn or(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    logic(node, |a, b| *a || *b)
}

pub(crate) fn xor(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    logic(node, |a, b| *a != *b)
}

fn logic(
    node: &NodeContext<'_>,
    operation: fn(&bool, &bool) -> bool,
) -> Result<Compiled, LoadError> {
    let (_, pairings, shape) = pairings(node, &[Datatype::Bool], 2)?;
    let cost = shape.row_len() as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let both = (call.bools(0)?, call.bools(1)?);
        let truths = pairings.first().map(|pairing| pair(pairing, call.rows, both, operation));
        call.put(0, Values::Bool(truths.unwrap_or_default()));
        Ok(())
    };
    Ok(Compiled::function(run, Datatype::Bool, shape, cost))
}

/// `Where`: the second input where the first is true, else the third.
pub(crate) fn choose(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Bool])?;
    let datatype = node.input(1)?.datatype;
    node.check_type(2, &[datatype])?;
    let shapes = [0, 1, 2].map(|position| node.input(position).map(|fact| fact.shape.clone()));
    let [condition, yes, no] = shapes;
    let (condition, yes, no) = (condition?, yes?, no?);
    let both = node.shape(broadcast(&yes, &no))?;
    let shape = node.shape(broadcast(&condition, &both))?;
    let (cost, out) = (shape.row_len() as u64 * 3, shape.clone());
    let run = move |call: &mut Call<'_, '_>| {
        let stretch = |shape| Stretch::new(shape, &out, call.rows);
        let (condition, yes, no) = (stretch(&condition), stretch(&yes), stretch(&no));
        let truths = call.bools(0)?;
        macro_rules! types {
            ($($variant:ident),*) => {
                match (call.input(1)?, call.input(2)?) {
                    $((Values::$variant(a), Values::$variant(b)) => {
                        let pick = |at| {
                            let is_true = truths[condition.at(at)];
                            if is_true { a[yes.at(at)].clone() } else { b[no.at(at)].clone() }
                        };
                        Values::$variant((0..out.len_at(call.rows)).map(pick).collect())
                    })*
                    _ => return Err(WRONG_TYPE.into()),
                }
            };
        }
        let chosen = types!(
            Fp32, Fp64, Fp16, Bf16, Int64, Int32, Int16, Int8, Uint64, Uint32, Uint16, Uint8, Bool,
            Bytes
        );
        call.put(0, chosen);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}
