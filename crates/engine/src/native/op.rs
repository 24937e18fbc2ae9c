//! The operators, one module each: `compile` checks a node and makes its kernel.
//!
//! To add one: a module here, a row in [`super::operators::OPERATORS`].

pub(super) mod argmax;
pub(super) mod arithmetic;
pub(super) mod cast;
pub(super) mod concat;
pub(super) mod constant;
pub(super) mod extract;
pub(super) mod gemm;
pub(super) mod labels;
pub(super) mod linear;
pub(super) mod matmul;
pub(super) mod normalizer;
pub(super) mod post_transform;
pub(super) mod reshape;
pub(super) mod scaler;
pub(super) mod softmax;
pub(super) mod unary;
