//! `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Identity`: the same values in another shape.

use bartizan_core::Values;

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, Fact, NodeContext, Told};
use crate::native::shape::{Extent, Shape};

struct PassOn;

impl Kernel for PassOn {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let values = call.take(0)?;
        call.put(0, values);
        Ok(())
    }
}

fn pass_on(node: &NodeContext<'_>, shape: Shape) -> Result<Compiled, LoadError> {
    Ok(Compiled::plain(PassOn, node.input(0)?.datatype, shape, 0))
}

pub(crate) fn identity(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let shape = node.input(0)?.shape.clone();
    pass_on(node, shape)
}

/// `Dropout` outside training: its input.
pub(crate) fn dropout(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.ignore(&["ratio", "seed", "is_test"]);
    let is_training = |fact: &Fact| match fact.constant.as_deref() {
        Some(constant) => constant.values != Values::Bool(vec![false]),
        None => true,
    };
    if node.optional(2).is_some_and(is_training) {
        return Err(node.fault("it is, or may be, in training mode"));
    }
    identity(node)
}

/// `Flatten`: two dimensions, what is before `axis` and what is from it on.
pub(crate) fn flatten(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", 1)?;
    let shape = &node.input(0)?.shape;
    let n_dims = shape.extents().len();
    let axis = if axis == n_dims as i64 { Some(n_dims) } else { shape.axis(axis) };
    let Some((front, back)) = axis.and_then(|axis| shape.extents().split_at_checked(axis)) else {
        return Err(node.fault(format!("`axis` is out of the range of {shape}")));
    };
    let product = |extents: &[Extent]| {
        let factor = extents.iter().fold(1, |product, extent| product * extent.factor());
        let has_rows = extents.iter().any(|extent| extent.is_rows());
        if has_rows { Extent::Rows(factor) } else { Extent::Fixed(factor) }
    };
    if !shape.is_by_rows() {
        return Err(node.fault(format!("{shape} would mix rows")));
    }
    let shape = node.shape(Shape::new(vec![product(front), product(back)]))?;
    pass_on(node, shape)
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let allow_zero = node.int("allowzero", 0)? != 0;
    let target = node.dims(1)?;
    let shape = reshaped(&node.input(0)?.shape, &target, allow_zero);
    let shape = node.shape(shape)?;
    pass_on(node, shape)
}

/// `from` with the extents of `target`: 0 copies (unless zeros are allowed), -1 takes the rest.
fn reshaped(from: &Shape, target: &[Told], allow_zero: bool) -> Result<Shape, String> {
    let misfit = || Err(format!("shape {from} cannot become {target:?}"));
    let mut extents = Vec::with_capacity(target.len());
    let mut rest_at = None;
    for (axis, dim) in target.iter().enumerate() {
        extents.push(match *dim {
            Told::Rows(n) => Extent::Rows(n),
            Told::Number(-1) if rest_at.is_none() => {
                rest_at = Some(axis);
                Extent::Fixed(1)
            }
            Told::Number(0) if !allow_zero => match from.extents().get(axis) {
                Some(extent) => *extent,
                None => return misfit(),
            },
            Told::Number(dim) => match u64::try_from(dim) {
                Ok(dim) => Extent::Fixed(dim),
                Err(_) => return misfit(),
            },
        });
    }
    let told = Shape::new(extents.clone())?;
    let (have, told_len) = (from.row_len(), told.row_len());
    let (has_rows, told_rows) = (from.rows_axis().is_some(), told.rows_axis().is_some());
    let shape = match rest_at {
        None if have == told_len => told,
        Some(axis) if told_len != 0 && have % told_len == 0 => {
            let rest = (have / told_len) as u64;
            let takes_rows = has_rows && !told_rows;
            extents[axis] = if takes_rows { Extent::Rows(rest) } else { Extent::Fixed(rest) };
            Shape::new(extents)?
        }
        None | Some(_) => return misfit(),
    };
    // The order of the elements stays, and with it which row each belongs to.
    if from.blocks() == shape.blocks() { Ok(shape) } else { misfit() }
}

/// `Squeeze` and `Unsqueeze`: the axes are an attribute before version 13, then an input.
fn axes(node: &mut NodeContext<'_>) -> Result<Option<Vec<i64>>, LoadError> {
    let given = node.ints("axes")?;
    match (given.is_empty(), node.optional(1).is_some()) {
        (_, false) if given.is_empty() => Ok(None),
        (false, false) => Ok(Some(given.to_vec())),
        (_, _) => Ok(Some(node.numbers(1)?.to_vec())),
    }
}

pub(crate) fn squeeze(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axes = axes(node)?;
    let shape = &node.input(0)?.shape;
    let mut drop = vec![false; shape.extents().len()];
    match axes {
        None => drop.iter_mut().zip(shape.extents()).for_each(|(drop, extent)| {
            *drop = *extent == Extent::Fixed(1);
        }),
        Some(axes) => {
            for axis in axes {
                match shape.axis(axis) {
                    Some(axis) if shape.extents()[axis] == Extent::Fixed(1) => drop[axis] = true,
                    Some(_) | None => {
                        return Err(node.fault(format!("axis {axis} of {shape} is not 1")));
                    }
                }
            }
        }
    }
    let kept = shape.extents().iter().zip(&drop).filter(|(_, drop)| !**drop);
    let shape = node.shape(Shape::new(kept.map(|(extent, _)| *extent).collect()))?;
    pass_on(node, shape)
}

pub(crate) fn unsqueeze(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let Some(axes) = axes(node)? else { return Err(node.fault("`axes` are missing")) };
    let shape = &node.input(0)?.shape;
    let n_dims = shape.extents().len() + axes.len();
    // Only the number of dimensions counts here.
    let counted = node.shape(Shape::fixed(&vec![1; n_dims]))?;
    let mut is_new = vec![false; n_dims];
    for axis in axes {
        match counted.axis(axis) {
            Some(axis) if !is_new[axis] => is_new[axis] = true,
            Some(_) | None => return Err(node.fault(format!("axis {axis} does not fit {shape}"))),
        }
    }
    let mut given = shape.extents().iter();
    let one = Extent::Fixed(1);
    let extents =
        is_new.iter().map(|is_new| if *is_new { one } else { *given.next().unwrap_or(&one) });
    let shape = node.shape(Shape::new(extents.collect()))?;
    pass_on(node, shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Extent::{Fixed, Rows, Stacked};

    fn told(target: &[i64]) -> Vec<Told> {
        target.iter().map(|dim| Told::Number(*dim)).collect()
    }

    #[test]
    fn rows_stay_rows_in_every_allowed_shape() {
        let from = Shape::new(vec![Rows(1), Fixed(6)]).unwrap();
        let good: [(&[i64], Vec<Extent>); 6] = [
            (&[-1], vec![Rows(6)]),
            (&[-1, 6], vec![Rows(1), Fixed(6)]),
            (&[-1, 3], vec![Rows(2), Fixed(3)]),
            (&[0, -1], vec![Rows(1), Fixed(6)]),
            (&[0, 3, 2], vec![Rows(1), Fixed(3), Fixed(2)]),
            (&[1, -1, 2], vec![Fixed(1), Rows(3), Fixed(2)]),
        ];
        for (target, extents) in good {
            assert_eq!(reshaped(&from, &told(target), false), Shape::new(extents), "{target:?}");
        }
        let bad: [&[i64]; 9] =
            [&[], &[6], &[2, -1], &[-1, 4], &[-1, -1], &[0, 4], &[-2], &[0, 0, 0], &[0, 6, 0]];
        for target in bad {
            assert!(reshaped(&from, &told(target), false).is_err(), "accepted {target:?}");
        }
        assert!(reshaped(&from, &told(&[-1, 0]), true).is_err());
        let plain = Shape::fixed(&[4, 3]).unwrap();
        assert_eq!(reshaped(&plain, &told(&[-1, 6]), false), Shape::fixed(&[2, 6]));
        assert!(reshaped(&plain, &told(&[5, -1]), false).is_err());
        let stacked = Shape::new(vec![Stacked(3), Fixed(1)]).unwrap();
        let apart = Shape::new(vec![Fixed(3), Rows(1)]);
        assert_eq!(reshaped(&stacked, &told(&[3, -1]), false), apart);
        assert!(reshaped(&stacked, &told(&[-1, 3]), false).is_err());
        let known = [Told::Rows(1), Told::Number(-1)];
        assert_eq!(reshaped(&from, &known, false), Ok(from.clone()));
        assert!(reshaped(&plain, &known, false).is_err());
    }
}
