//! `Concat` along the last dimension.

use bartizan_core::{Datatype, Values};

use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel};
use crate::native::node::{Compiled, NodeContext};

struct Concat {
    /// Columns of each input.
    widths: Vec<usize>,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    let axis = node.int("axis", 1)?;
    let datatype =
        node.check_type(0, &[Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Bytes])?;
    let first = &node.input(0)?.shape;
    let n_dims = first.extents().len();
    if first.axis(axis).is_none_or(|axis| axis + 1 != n_dims) {
        return Err(node.fault(format!("`axis` is {axis}, `native` takes the last of {first}")));
    }
    let mut widths = Vec::with_capacity(node.n_inputs());
    for position in 0..node.n_inputs() {
        node.check_type(position, &[datatype])?;
        let (shape, width) = (&node.input(position)?.shape, node.width(position)?);
        let fits = shape.extents().len() == n_dims
            && shape.extents()[..n_dims - 1] == first.extents()[..n_dims - 1];
        if !fits {
            return Err(node.fault(format!("shapes {first} and {shape} do not go together")));
        }
        widths.push(width);
    }
    let total = widths.iter().fold(0_usize, |sum, width| sum.saturating_add(*width));
    let shape = node.shape(first.with_last(total))?;
    let cost = shape.row_len() as u64;
    Ok(Compiled::plain(Concat { widths }, datatype, shape, cost))
}

fn join<T: Clone>(widths: &[usize], parts: &[&[T]]) -> Vec<T> {
    let n_rows = widths
        .iter()
        .zip(parts)
        .find_map(|(width, part)| part.len().checked_div(*width))
        .unwrap_or(0);
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for row in 0..n_rows {
        for (width, part) in widths.iter().zip(parts) {
            out.extend_from_slice(&part[row * width..(row + 1) * width]);
        }
    }
    out
}

impl Kernel for Concat {
    #[expect(clippy::wildcard_enum_match_arm, reason = "checked at load; any other is a fault")]
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        macro_rules! joined {
            ($variant:ident, $get:ident) => {{
                let parts: Result<Vec<_>, Fault> =
                    (0..self.widths.len()).map(|position| call.$get(position)).collect();
                Values::$variant(join(&self.widths, &parts?))
            }};
        }
        let values = match call.input(0)? {
            Values::Fp32(_) => joined!(Fp32, f32s),
            Values::Fp64(_) => joined!(Fp64, f64s),
            Values::Int64(_) => joined!(Int64, i64s),
            Values::Bytes(_) => joined!(Bytes, texts),
            _ => return Err("a value has another type than at load".into()),
        };
        call.put(0, values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_joined_side_by_side() {
        assert_eq!(join(&[2, 1], &[&[1, 2, 4, 5], &[3, 6]]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(join(&[0, 1], &[&[], &[3, 6]]), [3, 6]);
        assert_eq!(join::<i32>(&[0], &[&[]]), [0; 0]);
    }
}
