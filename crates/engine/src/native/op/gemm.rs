//! `Gemm`: `alpha * A . B + beta * C`, where B and C do not depend on the rows.
//!
//! B is multiplied by alpha and C by beta at load. Every element starts at its value of C and the
//! products are added from the first to the last, each rounded before.

use bartizan_core::{Datatype, Values};

use super::matmul::multiply;
use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};

struct Gemm {
    /// `[width, n_columns]`, row-major.
    weights: Vec<f32>,
    n_columns: usize,
    /// Empty, or one value a column.
    start: Vec<f32>,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(0, &[Datatype::Fp32])?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    if node.int("transA", 0)? != 0 {
        return Err(node.fault("`transA` would mix rows"));
    }
    let transposed = node.int("transB", 0)? != 0;
    let constant = node.constant(1)?;
    let (&[n, m], Values::Fp32(given)) = (constant.dims.as_slice(), &constant.values) else {
        return Err(node.fault("input 1 must be a constant FP32 matrix"));
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
    let weights: Vec<f32> = (0..height)
        .flat_map(|line| (0..n_columns).map(move |column| (line, column)))
        .map(|(line, column)| alpha * at(line, column))
        .collect();
    let (shape, cost) = (node.shape(shape.with_last(n_columns))?, (weights.len() / 4) as u64);
    let start = start(node, beta, n_columns)?;
    let bytes = (weights.len() + start.len()) * size_of::<f32>();
    let kernel = Gemm { weights, n_columns, start };
    let compiled = Compiled::plain(kernel, Datatype::Fp32, shape, cost);
    Ok(Compiled { resident_bytes: bytes, ..compiled })
}

/// `beta * C`, one value a column.
fn start(node: &NodeContext<'_>, beta: f32, n_columns: usize) -> Result<Vec<f32>, LoadError> {
    if node.optional(2).is_none() {
        return Ok(Vec::new());
    }
    let constant = node.constant(2)?;
    let Values::Fp32(given) = &constant.values else {
        return Err(node.fault("input 2 must be FP32"));
    };
    let is_row = constant.dims.len() <= 2 && (constant.dims.len() < 2 || constant.dims[0] == 1);
    match given.as_slice() {
        [one] if is_row => Ok(vec![beta * one; n_columns]),
        many if is_row && many.len() == n_columns => Ok(many.iter().map(|c| beta * c).collect()),
        _ => {
            let dims = &constant.dims;
            Err(node.fault(format!("input 2 has shape {dims:?}, not one row of {n_columns}")))
        }
    }
}

impl Kernel for Gemm {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let product = multiply(call.f32s(0)?, &self.weights, self.n_columns, &self.start);
        call.put(0, Values::Fp32(product));
        Ok(())
    }
}
