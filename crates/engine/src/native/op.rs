//! The operators, one module each: `compile` checks a node and makes its kernel.
//!
//! To add one: a module here, a row in [`super::operators::OPERATORS`].
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an operator takes some types, checked at load; any other is a fault"
)]

pub(super) mod arithmetic;
pub(super) mod broadcast;
pub(super) mod cast;
pub(super) mod constant;
pub(super) mod distance;
pub(super) mod encode;
pub(super) mod extract;
pub(super) mod gemm;
pub(super) mod labels;
pub(super) mod linear;
pub(super) mod matmul;
pub(super) mod normalizer;
pub(super) mod post_transform;
pub(super) mod rearrange;
pub(super) mod reduce;
pub(super) mod reshape;
pub(super) mod scaler;
pub(super) mod softmax;
pub(super) mod svm;
pub(super) mod unary;
