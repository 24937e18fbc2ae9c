//! `Gemm`: `alpha * A . B + beta * C`, where B and C do not depend on the rows; any other by
//! transposing, [`super::matmul`] and arithmetic.
//!
//! B is multiplied by alpha and C by beta at load. Every element starts at its value of C and the
//! products are added from the first to the last, each rounded before.

use bartizan_core::{Datatype, Values};

use super::broadcast::{Stretch, broadcast};
use super::matmul::multiply;
use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel, WRONG_TYPE};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::Shape;

struct Gemm<T> {
    /// `[width, n_columns]`, row-major.
    weights: Vec<T>,
    n_columns: usize,
    /// Empty, or one value a column.
    start: Vec<T>,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let transposed = [node.int("transA", 0)? != 0, node.int("transB", 0)? != 0];
    let is_constant =
        |position: usize| node.optional(position).is_none_or(|fact| fact.constant.is_some());
    let is_row = node.optional(2).is_none_or(|fact| {
        let extents = fact.shape.extents();
        extents.len() < 2 || extents[0].factor() == 1
    });
    if transposed[0] || !is_constant(1) || !is_constant(2) || !is_row {
        return general(node, datatype, transposed, (alpha, beta));
    }
    if datatype == Datatype::Fp64 {
        let factors = (f64::from(alpha), f64::from(beta));
        constant::<f64>(node, datatype, transposed[1], factors, |values| match values {
            Values::Fp64(values) => Some(values),
            _ => None,
        })
    } else {
        constant::<f32>(node, datatype, transposed[1], (alpha, beta), |values| match values {
            Values::Fp32(values) => Some(values),
            _ => None,
        })
    }
}

fn constant<T>(
    node: &NodeContext<'_>,
    datatype: Datatype,
    transposed: bool,
    (alpha, beta): (T, T),
    of: fn(&Values) -> Option<&Vec<T>>,
) -> Result<Compiled, LoadError>
where
    T: Copy + Send + Sync + 'static + std::ops::Mul<Output = T>,
    Gemm<T>: Kernel,
{
    let constant = node.constant(1)?;
    let (&[n, m], Some(given)) = (constant.dims.as_slice(), of(&constant.values)) else {
        return Err(node.fault(format!("input 1 must be a constant {datatype} matrix")));
    };
    let (height, n_columns) =
        if transposed { (m as usize, n as usize) } else { (n as usize, m as usize) };
    let shape = &node.input(0)?.shape;
    if shape.extents().len() != 2 || node.width(0)? != height || height == 0 {
        let reason = format!("{shape} cannot be multiplied with [{height}, {n_columns}]");
        return Err(node.fault(reason));
    }
    let at = |line: usize, column: usize| {
        if transposed { given[column * height + line] } else { given[line * n_columns + column] }
    };
    let weights: Vec<T> = (0..height)
        .flat_map(|line| (0..n_columns).map(move |column| (line, column)))
        .map(|(line, column)| alpha * at(line, column))
        .collect();
    let (shape, cost) = (node.shape(shape.with_last(n_columns))?, (weights.len() / 4) as u64);
    let start = match node.optional(2) {
        None => Vec::new(),
        Some(_) => match of(&node.constant(2)?.values).map(Vec::as_slice) {
            Some([one]) => vec![beta * *one; n_columns],
            Some(many) if many.len() == n_columns => many.iter().map(|c| beta * *c).collect(),
            _ => {
                let dims = &node.constant(2)?.dims;
                return Err(
                    node.fault(format!("input 2 has shape {dims:?}, not one row of {n_columns}"))
                );
            }
        },
    };
    let bytes = (weights.len() + start.len()) * size_of::<T>();
    let compiled = Compiled::plain(Gemm { weights, n_columns, start }, datatype, shape, cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

impl Kernel for Gemm<f32> {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let product = multiply(call.f32s(0)?, &self.weights, self.n_columns, &self.start);
        call.put(0, Values::Fp32(product));
        Ok(())
    }
}

impl Kernel for Gemm<f64> {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let product = multiply(call.f64s(0)?, &self.weights, self.n_columns, &self.start);
        call.put(0, Values::Fp64(product));
        Ok(())
    }
}

/// Any two matrices: `alpha * (A . B) + beta * C`, each product summed first.
fn general(
    node: &NodeContext<'_>,
    datatype: Datatype,
    transposed: [bool; 2],
    (alpha, beta): (f32, f32),
) -> Result<Compiled, LoadError> {
    let mut sides = Vec::with_capacity(2);
    for (position, transposed) in transposed.into_iter().enumerate() {
        node.check_type(position, &[datatype])?;
        let shape = &node.input(position)?.shape;
        let &[height, width] = shape.extents() else {
            return Err(node.fault(format!("input {position} has shape {shape}, not a matrix")));
        };
        sides.push(if transposed { (width, height) } else { (height, width) });
    }
    let ((m, k), (k_right, n)) = (sides[0], sides[1]);
    if k.is_rows() || k_right.is_rows() {
        return Err(node.fault("adding along the rows would mix rows"));
    }
    if k != k_right {
        return Err(node.fault(format!("[_, {k:?}] cannot be multiplied with [{k_right:?}, _]")));
    }
    let shape = node.shape(Shape::new(vec![m, n]))?;
    let added = node.optional(2).map(|fact| fact.shape.clone());
    if let Some(added) = &added
        && node.shape(broadcast(&shape, added))? != shape
    {
        return Err(node.fault(format!("input 2 of shape {added} does not fit {shape}")));
    }
    let k = k.factor() as usize;
    let (cost, out) = ((shape.row_len() * k) as u64, shape.clone());
    let run = move |call: &mut Call<'_, '_>| {
        let (m, n) = (m.at(call.rows) as usize, n.at(call.rows) as usize);
        let added = added.as_ref().map(|added| Stretch::new(added, &out, call.rows));
        macro_rules! of {
            ($get:ident, $type:ty, $variant:ident) => {{
                let (a, b) = (call.$get(0)?, call.$get(1)?);
                let c = if added.is_some() { call.$get(2)? } else { &[] };
                let mut product = Vec::with_capacity(m * n);
                for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let mut sum: $type = 0.0;
                    for at in 0..k {
                        let x = if transposed[0] { a[at * m + i] } else { a[i * k + at] };
                        let y = if transposed[1] { b[j * k + at] } else { b[at * n + j] };
                        sum += x * y;
                    }
                    let mut value = <$type>::from(alpha) * sum;
                    if let Some(added) = &added {
                        value += <$type>::from(beta) * c[added.at(i * n + j)];
                    }
                    product.push(value);
                }
                Values::$variant(product)
            }};
        }
        let product = match datatype {
            Datatype::Fp32 => of!(f32s, f32, Fp32),
            Datatype::Fp64 => of!(f64s, f64, Fp64),
            _ => return Err(WRONG_TYPE.into()),
        };
        call.put(0, product);
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}
