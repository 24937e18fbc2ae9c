//! `Reshape`, `Flatten`, `Identity`: the same values in another shape.

use bartizan_core::Values;

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};
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
        extents.iter().fold(Extent::Fixed(1), |product, extent| match (product, *extent) {
            (Extent::Fixed(a), Extent::Fixed(b)) => Extent::Fixed(a * b),
            (Extent::Fixed(a) | Extent::Rows(a), Extent::Fixed(b) | Extent::Rows(b)) => {
                Extent::Rows(a * b)
            }
        })
    };
    let shape = node.shape(Shape::new(vec![product(front), product(back)]))?;
    pass_on(node, shape)
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let allow_zero = node.int("allowzero", 0)? != 0;
    let Values::Int64(target) = &node.constant(1)?.values else {
        return Err(node.fault("the new shape must be INT64"));
    };
    let shape = reshaped(&node.input(0)?.shape, target, allow_zero);
    let shape = node.shape(shape)?;
    pass_on(node, shape)
}

/// `from` with the extents of `target`: 0 copies (unless zeros are allowed), -1 takes the rest.
fn reshaped(from: &Shape, target: &[i64], allow_zero: bool) -> Result<Shape, String> {
    let misfit = || Err(format!("shape {from} cannot become {target:?}"));
    let mut extents = Vec::with_capacity(target.len());
    let mut rest_at = None;
    for (axis, dim) in target.iter().enumerate() {
        extents.push(match *dim {
            -1 if rest_at.is_none() => {
                rest_at = Some(axis);
                Extent::Fixed(1)
            }
            0 if !allow_zero => match from.extents().get(axis) {
                Some(extent) => *extent,
                None => return misfit(),
            },
            dim => match u64::try_from(dim) {
                Ok(dim) => Extent::Fixed(dim),
                Err(_) => return misfit(),
            },
        });
    }
    let told = Shape::new(extents.clone())?;
    let (have, told_len) = (from.row_len(), told.row_len());
    match (rest_at, from.rows_axis().is_some(), told.rows_axis().is_some()) {
        (None, rows, same) if rows == same && have == told_len => Ok(told),
        (Some(axis), rows, copied) if told_len != 0 && have % told_len == 0 && rows >= copied => {
            let rest = (have / told_len) as u64;
            let takes_rows = rows && !copied;
            extents[axis] = if takes_rows { Extent::Rows(rest) } else { Extent::Fixed(rest) };
            Shape::new(extents)
        }
        (None | Some(_), _, _) => misfit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Extent::{Fixed, Rows};

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
            assert_eq!(reshaped(&from, target, false), Shape::new(extents), "{target:?}");
        }
        let bad: [&[i64]; 9] =
            [&[], &[6], &[2, -1], &[-1, 4], &[-1, -1], &[0, 4], &[-2], &[0, 0, 0], &[0, 6, 0]];
        for target in bad {
            assert!(reshaped(&from, target, false).is_err(), "accepted {target:?}");
        }
        assert!(reshaped(&from, &[-1, 0], true).is_err());
        let plain = Shape::fixed(&[4, 3]).unwrap();
        assert_eq!(reshaped(&plain, &[-1, 6], false), Shape::fixed(&[2, 6]));
        assert!(reshaped(&plain, &[5, -1], false).is_err());
    }
}
