//! `ai.onnx.ml.ArrayFeatureExtractor`: columns of the first input by the second's indices.

use std::sync::Arc;

use bartizan_core::{Datatype, Values};

use super::labels::LABEL_BYTES_MAX;
use crate::native::LoadError;
use crate::native::kernel::{Call, Fault, Kernel, same_type};
use crate::native::node::{Compiled, NodeContext};
use crate::native::shape::{Extent, Shape};
use crate::onnx::Constant;

/// A constant row, indexed by what each row computed: how classes are looked up.
struct Lookup {
    table: Arc<Constant>,
}

/// The same columns of every row.
struct Columns {
    width: usize,
    indices: Vec<usize>,
}

pub(crate) fn compile(node: &mut NodeContext<'_>) -> Result<Compiled, LoadError> {
    node.check_type(1, &[Datatype::Int64])?;
    let (table, indices) = (node.input(0)?, node.input(1)?);
    let width = node.width(0)?;
    if width == 0 {
        return Err(node.fault("input 0 has no columns"));
    }
    match (&table.constant, &indices.constant) {
        (Some(constant), None) if constant.values.len() == width => {
            let is_long = |text: &Vec<u8>| LABEL_BYTES_MAX < text.len();
            if matches!(&constant.values, Values::Bytes(texts) if texts.iter().any(is_long)) {
                return Err(node.fault(format!("a text is longer than {LABEL_BYTES_MAX} bytes")));
            }
            let mut extents = table.shape.extents().to_vec();
            extents.pop();
            if extents.is_empty() {
                extents.push(Extent::Fixed(1));
            }
            if !indices.shape.is_by_rows() {
                return Err(
                    node.fault(format!("indices of shape {} would mix rows", indices.shape))
                );
            }
            let n_indices = indices.shape.row_len() as u64;
            extents.push(match indices.shape.rows_axis() {
                Some(_) => Extent::Rows(n_indices),
                None => Extent::Fixed(n_indices),
            });
            let classes = names(&constant.values);
            let kernel = Lookup { table: Arc::clone(constant) };
            let shape = node.shape(Shape::new(extents))?;
            let compiled = Compiled::plain(kernel, table.datatype, shape, 5);
            Ok(Compiled { classes: Some(classes), ..compiled })
        }
        (_, Some(constant)) => {
            let Values::Int64(given) = &constant.values else {
                return Err(node.fault("indices must be INT64"));
            };
            let indices: Option<Vec<usize>> = given
                .iter()
                .map(|index| usize::try_from(*index).ok().filter(|index| *index < width))
                .collect();
            let Some(indices) = indices else {
                return Err(node.fault(format!("an index is not below {width} columns")));
            };
            let shape = node.shape(table.shape.with_last(indices.len()))?;
            let cost = indices.len() as u64;
            Ok(Compiled::plain(Columns { width, indices }, table.datatype, shape, cost))
        }
        (_, None) => Err(node.fault("either table or indices must be one constant row")),
    }
}

fn names(values: &Values) -> Vec<String> {
    match values {
        Values::Int64(v) => v.iter().map(i64::to_string).collect(),
        Values::Int32(v) => v.iter().map(i32::to_string).collect(),
        Values::Bytes(v) => {
            v.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
        }
        Values::Bool(_)
        | Values::Uint8(_)
        | Values::Uint16(_)
        | Values::Uint32(_)
        | Values::Uint64(_)
        | Values::Int8(_)
        | Values::Int16(_)
        | Values::Fp16(_)
        | Values::Bf16(_)
        | Values::Fp32(_)
        | Values::Fp64(_) => Vec::new(),
    }
}

impl Lookup {
    fn pick<T: Clone>(table: &[T], indices: &[usize]) -> Vec<T> {
        indices.iter().map(|index| table[*index].clone()).collect()
    }
}

impl Columns {
    fn pick<T: Clone>(&self, values: &[T]) -> Vec<T> {
        let rows = values.chunks_exact(self.width);
        rows.flat_map(|row| self.indices.iter().map(|index| row[*index].clone())).collect()
    }
}

impl Kernel for Lookup {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let len = self.table.values.len();
        let indices: Option<Vec<usize>> = call
            .i64s(1)?
            .iter()
            .map(|index| usize::try_from(*index).ok().filter(|index| *index < len))
            .collect();
        let Some(indices) = indices else { return Err("an index is out of range".into()) };
        let picked = same_type!(&self.table.values, |table| Self::pick(table, &indices));
        call.put(0, picked);
        Ok(())
    }
}

impl Kernel for Columns {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<(), Fault> {
        let picked = same_type!(call.input(0)?, |values| self.pick(values));
        call.put(0, picked);
        Ok(())
    }
}
