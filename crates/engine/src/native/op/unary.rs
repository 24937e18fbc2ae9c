//! Functions of one value.
//!
//! Those of 32-bit floats that are no plain arithmetic are computed in `f64` and rounded once.

use bartizan_core::{Datatype, Values};
use bartizan_stats::activation::{sigmoid, sigmoid_f32, softplus, tanh, tanh_f32};
use bartizan_stats::erf::erf;
use bartizan_stats::exp::{exp, exp_f32, expm1};
use bartizan_stats::ln::ln;

use crate::native::LoadError;
use crate::native::kernel::{Call, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};

/// A function of floats, and what one value costs in nanoseconds.
fn map<F, G>(node: &NodeContext<'_>, single: F, double: G, cost: u64) -> Result<Compiled, LoadError>
where
    F: Fn(f32) -> f32 + Send + Sync + 'static,
    G: Fn(f64) -> f64 + Send + Sync + 'static,
{
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64 * cost;
    let run = move |call: &mut Call<'_, '_>| {
        let mut values = call.take(0)?;
        if let Values::Fp32(values) = &mut values {
            values.iter_mut().for_each(|value| *value = single(*value));
        } else if let Values::Fp64(values) = &mut values {
            values.iter_mut().for_each(|value| *value = double(*value));
        }
        call.put(0, values);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// The same function for both, computed in `f64`.
fn wide<F>(node: &NodeContext<'_>, function: F, cost: u64) -> Result<Compiled, LoadError>
where
    F: Fn(f64) -> f64 + Send + Sync + Copy + 'static,
{
    map(node, move |x| function(f64::from(x)) as f32, function, cost)
}

/// One function a line: its operator, what it computes of `f32` and `f64`, and its cost.
macro_rules! functions {
    ($($name:ident = $single:expr, $double:expr, $cost:literal;)*) => {
        $(pub(crate) fn $name(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
            map(node, $single, $double, $cost)
        })*
    };
}

functions! {
    relu = |x| if x < 0.0 { 0.0 } else { x }, |x| if x < 0.0 { 0.0 } else { x }, 1;
    sigmoid_of = sigmoid_f32, sigmoid, 8;
    tanh_of = tanh_f32, tanh, 8;
    exp_of = exp_f32, exp, 8;
    log_of = |x| ln(f64::from(x)) as f32, ln, 20;
    sqrt = f32::sqrt, f64::sqrt, 4;
    floor = f32::floor, f64::floor, 1;
    ceil = f32::ceil, f64::ceil, 1;
    round = f32::round_ties_even, f64::round_ties_even, 1;
    reciprocal = |x| 1.0 / x, |x| 1.0 / x, 2;
    erf_of = |x| erf(f64::from(x)) as f32, erf, 80;
    softplus_of = |x| softplus(f64::from(x)) as f32, softplus, 30;
    softsign = |x| x / (1.0 + x.abs()), |x| x / (1.0 + x.abs()), 2;
}

/// `Neg` and `Abs` and `Sign` of floats and signed integers.
macro_rules! signed {
    ($($name:ident = $float:expr, $double:expr, $wide:expr, $narrow:expr;)*) => {
        $(pub(crate) fn $name(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
            const TYPES: &[Datatype] =
                &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Int32];
            let datatype = node.check_type(0, TYPES)?;
            let shape = node.input(0)?.shape.clone();
            let cost = shape.row_len() as u64;
            let run = |call: &mut Call<'_, '_>| {
                let values = match call.input(0)? {
                    Values::Fp32(v) => Values::Fp32(v.iter().map($float).collect()),
                    Values::Fp64(v) => Values::Fp64(v.iter().map($double).collect()),
                    Values::Int64(v) => Values::Int64(v.iter().map($wide).collect()),
                    Values::Int32(v) => Values::Int32(v.iter().map($narrow).collect()),
                    _ => return Err(WRONG_TYPE.into()),
                };
                call.put(0, values);
                Ok(())
            };
            Ok(Compiled::function(run, datatype, shape, cost))
        })*
    };
}

signed! {
    neg = |x| -x, |x| -x, |x| x.wrapping_neg(), |x| x.wrapping_neg();
    abs = |x| x.abs(), |x| x.abs(), |x| x.wrapping_abs(), |x| x.wrapping_abs();
    sign = |x| sign_of(f64::from(*x)) as f32, |x| sign_of(*x), |x| x.signum(), |x| x.signum();
}

/// -1, 0 or 1; NaN for NaN.
fn sign_of(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

pub(crate) fn leaky_relu(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let alpha = node.float("alpha", 0.01)?;
    let double = f64::from(alpha);
    map(
        node,
        move |x| if x < 0.0 { alpha * x } else { x },
        move |x| if x < 0.0 { double * x } else { x },
        1,
    )
}

pub(crate) fn elu(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let alpha = f64::from(node.float("alpha", 1.0)?);
    wide(node, move |x| if x < 0.0 { alpha * expm1(x) } else { x }, 20)
}

pub(crate) fn selu(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let alpha = f64::from(node.float("alpha", 1.673_263_2)?);
    let gamma = f64::from(node.float("gamma", 1.050_701)?);
    wide(node, move |x| gamma * if x <= 0.0 { alpha * expm1(x) } else { x }, 20)
}

pub(crate) fn hard_sigmoid(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let (alpha, beta) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
    let (wide_alpha, wide_beta) = (f64::from(alpha), f64::from(beta));
    map(
        node,
        move |x| (alpha * x + beta).clamp(0.0, 1.0),
        move |x| (wide_alpha * x + wide_beta).clamp(0.0, 1.0),
        2,
    )
}

/// `Gelu`: exact, or by the hyperbolic tangent.
pub(crate) fn gelu(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    match node.text("approximate", "none")? {
        "none" => wide(node, |x| 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)), 90),
        "tanh" => {
            let factor = (2.0 / std::f64::consts::PI).sqrt();
            wide(node, move |x| 0.5 * x * (1.0 + tanh(factor * (x + 0.044_715 * x * x * x))), 30)
        }
        other => Err(node.fault(format!("`approximate` is `{other}`, not none or tanh"))),
    }
}

/// `Clip`: bounds are attributes before version 11, then inputs. NaN stays NaN.
pub(crate) fn clip(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype =
        node.check_type(0, &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Int32])?;
    let (low, high) = (node.float("min", f32::MIN)?, node.float("max", f32::MAX)?);
    let mut bounds = [None, None];
    for (position, bound) in bounds.iter_mut().enumerate() {
        if node.optional(position + 1).is_some() {
            let constant = node.constant(position + 1)?;
            if constant.values.datatype() != datatype || constant.values.len() != 1 {
                return Err(node.fault("bounds must be single values of the input's type"));
            }
            *bound = Some(constant.values.clone());
        }
    }
    let has = [node.has("min"), node.has("max")];
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let mut values = call.take(0)?;
        macro_rules! clip {
            ($variant:ident, $values:expr) => {{
                for value in $values.iter_mut() {
                    if let Some(Values::$variant(bound)) = &bounds[0]
                        && *value < bound[0]
                    {
                        *value = bound[0];
                    }
                    if let Some(Values::$variant(bound)) = &bounds[1]
                        && bound[0] < *value
                    {
                        *value = bound[0];
                    }
                }
            }};
        }
        match &mut values {
            Values::Fp32(values) => {
                clip!(Fp32, values);
                for value in values.iter_mut() {
                    *value = if has[0] && *value < low { low } else { *value };
                    *value = if has[1] && high < *value { high } else { *value };
                }
            }
            Values::Fp64(values) => clip!(Fp64, values),
            Values::Int64(values) => clip!(Int64, values),
            Values::Int32(values) => clip!(Int32, values),
            _ => return Err(WRONG_TYPE.into()),
        }
        call.put(0, values);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

pub(crate) fn not(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Bool])?;
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64;
    let run = |call: &mut Call<'_, '_>| {
        let truths = call.bools(0)?.iter().map(|truth| !truth).collect();
        call.put(0, Values::Bool(truths));
        Ok(())
    };
    Ok(Compiled::function(run, Datatype::Bool, shape, cost))
}

pub(crate) fn is_nan(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    test(node, f64::is_nan)
}

pub(crate) fn is_inf(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let (low, high) = (node.int("detect_negative", 1)? != 0, node.int("detect_positive", 1)? != 0);
    test(node, move |x| (low && x == f64::NEG_INFINITY) || (high && x == f64::INFINITY))
}

fn test<F>(node: &NodeContext<'_>, function: F) -> Result<Compiled, LoadError>
where
    F: Fn(f64) -> bool + Send + Sync + 'static,
{
    node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let truths = call.doubles(0)?.iter().map(|value| function(*value)).collect();
        call.put(0, Values::Bool(truths));
        Ok(())
    };
    Ok(Compiled::function(run, Datatype::Bool, shape, cost))
}
