//! Loading and running what the tests build.

use bartizan_core::{PredictError, Predictor, Tensor, Values};
use bartizan_engine::native::{NativeModel, load};
use bartizan_engine::{LoadError, LoadLimits};

use super::build::Model;

pub(crate) fn open(bytes: &[u8]) -> Result<NativeModel, LoadError> {
    load(bytes, &LoadLimits::default())
}

/// The outputs for `x`, rows of `width` floats.
pub(crate) fn run(model: &Model, width: usize, x: &[f32]) -> Result<Vec<Tensor>, PredictError> {
    let model = open(&model.bytes()).unwrap();
    let shape = vec![(x.len() / width) as u64, width as u64];
    model.predict(&[Tensor::new("x", shape, Values::Fp32(x.to_vec())).unwrap()])
}

/// The message of the error with which `model` is refused.
pub(crate) fn refusal(model: &Model) -> String {
    open(&model.bytes()).unwrap_err().to_string()
}
