//! The network gate.
pub mod addr;
pub mod plan;
pub mod read;
pub mod render;
