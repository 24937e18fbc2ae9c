//! The files in `examples/` at the root of the repository.

use std::fs::File;
use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use bartizan_core::{Tensor, Values};
use bartizan_engine::LoadLimits;
use bartizan_engine::native::{NativeModel, load};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Names of the examples.
pub(crate) const NAMES: [&str; 4] =
    ["cancer-lightgbm", "cancer-logistic", "digits-forest", "digits-mlp"];

/// One example: its model, the rows held out, and onnxruntime's answers on these.
pub(crate) struct Example {
    pub(crate) bytes: Vec<u8>,
    pub(crate) model: NativeModel,
    pub(crate) input: Tensor,
    pub(crate) labels: Vec<i64>,
    pub(crate) probabilities: Vec<f32>,
}

pub(crate) fn read(name: &str) -> Example {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
    let model = load(&bytes, &LoadLimits::default()).unwrap();
    let (heldout, _) = columns(folder.join("heldout.parquet"));
    let (probabilities, labels) = columns(folder.join("expected.parquet"));
    let (n_rows, width) = (labels.len(), heldout.len());
    let input = Values::Fp32(interleave(&heldout));
    let input = Tensor::new("features", vec![n_rows as u64, width as u64], input).unwrap();
    let probabilities = interleave(&probabilities);
    Example { bytes, model, input, labels, probabilities }
}

/// The columns of floats (null is NaN), and the one of integers.
fn columns(path: PathBuf) -> (Vec<Vec<f32>>, Vec<i64>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let (mut floats, mut ints): (Vec<Vec<f32>>, Vec<i64>) = (Vec::new(), Vec::new());
    for batch in reader.build().unwrap() {
        let mut position = 0;
        for column in batch.unwrap().columns() {
            if let Some(column) = column.as_primitive_opt::<Int64Type>() {
                ints.extend(column.iter().map(Option::unwrap));
                continue;
            }
            floats.resize_with(floats.len().max(position + 1), Vec::new);
            let column = column.as_primitive::<Float32Type>();
            floats[position].extend(column.iter().map(|value| value.unwrap_or(f32::NAN)));
            position += 1;
        }
    }
    (floats, ints)
}

fn interleave(columns: &[Vec<f32>]) -> Vec<f32> {
    (0..columns[0].len()).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
}
