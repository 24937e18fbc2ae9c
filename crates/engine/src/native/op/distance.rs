//! `com.microsoft.CDist`: distances of rows to the lines of a constant table.
//!
//! Squares of differences are added in `f64` from the first column to the last; onnxruntime
//! expands the square in `f32`, which cancels where points are near.

use bartizan_core::{Datatype, Values};

use super::arithmetic::narrowed;
use crate::native::LoadError;
use crate::native::kernel::Call;
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::Shape;

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    node.check_type(1, &[datatype])?;
    let is_squared = match node.text("metric", "sqeuclidean")? {
        "sqeuclidean" => true,
        "euclidean" => false,
        other => {
            return Err(node.fault(format!("`metric` is `{other}`, not sqeuclidean or euclidean")));
        }
    };
    let (left, right) = (&node.input(0)?.shape, &node.input(1)?.shape);
    let (&[n_left, width], &[n_right, same]) = (left.extents(), right.extents()) else {
        return Err(node.fault(format!("{left} and {right} are not two tables")));
    };
    if width != same || width.is_rows() {
        return Err(node.fault(format!("{left} and {right} differ in columns")));
    }
    let shape = node.shape(Shape::new(vec![n_left, n_right]))?;
    let width = width.factor() as usize;
    let cost = (shape.row_len() * width) as u64;
    let run = move |call: &mut Call<'_, '_>| {
        let (left, right) = (call.doubles(0)?, call.doubles(1)?);
        let (n_left, n_right) = (n_left.at(call.rows) as usize, n_right.at(call.rows) as usize);
        let mut distances = Vec::with_capacity(n_left * n_right);
        for a in (0..n_left).map(|at| &left[at * width..(at + 1) * width]) {
            for b in (0..n_right).map(|at| &right[at * width..(at + 1) * width]) {
                let square = a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y));
                distances.push(if is_squared { square } else { square.sqrt() });
            }
        }
        call.put(0, narrowed(datatype, distances));
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}

/// `BatchNormalization` with constant statistics: per channel, `scale * (x - mean) /
/// sqrt(variance + epsilon) + bias`, in `f64` and rounded once.
pub(crate) fn batch_normalization(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let datatype = node.check_type(0, &[Datatype::Fp32, Datatype::Fp64])?;
    let epsilon = f64::from(node.float("epsilon", 1e-5)?);
    node.ignore(&["momentum", "spatial"]);
    if node.int("training_mode", 0)? != 0 {
        return Err(node.fault("it is in training mode"));
    }
    let shape = node.input(0)?.shape.clone();
    let channel = node.fixed_axis(&shape, 1)?;
    let n_channels = shape.extents()[channel].factor() as usize;
    let mut parts = Vec::with_capacity(4);
    for position in 1..5 {
        let values = &node.constant(position)?.values;
        let part: Vec<f64> = if let Values::Fp32(values) = values {
            values.iter().copied().map(f64::from).collect()
        } else if let Values::Fp64(values) = values {
            values.clone()
        } else {
            return Err(node.fault(format!("input {position} must be floats")));
        };
        if part.len() != n_channels {
            return Err(node.fault(format!("input {position} does not fit {n_channels} channels")));
        }
        parts.push(part);
    }
    let channels: Vec<(f64, f64, f64)> = (0..n_channels)
        .map(|at| (parts[0][at] / (parts[3][at] + epsilon).sqrt(), parts[2][at], parts[1][at]))
        .collect();
    let Some(inner) = shape.inner_len(channel + 1) else {
        return Err(node.fault(format!("{shape} would mix rows")));
    };
    let cost = shape.row_len() as u64 * 2;
    let run = move |call: &mut Call<'_, '_>| {
        let mut values = call.doubles(0)?.into_owned();
        for (at, value) in values.iter_mut().enumerate() {
            let (scale, mean, bias) = channels[at / inner.max(1) % channels.len()];
            *value = scale * (*value - mean) + bias;
        }
        call.put(0, narrowed(datatype, values));
        Ok(())
    };
    Ok(Compiled::function(run, datatype, shape, cost))
}
