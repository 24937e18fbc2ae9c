//! Reductions over dimensions that are not the rows: sums, norms, extremes, `ArgMax`, `CumSum`.
//!
//! Floats are added up in `f64`, from the first element to the last in the order of memory, and
//! rounded once; integers wrap.

use bartizan_core::{Datatype, Values};
use bartizan_stats::exp::exp;
use bartizan_stats::ln::ln;

use super::arithmetic::narrowed;
use crate::native::LoadError;
use crate::native::kernel::{Call, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::{Extent, Shape};

/// Types that are reduced.
const TYPES: &[Datatype] = &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Int32];

/// Which elements of a value go into each element of the result.
struct Groups {
    input: Shape,
    /// The reduced axes, in order.
    axes: Vec<usize>,
}

impl Groups {
    /// Positions, relative to a group's first element, of all its elements in order; and the first
    /// element of each group, in the order of the result.
    fn positions(&self, rows: usize) -> (Vec<usize>, Vec<usize>) {
        let dims = self.input.at(rows);
        let (mut within, mut first) = (vec![0_usize], vec![0_usize]);
        let mut steps = vec![1_usize; dims.len()];
        for axis in (1..dims.len()).rev() {
            steps[axis - 1] = steps[axis] * dims[axis] as usize;
        }
        for (axis, dim) in dims.iter().enumerate() {
            let list = if self.axes.contains(&axis) { &mut within } else { &mut first };
            let steps = (0..*dim as usize).map(|at| at * steps[axis]);
            *list =
                list.iter().flat_map(|base| steps.clone().map(move |step| base + step)).collect();
        }
        (within, first)
    }
}

/// The groups and the result's shape, from `axes` and `keepdims`. `None`: nothing is reduced.
fn groups(node: &mut NodeContext<'_>) -> Result<Option<(Groups, Shape)>, LoadError> {
    let keep = node.int("keepdims", 1)? != 0;
    let noop = node.int("noop_with_empty_axes", 0)? != 0;
    let input = node.input(0)?.shape.clone();
    let axes = match node.axes(1)? {
        Some(axes) if !axes.is_empty() => axes,
        Some(_) | None if noop => return Ok(None),
        Some(_) | None => (0..input.extents().len()).collect(),
    };
    grouped(node, input, axes, keep).map(Some)
}

fn grouped(
    node: &NodeContext<'_>,
    input: Shape,
    axes: Vec<usize>,
    keep: bool,
) -> Result<(Groups, Shape), LoadError> {
    let extents = input.extents();
    if axes.iter().any(|axis| extents[*axis].is_rows()) {
        return Err(node.fault(format!("reducing {axes:?} of {input} would mix rows")));
    }
    let kept = extents.iter().enumerate().filter_map(|(axis, extent)| {
        match (axes.contains(&axis), keep) {
            (false, _) => Some(*extent),
            (true, true) => Some(Extent::Fixed(1)),
            (true, false) => None,
        }
    });
    let shape = node.shape(Shape::new(kept.collect()))?;
    Ok((Groups { input, axes }, shape))
}

/// A reduction of floats to one float, by what is done with each group's values.
fn floats(
    node: &mut NodeContext<'_>,
    reduce: fn(&mut dyn Iterator<Item = f64>, usize) -> f64,
    alone: fn(f64) -> f64,
) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, TYPES)?;
    let found = groups(node)?;
    let input = node.input(0)?.shape.clone();
    let cost = input.row_len() as u64 * 2;
    let shape = found.as_ref().map_or_else(|| input.clone(), |(_, shape)| shape.clone());
    let run = move |call: &mut Call<'_, '_>| {
        let values = call.doubles(0)?;
        let reduced: Vec<f64> = match &found {
            None => values.iter().map(|value| alone(*value)).collect(),
            Some((groups, _)) => {
                let (within, first) = groups.positions(call.rows);
                let group = |base: &usize| {
                    let mut group = within.iter().map(|at| values[base + at]);
                    reduce(&mut group, within.len())
                };
                first.iter().map(group).collect()
            }
        };
        call.put(0, narrowed(datatype, reduced));
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

macro_rules! reductions {
    ($($name:ident = $reduce:expr, $alone:expr;)*) => {
        $(pub(crate) fn $name(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
            floats(node, $reduce, $alone)
        })*
    };
}

reductions! {
    l1 = |group, _| group.fold(0.0, |sum, x| sum + x.abs()), f64::abs;
    l2 = |group, _| group.fold(0.0, |sum, x| sum + x * x).sqrt(), f64::abs;
    log_sum = |group, _| ln(group.fold(0.0, |sum, x| sum + x)), ln;
    log_sum_exp = |group, _| log_of_sum(&group.collect::<Vec<_>>()), |x| x;
    mean = |group, n| group.fold(0.0, |sum, x| sum + x) / n as f64, |x| x;
    sum_square = |group, _| group.fold(0.0, |sum, x| sum + x * x), |x| x * x;
}

/// `ln sum e^x`, with the largest taken out first.
fn log_of_sum(values: &[f64]) -> f64 {
    let largest = values.iter().fold(f64::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    if largest.is_infinite() {
        return largest;
    }
    largest + ln(values.iter().fold(0.0, |sum, x| sum + exp(x - largest)))
}

#[derive(Clone, Copy)]
enum Exact {
    Sum,
    Prod,
    Max,
    Min,
}

pub(crate) fn sum(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    exact(node, Exact::Sum)
}

pub(crate) fn prod(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    exact(node, Exact::Prod)
}

pub(crate) fn max(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    exact(node, Exact::Max)
}

pub(crate) fn min(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    exact(node, Exact::Min)
}

/// Reductions that are exact for integers too.
fn exact(node: &mut NodeContext<'_>, what: Exact) -> Result<Compiled, LoadError> {
    if !matches!(node.input(0)?.datatype, Datatype::Int64 | Datatype::Int32) {
        return match what {
            Exact::Sum => floats(node, |group, _| group.fold(0.0, |sum, x| sum + x), |x| x),
            Exact::Prod => {
                floats(node, |group, _| group.fold(1.0, |product, x| product * x), |x| x)
            }
            Exact::Max => floats(node, |group, _| extreme(group, |a, b| b > a), |x| x),
            Exact::Min => floats(node, |group, _| extreme(group, |a, b| b < a), |x| x),
        };
    }
    let datatype = node.check_type(0, TYPES)?;
    let found = groups(node)?;
    let input = node.input(0)?.shape.clone();
    let cost = input.row_len() as u64;
    let shape = found.as_ref().map_or_else(|| input.clone(), |(_, shape)| shape.clone());
    let combine: fn(i64, i64) -> i64 = match what {
        Exact::Sum => i64::wrapping_add,
        Exact::Prod => i64::wrapping_mul,
        Exact::Max => |a, b| a.max(b),
        Exact::Min => |a, b| a.min(b),
    };
    let start = match what {
        Exact::Sum => 0,
        Exact::Prod => 1,
        Exact::Max => i64::MIN,
        Exact::Min => i64::MAX,
    };
    let run = move |call: &mut Call<'_, '_>| {
        let values: Vec<i64> = match call.input(0)? {
            Values::Int64(values) => values.clone(),
            Values::Int32(values) => values.iter().copied().map(i64::from).collect(),
            _ => return Err(WRONG_TYPE.into()),
        };
        let reduced = match &found {
            None => values,
            Some((groups, _)) => {
                let (within, first) = groups.positions(call.rows);
                let all =
                    |base: &usize| within.iter().fold(start, |a, at| combine(a, values[base + at]));
                first.iter().map(all).collect()
            }
        };
        call.put(
            0,
            if datatype == Datatype::Int64 {
                Values::Int64(reduced)
            } else {
                Values::Int32(reduced.into_iter().map(|value| value as i32).collect())
            },
        );
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// The first value that no other `beats`; NaN where one is, infinite where there is none.
fn extreme(group: &mut dyn Iterator<Item = f64>, beats: fn(f64, f64) -> bool) -> f64 {
    let mut best = None;
    for value in group {
        if value.is_nan() {
            return f64::NAN;
        }
        if best.is_none_or(|best| beats(best, value)) {
            best = Some(value);
        }
    }
    best.unwrap_or(if beats(0.0, 1.0) { f64::NEG_INFINITY } else { f64::INFINITY })
}

pub(crate) fn arg_max(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    arg(node, |value, best| value > best)
}

pub(crate) fn arg_min(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    arg(node, |value, best| value < best)
}

fn arg(node: &mut NodeContext<'_>, beats: fn(f64, f64) -> bool) -> Result<Compiled, LoadError> {
    node.check_type(0, TYPES)?;
    let (axis, keep) = (node.int("axis", 0)?, node.int("keepdims", 1)? != 0);
    let last_of_equals = node.int("select_last_index", 0)? != 0;
    let input = node.input(0)?.shape.clone();
    let axis = node.fixed_axis(&input, axis)?;
    if input.extents()[axis] == Extent::Fixed(0) {
        return Err(node.fault("there is nothing to choose from"));
    }
    let cost = input.row_len() as u64;
    let len = input.extents()[axis].factor() as usize;
    let is_last = axis + 1 == input.extents().len();
    let (groups, shape) = grouped(node, input, vec![axis], keep)?;
    let choose = move |group: &mut dyn Iterator<Item = f64>| {
        let mut best = (0, f64::NAN);
        for (at, value) in group.enumerate() {
            if at == 0 || beats(value, best.1) || (last_of_equals && value == best.1) {
                best = (at, value);
            }
        }
        best.0 as i64
    };
    let run = move |call: &mut Call<'_, '_>| {
        let values = call.doubles(0)?;
        let chosen = if is_last {
            values.chunks_exact(len).map(|group| choose(&mut group.iter().copied())).collect()
        } else {
            let (within, first) = groups.positions(call.rows);
            let of = |base: &usize| choose(&mut within.iter().map(|at| values[base + at]));
            first.iter().map(of).collect()
        };
        call.put(0, Values::Int64(chosen));
        Ok(())
    };
    Ok(Compiled::function(run, Datatype::Int64, shape, cost))
}

/// `CumSum`: each element is the sum of those up to it, from the first to the last in `f64`.
pub(crate) fn cum_sum(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, TYPES)?;
    let (exclusive, reverse) = (node.int("exclusive", 0)? != 0, node.int("reverse", 0)? != 0);
    let input = node.input(0)?.shape.clone();
    let [axis] = node.numbers(1)?[..] else { return Err(node.fault("`axis` must be one number")) };
    let axis = node.fixed_axis(&input, axis)?;
    let (cost, shape) = (input.row_len() as u64 * 2, input.clone());
    let (groups, _) = grouped(node, input, vec![axis], true)?;
    let run = move |call: &mut Call<'_, '_>| {
        let values = call.doubles(0)?;
        let mut sums = vec![0.0; values.len()];
        let (mut within, first) = groups.positions(call.rows);
        if reverse {
            within.reverse();
        }
        for base in first {
            let mut sum = 0.0;
            for at in &within {
                let value = values[base + at];
                sums[base + at] = if exclusive { sum } else { sum + value };
                sum += value;
            }
        }
        call.put(0, narrowed(datatype, sums));
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// `LpNormalization`: each group divided by its norm; a norm of 0 leaves zeros.
pub(crate) fn lp_normalization(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    let (axis, p) = (node.int("axis", -1)?, node.int("p", 2)?);
    if ![1, 2].contains(&p) {
        return Err(node.fault(format!("`p` is {p}, not 1 or 2")));
    }
    let input = node.input(0)?.shape.clone();
    let axis = node.fixed_axis(&input, axis)?;
    let (cost, shape) = (input.row_len() as u64 * 3, input.clone());
    let (groups, _) = grouped(node, input, vec![axis], true)?;
    let run = move |call: &mut Call<'_, '_>| {
        let mut values = call.doubles(0)?.into_owned();
        let (within, first) = groups.positions(call.rows);
        for base in first {
            let add = |sum: f64, at: &usize| {
                let x = values[base + at];
                sum + if p == 1 { x.abs() } else { x * x }
            };
            let norm = within.iter().fold(0.0, add);
            let norm = if p == 1 { norm } else { norm.sqrt() };
            if norm != 0.0 {
                within.iter().for_each(|at| values[base + at] /= norm);
            }
        }
        call.put(0, narrowed(datatype, values));
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// `TopK`: the largest (or smallest) values of each group and where they are; the first of equals
/// first, NaN last.
pub(crate) fn top_k(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, TYPES)?;
    let (axis, largest) = (node.int("axis", -1)?, node.int("largest", 1)? != 0);
    // In order is one of the orders that an unsorted answer may have.
    node.ignore(&["sorted"]);
    let k = match node.int("k", -1)? {
        -1 => node.numbers(1)?.first().copied().unwrap_or(-1),
        k => k,
    };
    let input = node.input(0)?.shape.clone();
    let axis = node.fixed_axis(&input, axis)?;
    let len = input.extents()[axis].factor();
    let k = u64::try_from(k).ok().filter(|k| *k <= len);
    let Some(k) = k else { return Err(node.fault(format!("`k` is not 0 to {len}"))) };
    let mut extents = input.extents().to_vec();
    extents[axis] = Extent::Fixed(k);
    let shape = node.shape(Shape::new(extents))?;
    let cost = input.row_len() as u64 * 20;
    let out = Groups { input: shape.clone(), axes: vec![axis] };
    let groups = Groups { input, axes: vec![axis] };
    let outputs = vec![(datatype, shape.clone()), (Datatype::Int64, shape)];
    let run = move |call: &mut Call<'_, '_>| {
        let values = call.doubles(0)?;
        let (within, first) = groups.positions(call.rows);
        let (out_within, out_first) = out.positions(call.rows);
        let n_out = out_first.len() * out_within.len();
        let (mut top, mut indices) = (vec![0_usize; n_out], vec![0_i64; n_out]);
        let mut order: Vec<usize> = Vec::with_capacity(within.len());
        for (base, out_base) in first.iter().zip(&out_first) {
            order.clear();
            order.extend(0..within.len());
            order.sort_by(|a, b| {
                let (a, b) = (values[base + within[*a]], values[base + within[*b]]);
                let natural = if largest { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
                natural.unwrap_or(a.is_nan().cmp(&b.is_nan()))
            });
            for (chosen, at) in order.iter().zip(&out_within) {
                top[out_base + at] = base + within[*chosen];
                indices[out_base + at] = *chosen as i64;
            }
        }
        let picked = match call.input(0)? {
            Values::Fp32(v) => Values::Fp32(top.iter().map(|at| v[*at]).collect()),
            Values::Fp64(v) => Values::Fp64(top.iter().map(|at| v[*at]).collect()),
            Values::Int64(v) => Values::Int64(top.iter().map(|at| v[*at]).collect()),
            Values::Int32(v) => Values::Int32(top.iter().map(|at| v[*at]).collect()),
            _ => return Err(WRONG_TYPE.into()),
        };
        call.put(0, picked);
        call.put(1, Values::Int64(indices));
        Ok(())
    };
    Ok(Compiled::several(crate::native::kernel::Function(run), outputs, cost))
}
