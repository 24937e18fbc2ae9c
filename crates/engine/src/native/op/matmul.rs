//! `MatMul`: rows with a constant matrix, or any two.
//!
//! Every element is the sum of its products from the first to the last, in the element's own
//! type, each product rounded before it is added.

use std::sync::Arc;

use bartizan_core::{Datatype, Values};

use super::broadcast::{Stretch, broadcast};
use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::{Extent, Shape};
use crate::onnx::Constant;

/// Sums that run side by side: few enough for a processor's registers.
const ROWS: usize = 4;
const NARROW: usize = 8;
const WIDE: usize = 16;

struct MatMul {
    weights: Arc<Constant>,
    n_columns: usize,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    node.check_type(1, &[datatype])?;
    let (left, right) = (node.input(0)?, node.input(1)?);
    let is_plain = |constant: &Arc<Constant>| constant.dims.len() == 2;
    let Some(weights) = right.constant.as_ref().filter(|constant| is_plain(constant)) else {
        return general(node, datatype);
    };
    let &[height, n_columns] = weights.dims.as_slice() else { return general(node, datatype) };
    let shape = &left.shape;
    if shape.extents().len() < 2 || shape.last().is_none_or(|width| width as u64 != height) {
        return general(node, datatype);
    }
    let n_columns = n_columns as usize;
    let shape = node.shape(shape.with_last(n_columns))?;
    let cost = (weights.values.len() / 4) as u64;
    let kernel = MatMul { weights: Arc::clone(weights), n_columns };
    Ok(Compiled::plain(kernel, datatype, shape, cost))
}

/// Two matrices, or two stacks of matrices with broadcasting: each element the sum of its products
/// from the first to the last.
fn general(node: &NodeContext<'_>, datatype: Datatype) -> Result<Compiled, LoadError> {
    let (left, right) = (node.input(0)?.shape.clone(), node.input(1)?.shape.clone());
    let misfit = || node.fault(format!("{left} cannot be multiplied with {right}"));
    // A vector is a matrix of one row on the left, of one column on the right.
    let one = Extent::Fixed(1);
    let (mut a, mut b) = (left.extents().to_vec(), right.extents().to_vec());
    let (a_is_vector, b_is_vector) = (a.len() == 1, b.len() == 1);
    if a_is_vector {
        a.insert(0, one);
    }
    if b_is_vector {
        b.push(one);
    }
    let (&[ref a_batch @ .., m, k], &[ref b_batch @ .., k_right, n]) = (&a[..], &b[..]) else {
        return Err(misfit());
    };
    if k.is_rows() || k_right.is_rows() {
        return Err(node.fault("adding along the rows would mix rows"));
    }
    if k != k_right {
        return Err(misfit());
    }
    let (a_batch, b_batch) =
        (node.shape(Shape::new(a_batch.to_vec()))?, node.shape(Shape::new(b_batch.to_vec()))?);
    let batch = node.shape(broadcast(&a_batch, &b_batch))?;
    let mut extents = batch.extents().to_vec();
    extents.extend(
        [Some(m).filter(|_| !a_is_vector), Some(n).filter(|_| !b_is_vector)].into_iter().flatten(),
    );
    let shape = node.shape(Shape::new(extents))?;
    let k = k.factor() as usize;
    let cost = (shape.row_len() * k) as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let (m, n) = (m.at(call.rows) as usize, n.at(call.rows) as usize);
        let a = Stretch::new(&a_batch, &batch, call.rows);
        let b = Stretch::new(&b_batch, &batch, call.rows);
        let pairs: Vec<_> = (0..batch.len_at(call.rows)).map(|at| (a.at(at), b.at(at))).collect();
        let product = match (call.input(0)?, call.input(1)?) {
            (Values::Fp32(a), Values::Fp32(b)) => Values::Fp32(products(a, b, &pairs, (m, k, n))),
            (Values::Fp64(a), Values::Fp64(b)) => Values::Fp64(products(a, b, &pairs, (m, k, n))),
            _ => return Err(WRONG_TYPE.into()),
        };
        call.put(0, product);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

fn products<T>(
    a: &[T],
    b: &[T],
    pairs: &[(usize, usize)],
    (m, k, n): (usize, usize, usize),
) -> Vec<T>
where
    T: Copy + Default + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let mut out = Vec::with_capacity(pairs.len() * m * n);
    for (a_at, b_at) in pairs {
        let (a, b) = (&a[a_at * m * k..(a_at + 1) * m * k], &b[b_at * k * n..(b_at + 1) * k * n]);
        if k == 0 {
            out.extend(std::iter::repeat_n(T::default(), m * n));
        } else {
            out.extend(multiply(a, b, n, &[]));
        }
    }
    out
}

/// Appends `start + row . weights` for each row; `weights` is `[width, n_columns]`, row-major.
///
/// In blocks of rows and columns, which changes which sums run side by side but not their order.
pub(crate) fn multiply<T>(rows: &[T], weights: &[T], n_columns: usize, start: &[T]) -> Vec<T>
where
    T: Copy + Default + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let width = weights.len().checked_div(n_columns).unwrap_or(0);
    if width == 0 {
        return Vec::new();
    }
    let n_rows = rows.len() / width;
    let mut out = vec![T::default(); n_rows * n_columns];
    let mut row = 0;
    while row < n_rows {
        let step = if ROWS <= n_rows - row { ROWS } else { 1 };
        let given = &rows[row * width..(row + step) * width];
        let into = &mut out[row * n_columns..(row + step) * n_columns];
        if step == ROWS {
            block::<T, ROWS, NARROW>(given, weights, n_columns, start, into);
        } else {
            block::<T, 1, WIDE>(given, weights, n_columns, start, into);
        }
        row += step;
    }
    out
}

/// `R` rows, `C` columns at a time.
fn block<T, const R: usize, const C: usize>(
    rows: &[T],
    weights: &[T],
    n_columns: usize,
    start: &[T],
    out: &mut [T],
) where
    T: Copy + Default + std::ops::Mul<Output = T> + std::ops::AddAssign,
{
    let width = rows.len() / R;
    let rows: [&[T]; R] = std::array::from_fn(|row| &rows[row * width..(row + 1) * width]);
    let mut column = 0;
    while column < n_columns {
        let len = C.min(n_columns - column);
        let mut sums = [[T::default(); C]; R];
        if !start.is_empty() {
            for sums in &mut sums {
                sums[..len].copy_from_slice(&start[column..column + len]);
            }
        }
        for (at, line) in weights.chunks_exact(n_columns).enumerate() {
            if len == C {
                let (line, _) = line[column..].as_chunks::<C>();
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let x = row[at];
                    for (sum, weight) in sums.iter_mut().zip(&line[0]) {
                        *sum += x * *weight;
                    }
                }
            } else {
                for (sums, row) in sums.iter_mut().zip(rows) {
                    for (sum, weight) in sums.iter_mut().zip(&line[column..]) {
                        *sum += row[at] * *weight;
                    }
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let at = row * n_columns + column;
            out[at..at + len].copy_from_slice(&sums[..len]);
        }
        column += len;
    }
}

impl Kernel for MatMul {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let product = match &self.weights.values {
            Values::Fp32(weights) => {
                Values::Fp32(multiply(call.f32s(0)?, weights, self.n_columns, &[]))
            }
            Values::Fp64(weights) => {
                Values::Fp64(multiply(call.f64s(0)?, weights, self.n_columns, &[]))
            }
            _ => return Err("a value has another type than at load".into()),
        };
        call.put(0, product);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// The order of a sum is the documented one at every size, on both sides of a block.
        #[test]
        fn every_element_is_summed_from_first_to_last(
            n_rows in 0_usize..11, width in 1_usize..9, n_columns in 1_usize..40, seed in 0_u32..1000,
        ) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 1e4 - 800.0
            };
            let rows: Vec<f32> = (0..n_rows * width).map(|_| next()).collect();
            let weights: Vec<f32> = (0..width * n_columns).map(|_| next()).collect();
            let found = multiply(&rows, &weights, n_columns, &[]);
            for row in 0..n_rows {
                for column in 0..n_columns {
                    let sum = (0..width).fold(0.0_f32, |sum, k| {
                        sum + rows[row * width + k] * weights[k * n_columns + column]
                    });
                    proptest::prop_assert_eq!(found[row * n_columns + column].to_bits(), sum.to_bits());
                }
            }
        }
    }
}
