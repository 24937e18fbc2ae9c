//! ONNX's (NumPy's) broadcasting: which elements of two operands meet.

use crate::native::shape::{Extent, Shape};

/// Which elements meet.
pub(crate) enum Pairing {
    /// Both have the result's shape.
    Same,
    /// The right one, of this many elements, is repeated along the left one.
    RepeatRight(usize),
    /// The left one is repeated along the right one.
    RepeatLeft(usize),
    /// Anything else: both shapes and the result's.
    General { left: Shape, right: Shape, out: Shape },
}

/// Extent `axis` of `shape` where it is written with `n_dims` dimensions.
fn padded(shape: &Shape, n_dims: usize, axis: usize) -> Extent {
    let missing = n_dims - shape.extents().len();
    if axis < missing { Extent::Fixed(1) } else { shape.extents()[axis - missing] }
}

pub(crate) fn broadcast(left: &Shape, right: &Shape) -> Result<Shape, String> {
    let n_dims = left.extents().len().max(right.extents().len());
    let mut extents = Vec::with_capacity(n_dims);
    for axis in 0..n_dims {
        extents.push(match (padded(left, n_dims, axis), padded(right, n_dims, axis)) {
            (a, b) if a == b => a,
            (Extent::Fixed(1), other) | (other, Extent::Fixed(1)) => other,
            _ => return Err(format!("shapes {left} and {right} do not go together")),
        });
    }
    Shape::new(extents)
}

pub(crate) fn pairing(left: &Shape, right: &Shape, out: &Shape) -> Pairing {
    let n_dims = out.extents().len();
    // A shape that is 1 and then the end of `out` is a block that repeats.
    let block = |shape: &Shape| {
        let is_one = |axis: &usize| padded(shape, n_dims, *axis) == Extent::Fixed(1);
        let start = (0..n_dims).take_while(is_one).count();
        let matches =
            (start..n_dims).all(|axis| padded(shape, n_dims, axis) == out.extents()[axis]);
        if matches && shape.rows_axis().is_none() { Some(shape.row_len()) } else { None }
    };
    let same =
        |shape: &Shape| (0..n_dims).all(|axis| padded(shape, n_dims, axis) == out.extents()[axis]);
    match (same(left), same(right), block(left), block(right)) {
        (true, true, _, _) => Pairing::Same,
        (true, _, _, Some(len)) => Pairing::RepeatRight(len),
        (_, true, Some(len), _) => Pairing::RepeatLeft(len),
        _ => Pairing::General { left: left.clone(), right: right.clone(), out: out.clone() },
    }
}

/// Where the elements of one operand go in the result.
pub(crate) struct Stretch {
    /// Of each dimension of the result: elements after it, length, and step in the operand.
    axes: Vec<(usize, usize, usize)>,
}

impl Stretch {
    pub(crate) fn new(shape: &Shape, out: &Shape, rows: usize) -> Self {
        let (given, dims) = (shape.at(rows), out.at(rows));
        let missing = dims.len() - given.len();
        let (mut inner, mut step) = (1, 1);
        let mut axes = Vec::with_capacity(dims.len());
        for (axis, dim) in dims.iter().enumerate().rev() {
            let own = if axis < missing { 1 } else { given[axis - missing] as usize };
            axes.push((inner, *dim as usize, if own == 1 { 0 } else { step }));
            inner *= *dim as usize;
            step *= own;
        }
        Self { axes }
    }

    /// The operand's element for element `position` of the result.
    pub(crate) fn at(&self, position: usize) -> usize {
        self.axes.iter().map(|(inner, dim, step)| position / inner % dim * step).sum()
    }
}

/// `operation` of every pair that meets, in the order of the result.
pub(crate) fn pair<T, U>(
    pairing: &Pairing,
    rows: usize,
    (left, right): (&[T], &[T]),
    operation: impl Fn(&T, &T) -> U,
) -> Vec<U> {
    match pairing {
        Pairing::Same => left.iter().zip(right).map(|(a, b)| operation(a, b)).collect(),
        Pairing::RepeatRight(len) => {
            let mut out = Vec::with_capacity(left.len());
            for block in left.chunks_exact((*len).max(1)) {
                out.extend(block.iter().zip(right).map(|(a, b)| operation(a, b)));
            }
            out
        }
        Pairing::RepeatLeft(len) => {
            let mut out = Vec::with_capacity(right.len());
            for block in right.chunks_exact((*len).max(1)) {
                out.extend(left.iter().zip(block).map(|(a, b)| operation(a, b)));
            }
            out
        }
        Pairing::General { left: left_shape, right: right_shape, out } => {
            let (a, b) =
                (Stretch::new(left_shape, out, rows), Stretch::new(right_shape, out, rows));
            (0..out.len_at(rows)).map(|at| operation(&left[a.at(at)], &right[b.at(at)])).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(left: &[u64], right: &[u64]) -> Vec<i64> {
        let count = |dims: &[u64]| dims.iter().product::<u64>() as i64;
        let a: Vec<i64> = (0..count(left)).collect();
        let b: Vec<i64> = (0..count(right)).map(|x| 100 * x).collect();
        let (left, right) = (Shape::fixed(left).unwrap(), Shape::fixed(right).unwrap());
        let out = broadcast(&left, &right).unwrap();
        let general =
            Pairing::General { left: left.clone(), right: right.clone(), out: out.clone() };
        let slow = pair(&general, 1, (&a, &b), |x: &i64, y: &i64| x + y);
        assert_eq!(
            slow,
            pair(&pairing(&left, &right, &out), 1, (&a, &b), |x: &i64, y: &i64| x + y)
        );
        slow
    }

    #[test]
    fn broadcasting_pairs_the_elements_that_onnx_says() {
        assert_eq!(run(&[2, 2], &[2, 2]), [0, 101, 202, 303]);
        assert_eq!(run(&[2, 2], &[2]), [0, 101, 2, 103]);
        assert_eq!(run(&[2], &[2, 2]), [0, 101, 200, 301]);
        assert_eq!(run(&[2, 2], &[]), [0, 1, 2, 3]);
        assert_eq!(run(&[2, 2], &[2, 1]), [0, 1, 102, 103]);
        assert_eq!(run(&[2, 1], &[1, 2]), [0, 100, 1, 101]);
        assert_eq!(run(&[1, 2], &[2, 1]), [0, 1, 100, 101]);
        assert_eq!(run(&[0, 2], &[2]), [0; 0]);
        let shape = |dims: &[u64]| Shape::fixed(dims).unwrap();
        assert!(broadcast(&shape(&[2]), &shape(&[3])).is_err());
    }
}
