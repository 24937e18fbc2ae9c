//! `Softmax` and `LogSoftmax`.

use bartizan_core::{Datatype, Values};
use bartizan_stats::activation::{softmax as softmax_f64, softmax_f32};
use bartizan_stats::exp::exp;
use bartizan_stats::ln::ln;

use crate::native::LoadError;
use crate::native::kernel::{Call, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};

/// Before version 13: over all dimensions from `axis` on together.
pub(crate) fn flattening(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", 1)?;
    flat(node, axis, false)
}

/// From version 13: over dimension `axis` alone.
pub(crate) fn along_axis(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", -1)?;
    alone(node, axis, false)
}

pub(crate) fn log_flattening(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", 1)?;
    flat(node, axis, true)
}

pub(crate) fn log_along_axis(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", -1)?;
    alone(node, axis, true)
}

fn flat(node: &NodeContext<'_>, axis: i64, log: bool) -> Result<Compiled, LoadError> {
    let shape = &node.input(0)?.shape;
    let Some(len) = shape.axis(axis).and_then(|axis| shape.inner_len(axis)) else {
        return Err(node.fault(format!("`axis` {axis} of {shape} would mix rows")));
    };
    compile(node, len, 1, log)
}

fn alone(node: &NodeContext<'_>, axis: i64, log: bool) -> Result<Compiled, LoadError> {
    let shape = &node.input(0)?.shape;
    let axis = node.fixed_axis(shape, axis)?;
    let len = shape.extents()[axis].factor() as usize;
    let Some(step) = shape.inner_len(axis + 1) else {
        return Err(node.fault(format!("`axis` {axis} of {shape} lies across its rows")));
    };
    compile(node, len, step, log)
}

/// Groups of `len` values that lie `step` apart.
fn compile(
    node: &NodeContext<'_>,
    len: usize,
    step: usize,
    log: bool,
) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    let shape = node.input(0)?.shape.clone();
    let cost = shape.row_len() as u64 * 8;
    let run = move |call: &mut Call<'_, '_>| {
        let mut values = call.take(0)?;
        match &mut values {
            Values::Fp32(values) if log => groups(values, len, step, |group: &mut [f32]| {
                let mut wide: Vec<f64> = group.iter().copied().map(f64::from).collect();
                log_softmax(&mut wide);
                group.iter_mut().zip(wide).for_each(|(x, wide)| *x = wide as f32);
            }),
            Values::Fp64(values) if log => groups(values, len, step, log_softmax),
            Values::Fp32(values) => groups(values, len, step, softmax_f32),
            Values::Fp64(values) => groups(values, len, step, softmax_f64),
            _ => return Err(WRONG_TYPE.into()),
        }
        call.put(0, values);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

fn groups<T: Copy>(values: &mut [T], len: usize, step: usize, function: impl Fn(&mut [T])) {
    if len == 0 || step == 0 {
        return;
    }
    if step == 1 {
        values.chunks_exact_mut(len).for_each(function);
        return;
    }
    let mut group = Vec::with_capacity(len);
    for block in values.chunks_exact_mut(len * step) {
        for start in 0..step {
            group.clear();
            group.extend(block.iter().skip(start).step_by(step));
            function(&mut group);
            block.iter_mut().skip(start).step_by(step).zip(&group).for_each(|(x, new)| *x = *new);
        }
    }
}

/// `x - ln sum e^x`, with the largest taken out first.
fn log_softmax(scores: &mut [f64]) {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    let sum = scores.iter().fold(0.0, |sum, x| sum + exp(x - largest));
    let log = ln(sum);
    scores.iter_mut().for_each(|x| *x = *x - largest - log);
}
