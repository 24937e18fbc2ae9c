//! Operators that move elements about and compute nothing: `Transpose`, `Slice`, `Gather`,
//! `Concat`, `Split`, `Expand`, `Tile`, `Pad`; and `Shape` and `ConstantOfShape`.
//!
//! Every element of such a result is one element of the input. Which one is worked out at load,
//! axis by axis.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Function, same_type};
use crate::native::node::{Compiled, NodeContext, Told};
use crate::native::shape::{Extent, Shape};

/// Where the elements along one axis of the result come from.
#[derive(Clone, Debug)]
enum Source {
    /// The input's axis, as it is.
    Axis(usize),
    /// These positions of the input's axis.
    Chosen(usize, Vec<usize>),
    /// The same elements for every position of this axis.
    Repeated(Extent),
}

/// A result made of the input's elements.
struct Rearranged {
    input: Shape,
    sources: Vec<Source>,
}

impl Rearranged {
    fn shape(&self) -> Result<Shape, String> {
        let extent = |source: &Source| match source {
            Source::Axis(axis) => self.input.extents()[*axis],
            Source::Chosen(_, chosen) => Extent::Fixed(chosen.len() as u64),
            Source::Repeated(extent) => *extent,
        };
        Shape::new(self.sources.iter().map(extent).collect())
    }

    /// The input's element for each element of the result.
    fn positions(&self, rows: usize) -> Vec<usize> {
        let dims = self.input.at(rows);
        let mut steps = vec![1_usize; dims.len()];
        for axis in (1..dims.len()).rev() {
            steps[axis - 1] = steps[axis] * dims[axis] as usize;
        }
        let mut positions = vec![0_usize];
        for source in &self.sources {
            let offsets: Vec<usize> = match source {
                Source::Axis(axis) => {
                    (0..dims[*axis] as usize).map(|at| at * steps[*axis]).collect()
                }
                Source::Chosen(axis, chosen) => chosen.iter().map(|at| at * steps[*axis]).collect(),
                Source::Repeated(extent) => vec![0; extent.at(rows) as usize],
            };
            positions =
                positions.iter().flat_map(|base| offsets.iter().map(move |at| base + at)).collect();
        }
        positions
    }

    fn run(&self, call: &Call<'_, '_>) -> Result<Values, Fault> {
        let positions = self.positions(call.rows);
        Ok(same_type!(call.input(0)?, |values| pick(values, &positions)))
    }

    fn compile(self, node: &NodeContext<'_>) -> Result<Compiled, LoadError> {
        let datatype = node.input(0)?.datatype;
        let shape = node.shape(self.shape())?;
        let cost = shape.row_len() as u64 * 2;
        let run = move |call: &mut Call<'_, '_>| {
            let values = self.run(call)?;
            call.put(0, values);
            Ok(())
        };
        Ok(Compiled::function(run, datatype, shape, cost))
    }
}

fn pick<T: Clone>(values: &[T], positions: &[usize]) -> Vec<T> {
    positions.iter().map(|at| values[*at].clone()).collect()
}

/// Every axis as it is.
fn unchanged(shape: &Shape) -> Vec<Source> {
    (0..shape.extents().len()).map(Source::Axis).collect()
}

pub(crate) fn transpose(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let input = node.input(0)?.shape.clone();
    let n_dims = input.extents().len();
    let given = node.ints("perm")?;
    let order: Option<Vec<usize>> = if given.is_empty() {
        Some((0..n_dims).rev().collect())
    } else {
        given.iter().map(|axis| input.axis(*axis)).collect()
    };
    let Some(order) = order
        .filter(|order| order.len() == n_dims && (0..n_dims).all(|axis| order.contains(&axis)))
    else {
        return Err(node.fault(format!("`perm` {given:?} is no order of {input}")));
    };
    let sources = order.into_iter().map(Source::Axis).collect();
    Rearranged { input, sources }.compile(node)
}

/// `Slice`: bounds are attributes before version 10, then inputs.
pub(crate) fn slice(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let input = node.input(0)?.shape.clone();
    let (mut starts, mut ends) = (node.ints("starts")?.to_vec(), node.ints("ends")?.to_vec());
    let mut axes = node.ints("axes")?.to_vec();
    let mut steps = Vec::new();
    for (position, list) in [&mut starts, &mut ends, &mut axes, &mut steps].into_iter().enumerate()
    {
        if node.optional(position + 1).is_some() {
            *list = node.numbers(position + 1)?;
        }
    }
    if axes.is_empty() {
        axes = (0..starts.len() as i64).collect();
    }
    if steps.is_empty() {
        steps = vec![1; starts.len()];
    }
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(node.fault("starts, ends, axes and steps differ in number"));
    }
    let mut sources = unchanged(&input);
    for (position, axis) in axes.iter().enumerate() {
        let Some(axis) = input.axis(*axis) else {
            return Err(node.fault(format!("axis {axis} is not one of {input}")));
        };
        let (start, end, step) = (starts[position], ends[position], steps[position]);
        let extent = input.extents()[axis];
        if extent.is_rows() {
            // All of the rows, or it would mix them.
            if start == 0 && step == 1 && i64::from(i32::MAX) <= end {
                continue;
            }
            return Err(node.fault(format!("a slice of the rows of {input} would mix rows")));
        }
        let chosen = sliced(extent.factor() as i64, start, end, step);
        let Some(chosen) = chosen else { return Err(node.fault("a step is 0")) };
        sources[axis] = Source::Chosen(axis, chosen);
    }
    Rearranged { input, sources }.compile(node)
}

/// Positions from `start` to before `end`, with NumPy's rules; `None` for a step of 0.
fn sliced(len: i64, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let from_front = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let chosen = |at: i64| usize::try_from(at).ok();
    match step {
        0 => None,
        1.. => {
            let (start, end) = (from_front(start).clamp(0, len), from_front(end).clamp(0, len));
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            Some((start..end).step_by(step).filter_map(chosen).collect())
        }
        _ => {
            let (start, end) =
                (from_front(start).clamp(-1, len - 1), from_front(end).clamp(-1, len - 1));
            let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
            Some((end + 1..=start).rev().step_by(step).filter_map(chosen).collect())
        }
    }
}

/// `Gather` with constant indices, or from a constant table by what each row computed.
pub(crate) fn gather(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(1, &[Datatype::Int64, Datatype::Int32])?;
    let axis = node.int("axis", 0)?;
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let axis = node.fixed_axis(&data.shape, axis)?;
    let len = data.shape.extents()[axis].factor() as i64;
    let index_extents = indices.shape.extents().to_vec();
    let mut extents = data.shape.extents().to_vec();
    extents.splice(axis..=axis, index_extents);
    let shape = node.shape(Shape::new(extents))?;
    if indices.constant.is_some() {
        let chosen = wrapped(&node.numbers(1)?, len);
        let Some(chosen) = chosen else {
            return Err(node.fault(format!("an index is not below {len}")));
        };
        let input = data.shape.clone();
        let mut sources = unchanged(&input);
        sources[axis] = Source::Chosen(axis, chosen);
        // The same elements; the indices' own dimensions are put in.
        let compiled = Rearranged { input, sources }.compile(node)?;
        return Ok(Compiled { outputs: vec![(data.datatype, shape)], ..compiled });
    }
    let table = data.shape.clone();
    if table.rows_axis().is_some() {
        return Err(node.fault("data and indices both depend on the rows: use `GatherElements`"));
    }
    let (cost, datatype) = (shape.row_len() as u64 * 3, data.datatype);
    let run = move |call: &mut Call<'_, '_>| {
        let Some(chosen) = wrapped(&call.integers(1)?, len) else {
            return Err("an index is out of range".into());
        };
        let mut sources = unchanged(&table);
        sources[axis] = Source::Chosen(axis, chosen);
        let values = Rearranged { input: table.clone(), sources }.run(call)?;
        call.put(0, values);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// Indices from the front; `None` where one is out of range.
fn wrapped(indices: &[i64], len: i64) -> Option<Vec<usize>> {
    let wrap = |index: &i64| {
        let index = if *index < 0 { index.checked_add(len)? } else { *index };
        usize::try_from(index).ok().filter(|_| index < len)
    };
    indices.iter().map(wrap).collect()
}

/// `GatherElements`: along one axis by indices of the result's shape.
pub(crate) fn gather_elements(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(1, &[Datatype::Int64, Datatype::Int32])?;
    let axis = node.int("axis", 0)?;
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let axis = node.fixed_axis(&data.shape, axis)?;
    let (data_shape, shape) = (data.shape.clone(), indices.shape.clone());
    let same = data_shape.extents().len() == shape.extents().len()
        && data_shape.extents().iter().zip(shape.extents()).enumerate().all(|(at, (a, b))| {
            at == axis || a == b || matches!((a, b), (Extent::Fixed(a), Extent::Fixed(b)) if b <= a)
        });
    if !same || shape.extents()[axis].is_rows() {
        return Err(node.fault(format!("shapes {data_shape} and {shape} do not go together")));
    }
    let len = data_shape.extents()[axis].factor() as i64;
    let (cost, out) = (shape.row_len() as u64 * 4, shape.clone());
    let run = move |call: &mut Call<'_, '_>| {
        let Some(chosen) = wrapped(&call.integers(1)?, len) else {
            return Err("an index is out of range".into());
        };
        // Where each element of the result would come from at index 0 of the axis.
        let limited = |(at, extent): (usize, &Extent)| match extent {
            Extent::Fixed(n) if at == axis => Source::Chosen(axis, vec![0; *n as usize]),
            Extent::Fixed(n) => Source::Chosen(at, (0..*n as usize).collect()),
            Extent::Rows(_) | Extent::Stacked(_) => Source::Axis(at),
        };
        let sources = out.extents().iter().enumerate().map(limited).collect();
        let mut positions = Rearranged { input: data_shape.clone(), sources }.positions(call.rows);
        let step: u64 = data_shape.at(call.rows)[axis + 1..].iter().product();
        positions.iter_mut().zip(chosen).for_each(|(at, index)| *at += index * step as usize);
        let values = same_type!(call.input(0)?, |values| pick(values, &positions));
        call.put(0, values);
        Ok(())
    };
    Ok(Compiled::function(run, data.datatype, shape, cost))
}

/// `Expand` to a shape, with broadcasting.
pub(crate) fn expand(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let input = node.input(0)?.shape.clone();
    let target = extents(node, 1)?;
    let n_dims = target.len().max(input.extents().len());
    let at = |list: &[Extent], axis: usize| {
        axis.checked_sub(n_dims - list.len()).map_or(Extent::Fixed(1), |axis| list[axis])
    };
    let missing = n_dims - input.extents().len();
    let mut sources = Vec::with_capacity(n_dims);
    for axis in 0..n_dims {
        sources.push(match (at(input.extents(), axis), at(&target, axis)) {
            (own, wanted) if missing <= axis && (own == wanted || wanted == Extent::Fixed(1)) => {
                Source::Axis(axis - missing)
            }
            (Extent::Fixed(1), wanted) => Source::Repeated(wanted),
            (own, wanted) => {
                let reason = format!("dimension {own:?} cannot become {wanted:?}");
                return Err(node.fault(reason));
            }
        });
    }
    Rearranged { input, sources }.compile(node)
}

/// A shape that the graph computes or carries, in input `position`.
fn extents(node: &NodeContext<'_>, position: usize) -> Result<Vec<Extent>, LoadError> {
    let told = node.dims(position)?;
    let extent = |told: &Told| match *told {
        Told::Rows(n) => Some(Extent::Rows(n)),
        Told::Number(n) => u64::try_from(n).ok().map(Extent::Fixed),
    };
    let extents: Option<Vec<_>> = told.iter().map(extent).collect();
    extents.ok_or_else(|| node.fault(format!("shape {told:?} has a negative dimension")))
}

pub(crate) fn tile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let input = node.input(0)?.shape.clone();
    let repeats = node.numbers(1)?;
    if repeats.len() != input.extents().len() {
        return Err(node.fault(format!("repeats {repeats:?} do not fit {input}")));
    }
    let mut sources = unchanged(&input);
    for (axis, times) in repeats.iter().enumerate() {
        let extent = input.extents()[axis];
        let (n, times) = (extent.factor(), u64::try_from(*times).unwrap_or(u64::MAX));
        if times == 1 {
            continue;
        }
        if extent.is_rows() {
            return Err(node.fault("repeating rows would mix rows"));
        }
        // Checked before anything is allocated.
        let total = n.saturating_mul(times);
        node.shape(Shape::fixed(&[total]))?;
        sources[axis] = Source::Chosen(axis, (0..total).map(|at| (at % n) as usize).collect());
    }
    Rearranged { input, sources }.compile(node)
}

pub(crate) fn split(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", 0)?;
    let input = node.input(0)?.shape.clone();
    let axis = node.fixed_axis(&input, axis)?;
    let len = input.extents()[axis].factor();
    let mut parts = node.ints("split")?.to_vec();
    if node.optional(1).is_some() {
        parts = node.numbers(1)?;
    }
    // Either says only how many parts there are.
    node.ignore(&["num_outputs"]);
    if parts.is_empty() {
        let n = node.n_outputs().max(1) as u64;
        let each = len.div_ceil(n);
        parts = (0..n).map(|part| len.saturating_sub(part * each).min(each) as i64).collect();
    }
    let is_sum =
        parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(u64::try_from(*part).ok()?));
    if is_sum != Some(len) {
        return Err(node.fault(format!("parts {parts:?} are not {len} together")));
    }
    let (datatype, mut start) = (node.input(0)?.datatype, 0);
    let (mut outputs, mut kernels) = (Vec::new(), Vec::new());
    for part in parts {
        let mut sources = unchanged(&input);
        let end = start + part as usize;
        sources[axis] = Source::Chosen(axis, (start..end).collect());
        let rearranged = Rearranged { input: input.clone(), sources };
        outputs.push((datatype, node.shape(rearranged.shape())?));
        kernels.push(rearranged);
        start = end;
    }
    let cost = input.row_len() as u64 * 2;
    let run = move |call: &mut Call<'_, '_>| {
        for (position, kernel) in kernels.iter().enumerate() {
            let values = kernel.run(call)?;
            call.put(position, values);
        }
        Ok(())
    };
    Ok(Compiled::several(Function(run), outputs, cost))
}

/// `Concat` along any dimension; along the rows it stacks them.
pub(crate) fn concat(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", 1)?;
    let first = node.input(0)?;
    let (datatype, shape) = (first.datatype, &first.shape);
    let Some(axis) = shape.axis(axis) else {
        return Err(node.fault(format!("`axis` {axis} is not one of {shape}")));
    };
    let n_inputs = node.n_inputs();
    let (mut widths, mut total) = (Vec::with_capacity(n_inputs), 0_u64);
    for position in 0..n_inputs {
        node.check_type(position, &[datatype])?;
        let other = &node.input(position)?.shape;
        let fits =
            other.extents().len() == shape.extents().len()
                && other.extents().iter().zip(shape.extents()).enumerate().all(|(at, (a, b))| {
                    if at == axis { a.is_rows() == b.is_rows() } else { a == b }
                });
        if !fits {
            return Err(node.fault(format!("shapes {shape} and {other} do not go together")));
        }
        let extent = other.extents()[axis];
        if extent.is_rows() && extent != Extent::Rows(1) {
            return Err(node.fault(format!("joining {other} along its rows would mix rows")));
        }
        total = total.saturating_add(extent.factor());
        widths.push(extent);
    }
    let mut extents = shape.extents().to_vec();
    extents[axis] = match extents[axis] {
        Extent::Rows(_) | Extent::Stacked(_) if n_inputs == 1 => Extent::Rows(1),
        Extent::Rows(_) | Extent::Stacked(_) => Extent::Stacked(total),
        Extent::Fixed(_) => Extent::Fixed(total),
    };
    let (outer, inner) = (shape.extents()[..axis].to_vec(), shape.extents()[axis + 1..].to_vec());
    let shape = node.shape(Shape::new(extents))?;
    let cost = shape.row_len() as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let product = |extents: &[Extent]| {
            extents.iter().map(|e| e.at(call.rows) as usize).product::<usize>()
        };
        let (n_blocks, step) = (product(&outer), product(&inner));
        let lens: Vec<usize> =
            widths.iter().map(|width| width.at(call.rows) as usize * step).collect();
        macro_rules! types {
            ($($variant:ident),*) => {
                match call.input(0)? {
                    $(Values::$variant(_) => Values::$variant(join(call, n_blocks, &lens)?),)*
                }
            };
        }
        let joined = types!(
            Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64,
            Bytes
        );
        call.put(0, joined);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// Vectors whose type an input can be taken for.
trait Element: Sized {
    fn of(values: &Values) -> Option<&[Self]>;
}

macro_rules! elements {
    ($($type:ty: $($variant:ident)|*;)*) => {
        $(impl Element for $type {
            fn of(values: &Values) -> Option<&[Self]> {
                match values {
                    $(Values::$variant(values))|* => Some(values),
                    _ => None,
                }
            }
        })*
    };
}

elements! {
    bool: Bool; u8: Uint8; u16: Uint16 | Fp16 | Bf16; u32: Uint32; u64: Uint64;
    i8: Int8; i16: Int16; i32: Int32; i64: Int64; f32: Fp32; f64: Fp64; Vec<u8>: Bytes;
}

/// Block by block, of each input its part.
fn join<T: Element + Clone>(
    call: &Call<'_, '_>,
    n_blocks: usize,
    lens: &[usize],
) -> Result<Vec<T>, Fault> {
    let parts: Result<Vec<&[T]>, Fault> = (0..lens.len())
        .map(|position| {
            T::of(call.input(position)?).ok_or(crate::native::kernel::WRONG_TYPE.into())
        })
        .collect();
    let parts = parts?;
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for block in 0..n_blocks {
        for (part, len) in parts.iter().zip(lens) {
            out.extend_from_slice(&part[block * len..(block + 1) * len]);
        }
    }
    Ok(out)
}

/// `Shape`, or part of it: computed at load but for the number of rows.
pub(crate) fn shape(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let (start, end) = (node.int("start", 0)?, node.int("end", i64::MAX)?);
    let input = node.input(0)?.shape.clone();
    let chosen = sliced(input.extents().len() as i64, start, end, 1).unwrap_or_default();
    let shape = node.shape(Shape::fixed(&[chosen.len() as u64]))?;
    let run = move |call: &mut Call<'_, '_>| {
        let dims = input.at(call.rows);
        call.put(0, Values::Int64(chosen.iter().map(|axis| dims[*axis] as i64).collect()));
        Ok(())
    };
    let compiled = Compiled::function(run, Datatype::Int64, shape, 0);
    Ok(Compiled { by_shape: true, ..compiled })
}

/// `Size`: the number of elements.
pub(crate) fn size(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let input = node.input(0)?.shape.clone();
    let shape = node.shape(Shape::fixed(&[]))?;
    let run = move |call: &mut Call<'_, '_>| {
        call.put(0, Values::Int64(vec![input.len_at(call.rows) as i64]));
        Ok(())
    };
    let compiled = Compiled::function(run, Datatype::Int64, shape, 0);
    Ok(Compiled { by_shape: true, ..compiled })
}

/// `ConstantOfShape`: one value everywhere.
pub(crate) fn constant_of_shape(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let shape = Shape::new(extents(node, 0)?);
    let shape = node.shape(shape)?;
    let value = match node.tensor("value")? {
        None => Values::Fp32(vec![0.0]),
        Some(constant) if constant.values.len() == 1 => constant.values,
        Some(_) => return Err(node.fault("`value` must be one value")),
    };
    let (datatype, cost, out) = (value.datatype(), shape.row_len() as u64, shape.clone());
    let run = move |call: &mut Call<'_, '_>| {
        let positions = vec![0; out.len_at(call.rows)];
        call.put(0, same_type!(&value, |values| pick(values, &positions)));
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_numpys_rules() {
        let of = |start, end, step| sliced(5, start, end, step);
        assert_eq!(of(0, 5, 1), Some(vec![0, 1, 2, 3, 4]));
        assert_eq!(of(1, i64::MAX, 2), Some(vec![1, 3]));
        assert_eq!(of(-2, 9, 1), Some(vec![3, 4]));
        assert_eq!(of(i64::MIN, i64::MAX, i64::MAX), Some(vec![0]));
        assert_eq!(of(-1, i64::MIN, -1), Some(vec![4, 3, 2, 1, 0]));
        assert_eq!(of(3, 0, -2), Some(vec![3, 1]));
        assert_eq!(of(4, 2, 1), Some(vec![]));
        assert_eq!(of(0, 5, 0), None);
        assert_eq!(sliced(0, 0, 5, -1), Some(vec![]));
    }

    #[test]
    fn indices_may_count_from_the_end() {
        assert_eq!(wrapped(&[0, 2, -1, -3], 3), Some(vec![0, 2, 2, 0]));
        for bad in [3, -4, i64::MIN, i64::MAX] {
            assert_eq!(wrapped(&[bad], 3), None, "{bad}");
        }
    }
}
